// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import {
  ProtocolError,
  SECTION,
  SECTIONS_MAX,
  composites,
  decodeMessage,
  encodeMessage,
  sectionsOf,
  symbol,
  toOf,
  uuid,
} from '../src/index.js';
import type { HeaderFields, Message, MessageBody, PropertiesFields } from '../src/index.js';
import { anyAnnotations, anyBytes, anyComposite, anyStringMap, anyValue, mutated } from './arbitraries.js';
import { bytesOf, hexOf } from './tagged.js';

const definitionOf = (name: string): (typeof composites)[number] => composites.find((c) => c.name === name)!;
const anyBody: Arbitrary<MessageBody> = fc.oneof(
  fc.array(anyBytes, { minLength: 1, maxLength: 3 }).map((sections) => ({ kind: 'data' as const, sections })),
  fc
    .array(fc.array(anyValue, { maxLength: 3 }), { minLength: 1, maxLength: 3 })
    .map((sections) => ({ kind: 'sequence' as const, sections })),
  anyValue.map((value) => ({ kind: 'value' as const, value })),
);
const maybe = <T>(arbitrary: Arbitrary<T>): Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const anyMessage: Arbitrary<Message> = fc.record({
  header: maybe(anyComposite(definitionOf('header')) as Arbitrary<HeaderFields>),
  deliveryAnnotations: maybe(anyAnnotations),
  messageAnnotations: maybe(anyAnnotations),
  properties: maybe(anyComposite(definitionOf('properties')) as Arbitrary<PropertiesFields>),
  applicationProperties: maybe(anyStringMap),
  body: maybe(anyBody),
  footer: maybe(anyAnnotations),
});
const isDecodeError = (error: unknown): boolean =>
  error instanceof ProtocolError && error.condition === 'amqp:decode-error';
const present = (message: Message): Message =>
  Object.fromEntries(Object.entries(message).filter(([, v]) => v !== undefined)) as Message;

describe('message sections (3.2)', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        assert.deepEqual(decodeMessage(encodeMessage(message)), present(message));
      }),
      { numRuns: 400 },
    );
  });

  it('lie one behind the other without gaps', () => {
    fc.assert(
      fc.property(anyMessage, fc.uint8Array({ maxLength: 5 }), (message, before) => {
        const encoding = encodeMessage(message);
        const bytes = Uint8Array.from([...before, ...encoding]);
        let position = before.length;
        for (const span of sectionsOf(bytes, before.length)) {
          assert.equal(span.start, position);
          assert.ok(span.valueStart > span.start && span.end > span.valueStart);
          position = span.end;
        }
        assert.equal(position, bytes.length);
      }),
      { numRuns: 200 },
    );
  });

  it('give a message or amqp:decode-error when mutated', () => {
    fc.assert(
      fc.property(mutated(anyMessage.map((message) => encodeMessage(message))), (bytes) => {
        try {
          decodeMessage(bytes);
        } catch (error) {
          assert.ok(isDecodeError(error), String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('may have descriptors by symbol or of 64 bits', () => {
    const short = encodeMessage({
      applicationProperties: new Map([['k', 'v']]),
      body: { kind: 'data', sections: [Uint8Array.of(1)] },
    });
    const long = hexOf(short)
      .replace('005374', '00800000000000000074')
      .replace('005375', `00a310${Buffer.from('amqp:data:binary').toString('hex')}`);
    assert.deepEqual(decodeMessage(bytesOf(long)), decodeMessage(short));
  });

  const refused: readonly (readonly [string, string])[] = [
    ['data before properties', '005375a00100 00537345'],
    ['header twice', '00537045 00537045'],
    ['a value behind data', '005375a00100 00537740'],
    ['two values', '00537740 00537740'],
    ['data behind a sequence', '00537645 005375a00100'],
    ['an unknown section', '00537945'],
    ['a value without a descriptor', '45'],
    ['a section that is cut short', '005375a00200'],
    ['a header that is no list', '00537041'],
    ['data that is no binary', '00537541'],
    ['application properties with a symbol as key', '005374c10504a3016b41'],
    ['annotations with a uint as key', '005372c10402520141'],
    ['annotations with a key twice, as symbol and as text', '005372c10904a3016b41a1016b41'],
    ['a data section of null', '005375400000'],
  ];
  for (const [what, hex] of refused) {
    it(`are refused: ${what}`, () => {
      assert.throws(() => decodeMessage(bytesOf(hex.replaceAll(' ', ''))), isDecodeError);
    });
  }

  it('may be many, but not without end', () => {
    const section = bytesOf('005375a000');
    const of = (count: number): Uint8Array =>
      Uint8Array.from({ length: count * section.length }, (_, i) => section[i % section.length]!);
    assert.equal(sectionsOf(of(SECTIONS_MAX)).length, SECTIONS_MAX);
    assert.throws(() => sectionsOf(of(SECTIONS_MAX + 1)), isDecodeError);
  });

  it('are found in any order where that is asked for, each once', () => {
    const of = (hex: string): number[] => {
      const bytes = bytesOf(hex.replaceAll(' ', ''));
      return sectionsOf(bytes, 0, bytes.length, 'any').map(({ code }) => code);
    };
    assert.deepEqual(of('005375a00101 005375a00101 005371c10100 005370 45'), [0x75, 0x75, 0x71, 0x70]);
    for (const twice of ['00537045 00537740 00537045', '00537740 00537045 00537740', '005375a000 00537045 00537645'])
      assert.throws(() => of(twice), isDecodeError);
  });

  it('names sections by the codes of the standard', () => {
    const all: Message = {
      header: {},
      deliveryAnnotations: new Map(),
      messageAnnotations: new Map(),
      properties: { messageId: uuid(new Uint8Array(16)) },
      applicationProperties: new Map(),
      body: { kind: 'value', value: symbol('s') },
      footer: new Map(),
    };
    const codes = sectionsOf(encodeMessage(all)).map((span) => span.code);
    assert.deepEqual(codes, [
      SECTION.header,
      SECTION.deliveryAnnotations,
      SECTION.messageAnnotations,
      SECTION.properties,
      SECTION.applicationProperties,
      SECTION.amqpValue,
      SECTION.footer,
    ]);
  });
});

describe('the address of a message that is still arriving', () => {
  it('is told as soon as its properties are whole, never differently by what comes later', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const bytes = encodeMessage(message);
        const whole = toOf(bytes, 0, bytes.length, true);
        assert.equal(whole, message.properties?.to ?? null);
        let told: string | null | undefined;
        for (let end = 0; end < bytes.length; end += 1 + (bytes.length >> 6)) {
          const now = toOf(bytes, 0, end, false);
          assert.ok(told === undefined || now === told, 'what was told once stays');
          told = now;
          if (now !== undefined) assert.equal(now, whole);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('is refused in a whole message that is cut short', () => {
    assert.throws(() => toOf(bytesOf('005373c005'), 0, 5, true), isDecodeError);
  });
});
