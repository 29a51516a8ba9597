// SPDX-License-Identifier: Apache-2.0

/**
 * How AMQP values look in JavaScript. Nothing is lost on the way in and out:
 *
 * | AMQP                                         | JavaScript                                            |
 * | -------------------------------------------- | ----------------------------------------------------- |
 * | null, boolean, string                        | null, boolean, string                                 |
 * | binary                                       | Uint8Array                                            |
 * | symbol                                       | {@link AmqpSymbol}                                    |
 * | ubyte to ulong, byte to long, float to decimal128, char, timestamp, uuid | {@link Typed}             |
 * | list, map                                    | Array, Map                                            |
 * | array                                        | {@link AmqpArray}                                     |
 * | described value                              | {@link Described}                                     |
 *
 * @see OASIS AMQP 1.0, 1.6
 */
export type AmqpValue =
  | null
  | boolean
  | string
  | number
  | bigint
  | Uint8Array
  | AmqpSymbol
  | Typed
  | AmqpValue[]
  | Map<AmqpValue, AmqpValue>
  | AmqpArray
  | Described;

/** Types whose JavaScript form alone would not tell them apart. */
export type TypedName =
  | 'ubyte'
  | 'ushort'
  | 'uint'
  | 'ulong'
  | 'byte'
  | 'short'
  | 'int'
  | 'long'
  | 'float'
  | 'double'
  | 'decimal32'
  | 'decimal64'
  | 'decimal128'
  | 'char'
  | 'timestamp'
  | 'uuid';

/** The JavaScript form of each of {@link TypedName}: bigint where 53 bits are too few, bytes where there is no number. */
export type TypedContent = number | bigint | Uint8Array;

/**
 * A primitive value with its AMQP type.
 *
 * number: ubyte, ushort, uint, byte, short, int, float, double, char (code point).
 * bigint: ulong, long, timestamp (ms since 1970).
 * Uint8Array: decimal32 (4 bytes), decimal64 (8), decimal128 (16), uuid (16).
 */
export class Typed {
  readonly type: TypedName;
  readonly value: TypedContent;

  constructor(type: TypedName, value: TypedContent) {
    this.type = type;
    this.value = value;
  }

  valueOf(): TypedContent {
    return this.value;
  }

  toString(): string {
    return this.value instanceof Uint8Array ? hexOf(this.value) : String(this.value);
  }

  toJSON(): number | string {
    return typeof this.value === 'number' ? this.value : this.toString();
  }
}

function hexOf(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** A symbol: ASCII text from a constrained domain. @see OASIS AMQP 1.0, 1.6.21 */
export class AmqpSymbol {
  readonly value: string;

  constructor(value: string) {
    this.value = value;
  }

  toString(): string {
    return this.value;
  }

  toJSON(): string {
    return this.value;
  }
}

/** A value annotated with a descriptor, usually a symbol or a ulong. @see OASIS AMQP 1.0, 1.2 */
export class Described {
  readonly descriptor: AmqpValue;
  readonly value: AmqpValue;

  constructor(descriptor: AmqpValue, value: AmqpValue) {
    this.descriptor = descriptor;
    this.value = value;
  }
}

/** Element types of an array: a primitive's name. */
export type ElementType = TypedName | 'null' | 'boolean' | 'binary' | 'string' | 'symbol' | 'list' | 'map' | 'array';

/** Values of one type, encoded with one constructor. @see OASIS AMQP 1.0, 1.6.24 */
export class AmqpArray {
  readonly elementType: ElementType;
  /** Descriptor that all elements share, or undefined. */
  readonly descriptor: AmqpValue | undefined;
  /** Further descriptors that they share, from the outside in: of elements that are described more than once. */
  readonly innerDescriptors: readonly AmqpValue[];
  /** In the forms of {@link AmqpValue}, without the shared descriptors. */
  readonly values: AmqpValue[];

  constructor(
    elementType: ElementType,
    values: AmqpValue[],
    descriptor?: AmqpValue,
    innerDescriptors: readonly AmqpValue[] = [],
  ) {
    this.elementType = elementType;
    this.values = values;
    this.descriptor = descriptor;
    this.innerDescriptors = innerDescriptors;
  }
}

export const symbol = (value: string): AmqpSymbol => new AmqpSymbol(value);
export const ubyte = (value: number): Typed => new Typed('ubyte', value);
export const ushort = (value: number): Typed => new Typed('ushort', value);
export const uint = (value: number): Typed => new Typed('uint', value);
export const ulong = (value: number | bigint): Typed => new Typed('ulong', BigInt(value));
export const byte = (value: number): Typed => new Typed('byte', value);
export const short = (value: number): Typed => new Typed('short', value);
export const int = (value: number): Typed => new Typed('int', value);
export const long = (value: number | bigint): Typed => new Typed('long', BigInt(value));
export const float = (value: number): Typed => new Typed('float', value);
export const double = (value: number): Typed => new Typed('double', value);
export const char = (value: string | number): Typed =>
  new Typed('char', typeof value === 'number' ? value : (value.codePointAt(0) ?? 0));
/** @param ms - milliseconds since 1970-01-01 UTC */
export const timestamp = (ms: number | bigint): Typed => new Typed('timestamp', BigInt(ms));
/** @param bytes - 16 bytes in network order */
export const uuid = (bytes: Uint8Array): Typed => new Typed('uuid', bytes);

/** The text of a string or symbol, the number of a numeric value; undefined for all else. */
export function plainOf(value: AmqpValue | undefined): string | number | boolean | bigint | undefined {
  if (value instanceof AmqpSymbol) return value.value;
  if (value instanceof Typed) return value.value instanceof Uint8Array ? value.toString() : value.value;
  if (typeof value === 'object' || value === undefined) return undefined;
  return value;
}

/** Looks an entry up by its text, whether its key is a string or a symbol. */
export function entryOf(map: ReadonlyMap<AmqpValue, AmqpValue> | undefined, key: string): AmqpValue | undefined {
  if (map === undefined) return undefined;
  const direct = map.get(key);
  if (direct !== undefined) return direct;
  for (const [k, v] of map) if (k instanceof AmqpSymbol && k.value === key) return v;
  return undefined;
}
