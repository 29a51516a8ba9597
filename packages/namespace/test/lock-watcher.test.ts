// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED } from '@pointsman/engine';
import { symbol, type AmqpValue } from '@pointsman/wire';
import type { WatchedMessage } from '../src/lock-watcher.js';
import { Harness, type Client } from './harness.js';

const LOCK_MS = 30_000;

function watched(address: string): { client: Client; harness: Harness; seen: string[] } {
  const harness = new Harness({
    queues: [
      { name: 'orders', lockDurationMs: LOCK_MS },
      { name: 's', lockDurationMs: LOCK_MS, requiresSession: true },
    ],
  });
  const seen: string[] = [];
  const told =
    (what: string) =>
    ({ messageId, sequence, deliveryCount }: WatchedMessage, how = ''): void => {
      seen.push(`${what} ${String(messageId)} number ${sequence} count ${deliveryCount}${how === '' ? '' : ` ${how}`}`);
    };
  harness.namespace.watchLocks(address, {
    onLocked: told('locked'),
    onSettled: told('settled'),
    onExpired: told('expired'),
  });
  return { harness, client: harness.connect({ user: 'root' }), seen };
}

describe('a watcher of locks', () => {
  it('is told of each, of its settlement, and of its end without one', () => {
    const { harness, client, seen } = watched('orders');
    const sender = client.sender('orders');
    for (const messageId of ['a', 'b']) sender.send({ properties: { messageId }, body: { kind: 'value', value: 1 } });
    const receiver = client.receiver('orders', 2);
    assert.deepEqual(seen.splice(0), ['locked a number 1 count 0', 'locked b number 2 count 0']);
    const [a, b] = receiver.received;
    receiver.say(a!, ACCEPTED);
    receiver.say(b!, MODIFIED_FAILED);
    assert.deepEqual(seen.splice(0), ['settled a number 1 count 0 complete', 'settled b number 2 count 0 abandon']);
    receiver.credit(1);
    harness.advance(LOCK_MS + 1_000);
    receiver.say(receiver.last, ACCEPTED);
    assert.deepEqual(
      seen.splice(0),
      ['locked b number 2 count 1', 'expired b number 2 count 1'],
      'too late is nothing',
    );
    harness.namespace.watchLocks('orders', undefined);
    receiver.credit(1);
    assert.deepEqual(seen, []);
  });

  it('is told of those that end with their message session', () => {
    const { harness, client, seen } = watched('s');
    client.sender('s').send({ properties: { messageId: 'm', groupId: 'g' }, body: { kind: 'value', value: 1 } });
    client.receiver('s', 1, {
      source: {
        type: 'source',
        address: 's',
        filter: new Map<AmqpValue, AmqpValue>([[symbol('com.microsoft:session-filter'), 'g']]),
      },
    });
    harness.advance(LOCK_MS + 1_000);
    assert.deepEqual(seen, ['locked m number 1 count 0', 'expired m number 1 count 0']);
  });

  it('is told of those that are ended on request, whose messages come again', () => {
    const { harness, client, seen } = watched('orders');
    const { endLocks } = harness.namespace.faults;
    const sender = client.sender('orders');
    for (const messageId of ['a', 'b']) sender.send({ properties: { messageId }, body: { kind: 'value', value: 1 } });
    assert.equal(endLocks('orders'), 0);
    const receiver = client.receiver('orders', 2);
    seen.length = 0;
    assert.equal(endLocks('orders'), 2);
    assert.deepEqual(seen.splice(0), ['expired a number 1 count 0', 'expired b number 2 count 0']);
    receiver.say(receiver.received[0]!, ACCEPTED);
    assert.deepEqual(seen.splice(0), [], 'too late is nothing');
    receiver.credit(1);
    receiver.say(receiver.last, ACCEPTED);
    assert.deepEqual(seen, ['locked a number 1 count 1', 'settled a number 1 count 1 complete']);
    assert.throws(() => endLocks('nothing'), /There is no queue/u);
  });

  it('is told of message sessions that are ended on request, whose links are detached', () => {
    const { harness, client, seen } = watched('s');
    client.sender('s').send({ properties: { messageId: 'm', groupId: 'g' }, body: { kind: 'value', value: 1 } });
    const receiver = client.receiver('s', 1, {
      source: {
        type: 'source',
        address: 's',
        filter: new Map<AmqpValue, AmqpValue>([[symbol('com.microsoft:session-filter'), 'g']]),
      },
    });
    assert.equal(harness.namespace.faults.endLocks('s'), 1);
    harness.run();
    assert.deepEqual(seen, ['locked m number 1 count 0', 'expired m number 1 count 0']);
    assert.equal(receiver.detached?.condition, 'com.microsoft:session-lock-lost');
  });

  it('needs a queue', () => {
    const { harness } = watched('orders');
    assert.throws(() => harness.namespace.watchLocks('nothing', {}), /There is no queue/u);
  });
});
