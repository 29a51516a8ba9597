// SPDX-License-Identifier: Apache-2.0
import { OrderedMessages } from './ordered-messages.js';
import { partitionOfSequence } from './partitions.js';
import type { StoredMessage } from './stored-message.js';

/** The messages of one queue by their sequence numbers, whatever their state, until they are gone. */
export class MessageStore {
  /** By partition; the first one alone where the queue has none. */
  readonly #partitions: OrderedMessages[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(sequence: number): StoredMessage | undefined {
    return this.#partitions[partitionOfSequence(sequence)]?.get(sequence);
  }

  add(message: StoredMessage): void {
    this.#size += 1;
    this.#partitionOf(message.sequence).add(message);
    message.session?.messages.add(message);
  }

  /** Takes a message out that is gone. */
  delete({ sequence, session }: StoredMessage): void {
    this.#size -= 1;
    this.#partitionOf(sequence).onGone();
    session?.messages.onGone();
  }

  /** Those with this number and above, in order, partition by partition. They must not change meanwhile. */
  *from(sequence: number): Generator<StoredMessage> {
    const first = Math.max(0, partitionOfSequence(sequence));
    for (let at = first; at < this.#partitions.length; at += 1) yield* this.#partitions[at]!.from(sequence);
  }

  #partitionOf(sequence: number): OrderedMessages {
    const partition = partitionOfSequence(sequence);
    while (this.#partitions.length <= partition) this.#partitions.push(new OrderedMessages());
    return this.#partitions[partition]!;
  }
}
