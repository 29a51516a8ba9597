// SPDX-License-Identifier: Apache-2.0
import { entityType, gauge, OPERATIONAL, reported } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// prettier-ignore
export const routerAddress: EntityType = entityType('router.address', {
  doc: 'An address that the router knows, and who takes part in it.',
  section: undefined,
  bases: OPERATIONAL,
  operations: ['READ'],
}, [
  reported('distribution', ['flood', 'multicast', 'closest', 'balanced', 'linkBalanced', 'unavailable'], 'How messages to the address are treated.'),
  reported('inProcess', 'integer', 'Subscriptions within the router.'),
  gauge('subscriberCount', 'Receivers attached here.'),
  gauge('remoteCount', 'Other routers with receivers.'),
  gauge('containerCount', 'Connections to brokers that serve the address.'),
  gauge('deliveriesIngress', 'Deliveries that entered the network here.'),
  gauge('deliveriesEgress', 'Deliveries that left the network here.'),
  gauge('deliveriesTransit', 'Deliveries that came from one router and went to another.'),
  gauge('deliveriesToContainer', 'Deliveries that went into the router itself.'),
  gauge('deliveriesFromContainer', 'Deliveries that came from the router itself.'),
  gauge('deliveriesIngressRouteContainer', 'Deliveries that came from route containers.'),
  gauge('deliveriesEgressRouteContainer', 'Deliveries that went to route containers.'),
  gauge('deliveriesRedirectedToFallback', 'Deliveries that went to the fallback destination.'),
  reported('key', 'string', 'The address behind letters for its class and phase.'),
  reported('remoteHostRouters', 'list', 'Ids of the other routers with receivers.'),
  reported('transitOutstanding', 'list', 'Unsettled deliveries by connection to another router. For the distribution balanced only.'),
  reported('trackedDeliveries', 'integer', 'Unsettled deliveries on their way to other routers.'),
  reported('priority', 'integer', 'Priority that the address gives to messages, -1 where it gives none.'),
]);
