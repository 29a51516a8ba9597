// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  NESTING_MAX,
  ProtocolError,
  Reader,
  decodeMessage,
  readPerformative,
  readValue,
  skipValue,
} from '../src/index.js';
import type { AmqpArray, AmqpValue } from '../src/index.js';
import { bytesOf } from './tagged.js';

const refusal = (error: unknown): boolean => error instanceof ProtocolError && error.condition === 'amqp:decode-error';

function put32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

/** Wraps `inner` in as many lists of one element. */
function nestedLists(depth: number): Uint8Array {
  let bytes: number[] = [0x40];
  for (let i = 0; i < depth; i++) bytes = [0xd0, ...put32(bytes.length + 4), ...put32(1), ...bytes];
  return Uint8Array.from(bytes);
}

describe('what a peer claims costs nothing before it is there', () => {
  const claims = [
    'd0 00000004 ffffffff',
    'd0 ffffffff ffffffff',
    'd1 00000004 fffffffe',
    'f0 00000005 ffffffff 40',
    'f0 00000005 ffffffff 45',
    'f0 ffffffff ffffffff 70',
    'b0 ffffffff',
    'b1 ffffffff',
    'b3 ffffffff',
    'f0 00000009 ffffffff f0 00000000',
  ];
  for (const claim of claims) {
    it(`${claim} is refused without room being made for it`, () => {
      const bytes = bytesOf(claim.replaceAll(' ', ''));
      const before = memory();
      for (let i = 0; i < 100; i++) assert.throws(() => readValue(new Reader(bytes)), refusal);
      assert.ok(memory() - before < 64e6);
    });
  }

  it('elements without bytes are bounded for all arrays of a frame together', () => {
    // Each array takes twelve bytes and asks for as many nulls as one may have; a frame has room for thousands.
    const array = [...put32(5), ...put32(65_536), 0x40];
    const many = (count: number): Uint8Array =>
      Uint8Array.from([
        0xf0,
        ...put32(5 + count * array.length),
        ...put32(count),
        0xf0,
        ...Array.from({ length: count }, () => array).flat(),
      ]);
    assert.equal((readValue(new Reader(many(1))) as AmqpArray).values.length, 1);
    assert.throws(() => readValue(new Reader(many(2))), refusal);
    assert.throws(() => readValue(new Reader(many(5_000))), refusal);
  });

  it('elements without bytes are bounded for all sections of a message together', () => {
    const section = [0x00, 0x53, 0x76, 0xd0, ...put32(4 + 14), ...put32(1), 0xf0, ...put32(5), ...put32(65_536), 0x40];
    section[7] = 4 + 10;
    const message = Uint8Array.from([...section, ...section]);
    assert.equal(decodeMessage(Uint8Array.from(section)).body?.kind, 'sequence');
    assert.throws(() => decodeMessage(message), refusal);
  });
});

function memory(): number {
  return process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
}

describe('nesting', () => {
  it('is read down to the limit and refused below it, for lists, descriptors and arrays', () => {
    assert.ok(Array.isArray(readValue(new Reader(nestedLists(NESTING_MAX)))));
    assert.throws(() => readValue(new Reader(nestedLists(NESTING_MAX + 1))), refusal);
    const described = (depth: number): Uint8Array =>
      Uint8Array.from([...Array.from({ length: depth }, () => [0x00, 0x40]).flat(), 0x40]);
    readValue(new Reader(described(NESTING_MAX)));
    assert.throws(() => readValue(new Reader(described(NESTING_MAX + 1))), refusal);
  });

  it('of 100,000 levels overflows no stack', () => {
    const levels = 100_000;
    const described = Uint8Array.from({ length: levels }, () => 0x00);
    assert.throws(() => readValue(new Reader(described)), refusal);
    assert.throws(() => skipValue(described, 0, described.length), refusal);
    const lists = Uint8Array.from({ length: levels * 9 }, (_, i) =>
      i % 9 === 0 ? 0xd0 : i % 9 === 8 ? 1 : i % 9 === 2 ? 0x20 : 0,
    );
    assert.throws(() => readValue(new Reader(lists)), refusal);
  });

  it('of states within states is bounded too', () => {
    // transactional-state holds an outcome, which may be a transactional-state …
    let state: number[] = [0x40];
    for (let i = 0; i < 200; i++) {
      const body = [0xa0, 1, 7, ...state];
      state = [0x00, 0x53, 0x34, 0xd0, ...put32(body.length + 4), ...put32(2), ...body];
    }
    const fields = [0x41, 0x43, 0x40, 0x42, ...state];
    const frame = Uint8Array.from([0x00, 0x53, 0x15, 0xd0, ...put32(fields.length + 4), ...put32(5), ...fields]);
    assert.throws(() => readPerformative(new Reader(frame)), refusal);
  });

  it('does not add up over neighbours', () => {
    const list: AmqpValue = readValue(
      new Reader(
        Uint8Array.from([
          0xd0,
          ...put32(4 + 300),
          ...put32(100),
          ...Array.from({ length: 100 }, () => [0xc0, 1, 0]).flat(),
        ]),
      ),
    );
    assert.equal((list as AmqpValue[]).length, 100);
  });
});

describe('time', () => {
  it('grows with the bytes, not with what they could be taken for', () => {
    // As many smallest things as fit 1 MiB, in the forms that cost most.
    const size = 1 << 20;
    const fill = (pattern: number[]): Uint8Array => {
      const bytes = new Uint8Array(size);
      bytes.set([0xd0, ...put32(size - 5)]);
      const count = Math.floor((size - 9) / pattern.length);
      bytes.set(put32(count), 5);
      for (let i = 0; i < count * pattern.length; i++) bytes[9 + i] = pattern[i % pattern.length]!;
      return bytes
        .slice(0, 9 + count * pattern.length)
        .map((b, i) => (i >= 1 && i < 5 ? put32(4 + count * pattern.length)[i - 1]! : b));
    };
    for (const pattern of [[0x40], [0x45], [0x43], [0x00, 0x40, 0x40], [0xc1, 1, 0], [0xa1, 0], [0xe0, 2, 0, 0x40]]) {
      const bytes = fill(pattern);
      const began = process.cpuUsage();
      readValue(new Reader(bytes));
      const { user, system } = process.cpuUsage(began);
      assert.ok(user + system < 4e6, `${pattern.join(' ')}: ${user + system} us`);
    }
  });
});
