// SPDX-License-Identifier: Apache-2.0
import { lagOf } from '@pointsman/router';
import type { Router } from '@pointsman/router';
import type { MetricsSource } from './metrics.js';

/** The numbers of a router at this moment. */
export function metricsOf({ counters, autoLinks }: Pick<Router, 'counters' | 'autoLinks'>): MetricsSource {
  return {
    // All sums at once: each of them looks at every link.
    ...counters.sums(),
    connectionCount: counters.connectionCount,
    linkCount: counters.linkCount,
    addrCount: counters.addrCount,
    nodeCount: counters.nodeCount,
    linkRouteCount: counters.linkRouteCount,
    autoLinkCount: counters.autoLinkCount,
    linksBlocked: counters.linksBlocked,
    autoLinks: autoLinks.map(({ name, direction, externalAddress, status, activations, failures }) => ({
      name,
      direction,
      externalAddress,
      isActive: status === 'active',
      activations,
      failures,
    })),
    inboxes: autoLinks
      .filter(({ hasCustody }) => hasCustody)
      .map(({ name, externalAddress, tally: { position, ...tally } }) => ({
        name,
        externalAddress,
        ...tally,
        hub: position === undefined ? undefined : { ...position, lag: lagOf(position) },
      })),
  };
}
