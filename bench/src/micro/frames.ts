// SPDX-License-Identifier: Apache-2.0

import { EnginePair } from './engine-pair.js';
import type { MicroCase } from './micro-case.js';

/** Of 1 000 B they stay below what a connection lets wait for its socket. */
const MESSAGES = 200;

/**
 * Frames split out of a stream that comes in chunks of `chunkBytes`, parsed and handed to their link; presettled, so that
 * nothing is written in return but credit.
 */
function framesCase(bodyBytes: number, chunkBytes: number): MicroCase {
  const chunks = chunkBytes === Infinity ? 'whole' : `in chunks of ${chunkBytes} B`;
  return {
    name: `frames: ${bodyBytes} B payload, ${chunks}`,
    operations: MESSAGES,
    hash: MESSAGES * bodyBytes,
    isLarge: false,
    prepare: () => {
      const pair = new EnginePair(MESSAGES);
      const payload = new Uint8Array(bodyBytes).fill(7);
      return () => {
        for (let i = 0; i < MESSAGES; i++)
          pair.sender.send(undefined, 0, true, undefined, payload, 0, payload.length, true);
        const bytes = pair.takeBytes();
        pair.arrivedBytes = 0;
        for (let at = 0; at < bytes.length; at += chunkBytes)
          pair.server.receive(bytes.subarray(at, Math.min(bytes.length, at + chunkBytes)), 0);
        pair.arrived.length = 0;
        pair.receiver.addCredit(MESSAGES);
        pair.carryBack();
        return pair.arrivedBytes;
      };
    },
  };
}

export const FRAMES: readonly MicroCase[] = [
  framesCase(100, Infinity),
  framesCase(100, 65_536),
  framesCase(100, 1_000),
  framesCase(100, 37),
  framesCase(1_000, 65_536),
];
