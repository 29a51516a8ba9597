// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import type { EntityType } from '../entity-type.js';
import { attributeOf, validateEntity } from '../validate.js';
import type { AttributeProblem, ValidatedEntity } from '../validate.js';
import { columnAttribute, creationFault, isCoreType } from './core-types.js';
import { ManagementError } from './entity-table.js';
import { jsonOf, shown, textOf } from './values.js';

/** The entries of a request's body by their names. @throws ManagementError where it is no map with text for keys */
export function entriesOf(body: AmqpValue): [name: string, value: AmqpValue][] {
  if (!(body instanceof Map)) throw new ManagementError(400, 'Body of request must be a map');
  return [...body].map(([key, value]) => {
    const name = textOf(key);
    if (name === undefined) throw new ManagementError(400, 'Names of attributes must be text');
    return [name, value];
  });
}

/**
 * Checks the attributes that a CREATE gives.
 *
 * @param entries - all but `type` and `name`
 * @throws ManagementError
 */
export function checkedCreation(
  type: EntityType,
  entries: readonly (readonly [string, AmqpValue])[],
  name: string | undefined,
): ValidatedEntity {
  let raw = entries.map(([key, value]) => [key, jsonOf(value)] as const);
  if (isCoreType(type)) {
    raw = raw.flatMap(([key, value]) => {
      const attribute = attributeOf(type, columnAttribute(type, key) ?? key);
      if (attribute === undefined || !attribute.create || value === null) return [];
      return [[attribute.deprecatedName === key ? key : attribute.name, value] as const];
    });
    const values = new Map(raw.map(([key, value]) => [attributeOf(type, key)!.name, value]));
    const fault = creationFault(type, values, name);
    if (fault !== undefined) throw new ManagementError(400, fault);
  }
  if (name !== undefined) raw.push(['name', name]);
  const validated = validateEntity(type, raw, 'create');
  const problem = validated.problems.find(({ severity }) => severity === 'error');
  if (problem !== undefined) throw new ManagementError(400, problemText(type, problem, 'CREATE'));
  return validated;
}

/** What of the attributes that were given is on its way out, in the words that clients and logs know. */
export function deprecationTexts(type: EntityType, { problems }: ValidatedEntity): string[] {
  return problems.flatMap(({ severity, code, attribute: name }) => {
    if (severity !== 'warning' || code !== 'deprecated') return [];
    const old = attributeOf(type, name)?.deprecatedName;
    const what = `of entity '${type.section ?? type.name}' has been deprecated.`;
    return old === undefined ? `Attribute '${name}' ${what}` : `Attribute '${old}' ${what} Use '${name}' instead`;
  });
}

/** What is wrong with an attribute, in the words that clients know. */
export function problemText(type: EntityType, problem: AttributeProblem, operation: string): string {
  const { attribute: name, found } = problem;
  switch (problem.code) {
    case 'unknown-attribute':
      return `Unknown attribute '${name}' for '${type.fullName}'`;
    case 'not-settable':
      return operation === 'UPDATE'
        ? `Cannot update attribute '${name}' in UPDATE`
        : `Cannot set attribute '${name}' in ${operation}`;
    case 'missing-attribute':
      return `${type.fullName}: Missing required attribute '${name}'`;
    case 'old-and-new-name': {
      const old = attributeOf(type, name)?.deprecatedName ?? name;
      return `${type.fullName}: Both '${old}' and '${name}' cannot be specified for entity '${type.section ?? type.name}'`;
    }
    default:
      return `${type.fullName}: ${valueText(type, name, found) ?? problem.message}`;
  }
}

function valueText(type: EntityType, name: string, found: string | undefined): string | undefined {
  const attribute = attributeOf(type, name);
  if (attribute === undefined || found === undefined) return undefined;
  switch (attribute.type) {
    case 'boolean':
      return `Invalid Boolean value ''${shown(found)}''`;
    case 'enum':
      return `Invalid value for enum[${(attribute.values ?? []).join(', ')}]: '${shown(found)}'`;
    case 'integer':
      return /^\s*[+-]?\d+\s*$/u.test(found) ? undefined : `invalid literal for int() with base 10: '${shown(found)}'`;
    case 'properties':
      return found === 'a map' ? 'Property keys must be ASCII encoded' : 'Properties must be a map';
    default:
      return undefined;
  }
}
