// SPDX-License-Identifier: Apache-2.0
import type { AddressSettings, RouterOptions } from '../../src/index.js';

/** How many messages a producer has on its way at the most: small, so that credit is scarce. */
export const LINK_CAPACITY = 6;

/** Container that link routes and autolinks lead to. */
export const BROKER = 'broker';

/** What the router is configured with. {@link nodeOf} says what it means. */
export const PLAN: Partial<RouterOptions> = {
  addresses: [
    { prefix: 'near', distribution: 'closest' },
    { prefix: 'all', distribution: 'multicast' },
    { prefix: 'void', distribution: 'unavailable' },
    { prefix: 'way', distribution: 'balanced', waypoint: true },
    { prefix: 'chain', distribution: 'balanced', ingressPhase: 0, egressPhase: 2 },
    { prefix: 'fall', distribution: 'balanced', enableFallback: true },
  ],
  exchanges: [{ name: 'post', address: 'post/p', alternateAddress: 'queue/b' }],
  bindings: [
    { exchangeName: 'post', bindingKey: 'a.*', nextHopAddress: 'queue/a' },
    { exchangeName: 'post', bindingKey: 'a.b', nextHopAddress: 'near/x' },
    { exchangeName: 'post', bindingKey: '#.all', nextHopAddress: 'all/y' },
  ],
  linkRoutes: [
    { name: 'to', prefix: 'routed', direction: 'in', containerId: BROKER },
    { name: 'from', prefix: 'routed', direction: 'out', containerId: BROKER },
  ],
  autoLinks: [
    { name: 'way-out', address: 'way/w', direction: 'out', containerId: BROKER },
    { name: 'way-in', address: 'way/w', direction: 'in', containerId: BROKER },
    { name: 'one-out', address: 'chain/c', direction: 'out', phase: 0, externalAddress: 'one', containerId: BROKER },
    { name: 'one-in', address: 'chain/c', direction: 'in', phase: 1, externalAddress: 'one', containerId: BROKER },
    { name: 'two-out', address: 'chain/c', direction: 'out', phase: 1, externalAddress: 'two', containerId: BROKER },
    { name: 'two-in', address: 'chain/c', direction: 'in', phase: 2, externalAddress: 'two', containerId: BROKER },
    {
      name: 'spare',
      address: 'fall/f',
      direction: 'out',
      fallback: true,
      externalAddress: 'spare',
      containerId: BROKER,
    },
  ],
};

/** What comes and goes at run time: these are not there from the beginning; autolinks and link routes are. */
export const LATE_ADDRESS: AddressSettings = { name: 'late', prefix: 'late', distribution: 'closest' };

export const CONFIGURED: readonly string[] = [
  ...(PLAN.autoLinks ?? []).map(({ name }) => name!),
  ...(PLAN.linkRoutes ?? []).map(({ name }) => name!),
  LATE_ADDRESS.name!,
];

/** Addresses that nodes within the router serve now and then. */
export const SERVED: readonly string[] = ['within/n', 'all/y'];

/** Addresses that clients use. */
export const ADDRESSES: readonly string[] = [
  'queue/a',
  'queue/b',
  'near/x',
  'all/y',
  'way/w',
  'chain/c',
  'routed/r',
  'void/z',
  'fall/f',
  'post/p',
  'late/l',
  'within/n',
];

/** Subjects that messages carry, and where the exchange sends those of each. */
const SUBJECTS: Readonly<Record<string, readonly string[]>> = {
  'a.b': ['M0queue/a', 'M0near/x'],
  'a.all': ['M0queue/a', 'M0all/y'],
  'x.y.all': ['M0all/y'],
  'b.b': [],
};

const EXCHANGE = 'M0post/p';
const ALTERNATE = 'M0queue/b';

/** The subject of a message, by its number. */
export function subjectOf(id: number): string {
  const subjects = Object.keys(SUBJECTS);
  return subjects[id % subjects.length]!;
}

/** Its messages are accepted once they are on their way, and reach their receivers settled. */
export function isExchange(node: string): boolean {
  return node === EXCHANGE;
}

/** The nodes whose consumers may get a message for `node`: the first ones before the second ones. */
export function waysOf(node: string, subject: string): readonly [readonly string[], readonly string[]] {
  if (node === EXCHANGE) return [SUBJECTS[subject] ?? [], [ALTERNATE]];
  return [[node], node.startsWith('M0fall/') ? [fallbackOf(node)] : []];
}

export function fallbackOf(node: string): string {
  return `MF${node.slice(2)}`;
}

/** The nodes that autolinks hold, by the name that the container knows; `receives` is the router's part. */
export const AUTO_NODES: readonly { readonly external: string; readonly receives: boolean; readonly key: string }[] = [
  { external: 'way/w', receives: false, key: 'M0way/w' },
  { external: 'way/w', receives: true, key: 'M1way/w' },
  { external: 'one', receives: false, key: 'M0chain/c' },
  { external: 'one', receives: true, key: 'M1chain/c' },
  { external: 'two', receives: false, key: 'M1chain/c' },
  { external: 'two', receives: true, key: 'M2chain/c' },
  { external: 'spare', receives: false, key: 'MFfall/f' },
];

export const AUTO_KEYS: ReadonlySet<string> = new Set(AUTO_NODES.map(({ key }) => key));

/** The node that an address means for who sends to it, or receives from it. */
export function nodeOf(address: string, receives: boolean): string {
  if (address.startsWith('amqp:/_topo/0/R/')) return `L${address.slice(16)}`;
  if (address.startsWith('way/')) return `M${receives ? 1 : 0}${address}`;
  if (address.startsWith('chain/')) return `M${receives ? 2 : 0}${address}`;
  return `M0${address}`;
}

export function isMulticast(node: string): boolean {
  return node.startsWith('M0all/');
}

/** What a link of a client to it is, while there is a link route of its direction. */
export function isRouted(address: string): boolean {
  return address.startsWith('routed/');
}
