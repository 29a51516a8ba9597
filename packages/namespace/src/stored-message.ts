// SPDX-License-Identifier: Apache-2.0
import { encodeValue, Reader, readValue, type AmqpValue } from '@pointsman/wire';
import { HEADER_MAX, type MessageContent } from './message-content.js';
import type { MessageSession } from './message-session.js';

/**
 * Where a message stands. `locked` covers a deferred message too while somebody holds it; `scheduled` ones wait for their
 * time; `gone` ones may still lie in a heap or list, which skip them.
 */
export type MessageState = 'available' | 'locked' | 'deferred' | 'scheduled' | 'gone';

/** What a message brings along from the entity that it was in before. */
export interface Arrival {
  /** Its number in the first entity. */
  readonly originalSequence?: number | undefined;
  /** Times that it was forwarded. */
  readonly hops?: number | undefined;
  readonly changes?: ReadonlyMap<string, AmqpValue> | undefined;
  /** Entity that dead-lettered it, where it was forwarded from a dead-letter queue. */
  readonly deadLetterSource?: string | undefined;
  /** Was kept until its time. */
  readonly wasScheduled?: boolean | undefined;
  /** Where it is to lie in an entity that has partitions; the first unless given. */
  readonly partition?: number | undefined;
}

/** A message in one queue: its content, shared between the copies of a topic, and what the broker knows of it. */
export class StoredMessage {
  /** Unique and gap-free in its queue, from 1. */
  readonly sequence: number;
  readonly content: MessageContent;
  /** Undefined where it came from its sender, and at once: of very many messages every field counts. */
  readonly #arrival: Omit<Arrival, 'changes'> | undefined;
  /** Ms of the clock. */
  readonly enqueuedAt: number;
  readonly #expiresAt: number | undefined;
  readonly #dueAt: number | undefined;
  /** The message session that it belongs to, where the queue has them. */
  readonly session: MessageSession | undefined;
  /** Attempts that ended without success. */
  deliveryCount: number;
  state: MessageState = 'available';
  /** Was deferred: ends of locks bring it back to that, not to the queue. */
  deferred = false;
  /** Encoded: they may be many, and as objects they would take ten times the room. */
  #changes: Uint8Array | undefined;

  constructor(
    fields: {
      sequence: number;
      content: MessageContent;
      enqueuedAt: number;
      expiresAt: number;
      dueAt?: number;
      deliveryCount?: number;
      session?: MessageSession | undefined;
    } & Arrival,
  ) {
    this.sequence = fields.sequence;
    this.content = fields.content;
    this.enqueuedAt = fields.enqueuedAt;
    this.#expiresAt = fields.expiresAt === Infinity ? undefined : fields.expiresAt;
    this.#dueAt = fields.dueAt;
    this.deliveryCount = fields.deliveryCount ?? 0;
    const { originalSequence, hops = 0, deadLetterSource, wasScheduled = false } = fields;
    if (originalSequence !== undefined || hops > 0 || deadLetterSource !== undefined || wasScheduled)
      this.#arrival = { originalSequence, hops, deadLetterSource, wasScheduled };
    this.session = fields.session;
    this.change(fields.changes);
  }

  /** Of the entity that it was forwarded or dead-lettered from. */
  get originalSequence(): number | undefined {
    return this.#arrival?.originalSequence;
  }

  get hops(): number {
    return this.#arrival?.hops ?? 0;
  }

  get deadLetterSource(): string | undefined {
    return this.#arrival?.deadLetterSource;
  }

  get wasScheduled(): boolean {
    return this.#arrival?.wasScheduled ?? false;
  }

  /** Ms of the clock from which it is not handed out; Infinity for never. */
  get expiresAt(): number {
    return this.#expiresAt ?? Infinity;
  }

  /** Ms of the clock at which it appears. */
  get dueAt(): number {
    return this.#dueAt ?? this.enqueuedAt;
  }

  /** Application properties that settling or dead-lettering set, on top of those of the content. */
  get changes(): ReadonlyMap<string, AmqpValue> | undefined {
    return this.#changes && (readValue(new Reader(this.#changes)) as Map<string, AmqpValue>);
  }

  /** Bytes that {@link changes} take. */
  get changesBytes(): number {
    return this.#changes?.length ?? 0;
  }

  get messageId(): AmqpValue {
    return this.content.messageId;
  }

  /** Whether the message can have these properties, too: whoever receives it again and again could add more each time. */
  canChange(properties: ReadonlyMap<string, AmqpValue> | undefined): boolean {
    if (properties === undefined || properties.size === 0) return true;
    return this.content.headerBytes + this.changesWith(properties) <= HEADER_MAX;
  }

  /** Bytes that {@link changes} would take with these. */
  changesWith(properties: ReadonlyMap<string, AmqpValue> | undefined): number {
    return properties === undefined || properties.size === 0 ? this.changesBytes : this.#with(properties).length;
  }

  change(properties: ReadonlyMap<string, AmqpValue> | undefined): void {
    if (properties === undefined || properties.size === 0) return;
    this.#changes = this.#with(properties);
  }

  #with(properties: ReadonlyMap<string, AmqpValue>): Uint8Array {
    return encodeValue(new Map<AmqpValue, AmqpValue>([...(this.changes ?? []), ...properties]));
  }
}

/** A receiver's hold on a message. */
export interface Lock {
  /** Lock token in .NET layout: the delivery-tag. */
  readonly tag: Uint8Array;
  /** The same in hexadecimal. */
  readonly token: string;
  readonly message: StoredMessage;
  /** Ms of the clock at which it ends. Within a message session: when the session's lock does. */
  until: number;
}
