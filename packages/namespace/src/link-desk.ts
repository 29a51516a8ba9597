// SPDX-License-Identifier: Apache-2.0
import type { ReceiverLink, SenderLink } from '@pointsman/engine';
import { entryOf, type Attach, type AttachFields, type SourceTerminus, type TargetTerminus } from '@pointsman/wire';
import type { Access } from './access.js';
import { readAddress, type NodeAddress } from './address.js';
import type { BrokerNode } from './broker.js';
import { answerCbs } from './cbs.js';
import { ConsumerLink } from './consumer-link.js';
import { canReceive, canSend, MESSAGE_SIZE_MAX, type Refusal } from './entity.js';
import { hexOf, randomGuid } from './guid.js';
import { answerManagement } from './management.js';
import { CONSUMERS_MAX } from './message-queue.js';
import type { NamespaceLink } from './namespace-link.js';
import type { Right } from './policy.js';
import { PublisherLink } from './publisher-link.js';
import { RequestNode } from './request-node.js';
import type { ServiceConnection } from './service-connection.js';
import type { ServiceContext } from './service-context.js';
import { wholeSource, wholeTarget } from './terminus.js';
import { tracked } from './tracking.js';

const CREDIT_CBS = 100;
const CREDIT_MANAGEMENT = 1000;
const NO_LIMIT = 0xffff_ffff_ffff_ffffn;

/** An address that an attach names, or why it names none. */
type Named = { readonly address: string } | Refusal;

/** Decides about the attaches of one connection, and makes the links. */
export class LinkDesk {
  readonly #context: ServiceContext;
  readonly #connection: ServiceConnection;
  readonly #access: Access;
  readonly #cbs: RequestNode;
  readonly #management = new Map<string, RequestNode>();

  constructor(context: ServiceContext, connection: ServiceConnection, access: Access) {
    this.#context = context;
    this.#connection = connection;
    this.#access = access;
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

  /** Accepts a link, or says why not; refusing it is up to the caller. */
  attach(link: SenderLink | ReceiverLink, attach: Attach): NamespaceLink | Refusal {
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
    const right: Right = link.isReceiver ? 'Send' : 'Listen';
    if (address.isManagement) return this.#attachManagement(link, attach, address);
    if (!this.#access.may(right, address.written.toLowerCase())) return this.#unauthorized([right], address);
    return link.isReceiver ? this.#attachPublisher(link, attach, address) : this.#attachConsumer(link, attach, address);
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
    if (attach.properties?.has('com.microsoft:transfer-destination-address') === true) {
      return {
        condition: 'amqp:not-implemented',
        description: 'Sending by way of another entity is not supported by this namespace.',
      };
    }
    if (!canSend(entity.status)) return this.#disabled(entity.path);
    const { host, sendFaults, publisherCredit } = this.#context;
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
      send: (contents) => sendFaults.take(path) ?? entity.send(contents, host.timeOrigin + host.clock.now()),
    });
    link.accept(publisher, accepted(attach, BigInt(maxMessageSize)));
    // The link checks the size itself: the service's text tells the sizes.
    link.maxMessageSize = 0;
    publisher.start();
    return publisher;
  }

  // ---- the peer receives ----

  #attachConsumer(link: SenderLink, attach: Attach, address: NodeAddress): NamespaceLink | Refusal {
    const node = this.#context.broker.resolve(address.written);
    // A topic has nothing to be received: only its subscriptions do.
    if (node?.messages === undefined) return this.#notFound(address);
    const { entity, messages } = node;
    const unfit = this.#filterRefusal(attach, node);
    if (unfit !== undefined) return unfit;
    if (!canReceive(entity.status)) return this.#disabled(entity.path);
    if (messages.consumers >= CONSUMERS_MAX) {
      return {
        condition: 'com.microsoft:server-busy',
        description: `The number of concurrent receive requests on '${entity.path}' has reached ${CONSUMERS_MAX}. Please wait 10 seconds and try again.`,
      };
    }
    const { host, settlementFaults } = this.#context;
    const path = entity.path.toLowerCase();
    // Settled: gone with the delivery. Mixed is answered by unsettled, which is what is then sent.
    const isSettled = attach.sndSettleMode === 1;
    const consumer = new ConsumerLink(link, this.#connection, {
      entityPath: path,
      nodePath: address.written.toLowerCase(),
      messages,
      mode: isSettled ? 'receive-and-delete' : 'peek-lock',
      host,
      settlementFault: () => settlementFaults.take(path),
      tracked: (text) => tracked(text, host),
    });
    link.accept(consumer, {
      ...accepted(attach, BigInt(entity.maxMessageSizeBytes)),
      sndSettleMode: isSettled ? 1 : 0,
    });
    consumer.start();
    return consumer;
  }

  #filterRefusal(attach: Attach, node: BrokerNode): Refusal | undefined {
    const filter = attach.source !== undefined && 'type' in attach.source ? attach.source.filter : undefined;
    const wantsSession = entryOf(filter, 'com.microsoft:session-filter') !== undefined;
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
    if (!wantsSession && hasSessions) {
      return {
        condition: 'amqp:not-allowed',
        description:
          'It is not possible for an entity that requires sessions to create a non-sessionful message receiver.',
      };
    }
    if (wantsSession)
      return {
        condition: 'amqp:not-implemented',
        description: 'Receiving message sessions is not supported by this namespace.',
      };
    if (entryOf(filter, 'apache.org:selector-filter:string') !== undefined) {
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
    const { messages } = node;
    const known = this.#management.get(nodePath);
    const requests =
      known ??
      new RequestNode(this.#connection, {
        entityPath: node.entity.path.toLowerCase(),
        nodePath,
        rights,
        credit: CREDIT_MANAGEMENT,
        now: () => host.clock.now(),
        answer: (request) =>
          answerManagement(request, this.#access.may('Listen', nodePath) ? messages : undefined, host, (text) =>
            tracked(text, host),
          ),
      });
    this.#management.set(nodePath, requests);
    return this.#attachRequest(requests, link, attach, BigInt(MESSAGE_SIZE_MAX), '$management');
  }

  #attachRequest(
    node: RequestNode,
    link: SenderLink | ReceiverLink,
    attach: Attach,
    maxMessageSize: bigint,
    name: string,
  ): NamespaceLink | Refusal {
    if (link.isReceiver ? node.hasRequestLink : node.hasAnswerLink) {
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
    const target =
      attach.target !== undefined && 'type' in attach.target && attach.target.type === 'target'
        ? attach.target.address
        : undefined;
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

/** What links to a disabled entity are refused and ended with. */
export function disabledRefusal(path: string, hostname: string): Refusal {
  return {
    condition: 'com.microsoft:entity-disabled',
    description: `Messaging entity 'sb://${hostname}/${path}' is currently disabled.`,
  };
}

function addressOfTarget({ target }: Attach): Named {
  if (target !== undefined && 'type' in target && target.type === 'coordinator') {
    return { condition: 'amqp:not-implemented', description: 'Transactions are not supported by this namespace.' };
  }
  const address = target !== undefined && 'type' in target && target.type === 'target' ? target.address : undefined;
  if (address !== undefined && address !== '') return { address };
  return {
    condition: 'amqp:not-allowed',
    description: 'A link that sends needs a target with an address: anonymous senders are not supported.',
  };
}

function addressOfSource({ source }: Attach): Named {
  if (source !== undefined && 'type' in source) {
    if (source.dynamic === true)
      return { condition: 'amqp:not-implemented', description: 'Dynamic nodes are not supported.' };
    if (source.address !== undefined && source.address !== '') return { address: source.address };
  }
  return { condition: 'amqp:invalid-field', description: 'A link that receives needs a source with an address.' };
}

/** What the answer to an accepted attach says: both termini as they came, with all of their fields. */
function accepted(
  attach: Attach,
  maxMessageSize: bigint,
): Pick<AttachFields, 'source' | 'target' | 'maxMessageSize'> & { padded: true } {
  const source: SourceTerminus = attach.source ?? { type: 'source' };
  const target: TargetTerminus = attach.target ?? { type: 'target' };
  return {
    source: 'type' in source ? wholeSource(source) : source,
    target: 'type' in target && target.type === 'target' ? wholeTarget(target) : target,
    maxMessageSize,
    padded: true,
  };
}

/** Part of a peer's text, as it may stand in ours. */
function shown(text: string): string {
  return text.slice(0, 400);
}
