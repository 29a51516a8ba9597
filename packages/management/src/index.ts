// SPDX-License-Identifier: Apache-2.0
export { ManagementError } from './agent/entity-table.js';
export type { EntityOperation, EntityTable, FailureStatus, ManagedEntity, Requester } from './agent/entity-table.js';
export { TYPE_PREFIX } from './entity-type.js';
export type { AttributeType, EntityType, Operation, ValueKind } from './entity-type.js';
export { camelCase, editDistance, nearestName } from './names.js';
export { renderReference } from './reference.js';
export { entityTypeOf, entityTypes } from './schema/entity-types.js';
export { allowedText, attributeOf, configurableAttributes, convertValue, validateEntity } from './validate.js';
export type {
  AttributeProblem,
  AttributeValue,
  EntityValue,
  ProblemCode,
  Purpose,
  RawAttributes,
  ValidatedEntity,
} from './validate.js';
