// SPDX-License-Identifier: Apache-2.0
import { AmqpSymbol, type AmqpValue, type DeliveryState } from '@pointsman/wire';
import { deadLetterProperties, type Settlement } from './settlement.js';
import { textOf } from './message-content.js';

/**
 * What an outcome means to Service Bus, or undefined where it is none (no state, or `received`): the message then
 * stays locked.
 */
export function settlementOf(state: DeliveryState | undefined): Settlement | undefined {
  if (state === undefined || !('type' in state)) return undefined;
  switch (state.type) {
    case 'accepted':
      return { kind: 'complete' };
    case 'released':
      return { kind: 'unlock' };
    case 'modified': {
      const changes = propertiesOf(state.messageAnnotations);
      // Whether delivery-failed is set does not matter: the count rises all the same.
      return state.undeliverableHere === true ? { kind: 'defer', changes } : { kind: 'abandon', changes };
    }
    case 'rejected':
      return { kind: 'dead-letter', changes: deadLetterChanges(state.error) };
    default:
      return undefined;
  }
}

/** Application properties of a dead-lettered message: reason and description above all, and what else the error says. */
function deadLetterChanges(
  error: { condition: string; description?: string | undefined; info?: Map<string, AmqpValue> | undefined } | undefined,
): Map<string, AmqpValue> {
  if (error === undefined) return new Map();
  const changes = propertiesOf(error.info);
  const reason = textOf(changes.get('DeadLetterReason'));
  const description = textOf(changes.get('DeadLetterErrorDescription'));
  // A foreign error, as a router passes one on: its words are kept, since nothing else would tell why.
  const foreign = error.condition !== 'com.microsoft:dead-letter';
  const named = deadLetterProperties(
    reason ?? (foreign ? error.condition : ''),
    description ?? (foreign ? (error.description ?? '') : ''),
  );
  for (const [name, value] of named) {
    if (value !== '') changes.set(name, value);
    // Clients that give no reason write null.
    else if (changes.get(name) === null) changes.delete(name);
  }
  return changes;
}

/** Application properties hold simple values alone; of others only symbols have a simple form. */
function propertiesOf(map: ReadonlyMap<string | bigint, AmqpValue> | undefined): Map<string, AmqpValue> {
  const properties = new Map<string, AmqpValue>();
  for (const [key, value] of map ?? []) {
    const isCompound = Array.isArray(value) || value instanceof Map;
    if (typeof key === 'string' && !isCompound) properties.set(key, value instanceof AmqpSymbol ? value.value : value);
  }
  return properties;
}
