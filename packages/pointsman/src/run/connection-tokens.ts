// SPDX-License-Identifier: Apache-2.0
import { CbsClient } from '@pointsman/azure';
import type { CbsEvent } from '@pointsman/azure';
import type { Connection } from '@pointsman/engine';
import type { Logger } from '../log.js';
import type { Destination } from './destination.js';
import type { Surroundings } from './surroundings.js';

export interface ConnectionTokensOptions {
  readonly connector: string;
  readonly to: Destination;
  readonly connection: Connection;
  /** Name of the router, and number of the connection. */
  readonly routerId: string;
  readonly id: number;
  readonly log: Logger;
  readonly surroundings: Surroundings;
}

/**
 * The service closes a connection without a token after 20 seconds, and one without links after five minutes. Links that want a
 * token mostly come at once; a connection that serves link routes alone may wait for its first client for days.
 */
const KEEP_ALIVE = { firstMs: 5_000, everyMs: 240_000 };

/** The tokens of one connection to Service Bus, or undefined where SASL has said who we are. Closed with its connection. */
export function connectionTokens(options: ConnectionTokensOptions): CbsClient | undefined {
  const { connector, to, connection, routerId, id, log, surroundings } = options;
  const { tokens } = to;
  if (tokens === undefined || connection.saslMechanism === 'PLAIN') return undefined;
  const root = `sb://${to.hostname}/${to.entityPath ?? ''}`;
  return new CbsClient({
    connection,
    host: to.hostname,
    provider: tokens,
    ...surroundings,
    name: `${routerId}-cbs-${id}`,
    keepAlive: { path: to.entityPath ?? '', ...KEEP_ALIVE },
    onEvent: (event) => {
      const { level, text } = lineOf(event, tokens.name, event.audience === root);
      log.log('SERVER', level, `[C${id}] ${text} (connector ${connector})`);
    },
  });
}

function lineOf(
  event: CbsEvent,
  provider: string,
  isRoot: boolean,
): { readonly level: 'debug' | 'info' | 'warning'; readonly text: string } {
  const { type, audience, expiresAtMs } = event;
  const ends = expiresAtMs === undefined ? '' : dateText(expiresAtMs);
  switch (type) {
    case 'put':
      return { level: 'info', text: `Token for ${audience} from ${provider} accepted, valid until ${ends}` };
    case 'renewed':
      return { level: isRoot ? 'debug' : 'info', text: `Token for ${audience} renewed, valid until ${ends}` };
    case 'ends':
      return {
        level: 'warning',
        text: `Token for ${audience} cannot be renewed: links end with it at ${ends}. Give a new one in time`,
      };
    case 'not-renewed':
      return {
        level: 'warning',
        text: `Token for ${audience} not renewed, tried again while the old one lasts (until ${ends}): ${event.reason}`,
      };
    case 'refused':
      // Nobody asked for that one: it only keeps the connection, and a key of one entity has no right to it.
      return {
        level: isRoot && event.status !== undefined ? 'info' : 'warning',
        text: `No token for ${audience}: ${event.reason}`,
      };
  }
}

function dateText(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), 8.64e15)).toISOString();
}
