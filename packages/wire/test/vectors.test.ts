// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ProtocolError,
  Reader,
  Writer,
  encodeValue,
  readPerformative,
  readSaslFrame,
  readValue,
  skipValue,
  writeAttach,
  writeBegin,
  writeClose,
  writeDetach,
  writeDisposition,
  writeEnd,
  writeFlow,
  writeOpen,
  writeSaslChallenge,
  writeSaslInit,
  writeSaslMechanisms,
  writeSaslOutcome,
  writeSaslResponse,
  writeTransfer,
} from '../src/index.js';
import type { Performative, SaslFrame } from '../src/index.js';
import { bytesOf, fromTagged, hexOf, jsonOf, plain } from './tagged.js';
import type { Tagged } from './tagged.js';

interface ValueVector {
  readonly section: string;
  readonly hex: string;
  readonly value: Tagged;
  /** What we write, where the value has several encodings. */
  readonly canonical?: string;
}
interface Malformed {
  readonly section: string;
  readonly hex: string;
  readonly why: string;
}
interface FrameVector {
  readonly section: string;
  readonly name: string;
  readonly hex: string;
  readonly fields: Record<string, unknown>;
  readonly canonical?: string;
}
interface Standard {
  readonly primitives: readonly { readonly name: string; readonly encodings: readonly { readonly code: number }[] }[];
}

const values = jsonOf<ValueVector[]>('vectors/values.json');
const malformed = jsonOf<Malformed[]>('vectors/malformed.json');
const frames = jsonOf<FrameVector[]>('vectors/frames.json');

describe('encodings of values (1.6)', () => {
  for (const { section, hex, value, canonical } of values) {
    const short = hex.length > 40 ? `${hex.slice(0, 40)}… (${hex.length / 2} bytes)` : hex;
    it(`${section}: ${short} is read, stepped over and written`, () => {
      const bytes = bytesOf(hex);
      const r = new Reader(bytes);
      assert.deepEqual(readValue(r), fromTagged(value));
      assert.equal(r.position, bytes.length);
      assert.equal(skipValue(bytes, 0, bytes.length), bytes.length);
      assert.equal(hexOf(encodeValue(fromTagged(value))), canonical ?? hex);
    });
  }

  it('has a vector for every encoding that the standard names, alone and in an array', () => {
    const standard = jsonOf<Standard>('standard/types.json');
    const alone = new Set(values.map((v) => parseInt(v.hex.slice(0, 2), 16)));
    const inArrays = new Set(values.flatMap((v) => arrayConstructors(v.hex)));
    for (const { name, encodings } of standard.primitives) {
      for (const { code } of encodings) {
        assert.ok(alone.has(code), `no vector of ${name} 0x${code.toString(16)}`);
        assert.ok(inArrays.has(code), `no array of ${name} 0x${code.toString(16)}`);
      }
    }
  });
});

function arrayConstructors(hex: string): number[] {
  const bytes = bytesOf(hex);
  const at = bytes[0] === 0xe0 ? 3 : bytes[0] === 0xf0 ? 9 : -1;
  return at < 0 ? [] : [bytes[at]!];
}

describe('malformed values (1.6)', () => {
  for (const { section, hex, why } of malformed) {
    it(`${section}: ${why}: ${hex === '' ? 'nothing' : hex} is refused as amqp:decode-error`, () => {
      const bytes = bytesOf(hex);
      assert.throws(
        () => readValue(new Reader(bytes)),
        (error) => error instanceof ProtocolError && error.condition === 'amqp:decode-error',
      );
    });
  }
});

describe('performatives and SASL frames in every form of list and descriptor (1.4)', () => {
  for (const { section, name, hex, fields, canonical } of frames) {
    it(`${section}: ${name} ${hex.length > 48 ? `${hex.slice(0, 48)}…` : hex}`, () => {
      const r = new Reader(bytesOf(hex));
      const frame = name.startsWith('sasl-') ? readSaslFrame(r) : readPerformative(r);
      assert.equal(r.remaining, 0);
      assert.deepEqual(plain(frame), { type: name, ...fields });
      assert.equal(hexOf(written(frame)), canonical ?? hex);
    });
  }
});

function written(frame: Performative | SaslFrame): Uint8Array {
  const w = new Writer();
  switch (frame.type) {
    case 'open':
      writeOpen(w, frame);
      break;
    case 'begin':
      writeBegin(w, frame);
      break;
    case 'attach':
      writeAttach(w, frame);
      break;
    case 'flow':
      writeFlow(w, frame);
      break;
    case 'transfer':
      writeTransfer(w, frame);
      break;
    case 'disposition':
      writeDisposition(w, frame);
      break;
    case 'detach':
      writeDetach(w, frame);
      break;
    case 'end':
      writeEnd(w, frame);
      break;
    case 'close':
      writeClose(w, frame);
      break;
    case 'sasl-mechanisms':
      writeSaslMechanisms(w, frame);
      break;
    case 'sasl-init':
      writeSaslInit(w, frame);
      break;
    case 'sasl-challenge':
      writeSaslChallenge(w, frame);
      break;
    case 'sasl-response':
      writeSaslResponse(w, frame);
      break;
    case 'sasl-outcome':
      writeSaslOutcome(w, frame);
      break;
  }
  return w.toBytes();
}
