// SPDX-License-Identifier: Apache-2.0
import { AmqpArray, AmqpSymbol, Described, Typed, double, long } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';

/** A value as the tools show it: that of JSON, with integers of any size and maps that keep their order. */
export type Plain = null | boolean | number | bigint | string | readonly Plain[] | ReadonlyMap<string, Plain>;

/** One entity: attribute and value. */
export type Row = ReadonlyMap<string, Plain>;

/** What an AMQP value says, without its type. Bytes become hexadecimal text; keys of maps text. */
export function plainOf(value: AmqpValue): Plain {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(plainOf);
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [String(key), plainOf(one)]));
  if (value instanceof Typed) return value.value instanceof Uint8Array ? value.toString() : numberOf(value.value);
  if (value instanceof AmqpSymbol) return value.value;
  if (value instanceof AmqpArray) return value.values.map(plainOf);
  if (value instanceof Described) return plainOf(value.value);
  return Buffer.from(value).toString('hex');
}

function numberOf(value: number | bigint): number | bigint {
  if (typeof value === 'number') return value;
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** The AMQP value for a plain one: integers as long, other numbers as double. */
export function amqpOf(value: Plain): AmqpValue {
  if (typeof value === 'bigint') return long(value);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? long(value) : double(value);
  if (value instanceof Map) return new Map([...value].map(([key, one]) => [key, amqpOf(one)]));
  if (Array.isArray(value)) return value.map(amqpOf);
  return value as null | boolean | string;
}

/** @throws SyntaxError */
export function parseJson(text: string): Plain {
  return fromJson(JSON.parse(text));
}

function fromJson(value: unknown): Plain {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === 'object' && value !== null)
    return new Map(Object.entries(value).map(([key, one]) => [key, fromJson(one)]));
  return value as Plain;
}

/**
 * JSON as Python's `json.dumps` writes it: blanks behind `,` and `:`, everything beyond ASCII escaped.
 *
 * @param indent - blanks per level; undefined for one line
 */
export function jsonText(value: Plain, indent?: number, margin = ''): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null';
  if (typeof value === 'string') return quoted(value);
  const inner = indent === undefined ? '' : margin + ' '.repeat(indent);
  const isList = Array.isArray(value);
  const parts = isList
    ? (value as readonly Plain[]).map((one) => jsonText(one, indent, inner))
    : [...(value as ReadonlyMap<string, Plain>)].map(([key, one]) => `${quoted(key)}: ${jsonText(one, indent, inner)}`);
  const [open, close] = isList ? '[]' : '{}';
  if (parts.length === 0) return `${open}${close}`;
  if (indent === undefined) return `${open}${parts.join(', ')}${close}`;
  return `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${margin}${close}`;
}

function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
