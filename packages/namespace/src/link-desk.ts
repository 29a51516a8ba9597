// SPDX-License-Identifier: Apache-2.0
import type { AttachParameters, ReceiverLink, SenderLink } from '@pointsman/engine';
import {
  Described,
  entryOf,
  long,
  symbol,
  type AmqpValue,
  type Attach,
  type AttachFields,
  type Source,
  type SourceTerminus,
  type TargetTerminus,
} from '@pointsman/wire';
import type { Access } from './access.js';
import { readAddress, type NodeAddress } from './address.js';
import type { BrokerNode } from './broker.js';
import { answerCbs } from './cbs.js';
import { ConsumerLink, type ConsumerSettings } from './consumer-link.js';
import { CoordinatorLink } from './coordinator-link.js';
import { canReceive, canSend, disabledRefusal, MESSAGE_SIZE_MAX, type Refusal } from './entity.js';
import { HubDesk } from './event-hubs/hub-desk.js';
import { partitionRefusal } from './event-hubs/hub-refusals.js';
import { hexOf, randomGuid } from './guid.js';
import { answerManagement } from './management/answer-management.js';
import { CONSUMERS_MAX } from './message-queue.js';
import type { NamespaceLink } from './namespace-link.js';
import type { Right } from './policy.js';
import { PublisherLink } from './publisher-link.js';
import type { Queue } from './queue.js';
import type { Subscription } from './subscription.js';
import type { Topic } from './topic.js';
import { RequestNode } from './request-node.js';
import type { ServiceConnection } from './service-connection.js';
import type { ServiceContext } from './service-context.js';
import type { MessageSession } from './message-session.js';
import { numberOf, textOf, type MessageContent } from './message-content.js';
import { SessionAttach } from './session-attach.js';
import { SessionConsumerLink } from './session-consumer-link.js';
import { wholeSource, wholeTarget } from './terminus.js';
import { tracked } from './tracking.js';
import { Transactions } from './transactions.js';
import { deadLetterProperties } from './settlement.js';

const CREDIT_CBS = 100;
const CREDIT_MANAGEMENT = 1000;
const SESSION_FILTER = 'com.microsoft:session-filter';
const SELECTOR_FILTER = 'apache.org:selector-filter:string';
const SELECTOR_CODE = 0x468c_0000_0004;
/** Ms that an attach waits for a session unless it says how long. */
const SESSION_WAIT_MS = 60_000;
const SESSION_WAIT_MAX_MS = 3_600_000;
/** .NET counts in 100 ns from the year 1. */
const TICKS_PER_MS = 10_000n;
const MS_TO_1970 = 62_135_596_800_000n;

const NO_LIMIT = 0xffff_ffff_ffff_ffffn;

/** An address that an attach names, or why it names none. */
type Named = { readonly address: string } | Refusal;

/** Decides about the attaches of one connection, and makes the links. */
export class LinkDesk {
  readonly #context: ServiceContext;
  readonly #connection: ServiceConnection;
  readonly #access: Access;
  readonly #cbs: RequestNode;
  readonly #management = new Map<string, { readonly node: BrokerNode; readonly requests: RequestNode }>();
  readonly #transactions: Transactions;
  readonly #hubs: HubDesk;
  #hasCoordinator = false;

  constructor(context: ServiceContext, connection: ServiceConnection, access: Access) {
    this.#context = context;
    this.#connection = connection;
    this.#access = access;
    this.#transactions = new Transactions(context.host, context.memory);
    this.#hubs = new HubDesk(context, connection, access);
    this.#cbs = new RequestNode(connection, {
      entityPath: '',
      nodePath: '$cbs',
      rights: [],
      credit: CREDIT_CBS,
      now: () => context.host.clock.now(),
      answer: (request) =>
        answerCbs(request, (type, audience, token) => {
          const answer = access.putToken(type, audience, token);
          if (answer.status === 202) connection.onToken();
          return answer;
        }),
    });
  }

  /**
   * Accepts a link, or says why not; refusing it is up to the caller.
   *
   * @returns undefined where the answer follows later, through the connection
   */
  attach(link: SenderLink | ReceiverLink, attach: Attach): NamespaceLink | Refusal | undefined {
    if (link.isReceiver && isCoordinator(attach)) return this.#attachCoordinator(link, attach);
    const named = link.isReceiver ? addressOfTarget(attach) : addressOfSource(attach);
    if ('condition' in named) return named;
    const address = readAddress(named.address);
    const host = this.#connection.openHostname;
    if (address.host !== undefined && host !== undefined && host !== address.host) {
      return {
        condition: 'amqp:invalid-field',
        description: `The address '${shown(named.address)}' is of another host than '${host}', which the connection was opened to.`,
      };
    }
    if (address.kind === 'cbs') return this.#attachCbs(link, attach);
    const fault = this.#context.attachFaults.take(address.path);
    if (fault !== undefined) return fault;
    const right: Right = link.isReceiver ? 'Send' : 'Listen';
    const hub = this.#attachHub(link, attach, address, right);
    if (hub !== undefined) return hub;
    if (address.isManagement) return this.#attachManagement(link, attach, address);
    if (!this.#access.may(right, address.written.toLowerCase())) return this.#unauthorized([right], address);
    return link.isReceiver ? this.#attachPublisher(link, attach, address) : this.#attachConsumer(link, attach, address);
  }

  /** @returns undefined where the address is none of an event hub */
  #attachHub(
    link: SenderLink | ReceiverLink,
    attach: Attach,
    address: NodeAddress,
    right: Right,
  ): NamespaceLink | Refusal | undefined {
    const { eventHubs } = this.#context.broker;
    const hub = eventHubs.resolve(address.written);
    if (address.isManagement ? hub !== undefined : eventHubs.size > 0 && address.path === '$management') {
      const node = this.#hubs.management();
      if (node === undefined) return this.#unauthorized(['Listen', 'Send'], address);
      return this.#attachRequest(node, link, attach, BigInt(MESSAGE_SIZE_MAX), '$management');
    }
    if (hub === undefined) return undefined;
    if ('missing' in hub) return hub.missing === 'partition' ? partitionRefusal(hub.hub) : this.#notFound(address);
    if (!this.#access.may(right, hub.path)) return this.#unauthorized([right], address);
    return this.#hubs.attach(link, hub, attach, accepted(attach, BigInt(MESSAGE_SIZE_MAX)));
  }

  // ---- the peer sends ----

  #attachPublisher(link: ReceiverLink, attach: Attach, address: NodeAddress): NamespaceLink | Refusal {
    const node = this.#context.broker.resolve(address.written);
    if (node === undefined) return this.#notFound(address);
    const { entity } = node;
    if (entity.kind === 'subscription' || node.isDeadLetterQueue) {
      return {
        condition: 'amqp:not-allowed',
        description: `The entity '${address.written}' cannot be sent to: it is a ${node.isDeadLetterQueue ? 'dead-letter queue' : 'subscription'}.`,
      };
    }
    const via = textOf(attach.properties?.get('com.microsoft:transfer-destination-address'));
    const destination = via === undefined ? node : this.#destinationOf(via);
    if ('condition' in destination) return destination;
    if (!canSend(entity.status)) return this.#disabled(entity.path);
    const { host, sendFaults, publisherCredit, throttle } = this.#context;
    const theirs = Number(attach.maxMessageSize ?? 0n);
    const maxMessageSize = theirs > 0 ? Math.min(theirs, entity.maxMessageSizeBytes) : entity.maxMessageSizeBytes;
    const path = entity.path.toLowerCase();
    const publisher = new PublisherLink(link, this.#connection, {
      entityPath: path,
      nodePath: address.written.toLowerCase(),
      maxMessageSize,
      credit: publisherCredit,
      now: () => host.clock.now(),
      tracked: (text) => tracked(text, host),
      newMessageId: () => hexOf(randomGuid(host.random)),
      send: (contents, txnId) =>
        throttle.take(() => operationsOf(contents.length, destination.entity)) ??
        sendFaults.take(path) ??
        this.#send(contents, txnId, entity, destination.entity as Queue | Topic),
    });
    link.accept(publisher, accepted(attach, BigInt(maxMessageSize)));
    // The link checks the size itself: the service's text tells the sizes.
    link.maxMessageSize = 0;
    publisher.start();
    return publisher;
  }

  /** The entity that a link sends to by way of another. */
  #destinationOf(written: string): BrokerNode | Refusal {
    const address = readAddress(written);
    if (!this.#access.may('Send', address.path)) return this.#unauthorized(['Send'], address);
    const node = this.#context.broker.resolve(written);
    if (node?.entity.inbox === undefined || node.isDeadLetterQueue) return this.#notFound(address);
    return node;
  }

  /** @param first - the entity that the link is attached to: it takes what the destination refuses after a commit */
  #send(
    contents: readonly MessageContent[],
    txnId: Uint8Array | undefined,
    first: Queue | Topic,
    destination: Queue | Topic,
  ): Refusal | undefined {
    const { host, hostname } = this.#context;
    const { inbox } = destination;
    const isDirect = first === destination || first.kind === 'topic';
    const check = (): Refusal | undefined =>
      isDirect && !canSend(destination.status) ? disabledRefusal(destination.path, hostname) : inbox.check(contents);
    const apply = (): void => {
      if (canSend(destination.status)) return inbox.keep(contents, host.timeOrigin + host.clock.now());
      // Only by way of another entity does it come so far: that one keeps what a disabled destination does not take.
      const { condition, description } = disabledRefusal(destination.path, hostname);
      const changes = deadLetterProperties(condition, description);
      if (first.kind === 'queue')
        for (const content of contents) first.transferDeadLetters.enqueue(content, { changes });
    };
    if (txnId !== undefined)
      return this.#transactions.enlist(txnId, {
        entityPath: first.path.toLowerCase(),
        sizeBytes: contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        messages: contents.length,
        partitionKey: isDirect ? keyIn(destination, contents) : viaKeyIn(first, contents),
        check,
        apply,
      });
    const refusal = check();
    if (refusal === undefined) apply();
    return refusal;
  }

  #attachCoordinator(link: ReceiverLink, attach: Attach): NamespaceLink | Refusal {
    if (this.#hasCoordinator)
      return {
        condition: 'amqp:not-allowed',
        description: `A link to connection '${this.#connection.containerId}' transaction coordinator has already been opened.`,
      };
    if (!this.#access.isKnown)
      return {
        condition: 'amqp:unauthorized-access',
        description: "Unauthorized access. 'Send, Listen' claim(s) are required to perform this operation.",
      };
    const { host } = this.#context;
    this.#hasCoordinator = true;
    const coordinator = new CoordinatorLink(
      link,
      this.#connection,
      {
        transactions: this.#transactions,
        now: () => host.clock.now(),
        tracked: (text) => tracked(text, host),
      },
      () => {
        this.#hasCoordinator = false;
      },
    );
    link.accept(coordinator, accepted(attach, BigInt(MESSAGE_SIZE_MAX)));
    link.maxMessageSize = 0;
    coordinator.start();
    return coordinator;
  }

  // ---- the peer receives ----

  #attachConsumer(link: SenderLink, attach: Attach, address: NodeAddress): NamespaceLink | Refusal | undefined {
    const node = this.#context.broker.resolve(address.written);
    // A topic has nothing to be received: only its subscriptions do.
    if (node?.messages === undefined) return this.#notFound(address);
    const { entity, messages } = node;
    const unfit = this.#filterRefusal(attach, node);
    if (unfit !== undefined) return unfit;
    if (!canReceive(entity.status)) return this.#disabled(entity.path);
    if (forwards(node))
      return {
        condition: 'amqp:not-allowed',
        description: `A receiver cannot be created on the entity '${entity.path}': it forwards its messages.`,
      };
    if (messages.consumers >= CONSUMERS_MAX) {
      return {
        condition: 'com.microsoft:server-busy',
        description: `The number of concurrent receive requests on '${entity.path}' has reached ${CONSUMERS_MAX}. Please wait 10 seconds and try again.`,
      };
    }
    const { host, settlementFaults, throttle } = this.#context;
    const path = entity.path.toLowerCase();
    // Settled: gone with the delivery. Mixed is answered by unsettled, which is what is then sent.
    const isSettled = attach.sndSettleMode === 1;
    const settings: ConsumerSettings = {
      entityPath: path,
      nodePath: address.written.toLowerCase(),
      messages,
      mode: isSettled ? 'receive-and-delete' : 'peek-lock',
      topLevelPath: (entity.kind === 'subscription' ? entity.topic : entity).path.toLowerCase(),
      transactions: this.#transactions,
      host,
      settlementFault: () => throttle.take(1) ?? settlementFaults.take(path),
      onTaken: () => throttle.count(1),
      tracked: (text) => tracked(text, host),
    };
    const answer = {
      ...accepted(attach, BigInt(entity.maxMessageSizeBytes)),
      sndSettleMode: isSettled ? 1 : 0,
    };
    if (messages.settings.requiresSession === true) {
      this.#attachSession(link, attach, settings, answer);
      return undefined;
    }
    const consumer = new ConsumerLink(link, this.#connection, settings);
    link.accept(consumer, answer);
    consumer.start();
    return consumer;
  }

  /** Answers when there is a session, which may be now. */
  #attachSession(link: SenderLink, attach: Attach, settings: ConsumerSettings, answer: AttachParameters): void {
    const source = attach.source as Source;
    const { messages, host } = settings;
    const given = numberOf(attach.properties?.get('com.microsoft:timeout'));
    const pending = new SessionAttach(link, {
      messages,
      sessionId: sessionIn(source.filter),
      timeoutMs: Math.min(SESSION_WAIT_MAX_MS, Math.max(1, given ?? SESSION_WAIT_MS)),
      clock: host.clock,
      // The token may have run out meanwhile.
      refusal: () =>
        this.#access.may('Listen', settings.nodePath)
          ? undefined
          : this.#unauthorized(['Listen'], readAddress(settings.nodePath)),
      accept: (session) => {
        const consumer = new SessionConsumerLink(link, this.#connection, settings, session);
        const until = BigInt(Math.round(host.timeOrigin + session.lockedUntil));
        const filter = new Map<AmqpValue, AmqpValue>([...(source.filter ?? []), ...sessionFilter(source, session)]);
        const isAttached = this.#connection.answer(() =>
          link.accept(consumer, {
            ...answer,
            source: wholeSource({ ...source, filter }),
            properties: new Map<string, AmqpValue>([
              ['com.microsoft:locked-until-utc', long((until + MS_TO_1970) * TICKS_PER_MS)],
            ]),
          }),
        );
        if (!isAttached) return undefined;
        this.#connection.register(consumer);
        return consumer;
      },
      refuse: (refusal) => this.#connection.refuse(link, refusal),
      onDone: () => this.#connection.onAnswered(pending),
    });
    this.#connection.onPending(pending);
    pending.start();
  }

  #filterRefusal(attach: Attach, node: BrokerNode): Refusal | undefined {
    const filter = attach.source !== undefined && 'type' in attach.source ? attach.source.filter : undefined;
    const wantsSession = entryOf(filter, SESSION_FILTER) !== undefined;
    // The dead-letter queue of a session entity is read like any other.
    const hasSessions = node.entity.requiresSession && !node.isDeadLetterQueue;
    if (wantsSession && !hasSessions) {
      return {
        condition: 'amqp:not-allowed',
        description:
          'A sessionful message receiver cannot be created on an entity that does not require sessions. Ensure RequiresSession ' +
          'is set to true when creating a Queue or Subscription to enable sessionful behavior.',
      };
    }
    if ((sessionIn(filter) ?? '').length > 128)
      return { condition: 'com.microsoft:argument-error', description: 'A session id has at most 128 characters.' };
    if (!wantsSession && hasSessions) {
      return {
        condition: 'amqp:not-allowed',
        description:
          'It is not possible for an entity that requires sessions to create a non-sessionful message receiver.',
      };
    }
    if (hasSelector(filter)) {
      return { condition: 'amqp:not-implemented', description: 'Selectors are not supported in the Standard tier.' };
    }
    return undefined;
  }

  // ---- nodes that answer requests ----

  #attachCbs(link: SenderLink | ReceiverLink, attach: Attach): NamespaceLink | Refusal {
    return this.#attachRequest(this.#cbs, link, attach, NO_LIMIT, '$cbs');
  }

  #attachManagement(link: SenderLink | ReceiverLink, attach: Attach, address: NodeAddress): NamespaceLink | Refusal {
    const nodePath = address.written.toLowerCase();
    const rights: readonly Right[] = ['Listen', 'Send'];
    if (!rights.some((right) => this.#access.may(right, nodePath))) return this.#unauthorized(rights, address);
    const node = this.#context.broker.resolve(address.written);
    if (node === undefined) return this.#notFound(address);
    const { host } = this.#context;
    const known = this.#management.get(nodePath);
    // An entity that was deleted and made again is another one.
    const requests =
      (known?.node.entity === node.entity ? known.requests : undefined) ??
      new RequestNode(this.#connection, {
        entityPath: node.entity.path.toLowerCase(),
        nodePath,
        rights,
        credit: CREDIT_MANAGEMENT,
        now: () => host.clock.now(),
        answer: (request, txnId) =>
          answerManagement(request, {
            node,
            enlist: txnId === undefined ? undefined : (works) => this.#transactions.enlistAll(txnId, works),
            host,
            hostname: this.#context.hostname,
            owner: this.#connection,
            may: (right) => this.#access.may(right, nodePath),
            unauthorized: (needed) => this.#unauthorized(needed, address),
            fault: (operations) =>
              this.#context.throttle.take(() => operationsOf(operations, node.entity)) ??
              this.#context.requestFaults.take(node.entity.path.toLowerCase()),
            tracked: (text) => tracked(text, host),
          }),
      });
    this.#management.set(nodePath, { node, requests });
    return this.#attachRequest(requests, link, attach, BigInt(MESSAGE_SIZE_MAX), '$management');
  }

  #attachRequest(
    node: RequestNode,
    link: SenderLink | ReceiverLink,
    attach: Attach,
    maxMessageSize: bigint,
    name: string,
  ): NamespaceLink | Refusal {
    const target =
      attach.target !== undefined && 'type' in attach.target && attach.target.type === 'target'
        ? attach.target.address
        : undefined;
    // Clients for Go and .NET have a pair for each of their senders and receivers.
    const isTaken =
      name === '$cbs'
        ? link.isReceiver
          ? node.hasRequestLink
          : node.hasAnswerLink
        : !link.isReceiver && node.answersTo(target);
    if (isTaken) {
      return {
        condition: 'amqp:not-allowed',
        description: `A link to connection '${this.#connection.containerId}' ${name} node has already been opened.`,
      };
    }
    if (link.isReceiver) {
      const requests = node.takeRequests(link);
      link.accept(requests, accepted(attach, maxMessageSize));
      link.maxMessageSize = 0;
      requests.start();
      return requests;
    }
    const answers = node.takeAnswers(link, target);
    link.accept(answers, accepted(attach, maxMessageSize));
    return answers;
  }

  // ---- refusals ----

  #unauthorized(rights: readonly Right[], address: NodeAddress): Refusal {
    return {
      condition: 'amqp:unauthorized-access',
      description:
        `Unauthorized access. '${rights.join(', ')}' claim(s) are required to perform this operation. ` +
        `Resource: 'sb://${this.#context.hostname}/${shown(address.written)}'.`,
    };
  }

  #notFound(address: NodeAddress): Refusal {
    const namespace = this.#context.hostname.split('.')[0] ?? '';
    return {
      condition: 'amqp:not-found',
      description: `The messaging entity '${namespace}:Topic:${shown(address.written)}' could not be found.`,
    };
  }

  #disabled(path: string): Refusal {
    return disabledRefusal(path, this.#context.hostname);
  }
}

/** What so many messages cost of what a second has: each rule that looks at one is an operation, too. */
function operationsOf(messages: number, entity: Queue | Topic | Subscription): number {
  if (entity.kind !== 'topic') return messages;
  return messages * entity.subscriptions.reduce((sum, { rules }) => sum + rules.length, 1);
}

/** The partition key that messages have for an entity; null for none, undefined where it has no partitions. */
function keyIn({ inbox }: Queue | Topic, contents: readonly MessageContent[]): string | null | undefined {
  return inbox.isPartitioned ? (inbox.partitionKeyOf(contents) ?? null) : undefined;
}

/** The same for an entity that they only go by way of. */
function viaKeyIn({ inbox }: Queue | Topic, [content]: readonly MessageContent[]): string | null | undefined {
  return inbox.isPartitioned ? (textOf(content?.annotations?.get('x-opt-via-partition-key')) ?? null) : undefined;
}

function isCoordinator({ target }: Attach): boolean {
  return target !== undefined && 'type' in target && target.type === 'coordinator';
}

/** Whether what is received here goes on to another entity. */
function forwards({ entity, isDeadLetterQueue, address }: BrokerNode): boolean {
  if (entity.kind === 'topic' || address.kind === 'transfer-dead-letter-queue') return false;
  return (isDeadLetterQueue ? entity.forwardDeadLetteredMessagesTo : entity.forwardTo) !== undefined;
}

/** The name in the set is the receiver's own, as `jms-selector` is: what says which filter it is is its descriptor. 3.5.8 */
function hasSelector(filter: Source['filter']): boolean {
  if (entryOf(filter, SELECTOR_FILTER) !== undefined) return true;
  for (const value of filter?.values() ?? [])
    if (
      value instanceof Described &&
      (textOf(value.descriptor) === SELECTOR_FILTER || numberOf(value.descriptor) === SELECTOR_CODE)
    )
      return true;
  return false;
}

/** The session that a filter names: a bare value, or a described one, as the client for Go has it. Undefined for any. */
function sessionIn(filter: Source['filter']): string | undefined {
  const value = entryOf(filter, SESSION_FILTER);
  return textOf(value instanceof Described ? value.value : value);
}

/** The filter as the client has it: under a text or a symbol, bare or described. */
function sessionFilter({ filter }: Source, { id }: MessageSession): [AmqpValue, AmqpValue][] {
  const asked = entryOf(filter, SESSION_FILTER);
  const value = asked instanceof Described ? new Described(asked.descriptor, id) : id;
  const isText = filter?.has(SESSION_FILTER) === true;
  for (const key of filter?.keys() ?? [])
    if (!isText && typeof key === 'object' && textOf(key) === SESSION_FILTER) return [[key, value]];
  return [[isText ? SESSION_FILTER : symbol(SESSION_FILTER), value]];
}

const DYNAMIC: Refusal = { condition: 'amqp:not-implemented', description: 'Dynamic nodes are not supported.' };

function addressOfTarget({ target }: Attach): Named {
  if (target !== undefined && 'type' in target && target.type === 'target') {
    if (target.dynamic === true) return DYNAMIC;
    if (target.address !== undefined && target.address !== '') return { address: target.address };
  }
  return {
    condition: 'amqp:not-allowed',
    description: 'A link that sends needs a target with an address: anonymous senders are not supported.',
  };
}

function addressOfSource({ source }: Attach): Named {
  if (source !== undefined && 'type' in source) {
    if (source.dynamic === true) return DYNAMIC;
    if (source.address !== undefined && source.address !== '') return { address: source.address };
  }
  return { condition: 'amqp:invalid-field', description: 'A link that receives needs a source with an address.' };
}

/** What the answer to an accepted attach says: both termini as they came, with all of their fields. */
function accepted(attach: Attach, maxMessageSize: bigint): Pick<AttachFields, 'source' | 'target' | 'maxMessageSize'> {
  const source: SourceTerminus = attach.source ?? { type: 'source' };
  const target: TargetTerminus = attach.target ?? { type: 'target' };
  return {
    source: 'type' in source ? wholeSource(source) : source,
    target: 'type' in target && target.type === 'target' ? wholeTarget(target) : target,
    maxMessageSize,
  };
}

/** Part of a peer's text, as it may stand in ours. */
function shown(text: string): string {
  return text.slice(0, 400);
}
