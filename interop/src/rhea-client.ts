// SPDX-License-Identifier: Apache-2.0
import { until, whenOver } from '@pointsman/testing';
import type { Owner } from '@pointsman/testing';
import type { AddressInfo, Server, Socket } from 'node:net';
import rhea from 'rhea';
import type {
  Connection,
  ConnectionOptions,
  Container,
  Delivery,
  EventContext,
  Message,
  Receiver,
  ReceiverOptions,
  Sender,
  SenderOptions,
  Session,
} from 'rhea';

/** What became of a message that was sent. */
export interface Outcome {
  readonly outcome: 'accepted' | 'rejected' | 'released' | 'modified' | 'lost' | 'settled';
  /** Fields of a rejected or modified outcome. */
  readonly state: Readonly<Record<string, unknown>>;
}

/** A message that arrived. */
export interface Arrival {
  readonly message: Message;
  readonly delivery: Delivery;
}

/** Why a link or a connection was refused or ended by the peer. */
export class RemoteError extends Error {
  readonly condition: string;
  readonly description: string;

  constructor(condition: string, description: string) {
    super(`${condition}: ${description}`);
    this.condition = condition;
    this.description = description;
  }
}

interface ErrorFields {
  readonly condition?: string;
  readonly description?: string;
}

function remoteError(error: unknown): RemoteError {
  const { condition = 'none', description = '' } = (error ?? {}) as ErrorFields;
  return new RemoteError(condition, description);
}

const OUTCOMES = ['accepted', 'rejected', 'released', 'modified'] as const;

/** A connection of the rhea library, with promises around its events. */
export class RheaClient {
  readonly container: Container;
  readonly connection: Connection;
  /** Why the peer closed the connection, where it did with an error. */
  error: RemoteError | undefined;
  isConnected = false;

  private constructor(container: Container, connection: Connection) {
    this.container = container;
    this.connection = connection;
  }

  /**
   * Connects to a port of 127.0.0.1; the connection is closed with its owner. Without a user name there is no SASL layer.
   *
   * @throws RemoteError where the peer refuses; Error where it cannot be reached
   */
  static async connect(owner: Owner, port: number, options: Partial<ConnectionOptions> = {}): Promise<RheaClient> {
    const container = rhea.create_container();
    const connection = container.connect({
      host: '127.0.0.1',
      port,
      reconnect: false,
      tcp_no_delay: true,
      ...options,
    } as never);
    const client = new RheaClient(container, connection);
    let failure: Error | undefined;
    connection.on('connection_open', () => {
      client.isConnected = true;
    });
    connection.on('connection_error', (context: EventContext) => {
      client.error = remoteError(context.connection.error);
    });
    connection.on('connection_close', () => {
      client.isConnected = false;
    });
    connection.on('error', (error: Error) => {
      failure ??= error;
    });
    connection.on('protocol_error', (error: Error) => {
      failure ??= error;
    });
    connection.on('disconnected', (context: EventContext) => {
      client.isConnected = false;
      failure ??= context.error instanceof Error ? context.error : new Error('disconnected');
    });
    whenOver(owner, () => client.close());
    await until(`rhea to connect to port ${port}`, () => {
      if (client.error !== undefined) throw client.error;
      if (failure !== undefined && !client.isConnected) throw failure;
      return client.isConnected;
    });
    return client;
  }

  /** A session of its own for further links. */
  session(): Session {
    const session = this.connection.create_session();
    session.begin();
    return session;
  }

  /** Attaches a sender, and waits until the peer has. @throws RemoteError where it refuses */
  async sender(target: string | SenderOptions, session?: Session): Promise<RheaSender> {
    const options: SenderOptions = typeof target === 'string' ? { target: { address: target } } : target;
    // By default the library says 'released' where the peer said 'modified'.
    const link = (session ?? this.connection).open_sender({ treat_modified_as_released: false, ...options } as never);
    const sender = new RheaSender(link);
    await sender.opened();
    return sender;
  }

  /** Attaches a receiver, and waits until the peer has. @throws RemoteError where it refuses */
  async receiver(source: string | ReceiverOptions, session?: Session): Promise<RheaReceiver> {
    const options: ReceiverOptions = typeof source === 'string' ? { source: { address: source } } : source;
    const link = (session ?? this.connection).open_receiver(options as never);
    const receiver = new RheaReceiver(link);
    await receiver.opened();
    return receiver;
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.isConnected = false;
    // Without an error the library would not notice, and go on with its heartbeats.
    (this.connection as unknown as { socket: Socket }).socket.destroy(new Error('cut'));
  }

  async close(): Promise<void> {
    if (!this.isConnected) return;
    this.connection.close();
    await until('the connection of rhea to close', () => !this.isConnected);
  }
}

abstract class RheaLink<L extends Sender | Receiver> {
  readonly link: L;
  error: RemoteError | undefined;
  isOpen = false;
  isClosed = false;

  constructor(link: L, kind: 'sender' | 'receiver') {
    this.link = link;
    link.on(`${kind}_open`, () => {
      this.isOpen = true;
    });
    link.on(`${kind}_error`, () => {
      this.error = remoteError(link.error);
    });
    link.on(`${kind}_close`, () => {
      this.isClosed = true;
    });
  }

  /** @throws RemoteError where the link is refused: attached with a null terminus, then detached */
  async opened(): Promise<void> {
    const isRefusal = (): boolean => {
      const { source, target } = this.link as unknown as { source?: object | null; target?: object | null };
      return ((this.link.is_receiver() ? source : target) ?? null) === null;
    };
    await until('a link to be attached', () => {
      if (this.error !== undefined) throw this.error;
      if (this.isClosed) throw new RemoteError('none', 'closed without a reason');
      const { connection } = this.link;
      if (!connection.is_open()) throw remoteError(connection.error);
      return this.isOpen && !isRefusal();
    });
  }

  /** Waits until the peer has ended the link with an error. */
  async failed(): Promise<RemoteError> {
    return until('the peer to end the link with an error', () => this.error);
  }

  /** Detaches for good, and waits for the answer. */
  async close(): Promise<void> {
    this.link.close();
    await until('a link to be closed', () => this.isClosed || !this.link.connection.is_open());
  }
}

export class RheaSender extends RheaLink<Sender> {
  /** Settled by outcome, in the order of settlement. */
  readonly settled: Outcome[] = [];
  readonly #waiting = new Map<Delivery, (outcome: Outcome) => void>();

  constructor(link: Sender) {
    super(link, 'sender');
    for (const outcome of OUTCOMES) {
      link.on(outcome, ({ delivery }: EventContext) => {
        if (delivery !== undefined) this.#settle(delivery, outcome);
      });
    }
    link.on('settled', ({ delivery }: EventContext) => {
      if (delivery !== undefined) this.#settle(delivery, 'settled');
    });
  }

  #settle(delivery: Delivery, outcome: Outcome['outcome']): void {
    const done = this.#waiting.get(delivery);
    if (done === undefined) return;
    this.#waiting.delete(delivery);
    const settled = { outcome, state: (delivery.remote_state ?? {}) as Record<string, unknown> };
    this.settled.push(settled);
    done(settled);
  }

  get credit(): number {
    return (this.link as unknown as { credit: number }).credit;
  }

  /** Messages that were sent and have no outcome yet. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** Sends as soon as there is credit. @returns a promise of the outcome */
  async send(message: Message): Promise<Outcome> {
    await until('credit to send', () => {
      if (this.error !== undefined) throw this.error;
      return this.link.sendable();
    });
    return this.sendNow(message);
  }

  /** Sends at once: {@link Sender.sendable} was asked. */
  sendNow(message: Message): Promise<Outcome> {
    return new Promise((resolve) => {
      this.#waiting.set(this.link.send(message), resolve);
    });
  }

  /** Sends a message settled: there will be no outcome. */
  async sendSettled(message: Message): Promise<void> {
    await until('credit to send', () => this.link.sendable());
    const delivery = this.link.send(message) as Delivery & { settled: boolean };
    delivery.settled = true;
  }

  /** Sends all, in order, as credit allows. @returns their outcomes, in order */
  async sendAll(messages: Iterable<Message>): Promise<Outcome[]> {
    const outcomes: Promise<Outcome>[] = [];
    for (const message of messages) {
      if (!this.link.sendable()) await until('credit to send', () => this.link.sendable());
      outcomes.push(this.sendNow(message));
    }
    return Promise.all(outcomes);
  }
}

export class RheaReceiver extends RheaLink<Receiver> {
  readonly arrivals: Arrival[] = [];
  drained = false;
  /** Deliveries that the sender settled after our outcome. */
  settledBySender = 0;
  #taken = 0;

  constructor(link: Receiver) {
    super(link, 'receiver');
    link.on('message', ({ message, delivery }: EventContext) => {
      this.arrivals.push({ message: message!, delivery: delivery! });
    });
    link.on('receiver_drained', () => {
      this.drained = true;
    });
    link.on('settled', () => {
      this.settledBySender++;
    });
  }

  get address(): string {
    return this.link.source.address;
  }

  get bodies(): unknown[] {
    return this.arrivals.map(({ message }) => message.body as unknown);
  }

  /** The next message. */
  async next(): Promise<Arrival> {
    const arrival = await until('a message', () => this.arrivals[this.#taken] ?? this.#ifAttached());
    this.#taken++;
    return arrival;
  }

  /** Resolves when `count` messages have arrived. */
  async received(count: number): Promise<readonly Arrival[]> {
    await until(`${count} messages`, () => this.arrivals.length >= count || this.#ifAttached(), {
      state: () => this.arrivals.length,
    });
    return this.arrivals;
  }

  /** @throws RemoteError where the peer has ended the link: then nothing more will come */
  #ifAttached(): false {
    if (this.error !== undefined) throw this.error;
    return false;
  }
}

/** Certificate and key of a server, in PEM: with them it speaks TLS from the first byte. */
export interface ServerSecurity {
  readonly cert: string;
  readonly key: string;
}

/** A server of the rhea library: a container of others that a router connects to. */
export class RheaServer {
  readonly container: Container;
  readonly port: number;
  readonly connections: Connection[] = [];

  private constructor(container: Container, port: number) {
    this.container = container;
    this.port = port;
    container.on('connection_open', ({ connection }: EventContext) => this.connections.push(connection));
    // Peers that go away are part of many tests; without a listener the library would throw.
    for (const event of [
      'disconnected',
      'connection_error',
      'session_error',
      'sender_error',
      'receiver_error',
      'error',
    ]) {
      container.on(event, () => undefined);
    }
  }

  /** Listens on a free port; links are up to the handlers that `setUp` adds to the container. */
  static async listen(
    owner: Owner,
    id: string,
    setUp: (container: Container) => void,
    security?: ServerSecurity,
  ): Promise<RheaServer> {
    const container = rhea.create_container({ id });
    setUp(container);
    const tls = security === undefined ? {} : { transport: 'tls', ...security };
    const server = container.listen({ port: 0, host: '127.0.0.1', ...tls } as never) as Server;
    await until('rhea to listen', () => server.listening);
    whenOver(owner, async () => {
      for (const connection of result.connections) connection.close();
      await new Promise((resolve) => {
        server.close(resolve);
        for (const connection of result.connections)
          (connection as unknown as { socket?: { end(): void } }).socket?.end();
      });
    });
    const result = new RheaServer(container, (server.address() as AddressInfo).port);
    return result;
  }
}
