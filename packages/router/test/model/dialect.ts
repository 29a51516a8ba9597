// SPDX-License-Identifier: Apache-2.0
import type { DeliveryState } from '@pointsman/wire';
import type { ContainerDialect } from '../../src/index.js';
import type { Ledger } from './ledger.js';

/** That of a container which confirms outcomes, hears of those whose link has gone, and does not want a message put aside. */
export function dialectOf(ledger: Ledger): ContainerDialect {
  return {
    settleSecond: true,
    outcomeToContainer: (state) => plain(state) ?? { type: 'accepted' },
    outcomeFromContainer: (state) => plain(state)!,
    settleLater: (_address, { tag }, state, done) => {
      ledger.settledLater(Buffer.from(tag).toString('latin1'), state);
      done('taken');
    },
  };
}

function plain(state: DeliveryState | undefined): DeliveryState | undefined {
  if (state === undefined || !('type' in state) || state.type !== 'modified') return state;
  return { type: 'modified', deliveryFailed: true };
}
