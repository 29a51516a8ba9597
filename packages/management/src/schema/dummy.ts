// SPDX-License-Identifier: Apache-2.0
import { entityType, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

const NUMBER = { min: -2_147_483_648, max: 2_147_483_647 };

// prettier-ignore
export const dummy: EntityType = entityType('dummy', {
  doc: 'An entity without effect, to try management with.',
  section: undefined,
  bases: ['entity'],
  operations: ['CREATE', 'READ', 'UPDATE', 'DELETE', 'CALLME'],
}, [
  settable('arg1', 'string', 'A text without effect.', { update: true }),
  settable('arg2', 'string', 'Another text without effect.', { update: true }),
  settable('num1', 'integer', 'A number without effect.', { ...NUMBER, update: true }),
  settable('num2', 'integer', 'Another number without effect.', { ...NUMBER, update: true }),
]);
