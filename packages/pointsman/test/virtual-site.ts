// SPDX-License-Identifier: Apache-2.0
import { createHmac } from 'node:crypto';
import { EntityManagement, HubPositions, LateSettlements, sasKeyProvider } from '@pointsman/azure';
import { Connection } from '@pointsman/engine';
import type { ConnectionEnd, ProtocolEndpoint } from '@pointsman/engine';
import { Namespace } from '@pointsman/namespace';
import type { NamespaceOptions } from '@pointsman/namespace';
import { Router } from '@pointsman/router';
import type { AutoLink, AutoLinkSettings, RouterOptions } from '@pointsman/router';
import { silentLogger } from '../src/log.js';
import { ServiceBusConnection } from '../src/run/service-bus-connection.js';
import { CLOUD, KEY, POLICY, VirtualClock } from './virtual-cloud.js';

/** 2026-01-01, at which the virtual clock showed 0. */
const TIME_ORIGIN = 1_767_225_600_000;

export interface SiteOptions {
  readonly namespace?: NamespaceOptions;
  readonly autoLinks: readonly Omit<AutoLinkSettings, 'connection'>[];
  readonly router?: Partial<RouterOptions>;
}

/** A router with a connector to a namespace, in one process, under one virtual clock. It connects again at once. */
export class VirtualSite {
  readonly clock: VirtualClock = new VirtualClock();
  readonly namespace: Namespace;
  readonly router: Router;
  readonly log: string[] = [];
  connects = 0;
  service: ServiceBusConnection | undefined;
  readonly #entities: EntityManagement;
  readonly #late: LateSettlements;
  #seed = 1;
  /** The router's and the service's end of the connection, and those of connections that are about to end. */
  readonly #pairs = new Set<readonly [ProtocolEndpoint, ProtocolEndpoint]>();

  constructor({ namespace = {}, autoLinks, router = {} }: SiteOptions) {
    const { clock } = this;
    const random = (): number => this.#random();
    this.namespace = new Namespace(
      {
        hostname: CLOUD,
        policies: [{ name: POLICY, key: KEY.reveal(), rights: ['Send', 'Listen', 'Manage'] }],
        queues: [{ name: 'orders' }],
        ...namespace,
      },
      {
        clock,
        timeOrigin: TIME_ORIGIN,
        random,
        hmacSha256: (key, text) => createHmac('sha256', key).update(text).digest('base64'),
      },
    );
    this.router = new Router({
      id: 'R',
      clock,
      random,
      log: (module, level, text) => this.log.push(`${module} ${level}: ${text}`),
      autoLinks: autoLinks.map((settings) => ({ connection: 'cloud', ...settings })),
      ...router,
    });
    this.#entities = new EntityManagement({ clock });
    this.#late = new LateSettlements({ management: this.#entities, clock, random });
    this.connect();
  }

  #random(): number {
    this.#seed = (this.#seed * 16_807) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  }

  get wallMs(): number {
    return TIME_ORIGIN + this.clock.time;
  }

  autoLink(address: string): AutoLink {
    return this.router.autoLinks.find(({ settings }) => settings.address === address)!;
  }

  /** Lines of the log that say so. */
  said(what: RegExp): number {
    return this.log.filter((line) => what.test(line)).length;
  }

  connect(): void {
    this.connects += 1;
    const { router, clock } = this;
    const at = router.connection({
      role: 'route-container',
      direction: 'out',
      name: 'cloud',
      peer: CLOUD,
      hooks: {
        onAuthenticated: (connection) => {
          this.service = new ServiceBusConnection({
            connector: 'cloud',
            byConnectionString: true,
            to: {
              host: CLOUD,
              hostname: CLOUD,
              port: 5671,
              transport: 'tcp',
              webSocketPort: 443,
              proxy: undefined,
              tls: 'first',
              tlsIsCertain: true,
              verifyHostname: true,
              username: undefined,
              password: undefined,
              mechanisms: ['MSSBCBS'],
              tokens: sasKeyProvider(POLICY, KEY, () => this.wallMs),
              entityPath: undefined,
              secrets: [KEY],
            },
            host: CLOUD,
            port: 5671,
            connection,
            routerId: 'R',
            id: at.id,
            log: silentLogger,
            entities: this.#entities,
            lateSettlements: this.#late,
            positions: new HubPositions(),
            surroundings: { clock, nowMs: () => this.wallMs, random: () => this.#random() },
          });
          at.dialect = this.service.dialect;
        },
        onOpened: () => this.service?.opened(),
        onClosed: (_connection, end) => this.#closed(end),
      },
    });
    const engine = new Connection(
      {
        role: 'client',
        containerId: 'R',
        now: clock.time,
        hostname: CLOUD,
        idleTimeoutMs: 240_000,
        saslClient: { mechanisms: ['MSSBCBS'], hostname: CLOUD },
      },
      at,
    );
    Router.join(at, engine);
    this.#pairs.add([engine, this.namespace.accept({ secure: true })]);
    this.#carry();
  }

  /** A client of the router, which has nothing to say to what the router begins. */
  client(containerId: string): Connection {
    const now = this.clock.time;
    const at = this.router.connection({ role: 'normal', direction: 'in', peer: containerId });
    const inside = new Connection({ role: 'server', containerId: 'R', now }, at);
    Router.join(at, inside);
    const outside = new Connection(
      { role: 'client', containerId, now },
      {
        onOpen: (connection) => connection.open(),
        onBegin: (session) => session.begin(),
        onEnd: () => undefined,
        onAttach: () => undefined,
        onClosed: () => undefined,
      },
    );
    this.#pairs.add([outside, inside]);
    this.#carry();
    return outside;
  }

  #closed(end: ConnectionEnd): void {
    this.service?.closed();
    this.log.push(`closed ${end.by}: ${end.error?.condition ?? ''}`);
    this.clock.after(10, () => this.connect());
  }

  get #ends(): ProtocolEndpoint[] {
    return [...this.#pairs].flat();
  }

  async advance(ms: number): Promise<this> {
    const until = this.clock.time + ms;
    await this.settle();
    while (this.clock.time < until) {
      const deadlines = this.#ends.map((end) => end.deadline() ?? Infinity);
      const next = Math.min(this.clock.next, ...deadlines, until);
      this.clock.time = Math.max(this.clock.time + (next > this.clock.time ? 0 : 1), next);
      this.clock.strike();
      for (const end of this.#ends) if (!end.done) end.tick(this.clock.time);
      // oxlint-disable-next-line no-await-in-loop
      await this.settle();
    }
    return this;
  }

  /** Lets everything happen that takes no time. */
  async settle(): Promise<this> {
    for (let turn = 0; turn < 6; turn++) {
      this.#carry();
      // oxlint-disable-next-line no-await-in-loop
      await Promise.resolve();
    }
    return this;
  }

  #carry(): void {
    const { time } = this.clock;
    for (let moved = true; moved;) {
      moved = false;
      for (const pair of this.#pairs) {
        for (const [from, to] of [pair, [pair[1], pair[0]] as const]) {
          const buffers = from.takeOutput(time);
          if (buffers !== undefined) {
            moved = true;
            for (const buffer of buffers) if (!to.done) to.receive(Uint8Array.from(buffer), time);
            from.releaseOutput(buffers, time);
          }
          // As a socket does: what one end has ended, the other hears.
          if (from.done && !to.done) to.receiveEnd(time);
        }
        if (pair.every((end) => end.done)) this.#pairs.delete(pair);
      }
    }
  }
}
