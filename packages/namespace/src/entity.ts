// SPDX-License-Identifier: Apache-2.0
import type { Inbox } from './inbox.js';
import type { MessageQueue } from './message-queue.js';
import type { Policy, PolicyOptions } from './policy.js';

/** A topic knows only send-disabling, a subscription only receive-disabling. */
export type EntityStatus = 'Active' | 'Disabled' | 'SendDisabled' | 'ReceiveDisabled';

/** Why something is not done: an error condition and its text, without the tracking that the wire adds. */
export interface Refusal {
  readonly condition: string;
  readonly description: string;
}

/** What queues, topics and subscriptions have in common. */
export interface Entity {
  readonly kind: 'queue' | 'topic' | 'subscription';
  /** As it was created: `orders`, `news`, `news/Subscriptions/all`. */
  readonly path: string;
  readonly maxMessageSizeBytes: number;
  readonly requiresSession: boolean;
  status: EntityStatus;
  /** Ms without use after which it is taken away; Infinity for never. */
  autoDeleteOnIdleMs: number;
  /** Ms of the clock. */
  readonly createdAt: number;
  /** Ms of the clock at which its settings were changed; -Infinity for never. */
  changedAt: number;
  /** Ms of the clock at which a link of it that is no more was used; -Infinity for never. */
  usedAt: number;
  /** Path of what all messages go on to. */
  readonly forwardTo: string | undefined;
  /** Undefined for a topic. */
  readonly messages: MessageQueue | undefined;
  /** Takes all of the messages or none. Undefined where nothing can be sent. @returns why none was taken */
  readonly inbox: Inbox | undefined;
  /** Policies of the entity itself, by name in lower case. */
  readonly policies: ReadonlyMap<string, Policy>;
}

export interface EntityOptions {
  readonly name: string;
  readonly status?: EntityStatus;
  readonly policies?: readonly PolicyOptions[];
  /** 262 144 (Standard tier) unless given. */
  readonly maxMessageSizeBytes?: number;
  /** 16 partitions, each with an order and numbers of its own. None unless given. */
  readonly enablePartitioning?: boolean;
  /** Ms without use, at least 5 min in the cloud, after which the entity is taken away. Never unless given. */
  readonly autoDeleteOnIdleMs?: number;
}

/** @throws TypeError where the time is not above 0 */
export function idleMsOf({ autoDeleteOnIdleMs = Infinity }: Pick<EntityOptions, 'autoDeleteOnIdleMs'>): number {
  if (!(autoDeleteOnIdleMs > 0)) throw new TypeError(`autoDeleteOnIdleMs must be above 0, not ${autoDeleteOnIdleMs}.`);
  return autoDeleteOnIdleMs;
}

export const canSend: (status: EntityStatus) => boolean = (status) =>
  status === 'Active' || status === 'ReceiveDisabled';
export const canReceive: (status: EntityStatus) => boolean = (status) =>
  status === 'Active' || status === 'SendDisabled';

/** Bytes of a message in the Standard tier. */
export const MESSAGE_SIZE_MAX = 262_144;
/** Bytes of an entity; the smallest size that the cloud offers. */
export const ENTITY_SIZE_MAX: number = 1024 ** 3;

export type RefusalName =
  | 'ttlZero'
  | 'sessionIdMissing'
  | 'full'
  | 'forwardMissing'
  | 'forwardDisabled'
  | 'propertyTooLarge'
  | 'headerTooLarge'
  | 'noRoom'
  | 'noMemory'
  | 'gone';

export const REFUSALS: Readonly<Record<RefusalName, Refusal>> = {
  ttlZero: {
    condition: 'amqp:internal-error',
    description:
      'The service was unable to process the request; please retry the operation. The time to live of the message is zero.',
  },
  sessionIdMissing: {
    condition: 'amqp:not-allowed',
    description:
      'The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session support ' +
      'enabled can only receive messages that have the SessionId set to a valid value.',
  },
  full: {
    condition: 'amqp:resource-limit-exceeded',
    description:
      'The maximum entity size has been reached or exceeded. Please note that messages that are locked or deferred count ' +
      'towards the size.',
  },
  propertyTooLarge: {
    condition: 'amqp:internal-error',
    description:
      'The service was unable to process the request; please retry the operation. One of the properties of the message has ' +
      'more than 32768 bytes.',
  },
  headerTooLarge: {
    condition: 'amqp:link:message-size-exceeded',
    description:
      'A serialization error occurred while processing the message header stream. The serialization process return the ' +
      'following message: The size quota for this stream (65536) has been exceeded.',
  },
  gone: { condition: 'amqp:not-found', description: 'The messaging entity is not there any more.' },
  noRoom: {
    condition: 'com.microsoft:server-busy',
    description: 'The server is busy: it cannot store anything at the moment. Please wait 4 seconds and try again.',
  },
  noMemory: {
    condition: 'com.microsoft:server-busy',
    description:
      'The server is busy: messages take all the memory that there is for them. Please wait 4 seconds and try again, or receive some.',
  },
  forwardMissing: {
    condition: 'amqp:not-found',
    description: 'The entity that messages are forwarded to does not exist.',
  },
  forwardDisabled: {
    condition: 'com.microsoft:entity-disabled',
    description: 'The entity that messages are forwarded to is disabled.',
  },
};

/** What links to a disabled entity are refused and ended with. */
export function disabledRefusal(path: string, hostname: string): Refusal {
  return {
    condition: 'com.microsoft:entity-disabled',
    description: `Messaging entity 'sb://${hostname}/${path}' is currently disabled.`,
  };
}
