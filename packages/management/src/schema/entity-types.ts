// SPDX-License-Identifier: Apache-2.0
import type { EntityType } from '../entity-type.js';
import { address } from './address.js';
import { allocator } from './allocator.js';
import { authServicePlugin } from './auth-service-plugin.js';
import { autoLink } from './auto-link.js';
import { connection } from './connection.js';
import { connector } from './connector.js';
import { consoleEntity } from './console.js';
import { dummy } from './dummy.js';
import { binding, exchange } from './exchange.js';
import { connectionLinkRoute, linkRoute } from './link-route.js';
import { link } from './link.js';
import { listener } from './listener.js';
import { log, logStats } from './log.js';
import { configurationEntity, entity, management, operationalEntity, standardManagement } from './management.js';
import { node } from './node.js';
import { policy, vhost, vhostStats, vhostUserGroupSettings } from './policy.js';
import { routerAddress } from './router-address.js';
import { router } from './router.js';
import { sslProfile } from './ssl-profile.js';

/** The one schema: every type of entity that the router knows. A new type is a file beside this one and a line here. */
export const entityTypes: readonly EntityType[] = [
  entity,
  standardManagement,
  management,
  configurationEntity,
  operationalEntity,
  router,
  sslProfile,
  authServicePlugin,
  listener,
  connector,
  log,
  logStats,
  address,
  linkRoute,
  autoLink,
  exchange,
  binding,
  link,
  routerAddress,
  node,
  connection,
  allocator,
  consoleEntity,
  policy,
  vhost,
  vhostUserGroupSettings,
  vhostStats,
  dummy,
  connectionLinkRoute,
];

/** The type with that short name (`router.config.address`), section name (`address`) or full name, or undefined. */
export function entityTypeOf(name: string): EntityType | undefined {
  return entityTypes.find((type) => type.name === name || type.section === name || type.fullName === name);
}
