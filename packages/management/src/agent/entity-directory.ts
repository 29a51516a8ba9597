// SPDX-License-Identifier: Apache-2.0
import { plainOf } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import type { EntityType } from '../entity-type.js';
import { columnAttribute, columnValue, coreColumns, isCoreType } from './core-types.js';
import { ManagementError } from './entity-table.js';
import type { EntityTable, ManagedEntity, Requester } from './entity-table.js';
import { isOf } from './schema-answers.js';
import { shown } from './values.js';

/** A table, and the manner in which its entities are shown. */
export interface Holding {
  readonly table: EntityTable;
  /** Its entities are found by naming their type only; they have all columns, be their values null or not. */
  readonly core: boolean;
}

interface Located {
  readonly holding: Holding;
  readonly entity: ManagedEntity;
}

/** All entity tables of a router, and how entities are found in them and shown. */
export class EntityDirectory {
  readonly #byType = new Map<string, Holding>();
  /** Those that are searched where no type is named. */
  readonly general: readonly Holding[];

  /** @throws Error where two tables are of one type */
  constructor(tables: readonly EntityTable[]) {
    const general: Holding[] = [];
    for (const table of tables) {
      const { name } = table.type;
      if (this.#byType.has(name)) throw new Error(`two entity tables of the type ${name}: give one`);
      const holding = { table, core: isCoreType(table.type) };
      this.#byType.set(name, holding);
      if (!holding.core) general.push(holding);
      if (name === 'router') general.push({ table: generalRouterTable(table), core: false });
    }
    this.general = general;
  }

  of(type: EntityType): Holding | undefined {
    return this.#byType.get(type.name);
  }

  /** The value of an attribute, or of a column, as an answer may show it: nothing secret. */
  value({ table, core }: Holding, entity: ManagedEntity, name: string): AmqpValue {
    switch (name) {
      case 'name':
        return entity.name;
      case 'identity':
        return entity.identity;
      case 'type':
        return table.type.fullName;
    }
    const attribute = table.type.attributes.find((candidate) => candidate.name === name);
    if (attribute?.secret === true) return null;
    const value = entity.attribute(name) ?? null;
    if (value !== null || attribute !== undefined) return core ? columnValue(table.type, name, value) : value;
    const shownName = columnAttribute(table.type, name);
    return shownName === undefined ? null : this.value({ table, core }, entity, shownName);
  }

  columns({ table, core }: Holding): readonly string[] {
    const own = table.columns ?? (core ? coreColumns(table.type) : undefined);
    return own ?? table.type.attributes.map(({ name }) => name);
  }

  /** An entity as a map, for the body of an answer. */
  record(holding: Holding, entity: ManagedEntity): Map<AmqpValue, AmqpValue> {
    const record = new Map<AmqpValue, AmqpValue>();
    for (const name of this.columns(holding)) {
      const value = this.value(holding, entity, name);
      if (value !== null || holding.core) record.set(name, value);
    }
    return record;
  }

  /** @throws ManagementError where another entity has that name */
  refuseDuplicate(holding: Holding, name: string, requester: Requester): void {
    if (holding.core) {
      for (const entity of holding.table.entities(requester)) {
        if (entity.name === name) throw new ManagementError(400, 'Name conflicts with an existing entity');
      }
      return;
    }
    const [existing] = this.#named(name, requester);
    if (existing === undefined) return;
    const { type } = holding.table;
    const other = existing.holding.table.type;
    throw new ManagementError(
      400,
      `adding {'type': '${type.fullName}', 'name': '${shown(name)}'} duplicates unique attribute 'name' from existing ` +
        `{'type': '${other.fullName}', 'name': '${shown(name)}', 'identity': '${shown(existing.entity.identity)}'}`,
    );
  }

  /** The entity that a request is about. @throws ManagementError */
  located(
    operation: string,
    target: { type: EntityType | undefined; name: string | undefined; identity: string | undefined },
    requester: Requester,
  ): Located {
    const { type } = target;
    if (type !== undefined && isCoreType(type)) return this.#locatedInCore(operation, { ...target, type }, requester);
    let { name } = target;
    const { identity } = target;
    if (name === undefined && identity === undefined) {
      if (type !== undefined && !['management', 'org.amqp.management'].includes(type.name)) {
        throw new ManagementError(400, `${type.fullName}: No name or identity provided`);
      }
      name = 'self';
    }
    const found = identity === undefined ? this.#named(name!, requester) : this.#identified(identity, requester);
    const suitable = type === undefined ? found : found.filter(({ holding }) => isOf(holding.table.type, type));
    const [first, second] = suitable.length > 0 ? suitable : found;
    if (first === undefined) {
      const by = identity === undefined ? `name=${shown(name!)}` : `identity=${shown(identity)}`;
      throw new ManagementError(404, `No entity with ${by}`);
    }
    if (suitable.length === 0) {
      const { fullName } = first.holding.table.type;
      throw new ManagementError(400, `Entity type '${fullName}' does not extend requested type '${type!.fullName}'`);
    }
    if (second !== undefined && identity === undefined) {
      throw new ManagementError(500, `Duplicate (${suitable.length}) entities with name=${shown(name!)}`);
    }
    if (name !== undefined && first.entity.name !== name) {
      throw new ManagementError(400, `Conflicting name=${shown(name)} identity=${shown(identity!)}`);
    }
    return first;
  }

  #locatedInCore(
    operation: string,
    target: { type: EntityType; name: string | undefined; identity: string | undefined },
    requester: Requester,
  ): Located {
    const { type, name, identity } = target;
    if (name === undefined && identity === undefined) throw new ManagementError(400, 'No name or identity provided');
    if (type.name === 'connection' && identity === undefined) {
      throw new ManagementError(400, 'Name not supported. Identity required');
    }
    const holding = this.of(type);
    const entity =
      holding === undefined
        ? undefined
        : identity === undefined
          ? [...holding.table.entities(requester)].find((candidate) => candidate.name === name)
          : entityOf(holding.table, identity, requester);
    if (holding !== undefined && entity !== undefined) return { holding, entity };
    if (type.name === 'connection' && operation === 'UPDATE') throw new ManagementError(400, 'Bad Request');
    throw new ManagementError(404, 'Not Found');
  }

  #identified(identity: string, requester: Requester): Located[] {
    return this.general.flatMap((holding) => {
      const entity = entityOf(holding.table, identity, requester);
      return entity === undefined ? [] : [{ holding, entity }];
    });
  }

  #named(name: string, requester: Requester): Located[] {
    return this.general.flatMap((holding) =>
      [...holding.table.entities(requester)]
        .filter((entity) => entity.name === name)
        .map((entity) => ({ holding, entity })),
    );
  }
}

function entityOf(table: EntityTable, identity: string, requester: Requester): ManagedEntity | undefined {
  if (table.find !== undefined) return table.find(identity, requester);
  for (const entity of table.entities(requester)) if (entity.identity === identity) return entity;
  return undefined;
}

/**
 * The router as it is shown among all entities: under another identity and without its counters, as clients know it.
 * They count it and the links, addresses and connections of such an answer, of which there are none either.
 */
function generalRouterTable(table: EntityTable): EntityTable {
  const counters = new Set(table.type.attributes.flatMap(({ name, graph }) => (graph ? name : [])));
  return {
    type: table.type,
    *entities(requester) {
      for (const entity of table.entities(requester)) {
        const identity = `router/${plainOf(entity.attribute('id')) ?? entity.name ?? entity.identity}`;
        const attribute = (name: string): AmqpValue => (counters.has(name) ? 0 : entity.attribute(name));
        yield { identity, name: identity, attribute };
      }
    },
  };
}
