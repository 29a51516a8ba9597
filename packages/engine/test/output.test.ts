// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Output } from '../src/output.js';
import { joined } from './raw-peer.js';

const filled = (size: number, value: number): Uint8Array => new Uint8Array(size).fill(value);

describe('output', () => {
  it('leaves in the order in which it was written, copied or referenced, taken at any time', () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constantFrom('append' as const, 'reference' as const),
          size: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 200_000 })),
          value: fc.nat(255),
        }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const out = new Output();
        const batches: { views: Uint8Array[]; copy: Uint8Array }[] = [];
        let said: Uint8Array[] = [];
        const take = (): void => {
          const views = out.take();
          assert.deepEqual(views === undefined ? new Uint8Array(0) : joined(views), joined(said));
          if (views !== undefined) batches.push({ views, copy: joined(said) });
          said = [];
          assert.equal(out.waiting, 0);
        };
        for (const s of steps) {
          if (s.do === 'take') take();
          else if (s.do === 'release') {
            out.release();
            batches.shift();
          } else {
            const bytes = filled(s.size, s.value);
            out[s.do](bytes);
            said.push(bytes);
          }
          assert.equal(
            out.waiting,
            said.reduce((n, b) => n + b.length, 0),
          );
          assert.equal(out.backlog, out.waiting + batches.reduce((n, b) => n + b.copy.length, 0));
        }
        take();
        // What was taken and not released is as it was, whatever was written since.
        for (const { views, copy } of batches) assert.deepEqual(joined(views), copy);
      }),
      { numRuns: 100 },
    );
  });

  it('uses a buffer again once it is released, and not before, in whatever connection', () => {
    const [one, other] = [new Output(), new Output()];
    one.append(filled(100, 1));
    const first = one.take()!;
    other.append(filled(100, 2));
    const second = other.take()!;
    assert.notEqual(first[0]!.buffer, second[0]!.buffer);
    one.release();
    other.append(filled(100, 3));
    const third = other.take()!;
    assert.equal(third[0]!.buffer, first[0]!.buffer);
    assert.deepEqual(second[0], filled(100, 2));
  });

  it('releases the earliest batch first', () => {
    const out = new Output();
    out.append(filled(10, 1));
    const first = out.take()!;
    out.append(filled(20, 2));
    const second = out.take()!;
    assert.equal(out.backlog, 30);
    out.release();
    assert.equal(out.backlog, 20);
    out.append(filled(5, 3));
    assert.equal(out.take()![0]!.buffer, first[0]!.buffer);
    assert.deepEqual(second[0], filled(20, 2));
    out.release();
    out.release();
    out.release();
    assert.equal(out.backlog, 0);
  });

  it('references without copying', () => {
    const out = new Output();
    const bytes = filled(5_000, 7);
    out.append(filled(3, 1));
    out.reference(bytes);
    out.append(filled(3, 2));
    const taken = out.take()!;
    assert.equal(taken.length, 3);
    assert.equal(taken[1], bytes);
  });

  it('makes a piece of any size', () => {
    const out = new Output();
    out.append(filled(10, 1));
    out.append(filled(1 << 20, 2));
    out.append(filled(10, 3));
    assert.deepEqual(joined(out.take()!), joined([filled(10, 1), filled(1 << 20, 2), filled(10, 3)]));
    assert.equal(out.take(), undefined);
  });
});
