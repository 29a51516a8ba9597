// SPDX-License-Identifier: Apache-2.0
import { entityType, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// prettier-ignore
export const authServicePlugin: EntityType = entityType('authServicePlugin', {
  doc: 'A service that authenticates the peers of listeners in the router\'s place.',
  section: 'authServicePlugin',
  referential: true,
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('authService', 'string', 'Address of the service as host:port.', { deprecated: 'host and port' }),
  settable('host', 'string', 'Host of the service.', { default: '' }),
  settable('port', 'string', 'Port of the service: a number, amqp or amqps.', { default: 'amqp' }),
  settable('realm', 'string', 'Host name that is given to the service in SASL.', { deprecatedName: 'saslInitHostname' }),
  settable('sslProfile', 'string', 'Name of the sslProfile for the connection to the service.', { deprecatedName: 'authSslProfile' }),
]);
