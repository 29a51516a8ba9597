// SPDX-License-Identifier: Apache-2.0
import type { EntityTable } from '@pointsman/management';
import type { Router } from '../router.js';
import { autoLinkTable, configuredAddressTable, linkRouteTable } from './config-tables.js';
import { connectionLinkRouteTable } from './connection-link-route-table.js';
import { bindingTable, exchangeTable } from './exchange-tables.js';
import { addressTable, connectionTable, linkTable, routerTable } from './live-tables.js';
import { typeNamed } from './view.js';

/** What a management agent shows of a router, and what it can change there. */
export function routerTables(router: Router): EntityTable[] {
  return [
    routerTable(router),
    connectionTable(router),
    linkTable(router),
    addressTable(router),
    // Alone, it has no network of which to show the nodes.
    { type: typeNamed('router.node'), entities: () => [] },
    configuredAddressTable(router),
    linkRouteTable(router),
    autoLinkTable(router),
    exchangeTable(router),
    bindingTable(router),
    connectionLinkRouteTable(router),
  ];
}
