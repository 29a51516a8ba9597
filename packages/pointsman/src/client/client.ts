// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import { Connection } from '@pointsman/engine';
import type {
  ConnectionEnd,
  ConnectionHandler,
  ReceiverLink,
  SaslClientOptions,
  SenderLink,
  Session,
} from '@pointsman/engine';
import { dial, sharedDriver } from '@pointsman/transport';
import type { DialMode, DrivenConnection, StreamInfo, TlsCredentials } from '@pointsman/transport';
import type { AmqpErrorFields, Open, OpenFields } from '@pointsman/wire';
import { ClientError, clientErrorOf } from './client-error.js';
import { deferred, within } from './deferred.js';
import { Receiver } from './receiver.js';
import type { DeliveryHandler, ReceiverOptions } from './receiver.js';
import { Sender } from './sender.js';
import type { SenderOptions } from './sender.js';

export interface ConnectOptions {
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** How bytes travel. Default: `tcp`. */
  readonly mode?: DialMode | undefined;
  /** Of the TLS modes. Default: the authorities of this machine, no certificate of our own. */
  readonly tls?: TlsCredentials | undefined;
  /** Name for SNI and the certificate check. Default: `host`. */
  readonly servername?: string | undefined;
  /** False: any name in the certificate will do. Default: true. */
  readonly verifyHostname?: boolean | undefined;
  /** `none` leaves the SASL layer out. Default: ANONYMOUS. */
  readonly sasl?: SaslClientOptions | 'none' | undefined;
  /** Host in our open. Default: `host`. */
  readonly hostname?: string | undefined;
  /** Default: one that is made up. */
  readonly containerId?: string | undefined;
  /** Silence after which we close, in ms; half of it is advertised. 0 for never. Default: 120,000. */
  readonly idleTimeoutMs?: number | undefined;
  readonly maxFrameSize?: number | undefined;
  readonly properties?: OpenFields['properties'];
  /** For the stream, and again for each answer: to open, attach, detach and close. Default: 30,000. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told once when an open connection ends that {@link Client.close} did not end. */
  readonly onLost?: ((error: ClientError) => void) | undefined;
}

const TIMEOUT_MS = 30_000;
const IDLE_TIMEOUT_MS = 120_000;

/**
 * Connects and opens.
 *
 * @throws TransportError where there is no stream; ClientError where the peer refuses, breaks the protocol or is silent
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const { host, port, mode = 'tcp', tls, servername, verifyHostname, timeoutMs = TIMEOUT_MS, signal } = options;
  const stream = await dial({ host, port, mode, credentials: tls, servername, verifyHostname, timeoutMs, signal });
  const client = new Client(options, stream.info);
  client.driven = sharedDriver.drive(client.connection, stream, () => client.socketGone());
  try {
    await within(
      client.opened,
      timeoutMs,
      () =>
        new ClientError(
          'connection',
          'pointsman:timed-out',
          `${host}:${port} did not open the connection within ${timeoutMs} ms`,
        ),
    );
  } catch (error) {
    client.driven.destroy();
    throw error;
  }
  return client;
}

/**
 * An AMQP 1.0 client: one connection, one session, any number of links.
 *
 * It survives nothing by itself: when the connection is lost everything under way is rejected, `onLost` is told once, and a
 * new client has to be made.
 */
export class Client implements ConnectionHandler {
  readonly connection: Connection;
  /** How the bytes travel. */
  readonly info: StreamInfo;
  /** @internal */
  driven!: DrivenConnection;
  /** @internal Resolves with the peer's open. */
  readonly opened: Promise<Open>;
  readonly #opened = deferred<Open>();
  readonly #begun = deferred<void>();
  readonly #gone = deferred<void>();
  readonly #options: ConnectOptions;
  #session: Session | undefined;
  #closing = false;
  #links = 0;

  constructor(options: ConnectOptions, info: StreamInfo) {
    const { host, hostname = host, sasl = { mechanisms: ['ANONYMOUS'] }, timeoutMs = TIMEOUT_MS } = options;
    this.info = info;
    this.#options = options;
    this.opened = this.#opened.promise;
    this.connection = new Connection(
      {
        role: 'client',
        containerId: options.containerId ?? `pointsman-client-${randomUUID()}`,
        now: performance.now(),
        hostname,
        maxFrameSize: options.maxFrameSize,
        idleTimeoutMs: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
        handshakeTimeoutMs: timeoutMs,
        closeTimeoutMs: Math.min(timeoutMs, 5_000),
        properties: options.properties,
        saslClient: sasl === 'none' ? undefined : { hostname, ...sasl },
      },
      this,
    );
  }

  /** The peer's open. */
  get remoteOpen(): Open {
    return this.connection.remoteOpen!;
  }

  get isOpen(): boolean {
    return this.connection.isOpen && !this.#closing;
  }

  /** @internal */
  get timeoutMs(): number {
    return this.#options.timeoutMs ?? TIMEOUT_MS;
  }

  /**
   * Attaches a link to send on.
   *
   * @param address - of the node; undefined for an anonymous link, whose messages name their address themselves
   * @throws ClientError where the peer refuses, or the connection is not open
   */
  sender(address: string | undefined, options: SenderOptions = {}): Promise<Sender> {
    if (!this.isOpen) return Promise.reject(this.#notOpen());
    return new Sender(this, this.#sessionInUse(), this.#linkName(options.name, address), address, options).attached;
  }

  /**
   * Attaches a link to receive on.
   *
   * Without `handler` the receiver is iterated over: `for await (const delivery of receiver)`.
   *
   * @param address - of the node; undefined asks the peer to make one, whose address is then {@link Receiver.address}
   * @throws ClientError where the peer refuses, or the connection is not open
   */
  receiver(address: string | undefined, options: ReceiverOptions = {}, handler?: DeliveryHandler): Promise<Receiver> {
    if (!this.isOpen) return Promise.reject(this.#notOpen());
    return new Receiver(this, this.#sessionInUse(), this.#linkName(options.name, address), address, options, handler)
      .attached;
  }

  /**
   * Begins the session that links will have. Resolves once the peer has answered: some open a connection and close it at once, with
   * the reason.
   *
   * @throws ClientError where the connection ends instead, or nothing comes
   */
  begin(): Promise<void> {
    if (!this.isOpen) return Promise.reject(this.#notOpen());
    this.#sessionInUse();
    const { timeoutMs } = this;
    return within(
      this.#begun.promise,
      timeoutMs,
      () => new ClientError('connection', 'pointsman:timed-out', `no answer to a begin within ${timeoutMs} ms`),
    );
  }

  /** Closes the connection; what is under way is rejected. Resolves when the socket is gone. Idempotent. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.connection.ended === undefined) this.connection.close();
    await this.#gone.promise;
  }

  /** @internal */
  socketGone(): void {
    this.#gone.resolve();
  }

  // ---- ConnectionHandler ----

  onOpen(_connection: Connection, open: Open): void {
    this.#opened.resolve(open);
  }

  onBegin(session: Session): void {
    // We begin, peers do not: one that does gets its session ended.
    if (session.localBegun) this.#begun.resolve();
    else session.end({ condition: 'amqp:not-allowed', description: 'this client takes no sessions' });
  }

  onEnd(session: Session): void {
    if (session === this.#session) this.#session = undefined;
  }

  onAttach(link: SenderLink | ReceiverLink): void {
    link.refuse({ condition: 'amqp:not-allowed', description: 'this client takes no links' });
  }

  onClosed(_connection: Connection, end: ConnectionEnd): void {
    const error = errorOfEnd(end);
    const wasOpen = this.connection.remoteOpen !== undefined;
    this.#session = undefined;
    this.#opened.reject(error);
    this.#begun.reject(error);
    // Whoever waits for them has its own handle on the failure.
    this.opened.catch(() => undefined);
    this.#begun.promise.catch(() => undefined);
    if (wasOpen && !this.#closing) this.#options.onLost?.(error);
  }

  #sessionInUse(): Session {
    if (this.#session === undefined || this.#session.state === 'ended' || this.#session.state === 'ending')
      this.#session = this.connection.session();
    return this.#session;
  }

  #linkName(name: string | undefined, address: string | undefined): string {
    // Unique for the container: a name that is in use elsewhere steals the link there.
    return name ?? `${this.connection.containerId}/${this.#links++}/${address ?? ''}`;
  }

  #notOpen(): ClientError {
    const { ended } = this.connection;
    return ended === undefined || this.#closing
      ? new ClientError('connection', 'pointsman:closed', 'the connection is closed')
      : errorOfEnd(ended);
  }
}

function errorOfEnd(end: ConnectionEnd): ClientError {
  const error: AmqpErrorFields | undefined = end.error;
  if (error !== undefined)
    return new ClientError(
      'connection',
      error.condition,
      error.description ?? `the connection ended (${end.by})`,
      end.cause,
    );
  if (end.by === 'local')
    return new ClientError('connection', 'pointsman:closed', 'the connection was closed on this side');
  if (end.by === 'remote')
    return new ClientError('connection', 'pointsman:lost', 'the peer closed the connection without a reason');
  const cause = end.cause === undefined ? '' : `: ${end.cause.message}`;
  return clientErrorOf('connection', undefined, 'pointsman:lost', `the connection was lost${cause}`);
}
