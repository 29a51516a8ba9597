// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, RELEASED } from '@pointsman/engine';
import {
  AmqpArray,
  Described,
  int,
  long,
  symbol,
  ulong,
  uuid,
  type AmqpValue,
  type DeliveryState,
} from '@pointsman/wire';
import { swapGuid } from '../src/guid.js';
import { conditionOf, Harness, numberIn, type Client, type TestSender } from './harness.js';

const OPTIONS = {
  queues: [{ name: 'orders', lockDurationMs: 30_000 }, { name: 'other' }, { name: 'tiny', maxSizeBytes: 200 }],
};

/** The client's end of a coordinator. */
class Coordinator {
  readonly sender: TestSender;

  constructor(client: Client) {
    this.sender = client.sender(undefined, { target: { type: 'coordinator' } });
  }

  say(descriptor: AmqpValue, fields: AmqpValue[]): DeliveryState | undefined {
    return this.sender.send({ body: { kind: 'value', value: new Described(descriptor, fields) } });
  }

  declare(descriptor: AmqpValue = ulong(0x31)): Uint8Array {
    const state = this.say(descriptor, []);
    assert.ok(state !== undefined && 'type' in state && state.type === 'declared', JSON.stringify(state));
    return state.txnId;
  }

  discharge(id: Uint8Array, fail = false): string | undefined {
    return conditionOf(this.say(ulong(0x32), [id, fail]));
  }
}

const within = (txnId: Uint8Array, outcome?: DeliveryState): DeliveryState => ({
  type: 'transactional-state',
  txnId,
  outcome,
});

const sent = (sender: TestSender, body: string, txnId: Uint8Array): DeliveryState | undefined =>
  sender.send({ body: { kind: 'value', value: body } }, { state: within(txnId) });

function prepared(): { harness: Harness; client: Client; coordinator: Coordinator } {
  const harness = new Harness(OPTIONS);
  const client = harness.connect({ user: 'root' });
  return { harness, client, coordinator: new Coordinator(client) };
}

describe('transactions', () => {
  it('send at the commit, and are provisional until then', () => {
    const { harness, client, coordinator } = prepared();
    const sender = client.sender('orders');
    const id = coordinator.declare();
    const state = sent(sender, 'a', id);
    assert.deepEqual(state, { type: 'transactional-state', txnId: id, outcome: { type: 'accepted' } });
    sent(sender, 'b', id);
    assert.equal(harness.namespace.counts('orders').active, 0);
    assert.equal(coordinator.discharge(id), 'accepted');
    assert.equal(harness.namespace.counts('orders').active, 2);
    assert.equal(coordinator.discharge(id), 'rejected amqp:transaction:unknown-id');
  });

  it('leave nothing behind when they are rolled back, or their coordinator goes', () => {
    const { harness, client, coordinator } = prepared();
    const sender = client.sender('orders');
    const [first, second] = [coordinator.declare(), coordinator.declare(symbol('amqp:declare:list'))];
    sent(sender, 'a', first);
    sent(sender, 'b', second);
    assert.equal(coordinator.discharge(first, true), 'accepted');
    coordinator.sender.link.detach();
    harness.run();
    assert.equal(harness.namespace.counts('orders').active, 0);
    const again = new Coordinator(client);
    assert.equal(again.discharge(second), 'rejected amqp:transaction:unknown-id');
    assert.equal(conditionOf(sent(sender, 'c', second)), 'rejected amqp:transaction:unknown-id');
  });

  it('settle at the commit; a message that is rolled back stays locked', () => {
    const { harness, client, coordinator } = prepared();
    const sender = client.sender('orders');
    sender.text('a');
    sender.text('b');
    const receiver = client.receiver('orders', 2);
    const [a, b] = receiver.received;
    const id = coordinator.declare();
    const answer = receiver.say(a!, within(id, ACCEPTED));
    assert.deepEqual(answer, { settled: true, state: within(id, { type: 'accepted' }) });
    assert.equal(harness.namespace.counts('orders').locked, 2);
    sent(sender, 'c', id);
    assert.equal(coordinator.discharge(id), 'accepted');
    assert.deepEqual(harness.namespace.counts('orders').active, 2);
    const other = coordinator.declare();
    receiver.say(b!, within(other, RELEASED));
    coordinator.discharge(other, true);
    assert.equal(harness.namespace.counts('orders').locked, 1);
    harness.advance(31_000);
    assert.equal(harness.namespace.counts('orders').locked, 0);
  });

  it('are rolled back as a whole where one part cannot be done at the commit', () => {
    const { harness, client, coordinator } = prepared();
    const sender = client.sender('orders');
    sender.text('a');
    const receiver = client.receiver('orders', 1);
    const id = coordinator.declare();
    receiver.say(receiver.last, within(id, ACCEPTED));
    sent(sender, 'b', id);
    harness.advance(30_100);
    assert.equal(coordinator.discharge(id), 'rejected amqp:transaction:rollback');
    assert.equal(harness.namespace.counts('orders').active, 1);
  });

  it('end two minutes after their first operation', () => {
    const { harness, client, coordinator } = prepared();
    const sender = client.sender('orders');
    const id = coordinator.declare();
    harness.advance(200_000);
    assert.equal(conditionOf(sent(sender, 'first', id)), 'transactional-state');
    harness.advance(119_000);
    assert.equal(conditionOf(sent(sender, 'second', id)), 'transactional-state');
    harness.advance(1_100);
    assert.equal(conditionOf(sent(sender, 'late', id)), 'rejected amqp:transaction:timeout');
    assert.equal(coordinator.discharge(id), 'rejected amqp:transaction:timeout');
  });

  it('settle on one entity, the first, and send by way of it', () => {
    const { harness, client, coordinator } = prepared();
    for (const path of ['orders', 'other']) client.sender(path).text('a');
    const [orders, other] = [client.receiver('orders', 1), client.receiver('other', 1)];
    const via = client.sender('orders', {
      properties: new Map([['com.microsoft:transfer-destination-address', 'other']]),
    });
    const id = coordinator.declare();
    orders.say(orders.last, within(id, ACCEPTED));
    sent(via, 'b', id);
    assert.equal(conditionOf(other.say(other.last, within(id, ACCEPTED))?.state), 'rejected amqp:not-allowed');
    assert.equal(coordinator.discharge(id), 'accepted');
    assert.equal(harness.namespace.counts('orders').active, 0);
    assert.equal(harness.namespace.counts('other').active, 2);
  });

  it('settle by lock token, all or none of a request; nothing else on $management is part of one', () => {
    const { harness, client, coordinator } = prepared();
    const sender = client.sender('orders');
    for (const body of ['a', 'b', 'c']) sender.text(body);
    const tokens = client.receiver('orders', 3).received.map(({ tag }) => uuid(swapGuid(tag)));
    const answers = client.receiver('orders/$management', 10, { target: { type: 'target', address: 'replies' } });
    const requests = client.sender('orders/$management');
    const ask = (operation: string, body: Record<string, AmqpValue>, id: Uint8Array): number => {
      const state = requests.send(
        {
          properties: { messageId: 1, replyTo: 'replies' },
          applicationProperties: new Map([['operation', `com.microsoft:${operation}`]]),
          body: { kind: 'value', value: new Map(Object.entries(body)) },
        },
        { state: within(id) },
      );
      assert.equal(conditionOf(state), 'transactional-state');
      return numberIn(answers.last.message.applicationProperties?.get('statusCode'));
    };
    const settle = (id: Uint8Array, ...which: AmqpValue[]): number =>
      ask('update-disposition', { 'disposition-status': 'completed', 'lock-tokens': new AmqpArray('uuid', which) }, id);
    const id = coordinator.declare();
    assert.equal(settle(id, tokens[0]!, uuid(new Uint8Array(16))), 410);
    assert.equal(settle(id, tokens[0]!, tokens[1]!), 200, 'the first was not kept');
    assert.equal(ask('peek-message', { 'from-sequence-number': long(1), 'message-count': int(1) }, id), 501);
    assert.equal(settle(Uint8Array.of(1), tokens[2]!), 400);
    assert.equal(harness.namespace.counts('orders').active, 3);
    assert.equal(coordinator.discharge(id), 'accepted');
    assert.equal(harness.namespace.counts('orders').active, 1);
  });

  it('leave what a disabled destination does not take with the entity that it goes by way of', () => {
    const { harness, client, coordinator } = prepared();
    const via = client.sender('orders', {
      properties: new Map([['com.microsoft:transfer-destination-address', 'other']]),
    });
    const id = coordinator.declare();
    sent(via, 'a', id);
    harness.namespace.setStatus('other', 'SendDisabled');
    assert.equal(coordinator.discharge(id), 'accepted');
    const left = client.receiver('orders/$Transfer/$DeadLetterQueue', 5);
    assert.deepEqual(left.bodies, ['a']);
    assert.equal(left.last.message.applicationProperties?.get('DeadLetterReason'), 'com.microsoft:entity-disabled');
    const direct = client.sender('orders');
    const second = coordinator.declare();
    sent(direct, 'b', second);
    harness.namespace.setStatus('orders', 'SendDisabled');
    assert.equal(coordinator.discharge(second), 'rejected amqp:transaction:rollback');
  });

  it('send by way of another entity where they may send to both, and both are there', () => {
    const harness = new Harness({
      queues: [
        { name: 'orders' },
        { name: 'other', policies: [{ name: 'root', key: 'root-key', rights: ['Listen'] }] },
      ],
      policies: [
        { name: 'weak', key: 'weak-key', rights: ['Listen'] },
        { name: 'root', key: 'root-key', rights: ['Manage'] },
      ],
    });
    const client = harness.connect({ user: 'root' });
    const to = (path: string): string | undefined =>
      client.sender('orders', { properties: new Map([['com.microsoft:transfer-destination-address', path]]) }).detached
        ?.condition;
    assert.equal(to('other'), undefined);
    assert.equal(to('nowhere'), 'amqp:not-found');
    assert.equal(to('orders/$DeadLetterQueue'), 'amqp:not-found');
  });

  it('refuse at once what could not be done', () => {
    const { client, coordinator } = prepared();
    const id = coordinator.declare();
    const tiny = client.sender('tiny');
    assert.equal(conditionOf(sent(tiny, 'x'.repeat(300), id)), 'rejected amqp:resource-limit-exceeded');
    const sender = client.sender('orders');
    for (let i = 0; i < 100; i += 1) sent(sender, 'x', id);
    assert.equal(conditionOf(sent(sender, 'one too many', id)), 'rejected amqp:resource-limit-exceeded');
  });

  it('keep no more than a bounded number of bytes', () => {
    const { client, coordinator } = prepared();
    const sender = client.sender('orders');
    const large = 'x'.repeat(250_000);
    const ids = [coordinator.declare(), coordinator.declare(), coordinator.declare()];
    const outcomes = new Set<string | undefined>();
    for (let i = 0; i < 270; i += 1) outcomes.add(conditionOf(sent(sender, large, ids[i % 3]!)));
    assert.deepEqual([...outcomes], ['transactional-state', 'rejected amqp:resource-limit-exceeded']);
    coordinator.discharge(ids[0]!, true);
    assert.equal(conditionOf(sent(sender, large, ids[1]!)), 'transactional-state', 'there is room again');
  });

  it('have one coordinator on a connection, and none without credentials', () => {
    const { harness, client, coordinator } = prepared();
    assert.equal(new Coordinator(client).sender.detached?.condition, 'amqp:not-allowed');
    assert.equal(coordinator.sender.detached, undefined);
    const anonymous = new Coordinator(harness.connect());
    assert.equal(anonymous.sender.detached?.condition, 'amqp:unauthorized-access');
  });

  it('meet what is neither declare nor discharge with an error', () => {
    const { coordinator } = prepared();
    assert.equal(conditionOf(coordinator.sender.text('x')), 'rejected amqp:not-implemented');
    assert.equal(conditionOf(coordinator.say(ulong(0x32), ['text'])), 'rejected amqp:not-implemented');
    assert.equal(conditionOf(coordinator.sender.send(Uint8Array.of(1, 2))), 'rejected amqp:decode-error');
    assert.equal(coordinator.discharge(Uint8Array.of(1)), 'rejected amqp:transaction:unknown-id');
  });
});
