// SPDX-License-Identifier: Apache-2.0
import type { Router } from '@pointsman/router';
import type { MetricsSource } from './metrics.js';

/** A router that counts, as far as it does. */
type CountingRouter = Pick<Router, 'connections' | 'addresses' | 'linkRoutes' | 'autoLinks'> & {
  readonly counters?: Partial<MetricsSource>;
};

/** The numbers of a router at this moment. */
export function metricsOf(router: CountingRouter): Partial<MetricsSource> {
  return (
    router.counters ?? {
      connectionCount: [...router.connections].filter((connection) => connection.isOpen).length,
      addrCount: [...router.addresses].length,
      linkRouteCount: router.linkRoutes.length,
      autoLinkCount: router.autoLinks.length,
    }
  );
}
