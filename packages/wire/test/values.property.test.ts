// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  LocalProtocolError,
  ProtocolError,
  Reader,
  Writer,
  decodeMessage,
  encodeValue,
  readAnnotations,
  readBinary,
  readBoolean,
  readFields,
  readList,
  readMap,
  readPerformative,
  readSaslFrame,
  readString,
  readStringMap,
  readSymbol,
  readSymbols,
  readTimestamp,
  readUbyte,
  readUint,
  readUlong,
  readUshort,
  readValue,
  sectionsOf,
  skipValue,
  toOf,
  writeAnnotations,
  writeFields,
  writeList,
  writeMap,
  writeStringMap,
} from '../src/index.js';
import { AmqpArray, AmqpSymbol, Typed } from '../src/index.js';
import type { AmqpValue, ElementType, TypedName } from '../src/index.js';
import { anyAnnotations, anyFields, anyStringMap, anyValue, mutated } from './arbitraries.js';

const READERS: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  readValue: (b) => readValue(new Reader(b)),
  skipValue: (b) => skipValue(b, 0, b.length),
  readPerformative: (b) => readPerformative(new Reader(b)),
  readSaslFrame: (b) => readSaslFrame(new Reader(b)),
  decodeMessage: (b) => decodeMessage(b),
  sectionsOf: (b) => sectionsOf(b),
  'toOf of a whole message': (b) => toOf(b, 0, b.length, true),
  'toOf of a part': (b) => toOf(b, 0, b.length, false),
  readBoolean: (b) => readBoolean(new Reader(b)),
  readUbyte: (b) => readUbyte(new Reader(b)),
  readUshort: (b) => readUshort(new Reader(b)),
  readUint: (b) => readUint(new Reader(b)),
  readUlong: (b) => readUlong(new Reader(b)),
  readTimestamp: (b) => readTimestamp(new Reader(b)),
  readBinary: (b) => readBinary(new Reader(b)),
  readString: (b) => readString(new Reader(b)),
  readSymbol: (b) => readSymbol(new Reader(b)),
  readSymbols: (b) => readSymbols(new Reader(b)),
  readFields: (b) => readFields(new Reader(b)),
  readAnnotations: (b) => readAnnotations(new Reader(b)),
  readStringMap: (b) => readStringMap(new Reader(b)),
  readMap: (b) => readMap(new Reader(b)),
  readList: (b) => readList(new Reader(b)),
};

function meets(read: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    read(bytes);
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
  }
}

// The bytes that start something: chance alone finds few of them.
const constructor = fc.constantFrom(
  0x00,
  0x40,
  0x41,
  0x43,
  0x44,
  0x45,
  0x50,
  0x52,
  0x53,
  0x56,
  0x60,
  0x70,
  0x71,
  0x72,
  0x73,
  0x80,
  0x82,
  0x83,
  0x94,
  0x98,
  0xa0,
  0xa1,
  0xa3,
  0xb0,
  0xb1,
  0xb3,
  0xc0,
  0xc1,
  0xd0,
  0xd1,
  0xe0,
  0xf0,
  0x10,
  0x12,
  0x14,
  0x15,
  0x1d,
  0x24,
  0x28,
  0x29,
  0x70,
  0x73,
  0x75,
  0x77,
);
const anyOctets = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc
    .array(fc.oneof(constructor, fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 4 })), { maxLength: 64 })
    .map((list) => Uint8Array.from(list)),
);

describe('any value (1.2, 1.6)', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeValue(value);
        const r = new Reader(bytes);
        assert.deepEqual(readValue(r), value);
        assert.equal(r.position, bytes.length);
        assert.equal(r.depth, 0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is stepped over to where reading ends, whatever stands behind it', () => {
    fc.assert(
      fc.property(anyValue, fc.uint8Array({ maxLength: 8 }), (value, behind) => {
        const bytes = encodeValue(value);
        const stream = Uint8Array.from([...bytes, ...behind]);
        assert.equal(skipValue(stream, 0, stream.length), bytes.length);
      }),
      { numRuns: 500 },
    );
  });

  it('is stepped over to where reading ends in any bytes that can be read', () => {
    fc.assert(
      fc.property(fc.oneof(anyOctets, mutated(anyValue.map(encodeValue))), (bytes) => {
        const r = new Reader(bytes);
        try {
          readValue(r);
        } catch {
          return;
        }
        assert.equal(skipValue(bytes, 0, bytes.length), r.position);
      }),
      { numRuns: 5_000 },
    );
  });

  it('is never cut short unnoticed', () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), (value, cut) => {
        const bytes = encodeValue(value);
        const part = bytes.subarray(0, cut % bytes.length);
        assert.throws(() => readValue(new Reader(part)), ProtocolError);
        assert.throws(() => skipValue(part, 0, part.length), ProtocolError);
      }),
      { numRuns: 500 },
    );
  });

  it('is not read past the end that the reader was given', () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), (value, cut) => {
        const bytes = encodeValue(value);
        assert.throws(() => readValue(new Reader(bytes, 0, cut % bytes.length)), ProtocolError);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps no hold on the bytes that it was read from', () => {
    const bytes = encodeValue([Uint8Array.of(1, 2), new Typed('uuid', new Uint8Array(16))]);
    const value = readValue(new Reader(bytes)) as [Uint8Array, Typed];
    bytes.fill(9);
    assert.deepEqual([...value[0]], [1, 2]);
    assert.deepEqual(value[1].value, new Uint8Array(16));
  });
});

describe('maps with keys of one type', () => {
  it('are read as they were written: fields, annotations, strings', () => {
    fc.assert(
      fc.property(anyFields, anyAnnotations, anyStringMap, (fields, annotations, strings) => {
        const w = new Writer();
        writeFields(w, fields);
        writeAnnotations(w, annotations);
        writeStringMap(w, strings);
        writeMap(w, new Map<AmqpValue, AmqpValue>([['a', null]]));
        writeList(w, [true]);
        const r = new Reader(w.toBytes());
        assert.deepEqual(readFields(r), fields);
        assert.deepEqual(readAnnotations(r), annotations);
        assert.deepEqual(readStringMap(r), strings);
        assert.deepEqual(readMap(r), new Map([['a', null]]));
        assert.deepEqual(readList(r), [true]);
        assert.equal(r.remaining, 0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('any bytes', () => {
  for (const [name, read] of Object.entries(READERS)) {
    it(`meet ${name} with a value or a ProtocolError, never with another error`, () => {
      fc.assert(
        fc.property(anyOctets, (bytes) => meets(read, bytes)),
        { numRuns: 2_000 },
      );
      fc.assert(
        fc.property(mutated(anyValue.map(encodeValue)), (bytes) => meets(read, bytes)),
        { numRuns: 500 },
      );
    });
  }
});

describe('a value that does not fit its type', () => {
  const wrong: readonly (readonly [TypedName, unknown])[] = [
    ['ubyte', 256],
    ['ubyte', -1],
    ['ubyte', 0.5],
    ['ubyte', 1n],
    ['ushort', 65_536],
    ['uint', 2 ** 32],
    ['uint', 5n],
    ['uint', NaN],
    ['ulong', -1n],
    ['ulong', 2n ** 64n],
    ['ulong', 5],
    ['byte', 128],
    ['byte', -129],
    ['short', 32_768],
    ['int', 2 ** 31],
    ['int', 1n],
    ['long', 2n ** 63n],
    ['long', 1],
    ['timestamp', 2n ** 63n],
    ['timestamp', 0],
    ['char', 0x110000],
    ['float', 1n],
    ['double', '1'],
    ['uuid', new Uint8Array(15)],
    ['decimal32', new Uint8Array(5)],
    ['decimal64', 1],
    ['decimal128', new Uint8Array(0)],
  ];
  for (const [type, value] of wrong) {
    it(`is refused as ours, alone and in an array: ${type} ${typeof value} ${String(value)}`, () => {
      assert.throws(() => encodeValue(new Typed(type, value as number)), LocalProtocolError);
      assert.throws(() => encodeValue(new AmqpArray(type, [value as number])), LocalProtocolError);
    });
  }

  it('is refused as an element of an array of another type', () => {
    const pairs: readonly (readonly [ElementType, AmqpValue])[] = [
      ['uint', new Typed('ulong', 1n)],
      ['binary', 'text'],
      ['string', new AmqpSymbol('s')],
      ['symbol', 's'],
      ['list', new Map()],
      ['map', []],
      ['array', []],
    ];
    for (const [type, element] of pairs)
      assert.throws(() => encodeValue(new AmqpArray(type, [element])), LocalProtocolError, type);
  });

  it('is refused as a symbol that is not ASCII', () => {
    assert.throws(() => encodeValue(new AmqpSymbol('grün')), LocalProtocolError);
  });
});
