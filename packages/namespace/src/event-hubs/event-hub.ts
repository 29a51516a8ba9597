// SPDX-License-Identifier: Apache-2.0
import { checkName } from '../address.js';
import { REFUSALS, type Refusal } from '../entity.js';
import type { MessageContent } from '../message-content.js';
import { EventPartition } from './event-partition.js';
import { partitionOf } from './partition-key.js';
import type { Producer } from './producer-states.js';

export interface EventHubOptions {
  readonly name: string;
  /** 1 to 32; 4 unless given. */
  readonly partitions?: number;
  /** Beside `$Default`. */
  readonly consumerGroups?: readonly string[];
  /** Bytes of events that each partition keeps; beyond them the oldest go. 16 MiB unless given. */
  readonly retainedBytes?: number;
  /** Ms that each event is kept at most; without end unless given. */
  readonly retentionMs?: number;
}

const PARTITIONS_MAX = 32;
const DEFAULT_GROUP = '$default';
const NAME_LENGTH_MAX = 256;
const GROUP_LENGTH_MAX = 50;
const RETAINED_BYTES = 1 << 24;
/** Characters of a partition key, as at the service. */
const KEY_LENGTH_MAX = 128;

/** A log of events in several partitions: what was sent is read by whoever wants, as often as they want. */
export class EventHub {
  readonly name: string;
  /** Ms of the clock. */
  readonly createdAt: number;
  readonly partitions: readonly EventPartition[];
  /** Lower case. */
  readonly consumerGroups: ReadonlySet<string>;
  #turn = 0;

  /** @throws TypeError where an option is not valid */
  constructor(options: EventHubOptions, now: number) {
    const { name, partitions = 4, consumerGroups = [], retainedBytes = RETAINED_BYTES, retentionMs } = options;
    checkName(name, 'event hub', NAME_LENGTH_MAX);
    for (const group of consumerGroups) checkName(group, 'consumer group', GROUP_LENGTH_MAX);
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX)
      throw new TypeError(`The event hub '${name}' has 1 to ${PARTITIONS_MAX} partitions, not ${partitions}.`);
    if (!(retainedBytes > 0)) throw new TypeError(`The event hub '${name}' keeps more than ${retainedBytes} bytes.`);
    if (retentionMs !== undefined && !(retentionMs > 0))
      throw new TypeError(`The event hub '${name}' keeps events for longer than ${retentionMs} ms.`);
    this.name = name;
    this.createdAt = now;
    this.partitions = Array.from(
      { length: partitions },
      (_, id) => new EventPartition(String(id), retainedBytes, now, retentionMs),
    );
    this.consumerGroups = new Set([DEFAULT_GROUP, ...consumerGroups.map((group) => group.toLowerCase())]);
  }

  /**
   * @param to - the partition that the sender names; undefined where the hub chooses: by key, or each in turn
   * @param producer - who numbers the events, towards a partition that is named
   */
  send(
    contents: readonly MessageContent[],
    to: EventPartition | undefined,
    now: number,
    producer?: Producer,
  ): Refusal | undefined {
    const keys = contents.map((content) => content.partitionKey);
    if (keys.some((key) => key !== undefined && key.length > KEY_LENGTH_MAX))
      return {
        condition: 'com.microsoft:argument-error',
        description: `A partition key has at most ${KEY_LENGTH_MAX} characters.`,
      };
    // What came together stays together, as it would at the service.
    const key = keys.find((one) => one !== undefined);
    const { length } = this.partitions;
    const partition = to ?? this.partitions[key === undefined ? this.#turn++ % length : partitionOf(key, length)]!;
    const { journal, producers } = partition;
    const bytes = contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (journal?.hasRoomFor(contents.length, bytes) === false) return REFUSALS.noRoom;
    const isNews = producer === undefined || producers.take(producer, contents);
    if (typeof isNews === 'object') return isNews;
    if (!isNews) return undefined;
    partition.append(contents, now);
    const state = producer === undefined ? undefined : producers.of(producer.id);
    if (state !== undefined) journal?.sent(producer!.id, state);
    return undefined;
  }
}
