// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  AmqpArray,
  decodeMessage,
  Described,
  encodeMessage,
  int,
  long,
  SECTION,
  sectionsOf,
  symbol,
  timestamp,
  uuid,
  type AmqpValue,
  type Message,
} from '@pointsman/wire';
import { swapGuid } from '../src/guid.js';
import { annotation, conditionOf, Harness, numberIn, sasToken, TIME_ORIGIN, type Client } from './harness.js';

const OPTIONS = { queues: [{ name: 'orders', lockDurationMs: 30_000 }] };

/** Requests to a node, with what they come to. */
function asking(
  client: Client,
  node: string,
): (
  operation: string,
  body: Record<string, AmqpValue>,
) => { status: number; condition: string; body: Map<AmqpValue, AmqpValue> } {
  const send = client.requester(node);
  return (operation, body) => {
    const answer = send(
      { operation: `com.microsoft:${operation}` },
      new Map<AmqpValue, AmqpValue>(Object.entries(body)),
    );
    assert.ok(answer.body?.kind === 'value' && answer.body.value instanceof Map);
    const properties = answer.applicationProperties;
    return {
      status: numberIn(properties?.get('statusCode')),
      condition: String(properties?.get('errorCondition') ?? ''),
      body: answer.body.value,
    };
  };
}

const token = (tag: Uint8Array): AmqpArray => new AmqpArray('uuid', [uuid(swapGuid(tag))]);
const messagesIn = (body: Map<AmqpValue, AmqpValue>): Message[] =>
  (body.get('messages') as AmqpValue[]).map((one) => decodeMessage((one as Map<string, Uint8Array>).get('message')!));

describe('what tests of the official client expect of the cloud', () => {
  it('tells the time to live of an entity to who receives, not to who peeks; that of a message, capped, to both', () => {
    const client = new Harness({ queues: [{ name: 'brief', defaultTtlMs: 60_000 }] }).connect({ user: 'root' });
    const sender = client.sender('brief');
    const body = { kind: 'value', value: 1 } as const;
    sender.send({ body });
    sender.send({ header: { ttl: 3_600_000 }, body });
    const ask = asking(client, 'brief/$management');
    const { body: peeked } = ask('peek-message', { 'from-sequence-number': long(1), 'message-count': int(2) });
    assert.deepEqual(
      messagesIn(peeked).map(({ header }) => header?.ttl),
      [undefined, 60_000],
    );
    const { received } = client.receiver('brief', 2);
    assert.deepEqual(
      received.map(({ message }) => message.header?.ttl),
      [60_000, 60_000],
    );
  });

  it('takes annotations without a value, overwrites its own, and refuses three', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    const sender = client.sender('orders');
    const send = (...names: string[]): string | undefined =>
      conditionOf(
        sender.send({
          body: { kind: 'value', value: 1 },
          messageAnnotations: new Map(names.map((name) => [name, null])),
        }),
      );
    const own = ['x-opt-locked-until', 'x-opt-sequence-number', 'x-opt-enqueued-time'];
    assert.equal(send(...own, 'x-opt-partition-key', 'x-opt-deadletter-source'), 'accepted');
    const { last } = client.receiver('orders', 1);
    for (const name of own) assert.notEqual(annotation(last, name) ?? null, null, name);
    assert.equal(annotation(last, 'x-opt-partition-key'), null);
    for (const name of ['x-opt-scheduled-enqueue-time', 'x-opt-message-state', 'x-opt-enqueue-sequence-number'])
      assert.equal(send(name), 'rejected com.microsoft:argument-error', name);
    assert.equal(send(), 'accepted', 'the link stays');
  });

  it('counts a delivery that ends with deferring, and each one after it', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    const ask = asking(client, 'orders/$management');
    client.sender('orders').text('a');
    const receiver = client.receiver('orders', 1);
    receiver.say(receiver.last, { type: 'modified', undeliverableHere: true });
    const counts = [1, 2].map(() => {
      const { body } = ask('receive-by-sequence-number', { 'sequence-numbers': new AmqpArray('long', [long(1)]) });
      const [message] = messagesIn(body);
      const entry = (body.get('messages') as Map<string, AmqpValue>[])[0]!;
      ask('update-disposition', {
        'disposition-status': 'defered',
        'lock-tokens': new AmqpArray('uuid', [entry.get('lock-token')!]),
      });
      return message?.header?.deliveryCount;
    });
    assert.deepEqual(counts, [1, 2]);
  });

  it('counts nothing in a dead-letter queue, and dead-letters nothing twice: the lock stays', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root' });
    client.sender('orders').text('a');
    const receiver = client.receiver('orders', 1);
    receiver.say(receiver.last, { type: 'rejected' });
    const dead = client.receiver('orders/$DeadLetterQueue', 1);
    const answer = dead.say(dead.last, { type: 'rejected' });
    assert.ok(answer?.state !== undefined && 'type' in answer.state && answer.state.type === 'rejected');
    assert.equal(answer.state.error?.condition, 'amqp:not-allowed');
    const ask = asking(client, 'orders/$DeadLetterQueue/$management');
    const twice = ask('update-disposition', { 'disposition-status': 'suspended', 'lock-tokens': token(dead.last.tag) });
    assert.equal(twice.condition, 'amqp:not-allowed');
    assert.equal(harness.namespace.counts('orders/$DeadLetterQueue').locked, 1);
    dead.credit(1);
    harness.advance(31_000);
    assert.equal(dead.received.length, 2, 'it came again at the end of the lock');
    dead.say(dead.last, { type: 'modified', deliveryFailed: true });
    dead.credit(1);
    assert.equal(dead.received.length, 3);
    assert.equal(dead.last.message.header?.deliveryCount, 0);
  });

  it('takes a footer before the body, and delivers it behind', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    const sections = encodeMessage({
      properties: { messageId: 'm' },
      body: { kind: 'data', sections: [Uint8Array.of(1, 2)] },
      footer: new Map([['x', 'y']]),
    });
    const at = (code: number): Uint8Array => {
      const { start, end } = sectionsOf(sections).find((span) => span.code === code)!;
      return sections.subarray(start, end);
    };
    const early = Buffer.concat([at(SECTION.properties), at(SECTION.footer), at(SECTION.data)]);
    assert.equal(conditionOf(client.sender('orders').send(early)), 'accepted');
    const { message } = client.receiver('orders', 1).last;
    assert.deepEqual(message.footer, new Map([['x', 'y']]));
    assert.deepEqual(message.body, { kind: 'data', sections: [Uint8Array.of(1, 2)] });
  });

  it('takes a time to live beyond 49 days from creation and expiry, and tells it in the same way', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    const days = (count: number): bigint => BigInt(count * 86_400_000);
    const created = BigInt(TIME_ORIGIN) - 5_000n;
    client.sender('orders').send({
      header: { ttl: 0xffff_ffff },
      properties: { creationTime: created, absoluteExpiryTime: created + days(100) },
      body: { kind: 'value', value: 'a' },
    });
    const { header, properties } = client.receiver('orders', 1).last.message;
    assert.equal(header?.ttl, 0xffff_ffff);
    assert.equal(Number(properties?.absoluteExpiryTime) - Number(properties?.creationTime), Number(days(100)));
  });

  it('says of a received message that it was scheduled, and of one that was due at once that it is active', () => {
    const harness = new Harness({ ...OPTIONS, topics: [{ name: 'news', subscriptions: [{ name: 'all' }] }] });
    const client = harness.connect({ user: 'root' });
    for (const entity of ['orders', 'news']) {
      const sender = client.sender(entity);
      for (const delay of [10_000, -10]) {
        const at = timestamp(TIME_ORIGIN + harness.clock.now() + delay);
        sender.send({
          messageAnnotations: new Map([['x-opt-scheduled-enqueue-time', at]]),
          body: { kind: 'value', value: delay },
        });
      }
    }
    harness.advance(11_000);
    for (const address of ['orders', 'news/Subscriptions/all']) {
      const receiver = client.receiver(address, 2);
      assert.deepEqual(
        receiver.messages.map(({ messageAnnotations }) => messageAnnotations?.get('x-opt-message-state')),
        [undefined, int(2)],
        address,
      );
    }
  });

  it('peeks without bodies where it is asked to', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    client.sender('orders').send({
      applicationProperties: new Map([['a', 'b']]),
      body: { kind: 'data', sections: [Uint8Array.of(1), Uint8Array.of(2)] },
    });
    const ask = asking(client, 'orders/$management');
    const peek = (isBodyless: boolean): Message =>
      messagesIn(
        ask('peek-message', {
          'from-sequence-number': long(0),
          'message-count': int(1),
          'omit-message-body': isBodyless,
        }).body,
      )[0]!;
    assert.equal(peek(true).body, undefined);
    assert.deepEqual(peek(true).applicationProperties, new Map([['a', 'b']]));
    assert.notEqual(peek(false).body, undefined);
  });

  it('settles on $management what names a session, where the entity has none', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    client.sender('orders').send({ properties: { groupId: 's' }, body: { kind: 'value', value: 'a' } });
    const receiver = client.receiver('orders', 1);
    const ask = asking(client, 'orders/$management');
    const { status } = ask('update-disposition', {
      'disposition-status': 'completed',
      'lock-tokens': token(receiver.last.tag),
      'session-id': 's',
    });
    assert.equal(status, 200);
  });

  it('lists rules by name, and those of a subscription that was made anew at the node of the old one', () => {
    const harness = new Harness({ topics: [{ name: 'news', subscriptions: [{ name: 'all' }] }] });
    const client = harness.connect({ user: 'root' });
    const names = (ask: ReturnType<typeof asking>): AmqpValue[] =>
      (ask('enumerate-rules', { skip: int(0), top: int(9) }).body.get('rules') as AmqpValue[]).map((entry) => {
        const described = (entry as Map<string, { value: AmqpValue[] }>).get('rule-description');
        return described?.value[2] ?? null;
      });
    const first = asking(client, 'news/Subscriptions/all/$management');
    for (const name of ['b', 'A', 'c']) {
      const rule = new Map<AmqpValue, AmqpValue>([
        ['sql-filter', new Map<AmqpValue, AmqpValue>([['expression', 'x = 1']])],
        ['sql-rule-action', null],
      ]);
      assert.equal(first('add-rule', { 'rule-name': name, 'rule-description': rule }).status, 200);
    }
    assert.deepEqual(names(first), ['$Default', 'A', 'b', 'c']);
    harness.namespace.remove('news/Subscriptions/all');
    harness.run();
    harness.namespace.broker.createSubscription('news', { name: 'all' });
    assert.deepEqual(names(asking(client, 'news/Subscriptions/all/$management')), ['$Default']);
  });

  it('looks at the token that a request about an event hub brings, whatever the connection may do', () => {
    const harness = new Harness({ eventHubs: [{ name: 'telemetry' }, { name: 'other' }] });
    const request = harness.connect({ user: 'root' }).requester('$management');
    const status = (token?: string): number => {
      const properties = { operation: 'READ', type: 'com.microsoft:eventhub', name: 'telemetry' };
      const answer = request(token === undefined ? properties : { ...properties, security_token: token }, null);
      return numberIn(answer.applicationProperties?.get('status-code'));
    };
    const hub = 'sb://example.servicebus.windows.net/telemetry';
    const later = TIME_ORIGIN / 1000 + 60;
    assert.equal(status(), 200);
    assert.equal(status(sasToken(hub, 'listener', 'listener-key', later)), 200);
    assert.equal(status(sasToken(hub, 'listener', 'wrong', later)), 401);
    assert.equal(status(sasToken(hub, 'listener', 'listener-key', TIME_ORIGIN / 1000)), 401);
    assert.equal(status(sasToken(hub.replace('telemetry', 'other'), 'listener', 'listener-key', later)), 401);
    assert.equal(status('nonsense'), 401);
  });

  it('rejects an event that is too large, and goes on with the link', () => {
    const client = new Harness({ eventHubs: [{ name: 'telemetry' }] }).connect({ user: 'root' });
    const sender = client.sender('telemetry/Partitions/0');
    const outcome = sender.send({ body: { kind: 'data', sections: [new Uint8Array(1_300_000)] } });
    assert.equal(conditionOf(outcome), 'rejected amqp:link:message-size-exceeded');
    assert.equal(conditionOf(sender.text('small')), 'accepted');
    assert.equal(sender.detached, undefined);
  });

  it('reads a partition from behind the time that it tells of its newest event, which is in whole milliseconds', () => {
    const harness = new Harness({ eventHubs: [{ name: 'telemetry', partitions: 1 }] });
    const client = harness.connect({ user: 'root' });
    const request = client.requester('$management');
    const send = client.sender('telemetry/Partitions/0');
    for (const fraction of [0.2, 0.5, 0.9]) {
      harness.clock.advance(10 + fraction);
      send.text('a');
      const told = request(
        { operation: 'READ', type: 'com.microsoft:partition', name: 'telemetry', partition: '0' },
        null,
      );
      assert.ok(told.body?.kind === 'value' && told.body.value instanceof Map);
      const at = numberIn(told.body.value.get('last_enqueued_time_utc'));
      const from = (operator: string): number => {
        const reader = client.receiver('telemetry/ConsumerGroups/$Default/Partitions/0', 9, {
          source: {
            type: 'source',
            address: 'telemetry/ConsumerGroups/$Default/Partitions/0',
            filter: new Map([
              [
                symbol('apache.org:selector-filter:string'),
                new Described(
                  symbol('apache.org:selector-filter:string'),
                  `amqp.annotation.x-opt-enqueued-time ${operator} '${at}'`,
                ),
              ],
            ]),
          },
        });
        reader.link.detach();
        harness.run();
        return reader.received.length;
      };
      assert.deepEqual([from('>'), from('>=')], [0, 1], String(fraction));
    }
  });
});
