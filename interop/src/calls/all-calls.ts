// SPDX-License-Identifier: Apache-2.0
import type { CallRow } from './call-row.js';
import { CLIENT_CALLS } from './client-calls.js';
import { CREDENTIAL_CALLS } from './credential-calls.js';
import { RECEIVER_CALLS } from './receiver-calls.js';
import { RULE_CALLS } from './rule-calls.js';
import { SENDER_CALLS } from './sender-calls.js';
import { SESSION_CALLS } from './session-calls.js';

/** Every call of the official client, in the order of the table. */
export const CALLS: readonly CallRow[] = [
  ...CREDENTIAL_CALLS,
  ...CLIENT_CALLS,
  ...SENDER_CALLS,
  ...RECEIVER_CALLS,
  ...SESSION_CALLS,
  ...RULE_CALLS,
];

/** The table of docs/namespace.md, a line a row. */
export function callTable(): string {
  const lines = CALLS.map(({ of, call, what, missing, missingRouted }) => {
    const direct = stateOf(missing);
    return `| \`${of}\` | \`${call}\` | ${what} | ${direct} | ${stateOf(missing ?? missingRouted)} |`;
  });
  return ['| of | call | | directly | through the router |', '| --- | --- | --- | --- | --- |', ...lines].join('\n');
}

function stateOf(missing: string | undefined): string {
  return missing === undefined ? 'yes' : `no: ${missing}`;
}
