// SPDX-License-Identifier: Apache-2.0
import type { RouterOptions } from '../../src/index.js';

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
  ],
};

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
];

/** The nodes that autolinks hold, by the address that the container sees and the router's direction. */
const AUTO_NODES: Readonly<Record<string, string>> = {
  'way/w out': 'M0way/w',
  'way/w in': 'M1way/w',
  'one out': 'M0chain/c',
  'one in': 'M1chain/c',
  'two out': 'M1chain/c',
  'two in': 'M2chain/c',
};

export const AUTO_KEYS: ReadonlySet<string> = new Set(Object.values(AUTO_NODES));

/** The node that the router's own link at the container stands for; undefined for one that it routes. */
export function autoNodeOf(address: string, direction: 'in' | 'out'): string | undefined {
  return AUTO_NODES[`${address} ${direction}`];
}

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

export function isRouted(address: string): boolean {
  return address.startsWith('routed/');
}
