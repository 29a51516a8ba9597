// SPDX-License-Identifier: Apache-2.0
import { entityType, reported, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';
import { PHASE } from './connection-rows.js';

// prettier-ignore
export const exchange: EntityType = entityType('router.config.exchange', {
  doc: 'Messages to an address are distributed by their subject.',
  section: 'exchange',
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('address', 'string', 'Address of the exchange.', { required: true }),
  settable('phase', 'integer', 'Phase of that address. 0 where none is given.', { ...PHASE }),
  settable('alternateAddress', 'string', 'Address for messages that no binding matches.'),
  settable('alternatePhase', 'integer', 'Phase of that address. 0 where none is given.', { ...PHASE }),
  settable('matchMethod', ['amqp', 'mqtt'], 'Notation of the binding keys: parts separated by . with * and #, or by / with + and #.', { default: 'amqp' }),
  reported('bindingCount', 'integer', 'Bindings of the exchange.'),
  reported('receivedCount', 'integer', 'Messages that arrived.'),
  reported('droppedCount', 'integer', 'Messages that matched nothing.'),
  reported('forwardedCount', 'integer', 'Messages that matched a binding.'),
  reported('divertedCount', 'integer', 'Messages that went to the alternate address.'),
]);

// prettier-ignore
export const binding: EntityType = entityType('router.config.binding', {
  doc: 'A way from an exchange to an address.',
  section: 'binding',
  operations: ['CREATE', 'DELETE', 'READ'],
}, [
  settable('exchangeName', 'string', 'Name of the exchange.', { required: true }),
  settable('bindingKey', 'string', 'Subjects that match. All of them where none is given.'),
  settable('nextHopAddress', 'string', 'Address that messages with such a subject go to.', { required: true }),
  settable('nextHopPhase', 'integer', 'Phase of that address. 0 where none is given.', { ...PHASE }),
  reported('matchedCount', 'integer', 'Messages that matched.'),
]);
