// SPDX-License-Identifier: Apache-2.0
import { plainAddress } from './address-text.js';
import type { AddressKey } from './address-text.js';
import type { LinkRoute } from './link-route.js';
import { PatternTree, normalisedPattern, prefixPattern } from './pattern-tree.js';
import type { RouterConnection } from './router-connection.js';
import type { Direction, Log } from './settings.js';

/** All link routes for one pattern and direction: they share their containers, and the first configured one's prefixes count. */
export class LinkRouteNode {
  /** As management shows it: `C` or `D` and a prefix, `E` or `F` and a pattern; the first of each pair for senders. */
  readonly key: AddressKey;
  readonly pattern: string;
  readonly direction: Direction;
  /** In the order in which they came; never empty. */
  readonly routes: LinkRoute[] = [];
  /** Undefined until it is asked for: clients may make very many routes, and leave with all of them at once. */
  #connections: readonly RouterConnection[] | undefined;
  #turn = 0;

  constructor(first: LinkRoute) {
    this.pattern = patternOf(first);
    this.direction = first.settings.direction;
    this.key = keyOf(first);
  }

  /** Some of it was configured: it is not there by the will of clients alone. */
  get isConfigured(): boolean {
    return this.routes.some(({ owner }) => owner === undefined);
  }

  /** The route whose prefixes count on the way to a connection. */
  routeTo(connection: RouterConnection): LinkRoute {
    const { routes } = this;
    const own = routes.find(({ owner }) => owner === connection);
    return own ?? routes.find(({ owner }) => owner === undefined) ?? routes[0]!;
  }

  /** Connections that serve it, each once. */
  get connections(): readonly RouterConnection[] {
    return (this.#connections ??= [...new Set(this.routes.flatMap(({ connections }) => connections))]);
  }

  /** @internal a route came or left, or one of its connections did. */
  changed(): void {
    this.#connections = undefined;
  }

  /** The connection that takes the next link: each in turn. */
  next(): RouterConnection | undefined {
    const { connections } = this;
    const count = connections.length;
    for (let i = 0; i < count; i++) {
      if (this.#turn >= count) this.#turn = 0;
      const connection = connections[this.#turn++]!;
      if (connection.takesLinks) return connection;
    }
    return undefined;
  }
}

/** The link routes of a router, and the connections that they lead to. */
export class LinkRouteTable {
  /** Those that the router was configured with, in the order in which they came. */
  readonly configured: LinkRoute[] = [];
  /** Those that clients have made for their own connections. */
  readonly ofConnections: LinkRoute[] = [];
  readonly #trees: Readonly<Record<Direction, PatternTree<LinkRouteNode>>> = {
    in: new PatternTree(),
    out: new PatternTree(),
  };
  readonly #nodes = new Set<LinkRouteNode>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  get nodes(): Iterable<LinkRouteNode> {
    return this.#nodes;
  }

  get nodeCount(): number {
    return this.#nodes.size;
  }

  /** @param open - connections there are; those of its container count at once */
  add(route: LinkRoute, open: Iterable<RouterConnection>): void {
    (route.owner === undefined ? this.configured : this.ofConnections).push(route);
    const pattern = patternOf(route);
    const tree = this.#trees[route.settings.direction];
    let node = tree.get(pattern);
    if (node === undefined) {
      node = new LinkRouteNode(route);
      tree.add(pattern, node);
      this.#nodes.add(node);
    }
    node.routes.push(route);
    for (const connection of open) if (connection.isOpen) this.#activate(route, connection);
  }

  /** Links that it has routed stay. */
  remove(route: LinkRoute): void {
    const list = route.owner === undefined ? this.configured : this.ofConnections;
    const at = list.indexOf(route);
    if (at < 0) return;
    list.splice(at, 1);
    for (const connection of route.connections) this.#tell('Deactivated', route, connection);
    route.connections.length = 0;
    const node = this.#nodeOf(route);
    node.routes.splice(node.routes.indexOf(route), 1);
    node.changed();
    if (node.routes.length > 0) return;
    this.#trees[node.direction].remove(node.pattern);
    this.#nodes.delete(node);
  }

  connectionOpened(connection: RouterConnection): void {
    for (const route of this.configured) this.#activate(route, connection);
  }

  connectionClosed(connection: RouterConnection): void {
    for (const route of this.ofConnections.filter(({ owner }) => owner === connection)) this.remove(route);
    for (const route of this.configured) {
      const at = route.connections.indexOf(connection);
      if (at < 0) continue;
      route.connections.splice(at, 1);
      this.#nodeOf(route).changed();
      this.#tell('Deactivated', route, connection);
    }
  }

  /** What is configured for links to an address, whether a container is there or not. */
  find(address: string, direction: Direction): LinkRouteNode | undefined {
    const plain = plainAddress(address);
    const node = this.#trees[direction].match(plain);
    if (node === undefined || node.isConfigured) return node;
    // What clients make for themselves takes the router's own nodes, such as $management, from nobody.
    return plain.startsWith('$') || plain.startsWith('_') ? undefined : node;
  }

  #activate(route: LinkRoute, connection: RouterConnection): void {
    if (!route.matches(connection) || route.connections.includes(connection)) return;
    route.connections.push(connection);
    this.#nodeOf(route).changed();
    this.#tell('Activated', route, connection);
  }

  #nodeOf(route: LinkRoute): LinkRouteNode {
    return this.#trees[route.settings.direction].get(patternOf(route))!;
  }

  #tell(what: 'Activated' | 'Deactivated', route: LinkRoute, connection: RouterConnection): void {
    const containerId = route.settings.containerId ?? route.owner?.containerId;
    const where =
      containerId === undefined
        ? `connection ${connection.settings.name ?? connection.id}`
        : `container ${containerId}`;
    this.#log('ROUTER_CORE', 'info', `Link Route ${what} '${route.name ?? ''}' on ${where}`);
  }
}

function patternOf({ settings: { prefix, pattern = '' } }: LinkRoute): string {
  return normalisedPattern(prefix === undefined ? pattern : prefixPattern(prefix));
}

/** A pattern with nothing but a final `#` is a prefix. */
function keyOf({ settings: { prefix, pattern = '', direction } }: LinkRoute): AddressKey {
  const text = (prefix ?? pattern).replace(/^[./]+/, '').replace(/[./]$/, '');
  const plain = prefix === undefined ? text.replace(/[./]#$/, '') : text;
  if (prefix !== undefined || (plain !== text && !plain.split(/[./]/).some((token) => token === '*' || token === '#')))
    return `${direction === 'in' ? 'C' : 'D'}${plain}`;
  return `${direction === 'in' ? 'E' : 'F'}${text}`;
}
