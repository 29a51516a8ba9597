// SPDX-License-Identifier: Apache-2.0

import type { IncomingDelivery } from '@pointsman/engine';
import { EnginePair } from './engine-pair.js';
import type { MicroCase } from './micro-case.js';

const MESSAGES = 200;

/** A disposition frame for ids of 1 to 255; the id 0 takes a byte less. */
const ONE_BYTES = 23;
const ONE_RANGE_BYTES = 23;

/**
 * Messages accepted in some order. How many bytes the settlements take says how many ranges they were put into.
 *
 * @param settled - messages that are accepted
 * @param bytes - of the dispositions that the order leaves
 */
function settledIn(
  name: string,
  settled: number,
  bytes: number,
  order: (arrived: IncomingDelivery[]) => void,
): MicroCase {
  return {
    name: `dispositions: ${name}`,
    operations: MESSAGES,
    hash: settled * 100_000 + bytes,
    isLarge: false,
    prepare: () => {
      const payload = new Uint8Array(10);
      return () => {
        // Anew, so that ids have the same width in each round.
        const pair = new EnginePair(MESSAGES);
        for (let i = 0; i < MESSAGES; i++)
          pair.sender.send(undefined, 0, false, undefined, payload, 0, payload.length, true);
        pair.carry();
        order(pair.arrived);
        pair.acceptAll();
        const written = pair.carryBack();
        return pair.settled * 100_000 + written;
      };
    },
  };
}

export const DISPOSITIONS: readonly MicroCase[] = [
  settledIn('in order: one range', MESSAGES, ONE_RANGE_BYTES, () => undefined),
  settledIn('in reverse order: still one range', MESSAGES, ONE_RANGE_BYTES, (arrived) => arrived.reverse()),
  settledIn('evens before odds: still one range', MESSAGES, ONE_RANGE_BYTES, (arrived) =>
    arrived.sort((a, b) => (a.id & 1) - (b.id & 1) || a.id - b.id),
  ),
  settledIn('every other one only: a range each', MESSAGES / 2, (MESSAGES / 2) * ONE_BYTES - 1, (arrived) => {
    for (let i = arrived.length - 1; i > 0; i -= 2) arrived.splice(i, 1);
  }),
];
