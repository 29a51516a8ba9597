// SPDX-License-Identifier: Apache-2.0
import { entityType, gauge, reported, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';
import { COUNT } from './connection-rows.js';

const CONNECTIONS = { default: 65_535, min: 0, max: 65_535 };

// prettier-ignore
export const policy: EntityType = entityType('policy', {
  doc: 'What is allowed on all connections, and whether vhosts narrow it down.',
  section: 'policy',
  singleton: true,
  operations: ['READ'],
}, [
  settable('maxConnections', 'integer', 'Greatest number of connections at a time.', { ...CONNECTIONS }),
  settable('maxMessageSize', 'integer', 'Greatest message, in bytes. 0 means no limit.', { default: 0, ...COUNT }),
  settable('enableVhostPolicy', 'boolean', 'Vhosts say who may do what.', { default: false }),
  settable('enableVhostNamePatterns', 'boolean', 'Names of vhosts may be patterns.', { default: false }),
  settable('policyDir', 'path', 'Directory of JSON files with further vhosts.', { default: '' }),
  settable('defaultVhost', 'string', 'Vhost of connections whose host name has none of its own.', { default: '$default' }),
  gauge('connectionsProcessed', 'Connections looked at.'),
  gauge('connectionsDenied', 'Connections refused.'),
  gauge('connectionsCurrent', 'Connections open now.'),
  gauge('linksDenied', 'Links refused.'),
  gauge('maxMessageSizeDenied', 'Messages refused for their size.'),
  gauge('totalDenials', 'Everything refused.'),
]);

// prettier-ignore
export const vhost: EntityType = entityType('vhost', {
  doc: 'Who may connect to a host name, and what they may do there.',
  section: 'vhost',
  operations: ['CREATE', 'UPDATE', 'DELETE', 'READ'],
}, [
  settable('hostname', 'string', 'Host name, as peers give it in their open.', { required: true, deprecatedName: 'id' }),
  settable('aliases', 'string', 'Further host names, separated by commas.', { update: true }),
  settable('maxConnections', 'integer', 'Greatest number of connections at a time.', { ...CONNECTIONS, update: true }),
  reported('maxMessageSize', 'integer', 'Greatest message, in bytes. 0 means no limit.', { ...COUNT }),
  settable('maxConnectionsPerUser', 'integer', 'Greatest number of connections of one user.', { ...CONNECTIONS, update: true }),
  settable('maxConnectionsPerHost', 'integer', 'Greatest number of connections from one host.', { ...CONNECTIONS, update: true }),
  settable('allowUnknownUser', 'boolean', 'Users of no group get the rights of the group $default.', { default: false, update: true }),
  settable('groups', 'map', 'Groups of users and their rights, by the name of the group.', { update: true }),
]);
