// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import type { Journal, JournalRecord } from '../journal.js';
import { MessageContent, numberOf } from '../message-content.js';
import type { EventHub } from './event-hub.js';
import type { EventPartition, StoredEvent } from './event-partition.js';
import type { ProducerState } from './producer-states.js';

/**
 * Records of event hubs in the journal of a namespace. `hub` is its name in lower case, times are milliseconds since 1970.
 *
 *     ['event', hub, partition, sequence, offset, enqueued, format, bytes]
 *     ['log', hub, partition, next sequence, next offset, last offset, last enqueued]
 *     ['producer', hub, partition, id, epoch, last number, [first, last, …] of its latest batches]
 */
type HubRecordKind = 'event' | 'log' | 'producer';

const KINDS: ReadonlySet<unknown> = new Set<HubRecordKind>(['event', 'log', 'producer']);

/** Bytes of a record beside those of the event in it. */
const RECORD_BYTES = 1_024;

/** Whether a record is of event hubs. */
export function isHubRecord([kind]: JournalRecord): boolean {
  return KINDS.has(kind);
}

/** Writes down what comes into one partition. What goes is not written: it goes again when the rest is back. */
export class PartitionJournal {
  readonly #journal: Journal;
  readonly #hub: string;
  readonly #id: string;
  readonly #timeOrigin: number;

  constructor(journal: Journal, hub: string, id: string, timeOrigin: number) {
    this.#journal = journal;
    this.#hub = hub;
    this.#id = id;
    this.#timeOrigin = timeOrigin;
  }

  hasRoomFor(events: number, bytes: number): boolean {
    return this.#journal.hasRoom(bytes + (events + 1) * RECORD_BYTES);
  }

  stored(event: StoredEvent): void {
    this.#journal.write(this.#eventRecord(event));
  }

  /** A producer that numbers its events has sent some. */
  sent(id: number, state: ProducerState): void {
    this.#journal.write(this.#producerRecord(id, state));
  }

  /** All that there is, as a journal of its own would have it. */
  *snapshot(partition: EventPartition): Generator<JournalRecord> {
    const { nextSequence, nextOffset, last } = partition;
    yield ['log', this.#hub, this.#id, nextSequence, nextOffset, last.offset, this.#utc(last.at)];
    for (let at = partition.firstSequence; at < nextSequence; at++) yield this.#eventRecord(partition.at(at)!);
    for (const [id, state] of partition.producers.all) yield this.#producerRecord(id, state);
  }

  #eventRecord({ sequence, offset, enqueuedAt, content }: StoredEvent): JournalRecord {
    const at = this.#utc(enqueuedAt);
    return ['event', this.#hub, this.#id, sequence, offset, at, content.format, content.stored()];
  }

  #producerRecord(id: number, { epoch, last, batches }: ProducerState): JournalRecord {
    return ['producer', this.#hub, this.#id, id, epoch, last, batches.flat()];
  }

  #utc(ms: number): number {
    return Math.round(ms + this.#timeOrigin);
  }
}

interface PartitionHistory {
  log: readonly [nextSequence: number, nextOffset: number, lastOffset: number, lastUtc: number];
  readonly events: Map<number, AmqpValue[]>;
  readonly producers: Map<number, ProducerState>;
}

/** What is known of an event hub from a journal, until it is there to take it. */
export class HubHistory {
  readonly #partitions = new Map<string, PartitionHistory>();

  /** Takes a record about this hub. */
  add([kind, , id, ...fields]: JournalRecord): void {
    const key = String(id);
    let partition = this.#partitions.get(key);
    if (partition === undefined)
      this.#partitions.set(key, (partition = { log: [0, 0, -1, 0], events: new Map(), producers: new Map() }));
    const numbers = fields.map((field) => numberOf(field) ?? 0);
    const [first = 0, second = 0, third = 0, fourth = 0] = numbers;
    if (kind === 'event') partition.events.set(first, fields);
    else if (kind === 'log') partition.log = [first, second, third, fourth];
    else {
      const flat = Array.isArray(fields[3]) ? fields[3].map((value) => numberOf(value) ?? 0) : [];
      const batches: [number, number][] = [];
      for (let i = 0; i + 1 < flat.length; i += 2) batches.push([flat[i]!, flat[i + 1]!]);
      partition.producers.set(first, { epoch: second, last: third, batches });
    }
  }

  /**
   * Puts everything into the partitions of a hub that are empty.
   *
   * @param now - ms of the clock
   * @returns the number of events, and ids of partitions that it does not have
   */
  restore(hub: EventHub, timeOrigin: number, now: number): { readonly events: number; readonly missing: string[] } {
    let events = 0;
    const missing: string[] = [];
    for (const [id, history] of this.#partitions) {
      const partition = hub.partitions.find((one) => one.id === id);
      if (partition === undefined) missing.push(id);
      else {
        partition.restore(eventsOf(history, timeOrigin, now), endOf(history, timeOrigin, now), history.producers);
        events += partition.size;
      }
    }
    return { events, missing };
  }
}

/** Where a log goes on. */
export interface LogEnd {
  readonly nextSequence: number;
  readonly nextOffset: number;
  /** Of the newest event, and ms of the clock at which it came. */
  readonly lastOffset: number;
  readonly lastAt: number;
}

function endOf({ log }: PartitionHistory, timeOrigin: number, now: number): LogEnd {
  const [nextSequence, nextOffset, lastOffset, lastUtc] = log;
  return { nextSequence, nextOffset, lastOffset, lastAt: Math.min(now, lastUtc - timeOrigin) };
}

function eventsOf({ events }: PartitionHistory, timeOrigin: number, now: number): StoredEvent[] {
  const inOrder = [...events].toSorted(([a], [b]) => a - b);
  return inOrder.flatMap(([sequence, [, offset, enqueued, format, bytes]]) => {
    if (!(bytes instanceof Uint8Array)) return [];
    const content = MessageContent.read(bytes, numberOf(format) ?? 0);
    const enqueuedAt = Math.min((numberOf(enqueued) ?? 0) - timeOrigin, now);
    return [{ sequence, offset: numberOf(offset) ?? 0, enqueuedAt, content }];
  });
}
