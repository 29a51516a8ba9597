// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import { DuplicateHistory } from './duplicate-history.js';
import { partitionKeyOf, partitionOfKey, PARTITIONS } from './partitions.js';
import { REFUSALS, type Refusal } from './entity.js';
import { ID_BYTES, MESSAGE_BYTES, SESSION_BYTES } from './memory-budget.js';
import type { QueueJournal } from './journal.js';
import { HEADER_MAX, keyTextOf, type MessageContent } from './message-content.js';
import type { MessageQueue } from './message-queue.js';
import type { MessageQueueHost } from './queue-settings.js';
import type { Arrival } from './stored-message.js';

export interface InboxSettings {
  readonly requiresSession: boolean;
  /** Ms for which message ids are remembered at first; undefined where duplicates are as good as any. */
  readonly duplicateWindowMs: number | undefined;
  /** Messages lie in partitions. */
  readonly partitioned: boolean;
  /** Whether there is no room for that many bytes. */
  readonly isFull: (bytes: number) => boolean;
  /** Copies that a message makes at the most; 1 unless given. */
  readonly copies?: () => number;
  /** Stores a message. */
  readonly store: (content: MessageContent, arrival: Arrival | undefined) => void;
  /** Keeps messages whose time has not come. */
  readonly scheduled: MessageQueue;
}

/** Characters of a message id, a session id or a partition key. */
const ID_LENGTH_MAX = 128;

/** The way into a queue or a topic: what is refused, dropped as a duplicate, or kept until its time. */
export class Inbox {
  readonly #settings: InboxSettings;
  readonly #host: MessageQueueHost;
  readonly #history: DuplicateHistory | undefined;
  #isClosed = false;
  /** The partition that was written last. */
  #turn = 0;
  /** Ms of the clock at which something was last sent; -Infinity for never. */
  usedAt: number = -Infinity;
  /** Writes down what is remembered, where the namespace is to survive. */
  journal: QueueJournal | undefined;

  constructor(settings: InboxSettings, host: MessageQueueHost) {
    this.#settings = settings;
    this.#host = host;
    const { duplicateWindowMs } = settings;
    this.#history = duplicateWindowMs === undefined ? undefined : new DuplicateHistory(duplicateWindowMs, host.memory);
  }

  /** Ms for which message ids are remembered; undefined where duplicates are as good as any. */
  get duplicateWindowMs(): number | undefined {
    return this.#history?.windowMs;
  }

  /** Remembers ids longer, or not as long, where it does at all; those of before, too. */
  changeDuplicateWindow(windowMs: number): void {
    if (this.#history !== undefined) this.#history.windowMs = windowMs;
  }

  /** The entity is taken away: what belongs to a transaction still is not taken any more. */
  close(): void {
    this.#isClosed = true;
    this.journal = undefined;
    this.#history?.clear();
  }

  /**
   * Why none of the messages can be taken.
   *
   * @param arrival - of what comes from another entity
   */
  check(contents: readonly MessageContent[], arrival?: Arrival): Refusal | undefined {
    if (this.#isClosed) return REFUSALS.gone;
    for (const content of contents) {
      if (content.ttlMs === 0) return REFUSALS.ttlZero;
      if (content.headerBytes > HEADER_MAX) return REFUSALS.headerTooLarge;
      if (content.hasLargeProperty) return REFUSALS.propertyTooLarge;
      if (this.#settings.requiresSession && (content.groupId ?? '') === '') return REFUSALS.sessionIdMissing;
      const { partitionKey } = content;
      for (const [name, value] of [
        ['MessageId', content.messageId],
        ['SessionId', content.groupId ?? null],
        ['PartitionKey', partitionKey ?? null],
      ] as [string, AmqpValue][]) {
        if (typeof value === 'string' && value.length > ID_LENGTH_MAX) return tooLong(name);
      }
      if (partitionKey !== undefined && content.groupId !== undefined && partitionKey !== content.groupId)
        return unlikeSession(partitionKey, content.groupId);
      if (content.nullAnnotation !== undefined) return isNull(content.nullAnnotation);
    }
    const unlike = this.#settings.partitioned ? this.#unlikeKeys(contents) : undefined;
    if (unlike !== undefined) return unlike;
    const bytes = contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (this.#settings.isFull(bytes)) return REFUSALS.full;
    const copies = this.#settings.copies?.() ?? 1;
    // What only moves takes what it gave back.
    const isMoved = arrival !== undefined && copies === 1;
    if (!isMoved && this.#host.memory?.hasRoom(bytes + this.#memoryOf(contents.length, copies)) === false)
      return REFUSALS.noMemory;
    if (this.journal === undefined) return undefined;
    return this.journal.hasRoomFor(contents.length * copies, bytes * copies) ? undefined : REFUSALS.noRoom;
  }

  /** Bytes that so many messages take at the most, their own apart. */
  #memoryOf(messages: number, copies: number): number {
    const session = this.#settings.requiresSession ? SESSION_BYTES : 0;
    const id = this.#history === undefined ? 0 : ID_BYTES + 4 * ID_LENGTH_MAX;
    return messages * (copies * MESSAGE_BYTES + session + id);
  }

  /** Takes all of the messages or none. @returns why none was taken */
  send(contents: readonly MessageContent[], utcNow: number, arrival?: Arrival): Refusal | undefined {
    const refusal = this.check(contents, arrival);
    if (refusal === undefined) this.keep(contents, utcNow, arrival);
    return refusal;
  }

  /** Takes messages that {@link check} had nothing against. */
  keep(contents: readonly MessageContent[], utcNow: number, arrival?: Arrival): void {
    const now = (this.usedAt = this.#host.clock.now());
    const { partitioned, scheduled, store } = this.#settings;
    const partition = partitioned ? this.#partitionOf(contents) : undefined;
    const placed = partitioned ? { ...arrival, partition } : arrival;
    for (const content of contents) {
      if (this.#isDuplicate(content)) continue;
      const delay = (content.scheduledAtUtc ?? 0) - utcNow;
      if (delay > 0) scheduled.schedule(content, now + delay, scheduled.reserveSequence(partition));
      else store(content, placed);
    }
  }

  /** What messages that are sent together have for a partition key; undefined where they have none. */
  partitionKeyOf([first]: readonly MessageContent[]): string | undefined {
    return first === undefined ? undefined : partitionKeyOf(first, this.#history !== undefined);
  }

  get isPartitioned(): boolean {
    return this.#settings.partitioned;
  }

  /** One for all that is sent together: by its key, or the one behind that which was written last. */
  #partitionOf(contents: readonly MessageContent[]): number {
    const key = this.partitionKeyOf(contents);
    this.#turn = key === undefined ? (this.#turn % PARTITIONS) + 1 : partitionOfKey(key);
    return this.#turn;
  }

  /** Why messages cannot be sent together: they would lie in more than one partition. */
  #unlikeKeys(contents: readonly MessageContent[]): Refusal | undefined {
    const detects = this.#history !== undefined;
    const keys = new Set(contents.map((content) => partitionKeyOf(content, detects)));
    if (keys.size <= 1) return undefined;
    return {
      condition: 'amqp:not-allowed',
      description: detects
        ? 'Batching brokered messages with distinct SessionId, PartitionKey, or MessageId  is not supported for an entity with ' +
          'partitioning and duplicate detection enabled.'
        : 'Batching brokered messages with distinct SessionId or PartitionKey is not supported for an entity with partitioning enabled.',
    };
  }

  /**
   * Gives numbers to messages that {@link check} had nothing against, to be kept until their times with {@link keepUntilDue}.
   *
   * @returns the numbers to cancel them by, 0 for a duplicate
   */
  numbersFor(contents: readonly MessageContent[]): number[] {
    const ids = new Set<string>();
    const partition = this.#settings.partitioned ? this.#partitionOf(contents) : undefined;
    return contents.map((content) => {
      const id = this.#historyKeyOf(content);
      if (id !== undefined && (ids.has(id) || this.#history!.has(id, this.#host.clock.now()))) return 0;
      if (id !== undefined) ids.add(id);
      return this.#settings.scheduled.reserveSequence(partition);
    });
  }

  /** Keeps messages until their times under numbers that they were given. */
  keepUntilDue(contents: readonly MessageContent[], sequences: readonly number[], utcNow: number): void {
    const now = (this.usedAt = this.#host.clock.now());
    for (const [at, content] of contents.entries()) {
      if (sequences[at] === 0 || this.#isDuplicate(content)) continue;
      const delay = Math.max(0, (content.scheduledAtUtc ?? 0) - utcNow);
      this.#settings.scheduled.schedule(content, now + delay, sequences[at]);
    }
  }

  /** Whether messages wait for their time. */
  get hasScheduled(): boolean {
    return this.#settings.scheduled.scheduled > 0;
  }

  /** Whether all of these wait for their time. */
  areScheduled(sequences: readonly number[]): boolean {
    return this.#settings.scheduled.areScheduled(sequences);
  }

  /** Removes messages that wait for their time, all or none. @returns whether all were there */
  cancel(sequences: readonly number[]): boolean {
    return this.#settings.scheduled.cancelScheduled(sequences);
  }

  /** What duplicates are known by, undefined where they are not looked for. */
  #historyKeyOf(content: MessageContent): string | undefined {
    const id = this.#history === undefined ? undefined : keyTextOf(content.messageId);
    if (id === undefined || !this.#settings.partitioned) return id;
    // Each partition knows what came to it, and no other.
    return `${partitionKeyOf(content, false) ?? ''}\0${id}`;
  }

  /** Remembers a message. @returns whether it came before */
  #isDuplicate(content: MessageContent): boolean {
    const id = this.#historyKeyOf(content);
    if (id === undefined) return false;
    const now = this.#host.clock.now();
    if (this.#history!.has(id, now)) return true;
    this.#history!.note(id, now);
    this.journal?.remembered(id, now);
    return false;
  }

  // ---- after a restart ----

  /** Ids that duplicate detection remembers, and when they came (ms of the clock). */
  remembered(): Iterable<readonly [id: string, at: number]> {
    return this.#history?.entries(this.#host.clock.now()) ?? [];
  }

  /** Remembers an id that came before a restart; in the order in which they came. */
  remember(id: string, at: number): void {
    this.#history?.note(id, at);
  }
}

function tooLong(name: string): Refusal {
  return {
    condition: 'com.microsoft:argument-error',
    description: `The length of property ${name} exceeds ${ID_LENGTH_MAX} characters.`,
  };
}

function isNull(annotation: string): Refusal {
  return {
    condition: 'com.microsoft:argument-error',
    description: `The message annotation '${annotation}' is null: it has a value, or is left out.`,
  };
}

function unlikeSession(partitionKey: string, sessionId: string): Refusal {
  return {
    condition: 'amqp:not-allowed',
    description: `The property 'PartitionKey' with value '${partitionKey}' is not the 'SessionId' with value '${sessionId}': where both are set they must be the same.`,
  };
}
