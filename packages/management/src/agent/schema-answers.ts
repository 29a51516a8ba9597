// SPDX-License-Identifier: Apache-2.0
import type { AttributeType, EntityType } from '../entity-type.js';
import { TYPE_PREFIX } from '../entity-type.js';
import { entityTypeOf, entityTypes } from '../schema/entity-types.js';
import type { AttributeValue } from '../validate.js';

type Answer = Readonly<Record<string, AttributeValue>>;

/** Whether a type is that type, or extends it. */
export function isOf(type: EntityType, base: EntityType): boolean {
  return type === base || type.bases.includes(base.name);
}

/** Answer to GET-TYPES: full names of types, with the full names of what they extend, nearest first. */
export function typesAnswer(only: EntityType | undefined): Answer {
  const types = entityTypes.filter((type) => only === undefined || isOf(type, only));
  return Object.fromEntries(
    types.map((type) => [type.fullName, type.bases.map((base) => entityTypeOf(base)?.fullName ?? base)]),
  );
}

/** Answer to GET-ATTRIBUTES. */
export function attributesAnswer(only: EntityType | undefined): Answer {
  const types = only === undefined ? entityTypes : [only];
  return Object.fromEntries(types.map((type) => [type.fullName, type.attributes.map(({ name }) => name)]));
}

/** Answer to GET-OPERATIONS. */
export function operationsAnswer(only: EntityType | undefined): Answer {
  const types = only === undefined ? entityTypes : [only];
  return Object.fromEntries(types.map((type) => [type.fullName, type.operations]));
}

/** Answer to GET-SCHEMA: everything that is not false, zero or empty. */
export function schemaAnswer(): Answer {
  return {
    prefix: TYPE_PREFIX,
    entityTypes: Object.fromEntries(entityTypes.map((type) => [type.section ?? type.name, typeAnswer(type)])),
  };
}

function typeAnswer(type: EntityType): Answer {
  const attributes = type.attributes.filter(({ name }) => name !== 'type');
  return telling({
    attributes: Object.fromEntries(attributes.map((attribute) => [attribute.name, attributeAnswer(attribute)])),
    operations: type.operations,
    description: type.doc,
    fullyQualifiedType: type.fullName,
    deprecated: type.deprecated,
    singleton: type.singleton,
  });
}

function attributeAnswer(attribute: AttributeType): Answer {
  return telling({
    type: attribute.type === 'enum' ? (attribute.values ?? []) : attribute.type,
    default: attribute.default ?? null,
    required: attribute.required,
    unique: attribute.unique,
    deprecated: attribute.deprecated !== undefined,
    description: attribute.doc,
    graph: attribute.graph,
  });
}

function telling(fields: Answer): Answer {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => Boolean(value) && !(Array.isArray(value) && value.length === 0)),
  );
}
