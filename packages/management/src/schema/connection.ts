// SPDX-License-Identifier: Apache-2.0
import { entityType, gauge, OPERATIONAL, reported } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// prettier-ignore
export const connection: EntityType = entityType('connection', {
  doc: 'A connection to the router.',
  section: undefined,
  bases: OPERATIONAL,
  operations: ['READ'],
}, [
  reported('adminStatus', ['enabled', 'deleted'], 'State that is wanted: deleted ends the connection.', { default: 'enabled', update: true }),
  reported('operStatus', ['up', 'closing'], 'State of the connection.'),
  reported('protocol', 'string', 'Protocol that is spoken.'),
  reported('container', 'string', 'Container id of the peer.'),
  reported('opened', 'boolean', 'The AMQP connection is open on both sides.'),
  reported('host', 'string', 'Address of the peer, or host and port of the connector.'),
  reported('dir', ['in', 'out'], 'in: the peer has connected to us; out: we have connected to it.'),
  reported('role', 'string', 'Role of the connection, as its listener or connector has it.'),
  reported('isAuthenticated', 'boolean', 'The peer has gone through SASL, if only as anonymous.'),
  reported('isEncrypted', 'boolean', 'The connection is encrypted.'),
  reported('enableProtocolTrace', 'boolean', 'Frames of the connection are logged.', { default: false, update: true }),
  reported('sasl', 'string', 'SASL mechanism that was used.'),
  reported('user', 'string', 'Who the peer is, by SASL or its certificate.'),
  reported('ssl', 'boolean', 'The connection uses TLS.'),
  reported('sslProto', 'string', 'Version of TLS.'),
  reported('sslCipher', 'string', 'Cipher of TLS.'),
  reported('sslSsf', 'integer', 'Strength of the cipher in bits.'),
  reported('tenant', 'string', 'Prefix of the tenant, where the listener serves several.'),
  gauge('uptimeSeconds', 'Time since the connection was opened.'),
  reported('properties', 'map', 'Properties that the peer gave in its open.'),
  gauge('lastDlvSeconds', 'Time since the last delivery.'),
]);
