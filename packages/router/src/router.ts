// SPDX-License-Identifier: Apache-2.0
import type { Clock, Connection, ConnectionEnd, ReceiverLink } from '@pointsman/engine';
import { addressKey, plainAddress } from './address-text.js';
import type { AddressContext } from './address-text.js';
import { Address } from './address.js';
import { AutoLink } from './auto-link.js';
import type { IncomingLink } from './incoming-link.js';
import { sendFromWithin } from './in-process.js';
import { LinkRoute } from './link-route.js';
import { PatternTree, normalisedPattern, prefixPattern } from './pattern-tree.js';
import { RouterConnection } from './router-connection.js';
import type {
  AddressSettings,
  Direction,
  Distribution,
  InProcessReceiver,
  Log,
  RouterConnectionSettings,
  RouterOptions,
} from './settings.js';

/** Characters of made-up names. */
const NAME_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_';

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
  readonly defaultDistribution: Distribution;
  readonly autoLinks: AutoLink[] = [];
  readonly linkRoutes: LinkRoute[] = [];
  readonly connections: Set<RouterConnection> = new Set();
  observer: RouterObserver = {};
  readonly #random: () => number;
  readonly #context: AddressContext;
  readonly #addresses = new Map<string, Address>();
  readonly #settings = new PatternTree<AddressSettings>();
  readonly #routes: Readonly<Record<Direction, PatternTree<LinkRoute>>> = {
    in: new PatternTree(),
    out: new PatternTree(),
  };
  #nextId = 1;

  constructor(options: RouterOptions) {
    this.id = options.id;
    this.area = options.area ?? '0';
    this.clock = options.clock;
    this.#random = options.random;
    this.log = options.log ?? ((): void => undefined);
    this.defaultDistribution = options.defaultDistribution ?? 'balanced';
    this.#context = { routerId: this.id, area: this.area, isEdge: false };
    for (const settings of options.addresses ?? []) this.#addSettings(settings);
    for (const settings of options.linkRoutes ?? [])
      this.#addLinkRoute(new LinkRoute(settings, settings.name ?? `linkRoute/${this.linkRoutes.length}`));
    for (const settings of options.autoLinks ?? []) {
      const autoLink = new AutoLink(settings, settings.name ?? `autoLink/${this.autoLinks.length}`);
      autoLink.onChange = (changed): void => this.observer.onAutoLink?.(changed);
      this.autoLinks.push(autoLink);
    }
  }

  /** Name under which this router appears in traces. */
  get traceId(): string {
    return `${this.area}/${this.id}`;
  }

  get addressesAreEmpty(): boolean {
    return this.#settings.size === 0;
  }

  /** Addresses that have links now. */
  get addresses(): Iterable<Address> {
    return this.#addresses.values();
  }

  /** A new connection, to be made the handler of an engine. */
  connection(settings: RouterConnectionSettings): RouterConnection {
    const connection = new RouterConnection(this, settings, this.#nextId++);
    this.connections.add(connection);
    return connection;
  }

  /**
   * Closes every connection: peers are told that the router goes away. Clients first: what they have not settled goes back
   * to the containers before those are left, so that nothing stays locked there.
   */
  close(): void {
    const open = [...this.connections].filter((connection) => connection.isOpen);
    for (const connection of open) if (connection.settings.role !== 'route-container') connection.close();
    for (const connection of open) if (connection.settings.role === 'route-container') connection.close();
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
      `[C${connection.id}] Connection Opened: dir=${settings.direction} host=${settings.peer} auth=${saslMechanism ?? 'no'} user=${user ?? ''} container_id=${connection.containerId}`,
    );
    for (const route of this.linkRoutes) {
      if (!route.matches(connection)) continue;
      route.connections.push(connection);
      this.log(
        'ROUTER_CORE',
        'info',
        `Link Route Activated '${route.name}' on ${whereOf(connection, route.settings.containerId)}`,
      );
    }
    this.observer.onConnectionOpened?.(connection);
    for (const autoLink of this.autoLinks) if (autoLink.matches(connection)) autoLink.activate(connection);
  }

  /** @internal */
  connectionClosed(connection: RouterConnection, end: ConnectionEnd): void {
    if (!this.connections.delete(connection)) return;
    for (const route of this.linkRoutes) {
      const at = route.connections.indexOf(connection);
      if (at < 0) continue;
      route.connections.splice(at, 1);
      this.log(
        'ROUTER_CORE',
        'info',
        `Link Route Deactivated '${route.name}' on ${whereOf(connection, route.settings.containerId)}`,
      );
    }
    for (const autoLink of this.autoLinks) {
      if (autoLink.connection !== connection) continue;
      autoLink.deactivate();
      const other = [...this.connections].find((candidate) => candidate.isOpen && autoLink.matches(candidate));
      if (other !== undefined) autoLink.activate(other);
    }
    this.log('ROUTER_CORE', 'info', `[C${connection.id}] Connection Closed`);
    this.observer.onConnectionClosed?.(connection, end);
  }

  // ---- addresses ----

  #addSettings(settings: AddressSettings): void {
    const pattern = settings.prefix === undefined ? settings.pattern : prefixPattern(settings.prefix);
    if (pattern === undefined) return;
    const normal = normalisedPattern(pattern);
    if (settings.pattern !== undefined && normal !== settings.pattern.replaceAll('.', '/')) {
      this.log('ROUTER', 'notice', `configured pattern '${settings.pattern}' optimized and re-written to '${normal}'`);
    }
    if (!this.#settings.add(pattern, settings)) {
      this.log(
        'AGENT',
        'error',
        `Error performing CREATE of org.apache.qpid.dispatch.router.config.address: '${settings.prefix ?? settings.pattern}' is configured twice; the first one counts`,
      );
    }
  }

  /** Configured treatment of an address, whatever its phase. */
  settingsOf(address: string): AddressSettings | undefined {
    return this.#settings.match(address);
  }

  /** The node of an address, made if need be. @param phase - 0 to 9 */
  bind(text: string, phase: number, ownAccount = false, balanced = false): Address {
    const key = addressKey(text, String(phase), this.#context);
    const known = this.#addresses.get(key);
    if (known !== undefined) return known;
    let distribution = balanced
      ? 'balanced'
      : (this.#settings.match(plainAddress(text))?.distribution ?? this.defaultDistribution);
    // The operator named it in an autolink: so it is to be available.
    if (ownAccount && distribution === 'unavailable') distribution = 'balanced';
    const address = new Address(key, distribution);
    this.#addresses.set(key, address);
    return address;
  }

  /** @internal the node that a client's receiver attaches to. */
  bindConsumer(text: string, capabilities: readonly string[] | undefined, dynamic: boolean): Bound {
    if (dynamic) return this.bind(text, 0, true, true);
    const waypoint = waypointPhase(capabilities);
    const settings = this.#settings.match(plainAddress(text));
    const phase = waypoint === undefined ? phasesOf(settings).egress : waypoint - 1;
    return this.#bindChecked(text, phase, settings, true);
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
    const key = addressKey(text, String(phase), this.#context);
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
    const address = this.#addresses.get(addressKey(to, String(phase ?? phasesOf(settings).ingress), this.#context));
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
    return address instanceof Address && sendFromWithin(address, to, message);
  }

  /** @internal */
  startProducer(incoming: IncomingLink, link: ReceiverLink): void {
    incoming.address?.producers.add(incoming);
    incoming.start(link);
  }

  /** @internal a link left: a node that nobody uses is forgotten. */
  addressLeft(address: Address): void {
    if (address.isUnused && this.#addresses.get(address.key) === address) this.#addresses.delete(address.key);
  }

  // ---- link routes ----

  #addLinkRoute(route: LinkRoute): void {
    const { prefix, pattern, direction } = route.settings;
    this.linkRoutes.push(route);
    const text = prefix === undefined ? pattern : prefixPattern(prefix);
    if (text === undefined) return;
    // Two with one pattern share the record: the first one's prefixes count, the connections of both.
    const first = this.#routes[direction].get(text);
    if (first === undefined) this.#routes[direction].add(text, route);
  }

  /** @internal the active link route for an address. */
  linkRouteFor(address: string, direction: Direction): LinkRoute | undefined {
    const route = this.#routes[direction].match(plainAddress(address));
    if (route === undefined || route.status === 'active') return route;
    const pattern = patternOf(route);
    return (
      this.linkRoutes.find(
        (other) => other.settings.direction === direction && other.status === 'active' && patternOf(other) === pattern,
      ) ?? route
    );
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

function patternOf(route: LinkRoute): string {
  return normalisedPattern(
    route.settings.prefix === undefined ? (route.settings.pattern ?? '') : prefixPattern(route.settings.prefix),
  );
}

function whereOf(connection: RouterConnection, containerId: string | undefined): string {
  return containerId === undefined ? `connection ${connection.settings.name ?? ''}` : `container ${containerId}`;
}

function phasesOf(settings: AddressSettings | undefined): { ingress: number; egress: number } {
  if (settings === undefined) return { ingress: 0, egress: 0 };
  const given = settings.ingressPhase !== undefined || settings.egressPhase !== undefined;
  return {
    ingress: settings.ingressPhase ?? 0,
    egress: settings.egressPhase ?? (settings.waypoint === true && !given ? 1 : 0),
  };
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
