// SPDX-License-Identifier: Apache-2.0
import { ReceiverLink, copyOf } from '@pointsman/engine';
import type {
  Connection,
  IncomingDelivery,
  Link,
  OutgoingDelivery,
  ReceiverHandler,
  SenderHandler,
  SenderLink,
  Session,
  TransferFrame,
} from '@pointsman/engine';
import { LocalProtocolError, SECTION, decodeMessage, encodeMessage, plainOf, sectionsOf } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Attach, DeliveryState, Properties, PropertiesFields } from '@pointsman/wire';
import { entityAddressOf } from './entity-address.js';
import { AnswerLink, AnswerLinks, RequestLink, joined, targetAddressOf } from './request-links.js';

/** Gets the right to attach, as `CbsClient.authorize`. */
export type Authorize = (
  address: string,
  done: (error: AmqpErrorFields | undefined) => void,
) => (error?: AmqpErrorFields) => void;

export interface ManagementRelayOptions {
  /** To the namespace. */
  readonly connection: Connection;
  /** Unique for the container: names the links. */
  readonly name: string;
  /** Undefined where nothing but the connection is needed. */
  readonly authorize: Authorize | undefined;
  /** Name that a link of a client has at the namespace. */
  readonly linkNameOf: (client: Connection, name: string) => string;
}

/** Requests that a client may have under way. */
const CREDIT = 100;
/** Answers that the service may send ahead. */
const ANSWERS_CREDIT = 100;
/** Bytes of a request, and of an answer: many messages are scheduled and peeked at in one. */
const REQUEST_SIZE_MAX = 1 << 20;
const ANSWER_SIZE_MAX = 1 << 24;
/** Requests that wait for credit of the service, and those whose answers have not come. */
const WAITING_MAX = 1_000;
const WAITING_BYTES_MAX = 1 << 24;
const PENDING_MAX = 10_000;
/** Nodes at a time: each takes a session of the connection. */
const NODES_MAX = 1_000;
/** Clients' links to one node. */
const LINKS_MAX = 10_000;

const TOO_MANY_NODES: AmqpErrorFields = {
  condition: 'amqp:resource-limit-exceeded',
  description: `${NODES_MAX} nodes for management are in use on the connection to the namespace already`,
};

const LOST: AmqpErrorFields = {
  condition: 'amqp:link:detach-forced',
  description: 'The link to the namespace was lost.',
};

/**
 * The nodes `$management` of a namespace for many clients. The service allows one pair of links to each on a connection: the
 * router has that pair, and carries the requests of all its clients over it. Ids and reply-to are its own there; everything else
 * of requests and answers goes through as it is.
 */
export class ManagementRelays {
  readonly #options: ManagementRelayOptions;
  readonly #relays = new Map<string, ManagementRelay>();
  #count = 0;

  constructor(options: ManagementRelayOptions) {
    this.#options = options;
  }

  /** Takes a link that a client attaches, where it is to such a node. @param address - the node's name at the namespace */
  take(link: SenderLink | ReceiverLink, attach: Attach, address: string): boolean {
    if (entityAddressOf(address).kind !== 'management') return false;
    const relay = this.#relayOf(address);
    if (relay === undefined) {
      link.refuse(TOO_MANY_NODES);
      return true;
    }
    relay.take(link, attach);
    relay.start();
    return true;
  }

  /**
   * A place for requests of the router's own, over the same pair of links.
   *
   * @param address - of the node, `$management` at its end
   * @returns why there is none, or the place; it is to be given back
   */
  own(address: string): OwnRequests | { readonly error: AmqpErrorFields } {
    const relay = this.#relayOf(address);
    if (relay === undefined) return { error: TOO_MANY_NODES };
    const requests = relay.own();
    relay.start();
    return requests;
  }

  #relayOf(address: string): ManagementRelay | undefined {
    const key = entityAddressOf(address).path.toLowerCase();
    const known = this.#relays.get(key);
    if (known !== undefined || this.#relays.size >= NODES_MAX) return known;
    const name = `${this.#options.name}-${++this.#count}`;
    const relay = new ManagementRelay({ ...this.#options, name }, address, () => {
      if (this.#relays.get(key) === relay) this.#relays.delete(key);
    });
    this.#relays.set(key, relay);
    return relay;
  }
}

/** The router as one of the clients of a node. */
export interface OwnRequests {
  /** The pair of links has gone: nothing can be asked any more. */
  readonly isOver: boolean;
  /**
   * @param request - a message without properties
   * @param done - called once, and not at once, with the answer, or why there is none; not after {@link leave}
   */
  ask(request: Uint8Array, done: (answer: Uint8Array | AmqpErrorFields) => void): void;
  leave(): void;
}

/** A request on its way: who is to have the answer, and under which id. */
interface Pending {
  readonly client: Connection;
  readonly replyTo: string | undefined;
  readonly correlationId: AmqpValue | undefined;
}

/** A request of our own. */
interface OwnPending {
  readonly owner: OwnRequests;
  readonly done: (answer: Uint8Array | AmqpErrorFields) => void;
}

/** One node, one pair of links there. Over with its last client, and with the pair: the next link makes another. */
class ManagementRelay implements SenderHandler, ReceiverHandler {
  readonly #options: ManagementRelayOptions;
  readonly #address: string;
  readonly #onOver: () => void;
  #release: ((error?: AmqpErrorFields) => void) | undefined;
  #session: Session | undefined;
  #sender: SenderLink | undefined;
  #receiver: ReceiverLink | undefined;
  /** Attaches that wait until the pair is there. */
  #joining: { readonly link: SenderLink | ReceiverLink; readonly attach: Attach }[] = [];
  readonly #clients = new Set<Link>();
  readonly #answers = new Map<Connection, AnswerLinks>();
  readonly #pending = new Map<string, Pending | OwnPending>();
  readonly #owners = new Set<OwnRequests>();
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #rest: { readonly bytes: Uint8Array; position: number } | undefined;
  #parts: Uint8Array[] = [];
  #size = 0;
  #ids = 0;
  #isOpen = false;
  #isOver = false;
  #isStarted = false;

  constructor(options: ManagementRelayOptions, address: string, onOver: () => void) {
    this.#options = options;
    this.#address = address;
    this.#onOver = onOver;
  }

  /** Attaches the pair, as soon as it may; once there is somebody who wants it. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    const { authorize } = this.#options;
    if (authorize === undefined) {
      this.#attach();
      return;
    }
    // What is to be asked of which event hub, requests will say.
    const isOfAll = entityAddressOf(this.#address).owner === '';
    const release = authorize(isOfAll ? '' : this.#address, (error) => {
      if (error === undefined) this.#attach();
      else this.#end(error);
    });
    this.#release = release;
    if (this.#isOver) release();
  }

  own(): OwnRequests {
    const isOver = (): boolean => this.#isOver;
    const owner: OwnRequests = {
      get isOver() {
        return isOver();
      },
      ask: (request, done) => this.#askOwn(owner, request, done),
      leave: () => {
        if (!this.#owners.delete(owner)) return;
        for (const [id, pending] of this.#pending)
          if ('owner' in pending && pending.owner === owner) this.#pending.delete(id);
        this.#endUnused();
      },
    };
    this.#owners.add(owner);
    return owner;
  }

  #askOwn(owner: OwnRequests, request: Uint8Array, done: OwnPending['done']): void {
    const messageId = `${this.#options.name}-${++this.#ids}`;
    const properties = { messageId, to: this.#address, replyTo: this.#options.name };
    this.#pending.set(messageId, { owner, done });
    this.#waiting.push(withProperties(request, properties));
    this.onSendable();
  }

  take(link: SenderLink | ReceiverLink, attach: Attach): void {
    if (this.#clients.size + this.#joining.length >= LINKS_MAX) {
      link.refuse({
        condition: 'amqp:resource-limit-exceeded',
        description: `there are ${LINKS_MAX} links to it already`,
      });
      return;
    }
    if (this.#isOpen) {
      this.#join(link, attach);
      return;
    }
    this.#joining.push({ link, attach });
    link.handler = {
      onDetach: (gone: Link) => {
        gone.detach();
        this.#leave(gone);
      },
      onLost: (gone: Link) => this.#leave(gone),
    } as unknown as SenderLink['handler'] & ReceiverLink['handler'];
  }

  #join(link: SenderLink | ReceiverLink, attach: Attach): void {
    const client = link.session.connection;
    this.#clients.add(link);
    if (link instanceof ReceiverLink) {
      const requests = new RequestLink(
        (request) => this.#ask(client, request),
        () => this.#leave(link),
      );
      link.accept(requests, {
        source: attach.source ?? { type: 'source' },
        target: attach.target,
        maxMessageSize: BigInt(REQUEST_SIZE_MAX),
      });
      link.addCredit(CREDIT);
      return;
    }
    const own = this.#answers.get(client) ?? new AnswerLinks();
    this.#answers.set(client, own);
    const answers = new AnswerLink(link, targetAddressOf(attach), () => {
      own.delete(answers);
      if (own.size === 0 && this.#answers.get(client) === own) this.#forget(client);
      this.#leave(link);
    });
    own.add(answers);
    link.accept(answers, { source: attach.source, target: attach.target ?? { type: 'target' } });
  }

  /** Nobody is there any more to be answered. */
  #forget(client: Connection): void {
    this.#answers.delete(client);
    for (const [id, pending] of this.#pending)
      if ('client' in pending && pending.client === client) this.#pending.delete(id);
  }

  #leave(link: Link): void {
    this.#joining = this.#joining.filter((other) => other.link !== link);
    this.#clients.delete(link);
    this.#endUnused();
  }

  #endUnused(): void {
    if (this.#clients.size + this.#joining.length + this.#owners.size === 0) this.#end(undefined);
  }

  /** @returns why the request goes no further, or undefined where it does */
  #ask(client: Connection, request: Uint8Array): AmqpErrorFields | undefined {
    const properties = propertiesOf(request);
    const { replyTo, messageId, correlationId } = properties ?? {};
    if (this.#answers.get(client)?.for(replyTo) === undefined)
      return {
        condition: 'amqp:not-found',
        description: `this connection has no link for the answer: attach one that receives from '${this.#address.slice(0, 400)}' first`,
      };
    if (this.#waiting.length >= WAITING_MAX || this.#waitingBytes + request.length > WAITING_BYTES_MAX)
      return {
        condition: 'com.microsoft:server-busy',
        description: `${this.#waiting.length} requests of ${this.#waitingBytes} bytes wait for the namespace already`,
      };
    const id = `${this.#options.name}-${++this.#ids}`;
    const ours = { ...properties, messageId: id, correlationId: undefined, replyTo: this.#options.name };
    const bytes = withLinkName(withProperties(request, ours), (name) => this.#options.linkNameOf(client, name));
    const [oldest] = this.#pending.keys();
    // Its answer has not come while thousands of others did.
    if (oldest !== undefined && this.#pending.size >= PENDING_MAX) this.#pending.delete(oldest);
    this.#pending.set(id, { client, replyTo, correlationId: messageId ?? correlationId });
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.onSendable();
    return undefined;
  }

  // ---- the pair at the namespace ----

  #attach(): void {
    const { connection, name } = this.#options;
    try {
      const session = connection.session();
      this.#session = session;
      this.#receiver = session.attachReceiver(name, this, {
        source: { type: 'source', address: this.#address },
        target: { type: 'target', address: name },
        sndSettleMode: 1,
        rcvSettleMode: 0,
      });
      this.#receiver.addCredit(ANSWERS_CREDIT);
      this.#sender = session.attachSender(`${name}-requests`, this, {
        source: { type: 'source', address: name },
        target: { type: 'target', address: this.#address },
        sndSettleMode: 0,
        rcvSettleMode: 0,
      });
    } catch (error) {
      if (!(error instanceof LocalProtocolError)) throw error;
      this.#end({ condition: error.condition, description: error.description });
    }
  }

  onAttached(_link: Link, attach: Attach): void {
    // A refusal is an answer with a null terminus; what it is about follows with the detach.
    if ((attach.role ? attach.target : attach.source) === undefined) return;
    if (this.#isOver || this.#sender?.state !== 'attached' || this.#receiver?.state !== 'attached') return;
    this.#isOpen = true;
    const joining = this.#joining;
    this.#joining = [];
    for (const { link, attach: theirs } of joining) this.#join(link, theirs);
  }

  onSendable(): void {
    const link = this.#sender;
    if (link === undefined || !this.#isOpen) return;
    const rest = this.#rest;
    if (rest !== undefined) {
      rest.position += link.resume(rest.bytes, rest.position, rest.bytes.length, true);
      if (rest.position < rest.bytes.length) return;
      this.#rest = undefined;
    }
    while (link.sendable) {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) return;
      this.#waitingBytes -= bytes.length;
      link.send(undefined, 0, false, undefined, bytes, 0, bytes.length, true);
      if (link.sentBytes < bytes.length) {
        this.#rest = { bytes, position: link.sentBytes };
        return;
      }
    }
  }

  onDisposition(link: SenderLink, delivery: OutgoingDelivery, _state: DeliveryState | undefined): void {
    link.settle(delivery);
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    this.#size += frame.payloadEnd - frame.payloadStart;
    if (this.#size <= ANSWER_SIZE_MAX) this.#parts.push(copyOf(frame.bytes, frame.payloadStart, frame.payloadEnd));
    if (!delivery.complete) return;
    const bytes = this.#size <= ANSWER_SIZE_MAX && !delivery.aborted ? joined(this.#parts) : undefined;
    this.#parts = [];
    this.#size = 0;
    link.settle(delivery, { type: 'accepted' });
    link.addCredit(1);
    if (bytes !== undefined) this.#answer(bytes);
  }

  #answer(bytes: Uint8Array): void {
    let properties: Properties | undefined;
    try {
      properties = propertiesOf(bytes);
    } catch {
      // What cannot be read is nobody's; its client runs out of time.
      return;
    }
    const id = String(plainOf(properties?.correlationId ?? null));
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    if ('done' in pending) {
      pending.done(bytes);
      return;
    }
    const { client, replyTo, correlationId } = pending;
    this.#answers
      .get(client)
      ?.for(replyTo)
      ?.send(withProperties(bytes, { ...properties, correlationId, to: replyTo }));
  }

  onDetach(link: Link, error: AmqpErrorFields | undefined): void {
    link.detach();
    this.#end(error ?? LOST);
  }

  onLost(): void {
    // What ended the connection ends links of others only: they come back.
    this.#end(LOST);
  }

  /** @param error - what clients are told; undefined where the last of them has gone */
  #end(error: AmqpErrorFields | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isOpen = false;
    this.#onOver();
    const session = this.#session;
    if (session !== undefined && this.#options.connection.isOpen) session.end();
    this.#release?.(error);
    const told = error ?? LOST;
    for (const { link } of this.#joining) link.refuse(told);
    this.#joining = [];
    for (const link of this.#clients) link.detach(told);
    this.#clients.clear();
    this.#answers.clear();
    this.#owners.clear();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const request of pending) if ('done' in request) request.done(told);
  }
}

/** @throws RemoteProtocolError where the message is malformed */
function propertiesOf(message: Uint8Array): Properties | undefined {
  const span = sectionsOf(message).find(({ code }) => code === SECTION.properties);
  return span === undefined ? undefined : (decodeMessage(message, span.start, span.end).properties as Properties);
}

/** The message with other properties; all other sections are the same bytes. */
function withProperties(message: Uint8Array, properties: PropertiesFields): Uint8Array {
  const sections = sectionsOf(message);
  const before = sections.filter(({ code }) => code < SECTION.properties).at(-1)?.end ?? 0;
  const after = sections.find(({ code }) => code > SECTION.properties)?.start ?? message.length;
  return joined([message.subarray(0, before), encodeMessage({ properties }), message.subarray(after)]);
}

/** Requests about what was received say on which link. */
const LINK_NAME = 'associated-link-name';

function withLinkName(message: Uint8Array, nameOf: (name: string) => string): Uint8Array {
  const span = sectionsOf(message).find(({ code }) => code === SECTION.applicationProperties);
  if (span === undefined) return message;
  const { applicationProperties } = decodeMessage(message, span.start, span.end);
  const name = plainOf(applicationProperties?.get(LINK_NAME));
  if (applicationProperties === undefined || typeof name !== 'string') return message;
  const changed = encodeMessage({ applicationProperties: new Map(applicationProperties).set(LINK_NAME, nameOf(name)) });
  return joined([message.subarray(0, span.start), changed, message.subarray(span.end)]);
}
