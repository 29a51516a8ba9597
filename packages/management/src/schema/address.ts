// SPDX-License-Identifier: Apache-2.0
import { entityType, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';
import { PHASE } from './connection-rows.js';

// prettier-ignore
export const address: EntityType = entityType('router.config.address', {
  doc: 'How messages to some addresses are treated.',
  section: 'address',
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('prefix', 'string', 'Addresses that are this or begin with it, by whole parts. Not together with pattern.'),
  settable('pattern', 'string', 'Addresses that match: * stands for one part, # for any number. Not together with prefix.'),
  settable('distribution', ['multicast', 'closest', 'balanced', 'unavailable'], 'To all receivers, the nearest, in turn by load, or to none.', { default: 'balanced' }),
  settable('waypoint', 'boolean', 'Messages pass through a broker on their way: phase 0 leads in, phase 1 out again.', { default: false }),
  settable('ingressPhase', 'integer', 'Phase that senders attach to.', { ...PHASE }),
  settable('egressPhase', 'integer', 'Phase that receivers attach to.', { ...PHASE }),
  settable('priority', 'integer', 'Priority of messages that carry none, 0 to 9.', { min: 0, max: 9 }),
  settable('enableFallback', 'boolean', 'Messages that nobody takes go to a fallback destination.', { default: false }),
]);
