// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { AmqpArray, AmqpSymbol, Described, Typed } from '../src/index.js';
import type { AmqpValue, ElementType, TypedName } from '../src/index.js';

/** Reads a JSON file of `packages/wire/test`. Tests run from `dist/test`. */
// oxlint-disable-next-line no-unnecessary-type-parameters
export function jsonOf<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(`../../test/${path}`, import.meta.url), 'utf8')) as T;
}

export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** null, booleans and texts stand for themselves; all else is `{"type": content}`. */
export type Tagged = null | boolean | string | { readonly [type: string]: unknown };

const BYTES = ['decimal32', 'decimal64', 'decimal128', 'uuid'];
const BIG = ['ulong', 'long', 'timestamp'];

/** A value as the vector files write it. */
export function fromTagged(tagged: Tagged): AmqpValue {
  if (tagged === null || typeof tagged !== 'object') return tagged;
  const [type, content] = Object.entries(tagged)[0]!;
  switch (type) {
    case 'symbol':
      return new AmqpSymbol(content as string);
    case 'binary':
      return bytesOf(content as string);
    case 'list':
      return (content as Tagged[]).map(fromTagged);
    case 'map':
      return new Map((content as [Tagged, Tagged][]).map(([k, v]) => [fromTagged(k), fromTagged(v)]));
    case 'described': {
      const [descriptor, value] = content as [Tagged, Tagged];
      return new Described(fromTagged(descriptor), fromTagged(value));
    }
    case 'array': {
      const array = content as { type: ElementType; values: Tagged[]; descriptor?: Tagged };
      const descriptor = array.descriptor === undefined ? undefined : fromTagged(array.descriptor);
      return new AmqpArray(array.type, array.values.map(fromTagged), descriptor);
    }
    default:
      if (BYTES.includes(type)) return new Typed(type as TypedName, bytesOf(content as string));
      if (BIG.includes(type)) return new Typed(type as TypedName, BigInt(content as string));
      return new Typed(type as TypedName, Number(content));
  }
}

/** A decoded composite as plain JSON: absent fields left out, bytes as hex, 64-bit numbers as text. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hexOf(value);
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Typed) return plain(value.value);
  if (value instanceof AmqpSymbol) return value.value;
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [String(plain(k)), plain(v)]));
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  return Object.fromEntries(entries.map(([k, v]) => [k, plain(v)]));
}
