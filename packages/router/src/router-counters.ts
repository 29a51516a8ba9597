// SPDX-License-Identifier: Apache-2.0
import type { LinkRecord } from './link-record.js';
import { RoutedEnd } from './routed-end.js';
import type { Router } from './router.js';

const SUMS = [
  'presettledDeliveries',
  'droppedPresettledDeliveries',
  'acceptedDeliveries',
  'rejectedDeliveries',
  'releasedDeliveries',
  'modifiedDeliveries',
  'deliveriesDelayed1Sec',
  'deliveriesDelayed10Sec',
  'deliveriesStuck',
  'deliveriesIngress',
  'deliveriesEgress',
  'deliveriesTransit',
  'deliveriesIngressRouteContainer',
  'deliveriesEgressRouteContainer',
  'deliveriesRedirectedToFallback',
] as const;

export type CounterName = (typeof SUMS)[number];
export type CounterSums = Record<CounterName, number>;

/**
 * The router's totals under their names in the schema. Links count for themselves; a total is what links that are gone
 * had counted and what those that live have, so that a message costs nothing here. Outcomes are those of incoming links.
 */
export class RouterCounters {
  readonly #router: Router;
  readonly #gone: CounterSums = zeros();

  constructor(router: Router) {
    this.#router = router;
  }

  /** @internal a link has gone: its numbers stay. */
  keep(link: LinkRecord): void {
    add(this.#gone, link, false);
  }

  /** All totals of this moment. */
  sums(): CounterSums {
    const sums = { ...this.#gone };
    for (const { links } of this.#router.connections) for (const link of links) add(sums, link, true);
    return sums;
  }

  get presettledDeliveries(): number {
    return this.sums().presettledDeliveries;
  }
  get droppedPresettledDeliveries(): number {
    return this.sums().droppedPresettledDeliveries;
  }
  get acceptedDeliveries(): number {
    return this.sums().acceptedDeliveries;
  }
  get rejectedDeliveries(): number {
    return this.sums().rejectedDeliveries;
  }
  get releasedDeliveries(): number {
    return this.sums().releasedDeliveries;
  }
  get modifiedDeliveries(): number {
    return this.sums().modifiedDeliveries;
  }
  get deliveriesDelayed1Sec(): number {
    return this.sums().deliveriesDelayed1Sec;
  }
  get deliveriesDelayed10Sec(): number {
    return this.sums().deliveriesDelayed10Sec;
  }
  get deliveriesStuck(): number {
    return this.sums().deliveriesStuck;
  }
  get deliveriesIngress(): number {
    return this.sums().deliveriesIngress;
  }
  get deliveriesEgress(): number {
    return this.sums().deliveriesEgress;
  }
  /** Between routers there is nothing to count in a standalone router. */
  get deliveriesTransit(): number {
    return this.sums().deliveriesTransit;
  }
  get deliveriesIngressRouteContainer(): number {
    return this.sums().deliveriesIngressRouteContainer;
  }
  get deliveriesEgressRouteContainer(): number {
    return this.sums().deliveriesEgressRouteContainer;
  }
  get deliveriesRedirectedToFallback(): number {
    return this.sums().deliveriesRedirectedToFallback;
  }
  get addrCount(): number {
    return [...this.#router.addresses].length + this.#router.linkRouteTable.nodeCount;
  }
  get linkCount(): number {
    let count = 0;
    for (const { links } of this.#router.connections) count += links.size;
    return count;
  }
  get connectionCount(): number {
    let count = 0;
    for (const connection of this.#router.connections) if (connection.isOpen) count++;
    return count;
  }
  get nodeCount(): number {
    return 0;
  }
  get linkRouteCount(): number {
    return this.#router.linkRoutes.length;
  }
  get autoLinkCount(): number {
    return this.#router.autoLinks.length;
  }
  get linksBlocked(): number {
    let count = 0;
    for (const { links } of this.#router.connections) for (const link of links) if (link.isBlocked) count++;
    return count;
  }
}

function zeros(): CounterSums {
  return Object.fromEntries(SUMS.map((name) => [name, 0])) as CounterSums;
}

function add(sums: CounterSums, link: LinkRecord, alive: boolean): void {
  // What passes between a client and its container is not counted as the container's.
  const isContainer = link.atContainer && !(link instanceof RoutedEnd);
  sums.droppedPresettledDeliveries += link.presettledDropped;
  if (link.direction === 'out') {
    if (!link.isFallback) sums.deliveriesEgress += link.deliveries;
    if (isContainer) sums.deliveriesEgressRouteContainer += link.deliveries;
    if (alive) sums.deliveriesStuck += link.stuck;
    return;
  }
  if (!link.isFallback) sums.deliveriesIngress += link.deliveries;
  sums.deliveriesRedirectedToFallback += link.redirected;
  if (isContainer) sums.deliveriesIngressRouteContainer += link.deliveries;
  sums.presettledDeliveries += link.presettled;
  sums.acceptedDeliveries += link.accepted;
  sums.rejectedDeliveries += link.rejected;
  sums.releasedDeliveries += link.released;
  sums.modifiedDeliveries += link.modified;
  sums.deliveriesDelayed1Sec += link.delayed1;
  sums.deliveriesDelayed10Sec += link.delayed10;
  if (alive) sums.deliveriesStuck += link.stuck;
}
