// SPDX-License-Identifier: Apache-2.0
import { encodeValue, type AmqpValue } from '@pointsman/wire';
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
  /** Of the entity that it was forwarded or dead-lettered from. */
  readonly originalSequence: number | undefined;
  readonly hops: number;
  readonly deadLetterSource: string | undefined;
  readonly wasScheduled: boolean;
  /** Ms of the clock. */
  readonly enqueuedAt: number;
  /** Ms of the clock from which it is not handed out; Infinity for never. */
  readonly expiresAt: number;
  /** Ms of the clock at which it appears. */
  readonly dueAt: number;
  /** The message session that it belongs to, where the queue has them. */
  readonly session: MessageSession | undefined;
  /** Attempts that ended without success. */
  deliveryCount: number;
  state: MessageState = 'available';
  /** Was deferred: ends of locks bring it back to that, not to the queue. */
  deferred = false;
  /** Application properties that settling or dead-lettering set, on top of those of the content. */
  changes: ReadonlyMap<string, AmqpValue> | undefined;

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
    this.expiresAt = fields.expiresAt;
    this.dueAt = fields.dueAt ?? fields.enqueuedAt;
    this.deliveryCount = fields.deliveryCount ?? 0;
    this.originalSequence = fields.originalSequence;
    this.hops = fields.hops ?? 0;
    this.deadLetterSource = fields.deadLetterSource;
    this.wasScheduled = fields.wasScheduled ?? false;
    this.session = fields.session;
    this.changes = fields.changes;
  }

  get messageId(): AmqpValue {
    return this.content.messageId;
  }

  /** Whether the message can have these properties, too: whoever receives it again and again could add more each time. */
  canChange(properties: ReadonlyMap<string, AmqpValue> | undefined): boolean {
    if (properties === undefined || properties.size === 0) return true;
    const changes = encodeValue(new Map<AmqpValue, AmqpValue>([...(this.changes ?? []), ...properties]));
    return this.content.headerBytes + changes.length <= HEADER_MAX;
  }

  change(properties: ReadonlyMap<string, AmqpValue> | undefined): void {
    if (properties === undefined || properties.size === 0) return;
    this.changes = new Map([...(this.changes ?? []), ...properties]);
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
