// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ServiceBusMessage } from '@azure/service-bus';
import { bodies, partitionOf, rejectsWith, rowsOf, take, takeOne, type CallRow } from './call-row.js';

const inAMinute = (): Date => new Date(Date.now() + 60_000);

/** Calls of `ServiceBusSender` and `ServiceBusMessageBatch`. */
export const SENDER_CALLS: readonly CallRow[] = [
  ...rowsOf('ServiceBusSender', [
    [
      'sendMessages',
      'one message, with all of its properties',
      async (scene) => {
        const queue = scene.queue();
        const message: ServiceBusMessage = {
          body: { lines: [1, 'two', null] },
          messageId: 'm-1',
          correlationId: 'c-1',
          contentType: 'application/json',
          subject: 'order',
          to: 'somebody',
          replyTo: 'answers',
          replyToSessionId: 's-2',
          timeToLive: 3_600_000,
          partitionKey: 'p',
          applicationProperties: { text: 'ü', number: 7, fraction: 1.5, yes: true, nothing: null as never },
        };
        await scene.sender(queue).sendMessages(message);
        const got = await takeOne(scene.receiver(queue));
        for (const [name, value] of Object.entries(message))
          assert.deepEqual(got[name as keyof typeof got], value, name);
        assert.equal(got.sequenceNumber?.toNumber(), 1);
        assert.equal(got.deliveryCount, 0);
        assert.equal(got.state, 'active');
        assert.ok(got.expiresAtUtc!.getTime() - got.enqueuedTimeUtc!.getTime() === 3_600_000);
      },
    ],
    [
      'sendMessages',
      'an array, as one batch',
      async (scene) => {
        const queue = scene.queue();
        await scene.sender(queue).sendMessages([{ body: 'a' }, { body: 'b' }, { body: 'c' }]);
        assert.deepEqual(bodies(await take(scene.receiver(queue), 3)), ['a', 'b', 'c']);
      },
    ],
    [
      'sendMessages',
      'a ServiceBusMessageBatch',
      async (scene) => {
        const queue = scene.queue();
        const sender = scene.sender(queue);
        const batch = await sender.createMessageBatch();
        for (const body of ['a', 'b']) assert.ok(batch.tryAddMessage({ body }));
        await sender.sendMessages(batch);
        assert.deepEqual(bodies(await take(scene.receiver(queue), 2)), ['a', 'b']);
      },
    ],
    [
      'sendMessages',
      'an AmqpAnnotatedMessage: value and sequence bodies, annotations, header',
      async (scene) => {
        const queue = scene.queue();
        const sender = scene.sender(queue);
        await sender.sendMessages({ bodyType: 'value', body: 42, messageAnnotations: { own: 'x' } });
        await sender.sendMessages({ bodyType: 'sequence', body: [[1, 'two']], header: { durable: true } });
        const [value, sequence] = await take(scene.receiver(queue), 2);
        assert.deepEqual([value!._rawAmqpMessage.bodyType, value!.body], ['value', 42]);
        assert.equal(value!._rawAmqpMessage.messageAnnotations?.['own'], 'x');
        assert.equal(sequence!._rawAmqpMessage.bodyType, 'sequence');
        assert.equal(sequence!._rawAmqpMessage.header?.durable, true);
      },
    ],
    [
      'sendMessages',
      'with scheduledEnqueueTimeUtc: it appears at its time',
      async (scene) => {
        const queue = scene.queue();
        const scheduledEnqueueTimeUtc = new Date(Date.now() + 5_000);
        await scene.sender(queue).sendMessages({ body: 'later', scheduledEnqueueTimeUtc });
        assert.equal(scene.counts(queue), '0 0 0 1 0');
        const got = await takeOne(scene.receiver(queue));
        assert.deepEqual(got.scheduledEnqueueTimeUtc, scheduledEnqueueTimeUtc);
        assert.ok(got.enqueuedTimeUtc! >= scheduledEnqueueTimeUtc);
        assert.equal(got.sequenceNumber?.toNumber(), 2);
      },
    ],
    [
      'sendMessages',
      'to a topic: a copy for each subscription',
      async (scene) => {
        const topic = scene.topic('one');
        scene.namespace.broker.createSubscription(topic, { name: 'two' });
        await scene.sender(topic).sendMessages({ body: 'news' });
        for (const name of ['one', 'two'])
          assert.equal((await takeOne(scene.client.createReceiver(topic, name))).body, 'news');
      },
    ],
    [
      'sendMessages',
      'a message beyond the limit: MessageSizeExceeded',
      async (scene) => {
        const sender = scene.sender(scene.queue({ maxMessageSizeBytes: 10_000 }));
        await rejectsWith('MessageSizeExceeded', sender.sendMessages({ body: 'x'.repeat(20_000) }));
        await rejectsWith(
          'MessageSizeExceeded',
          sender.sendMessages([0, 1, 2, 3].map(() => ({ body: 'x'.repeat(5_000) }))),
        );
        await sender.sendMessages({ body: 'fits' });
      },
    ],
    [
      'sendMessages',
      'with more than 64 KiB of properties: MessageSizeExceeded',
      async (scene) => {
        const queue = scene.queue();
        const sender = scene.sender(queue);
        const text = 'x'.repeat(30_000);
        const [one, two, three] = [{ a: text }, { a: text, b: text }, { a: text, b: text, c: text }];
        await rejectsWith('MessageSizeExceeded', sender.sendMessages({ body: 1, applicationProperties: three }));
        for (const applicationProperties of [one, two]) await sender.sendMessages({ body: 1, applicationProperties });
        assert.equal(scene.namespace.counts(queue).active, 2);
      },
    ],
    [
      'sendMessages',
      'to a partitioned entity: by session id or partition key; several keys in one batch are refused',
      async (scene) => {
        const queue = scene.queue({ enablePartitioning: true });
        const sender = scene.sender(queue);
        await sender.sendMessages([1, 2, 3].map((body) => ({ body, partitionKey: 'a' })));
        await rejectsWith(
          'GeneralError',
          sender.sendMessages(['a', 'b'].map((partitionKey) => ({ body: 4, partitionKey }))),
        );
        for (let body = 5; body < 10; body += 1) await sender.sendMessages({ body });
        const messages = await take(scene.receiver(queue), 8);
        const keyed = messages.filter(({ partitionKey }) => partitionKey === 'a');
        assert.deepEqual(bodies(keyed), [1, 2, 3]);
        assert.equal(new Set(keyed.map(partitionOf)).size, 1);
        assert.equal(new Set(messages.filter((one) => !keyed.includes(one)).map(partitionOf)).size, 5);
      },
    ],
    [
      'sendMessages',
      'to an entity that is not there: MessagingEntityNotFound',
      (scene) => rejectsWith('MessagingEntityNotFound', scene.sender('nowhere').sendMessages({ body: 1 })),
    ],
    [
      'sendMessages',
      'to a disabled entity: MessagingEntityDisabled',
      async (scene) => {
        const sender = scene.sender(scene.queue({ status: 'SendDisabled' }));
        await rejectsWith('MessagingEntityDisabled', sender.sendMessages({ body: 1 }));
      },
    ],
    [
      'sendMessages',
      'to an entity that is full: QuotaExceeded',
      async (scene) => {
        const sender = scene.sender(scene.queue({ maxSizeBytes: 1_000 }));
        await rejectsWith('QuotaExceeded', sender.sendMessages({ body: 'x'.repeat(2_000) }));
      },
    ],
    [
      'sendMessages',
      'while the service throttles: ServiceBusy, and through where the client may retry',
      async (scene) => {
        const queue = scene.queue();
        const sender = scene.sender(queue);
        scene.namespace.faults.refuseSends(1, queue);
        await rejectsWith('ServiceBusy', sender.sendMessages({ body: 1 }));
        await sender.sendMessages({ body: 2 });
        assert.deepEqual(bodies(await take(scene.receiver(queue), 1)), [2]);
      },
    ],
    [
      'sendMessages',
      'without a session id to an entity with sessions: refused',
      async (scene) => {
        const sender = scene.sender(scene.queue({ requiresSession: true }));
        await assert.rejects(sender.sendMessages({ body: 1 }), /SessionId was not set on a message/);
      },
    ],
    [
      'sendMessages',
      'a message id that came before: dropped, where the entity detects duplicates',
      async (scene) => {
        const queue = scene.queue({ requiresDuplicateDetection: true });
        const sender = scene.sender(queue);
        const messageId = randomUUID();
        for (const body of ['first', 'again']) await sender.sendMessages({ body, messageId });
        await sender.sendMessages([
          { body: 'again', messageId },
          { body: 'other', messageId: 'other' },
        ]);
        assert.deepEqual(bodies(await take(scene.receiver(queue), 2)), ['first', 'other']);
        assert.equal(scene.counts(queue), '2 2 0 0 0');
      },
    ],
    [
      'createMessageBatch',
      'bounded by the link; by maxSizeInBytes where that is less',
      async (scene) => {
        const sender = scene.sender(scene.queue());
        assert.equal((await sender.createMessageBatch()).maxSizeInBytes, 262_144);
        assert.equal((await sender.createMessageBatch({ maxSizeInBytes: 500 })).maxSizeInBytes, 500);
        await assert.rejects(sender.createMessageBatch({ maxSizeInBytes: 300_000 }), /size/i);
      },
    ],
    [
      'scheduleMessages',
      'one and several: sequence numbers, hidden until their time',
      async (scene) => {
        const queue = scene.queue();
        const sender = scene.sender(queue);
        const [one] = await sender.scheduleMessages({ body: 'a' }, new Date(Date.now() + 5_000));
        assert.equal(one?.toNumber(), 1);
        const two = await sender.scheduleMessages([{ body: 'b' }, { body: 'c' }], inAMinute());
        assert.deepEqual(two.map(Number), [2, 3]);
        const receiver = scene.receiver(queue);
        assert.deepEqual(
          (await receiver.peekMessages(5)).map(({ body, state }) => [body, state]),
          [
            ['a', 'scheduled'],
            ['b', 'scheduled'],
            ['c', 'scheduled'],
          ],
        );
        assert.equal((await takeOne(receiver)).body, 'a');
        assert.equal(scene.counts(queue), '1 1 0 2 0');
      },
    ],
    [
      'scheduleMessages',
      'to a topic, and to a session',
      async (scene) => {
        const topic = scene.topic();
        await scene.sender(topic).scheduleMessages({ body: 'news' }, new Date(Date.now() + 100));
        assert.equal((await takeOne(scene.client.createReceiver(topic, 'all'))).body, 'news');
        const queue = scene.queue({ requiresSession: true });
        await scene.sender(queue).scheduleMessages({ body: 'x', sessionId: 'one' }, new Date(Date.now() + 100));
        const receiver = await scene.client.acceptNextSession(queue);
        assert.equal((await takeOne(receiver)).sessionId, 'one');
      },
    ],
    [
      'cancelScheduledMessages',
      'by number; MessageNotFound where it is not scheduled any more',
      async (scene) => {
        const queue = scene.queue();
        const sender = scene.sender(queue);
        const numbers = await sender.scheduleMessages([{ body: 'a' }, { body: 'b' }], inAMinute());
        await sender.cancelScheduledMessages(numbers[0]!);
        assert.equal(scene.counts(queue), '0 0 0 1 0');
        await rejectsWith('MessageNotFound', sender.cancelScheduledMessages(numbers));
        await sender.cancelScheduledMessages([numbers[1]!]);
        assert.equal(scene.counts(queue), '0 0 0 0 0');
      },
    ],
    [
      'isClosed',
      'tells whether it was closed',
      async (scene) => {
        const sender = scene.sender(scene.queue());
        assert.equal(sender.isClosed, false);
        await sender.close();
        assert.equal(sender.isClosed, true);
      },
    ],
    [
      'close',
      'detaches the link',
      async (scene) => {
        const queue = scene.queue();
        const sender = scene.sender(queue);
        await sender.sendMessages({ body: 1 });
        await sender.close();
        assert.equal(scene.namespace.faults.detachLinks(queue), 0);
        await assert.rejects(sender.sendMessages({ body: 2 }), /closed/);
      },
    ],
  ]),
  ...rowsOf('ServiceBusMessageBatch', [
    [
      'tryAddMessage',
      'until the batch is full',
      async (scene) => {
        const queue = scene.queue();
        const sender = scene.sender(queue);
        const batch = await sender.createMessageBatch();
        let added = 0;
        while (batch.tryAddMessage({ body: 'x'.repeat(1_000) })) added += 1;
        assert.ok(added > 200, `${added} fit`);
        await sender.sendMessages(batch);
        assert.equal(scene.namespace.counts(queue).active, added);
      },
    ],
    [
      'count, sizeInBytes',
      'as the client counts them',
      async (scene) => {
        const batch = await scene.sender(scene.queue()).createMessageBatch();
        batch.tryAddMessage({ body: 'x' });
        assert.equal(batch.count, 1);
        assert.ok(batch.sizeInBytes > 0 && batch.sizeInBytes < batch.maxSizeInBytes);
      },
    ],
  ]),
];
