// SPDX-License-Identifier: Apache-2.0
import type { Refusal } from '../entity.js';
import type { EventHub } from './event-hub.js';
import type { EventPosition } from './event-partition.js';

/** A partition was asked for that the hub has not. */
export function partitionRefusal(hub: EventHub): Refusal {
  return {
    condition: 'com.microsoft:argument-out-of-range',
    description:
      'The specified partition is invalid for an EventHub partition sender or receiver. ' +
      `It should be between 0 and ${hub.partitions.length - 1}.\nParameter name: PartitionId`,
  };
}

/** A position behind the newest event: of a hub that was made anew, perhaps. */
export function positionRefusal(of: EventPosition['of'], given: string, last: number): Refusal {
  const what = of === 'offset' ? 'offset' : 'sequence number';
  return {
    condition: 'com.microsoft:argument-error',
    description: `The supplied ${what} '${given}' is invalid. The last ${what} in the system is '${last}'`,
  };
}
