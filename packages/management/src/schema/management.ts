// SPDX-License-Identifier: Apache-2.0
import { entityType, OPERATIONAL } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// The types that others extend, and the node that answers requests.

export const entity: EntityType = entityType(
  'entity',
  { doc: 'What all entities have in common.', section: undefined, bases: [], abstract: true, operations: [] },
  [],
);

export const configurationEntity: EntityType = entityType(
  'configurationEntity',
  {
    doc: 'What is configured, in a file or by requests.',
    section: undefined,
    bases: ['entity'],
    abstract: true,
    operations: ['READ'],
  },
  [],
);

export const operationalEntity: EntityType = entityType(
  'operationalEntity',
  {
    doc: 'What the router makes by itself as it works.',
    section: undefined,
    bases: ['entity'],
    abstract: true,
    operations: ['READ'],
  },
  [],
);

export const standardManagement: EntityType = entityType(
  'org.amqp.management',
  {
    doc: 'A management node with the operations of the AMQP management standard.',
    section: undefined,
    bases: OPERATIONAL,
    abstract: true,
    operations: ['QUERY', 'GET-TYPES', 'GET-ANNOTATIONS', 'GET-OPERATIONS', 'GET-ATTRIBUTES', 'GET-MGMT-NODES', 'READ'],
  },
  [],
);

export const management: EntityType = entityType(
  'management',
  {
    doc: 'The management node of the router, which answers these requests.',
    section: undefined,
    bases: ['org.amqp.management', ...OPERATIONAL],
    singleton: true,
    operations: ['GET-SCHEMA', 'GET-JSON-SCHEMA', 'GET-LOG', 'PROFILE', ...standardManagement.operations],
  },
  [],
);
