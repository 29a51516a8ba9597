// SPDX-License-Identifier: Apache-2.0
import { entityType, reported, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';
import { ADDRESS_FAMILIES, COUNT, ROLE_ALIASES, ROLES, STRIP_ANNOTATIONS, TIMER_SECONDS } from './connection-rows.js';

/** Ways to authenticate to Azure Service Bus. */
const AZURE_AUTHENTICATION: readonly string[] = [
  'plain',
  'sas',
  'clientSecret',
  'clientCertificate',
  'workloadIdentity',
  'managedIdentity',
  'developerLogin',
  'command',
];

// prettier-ignore
export const connector: EntityType = entityType('connector', {
  doc: 'A connection that the router makes and keeps.',
  section: 'connector',
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('host', 'string', 'Host to connect to.', { default: '127.0.0.1' }),
  settable('port', 'string', 'Port to connect to: a number, amqp (5672) or amqps (5671). Towards Azure Service Bus 5671 where none is given.', { default: 'amqp' }),
  settable('connectionString', 'string', 'Azure Service Bus in one line, in place of host, port, TLS and SASL: env:NAME, file:PATH, or pass:TEXT.', { hidden: true, secret: true, own: true }),
  settable('hostname', 'string', 'Name of the peer for SNI, its certificate and the AMQP open, where host leads elsewhere, as to a private endpoint.', { own: true }),
  settable('transport', ['tcp', 'websocket', 'auto'], 'What AMQP travels in. auto tries TCP, then a WebSocket, and stays with what works. TCP where none is given and a connectionString does not say otherwise.', { own: true }),
  settable('webSocketPort', 'integer', 'Port for transport websocket and auto. 443 where none is given.', { own: true, min: 1, max: 65_535 }),
  settable('proxy', 'string', 'HTTP proxy that tunnels (CONNECT): http://HOST:PORT, or none. Towards Azure Service Bus that of HTTPS_PROXY and NO_PROXY where none is given.', { own: true }),
  settable('proxyUsername', 'string', 'User name that the proxy wants to know.', { own: true }),
  settable('proxyPassword', 'string', 'Password that the proxy wants to know: env:NAME, file:PATH, or pass:TEXT.', { hidden: true, secret: true, own: true }),
  settable('protocolFamily', ADDRESS_FAMILIES, 'Read for compatibility: has no effect.'),
  settable('role', ROLES, 'What we connect to: a peer, another router, a broker (route-container), an interior router as its edge.', { default: 'normal', valueAliases: ROLE_ALIASES }),
  settable('cost', 'integer', 'Cost of the way over this connection. Between routers only.', { default: 1, min: 1, max: 2_147_483_647 }),
  settable('sslProfile', 'string', 'Name of the sslProfile. With one, the connection uses TLS.'),
  settable('saslMechanisms', 'string', 'SASL mechanisms that may be used, separated by blanks.'),
  settable('allowRedirect', 'boolean', 'Read for compatibility: redirects are not followed.', { default: true }),
  settable('maxFrameSize', 'integer', 'Greatest AMQP frame to accept, in bytes. Values below 512 count as 512.', { default: 16_384, ...COUNT }),
  settable('maxSessions', 'integer', 'Greatest number of sessions on the connection. 0 and values above 32768 count as 32768.', { default: 32_768, ...COUNT }),
  settable('maxSessionFrames', 'integer', 'Most frames that a session may have under way towards us. 0 or none: as many as the router takes by itself, which is the most in any case.', { ...COUNT }),
  settable('idleTimeoutSeconds', 'integer', 'A connection silent for so long is closed; half of it is what the peer is told. 0 switches it off. Towards Azure Service Bus 240 where none is given.', { default: 16, ...TIMER_SECONDS }),
  settable('stripAnnotations', STRIP_ANNOTATIONS, 'Direction in which the routers\' own message annotations are removed.', { default: 'both' }),
  settable('linkCapacity', 'integer', 'Credit that a sending link is given. 0 or none means 250, towards Azure Service Bus 50.', { ...COUNT }),
  settable('verifyHostname', 'boolean', 'The name in the peer\'s certificate must be the host\'s.', { default: true, deprecatedName: 'verifyHostName' }),
  settable('saslUsername', 'string', 'User name for SASL. For Azure Service Bus the name of the shared access policy.'),
  settable('saslPassword', 'string', 'Password for SASL: env:NAME, file:PATH, or pass:TEXT. For Azure Service Bus the key of the policy.', { hidden: true, secret: true }),
  settable('azureAuthentication', AZURE_AUTHENTICATION, 'How Azure Service Bus learns who we are: plain is the key in SASL, sas tokens made of it, the others get tokens elsewhere. None: plain, or sas where the peer has no PLAIN.', { own: true }),
  settable('azureTenantId', 'string', 'Id of the directory for Entra ID. For workloadIdentity and developerLogin that of the environment where none is given.', { own: true }),
  settable('azureClientId', 'string', 'Id of the application for Entra ID; for managedIdentity of one that was assigned by a user.', { own: true }),
  settable('azureClientSecret', 'string', 'Secret of the application: env:NAME, file:PATH, or pass:TEXT. For clientSecret.', { hidden: true, secret: true, own: true }),
  settable('azureClientCertificateFile', 'path', 'Certificate and private key of the application, PEM. For clientCertificate.', { own: true }),
  settable('azureClientCertificatePassword', 'string', 'Password of that private key: env:NAME, file:PATH, or pass:TEXT.', { hidden: true, secret: true, own: true }),
  settable('azureTokenFile', 'path', 'File with the token that the platform gives this workload. For workloadIdentity; that of the environment where none is given.', { own: true }),
  settable('azureTokenCommand', 'string', 'Program and arguments, split at blanks, quotes group; run without a shell. It prints a token, or JSON as az account get-access-token does. For command.', { hidden: true, secret: true, own: true }),
  settable('messageLoggingComponents', 'string', 'Parts of messages to log: none, all, or names separated by commas.', { default: 'none', deprecatedName: 'logMessage' }),
  reported('failoverUrls', 'string', 'Addresses that are tried, in turn.', { deprecatedName: 'failoverList' }),
  reported('connectionStatus', 'string', 'State of the connection.'),
  reported('connectionMsg', 'string', 'What the last attempt met with.'),
  reported('azureTokens', 'list', 'Tokens of the connection at Azure Service Bus, a map each: audience, source, kind, state, when they end, renewals, failures, lastError. Never the token.', { own: true }),
  reported('azureNodes', 'list', 'Nodes at Azure Service Bus of which the connection has the only links, for all who want them, a map each: node, state, clients, waiting, underWay, requests, refused, failures, lastError.', { own: true }),
  reported('azureLate', 'integer', 'Outcomes that are still to be told to Azure Service Bus by lock token.', { own: true }),
  settable('policyVhost', 'string', 'Policy vhost whose limits count for this connection.'),
  settable('openProperties', 'properties', 'Properties to add to our AMQP open.'),
]);
