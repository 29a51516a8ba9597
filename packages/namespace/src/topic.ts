// SPDX-License-Identifier: Apache-2.0
import { checkName } from './address.js';
import {
  ENTITY_SIZE_MAX,
  MESSAGE_SIZE_MAX,
  type Entity,
  type EntityOptions,
  type EntityStatus,
  type Refusal,
} from './entity.js';
import { Inbox } from './inbox.js';
import type { MessageContent } from './message-content.js';
import { MessageQueue } from './message-queue.js';
import type { MessageQueueHost } from './queue-settings.js';
import type { Policy } from './policy.js';
import { duplicateWindowOf, policiesByName, queueSettings, type ReceivingOptions } from './queue.js';
import { SqlMessage } from './rules/sql-evaluator.js';
import type { Arrival } from './stored-message.js';
import { Subscription, type SubscriptionOptions } from './subscription.js';

export interface TopicOptions extends EntityOptions, ReceivingOptions {
  /** Ms; a cap for all subscriptions. No end unless given. */
  readonly defaultTtlMs?: number;
  /** Bytes of the messages that wait for their time; 1 GiB unless given. */
  readonly maxSizeBytes?: number;
  readonly subscriptions?: readonly SubscriptionOptions[];
}

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
  readonly #host: MessageQueueHost;

  constructor(options: TopicOptions, host: MessageQueueHost) {
    checkName(options.name, 'topic', 260);
    this.path = options.name;
    this.maxMessageSizeBytes = options.maxMessageSizeBytes ?? MESSAGE_SIZE_MAX;
    this.policies = policiesByName(options.policies);
    this.status = options.status ?? 'Active';
    this.defaultTtlMs = options.defaultTtlMs ?? Infinity;
    this.#host = host;
    this.scheduled = new MessageQueue(
      queueSettings({ maxSizeBytes: options.maxSizeBytes ?? ENTITY_SIZE_MAX }),
      host,
      true,
    );
    this.scheduled.onDue = (content, arrival) => this.#distribute(content, arrival);
    this.inbox = new Inbox(
      {
        requiresSession: false,
        duplicateWindowMs: duplicateWindowOf(options),
        isFull: (bytes) =>
          this.scheduled.isFull(bytes) ||
          this.subscriptions.some(({ messages, transferDeadLetters }) =>
            messages.isFull(bytes + transferDeadLetters.sizeBytes),
          ),
        copies: () => this.subscriptions.reduce((sum, { copiesMax }) => sum + copiesMax, 1),
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
    const defaultTtlMs = Math.min(options.defaultTtlMs ?? Infinity, this.defaultTtlMs);
    const subscription = new Subscription(this, { ...options, defaultTtlMs }, this.#host);
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

  #distribute(content: MessageContent, arrival: Arrival | undefined): void {
    if (this.#subscriptions.size === 0) return;
    const message = new SqlMessage(content, arrival?.changes);
    for (const subscription of this.#subscriptions.values()) subscription.offer(message, arrival);
  }

  close(): void {
    this.scheduled.close();
    for (const subscription of this.#subscriptions.values()) subscription.close();
  }
}
