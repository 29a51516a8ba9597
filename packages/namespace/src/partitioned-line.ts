// SPDX-License-Identifier: Apache-2.0
import { MessageLine, type Line } from './message-line.js';
import { partitionOfSequence, PARTITIONS } from './partitions.js';
import type { StoredMessage } from './stored-message.js';

/** Messages that wait in partitions: the order is that of each partition, and partitions are asked in turn. */
export class PartitionedLine implements Line {
  readonly #lines: readonly MessageLine[] = Array.from({ length: PARTITIONS }, () => new MessageLine());
  #next = 0;

  push(message: StoredMessage): void {
    this.#lineOf(message).push(message);
  }

  giveBack(message: StoredMessage): void {
    this.#lineOf(message).giveBack(message);
  }

  onGone(message: StoredMessage): void {
    this.#lineOf(message).onGone();
  }

  shift(): StoredMessage | undefined {
    for (let tried = 0; tried < PARTITIONS; tried += 1) {
      const message = this.#lines[this.#next]!.shift();
      this.#next = (this.#next + 1) % PARTITIONS;
      if (message !== undefined) return message;
    }
    return undefined;
  }

  #lineOf({ sequence }: StoredMessage): MessageLine {
    return this.#lines[partitionOfSequence(sequence) % PARTITIONS]!;
  }
}
