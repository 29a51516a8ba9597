// SPDX-License-Identifier: Apache-2.0
import { entityType, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// prettier-ignore
export const sslProfile: EntityType = entityType('sslProfile', {
  doc: 'TLS settings that listeners and connectors refer to by name.',
  section: 'sslProfile',
  referential: true,
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('ciphers', 'string', 'Cipher suites that may be used, in the notation of OpenSSL.'),
  settable('protocols', 'string', 'TLS versions that may be used, separated by blanks: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3.'),
  settable('caCertFile', 'path', 'PEM file of the authorities to trust. Where none is given, those of the system are trusted.', { deprecatedName: 'certDb' }),
  settable('certFile', 'path', 'PEM file of our certificate, followed by its intermediates.'),
  settable('privateKeyFile', 'path', 'PEM file of the certificate\'s private key. Where none is given, it is looked for in certFile.', { deprecatedName: 'keyFile' }),
  settable('passwordFile', 'path', 'File whose first line is the password of the private key.', { deprecated: 'password: file:PATH' }),
  settable('password', 'string', 'Password of the private key: env:NAME, file:PATH, or pass:TEXT.', { secret: true }),
  settable('uidFormat', 'string', 'Parts of a client certificate that make up its user id: letters of c s l o u n 1 2 5.'),
  settable('uidNameMappingFile', 'string', 'JSON file that maps such user ids to names.', { deprecatedName: 'displayNameFile' }),
]);
