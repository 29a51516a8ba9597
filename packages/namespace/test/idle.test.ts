// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeMessage, int, long, timestamp, type AmqpValue } from '@pointsman/wire';
import type { JournalRecord } from '../src/index.js';
import { Harness, TIME_ORIGIN } from './harness.js';

const MINUTE = 60_000;
const IDLE = '<AutoDeleteOnIdle>PT5M</AutoDeleteOnIdle>';
const UPDATE = { 'if-match': '*' };

/** A namespace with a queue, a topic and its subscription that end after five idle minutes, and links that do not. */
function prepared(): Harness {
  const harness = new Harness({ times: { linkIdleMs: Infinity, noLinkMs: Infinity, firstLinkMs: Infinity } });
  for (const [path, kind] of [
    ['temporary', 'Queue'],
    ['passing', 'Topic'],
    ['news/Subscriptions/brief', 'Subscription'],
  ] as const)
    assert.equal(harness.administer('PUT', path, `<${kind}Description>${IDLE}</${kind}Description>`).status, 201);
  return harness;
}

const isThere = (harness: Harness, path: string): boolean => harness.namespace.broker.entity(path) !== undefined;

/** Does something every four minutes, and says what is there after twenty. */
function kept(path: string, prepare: (harness: Harness) => () => void): boolean {
  const harness = prepared();
  const use = prepare(harness);
  for (let i = 0; i < 5; i += 1) {
    use();
    harness.advance(4 * MINUTE);
  }
  return isThere(harness, path);
}

describe('entities that nobody uses', () => {
  it('are taken away after their time, with what is in them, and those who hold links are told', () => {
    const harness = prepared();
    const client = harness.connect({ user: 'root' });
    const sender = client.sender('temporary');
    sender.text('lost');
    harness.advance(4.9 * MINUTE);
    assert.ok(isThere(harness, 'temporary'));
    harness.advance(0.2 * MINUTE);
    for (const path of ['temporary', 'passing', 'news/Subscriptions/brief']) assert.ok(!isThere(harness, path), path);
    assert.equal(sender.detached?.condition, 'amqp:not-found');
    for (const path of ['orders', 'news', 'news/Subscriptions/all']) assert.ok(isThere(harness, path), path);
  });

  it('are a queue that nobody sends to, receives from or peeks at', () => {
    assert.equal(
      kept('temporary', () => () => undefined),
      false,
    );
    const connect = (harness: Harness): ReturnType<Harness['connect']> => harness.connect({ user: 'root' });
    assert.ok(
      kept('temporary', (harness) => {
        const sender = connect(harness).sender('temporary');
        return () => void sender.text('x');
      }),
      'sends',
    );
    assert.ok(
      kept('temporary', (harness) => {
        connect(harness).receiver('temporary', 1);
        return () => undefined;
      }),
      'a receiver that waits',
    );
    assert.ok(
      kept('temporary', (harness) => {
        const ask = connect(harness).requester('temporary/$management');
        const body = new Map<AmqpValue, AmqpValue>([
          ['from-sequence-number', long(1)],
          ['message-count', int(1)],
        ]);
        return () => void ask({ operation: 'com.microsoft:peek-message' }, body);
      }),
      'peeks',
    );
    assert.ok(
      kept('temporary', (harness) => {
        const at = new Map([['x-opt-scheduled-enqueue-time', timestamp(TIME_ORIGIN + 60 * MINUTE)]]);
        connect(harness)
          .sender('temporary')
          .send(encodeMessage({ messageAnnotations: at }));
        return () => undefined;
      }),
      'messages that wait for their time',
    );
    assert.ok(
      kept('temporary', (harness) => {
        return () =>
          void harness.administer('PUT', 'temporary', `<QueueDescription>${IDLE}</QueueDescription>`, UPDATE);
      }),
      'changes',
    );
    assert.equal(
      kept('temporary', (harness) => () => void harness.administer('GET', 'temporary')),
      false,
      'who asks about it does not use it',
    );
  });

  it('are a subscription that nobody receives from, whatever comes', () => {
    const path = 'news/Subscriptions/brief';
    const sends = (harness: Harness): (() => void) => {
      const sender = harness.connect({ user: 'root' }).sender('news');
      return () => void sender.text('x');
    };
    assert.equal(kept(path, sends), false);
    assert.ok(
      kept(path, (harness) => {
        let count = 0;
        const rule = '<RuleDescription><Filter type="TrueFilter"/></RuleDescription>';
        return () => void harness.administer('PUT', `${path}/Rules/r${count++}`, rule);
      }),
    );
    assert.ok(
      kept(path, (harness) => () => {
        const receiver = harness.connect({ user: 'root' }).receiver(path, 1);
        receiver.link.detach();
        harness.run();
      }),
    );
    assert.ok(
      kept('passing', (harness) => {
        const sender = harness.connect({ user: 'root' }).sender('passing');
        return () => void sender.text('x');
      }),
      'a topic is used by who sends',
    );
  });

  it('are a topic that nobody sends to, and whose subscriptions nobody uses', () => {
    const path = 'passing/Subscriptions/one';
    const empty = '<SubscriptionDescription></SubscriptionDescription>';
    const withOne = (use: (harness: Harness) => () => void): boolean =>
      kept('passing', (harness) => {
        harness.administer('PUT', path, empty);
        return use(harness);
      });
    assert.equal(
      withOne(() => () => undefined),
      false,
    );
    assert.ok(
      withOne((harness) => {
        harness.connect({ user: 'root' }).receiver(path, 1);
        return () => undefined;
      }),
      'a receiver of a subscription',
    );
    assert.ok(
      withOne((harness) => () => void harness.administer('PUT', path, empty, UPDATE)),
      'changes of a subscription',
    );
    let count = 0;
    assert.ok(
      withOne((harness) => () => void harness.administer('PUT', `passing/Subscriptions/s${count++}`, empty)),
      'new subscriptions',
    );
    const forwarding = '<SubscriptionDescription><ForwardTo>orders</ForwardTo></SubscriptionDescription>';
    assert.ok(
      kept('passing', (harness) => {
        harness.administer('PUT', path, forwarding);
        return () => undefined;
      }),
      'a subscription that forwards',
    );
  });

  it('are never those that forward their messages', () => {
    const harness = prepared();
    const inner = `<QueueDescription>${IDLE}<ForwardTo>orders</ForwardTo></QueueDescription>`;
    const { body } = harness.administer('PUT', 'forwarding', inner);
    assert.match(body, /<AutoDeleteOnIdle>P10675199DT2H48M5\.4775807S</);
    harness.advance(20 * MINUTE);
    assert.ok(isThere(harness, 'forwarding'));
  });

  it('last as long as was said last, five minutes at the least', () => {
    const harness = prepared();
    const put = (duration: string): number =>
      harness.administer(
        'PUT',
        'temporary',
        `<QueueDescription><AutoDeleteOnIdle>${duration}</AutoDeleteOnIdle></QueueDescription>`,
        UPDATE,
      ).status;
    assert.equal(put('PT4M59S'), 400);
    assert.equal(put('PT10M'), 200);
    harness.advance(9 * MINUTE);
    assert.ok(isThere(harness, 'temporary'));
    harness.advance(2 * MINUTE);
    assert.ok(!isThere(harness, 'temporary'));
  });

  it('are not made again after a restart', () => {
    const records: JournalRecord[] = [];
    const journal = { write: (record: JournalRecord) => records.push(record), flush: () => true, hasRoom: () => true };
    const harness = new Harness({}, journal);
    harness.administer('PUT', 'temporary', `<QueueDescription>${IDLE}</QueueDescription>`);
    harness.advance(6 * MINUTE);
    const requests = records.filter(([kind]) => kind === 'admin').map(([, method, path]) => [method, path]);
    assert.deepEqual(requests, [
      ['PUT', 'temporary'],
      ['DELETE', 'temporary'],
    ]);
  });

  it('tell when they were last used', () => {
    const harness = prepared();
    const accessed = (path: string): number => {
      const [, at = ''] = /<AccessedAt>([^<]+)</.exec(harness.administer('GET', path).body) ?? [];
      return Date.parse(at) - TIME_ORIGIN;
    };
    assert.ok(accessed('orders') < -TIME_ORIGIN, 'never');
    const client = harness.connect({ user: 'root' });
    harness.advance(MINUTE);
    const sender = client.sender('orders');
    harness.advance(MINUTE);
    sender.text('x');
    const at = harness.clock.now();
    harness.advance(MINUTE);
    assert.equal(accessed('orders'), at);
    sender.link.detach();
    harness.run();
    harness.advance(MINUTE);
    assert.equal(accessed('orders'), at);
    client.receiver('orders', 0);
    assert.equal(accessed('orders'), harness.clock.now());
    assert.ok(accessed('news/Subscriptions/all') < -TIME_ORIGIN);
  });
});
