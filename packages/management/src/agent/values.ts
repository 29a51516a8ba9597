// SPDX-License-Identifier: Apache-2.0
import { AmqpArray, AmqpSymbol, Described, Typed } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import type { AttributeValue } from '../validate.js';

/**
 * The value as JSON has it: symbols as text, numbers without their width, maps with text keys as objects.
 *
 * Integers beyond 2^53 become bigints. Bytes, and whatever else JSON lacks, stay as they are.
 */
export function jsonOf(value: AmqpValue): unknown {
  if (value instanceof AmqpSymbol) return value.value;
  if (value instanceof Typed) return typeof value.value === 'bigint' ? numberOf(value.value) : value.toJSON();
  if (typeof value === 'bigint') return numberOf(value);
  if (Array.isArray(value)) return value.map(jsonOf);
  if (value instanceof AmqpArray) return value.values.map(jsonOf);
  if (value instanceof Described) return jsonOf(value.value);
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [String(jsonOf(k)), jsonOf(v)]));
  return value;
}

function numberOf(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** A configured value for an answer: numbers as int, long or double, whichever holds them. */
export function amqpOf(value: AttributeValue | undefined): AmqpValue {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object') return value;
  if (Array.isArray(value)) return (value as readonly AttributeValue[]).map((item) => amqpOf(item));
  return new Map(Object.entries(value).map(([key, item]) => [key, amqpOf(item)]));
}

/** The text of a string or symbol; undefined for all else, and for an empty one. */
export function textOf(value: AmqpValue | undefined): string | undefined {
  const text = value instanceof AmqpSymbol ? value.value : value;
  return typeof text === 'string' && text !== '' ? text : undefined;
}

/** The whole number that an integer or decimal text gives, within 53 bits; undefined for all else. */
export function integerOf(value: AmqpValue): number | undefined {
  let plain = value instanceof Typed ? value.value : value;
  if (plain instanceof AmqpSymbol) plain = plain.value;
  if (typeof plain === 'string' && /^\s*[+-]?\d{1,19}\s*$/u.test(plain))
    plain = BigInt(plain.trim().replace(/^\+/u, ''));
  if (typeof plain === 'bigint') {
    const bound = BigInt(Number.MAX_SAFE_INTEGER);
    return Number(plain > bound ? bound : plain < -bound ? -bound : plain);
  }
  return typeof plain === 'number' && Number.isSafeInteger(plain) ? plain : undefined;
}

const SHOWN_LENGTH_MAX = 128;

/** Text from outside, fit for a description: of bounded length and without control characters. */
export function shown(text: string, lengthMax: number = SHOWN_LENGTH_MAX): string {
  const plain = text.slice(0, lengthMax + 1).replaceAll(/\p{Cc}/gu, '\ufffd');
  return plain.length > lengthMax ? `${plain.slice(0, lengthMax - 3)}...` : plain;
}

/** A list of names as descriptions have it: `['READ', 'UPDATE']`. */
export function shownList(names: Iterable<string>): string {
  const all = [...names];
  const texts = all.slice(0, 32).map((name) => `'${shown(name, 64)}'`);
  return `[${[...texts, ...(all.length > texts.length ? ['...'] : [])].join(', ')}]`;
}
