// SPDX-License-Identifier: Apache-2.0
import { Connection } from '@pointsman/engine';
import type { ConnectionEnd } from '@pointsman/engine';
import { Router } from '@pointsman/router';
import type { MessageLogging } from '@pointsman/router';
import { DEFAULT_BACKOFF, backoffDelay, listen } from '@pointsman/transport';
import type { ListenOptions, Listener, StreamInfo, TlsCredentials } from '@pointsman/transport';
import type { CertificateNaming } from '../auth/certificate-user.js';
import { saslOf } from '../auth/listener-sasl.js';
import type { Users } from '../auth/users.js';
import type { ListenerConfig } from '../config/model.js';
import { checkHttpRoot, httpListenOptions } from '../http/http-listener.js';
import { HttpSite } from '../http/http-site.js';
import type { Readiness } from '../http/http-site.js';
import { metricsOf } from '../http/router-metrics.js';
import type { Logger } from '../log.js';
import { AcceptedConnection, peerHostOf } from './accepted-connection.js';
import type { ListenerShare } from './accepted-connection.js';
import { commonOptions, messageLoggingOf } from './endpoints.js';
import { listenerDoor } from './front-door.js';
import type { ListenerDoor } from './front-door.js';
import type { ProtocolTrace } from './protocol-trace.js';

/** `failed`: the port could not be opened, and is tried again. */
export type ListenerStatus = 'opening' | 'open' | 'failed' | 'closed';

export interface ListenerContext {
  readonly router: Router;
  readonly log: Logger;
  readonly protocolTrace: ProtocolTrace;
  /** Those of its sslProfile now. */
  readonly credentials: () => TlsCredentials | undefined;
  /** What users of certificates are called, by its sslProfile. */
  readonly naming: () => CertificateNaming;
  readonly users: Users;
  /** Of the whole process, for who asks over HTTP. */
  readonly readiness: () => Readiness;
}

/** Limit on the first frames of a client where the configuration sets none. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** A listener of the configuration at work. */
export class ListenerRuntime implements ListenerShare {
  readonly config: ListenerConfig;
  readonly name: string;
  readonly messageLogging: MessageLogging;
  status: ListenerStatus = 'opening';
  /** Why the port could not be opened, and what to change. */
  error: string | undefined;
  readonly #context: ListenerContext;
  /** Where clients of Service Bus are not let in, connections share what tells them so. */
  readonly #closedDoor: ListenerDoor | undefined;
  #port: Listener | undefined;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(config: ListenerConfig, context: ListenerContext) {
    this.config = config;
    this.name = config.name;
    this.#context = context;
    this.messageLogging = messageLoggingOf(config, context.log);
    if (config.azureClients === 'none') this.#closedDoor = listenerDoor(config, context.router, context.log, () => 0);
  }

  /** The port that is open, with the number that the system chose where the configuration says 0. */
  get place(): { readonly host: string; readonly port: number } | undefined {
    return this.#port === undefined ? undefined : { host: this.#port.address, port: this.#port.port };
  }

  /** @throws TransportError where the port cannot be opened */
  async open(): Promise<void> {
    const port = await this.#listen();
    if (this.status === 'closed') {
      await port.close();
      return;
    }
    this.#port = port;
    this.status = 'open';
    this.error = undefined;
  }

  /** Opens the port, now or as soon as that can be done. Resolves after the first attempt. */
  async openWhenPossible(): Promise<void> {
    try {
      await this.open();
      this.announce();
    } catch (error) {
      this.#failed(error);
    }
  }

  announce(): void {
    const { place, config } = this;
    if (place === undefined) return;
    const name = config.name.startsWith('listener/') ? '' : ` (${config.name})`;
    this.#context.log.log(
      'SERVER',
      'notice',
      `Listening ${config.http ? 'for HTTP ' : ''}on ${place.host}:${place.port}${name}`,
    );
  }

  /** Accepts nobody any more, and leaves alone whoever is connected. Resolves when the last of them is gone. */
  async stopListening(): Promise<void> {
    this.#end();
    if (this.#port === undefined) return;
    this.#announceEnd();
    await this.#port.stopListening();
  }

  /** Accepts nobody any more; connections get `graceMs` to end. Resolves when nothing is left. */
  async close(graceMs: number): Promise<void> {
    const wasOpen = this.status === 'open';
    this.#end();
    await this.#port?.close(graceMs);
    if (wasOpen && this.config.http) this.#announceEnd();
  }

  /** Certificates changed: new connections are shown the new ones. */
  renew(credentials: TlsCredentials): void {
    this.#port?.renew(credentials);
  }

  #announceEnd(): void {
    const { place, config } = this;
    if (place === undefined) return;
    const text = `Stopped listening ${config.http ? 'for HTTP ' : ''}on ${place.host}:${place.port}`;
    this.#context.log.log('SERVER', 'notice', text);
  }

  /** The port could not be opened at the start, and so there is no router. */
  failedAtStart(error: unknown): void {
    this.#logError(errorText(error));
    const { host, port } = this.config;
    this.#context.log.log('SERVER', 'critical', `Shutting down, required listener failed ${host}:${port}`);
  }

  #logError(text: string): void {
    const { host, port, name } = this.config;
    this.#context.log.log('SERVER', 'error', `Listener error on ${host}:${port}: ${text} (${name})`);
  }

  #end(): void {
    this.status = 'closed';
    clearTimeout(this.#retry);
  }

  #failed(error: unknown): void {
    if (this.status === 'closed') return;
    const text = errorText(error);
    // The same again at every attempt would fill the log.
    if (text !== this.error) this.#logError(text);
    this.status = 'failed';
    this.error = text;
    this.#failures += 1;
    const delay = backoffDelay(this.#failures, DEFAULT_BACKOFF, Math.random);
    this.#retry = setTimeout(() => void this.openWhenPossible(), delay).unref();
  }

  async #listen(): Promise<Listener> {
    const { config } = this;
    const credentials = this.#context.credentials();
    const common: Omit<ListenOptions, 'mode'> = {
      ...(config.host === '' ? {} : { host: config.host }),
      port: config.port,
      handshakeTimeoutMs: handshakeTimeoutOf(config),
      onRefused: ({ text }) => {
        this.#context.router.policy.sockets.processed += 1;
        this.#context.log.log('SERVER', 'warning', text);
      },
    };
    if (config.http) return this.#listenForHttp(common, credentials);
    return listen(
      {
        ...common,
        mode: 'tcp',
        ...(credentials === undefined
          ? {}
          : {
              tls: { credentials, clientCertificate: clientCertificateOf(config, credentials) },
              // As the old router has it: TLS from the first byte and by header are both taken, plain too unless encryption is required.
              detectTls: true,
              inBandTls: { use: config.requireEncryption ? ('required' as const) : ('allowed' as const) },
            }),
      },
      (info) => this.#accept(info),
    );
  }

  /** @throws TransportError where the port cannot be opened */
  async #listenForHttp(
    common: Omit<ListenOptions, 'mode'>,
    credentials: TlsCredentials | undefined,
  ): Promise<Listener> {
    const { config } = this;
    const { log, router, readiness } = this.#context;
    const site = new HttpSite({ config, log, metrics: () => metricsOf(router), readiness });
    checkHttpRoot(config, log);
    try {
      return await listen({ ...common, ...httpListenOptions(config, credentials, site) }, (info) => this.#accept(info));
    } catch (error) {
      log.log('SERVER', 'notice', `Error listening for HTTP on ${config.host}:${config.port}`);
      throw error;
    }
  }

  #accept(info: StreamInfo): Connection | undefined {
    const { config } = this;
    const { router } = this.#context;
    if (!router.policy.admitSocket(peerHostOf(info))) return undefined;
    const door = this.#closedDoor ?? listenerDoor(config, router, this.#context.log, () => routed.id);
    const accepted = new AcceptedConnection(this, info, door);
    const routed = (accepted.routed = router.connection(accepted));
    this.#context.log.log(
      'SERVER',
      'info',
      `[C${routed.id}] Accepted connection to ${config.host}:${config.port} from ${accepted.peer}`,
    );
    const engine = new Connection(
      {
        ...commonOptions(router.id, config, routed.id),
        role: 'server',
        now: performance.now(),
        saslServer: saslOf(config, info, this.#context.users, this.#context.naming()),
        handshakeTimeoutMs: handshakeTimeoutOf(config),
        // As the service does: its client for Python indexes without counting.
        padded: config.azureClients !== 'none',
      },
      routed,
    );
    Router.join(routed, engine);
    this.#context.protocolTrace.follow(routed, engine);
    return engine;
  }

  closed({ routed, peer }: AcceptedConnection, end: ConnectionEnd): void {
    const { config } = this;
    this.#context.router.policy.socketClosed();
    if (end.by === 'local' || (end.by === 'remote' && end.error === undefined)) return;
    if (end.by === 'lost' && end.cause === undefined) return;
    const why =
      end.error === undefined
        ? (end.cause?.message ?? 'lost')
        : `${end.error.condition} ${end.error.description ?? ''}`;
    this.#context.log.log(
      'SERVER',
      'info',
      `[C${routed.id}] Connection from ${peer} (to ${config.host}:${config.port}) failed: ${why}`,
    );
  }
}

/** What went wrong, and what to change. */
function errorText(error: unknown): string {
  const hint = error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? ` ${error.hint}` : '';
  return `${error instanceof Error ? error.message : String(error)}${hint}`;
}

/** EXTERNAL makes a certificate mandatory; where it is one way among others, who has one may show it. */
function clientCertificateOf(
  { authenticatePeer, saslMechanisms }: ListenerConfig,
  { hasAuthorities }: TlsCredentials,
): 'none' | 'optional' | 'required' {
  if (saslMechanisms?.includes('EXTERNAL') === true) return 'required';
  return authenticatePeer && saslMechanisms === undefined && hasAuthorities ? 'optional' : 'none';
}

function handshakeTimeoutOf(config: ListenerConfig): number {
  return (config.initialHandshakeTimeoutSeconds ?? 0) * 1000 || HANDSHAKE_TIMEOUT_MS;
}
