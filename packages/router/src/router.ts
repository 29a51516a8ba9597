// SPDX-License-Identifier: Apache-2.0
import type { Clock, Connection, ConnectionEnd, ReceiverLink } from '@pointsman/engine';
import type { EntityTable } from '@pointsman/management';
import type { AmqpErrorFields, AmqpValue } from '@pointsman/wire';
import { FALLBACK_PHASE, addressKey, phaseCharacter, plainAddress } from './address-text.js';
import type { AddressContext } from './address-text.js';
import { Address } from './address.js';
import { AutoLink } from './auto-link.js';
import { ExchangeRegistry } from './exchange-registry.js';
import type { IncomingLink } from './incoming-link.js';
import { sendFromWithin } from './in-process.js';
import type { LinkRecord } from './link-record.js';
import { LinkRoute } from './link-route.js';
import { LinkRouteTable } from './link-route-table.js';
import { OutgoingLink } from './outgoing-link.js';
import { PatternTree, prefixPattern, rewrittenPattern } from './pattern-tree.js';
import { RouterConnection } from './router-connection.js';
import { RouterCounters } from './router-counters.js';
import { SleepingContainers } from './sleeping-containers.js';
import { propertiesText } from './terminus-text.js';
import { Policy } from './policy/policy.js';
import { routerTables } from './agent/router-tables.js';
import type {
  AddressSettings,
  AutoLinkSettings,
  Distribution,
  InProcessReceiver,
  LinkRouteSettings,
  Log,
  RouterConnectionSettings,
  RouterOptions,
} from './settings.js';

/** Characters of made-up names. */
const NAME_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_';

/** How often links are looked at for deliveries that are stuck, and from which age on they are. */
const STUCK_SCAN_SECONDS = 30;
const STUCK_AGE_SECONDS = 10;

/** Told of what happens, for whoever runs the router. */
export interface RouterObserver {
  onConnectionOpened?(connection: RouterConnection): void;
  onConnectionClosed?(connection: RouterConnection, end: ConnectionEnd): void;
  onAutoLink?(autoLink: AutoLink): void;
}

/** What an attach finds: a node, or why there is none. */
export type Bound = Address | 'unavailable' | 'no-route';

/**
 * The router core: addresses, their links, link routes and autolinks. It has neither sockets nor a clock of its own;
 * each of its connections is an engine that somebody else drives.
 */
export class Router {
  readonly id: string;
  readonly area: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly policy: Policy;
  readonly defaultDistribution: Distribution;
  readonly autoLinks: AutoLink[] = [];
  /** @internal */
  readonly linkRouteTable: LinkRouteTable;
  /** Containers that are connected to when they are wanted. */
  readonly sleepers: SleepingContainers;
  /** Routed links may have a terminus that outlives its connection. */
  readonly allowResumableLinkRoute: boolean;
  readonly exchanges: ExchangeRegistry = new ExchangeRegistry(this);
  readonly connections: Set<RouterConnection> = new Set();
  observer: RouterObserver = {};
  readonly #random: () => number;
  readonly #context: AddressContext;
  readonly #addresses = new Map<string, Address>();
  readonly #settings = new PatternTree<AddressSettings>();
  /** Whole seconds since the start, counted while there are connections. */
  tick = 0;
  readonly counters: RouterCounters = new RouterCounters(this);
  readonly stuckScanSeconds: number;
  readonly stuckAgeSeconds: number;
  readonly startedAt: number;
  readonly #facts: () => Readonly<Record<string, AmqpValue>>;
  #cancelTick: (() => void) | undefined;
  #nextId = 1;

  constructor(options: RouterOptions) {
    this.id = options.id;
    this.area = options.area ?? '0';
    this.clock = options.clock;
    this.startedAt = this.clock.now();
    this.stuckScanSeconds = options.stuckScanSeconds ?? STUCK_SCAN_SECONDS;
    this.stuckAgeSeconds = options.stuckAgeSeconds ?? STUCK_AGE_SECONDS;
    this.#facts = options.facts ?? ((): Record<string, AmqpValue> => ({}));
    this.#random = options.random;
    this.log = options.log ?? ((): void => undefined);
    this.policy = options.policy ?? new Policy();
    this.linkRouteTable = new LinkRouteTable(this.log);
    this.sleepers = new SleepingContainers(options.clock);
    this.allowResumableLinkRoute = options.allowResumableLinkRoute ?? true;
    this.defaultDistribution = options.defaultDistribution ?? 'balanced';
    this.#context = { routerId: this.id, area: this.area, isEdge: false };
    for (const settings of options.addresses ?? []) this.addAddress(settings);
    for (const settings of options.linkRoutes ?? [])
      this.addLinkRoute({ ...settings, name: settings.name ?? `linkRoute/${this.linkRoutes.length}` });
    for (const settings of options.autoLinks ?? [])
      this.addAutoLink({ ...settings, name: settings.name ?? `autoLink/${this.autoLinks.length}` });
    for (const settings of options.exchanges ?? []) this.exchanges.add(settings);
    for (const settings of options.bindings ?? []) this.exchanges.addBinding(settings);
  }

  /** One counter gives numbers to connections, links and configured entities. */
  nextId(): number {
    return this.#nextId++;
  }

  get uptimeSeconds(): number {
    return Math.floor((this.clock.now() - this.startedAt) / 1_000);
  }

  /** What management shows of the router that only its process knows. */
  get facts(): Readonly<Record<string, AmqpValue>> {
    return this.#facts();
  }

  /** The entities of the router core, for a management agent. */
  tables(): EntityTable[] {
    return routerTables(this);
  }

  #keepTicking(): void {
    if (this.#cancelTick !== undefined) return;
    this.tick = this.uptimeSeconds;
    this.#cancelTick = this.clock.after(1_000, () => {
      this.#cancelTick = undefined;
      const before = this.tick;
      this.tick = this.uptimeSeconds;
      const scans = Math.floor(this.tick / this.stuckScanSeconds) > Math.floor(before / this.stuckScanSeconds);
      for (const connection of this.connections) connection.sample(this.tick, scans);
      if (this.connections.size > 0) this.#keepTicking();
    });
  }

  /** Name under which this router appears in traces. */
  get traceId(): string {
    return `${this.area}/${this.id}`;
  }

  /** Addresses that have links now. */
  get addresses(): Iterable<Address> {
    return this.#addresses.values();
  }

  /** Messages that were sent to a receiver which has not said yet what became of them. */
  get deliveriesInFlight(): number {
    let count = 0;
    for (const { links } of this.connections)
      for (const link of links) if (link.direction === 'out') count += link.unsettledCount;
    return count;
  }

  /** A new connection, to be made the handler of an engine. */
  connection(settings: RouterConnectionSettings): RouterConnection {
    const connection = new RouterConnection(this, settings, this.nextId());
    this.connections.add(connection);
    this.#keepTicking();
    return connection;
  }

  /** It takes no more messages and links: it is about to close. */
  isStopping = false;

  /** Takes the credit of every sender back, and no new link. What has come by now goes on to its receivers. */
  quiesce(): void {
    this.isStopping = true;
    for (const { links } of this.connections) for (const link of links) link.quiesce();
  }

  /** Links to receivers that have not settled all they have, for who waits for that. */
  get busyLinks(): LinkRecord[] {
    return [...this.connections].flatMap(({ links }) =>
      [...links].filter((link) => link.direction === 'out' && link.unsettledCount > 0),
    );
  }

  /**
   * Closes every connection: peers are told that the router goes away. Clients first: what they have not settled goes back
   * to the containers before those are left, so that nothing stays locked there.
   */
  close(): void {
    this.quiesce();
    const open = [...this.connections].filter((connection) => connection.isOpen);
    // Receivers are given up while their senders can still be told what that means for their messages.
    for (const { links } of open) for (const link of links) if (link instanceof OutgoingLink) link.abandon();
    for (const connection of open)
      if (connection.settings.role !== 'route-container') connection.close(goodbye(connection));
    for (const connection of open)
      if (connection.settings.role === 'route-container') connection.close(goodbye(connection));
    // Who has not got as far as its open has nothing to finish, and might never answer.
    for (const { settings, connection } of this.connections)
      if (settings.direction === 'in' && connection.phase !== 'opened') connection.abort();
  }

  // ---- connections ----

  /** @internal */
  connectionOpened(connection: RouterConnection): void {
    const { settings } = connection;
    const { user, saslMechanism } = connection.connection;
    this.log(
      'ROUTER_CORE',
      'info',
      `[C${connection.id}] Connection Opened: dir=${settings.direction} host=${settings.peer} vhost=${connection.tenant?.space ?? ''} encrypted=${settings.security?.()?.protocol ?? 'no'} auth=${saslMechanism ?? 'no'} user=${user ?? '(null)'} container_id=${connection.containerId} props=${propertiesText(connection.connection.remoteOpen?.properties)}`,
    );
    this.linkRouteTable.connectionOpened(connection);
    this.sleepers.connectionOpened();
    this.observer.onConnectionOpened?.(connection);
    if (this.isStopping) return;
    for (const autoLink of this.autoLinks) if (autoLink.matches(connection)) autoLink.activate(connection);
  }

  /** @internal */
  connectionClosed(connection: RouterConnection, end: ConnectionEnd): void {
    if (!this.connections.delete(connection)) return;
    if (this.connections.size === 0) {
      this.#cancelTick?.();
      this.#cancelTick = undefined;
    }
    this.linkRouteTable.connectionClosed(connection);
    for (const autoLink of this.autoLinks) autoLink.deactivate(connection);
    this.log('ROUTER_CORE', 'info', `[C${connection.id}] Connection Closed`);
    this.observer.onConnectionClosed?.(connection, end);
  }

  // ---- addresses ----

  /** Settings of addresses, in the order in which they came. */
  readonly addressSettings: Map<number, AddressSettings> = new Map();

  /** @returns its number, or undefined where the pattern is configured already */
  addAddress(settings: AddressSettings): number | undefined {
    if (!this.#addSettings(settings)) return undefined;
    const id = this.nextId();
    this.addressSettings.set(id, settings);
    return id;
  }

  /** Addresses that exist keep their treatment; new ones find what is left. */
  removeAddress(id: number): boolean {
    const settings = this.addressSettings.get(id);
    if (settings === undefined) return false;
    this.addressSettings.delete(id);
    this.#settings.remove(settings.prefix === undefined ? (settings.pattern ?? '') : prefixPattern(settings.prefix));
    return true;
  }

  #addSettings(settings: AddressSettings): boolean {
    const pattern = settings.prefix === undefined ? settings.pattern : prefixPattern(settings.prefix);
    if (pattern === undefined) return false;
    const rewritten = settings.pattern === undefined ? undefined : rewrittenPattern(settings.pattern);
    if (rewritten !== undefined) {
      const text = `configured pattern '${settings.pattern ?? ''}' optimized and re-written to '${rewritten}'`;
      this.log('ROUTER', 'notice', text);
    }
    if (!this.#settings.add(pattern, settings)) {
      this.log(
        'AGENT',
        'error',
        `Error performing CREATE of org.apache.qpid.dispatch.router.config.address: '${settings.prefix ?? settings.pattern}' is configured twice, the first one counts: Already exists`,
      );
      return false;
    }
    return true;
  }

  /** Configured treatment of an address, whatever its phase. */
  settingsOf(address: string): AddressSettings | undefined {
    return this.#settings.match(address);
  }

  /** The node of an address, made if need be. @param phase - 0 to 9, or that of a fallback */
  bind(text: string, phase: number, ownAccount = false, balanced = false): Address {
    const key = addressKey(text, phaseCharacter(phase), this.#context);
    const plain = plainAddress(text);
    const known = this.#addresses.get(key);
    const settings = balanced && known === undefined ? undefined : this.#settings.match(plain);
    if (known !== undefined) {
      known.priority = settings?.priority ?? known.priority;
      return known;
    }
    // There is one of each router.
    const isRouter = key.startsWith('R');
    let distribution = balanced
      ? 'balanced'
      : isRouter
        ? 'closest'
        : (settings?.distribution ?? this.defaultDistribution);
    // The operator named it in an autolink: so it is to be available.
    if (ownAccount && distribution === 'unavailable') distribution = 'balanced';
    const address = new Address(key, distribution);
    address.priority = settings?.priority ?? -1;
    this.#addresses.set(key, address);
    if (settings?.enableFallback === true && key.startsWith('M0'))
      address.setFallback(this.bind(text, FALLBACK_PHASE, true), plain);
    return address;
  }

  /** @internal the node that a client's receiver attaches to. */
  bindConsumer(text: string, capabilities: readonly string[] | undefined, dynamic: boolean): Bound {
    if (dynamic) return this.bind(text, 0, true, true);
    const settings = this.#settings.match(plainAddress(text));
    return this.#bindChecked(text, consumerPhase(capabilities, settings), settings, true);
  }

  /** @internal the node that a client's sender attaches to. */
  bindProducer(text: string, capabilities: readonly string[] | undefined, dynamic: boolean): Bound {
    if (dynamic) return this.bind(text, 0, true, true);
    const waypoint = waypointPhase(capabilities);
    const settings = this.#settings.match(plainAddress(text));
    const phase = waypoint ?? phasesOf(settings).ingress;
    return this.#bindChecked(text, phase, settings, false);
  }

  #bindChecked(text: string, phase: number, settings: AddressSettings | undefined, consumer: boolean): Bound {
    const key = addressKey(text, phaseCharacter(phase), this.#context);
    const known = this.#addresses.get(key);
    const distribution = known?.distribution ?? settings?.distribution ?? this.defaultDistribution;
    if (distribution === 'unavailable' && key.startsWith('M')) return 'unavailable';
    // Other routers and areas: nothing of theirs can be received here, and without a network nothing reaches them.
    if (consumer && (key.startsWith('R') || key.startsWith('A'))) return 'no-route';
    return this.bind(text, phase);
  }

  /** @internal the node of a message that names its address itself; undefined where there is none. */
  resolve(to: string, phase: number | undefined): Address | 'unavailable' | undefined {
    const plain = plainAddress(to);
    const settings = this.#settings.match(plain);
    const character = phaseCharacter(phase ?? phasesOf(settings).ingress);
    const address = this.#addresses.get(addressKey(to, character, this.#context));
    if (address !== undefined) return address;
    return (settings?.distribution ?? this.defaultDistribution) === 'unavailable' ? 'unavailable' : undefined;
  }

  // ---- nodes within the router ----

  /**
   * Makes a node within the router: messages for `address` go to `receive`, whole, and are accepted.
   *
   * @param address - text of a mobile (`$management`) or local (`_local/$management`) address
   * @returns takes the node away again; idempotent
   */
  serve(address: string, receive: InProcessReceiver): () => void {
    const node = this.bind(address, 0, true);
    const receiver: InProcessReceiver = (message) => receive(message);
    node.addReceiver(receiver);
    return (): void => {
      node.removeReceiver(receiver);
      this.addressLeft(node);
    };
  }

  /**
   * Sends a whole encoded message from within the router, settled, to one of those who receive from `to`.
   *
   * @returns false where there is nobody
   * @throws RemoteProtocolError where `message` is malformed and its receiver wants router annotations
   */
  send(to: string, message: Uint8Array): boolean {
    const address = this.resolve(to, undefined);
    return address instanceof Address && sendFromWithin(address, to, message, this.tick);
  }

  /** @internal */
  startProducer(incoming: IncomingLink, link: ReceiverLink): void {
    incoming.address?.addProducer(incoming);
    incoming.start(link);
    if (this.isStopping) incoming.quiesce();
  }

  /** @internal a link left: a node that nobody uses is forgotten. */
  addressLeft(address: Address): void {
    if (!address.isUnused || this.#addresses.get(address.key) !== address) return;
    this.#addresses.delete(address.key);
    const { fallback } = address;
    if (fallback === undefined) return;
    fallback.fallbackFor = undefined;
    this.addressLeft(fallback);
  }

  // ---- link routes ----

  /** Those that were configured, in the order in which they came. */
  get linkRoutes(): readonly LinkRoute[] {
    return this.linkRouteTable.configured;
  }

  /**
   * A link route; open connections of its container count at once.
   *
   * @param owner - the one connection that it leads to, and whose life it shares
   */
  addLinkRoute(settings: LinkRouteSettings, owner?: RouterConnection): LinkRoute {
    const route = new LinkRoute(settings, settings.name, this.nextId(), owner);
    this.linkRouteTable.add(route, this.connections);
    return route;
  }

  /** Takes a link route away. Links that it routed stay. */
  removeLinkRoute(route: LinkRoute): void {
    this.linkRouteTable.remove(route);
  }

  /** An autolink; it attaches at once where its container is connected. */
  addAutoLink(settings: AutoLinkSettings): AutoLink {
    const autoLink = new AutoLink(settings, settings.name, this.nextId());
    autoLink.onChange = (changed): void => this.observer.onAutoLink?.(changed);
    this.autoLinks.push(autoLink);
    this.sleepers.wake(settings.connection);
    for (const connection of this.connections)
      if (connection.isOpen && autoLink.matches(connection)) autoLink.activate(connection);
    return autoLink;
  }

  /** Takes an autolink away: its link is detached. */
  removeAutoLink(autoLink: AutoLink): void {
    const at = this.autoLinks.indexOf(autoLink);
    if (at < 0) return;
    this.autoLinks.splice(at, 1);
    autoLink.remove();
  }

  // ---- names ----

  /** A name of `length` characters that nobody guesses or meets again. */
  randomText(length: number): string {
    let text = '';
    for (let i = 0; i < length; i++) text += NAME_CHARACTERS[Math.floor(this.#random() * NAME_CHARACTERS.length)]!;
    return text;
  }

  /** Hands an engine its handler; the two know each other from here on. */
  static join(connection: RouterConnection, engine: Connection): void {
    connection.connection = engine;
  }
}

/** Who connected to us is asked to come again, as clients do after this condition; whom we connected to is simply left. */
function goodbye({ settings }: RouterConnection): AmqpErrorFields | undefined {
  if (settings.direction === 'out') return undefined;
  return { condition: 'amqp:connection:forced', description: 'The router is stopping' };
}

function phasesOf(settings: AddressSettings | undefined): { ingress: number; egress: number } {
  if (settings === undefined) return { ingress: 0, egress: 0 };
  const given = settings.ingressPhase !== undefined || settings.egressPhase !== undefined;
  return {
    ingress: settings.ingressPhase ?? 0,
    egress: settings.egressPhase ?? (settings.waypoint === true && !given ? 1 : 0),
  };
}

/** Phase that a receiver attaches at. */
function consumerPhase(capabilities: readonly string[] | undefined, settings: AddressSettings | undefined): number {
  if (capabilities?.length === 1 && capabilities[0] === 'qd.fallback') return FALLBACK_PHASE;
  const waypoint = waypointPhase(capabilities);
  return waypoint === undefined ? phasesOf(settings).egress : waypoint - 1;
}

/** In-phase that a waypoint capability asks for: 1, or the digit behind its separator. */
function waypointPhase(capabilities: readonly string[] | undefined): number | undefined {
  for (const capability of capabilities ?? []) {
    if (capability === 'qd.waypoint') return 1;
    const match = /^qd\.waypoint.([1-9])$/.exec(capability);
    if (match !== null) return Number(match[1]);
  }
  return undefined;
}
