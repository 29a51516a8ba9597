// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import type { MessageContent } from './message-content.js';

/**
 * Where a message stands. `locked` covers a deferred message too while somebody holds it; `gone` ones may still lie
 * in a heap or list, which skip them.
 */
export type MessageState = 'available' | 'locked' | 'deferred' | 'gone';

/** A message in one queue: its content, shared between the copies of a topic, and what the broker knows of it. */
export class StoredMessage {
  /** Unique and gap-free in its queue, from 1. */
  readonly sequence: number;
  readonly content: MessageContent;
  /** Of the queue that it was dead-lettered from. */
  readonly originalSequence: number | undefined;
  /** Ms of the clock. */
  readonly enqueuedAt: number;
  /** Ms of the clock from which it is not handed out; Infinity for never. */
  readonly expiresAt: number;
  /** Attempts that ended without success. */
  deliveryCount: number;
  state: MessageState = 'available';
  /** Was deferred: ends of locks bring it back to that, not to the queue. */
  deferred = false;
  /** Application properties that settling or dead-lettering set, on top of those of the content. */
  changes: ReadonlyMap<string, AmqpValue> | undefined;

  constructor(fields: {
    sequence: number;
    content: MessageContent;
    enqueuedAt: number;
    expiresAt: number;
    deliveryCount?: number;
    originalSequence?: number;
    changes?: ReadonlyMap<string, AmqpValue> | undefined;
  }) {
    this.sequence = fields.sequence;
    this.content = fields.content;
    this.enqueuedAt = fields.enqueuedAt;
    this.expiresAt = fields.expiresAt;
    this.deliveryCount = fields.deliveryCount ?? 0;
    this.originalSequence = fields.originalSequence;
    this.changes = fields.changes;
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
  /** Ms of the clock at which it ends. */
  until: number;
}
