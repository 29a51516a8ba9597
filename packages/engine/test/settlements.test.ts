// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DeliveryState, Disposition } from '@pointsman/wire';
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from '../src/index.js';
import { Output } from '../src/output.js';
import { Settlements } from '../src/settlements.js';
import { heardIn, joined } from './raw-peer.js';

const CHANNEL = 3;

function heard(out: Output): Disposition[] {
  const bytes = out.take();
  return bytes === undefined ? [] : heardIn(joined(bytes)).map(({ frame }) => frame as Disposition);
}

/** Every id that a list of dispositions speaks of. */
function idsOf(frames: readonly Disposition[]): number[] {
  return frames.flatMap(({ first, last }) =>
    Array.from({ length: (((last ?? first) - first) >>> 0) + 1 }, (_, i) => (first + i) >>> 0),
  );
}

describe('settlements that wait for the next write', () => {
  it('say each id once, in as few ranges as there are, in whatever order they came and over the wrap', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 1_000, 0xffffffe0),
        fc.uniqueArray(fc.nat(64), { minLength: 1, maxLength: 64 }),
        (base, offsets) => {
          const out = new Output();
          const settlements = new Settlements(false);
          for (const offset of offsets) settlements.accept((base + offset) >>> 0);
          settlements.flush(out, CHANNEL, 512, (base + 65) >>> 0);
          const frames = heard(out);
          const sorted = offsets.toSorted((a, b) => a - b);
          assert.deepEqual(
            idsOf(frames),
            sorted.map((offset) => (base + offset) >>> 0),
          );
          const runs = sorted.filter((offset, i) => i === 0 || offset !== sorted[i - 1]! + 1).length;
          assert.equal(frames.length, runs);
          for (const { role, settled, state } of frames)
            assert.deepEqual([role, settled, state], [true, true, ACCEPTED]);
          settlements.flush(out, CHANNEL, 512, 0);
          assert.deepEqual(heard(out), []);
        },
      ),
    );
  });

  it('keep what is said of an id in the order in which it was said, but for what is the same', () => {
    const out = new Output();
    const settlements = new Settlements(false);
    const add = (id: number, state: DeliveryState | undefined, settled: boolean, receiver = true): void =>
      settlements.add(id, state, settled, receiver, out, CHANNEL, 512);
    add(1, RELEASED, true);
    add(2, RELEASED, true);
    add(3, MODIFIED_FAILED, true);
    add(4, MODIFIED_FAILED, true);
    add(5, MODIFIED_FAILED, false);
    add(6, undefined, true, false);
    add(8, undefined, true, false);
    settlements.flush(out, CHANNEL, 512, 9);
    assert.deepEqual(
      heard(out).map(({ role, first, last, settled, state }) => [
        role,
        first,
        last ?? first,
        settled ?? false,
        state !== undefined && 'type' in state ? state.type : 'none',
      ]),
      [
        [true, 1, 2, true, 'released'],
        [true, 3, 4, true, 'modified'],
        [true, 5, 5, false, 'modified'],
        [false, 6, 6, true, 'none'],
        [false, 8, 8, true, 'none'],
      ],
    );
  });

  it('run over the wrap of ids', () => {
    const out = new Output();
    const settlements = new Settlements(false);
    for (const id of [0xfffffffe, 0xffffffff, 0, 1]) settlements.add(id, RELEASED, true, true, out, CHANNEL, 512);
    settlements.flush(out, CHANNEL, 512, 2);
    assert.deepEqual(
      heard(out).map(({ first, last }) => [first, last]),
      [[0xfffffffe, 1]],
    );
  });

  it('are forgotten with their session', () => {
    const out = new Output();
    const settlements = new Settlements(false);
    settlements.accept(2);
    settlements.accept(1);
    settlements.add(1, RELEASED, true, true, out, CHANNEL, 512);
    settlements.clear();
    settlements.flush(out, CHANNEL, 512, 3);
    assert.deepEqual(heard(out), []);
  });
});
