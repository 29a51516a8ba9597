// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { AmqpArray, AmqpSymbol, Described, Typed, composites, restricted } from '../src/index.js';
import type { AmqpValue, Composite, ElementType, Field, TypedName } from '../src/index.js';

export const anyText: Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', minLength: 200, maxLength: 300 }) },
);
export const anySymbolText: Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 12 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', minLength: 250, maxLength: 260 }) },
);
export const anyBytes: Arbitrary<Uint8Array> = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 12 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 250, maxLength: 260, size: 'max' }) },
);

const signed64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const bytesOf = (length: number): Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

/** Contents of each type whose JavaScript form alone would not tell it. */
const CONTENTS: Readonly<Record<TypedName, Arbitrary<number | bigint | Uint8Array>>> = {
  ubyte: fc.integer({ min: 0, max: 0xff }),
  ushort: fc.integer({ min: 0, max: 0xffff }),
  uint: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 0xffffffff })),
  ulong: fc.oneof(fc.bigInt({ min: 0n, max: 300n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  byte: fc.integer({ min: -0x80, max: 0x7f }),
  short: fc.integer({ min: -0x8000, max: 0x7fff }),
  int: fc.oneof(fc.integer({ min: -200, max: 200 }), fc.integer()),
  long: fc.oneof(fc.bigInt({ min: -200n, max: 200n }), signed64),
  float: fc.float(),
  double: fc.double(),
  decimal32: bytesOf(4),
  decimal64: bytesOf(8),
  decimal128: bytesOf(16),
  char: fc.integer({ min: 0, max: 0x10ffff }),
  timestamp: signed64,
  uuid: bytesOf(16),
};
const TYPED = Object.keys(CONTENTS) as TypedName[];

const typedOf = (type: TypedName): Arbitrary<Typed> => CONTENTS[type].map((content) => new Typed(type, content));
const anySymbol: Arbitrary<AmqpSymbol> = anySymbolText.map((text) => new AmqpSymbol(text));
const anyTyped: Arbitrary<Typed> = fc.oneof(...TYPED.map(typedOf));

/** Values without others inside. */
export const anyScalar: Arbitrary<AmqpValue> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  anyText,
  anyBytes,
  anySymbol,
  anyTyped,
);

/** The same for equal keys, whatever their JavaScript form. */
function nameOf(key: AmqpValue): string {
  if (key instanceof Typed) return `${key.type} ${String(key)}`;
  if (key instanceof Uint8Array) return `binary ${String(key)}`;
  if (key instanceof AmqpSymbol) return `symbol ${key.value}`;
  return `${typeof key} ${String(key)}`;
}

/** A map without equal keys. */
export function mapOf<K extends AmqpValue>(
  keys: Arbitrary<K>,
  values: Arbitrary<AmqpValue>,
): Arbitrary<Map<K, AmqpValue>> {
  return fc
    .uniqueArray(fc.tuple(keys, values), { maxLength: 4, selector: ([key]) => nameOf(key) })
    .map((entries) => new Map(entries));
}

/** Any value of part 1, three levels deep at most. */
export const anyValue: Arbitrary<AmqpValue> = fc.letrec<{
  value: AmqpValue;
  list: AmqpValue[];
  map: Map<AmqpValue, AmqpValue>;
  array: AmqpArray;
}>((tie) => {
  const elements = (type: ElementType): Arbitrary<AmqpValue> => {
    switch (type) {
      case 'null':
        return fc.constant(null);
      case 'boolean':
        return fc.boolean();
      case 'binary':
        return anyBytes;
      case 'string':
        return anyText;
      case 'symbol':
        return anySymbol;
      case 'list':
      case 'map':
      case 'array':
        return tie(type);
      default:
        return typedOf(type);
    }
  };
  const types: ElementType[] = [...TYPED, 'null', 'boolean', 'binary', 'string', 'symbol', 'list', 'map', 'array'];
  return {
    value: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      anyScalar,
      tie('list'),
      tie('map'),
      tie('array'),
      fc.tuple(tie('value'), tie('value')).map(([descriptor, value]) => new Described(descriptor, value)),
    ),
    list: fc.array(tie('value'), { maxLength: 4 }),
    map: mapOf(anyScalar, tie('value')),
    array: fc
      .constantFrom(...types)
      .chain((type) =>
        fc
          .tuple(
            fc.array(elements(type), { maxLength: 4 }),
            fc.option(anyScalar, { nil: undefined, freq: 5 }),
            fc.array(anyScalar, { maxLength: 2 }),
          )
          .map(
            ([values, descriptor, inner]) =>
              new AmqpArray(type, values, descriptor, descriptor === undefined ? [] : inner),
          ),
      ),
  };
}).value;

const PROVIDERS: Readonly<Record<string, readonly string[]>> = {
  source: ['source'],
  target: ['target', 'coordinator'],
  'delivery-state': ['received', 'accepted', 'rejected', 'released', 'modified', 'declared', 'transactional-state'],
};

/** The object form of a composite, every field of it valid, optional ones often absent. */
export function anyComposite(definition: Composite, depth = 0): Arbitrary<Record<string, unknown>> {
  const fields = definition.fields.map((field) => {
    const content = anyField(field, depth);
    return field.mandatory ? content : fc.option(content, { nil: undefined });
  });
  return fc.tuple(...fields).map((contents) => {
    const camel = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    const entries = contents.map((content, i) => [camel(definition.fields[i]!.name), content]);
    return { type: definition.name, ...(Object.fromEntries(entries) as Record<string, unknown>) };
  });
}

function anyField(field: Field, depth: number): Arbitrary<unknown> {
  // None is written as null, which reads as absent: only where an array has to stand may it be empty.
  if (field.multiple) return fc.array(anySymbolText, { minLength: field.mandatory ? 0 : 1, maxLength: 3 });
  const providers = PROVIDERS[field.type];
  if (providers !== undefined) {
    const described = fc.tuple(anySymbol, anyScalar).map(([descriptor, value]) => new Described(descriptor, value));
    if (depth > 1) return described;
    return fc.oneof(
      described,
      ...providers.map((name) =>
        anyComposite(
          composites.find((c) => c.name === name)!,
          depth + 1,
        ),
      ),
    );
  }
  if (field.type === '*' || field.type === 'message-id') return anyValue.filter((value) => value !== null);
  if (field.type === 'map') return mapOf(anyScalar, anyScalar);
  if (field.type === 'fields') return anyFields;
  if (field.type === 'annotations') return anyAnnotations;
  const definition = composites.find((composite) => composite.name === field.type);
  if (definition !== undefined) return anyComposite(definition, depth + 1);
  const narrow = restricted.find((type) => type.name === field.type);
  if (narrow?.choices !== undefined) return fc.constantFrom(...Object.values(narrow.choices));
  const type = narrow?.source ?? field.type;
  switch (type) {
    case 'boolean':
      return fc.boolean();
    case 'string':
      return anyText;
    case 'symbol':
      return anySymbolText;
    case 'binary':
      return anyBytes;
    default:
      return CONTENTS[type as TypedName];
  }
}

const namedBy = <K>(keys: Arbitrary<K>): Arbitrary<Map<K, AmqpValue>> =>
  fc
    .uniqueArray(fc.tuple(keys, anyValue), { maxLength: 3, selector: ([key]) => key })
    .map((entries) => new Map(entries));

export const anyFields: Arbitrary<Map<string, AmqpValue>> = namedBy(anySymbolText);
export const anyAnnotations: Arbitrary<Map<string | bigint, AmqpValue>> = namedBy<string | bigint>(
  fc.oneof(anySymbolText, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
);
export const anyStringMap: Arbitrary<Map<string, AmqpValue>> = namedBy(anyText);

/** Changes a few bytes of an encoding: the likeliest way to something that is nearly right. */
export function mutated(encodings: Arbitrary<Uint8Array>): Arbitrary<Uint8Array> {
  const changes = fc.array(
    fc.record({
      at: fc.nat(1_000_000),
      byte: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x00, 0x40, 0x45, 0xc0, 0xd0, 0xe0, 0xf0, 0xff)),
      how: fc.constantFrom('set', 'cut', 'insert', 'drop'),
    }),
    { minLength: 1, maxLength: 4 },
  );
  return fc.tuple(encodings, changes).map(([encoding, list]) => {
    const bytes = [...encoding];
    for (const { at, byte, how } of list) {
      const i = at % (bytes.length + 1);
      if (how === 'cut') bytes.length = i;
      else if (how === 'insert') bytes.splice(i, 0, byte);
      else if (how === 'drop') bytes.splice(i, 1);
      else if (i < bytes.length) bytes[i] = byte;
    }
    return Uint8Array.from(bytes);
  });
}
