// SPDX-License-Identifier: Apache-2.0
import { Connection, SenderLink } from '@pointsman/engine';
import type {
  AttachParameters,
  Clock,
  ConnectionEnd,
  ConnectionHandler,
  ConnectionOptions,
  IncomingDelivery,
  Link,
  OutgoingDelivery,
  ReceiverHandler,
  SenderHandler,
  Session,
  TransferFrame,
  ReceiverLink,
} from '@pointsman/engine';
import { decodeMessage, encodeMessage } from '@pointsman/wire';
import type { AmqpErrorFields, Attach, DeliveryState, Message, Open } from '@pointsman/wire';
import { Router } from '../src/index.js';
import type { RouterConnection, RouterConnectionSettings, RouterOptions } from '../src/index.js';

/** Time that passes when a test says so. */
export class VirtualClock implements Clock {
  time = 1_000;
  #orders: { at: number; action: () => void }[] = [];

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

  /** The next order not later than `until`, taken out. */
  next(until: number): (() => void) | undefined {
    const due = this.#orders.filter((order) => order.at <= until).sort((a, b) => a.at - b.at)[0];
    if (due === undefined) return undefined;
    this.#orders = this.#orders.filter((order) => order !== due);
    this.time = Math.max(this.time, due.at);
    return due.action;
  }
}

/** A router and its peers in one process, joined without sockets under one clock. */
export class World {
  readonly clock: VirtualClock = new VirtualClock();
  readonly router: Router;
  readonly logs: string[] = [];
  readonly peers: Peer[] = [];
  #seed = 1;

  constructor(options: Partial<RouterOptions> = {}) {
    this.router = new Router({
      id: 'R',
      clock: this.clock,
      random: () => this.random(),
      log: (module, level, line) => this.logs.push(`${module} (${level}) ${line}`),
      ...options,
    });
  }

  random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed / 2 ** 32;
  }

  /** A peer that connects; for `direction: 'out'` the router connects to it. @param prepare - before it does */
  peer(
    settings: Partial<RouterConnectionSettings> & { containerId?: string } = {},
    engine: Partial<ConnectionOptions> = {},
    routerEngine: Partial<ConnectionOptions> = {},
    prepare: (at: RouterConnection) => void = () => undefined,
  ): Peer {
    const { containerId = `peer${this.peers.length}`, ...rest } = settings;
    const at = this.router.connection({ role: 'normal', direction: 'in', peer: containerId, ...rest });
    prepare(at);
    const routerDials = rest.direction === 'out';
    const inside = new Connection(
      { role: routerDials ? 'client' : 'server', containerId: this.router.id, now: this.clock.time, ...routerEngine },
      at,
    );
    Router.join(at, inside);
    const peer = new Peer(this, at, inside);
    peer.connection = new Connection(
      { role: routerDials ? 'server' : 'client', containerId, now: this.clock.time, ...engine },
      peer,
    );
    this.peers.push(peer);
    this.run();
    return peer;
  }

  /** Carries bytes until everybody is silent. */
  run(): this {
    for (let moved = true; moved;) {
      moved = false;
      for (const peer of this.peers) moved = peer.carry() || moved;
    }
    return this;
  }

  /** Lets time pass. */
  advance(ms: number): this {
    const until = this.clock.time + ms;
    for (let action = this.clock.next(until); action !== undefined; action = this.clock.next(until)) {
      action();
      this.run();
    }
    this.clock.time = until;
    return this.run();
  }
}

/** A container at the other end of one of the router's connections. */
export class Peer implements ConnectionHandler {
  readonly world: World;
  readonly at: RouterConnection;
  readonly inside: Connection;
  connection!: Connection;
  end: ConnectionEnd | undefined;
  readonly attached: Inlet[] = [];
  readonly outlets: Outlet[] = [];
  /** Decides about attaches of the router: an error refuses. */
  decide: ((attach: Attach) => AmqpErrorFields | undefined) | undefined;
  isCut = false;
  /** What the peer says in its answers to attaches. */
  answer: ((attach: Attach) => AttachParameters) | undefined;
  /** What the peer says in its answers to begins. */
  beginOptions: Parameters<Session['begin']>[0] = {};
  #session: Session | undefined;

  constructor(world: World, at: RouterConnection, inside: Connection) {
    this.world = world;
    this.at = at;
    this.inside = inside;
  }

  carry(): boolean {
    if (this.isCut) return false;
    const now = this.world.clock.time;
    let moved = false;
    for (const [from, to] of [
      [this.connection, this.inside],
      [this.inside, this.connection],
    ] as const) {
      const buffers = from.takeOutput(now);
      if (buffers === undefined) continue;
      moved = true;
      for (const buffer of buffers) to.receive(buffer.slice(), now);
      from.releaseOutput(buffers, now);
    }
    return moved;
  }

  /** The wire breaks: neither side hears anything but the end. */
  cut(): void {
    this.isCut = true;
    this.inside.receiveEnd(this.world.clock.time, new Error('cut'));
    this.connection.receiveEnd(this.world.clock.time, new Error('cut'));
    this.world.run();
  }

  get session(): Session {
    this.#session ??= this.connection.session();
    return this.#session;
  }

  /** Ends the session of its links; the next link begins another. */
  endSession(): void {
    this.#session?.end();
    this.#session = undefined;
    this.world.run();
  }

  /** A link that the peer receives on. */
  receive(address: string | undefined, credit = 100, parameters: AttachParameters = {}): Inlet {
    const inlet = new Inlet(this);
    inlet.link = this.session.attachReceiver(`in-${this.world.random()}`, inlet, {
      source: { type: 'source', address },
      target: { type: 'target' },
      ...parameters,
    });
    this.world.run();
    if (credit > 0) inlet.credit(credit);
    return inlet;
  }

  /** A link that the peer sends on. */
  send(address: string | undefined, parameters: AttachParameters = {}): Outlet {
    const outlet = new Outlet(this);
    outlet.link = this.session.attachSender(`out-${this.world.random()}`, outlet, {
      source: { type: 'source' },
      target: { type: 'target', address },
      ...parameters,
    });
    this.world.run();
    return outlet;
  }

  // ---- ConnectionHandler ----

  onOpen(connection: Connection, _open: Open): void {
    connection.open();
  }
  onBegin(session: Session): void {
    session.begin(this.beginOptions);
  }
  onEnd(): void {
    /* its links were told */
  }
  onAttach(link: SenderLink | ReceiverLink, attach: Attach): void {
    const refusal = this.decide?.(attach);
    if (refusal !== undefined) return link.refuse(refusal);
    if (link instanceof SenderLink) {
      const outlet = new Outlet(this);
      outlet.link = link;
      this.outlets.push(outlet);
      link.accept(outlet, this.answer?.(attach) ?? {});
    } else {
      const inlet = new Inlet(this);
      inlet.link = link;
      this.attached.push(inlet);
      link.accept(inlet, this.answer?.(attach) ?? {});
    }
  }
  onClosed(_connection: Connection, end: ConnectionEnd): void {
    this.end = end;
  }
}

/** What a peer receives on a link. */
export class Inlet implements ReceiverHandler {
  readonly peer: Peer;
  link!: ReceiverLink;
  attach: Attach | undefined;
  readonly deliveries: IncomingDelivery[] = [];
  readonly bytes: Uint8Array[] = [];
  readonly tags: string[] = [];
  detached: { error: AmqpErrorFields | undefined; closed: boolean } | undefined;
  /** How the router answered a detach of ours; only where the link was told to wait for that. */
  answered: { description: string | undefined; closed: boolean } | undefined;
  lost = false;
  /** Outcome given to each message as it comes. */
  auto: DeliveryState | undefined;
  flows = 0;
  /** Settlements by the sender, as text and outcome. */
  readonly confirmed: string[] = [];

  constructor(peer: Peer) {
    this.peer = peer;
  }

  credit(count: number): this {
    this.link.addCredit(count);
    this.peer.world.run();
    return this;
  }

  /** Values of the bodies that came whole. */
  get texts(): string[] {
    return this.deliveries.flatMap((delivery, i) =>
      delivery.complete && !delivery.aborted ? [textOf(this.bytes[i]!)] : [],
    );
  }

  message(index: number): Message {
    return decodeMessage(this.bytes[index]!);
  }

  settle(index: number, state: DeliveryState): void {
    this.link.settle(this.deliveries[index]!, state);
    this.peer.world.run();
  }

  onAttached(_link: Link, attach: Attach): void {
    this.attach = attach;
  }
  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    const part = frame.bytes.slice(frame.payloadStart, frame.payloadEnd);
    const at = this.deliveries.indexOf(delivery);
    if (at < 0) {
      this.deliveries.push(delivery);
      this.bytes.push(part);
      this.tags.push(Buffer.from(frame.tag()).toString('hex'));
    } else {
      this.bytes[at] = new Uint8Array(Buffer.concat([this.bytes[at]!, part]));
    }
    if (this.auto !== undefined && delivery.complete && !delivery.aborted) link.settle(delivery, this.auto);
  }
  onRemoteState(
    _link: ReceiverLink,
    delivery: IncomingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const kind = state !== undefined && 'type' in state ? state.type : 'none';
    if (settled) this.confirmed.push(`${this.texts[this.deliveries.indexOf(delivery)]} ${kind}`);
  }
  onFlow(): void {
    this.flows++;
  }
  onDetach(_link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    this.detached = { error, closed };
  }
  onDetachAnswered(_link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    this.answered = { description: error?.description, closed };
  }
  onLost(): void {
    this.lost = true;
  }
}

/** What a peer sends on a link. */
export class Outlet implements SenderHandler {
  readonly peer: Peer;
  link!: SenderLink;
  attach: Attach | undefined;
  readonly outcomes: { tag: unknown; state: DeliveryState | undefined; settled: boolean }[] = [];
  detached: { error: AmqpErrorFields | undefined; closed: boolean } | undefined;
  lost = false;
  drains = 0;

  constructor(peer: Peer) {
    this.peer = peer;
  }

  /** Sends a message of one text. */
  text(value: string, settled = false, more: Message = {}): OutgoingDelivery {
    return this.message({ ...more, body: { kind: 'value', value } }, settled, value);
  }

  message(message: Message, settled = false, context?: unknown): OutgoingDelivery {
    return this.raw(encodeMessage(message), settled, context);
  }

  raw(bytes: Uint8Array, settled = false, context?: unknown, last = true, tag?: Uint8Array): OutgoingDelivery {
    const delivery = this.link.send(tag, 0, settled, context, bytes, 0, bytes.length, last);
    this.peer.world.run();
    return delivery;
  }

  /** Kinds of the outcomes that came, by the text that was sent. */
  get told(): Record<string, string> {
    return Object.fromEntries(
      this.outcomes.map(({ tag, state }) => [
        String(tag),
        state !== undefined && 'type' in state ? state.type : 'none',
      ]),
    );
  }

  onAttached(_link: Link, attach: Attach): void {
    this.attach = attach;
  }
  onSendable(): void {
    /* tests send when they want to */
  }
  onDrain(link: SenderLink): void {
    this.drains++;
    link.drained();
  }
  onDisposition(
    _link: SenderLink,
    delivery: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    this.outcomes.push({ tag: delivery.context, state, settled });
  }
  onDetach(_link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    this.detached = { error, closed };
  }
  onLost(): void {
    this.lost = true;
  }
}

function textOf(bytes: Uint8Array): string {
  const { body } = decodeMessage(bytes);
  return body?.kind === 'value' ? String(body.value) : `<${body?.kind ?? 'no body'}>`;
}
