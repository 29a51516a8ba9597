// SPDX-License-Identifier: Apache-2.0
import { entityType, gauge, OPERATIONAL, reported, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';
import { COUNT } from './connection-rows.js';

/** Bytes of a message, which may be more than 32 bits hold. */
const BYTES = { min: 0, max: Number.MAX_SAFE_INTEGER };
const CONNECTIONS = { default: 65_535, min: 0, max: 65_535 };

// prettier-ignore
export const policy: EntityType = entityType('policy', {
  doc: 'What is allowed on all connections, and whether vhosts narrow it down.',
  section: 'policy',
  singleton: true,
  operations: ['READ'],
}, [
  settable('maxConnections', 'integer', 'Greatest number of connections at a time.', { ...CONNECTIONS }),
  settable('maxMessageSize', 'integer', 'Greatest message, in bytes. 0 means no limit.', { default: 0, ...BYTES }),
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
  settable('hostname', 'string', 'Host name, as peers give it in their open.', { required: true, mayBeEmpty: true, deprecatedName: 'id' }),
  settable('aliases', 'string', 'Further host names, separated by commas.', { update: true }),
  settable('maxConnections', 'integer', 'Greatest number of connections at a time.', { ...CONNECTIONS, update: true }),
  settable('maxMessageSize', 'integer', 'Greatest message, in bytes. 0 means no limit. None means that of the policy.', { ...BYTES, update: true }),
  settable('maxConnectionsPerUser', 'integer', 'Greatest number of connections of one user.', { ...CONNECTIONS, update: true }),
  settable('maxConnectionsPerHost', 'integer', 'Greatest number of connections from one host.', { ...CONNECTIONS, update: true }),
  settable('allowUnknownUser', 'boolean', 'Users of no group get the rights of the group $default.', { default: false, update: true }),
  settable('groups', 'map', 'Groups of users and their rights, by the name of the group.', { update: true }),
]);

const LINKS = { default: 2_147_483_647, ...COUNT };

// Groups stand within their vhost: no entity of this type exists by itself.
// prettier-ignore
export const vhostUserGroupSettings: EntityType = entityType('vhostUserGroupSettings', {
  doc: 'What the users of one group of a vhost may do.',
  section: undefined,
  operations: ['READ'],
}, [
  reported('users', 'string', 'Names of the users, separated by commas. * is everybody.', { required: true }),
  reported('remoteHosts', 'string', 'Hosts that they may connect from: names, addresses or ranges, separated by commas. * is everywhere.', { required: true }),
  reported('maxConnectionsPerUser', 'integer', 'Greatest number of connections of one user.', { ...COUNT }),
  reported('maxConnectionsPerHost', 'integer', 'Greatest number of connections from one host.', { ...COUNT }),
  reported('maxMessageSize', 'integer', 'Greatest message, in bytes. 0 means no limit.', { ...BYTES }),
  settable('maxFrameSize', 'integer', 'Greatest AMQP frame to accept, in bytes.', { ...COUNT }),
  settable('maxSessionWindow', 'integer', 'Bytes that a session may have under way towards us.', { ...COUNT }),
  settable('maxSessions', 'integer', 'Greatest number of sessions on a connection.', { ...COUNT }),
  settable('maxSenders', 'integer', 'Greatest number of sending links on a connection.', { ...LINKS }),
  settable('maxReceivers', 'integer', 'Greatest number of receiving links on a connection.', { ...LINKS }),
  settable('allowDynamicSource', 'boolean', 'Receivers may ask for an address of their own.', { default: false }),
  settable('allowAnonymousSender', 'boolean', 'Senders may address each message by itself.', { default: false }),
  settable('allowUserIdProxy', 'boolean', 'Messages may name another user as theirs.', { default: false }),
  settable('allowWaypointLinks', 'boolean', 'Links may serve a waypoint.', { default: true }),
  settable('allowDynamicLinkRoutes', 'boolean', 'Link routes may be created over the connection.', { default: true }),
  settable('allowAdminStatusUpdate', 'boolean', 'Connections may be ended through management.', { default: true }),
  settable('allowFallbackLinks', 'boolean', 'Links may serve a fallback destination.', { default: true }),
  settable('sources', 'string', 'Addresses that may be received from, separated by commas. * at the end stands for anything.'),
  settable('targets', 'string', 'Addresses that may be sent to, separated by commas. * at the end stands for anything.'),
  settable('sourcePattern', 'string', 'Addresses that may be received from, as patterns separated by commas.'),
  settable('targetPattern', 'string', 'Addresses that may be sent to, as patterns separated by commas.'),
]);

// prettier-ignore
export const vhostStats: EntityType = entityType('vhostStats', {
  doc: 'What a vhost has let in and refused.',
  section: undefined,
  bases: OPERATIONAL,
  operations: ['READ'],
}, [
  reported('id', 'string', 'Host name of the vhost.'),
  reported('hostname', 'string', 'Host name of the vhost.'),
  gauge('connectionsApproved', 'Connections let in.'),
  gauge('connectionsDenied', 'Connections refused.'),
  gauge('connectionsCurrent', 'Connections open now.'),
  reported('perUserState', 'map', 'Connections by user.'),
  reported('perHostState', 'map', 'Connections by host of the peer.'),
  gauge('sessionDenied', 'Sessions refused.'),
  gauge('senderDenied', 'Sending links refused.'),
  gauge('receiverDenied', 'Receiving links refused.'),
  gauge('maxMessageSizeDenied', 'Messages refused for their size.'),
]);
