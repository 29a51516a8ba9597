// SPDX-License-Identifier: Apache-2.0
import type { EntityType } from '../entity-type.js';
import { address } from './address.js';
import { authServicePlugin } from './auth-service-plugin.js';
import { autoLink } from './auto-link.js';
import { connector } from './connector.js';
import { consoleEntity } from './console.js';
import { binding, exchange } from './exchange.js';
import { linkRoute } from './link-route.js';
import { listener } from './listener.js';
import { log } from './log.js';
import { policy, vhost } from './policy.js';
import { router } from './router.js';
import { sslProfile } from './ssl-profile.js';

/** The one schema: every type of entity that the router knows. A new type is a file beside this one and a line here. */
export const entityTypes: readonly EntityType[] = [
  router,
  sslProfile,
  authServicePlugin,
  listener,
  connector,
  log,
  address,
  linkRoute,
  autoLink,
  exchange,
  binding,
  consoleEntity,
  policy,
  vhost,
];

/** The type with that short name (`router.config.address`), section name (`address`) or full name, or undefined. */
export function entityTypeOf(name: string): EntityType | undefined {
  return entityTypes.find((type) => type.name === name || type.section === name || type.fullName === name);
}
