// SPDX-License-Identifier: Apache-2.0
import { entityType, gauge, OPERATIONAL, reported } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// prettier-ignore
export const allocator: EntityType = entityType('allocator', {
  doc: 'What one kind of object holds of the memory.',
  section: undefined,
  bases: OPERATIONAL,
  operations: ['READ'],
}, [
  reported('typeName', 'string', 'Kind of the objects.'),
  reported('typeSize', 'integer', 'Size of one of them, in bytes.'),
  reported('transferBatchSize', 'integer', 'Objects that are handed over at a time.'),
  gauge('localFreeListMax', 'Most free objects that a thread keeps.'),
  gauge('globalFreeListMax', 'Most free objects that are kept for all threads.'),
  gauge('totalAllocFromHeap', 'Objects taken from the heap.'),
  gauge('totalFreeToHeap', 'Objects given back to the heap.'),
  gauge('heldByThreads', 'Objects in use.'),
  gauge('batchesRebalancedToThreads', 'Times that free objects were handed to a thread.'),
  gauge('batchesRebalancedToGlobal', 'Times that a thread handed free objects back.'),
]);
