// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from '@pointsman/engine';
import {
  AmqpSymbol,
  Described,
  encodeMessage,
  long,
  symbol,
  timestamp,
  ulong,
  type AmqpValue,
  type DeliveryState,
} from '@pointsman/wire';
import { BATCH_FORMAT } from '../src/message-content.js';
import { guidText, swapGuid } from '../src/guid.js';
import { annotation, conditionOf, Harness, numberIn, TIME_ORIGIN } from './harness.js';

const OPTIONS = {
  queues: [
    { name: 'orders', lockDurationMs: 30_000, maxDeliveryCount: 3 },
    { name: 'small', maxMessageSizeBytes: 5000 },
    { name: 'sessions', requiresSession: true },
    { name: 'own', policies: [{ name: 'local', key: 'local-key', rights: ['Send'] as const }] },
    { name: 'a/b/c' },
  ],
};
const filter = (
  name: string,
  value: AmqpValue,
): { source: { type: 'source'; address: string; filter: Map<AmqpValue, AmqpValue> } } => ({
  source: { type: 'source', address: 'sessions', filter: new Map<AmqpValue, AmqpValue>([[symbol(name), value]]) },
});

describe('attach', () => {
  it('is refused by null termini, then a detach with condition, text and tracking', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root', key: 'wrong' });
    const sender = client.sender('orders');
    assert.ok(sender.attached);
    assert.equal(sender.attached.source, undefined);
    assert.equal(sender.attached.target, undefined);
    assert.equal(sender.detached?.condition, 'amqp:unauthorized-access');
    assert.match(
      sender.detached?.description ?? '',
      /^Unauthorized access\. 'Send' claim\(s\) are required to perform this operation\. Resource: 'sb:\/\/example\.servicebus\.windows\.net\/orders'\. TrackingId:\S+, SystemTracker:\S+, Timestamp:\S+$/,
    );
    assert.match(client.receiver('orders').detached?.description ?? '', /'Listen' claim/);
    assert.equal(client.ending, '', 'the connection stays');
  });

  it('needs Send to send and Listen to receive; Manage has both', () => {
    const harness = new Harness(OPTIONS);
    const outcome = (user: string, key?: string, path = 'orders'): [boolean, boolean] => {
      const client = harness.connect({ user, ...(key === undefined ? {} : { key }) });
      return [client.sender(path).detached === undefined, client.receiver(path).detached === undefined];
    };
    assert.deepEqual(outcome('root'), [true, true]);
    assert.deepEqual(outcome('sender'), [true, false]);
    assert.deepEqual(outcome('listener'), [false, true]);
    assert.deepEqual(outcome('nobody'), [false, false]);
    assert.deepEqual(outcome('local', 'local-key', 'own'), [true, false], 'a policy of the entity');
    assert.deepEqual(outcome('local', 'local-key', 'orders'), [false, false], 'is valid for that entity only');
  });

  it('is accepted with both termini whole, settle modes as asked and a size', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    const receiver = client.receiver('orders');
    assert.ok(receiver.attached?.source !== undefined && 'type' in receiver.attached.source);
    assert.equal(receiver.attached.source.address, 'orders');
    assert.equal(receiver.attached.rcvSettleMode, 1);
    assert.equal(receiver.attached.sndSettleMode, 0);
    assert.equal(receiver.attached.maxMessageSize, 262_144n);
    const sender = client.sender('small');
    assert.ok(
      sender.attached?.target !== undefined &&
        'type' in sender.attached.target &&
        sender.attached.target.type === 'target',
    );
    assert.equal(sender.attached.target.address, 'small');
    assert.equal(sender.attached.maxMessageSize, 5000n);
  });

  it('finds nodes in every spelling', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    for (const address of [
      'orders',
      '/orders',
      'ORDERS',
      'amqps://example.servicebus.windows.net/orders',
      'sb://example.servicebus.windows.net:5671/orders/',
      'a/b/c',
      'a\\b\\c',
    ]) {
      assert.equal(client.sender(address).detached, undefined, address);
    }
    for (const address of [
      'news/Subscriptions/all',
      'news/subscriptions/ALL',
      'orders/$deadletterqueue',
      'news/Subscriptions/all/$DeadLetterQueue',
      'orders/$Transfer/$DeadLetterQueue',
    ]) {
      assert.equal(client.receiver(address).detached, undefined, address);
    }
    assert.equal(client.sender('amqps://other.example/orders').detached?.condition, 'amqp:invalid-field');
  });

  it('refuses what the service refuses', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    const sender = (address: string | undefined): string | undefined => client.sender(address).detached?.condition;
    const receiver = (address: string): string | undefined => client.receiver(address).detached?.condition;
    assert.equal(sender('missing'), 'amqp:not-found');
    assert.equal(receiver('missing'), 'amqp:not-found');
    assert.equal(receiver('news'), 'amqp:not-found', 'a topic is not received from');
    assert.equal(receiver('news/Subscriptions/missing'), 'amqp:not-found');
    assert.equal(receiver('news/$DeadLetterQueue'), 'amqp:not-found');
    assert.equal(sender('news/Subscriptions/all'), 'amqp:not-allowed');
    assert.equal(sender('orders/$DeadLetterQueue'), 'amqp:not-allowed');
    assert.equal(sender(undefined), 'amqp:not-allowed', 'no anonymous relay');
    for (const link of [
      client.receiver('', 0, { source: { type: 'source', dynamic: true } }),
      client.sender(undefined, { target: { type: 'target', dynamic: true } }),
    ])
      assert.equal(link.detached?.condition, 'amqp:not-implemented', 'no dynamic nodes');
  });

  it('refuses a plain receiver on a session entity, a session receiver on a plain one, and selectors', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    const plain = client.receiver('sessions');
    assert.equal(plain.detached?.condition, 'amqp:not-allowed');
    assert.match(
      plain.detached?.description ?? '',
      /^It is not possible for an entity that requires sessions to create a non-sessionful message receiver\./,
    );
    const session = filter('com.microsoft:session-filter', null);
    const onPlain = client.receiver('orders', 0, { source: { ...session.source, address: 'orders' } });
    assert.equal(onPlain.detached?.condition, 'amqp:not-allowed');
    assert.match(onPlain.detached?.description ?? '', /^A sessionful message receiver cannot be created/);
    assert.equal(
      client.receiver('sessions/$DeadLetterQueue').detached,
      undefined,
      'its dead-letter queue is read plainly',
    );
    const selector = filter('apache.org:selector-filter:string', 'a = 1');
    assert.equal(
      client.receiver('orders', 0, { source: { ...selector.source, address: 'orders' } }).detached?.condition,
      'amqp:not-implemented',
    );
    for (const descriptor of [ulong(0x468c_0000_0004n), symbol('apache.org:selector-filter:string')]) {
      const asJms = new Map([[symbol('jms-selector'), new Described(descriptor, 'a = 1')]]);
      assert.equal(
        client.receiver('orders', 0, { source: { type: 'source', address: 'orders', filter: asJms } }).detached
          ?.condition,
        'amqp:not-implemented',
      );
    }
  });

  it('takes a name over from an older link, on whatever connection of the container', () => {
    const harness = new Harness(OPTIONS);
    const first = harness.connect({ user: 'root', containerId: 'same' });
    const second = harness.connect({ user: 'root', containerId: 'same' });
    const other = harness.connect({ user: 'root', containerId: 'other' });
    const old = first.sender('orders', { name: 'x' });
    const elsewhere = other.sender('orders', { name: 'x' });
    const opposite = first.receiver('orders', 0, { name: 'x' });
    assert.equal(second.sender('orders', { name: 'x' }).detached, undefined);
    assert.equal(old.detached?.condition, 'amqp:link:stolen');
    assert.equal(elsewhere.detached, undefined);
    assert.equal(opposite.detached, undefined);
    assert.equal(harness.namespace.links, 3);
  });

  it('is refused while the entity is disabled, and a link is detached when it becomes so', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root' });
    const [sender, receiver] = [client.sender('orders'), client.receiver('orders')];
    harness.namespace.setStatus('ORDERS', 'SendDisabled');
    harness.run();
    assert.equal(sender.detached?.condition, 'com.microsoft:entity-disabled');
    assert.match(
      sender.detached?.description ?? '',
      /^Messaging entity 'sb:\/\/example\.servicebus\.windows\.net\/orders' is currently disabled\./,
    );
    assert.equal(receiver.detached, undefined);
    assert.equal(client.sender('orders').detached?.condition, 'com.microsoft:entity-disabled');
    harness.namespace.setStatus('orders', 'Disabled');
    harness.run();
    assert.equal(
      receiver.attached !== undefined && client.receiver('orders').detached?.condition,
      'com.microsoft:entity-disabled',
    );
    harness.namespace.setStatus('orders', 'Active');
    assert.equal(client.sender('orders').detached, undefined);
  });

  it('ends after ten minutes without a message, whatever else passes', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root', idleTimeoutMs: 60_000 });
    const [sender, receiver, busy] = [client.sender('orders'), client.receiver('orders', 1), client.sender('small')];
    for (let minute = 0; minute < 9; minute += 1) {
      harness.advance(60_000);
      receiver.link.sendFlow();
      busy.text('still here');
    }
    assert.equal(sender.link.state, 'attached');
    harness.advance(61_000);
    assert.equal(sender.detached?.condition, 'amqp:link:detach-forced');
    assert.match(
      sender.detached?.description ?? '',
      /is force detached\. Code: publisher\(link\d+\)\. Details: AmqpMessagePublisher\.IdleTimerExpired: Idle timeout: 00:10:00\. TrackingId/,
    );
    assert.match(
      receiver.detached?.description ?? '',
      /Code: consumer\(link\d+\)\. Details: AmqpMessageConsumer\.IdleTimerExpired/,
    );
    assert.equal(busy.detached, undefined);
  });
});

describe('sending', () => {
  it('has a credit of 1000, topped up in lumps', () => {
    const harness = new Harness(OPTIONS);
    const sender = harness.connect({ user: 'root' }).sender('orders');
    const seen = new Set<number>();
    let flows = 0;
    assert.equal(sender.link.credit, 1000);
    for (let i = 0; i < 2000; i += 1) {
      const before = sender.link.credit;
      assert.deepEqual(conditionOf(sender.text('x')), 'accepted');
      if (sender.link.credit > before) flows += 1;
      seen.add(sender.link.credit);
    }
    assert.ok(flows > 0 && flows <= 8, `${flows} flows`);
    assert.ok(Math.min(...seen) > 0);
    assert.equal(harness.namespace.counts('orders').active, 2000);
    assert.equal(
      new Harness({ ...OPTIONS, publisherCredit: 1 }).connect({ user: 'root' }).sender('orders').link.credit,
      1,
    );
  });

  it('is answered with an outcome, and settled messages with none', () => {
    const harness = new Harness(OPTIONS);
    const sender = harness.connect({ user: 'root' }).sender('orders');
    assert.equal(conditionOf(sender.text('a')), 'accepted');
    assert.equal(sender.send({ body: { kind: 'value', value: 'b' } }, { settled: true }), undefined);
    assert.equal(harness.namespace.counts('orders').active, 2);
  });

  it('is refused message by message, and the link stays', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root' });
    const sender = client.sender('orders');
    assert.equal(
      conditionOf(sender.send({ header: { ttl: 0 }, body: { kind: 'value', value: 1 } })),
      'rejected amqp:internal-error',
    );
    assert.equal(conditionOf(client.sender('sessions').text('no session id')), 'rejected amqp:not-allowed');
    assert.equal(conditionOf(sender.send(Uint8Array.of(1, 2, 3))), 'rejected amqp:decode-error');
    assert.equal(
      conditionOf(
        sender.send(
          { body: { kind: 'value', value: 1 } },
          { state: { type: 'transactional-state', txnId: Uint8Array.of(1) } },
        ),
      ),
      'rejected amqp:transaction:unknown-id',
    );
    const later = new Map<string, AmqpValue>([['x-opt-scheduled-enqueue-time', timestamp(TIME_ORIGIN + 1e9)]]);
    assert.equal(
      conditionOf(sender.send({ messageAnnotations: later, body: { kind: 'value', value: 1 } })),
      'accepted',
      'to be seen later',
    );
    harness.namespace.faults.refuseAttaches(2, 'Orders');
    assert.equal(client.sender('orders').detached?.condition, 'com.microsoft:server-busy');
    assert.equal(client.receiver('orders/$management').detached?.condition, 'com.microsoft:server-busy');
    assert.equal(client.receiver('orders').detached, undefined);
    harness.namespace.faults.refuseSends(2, 'Orders');
    assert.equal(conditionOf(sender.text('x')), 'rejected com.microsoft:server-busy');
    assert.equal(conditionOf(sender.text('x')), 'rejected com.microsoft:server-busy');
    assert.equal(conditionOf(sender.text('x')), 'accepted');
    assert.equal(sender.detached, undefined);
    assert.equal(harness.namespace.counts('orders').active, 1);
  });

  it('rejects a message that is too large, and nothing of it is kept', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root', maxFrameSize: 2048 });
    const sender = client.sender('small');
    assert.equal(conditionOf(sender.send({ body: { kind: 'data', sections: [new Uint8Array(4900)] } })), 'accepted');
    const outcome = sender.send({ body: { kind: 'data', sections: [new Uint8Array(5001)] } });
    assert.equal(conditionOf(outcome), 'rejected amqp:link:message-size-exceeded');
    assert.match(
      JSON.stringify(outcome),
      /The received message \(delivery-id:1, size:50\d\d bytes\) exceeds the limit \(5000 bytes\) currently allowed on the link\./,
    );
    assert.equal(conditionOf(sender.text('fits')), 'accepted');
    assert.equal(sender.detached, undefined);
    assert.equal(harness.namespace.counts('small').active, 2);
  });

  it('ends the link on a message beyond what its AMQP layer takes', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root' });
    const sender = client.sender('small');
    sender.send({ body: { kind: 'data', sections: [new Uint8Array(1_048_576)] } });
    assert.equal(sender.detached?.condition, 'amqp:link:message-size-exceeded');
    assert.match(sender.detached?.description ?? '', /exceeds the limit \(5000 bytes\)/);
    assert.equal(harness.namespace.counts('small').active, 0);
    assert.equal(client.ending, '');
  });

  it('takes messages of many frames', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root', maxFrameSize: 2048 });
    const body = Uint8Array.from({ length: 200_000 }, (_, at) => at);
    assert.equal(conditionOf(client.sender('orders').send({ body: { kind: 'data', sections: [body] } })), 'accepted');
    const { message } = client.receiver('orders', 1).last;
    assert.deepEqual(message.body, { kind: 'data', sections: [body] });
  });

  it('unpacks a batch and answers once for all of it', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root' });
    const sender = client.sender('orders');
    const inner = (value: string, ttl?: number): Uint8Array =>
      encodeMessage({
        ...(ttl === undefined ? {} : { header: { ttl } }),
        properties: { messageId: value },
        body: { kind: 'value', value },
      });
    const batch = (...messages: Uint8Array[]): Uint8Array =>
      encodeMessage({ body: { kind: 'data', sections: messages } });
    assert.equal(
      conditionOf(sender.send(batch(inner('a'), inner('b'), inner('c')), { format: BATCH_FORMAT })),
      'accepted',
    );
    assert.equal(sender.outcomes.length, 1);
    assert.equal(
      conditionOf(sender.send(batch(inner('d'), inner('e', 0)), { format: BATCH_FORMAT })),
      'rejected amqp:internal-error',
    );
    assert.deepEqual(client.receiver('orders', 9).bodies, ['a', 'b', 'c']);
  });

  it('gives a message without an id one, and leaves the rest of its properties', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    const sender = client.sender('orders');
    sender.send({
      properties: { subject: 's' },
      applicationProperties: new Map([['a', 'b']]),
      body: { kind: 'value', value: 1 },
    });
    sender.text('no properties at all');
    sender.send({ properties: { messageId: ulong(5) }, body: { kind: 'value', value: 1 } });
    const [first, second, third] = client.receiver('orders', 3).messages;
    assert.match(String(first?.properties?.messageId), /^[0-9a-f]{32}$/);
    assert.equal(first?.properties?.subject, 's');
    assert.deepEqual(first.applicationProperties, new Map([['a', 'b']]));
    assert.match(String(second?.properties?.messageId), /^[0-9a-f]{32}$/);
    assert.notEqual(first.properties?.messageId, second?.properties?.messageId);
    assert.deepEqual(third?.properties?.messageId, ulong(5));
  });

  it('to a topic gives each subscription a copy', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root' });
    harness.namespace.broker.createSubscription('news', { name: 'more' });
    client.sender('news').text('a');
    assert.deepEqual(client.receiver('news/Subscriptions/all', 1).bodies, ['a']);
    assert.deepEqual(client.receiver('news/Subscriptions/more', 1).bodies, ['a']);
  });
});

describe('receiving', () => {
  const filled = (...bodies: string[]): { harness: Harness; client: ReturnType<Harness['connect']> } => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root' });
    const sender = client.sender('orders');
    for (const body of bodies) sender.text(body);
    return { harness, client };
  };

  it('locks in peek-lock: the tag is the lock token, the annotations say when it ends', () => {
    const { harness, client } = filled('a');
    const { last } = client.receiver('orders', 1);
    assert.equal(last.tag.length, 16);
    assert.match(guidText(swapGuid(last.tag)), /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    assert.equal(numberIn(annotation(last, 'x-opt-locked-until')), TIME_ORIGIN + harness.clock.now() + 30_000);
    assert.equal(numberIn(annotation(last, 'x-opt-enqueued-time')), TIME_ORIGIN + harness.clock.now());
    assert.deepEqual(annotation(last, 'x-opt-sequence-number'), long(1));
    assert.equal(last.message.header?.deliveryCount, 0);
    assert.equal(last.delivery.settled, false);
    assert.deepEqual(harness.namespace.counts('orders'), {
      ...harness.namespace.counts('orders'),
      active: 1,
      locked: 1,
    });
  });

  it('deletes at once in receive-and-delete', () => {
    const { harness, client } = filled('a');
    const { last } = client.receiver('orders', 1, { sndSettleMode: 1, rcvSettleMode: 0 });
    assert.equal(last.delivery.settled, true);
    assert.equal(annotation(last, 'x-opt-locked-until'), undefined);
    assert.equal(harness.namespace.counts('orders').active, 0);
  });

  it('confirms each outcome by settling with the same', () => {
    const { harness, client } = filled('a', 'b', 'c', 'd', 'e');
    const receiver = client.receiver('orders', 5);
    const [a, b, c, d, e] = receiver.received;
    const said = (received: typeof a, state: DeliveryState): [string | undefined, boolean | undefined] => {
      const answer = receiver.say(received!, state);
      return [conditionOf(answer?.state), answer?.settled];
    };
    assert.deepEqual(said(a, ACCEPTED), ['accepted', true]);
    assert.deepEqual(said(b, RELEASED), ['released', true]);
    assert.deepEqual(said(c, MODIFIED_FAILED), ['modified', true]);
    assert.deepEqual(said(d, { type: 'modified', undeliverableHere: true }), ['modified', true]);
    assert.deepEqual(said(e, { type: 'rejected' }), ['rejected', true]);
    const { active, deferred, deadLetter } = harness.namespace.counts('orders');
    assert.deepEqual({ active, deferred, deadLetter }, { active: 2, deferred: 1, deadLetter: 1 });

    const again = client.receiver('orders', 5);
    assert.deepEqual(
      again.received.map(({ body, message }) => [body, message.header?.deliveryCount]),
      [
        ['b', 0],
        ['c', 1],
      ],
    );
  });

  it('answers a late outcome with message-lock-lost, and touches nothing', () => {
    const { harness, client } = filled('a');
    const receiver = client.receiver('orders', 1);
    const first = receiver.last;
    harness.advance(31_000);
    assert.equal(conditionOf(receiver.say(first, ACCEPTED)?.state), 'rejected com.microsoft:message-lock-lost');
    assert.equal(harness.namespace.counts('orders').active, 1);
    const second = client.receiver('orders', 1).last;
    assert.equal(second.message.header?.deliveryCount, 1);
  });

  it('ignores a late outcome without a word in receiver settle mode first', () => {
    const { harness, client } = filled('a', 'b');
    const receiver = client.receiver('orders', 2, { rcvSettleMode: 0 });
    const [a, b] = receiver.received;
    receiver.settle(a!, ACCEPTED);
    assert.equal(harness.namespace.counts('orders').active, 1);
    harness.advance(31_000);
    receiver.settle(b!, ACCEPTED);
    assert.equal(harness.namespace.counts('orders').active, 1);
    assert.equal(receiver.detached, undefined);
  });

  it('keeps what is settled without an outcome locked until the lock ends', () => {
    const { harness, client } = filled('a');
    const receiver = client.receiver('orders', 1);
    receiver.settle(receiver.last, undefined);
    assert.equal(harness.namespace.counts('orders').locked, 1);
    harness.advance(31_000);
    assert.equal(harness.namespace.counts('orders').locked, 0);
  });

  it('dead-letters with the reasons as application properties', () => {
    const { client } = filled('a', 'b');
    const receiver = client.receiver('orders', 2);
    const [a, b] = receiver.received;
    receiver.say(a!, {
      type: 'rejected',
      error: {
        condition: 'com.microsoft:dead-letter',
        info: new Map<string, AmqpValue>([
          ['DeadLetterReason', 'broken'],
          ['DeadLetterErrorDescription', 'no item'],
          ['extra', 'x'],
        ]),
      },
    });
    receiver.say(b!, { type: 'rejected', error: { condition: 'app:bad', description: 'relayed' } });
    const dead = client.receiver('orders/$DeadLetterQueue', 5);
    assert.deepEqual(
      dead.messages.map(({ applicationProperties }) => Object.fromEntries(applicationProperties ?? [])),
      [
        { DeadLetterReason: 'broken', DeadLetterErrorDescription: 'no item', extra: 'x' },
        { DeadLetterReason: 'app:bad', DeadLetterErrorDescription: 'relayed' },
      ],
    );
  });

  it('dead-letters after so many attempts', () => {
    const { harness, client } = filled('a');
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const receiver = client.receiver('orders', 1);
      receiver.say(receiver.last, { type: 'modified', messageAnnotations: new Map([['try', `${attempt}`]]) });
      receiver.link.detach();
      harness.run();
    }
    const properties = client.receiver('orders/$DeadLetterQueue', 1).last.message.applicationProperties;
    assert.equal(properties?.get('DeadLetterReason'), 'MaxDeliveryCountExceeded');
    assert.equal(properties?.get('try'), '2', 'annotations of modified became properties');
  });

  it('honours credit and drain', () => {
    const { client } = filled('a', 'b');
    const receiver = client.receiver('orders', 1);
    assert.deepEqual(receiver.bodies, ['a']);
    receiver.credit(5);
    assert.deepEqual(receiver.bodies, ['a', 'b']);
    receiver.link.drain();
    receiver.flows = [];
    receiver.credit(0);
    assert.deepEqual(receiver.flows, [{ credit: 0, drain: true }]);
    assert.equal(receiver.link.credit, 0);
  });

  it('serves waiting receivers in turn', () => {
    const { client } = filled();
    const [one, two] = [client.receiver('orders', 2), client.receiver('orders', 2)];
    const sender = client.sender('orders');
    for (const body of ['a', 'b', 'c', 'd']) sender.text(body);
    assert.deepEqual(
      [one.bodies, two.bodies],
      [
        ['a', 'c'],
        ['b', 'd'],
      ],
    );
  });

  it('keeps what a lost link held locked, and lets nothing of it be settled by another', () => {
    const { harness, client } = filled('a');
    client.receiver('orders', 1).link.detach();
    harness.run();
    assert.deepEqual(client.receiver('orders', 1).bodies, []);
    assert.equal(harness.namespace.counts('orders').locked, 1);
    harness.advance(31_000);
    assert.equal(harness.namespace.counts('orders').locked, 1, 'the waiting receiver has it now');
  });

  it('waits for the session window of the receiver, with messages of many frames too', () => {
    const { harness, client } = filled();
    const sender = client.sender('orders');
    const body = new Uint8Array(200_000);
    for (let i = 0; i < 10; i += 1) sender.send({ body: { kind: 'data', sections: [body] } });
    const session = client.connection.session({ incomingWindow: 6 });
    const receiver = client.receiver('orders', 0, { session });
    session.holdWindow();
    receiver.credit(10);
    // Four frames each: one whole message and half of the second.
    assert.equal(receiver.received.length, 1);
    assert.equal(harness.namespace.counts('orders').locked, 2);
    session.releaseWindow();
    harness.run();
    assert.equal(receiver.received.length, 10);
    assert.ok(
      receiver.messages.every(
        (message) => message.body?.kind === 'data' && message.body.sections[0]?.length === 200_000,
      ),
    );
  });

  it('refuses settlements on request, and the lock stays', () => {
    const { harness, client } = filled('a');
    const receiver = client.receiver('orders', 1);
    harness.namespace.faults.refuseSettlements(1);
    assert.equal(conditionOf(receiver.say(receiver.last, ACCEPTED)?.state), 'rejected com.microsoft:server-busy');
    assert.equal(harness.namespace.counts('orders').locked, 1);
  });

  it('is detached on request, and comes back', () => {
    const { harness, client } = filled('a');
    const receiver = client.receiver('orders');
    assert.equal(harness.namespace.faults.detachLinks('Orders'), 2);
    harness.run();
    assert.match(receiver.detached?.description ?? '', /InnerMessageReceiver was closed/);
    assert.deepEqual(client.receiver('orders', 1).bodies, ['a']);
  });

  it('hands the message out with what it does not know left as it was', () => {
    const { harness, client } = filled();
    client.sender('orders').send({
      header: { durable: true, priority: 7 },
      messageAnnotations: new Map<string, AmqpValue>([
        ['x-own', new AmqpSymbol('kept')],
        ['x-opt-locked-until', timestamp(1)],
      ]),
      properties: { messageId: 'm', groupId: 'g', to: 'somewhere', userId: Uint8Array.of(1) },
      applicationProperties: new Map<string, AmqpValue>([['none', null]]),
      body: { kind: 'sequence', sections: [['x', true]] },
      footer: new Map([['f', 'g']]),
    });
    const { message } = client.receiver('orders', 1).last;
    assert.equal(message.header?.priority, 7);
    assert.deepEqual(message.messageAnnotations?.get('x-own'), symbol('kept'));
    assert.notDeepEqual(message.messageAnnotations?.get('x-opt-locked-until'), timestamp(1));
    assert.deepEqual(
      [message.properties?.messageId, message.properties?.groupId, message.properties?.to],
      ['m', 'g', 'somewhere'],
    );
    assert.deepEqual(message.applicationProperties, new Map([['none', null]]));
    assert.deepEqual(message.body, { kind: 'sequence', sections: [['x', true]] });
    assert.deepEqual(message.footer, new Map([['f', 'g']]));
    assert.equal(harness.namespace.counts('orders').locked, 1);
  });
});
