// SPDX-License-Identifier: Apache-2.0
import { checkName } from './address.js';
import {
  canReceive,
  ENTITY_SIZE_MAX,
  idleMsOf,
  MESSAGE_SIZE_MAX,
  type Entity,
  type EntityOptions,
  type EntityStatus,
  type Refusal,
} from './entity.js';
import { Inbox } from './inbox.js';
import type { MessageContent } from './message-content.js';
import { MessageQueue } from './message-queue.js';
import type { MessageQueueHost, MessageQueueSettings } from './queue-settings.js';
import { Policy, type PolicyOptions } from './policy.js';

/** Settings of what holds messages: queues and subscriptions. */
export interface HoldingOptions {
  /** Ms, 5 s to 5 min in the cloud; 60 000 unless given. */
  readonly lockDurationMs?: number;
  /** 10 unless given. */
  readonly maxDeliveryCount?: number;
  /** Ms; no end unless given. */
  readonly defaultTtlMs?: number;
  /** Dead-letters what expires instead of dropping it. */
  readonly deadLetterOnExpiration?: boolean;
  /** Messages carry a session id, and receivers take one message session at a time. */
  readonly requiresSession?: boolean;
  /** Bytes; 1 GiB unless given. */
  readonly maxSizeBytes?: number;
  /** Path of a queue or topic that all messages go on to. Not together with {@link requiresSession}. */
  readonly forwardTo?: string | undefined;
  /** Path of a queue or topic that dead letters go on to. */
  readonly forwardDeadLetteredMessagesTo?: string | undefined;
}

/** Settings of what is sent to: queues and topics. */
export interface ReceivingOptions {
  /** Messages with an id that came within the window are dropped. */
  readonly requiresDuplicateDetection?: boolean;
  /** Ms, 20 s to 7 days in the cloud; 10 minutes unless given. */
  readonly duplicateDetectionWindowMs?: number;
}

export interface QueueOptions extends EntityOptions, HoldingOptions, ReceivingOptions {}

const DUPLICATE_WINDOW_MS = 600_000;

/** The window of duplicate detection, undefined where there is none. @throws TypeError where it is not above 0 */
export function duplicateWindowOf(options: ReceivingOptions): number | undefined {
  if (options.requiresDuplicateDetection !== true) return undefined;
  const window = options.duplicateDetectionWindowMs ?? DUPLICATE_WINDOW_MS;
  if (!(window > 0)) throw new TypeError(`duplicateDetectionWindowMs must be above 0, not ${window}.`);
  return window;
}

/** A queue: sent to and received from under one name. */
export class Queue implements Entity {
  readonly kind = 'queue';
  readonly path: string;
  maxMessageSizeBytes: number;
  readonly requiresSession: boolean;
  policies: ReadonlyMap<string, Policy>;
  readonly messages: MessageQueue;
  /** Messages whose forwarding failed. */
  readonly transferDeadLetters: MessageQueue;
  readonly inbox: Inbox;
  /** Changed by the broker, which does it. */
  forwardTo: string | undefined;
  forwardDeadLetteredMessagesTo: string | undefined;
  /** Messages lie in partitions. */
  readonly isPartitioned: boolean;
  autoDeleteOnIdleMs: number;
  readonly createdAt: number;
  changedAt: number = -Infinity;
  usedAt: number = -Infinity;
  #status: EntityStatus;

  constructor(options: QueueOptions, host: MessageQueueHost) {
    this.autoDeleteOnIdleMs = idleMsOf(options);
    this.createdAt = host.clock.now();
    checkName(options.name, 'queue', 260);
    this.path = options.name;
    this.maxMessageSizeBytes = options.maxMessageSizeBytes ?? MESSAGE_SIZE_MAX;
    this.requiresSession = options.requiresSession ?? false;
    this.policies = policiesByName(options.policies);
    const settings = { ...queueSettings(options), partitioned: options.enablePartitioning === true };
    this.isPartitioned = settings.partitioned;
    this.messages = new MessageQueue(settings, host);
    this.transferDeadLetters = new MessageQueue({ ...settings, requiresSession: false }, host, true);
    this.forwardTo = options.forwardTo;
    this.forwardDeadLetteredMessagesTo = options.forwardDeadLetteredMessagesTo;
    this.inbox = new Inbox(
      {
        requiresSession: this.requiresSession,
        partitioned: settings.partitioned,
        duplicateWindowMs: duplicateWindowOf(options),
        isFull: (bytes) => this.messages.isFull(bytes + this.transferDeadLetters.sizeBytes),
        store: (content, arrival) => this.messages.enqueue(content, arrival),
        scheduled: this.messages,
      },
      host,
    );
    this.#status = options.status ?? 'Active';
    this.messages.paused = !canReceive(this.#status);
  }

  get status(): EntityStatus {
    return this.#status;
  }

  set status(status: EntityStatus) {
    this.#status = status;
    this.messages.paused = !canReceive(status);
  }

  /** Takes all of the messages or none. @returns why none was taken */
  send(contents: readonly MessageContent[], utcNow: number): Refusal | undefined {
    return this.inbox.send(contents, utcNow);
  }

  changeDefaultTtl(defaultTtlMs: number): void {
    this.messages.change({ defaultTtlMs });
  }

  close(): void {
    this.inbox.close();
    this.messages.close();
    this.transferDeadLetters.close();
  }
}

/** @throws TypeError where a setting is not valid */
export function queueSettings(options: HoldingOptions): MessageQueueSettings {
  const settings = {
    lockDurationMs: options.lockDurationMs ?? 60_000,
    maxDeliveryCount: options.maxDeliveryCount ?? 10,
    defaultTtlMs: options.defaultTtlMs ?? Infinity,
    deadLetterOnExpiration: options.deadLetterOnExpiration ?? false,
    maxSizeBytes: options.maxSizeBytes ?? ENTITY_SIZE_MAX,
    requiresSession: options.requiresSession ?? false,
  };
  if (settings.requiresSession && options.forwardTo !== undefined)
    throw new TypeError('An entity that requires sessions cannot forward its messages (forwardTo).');
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === 'number' && !(value > 0)) throw new TypeError(`${name} must be above 0, not ${value}.`);
  }
  return settings;
}

export function policiesByName(policies: readonly PolicyOptions[] = []): ReadonlyMap<string, Policy> {
  if (policies.length > 12) throw new TypeError('An entity or namespace has at most 12 shared access policies.');
  return new Map(policies.map((options) => [options.name.toLowerCase(), new Policy(options)]));
}
