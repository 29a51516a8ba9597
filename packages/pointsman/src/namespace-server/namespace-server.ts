// SPDX-License-Identifier: Apache-2.0
import { createHmac } from 'node:crypto';
import { isIP } from 'node:net';
import { getHeapStatistics } from 'node:v8';
import { Administration, DEVELOPMENT_POLICY, Namespace, mebibytes } from '@pointsman/namespace';
import type { Clock } from '@pointsman/engine';
import type {
  EventHubOptions,
  NamespaceHost,
  PolicyOptions,
  QueueOptions,
  Times,
  TopicOptions,
} from '@pointsman/namespace';
import { SERVICE_BUS_WEBSOCKET_PATH, listen, loadTlsCredentials, processClock } from '@pointsman/transport';
import type { Listener, ListenOptions, Refusal, ServerTlsOptions, StreamInfo } from '@pointsman/transport';
import { certificateIn } from './certificate-folder.js';
import type { CertificateFiles } from './certificate-folder.js';
import { answerHttp } from './http-front.js';
import type { Health } from './http-front.js';
import { readEntraToken } from './entra-token.js';
import { NamespaceFile } from './namespace-file.js';

/** `cloud`: nothing goes without TLS. `emulator`: nothing goes with TLS, as at the development emulator. */
export type NamespaceMode = 'cloud' | 'emulator';

/**
 * The ports of a namespace. `amqps`: TLS from the first byte; `amqp`: in the cloud TLS by the AMQP header, at the emulator
 * plain; `wss` and `ws`: HTTP with and without TLS, for WebSockets, the management API and `/health`.
 */
export type PortName = 'amqps' | 'amqp' | 'wss' | 'ws';

export interface NamespaceServerOptions {
  /** Names, or names with settings. */
  readonly queues?: readonly (string | QueueOptions)[] | undefined;
  readonly topics?: readonly TopicOptions[] | undefined;
  readonly eventHubs?: readonly EventHubOptions[] | undefined;
  /** Default: that of the development emulator, with its fixed key. */
  readonly policies?: readonly PolicyOptions[] | undefined;
  /** Default: `cloud`. */
  readonly mode?: NamespaceMode | undefined;
  /** Address to listen on. Default: `127.0.0.1`. */
  readonly host?: string | undefined;
  /** 0 for any free port, false for none. Default: 0 for those of the mode, `amqps amqp wss` or `amqp ws`. */
  readonly ports?: Readonly<Partial<Record<PortName, number | false>>> | undefined;
  /** Host name of the namespace, in texts, in connection strings and in the certificate. Default: `localhost`. */
  readonly hostname?: string | undefined;
  /** More names and IP addresses for the certificate. */
  readonly names?: readonly string[] | undefined;
  /** Folder for the certificate, kept for the next run. Default: a temporary one, removed by {@link NamespaceServer.close}. */
  readonly certificateFolder?: string | undefined;
  readonly times?: Partial<Times> | undefined;
  /** Drives locks, expiry, schedules and the clocks of links: a test's own. Default: that of the process. */
  readonly clock?: Clock | undefined;
  readonly connectionsMax?: number | undefined;
  readonly publisherCredit?: number | undefined;
  /**
   * Bytes of memory that messages may take, estimated; beyond that what is sent is refused with `com.microsoft:server-busy`.
   * Default: half of the limit of the heap (`--max-old-space-size`).
   */
  readonly memoryBytesMax?: number | undefined;
  /** Operations of a second, beyond which clients are throttled; the Standard tier has 1000. Default: no limit. */
  readonly operationsPerSecond?: number | undefined;
  /**
   * Tokens of Microsoft Entra ID are taken, with all rights, if they are for Service Bus and last still. Nobody looks at who signed
   * them: it shows that a configuration goes by tokens, not that the cloud would take them. Default: they are refused.
   */
  readonly acceptEntraTokens?: boolean | undefined;
  /** File that the namespace survives in: entities made by requests, messages, states of sessions. Default: in memory alone. */
  readonly file?: string | undefined;
  /** `always`: on the disk before anything is answered. Default: `system`, which outlives this process, not a power cut. */
  readonly sync?: 'always' | 'system' | undefined;
  /** Happenings for a developer to read, without secrets. */
  readonly log?: ((level: 'debug' | 'info' | 'warning', text: string) => void) | undefined;
}

export interface ConnectionStringOptions {
  /** Limits the string to one entity, as the portal's strings for a queue are. */
  readonly entityPath?: string | undefined;
  /**
   * `cloud`: TLS on `amqps`; `emulator`: plain on `amqp`, with `UseDevelopmentEmulator=true`; `host`: the host without a port,
   * for clients that are told the port in another way. Default: that of the mode.
   */
  readonly form?: NamespaceMode | 'host' | undefined;
}

/** A namespace with its ports open. */
export interface NamespaceServer {
  readonly namespace: Namespace;
  /** Its management API, as HTTP reaches it. */
  readonly administration: Administration;
  readonly mode: NamespaceMode;
  readonly host: string;
  readonly hostname: string;
  /** The ports that are open, by name. */
  readonly ports: Readonly<Partial<Record<PortName, number>>>;
  /** PEM file of the authority behind the certificate: a connector's caCertFile. Undefined without TLS. */
  readonly caCertFile: string | undefined;
  readonly certificate: CertificateFiles | undefined;
  /**
   * With the key in it, in clear: it is there to be used.
   *
   * @param policyName - Default: the first policy
   * @throws TypeError where there is no such policy or port
   */
  connectionString(policyName?: string, options?: ConnectionStringOptions): string;
  /** Tells the peers, gives them `graceMs` to go, closes the ports. Default: 0. */
  close(graceMs?: number): Promise<void>;
}

const PORTS_OF: Readonly<Record<NamespaceMode, readonly PortName[]>> = {
  cloud: ['amqps', 'amqp', 'wss'],
  emulator: ['amqp', 'ws'],
};

/** Of the limit of the heap: beside messages there are connections, and garbage until it is collected. */
const MEMORY_SHARE = 0.5;

/** The official emulator takes ten, but it is one of a developer; here a test may want more. */
const EMULATOR_CONNECTIONS_MAX = 100;

/**
 * Opens an embedded namespace on real ports.
 *
 * @throws TransportError where a port cannot be opened, TypeError where an option is not valid; nothing is open then
 */
export async function startNamespaceServer(options: NamespaceServerOptions = {}): Promise<NamespaceServer> {
  const { mode = 'cloud', ports = {} } = options;
  for (const name of Object.keys(ports) as PortName[]) {
    if (ports[name] !== false && ports[name] !== undefined && !PORTS_OF[mode].includes(name)) {
      throw new TypeError(`A namespace in mode '${mode}' has no port '${name}', only ${PORTS_OF[mode].join(', ')}.`);
    }
  }
  const { file: path, sync, log } = options;
  const file = path === undefined ? undefined : new NamespaceFile({ path, sync, log });
  let server: Server;
  try {
    server = new Server(options, mode, file);
  } catch (error) {
    file?.close();
    throw error;
  }
  try {
    await server.open(ports);
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

class Server implements NamespaceServer {
  readonly namespace: Namespace;
  readonly mode: NamespaceMode;
  readonly host: string;
  readonly hostname: string;
  readonly ports: Partial<Record<PortName, number>> = {};
  readonly certificate: CertificateFiles | undefined;
  readonly #options: NamespaceServerOptions;
  readonly #policies: readonly PolicyOptions[];
  readonly #tls: ServerTlsOptions | undefined;
  readonly #listeners: Listener[] = [];
  readonly administration: Administration;
  readonly #file: NamespaceFile | undefined;
  #isClosing = false;

  constructor(options: NamespaceServerOptions, mode: NamespaceMode, file: NamespaceFile | undefined) {
    this.#options = options;
    this.#file = file;
    this.mode = mode;
    this.host = options.host ?? '127.0.0.1';
    this.hostname = options.hostname ?? 'localhost';
    this.#policies = options.policies ?? [DEVELOPMENT_POLICY];
    const { times, publisherCredit, operationsPerSecond, log } = options;
    const connectionsMax = options.connectionsMax ?? (mode === 'emulator' ? EMULATOR_CONNECTIONS_MAX : undefined);
    const host: NamespaceHost = {
      clock: options.clock ?? processClock,
      // A clock of one's own begins at the time at which the namespace is made.
      timeOrigin: options.clock === undefined ? performance.timeOrigin : Date.now() - options.clock.now(),
      random: Math.random,
      hmacSha256: (key, text) => createHmac('sha256', key).update(text).digest('base64'),
      ...(log === undefined ? {} : { log }),
      ...(options.acceptEntraTokens === true ? { readEntraToken } : {}),
      ...(this.#file === undefined ? {} : { journal: this.#file }),
    };
    this.namespace = new Namespace(
      {
        hostname: this.hostname,
        requireTls: mode === 'cloud',
        policies: this.#policies,
        queues: (options.queues ?? []).map((queue) => (typeof queue === 'string' ? { name: queue } : queue)),
        topics: options.topics ?? [],
        eventHubs: options.eventHubs ?? [],
        memoryBytesMax: options.memoryBytesMax ?? MEMORY_SHARE * getHeapStatistics().heap_size_limit,
        ...(times === undefined ? {} : { times }),
        ...(connectionsMax === undefined ? {} : { connectionsMax }),
        ...(publisherCredit === undefined ? {} : { publisherCredit }),
        ...(operationsPerSecond === undefined ? {} : { operationsPerSecond }),
      },
      host,
    );
    this.administration = new Administration(this.namespace, host, this.hostname);
    if (this.#file !== undefined) this.#restore(this.#file, host);
    if (mode === 'cloud') {
      this.certificate = certificateIn(options.certificateFolder, this.#certificateNames());
      const { certFile, privateKeyFile } = this.certificate;
      this.#tls = { credentials: loadTlsCredentials({ name: 'namespace', certFile, privateKeyFile }) };
    }
  }

  get caCertFile(): string | undefined {
    return this.certificate?.caCertFile;
  }

  async open(ports: Readonly<Partial<Record<PortName, number | false>>>): Promise<void> {
    for (const name of PORTS_OF[this.mode]) {
      const port = ports[name] ?? 0;
      if (port === false) continue;
      const listener = await listen(
        { host: this.host, port, onRefused: (refusal) => this.#refused(refusal), ...this.#how(name) },
        (info) => this.#accept(info),
      );
      this.#listeners.push(listener);
      this.ports[name] = listener.port;
    }
  }

  connectionString(policyName?: string, { entityPath, form = this.mode }: ConnectionStringOptions = {}): string {
    const policy =
      policyName === undefined
        ? this.#policies[0]
        : this.#policies.find(({ name }) => name.toLowerCase() === policyName.toLowerCase());
    if (policy === undefined) throw new TypeError(`The namespace has no shared access policy '${policyName ?? ''}'.`);
    if (form !== 'host' && form !== this.mode)
      throw new TypeError(`A namespace in mode '${this.mode}' has no connection string of the form '${form}'.`);
    const port = form === 'host' ? undefined : this.ports[form === 'cloud' ? 'amqps' : 'amqp'];
    if (form !== 'host' && port === undefined)
      throw new TypeError(`The port for a connection string of the form '${form}' is not open.`);
    return [
      `Endpoint=sb://${this.hostname}${port === undefined ? '' : `:${port}`}/`,
      `SharedAccessKeyName=${policy.name}`,
      `SharedAccessKey=${policy.key}`,
      ...(entityPath === undefined ? [] : [`EntityPath=${entityPath}`]),
      ...(form === 'emulator' ? ['UseDevelopmentEmulator=true'] : []),
    ].join(';');
  }

  /** Entities first, as they were asked for, then what was in them. */
  #restore(file: NamespaceFile, host: NamespaceHost): void {
    const { log } = this.#options;
    for (const request of file.requests) {
      const failure = this.administration.replay(request);
      if (failure !== undefined) log?.('warning', `${file.path}: not done again: ${failure}`);
    }
    const { broker } = this.namespace;
    const { messages, missing } = broker.restore(file.history, file, host.clock.now(), file.hubHistory);
    if (messages > 0) log?.('info', `${file.path}: ${messages} messages are back`);
    for (const name of missing)
      log?.('warning', `${file.path}: there is no entity '${name}' any more; what was in it is dropped`);
    const administration = this.administration;
    file.onWritten = () => this.namespace.wake();
    file.start(function* () {
      yield* administration.snapshot();
      yield* broker.snapshot();
    });
  }

  #health(): Health {
    const failure = this.#file?.failure;
    if (failure !== undefined)
      return { healthy: false, message: `The file of the namespace cannot be written: ${failure}` };
    if (this.#isClosing) return { healthy: false, message: 'The namespace is closing.' };
    const { connections, links, memory } = this.namespace;
    if (memory.isShort)
      return {
        healthy: false,
        message: `Messages take ${mebibytes(memory.used)} of ${mebibytes(memory.max)} MiB of memory: none is taken until some are received.`,
      };
    return { healthy: true, message: `The namespace takes connections; it has ${connections}, with ${links} links.` };
  }

  async close(graceMs = 0): Promise<void> {
    this.#isClosing = true;
    this.namespace.close();
    await Promise.all(this.#listeners.map((listener) => listener.close(graceMs)));
    this.#file?.close();
    this.certificate?.dispose();
  }

  /** How a port of that name is opened. */
  #how(name: PortName): Pick<ListenOptions, 'mode' | 'tls' | 'inBandTls' | 'websocketPaths' | 'onRequest'> {
    const tls = this.#tls;
    const onRequest: ListenOptions['onRequest'] = (request, response) =>
      answerHttp(request, response, this.administration, () => this.#health());
    switch (name) {
      case 'amqps':
        return { mode: 'tls', tls };
      case 'wss':
        return { mode: 'websocket-tls', tls, websocketPaths: [SERVICE_BUS_WEBSOCKET_PATH], onRequest };
      case 'ws':
        return { mode: 'websocket', websocketPaths: [SERVICE_BUS_WEBSOCKET_PATH], onRequest };
      // A peer that leaves TLS out gets as far as it does in the cloud: to the list of mechanisms, and no further.
      case 'amqp':
        return tls === undefined
          ? { mode: 'tcp' }
          : { mode: 'tcp', tls, inBandTls: { use: 'required', plain: 'pass' } };
    }
  }

  #accept(info: StreamInfo): ReturnType<Namespace['accept']> {
    return this.namespace.accept({ secure: info.encrypted, peer: `${info.remoteAddress}:${info.remotePort}` });
  }

  #refused({ text }: Refusal): void {
    this.#options.log?.('warning', text);
  }

  #certificateNames(): { names: string[]; ips: string[] } {
    const all = new Set(['localhost', this.hostname, this.host, '127.0.0.1', '::1', ...(this.#options.names ?? [])]);
    // Listening on all of them is no address of its own.
    for (const any of ['', '0.0.0.0', '::']) all.delete(any);
    return { names: [...all].filter((name) => isIP(name) === 0), ips: [...all].filter((name) => isIP(name) !== 0) };
  }
}
