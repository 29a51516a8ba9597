// SPDX-License-Identifier: Apache-2.0
import { readAddress, type NodeAddress } from './address.js';
import { canSend, REFUSALS, type Entity, type EntityStatus } from './entity.js';
import type { EventHubOptions } from './event-hubs/event-hub.js';
import { EventHubs } from './event-hubs/event-hubs.js';
import type { HubHistory } from './event-hubs/hub-journal.js';
import { Forwarder, type Destination } from './forwarder.js';
import { QueueJournal, type Journal, type JournalRecord, type QueueHistory } from './journal.js';
import type { LockWatcher } from './lock-watcher.js';
import type { MessageQueue } from './message-queue.js';
import type { MessageCounts, MessageQueueHost } from './queue-settings.js';
import type { Policy, PolicyOptions } from './policy.js';
import { policiesByName, Queue, type HoldingOptions, type QueueOptions } from './queue.js';
import { Subscription, type SubscriptionOptions } from './subscription.js';
import { Topic, type TopicOptions } from './topic.js';

export interface BrokerOptions {
  readonly queues?: readonly QueueOptions[];
  readonly topics?: readonly TopicOptions[];
  readonly eventHubs?: readonly EventHubOptions[];
  /** Policies of the whole namespace. */
  readonly policies?: readonly PolicyOptions[];
}

/** What an address leads to. */
export interface BrokerNode {
  readonly address: NodeAddress;
  readonly entity: Queue | Topic | Subscription;
  /** Messages to be received here; undefined for a topic. */
  readonly messages: MessageQueue | undefined;
  /** A dead-letter queue of the entity is meant, not the entity. */
  readonly isDeadLetterQueue: boolean;
}

/** All entities of a namespace. Names are compared without regard to case. */
export class Broker {
  readonly policies: ReadonlyMap<string, Policy>;
  readonly eventHubs: EventHubs;
  readonly #entities = new Map<string, Queue | Topic>();
  readonly #host: MessageQueueHost;
  readonly #forwarders = new Map<MessageQueue, Forwarder>();
  #journal: Journal | undefined;
  /** An entity is there now that is taken away once nobody uses it. */
  onTemporary: (() => void) | undefined;

  /** @throws TypeError where an option is not valid */
  constructor(options: BrokerOptions, host: MessageQueueHost) {
    this.#host = host;
    this.policies = policiesByName(options.policies);
    this.eventHubs = new EventHubs(options.eventHubs ?? [], host.clock.now());
    // All of them before any forwards to another.
    const made = [
      ...(options.queues ?? []).map((queue) => this.#add(new Queue(queue, this.#host))),
      ...(options.topics ?? []).map((topic) => this.#add(new Topic(topic, this.#host))),
    ];
    for (const entity of made) this.#connect(entity);
  }

  /** @throws TypeError where the name is not valid or taken, or an entity that it forwards to is not there */
  createQueue(options: QueueOptions): Queue {
    this.#checkForwarding(options);
    return this.#connect(this.#add(new Queue(options, this.#host)));
  }

  /** @throws TypeError as {@link createQueue} */
  createTopic(options: TopicOptions): Topic {
    for (const subscription of options.subscriptions ?? []) this.#checkForwarding(subscription);
    return this.#connect(this.#add(new Topic(options, this.#host)));
  }

  createSubscription(topicPath: string, options: SubscriptionOptions): Subscription {
    const topic = this.#entities.get(topicPath.toLowerCase());
    if (topic?.kind !== 'topic') throw new TypeError(`There is no topic '${topicPath}'.`);
    this.#checkForwarding(options);
    return this.#connect(topic.addSubscription(options));
  }

  #checkForwarding({ forwardTo, forwardDeadLetteredMessagesTo }: HoldingOptions): void {
    for (const path of [forwardTo, forwardDeadLetteredMessagesTo]) {
      if (path !== undefined && this.#entities.get(path.toLowerCase()) === undefined)
        throw new TypeError(`Messages cannot be forwarded to '${path}': there is no such queue or topic.`);
    }
  }

  /** Starts to forward what an entity forwards. */
  #connect<T extends Queue | Topic | Subscription>(entity: T): T {
    if (entity.autoDeleteOnIdleMs !== Infinity) this.onTemporary?.();
    if (entity.kind === 'topic') {
      this.#writeDown(entity);
      for (const subscription of entity.subscriptions) this.#connect(subscription);
      return entity;
    }
    this.#checkForwarding(entity);
    this.#forward(entity);
    this.#writeDown(entity);
    return entity;
  }

  // ---- what survives ----

  /**
   * Puts back what a journal has of the entities that are there, and writes down in another what happens from now on.
   *
   * @param history - by name of the queue, in lower case
   * @param now - ms of the clock
   * @param hubs - by name of the event hub, in lower case
   * @returns how many messages and events are back, and the names of queues and hubs that are not there any more
   */
  restore(
    history: ReadonlyMap<string, QueueHistory>,
    journal: Journal,
    now: number,
    hubs: ReadonlyMap<string, HubHistory> = new Map(),
  ): { readonly messages: number; readonly missing: readonly string[] } {
    const queues = new Map(this.entities().flatMap((entity) => queuesOf(entity)));
    const wasPaused = new Map([...queues.values()].map((queue) => [queue, queue.paused]));
    // Nothing is forwarded on before all of it is back and written down.
    for (const queue of queues.values()) queue.paused = true;
    let messages = 0;
    for (const [name, queue] of queues)
      messages += history.get(name)?.restore(queue, this.#host.timeOrigin ?? 0, now) ?? 0;
    for (const { path, inbox } of this.entities())
      if (inbox !== undefined) history.get(path.toLowerCase())?.restoreIds(inbox, this.#host.timeOrigin ?? 0, now);
    this.#journal = journal;
    for (const entity of this.entities()) this.#writeDown(entity);
    for (const [queue, paused] of wasPaused) queue.paused = paused;
    const events = this.eventHubs.restore(hubs, journal, this.#host.timeOrigin ?? 0, now);
    const missing = [...history.keys()].filter((name) => !queues.has(name));
    return { messages: messages + events.events, missing: [...missing, ...events.missing] };
  }

  /** All that is in the queues, as records of a journal. */
  *snapshot(): Generator<JournalRecord> {
    for (const entity of this.entities()) {
      for (const [name, queue] of queuesOf(entity)) yield* this.#journalOf(name)?.snapshot(queue) ?? [];
      if (entity.inbox !== undefined)
        yield* this.#journalOf(entity.path.toLowerCase())?.snapshotIds(entity.inbox) ?? [];
    }
    yield* this.eventHubs.snapshot();
  }

  #journalOf(name: string): QueueJournal | undefined {
    return this.#journal && new QueueJournal(this.#journal, name, this.#host.timeOrigin ?? 0);
  }

  #writeDown(entity: Entity): void {
    for (const [name, queue] of queuesOf(entity)) queue.journal = this.#journalOf(name);
    if (entity.inbox !== undefined) entity.inbox.journal = this.#journalOf(entity.path.toLowerCase());
  }

  /** Forwards from now on as the entity says, and no more as it said before. */
  #forward(entity: Queue | Subscription): void {
    const { messages, transferDeadLetters, path, forwardTo, forwardDeadLetteredMessagesTo } = entity;
    const { deadLetters } = messages;
    const add = (queue: MessageQueue, destination: string | undefined, isDeadLetterQueue: boolean): void => {
      const former = this.#forwarders.get(queue);
      if (former !== undefined) queue.removeConsumer(former);
      this.#forwarders.delete(queue);
      if (destination === undefined) return;
      const forwarder = new Forwarder({
        source: path,
        // Nothing is dead-lettered twice in the same queue.
        deadLetters: isDeadLetterQueue ? transferDeadLetters : deadLetters!,
        isDeadLetterQueue,
        destination: this.#destination(destination),
      });
      this.#forwarders.set(queue, forwarder);
      queue.addConsumer(forwarder);
    };
    add(messages, forwardTo, false);
    if (deadLetters !== undefined) add(deadLetters, forwardDeadLetteredMessagesTo, true);
  }

  /**
   * Changes where the messages of an entity go on to.
   *
   * @throws TypeError where there is no such queue or topic, or the entity requires sessions
   */
  changeForwarding(
    entity: Queue | Subscription,
    changes: Pick<HoldingOptions, 'forwardTo' | 'forwardDeadLetteredMessagesTo'>,
  ): void {
    const { forwardTo, forwardDeadLetteredMessagesTo } = changes;
    this.#checkForwarding(changes);
    if (forwardTo !== undefined && entity.requiresSession)
      throw new TypeError('An entity that requires sessions cannot forward its messages (forwardTo).');
    entity.forwardTo = forwardTo;
    entity.forwardDeadLetteredMessagesTo = forwardDeadLetteredMessagesTo;
    this.#forward(entity);
  }

  /** Takes a queue, topic or subscription away, with all that is in it. @returns it, or undefined where there was none */
  remove(path: string): Queue | Topic | Subscription | undefined {
    const entity = this.entity(path);
    if (entity === undefined) return undefined;
    this.#journal?.write(['dropped', entity.path.toLowerCase()]);
    if (entity.kind === 'subscription') return entity.topic.removeSubscription(entity.name);
    entity.close();
    this.#entities.delete(entity.path.toLowerCase());
    return entity;
  }

  /** The way to an entity by name, for messages that are forwarded to it. */
  #destination(path: string): Destination {
    return (content, arrival) => {
      const entity = this.#entities.get(path.toLowerCase());
      if (entity === undefined) return REFUSALS.forwardMissing;
      if (!canSend(entity.status)) return REFUSALS.forwardDisabled;
      return entity.inbox.send([content], (this.#host.timeOrigin ?? 0) + this.#host.clock.now(), arrival);
    };
  }

  #add<T extends Queue | Topic>(entity: T): T {
    const key = entity.path.toLowerCase();
    if (this.#entities.has(key)) throw new TypeError(`There is a queue or topic '${entity.path}' already.`);
    this.#entities.set(key, entity);
    return entity;
  }

  /** All queues, topics and subscriptions. */
  entities(): Entity[] {
    return [...this.#entities.values()].flatMap<Entity>((entity) =>
      entity.kind === 'topic' ? [entity, ...entity.subscriptions] : [entity],
    );
  }

  /** The queue, topic or subscription of a path in any case. */
  entity(path: string): Queue | Topic | Subscription | undefined {
    const lower = path.toLowerCase();
    const direct = this.#entities.get(lower);
    if (direct !== undefined) return direct;
    const mark = '/subscriptions/';
    const at = lower.lastIndexOf(mark);
    if (at < 0) return undefined;
    const topic = this.#entities.get(lower.slice(0, at));
    return topic?.kind === 'topic' ? topic.subscription(lower.slice(at + mark.length)) : undefined;
  }

  /** What an address leads to, or undefined where there is no such node. `$cbs` is not a node of the broker. */
  resolve(address: string): BrokerNode | undefined {
    const read = readAddress(address);
    const entity = read.kind === 'cbs' ? undefined : this.entity(read.path);
    if (entity === undefined) return undefined;
    if (read.kind === 'entity') {
      const messages = entity.kind === 'topic' ? undefined : entity.messages;
      return { address: read, entity, messages, isDeadLetterQueue: false };
    }
    if (entity.kind === 'topic') return undefined;
    const messages = read.kind === 'dead-letter-queue' ? entity.messages.deadLetters : entity.transferDeadLetters;
    return { address: read, entity, messages, isDeadLetterQueue: true };
  }

  /** @throws TypeError where there is no such entity */
  setStatus(path: string, status: EntityStatus): Entity {
    const entity = this.entity(path);
    if (entity === undefined) throw new TypeError(`There is no entity '${path}'.`);
    entity.status = status;
    return entity;
  }

  /** @throws TypeError where there is no such queue, subscription or dead-letter queue */
  counts(address: string): MessageCounts {
    return this.#messagesOf(address).counts();
  }

  /** @throws TypeError where there is no such queue, subscription or dead-letter queue */
  watchLocks(address: string, watcher: LockWatcher | undefined): void {
    this.#messagesOf(address).watcher = watcher;
  }

  /** As {@link MessageQueue.endLocks}, of a queue, subscription or dead-letter queue. @throws TypeError where there is none */
  endLocks(address: string): number {
    return this.#messagesOf(address).endLocks();
  }

  #messagesOf(address: string): MessageQueue {
    const messages = this.resolve(address)?.messages;
    if (messages === undefined)
      throw new TypeError(`There is no queue, subscription or dead-letter queue '${address}'.`);
    return messages;
  }

  close(): void {
    for (const entity of this.#entities.values()) entity.close();
  }
}

/** The queues of an entity by the names that a journal has for them. */
function queuesOf(entity: Entity): (readonly [string, MessageQueue])[] {
  const name = entity.path.toLowerCase();
  if (entity instanceof Topic) return [[name, entity.scheduled]];
  if (!(entity instanceof Queue || entity instanceof Subscription)) return [];
  const { messages, transferDeadLetters } = entity;
  const { deadLetters } = messages;
  return [
    [name, messages],
    ...(deadLetters === undefined ? [] : [[`${name}/$deadletterqueue`, deadLetters] as const]),
    [`${name}/$transfer/$deadletterqueue`, transferDeadLetters],
  ];
}
