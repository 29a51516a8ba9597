// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeMessage, symbol, ulong } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { MESSAGE_COMPONENTS, messageText } from '../src/index.js';
import { messageComponentsOf } from '../src/message-text.js';

const ALL = new Set(MESSAGE_COMPONENTS);

const MESSAGE = encodeMessage({
  header: { durable: true },
  properties: {
    messageId: '123',
    userId: new TextEncoder().encode('testuser'),
    subject: 'a "subject"\n',
    replyTo: 'answers',
    correlationId: ulong(89).value as bigint,
    contentType: 'text/html; charset=utf-8',
    creationTime: 1_487_772_623_883n,
    groupSequence: 0,
    replyToGroupId: 'g0',
  },
  applicationProperties: new Map<string, AmqpValue>([
    ['numbers', [1n, 2n]],
    ['kind', symbol('O_one')],
  ]),
  body: { kind: 'value', value: 'body' },
});

describe('a message as text', () => {
  it('has the parts that were chosen, in the order of the standard', () => {
    const some = messageComponentsOf('reply-to,user-id, subject')!;
    assert.equal(
      messageText(MESSAGE, some),
      'Message{user-id=b"testuser", subject="a \\"subject\\"\\0a", reply-to="answers"}',
    );
    assert.equal(
      messageText(MESSAGE, ALL),
      'Message{message-id="123", user-id=b"testuser", subject="a \\"subject\\"\\0a", reply-to="answers", ' +
        'correlation-id=89, content-type=:"text/html; charset=utf-8", creation-time="2017-02-22 14:10:23.883 +0000", ' +
        'group-sequence=0, reply-to-group-id="g0", app-properties={"numbers"=[1, 2], "kind"=:"O_one"}}',
    );
  });

  it('is nothing for none, and everything for all', () => {
    assert.equal(messageComponentsOf('none'), undefined);
    assert.equal(messageComponentsOf(''), undefined);
    assert.deepEqual(messageComponentsOf('all'), ALL);
  });

  it('is bounded, and never an error, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(MESSAGE.length), (noise, cut) => {
        const mixed = Uint8Array.from([...MESSAGE.subarray(0, cut), ...noise]);
        return messageText(mixed, ALL).startsWith('Message{');
      }),
    );
    const long = encodeMessage({ properties: { subject: 'x'.repeat(10_000) } });
    assert.ok(messageText(long, ALL).length < 2_000);
  });
});
