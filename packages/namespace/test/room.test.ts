// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED } from '@pointsman/engine';
import { symbol, type AmqpValue } from '@pointsman/wire';
import type { Journal } from '../src/index.js';
import { conditionOf, Harness } from './harness.js';

/** A journal with so many bytes of room. */
class SmallJournal implements Journal {
  room = Infinity;
  readonly written: unknown[] = [];

  write(record: unknown): void {
    this.written.push(record);
  }
  flush(): boolean {
    return true;
  }
  hasRoom(bytes: number): boolean {
    return bytes <= this.room;
  }
}

const BUSY = 'rejected com.microsoft:server-busy';

describe('a namespace whose journal has no room', () => {
  it('refuses what is new before what is there cannot be settled any more, and writes nothing of it', () => {
    const journal = new SmallJournal();
    const harness = new Harness({}, journal);
    const client = harness.connect({ user: 'root' });
    const [sender, news] = [client.sender('orders'), client.sender('news')];
    for (const body of ['a', 'b', 'c', 'd']) sender.text(body);
    const receiver = client.receiver('orders', 4);
    journal.room = 70_000;
    journal.written.length = 0;
    assert.equal(conditionOf(sender.text('d')), BUSY);
    assert.equal(conditionOf(news.text('d')), BUSY);
    assert.equal(journal.written.length, 0);
    assert.equal(conditionOf(receiver.say(receiver.received[0]!, ACCEPTED)?.state), 'accepted');
    journal.room = 10_000;
    const dead = { type: 'rejected', error: undefined } as const;
    assert.equal(conditionOf(receiver.say(receiver.received[1]!, dead)?.state), BUSY, 'it would be written once more');
    assert.equal(conditionOf(receiver.say(receiver.received[2]!, ACCEPTED)?.state), 'accepted');
    journal.room = 0;
    assert.equal(conditionOf(receiver.say(receiver.received[3]!, ACCEPTED)?.state), BUSY);
    assert.equal(harness.namespace.counts('orders').locked, 2, 'until the locks end');
    journal.room = Infinity;
    assert.equal(conditionOf(sender.text('e')), 'accepted');
  });

  it('keeps no state of a session, and rolls a transaction back', () => {
    const journal = new SmallJournal();
    const harness = new Harness({ queues: [{ name: 'orders', requiresSession: true }] }, journal);
    const client = harness.connect({ user: 'root' });
    const filter = new Map<AmqpValue, AmqpValue>([[symbol('com.microsoft:session-filter'), 'one']]);
    client.receiver('orders', 1, { source: { type: 'source', address: 'orders', filter } });
    const ask = client.requester('orders/$management');
    const set = (): AmqpValue | undefined =>
      ask(
        { operation: 'com.microsoft:set-session-state' },
        new Map<AmqpValue, AmqpValue>([
          ['session-id', 'one'],
          ['session-state', Uint8Array.of(1)],
        ]),
      ).applicationProperties?.get('errorCondition');
    journal.room = 100;
    assert.equal(set()?.toString(), 'com.microsoft:server-busy');
    journal.room = Infinity;
    assert.equal(set(), undefined);
  });

  it('answers the management API with 503 before anything is done', () => {
    const journal = new SmallJournal();
    const harness = new Harness({}, journal);
    journal.room = 0;
    const put = harness.administer('PUT', 'made', '<QueueDescription/>');
    assert.equal(put.status, 503);
    assert.equal(harness.namespace.broker.entity('made'), undefined);
    assert.equal(harness.administer('GET', 'orders').status, 200);
    journal.room = Infinity;
    assert.equal(harness.administer('PUT', 'made', '<QueueDescription/>').status, 201);
  });
});
