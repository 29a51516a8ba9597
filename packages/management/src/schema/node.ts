// SPDX-License-Identifier: Apache-2.0
import { entityType, OPERATIONAL, reported } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// prettier-ignore
export const node: EntityType = entityType('router.node', {
  doc: 'A router of the network, this one included.',
  section: undefined,
  bases: OPERATIONAL,
  operations: ['READ'],
}, [
  reported('id', 'string', 'Id of the router.'),
  reported('protocolVersion', 'integer', 'Version of the protocol between routers that it speaks.'),
  reported('instance', 'integer', 'Number that changes with every start of that router.'),
  reported('linkState', 'list', 'Ids of its neighbours.'),
  reported('nextHop', 'string', 'Id of the neighbour that leads to it. None for a neighbour; (self) for this router.'),
  reported('validOrigins', 'list', 'Ids of the routers whose messages pass here on their way to it.'),
  reported('address', 'string', 'Address of the router.'),
  reported('routerLink', 'entityId', 'Number of the connection to it, where it is a neighbour.'),
  reported('cost', 'integer', 'Cost of the way to it.'),
  reported('lastTopoChange', 'integer', 'When the network last changed, in seconds since 1970.'),
  reported('index', 'integer', 'Number of the router in this one\'s tables. 0 is this router.'),
]);
