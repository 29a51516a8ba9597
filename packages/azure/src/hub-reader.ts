// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import { AmqpSymbol, ProtocolError, Reader, SECTION, plainOf, readAnnotations, sectionAt } from '@pointsman/wire';
import type { AmqpValue, DeliveryState } from '@pointsman/wire';

const OFFSET = 'x-opt-offset';
const SEQUENCE = 'x-opt-sequence-number';
/** Delivery annotation of a link with {@link RUNTIME_METRIC}: number of the newest event of the partition. */
const END = 'last_enqueued_sequence_number';
/** Capability of a link that is told with each event how far the partition goes. */
const RUNTIME_METRIC = 'com.microsoft:enable-receiver-runtime-metric';
/** Capability of a link that takes offsets for texts, as those of a namespace are that is kept in several regions. */
const ANY_OFFSET = 'com.microsoft:georeplication';
/** What a link asks for that is followed here. */
export const HUB_READER_CAPABILITIES: readonly string[] = [RUNTIME_METRIC, ANY_OFFSET];

/** Wait before events are read again, where an event comes back again and again: the first, and the longest. Ms. */
const REPLAY_FIRST_MS = 100;
const REPLAY_MAX_MS = 30_000;
/** So often in a row without progress, and it is worth a warning. */
const REPLAYS_NOTED = 5;
/**
 * Events behind a position that are known to be settled, and that a link may have: while a receiver keeps one for long, no more
 * than so many pass it.
 */
const AHEAD_MAX = 1_000;

/** How far a partition has been read. */
export interface HubProgress {
  /** Of the last event that is settled, and all before it. */
  readonly offset: string | undefined;
  readonly sequence: number | undefined;
  /** Sequence number of the newest event that is known of. */
  readonly end: number | undefined;
  /** Times that events were read again, since a receiver had given one back; and how often in a row, without progress. */
  readonly replays: number;
  readonly inVain: number;
  /** Events that had gone before they were read. */
  readonly missed: number;
}

/** What a reader needs of the link that it follows. */
export interface HubInbox {
  /** Ends the link, and attaches another. */
  leave(afterMs?: number): void;
  reached(progress: HubProgress): void;
  /** Events that may be in hand at most, and sets how many at the moment. */
  readonly capacity: number;
  limitCredit(count: number): void;
  /** What was told last, on this link or on one before it. */
  readonly position: HubProgress | undefined;
}

export interface HubReaderHost {
  readonly clock: Clock;
  /** Ms since 1970. */
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly log: (level: 'info' | 'warning', text: string) => void;
}

/** Offsets of events that are settled though one before them is not, by sequence number: outlasts the links of a reader. */
export type SettledAhead = Map<number, string>;

/** Where a reader goes on: behind that event, or with it where it is the first. */
interface Place {
  readonly offset: string;
  readonly sequence: number | undefined;
  readonly isFirst: boolean;
}

type OnMoved = (offset: string, sequence: number | undefined, isFirst: boolean) => void;

interface HubEvent {
  readonly offset: string | undefined;
  readonly sequence: number | undefined;
  isSettled: boolean;
}

/** What belongs to a message of the link. */
interface Noted {
  note: unknown;
}

/**
 * Follows the events that come on one link from a partition. Its position is that of the last event which a receiver has
 * settled, as have all before it. An event that comes back cannot be given back to the hub: the link is left, and another
 * begins behind the position, so that all from there on come again. Those that were settled meanwhile go no further.
 */
export class HubReader {
  readonly #inbox: HubInbox;
  readonly #host: HubReaderHost;
  readonly #onMoved: OnMoved;
  /** There is a position, or it is known where the first event is. */
  #isPlaced: boolean;
  readonly #ahead: SettledAhead;
  /** In the order in which they came, from the first on that is not settled. */
  #events: HubEvent[] = [];
  #head = 0;
  #offset: string | undefined;
  #sequence: number | undefined;
  #end: number | undefined;
  #replays: number;
  #inVain: number;
  #missed: number;
  /** Number that the next event has, where none is missing. */
  #next: number | undefined;
  #isOver = false;
  /** Nothing more is asked for until the first of them is settled. */
  #isFull = false;
  #cancel: (() => void) | undefined;

  constructor(inbox: HubInbox, host: HubReaderHost, known: Place | undefined, ahead: SettledAhead, onMoved: OnMoved) {
    this.#ahead = ahead;
    this.#isPlaced = known !== undefined;
    const before = known?.isFirst === false ? known : undefined;
    for (const sequence of ahead.keys()) if (sequence <= (before?.sequence ?? -1)) ahead.delete(sequence);
    this.#inbox = inbox;
    this.#host = host;
    this.#onMoved = onMoved;
    this.#offset = before?.offset;
    this.#sequence = before?.sequence;
    this.#next = before?.sequence === undefined ? known?.sequence : before.sequence + 1;
    const { end, replays = 0, inVain = 0, missed = 0 } = inbox.position ?? {};
    this.#end = end;
    this.#replays = replays;
    this.#inVain = inVain;
    this.#missed = missed;
    // The link before may have been full.
    inbox.limitCredit(inbox.capacity);
    this.#tell();
  }

  /** An event comes on a link that wants no outcomes: it counts as settled. @returns false: the next is of interest, too */
  passed(bytes: Uint8Array): boolean {
    const event = this.#read(bytes);
    event.isSettled = true;
    this.#advance();
    return false;
  }

  /** An event comes. @returns false where it is settled already */
  took(message: Noted, bytes: Uint8Array): boolean {
    const event = this.#read(bytes);
    message.note = event;
    this.#tell();
    return (
      event.sequence === undefined || event.offset === undefined || this.#ahead.get(event.sequence) !== event.offset
    );
  }

  /** What became of it. */
  over(message: Noted, outcome: DeliveryState | undefined): void {
    if (this.#isOver) return void this.late(message, outcome);
    const event = message.note as HubEvent;
    if (!isFinal(outcome)) return this.#replay(event);
    event.isSettled = true;
    this.#advance();
    if (this.#events[this.#head] !== undefined) this.#keep(event);
  }

  /** The same, of an event whose link is not wanted any more, or has gone. @returns whether it need not come again */
  late(message: Noted, outcome: DeliveryState | undefined): boolean {
    return isFinal(outcome) && this.#keep(message.note as HubEvent);
  }

  /** It is settled, one before it is not. */
  #keep({ sequence, offset }: HubEvent): boolean {
    if (sequence === undefined || offset === undefined) return false;
    if (sequence <= (this.#sequence ?? -1) || this.#ahead.has(sequence)) return true;
    if (this.#ahead.size >= AHEAD_MAX) return false;
    this.#ahead.set(sequence, offset);
    return true;
  }

  stop(): void {
    this.#isOver = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #read(bytes: Uint8Array): HubEvent {
    const { offset, sequence, end } = factsOf(bytes);
    if (sequence !== undefined) {
      if (this.#next !== undefined && sequence > this.#next) this.#gap(this.#next, sequence);
      this.#next = sequence + 1;
    }
    this.#end = max(this.#end, max(end, sequence));
    const event = { offset, sequence, isSettled: false };
    this.#events.push(event);
    if (!this.#isFull && this.#count >= AHEAD_MAX) this.#setFull(true);
    if (!this.#isPlaced && offset !== undefined) {
      this.#isPlaced = true;
      this.#onMoved(offset, sequence, true);
    }
    return event;
  }

  #gap(expected: number, came: number): void {
    this.#missed += came - expected;
    this.#host.log(
      'warning',
      `${came - expected} events had gone before they were read (${expected} to ${came - 1}): the event hub keeps events for a limited time`,
    );
  }

  /** All that is settled without one before it that is not. */
  #advance(): void {
    const before = this.#head;
    while (this.#events[this.#head]?.isSettled === true) {
      const { offset, sequence } = this.#events[this.#head++]!;
      if (sequence !== undefined) this.#ahead.delete(sequence);
      if (offset === undefined) continue;
      this.#offset = offset;
      this.#sequence = sequence;
    }
    if (this.#head === before) return;
    if (this.#head === this.#events.length || this.#head > 1_000) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
    if (this.#isFull && this.#count < AHEAD_MAX / 2) this.#setFull(false);
    if (this.#offset === undefined) return;
    this.#inVain = 0;
    this.#onMoved(this.#offset, this.#sequence, false);
    this.#tell();
  }

  /** From the first on that is not settled. */
  get #count(): number {
    return this.#events.length - this.#head;
  }

  #setFull(isFull: boolean): void {
    this.#isFull = isFull;
    this.#inbox.limitCredit(isFull ? 1 : this.#inbox.capacity);
  }

  #tell(): void {
    this.#inbox.reached({
      offset: this.#offset,
      sequence: this.#sequence,
      end: this.#end,
      replays: this.#replays,
      inVain: this.#inVain,
      missed: this.#missed,
    });
  }

  #replay({ offset }: HubEvent): void {
    this.#isOver = true;
    this.#replays++;
    const { clock, random, log } = this.#host;
    const n = ++this.#inVain;
    if (n === REPLAYS_NOTED)
      log(
        'warning',
        `The event at offset ${offset ?? '?'} is given back again and again. The position stays before it until a receiver accepts or rejects it`,
      );
    this.#tell();
    const wait = n === 1 ? 0 : Math.min(REPLAY_MAX_MS, REPLAY_FIRST_MS * 2 ** Math.min(n - 2, 20)) * (1 + random() / 4);
    // Not at once: whoever gave it back may be about to do so with others.
    this.#cancel = clock.after(0, () => this.#inbox.leave(wait));
  }
}

/** Nothing more is to be done with the event. */
function isFinal(outcome: DeliveryState | undefined): boolean {
  return outcome !== undefined && 'type' in outcome && (outcome.type === 'accepted' || outcome.type === 'rejected');
}

function max(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.max(a, b);
}

interface EventFacts {
  offset?: string | undefined;
  sequence?: number | undefined;
  end?: number | undefined;
}

/** What the annotations of an event say, as far as they are in its first bytes. */
function factsOf(bytes: Uint8Array): EventFacts {
  const facts: EventFacts = {};
  try {
    let at = 0;
    while (at < bytes.length) {
      const { code, valueStart, end } = sectionAt(bytes, at, bytes.length);
      if (code === SECTION.deliveryAnnotations) {
        facts.end = numberOf(readAnnotations(new Reader(bytes, valueStart, end))?.get(END));
      } else if (code === SECTION.messageAnnotations) {
        const annotations = readAnnotations(new Reader(bytes, valueStart, end));
        facts.sequence = numberOf(annotations?.get(SEQUENCE));
        facts.offset = textOf(annotations?.get(OFFSET));
        return facts;
      } else if (code !== SECTION.header) {
        return facts;
      }
      at = end;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  return facts;
}

function numberOf(value: AmqpValue | undefined): number | undefined {
  const plain = plainOf(value);
  const number = typeof plain === 'bigint' ? Number(plain) : plain;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}

/** Longest offset that is kept, in characters: those of geo-replicated namespaces have three numbers. */
const OFFSET_MAX = 200;

function textOf(value: AmqpValue | undefined): string | undefined {
  if (value instanceof AmqpSymbol) return value.value;
  const plain = plainOf(value);
  if (typeof plain === 'number' || typeof plain === 'bigint') return String(plain);
  return typeof plain === 'string' && plain.length <= OFFSET_MAX ? plain : undefined;
}
