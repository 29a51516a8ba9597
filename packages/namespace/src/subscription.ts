// SPDX-License-Identifier: Apache-2.0
import { canReceive, idleMsOf, type Entity, type EntityStatus } from './entity.js';
import { randomGuid } from './guid.js';
import { HEADER_MAX, type MessageContent } from './message-content.js';
import { MessageQueue } from './message-queue.js';
import type { MessageQueueHost } from './queue-settings.js';
import type { Policy } from './policy.js';
import { queueSettings, type HoldingOptions } from './queue.js';
import { DEFAULT_RULE_NAME, Rule, type RuleOptions } from './rules/rule.js';
import type { SqlMessage, SqlScope } from './rules/sql-evaluator.js';
import { SqlError } from './rules/sql-tokens.js';
import { deadLetterProperties, HEADER_SIZE_EXCEEDED } from './settlement.js';
import type { Arrival } from './stored-message.js';
import type { Topic } from './topic.js';

export interface SubscriptionOptions extends HoldingOptions {
  readonly name: string;
  readonly status?: EntityStatus;
  /** `$Default`, which everything matches, unless given. */
  readonly rules?: readonly RuleOptions[];
  /** Ms without use, at least 5 min in the cloud, after which the subscription is taken away. Never unless given. */
  readonly autoDeleteOnIdleMs?: number;
  /** Dead-letters messages that a filter or an action cannot be evaluated for, instead of dropping them. True unless given. */
  readonly deadLetterOnFilterEvaluationExceptions?: boolean;
}

/** Rules of a subscription; the cloud allows 2000 SQL filters on a topic. */
const RULES_MAX = 2000;

/** A subscription: received from; filled by its topic. */
export class Subscription implements Entity {
  readonly kind = 'subscription';
  readonly name: string;
  readonly path: string;
  readonly topic: Topic;
  readonly inbox = undefined;
  readonly requiresSession: boolean;
  readonly messages: MessageQueue;
  readonly transferDeadLetters: MessageQueue;
  /** Changed by the broker, which does it. */
  forwardTo: string | undefined;
  forwardDeadLetteredMessagesTo: string | undefined;
  deadLettersFilterFaults: boolean;
  /** Ms; what messages have is this or what the topic says, whichever is less. */
  #defaultTtlMs: number;
  readonly #rules = new Map<string, Rule>();
  readonly #scope: () => SqlScope;
  autoDeleteOnIdleMs: number;
  readonly createdAt: number;
  changedAt: number = -Infinity;
  usedAt: number = -Infinity;
  #status: EntityStatus;

  /** @throws TypeError where an option is not valid, SqlError where a rule is not */
  constructor(topic: Topic, options: SubscriptionOptions, host: MessageQueueHost) {
    this.topic = topic;
    this.autoDeleteOnIdleMs = idleMsOf(options);
    this.createdAt = host.clock.now();
    this.name = options.name;
    this.path = `${topic.path}/Subscriptions/${options.name}`;
    this.requiresSession = options.requiresSession ?? false;
    const settings = { ...queueSettings(options), partitioned: topic.isPartitioned };
    this.messages = new MessageQueue(settings, host);
    this.#defaultTtlMs = settings.defaultTtlMs;
    this.capTtl();
    this.transferDeadLetters = new MessageQueue({ ...settings, requiresSession: false }, host, true);
    this.forwardTo = options.forwardTo;
    this.forwardDeadLetteredMessagesTo = options.forwardDeadLetteredMessagesTo;
    this.deadLettersFilterFaults = options.deadLetterOnFilterEvaluationExceptions ?? true;
    this.#scope = () => ({
      now: (host.timeOrigin ?? 0) + host.clock.now(),
      newGuid: () => randomGuid(host.random),
    });
    for (const rule of options.rules ?? [{ name: DEFAULT_RULE_NAME }]) this.addRule(rule);
    this.#status = options.status ?? 'Active';
    this.messages.paused = !canReceive(this.#status);
  }

  changeDefaultTtl(defaultTtlMs: number): void {
    this.#defaultTtlMs = defaultTtlMs;
    this.capTtl();
  }

  /** The topic may say something else now. */
  capTtl(): void {
    this.messages.change({ defaultTtlMs: Math.min(this.#defaultTtlMs, this.topic.defaultTtlMs) });
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

  // ---- rules ----

  get rules(): readonly Rule[] {
    return [...this.#rules.values()];
  }

  /** Copies of a message that the rules make at the most. */
  get copiesMax(): number {
    let count = 1;
    for (const { action } of this.#rules.values()) if (action !== undefined) count += 1;
    return count;
  }

  rule(name: string): Rule | undefined {
    return this.#rules.get(name.toLowerCase());
  }

  /** @throws TypeError where the name is taken or not valid, or there are too many; SqlError where the rule is not valid */
  addRule(options: RuleOptions): Rule {
    const { name } = options;
    if (name === '' || name.length > 50) throw new TypeError('The name of a rule must have 1 to 50 characters.');
    if (this.rule(name) !== undefined) throw new TypeError(`Subscription '${this.path}' has a rule '${name}' already.`);
    if (this.#rules.size >= RULES_MAX) throw new TypeError(`A subscription has at most ${RULES_MAX} rules.`);
    const rule = new Rule(options, this.#scope().now);
    this.#rules.set(name.toLowerCase(), rule);
    return rule;
  }

  /** @returns whether there was such a rule */
  removeRule(name: string): boolean {
    return this.#rules.delete(name.toLowerCase());
  }

  /**
   * Keeps what its rules say: one copy where rules without an action match, and one more for each that matches and has
   * an action.
   */
  offer(message: SqlMessage, arrival: Arrival | undefined): void {
    let isPlainMatch = false;
    // As the classes of the service's own exceptions are called.
    let reason = 'FilterException';
    const scope = this.#scope();
    try {
      const copies: MessageContent[] = [];
      for (const rule of this.#rules.values()) {
        if (isPlainMatch && rule.action === undefined) continue;
        reason = 'FilterException';
        if (!rule.matches(message, scope)) continue;
        reason = 'RuleActionException';
        if (rule.action === undefined) isPlainMatch = true;
        else {
          const copy = rule.apply(message, scope);
          if (copy.headerBytes > HEADER_MAX) {
            this.messages.enqueueDeadLetter(message.content, HEADER_SIZE_EXCEEDED, arrival);
            return;
          }
          if (copy.sizeBytes > this.maxMessageSizeBytes)
            throw new SqlError(`The message has ${copy.sizeBytes} bytes after the action of the rule '${rule.name}'.`);
          copies.push(copy);
        }
      }
      if (isPlainMatch) this.#keep(message.content, arrival);
      // The changes of an earlier entity are in the copies already.
      for (const copy of copies)
        this.#keep(copy, arrival === undefined ? undefined : { ...arrival, changes: undefined });
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      if (!this.deadLettersFilterFaults) return;
      this.messages.enqueueDeadLetter(message.content, deadLetterProperties(reason, error.message), arrival);
    }
  }

  #keep(content: MessageContent, arrival: Arrival | undefined): void {
    if (!this.requiresSession || (content.groupId ?? '') !== '') {
      this.messages.enqueue(content, arrival);
      return;
    }
    this.messages.enqueueDeadLetter(
      content,
      deadLetterProperties(
        'Session ID is null.',
        'Session enabled entity does not allow a message whose session identifier is null.',
      ),
      arrival,
    );
  }

  close(): void {
    this.messages.close();
    this.transferDeadLetters.close();
  }
}

/** Rules in the order in which they are listed. */
export function rulesByName({ rules }: Subscription): Rule[] {
  return rules.toSorted((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
}
