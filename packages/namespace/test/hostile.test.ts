// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ACCEPTED, type IncomingDelivery, type TransferFrame } from '@pointsman/engine';
import {
  AmqpArray,
  Described,
  double,
  encodeMessage,
  int,
  long,
  ulong,
  type AmqpValue,
  type DeliveryState,
} from '@pointsman/wire';
import { escapeXml } from '../src/admin/xml.js';
import { IncomingPayload } from '../src/incoming-payload.js';
import { MessageQueue } from '../src/message-queue.js';
import type { JournalRecord } from '../src/index.js';
import { contentOf } from './broker-scenarios.js';
import { conditionOf, Harness, numberIn } from './harness.js';
import { seededRandom, VirtualClock } from './virtual-clock.js';

describe('requests that mean no good', () => {
  function asker(harness: Harness): (operation: string, body: Record<string, AmqpValue>) => number {
    const ask = harness.connect({ user: 'root' }).requester('orders/$management');
    return (operation, body) =>
      numberIn(
        ask({ operation: `com.microsoft:${operation}` }, new Map(Object.entries(body))).applicationProperties?.get(
          'statusCode',
        ),
      );
  }

  it('with numbers that are none are refused', () => {
    const harness = new Harness();
    const status = asker(harness);
    for (const value of [Number.NaN, 0, -1]) {
      assert.equal(status('peek-message', { 'from-sequence-number': long(1), 'message-count': double(value) }), 400);
      assert.equal(status('batch-delete-messages', { 'message-count': double(value), 'enqueued-time-utc': 5 }), 400);
    }
    assert.equal(status('peek-message', { 'from-sequence-number': double(Number.NaN), 'message-count': int(1) }), 400);
    for (const from of [-Infinity, -5, 1e300, Infinity])
      assert.equal(status('peek-message', { 'from-sequence-number': double(from), 'message-count': int(1) }), 204);
    for (const at of [Number.NaN, Infinity, -Infinity]) {
      const annotations = new Map<string, AmqpValue>([['x-opt-scheduled-enqueue-time', double(at)]]);
      const message = encodeMessage({ messageAnnotations: annotations });
      assert.equal(status('schedule-message', { messages: [new Map([['message', message]])] }), 400);
      assert.equal(conditionOf(harness.connect({ user: 'root' }).sender('orders').send(message)), 'accepted');
    }
    assert.equal(harness.namespace.counts('orders').active, 3, 'sent, they appear at once');
  });

  it('that name more messages than a request can be about are refused', () => {
    const status = asker(new Harness());
    const many = new AmqpArray(
      'long',
      Array.from({ length: 10_001 }, (_, at) => long(at)),
    );
    for (const operation of ['cancel-scheduled-message', 'receive-by-sequence-number'])
      assert.equal(status(operation, { 'sequence-numbers': many }), 400);
  });

  it('whose answers nobody takes keep no more than a few megabytes', () => {
    const harness = new Harness();
    const client = harness.connect({ user: 'root' });
    for (let i = 0; i < 5; i += 1) client.sender('orders').text('x'.repeat(200_000));
    const answers = client.receiver('orders/$management', 0, { target: { type: 'target', address: 'replies' } });
    const requests = client.sender('orders/$management');
    for (let i = 0; i < 60; i += 1)
      requests.send({
        properties: { messageId: i, replyTo: 'replies' },
        applicationProperties: new Map([['operation', 'com.microsoft:peek-message']]),
        body: {
          kind: 'value',
          value: new Map<AmqpValue, AmqpValue>([
            ['from-sequence-number', long(1)],
            ['message-count', int(5)],
          ]),
        },
      });
    answers.credit(100);
    assert.equal(answers.received.length, 16);
    assert.equal(numberIn(answers.last.message.properties?.correlationId), 59, 'the latest of them');
  });
});

describe('a message in pieces', () => {
  it('is put together however it is cut, in frames without a byte, too', () => {
    const sizes = fc.array(fc.constantFrom(0, 0, 1, 2, 100, 4_095, 4_096, 5_000, 16_384, 20_000), { maxLength: 20 });
    fc.assert(
      fc.property(fc.array(sizes, { minLength: 1, maxLength: 4 }), (deliveries) => {
        const payload = new IncomingPayload();
        for (const frames of deliveries) {
          const whole = Uint8Array.from(
            { length: frames.reduce<number>((sum, size) => sum + size, 0) },
            (_, at) => at % 251,
          );
          let at = 0;
          const cut = [...frames, 0];
          for (const [index, size] of cut.entries()) {
            const complete = index === cut.length - 1;
            // Behind and before it lies what belongs to others.
            const bytes = Uint8Array.from([9, ...whole.subarray(at, at + size), 9]);
            const frame = { bytes, payloadStart: 1, payloadEnd: 1 + size } as TransferFrame;
            const got = payload.add({ complete, aborted: false } as IncomingDelivery, frame);
            bytes.fill(0);
            at += size;
            if (complete) assert.deepEqual(got, whole);
            else assert.equal(payload.size, at);
          }
          assert.equal(payload.size, 0);
        }
      }),
    );
  });
});

describe('an entity that is taken away', () => {
  it('takes part in no commit any more, and the next of its name knows nothing of it', () => {
    const records: JournalRecord[] = [];
    const journal = { write: (record: JournalRecord) => records.push(record), flush: () => true, hasRoom: () => true };
    const harness = new Harness({}, journal);
    const client = harness.connect({ user: 'root' });
    const sender = client.sender('orders');
    sender.text('old');
    const receiver = client.receiver('orders', 1);
    const coordinator = client.sender(undefined, { target: { type: 'coordinator' } });
    const control = (code: number, fields: AmqpValue[]): DeliveryState | undefined =>
      coordinator.send({ body: { kind: 'value', value: new Described(ulong(code), fields) } });
    const within = (): Extract<DeliveryState, { type: 'transactional-state' }> => {
      const declared = control(0x31, [null]);
      assert.ok(declared !== undefined && 'type' in declared && declared.type === 'declared');
      return { type: 'transactional-state', txnId: declared.txnId, outcome: ACCEPTED };
    };
    const [sends, settles] = [within(), within()];
    sender.send({ body: { kind: 'value', value: 'never' } }, { state: sends });
    receiver.say(receiver.last, settles);
    harness.namespace.remove('orders');
    harness.namespace.broker.createQueue({ name: 'orders' });
    records.length = 0;
    client.sender('orders').text('new');
    for (const { txnId } of [sends, settles])
      assert.equal(conditionOf(control(0x32, [txnId, false])), 'rejected amqp:transaction:rollback');
    assert.deepEqual(
      records.map(([kind]) => kind),
      ['message'],
      'the new one has a message of the same number, which is not gone',
    );
    assert.equal(harness.namespace.counts('orders').active, 1);
  });
});

describe('states of sessions', () => {
  it('take room by their names, where they are of no bytes', () => {
    const settings = { lockDurationMs: 1, maxDeliveryCount: 1, defaultTtlMs: Infinity, maxSizeBytes: 100 };
    const queue = new MessageQueue(
      { ...settings, deadLetterOnExpiration: false, requiresSession: true },
      { clock: new VirtualClock(), random: seededRandom(1) },
    );
    const [first, second] = ['a', 'b'].map((letter) => queue.sessions!.of(letter.repeat(60)));
    assert.equal(queue.setSessionState(first!, new Uint8Array(0)), true);
    assert.equal(queue.setSessionState(second!, new Uint8Array(0)), false);
    assert.equal(queue.setSessionState(first!, undefined), true);
    assert.equal(queue.sizeBytes, 0);
    assert.equal(queue.setSessionState(second!, new Uint8Array(40)), true);
  });
});

describe('messages for the same moment', () => {
  it('appear in the order in which they were scheduled', () => {
    const clock = new VirtualClock();
    const settings = { lockDurationMs: 1, maxDeliveryCount: 1, defaultTtlMs: Infinity, maxSizeBytes: 1e9 };
    const queue = new MessageQueue({ ...settings, deadLetterOnExpiration: false }, { clock, random: seededRandom(1) });
    const sizes = Array.from({ length: 50 }, (_, at) => 'x'.repeat(at));
    for (const body of sizes) queue.schedule(contentOf(body), 5_000);
    clock.advance(10_000);
    const found = [...queue.all()].map(({ content }) => content.sizeBytes);
    assert.deepEqual(
      found,
      found.toSorted((a, b) => a - b),
    );
  });
});

describe('descriptions of any kind', () => {
  const names = [
    'LockDuration',
    'MaxSizeInMegabytes',
    'RequiresDuplicateDetection',
    'RequiresSession',
    'DefaultMessageTimeToLive',
    'DeadLetteringOnMessageExpiration',
    'DuplicateDetectionHistoryTimeWindow',
    'MaxDeliveryCount',
    'EnableBatchedOperations',
    'AuthorizationRules',
    'Status',
    'ForwardTo',
    'UserMetadata',
    'AutoDeleteOnIdle',
    'EnablePartitioning',
    'ForwardDeadLetteredMessagesTo',
    'EnableExpress',
    'MaxMessageSizeInKilobytes',
    'DeadLetteringOnFilterEvaluationExceptions',
    'DefaultRuleDescription',
    'Filter',
    'Action',
  ];
  const values = [
    'true',
    'false',
    '',
    '0',
    '1',
    '-1',
    '99999999999999999999',
    'PT1M',
    'PT5M',
    'P1D',
    'P99999999999999D',
    'PT0.0000001S',
    'Active',
    'Disabled',
    'orders',
    'sb://example/orders',
    '<a/>',
    '<AuthorizationRule><KeyName>k</KeyName><PrimaryKey>p</PrimaryKey></AuthorizationRule>',
    '<Name>n</Name><Filter><SqlExpression>1=1</SqlExpression></Filter>',
    '<SqlExpression>SET a = 1</SqlExpression>',
    '\u0000\uffff&',
  ];
  const inner = fc
    .array(fc.tuple(fc.constantFrom(...names), fc.oneof(fc.constantFrom(...values), fc.string().map(escapeXml))), {
      maxLength: 6,
    })
    .map((fields) => fields.map(([name, value]) => `<${name}>${value}</${name}>`).join(''));
  const request = fc.tuple(
    fc.constantFrom('PUT', 'PUT', 'PUT', 'GET', 'DELETE', 'POST'),
    fc.constantFrom(
      'orders',
      'other',
      'news',
      'news/Subscriptions/all',
      'news/Subscriptions/b',
      'news/Subscriptions/all/Rules/r',
      'a%2Fb',
      '%',
      '$Resources/queues',
      '$namespaceinfo',
      '',
    ),
    fc.constantFrom('Queue', 'Topic', 'Subscription', 'Rule', 'Other'),
    inner,
    fc.boolean(),
  );

  it('make, change or take away an entity, or are refused; nothing fails, and what is there works', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 25, size: 'max' }), (requests) => {
        const harness = new Harness();
        const client = harness.connect({ user: 'root' });
        for (const [method, path, kind, fields, isUpdate] of requests) {
          const answer = harness.administer(
            method,
            path,
            `<${kind}Description>${fields}</${kind}Description>`,
            isUpdate ? { 'if-match': '*' } : {},
          );
          assert.ok([200, 201, 400, 403, 404, 405, 409].includes(answer.status), `${answer.status} ${answer.body}`);
          for (const entity of ['orders', 'news']) {
            const sender = client.sender(entity);
            if (sender.link.sendable) sender.text('x');
          }
          harness.advance(1_000);
        }
        harness.advance(400_000);
        for (const entity of harness.namespace.broker.entities()) {
          assert.equal(harness.administer('GET', encodeURIComponent(entity.path)).status, 200);
          if (entity.kind !== 'topic') assert.equal(harness.namespace.counts(entity.path).locked, 0);
        }
      }),
      { numRuns: 25 },
    );
  });
});
