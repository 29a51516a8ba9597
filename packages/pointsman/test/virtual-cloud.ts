// SPDX-License-Identifier: Apache-2.0
import { createHmac } from 'node:crypto';
import { CbsClient, Secret, makeSasToken, sasKeyProvider } from '@pointsman/azure';
import type { CbsClientOptions, CbsEvent } from '@pointsman/azure';
import { Connection } from '@pointsman/engine';
import type {
  Clock,
  ConnectionEnd,
  ConnectionHandler,
  Link,
  ProtocolEndpoint,
  SenderHandler,
  Session,
} from '@pointsman/engine';
import { Namespace } from '@pointsman/namespace';
import type { NamespaceOptions } from '@pointsman/namespace';
import type { AmqpErrorFields, Attach } from '@pointsman/wire';

export const CLOUD = 'example.servicebus.windows.net';
export const POLICY = 'RootManageSharedAccessKey';
export const KEY: Secret = new Secret('k3y/of+the==policy');
/** 2026-01-01, at which the virtual clock showed 0. */
const TIME_ORIGIN = 1_767_225_600_000;

/** Time that passes when a test says so. */
export class VirtualClock implements Clock {
  time = 0;
  #orders: { readonly at: number; readonly action: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(ms: number, action: () => void): () => void {
    const order = { at: this.time + ms, action };
    this.#orders.push(order);
    return (): void => {
      this.#orders = this.#orders.filter((other) => other !== order);
    };
  }

  /** Orders that wait for their time. */
  get pending(): number {
    return this.#orders.length;
  }

  /** Time of the next order. */
  get next(): number {
    return Math.min(Infinity, ...this.#orders.map(({ at }) => at));
  }

  /** Carries out what is due. */
  strike(): void {
    for (;;) {
      const due = this.#orders.filter(({ at }) => at <= this.time).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) return;
      this.#orders = this.#orders.filter((order) => order !== due);
      due.action();
    }
  }
}

/** A namespace and one connection to it, in one process under one virtual clock. */
export class VirtualCloud implements ConnectionHandler {
  readonly clock: VirtualClock = new VirtualClock();
  readonly namespace: Namespace;
  readonly connection: Connection;
  readonly cbs: CbsClient;
  readonly events: CbsEvent[] = [];
  end: ConnectionEnd | undefined;
  readonly #service: ProtocolEndpoint;
  #session: Session | undefined;
  #links = 0;
  #seed = 1;

  constructor(options: NamespaceOptions = {}, cbs: Partial<CbsClientOptions> = {}) {
    const { clock } = this;
    this.namespace = new Namespace(
      {
        hostname: CLOUD,
        policies: [{ name: POLICY, key: KEY.reveal(), rights: ['Send', 'Listen', 'Manage'] }],
        queues: [{ name: 'orders' }, { name: 'bills' }],
        ...options,
      },
      {
        clock,
        timeOrigin: TIME_ORIGIN,
        // Ids are made of it: no two alike.
        random: () => (this.#seed = (this.#seed * 16_807) % 2_147_483_647) / 2_147_483_647,
        hmacSha256: (key, text) => createHmac('sha256', key).update(text).digest('base64'),
      },
    );
    this.#service = this.namespace.accept({ secure: true });
    this.connection = new Connection(
      { role: 'client', containerId: 'R', now: 0, hostname: CLOUD, saslClient: { mechanisms: ['MSSBCBS'] } },
      this,
    );
    this.cbs = new CbsClient({
      connection: this.connection,
      host: CLOUD,
      provider: sasKeyProvider(POLICY, KEY, () => this.wallMs),
      clock,
      nowMs: () => this.wallMs,
      random: () => 0.5,
      name: 'R-cbs',
      onEvent: (event) => this.events.push(event),
      ...cbs,
    });
    this.#carry();
  }

  get wallMs(): number {
    return TIME_ORIGIN + this.clock.time;
  }

  token(resource: string, lifeMs: number): Secret {
    const expiresAtSeconds = Math.ceil((this.wallMs + lifeMs) / 1000);
    return makeSasToken({ resource, keyName: POLICY, key: KEY, expiresAtSeconds });
  }

  /** What has happened to tokens, one line each. */
  get story(): string[] {
    return this.events.map(({ type, audience }) => `${type} ${audience.replace(`sb://${CLOUD}/`, '')}`);
  }

  /** Lets everything happen that takes no time. */
  async settle(): Promise<this> {
    // Providers answer by promises: some turns until they are through.
    for (let turn = 0; turn < 8; turn++) {
      this.#carry();
      await Promise.resolve();
    }
    this.clock.strike();
    this.#carry();
    return this;
  }

  async advance(ms: number): Promise<this> {
    await this.settle();
    const end = this.clock.time + ms;
    while (this.clock.time < end) {
      const next = Math.min(
        this.clock.next,
        this.connection.deadline() ?? Infinity,
        this.#service.deadline() ?? Infinity,
        end,
      );
      this.clock.time = Math.max(this.clock.time + (next > this.clock.time ? 0 : 1), next);
      this.clock.strike();
      for (const endpoint of [this.connection, this.#service]) if (!endpoint.done) endpoint.tick(this.clock.time);
      await this.settle();
    }
    return this;
  }

  /** Gets the right and attaches a sender, as an autolink does. */
  send(address: string): VirtualLink {
    const link = new VirtualLink();
    link.release = this.cbs.authorize(address, (error) => {
      if (error !== undefined) {
        link.error = error;
        return;
      }
      this.#session ??= this.connection.session();
      link.link = this.#session.attachSender(`out-${this.#links++}`, link, {
        source: { type: 'source' },
        target: { type: 'target', address },
      });
    });
    return link;
  }

  #carry(): void {
    const time = this.clock.time;
    for (let moved = true; moved;) {
      moved = false;
      for (const [from, to] of [
        [this.connection, this.#service],
        [this.#service, this.connection],
      ] as const) {
        const buffers = from.takeOutput(time);
        if (buffers === undefined) continue;
        moved = true;
        for (const buffer of buffers) if (!to.done) to.receive(Uint8Array.from(buffer), time);
        from.releaseOutput(buffers, time);
      }
    }
  }

  // ---- ConnectionHandler ----

  onOpen(connection: Connection): void {
    connection.open();
  }
  onBegin(): void {
    /* we begin, the service answers */
  }
  onEnd(): void {
    this.#session = undefined;
  }
  onAttach(): void {
    /* the service attaches nothing */
  }
  onClosed(_connection: Connection, end: ConnectionEnd): void {
    this.end = end;
    this.cbs.close();
  }
}

export class VirtualLink implements SenderHandler {
  link: Link | undefined;
  isAttached = false;
  /** Why there is none, or none any more. */
  error: AmqpErrorFields | undefined;
  release!: (error?: AmqpErrorFields) => void;

  get state(): string {
    if (this.error !== undefined) return this.error.condition;
    return this.isAttached ? 'attached' : 'waiting';
  }

  onAttached(_link: Link, { target }: Attach): void {
    this.isAttached = target !== undefined;
  }
  onDetach(link: Link, error: AmqpErrorFields | undefined): void {
    link.detach();
    this.onLost(link, error);
  }
  onLost(_link: Link, error: AmqpErrorFields | undefined): void {
    this.error = error ?? { condition: 'lost' };
    this.release(this.error);
  }
  onSendable(): void {
    /* nothing is sent */
  }
  onDisposition(): void {
    /* nothing is sent */
  }
}
