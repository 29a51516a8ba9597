// SPDX-License-Identifier: Apache-2.0
import type { TransferFrame } from '@pointsman/engine';

/** The transaction of a delivery whose frames are coming: one of them says it, usually the first. */
export class TransactionOf {
  #txnId: Uint8Array | undefined;

  take({ state }: TransferFrame): void {
    if (state !== undefined && 'type' in state && state.type === 'transactional-state') this.#txnId = state.txnId;
  }

  /** Ends the delivery. */
  end(): Uint8Array | undefined {
    const txnId = this.#txnId;
    this.#txnId = undefined;
    return txnId;
  }
}
