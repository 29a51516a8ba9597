// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  AmqpArray,
  AmqpSymbol,
  Described,
  LocalProtocolError,
  Reader,
  Writer,
  byte,
  char,
  double,
  encodeValue,
  entryOf,
  float,
  int,
  long,
  plainOf,
  readMap,
  readList,
  readSymbols,
  readValue,
  short,
  symbol,
  timestamp,
  ubyte,
  uint,
  ulong,
  ushort,
  uuid,
  writeAnnotations,
  writeList,
  writeMap,
  writeString,
  writeStringMap,
  writeSymbolArray,
  writeSymbols,
  writeSymbol,
  writeUbyte,
  writeUshort,
} from '../src/index.js';
import type { AmqpValue } from '../src/index.js';
import { hexOf } from './tagged.js';

const again = (value: AmqpValue): AmqpValue => readValue(new Reader(encodeValue(value)));

describe('values by their short names', () => {
  it('have the type that they say', () => {
    const values = [
      ubyte(1),
      ushort(1),
      uint(1),
      ulong(1),
      ulong(1n),
      byte(-1),
      short(-1),
      int(-1),
      long(-1),
      long(-1n),
      float(0.5),
      double(0.5),
      char('\u{1f682}'),
      char(65),
      char(''),
      timestamp(1),
      timestamp(1n),
      uuid(new Uint8Array(16)),
      symbol('s'),
    ];
    for (const value of values) assert.deepEqual(again(value), value);
    assert.equal(char('\u{1f682}').value, 0x1f682);
  });

  it('are plain where something plain is wanted', () => {
    assert.deepEqual(
      [symbol('s'), uint(7), ulong(7), uuid(new Uint8Array(16).fill(0xab)), 'text', true, null, [], undefined].map(
        (value) => plainOf(value),
      ),
      ['s', 7, 7n, 'ab'.repeat(16), 'text', true, undefined, undefined, undefined],
    );
    assert.equal(
      JSON.stringify([symbol('s'), uint(7), ulong(2n ** 60n), uuid(new Uint8Array(2))]),
      '["s",7,"1152921504606846976","0000"]',
    );
    assert.equal(`${symbol('s')} ${uint(7)}`, 's 7');
    assert.equal(Number(uint(7)) + 1, 8);
  });

  it('are found in a map by their text, as string or symbol', () => {
    const map = new Map<AmqpValue, AmqpValue>([
      ['a', 1],
      [symbol('b'), 2],
      [uint(3), 3],
    ]);
    assert.deepEqual(
      ['a', 'b', 'c'].map((key) => entryOf(map, key)),
      [1, 2, undefined],
    );
    assert.equal(entryOf(undefined, 'a'), undefined);
  });
});

describe('bare numbers', () => {
  const cases: readonly (readonly [number | bigint, AmqpValue])[] = [
    [0, int(0)],
    [-1, int(-1)],
    [2 ** 31 - 1, int(2 ** 31 - 1)],
    [2 ** 31, long(2 ** 31)],
    [-(2 ** 31) - 1, long(-(2 ** 31) - 1)],
    [Number.MAX_SAFE_INTEGER, long(Number.MAX_SAFE_INTEGER)],
    [2 ** 53, double(2 ** 53)],
    [0.5, double(0.5)],
    [-0, double(-0)],
    [NaN, double(NaN)],
    [5n, long(5n)],
    [2n ** 63n - 1n, long(2n ** 63n - 1n)],
  ];
  for (const [value, typed] of cases) {
    it(`${Object.is(value, -0) ? '-0' : String(value)} is written as the type that holds it`, () =>
      assert.deepEqual(again(value), typed));
  }

  it('that are too large are refused', () => {
    assert.throws(() => encodeValue(2n ** 63n), LocalProtocolError);
  });
});

describe('what is absent', () => {
  it('is written as null, whatever it would have been', () => {
    const w = new Writer(1);
    writeUbyte(w, undefined);
    writeUshort(w, undefined);
    writeString(w, undefined);
    writeSymbol(w, undefined);
    writeSymbols(w, undefined);
    writeSymbols(w, []);
    writeAnnotations(w, undefined);
    writeStringMap(w, undefined);
    writeMap(w, undefined);
    writeList(w, undefined);
    assert.equal(hexOf(w.written()), '40'.repeat(10));
    const r = new Reader(w.written());
    assert.deepEqual([readMap(r), readList(r), readSymbols(r)], [undefined, undefined, undefined]);
    w.reset();
    assert.equal(w.toBytes().length, 0);
  });

  it('is an array all the same where one has to stand', () => {
    const w = new Writer();
    writeSymbolArray(w, []);
    writeSymbolArray(w, ['a']);
    const r = new Reader(w.written());
    assert.deepEqual([readSymbols(r), readSymbols(r)], [[], ['a']]);
  });

  it('is no value at all: something else is refused as ours', () => {
    for (const wrong of [{}, (): void => undefined, Symbol('s')])
      assert.throws(() => encodeValue(wrong as never), LocalProtocolError);
  });
});

describe('unknown described values', () => {
  it('may be described more than once in an array, as far as a value may be nested', () => {
    // array8 of two ubytes: descriptor a, then descriptor b, then the constructor of the elements.
    const bytes = Uint8Array.of(0xe0, 12, 2, 0x00, 0xa3, 1, 0x61, 0x00, 0xa3, 1, 0x62, 0x50, 7, 8);
    const array = new AmqpArray('ubyte', [ubyte(7), ubyte(8)], symbol('a'), [symbol('b')]);
    assert.deepEqual(readValue(new Reader(bytes)), array);
    assert.deepEqual(again(array), array);
    const deep = new AmqpArray(
      'ubyte',
      [ubyte(7)],
      null,
      Array.from({ length: 1_000 }, () => null),
    );
    assert.throws(() => again(deep), /nested too deeply/);
  });

  it('survive, with any descriptor, in any place', () => {
    const vendor = new Described(ulong(0x0000468c00000004n), [
      new Described(symbol('x:y'), null),
      new AmqpArray('uint', [uint(1)], symbol('d')),
    ]);
    for (const value of [
      vendor,
      [vendor],
      new Map<AmqpValue, AmqpValue>([[new AmqpSymbol('k'), vendor]]),
      new Described(vendor, vendor),
    ]) {
      assert.deepEqual(again(value), value);
    }
  });
});
