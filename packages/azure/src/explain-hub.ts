// SPDX-License-Identifier: Apache-2.0
import { classify } from './conditions.js';
import { isHubPartition } from './hub-positions.js';

/** What there is to explain, as far as it matters here. */
export interface HubFailure {
  readonly externalAddress: string;
  readonly address: string;
  readonly condition?: string;
  readonly description?: string;
}

/**
 * What it means that a partition of an event hub cannot be read, and what to do. Undefined where the address is none of a
 * partition, or there is nothing to say that does not hold for queues.
 *
 * @param entity - the address, as it is shown
 */
export function hubCause(
  { externalAddress, condition, description = '' }: HubFailure,
  entity: string,
): string | undefined {
  if (!isHubPartition(externalAddress)) return undefined;
  if (condition === 'com.microsoft:argument-out-of-range')
    return `The event hub has no partition of that number: check externalAddress ${entity}. Partitions are numbered from 0 on.`;
  if (condition === 'com.microsoft:argument-error' && /supplied (offset|sequence number)/u.test(description))
    return (
      `The position to read ${entity} from is behind the newest event: the event hub was made anew, or the position is of another one. ` +
      "Stop the router and take its line out of event-hub-positions.json in the router's stateDir, or give the autolink another filter: " +
      'it then begins where the filter says.'
    );
  switch (classify(condition, description)) {
    case 'missing':
      return `There is no event hub or consumer group for ${entity}. Check externalAddress; it is written as HUB/ConsumerGroups/GROUP/Partitions/NUMBER.`;
    case 'stolen':
      return (
        `Another reader owns ${entity}: a client with an owner level (epoch) reads this partition in this consumer group, and lets no ` +
        'other in. Give the autolink a consumer group of its own.'
      );
    case 'quota':
      return `${entity} has as many readers as a consumer group may have at one partition, which is five. Give the autolink a consumer group of its own.`;
    default:
      return undefined;
  }
}
