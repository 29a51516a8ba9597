// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isTlsProtocolHeader, recognizeFirstBytes } from '../src/first-bytes.js';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

describe('first bytes of a peer', () => {
  it('tells protocols apart', () => {
    assert.equal(recognizeFirstBytes(bytes('AMQP\0\x01\0\0')), 'amqp');
    assert.equal(recognizeFirstBytes(bytes('AMQP\x03\x01\0\0')), 'amqp');
    assert.equal(recognizeFirstBytes(bytes('AMQP\x02\x01\0\0')), 'amqp-tls');
    assert.equal(recognizeFirstBytes(bytes('\x16\x03\x01\x02\0')), 'tls');
    assert.equal(recognizeFirstBytes(bytes('\x15\x03\x03\0\x02')), 'tls');
    assert.equal(recognizeFirstBytes(bytes('GET / HTTP/1.1\r\n')), 'http');
    assert.equal(recognizeFirstBytes(bytes('HTTP/1.1 400 Bad Request')), 'http');
    assert.equal(recognizeFirstBytes(bytes('SSH-2.0-OpenSSH')), 'other');
    assert.equal(recognizeFirstBytes(bytes('\x16\x00')), 'other');
  });

  it('waits for as many bytes as the answer needs, and no more than eight', () => {
    assert.equal(recognizeFirstBytes(bytes('')), undefined);
    assert.equal(recognizeFirstBytes(bytes('AMQP')), undefined);
    assert.equal(recognizeFirstBytes(bytes('AMQP\x02\x01\0')), undefined);
    assert.equal(recognizeFirstBytes(bytes('GE')), undefined);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 12 }), (any) => recognizeFirstBytes(any) !== undefined),
    );
  });

  it('never takes back an answer when more bytes come', () => {
    const start = fc.constantFrom('AMQP\x02\x01\0\0', 'AMQP\0', 'POST /', 'HTTP', '\x16\x03', 'AMX', '\0');
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 8 }), (begin, rest) => {
        const all = Buffer.concat([bytes(begin), rest]);
        let answer: string | undefined;
        for (let length = 0; length <= all.length; length++) {
          const seen = recognizeFirstBytes(all.subarray(0, length));
          if (answer !== undefined) assert.equal(seen, answer);
          answer = seen;
        }
      }),
    );
  });

  it('knows the AMQP TLS header by its version (5.2.1)', () => {
    assert.equal(isTlsProtocolHeader(bytes('AMQP\x02\x01\0\0')), true);
    assert.equal(isTlsProtocolHeader(bytes('AMQP\x02\x01\x01\0')), false);
    assert.equal(isTlsProtocolHeader(bytes('AMQP\x02\x01\0')), false);
  });
});
