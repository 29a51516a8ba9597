// SPDX-License-Identifier: Apache-2.0
import { entityType, reported } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// prettier-ignore
export const consoleEntity: EntityType = entityType('console', {
  doc: 'Read for compatibility: has no effect. An HTTP listener serves the console.',
  section: 'console',
  singleton: true,
  deprecated: true,
  operations: ['READ'],
}, [
  reported('listener', 'string', 'Name of the listener.'),
  reported('wsport', 'integer', 'Port of the WebSocket.', { default: 5673, min: 0, max: 65_535 }),
  reported('proxy', 'string', 'Command of the proxy.', { required: true }),
  reported('home', 'string', 'Directory of the pages.', { required: true }),
  reported('args', 'string', 'Arguments of the proxy.'),
]);
