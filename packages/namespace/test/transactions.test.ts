// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, RELEASED } from '@pointsman/engine';
import {
  AmqpArray,
  decodeMessage,
  Described,
  encodeMessage,
  int,
  long,
  symbol,
  timestamp,
  ulong,
  uuid,
  type AmqpValue,
  type DeliveryState,
} from '@pointsman/wire';
import { swapGuid } from '../src/guid.js';
import { conditionOf, Harness, numberIn, TIME_ORIGIN, type Client, type TestSender } from './harness.js';

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

/** A client that asks on `$management` of an entity, within a transaction where one is given. */
function asker(
  client: Client,
  path: string,
): (operation: string, body: Record<string, AmqpValue>, id?: Uint8Array) => { status: number; numbers: number[] } {
  const answers = client.receiver(`${path}/$management`, 10, { target: { type: 'target', address: 'replies' } });
  const requests = client.sender(`${path}/$management`);
  return (operation, body, id) => {
    const state = requests.send(
      {
        properties: { messageId: 1, replyTo: 'replies' },
        applicationProperties: new Map([['operation', `com.microsoft:${operation}`]]),
        body: { kind: 'value', value: new Map(Object.entries(body)) },
      },
      id === undefined ? {} : { state: within(id) },
    );
    assert.equal(conditionOf(state), id === undefined ? 'accepted' : 'transactional-state');
    const { applicationProperties, body: answer } = answers.last.message;
    const list =
      answer?.kind === 'value' && answer.value instanceof Map ? answer.value.get('sequence-numbers') : undefined;
    return {
      status: numberIn(applicationProperties?.get('statusCode')),
      numbers: list instanceof AmqpArray ? list.values.map(numberIn) : [],
    };
  };
}

/** Messages to be scheduled in a minute; each has its body as its id. */
const later = (...bodies: string[]): Record<string, AmqpValue> => ({
  messages: bodies.map(
    (value) =>
      new Map<AmqpValue, AmqpValue>([
        [
          'message',
          encodeMessage({
            messageAnnotations: new Map([['x-opt-scheduled-enqueue-time', timestamp(TIME_ORIGIN + 61_000)]]),
            properties: { messageId: value },
            body: { kind: 'value', value },
          }),
        ],
      ]),
  ),
});

const numbers = (...sequences: number[]): Record<string, AmqpValue> => ({
  'sequence-numbers': new AmqpArray(
    'long',
    sequences.map((sequence) => long(sequence)),
  ),
});

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

  it('settle by lock token, all or none of a request; what only looks is not part of one', () => {
    const { harness, client, coordinator } = prepared();
    const sender = client.sender('orders');
    for (const body of ['a', 'b', 'c']) sender.text(body);
    const tokens = client.receiver('orders', 3).received.map(({ tag }) => uuid(swapGuid(tag)));
    const asked = asker(client, 'orders');
    const ask = (operation: string, body: Record<string, AmqpValue>, id: Uint8Array): number =>
      asked(operation, body, id).status;
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

  it('schedule at the commit, under numbers that are told at once', () => {
    const { harness, client, coordinator } = prepared();
    const ask = asker(client, 'orders');
    const [kept, dropped] = [coordinator.declare(), coordinator.declare()];
    const undone = ask('schedule-message', later('never'), dropped);
    const done = ask('schedule-message', later('a', 'b'), kept);
    assert.deepEqual([undone.numbers, done.numbers], [[1], [2, 3]]);
    client.sender('orders').text('between');
    assert.equal(
      ask('cancel-scheduled-message', numbers(2), kept).status,
      404,
      'nothing is scheduled before the commit',
    );
    assert.equal(harness.namespace.counts('orders').scheduled, 0);
    assert.equal(coordinator.discharge(dropped, true), 'accepted');
    assert.equal(coordinator.discharge(kept), 'accepted');
    assert.equal(harness.namespace.counts('orders').scheduled, 2);
    const peeked = harness.connect({ user: 'root' }).requester('orders/$management')(
      { operation: 'com.microsoft:peek-message' },
      new Map<AmqpValue, AmqpValue>([
        ['from-sequence-number', long(1)],
        ['message-count', int(10)],
      ]),
    );
    const list = (peeked.body as unknown as { value: Map<string, Map<string, Uint8Array>[]> }).value.get('messages')!;
    const sequences = list.map((entry) =>
      numberIn(decodeMessage(entry.get('message')!).messageAnnotations?.get('x-opt-sequence-number')),
    );
    assert.deepEqual(sequences, [2, 3, 4], 'in the order of their numbers, whenever they came');
    harness.advance(60_100);
    assert.deepEqual(client.receiver('orders', 10).bodies, ['between', 'a', 'b']);
  });

  it('cancel at the commit, all or none', () => {
    const { harness, client, coordinator } = prepared();
    const ask = asker(client, 'orders');
    const [a, b, c] = ask('schedule-message', later('a', 'b', 'c')).numbers;
    const id = coordinator.declare();
    assert.equal(ask('cancel-scheduled-message', numbers(a!, b!), id).status, 200);
    assert.equal(ask('cancel-scheduled-message', numbers(c!, 77), id).status, 404);
    assert.equal(harness.namespace.counts('orders').scheduled, 3);
    const other = coordinator.declare();
    assert.equal(ask('cancel-scheduled-message', numbers(b!, c!), other).status, 200);
    assert.equal(coordinator.discharge(id), 'accepted');
    assert.equal(harness.namespace.counts('orders').scheduled, 1);
    assert.equal(coordinator.discharge(other), 'rejected amqp:transaction:rollback', 'b is cancelled already');
    harness.advance(60_100);
    assert.deepEqual(client.receiver('orders', 10).bodies, ['c']);
  });

  it('count the messages of batches and of requests', () => {
    const { client, coordinator } = prepared();
    const ask = asker(client, 'orders');
    const id = coordinator.declare();
    const many = Array.from({ length: 60 }, (_, i) => `m${i}`);
    assert.equal(ask('schedule-message', later(...many), id).status, 200);
    assert.equal(ask('schedule-message', later(...many), id).status, 403);
    assert.equal(ask('schedule-message', later(...many.slice(20)), id).status, 200);
  });

  it('drop a duplicate of what was sent or scheduled before, or within them', () => {
    const harness = new Harness({ queues: [{ name: 'orders', requiresDuplicateDetection: true }] });
    const client = harness.connect({ user: 'root' });
    const [coordinator, ask] = [new Coordinator(client), asker(client, 'orders')];
    client.sender('orders').send({ properties: { messageId: 'a' }, body: { kind: 'value', value: 'a' } });
    const [dropped, kept] = [coordinator.declare(), coordinator.declare()];
    ask('schedule-message', later('b'), dropped);
    coordinator.discharge(dropped, true);
    const { numbers: given } = ask('schedule-message', later('a', 'b', 'b', 'c'), kept);
    assert.deepEqual(
      given.map((number) => number > 0),
      [false, true, false, true],
      'what was rolled back was never there',
    );
    assert.equal(ask('schedule-message', later('c')).numbers[0]! > 0, true);
    assert.equal(coordinator.discharge(kept), 'accepted');
    assert.equal(harness.namespace.counts('orders').scheduled, 2);
  });

  it('renew locks at once: of that nothing can be undone', () => {
    const { harness, client, coordinator } = prepared();
    client.sender('orders').text('a');
    const receiver = client.receiver('orders', 1);
    const token = uuid(swapGuid(receiver.last.tag));
    const id = coordinator.declare();
    harness.advance(20_000);
    const tokens = { 'lock-tokens': new AmqpArray('uuid', [token]) };
    assert.equal(asker(client, 'orders')('renew-lock', tokens, id).status, 200);
    coordinator.discharge(id, true);
    harness.advance(20_000);
    assert.equal(harness.namespace.counts('orders').locked, 1);
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
