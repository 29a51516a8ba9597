// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import { attributeOf, convertValue, validateEntity } from '../validate.js';
import type { EntityValue } from '../validate.js';
import { entriesOf, problemText } from './create-request.js';
import type { EntityDirectory, Holding } from './entity-directory.js';
import { ManagementError } from './entity-table.js';
import type { ManagedEntity } from './entity-table.js';
import { jsonOf, shown } from './values.js';

/**
 * The changes that an UPDATE asks for. Naming an attribute with its present value is no change, and allowed.
 *
 * @returns undefined where nothing is to change
 * @throws ManagementError
 */
export function checkedUpdate(
  directory: EntityDirectory,
  holding: Holding,
  entity: ManagedEntity,
  body: AmqpValue,
): EntityValue | undefined {
  const { type } = holding.table;
  const isConnection = type.name === 'connection';
  const raw: (readonly [string, unknown])[] = [];
  for (const [written, value] of entriesOf(body)) {
    const attribute = attributeOf(type, written);
    if (holding.core) {
      // Clients send back the whole of what they have read, out of date by now.
      if (attribute?.update === true && value !== null) raw.push([attribute.name, jsonOf(value)]);
      continue;
    }
    if (attribute === undefined) {
      throw new ManagementError(400, `Unknown attribute '${shown(written)}' for '${type.fullName}'`);
    }
    const { name } = attribute;
    const present = jsonOf(directory.value(holding, entity, name));
    const given = jsonOf(value);
    if (given === null && present === null) continue;
    if (attribute.update) {
      if (given === null) throw new ManagementError(400, `${type.fullName}: '${name}' needs a value`);
      raw.push([written, given]);
      continue;
    }
    const converted = convertValue(attribute, given);
    const same = 'value' in converted && textOfValue(converted.value) === textOfValue(present);
    const sameType = name === 'type' && given === type.name;
    if (!same && !sameType) throw new ManagementError(400, `Cannot update attribute '${name}' in UPDATE`);
  }
  if (raw.length === 0) {
    if (isConnection) throw new ManagementError(400, 'Bad Request');
    return undefined;
  }
  const { value, problems } = validateEntity(type, raw, 'update');
  const problem = problems.find(({ severity }) => severity === 'error');
  if (problem === undefined) return value;
  throw new ManagementError(400, isConnection ? 'Bad Request' : problemText(type, problem, 'UPDATE'));
}

function textOfValue(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? String(item) : item));
}
