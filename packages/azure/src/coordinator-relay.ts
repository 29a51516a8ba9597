// SPDX-License-Identifier: Apache-2.0
import type {
  Connection,
  IncomingDelivery,
  Link,
  OutgoingDelivery,
  ReceiverHandler,
  ReceiverLink,
  SenderHandler,
  SenderLink,
  Session,
  TransferFrame,
} from '@pointsman/engine';
import {
  AmqpSymbol,
  DeclareCode,
  Described,
  DischargeCode,
  LocalProtocolError,
  RemoteProtocolError,
  decodeMessage,
  encodeMessage,
  plainOf,
  ulong,
} from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Attach, DeliveryState } from '@pointsman/wire';
import type { Authorize } from './management-relay.js';
import { NodeTally } from './shared-node.js';
import type { SharedNode } from './shared-node.js';
import { MessageReader } from './whole-messages.js';

export interface CoordinatorRelayOptions {
  /** To the namespace. */
  readonly connection: Connection;
  /** Unique for the container: names the link. */
  readonly name: string;
  /** Undefined where nothing but the connection is needed. */
  readonly authorize: Authorize | undefined;
}

/** Declares and discharges that a client may have under way. */
const CREDIT = 100;
/** Bytes of one; both have a few dozen. */
const SIZE_MAX = 65_536;
/** Bytes of a transaction's id. @see OASIS AMQP 1.0, 4.5.2 */
const ID_MAX = 32;
/** Transactions of one client that are known; the service has some hundred at the most, and each for some minutes. */
const OPEN_MAX = 1_000;
/** Clients at one time. */
const CLIENTS_MAX = 10_000;
/** What waits for credit of the service. */
const WAITING_MAX = 10_000;

const LOST: AmqpErrorFields = {
  condition: 'amqp:link:detach-forced',
  description: 'The link to the coordinator of transactions was lost: what was open is rolled back.',
};
const UNKNOWN: DeliveryState = {
  type: 'rejected',
  error: { condition: 'amqp:transaction:unknown-id', description: 'This link has declared no such transaction.' },
};

/** What a client asks of the coordinator. */
type Ask =
  | { readonly kind: 'declare' }
  | { readonly kind: 'discharge'; readonly txnId: Uint8Array; readonly fail: boolean };

/** One that is on its way to the service. */
interface Sent {
  readonly ask: Ask;
  /** Undefined where nobody waits for the outcome. */
  readonly client: CoordinatorClient | undefined;
  readonly delivery: IncomingDelivery | undefined;
}

/**
 * The coordinator of transactions for many clients. The service allows one link to it on a connection: the router has that link, and
 * declares and discharges over it for all of them. What a client leaves open when it goes is rolled back, as it would be at the
 * service.
 */
export class CoordinatorRelay implements SenderHandler {
  readonly #options: CoordinatorRelayOptions;
  readonly #clients = new Set<CoordinatorClient>();
  readonly #tally = new NodeTally();
  #waiting: Sent[] = [];
  /** At the service, and not answered. */
  #underWay = 0;
  #session: Session | undefined;
  #sender: SenderLink | undefined;
  #release: ((error?: AmqpErrorFields) => void) | undefined;
  /** `joining`: clients wait for the answer of the service. */
  #state: 'none' | 'joining' | 'open' = 'none';
  #round = 0;

  constructor(options: CoordinatorRelayOptions) {
    this.#options = options;
  }

  get node(): SharedNode {
    return {
      address: '$coordinator',
      state: this.#state === 'open' ? 'attached' : this.#state === 'joining' ? 'attaching' : 'resting',
      clients: this.#clients.size,
      waiting: this.#waiting.length,
      underWay: this.#underWay,
      ...this.#tally.counts,
    };
  }

  /** Takes a link that a client attaches, where it is to a coordinator. */
  take(link: SenderLink | ReceiverLink, attach: Attach): boolean {
    const { target } = attach;
    if (!link.isReceiver || target === undefined || !('type' in target) || target.type !== 'coordinator') return false;
    if (this.#clients.size >= CLIENTS_MAX) {
      link.refuse({
        condition: 'amqp:resource-limit-exceeded',
        description: `${CLIENTS_MAX} clients have transactions already`,
      });
      return true;
    }
    const client = new CoordinatorClient(link as ReceiverLink, attach, this);
    this.#clients.add(client);
    if (this.#state === 'open') client.accept();
    else if (this.#state === 'none') this.#start();
    return true;
  }

  // ---- what clients do ----

  /** @internal a whole message has come. @returns its outcome, where it goes no further */
  ask(client: CoordinatorClient, delivery: IncomingDelivery, bytes: Uint8Array): DeliveryState | undefined {
    this.#tally.requests += 1;
    const outcome = this.#refusalOf(client, delivery, askOf(bytes));
    if (outcome !== undefined) this.#tally.refused += 1;
    return outcome;
  }

  #refusalOf(
    client: CoordinatorClient,
    delivery: IncomingDelivery,
    ask: Ask | AmqpErrorFields,
  ): DeliveryState | undefined {
    if ('condition' in ask) return { type: 'rejected', error: ask };
    if (ask.kind === 'discharge' && !client.open.has(keyOf(ask.txnId))) return UNKNOWN;
    if (this.#waiting.length >= WAITING_MAX)
      return {
        type: 'rejected',
        error: { condition: 'com.microsoft:server-busy', description: 'too much waits for the coordinator already' },
      };
    this.#waiting.push({ ask, client, delivery });
    this.onSendable();
    return undefined;
  }

  /** @internal the client's link is gone. */
  leave(client: CoordinatorClient): void {
    if (!this.#clients.delete(client)) return;
    if (this.#clients.size === 0) {
      // What is open is rolled back with the link.
      this.#end(undefined);
      return;
    }
    this.#waiting = this.#waiting.filter((sent) => sent.client !== client || sent.ask.kind === 'discharge');
    for (const txnId of client.open.values()) this.#rollBack(txnId);
    client.open.clear();
  }

  #rollBack(txnId: Uint8Array): void {
    this.#waiting.push({ ask: { kind: 'discharge', txnId, fail: true }, client: undefined, delivery: undefined });
    this.onSendable();
  }

  // ---- the link at the service ----

  #start(): void {
    this.#state = 'joining';
    const { authorize } = this.#options;
    if (authorize === undefined) {
      this.#attach();
      return;
    }
    // Any token will do: the entities are those of the transaction.
    const release = authorize('', (error) => {
      if (error === undefined) this.#attach();
      else this.#end(error);
    });
    if (this.#isIdle) release();
    else this.#release = release;
  }

  get #isIdle(): boolean {
    return this.#state === 'none';
  }

  #attach(): void {
    const { connection, name } = this.#options;
    const link = `${name}-${++this.#round}`;
    try {
      this.#session = connection.session();
      this.#sender = this.#session.attachSender(link, this, {
        source: { type: 'source', address: link },
        target: { type: 'coordinator', capabilities: ['amqp:local-transactions'] },
        sndSettleMode: 0,
        rcvSettleMode: 0,
      });
    } catch (error) {
      if (!(error instanceof LocalProtocolError)) throw error;
      this.#end({ condition: error.condition, description: error.description });
    }
  }

  onAttached(link: Link, attach: Attach): void {
    // A refusal is an answer with a null terminus; what it is about follows with the detach.
    if (link !== this.#sender || attach.target === undefined) return;
    this.#state = 'open';
    for (const client of this.#clients) client.accept();
  }

  onSendable(): void {
    const link = this.#sender;
    if (link === undefined || this.#state !== 'open') return;
    while (link.sendable) {
      const sent = this.#waiting.shift();
      if (sent === undefined) return;
      // What clients have said of messages within the transaction comes first; it may be put off still.
      if (sent.ask.kind === 'discharge') for (const session of this.#options.connection.sessions) session.flush();
      // Small enough for one frame, whatever the peer takes.
      const bytes = bytesOf(sent.ask);
      this.#underWay += 1;
      link.send(undefined, 0, false, sent, bytes, 0, bytes.length, true);
    }
  }

  onDisposition(link: SenderLink, outgoing: OutgoingDelivery, state: DeliveryState | undefined): void {
    if (state === undefined) return;
    link.settle(outgoing);
    this.#underWay -= 1;
    const { ask, client, delivery } = outgoing.context as Sent;
    const isThere = client !== undefined && this.#clients.has(client);
    if ('type' in state && state.type === 'declared') {
      if (isThere) client.declared(state.txnId);
      else this.#rollBack(state.txnId);
    }
    if (ask.kind === 'discharge') client?.open.delete(keyOf(ask.txnId));
    if (isThere && delivery !== undefined) client.settle(delivery, state);
  }

  onDetach(link: Link, error: AmqpErrorFields | undefined): void {
    link.detach();
    if (link === this.#sender) this.#end(error ?? LOST);
  }

  onLost(link: Link, error: AmqpErrorFields | undefined): void {
    if (link === this.#sender) this.#end(error ?? LOST);
  }

  /** @param error - what clients are told; undefined where the last of them has gone */
  #end(error: AmqpErrorFields | undefined): void {
    const session = this.#session;
    this.#state = 'none';
    this.#underWay = 0;
    if (error !== undefined) this.#tally.failed(error);
    this.#session = this.#sender = undefined;
    this.#waiting = [];
    if (session !== undefined && this.#options.connection.isOpen) session.end();
    this.#release?.(error);
    this.#release = undefined;
    const clients = [...this.#clients];
    this.#clients.clear();
    for (const client of clients) client.end(error ?? LOST);
  }
}

/** A client's link to the coordinator. */
class CoordinatorClient implements ReceiverHandler {
  readonly link: ReceiverLink;
  /** Ids of what it has declared and not discharged. */
  readonly open: Map<string, Uint8Array> = new Map();
  readonly #attach: Attach;
  readonly #relay: CoordinatorRelay;
  /** Larger ones end the link before they come here: that is in our attach. */
  readonly #reader = new MessageReader();

  constructor(link: ReceiverLink, attach: Attach, relay: CoordinatorRelay) {
    this.link = link;
    this.#attach = attach;
    this.#relay = relay;
    link.handler = this;
  }

  accept(): void {
    this.link.accept(this, {
      source: this.#attach.source ?? { type: 'source' },
      target: this.#attach.target,
      maxMessageSize: BigInt(SIZE_MAX),
    });
    this.link.addCredit(CREDIT);
  }

  /** @internal one has its outcome: there may be another. */
  settle(delivery: IncomingDelivery, outcome: DeliveryState): void {
    this.link.settle(delivery, outcome);
    this.link.addCredit(1);
  }

  /** @internal the service has declared one. */
  declared(txnId: Uint8Array): void {
    const { open } = this;
    const [oldest] = open.keys();
    // Never discharged: the service has rolled it back long since.
    if (oldest !== undefined && open.size >= OPEN_MAX) open.delete(oldest);
    open.set(keyOf(txnId), txnId);
  }

  end(error: AmqpErrorFields): void {
    if (this.link.localAttached) this.link.detach(error);
    else this.link.refuse(error);
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    const bytes = this.#reader.read(delivery, frame);
    if (!delivery.complete) return;
    // What came settled asks for no outcome, and without one there is no transaction.
    if (bytes === undefined || delivery.settled) {
      link.addCredit(1);
      return;
    }
    const outcome = this.#relay.ask(this, delivery, bytes);
    if (outcome !== undefined) this.settle(delivery, outcome);
  }

  onDetach(link: Link): void {
    link.detach();
    this.#relay.leave(this);
  }

  onLost(): void {
    this.#relay.leave(this);
  }
}

function askOf(bytes: Uint8Array): Ask | AmqpErrorFields {
  let value: AmqpValue;
  try {
    const { body } = decodeMessage(bytes);
    value = body?.kind === 'value' ? body.value : null;
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
    return { condition: error.condition, description: error.description };
  }
  const code = value instanceof Described ? codeOf(value.descriptor) : undefined;
  const [id, fail] = value instanceof Described && Array.isArray(value.value) ? value.value : [];
  if (code === DeclareCode) return { kind: 'declare' };
  if (code === DischargeCode && id instanceof Uint8Array && id.length <= ID_MAX)
    return { kind: 'discharge', txnId: id, fail: fail === true };
  return {
    condition: 'amqp:not-implemented',
    description: 'The coordinator takes a declare, or a discharge with the id of a transaction.',
  };
}

function bytesOf(ask: Ask): Uint8Array {
  const value =
    ask.kind === 'declare'
      ? new Described(ulong(DeclareCode), [null])
      : new Described(ulong(DischargeCode), [ask.txnId, ask.fail]);
  return encodeMessage({ body: { kind: 'value', value } });
}

function codeOf(descriptor: AmqpValue): number | undefined {
  if (!(descriptor instanceof AmqpSymbol)) return Number(plainOf(descriptor));
  if (descriptor.value === 'amqp:declare:list') return DeclareCode;
  return descriptor.value === 'amqp:discharge:list' ? DischargeCode : undefined;
}

function keyOf(txnId: Uint8Array): string {
  return txnId.join();
}
