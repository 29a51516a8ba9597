// SPDX-License-Identifier: Apache-2.0
import type { StoredMessage } from './stored-message.js';

/** Messages that are gone may lie in the list until there are this many, and as many as the others. */
const SLACK = 1024;

/** The messages of one queue by their sequence numbers, whatever their state, until they are gone. */
export class MessageStore {
  readonly #bySequence = new Map<number, StoredMessage>();
  /** The same in order, and among them some that are gone. */
  #inOrder: StoredMessage[] = [];

  get size(): number {
    return this.#bySequence.size;
  }

  get(sequence: number): StoredMessage | undefined {
    return this.#bySequence.get(sequence);
  }

  add(message: StoredMessage): void {
    const { sequence } = message;
    this.#bySequence.set(sequence, message);
    const last = this.#inOrder.at(-1);
    if (last === undefined || last.sequence < sequence) this.#inOrder.push(message);
    // A number that a transaction was given before it committed.
    else this.#inOrder.splice(this.#placeOf(sequence), 0, message);
  }

  delete({ sequence }: StoredMessage): void {
    this.#bySequence.delete(sequence);
    if (this.#inOrder.length <= 2 * this.#bySequence.size + SLACK) return;
    this.#inOrder = this.#inOrder.filter((message) => message.state !== 'gone');
  }

  /** Those with this number and above, in order. It must not change meanwhile. */
  *from(sequence: number): Generator<StoredMessage> {
    const all = this.#inOrder;
    for (let at = this.#placeOf(sequence); at < all.length; at += 1) {
      const message = all[at]!;
      if (message.state !== 'gone') yield message;
    }
  }

  /** Index of the first whose number is not below `sequence`. */
  #placeOf(sequence: number): number {
    let low = 0;
    let high = this.#inOrder.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#inOrder[middle]!.sequence < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
