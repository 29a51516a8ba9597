// SPDX-License-Identifier: Apache-2.0
import { partitionOfSequence } from './partitions.js';
import type { StoredMessage } from './stored-message.js';

/** Messages that are gone may lie in a list until there are this many, and as many as the others. */
const SLACK = 1024;

/** Messages of one partition in the order of their numbers, and among them some that are gone. */
interface OrderedMessages {
  messages: StoredMessage[];
  /** Those that are not gone. */
  count: number;
}

/** The messages of one queue by their sequence numbers, whatever their state, until they are gone. */
export class MessageStore {
  readonly #bySequence = new Map<number, StoredMessage>();
  /** By partition; the first one alone where the queue has none. */
  readonly #partitions: OrderedMessages[] = [];

  get size(): number {
    return this.#bySequence.size;
  }

  get(sequence: number): StoredMessage | undefined {
    return this.#bySequence.get(sequence);
  }

  add(message: StoredMessage): void {
    const { sequence } = message;
    this.#bySequence.set(sequence, message);
    const list = this.#listOf(sequence);
    const last = list.messages.at(-1);
    if (last === undefined || last.sequence < sequence) list.messages.push(message);
    // A number that a transaction was given before it committed.
    else list.messages.splice(placeOf(sequence, list.messages), 0, message);
    list.count += 1;
  }

  /** Takes a message out that is gone. */
  delete({ sequence }: StoredMessage): void {
    if (!this.#bySequence.delete(sequence)) return;
    const list = this.#listOf(sequence);
    list.count -= 1;
    if (list.messages.length <= 2 * list.count + SLACK) return;
    list.messages = list.messages.filter((message) => message.state !== 'gone');
  }

  /** Those with this number and above, in order. It must not change meanwhile. */
  *from(sequence: number): Generator<StoredMessage> {
    const first = Math.max(0, partitionOfSequence(sequence));
    for (let partition = first; partition < this.#partitions.length; partition += 1) {
      const { messages } = this.#partitions[partition]!;
      for (let at = placeOf(sequence, messages); at < messages.length; at += 1) {
        const message = messages[at]!;
        if (message.state !== 'gone') yield message;
      }
    }
  }

  #listOf(sequence: number): OrderedMessages {
    const partition = partitionOfSequence(sequence);
    while (this.#partitions.length <= partition) this.#partitions.push({ messages: [], count: 0 });
    return this.#partitions[partition]!;
  }
}

/** Index of the first whose number is not below `sequence`. */
function placeOf(sequence: number, messages: readonly StoredMessage[]): number {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (messages[middle]!.sequence < sequence) low = middle + 1;
    else high = middle;
  }
  return low;
}
