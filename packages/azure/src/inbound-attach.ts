// SPDX-License-Identifier: Apache-2.0
import { Described, entryOf, plainOf, symbol, uint, ulong } from '@pointsman/wire';
import type { AmqpValue, Attach } from '@pointsman/wire';
import { msOfTicks } from './session-keeper.js';

/** What is wanted of an entity, besides its messages. */
export interface InboundWish {
  /** Id of a message session. */
  readonly sessionId?: string | undefined;
  /** The next message session that is free. */
  readonly nextSession?: boolean | undefined;
  /** A selector; of use at Event Hubs. */
  readonly filter?: string | undefined;
}

const SESSION_FILTER = 'com.microsoft:session-filter';
const SELECTOR_FILTER = 'apache.org:selector-filter:string';
const SELECTOR_CODE = 0x468c_0000_0004n;
/** Time that the service may wait for a session with messages: an attach without an answer holds nobody up. */
const NEXT_SESSION_MS = 60_000;

/** The filters and properties of an attach that say so. */
export function inboundAttach(wish: InboundWish): {
  readonly filter?: Map<AmqpValue, AmqpValue>;
  readonly properties?: Map<string, AmqpValue>;
} {
  const { sessionId, nextSession, filter } = wish;
  const filters = new Map<AmqpValue, AmqpValue>();
  if (sessionId !== undefined || nextSession === true) filters.set(symbol(SESSION_FILTER), sessionId ?? null);
  if (filter !== undefined) filters.set(symbol(SELECTOR_FILTER), new Described(ulong(SELECTOR_CODE), filter));
  return {
    ...(filters.size === 0 ? {} : { filter: filters }),
    ...(nextSession === true ? { properties: new Map([['com.microsoft:timeout', uint(NEXT_SESSION_MS)]]) } : {}),
  };
}

/** The message session that an attach of the service is for, and when its lock ends in ms since 1970. */
export function sessionOf(
  attach: Attach | undefined,
): { readonly id: string; readonly lockedUntilMs: number | undefined } | undefined {
  const source = attach?.source;
  const told = source !== undefined && 'type' in source ? entryOf(source.filter, SESSION_FILTER) : undefined;
  // Described, where the client asked for it so.
  const id = plainOf(told instanceof Described ? told.value : told);
  if (typeof id !== 'string') return undefined;
  const ticks = plainOf(attach?.properties?.get('com.microsoft:locked-until-utc'));
  return { id, lockedUntilMs: typeof ticks === 'bigint' || typeof ticks === 'number' ? msOfTicks(ticks) : undefined };
}
