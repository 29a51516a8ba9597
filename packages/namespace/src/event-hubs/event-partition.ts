// SPDX-License-Identifier: Apache-2.0
import type { MessageContent } from '../message-content.js';
import type { LogEnd, PartitionJournal } from './hub-journal.js';
import { ProducerStates, type ProducerState } from './producer-states.js';

/** An event as a partition keeps it. */
export interface StoredEvent {
  readonly sequence: number;
  /** Bytes of the partition before it. */
  readonly offset: number;
  /** Ms of the clock. */
  readonly enqueuedAt: number;
  readonly content: MessageContent;
}

/** Whoever reads a partition. */
export interface PartitionReader {
  /** Ownership: undefined for a reader that has no claim. */
  readonly epoch: number | undefined;
  /** Lower case. */
  readonly group: string;
  /** There is more to read. */
  wake(): void;
  /** Another has a better claim. */
  displace(): void;
}

/** Where to begin, as a filter says it. */
export interface EventPosition {
  readonly of: 'offset' | 'sequence' | 'enqueued';
  readonly from: number;
  readonly isInclusive: boolean;
}

/** Bytes of memory that an event takes beside its own: of tiny ones no more are kept than take as much as large ones do. */
const EVENT_BYTES = 512;
/** Of retained bytes, for as many events as these would be; a partition of less keeps as many. */
const COUNTED_BYTES_MIN = 1 << 24;

/** One log of an event hub. The oldest events go where it grows too large. */
export class EventPartition {
  readonly id: string;
  readonly producers: ProducerStates = new ProducerStates();
  /** Where it is written down what comes. */
  journal: PartitionJournal | undefined = undefined;
  readonly #retainedBytes: number;
  readonly #retainedEvents: number;
  readonly #retentionMs: number;
  readonly #readers = new Set<PartitionReader>();
  #events: StoredEvent[] = [];
  /** Index in {@link #events} of the oldest that is kept. */
  #head = 0;
  #bytes = 0;
  #nextSequence = 0;
  #nextOffset = 0;
  #last: { readonly sequence: number; readonly offset: number; readonly at: number };

  constructor(id: string, retainedBytes: number, now: number, retentionMs: number = Infinity) {
    this.id = id;
    this.#retainedBytes = retainedBytes;
    this.#retainedEvents = Math.max(retainedBytes, COUNTED_BYTES_MIN) / EVENT_BYTES;
    this.#retentionMs = retentionMs;
    this.#last = { sequence: -1, offset: -1, at: now };
  }

  /** Of the newest event; -1 and the hub's creation before the first. */
  get last(): { readonly sequence: number; readonly offset: number; readonly at: number } {
    return this.#last;
  }

  /** Sequence number of the oldest event that is kept, or of the next one. */
  get firstSequence(): number {
    return this.#events[this.#head]?.sequence ?? this.#nextSequence;
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  get size(): number {
    return this.#events.length - this.#head;
  }

  append(contents: readonly MessageContent[], now: number): void {
    for (const content of contents) {
      const event = { sequence: this.#nextSequence, offset: this.#nextOffset, enqueuedAt: now, content };
      this.#keep(event);
      this.journal?.stored(event);
    }
    this.expire(now);
    for (const reader of this.#readers) reader.wake();
  }

  /** Puts back what a journal has; to be called while nothing has come yet. @param events - in their order */
  restore(
    events: readonly StoredEvent[],
    { nextSequence, nextOffset, lastOffset, lastAt }: LogEnd,
    producers: Iterable<readonly [id: number, state: ProducerState]>,
  ): void {
    for (const event of events) this.#keep(event);
    this.producers.restore(producers);
    this.#nextOffset = Math.max(this.#nextOffset, nextOffset);
    // Of the newest events only the numbers may be left.
    if (nextSequence <= this.#nextSequence) return;
    this.#nextSequence = nextSequence;
    this.#last = { sequence: nextSequence - 1, offset: lastOffset, at: lastAt };
  }

  #keep(event: StoredEvent): void {
    const { sequence, offset, enqueuedAt, content } = event;
    this.#nextSequence = sequence + 1;
    this.#nextOffset = offset + content.sizeBytes;
    this.#events.push(event);
    this.#bytes += content.sizeBytes;
    this.#last = { sequence, offset, at: enqueuedAt };
    while (this.size > 1 && (this.#bytes > this.#retainedBytes || this.size > this.#retainedEvents)) this.#dropOldest();
  }

  /** Lets go what is older than the partition keeps. */
  expire(now: number): void {
    while (this.size > 0 && this.#events[this.#head]!.enqueuedAt < now - this.#retentionMs) this.#dropOldest();
    // Not with each of them: moving all others costs.
    if (this.#head > this.size) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
  }

  #dropOldest(): void {
    this.#bytes -= this.#events[this.#head++]!.content.sizeBytes;
  }

  /** The event of that number, or the oldest behind it that is still kept. */
  at(sequence: number): StoredEvent | undefined {
    return this.#events[this.#head + Math.max(0, sequence - this.firstSequence)];
  }

  /** Sequence number of the first event at or behind a position. */
  sequenceAt({ of, from, isInclusive }: EventPosition): number {
    const valueOf = (event: StoredEvent): number =>
      of === 'offset' ? event.offset : of === 'sequence' ? event.sequence : event.enqueuedAt;
    // All three rise from one event to the next.
    let [low, high] = [this.#head, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const value = valueOf(this.#events[middle]!);
      if (value < from || (value === from && !isInclusive)) low = middle + 1;
      else high = middle;
    }
    return this.#events[low]?.sequence ?? this.#nextSequence;
  }

  readersOf(group: string): readonly PartitionReader[] {
    return [...this.#readers].filter((reader) => reader.group === group);
  }

  join(reader: PartitionReader): void {
    this.#readers.add(reader);
  }

  leave(reader: PartitionReader): void {
    this.#readers.delete(reader);
  }
}
