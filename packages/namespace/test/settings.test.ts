// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED } from '@pointsman/engine';
import { timestamp } from '@pointsman/wire';
import { Harness, TIME_ORIGIN } from './harness.js';

const UPDATE = { 'if-match': '*' };
const MINUTE = 60_000;

const send = (sender: ReturnType<ReturnType<Harness['connect']>['sender']>, id: string): unknown =>
  sender.send({ properties: { messageId: id }, body: { kind: 'value', value: id } });

function valueOf(harness: Harness, path: string, name: string): string | undefined {
  return new RegExp(`<(?:d2p1:)?${name}>([^<]*)<`).exec(harness.administer('GET', path).body)?.[1];
}

describe('settings of an entity that are changed', () => {
  it('change the window of duplicate detection, for what came before, too', () => {
    const harness = new Harness();
    const window = (duration: string): string =>
      `<QueueDescription><RequiresDuplicateDetection>true</RequiresDuplicateDetection><DuplicateDetectionHistoryTimeWindow>${duration}</DuplicateDetectionHistoryTimeWindow></QueueDescription>`;
    harness.administer('PUT', 'once', window('PT1H'));
    const sender = harness.connect({ user: 'root' }).sender('once');
    send(sender, 'a');
    harness.advance(5 * MINUTE);
    send(sender, 'a');
    assert.equal(harness.namespace.counts('once').active, 1);
    assert.equal(harness.administer('PUT', 'once', window('PT1M'), UPDATE).status, 200);
    assert.equal(valueOf(harness, 'once', 'DuplicateDetectionHistoryTimeWindow'), 'PT1M');
    send(sender, 'a');
    assert.equal(harness.namespace.counts('once').active, 2);
  });

  it('change the time to live that a topic leaves each of its subscriptions', () => {
    const harness = new Harness();
    const ttl = (kind: string, duration: string): string =>
      `<${kind}Description><DefaultMessageTimeToLive>${duration}</DefaultMessageTimeToLive></${kind}Description>`;
    const sub = 'news/Subscriptions/all';
    const shown = (): string | undefined => valueOf(harness, sub, 'DefaultMessageTimeToLive');
    assert.equal(harness.administer('PUT', 'news', ttl('Topic', 'PT1M'), UPDATE).status, 200);
    assert.equal(shown(), 'PT1M');
    assert.equal(harness.administer('PUT', sub, ttl('Subscription', 'PT1H'), UPDATE).status, 200);
    assert.equal(shown(), 'PT1M', 'no more than the topic says');
    send(harness.connect({ user: 'root' }).sender('news'), 'a');
    harness.administer('PUT', 'news', ttl('Topic', 'PT10H'), UPDATE);
    assert.equal(shown(), 'PT1H', 'its own again');
    harness.advance(2 * MINUTE);
    assert.equal(harness.namespace.counts(sub).active, 0, 'what came before keeps its time');
  });

  it('bound a topic with all of its subscriptions', () => {
    const harness = new Harness({
      topics: [{ name: 'news', maxSizeBytes: 5_000, subscriptions: [{ name: 'a' }, { name: 'b' }] }],
    });
    const sender = harness.connect({ user: 'root' }).sender('news');
    const outcomes = Array.from({ length: 3 }, () => JSON.stringify(sender.text('x'.repeat(1_000))));
    assert.deepEqual(
      outcomes.map((outcome) => outcome.includes('maximum entity size')),
      [false, false, true],
    );
    assert.ok(Number(valueOf(harness, 'news', 'SizeInBytes')) > 4_000);
  });

  it('are counted by kind', () => {
    const harness = new Harness({
      queues: [
        { name: 'orders', forwardDeadLetteredMessagesTo: undefined },
        { name: 'full', maxSizeBytes: 1 },
      ],
    });
    const client = harness.connect({ user: 'root' });
    const sender = client.sender('orders');
    for (const id of ['a', 'b', 'c', 'd']) send(sender, id);
    const later = timestamp(TIME_ORIGIN + 60 * MINUTE);
    sender.send({ messageAnnotations: new Map([['x-opt-scheduled-enqueue-time', later]]) });
    const receiver = client.receiver('orders', 4);
    const [a, b, c] = receiver.received;
    receiver.say(a!, { type: 'rejected', error: undefined });
    receiver.say(b!, { type: 'modified', undeliverableHere: true });
    receiver.say(c!, ACCEPTED);
    const count = (name: string): number => Number(valueOf(harness, 'orders', `${name}MessageCount`));
    const counted = (): number[] =>
      ['Active', 'DeadLetter', 'Scheduled', 'Transfer', 'TransferDeadLetter'].map((name) => count(name));
    assert.deepEqual(counted(), [2, 1, 1, 0, 0], 'deferred and locked ones are active');
    assert.equal(Number(valueOf(harness, 'orders', 'MessageCount')), 4);
    const to =
      '<QueueDescription><ForwardDeadLetteredMessagesTo>full</ForwardDeadLetteredMessagesTo></QueueDescription>';
    assert.equal(harness.administer('PUT', 'orders', to, UPDATE).status, 200);
    assert.deepEqual(counted(), [2, 0, 1, 0, 1], 'a dead letter that cannot be forwarded');
  });

  it('are not made without end: a namespace has so many entities', () => {
    const harness = new Harness({
      queues: Array.from({ length: 9_999 }, (_, at) => ({ name: `q${at}` })),
      topics: [],
    });
    assert.equal(harness.administer('PUT', 'last', '<QueueDescription/>').status, 201);
    assert.equal(harness.administer('PUT', 'more', '<QueueDescription/>').status, 403);
    assert.equal(harness.administer('DELETE', 'q1').status, 200);
    assert.equal(harness.administer('PUT', 'more', '<QueueDescription/>').status, 201);
  });

  it('are made and taken away without a trace, however often', () => {
    const written: number[] = [];
    const journal = { write: () => written.push(1), flush: () => true, hasRoom: () => true };
    const harness = new Harness({}, journal);
    for (let i = 0; i < 50; i += 1) {
      harness.administer('PUT', `q${i}`, '<QueueDescription/>');
      harness.administer('DELETE', `q${i}`);
    }
    assert.equal([...harness.administration.snapshot()].length, 0);
    harness.administer('DELETE', 'orders');
    harness.administer('PUT', 'orders', '<QueueDescription/>');
    harness.administer('DELETE', 'orders');
    assert.deepEqual(
      [...harness.administration.snapshot()].map(([, method, path]) => [method, path]),
      [['DELETE', 'orders']],
      'what the namespace is given at each start has to be taken away again',
    );
  });
});
