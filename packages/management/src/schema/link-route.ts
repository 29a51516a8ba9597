// SPDX-License-Identifier: Apache-2.0
import { entityType, reported, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// prettier-ignore
export const linkRoute: EntityType = entityType('router.config.linkRoute', {
  doc: 'Links to some addresses are passed on as a whole to a broker.',
  section: 'linkRoute',
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('prefix', 'string', 'Addresses that are this or begin with it, by whole parts. Not together with pattern.'),
  settable('pattern', 'string', 'Addresses that match: * stands for one part, # for any number. Not together with prefix.'),
  settable('addExternalPrefix', 'string', 'Put in front of the address on the way to the broker.'),
  settable('delExternalPrefix', 'string', 'Taken off the front of the address on the way to the broker.'),
  settable('containerId', 'string', 'Container id of the broker. In place of connection.'),
  settable('connection', 'string', 'Name of the connector or listener that leads to the broker.'),
  settable('distribution', ['linkBalanced'], 'Links are spread over the connections in turn.', { default: 'linkBalanced' }),
  settable('direction', ['in', 'out'], 'in: messages flow from clients to the broker; out: from the broker to clients.', { required: true, deprecatedName: 'dir' }),
  reported('operStatus', ['inactive', 'active'], 'Whether a connection to the broker is open.'),
]);

// prettier-ignore
export const connectionLinkRoute: EntityType = entityType('router.connection.linkRoute', {
  doc: 'A link route that leads over the connection on which it was created, as long as that lives.',
  section: undefined,
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('pattern', 'string', 'Addresses that match: * stands for one part, # for any number.', { required: true }),
  settable('direction', ['in', 'out'], 'in: messages flow from clients to the connection; out: from the connection to clients.', { required: true }),
  reported('containerId', 'string', 'Container id of the peer on that connection.'),
]);
