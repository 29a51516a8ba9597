// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED } from '@pointsman/engine';
import { World } from './world.js';

/** How a receiver is: it has credit from the start, or at the end only; it is told router annotations. */
type Kind = 'ready' | 'late' | 'annotated';

describe('a large message that comes in frames of a byte', () => {
  for (const kinds of [['ready'], ['late'], ['ready', 'late'], ['annotated', 'late']] as const) {
    it(`goes out whole, and in few frames where it has waited, to receivers that are ${kinds.join(' and ')}`, () => {
      const world = new World({ defaultDistribution: 'multicast' });
      const received = kinds.map((kind: Kind) => {
        const stripAnnotations = kind === 'annotated' ? 'no' : 'both';
        const inlet = world.peer({ stripAnnotations }).receive('a', kind === 'late' ? 0 : 10);
        const frames: Uint8Array[] = [];
        inlet.onTransfer = (link, delivery, frame): void => {
          frames.push(frame.bytes.slice(frame.payloadStart, frame.payloadEnd));
          if (delivery.complete) link.settle(delivery, ACCEPTED);
        };
        return { kind, inlet, frames };
      });
      const outlet = world.peer().send('a');
      const size = 140_000;
      const message = Uint8Array.from({ length: 8 + size }, (_, i) => (i * 7 + (i >>> 8)) & 0xff);
      message.set([0x00, 0x53, 0x75, 0xb0, size >>> 24, (size >>> 16) & 0xff, (size >>> 8) & 0xff, size & 0xff]);
      outlet.raw(message.subarray(0, 8), false, 'large', false);
      for (let i = 8; i < message.length; i++) {
        while (outlet.link.resume(message, i, i + 1, i === message.length - 1) === 0) world.run();
        if (i % 1_000 === 0) world.run();
      }
      world.run();
      for (const { kind, inlet } of received) if (kind === 'late') inlet.credit(1);
      for (const { kind, frames } of received) {
        assert.equal(Buffer.compare(Buffer.concat(frames).subarray(-message.length), message), 0);
        assert.ok(frames.length < (kind === 'late' ? 50 : size / 5), `${kind}: ${frames.length} frames`);
      }
      assert.deepEqual(outlet.told, { large: 'accepted' });
    });
  }
});
