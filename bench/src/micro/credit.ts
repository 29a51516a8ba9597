// SPDX-License-Identifier: Apache-2.0

import { EnginePair } from './engine-pair.js';
import type { MicroCase } from './micro-case.js';

const MESSAGES = 1_000;

/** A message of 100 B from one engine to the other, accepted and settled, credit renewed one by one. */
function wayAndBack(name: string, perTurn: number): MicroCase {
  return {
    name,
    operations: MESSAGES,
    hash: MESSAGES * 2,
    isLarge: false,
    prepare: () => {
      const pair = new EnginePair(250);
      const payload = new Uint8Array(100);
      return () => {
        pair.settled = 0;
        let arrived = 0;
        while (arrived < MESSAGES) {
          for (let i = 0; i < perTurn && pair.sender.sendable; i++)
            pair.sender.send(undefined, 0, false, undefined, payload, 0, payload.length, true);
          pair.carry();
          const count = pair.arrived.length;
          pair.acceptAll();
          for (let i = 0; i < count; i++) pair.receiver.addCredit(1);
          pair.carryBack();
          arrived += count;
        }
        return arrived + pair.settled;
      };
    },
  };
}

export const CREDIT: readonly MicroCase[] = [
  wayAndBack('credit: send, accept, settle and renew, 100 messages a turn', 100),
  wayAndBack('credit: the same, one message a turn', 1),
  {
    name: 'credit: renewed one by one, told in halves',
    operations: 100_000,
    // One flow of the same size for every half of the credit that is used.
    hash: 100_000,
    isLarge: false,
    prepare: () => {
      const pair = new EnginePair(250);
      return () => {
        let renewed = 0;
        for (; renewed < 100_000; renewed++) {
          pair.receiver.credit--;
          pair.receiver.announced--;
          pair.receiver.addCredit(1);
          if (pair.receiver.flowPending) pair.carryBack();
        }
        return renewed;
      };
    },
  },
];
