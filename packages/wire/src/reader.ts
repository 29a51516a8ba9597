// SPDX-License-Identifier: Apache-2.0
import { decodeError } from './errors.js';
import { AmqpArray, AmqpSymbol, Described, Typed } from './values.js';
import type { AmqpValue, ElementType } from './values.js';

/** Deepest nesting of lists, maps, arrays and descriptors that is decoded: far past any real message, short of any stack. */
export const NESTING_MAX = 64;

/** A cursor over bytes. `end` is exclusive; nothing at or past it is read. */
export class Reader {
  bytes: Uint8Array;
  position: number;
  end: number;
  /** How deep the value being read is nested. */
  depth = 0;
  /** Array elements read so far that took no bytes. */
  emptyElements = 0;

  constructor(bytes: Uint8Array, position = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.position;
  }
}

// A byte order mark is a character like any other: without the option it would be lost.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const floatBytes = new DataView(new ArrayBuffer(8));

/** @throws RemoteProtocolError `amqp:decode-error` where fewer than `count` bytes are left */
export function need(r: Reader, count: number): void {
  if (r.end - r.position < count)
    throw decodeError(`value is cut short: ${count} bytes wanted, ${r.end - r.position} left`);
}

export function readByte(r: Reader): number {
  if (r.position >= r.end) need(r, 1);
  return r.bytes[r.position++]!;
}

export function readRaw16(r: Reader): number {
  need(r, 2);
  const b = r.bytes;
  const p = r.position;
  r.position = p + 2;
  return (b[p]! << 8) | b[p + 1]!;
}

export function readRaw32(r: Reader): number {
  need(r, 4);
  const b = r.bytes;
  const p = r.position;
  r.position = p + 4;
  return ((b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!) >>> 0;
}

export function readRaw64(r: Reader): bigint {
  const high = readRaw32(r);
  return (BigInt(high) << 32n) | BigInt(readRaw32(r));
}

function readBytes(r: Reader, length: number): Uint8Array {
  need(r, length);
  const start = r.position;
  r.position = start + length;
  // A copy: what is decoded to an object outlives the chunk of the socket that it arrived in. A Buffer's own `slice` is none.
  return Uint8Array.prototype.slice.call(r.bytes, start, start + length);
}

function readText(r: Reader, length: number): string {
  need(r, length);
  const b = r.bytes;
  const start = r.position;
  const end = start + length;
  r.position = end;
  if (length <= 24) {
    let text = '';
    let p = start;
    for (; p < end; p++) {
      const c = b[p]!;
      if (c > 0x7f) break;
      text += String.fromCharCode(c);
    }
    if (p === end) return text;
  }
  try {
    return utf8.decode(b.subarray(start, end));
  } catch {
    throw decodeError('a string is not UTF-8', '1.6.20');
  }
}

function readAscii(r: Reader, length: number): string {
  need(r, length);
  const b = r.bytes;
  let text = '';
  for (let i = 0; i < length; i++) {
    const c = b[r.position + i]!;
    if (c > 0x7f) throw decodeError('a symbol is not ASCII', '1.6.21');
    text += String.fromCharCode(c);
  }
  r.position += length;
  return text;
}

function hexCode(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`;
}

function unexpected(code: number, wanted: string): Error {
  return decodeError(`format code ${hexCode(code)} where ${wanted} belongs`, '1.6');
}

// ---- typed readers: each takes the value with its constructor; null gives undefined ----

export function readBoolean(r: Reader): boolean | undefined {
  const code = readByte(r);
  switch (code) {
    case 0x40:
      return undefined;
    case 0x41:
      return true;
    case 0x42:
      return false;
    case 0x56:
      return booleanOctet(r);
    default:
      throw unexpected(code, 'a boolean');
  }
}

function booleanOctet(r: Reader): boolean {
  const octet = readByte(r);
  if (octet > 1) throw decodeError(`boolean octet ${hexCode(octet)}`, '1.6.2');
  return octet === 1;
}

export function readUbyte(r: Reader): number | undefined {
  const code = readByte(r);
  if (code === 0x50) return readByte(r);
  if (code === 0x40) return undefined;
  throw unexpected(code, 'a ubyte');
}

export function readUshort(r: Reader): number | undefined {
  const code = readByte(r);
  if (code === 0x60) return readRaw16(r);
  if (code === 0x40) return undefined;
  throw unexpected(code, 'a ushort');
}

export function readUint(r: Reader): number | undefined {
  const code = readByte(r);
  switch (code) {
    case 0x43:
      return 0;
    case 0x52:
      return readByte(r);
    case 0x70:
      return readRaw32(r);
    case 0x40:
      return undefined;
    default:
      throw unexpected(code, 'a uint');
  }
}

export function readUlong(r: Reader): bigint | undefined {
  const code = readByte(r);
  switch (code) {
    case 0x44:
      return 0n;
    case 0x53:
      return BigInt(readByte(r));
    case 0x80:
      return readRaw64(r);
    case 0x40:
      return undefined;
    default:
      throw unexpected(code, 'a ulong');
  }
}

export function readTimestamp(r: Reader): bigint | undefined {
  const code = readByte(r);
  if (code === 0x83) return BigInt.asIntN(64, readRaw64(r));
  if (code === 0x40) return undefined;
  throw unexpected(code, 'a timestamp');
}

export function readBinary(r: Reader): Uint8Array | undefined {
  const code = readByte(r);
  switch (code) {
    case 0xa0:
      return readBytes(r, readByte(r));
    case 0xb0:
      return readBytes(r, readRaw32(r));
    case 0x40:
      return undefined;
    default:
      throw unexpected(code, 'a binary');
  }
}

export function readString(r: Reader): string | undefined {
  const code = readByte(r);
  switch (code) {
    case 0xa1:
      return readText(r, readByte(r));
    case 0xb1:
      return readText(r, readRaw32(r));
    case 0x40:
      return undefined;
    default:
      throw unexpected(code, 'a string');
  }
}

export function readSymbol(r: Reader): string | undefined {
  const code = readByte(r);
  switch (code) {
    case 0xa3:
      return readAscii(r, readByte(r));
    case 0xb3:
      return readAscii(r, readRaw32(r));
    case 0x40:
      return undefined;
    default:
      throw unexpected(code, 'a symbol');
  }
}

/** A field with `multiple="true"`: null, one symbol, or an array of them. @see OASIS AMQP 1.0, 1.4 */
export function readSymbols(r: Reader): string[] | undefined {
  const code = r.position < r.end ? r.bytes[r.position]! : 0;
  if (code !== 0xe0 && code !== 0xf0) {
    const one = readSymbol(r);
    return one === undefined ? undefined : [one];
  }
  const array = readValue(r) as AmqpArray;
  if (array.elementType !== 'symbol') throw decodeError(`an array of ${array.elementType} where symbols belong`, '1.4');
  return array.values.map((value) => (value as AmqpSymbol).value);
}

/** A map whose keys are symbols; strings pass as such. @see OASIS AMQP 1.0, 2.8.13 */
export function readFields(r: Reader): Map<string, AmqpValue> | undefined {
  return readKeyedMap(r, 'symbol', false) as Map<string, AmqpValue> | undefined;
}

/** A map whose keys are symbols, or the reserved ulongs; strings pass as symbols. @see OASIS AMQP 1.0, 3.2.10 */
export function readAnnotations(r: Reader): Map<string | bigint, AmqpValue> | undefined {
  return readKeyedMap(r, 'symbol', true);
}

/** A map whose keys are strings. @see OASIS AMQP 1.0, 3.2.5 */
export function readStringMap(r: Reader): Map<string, AmqpValue> | undefined {
  return readKeyedMap(r, 'string', false) as Map<string, AmqpValue> | undefined;
}

function readKeyedMap(
  r: Reader,
  keys: 'symbol' | 'string',
  reserved: boolean,
): Map<string | bigint, AmqpValue> | undefined {
  const map = readMap(r);
  if (map === undefined) return undefined;
  const result = new Map<string | bigint, AmqpValue>();
  for (const [key, value] of map) {
    let name: string | bigint;
    if (keys === 'symbol' && key instanceof AmqpSymbol) name = key.value;
    // Strings where symbols belong: the official JavaScript client writes its dead-letter reasons so, and means the same.
    else if (typeof key === 'string') name = key;
    else if (reserved && key instanceof Typed && key.type === 'ulong') name = key.value as bigint;
    else throw decodeError(`a map key is no ${keys}`, '2.8.13');
    if (result.has(name)) throw decodeError(`a map has the key ${String(name)} twice`, '1.6.23');
    result.set(name, value);
  }
  return result;
}

/** Any map. Null gives undefined. */
export function readMap(r: Reader): Map<AmqpValue, AmqpValue> | undefined {
  const value = readValue(r);
  if (value === null) return undefined;
  if (!(value instanceof Map)) throw decodeError('a map belongs here', '1.6.23');
  return value;
}

export function readList(r: Reader): AmqpValue[] | undefined {
  const value = readValue(r);
  if (value === null) return undefined;
  if (!Array.isArray(value)) throw decodeError('a list belongs here', '1.6.22');
  return value;
}

// ---- composites ----

/**
 * Takes the constructor and head of a list; afterwards `r.end` is the end of the list, and the former end is returned
 * through {@link ListHead} so that {@link leaveList} can restore it.
 */
export interface ListHead {
  readonly count: number;
  /** Where the enclosing value ends; -1 for a list0, which has no body to leave. */
  readonly outerEnd: number;
}

const EMPTY_LIST: ListHead = { count: 0, outerEnd: -1 };

export function enterList(r: Reader, name: string): ListHead {
  const code = readByte(r);
  let size: number;
  let count: number;
  let bodyStart: number;
  if (code === 0x45) return EMPTY_LIST;
  if (code === 0xc0) {
    size = readByte(r);
    bodyStart = r.position;
    count = readByte(r);
  } else if (code === 0xd0) {
    size = readRaw32(r);
    bodyStart = r.position;
    count = readRaw32(r);
  } else {
    throw unexpected(code, `the list of ${name}`);
  }
  const end = bodyStart + size;
  if (end > r.end || end < r.position) throw decodeError(`the list of ${name} does not fit its frame`, '1.6.22');
  // Each element takes at least one byte, so a larger count is a lie that must not cost time or memory.
  if (count > end - r.position) throw decodeError(`the list of ${name} claims ${count} fields`, '1.6.22');
  if (++r.depth > NESTING_MAX) throw decodeError(`values nested deeper than ${NESTING_MAX}`);
  const outerEnd = r.end;
  r.end = end;
  return { count, outerEnd };
}

/** Steps over fields that this version does not know, and back out of the list. */
export function leaveList(r: Reader, head: ListHead): void {
  if (head.outerEnd < 0) return;
  r.position = r.end;
  r.end = head.outerEnd;
  r.depth--;
}

/**
 * The numeric code of a described type. Symbolic descriptors are looked up in `codes`.
 *
 * @returns the code, or undefined where the descriptor is none of ours; `r` then stands where it stood
 */
export function readDescriptor(r: Reader, codes: ReadonlyMap<string, number>): number | undefined {
  const start = r.position;
  if (readByte(r) !== 0x00) {
    r.position = start;
    return undefined;
  }
  const code = r.position < r.end ? r.bytes[r.position]! : -1;
  let result: number | undefined;
  if (code === 0x53) {
    need(r, 2);
    result = r.bytes[r.position + 1]!;
    r.position += 2;
  } else if (code === 0x80) {
    const value = readUlong(r)!;
    result = value <= 0xffn ? Number(value) : undefined;
  } else if (code === 0xa3 || code === 0xb3) {
    result = codes.get(readSymbol(r)!);
  }
  if (result === undefined) r.position = start;
  return result;
}

// ---- any value ----

const ELEMENT_TYPES: Readonly<Record<number, ElementType>> = {
  0x40: 'null',
  0x41: 'boolean',
  0x42: 'boolean',
  0x56: 'boolean',
  0x50: 'ubyte',
  0x60: 'ushort',
  0x70: 'uint',
  0x52: 'uint',
  0x43: 'uint',
  0x80: 'ulong',
  0x53: 'ulong',
  0x44: 'ulong',
  0x51: 'byte',
  0x61: 'short',
  0x71: 'int',
  0x54: 'int',
  0x81: 'long',
  0x55: 'long',
  0x72: 'float',
  0x82: 'double',
  0x74: 'decimal32',
  0x84: 'decimal64',
  0x94: 'decimal128',
  0x73: 'char',
  0x83: 'timestamp',
  0x98: 'uuid',
  0xa0: 'binary',
  0xb0: 'binary',
  0xa1: 'string',
  0xb1: 'string',
  0xa3: 'symbol',
  0xb3: 'symbol',
  0x45: 'list',
  0xc0: 'list',
  0xd0: 'list',
  0xc1: 'map',
  0xd1: 'map',
  0xe0: 'array',
  0xf0: 'array',
};

/**
 * Any one value.
 *
 * @throws RemoteProtocolError `amqp:decode-error` for everything that is none
 * @see OASIS AMQP 1.0, 1.2
 */
export function readValue(r: Reader): AmqpValue {
  const code = readByte(r);
  if (code !== 0x00) return readOf(r, code);
  if (++r.depth > NESTING_MAX) throw decodeError(`values nested deeper than ${NESTING_MAX}`);
  const descriptor = readValue(r);
  const value = readValue(r);
  r.depth--;
  return new Described(descriptor, value);
}

function readOf(r: Reader, code: number): AmqpValue {
  switch (code) {
    case 0x40:
      return null;
    case 0x41:
      return true;
    case 0x42:
      return false;
    case 0x56:
      return booleanOctet(r);
    case 0x50:
      return new Typed('ubyte', readByte(r));
    case 0x60:
      return new Typed('ushort', readRaw16(r));
    case 0x70:
      return new Typed('uint', readRaw32(r));
    case 0x52:
      return new Typed('uint', readByte(r));
    case 0x43:
      return new Typed('uint', 0);
    case 0x80:
      return new Typed('ulong', readRaw64(r));
    case 0x53:
      return new Typed('ulong', BigInt(readByte(r)));
    case 0x44:
      return new Typed('ulong', 0n);
    case 0x51:
      return new Typed('byte', (readByte(r) << 24) >> 24);
    case 0x61:
      return new Typed('short', (readRaw16(r) << 16) >> 16);
    case 0x71:
      return new Typed('int', readRaw32(r) | 0);
    case 0x54:
      return new Typed('int', (readByte(r) << 24) >> 24);
    case 0x81:
      return new Typed('long', BigInt.asIntN(64, readRaw64(r)));
    case 0x55:
      return new Typed('long', BigInt((readByte(r) << 24) >> 24));
    case 0x72:
      floatBytes.setUint32(0, readRaw32(r));
      return new Typed('float', floatBytes.getFloat32(0));
    case 0x82:
      floatBytes.setBigUint64(0, readRaw64(r));
      return new Typed('double', floatBytes.getFloat64(0));
    case 0x74:
      return new Typed('decimal32', readBytes(r, 4));
    case 0x84:
      return new Typed('decimal64', readBytes(r, 8));
    case 0x94:
      return new Typed('decimal128', readBytes(r, 16));
    case 0x73: {
      const point = readRaw32(r);
      if (point > 0x10ffff) throw decodeError(`char ${point} is past Unicode`, '1.6.16');
      return new Typed('char', point);
    }
    case 0x83:
      return new Typed('timestamp', BigInt.asIntN(64, readRaw64(r)));
    case 0x98:
      return new Typed('uuid', readBytes(r, 16));
    case 0xa0:
      return readBytes(r, readByte(r));
    case 0xb0:
      return readBytes(r, readRaw32(r));
    case 0xa1:
      return readText(r, readByte(r));
    case 0xb1:
      return readText(r, readRaw32(r));
    case 0xa3:
      return new AmqpSymbol(readAscii(r, readByte(r)));
    case 0xb3:
      return new AmqpSymbol(readAscii(r, readRaw32(r)));
    case 0x45:
      return [];
    case 0xc0:
    case 0xd0:
      return readListBody(r, code === 0xd0);
    case 0xc1:
    case 0xd1:
      return readMapBody(r, code === 0xd1);
    case 0xe0:
    case 0xf0:
      return readArrayBody(r, code === 0xf0);
    default:
      throw decodeError(`unknown format code ${hexCode(code)}`, '1.6');
  }
}

/** Size and count of a compound; narrows `r.end` to it and returns the end to restore. */
function enterCompound(r: Reader, wide: boolean, what: string): { count: number; outerEnd: number } {
  const size = wide ? readRaw32(r) : readByte(r);
  const end = r.position + size;
  if (end > r.end) throw decodeError(`${what} of ${size} bytes runs past its frame`, '1.6');
  const outerEnd = r.end;
  r.end = end;
  const count = wide ? readRaw32(r) : readByte(r);
  if (++r.depth > NESTING_MAX) throw decodeError(`values nested deeper than ${NESTING_MAX}`);
  return { count, outerEnd };
}

function leaveCompound(r: Reader, outerEnd: number, what: string): void {
  if (r.position !== r.end) throw decodeError(`${what} holds more bytes than elements`, '1.6');
  r.end = outerEnd;
  r.depth--;
}

function readListBody(r: Reader, wide: boolean): AmqpValue[] {
  const { count, outerEnd } = enterCompound(r, wide, 'a list');
  if (count > r.end - r.position) throw decodeError(`a list claims ${count} elements`, '1.6.22');
  const list: AmqpValue[] = [];
  for (let i = 0; i < count; i++) list.push(readValue(r));
  leaveCompound(r, outerEnd, 'a list');
  return list;
}

function readMapBody(r: Reader, wide: boolean): Map<AmqpValue, AmqpValue> {
  const { count, outerEnd } = enterCompound(r, wide, 'a map');
  if (count > r.end - r.position) throw decodeError(`a map claims ${count} elements`, '1.6.23');
  if (count % 2 !== 0) throw decodeError(`a map with ${count} elements: not pairs`, '1.6.23');
  const map = new Map<AmqpValue, AmqpValue>();
  let names: Set<string> | undefined;
  for (let i = 0; i < count; i += 2) {
    const key = readValue(r);
    const name = nameOfKey(key);
    if (name === undefined ? map.has(key) : names?.has(name))
      throw decodeError('a map has the same key twice', '1.6.23');
    if (name !== undefined) (names ??= new Set()).add(name);
    map.set(key, readValue(r));
  }
  leaveCompound(r, outerEnd, 'a map');
  return map;
}

/** What tells a key apart whose JavaScript form is an object; undefined for texts, which a Map compares, and compounds. */
function nameOfKey(key: AmqpValue): string | undefined {
  if (typeof key !== 'object' || key === null) return undefined;
  if (key instanceof AmqpSymbol) return `symbol ${key.value}`;
  if (key instanceof Typed) return `${key.type} ${key.toString()}`;
  if (!(key instanceof Uint8Array)) return undefined;
  let name = 'binary ';
  for (const byte of key) name += String.fromCharCode(byte);
  return name;
}

/**
 * Elements without bytes of their own (null, true, list0 …) that a reader makes in all. Nothing else bounds them: nine
 * bytes could ask for any number, and a frame has room for thousands of such arrays.
 */
const EMPTY_ELEMENTS_MAX = 65_536;

function readArrayBody(r: Reader, wide: boolean): AmqpArray {
  const { count, outerEnd } = enterCompound(r, wide, 'an array');
  let descriptor: AmqpValue | undefined;
  const inner: AmqpValue[] = [];
  let code = readByte(r);
  // A constructor may have descriptors within descriptors. 1.2
  while (code === 0x00) {
    const one = readValue(r);
    if (descriptor === undefined) descriptor = one;
    else if (inner.push(one) >= NESTING_MAX) throw decodeError('descriptors that are nested too deeply', '1.2');
    code = readByte(r);
  }
  const elementType = ELEMENT_TYPES[code];
  if (elementType === undefined) throw decodeError(`array of unknown format code ${hexCode(code)}`, '1.6.24');
  const most = (code & 0xf0) === 0x40 ? EMPTY_ELEMENTS_MAX - r.emptyElements : r.end - r.position;
  if (count > most) throw decodeError(`an array claims ${count} elements`, '1.6.24');
  if ((code & 0xf0) === 0x40) r.emptyElements += count;
  const values: AmqpValue[] = [];
  for (let i = 0; i < count; i++) values.push(readOf(r, code));
  leaveCompound(r, outerEnd, 'an array');
  return new AmqpArray(elementType, values, descriptor, inner);
}

// ---- stepping over values ----

/**
 * The position behind the value that starts at `position`, without looking into it.
 *
 * @throws RemoteProtocolError `amqp:decode-error` where it runs past `end` or is none
 */
export function skipValue(bytes: Uint8Array, position: number, end: number): number {
  let p = position;
  // A descriptor is a value before the value: so many values are still to be stepped over.
  let pending = 1;
  while (pending > 0) {
    if (p >= end) throw decodeError('value is cut short');
    const code = bytes[p++]!;
    if (code === 0x00) {
      pending += 1;
      continue;
    }
    pending -= 1;
    switch (code >> 4) {
      case 0x4:
        break;
      case 0x5:
        p += 1;
        break;
      case 0x6:
        p += 2;
        break;
      case 0x7:
        p += 4;
        break;
      case 0x8:
        p += 8;
        break;
      case 0x9:
        p += 16;
        break;
      case 0xa:
      case 0xc:
      case 0xe:
        if (p >= end) throw decodeError('value is cut short');
        p += 1 + bytes[p]!;
        break;
      case 0xb:
      case 0xd:
      case 0xf:
        if (end - p < 4) throw decodeError('value is cut short');
        p += 4 + (((bytes[p]! << 24) | (bytes[p + 1]! << 16) | (bytes[p + 2]! << 8) | bytes[p + 3]!) >>> 0);
        break;
      default:
        throw decodeError(`unknown format code ${hexCode(code)}`, '1.6');
    }
    if (p > end) throw decodeError('value is cut short');
  }
  return p;
}
