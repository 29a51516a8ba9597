// SPDX-License-Identifier: Apache-2.0
import { checkName } from './address.js';
import {
  canReceive,
  ENTITY_SIZE_MAX,
  MESSAGE_SIZE_MAX,
  REFUSALS,
  type Entity,
  type EntityOptions,
  type EntityStatus,
  type Refusal,
} from './entity.js';
import type { MessageContent } from './message-content.js';
import { MessageQueue, type MessageQueueHost, type MessageQueueSettings } from './message-queue.js';
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
}

export interface QueueOptions extends EntityOptions, HoldingOptions {}

/** A queue: sent to and received from under one name. */
export class Queue implements Entity {
  readonly kind = 'queue';
  readonly path: string;
  readonly maxMessageSizeBytes: number;
  readonly requiresSession: boolean;
  readonly policies: ReadonlyMap<string, Policy>;
  readonly messages: MessageQueue;
  /** Messages whose forwarding failed. Nothing forwards here, so it stays empty; it can be received from all the same. */
  readonly transferDeadLetters: MessageQueue;
  #status: EntityStatus;

  constructor(options: QueueOptions, host: MessageQueueHost) {
    checkName(options.name, 'queue', 260);
    this.path = options.name;
    this.maxMessageSizeBytes = options.maxMessageSizeBytes ?? MESSAGE_SIZE_MAX;
    this.requiresSession = options.requiresSession ?? false;
    this.policies = policiesByName(options.policies);
    const settings = queueSettings(options);
    this.messages = new MessageQueue(settings, host);
    this.transferDeadLetters = new MessageQueue(settings, host, true);
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
    const refusal = refusalOf(contents, utcNow);
    if (refusal !== undefined) return refusal;
    if (this.requiresSession && contents.some(({ groupId }) => groupId === undefined || groupId === '')) {
      return REFUSALS.sessionIdMissing;
    }
    if (this.messages.isFull(sizeOf(contents))) return REFUSALS.full;
    for (const content of contents) this.messages.enqueue(content);
    return undefined;
  }

  close(): void {
    this.messages.close();
    this.transferDeadLetters.close();
  }
}

/** What makes a message unfit for any entity. */
export function refusalOf(contents: readonly MessageContent[], utcNow: number): Refusal | undefined {
  if (contents.some(({ ttlMs }) => ttlMs === 0)) return REFUSALS.ttlZero;
  if (contents.some((content) => (content.scheduledAtUtc ?? 0) > utcNow)) return REFUSALS.scheduling;
  return undefined;
}

export function sizeOf(contents: readonly MessageContent[]): number {
  return contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

export function queueSettings(options: HoldingOptions): MessageQueueSettings {
  const settings = {
    lockDurationMs: options.lockDurationMs ?? 60_000,
    maxDeliveryCount: options.maxDeliveryCount ?? 10,
    defaultTtlMs: options.defaultTtlMs ?? Infinity,
    deadLetterOnExpiration: options.deadLetterOnExpiration ?? false,
    maxSizeBytes: options.maxSizeBytes ?? ENTITY_SIZE_MAX,
  };
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === 'number' && !(value > 0)) throw new TypeError(`${name} must be above 0, not ${value}.`);
  }
  return settings;
}

export function policiesByName(policies: readonly PolicyOptions[] = []): ReadonlyMap<string, Policy> {
  if (policies.length > 12) throw new TypeError('An entity or namespace has at most 12 shared access policies.');
  return new Map(policies.map((options) => [options.name.toLowerCase(), new Policy(options)]));
}
