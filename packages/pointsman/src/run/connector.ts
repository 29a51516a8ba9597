// SPDX-License-Identifier: Apache-2.0
import { ConnectionStringError, Secret, explain, impliedConnector, isServiceBusHost, parseConnectionString } from '@pointsman/azure';
import type { TlsMode } from '@pointsman/azure';
import { Connection } from '@pointsman/engine';
import type { ConnectionEnd } from '@pointsman/engine';
import { Router } from '@pointsman/router';
import { TransportError, keepConnected } from '@pointsman/transport';
import type { ConnectionControl, DialMode, KeptConnection, StreamInfo, TlsCredentials } from '@pointsman/transport';
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
  readonly #router: Router;
  readonly #log: Logger;
  readonly #credentials: TlsCredentials | undefined;
  readonly #onChange: (connector: ConnectorRuntime) => void;
  #kept: KeptConnection | undefined;
  #reportedAttempt = 0;

  /** @throws ConnectorError where its connection string cannot be used */
  constructor(config: ConnectorConfig, router: Router, log: Logger, credentials: TlsCredentials | undefined, onChange: (connector: ConnectorRuntime) => void) {
    this.config = config;
    this.name = config.name;
    this.#router = router;
    this.#log = log;
    this.#credentials = credentials;
    this.#onChange = onChange;
    this.#to = destinationOf(config);
    this.target = `${this.#to.host}:${this.#to.port}`;
  }

  start(): void {
    this.#kept = keepConnected({
      dialOptions: () => {
        const { host, port, tls, verifyHostname } = this.#to;
        return { host, port, mode: DIAL_MODES[tls], servername: host, verifyHostname, credentials: this.#credentials };
      },
      makeEndpoint: (info, control) => this.#endpoint(info, control),
      onState: (state) => {
        this.waitMs = state.waitMs;
        if (state.status === 'waiting') {
          if (state.attempts > this.#reportedAttempt && state.lastError !== undefined) {
            this.#reportedAttempt = state.attempts;
            this.#failed(state.lastError);
          } else if (this.step !== 'failed') {
            this.#become('waiting');
          }
        } else if (state.status === 'connecting') {
          this.#become('connecting');
        } else if (state.status === 'opening') {
          this.info = state.info;
          this.#become('connected');
        }
      },
    });
  }

  async stop(graceMs: number): Promise<void> {
    this.connection?.close();
    await this.#kept?.stop(graceMs);
  }

  #become(step: ConnectorStep): void {
    this.step = step;
    this.#onChange(this);
  }

  #failed(error: Error): void {
    if (error instanceof TransportError) this.#report(`${error.message} ${error.hint}`);
    else if (this.lastFailure === undefined || this.step !== 'failed') this.#report(error.message);
  }

  #report(text: string): void {
    this.lastFailure = text;
    this.#log.log('SERVER', 'error', `Connection to ${this.target} failed (connector ${this.name}): ${text}`);
    this.#become('failed');
  }

  #endpoint(info: StreamInfo, control: ConnectionControl): Connection {
    const { host, port, username, password, mechanisms } = this.#to;
    const routed = this.#router.connection({
      role: this.config.role,
      direction: 'out',
      name: this.config.name,
      peer: this.target,
      linkCapacity: this.config.linkCapacity,
      stripAnnotations: this.config.stripAnnotations,
      hooks: {
        onAuthenticated: (connection) => {
          // Only Service Bus and its doubles offer this mechanism: a name may be an alias, this is the thing itself.
          if (isServiceBusHost(host) || this.config.serviceBus || connection.offeredMechanisms.includes('MSSBCBS')) {
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
          this.#closed(connection, end, control, routed.dialect !== undefined);
        },
      },
    });
    const engine = new Connection({
      ...commonOptions(this.#router.id, this.config, routed.id),
      role: 'client',
      now: performance.now(),
      hostname: host,
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

  /** Says what the end of a connection means. */
  #closed(connection: Connection, end: ConnectionEnd, control: ConnectionControl, isServiceBus: boolean): void {
    if (end.by === 'local') return;
    const { host, port, username, password, mechanisms } = this.#to;
    const place = { connector: this.name, host, port, byConnectionString: this.config.connectionString !== undefined, secrets: password === undefined ? [] : [password] };
    const { error } = end;
    const description = error?.description;
    const advertised = connection.advertisedIdleTimeOut;
    let text: string;
    if (end.by === 'sasl') {
      const refused = connection.saslMechanism !== undefined;
      text = isServiceBus || this.config.serviceBus
        ? explain({ ...place, step: 'authentication', problem: refused ? 'refused' : 'no-mechanism', offered: connection.offeredMechanisms, configured: mechanisms, ...(username === undefined ? {} : { username }), ...(description === undefined ? {} : { description }) }).message
        : `${description ?? 'SASL failed'}. Check saslMechanisms${username === undefined ? '' : ', saslUsername and saslPassword'} of connector ${this.name}.`;
    } else if (end.by === 'remote' && isServiceBus && advertised !== undefined && advertised < SERVICE_BUS_IDLE_MIN_MS && error !== undefined) {
      control.delayNextAttempt(MISUSE_DELAY_MS);
      text = explain({ ...place, step: 'idle', idleTimeoutSeconds: (connection.options.idleTimeoutMs ?? 0) / 1000, advertisedMs: advertised, ...(description === undefined ? {} : { description }) }).message;
    } else if (end.phase === 'header' && /TLS first/.test(description ?? '')) {
      text = `${this.target} insists on TLS, and connector ${this.name} has none. Give it an sslProfile, and port 5671 for TLS from the first byte.`;
    } else if (end.by === 'lost') {
      const cause = end.cause === undefined ? '' : `: ${end.cause.message}`;
      text = end.phase === 'opened'
        ? `The connection was lost${cause}.`
        : `The peer closed before AMQP was open (while waiting for ${WAITED_FOR[end.phase]})${cause}. Check the port, and whether it wants TLS.`;
    } else {
      text = `${end.by === 'remote' ? 'The peer closed the connection' : 'The connection was ended'}: ${error?.condition ?? 'no reason given'}${description === undefined ? '' : `: ${description}`}`;
    }
    control.fail(new ConnectorError(text));
    const normal = isServiceBus && end.by === 'remote' && (error?.condition === 'amqp:connection:forced' || error?.condition === 'com.microsoft:container-close');
    if (normal) this.#log.log('SERVER', 'info', `Connection to ${this.target} ended in the normal course of things (connector ${this.name}), connecting again. ${text}`);
    else this.#report(text);
    this.#reportedAttempt = this.#kept?.state.attempts ?? 0;
  }
}

const WAITED_FOR = { header: 'its protocol header', sasl: 'SASL', open: 'its open', opened: 'nothing' } as const;

const DIAL_MODES: Readonly<Record<TlsMode, DialMode>> = { first: 'tls', 'in-band': 'tls-in-band', none: 'tcp' };

function destinationOf(config: ConnectorConfig): Destination {
  if (config.connectionString !== undefined) {
    try {
      const implied = impliedConnector(parseConnectionString(config.connectionString.reveal()));
      const { authentication } = implied;
      if (authentication.mechanism !== 'PLAIN') {
        throw new ConnectorError(`connector ${config.name}: a connectionString with a SharedAccessSignature is not supported yet; use one with SharedAccessKeyName and SharedAccessKey`);
      }
      return {
        host: implied.host, port: implied.port, tls: implied.tls, verifyHostname: implied.verifyHostname && config.verifyHostname,
        username: authentication.username, password: authentication.password, mechanisms: ['PLAIN'],
      };
    } catch (error) {
      if (error instanceof ConnectionStringError) throw new ConnectorError(`connector ${config.name}: connectionString: ${error.message}`);
      throw error;
    }
  }
  const { saslUsername, saslPassword, saslMechanisms } = config;
  const byDefault = saslUsername !== undefined && saslPassword !== undefined ? ['PLAIN'] : config.sslProfile === undefined ? ['ANONYMOUS'] : ['EXTERNAL', 'ANONYMOUS'];
  return {
    host: config.host ?? 'localhost', port: config.port ?? 5672, tls: config.tls ?? 'none', verifyHostname: config.verifyHostname,
    username: saslUsername, password: saslPassword, mechanisms: saslMechanisms ?? byDefault,
  };
}
