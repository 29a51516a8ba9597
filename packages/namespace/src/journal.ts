// SPDX-License-Identifier: Apache-2.0
import { AmqpSymbol, Typed, type AmqpValue } from '@pointsman/wire';
import type { Inbox } from './inbox.js';
import { MessageContent } from './message-content.js';
import type { MessageQueue } from './message-queue.js';
import { SequenceCounter } from './partitions.js';
import type { MessageSession } from './message-session.js';
import { StoredMessage } from './stored-message.js';

/**
 * One change of what a namespace keeps: a list whose first item says which.
 *
 *     ['message', queue, sequence, state, format, bytes, enqueued, expires, due, count, original, hops, source, changes]
 *     ['changed', queue, sequence, count, is deferred, changes]      ['gone', queue, sequence]
 *     ['session', queue, id, state]      ['sequence', queue, the last one]      ['dropped', path]
 *     ['id', queue, came, message id]
 *     ['admin', method, path, body, is an update]
 *
 * Those of event hubs stand with them.
 *
 * Times are milliseconds since 1970, null for never. `queue` names an entity or one of its dead-letter queues, in lower case.
 */
export type JournalRecord = AmqpValue[];

/** Where changes are written, in the order in which they happen. */
export interface Journal {
  write(record: JournalRecord): void;
  /** Nothing leaves the namespace before what led to it has been written. @returns false where that is not possible now */
  flush(): boolean;
  /** Whether so many bytes more will find room, whatever happens: to be asked before anything is taken that needs them. */
  hasRoom(bytes: number): boolean;
}

/** Bytes of a record beside those of the message in it. */
const RECORD_BYTES = 1_024;
/** Bytes that no new message takes, so that those which are there can still be settled. */
const SETTLING_BYTES = 262_144;

/** Writes down what happens in one queue. */
export class QueueJournal {
  readonly #journal: Journal;
  readonly #name: string;
  readonly #timeOrigin: number;

  constructor(journal: Journal, name: string, timeOrigin: number) {
    this.#journal = journal;
    this.#name = name;
    this.#timeOrigin = timeOrigin;
  }

  /** Whether new messages of so many bytes will find room. */
  hasRoomFor(messages: number, bytes: number): boolean {
    return this.#journal.hasRoom(bytes + messages * RECORD_BYTES + SETTLING_BYTES);
  }

  /** Whether there is room for what becomes of a message: of so many bytes where it goes to another queue. */
  hasRoomToSettle(bytes: number): boolean {
    return this.#journal.hasRoom(bytes + 2 * RECORD_BYTES);
  }

  stored(message: StoredMessage): void {
    this.#journal.write(this.#recordOf(message));
  }

  changed({ sequence, deliveryCount, deferred, changes }: StoredMessage): void {
    this.#journal.write(['changed', this.#name, sequence, deliveryCount, deferred, mapOf(changes)]);
  }

  gone({ sequence }: StoredMessage): void {
    this.#journal.write(['gone', this.#name, sequence]);
  }

  /** Duplicate detection remembers an id from now on. @param at - ms of the clock */
  remembered(id: string, at: number): void {
    this.#journal.write(this.#rememberedRecord(id, at));
  }

  #rememberedRecord(id: string, at: number): JournalRecord {
    return ['id', this.#name, Math.round(at + this.#timeOrigin), id];
  }

  session({ id, state }: MessageSession): void {
    this.#journal.write(['session', this.#name, id, state ?? null]);
  }

  /** All that there is, as a journal of its own would have it. */
  *snapshot(queue: MessageQueue): Generator<JournalRecord> {
    for (const sequence of queue.sequences.all()) yield ['sequence', this.#name, sequence];
    for (const message of queue.all()) yield this.#recordOf(message);
    for (const { id, state } of queue.sessions?.all ?? []) {
      if (state !== undefined) yield ['session', this.#name, id, state];
    }
  }

  /** What duplicate detection remembers, as a journal of its own would have it. */
  *snapshotIds(inbox: Inbox): Generator<JournalRecord> {
    for (const [id, at] of inbox.remembered()) yield this.#rememberedRecord(id, at);
  }

  #recordOf(message: StoredMessage): JournalRecord {
    const { content } = message;
    const utc = (ms: number): number | null => (ms === Infinity ? null : Math.round(ms + this.#timeOrigin));
    return [
      'message',
      this.#name,
      message.sequence,
      // Locks do not outlive the namespace.
      message.state === 'scheduled' ? 'scheduled' : message.deferred ? 'deferred' : 'available',
      content.format,
      content.stored(),
      utc(message.enqueuedAt),
      utc(message.expiresAt),
      utc(message.dueAt),
      message.deliveryCount,
      message.originalSequence ?? null,
      message.hops,
      message.deadLetterSource ?? null,
      mapOf(message.changes),
      message.wasScheduled,
    ];
  }
}

/** What is known of a queue from a journal, until it is there to take it. */
export class QueueHistory {
  readonly #messages = new Map<number, JournalRecord>();
  readonly #sessions = new Map<string, Uint8Array>();
  /** Message ids by when they came, ms since 1970. An id may come again, after it was forgotten. */
  #ids: (readonly [id: string, utc: number])[] = [];
  readonly #sequences = new SequenceCounter();

  /** Takes a record about this queue. What does not fit together is passed over: it cannot be made whole. */
  add([kind, , ...fields]: JournalRecord): void {
    const [first, second, third, fourth] = fields;
    const sequence = numberOf(first);
    switch (kind) {
      case 'message':
        this.#messages.set(sequence, fields);
        this.#sequences.raise(sequence);
        break;
      case 'changed': {
        const message = this.#messages.get(sequence);
        if (message === undefined) break;
        message[7] = second ?? 0;
        if (message[1] !== 'scheduled') message[1] = third === true ? 'deferred' : 'available';
        message[11] = fourth ?? null;
        break;
      }
      case 'gone':
        this.#messages.delete(sequence);
        break;
      case 'session':
        if (second instanceof Uint8Array) this.#sessions.set(String(first), second);
        else this.#sessions.delete(String(first));
        break;
      case 'sequence':
        this.#sequences.raise(sequence);
        break;
      case 'id':
        if (typeof second === 'string') this.#ids.push([second, sequence]);
        break;
    }
  }

  /** Lets an entity remember what it did. @param now - ms of the clock */
  restoreIds(inbox: Inbox, timeOrigin: number, now: number): void {
    for (const [id, utc] of this.#ids) inbox.remember(id, Math.min(utc - timeOrigin, now));
    this.#ids = [];
  }

  /** Puts everything into a queue that is empty. @param now - ms of the clock. @returns the number of messages */
  restore(queue: MessageQueue, timeOrigin: number, now: number): number {
    const clock = (utc: AmqpValue | undefined): number => (utc === null ? Infinity : numberOf(utc) - timeOrigin);
    for (const [id, state] of this.#sessions) {
      if (queue.sessions !== undefined) queue.setSessionState(queue.sessions.of(id), state);
    }
    const inOrder = [...this.#messages].toSorted(([a], [b]) => a - b);
    for (const [sequence, fields] of inOrder) {
      const [, state, format, bytes, enqueued, expires, due, count, original, hops, source, changes, wasScheduled] =
        fields;
      if (!(bytes instanceof Uint8Array)) continue;
      const content = MessageContent.read(bytes, numberOf(format));
      const message = new StoredMessage({
        sequence,
        content,
        enqueuedAt: Math.min(clock(enqueued), now),
        expiresAt: clock(expires),
        dueAt: clock(due),
        deliveryCount: numberOf(count),
        session: queue.sessions?.of(content.groupId ?? ''),
        hops: numberOf(hops),
        originalSequence: original === null ? undefined : numberOf(original),
        deadLetterSource: typeof source === 'string' ? source : undefined,
        changes: changes instanceof Map ? (changes as Map<string, AmqpValue>) : undefined,
        wasScheduled: wasScheduled === true,
      });
      message.deferred = state === 'deferred';
      message.state = state === 'scheduled' || state === 'deferred' ? state : 'available';
      queue.restore(message);
    }
    for (const sequence of this.#sequences.all()) queue.sequences.raise(sequence);
    return inOrder.length;
  }
}

function mapOf(changes: ReadonlyMap<string, AmqpValue> | undefined): AmqpValue {
  return changes === undefined ? null : new Map<AmqpValue, AmqpValue>(changes);
}

function numberOf(value: AmqpValue | undefined): number {
  const plain = value instanceof Typed ? value.value : value;
  return typeof plain === 'number' || typeof plain === 'bigint' ? Number(plain) : 0;
}

/** The text of a field that has one. */
export function textOf(value: AmqpValue | undefined): string {
  return value instanceof AmqpSymbol ? value.value : typeof value === 'string' ? value : '';
}
