// SPDX-License-Identifier: Apache-2.0
import { createHmac } from 'node:crypto';
import {
  Connection,
  type ConnectionEnd,
  type ConnectionHandler,
  type ConnectionOptions,
  type IncomingDelivery,
  type OutgoingDelivery,
  type ProtocolEndpoint,
  type ReceiverHandler,
  type ReceiverLink,
  type SenderHandler,
  type SenderLink,
  type Session,
  type TransferFrame,
} from '@pointsman/engine';
import {
  decodeMessage,
  encodeMessage,
  plainOf,
  symbol,
  type AmqpErrorFields,
  type AmqpValue,
  type Attach,
  type DeliveryState,
  type Message,
  type Open,
} from '@pointsman/wire';
import {
  Administration,
  Namespace,
  type AdminResponse,
  type Journal,
  type NamespaceHost,
  type NamespaceOptions,
} from '../src/index.js';
import { seededRandom, VirtualClock } from './virtual-clock.js';

const HOSTNAME = 'example.servicebus.windows.net';

export const POLICIES = [
  { name: 'root', key: 'root-key', rights: ['Manage'] },
  { name: 'sender', key: 'sender-key', rights: ['Send'] },
  { name: 'listener', key: 'listener-key', rights: ['Listen'] },
] as const;

/** 2026-01-01, at which the virtual clock showed 0. */
export const TIME_ORIGIN = 1_767_225_600_000;

/** A namespace and its clients in one process, under one virtual clock, without sockets. */
export class Harness {
  readonly clock: VirtualClock = new VirtualClock();
  readonly namespace: Namespace;
  readonly log: string[] = [];
  readonly administration: Administration;
  #pairs: { client: Client; server: ProtocolEndpoint }[] = [];

  constructor(
    options: NamespaceOptions = {},
    journal?: Journal,
    readEntraToken?: NonNullable<NamespaceHost['readEntraToken']>,
  ) {
    const host: NamespaceHost = {
      clock: this.clock,
      timeOrigin: TIME_ORIGIN,
      random: seededRandom(3),
      hmacSha256: (key, text) => createHmac('sha256', key).update(text).digest('base64'),
      log: (_level, text) => this.log.push(text),
      ...(journal === undefined ? {} : { journal }),
      ...(readEntraToken === undefined ? {} : { readEntraToken }),
    };
    this.namespace = new Namespace(
      {
        hostname: HOSTNAME,
        policies: POLICIES,
        queues: [{ name: 'orders' }],
        topics: [{ name: 'news', subscriptions: [{ name: 'all' }] }],
        ...options,
      },
      host,
    );
    this.administration = new Administration(this.namespace, host, HOSTNAME);
    if (journal !== undefined) this.namespace.broker.restore(new Map(), journal, this.clock.now());
  }

  /** Asks the management API, with the right to. @param inner - the description, where one goes with it */
  administer(method: string, path: string, inner = '', headers: Record<string, string> = {}): AdminResponse {
    const token = sasToken(`https://${HOSTNAME}/`, 'root', 'root-key', (TIME_ORIGIN + this.clock.now()) / 1000 + 60);
    const body = inner === '' ? '' : `<entry><content>${inner}</content></entry>`;
    const answer = this.administration.handle({
      method,
      target: `/${path}`,
      headers: { authorization: token, ...headers },
      body,
    });
    this.run();
    return answer;
  }

  /** Connects with PLAIN, or ANONYMOUS where no user is given, and carries bytes until both are silent. */
  connect(options: { user?: string; key?: string; secure?: boolean } & Partial<ConnectionOptions> = {}): Client {
    const { user, key, secure, ...more } = options;
    const client = new Client(this, {
      role: 'client',
      containerId: `client-${this.#pairs.length}`,
      now: this.clock.now(),
      hostname: 'example.servicebus.windows.net',
      saslClient:
        user === undefined
          ? { mechanisms: ['ANONYMOUS'] }
          : { mechanisms: ['PLAIN'], username: user, password: () => key ?? `${user}-key` },
      ...more,
    });
    this.#pairs.push({ client, server: this.namespace.accept({ secure: secure ?? true, peer: 'test' }) });
    this.run();
    return client;
  }

  run(): void {
    for (let busy = true; busy;) {
      busy = false;
      for (const { client, server } of this.#pairs) {
        busy = this.#carry(client.connection, server) || this.#carry(server, client.connection) || busy;
      }
    }
  }

  #carry(from: ProtocolEndpoint, to: ProtocolEndpoint): boolean {
    const now = this.clock.now();
    const buffers = from.takeOutput(now);
    if (buffers !== undefined) {
      for (const buffer of buffers) if (!to.done) to.receive(Uint8Array.from(buffer), now);
      from.releaseOutput(buffers, now);
    }
    if (from.done && !this.#ended.has(from)) {
      this.#ended.add(from);
      to.receiveEnd(now);
      return true;
    }
    return buffers !== undefined;
  }

  readonly #ended = new Set<ProtocolEndpoint>();

  /** Lets time pass, waking everyone when they asked to be woken. */
  advance(ms: number): void {
    const end = this.clock.now() + ms;
    while (this.clock.now() < end) {
      const next = Math.min(
        end,
        this.clock.now() + 1000,
        ...this.#endpoints().map((endpoint) => endpoint.deadline() ?? Infinity),
      );
      this.clock.advance(Math.max(1, next - this.clock.now()));
      for (const endpoint of this.#endpoints()) if (!endpoint.done) endpoint.tick(this.clock.now());
      this.run();
    }
  }

  #endpoints(): ProtocolEndpoint[] {
    return this.#pairs.flatMap(({ client, server }) => [client.connection, server]);
  }
}

/** A client of the namespace. Everything that it is told is written down. */
export class Client implements ConnectionHandler {
  readonly connection: Connection;
  readonly #harness: Harness;
  open: Open | undefined;
  end: ConnectionEnd | undefined;
  sessionEnd: AmqpErrorFields | undefined;
  #links = 0;

  constructor(harness: Harness, options: ConnectionOptions) {
    this.#harness = harness;
    this.connection = new Connection(options, this);
  }

  onOpen(connection: Connection, open: Open): void {
    this.open = open;
    connection.open();
  }
  onBegin(): void {
    /* the client begins, the service answers */
  }
  onEnd(_session: Session, error: AmqpErrorFields | undefined): void {
    this.sessionEnd = error;
  }
  onAttach(link: SenderLink | ReceiverLink): void {
    link.refuse({ condition: 'amqp:not-allowed' });
  }
  onClosed(_connection: Connection, end: ConnectionEnd): void {
    this.end = end;
  }

  /** How the connection ended: who, condition and text; empty while it lives. */
  get ending(): string {
    return this.end === undefined
      ? ''
      : `${this.end.by} ${this.end.error?.condition ?? ''}: ${this.end.error?.description ?? ''}`;
  }

  get session(): Session {
    return this.connection.sessions[0] ?? this.connection.session();
  }

  /** Attaches a link that sends. */
  sender(
    address: string | undefined,
    parameters: Parameters<Session['attachSender']>[2] & { name?: string; session?: Session } = {},
  ): TestSender {
    const { name, session, ...more } = parameters;
    const sender = new TestSender(this.#harness);
    sender.link = (session ?? this.session).attachSender(name ?? `out-${this.#links++}`, sender, {
      source: { type: 'source' },
      target: address === undefined ? undefined : { type: 'target', address },
      ...more,
    });
    this.#harness.run();
    return sender;
  }

  /** Attaches a link that receives, with credit. Peek-lock with confirmations unless told otherwise. */
  receiver(
    address: string,
    credit = 0,
    parameters: Parameters<Session['attachReceiver']>[2] & { name?: string; session?: Session } = {},
  ): TestReceiver {
    const { name, session, ...more } = parameters;
    const receiver = new TestReceiver(this.#harness);
    receiver.link = (session ?? this.session).attachReceiver(name ?? `in-${this.#links++}`, receiver, {
      source: { type: 'source', address },
      target: { type: 'target' },
      sndSettleMode: 0,
      rcvSettleMode: 1,
      ...more,
    });
    this.#harness.run();
    if (credit > 0 && receiver.detached === undefined) receiver.credit(credit);
    return receiver;
  }

  /** A request and its answer on `$cbs` or a `$management` node. The links stay. */
  requester(node: string): (properties: Record<string, AmqpValue>, body: AmqpValue, messageId?: AmqpValue) => Message {
    const answers = this.receiver(node, 100, { target: { type: 'target', address: 'replies' } });
    const requests = this.sender(node);
    return (properties, body, messageId = 'id-1') => {
      requests.send({
        properties: { messageId, replyTo: 'replies' },
        applicationProperties: new Map(Object.entries(properties)),
        body: { kind: 'value', value: body },
      });
      const answer = answers.messages.pop();
      if (answer === undefined) throw new Error('no answer came');
      return answer;
    };
  }
}

export class TestSender implements SenderHandler {
  link!: SenderLink;
  attached: Attach | undefined;
  detached: AmqpErrorFields | undefined;
  readonly outcomes: DeliveryState[] = [];
  readonly #harness: Harness;

  constructor(harness: Harness) {
    this.#harness = harness;
  }

  /** Sends a message, or raw bytes, and lets everything happen. @returns what it came to, where that was told */
  send(
    message: Message | Uint8Array,
    options: { settled?: boolean; format?: number; state?: DeliveryState } = {},
  ): DeliveryState | undefined {
    const bytes = message instanceof Uint8Array ? message : encodeMessage(message);
    this.outcomes.length = 0;
    this.link.send(
      undefined,
      options.format ?? 0,
      options.settled ?? false,
      undefined,
      bytes,
      0,
      bytes.length,
      true,
      options.state,
    );
    let sent = this.link.sentBytes;
    this.#harness.run();
    while (sent < bytes.length && this.link.state === 'attached') {
      sent += this.link.resume(bytes, sent, bytes.length, true);
      this.#harness.run();
    }
    return this.outcomes[0];
  }

  text(body: string): DeliveryState | undefined {
    return this.send({ body: { kind: 'value', value: body } });
  }

  onAttached(_link: unknown, attach: Attach): void {
    this.attached = attach;
  }
  onSendable(): void {
    /* tests send by hand */
  }
  onDisposition(link: SenderLink, delivery: OutgoingDelivery, state: DeliveryState | undefined): void {
    if (state !== undefined) this.outcomes.push(state);
    link.settle(delivery);
  }
  onDetach(link: { detach(): void }, error: AmqpErrorFields | undefined): void {
    this.detached = error ?? { condition: 'none' };
    link.detach();
  }
  onLost(_link: unknown, error: AmqpErrorFields | undefined): void {
    this.detached ??= error ?? { condition: 'lost' };
  }
}

export interface Received {
  readonly delivery: IncomingDelivery;
  readonly tag: Uint8Array;
  readonly message: Message;
  readonly body: AmqpValue;
  /** What the service answered to a disposition that was not settled. */
  answer: { state: DeliveryState | undefined; settled: boolean } | undefined;
}

export class TestReceiver implements ReceiverHandler {
  link!: ReceiverLink;
  attached: Attach | undefined;
  detached: AmqpErrorFields | undefined;
  readonly received: Received[] = [];
  flows: { credit: number; drain: boolean }[] = [];
  #parts: Buffer[] = [];
  #tag: Uint8Array = new Uint8Array(0);
  readonly #harness: Harness;

  constructor(harness: Harness) {
    this.#harness = harness;
  }

  get messages(): Message[] {
    return this.received.map(({ message }) => message);
  }
  get bodies(): AmqpValue[] {
    return this.received.map(({ body }) => body);
  }
  /** The latest. */
  get last(): Received {
    const last = this.received.at(-1);
    if (last === undefined) throw new Error('nothing was received');
    return last;
  }

  credit(count: number): this {
    this.link.addCredit(count);
    this.#harness.run();
    return this;
  }

  /** Tells an outcome; unsettled, so that the service confirms. @returns the confirmation */
  say(received: Received, state: DeliveryState): Received['answer'] {
    received.answer = undefined;
    this.link.update(received.delivery, state);
    this.#harness.run();
    return received.answer;
  }

  settle(received: Received, state: DeliveryState | undefined): void {
    this.link.settle(received.delivery, state);
    this.#harness.run();
  }

  onAttached(_link: unknown, attach: Attach): void {
    this.attached = attach;
  }
  onTransfer(_link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    if (this.#parts.length === 0) this.#tag = frame.tag();
    this.#parts.push(Buffer.from(frame.bytes.slice(frame.payloadStart, frame.payloadEnd)));
    if (!delivery.complete) return;
    const message = decodeMessage(new Uint8Array(Buffer.concat(this.#parts)));
    this.#parts = [];
    const body = message.body?.kind === 'value' ? message.body.value : null;
    this.received.push({ delivery, tag: this.#tag, message, body, answer: undefined });
  }
  onRemoteState(
    _link: ReceiverLink,
    delivery: IncomingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const received = this.received.find((other) => other.delivery === delivery);
    if (received !== undefined) received.answer = { state, settled };
  }
  onFlow(_link: unknown, frame: { linkCredit: number; drain: boolean }): void {
    this.flows.push({ credit: frame.linkCredit, drain: frame.drain });
  }
  onDetach(link: { detach(): void }, error: AmqpErrorFields | undefined): void {
    this.detached = error ?? { condition: 'none' };
    link.detach();
  }
  onLost(_link: unknown, error: AmqpErrorFields | undefined): void {
    this.detached ??= error ?? { condition: 'lost' };
  }
}

/** A SAS token as the cloud's algorithm makes it. */
export function sasToken(resource: string, policy: string, key: string, expiresAtSeconds: number): string {
  const encoded = encodeURIComponent(resource);
  const signature = createHmac('sha256', key).update(`${encoded}\n${expiresAtSeconds}`).digest('base64');
  return `SharedAccessSignature sr=${encoded}&sig=${encodeURIComponent(signature)}&se=${expiresAtSeconds}&skn=${policy}`;
}

export function conditionOf(state: DeliveryState | undefined): string | undefined {
  if (state === undefined || !('type' in state)) return undefined;
  return state.type === 'rejected' ? `rejected ${state.error?.condition ?? ''}`.trim() : state.type;
}

export const annotation = (received: Received, name: string): AmqpValue | undefined =>
  received.message.messageAnnotations?.get(name);
export const numberIn = (value: AmqpValue | undefined): number => Number(plainOf(value));
export const symbolKey = (name: string): AmqpValue => symbol(name);
