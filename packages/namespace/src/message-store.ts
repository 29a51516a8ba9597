// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import { MESSAGE_BYTES, MemoryBudget } from './memory-budget.js';
import { OrderedMessages } from './ordered-messages.js';
import { partitionOfSequence } from './partitions.js';
import type { StoredMessage } from './stored-message.js';

/** The messages of one queue by their sequence numbers, whatever their state, until they are gone. */
export class MessageStore {
  /** By partition; the first one alone where the queue has none. */
  #partitions: OrderedMessages[] = [];
  #size = 0;
  readonly #memory: MemoryBudget;

  constructor(memory: MemoryBudget = new MemoryBudget()) {
    this.#memory = memory;
  }

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
    const { content } = message;
    content.holders += 1;
    this.#memory.take(weightOf(message) + (content.holders === 1 ? content.sizeBytes : 0));
  }

  /** Whether there is memory for properties that settling gives a message. A few there always are. */
  hasRoomToChange(message: StoredMessage, properties: ReadonlyMap<string, AmqpValue> | undefined): boolean {
    const bytes = message.changesWith(properties);
    return bytes <= MESSAGE_BYTES || this.#memory.hasRoom(bytes);
  }

  /** Gives a message of the queue more properties. */
  change(message: StoredMessage, properties: ReadonlyMap<string, AmqpValue> | undefined): void {
    const before = weightOf(message);
    message.change(properties);
    this.#memory.take(weightOf(message) - before);
  }

  /** Takes a message out that is gone. */
  delete(message: StoredMessage): void {
    const { sequence, session } = message;
    this.#size -= 1;
    this.#forget(message);
    this.#partitionOf(sequence).onGone();
    session?.messages.onGone();
  }

  #forget(message: StoredMessage): void {
    const { content } = message;
    content.holders -= 1;
    this.#memory.take(-weightOf(message) - (content.holders === 0 ? content.sizeBytes : 0));
  }

  /** The queue is no more. */
  clear(): void {
    for (const message of this.from(0)) this.#forget(message);
    this.#partitions = [];
    this.#size = 0;
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

/** Bytes of memory, those of the content apart. */
function weightOf({ changesBytes }: StoredMessage): number {
  return MESSAGE_BYTES + changesBytes;
}
