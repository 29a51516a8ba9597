// SPDX-License-Identifier: Apache-2.0
import { Connection } from '@pointsman/engine';
import type { Clock, SaslServerOptions } from '@pointsman/engine';
import { Router } from '@pointsman/router';
import type { AutoLink } from '@pointsman/router';
import { TlsCredentialsError, listen, loadTlsCredentials } from '@pointsman/transport';
import type { Backoff, DialOptions, ListenOptions, Listener, StreamInfo, TlsCredentials } from '@pointsman/transport';
import type { ListenerConfig, RouterConfig, SslProfileConfig } from '../config/model.js';
import { checkHttpRoot, httpListenOptions } from '../http/http-listener.js';
import { HttpSite } from '../http/http-site.js';
import type { Readiness } from '../http/http-site.js';
import { metricsOf } from '../http/router-metrics.js';
import type { Logger } from '../log.js';
import { ConnectorRuntime } from './connector.js';
import { commonOptions } from './endpoints.js';

export interface RouterProcessObserver {
  /** State of a connector's connection changed. */
  onConnector?(connector: ConnectorRuntime): void;
  /** Status of an autolink changed. */
  onAutoLink?(autoLink: AutoLink): void;
}

export interface RouterProcessOptions {
  readonly log: Logger;
  readonly observer?: RouterProcessObserver;
  /** How connectors look up the names of hosts. Default: that of the operating system. */
  readonly lookup?: DialOptions['lookup'];
  /** Time that the peer of a connector has to come as far as its open. Default: 30,000. */
  readonly openTimeoutMs?: number;
  /** Waits between attempts of a connector to connect, where they differ from the default (1 s, doubled up to 30 s). */
  readonly backoff?: Partial<Backoff>;
}

/** A port that is open. */
export interface OpenListener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** Time that peers have to answer our close when the router stops. */
const STOP_GRACE_MS = 2_000;
/** Limit on the first frames of a client where the configuration sets none. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** The time of this process, for a core that has none of its own. */
export const PROCESS_CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
};

/** A router with its listeners and connectors, as a configuration has it. */
export class RouterProcess {
  readonly router: Router;
  readonly connectors: readonly ConnectorRuntime[];
  readonly #config: RouterConfig;
  readonly #log: Logger;
  readonly #listeners: { readonly config: ListenerConfig; readonly listener: Listener }[] = [];
  readonly #credentials = new Map<string, TlsCredentials>();
  /** All listeners are open, and nobody has asked to stop. */
  #isRunning = false;

  /**
   * Reads certificates and keys; opens nothing yet.
   *
   * @throws TlsCredentialsError, ConnectorError where the configuration names something that cannot be used
   */
  constructor(config: RouterConfig, { log, observer = {}, lookup, openTimeoutMs, backoff }: RouterProcessOptions) {
    this.#config = config;
    this.#log = log;
    for (const profile of config.sslProfiles) {
      const credentials = credentialsOf(profile, config.file);
      for (const warning of credentials.warnings) log.log('CONN_MGR', 'warning', warning);
      this.#credentials.set(profile.name, credentials);
    }
    this.router = new Router({
      id: config.router.id,
      defaultDistribution: config.router.defaultDistribution,
      addresses: config.addresses,
      linkRoutes: config.linkRoutes,
      autoLinks: config.autoLinks,
      clock: PROCESS_CLOCK,
      random: Math.random,
      log: (module, level, text) => log.log(module, level, text),
    });
    this.router.observer = { onAutoLink: (autoLink) => observer.onAutoLink?.(autoLink) };
    this.connectors = config.connectors.map(
      (connector) =>
        new ConnectorRuntime(connector, {
          router: this.router,
          file: config.file,
          log,
          credentials: connector.sslProfile === undefined ? undefined : this.#credentials.get(connector.sslProfile),
          lookup,
          openTimeoutMs,
          backoff,
          onChange: (changed) => observer.onConnector?.(changed),
        }),
    );
  }

  /** Ports that are open, with the numbers that the system chose where the configuration says 0. */
  get listeners(): readonly OpenListener[] {
    return this.#listeners.map(({ config, listener }) => ({
      name: config.name,
      host: listener.address,
      port: listener.port,
    }));
  }

  /**
   * Opens the listeners, then lets the connectors connect.
   *
   * @throws TransportError where a port cannot be opened; none is open then
   */
  async start(): Promise<void> {
    this.#log.log('SERVER', 'info', `Container Name: ${this.#config.router.id}`);
    this.#log.log('ROUTER', 'info', 'Router started in Standalone mode');
    try {
      for (const config of this.#config.listeners)
        this.#listeners.push({ config, listener: await this.#listen(config) });
    } catch (error) {
      await this.stop(0);
      throw error;
    }
    this.#log.log('SERVER', 'notice', `Operational, 1 Threads Running (process ID ${process.pid})`);
    for (const { config, host, port } of this.#listeners.map(({ config, listener }) => ({
      config,
      host: listener.address,
      port: listener.port,
    }))) {
      this.#log.log(
        'SERVER',
        'notice',
        `Listening ${config.http ? 'for HTTP ' : ''}on ${host}:${port}${config.name.startsWith('listener/') ? '' : ` (${config.name})`}`,
      );
    }
    for (const connector of this.connectors) connector.start();
    this.#isRunning = true;
  }

  /** Closes all connections and ports. Resolves when nothing is left. */
  async stop(graceMs: number = STOP_GRACE_MS): Promise<void> {
    this.#isRunning = false;
    this.router.close();
    await Promise.all([
      ...this.#listeners.map(({ config, listener }) => this.#close(config, listener, graceMs)),
      ...this.connectors.map((connector) => connector.stop(graceMs)),
    ]);
    this.#log.log('SERVER', 'notice', 'Shut Down');
  }

  get #readiness(): Readiness {
    const awaited = this.connectors.filter(({ hasBeenOpen }) => !hasBeenOpen).map(({ name }) => name);
    return { isRunning: this.#isRunning, awaited };
  }

  async #close(config: ListenerConfig, listener: Listener, graceMs: number): Promise<void> {
    await listener.close(graceMs);
    if (config.http)
      this.#log.log('SERVER', 'notice', `Stopped listening for HTTP on ${listener.address}:${listener.port}`);
  }

  /** @throws TransportError where the port cannot be opened */
  async #listenForHttp(config: ListenerConfig, common: Omit<ListenOptions, 'mode'>): Promise<Listener> {
    const credentials = config.sslProfile === undefined ? undefined : this.#credentials.get(config.sslProfile);
    const site = new HttpSite({
      config,
      log: this.#log,
      metrics: () => metricsOf(this.router),
      readiness: () => this.#readiness,
    });
    checkHttpRoot(config, this.#log);
    try {
      return await listen({ ...common, ...httpListenOptions(config, credentials, site) }, (info) =>
        this.#accept(config, info, handshakeTimeoutOf(config)),
      );
    } catch (error) {
      this.#log.log('SERVER', 'notice', `Error listening for HTTP on ${config.host}:${config.port}`);
      throw error;
    }
  }

  #listen(config: ListenerConfig): Promise<Listener> {
    const credentials = config.sslProfile === undefined ? undefined : this.#credentials.get(config.sslProfile);
    const external = config.saslMechanisms?.includes('EXTERNAL') === true;
    const handshakeTimeoutMs = handshakeTimeoutOf(config);
    const common: Omit<ListenOptions, 'mode'> = {
      ...(config.host === '' ? {} : { host: config.host }),
      port: config.port,
      handshakeTimeoutMs,
      onRefused: ({ text, remoteAddress, remotePort }) =>
        this.#log.log('SERVER', 'warning', `Connection from ${remoteAddress}:${remotePort} refused: ${text}`),
    };
    if (config.http) return this.#listenForHttp(config, common);
    return listen(
      {
        ...common,
        mode: 'tcp',
        ...(credentials === undefined
          ? {}
          : {
              tls: { credentials, clientCertificate: external ? ('required' as const) : ('none' as const) },
              // As the old router has it: TLS from the first byte and by header are both taken, plain too unless encryption is required.
              detectTls: true,
              inBandTls: { use: config.requireEncryption ? ('required' as const) : ('allowed' as const) },
            }),
      },
      (info) => this.#accept(config, info, handshakeTimeoutMs),
    );
  }

  #accept(config: ListenerConfig, info: StreamInfo, handshakeTimeoutMs: number): Connection {
    const peer = `${info.remoteAddress}:${info.remotePort}`;
    const routed = this.router.connection({
      role: config.role,
      direction: 'in',
      name: config.name,
      peer,
      linkCapacity: config.linkCapacity,
      stripAnnotations: config.stripAnnotations,
      hooks: {
        onClosed: (_connection, end) => {
          if (end.by === 'local' || (end.by === 'remote' && end.error === undefined)) return;
          if (end.by === 'lost' && end.cause === undefined) return;
          const why =
            end.error === undefined
              ? (end.cause?.message ?? 'lost')
              : `${end.error.condition} ${end.error.description ?? ''}`;
          this.#log.log(
            'SERVER',
            'info',
            `[C${routed.id}] Connection from ${peer} (to ${config.host}:${config.port}) failed: ${why}`,
          );
        },
      },
    });
    this.#log.log(
      'SERVER',
      'info',
      `[C${routed.id}] Accepted connection to ${config.host}:${config.port} from ${peer}`,
    );
    const engine = new Connection(
      {
        ...commonOptions(this.router.id, config, routed.id),
        role: 'server',
        now: performance.now(),
        saslServer: saslOf(config, info),
        handshakeTimeoutMs,
      },
      routed,
    );
    Router.join(routed, engine);
    return engine;
  }
}

function handshakeTimeoutOf(config: ListenerConfig): number {
  return (config.initialHandshakeTimeoutSeconds ?? 0) * 1000 || HANDSHAKE_TIMEOUT_MS;
}

/** @throws TlsCredentialsError that also says where the profile stands */
function credentialsOf(profile: SslProfileConfig, file: string): TlsCredentials {
  try {
    return loadTlsCredentials({
      name: profile.name,
      caCertFile: profile.caCertFile,
      certFile: profile.certFile,
      privateKeyFile: profile.privateKeyFile,
      password: profile.password?.reveal(),
      ciphers: profile.ciphers,
      protocols: profile.protocols?.join(' '),
    });
  } catch (error) {
    if (!(error instanceof TlsCredentialsError)) throw error;
    throw new TlsCredentialsError(
      error.setting,
      error.file,
      `${file}:${profile.line}: ${error.message}.`,
      error.hint,
      error,
    );
  }
}

function saslOf(config: ListenerConfig, info: StreamInfo): SaslServerOptions {
  const certificate = info.peerCertificate;
  const known = certificate?.verified === true;
  const mechanisms = (config.saslMechanisms ?? ['EXTERNAL', 'ANONYMOUS']).filter(
    (mechanism) => mechanism !== 'EXTERNAL' || known,
  );
  return {
    mechanisms: config.authenticatePeer ? mechanisms.filter((mechanism) => mechanism !== 'ANONYMOUS') : mechanisms,
    optional: !config.authenticatePeer,
    authenticate({ mechanism }) {
      if (mechanism === 'EXTERNAL' && known) {
        const { subject } = certificate;
        return {
          ok: true,
          user: Object.entries(subject)
            .map(([name, value]) => `${name}=${value}`)
            .join(','),
        };
      }
      if (mechanism === 'ANONYMOUS') return { ok: true, user: 'anonymous' };
      return { ok: false, reason: `SASL ${mechanism} is not offered on listener ${config.name}` };
    },
  };
}
