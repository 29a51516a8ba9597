// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  RemoteProtocolError,
  Writer,
  beginFrame,
  describeBytes,
  endFrame,
  frameSizeAt,
  protocolHeader,
  protocolIdOf,
  serial,
  serialAdd,
  serialDistance,
  writeNull,
} from '../src/index.js';
import { hexOf } from './tagged.js';

const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

describe('protocol headers (2.2, 5.2.1, 5.3.2)', () => {
  for (const id of [0, 2, 3]) {
    it(`of id ${id} are written and known again`, () => {
      const header = protocolHeader(id);
      assert.equal(hexOf(header), `414d51500${id}010000`);
      assert.equal(protocolIdOf(header, 0), id);
    });
  }

  const others: readonly (readonly [Uint8Array, RegExp])[] = [
    [ascii('AMQP\x00\x00\x09\x01'), /AMQP version 0-0-9-1/],
    [ascii('AMQP\x01\x01\x00\x0a'), /AMQP version 1-1-0-10/],
    [ascii('GET / HT'), /HTTP \("GET \/ HT"\)/],
    [ascii('\x16\x03\x01\x02\x00\x01\x00\x01'), /a TLS handshake/],
    [ascii('\x15\x03\x01\x00\x02\x02\x28\x00'), /a TLS alert/],
    [ascii('SSH-2.0-'), /"SSH-2\.0-"/],
    [ascii('\x00\xff\x1b[31\x07'), /"\\x00\\xff\\x1b\[31\\x07"/],
  ];
  for (const [bytes, said] of others) {
    it(`are told from ${said.source}`, () => {
      assert.match(String(protocolIdOf(bytes, 0)), said);
    });
  }

  it('are described without control characters, whatever came', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        // oxlint-disable-next-line no-control-regex
        assert.doesNotMatch(describeBytes(bytes), /[\u0000-\u001f\u007f-\uffff]/);
      }),
    );
  });
});

describe('frames (2.3.1)', () => {
  it('have size, data offset 2, type and channel', () => {
    const w = new Writer(1);
    writeNull(w);
    const start = beginFrame(w);
    writeNull(w);
    endFrame(w, start, 1, 0x1234);
    assert.equal(hexOf(w.toBytes()), '40' + '00000009' + '02' + '01' + '1234' + '40');
  });

  it('are refused below eight bytes and above the maximum, before their bytes are there', () => {
    const size = (value: number): Uint8Array => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
    for (const wrong of [0, 7, 513, 0x7fffffff, 0xffffffff]) {
      assert.throws(
        () => frameSizeAt(size(wrong), 0, 512),
        (error) => error instanceof RemoteProtocolError && error.condition === 'amqp:connection:framing-error',
      );
    }
    for (const right of [8, 9, 512]) assert.equal(frameSizeAt(size(right), 0, 512), right);
    assert.equal(frameSizeAt(size(0xffffffff), 0, 0xffffffff), 0xffffffff);
  });
});

describe('serial numbers (RFC 1982)', () => {
  const anySerial = fc.integer({ min: 0, max: 0xffffffff }).map(serial);

  it('step forwards and back over the wrap', () => {
    assert.equal(serialAdd(serial(0xffffffff), 1), 0);
    assert.equal(serialAdd(serial(0), -1), 0xffffffff);
    assert.equal(serialDistance(serial(0xffffffff), serial(1)), 2);
    assert.equal(serialDistance(serial(1), serial(0xffffffff)), -2);
    assert.equal(serialDistance(serial(0), serial(2 ** 31)), -(2 ** 31));
    assert.equal(serialDistance(serial(2 ** 31), serial(0)), -(2 ** 31));
  });

  it('come as far as the steps that were added', () => {
    fc.assert(
      fc.property(anySerial, fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (from, steps) => {
        assert.equal(serialDistance(from, serialAdd(from, steps)), steps);
      }),
    );
  });
});
