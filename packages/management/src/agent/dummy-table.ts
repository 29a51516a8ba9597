// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import { dummy } from '../schema/dummy.js';
import type { AttributeValue, EntityValue } from '../validate.js';
import { ManagementError } from './entity-table.js';
import type { EntityTable, ManagedEntity } from './entity-table.js';
import { amqpOf } from './values.js';

/** So many can be created: they are there to try management with, not to fill the memory. */
const DUMMIES_MAX = 1_000;

class Dummy implements ManagedEntity {
  readonly identity: string;
  readonly name: string;
  readonly values: Map<string, AttributeValue>;

  constructor(identity: string, values: EntityValue) {
    this.identity = identity;
    this.name = typeof values['name'] === 'string' ? values['name'] : identity;
    this.values = new Map(Object.entries(values));
  }

  attribute(name: string): AmqpValue {
    return amqpOf(this.values.get(name));
  }
}

/** The table of the type `dummy`, whose entities have no effect. Its operation CALLME answers with what it was given. */
export function dummyTable(): EntityTable {
  const dummies = new Map<string, Dummy>();
  let last = 0;
  return {
    type: dummy,
    entities: () => dummies.values(),
    find: (identity) => dummies.get(identity),
    create(attributes) {
      if (dummies.size >= DUMMIES_MAX) throw new ManagementError(400, `No more than ${DUMMIES_MAX} dummies`);
      const entity = new Dummy(`dummy/${last++}`, attributes);
      dummies.set(entity.identity, entity);
      return entity;
    },
    update(entity, attributes) {
      const { values } = dummies.get(entity.identity)!;
      for (const [name, value] of Object.entries(attributes)) values.set(name, value);
    },
    delete(entity) {
      dummies.delete(entity.identity);
    },
    operations: { CALLME: (_entity, { properties }) => new Map(properties) },
  };
}
