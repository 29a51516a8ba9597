// SPDX-License-Identifier: Apache-2.0
import { LocalProtocolError } from './errors.js';
import { AmqpArray, AmqpSymbol, Described, Typed } from './values.js';
import type { AmqpValue, ElementType } from './values.js';

/** A growing buffer of encoded bytes. */
export class Writer {
  bytes: Uint8Array;
  position = 0;

  constructor(capacity = 512) {
    this.bytes = new Uint8Array(capacity);
  }

  /** What was written, as a view: valid until the next write. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.position);
  }

  /** What was written, as a copy of its own. */
  toBytes(): Uint8Array {
    return this.bytes.slice(0, this.position);
  }

  reset(): void {
    this.position = 0;
  }

  ensure(count: number): void {
    const wanted = this.position + count;
    if (wanted <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(wanted, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.position));
    this.bytes = grown;
  }
}

const utf8 = new TextEncoder();
const floatBytes = new DataView(new ArrayBuffer(8));

export function writeByte(w: Writer, value: number): void {
  w.ensure(1);
  w.bytes[w.position++] = value;
}

export function writeRaw16(w: Writer, value: number): void {
  w.ensure(2);
  w.bytes[w.position++] = value >>> 8;
  w.bytes[w.position++] = value;
}

export function writeRaw32(w: Writer, value: number): void {
  w.ensure(4);
  putRaw32(w.bytes, w.position, value);
  w.position += 4;
}

export function putRaw32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function writeRaw64(w: Writer, value: bigint): void {
  writeRaw32(w, Number((value >> 32n) & 0xffffffffn));
  writeRaw32(w, Number(value & 0xffffffffn));
}

export function writeRawBytes(w: Writer, bytes: Uint8Array): void {
  w.ensure(bytes.length);
  w.bytes.set(bytes, w.position);
  w.position += bytes.length;
}

function outOfRange(type: string, value: unknown): Error {
  return new LocalProtocolError('amqp:invalid-field', `${String(value)} is no ${type}`, {
    scope: 'connection',
    section: '1.6',
  });
}

function checkInteger(type: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) throw outOfRange(type, value);
}

function checkUnsigned64(type: string, value: bigint): void {
  if (typeof value !== 'bigint' || BigInt.asUintN(64, value) !== value) throw outOfRange(type, value);
}

function checkSigned64(type: string, value: bigint): void {
  if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) throw outOfRange(type, value);
}

// ---- typed writers: each writes constructor and value, in the smallest encoding; undefined is written as null ----

export function writeNull(w: Writer): void {
  writeByte(w, 0x40);
}

export function writeBoolean(w: Writer, value: boolean | undefined): void {
  writeByte(w, value === undefined ? 0x40 : value ? 0x41 : 0x42);
}

export function writeUbyte(w: Writer, value: number | undefined): void {
  if (value === undefined) return writeNull(w);
  checkInteger('ubyte', value, 0, 0xff);
  writeByte(w, 0x50);
  writeByte(w, value);
}

export function writeUshort(w: Writer, value: number | undefined): void {
  if (value === undefined) return writeNull(w);
  checkInteger('ushort', value, 0, 0xffff);
  writeByte(w, 0x60);
  writeRaw16(w, value);
}

export function writeUint(w: Writer, value: number | undefined): void {
  if (value === undefined) return writeNull(w);
  checkInteger('uint', value, 0, 0xffffffff);
  if (value === 0) return writeByte(w, 0x43);
  if (value < 0x100) {
    writeByte(w, 0x52);
    return writeByte(w, value);
  }
  writeByte(w, 0x70);
  writeRaw32(w, value);
}

export function writeUlong(w: Writer, value: bigint | undefined): void {
  if (value === undefined) return writeNull(w);
  checkUnsigned64('ulong', value);
  if (value === 0n) return writeByte(w, 0x44);
  if (value < 0x100n) {
    writeByte(w, 0x53);
    return writeByte(w, Number(value));
  }
  writeByte(w, 0x80);
  writeRaw64(w, value);
}

export function writeTimestamp(w: Writer, value: bigint | undefined): void {
  if (value === undefined) return writeNull(w);
  checkSigned64('timestamp', value);
  writeByte(w, 0x83);
  writeRaw64(w, BigInt.asUintN(64, value));
}

export function writeBinary(w: Writer, value: Uint8Array | undefined): void {
  if (value === undefined) return writeNull(w);
  writeVariable(w, 0xa0, value);
}

function writeVariable(w: Writer, shortCode: number, bytes: Uint8Array): void {
  if (bytes.length < 0x100) {
    writeByte(w, shortCode);
    writeByte(w, bytes.length);
  } else {
    writeByte(w, shortCode + 0x10);
    writeRaw32(w, bytes.length);
  }
  writeRawBytes(w, bytes);
}

export function writeString(w: Writer, value: string | undefined): void {
  if (value === undefined) return writeNull(w);
  writeVariable(w, 0xa1, utf8.encode(value));
}

function asciiOf(value: string): Uint8Array {
  const bytes = new Uint8Array(value.length);
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c > 0x7f) throw outOfRange('symbol', value);
    bytes[i] = c;
  }
  return bytes;
}

export function writeSymbol(w: Writer, value: string | undefined): void {
  if (value === undefined) return writeNull(w);
  writeVariable(w, 0xa3, asciiOf(value));
}

/** A field with `multiple="true"`. One value is written as such, since some peers read arrays only where they must. */
export function writeSymbols(w: Writer, value: readonly string[] | undefined, alwaysArray = false): void {
  if (value === undefined || (value.length === 0 && !alwaysArray)) return writeNull(w);
  if (value.length === 1 && !alwaysArray) return writeSymbol(w, value[0]);
  writeValue(
    w,
    new AmqpArray(
      'symbol',
      value.map((text) => new AmqpSymbol(text)),
    ),
  );
}

/** An array of symbols even where it holds one; a peer may insist on it (SASL mechanisms of some clients). */
export function writeSymbolArray(w: Writer, value: readonly string[] | undefined): void {
  writeSymbols(w, value, true);
}

export function writeFields(w: Writer, value: ReadonlyMap<string, AmqpValue> | undefined): void {
  writeAnnotations(w, value);
}

export function writeAnnotations(w: Writer, value: ReadonlyMap<string | bigint, AmqpValue> | undefined): void {
  if (value === undefined) return writeNull(w);
  const start = beginCompound(w, 0xd1, value.size * 2);
  for (const [key, item] of value) {
    if (typeof key === 'bigint') writeUlong(w, key);
    else writeSymbol(w, key);
    writeValue(w, item);
  }
  endCompound(w, start);
}

export function writeStringMap(w: Writer, value: ReadonlyMap<string, AmqpValue> | undefined): void {
  if (value === undefined) return writeNull(w);
  const start = beginCompound(w, 0xd1, value.size * 2);
  for (const [key, item] of value) {
    writeString(w, key);
    writeValue(w, item);
  }
  endCompound(w, start);
}

export function writeMap(w: Writer, value: ReadonlyMap<AmqpValue, AmqpValue> | undefined): void {
  if (value === undefined) return writeNull(w);
  const start = beginCompound(w, 0xd1, value.size * 2);
  for (const [key, item] of value) {
    writeValue(w, key);
    writeValue(w, item);
  }
  endCompound(w, start);
}

export function writeList(w: Writer, value: readonly AmqpValue[] | undefined): void {
  if (value === undefined) return writeNull(w);
  if (value.length === 0) return writeByte(w, 0x45);
  const start = beginCompound(w, 0xd0, value.length);
  for (const item of value) writeValue(w, item);
  endCompound(w, start);
}

// ---- composites ----

/** Descriptor in its short form: 0x00, smallulong. */
export function writeDescriptor(w: Writer, code: number): void {
  w.ensure(3);
  w.bytes[w.position++] = 0x00;
  w.bytes[w.position++] = 0x53;
  w.bytes[w.position++] = code;
}

/** Starts a compound of the 32-bit form; {@link endCompound} patches its size and shrinks it where it is small. */
export function beginCompound(w: Writer, wideCode: number, count: number): number {
  const start = w.position;
  writeByte(w, wideCode);
  writeRaw32(w, 0);
  writeRaw32(w, count);
  return start;
}

export function endCompound(w: Writer, start: number): void {
  const b = w.bytes;
  const bodyStart = start + 9;
  const body = w.position - bodyStart;
  const countAt = start + 5;
  const count = ((b[countAt]! << 24) | (b[countAt + 1]! << 16) | (b[countAt + 2]! << 8) | b[countAt + 3]!) >>> 0;
  if (body < 0xff && count <= 0xff) {
    b[start] = b[start]! - 0x10;
    b[start + 1] = body + 1;
    b[start + 2] = count;
    b.copyWithin(start + 3, bodyStart, w.position);
    w.position -= 6;
    return;
  }
  putRaw32(b, start + 1, body + 4);
}

// ---- any value ----

/**
 * Any value, in its smallest encoding. A bare number is written as int, long or double, whichever holds it; a bare
 * bigint as long.
 *
 * @throws LocalProtocolError `amqp:invalid-field` where a value does not fit its type
 */
export function writeValue(w: Writer, value: AmqpValue): void {
  if (value === null || value === undefined) return writeNull(w);
  switch (typeof value) {
    case 'boolean':
      return writeBoolean(w, value);
    case 'string':
      return writeString(w, value);
    case 'number':
      return writeTyped(w, numberAsTyped(value));
    case 'bigint':
      return writeTyped(w, new Typed('long', value));
  }
  if (value instanceof Typed) return writeTyped(w, value);
  if (value instanceof AmqpSymbol) return writeSymbol(w, value.value);
  if (value instanceof Uint8Array) return writeBinary(w, value);
  if (Array.isArray(value)) return writeList(w, value);
  if (value instanceof Map) return writeMap(w, value);
  if (value instanceof Described) {
    writeByte(w, 0x00);
    writeValue(w, value.descriptor);
    return writeValue(w, value.value);
  }
  if (value instanceof AmqpArray) return writeArray(w, value);
  throw outOfRange('AMQP value', value);
}

function numberAsTyped(value: number): Typed {
  if (Number.isInteger(value) && !Object.is(value, -0)) {
    if (value >= -0x80000000 && value <= 0x7fffffff) return new Typed('int', value);
    if (Number.isSafeInteger(value)) return new Typed('long', BigInt(value));
  }
  return new Typed('double', value);
}

function writeTyped(w: Writer, { type, value }: Typed): void {
  switch (type) {
    case 'ubyte':
      return writeUbyte(w, value as number);
    case 'ushort':
      return writeUshort(w, value as number);
    case 'uint':
      return writeUint(w, value as number);
    case 'ulong':
      return writeUlong(w, value as bigint);
    case 'timestamp':
      return writeTimestamp(w, value as bigint);
    case 'int':
      checkInteger('int', value as number, -0x80000000, 0x7fffffff);
      if ((value as number) >= -128 && (value as number) <= 127) {
        writeByte(w, 0x54);
        return writeByte(w, (value as number) & 0xff);
      }
      break;
    case 'long':
      checkSigned64('long', value as bigint);
      if ((value as bigint) >= -128n && (value as bigint) <= 127n) {
        writeByte(w, 0x55);
        return writeByte(w, Number(value) & 0xff);
      }
      break;
    default:
  }
  writeByte(w, FIXED_CODES[type]!);
  writeBody(w, type, value);
}

/** The one constructor for each type that an array's elements are written with. */
const FIXED_CODES: Readonly<Record<ElementType, number>> = {
  null: 0x40,
  boolean: 0x56,
  ubyte: 0x50,
  ushort: 0x60,
  uint: 0x70,
  ulong: 0x80,
  byte: 0x51,
  short: 0x61,
  int: 0x71,
  long: 0x81,
  float: 0x72,
  double: 0x82,
  decimal32: 0x74,
  decimal64: 0x84,
  decimal128: 0x94,
  char: 0x73,
  timestamp: 0x83,
  uuid: 0x98,
  binary: 0xb0,
  string: 0xb1,
  symbol: 0xb3,
  list: 0xd0,
  map: 0xd1,
  array: 0xf0,
};

const BYTE_COUNTS: Readonly<Partial<Record<ElementType, number>>> = {
  decimal32: 4,
  decimal64: 8,
  decimal128: 16,
  uuid: 16,
};

/** The bytes of a value behind its constructor of {@link FIXED_CODES}. */
function writeBody(w: Writer, type: ElementType, value: unknown): void {
  switch (type) {
    case 'null':
      return;
    case 'boolean':
      return writeByte(w, value === true ? 1 : 0);
    case 'ubyte':
      checkInteger(type, value as number, 0, 0xff);
      return writeByte(w, value as number);
    case 'byte':
      checkInteger(type, value as number, -0x80, 0x7f);
      return writeByte(w, (value as number) & 0xff);
    case 'ushort':
      checkInteger(type, value as number, 0, 0xffff);
      return writeRaw16(w, value as number);
    case 'short':
      checkInteger(type, value as number, -0x8000, 0x7fff);
      return writeRaw16(w, (value as number) & 0xffff);
    case 'uint':
      checkInteger(type, value as number, 0, 0xffffffff);
      return writeRaw32(w, value as number);
    case 'int':
      checkInteger(type, value as number, -0x80000000, 0x7fffffff);
      return writeRaw32(w, value as number);
    case 'char':
      checkInteger(type, value as number, 0, 0x10ffff);
      return writeRaw32(w, value as number);
    case 'ulong':
      checkUnsigned64(type, value as bigint);
      return writeRaw64(w, value as bigint);
    case 'long':
    case 'timestamp':
      checkSigned64(type, value as bigint);
      return writeRaw64(w, BigInt.asUintN(64, value as bigint));
    case 'float':
    case 'double':
      if (typeof value !== 'number') throw outOfRange(type, value);
      if (type === 'float') {
        floatBytes.setFloat32(0, value);
        return writeRaw32(w, floatBytes.getUint32(0));
      }
      floatBytes.setFloat64(0, value);
      return writeRaw64(w, floatBytes.getBigUint64(0));
    case 'decimal32':
    case 'decimal64':
    case 'decimal128':
    case 'uuid':
      if (!(value instanceof Uint8Array) || value.length !== BYTE_COUNTS[type])
        throw outOfRange(type, 'a wrong number of bytes');
      return writeRawBytes(w, value);
    case 'binary':
      if (!(value instanceof Uint8Array)) throw outOfRange(type, value);
      return writeWide(w, value);
    case 'string':
      if (typeof value !== 'string') throw outOfRange(type, value);
      return writeWide(w, utf8.encode(value));
    case 'symbol':
      if (!(value instanceof AmqpSymbol)) throw outOfRange(type, value);
      return writeWide(w, asciiOf(value.value));
    case 'list':
    case 'map': {
      if (type === 'map' ? !(value instanceof Map) : !Array.isArray(value)) throw outOfRange(type, value);
      const items =
        type === 'map' ? ([...(value as Map<AmqpValue, AmqpValue>)].flat() as AmqpValue[]) : (value as AmqpValue[]);
      const at = w.position;
      writeRaw32(w, 0);
      writeRaw32(w, items.length);
      for (const item of items) writeValue(w, item);
      return putRaw32(w.bytes, at, w.position - at - 4);
    }
    case 'array':
      if (!(value instanceof AmqpArray)) throw outOfRange(type, value);
      return writeArrayBody(w, value);
  }
}

function writeWide(w: Writer, bytes: Uint8Array): void {
  writeRaw32(w, bytes.length);
  writeRawBytes(w, bytes);
}

function writeArray(w: Writer, array: AmqpArray): void {
  writeByte(w, 0xf0);
  writeArrayBody(w, array);
}

function writeArrayBody(w: Writer, array: AmqpArray): void {
  const at = w.position;
  writeRaw32(w, 0);
  writeRaw32(w, array.values.length);
  if (array.descriptor !== undefined) {
    writeByte(w, 0x00);
    writeValue(w, array.descriptor);
    for (const inner of array.innerDescriptors) {
      writeByte(w, 0x00);
      writeValue(w, inner);
    }
  }
  writeByte(w, FIXED_CODES[array.elementType]);
  for (const item of array.values) {
    const typed = item instanceof Typed;
    if (typed && item.type !== array.elementType) throw outOfRange(`${array.elementType} of an array`, item.type);
    writeBody(w, array.elementType, typed ? item.value : item);
  }
  putRaw32(w.bytes, at, w.position - at - 4);
}

/** One value's encoding as bytes of its own. */
export function encodeValue(value: AmqpValue): Uint8Array {
  const w = new Writer();
  writeValue(w, value);
  return w.toBytes();
}
