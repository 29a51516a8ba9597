// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RemoteProtocolError } from '@pointsman/wire';
import { IncomingFrames } from '../src/incoming-frames.js';
import type { FrameTaker } from '../src/incoming-frames.js';
import { joined } from './raw-peer.js';

/** Takes so many headers first, then frames, and writes everything down. */
class Taker implements FrameTaker {
  done = false;
  readonly frameSizeMax: number;
  readonly taken: string[] = [];
  #headers: number;

  constructor(headers: number, frameSizeMax = 0xffffffff) {
    this.#headers = headers;
    this.frameSizeMax = frameSizeMax;
  }
  get stops(): boolean {
    return this.done;
  }
  get isFramed(): boolean {
    return this.#headers === 0;
  }
  takeHeader(bytes: Uint8Array, at: number): void {
    this.#headers--;
    this.#take('header', bytes, at, at + 8);
  }
  takeFrame(bytes: Uint8Array, start: number, end: number): void {
    this.#take('frame', bytes, start, end);
  }
  #take(what: string, bytes: Uint8Array, start: number, end: number): void {
    const hex = Buffer.from(bytes.slice(start, end)).toString('hex');
    this.taken.push(`${what} ${hex}`);
    if (hex.includes('dead')) throw new RemoteProtocolError('amqp:not-allowed', 'dead', { scope: 'connection' });
    if (hex.includes('d04e')) this.done = true;
  }
}

// Below 0x80, so that no body looks like one of the special ones.
const anyFrame = fc
  .uint8Array({ maxLength: 40, max: 0x7f })
  .map((body) => Uint8Array.from([0, 0, 0, body.length + 8, 2, 0, 0, 0, ...body]));
const anyHeader = fc.uint8Array({ minLength: 8, maxLength: 8, max: 0x7f });

/** Feeds a stream in pieces as a connection does: on behind what was refused. */
function fed(stream: Uint8Array, cuts: readonly number[], taker: Taker): string[] {
  const frames = new IncomingFrames();
  const edges = [...cuts.map((cut) => cut % (stream.length + 1)), stream.length].toSorted((a, b) => a - b);
  let at = 0;
  for (const edge of edges) {
    const chunk = stream.slice(at, edge);
    at = edge;
    for (frames.next = 0; !taker.done;) {
      try {
        frames.cut(chunk, frames.next, taker);
        break;
      } catch (error) {
        assert.ok(error instanceof RemoteProtocolError);
        taker.taken.push(error.condition);
        if (frames.next < 0) return taker.taken;
      }
    }
  }
  return taker.taken;
}

describe('a stream of headers and frames', () => {
  it('is cut into the same ones however it arrives', () => {
    fc.assert(
      fc.property(
        fc.array(anyHeader, { maxLength: 3 }),
        fc.array(anyFrame, { maxLength: 8 }),
        fc.array(fc.nat(1_000), { maxLength: 20 }),
        (headers, list, cuts) => {
          const taken = fed(joined([...headers, ...list]), cuts, new Taker(headers.length));
          const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
          assert.deepEqual(taken, [
            ...headers.map((header) => `header ${hex(header)}`),
            ...list.map((frame) => `frame ${hex(frame)}`),
          ]);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('goes on behind a frame that is refused, and stops at one that is the last, however it arrives', () => {
    const special = fc
      .constantFrom(
        '000000 0a 02000000 dead',
        '000000 0b 02000000 00dead',
        '000000 0a 02000000 d04e',
        '000000 08 02000000',
        '000000 07 02000000',
        '7fffffff 02000000',
      )
      .map((text) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex')));
    fc.assert(
      fc.property(
        fc.array(fc.oneof({ weight: 2, arbitrary: anyFrame }, special), { maxLength: 8 }),
        fc.array(fc.nat(300), { maxLength: 20 }),
        (list, cuts) => {
          const stream = joined(list);
          assert.deepEqual(fed(stream, cuts, new Taker(0, 100)), fed(stream, [], new Taker(0, 100)));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('is forgotten where it is not wanted any more', () => {
    const frames = new IncomingFrames();
    const taker = new Taker(0);
    frames.cut(Uint8Array.of(0, 0, 0), 0, taker);
    frames.clear();
    frames.cut(Uint8Array.of(0, 0, 0, 8, 2, 0, 0, 0), 0, taker);
    assert.deepEqual(taker.taken, ['frame 0000000802000000']);
  });
});
