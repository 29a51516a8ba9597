// SPDX-License-Identifier: Apache-2.0
import { ManagementError, entityTypeOf } from '@pointsman/management';
import type { EntityType, ManagedEntity } from '@pointsman/management';
import type { AmqpValue } from '@pointsman/wire';

/** How each attribute of a type is read from what it shows. */
export type Attributes<T> = Readonly<Record<string, (subject: T) => AmqpValue>>;

/** An entity that shows something of the router, read when it is asked for. */
export class View<T> implements ManagedEntity {
  readonly identity: string;
  readonly name: string | null;
  readonly subject: T;
  readonly #attributes: Attributes<T>;

  constructor(identity: string | number, name: string | null, subject: T, attributes: Attributes<T>) {
    this.identity = String(identity);
    this.name = name;
    this.subject = subject;
    this.#attributes = attributes;
  }

  attribute(name: string): AmqpValue {
    return Object.hasOwn(this.#attributes, name) ? this.#attributes[name]!(this.subject) : null;
  }
}

/** A type of the schema. @throws Error where the schema does not have it: a defect of ours */
export function typeNamed(name: string): EntityType {
  const type = entityTypeOf(name);
  if (type === undefined) throw new Error(`the schema has no type ${name}`);
  return type;
}

/** What an entity shows, as the table that made it knows it. */
export function subjectOf(entity: ManagedEntity): unknown {
  if (!(entity instanceof View)) throw new ManagementError(500, 'The entity is of another table');
  return entity.subject;
}

export function forbidden(): never {
  throw new ManagementError(403, 'You are not allowed to perform this operation.');
}
