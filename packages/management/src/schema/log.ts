// SPDX-License-Identifier: Apache-2.0
import { entityType, gauge, OPERATIONAL, reported } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

const MODULES: readonly string[] = [
  'ROUTER',
  'ROUTER_CORE',
  'ROUTER_HELLO',
  'ROUTER_LS',
  'ROUTER_MA',
  'MESSAGE',
  'SERVER',
  'AGENT',
  'AUTHSERVICE',
  'CONTAINER',
  'ERROR',
  'POLICY',
  'HTTP',
  'CONN_MGR',
  'PYTHON',
  'PROTOCOL',
  'DEFAULT',
];

// A log entity exists for every module from the start: it is configured and updated, never created.
// prettier-ignore
export const log: EntityType = entityType('log', {
  doc: 'What one module of the router logs, and where to.',
  section: 'log',
  operations: ['UPDATE', 'READ'],
}, [
  reported('module', MODULES, 'The module. DEFAULT holds for whatever the others leave out.', { required: true }),
  reported('enable', 'string', 'Levels to log, separated by commas: none, trace, debug, info, notice, warning, error, critical; with + also all above.', { update: true }),
  reported('includeTimestamp', 'boolean', 'Lines begin with the time.', { update: true, deprecatedName: 'timestamp' }),
  reported('includeSource', 'boolean', 'Lines end with the place in the source.', { update: true, deprecatedName: 'source' }),
  reported('outputFile', 'string', 'stderr, stdout, syslog, or a file to append to.', { update: true, deprecatedName: 'output' }),
]);

// prettier-ignore
export const logStats: EntityType = entityType('logStats', {
  doc: 'How much one module of the router has logged.',
  section: undefined,
  bases: OPERATIONAL,
  operations: ['READ'],
}, [
  gauge('traceCount', 'Events of the level trace.'),
  gauge('debugCount', 'Events of the level debug.'),
  gauge('infoCount', 'Events of the level info.'),
  gauge('noticeCount', 'Events of the level notice.'),
  gauge('warningCount', 'Events of the level warning.'),
  gauge('errorCount', 'Events of the level error.'),
  gauge('criticalCount', 'Events of the level critical.'),
]);
