// SPDX-License-Identifier: Apache-2.0
import type { AddressSettings, RouterOptions } from '../../src/index.js';
import { BINDINGS, EXCHANGES, exchangeWays, isExchange } from './exchanges.js';
import type { Ways } from './exchanges.js';

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
  exchanges: EXCHANGES.map(({ node: _, alternate: _other, ...settings }) => settings),
  bindings: BINDINGS.map(({ node: _, subjects: _other, ...settings }) => settings),
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

/** Whose addresses some clients mean. */
export const TENANT = 't1';

/** Not there from the beginning, unlike all else that comes and goes at run time. */
export const LATE_ADDRESS: AddressSettings = { name: 'late', prefix: 'late', distribution: 'closest' };

export const CONFIGURED: readonly string[] = [
  ...(PLAN.autoLinks ?? []).map(({ name }) => name!),
  ...(PLAN.linkRoutes ?? []).map(({ name }) => name!),
  ...BINDINGS.map(({ name }) => name),
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
  'over/o',
  'topic/t',
  'late/l',
  'within/n',
  `${TENANT}/queue/a`,
];

/** Where a message for `node` may go. @param bound - names of the bindings that are there */
export function waysOf(node: string, subject: string, bound: ReadonlySet<string>): Ways {
  if (isExchange(node)) return exchangeWays(node, subject, bound);
  return { first: [node], spare: node.startsWith('M0fall/') ? [{ node: fallbackOf(node), unless: [node] }] : [] };
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
