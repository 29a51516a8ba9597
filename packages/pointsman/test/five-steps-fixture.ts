// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, LookupFunction, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { ProtocolEndpoint } from '@pointsman/engine';
import { Namespace } from '@pointsman/namespace';
import type { NamespaceOptions } from '@pointsman/namespace';
import type { AutoLink } from '@pointsman/router';
import { TlsCredentials, issueCertificate, listen, processClock } from '@pointsman/transport';
import type {
  Backoff,
  CertificateIssuer,
  CertificateRequest,
  Listener,
  ListenOptions,
  ServerTlsOptions,
  StreamInfo,
} from '@pointsman/transport';
import { formatProblems } from '../src/config/problems.js';
import type { ConfigProblem } from '../src/config/problems.js';
import { readConfig } from '../src/config/read-config.js';
import type { ConfigResult } from '../src/config/read-config.js';
import { createLogger } from '../src/log.js';
import type { ConnectorRuntime, ConnectorStep } from '../src/run/connector.js';
import { RouterProcess } from '../src/run/router-process.js';
import { Visit } from './five-steps-visit.js';

/** A name of Service Bus that leads to this machine, see {@link Scene.startRouter}. */
export const CLOUD_HOST = 'unit.servicebus.windows.net';
export const POLICY = 'RootManageSharedAccessKey';
export const KEY = 'k3y/of+the==policy';
export const TOPIC = { name: 'events', subscriptions: [{ name: 'billing' }] } as const;

const DAY_MS = 86_400_000;
/** Far more than anything here takes: it only ends a test that hangs, with a reason. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 2;

/** Runs a test and closes what it opened, the latest first. */
export function scene(body: (scene: Scene) => Promise<void>): () => Promise<void> {
  return async () => {
    const one = new Scene();
    try {
      await body(one);
    } finally {
      await one.close();
    }
  };
}

/** Waits for a condition. @param what - to follow "waited for" */
export async function until<T>(
  what: string,
  condition: () => T | false | undefined,
  state: () => string = () => '',
  patienceMs: number = PATIENCE_MS,
): Promise<T> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const value = condition();
    if (value !== false && value !== undefined) return value;
    if (performance.now() > end) throw new Error(`waited ${patienceMs} ms for ${what}\n${state()}`);
    await new Promise<void>((resolve) => {
      setTimeout(resolve, LOOK_MS);
    });
  }
}

export interface DoubleOptions extends NamespaceOptions {
  /** Default: TLS from the first byte. `in-band`: by the AMQP header, and no other way; `plain`: none, as the emulator. */
  readonly port?: 'tls' | 'in-band' | 'in-band-refusing' | 'plain' | 'websocket';
  /** Number of the port. Default: any free one. */
  readonly onPort?: number;
  readonly certificate?: CertificateIssuer;
  readonly clientCertificate?: ServerTlsOptions['clientCertificate'];
}

/** A namespace on a port, and what was seen of each connection to it. */
export class ServiceBusDouble {
  readonly namespace: Namespace;
  readonly visits: Visit[] = [];
  readonly refusals: string[] = [];
  #listener: Listener | undefined;

  constructor(options: NamespaceOptions) {
    this.namespace = new Namespace(
      {
        hostname: CLOUD_HOST,
        policies: [{ name: POLICY, key: KEY, rights: ['Send', 'Listen', 'Manage'] }],
        queues: [{ name: 'orders' }],
        topics: [TOPIC],
        ...options,
      },
      {
        clock: processClock,
        timeOrigin: performance.timeOrigin,
        random: Math.random,
        hmacSha256: (key, text) => createHmac('sha256', key).update(text).digest('base64'),
      },
    );
  }

  async open(options: ListenOptions): Promise<void> {
    const onRefused: ListenOptions['onRefused'] = ({ kind }) => this.refusals.push(kind);
    this.#listener = await listen({ ...options, onRefused }, (info) => this.#accept(info));
  }

  get port(): number {
    return this.#listener!.port;
  }

  /** The latest connection. */
  get visit(): Visit {
    const visit = this.visits.at(-1);
    assert.ok(visit, 'nobody has connected');
    return visit;
  }

  /** Closes its port and drops all connections. */
  async close(): Promise<void> {
    this.namespace.close();
    await this.#listener?.close();
  }

  #accept(info: StreamInfo): ProtocolEndpoint {
    const visit = new Visit(info, this.namespace.accept({ secure: info.encrypted }));
    this.visits.push(visit);
    return visit;
  }
}

/** A router at work, and what its user sees. */
export class RunningRouter {
  readonly process: RouterProcess;
  readonly warnings: readonly ConfigProblem[];
  readonly steps: ConnectorStep[] = [];
  /** Every status of every autolink, as `out orders active`. */
  readonly statuses: string[] = [];
  /** Waits before each next attempt, of all autolinks, ms. */
  readonly retries: { readonly link: AutoLink; readonly ms: number }[] = [];
  #log = '';

  constructor(text: string, { openTimeoutMs, backoff, stableMs, env, lookup, environment = {} }: RouterOptions) {
    const result = read(text, env);
    assert.ok(result.ok, result.ok ? '' : formatProblems(result.problems, { color: false }));
    this.warnings = result.warnings;
    const stderr = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.#log += chunk.toString();
        done();
      },
    });
    this.process = new RouterProcess(result.config, {
      log: createLogger({ logs: result.config.logs, stderr }),
      observer: {
        onConnector: (connector) => this.steps.push(connector.step),
        onAutoLink: (link) => {
          this.statuses.push(`${link.direction} ${link.externalAddress} ${link.status}`);
          if (link.nextAttempt !== undefined)
            this.retries.push({ link, ms: link.nextAttempt - this.process.router.clock.now() });
        },
      },
      environment: (name) => environment[name],
      ...(lookup === 'system' ? {} : { lookup: lookUpHere }),
      ...(openTimeoutMs === undefined ? {} : { openTimeoutMs }),
      ...(backoff === undefined ? {} : { backoff }),
      ...(stableMs === undefined ? {} : { stableMs }),
    });
  }

  get log(): string {
    return this.#log;
  }

  get connector(): ConnectorRuntime {
    return this.process.connectors[0]!;
  }

  get port(): number {
    return this.process.listeners[0]!.port;
  }

  autoLink(direction: 'in' | 'out', externalAddress: string): AutoLink {
    const link = this.process.router.autoLinks.find(
      (one) => one.direction === direction && one.externalAddress === externalAddress,
    );
    assert.ok(link, `there is no autolink ${direction} ${externalAddress}`);
    return link;
  }

  /** Ms that an autolink waits before its next attempt, counted from when it was planned. */
  retryOf(link: AutoLink): number {
    const retry = this.retries.findLast((one) => one.link === link);
    assert.ok(retry, 'no attempt was planned');
    return retry.ms;
  }

  until<T>(what: string, condition: () => T | false | undefined): Promise<T> {
    return until(
      what,
      condition,
      () =>
        `steps: ${this.steps.slice(-20).join(' ')}\nstatuses: ${this.statuses.slice(-20).join(', ')}\nlog: ${this.log.slice(-5_000)}`,
    );
  }

  /** Resolves when a line of the log has all of `words`; gives the line. */
  said(...words: readonly (string | RegExp)[]): Promise<string> {
    return this.until(`a line of the log with ${words.join(' and ')}`, () =>
      this.log
        .split('\n')
        .find((line) => words.every((word) => (typeof word === 'string' ? line.includes(word) : word.test(line)))),
    );
  }

  /** Resolves when the connection is open and every autolink has been active. */
  async active(): Promise<void> {
    await this.until('all autolinks to be active', () =>
      this.process.router.autoLinks.every(({ status }) => status === 'active'),
    );
    assert.equal(this.connector.step, 'open');
  }
}

/** Reads a configuration as the command does. */
export function read(text: string, env: Readonly<Record<string, string>> = { SERVICEBUS_KEY: KEY }): ConfigResult {
  return readConfig(text, {
    path: 'router.conf',
    secrets: { env: (name) => env[name], readFile: (path) => readFileSync(path, 'utf8') },
  });
}

export interface RouterOptions {
  readonly openTimeoutMs?: number;
  readonly backoff?: Partial<Backoff>;
  readonly stableMs?: number;
  /** What `env:` finds. Default: the key of the policy in SERVICEBUS_KEY. */
  readonly env?: Readonly<Record<string, string>>;
  /** How hosts are found. Default: each is this machine. */
  readonly lookup?: 'system';
  /** Where proxies may be named. Default: nothing is set. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** One test: temporary files, namespaces, routers, and the end of them all. */
export class Scene {
  readonly authority: CertificateIssuer = issueCertificate({
    commonName: 'Unit Root',
    organization: 'Contoso',
    ...days(-10, 10),
    authority: true,
  });
  #folder: string | undefined;
  readonly #endings: (() => unknown)[] = [];

  /** Closes it at the end. */
  whenOver(end: () => unknown): void {
    this.#endings.push(end);
  }

  async close(): Promise<void> {
    for (const end of this.#endings.toReversed()) await end();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Writes a file. @returns its path */
  file(name: string, text: string): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), 'five-steps-'));
    const path = join(this.#folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** The authority behind what {@link certificate} makes, as a file. */
  get caCertFile(): string {
    return this.file('ca.pem', this.authority.cert);
  }

  certificate(request: Partial<CertificateRequest> = {}): CertificateIssuer {
    const names = ['*.servicebus.windows.net', 'localhost'];
    return issueCertificate(
      { commonName: 'servicebus', names, ips: ['127.0.0.1'], ...days(-1, 1), ...request },
      this.authority,
    );
  }

  async openNamespace({
    port = 'tls',
    onPort = 0,
    certificate = this.certificate(),
    clientCertificate,
    ...options
  }: DoubleOptions = {}): Promise<ServiceBusDouble> {
    const double = new ServiceBusDouble({ requireTls: port !== 'plain', ...options });
    // Made as they are: reading them from files would refuse an expired one.
    const credentials = new TlsCredentials(
      { cert: certificate.cert, key: certificate.key },
      [this.authority.cert],
      false,
      [],
    );
    const tls: ServerTlsOptions = { credentials, clientCertificate };
    await double.open({
      host: '127.0.0.1',
      port: onPort,
      mode: port === 'tls' ? 'tls' : port === 'websocket' ? 'websocket-tls' : 'tcp',
      ...(port === 'plain' ? {} : { tls }),
      ...(port === 'in-band'
        ? { inBandTls: { use: 'required', plain: 'pass' } }
        : port === 'in-band-refusing'
          ? { inBandTls: { use: 'required' } }
          : {}),
    });
    this.whenOver(() => double.close());
    return double;
  }

  /** Starts a router from the text of its configuration. Names of Service Bus lead to this machine. */
  async startRouter(text: string, options: RouterOptions = {}): Promise<RunningRouter> {
    const router = new RunningRouter(text, options);
    this.whenOver(() => router.process.stop(100));
    await router.process.start();
    return router;
  }

  /** A port where `onSocket` decides what happens. */
  async openPort(onSocket: (socket: Socket) => void): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      onSocket(socket);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    this.whenOver(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  /** A port at which nobody listens any more. */
  async closedPort(): Promise<number> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

export function days(from: number, to: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Date.now() + from * DAY_MS), notAfter: new Date(Date.now() + to * DAY_MS) };
}

export const lookUpHere: LookupFunction = (_host, options, callback) => {
  if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }]);
  else callback(null, '127.0.0.1', 4);
};

export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** A section of a configuration file, an attribute a line. */
export function section(name: string, attributes: Attributes): string {
  const lines = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [`    ${key}: ${value}\n`],
  );
  return `${name} {\n${lines.join('')}}\n`;
}

/** The connector of the five steps; `changes` replace, add, or take out where undefined. */
export function connector(port: number, changes: Attributes = {}): string {
  return section('connector', {
    name: 'azure',
    role: 'route-container',
    host: CLOUD_HOST,
    port,
    sslProfile: 'cloud',
    saslMechanisms: 'PLAIN',
    saslUsername: POLICY,
    saslPassword: 'env:SERVICEBUS_KEY',
    ...changes,
  });
}

export function autoLink(direction: 'in' | 'out', address: string, externalAddress?: string): string {
  return section('autoLink', { address, direction, connection: 'azure', externalAddress });
}

/** `orders` through the queue of that name. */
export const THROUGH_ORDERS: string =
  section('address', { prefix: 'orders', waypoint: 'yes' }) + autoLink('out', 'orders') + autoLink('in', 'orders');

export const ROUTER: string = section('router', { id: 'Router.A' });

export const LISTENER: string = section('listener', { host: '127.0.0.1', port: 0, saslMechanisms: 'ANONYMOUS' });

export function sslProfile(attributes: Attributes): string {
  return section('sslProfile', { name: 'cloud', ...attributes });
}
