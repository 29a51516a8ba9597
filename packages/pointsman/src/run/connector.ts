// SPDX-License-Identifier: Apache-2.0
import { EntityManagement, LateSettlements, isServiceBusHost, withoutSecrets } from '@pointsman/azure';
import type { HubPositions, SharedNode, TokenState } from '@pointsman/azure';
import { Connection } from '@pointsman/engine';
import type { ConnectionEnd } from '@pointsman/engine';
import { Router } from '@pointsman/router';
import { TransportError, keepConnected, processClock } from '@pointsman/transport';
import type {
  Backoff,
  ConnectionControl,
  ConnectorState,
  ConnectorStatus,
  DialOptions,
  HttpProxy,
  KeptConnection,
  StreamInfo,
  TlsCredentials,
} from '@pointsman/transport';
import type { ConnectorConfig } from '../config/model.js';
import type { ProxyAddress } from '../config/proxy-address.js';
import type { Logger } from '../log.js';
import {
  delayAfter,
  isBeforeOpen,
  isForWantOfLinks,
  isIdleRefusal,
  isNormalClose,
  meaningOf,
} from './connection-end.js';
import { ConnectorError, destinationOf } from './destination.js';
import type { Destination } from './destination.js';
import type { Environment } from './environment-proxy.js';
import { commonOptions, messageLoggingOf, securityOf } from './endpoints.js';
import { FAILOVER_PROPERTY, FailoverList, placeText } from './failover-list.js';
import type { ProtocolTrace } from './protocol-trace.js';
import { ServiceBusConnection } from './service-bus-connection.js';
import { cureOf } from './transport-cure.js';
import { WayFinder } from './way-finder.js';

/** How far a connector has come. */
export type ConnectorStep = 'waiting' | 'connecting' | 'connected' | 'authenticated' | 'open' | 'failed';

/** What a connector is given by the process that it is part of. */
export interface ConnectorContext {
  readonly router: Router;
  /** Name of the configuration file, for messages. */
  readonly file: string;
  readonly log: Logger;
  readonly protocolTrace: ProtocolTrace;
  /** Those of its sslProfile now. */
  readonly credentials: () => TlsCredentials | undefined;
  /** Default: that of the operating system. */
  readonly lookup?: DialOptions['lookup'];
  /** Variables of the environment that name proxies. Default: those of the process. */
  readonly environment?: Environment;
  /** Time that a peer has to come as far as its open. Default: 30,000. */
  readonly openTimeoutMs?: number | undefined;
  /** Of the waits between attempts, where they differ from the default. */
  readonly backoff?: Partial<Backoff> | undefined;
  /** Time that a connection has to stay up so that its loss counts as the first. Default: 5,000. */
  readonly stableMs?: number | undefined;
  /** How far event hubs have been read. */
  readonly positions: HubPositions;
  readonly onChange: (connector: ConnectorRuntime) => void;
}

/** An open that Service Bus refused for a setting is not tried again at once. */
const MISUSE_DELAY_MS = 60_000;

/** A connection that has lasted for so long has stayed up. */
const STABLE_MS = 5_000;

/** Wait between attempts, at most, where there are other places to try. */
const FAILOVER_WAIT_MS = 1_000;

/** A connector of the configuration at work: it connects, and connects again. */
export class ConnectorRuntime {
  readonly config: ConnectorConfig;
  readonly name: string;
  /** `host:port` of the configuration. */
  readonly target: string;
  step: ConnectorStep = 'waiting';
  /** It has had an open connection since it was made. */
  hasBeenOpen = false;
  info: StreamInfo | undefined = undefined;
  connection: Connection | undefined = undefined;
  /** Why it last failed, and what to change: one paragraph without secrets. */
  lastFailure: string | undefined = undefined;
  /** What the last attempt met with, good or bad: one line without secrets. */
  lastMessage: string | undefined = undefined;
  /** Ms until the next attempt, from the last change on; while waiting. */
  waitMs: number | undefined = undefined;
  readonly #to: Destination;
  readonly #places: FailoverList;
  readonly #ways: WayFinder;
  readonly #context: ConnectorContext;
  #kept: KeptConnection | undefined;
  /** Of the connection that there is, or was last, where that was one to Service Bus. */
  #service: ServiceBusConnection | undefined;
  /** What concerns locks goes over whatever connection there is. */
  readonly #management: EntityManagement;
  readonly #lateSettlements: LateSettlements;
  #reportedAttempt = 0;
  /** To be called when it has been asleep and is not any more. */
  #awake: () => void = () => undefined;
  #status: ConnectorStatus = 'stopped';
  readonly #stableMs: number;
  /** Monotonic ms of the latest open. */
  #openedAt = 0;

  /** @throws ConnectorError where its connection string cannot be used */
  constructor(config: ConnectorConfig, context: ConnectorContext) {
    this.config = config;
    this.name = config.name;
    this.#context = context;
    this.#stableMs = context.stableMs ?? STABLE_MS;
    const where = `${config.line > 0 ? `${context.file}:${config.line}: ` : ''}connector ${config.name}`;
    this.#to = destinationOf(config, where, context.credentials()?.hasCertificate === true, context.environment);
    this.target = `${this.#to.host}:${this.#to.port}`;
    this.#ways = new WayFinder(this.#to);
    this.#management = new EntityManagement({ clock: processClock });
    this.#lateSettlements = new LateSettlements({
      management: this.#management,
      clock: processClock,
      random: Math.random,
    });
    this.#places = new FailoverList({ host: this.#to.host, port: this.#to.port });
  }

  /** The places that are tried in turn, as management shows them. */
  get failoverUrls(): string {
    return this.#places.text;
  }

  /** `host:port` of the latest attempt. */
  get place(): string {
    const { host, port } = this.#places.current;
    return placeText({ host, port: this.#ways.portOf(port) });
  }

  /** What the peer at `host` is called: a private endpoint has another name than its namespace. */
  #hostnameOf(host: string): string {
    return host === this.#to.host ? this.#to.hostname : host;
  }

  /** The tokens that its connection has at Service Bus, without the tokens. */
  get tokens(): readonly TokenState[] {
    return this.#service?.tokens ?? [];
  }

  /** The nodes at Azure Service Bus that clients and autolinks share; undefined where the peer is another. */
  get nodes(): readonly SharedNode[] | undefined {
    if (this.#service !== undefined) return this.#service.nodes;
    return this.config.serviceBus || isServiceBusHost(this.#to.hostname) ? [] : undefined;
  }

  /** Outcomes that are still to be told to Azure Service Bus by lock token. */
  get lateCount(): number {
    return this.#lateSettlements.count;
  }

  start(): void {
    this.#kept = keepConnected({
      dialOptions: () => {
        const { host, port } = this.#nextPlace();
        const { verifyHostname, proxy } = this.#to;
        const { lookup } = this.#context;
        return {
          host,
          port: this.#ways.portOf(port),
          mode: this.#ways.mode,
          servername: this.#hostnameOf(host),
          verifyHostname,
          credentials: this.#context.credentials(),
          lookup,
          proxy: proxy === undefined ? undefined : httpProxy(proxy),
        };
      },
      makeEndpoint: (info, control) => this.#endpoint(info, control),
      backoff: this.#context.backoff,
      stableMs: this.#stableMs,
      longestWaitMs: () => (this.#places.hasOthers ? FAILOVER_WAIT_MS : Infinity),
      onState: (state) => this.#follow(state),
    });
  }

  #nextPlace(): { readonly host: string; readonly port: number } {
    const before = this.#places.current;
    const next = this.#places.next();
    if (next === before) return next;
    this.#ways.startAnew();
    const { name } = this;
    this.#context.log.log(
      'SERVER',
      'info',
      `Connector ${name}: ${placeText(before)} does not do, ${placeText(next)} is next`,
    );
    return next;
  }

  async stop(graceMs: number): Promise<void> {
    this.#awake();
    this.connection?.close();
    await this.#kept?.stop(graceMs);
    this.#lateSettlements.close();
    // Nobody waits for one any more.
    this.#to.tokens?.close?.();
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
    if (step === 'open') this.hasBeenOpen = true;
    this.#context.onChange(this);
  }

  #failed(error: Error): void {
    if (error instanceof TransportError)
      this.#report(
        `${error.message} ${this.#cureOf(error)}${this.#ways.failed(error, this.#places.current.host, this.#places.current.port)}`,
      );
    else if (this.lastFailure === undefined || this.step !== 'failed') this.#report(error.message);
  }

  #report(text: string): void {
    this.lastFailure = text;
    this.lastMessage = `Connection to ${this.place} failed: ${text}`;
    this.#context.log.log('SERVER', 'error', `Connection to ${this.place} failed (connector ${this.name}): ${text}`);
    this.#become('failed');
  }

  #cureOf(error: TransportError): string {
    return cureOf(error, this.config, this.#to);
  }

  #endpoint(info: StreamInfo, control: ConnectionControl): Connection {
    const { username, password, mechanisms } = this.#to;
    const { port } = this.#places.current;
    const host = this.#hostnameOf(this.#places.current.host);
    const { router, openTimeoutMs } = this.#context;
    const routed = router.connection({
      role: this.config.role,
      direction: 'out',
      name: this.config.name,
      peer: this.place,
      linkCapacity: this.config.linkCapacity,
      messageLogging: messageLoggingOf(this.config, this.#context.log),
      stripAnnotations: this.config.stripAnnotations,
      maxSessionFrames: this.config.maxSessionFrames,
      policyVhost: this.config.policyVhost,
      security: () => securityOf(info),
      hooks: {
        onAuthenticated: (connection) => {
          this.#service = undefined;
          if (this.#isServiceBus(connection)) {
            this.#service = new ServiceBusConnection({
              connector: this.name,
              byConnectionString: this.config.connectionString !== undefined,
              to: this.#to,
              host,
              port,
              connection,
              routerId: router.id,
              id: routed.id,
              log: this.#context.log,
              entities: this.#management,
              lateSettlements: this.#lateSettlements,
              positions: this.#context.positions,
            });
            routed.dialect = this.#service.dialect;
          }
          this.#become('authenticated');
        },
        onDenied: (_connection, reason) => {
          control.fail(new ConnectorError(reason));
          this.#report(reason);
        },
        onOpened: (connection) => {
          control.markEstablished();
          this.#openedAt = performance.now();
          this.#awake();
          this.#service?.opened();
          // A connection string names its namespace for good.
          if (this.config.connectionString === undefined)
            this.#places.opened(connection.remoteOpen?.properties?.get(FAILOVER_PROPERTY));
          this.lastFailure = undefined;
          this.lastMessage = this.#openedText(routed.id, connection.remoteOpen?.containerId ?? '');
          this.#become('open');
        },
        onClosed: (connection, end) => {
          this.connection = undefined;
          this.#service?.closed();
          this.#closed(connection, end, control);
        },
      },
    });
    const engine = new Connection(
      {
        ...commonOptions(router.id, this.config, routed.id),
        role: 'client',
        now: performance.now(),
        hostname: host,
        handshakeTimeoutMs: openTimeoutMs,
        saslClient: {
          mechanisms,
          hostname: host,
          ...(username === undefined ? {} : { username }),
          ...(password === undefined ? {} : { password: () => password.reveal() }),
        },
      },
      routed,
    );
    Router.join(routed, engine);
    this.#context.protocolTrace.follow(routed, engine);
    this.connection = engine;
    this.info = info;
    return engine;
  }

  #openedText(id: number, container: string): string {
    const encrypted = this.info?.encrypted === true ? 'TLS' : 'no';
    const { saslMechanism } = this.connection ?? {};
    return `[C${id}] Connection Opened: dir=out host=${this.place} vhost= encrypted=${encrypted} auth=${saslMechanism ?? 'no'} user=${this.#to.username ?? ''} container_id=${container}`;
  }

  /** Only Service Bus and its doubles offer this mechanism: a name may be an alias, this is the thing itself. */
  #isServiceBus(connection: Connection): boolean {
    return (
      isServiceBusHost(this.#to.hostname) || this.config.serviceBus || connection.offeredMechanisms.includes('MSSBCBS')
    );
  }

  /** Only clients need it, by link routes that name it. */
  get #isForLinkRoutes(): boolean {
    const { linkRoutes, autoLinks } = this.#context.router;
    return (
      linkRoutes.some(({ settings }) => settings.connection === this.name) &&
      !autoLinks.some(({ settings }) => settings.connection === this.name || settings.containerId !== undefined)
    );
  }

  /** Connecting again would only lead to the next close: the first client that wants a link wakes it. */
  #sleep(control: ConnectionControl): void {
    const { router, log } = this.#context;
    this.#reportedAttempt = this.#kept?.state.attempts ?? 0;
    this.lastMessage = `Connection to ${this.place} rests: it had no links, and is made again when a client wants one`;
    log.log('SERVER', 'info', `${this.lastMessage} (connector ${this.name})`);
    this.#awake();
    this.#awake = router.sleepers.sleep(this.name, control.holdNextAttempt());
  }

  /** A connection that had stayed up is gone, and the next one is made at once: an error is only what comes of that. */
  #isPassing({ by, phase }: ConnectionEnd): boolean {
    return by === 'lost' && phase === 'opened' && performance.now() - this.#openedAt >= this.#stableMs;
  }

  #closed(connection: Connection, end: ConnectionEnd, control: ConnectionControl): void {
    if (end.by === 'local') return;
    const isServiceBus = this.#isServiceBus(connection);
    const meaning = meaningOf(connection, end, {
      connector: this.name,
      to: { ...this.#to, host: this.#places.current.host, port: this.#places.current.port },
      byConnectionString: this.config.connectionString !== undefined,
      isServiceBus,
      encrypted: this.info?.encrypted === true,
      cureOf: (error) => this.#cureOf(error),
    });
    // A peer that was told the key could quote it.
    const text = withoutSecrets(meaning, this.#to.secrets);
    control.fail(new ConnectorError(text));
    if (isIdleRefusal(connection, end, isServiceBus)) control.delayNextAttempt(MISUSE_DELAY_MS);
    if (isServiceBus) control.delayNextAttempt(delayAfter(end, this.#kept?.state.failures ?? 0, Math.random));
    if (isServiceBus && isForWantOfLinks(end) && this.#isForLinkRoutes) return this.#sleep(control);
    if (isServiceBus && (isNormalClose(end) || this.#isPassing(end))) {
      const where = `Connection to ${this.place} ended in the normal course of things (connector ${this.name})`;
      this.#context.log.log('SERVER', 'info', `${where}, connecting again. ${text}`);
    } else {
      this.#report(isBeforeOpen(end) ? text + this.#ways.cameToNothing(this.#places.current.port) : text);
    }
    this.#reportedAttempt = this.#kept?.state.attempts ?? 0;
  }
}

/** A proxy as the transport takes it. */
export function httpProxy({ host, port, username, password }: ProxyAddress): HttpProxy {
  const credentials =
    username === undefined ? undefined : { username, password: (): string => password?.reveal() ?? '' };
  return { host, port, credentials };
}
