// SPDX-License-Identifier: Apache-2.0
import { AmqpSymbol, Described, long, symbol, Typed, type AmqpValue } from '@pointsman/wire';
import type { SqlValue } from './sql-syntax.js';

/** Kinds of values that clients for .NET describe, since AMQP does not have them. */
const TIMESPAN = 'com.microsoft:timespan';
const DATE_TIME_OFFSET = 'com.microsoft:datetime-offset';
const URI = 'com.microsoft:uri';

const TICKS_PER_MS = 10_000n;
/** From the year 1, where .NET begins to count, to 1970. */
const TICKS_TO_1970 = 621_355_968_000_000_000n;

/** A span of time as clients for .NET send it. */
export function timespan(ms: number): AmqpValue {
  return new Described(symbol(TIMESPAN), long(BigInt(Math.round(ms)) * TICKS_PER_MS));
}

/** Ms of a span of time, undefined for what is none. */
export function msOfTimespan(value: AmqpValue): number | undefined {
  const ms = value instanceof Described && nameOf(value) === TIMESPAN ? sqlValueOfDescribed(value) : undefined;
  return typeof ms === 'bigint' ? Number(ms) : undefined;
}

/** As an expression sees it: ms of a span, ms since 1970 of a time as of other dates, the text of a URI; else undefined. */
export function sqlValueOfDescribed(described: Described): SqlValue {
  const plain = described.value instanceof Typed ? described.value.value : described.value;
  const name = nameOf(described);
  if (name === URI) return typeof plain === 'string' ? plain : undefined;
  if ((name !== TIMESPAN && name !== DATE_TIME_OFFSET) || (typeof plain !== 'bigint' && typeof plain !== 'number'))
    return undefined;
  const ticks = BigInt(plain);
  return (name === TIMESPAN ? ticks : ticks - TICKS_TO_1970) / TICKS_PER_MS;
}

function nameOf({ descriptor }: Described): string | undefined {
  return descriptor instanceof AmqpSymbol ? descriptor.value : undefined;
}
