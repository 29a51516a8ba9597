// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Described, encodeMessage, timestamp, ulong, type AmqpValue, type Message } from '@pointsman/wire';
import { conditionOf, Harness, TIME_ORIGIN, type Received } from './harness.js';

/** A message with so many application properties of so many characters. */
function propertied(count: number, length: number, more: Message = {}): Message {
  const properties = Array.from({ length: count }, (_, i): [string, AmqpValue] => [`p${i}`, 'x'.repeat(length)]);
  return { ...more, applicationProperties: new Map(properties), body: { kind: 'value', value: 'v' } };
}

const reasonOf = ({ message }: Received): AmqpValue | undefined =>
  message.applicationProperties?.get('DeadLetterReason');

describe('the properties of a message', () => {
  it('have 64 KiB together, with its header and annotations; the body is apart', () => {
    const harness = new Harness();
    const sender = harness.connect({ user: 'root' }).sender('orders');
    assert.equal(conditionOf(sender.send(propertied(60, 1_000))), 'accepted');
    const refused = sender.send(propertied(66, 1_000));
    assert.equal(conditionOf(refused), 'rejected amqp:link:message-size-exceeded');
    assert.match(JSON.stringify(refused), /The size quota for this stream \(65536\) has been exceeded/);
    const annotations = new Map([['x-opt-own', 'x'.repeat(10_000)]]);
    const annotated = sender.send(propertied(60, 1_000, { messageAnnotations: annotations }));
    assert.equal(conditionOf(annotated), 'rejected amqp:link:message-size-exceeded');
    assert.equal(conditionOf(sender.text('x'.repeat(200_000))), 'accepted');
    assert.equal(sender.detached, undefined, 'the link stays');
    assert.equal(harness.namespace.counts('orders').active, 2);
  });

  it('have 32 KiB each, in bytes', () => {
    const sender = new Harness().connect({ user: 'root' }).sender('orders');
    const one = (value: AmqpValue): string | undefined =>
      conditionOf(sender.send({ applicationProperties: new Map([['p', value]]) }));
    assert.equal(one('x'.repeat(32_768)), 'accepted');
    assert.equal(one('x'.repeat(32_769)), 'rejected amqp:internal-error');
    assert.equal(one('é'.repeat(16_385)), 'rejected amqp:internal-error');
    assert.equal(one(new Uint8Array(32_769)), 'rejected amqp:internal-error');
  });

  it('are looked at in each message of a batch, and in what is scheduled', () => {
    const harness = new Harness();
    const client = harness.connect({ user: 'root' });
    const inner = [propertied(1, 1), propertied(66, 1_000)].map((message) => encodeMessage(message));
    const outcome = client.sender('orders').send({ body: { kind: 'data', sections: inner } }, { format: 0x8001_3700 });
    assert.equal(conditionOf(outcome), 'rejected amqp:link:message-size-exceeded');
    const due = { messageAnnotations: new Map([['x-opt-scheduled-enqueue-time', timestamp(TIME_ORIGIN + 60_000)]]) };
    const message = encodeMessage(propertied(66, 1_000, due));
    const answer = client.requester('orders/$management')(
      { operation: 'com.microsoft:schedule-message' },
      new Map<AmqpValue, AmqpValue>([['messages', [new Map<AmqpValue, AmqpValue>([['message', message]])]]]),
    );
    assert.equal(answer.applicationProperties?.get('errorCondition')?.toString(), 'amqp:link:message-size-exceeded');
    assert.equal(harness.namespace.counts('orders').active + harness.namespace.counts('orders').scheduled, 0);
  });

  it('send a message to the dead-letter queue where an action makes them too large', () => {
    const action = `SET a = p0; SET b = p0; SET c = p0`;
    const harness = new Harness({
      topics: [{ name: 'news', subscriptions: [{ name: 'all', rules: [{ name: 'copy', action }] }] }],
    });
    const client = harness.connect({ user: 'root' });
    assert.equal(conditionOf(client.sender('news').send(propertied(1, 20_000))), 'accepted');
    const dead = client.receiver('news/Subscriptions/all/$DeadLetterQueue', 2);
    assert.equal(reasonOf(dead.last), 'HeaderSizeExceeded');
    assert.equal(dead.last.message.applicationProperties?.get('a'), undefined, 'as it was sent');
    assert.equal(harness.namespace.counts('news/Subscriptions/all').active, 0);
  });

  it('send it there where its receiver dead-letters it with more than it can have', () => {
    const harness = new Harness();
    const client = harness.connect({ user: 'root' });
    client.sender('orders').send(propertied(60, 1_000));
    const receiver = client.receiver('orders', 1);
    const info = new Map([['why', 'x'.repeat(10_000)]]);
    const answer = receiver.say(receiver.last, {
      type: 'rejected',
      error: { condition: 'com.microsoft:dead-letter', info },
    });
    assert.equal(answer?.settled, true);
    const dead = client.receiver('orders/$DeadLetterQueue', 1);
    assert.equal(reasonOf(dead.last), 'HeaderSizeExceeded');
    assert.equal(dead.last.message.applicationProperties?.get('why'), undefined);
  });

  it('are checked when a settlement joins a transaction, which could not be kept otherwise', () => {
    const harness = new Harness();
    const client = harness.connect({ user: 'root' });
    client.sender('orders').send(propertied(60, 1_000));
    const receiver = client.receiver('orders', 1);
    const coordinator = client.sender(undefined, { target: { type: 'coordinator' } });
    const control = (code: number, fields: AmqpValue[]): ReturnType<typeof coordinator.send> =>
      coordinator.send({ body: { kind: 'value', value: new Described(ulong(code), fields) } });
    const declared = control(0x31, [null]);
    assert.ok(declared !== undefined && 'type' in declared && declared.type === 'declared');
    const { txnId } = declared;
    const within = (length: number): Parameters<typeof receiver.say>[1] => ({
      type: 'transactional-state',
      txnId,
      outcome: { type: 'modified', messageAnnotations: new Map([['more', 'x'.repeat(length)]]) },
    });
    const refused = receiver.say(receiver.last, within(10_000))?.state;
    assert.equal(conditionOf(refused), 'rejected com.microsoft:argument-error');
    assert.equal(conditionOf(control(0x32, [txnId, false])), 'accepted');
    assert.equal(harness.namespace.counts('orders').locked, 1);
  });
});
