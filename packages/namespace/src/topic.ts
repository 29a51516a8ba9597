// SPDX-License-Identifier: Apache-2.0
import { checkName } from './address.js';
import {
  ENTITY_SIZE_MAX,
  idleMsOf,
  MESSAGE_SIZE_MAX,
  type Entity,
  type EntityOptions,
  type EntityStatus,
  type Refusal,
} from './entity.js';
import { Inbox } from './inbox.js';
import { MESSAGE_BYTES } from './memory-budget.js';
import type { MessageContent } from './message-content.js';
import { MessageQueue } from './message-queue.js';
import type { MessageQueueHost } from './queue-settings.js';
import type { Policy } from './policy.js';
import { duplicateWindowOf, policiesByName, queueSettings, type ReceivingOptions } from './queue.js';
import { SqlMessage } from './rules/sql-evaluator.js';
import type { Arrival } from './stored-message.js';
import { Subscription, type SubscriptionOptions } from './subscription.js';

export interface TopicOptions extends EntityOptions, ReceivingOptions {
  /** Ms; a cap for those of all subscriptions. No end unless given. */
  readonly defaultTtlMs?: number;
  /** Bytes of all messages, those of the subscriptions included; 1 GiB unless given. */
  readonly maxSizeBytes?: number;
  readonly subscriptions?: readonly SubscriptionOptions[];
}

/** Ms after which memory is asked for again. */
const MEMORY_RETRY_MS = 1_000;

/** A topic: sent to; each of its subscriptions gets a copy. What no subscription takes vanishes. */
export class Topic implements Entity {
  readonly kind = 'topic';
  readonly path: string;
  maxMessageSizeBytes: number;
  readonly requiresSession = false;
  policies: ReadonlyMap<string, Policy>;
  status: EntityStatus;
  /** Messages that wait for their time: all that a topic keeps itself. */
  readonly scheduled: MessageQueue;
  readonly inbox: Inbox;
  readonly #subscriptions = new Map<string, Subscription>();
  /** Ms; Infinity for none. */
  defaultTtlMs: number;
  autoDeleteOnIdleMs: number;
  readonly createdAt: number;
  changedAt: number = -Infinity;
  usedAt: number = -Infinity;
  /** Messages of its subscriptions lie in partitions. */
  readonly isPartitioned: boolean;
  readonly forwardTo = undefined;
  readonly messages = undefined;
  readonly #host: MessageQueueHost;

  constructor(options: TopicOptions, host: MessageQueueHost) {
    this.autoDeleteOnIdleMs = idleMsOf(options);
    this.createdAt = host.clock.now();
    this.isPartitioned = options.enablePartitioning === true;
    checkName(options.name, 'topic', 260);
    this.path = options.name;
    this.maxMessageSizeBytes = options.maxMessageSizeBytes ?? MESSAGE_SIZE_MAX;
    this.policies = policiesByName(options.policies);
    this.status = options.status ?? 'Active';
    this.defaultTtlMs = options.defaultTtlMs ?? Infinity;
    this.#host = host;
    this.scheduled = new MessageQueue(
      { ...queueSettings({ maxSizeBytes: options.maxSizeBytes ?? ENTITY_SIZE_MAX }), partitioned: this.isPartitioned },
      host,
      true,
    );
    this.scheduled.onDue = (content, arrival) => this.#onDue(content, arrival);
    this.inbox = new Inbox(
      {
        requiresSession: false,
        partitioned: this.isPartitioned,
        duplicateWindowMs: duplicateWindowOf(options),
        isFull: (bytes) =>
          this.sizeBytes + bytes > this.scheduled.settings.maxSizeBytes ||
          this.subscriptions.some(({ messages, transferDeadLetters }) =>
            messages.isFull(bytes + transferDeadLetters.sizeBytes),
          ),
        copies: () => this.#copies,
        store: (content, arrival) => this.#distribute(content, arrival),
        scheduled: this.scheduled,
      },
      host,
    );
    for (const subscription of options.subscriptions ?? []) this.addSubscription(subscription);
  }

  /** @throws TypeError where the name is not valid or taken */
  addSubscription(options: SubscriptionOptions): Subscription {
    checkName(options.name, 'subscription', 50);
    const key = options.name.toLowerCase();
    if (this.#subscriptions.has(key))
      throw new TypeError(`Topic '${this.path}' has a subscription '${options.name}' already.`);
    const subscription = new Subscription(this, options, this.#host);
    this.#subscriptions.set(key, subscription);
    return subscription;
  }

  /** @returns the subscription that is no more, or undefined where there was none */
  removeSubscription(name: string): Subscription | undefined {
    const subscription = this.subscription(name);
    subscription?.close();
    this.#subscriptions.delete(name.toLowerCase());
    return subscription;
  }

  /** Of one message, at the most. */
  get #copies(): number {
    return this.subscriptions.reduce((sum, { copiesMax }) => sum + copiesMax, 1);
  }

  /** Of all messages. */
  get sizeBytes(): number {
    let size = this.scheduled.sizeBytes;
    for (const { messages, transferDeadLetters } of this.#subscriptions.values())
      size += messages.sizeBytes + (messages.deadLetters?.sizeBytes ?? 0) + transferDeadLetters.sizeBytes;
    return size;
  }

  /** Counts for all subscriptions, from now on. */
  changeDefaultTtl(defaultTtlMs: number): void {
    this.defaultTtlMs = defaultTtlMs;
    for (const subscription of this.#subscriptions.values()) subscription.capTtl();
  }

  subscription(name: string): Subscription | undefined {
    return this.#subscriptions.get(name.toLowerCase());
  }

  get subscriptions(): readonly Subscription[] {
    return [...this.#subscriptions.values()];
  }

  /** Takes all of the messages or none. @returns why none was taken */
  send(contents: readonly MessageContent[], utcNow: number): Refusal | undefined {
    return this.inbox.send(contents, utcNow);
  }

  /** A message's time has come. Copies need memory that the one message did not: until there is some, it waits on. */
  #onDue(content: MessageContent, arrival: Arrival): void {
    const { memory, clock } = this.#host;
    if (memory?.hasRoom(content.sizeBytes + this.#copies * MESSAGE_BYTES) === false)
      this.scheduled.schedule(
        content,
        clock.now() + MEMORY_RETRY_MS,
        this.scheduled.reserveSequence(arrival.partition),
      );
    else this.#distribute(content, arrival);
  }

  #distribute(content: MessageContent, arrival: Arrival | undefined): void {
    if (this.#subscriptions.size === 0) return;
    const message = new SqlMessage(content, arrival?.changes);
    for (const subscription of this.#subscriptions.values()) subscription.offer(message, arrival);
  }

  close(): void {
    this.inbox.close();
    this.scheduled.close();
    for (const subscription of this.#subscriptions.values()) subscription.close();
  }
}
