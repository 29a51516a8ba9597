// SPDX-License-Identifier: Apache-2.0
import type { EntityTable, ManagedEntity } from '@pointsman/management';
import { long } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { memoryUsage } from 'node:process';
import { getHeapSpaceStatistics } from 'node:v8';
import { typeNamed } from './configured-tables.js';

/** The entities that tell of the process: allocator, console. */
export function processTables(): EntityTable[] {
  return [
    { type: typeNamed('allocator'), entities: allocators },
    { type: typeNamed('console'), entities: () => [] },
  ];
}

/**
 * Where the memory of this process is. There are no pools of objects here: each row is one store, its objects are bytes, and
 * those that are in use are the ones held. What has no counterpart has no value.
 */
function allocators(): ManagedEntity[] {
  const { external, arrayBuffers } = memoryUsage();
  return [
    ...getHeapSpaceStatistics().map(({ space_name, space_size, space_used_size }) =>
      allocator(`heap_${space_name}`, space_size, space_used_size),
    ),
    allocator('external', external, external),
    allocator('array_buffers', arrayBuffers, arrayBuffers),
    ...handles(),
  ];
}

/** Open sockets, timers and the like, by kind: these are counted, and have no size that is known. */
function handles(): ManagedEntity[] {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, count]) => allocator(`handle_${kind}`, count, count, null));
}

function allocator(typeName: string, allocated: number, held: number, size: number | null = 1): ManagedEntity {
  const values: Readonly<Record<string, AmqpValue>> = {
    typeName,
    typeSize: size,
    totalAllocFromHeap: long(allocated),
    heldByThreads: long(held),
  };
  const identity = `allocator/${typeName}`;
  return { identity, name: identity, attribute: (name) => values[name] ?? null };
}
