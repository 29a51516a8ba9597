// SPDX-License-Identifier: Apache-2.0
import { entityType, gauge, OPERATIONAL, reported } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// prettier-ignore
export const link: EntityType = entityType('router.link', {
  doc: 'A link that is attached to the router.',
  section: undefined,
  bases: OPERATIONAL,
  operations: ['UPDATE', 'READ'],
}, [
  reported('adminStatus', ['enabled', 'disabled'], 'State that is wanted.', { default: 'enabled', update: true }),
  reported('operStatus', ['up', 'down', 'quiescing', 'idle'], 'State of the link.'),
  reported('linkName', 'string', 'Name of the link, as its attach gives it.'),
  reported('linkType', ['endpoint', 'router-control', 'inter-router', 'edge-downlink'], 'What the link carries: messages of a peer, what routers tell one another, or messages between routers.'),
  reported('linkDir', ['in', 'out'], 'in: the router receives messages on it; out: the router sends them.'),
  reported('owningAddr', 'string', 'Key of the address that the link belongs to. None for an anonymous sender.'),
  reported('capacity', 'integer', 'Deliveries that the link holds at most: the credit that is given.'),
  reported('peer', 'string', 'Identity of the other half of a routed link.'),
  gauge('undeliveredCount', 'Deliveries that wait to be sent.'),
  gauge('unsettledCount', 'Deliveries whose outcome is awaited.'),
  gauge('deliveryCount', 'Deliveries since the link was attached.'),
  gauge('presettledCount', 'Deliveries that were settled from the start.'),
  gauge('droppedPresettledCount', 'Settled deliveries dropped for want of room.'),
  gauge('acceptedCount', 'Deliveries with the outcome accepted.'),
  gauge('rejectedCount', 'Deliveries with the outcome rejected.'),
  gauge('releasedCount', 'Deliveries with the outcome released.'),
  gauge('modifiedCount', 'Deliveries with the outcome modified.'),
  gauge('deliveriesDelayed1Sec', 'Deliveries that took one to ten seconds to be settled.'),
  gauge('deliveriesDelayed10Sec', 'Deliveries that took ten seconds or longer to be settled.'),
  gauge('deliveriesStuck', 'Deliveries that are unsettled for ten seconds or longer now.'),
  gauge('creditAvailable', 'Credit that the link has now.'),
  reported('zeroCreditSeconds', 'integer', 'Time for which the link has been without credit.'),
  gauge('settleRate', 'Deliveries settled in a second, of late.'),
  reported('ingressHistogram', 'list', 'Deliveries by the router at which they entered the network. For links to peers only.'),
  reported('priority', 'integer', 'Priority of the messages on a link between routers.'),
]);
