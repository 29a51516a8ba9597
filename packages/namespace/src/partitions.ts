// SPDX-License-Identifier: Apache-2.0
import { partitionOf } from './event-hubs/partition-key.js';
import { keyTextOf, type MessageContent } from './message-content.js';

/** Of a partitioned entity, as the Standard tier has them. */
export const PARTITIONS = 16;

/** Sequence numbers of a partition; the number of the partition stands in the sixteen bits above. */
const PARTITION_SIZE: number = 2 ** 48;

/** The partition that a sequence number tells of, from 1 on; 0 where an entity has none. */
export function partitionOfSequence(sequence: number): number {
  return Math.floor(sequence / PARTITION_SIZE);
}

/**
 * The partition of a key, 1 to {@link PARTITIONS}: the same one each time. Which one it is in the cloud nobody has told; this is how
 * event hubs of the same service go by keys.
 */
export function partitionOfKey(key: string): number {
  return 1 + partitionOf(key, PARTITIONS);
}

/**
 * What decides about the partition of a message: its session, its partition key, or its id where duplicates are looked for.
 * Undefined where nothing does.
 */
export function partitionKeyOf(content: MessageContent, detectsDuplicates: boolean): string | undefined {
  const key = content.groupId ?? content.partitionKey;
  return key ?? (detectsDuplicates ? keyTextOf(content.messageId) : undefined);
}

/** Gives sequence numbers out: from 1 on, and in each partition from 1 on. */
export class SequenceCounter {
  /** Number of the latest message by partition. */
  readonly #last = new Map<number, number>();

  next(partition: number): number {
    const sequence = this.last(partition) + 1;
    this.#last.set(partition, sequence);
    return sequence;
  }

  last(partition: number): number {
    return this.#last.get(partition) ?? partition * PARTITION_SIZE;
  }

  /** A number that was given out before. */
  raise(sequence: number): void {
    const partition = partitionOfSequence(sequence);
    if (sequence > this.last(partition)) this.#last.set(partition, sequence);
  }

  /** The latest number of each partition that has one. */
  all(): Iterable<number> {
    return this.#last.values();
  }
}
