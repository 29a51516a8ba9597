// SPDX-License-Identifier: Apache-2.0
import { ManagementError } from '@pointsman/management';
import type { EntityTable, Requester } from '@pointsman/management';
import { plainAddress } from '../address-text.js';
import { tokensOf } from '../pattern-tree.js';
import type { LinkRoute } from '../link-route.js';
import type { RouterConnection } from '../router-connection.js';
import type { Router } from '../router.js';
import { View, subjectOf, typeNamed } from './view.js';
import type { Attributes } from './view.js';

/** Link routes that one connection may have made for itself: each costs memory and a look at every attach. */
const ROUTES_MAX = 10_000;

const LINK_ROUTE: Attributes<LinkRoute> = {
  pattern: ({ settings: { pattern = '' }, owner }) => owner?.tenant?.toOwn(pattern) ?? pattern,
  direction: ({ settings }) => settings.direction,
  containerId: ({ owner }) => owner?.containerId ?? null,
};

/** Link routes that a client makes for its own connection, and that go with it. Others see nothing of them. */
export function connectionLinkRouteTable(router: Router): EntityTable {
  const view = (route: LinkRoute): View<LinkRoute> => new View(route.id, route.name ?? null, route, LINK_ROUTE);
  const routesOf = (requester: Requester): LinkRoute[] => {
    const owner = connectionOf(router, requester);
    return owner === undefined ? [] : router.linkRouteTable.ofConnections.filter((route) => route.owner === owner);
  };
  return {
    type: typeNamed('router.connection.linkRoute'),
    entities: (requester) => routesOf(requester).map(view),
    create(attributes, _given, requester) {
      if (requester.connection === undefined) throw new ManagementError(400, 'Can only create via management CREATE');
      const owner = connectionOf(router, requester);
      if (owner === undefined) throw new ManagementError(400, 'Parent connection no longer exists');
      if (owner.policy?.group.allowDynamicLinkRoutes === false) throw new ManagementError(403, 'Forbidden');
      const { name, pattern, direction } = attributes;
      const named = typeof name === 'string' && name !== '' ? name : undefined;
      const mine = routesOf(requester);
      if (mine.length >= ROUTES_MAX)
        throw new ManagementError(400, `A connection takes ${ROUTES_MAX} link routes: delete some`);
      if (named !== undefined && mine.some((route) => route.name === named))
        throw new ManagementError(400, 'Name conflicts with an existing entity');
      if (typeof pattern !== 'string' || pattern === '') throw new ManagementError(400, 'Pattern field is required');
      if (plainAddress(pattern).replace(/[./]/g, '') === '')
        throw new ManagementError(400, 'Pattern invalid - no tokens');
      if (direction !== 'in' && direction !== 'out') throw new ManagementError(400, "Invalid value for 'direction'");
      // A tenant has routes in its own space only, and calls its nodes as it always does.
      const { tenant } = owner;
      if (tenant !== undefined && tokensOf(tenant.space).some((token) => token === '*' || token === '#'))
        throw new ManagementError(403, 'Forbidden');
      const full = owner.fullAddress(pattern);
      const delExternalPrefix = tenant?.prefix;
      return view(router.addLinkRoute({ name: named, pattern: full, direction, delExternalPrefix }, owner));
    },
    delete: (entity) => router.removeLinkRoute(subjectOf(entity) as LinkRoute),
  };
}

function connectionOf(router: Router, { connection }: Requester): RouterConnection | undefined {
  for (const candidate of router.connections)
    if (String(candidate.id) === connection && candidate.isOpen && !candidate.isClosing) return candidate;
  return undefined;
}
