// SPDX-License-Identifier: Apache-2.0
import { entryOf } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import type { EntityType } from '../entity-type.js';
import { entityTypes } from '../schema/entity-types.js';
import { columnAttribute, coreColumns, isCoreType } from './core-types.js';
import type { EntityDirectory, Holding } from './entity-directory.js';
import { ManagementError } from './entity-table.js';
import type { Requester } from './entity-table.js';
import type { ManagementRequest } from './messages.js';
import { isOf } from './schema-answers.js';
import { integerOf, shownList, textOf } from './values.js';

/** From so many names on, a request for attributes is one for all of them. */
const NAMES_MAX = 64;

/** The body of the answer to a QUERY. @throws ManagementError */
export function queryAnswer(
  directory: EntityDirectory,
  type: EntityType | undefined,
  { properties, body }: ManagementRequest,
  requester: Requester,
): AmqpValue {
  if (body !== null && !(body instanceof Map)) throw new ManagementError(400, 'Body of request must be a map');
  const core = type !== undefined && isCoreType(type);
  const own = core ? directory.of(type) : undefined;
  const holdings = core
    ? own === undefined
      ? []
      : [own]
    : directory.general.filter(({ table }) => type === undefined || isOf(table.type, type));
  const names = namesOf(body) ?? columnsOf(directory, type, holdings);
  refuseUnknown(directory, type, holdings, names);

  let offset = Math.max(0, pageArgument(properties, 'offset'));
  const count = pageArgument(properties, 'count');
  const limit = count <= 0 ? Number.MAX_SAFE_INTEGER : count;
  const results: AmqpValue[] = [];
  for (const holding of holdings) {
    for (const entity of holding.table.entities(requester)) {
      if (results.length >= limit) break;
      if (holding.core && offset > 0) {
        offset--;
        continue;
      }
      const row = names.map((name) => directory.value(holding, entity, name));
      if (!holding.core && row.every((value) => value === null)) continue;
      if (offset > 0) offset--;
      else results.push(row);
    }
  }
  return new Map<AmqpValue, AmqpValue>([
    ['attributeNames', [...names]],
    ['results', results],
  ]);
}

/** The names that the request asks for, or undefined where it asks for all. */
function namesOf(body: AmqpValue): string[] | undefined {
  const list = body instanceof Map ? entryOf(body, 'attributeNames') : undefined;
  if (!Array.isArray(list) || list.length === 0 || list.length >= NAMES_MAX) return undefined;
  const names = list.flatMap((item) => textOf(item) ?? []);
  return names.length === list.length ? names : undefined;
}

function columnsOf(
  directory: EntityDirectory,
  type: EntityType | undefined,
  holdings: readonly Holding[],
): readonly string[] {
  const [only] = holdings;
  if (only?.core === true) return directory.columns(only);
  if (type !== undefined && isCoreType(type)) return coreColumns(type) ?? [];
  const types = holdings.length > 0 ? holdings.map(({ table }) => table.type) : type === undefined ? [] : [type];
  const common = ['name', 'identity', 'type'];
  const names = new Set(types.flatMap(({ attributes }) => attributes.map(({ name }) => name)));
  return [...names].filter((name) => !common.includes(name)).concat(common);
}

function refuseUnknown(
  directory: EntityDirectory,
  type: EntityType | undefined,
  holdings: readonly Holding[],
  names: readonly string[],
): void {
  const types = type === undefined ? entityTypes : entityTypes.filter((candidate) => isOf(candidate, type));
  const known = new Set(types.flatMap(({ attributes }) => attributes.map(({ name }) => name)));
  for (const holding of holdings) for (const name of directory.columns(holding)) known.add(name);
  const isColumn = (name: string): boolean =>
    type !== undefined && (coreColumns(type)?.includes(name) === true || columnAttribute(type, name) !== undefined);
  const unknown = names.filter((name) => !known.has(name) && !isColumn(name));
  if (unknown.length === 0) return;
  const where = type === undefined ? '' : ` for type ${type.fullName}`;
  throw new ManagementError(404, `Unknown attributes ${shownList(unknown)}${where}.`);
}

function pageArgument(properties: ReadonlyMap<string, AmqpValue>, name: string): number {
  const value = entryOf(properties, name) ?? null;
  if (value === null) return 0;
  const number = integerOf(value);
  if (number === undefined) throw new ManagementError(400, `'${name}' must be a whole number`);
  return number;
}
