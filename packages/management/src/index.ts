// SPDX-License-Identifier: Apache-2.0
export { ManagementError } from './agent/entity-table.js';
export type { EntityOperation, EntityTable, FailureStatus, ManagedEntity, Requester } from './agent/entity-table.js';
export { ManagementAgent } from './agent/management-agent.js';
export type { LogRow, ManagementAgentOptions } from './agent/management-agent.js';
export { dummyTable } from './agent/dummy-table.js';
export { decodeManagementRequest, decodeManagementResponse, encodeManagementRequest } from './agent/messages.js';
export type { ManagementCall, ManagementResponse } from './agent/messages.js';
export { amqpOf, jsonOf } from './agent/values.js';
export { TYPE_PREFIX } from './entity-type.js';
export type { AttributeType, EntityType, Operation, ValueKind } from './entity-type.js';
export { camelCase, editDistance, nearestName } from './names.js';
export { renderJsonSchema } from './json-schema.js';
export type { JsonSchema } from './json-schema.js';
export { renderManagementReference, renderReference } from './reference.js';
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
