// SPDX-License-Identifier: Apache-2.0
import { entityType, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';
import { ADDRESS_FAMILIES, COUNT, ROLE_ALIASES, ROLES, STRIP_ANNOTATIONS, TIMER_SECONDS } from './connection-rows.js';

// prettier-ignore
export const listener: EntityType = entityType('listener', {
  doc: 'A port on which the router accepts connections.',
  section: 'listener',
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('host', 'string', 'Address to listen on. Empty means all interfaces.', { default: '' }),
  settable('port', 'string', 'Port to listen on: a number, amqp (5672) or amqps (5671). 0 takes any free port.', { default: 'amqp' }),
  settable('socketAddressFamily', ADDRESS_FAMILIES, 'Read for compatibility: has no effect.', { deprecatedName: 'protocolFamily' }),
  settable('role', ROLES, 'What connects here: clients, other routers, brokers (route-container), edge routers.', { default: 'normal', valueAliases: ROLE_ALIASES }),
  settable('cost', 'integer', 'Cost of the way over this connection. Between routers only.', { default: 1, min: 1, max: 2_147_483_647 }),
  settable('sslProfile', 'string', 'Name of the sslProfile. With one, the port speaks TLS.'),
  settable('saslMechanisms', 'string', 'SASL mechanisms to offer, separated by blanks. EXTERNAL makes a client certificate mandatory.'),
  settable('authenticatePeer', 'boolean', 'Peers must authenticate.', { default: false }),
  settable('azureClients', ['none', 'sas', 'admitted'], 'Clients of Azure Service Bus put tokens to $cbs here: none is refused, sas are let in by tokens made with azureKeys, admitted by the listener itself.', { default: 'none', own: true }),
  settable('azureKeys', 'properties', 'Names of shared access policies, each with its key: env:NAME, file:PATH, or pass:TEXT, or a list of those.', { hidden: true, secret: true, own: true }),
  settable('saslPlugin', 'string', 'Name of the authServicePlugin that authenticates the peers.'),
  settable('requireEncryption', 'boolean', 'Refuse connections that are not encrypted.', { default: false }),
  settable('requireSsl', 'boolean', 'Refuse connections without TLS.', { default: false }),
  settable('trustedCertsFile', 'path', 'Read for compatibility: has no effect. Use caCertFile of the sslProfile.', { deprecatedName: 'trustedCerts' }),
  settable('maxFrameSize', 'integer', 'Greatest AMQP frame to accept, in bytes. Values below 512 count as 512.', { default: 16_384, ...COUNT }),
  settable('maxSessions', 'integer', 'Greatest number of sessions on a connection. 0 and values above 32768 count as 32768.', { default: 32_768, ...COUNT }),
  settable('maxSessionFrames', 'integer', 'Most frames that a session may have under way towards us. 0 or none: as many as the router takes by itself, which is the most in any case.', { ...COUNT }),
  settable('idleTimeoutSeconds', 'integer', 'A connection silent for so long is closed; half of it is what the peer is told. 0 switches it off.', { default: 16, ...TIMER_SECONDS }),
  settable('initialHandshakeTimeoutSeconds', 'integer', 'Time for a peer to get as far as the AMQP open. 0 means no limit.', { default: 0, ...TIMER_SECONDS }),
  settable('stripAnnotations', STRIP_ANNOTATIONS, 'Direction in which the routers\' own message annotations are removed.', { default: 'both' }),
  settable('linkCapacity', 'integer', 'Credit that a sending link is given. 0 or none means 250.', { ...COUNT }),
  settable('multiTenant', 'boolean', 'Addresses are kept apart by the host name that the peer gives in its open.', { default: false }),
  settable('failoverUrls', 'string', 'Other addresses that clients are told of, separated by commas.', { deprecatedName: 'failoverList' }),
  settable('healthz', 'boolean', 'On an HTTP port: answer to /healthz.', { default: true }),
  settable('metrics', 'boolean', 'On an HTTP port: answer to /metrics.', { default: true }),
  settable('websockets', 'boolean', 'On an HTTP port: accept AMQP over WebSocket.', { default: true }),
  settable('http', 'boolean', 'The port speaks HTTP and AMQP over WebSocket instead of AMQP.', { default: false }),
  settable('httpRootDir', 'path', 'Directory of the files that an HTTP port serves. Implies http.', { deprecatedName: 'httpRoot' }),
  settable('messageLoggingComponents', 'string', 'Parts of messages to log: none, all, or names separated by commas.', { default: 'none', deprecatedName: 'logMessage' }),
  settable('policyVhost', 'string', 'Policy vhost that counts in place of the host name that the peer gives.'),
  settable('openProperties', 'properties', 'Properties to add to our AMQP open.'),
]);
