// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED } from '@pointsman/engine';
import { AmqpArray, encodeMessage, int, long, type AmqpValue } from '@pointsman/wire';
import { conditionOf, Harness, numberIn, type TestSender } from './harness.js';

const BUSY = 'rejected com.microsoft:server-busy';
const outcomes = (sender: TestSender, count: number): (string | undefined)[] =>
  Array.from({ length: count }, () => conditionOf(sender.text('x')));

describe('throttling by load', () => {
  it('refuses what a second has no more operations for, with the words of the cloud, and the link stays', () => {
    const harness = new Harness({ operationsPerSecond: 3 });
    const sender = harness.connect({ user: 'root' }).sender('orders');
    assert.deepEqual(outcomes(sender, 5), ['accepted', 'accepted', 'accepted', BUSY, BUSY]);
    assert.match(JSON.stringify(sender.text('x')), /being throttled\. Error code : 50002\..*Please wait 4 seconds/);
    assert.equal(sender.detached, undefined);
    harness.advance(1_000);
    assert.deepEqual(outcomes(sender, 4), ['accepted', 'accepted', 'accepted', BUSY]);
    assert.equal(harness.namespace.counts('orders').active, 6);
  });

  it('counts over all connections, the messages of a batch and the rules of a topic', () => {
    const harness = new Harness({
      operationsPerSecond: 10,
      queues: [{ name: 'orders' }],
      topics: [{ name: 'news', subscriptions: [{ name: 'a' }, { name: 'b' }] }],
    });
    const [first, second] = [harness.connect({ user: 'root' }), harness.connect({ user: 'root' })];
    const batch = (count: number): string | undefined =>
      conditionOf(
        first.sender('orders').send(
          {
            body: {
              kind: 'data',
              sections: Array.from({ length: count }, () => encodeMessage({ body: { kind: 'value', value: 'x' } })),
            },
          },
          { format: 0x8001_3700 },
        ),
      );
    assert.equal(batch(6), 'accepted');
    const news = second.sender('news');
    assert.deepEqual(outcomes(news, 2), ['accepted', BUSY], 'three each');
    harness.advance(1_000);
    assert.equal(batch(20), 'accepted', 'what is more than a second has gets one of its own');
    assert.deepEqual(outcomes(news, 1), [BUSY]);
  });

  it('counts what is handed out, settled and asked for', () => {
    const harness = new Harness();
    const client = harness.connect({ user: 'root' });
    outcomes(client.sender('orders'), 6);
    harness.namespace.faults.throttle(6);
    const receiver = client.receiver('orders', 4);
    assert.equal(receiver.received.length, 4);
    const say = (at: number): string | undefined => conditionOf(receiver.say(receiver.received[at]!, ACCEPTED)?.state);
    assert.deepEqual([say(0), say(1), say(2)], ['accepted', 'accepted', BUSY]);
    const ask = client.requester('orders/$management');
    const status = (operation: string, body: Record<string, AmqpValue>): number =>
      numberIn(
        ask({ operation: `com.microsoft:${operation}` }, new Map(Object.entries(body))).applicationProperties?.get(
          'statusCode',
        ),
      );
    const peek = (): number => status('peek-message', { 'from-sequence-number': long(1), 'message-count': int(1) });
    assert.equal(peek(), 503);
    harness.advance(1_000);
    assert.equal(peek(), 200);
    const many = Array.from({ length: 6 }, (_, at) => long(at + 1));
    const cancelled = (): number =>
      status('cancel-scheduled-message', { 'sequence-numbers': new AmqpArray('long', many) });
    assert.equal(cancelled(), 503, 'six more than that');
    harness.namespace.faults.throttle(undefined);
    assert.equal(cancelled(), 404);
    assert.throws(() => harness.namespace.faults.throttle(0), TypeError);
  });

  it('counts ten for a request to the management API', () => {
    const harness = new Harness({ operationsPerSecond: 20 });
    const statuses = Array.from({ length: 3 }, () => harness.administer('GET', 'orders').status);
    assert.deepEqual(statuses, [200, 200, 503]);
    harness.advance(1_000);
    assert.equal(harness.administer('GET', 'orders').status, 200);
  });
});
