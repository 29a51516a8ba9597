// SPDX-License-Identifier: Apache-2.0
import { ReceiverLink, type AttachParameters, type SenderLink } from '@pointsman/engine';
import { Described, entryOf, int, long, short, type AmqpValue, type Attach } from '@pointsman/wire';
import type { Access } from '../access.js';
import type { Refusal } from '../entity.js';
import { numberOf, textOf } from '../message-content.js';
import type { LinkOwner, NamespaceLink } from '../namespace-link.js';
import { PublisherLink } from '../publisher-link.js';
import { RequestNode } from '../request-node.js';
import type { ServiceContext } from '../service-context.js';
import { tracked } from '../tracking.js';
import type { HubNode } from './event-hubs.js';
import type { EventPartition, EventPosition } from './event-partition.js';
import { answerHubManagement } from './hub-management.js';
import { positionRefusal } from './hub-refusals.js';
import { IDEMPOTENT, PRODUCER_EPOCH, PRODUCER_ID, PRODUCER_SEQUENCE, type Producer } from './producer-states.js';
import { ReaderLink } from './reader-link.js';

/** Largest event or batch, bytes. */
const EVENT_SIZE_MAX = 1_048_576;
/** Up to this size a larger one is rejected, and the link goes on. */
const LINK_SIZE_MAX = 1 << 26;
const CREDIT_MANAGEMENT = 1000;
/** Readers without an epoch, of one consumer group and partition. */
const READERS_MAX = 5;
const FILTER = 'apache.org:selector-filter:string';
/** Capability of a reader that wants to know with each event how far the partition goes. */
const TELLS_END = 'com.microsoft:enable-receiver-runtime-metric';
/** Ids that producers are given, from 0 on: exact as numbers wherever they are read. */
const PRODUCER_IDS = 2 ** 48;
const POSITION = /^amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time)\s*(>=|>)\s*'([^']*)'$/u;

/** Decides about the attaches of one connection to event hubs, and makes the links. */
export class HubDesk {
  readonly #context: ServiceContext;
  readonly #owner: LinkOwner;
  readonly #access: Access;
  #management: RequestNode | undefined;

  constructor(context: ServiceContext, owner: LinkOwner, access: Access) {
    this.#context = context;
    this.#owner = owner;
    this.#access = access;
  }

  /** @param answer - what an accepted attach is answered with */
  attach(
    link: SenderLink | ReceiverLink,
    node: HubNode,
    attach: Attach,
    answer: AttachParameters,
  ): NamespaceLink | Refusal {
    return link instanceof ReceiverLink
      ? this.#attachPublisher(link, node, attach, answer)
      : this.#attachReader(link, node, attach, answer);
  }

  /** The node for management of all event hubs; undefined where the connection may read none. */
  management(): RequestNode | undefined {
    if (this.#management !== undefined) return this.#management;
    const { broker, host } = this.#context;
    const path = [...broker.eventHubs.all]
      .map(({ name }) => `${name.toLowerCase()}/$management`)
      .find((one) => this.#may(one));
    if (path === undefined) return undefined;
    this.#management = new RequestNode(this.#owner, {
      entityPath: '',
      nodePath: path,
      rights: ['Listen', 'Send'],
      credit: CREDIT_MANAGEMENT,
      now: () => host.clock.now(),
      answer: (request) =>
        answerHubManagement(request, {
          host,
          tokenRefusal: (hub, token) => this.#access.refusalOf(`sb://${this.#context.hostname}/${hub.name}`, token),
          hubOf: (name) => (this.#may(`${name.toLowerCase()}/$management`) ? broker.eventHubs.hub(name) : undefined),
        }),
    });
    return this.#management;
  }

  #may(path: string): boolean {
    return this.#access.may('Listen', path) || this.#access.may('Send', path);
  }

  #attachPublisher(
    link: ReceiverLink,
    { hub, partition, group, path }: HubNode,
    attach: Attach,
    answer: AttachParameters,
  ): NamespaceLink | Refusal {
    if (group !== undefined)
      return { condition: 'amqp:not-allowed', description: 'A consumer group cannot be sent to: its event hub can.' };
    const { host, sendFaults, publisherCredit } = this.#context;
    const producer = this.#producerOf(partition, attach);
    if (producer !== undefined && 'condition' in producer) return producer;
    const entityPath = hub.name.toLowerCase();
    const publisher = new PublisherLink(link, this.#owner, {
      entityPath,
      nodePath: path,
      maxMessageSize: EVENT_SIZE_MAX,
      linkSizeMax: LINK_SIZE_MAX,
      credit: publisherCredit,
      now: () => host.clock.now(),
      tracked: (text) => tracked(text, host),
      newMessageId: undefined,
      send: (contents, txnId) =>
        txnId === undefined
          ? (sendFaults.take(entityPath) ?? hub.send(contents, partition, host.clock.now(), producer))
          : { condition: 'amqp:not-implemented', description: 'Event hubs have no transactions.' },
    });
    link.accept(publisher, {
      ...answer,
      maxMessageSize: BigInt(EVENT_SIZE_MAX),
      ...(producer === undefined ? {} : idempotentAnswer(producer)),
    });
    link.maxMessageSize = 0;
    publisher.start();
    return publisher;
  }

  /** Who sends on a link whose events are numbered; undefined where they are not. */
  #producerOf(partition: EventPartition | undefined, attach: Attach): Producer | Refusal | undefined {
    if (attach.desiredCapabilities?.includes(IDEMPOTENT) !== true) return undefined;
    if (partition === undefined)
      return {
        condition: 'amqp:not-allowed',
        description: 'An idempotent producer sends to one partition: its sequence numbers are those of that partition.',
      };
    const { random } = this.#context.host;
    return partition.producers.attach(attach.properties, () => Math.floor(random() * PRODUCER_IDS));
  }

  #attachReader(link: SenderLink, node: HubNode, attach: Attach, answer: AttachParameters): NamespaceLink | Refusal {
    const { hub, partition, group, path } = node;
    if (partition === undefined || group === undefined)
      return {
        condition: 'amqp:not-found',
        description: `An event hub is read at '${hub.name}/ConsumerGroups/GROUP/Partitions/ID'.`,
      };
    const { host } = this.#context;
    partition.expire(host.clock.now());
    const filter = attach.source !== undefined && 'type' in attach.source ? attach.source.filter : undefined;
    const given = entryOf(filter, FILTER);
    const expression = textOf(given instanceof Described ? given.value : given);
    const from = expression === undefined ? partition.firstSequence : startOf(expression, partition, host.timeOrigin);
    if (from === undefined)
      return {
        condition: 'com.microsoft:argument-error',
        description: `The filter '${expression?.slice(0, 200)}' is not supported: amqp.annotation.x-opt-offset, -sequence-number or -enqueued-time, > or >=, and a value in quotation marks.`,
      };
    if (typeof from === 'object') return from;
    const tellsEnd = attach.desiredCapabilities?.includes(TELLS_END) === true;
    const epoch = numberOf(attach.properties?.get('com.microsoft:epoch'));
    const others = partition.readersOf(group);
    const highest = Math.max(-1, ...others.map((other) => other.epoch ?? -1));
    if (highest > (epoch ?? -1))
      return {
        condition: 'amqp:link:stolen',
        description: `At least one receiver for the endpoint is created with epoch of '${highest}', and so a receiver with ${epoch === undefined ? 'no epoch' : `epoch '${epoch}'`} is not allowed.`,
      };
    if (epoch === undefined && others.length >= READERS_MAX)
      return {
        condition: 'amqp:resource-limit-exceeded',
        description: `Exceeded the maximum number of allowed receivers per partition in a consumer group which is ${READERS_MAX}.`,
      };
    const reader = new ReaderLink(link, this.#owner, {
      entityPath: hub.name.toLowerCase(),
      nodePath: path,
      partition,
      group,
      epoch,
      from,
      tellsEnd,
      host,
    });
    // A claim is to all of the partition: whoever was there before goes.
    if (epoch !== undefined) for (const other of others) other.displace();
    link.accept(reader, {
      ...answer,
      sndSettleMode: 1,
      ...(tellsEnd ? { offeredCapabilities: [TELLS_END] } : {}),
    });
    reader.start();
    return reader;
  }
}

/** What an idempotent producer is told of itself. */
function idempotentAnswer({
  id,
  epoch,
  sequence,
}: Producer): Pick<AttachParameters, 'offeredCapabilities' | 'properties'> {
  return {
    offeredCapabilities: [IDEMPOTENT],
    properties: new Map<string, AmqpValue>([
      [PRODUCER_EPOCH, short(epoch)],
      [PRODUCER_ID, long(id)],
      [PRODUCER_SEQUENCE, int(sequence)],
    ]),
  };
}

/** Sequence number to begin with; undefined where the expression is none. */
function startOf(expression: string, partition: EventPartition, timeOrigin: number): number | Refusal | undefined {
  const [, field, operator, text = ''] = POSITION.exec(expression.trim()) ?? [];
  if (field === 'offset' && text === '@latest') return partition.nextSequence;
  if (field === undefined || !/^-?\d{1,19}$/u.test(text)) return undefined;
  const value = Number(text);
  // Clients are told whole milliseconds.
  const half = operator === '>=' ? -0.5 : 0.5;
  const position: EventPosition = {
    of: field === 'offset' ? 'offset' : field === 'sequence-number' ? 'sequence' : 'enqueued',
    from: field === 'enqueued-time' ? value + half - timeOrigin : value,
    isInclusive: field === 'enqueued-time' || operator === '>=',
  };
  const { last } = partition;
  if (position.of === 'offset' && value > last.offset) return positionRefusal('offset', text, last.offset);
  if (position.of === 'sequence' && value > last.sequence) return positionRefusal('sequence', text, last.sequence);
  return partition.sequenceAt(position);
}
