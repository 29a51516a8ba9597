// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessageReader } from '../src/whole-messages.js';

const LIMIT = 40;

const sent = fc.record({
  pieces: fc.array(fc.uint8Array({ maxLength: 12 }), { minLength: 1, maxLength: 8 }),
  isAborted: fc.boolean(),
});

describe('messages put together of their pieces', () => {
  it('are what was sent, whatever the pieces, empty ones too; without those that were withdrawn or are too large', () => {
    fc.assert(
      fc.property(fc.array(sent, { maxLength: 6 }), (messages) => {
        const reader = new MessageReader(LIMIT);
        const read = messages.map(({ pieces, isAborted }) =>
          pieces.map((piece, i) => {
            // Where frames lie is used again for others.
            const bytes = Uint8Array.of(0xff, ...piece, 0xff);
            const isLast = i === pieces.length - 1;
            const message = reader.read(
              { complete: isLast, aborted: isLast && isAborted },
              { bytes, payloadStart: 1, payloadEnd: bytes.length - 1 },
            );
            bytes.fill(0xee);
            return message;
          }),
        );
        assert.deepEqual(
          read,
          messages.map(({ pieces, isAborted }) =>
            pieces.map((_, i) => {
              const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
              return i === pieces.length - 1 && !isAborted && whole.length <= LIMIT ? whole : undefined;
            }),
          ),
        );
      }),
    );
  });
});
