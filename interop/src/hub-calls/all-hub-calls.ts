// SPDX-License-Identifier: Apache-2.0
import { CONSUMER_CALLS } from './consumer-calls.js';
import type { HubRow } from './hub-scene.js';
import { IDEMPOTENT_CALLS, PRODUCER_CALLS } from './producer-calls.js';

/** Every call of the official client of Event Hubs, in the order of the table. */
export const HUB_CALLS: readonly HubRow[] = [...PRODUCER_CALLS, ...IDEMPOTENT_CALLS, ...CONSUMER_CALLS];

/** The table of docs/namespace.md, a line a row. */
export function hubCallTable(): string {
  const lines = HUB_CALLS.map(({ of, call, what, routedIf }) => {
    const routed = routedIf === undefined ? 'yes' : `yes, ${routedIf}`;
    return `| \`${of}\` | \`${call}\` | ${what} | yes | ${routed} |`;
  });
  return ['| of | call | | directly | through the router |', '| --- | --- | --- | --- | --- |', ...lines].join('\n');
}
