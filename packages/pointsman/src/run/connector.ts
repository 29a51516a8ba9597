// SPDX-License-Identifier: Apache-2.0
import { ConnectionStringError, Secret, explain, impliedConnector, isServiceBusHost, parseConnectionString } from '@pointsman/azure';
import type { TlsMode } from '@pointsman/azure';
import { Connection } from '@pointsman/engine';
import type { ConnectionEnd } from '@pointsman/engine';
import { Router } from '@pointsman/router';
import { TransportError, keepConnected } from '@pointsman/transport';
import type {
  Backoff, ConnectionControl, ConnectorState, ConnectorStatus, DialMode, DialOptions, KeptConnection, StreamInfo, TlsCredentials,
  TransportErrorKind,
} from '@pointsman/transport';
import type { ConnectorConfig } from '../config/model.js';
import type { Logger } from '../log.js';
import { commonOptions } from './endpoints.js';
import { serviceBusDialect } from './service-bus-dialect.js';

/** How far a connector has come. */
export type ConnectorStep = 'waiting' | 'connecting' | 'connected' | 'authenticated' | 'open' | 'failed';

/** What a connector is told to do, whichever way the configuration said it. */
interface Destination {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly verifyHostname: boolean;
  readonly username: string | undefined;
  readonly password: Secret | undefined;
  readonly mechanisms: readonly string[];
}

export class ConnectorError extends Error {}

/** What a connector is given by the process that it is part of. */
export interface ConnectorContext {
  readonly router: Router;
  /** Name of the configuration file, for messages. */
  readonly file: string;
  readonly log: Logger;
  /** Of its sslProfile. */
  readonly credentials: TlsCredentials | undefined;
  /** Default: that of the operating system. */
  readonly lookup?: DialOptions['lookup'];
  /** Time that a peer has to come as far as its open. Default: 30,000. */
  readonly openTimeoutMs?: number | undefined;
  /** Of the waits between attempts, where they differ from the default. */
  readonly backoff?: Partial<Backoff> | undefined;
  readonly onChange: (connector: ConnectorRuntime) => void;
}

/** Idle time-outs below this are refused by Service Bus, in ms as advertised. */
const SERVICE_BUS_IDLE_MIN_MS = 10_000;
/** An open that Service Bus refused for a setting is not tried again at once. */
const MISUSE_DELAY_MS = 60_000;

/** A connector of the configuration at work: it connects, and connects again. */
export class ConnectorRuntime {
  readonly config: ConnectorConfig;
  readonly name: string;
  /** `host:port`. */
  readonly target: string;
  step: ConnectorStep = 'waiting';
  info: StreamInfo | undefined = undefined;
  connection: Connection | undefined = undefined;
  /** Why it last failed, and what to change: one paragraph without secrets. */
  lastFailure: string | undefined = undefined;
  /** Ms until the next attempt, from the last change on; while waiting. */
  waitMs: number | undefined = undefined;
  readonly #to: Destination;
  readonly #context: ConnectorContext;
  #kept: KeptConnection | undefined;
  #reportedAttempt = 0;
  #mode: DialMode;
  #status: ConnectorStatus = 'stopped';

  /** @throws ConnectorError where its connection string cannot be used */
  constructor(config: ConnectorConfig, context: ConnectorContext) {
    this.config = config;
    this.name = config.name;
    this.#context = context;
    this.#to = destinationOf(config, context);
    this.target = `${this.#to.host}:${this.#to.port}`;
    this.#mode = DIAL_MODES[this.#to.tls];
  }

  start(): void {
    this.#kept = keepConnected({
      dialOptions: () => {
        const { host, port, verifyHostname } = this.#to;
        const { credentials, lookup } = this.#context;
        return { host, port, mode: this.#mode, servername: host, verifyHostname, credentials, lookup };
      },
      makeEndpoint: (info, control) => this.#endpoint(info, control),
      backoff: this.#context.backoff,
      onState: (state) => this.#follow(state),
    });
  }

  async stop(graceMs: number): Promise<void> {
    this.connection?.close();
    await this.#kept?.stop(graceMs);
  }

  #follow(state: ConnectorState): void {
    const { status, attempts, lastError, info } = state;
    const isNews = status !== this.#status;
    this.#status = status;
    this.waitMs = state.waitMs;
    if (status === 'waiting' && attempts > this.#reportedAttempt && lastError !== undefined) {
      this.#reportedAttempt = attempts;
      this.#failed(lastError);
    } else if (status === 'waiting' && this.step !== 'failed') {
      this.#become('waiting');
    } else if (status === 'connecting' && isNews) {
      this.#become('connecting');
    } else if (status === 'opening' && isNews) {
      this.info = info;
      this.#become('connected');
    }
  }

  #become(step: ConnectorStep): void {
    this.step = step;
    this.#context.onChange(this);
  }

  #failed(error: Error): void {
    if (error instanceof TransportError) this.#report(`${error.message} ${this.#cureOf(error)}${this.#otherWayOfTls(error)}`);
    else if (this.lastFailure === undefined || this.step !== 'failed') this.#report(error.message);
  }

  #report(text: string): void {
    this.lastFailure = text;
    this.#context.log.log('SERVER', 'error', `Connection to ${this.target} failed (connector ${this.name}): ${text}`);
    this.#become('failed');
  }

  #cureOf(error: TransportError): string {
    const hasProfile = this.config.sslProfile !== undefined;
    if (error.kind === 'tls-unknown-issuer' && isServiceBusHost(this.#to.host)) {
      return `Service Bus itself is trusted by the authorities of the system: a proxy here may look into TLS. To trust it, write its CA certificate (PEM) as caCertFile of ${hasProfile ? 'the sslProfile' : `an sslProfile, and name that in connector ${this.name}`}.`;
    }
    if (error.kind === 'tls-unknown-issuer' && !hasProfile) return `${error.hint} Connector ${this.name} has no sslProfile yet: add one and name it there.`;
    if (this.config.connectionString !== undefined && !isServiceBusHost(this.#to.host) && this.#mode !== 'tcp' && NO_TLS_THERE.includes(error.kind)) {
      return 'A development emulator has no TLS: for one, add UseDevelopmentEmulator=true to the connectionString.';
    }
    return error.hint;
  }

  /**
   * TLS begins with the first byte or by the AMQP header, and no port number but those of Service Bus says which: where one
   * does not do, the next attempt tries the other. Either way there is TLS or no connection. A connection string leaves
   * nothing open.
   */
  #otherWayOfTls(error: TransportError): string {
    const { host, port, tls } = this.#to;
    const usual = DIAL_MODES[tls];
    if (this.#mode !== usual) {
      this.#mode = usual;
      return error.kind === 'not-tls' ? ' TLS from the first byte did not do either: if the peer has no TLS at all, leave out the sslProfile.' : '';
    }
    const isOpenQuestion = tls === 'first' && this.config.connectionString === undefined && port !== AMQPS_PORT && !isServiceBusHost(host);
    if (!isOpenQuestion || !NO_TLS_THERE.includes(error.kind)) return '';
    this.#mode = 'tls-in-band';
    return ' The in-band upgrade is tried next.';
  }

  #endpoint(info: StreamInfo, control: ConnectionControl): Connection {
    const { host, port, username, password, mechanisms } = this.#to;
    const { router, openTimeoutMs } = this.#context;
    const routed = router.connection({
      role: this.config.role,
      direction: 'out',
      name: this.config.name,
      peer: this.target,
      linkCapacity: this.config.linkCapacity,
      stripAnnotations: this.config.stripAnnotations,
      hooks: {
        onAuthenticated: (connection) => {
          if (this.#isServiceBus(connection)) {
            routed.dialect = serviceBusDialect({
              connector: this.name, host, port, policy: username, byConnectionString: this.config.connectionString !== undefined,
              secrets: password === undefined ? [] : [password], random: Math.random,
            });
          }
          this.#become('authenticated');
        },
        onOpened: () => {
          control.markEstablished();
          this.lastFailure = undefined;
          this.#become('open');
        },
        onClosed: (connection, end) => {
          this.connection = undefined;
          this.#closed(connection, end, control);
        },
      },
    });
    const engine = new Connection({
      ...commonOptions(router.id, this.config, routed.id),
      role: 'client',
      now: performance.now(),
      hostname: host,
      handshakeTimeoutMs: openTimeoutMs,
      saslClient: {
        mechanisms, hostname: host,
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password: () => password.reveal() }),
      },
    }, routed);
    Router.join(routed, engine);
    this.connection = engine;
    this.info = info;
    return engine;
  }

  /** Only Service Bus and its doubles offer this mechanism: a name may be an alias, this is the thing itself. */
  #isServiceBus(connection: Connection): boolean {
    return isServiceBusHost(this.#to.host) || this.config.serviceBus || connection.offeredMechanisms.includes('MSSBCBS');
  }

  #closed(connection: Connection, end: ConnectionEnd, control: ConnectionControl): void {
    if (end.by === 'local') return;
    const { error } = end;
    const text = this.#meaningOf(connection, end, control);
    control.fail(new ConnectorError(text));
    const normal = this.#isServiceBus(connection) && end.by === 'remote' && (error?.condition === 'amqp:connection:forced' || error?.condition === 'com.microsoft:container-close');
    if (normal) this.#context.log.log('SERVER', 'info', `Connection to ${this.target} ended in the normal course of things (connector ${this.name}), connecting again. ${text}`);
    else this.#report(text);
    this.#reportedAttempt = this.#kept?.state.attempts ?? 0;
  }

  /** Says what the end of a connection means. */
  #meaningOf(connection: Connection, end: ConnectionEnd, control: ConnectionControl): string {
    const { host, port, username, password, mechanisms } = this.#to;
    const place = { connector: this.name, host, port, byConnectionString: this.config.connectionString !== undefined, secrets: password === undefined ? [] : [password] };
    const isServiceBus = this.#isServiceBus(connection);
    const { error, phase } = end;
    const description = error?.description;
    const details = description === undefined ? {} : { description };
    const advertised = connection.advertisedIdleTimeOut;
    if (end.by === 'sasl') {
      const refused = connection.saslMechanism !== undefined;
      if (!isServiceBus) return `${description ?? 'SASL failed'}. Check saslMechanisms${username === undefined ? '' : ', saslUsername and saslPassword'} of connector ${this.name}.`;
      return explain({
        ...place, ...details, step: 'authentication', problem: refused ? 'refused' : 'no-mechanism', offered: connection.offeredMechanisms, configured: mechanisms,
        ...(username === undefined ? {} : { username }),
      }).message;
    }
    if (end.by === 'remote' && isServiceBus && advertised !== undefined && advertised < SERVICE_BUS_IDLE_MIN_MS && error !== undefined) {
      control.delayNextAttempt(MISUSE_DELAY_MS);
      return explain({ ...place, ...details, step: 'idle', idleTimeoutSeconds: (connection.options.idleTimeoutMs ?? 0) / 1000, advertisedMs: advertised }).message;
    }
    if (phase === 'header' && /TLS first/.test(description ?? '')) {
      return `${this.target} insists on TLS, and connector ${this.name} has none. Give it an sslProfile.`;
    }
    if (phase !== 'opened') {
      const encrypted = this.info?.encrypted === true;
      // Service Bus lets a connection without TLS come as far as this, and then falls silent.
      if (end.by === 'idle' && isServiceBus && !encrypted) return explain({ ...place, step: 'connection', problem: 'tls-missing' }).message;
      if (end.by === 'idle') return `${this.target} accepted the connection and then fell silent, with ${WAITED_FOR[phase]} still to come. ${this.#portAdvice(encrypted)}`;
      if (end.by === 'lost' && end.cause instanceof TransportError && end.cause.kind !== 'closed-early') return `${end.cause.message} ${this.#cureOf(end.cause)}`;
      if (end.by === 'lost') return `${this.target} closed the connection before AMQP was open, with ${WAITED_FOR[phase]} still to come. ${this.#portAdvice(encrypted)}`;
      if (end.by === 'protocol' && phase === 'header') return explain({ ...place, ...details, step: 'connection', problem: 'other-protocol' }).message;
    }
    if (end.by === 'lost') return `The connection was lost${end.cause === undefined ? '' : `: ${end.cause.message}`}`.replace(/\.?$/, '.');
    return `${end.by === 'remote' ? 'The peer closed the connection' : 'The connection was ended'}: ${error?.condition ?? 'no reason given'}${description === undefined ? '' : `: ${description}`}`;
  }

  #portAdvice(encrypted: boolean): string {
    return encrypted
      ? `Check the port of connector ${this.name}.`
      : `Check the port of connector ${this.name}, and whether the peer wants TLS there: then give the connector an sslProfile.`;
  }
}

const WAITED_FOR = { header: 'its protocol header', sasl: 'its part of SASL', open: 'its open' } as const;

const AMQPS_PORT = 5671;

/** How a port answers to TLS from the first byte that it does not take. */
const NO_TLS_THERE: readonly TransportErrorKind[] = ['not-tls', 'closed-early'];

const DIAL_MODES: Readonly<Record<TlsMode, DialMode>> = { first: 'tls', 'in-band': 'tls-in-band', none: 'tcp' };

function destinationOf(config: ConnectorConfig, { file, credentials }: ConnectorContext): Destination {
  const where = `${file}:${config.line}: connector ${config.name}`;
  if (config.connectionString !== undefined) {
    try {
      const implied = impliedConnector(parseConnectionString(config.connectionString.reveal()));
      const { authentication } = implied;
      if (authentication.mechanism !== 'PLAIN') {
        throw new ConnectorError(`${where}: a connectionString with a SharedAccessSignature is not supported yet; use one with SharedAccessKeyName and SharedAccessKey`);
      }
      return {
        host: implied.host, port: implied.port, tls: implied.tls, verifyHostname: implied.verifyHostname && config.verifyHostname,
        username: authentication.username, password: authentication.password, mechanisms: ['PLAIN'],
      };
    } catch (error) {
      if (error instanceof ConnectionStringError) throw new ConnectorError(`${where}: connectionString: ${error.message}`);
      throw error;
    }
  }
  const { saslUsername, saslPassword, saslMechanisms } = config;
  // EXTERNAL goes by our certificate: without one it is a promise that nobody keeps.
  const byDefault = saslUsername !== undefined && saslPassword !== undefined ? ['PLAIN'] : credentials?.hasCertificate === true ? ['EXTERNAL', 'ANONYMOUS'] : ['ANONYMOUS'];
  return {
    host: config.host ?? 'localhost', port: config.port ?? 5672, tls: config.tls ?? 'none', verifyHostname: config.verifyHostname,
    username: saslUsername, password: saslPassword, mechanisms: saslMechanisms ?? byDefault,
  };
}
