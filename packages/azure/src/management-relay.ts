// SPDX-License-Identifier: Apache-2.0
import { ReceiverLink } from '@pointsman/engine';
import type {
  Clock,
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
import { LocalProtocolError, plainOf } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Attach, DeliveryState, Properties } from '@pointsman/wire';
import { entityAddressOf } from './entity-address.js';
import { doorOf } from './front-door.js';
import {
  propertiesOf,
  refusalOf,
  hubQuestion,
  isByLockToken,
  sessionIdsOf,
  sessionLockLost,
  withLinkName,
  withProperties,
  withSecurityToken,
} from './management-request.js';
import { AnswerLinks, acceptRequests } from './request-links.js';
import { attachPair } from './request-pair.js';
import type { RequestPair } from './request-pair.js';
import { Secret } from './secret.js';
import type { Holder, SessionHolders } from './session-holders.js';
import type { NodeTally, SharedNode } from './shared-node.js';
import { MessageReader, MessageWriter } from './whole-messages.js';

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
  /** Whose the message sessions are. */
  readonly sessions: SessionHolders;
  /** A token for an event hub, in place of the one that a client gives with a request; undefined where there are none. */
  readonly tokenFor?: ((hub: string) => Promise<string>) | undefined;
  readonly clock: Clock;
}

/** Requests of a client that may be on their way to us. */
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
/** Of what waits one client may have so much: a part, so that there is room for others. */
const CLIENT_SHARE = 1 / 4;
/** Clients' links to one node. */
const LINKS_MAX = 10_000;

const LOST: AmqpErrorFields = {
  condition: 'amqp:link:detach-forced',
  description: 'The link to the namespace was lost.',
};

/** Why a request has no answer. */
export interface NoAnswer {
  readonly error: AmqpErrorFields;
  /** The service has not taken it: nothing was done. Otherwise nobody knows. */
  readonly isUntaken: boolean;
}

/** The router as one of the clients of a node. */
export interface OwnRequests {
  /** The pair of links has gone: nothing can be asked any more. */
  readonly isOver: boolean;
  /**
   * @param request - a message without properties
   * @param done - called once, and not at once, with the answer, or why there is none; not after {@link leave}
   */
  ask(request: Uint8Array, done: (answer: Uint8Array | NoAnswer) => void): void;
  leave(): void;
}

/** A client of the node: a connection. */
class RelayClient {
  readonly connection: Connection;
  /** As whom it has message sessions. */
  readonly holder: Holder;
  readonly answers = new AnswerLinks();
  links = 0;
  /** Ids of its requests without an answer, oldest first. */
  readonly pending = new Set<string>();
  waiting = 0;
  waitingBytes = 0;

  constructor(connection: Connection, holder: Holder) {
    this.connection = connection;
    this.holder = holder;
  }
}

/** A request on its way: who is to have the answer, and under which id. */
interface Pending {
  readonly client: RelayClient;
  readonly replyTo: string | undefined;
  readonly correlationId: AmqpValue | undefined;
}

/** A request of our own. */
interface OwnPending {
  readonly owner: OwnRequests;
  readonly done: (answer: Uint8Array | NoAnswer) => void;
}

/** A request that waits for room. */
interface Waiting {
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly client: RelayClient | undefined;
}

/** One node, one pair of links there. Over with its last client, and with the pair: the next link makes another. */
export class ManagementRelay implements SenderHandler, ReceiverHandler {
  readonly #options: ManagementRelayOptions;
  readonly #address: string;
  readonly #entity: string;
  readonly #tally: NodeTally;
  readonly #holderOf: (client: Connection) => Holder;
  readonly #onOver: () => void;
  #release: ((error?: AmqpErrorFields) => void) | undefined;
  #session: Session | undefined;
  #pair: RequestPair | undefined;
  /** Attaches that wait until the pair is there. */
  readonly #joining = new Map<SenderLink | ReceiverLink, Attach>();
  readonly #links = new Set<Link>();
  readonly #clients = new Map<Connection, RelayClient>();
  readonly #pending = new Map<string, Pending | OwnPending>();
  readonly #owners = new Set<OwnRequests>();
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  readonly #writer = new MessageWriter();
  readonly #reader = new MessageReader(ANSWER_SIZE_MAX);
  #ids = 0;
  #isOpen = false;
  #isOver = false;
  #isStarted = false;

  /** @param holderOf - as whom a connection has message sessions */
  constructor(
    options: ManagementRelayOptions,
    address: string,
    tally: NodeTally,
    holderOf: (client: Connection) => Holder,
    onOver: () => void,
  ) {
    this.#options = options;
    this.#holderOf = holderOf;
    this.#address = address;
    this.#entity = entityAddressOf(address).owner;
    this.#tally = tally;
    this.#onOver = onOver;
  }

  get state(): SharedNode {
    return {
      address: this.#address,
      state: this.#isOpen ? 'attached' : 'attaching',
      clients: this.#clients.size + (this.#owners.size > 0 ? 1 : 0),
      waiting: this.#waiting.length,
      // What waits for clients that have gone is sent all the same, and nobody is to be answered.
      underWay: Math.max(0, this.#pending.size - this.#waiting.length),
      ...this.#tally.counts,
    };
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
    const release = authorize(this.#entity === '' ? '' : this.#address, (error) => {
      if (error === undefined) this.#attach();
      else this.#end(error);
    });
    this.#release = release;
    if (this.#isOver) release();
  }

  // ---- requests of our own ----

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
    const id = this.#nextId();
    const properties = { messageId: id, to: this.#address, replyTo: this.#options.name };
    this.#pending.set(id, { owner, done });
    this.#tally.requests += 1;
    this.#enqueue({ id, bytes: withProperties(request, properties), client: undefined });
  }

  // ---- clients ----

  take(link: SenderLink | ReceiverLink, attach: Attach): void {
    if (this.#links.size + this.#joining.size >= LINKS_MAX) {
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
    this.#joining.set(link, attach);
    link.handler = {
      onDetach: (gone: Link) => {
        gone.detach();
        this.#joining.delete(link);
        this.#endUnused();
      },
      onLost: () => {
        this.#joining.delete(link);
        this.#endUnused();
      },
    } as unknown as SenderLink['handler'] & ReceiverLink['handler'];
  }

  #join(link: SenderLink | ReceiverLink, attach: Attach): void {
    const { connection } = link.session;
    const client = this.#clients.get(connection) ?? new RelayClient(connection, this.#holderOf(connection));
    this.#clients.set(connection, client);
    client.links += 1;
    this.#links.add(link);
    if (link instanceof ReceiverLink)
      acceptRequests(link, attach, {
        take: (request) => this.#ask(client, request),
        answers: client.answers,
        onGone: () => this.#leave(client, link),
        sizeMax: REQUEST_SIZE_MAX,
        credit: CREDIT,
      });
    else
      client.answers.accept(link, attach, () => {
        // Nobody is there any more to be answered.
        if (client.answers.size === 0) this.#forget(client);
        this.#leave(client, link);
      });
  }

  #forget(client: RelayClient): void {
    for (const id of client.pending) this.#pending.delete(id);
    client.pending.clear();
  }

  #leave(client: RelayClient, link: Link): void {
    if (!this.#links.delete(link)) return;
    client.links -= 1;
    if (client.links === 0) {
      this.#forget(client);
      this.#clients.delete(client.connection);
    }
    this.#endUnused();
  }

  #endUnused(): void {
    if (this.#links.size + this.#joining.size + this.#owners.size === 0) this.#end(undefined);
  }

  /** @returns why the request is not taken, or undefined where it is: then there is an answer, of the service or of ours */
  #ask(client: RelayClient, request: Uint8Array): AmqpErrorFields | undefined {
    const { connection } = client;
    const { linkNameOf, sessions } = this.#options;
    const properties = propertiesOf(request);
    const { replyTo, messageId } = properties ?? {};
    const correlationId = messageId ?? properties?.correlationId;
    const answers = client.answers.for(replyTo);
    if (answers === undefined)
      return {
        condition: 'amqp:not-found',
        description: `this connection has no link for the answer: attach one that receives from '${this.#address.slice(0, 400)}' first`,
      };
    const busy = this.#isTooMuch(client, request.length);
    if (busy !== undefined) return busy;
    this.#tally.requests += 1;
    const ids = sessionIdsOf(request);
    const missing =
      ids.length > 0 && isByLockToken(request)
        ? ids.find((id) => sessions.isHeldByOther(this.#entity, id, client.holder))
        : ids.find((id) => !sessions.isHeldBy(this.#entity, id, client.holder));
    if (missing !== undefined) {
      // To the service it is our connection that holds the session: whose it is, only we know.
      this.#tally.refused += 1;
      answers.send(refusalOf(sessionLockLost(missing), { correlationId, to: replyTo }));
      return undefined;
    }
    const asked = hubQuestion(request);
    const token = asked?.token === undefined ? undefined : new Secret(asked.token);
    const refusal = asked && doorOf(connection)?.refusalOf(asked.hub, token);
    if (refusal !== undefined) {
      this.#tally.refused += 1;
      const error = { condition: 'amqp:unauthorized-access', description: refusal };
      answers.send(refusalOf(error, { correlationId, to: replyTo }));
      return undefined;
    }
    const id = this.#nextId();
    if (this.#pending.size >= PENDING_MAX) this.#dropOldest();
    this.#pending.set(id, { client, replyTo, correlationId });
    client.pending.add(id);
    const ours = { ...properties, messageId: id, correlationId: undefined, replyTo: this.#options.name };
    const bytes = withLinkName(withProperties(request, ours), (name) => linkNameOf(connection, name));
    if (asked?.token === undefined) this.#enqueue({ id, bytes, client });
    else this.#replaceToken({ id, bytes, client }, asked.hub);
    return undefined;
  }

  /** The client's token is for the router: what goes on has one of the router's own, where there is a key to make one. */
  #replaceToken(request: Waiting, hub: string): void {
    const { tokenFor } = this.#options;
    const send = (token: string | undefined): void => {
      // The client, or the pair, may have gone meanwhile.
      if (this.#isOver || !this.#pending.has(request.id)) return;
      this.#enqueue({ ...request, bytes: withSecurityToken(request.bytes, token) });
    };
    if (tokenFor === undefined) send(undefined);
    // Without a token the service says itself what is missing.
    else tokenFor(hub).then(send, () => send(undefined));
  }

  #isTooMuch(client: RelayClient, bytes: number): AmqpErrorFields | undefined {
    const isFull = this.#waiting.length >= WAITING_MAX || this.#waitingBytes + bytes > WAITING_BYTES_MAX;
    const isGreedy =
      client.waiting >= WAITING_MAX * CLIENT_SHARE || client.waitingBytes + bytes > WAITING_BYTES_MAX * CLIENT_SHARE;
    if (!isFull && !isGreedy) return undefined;
    return {
      condition: 'com.microsoft:server-busy',
      description: `${isFull ? this.#waiting.length : client.waiting} requests of ${isFull ? this.#waitingBytes : client.waitingBytes} bytes wait for the namespace already`,
    };
  }

  /** The oldest request of whoever has most of them: its answer has not come while thousands of others did. */
  #dropOldest(): void {
    let most: RelayClient | undefined;
    for (const client of this.#clients.values()) if (client.pending.size > (most?.pending.size ?? 0)) most = client;
    const [oldest] = most?.pending ?? [];
    if (most === undefined || oldest === undefined) return;
    most.pending.delete(oldest);
    this.#pending.delete(oldest);
  }

  #nextId(): string {
    return `${this.#options.name}-${++this.#ids}`;
  }

  #enqueue(request: Waiting): void {
    const { bytes, client } = request;
    this.#waiting.push(request);
    this.#waitingBytes += bytes.length;
    if (client !== undefined) {
      client.waiting += 1;
      client.waitingBytes += bytes.length;
    }
    this.onSendable();
  }

  #dequeue(): Waiting | undefined {
    const request = this.#waiting.shift();
    if (request === undefined) return undefined;
    const { bytes, client } = request;
    this.#waitingBytes -= bytes.length;
    if (client !== undefined) {
      client.waiting -= 1;
      client.waitingBytes -= bytes.length;
    }
    return request;
  }

  // ---- the pair at the namespace ----

  #attach(): void {
    const { connection, name } = this.#options;
    try {
      this.#session = connection.session();
      this.#pair = attachPair(this.#session, this, {
        address: this.#address,
        name,
        credit: ANSWERS_CREDIT,
        sndSettleMode: 1,
      });
    } catch (error) {
      if (!(error instanceof LocalProtocolError)) throw error;
      this.#end({ condition: error.condition, description: error.description });
    }
  }

  onAttached(_link: Link, attach: Attach): void {
    // A refusal is an answer with a null terminus; what it is about follows with the detach.
    if ((attach.role ? attach.target : attach.source) === undefined) return;
    if (this.#isOver || this.#pair?.sender.state !== 'attached' || this.#pair.receiver.state !== 'attached') return;
    this.#isOpen = true;
    const joining = [...this.#joining];
    this.#joining.clear();
    for (const [link, theirs] of joining) this.#join(link, theirs);
  }

  onSendable(): void {
    if (this.#pair === undefined || !this.#isOpen) return;
    this.#writer.write(this.#pair.sender, false, () => {
      const request = this.#dequeue();
      return request === undefined ? undefined : { bytes: request.bytes, context: request.id };
    });
  }

  onDisposition(link: SenderLink, delivery: OutgoingDelivery, state: DeliveryState | undefined): void {
    link.settle(delivery);
    if (state === undefined || !('type' in state) || state.type === 'accepted') return;
    // No answer follows.
    const error = (state.type === 'rejected' ? state.error : undefined) ?? {
      condition: 'com.microsoft:server-busy',
      description: `the namespace did not take the request: ${state.type}`,
    };
    const pending = this.#takePending(String(delivery.context));
    if (pending === undefined) return;
    if ('done' in pending) {
      pending.done({ error, isUntaken: true });
      return;
    }
    const { client, replyTo, correlationId } = pending;
    client.answers.for(replyTo)?.send(refusalOf(error, { correlationId, to: replyTo }));
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    const bytes = this.#reader.read(delivery, frame);
    if (!delivery.complete) return;
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
    const pending = this.#takePending(String(plainOf(properties?.correlationId ?? null)));
    if (pending === undefined) return;
    if ('done' in pending) {
      pending.done(bytes);
      return;
    }
    const { client, replyTo, correlationId } = pending;
    client.answers.for(replyTo)?.send(withProperties(bytes, { ...properties, correlationId, to: replyTo }));
  }

  #takePending(id: string): Pending | OwnPending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (pending !== undefined && 'client' in pending) pending.client.pending.delete(id);
    return pending;
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
    if (error !== undefined) this.#tally.failed(error);
    this.#onOver();
    const session = this.#session;
    if (session !== undefined && this.#options.connection.isOpen) session.end();
    this.#release?.(error);
    const told = error ?? LOST;
    for (const link of this.#joining.keys()) link.refuse(told);
    this.#joining.clear();
    for (const link of this.#links) link.detach(told);
    this.#links.clear();
    this.#clients.clear();
    this.#owners.clear();
    const untaken = new Set(this.#waiting.map(({ id }) => id));
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const [id, request] of pending)
      if ('done' in request) request.done({ error: told, isUntaken: untaken.has(id) });
  }
}
