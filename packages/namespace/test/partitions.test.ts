// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
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
  type AmqpValue,
  type DeliveryState,
  type Message,
} from '@pointsman/wire';
import { MessageQueue } from '../src/message-queue.js';
import { partitionOfKey, partitionOfSequence } from '../src/partitions.js';
import type { Lock, StoredMessage } from '../src/stored-message.js';
import { contentOf } from './broker-scenarios.js';
import { annotation, conditionOf, Harness, numberIn, TIME_ORIGIN, type Client, type TestSender } from './harness.js';
import { seededRandom, VirtualClock } from './virtual-clock.js';

const OPTIONS = {
  queues: [
    { name: 'wide', enablePartitioning: true },
    { name: 'once', enablePartitioning: true, requiresDuplicateDetection: true },
    { name: 'steps', enablePartitioning: true, requiresSession: true },
    { name: 'plain' },
    { name: 'on', forwardTo: 'wide' },
  ],
  topics: [{ name: 'news', enablePartitioning: true, subscriptions: [{ name: 'a' }, { name: 'b' }] }],
};

const body = (value: string): Message => ({ body: { kind: 'value', value } });
const keyed = (value: string, key: string): Message => ({
  ...body(value),
  messageAnnotations: new Map([['x-opt-partition-key', key]]),
});

function prepared(): { harness: Harness; client: Client } {
  const harness = new Harness(OPTIONS);
  return { harness, client: harness.connect({ user: 'root' }) };
}

const batch = (sender: TestSender, ...messages: Message[]): string | undefined =>
  conditionOf(
    sender.send(
      { body: { kind: 'data', sections: messages.map((message) => encodeMessage(message)) } },
      { format: 0x8001_3700 },
    ),
  );

function peeker(client: Client, path: string, session?: string): (from: number | bigint, count: number) => number[] {
  const ask = client.requester(`${path}/$management`);
  return (from, count) => {
    const answer = ask(
      { operation: 'com.microsoft:peek-message' },
      new Map<AmqpValue, AmqpValue>([
        ['from-sequence-number', long(BigInt(from))],
        ['message-count', int(count)],
        ...(session === undefined ? [] : [['session-id', session] as [AmqpValue, AmqpValue]]),
      ]),
    );
    const found = answer.body?.kind === 'value' && answer.body.value instanceof Map ? answer.body.value : new Map();
    return ((found.get('messages') ?? []) as Map<string, Uint8Array>[]).map((entry) =>
      numberIn(decodeMessage(entry.get('message')!).messageAnnotations?.get('x-opt-sequence-number')),
    );
  };
}

describe('an entity with partitions', () => {
  it('has the partition in the upper bits of sequence numbers, which count from 1 in each', () => {
    const { client } = prepared();
    const sender = client.sender('wide');
    for (let i = 0; i < 32; i += 1) sender.text(`m${i}`);
    const { received } = client.receiver('wide', 32);
    const sequences = received.map((one) => BigInt(numberIn(annotation(one, 'x-opt-sequence-number'))));
    assert.deepEqual(new Set(sequences.map((sequence) => sequence & 0xffff_ffff_ffffn)), new Set([1n, 2n]));
    assert.equal(new Set(sequences.map((sequence) => sequence >> 48n)).size, 16, 'without a key each takes its turn');
    for (const [at, one] of received.entries())
      assert.equal(BigInt(numberIn(annotation(one, 'x-opt-partition-id'))), sequences[at]! >> 48n);
    const plain = client.sender('plain');
    plain.text('x');
    assert.equal(annotation(client.receiver('plain', 1).last, 'x-opt-partition-id'), undefined);
  });

  it('puts what has the same key into the same partition, in order; a key is a session, a partition key, or an id', () => {
    const { client } = prepared();
    const wide = client.sender('wide');
    for (let i = 0; i < 6; i += 1) wide.send(keyed(`k${i}`, i % 2 === 0 ? 'even' : 'odd'));
    const receiver = client.receiver('wide', 6);
    const bodies = receiver.bodies as string[];
    const [even, odd] = [0, 1].map((rest) => bodies.filter((text) => Number(text.slice(1)) % 2 === rest));
    assert.deepEqual(
      [even, odd],
      [
        ['k0', 'k2', 'k4'],
        ['k1', 'k3', 'k5'],
      ],
    );
    assert.equal(new Set(receiver.received.map((one) => numberIn(annotation(one, 'x-opt-partition-id')))).size, 2);

    const once = client.sender('once');
    for (const messageId of ['a', 'b', 'a']) once.send({ ...body('x'), properties: { messageId } });
    const partitions = client
      .receiver('once', 3)
      .received.map((one) => numberIn(annotation(one, 'x-opt-partition-id')));
    assert.deepEqual(partitions.toSorted(), [partitionOfKey('a'), partitionOfKey('b')].toSorted());

    const steps = client.sender('steps');
    for (let i = 0; i < 3; i += 1) steps.send({ ...body(`s${i}`), properties: { groupId: 'one' } });
    const filter = new Map<AmqpValue, AmqpValue>([[symbol('com.microsoft:session-filter'), 'one']]);
    const session = client.receiver('steps', 3, { source: { type: 'source', address: 'steps', filter } });
    assert.deepEqual(session.bodies, ['s0', 's1', 's2']);
    const [first] = session.received;
    assert.equal(numberIn(annotation(first!, 'x-opt-partition-id')), partitionOfKey('one'));
  });

  it('takes a batch of one key or of none, which then lies in one partition', () => {
    const { harness, client } = prepared();
    const sender = client.sender('wide');
    const refused = 'rejected amqp:not-allowed';
    assert.equal(batch(sender, keyed('a', 'k'), keyed('b', 'k')), 'accepted');
    assert.equal(batch(sender, keyed('a', 'k'), keyed('b', 'l')), refused);
    assert.equal(batch(sender, keyed('a', 'k'), body('b')), refused);
    assert.equal(batch(sender, body('c'), body('d'), body('e')), 'accepted');
    const { received } = client.receiver('wide', 10);
    assert.deepEqual(new Set(received.map((one) => one.body)), new Set(['a', 'b', 'c', 'd', 'e']));
    const lone = received.filter((one) => 'cde'.includes(String(one.body)));
    assert.equal(new Set(lone.map((one) => numberIn(annotation(one, 'x-opt-partition-id')))).size, 1);
    const ids = ['x', 'y'].map((messageId) => ({ ...body('x'), properties: { messageId } }));
    assert.equal(batch(client.sender('once'), ...ids), refused, 'where duplicates are looked for the id is the key');
    assert.equal(batch(client.sender('plain'), keyed('a', 'k'), keyed('b', 'l')), 'accepted');
    assert.equal(harness.namespace.counts('once').active, 0);
  });

  it('is looked at partition by partition', () => {
    const { client } = prepared();
    const sender = client.sender('wide');
    for (let i = 0; i < 20; i += 1) sender.text(`m${i}`);
    const peek = peeker(client, 'wide');
    const seen: number[] = [];
    let calls = 0;
    for (let some = peek(0, 100); some.length > 0; some = peek(BigInt(seen.at(-1)!) + 1n, 100)) {
      assert.equal(new Set(some.map(partitionOfSequence)).size, 1, 'all of one partition');
      seen.push(...some);
      calls += 1;
    }
    assert.equal(calls, 16);
    assert.equal(new Set(seen).size, 20);
  });

  it('shows a session from its start to who has peeked another one before, and goes on within it', () => {
    const { harness, client } = prepared();
    const sender = client.sender('steps');
    const [low, high] = ['a', 'b', 'c', 'd'].toSorted((a, b) => partitionOfKey(a) - partitionOfKey(b)).slice(1, 3);
    for (const groupId of [low!, high!])
      for (let i = 0; i < 3; i += 1) sender.send({ ...body('x'), properties: { groupId } });
    const [last] = peeker(client, 'steps', high)(1, 3).slice(-1);
    const peek = peeker(harness.connect({ user: 'root' }), 'steps', low);
    const seen = peek(last! + 1, 3);
    assert.deepEqual(seen.map(partitionOfSequence), Array(3).fill(partitionOfKey(low!)));
    assert.deepEqual(peek(seen[0]! + 1, 3), seen.slice(1));
    assert.deepEqual(peek(seen[2]! + 1, 3), []);
  });

  it('puts what has no key behind the partition that was written last', () => {
    const { client } = prepared();
    const sender = client.sender('wide');
    sender.send(keyed('first', 'k'));
    sender.text('second');
    sender.send(keyed('third', 'k'));
    sender.text('fourth');
    const { received } = client.receiver('wide', 4);
    const partitions = new Map(received.map((one) => [one.body, numberIn(annotation(one, 'x-opt-partition-id'))]));
    const next = (partitionOfKey('k') % 16) + 1;
    assert.deepEqual([partitions.get('second'), partitions.get('fourth')], [next, next]);
  });

  it('knows duplicates by their key and id', () => {
    const { harness, client } = prepared();
    const sender = client.sender('once');
    const send = (id: string, key?: string): void =>
      void sender.send({ ...(key === undefined ? body('x') : keyed('x', key)), properties: { messageId: id } });
    send('a');
    send('a');
    send('a', 'k');
    send('a', 'k');
    send('a', 'l');
    assert.equal(harness.namespace.counts('once').active, 3);
  });

  it('gives the copies of a topic the same partition in each subscription, and forwards by the key', () => {
    const { client } = prepared();
    const sender = client.sender('news');
    for (let i = 0; i < 5; i += 1) sender.text(`n${i}`);
    const partitionsIn = (path: string): Map<unknown, number> =>
      new Map(
        client
          .receiver(path, 5)
          .received.map((one) => [one.body, numberIn(annotation(one, 'x-opt-partition-id'))] as const),
      );
    assert.deepEqual(partitionsIn('news/Subscriptions/a'), partitionsIn('news/Subscriptions/b'));
    client.sender('on').send(keyed('f', 'key'));
    const [forwarded] = client.receiver('wide', 1).received;
    assert.equal(numberIn(annotation(forwarded!, 'x-opt-partition-id')), partitionOfKey('key'));
  });

  it('keeps the partition of what is scheduled, deferred and dead-lettered', () => {
    const { harness, client } = prepared();
    const at = timestamp(TIME_ORIGIN + 61_000);
    client.sender('wide').send({
      ...body('later'),
      messageAnnotations: new Map<string, AmqpValue>([
        ['x-opt-partition-key', 'k'],
        ['x-opt-scheduled-enqueue-time', at],
      ]),
    });
    const partition = partitionOfKey('k');
    assert.equal(partitionOfSequence(peeker(client, 'wide')(0, 1)[0]!), partition);
    harness.advance(60_100);
    const receiver = client.receiver('wide', 1);
    const sequence = numberIn(annotation(receiver.last, 'x-opt-sequence-number'));
    assert.equal(partitionOfSequence(sequence), partition);
    receiver.say(receiver.last, { type: 'modified', undeliverableHere: true });
    const answer = harness.connect({ user: 'root' }).requester('wide/$management')(
      { operation: 'com.microsoft:receive-by-sequence-number' },
      new Map<AmqpValue, AmqpValue>([
        ['sequence-numbers', new AmqpArray('long', [long(BigInt(sequence))])],
        ['receiver-settle-mode', int(0)],
      ]),
    );
    assert.equal(numberIn(answer.applicationProperties?.get('statusCode')), 200);
    client.sender('wide').send(keyed('dead', 'k'));
    receiver.credit(1);
    receiver.say(receiver.last, { type: 'rejected', error: undefined });
    const dead = client.receiver('wide/$DeadLetterQueue', 1);
    assert.equal(numberIn(annotation(dead.last, 'x-opt-partition-id')), partition);
  });

  it('gives what is deferred by numbers of one partition at a time', () => {
    const { client } = prepared();
    const sender = client.sender('wide');
    for (let i = 0; i < 2; i += 1) sender.text(`m${i}`);
    const receiver = client.receiver('wide', 2);
    for (const one of receiver.received) receiver.say(one, { type: 'modified', undeliverableHere: true });
    const numbers = receiver.received.map((one) => long(numberIn(annotation(one, 'x-opt-sequence-number'))));
    const ask = client.requester('wide/$management');
    const statusOf = (sequences: AmqpValue[]): number => {
      const body = new Map<AmqpValue, AmqpValue>([
        ['sequence-numbers', new AmqpArray('long', sequences)],
        ['receiver-settle-mode', int(0)],
      ]);
      const answer = ask({ operation: 'com.microsoft:receive-by-sequence-number' }, body);
      return numberIn(answer.applicationProperties?.get('statusCode'));
    };
    assert.notEqual(statusOf(numbers), 200);
    for (const one of numbers) assert.equal(statusOf([one]), 200);
  });

  it('takes transactions of one partition alone, whose messages have a key', () => {
    const { harness, client } = prepared();
    const coordinator = client.sender(undefined, { target: { type: 'coordinator' } });
    const control = (code: number, fields: AmqpValue[]): DeliveryState | undefined =>
      coordinator.send({ body: { kind: 'value', value: new Described(ulong(code), fields) } });
    const declared = control(0x31, [null]);
    assert.ok(declared !== undefined && 'type' in declared && declared.type === 'declared');
    const { txnId } = declared;
    const state: DeliveryState = { type: 'transactional-state', txnId, outcome: undefined };
    const sender = client.sender('wide');
    assert.equal(conditionOf(sender.send(body('x'), { state })), 'rejected amqp:not-allowed');
    assert.equal(conditionOf(sender.send(keyed('a', 'k'), { state })), 'transactional-state');
    assert.equal(conditionOf(sender.send(keyed('b', 'l'), { state })), 'rejected amqp:not-allowed');
    assert.equal(conditionOf(sender.send(keyed('c', 'k'), { state })), 'transactional-state');
    assert.equal(conditionOf(control(0x32, [txnId, false])), 'accepted');
    assert.equal(harness.namespace.counts('wide').active, 2);
  });

  it('is partitioned from its making on, and shown so', () => {
    const harness = new Harness();
    const inner = (yes: boolean): string =>
      `<QueueDescription><EnablePartitioning>${yes}</EnablePartitioning></QueueDescription>`;
    assert.match(harness.administer('PUT', 'made', inner(true)).body, /<EnablePartitioning>true</);
    assert.equal(harness.administer('PUT', 'made', inner(false), { 'if-match': '*' }).status, 400);
    assert.equal(harness.administer('PUT', 'orders', inner(true), { 'if-match': '*' }).status, 400);
    const sender = harness.connect({ user: 'root' }).sender('made');
    sender.send({ ...body('x') });
    assert.equal(conditionOf(sender.text('y')), 'accepted');
  });

  it('hands each message out once, in the order of its partition, whatever becomes of it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(4), fc.nat(20)), { maxLength: 120, size: 'max' }),
        fc.nat(),
        (steps, seed) => {
          const clock = new VirtualClock();
          const queue = new MessageQueue(
            {
              lockDurationMs: 30_000,
              maxDeliveryCount: Infinity,
              defaultTtlMs: Infinity,
              deadLetterOnExpiration: false,
              maxSizeBytes: 1e9,
              partitioned: true,
            },
            { clock, random: seededRandom(seed) },
          );
          const held: { token: string; sequence: number }[] = [];
          const last = new Map<number, number>();
          let orderly = true;
          const consumer = {
            mode: 'peek-lock' as const,
            credit: 0,
            hasRoom: (): boolean => consumer.credit > 0,
            take: ({ sequence, deliveryCount }: StoredMessage, lock: Lock | undefined): void => {
              consumer.credit -= 1;
              const partition = partitionOfSequence(sequence);
              if (deliveryCount === 0) {
                orderly &&= sequence > (last.get(partition) ?? 0);
                last.set(partition, sequence);
              }
              held.push({ token: lock!.token, sequence });
            },
          };
          queue.addConsumer(consumer);
          let [sent, gone] = [0, 0];
          for (const [what, amount] of steps) {
            const at = amount % Math.max(1, held.length);
            if (what === 0) {
              for (let i = 0; i < amount; i += 1) queue.enqueue(contentOf('a'), { partition: 1 + (i % 16) });
              sent += amount;
            } else if (what === 1) {
              consumer.credit += amount;
              queue.wake(consumer);
            } else if (what === 2) clock.advance(amount * 1000);
            else if (held.length === 0) continue;
            else {
              const [one] = held.splice(at, 1);
              const result = queue.settle(one!.token, { kind: what === 3 ? 'complete' : 'abandon' });
              if (what === 3 && result === 'done') gone += 1;
            }
            assert.equal(queue.counts().active + gone, sent);
            assert.equal([...queue.all()].length + gone, sent);
          }
          assert.ok(orderly);
          queue.removeConsumer(consumer);
          clock.advance(60_000);
          const left = new Set<number>();
          queue.addConsumer({
            mode: 'receive-and-delete',
            hasRoom: () => true,
            take: ({ sequence }) => left.add(sequence),
          });
          assert.equal(left.size + gone, sent);
        },
      ),
      { numRuns: 200 },
    );
  });
});
