// SPDX-License-Identifier: Apache-2.0
import { checkName } from './address.js';
import {
  canReceive,
  MESSAGE_SIZE_MAX,
  REFUSALS,
  type Entity,
  type EntityOptions,
  type EntityStatus,
  type Refusal,
} from './entity.js';
import type { MessageContent } from './message-content.js';
import { MessageQueue, type MessageQueueHost } from './message-queue.js';
import { deadLetterProperties } from './settlement.js';
import type { Policy } from './policy.js';
import { policiesByName, queueSettings, refusalOf, sizeOf, type HoldingOptions } from './queue.js';

export interface SubscriptionOptions extends HoldingOptions {
  readonly name: string;
  readonly status?: EntityStatus;
}

export interface TopicOptions extends EntityOptions {
  /** Ms; a cap for all subscriptions. No end unless given. */
  readonly defaultTtlMs?: number;
  readonly subscriptions?: readonly SubscriptionOptions[];
}

/** Decides which messages a subscription gets a copy of. */
export interface Rule {
  readonly name: string;
  matches(content: MessageContent): boolean;
}

/** What a new subscription has: everything matches. */
const DEFAULT_RULE: Rule = { name: '$Default', matches: () => true };

/** A topic: sent to; each of its subscriptions gets a copy. What no subscription takes vanishes. */
export class Topic implements Entity {
  readonly kind = 'topic';
  readonly path: string;
  readonly maxMessageSizeBytes: number;
  readonly requiresSession = false;
  readonly policies: ReadonlyMap<string, Policy>;
  status: EntityStatus;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #defaultTtlMs: number;
  readonly #host: MessageQueueHost;

  constructor(options: TopicOptions, host: MessageQueueHost) {
    checkName(options.name, 'topic', 260);
    this.path = options.name;
    this.maxMessageSizeBytes = options.maxMessageSizeBytes ?? MESSAGE_SIZE_MAX;
    this.policies = policiesByName(options.policies);
    this.status = options.status ?? 'Active';
    this.#defaultTtlMs = options.defaultTtlMs ?? Infinity;
    this.#host = host;
    for (const subscription of options.subscriptions ?? []) this.addSubscription(subscription);
  }

  /** @throws TypeError where the name is not valid or taken */
  addSubscription(options: SubscriptionOptions): Subscription {
    checkName(options.name, 'subscription', 50);
    const key = options.name.toLowerCase();
    if (this.#subscriptions.has(key))
      throw new TypeError(`Topic '${this.path}' has a subscription '${options.name}' already.`);
    const defaultTtlMs = Math.min(options.defaultTtlMs ?? Infinity, this.#defaultTtlMs);
    const subscription = new Subscription(this, { ...options, defaultTtlMs }, this.#host);
    this.#subscriptions.set(key, subscription);
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
    const refusal = refusalOf(contents, utcNow);
    if (refusal !== undefined) return refusal;
    const bytes = sizeOf(contents);
    for (const subscription of this.#subscriptions.values())
      if (subscription.messages.isFull(bytes)) return REFUSALS.full;
    for (const content of contents) {
      for (const subscription of this.#subscriptions.values()) subscription.offer(content);
    }
    return undefined;
  }

  close(): void {
    for (const subscription of this.#subscriptions.values()) subscription.close();
  }
}

/** A subscription: received from; filled by its topic. */
export class Subscription implements Entity {
  readonly kind = 'subscription';
  readonly path: string;
  readonly topic: Topic;
  readonly requiresSession: boolean;
  readonly messages: MessageQueue;
  readonly transferDeadLetters: MessageQueue;
  readonly rules: readonly Rule[] = [DEFAULT_RULE];
  #status: EntityStatus;

  constructor(topic: Topic, options: SubscriptionOptions, host: MessageQueueHost) {
    this.topic = topic;
    this.path = `${topic.path}/Subscriptions/${options.name}`;
    this.requiresSession = options.requiresSession ?? false;
    const settings = queueSettings(options);
    this.messages = new MessageQueue(settings, host);
    this.transferDeadLetters = new MessageQueue(settings, host, true);
    this.#status = options.status ?? 'Active';
    this.messages.paused = !canReceive(this.#status);
  }

  get maxMessageSizeBytes(): number {
    return this.topic.maxMessageSizeBytes;
  }

  /** Policies belong to the topic. */
  get policies(): ReadonlyMap<string, Policy> {
    return this.topic.policies;
  }

  get status(): EntityStatus {
    return this.#status;
  }

  set status(status: EntityStatus) {
    this.#status = status;
    this.messages.paused = !canReceive(status);
  }

  /** Keeps a copy where a rule matches. */
  offer(content: MessageContent): void {
    if (!this.rules.some((rule) => rule.matches(content))) return;
    if (this.requiresSession && (content.groupId === undefined || content.groupId === '')) {
      this.messages.enqueueDeadLetter(
        content,
        deadLetterProperties(
          'Session ID is null.',
          'Session enabled entity does not allow a message whose session identifier is null.',
        ),
      );
      return;
    }
    this.messages.enqueue(content);
  }

  close(): void {
    this.messages.close();
    this.transferDeadLetters.close();
  }
}
