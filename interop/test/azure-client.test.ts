// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { until } from '@pointsman/testing';
import type { NamespaceServer } from 'pointsman';
import { AzureClient } from '../src/azure-client.js';
import type { AzureConnection, ConnectOptions } from '../src/azure-client.js';
import { openNamespace, withPort } from '../src/azure-scene.js';

const owner = { after };
const KEY = 'SAS_KEY_VALUE';
const POLICIES = [
  { name: 'RootManageSharedAccessKey', key: KEY, rights: ['Send', 'Listen', 'Manage'] },
  { name: 'sends', key: 'key-of-sends', rights: ['Send'] },
  { name: 'listens', key: 'key-of-listens', rights: ['Listen'] },
] as const;

const cloud = await openNamespace(owner, { policies: POLICIES });
const emulator = await openNamespace(owner, { policies: POLICIES, mode: 'emulator' });
const azure = new AzureClient(owner, cloud.caCertFile);

interface Way {
  readonly name: string;
  readonly server: NamespaceServer;
  readonly options: ConnectOptions;
}

const WAYS: readonly Way[] = [
  { name: 'over TLS', server: cloud, options: { connectionString: cloud.connectionString() } },
  {
    name: 'over a WebSocket',
    server: cloud,
    options: { connectionString: withPort(cloud.connectionString(), cloud.ports.wss), webSocket: true },
  },
  {
    name: 'over plain TCP with UseDevelopmentEmulator=true',
    server: emulator,
    options: { connectionString: emulator.connectionString() },
  },
];

let names = 0;

/** Makes a queue for one test. @returns its name */
function queueAt(server: NamespaceServer, options: object = {}): string {
  const name = `queue-${++names}`;
  server.namespace.broker.createQueue({ name, ...options });
  return name;
}

const bodies = (messages: readonly { readonly body: unknown }[]): unknown[] => messages.map(({ body }) => body);

/** Of the official client's clients, those of the whole file: connecting anew for each test proves nothing more. */
const connections = new Map<Way, Promise<AzureConnection>>();

function connectionBy(way: Way): Promise<AzureConnection> {
  const known = connections.get(way) ?? azure.connect(way.options);
  connections.set(way, known);
  return known;
}

for (const way of WAYS) {
  const { server } = way;
  const { broker } = server.namespace;

  describe(`the official client ${way.name}`, () => {
    it('sends one message, several, and a batch; receives and completes them', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      const sender = await client.sender(queue);
      await sender.send({ body: 'one' });
      await sender.send({ body: 'two' }, { body: 'three' });
      const batch = await sender.sendBatch([{ body: 'four' }, { body: 'five', messageId: 'm-5' }]);
      assert.equal(batch.count, 2);
      assert.equal(broker.counts(queue).active, 5);
      const receiver = await client.receiver(queue);
      const messages = await receiver.receive(5);
      assert.deepEqual(bodies(messages), ['one', 'two', 'three', 'four', 'five']);
      assert.deepEqual(
        messages.map(({ sequenceNumber }) => sequenceNumber),
        [1n, 2n, 3n, 4n, 5n],
      );
      assert.equal(messages[4]!.messageId, 'm-5');
      for (const message of messages) await receiver.complete(message);
      assert.equal(broker.counts(queue).active, 0);
    });

    it('keeps every property of a message, and every kind of value among the application properties', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      const applicationProperties = {
        text: 'Grüße 🚂',
        empty: '',
        whole: 42,
        negative: -7,
        large: 2 ** 40,
        fraction: 2.5,
        yes: true,
        no: false,
        nothing: null,
        when: new Date('2026-02-03T04:05:06.789Z'),
      };
      // The client writes a timestamp and reads it as a number, whoever is in between.
      const read = { ...applicationProperties, when: applicationProperties.when.getTime() };
      const given = {
        messageId: 'm-1',
        correlationId: 'c-1',
        contentType: 'application/json',
        subject: 'order',
        to: 'someone',
        replyTo: 'answers',
        replyToSessionId: 's-2',
        sessionId: 's-1',
        timeToLive: 3_600_000,
        partitionKey: 's-1',
        applicationProperties,
        body: { id: 7, lines: ['a', 'b'], nested: { yes: true, nothing: null } },
      };
      await (await client.sender(queue)).send(given);
      const message = await (await client.receiver(queue)).next();
      const { partitionKey, ...fields } = given;
      assert.deepEqual(
        Object.fromEntries(
          Object.keys(fields).map((key) => [key, (message as unknown as Record<string, unknown>)[key]]),
        ),
        {
          ...fields,
          applicationProperties: read,
        },
      );
      assert.equal(message.raw.messageAnnotations?.['x-opt-partition-key'], partitionKey);
      assert.equal(message.deliveryCount, 0);
      const age = Date.now() - message.enqueuedTimeUtc!.getTime();
      assert.ok(age > -5_000 && age < 60_000, `enqueued ${age} ms ago`);
      assert.ok(message.lockedUntilUtc! > message.enqueuedTimeUtc!);
      assert.match(message.lockToken!, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    });

    it('keeps bodies as they are: bytes, a text, values and sequences', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      const sender = await client.sender(queue);
      const bytes = Buffer.from(Array.from({ length: 2_000 }, (_, i) => i % 256));
      await sender.send({ body: bytes });
      await sender.send({ body: 'a text' });
      await sender.send({ body: { number: 5 }, bodyType: 'value' });
      await sender.send({ body: [1, 'two', true], bodyType: 'sequence' });
      const messages = await (await client.receiver(queue)).receive(4);
      assert.deepEqual(bodies(messages), [bytes, 'a text', { number: 5 }, [1, 'two', true]]);
      assert.deepEqual(
        messages.map(({ raw }) => raw.bodyType),
        ['data', 'data', 'value', 'sequence'],
      );
    });

    it('receives and deletes in one', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      await (await client.sender(queue)).send({ body: 'one' }, { body: 'two' });
      const receiver = await client.receiver(queue, { receiveMode: 'receiveAndDelete' });
      const messages = await receiver.receive(2);
      assert.deepEqual(bodies(messages), ['one', 'two']);
      assert.deepEqual(broker.counts(queue), {
        active: 0,
        locked: 0,
        deferred: 0,
        scheduled: 0,
        deadLetter: 0,
        sizeBytes: 0,
      });
    });

    it('abandons: the message comes again, with its count raised and the properties that were changed', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      await (await client.sender(queue)).send({ body: 'again', applicationProperties: { kept: 1 } });
      const receiver = await client.receiver(queue);
      const first = await receiver.next();
      assert.equal(first.deliveryCount, 0);
      await receiver.abandon(first, { why: 'busy' });
      const second = await receiver.next();
      assert.deepEqual([second.deliveryCount, second.sequenceNumber], [1, first.sequenceNumber]);
      assert.deepEqual(second.applicationProperties, { kept: 1, why: 'busy' });
      assert.notEqual(second.lockToken, first.lockToken);
      await receiver.complete(second);
    });

    it('dead-letters with reason, description and properties, and receives that from the dead-letter queue', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      await (await client.sender(queue)).send({ body: 'unfit', messageId: 'm-9', applicationProperties: { kept: 1 } });
      const receiver = await client.receiver(queue);
      const options = {
        deadLetterReason: 'no address',
        deadLetterErrorDescription: 'the street is missing',
        place: 'line 3',
      };
      await receiver.deadLetter(await receiver.next(), options);
      assert.deepEqual([broker.counts(queue).active, broker.counts(queue).deadLetter], [0, 1]);
      const dead = await client.receiver(queue, { subQueueType: 'deadLetter' });
      const message = await dead.next();
      assert.deepEqual([message.body, message.messageId], ['unfit', 'm-9']);
      assert.deepEqual(
        [message.deadLetterReason, message.deadLetterErrorDescription],
        ['no address', 'the street is missing'],
      );
      assert.deepEqual(message.applicationProperties, {
        kept: 1,
        place: 'line 3',
        DeadLetterReason: 'no address',
        DeadLetterErrorDescription: 'the street is missing',
      });
      await dead.complete(message);
      assert.equal(broker.counts(queue).deadLetter, 0);
    });

    it('finds in the dead-letter queue what was delivered too often', async () => {
      const queue = queueAt(server, { maxDeliveryCount: 2 });
      const client = await connectionBy(way);
      await (await client.sender(queue)).send({ body: 'hopeless' });
      const receiver = await client.receiver(queue);
      for (let i = 0; i < 2; i++) await receiver.abandon(await receiver.next());
      const message = await (await client.receiver(queue, { subQueueType: 'deadLetter' })).next();
      assert.equal(message.deadLetterReason, 'MaxDeliveryCountExceeded');
    });

    it('defers, and receives what was deferred by its sequence number', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      await (await client.sender(queue)).send({ body: 'later' }, { body: 'now' });
      const receiver = await client.receiver(queue);
      const later = await receiver.next();
      await receiver.defer(later, { by: 'me' });
      const now = await receiver.next();
      assert.equal(now.body, 'now');
      await receiver.complete(now);
      assert.deepEqual([broker.counts(queue).active, broker.counts(queue).deferred], [0, 1]);
      const [deferred] = await receiver.receiveDeferred(later);
      assert.deepEqual(
        [deferred?.body, deferred?.state, deferred?.applicationProperties],
        ['later', 'deferred', { by: 'me' }],
      );
      await receiver.complete(deferred!);
      assert.equal(broker.counts(queue).deferred, 0);
      await assert.rejects(receiver.receiveDeferred(later), { code: 'MessageNotFound' });
    });

    it('peeks without taking, on and on, or from a sequence number', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      await (await client.sender(queue)).send({ body: 1 }, { body: 2 }, { body: 3 }, { body: 4 });
      const receiver = await client.receiver(queue);
      const first = await receiver.peek(2);
      assert.deepEqual(bodies(first), [1, 2]);
      assert.deepEqual(bodies(await receiver.peek(10)), [3, 4]);
      assert.deepEqual(bodies(await receiver.peek(10)), []);
      assert.deepEqual(bodies(await receiver.peek(2, first[1])), [2, 3]);
      assert.deepEqual([first[0]?.lockToken, first[0]?.state], [undefined, 'active']);
      assert.deepEqual([broker.counts(queue).active, broker.counts(queue).locked], [4, 0]);
    });

    it('renews the lock of a message', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      await (await client.sender(queue)).send({ body: 'held' });
      const receiver = await client.receiver(queue);
      const message = await receiver.next();
      await until('the clock to have gone on', () => Date.now() > message.lockedUntilUtc!.getTime() - 60_000 + 5);
      const lockedUntil = await receiver.renew(message);
      assert.ok(
        lockedUntil > message.lockedUntilUtc!,
        `${lockedUntil.toISOString()} after ${message.lockedUntilUtc!.toISOString()}`,
      );
      await receiver.complete(message);
    });

    it('sends to a topic and receives a copy from each subscription, and from the dead-letter queue of one', async () => {
      const topic = `topic-${++names}`;
      broker.createTopic({ name: topic, subscriptions: [{ name: 'billing' }, { name: 'audit' }] });
      const client = await connectionBy(way);
      await (await client.sender(topic)).send({ body: 'event', applicationProperties: { n: 1 } });
      for (const subscription of ['billing', 'audit']) {
        const receiver = await client.subscriber(topic, subscription);
        const message = await receiver.next();
        assert.deepEqual([message.body, message.applicationProperties], ['event', { n: 1 }]);
        if (subscription === 'billing') await receiver.complete(message);
        else await receiver.deadLetter(message, { deadLetterReason: 'seen' });
      }
      const dead = await client.subscriber(topic, 'audit', { subQueueType: 'deadLetter' });
      assert.equal((await dead.next()).deadLetterReason, 'seen');
      assert.deepEqual(broker.counts(`${topic}/Subscriptions/billing`).active, 0);
    });

    it('hears that a lock is lost', async () => {
      const queue = queueAt(server);
      const client = await connectionBy(way);
      await (await client.sender(queue)).send({ body: 'slow' });
      const receiver = await client.receiver(queue, { maxAutoLockRenewalDurationInMs: 0 });
      const message = await receiver.next();
      assert.equal(server.namespace.faults.endLocks(queue), 1);
      await assert.rejects(receiver.complete(message), { code: 'MessageLockLost' });
      await assert.rejects(receiver.renew(message), { code: 'MessageLockLost' });
      assert.equal((await receiver.next()).deliveryCount, 1);
    });

    it('hears that an entity does not exist, is a topic, or is disabled', async () => {
      const client = await connectionBy(way);
      const nowhere = await client.sender('nowhere');
      await assert.rejects(nowhere.send({ body: 1 }), {
        code: 'MessagingEntityNotFound',
        message: /'\S*nowhere\S*' could not be found/,
      });
      const receiver = await client.receiver('nowhere');
      await assert.rejects(receiver.next(), { code: 'MessagingEntityNotFound' });
      const topic = `topic-${++names}`;
      broker.createTopic({ name: topic, subscriptions: [{ name: 'all' }] });
      await assert.rejects((await client.receiver(topic)).next(), { code: 'MessagingEntityNotFound' });
      await assert.rejects((await client.subscriber(topic, 'none')).next(), { code: 'MessagingEntityNotFound' });
      const queue = queueAt(server, { status: 'Disabled' });
      await assert.rejects((await client.sender(queue)).send({ body: 1 }), { code: 'MessagingEntityDisabled' });
      await assert.rejects((await client.receiver(queue)).next(), { code: 'MessagingEntityDisabled' });
    });

    it('hears that its key is wrong, or its policy too weak', async () => {
      const queue = queueAt(server);
      const changed = (from: string, to: string): ConnectOptions => ({
        ...way.options,
        connectionString: way.options.connectionString!.replace(from, to),
      });
      const wrong = await azure.connect(changed(`SharedAccessKey=${KEY}`, 'SharedAccessKey=other'));
      await assert.rejects((await wrong.sender(queue)).send({ body: 1 }), {
        code: 'UnauthorizedAccess',
        message: /InvalidSignature/,
      });
      await assert.rejects((await wrong.receiver(queue)).next(), { code: 'UnauthorizedAccess' });
      const [root] = POLICIES;
      for (const [policy, can] of [
        [POLICIES[1], 'send'],
        [POLICIES[2], 'receive'],
      ] as const) {
        const client = await azure.connect(
          changed(`${root.name};SharedAccessKey=${KEY}`, `${policy.name};SharedAccessKey=${policy.key}`),
        );
        const send = (await client.sender(queue)).send({ body: can });
        if (can === 'send') await send;
        else await assert.rejects(send, { code: 'UnauthorizedAccess', message: /'Send' claim\(s\) are required/ });
        const next = (await client.receiver(queue)).next();
        if (can === 'receive') assert.equal((await next).body, 'send');
        else await assert.rejects(next, { code: 'UnauthorizedAccess', message: /'Listen' claim\(s\) are required/ });
        await client.close();
      }
      await wrong.close();
    });

    it('hears that a message is too large, the queue full, or the service busy', async () => {
      const queue = queueAt(server, { maxSizeBytes: 1_500 });
      const client = await connectionBy(way);
      const sender = await client.sender(queue);
      await assert.rejects(sender.send({ body: Buffer.alloc(262_144) }), {
        code: 'MessageSizeExceeded',
        message: /exceeds the limit \(262144 bytes\)/,
      });
      await sender.send({ body: Buffer.alloc(1_000) });
      await assert.rejects(sender.send({ body: Buffer.alloc(1_000) }), { code: 'QuotaExceeded' });
      server.namespace.faults.refuseSends(1, queue);
      await assert.rejects(sender.send({ body: 'x' }), { code: 'ServiceBusy', retryable: true });
      await sender.send({ body: 'x' });
      assert.equal(broker.counts(queue).active, 2);
    });
  });
}

describe("the official client's own repairs", () => {
  const [way] = WAYS;
  const { namespace } = cloud;

  it('send again what a busy service did not take', async () => {
    const queue = queueAt(cloud);
    const client = await azure.connect({ ...way!.options, retries: 3 });
    const sender = await client.sender(queue);
    // Its wait after 'server-busy' is ten seconds; other conditions are tried again at once.
    namespace.faults.refuseSends(2, queue, {
      condition: 'amqp:internal-error',
      description: 'The service was unable to process the request.',
    });
    await sender.send({ body: 'patience' });
    assert.equal(namespace.counts(queue).active, 1);
    await client.close();
  });

  for (const [what, cut] of [
    ['a connection that is dropped', () => namespace.faults.dropConnections()],
    ['a connection that is closed by force', () => namespace.faults.closeConnections()],
    ['tokens that are taken back', () => namespace.faults.revokeTokens()],
  ] as const) {
    it(`go on after ${what}`, async () => {
      const queue = queueAt(cloud);
      // What is sent before the client has noticed gets no answer: it waits for its own time-out, then sends again.
      const client = await azure.connect({ ...way!.options, retries: 20, timeoutMs: 2_000 });
      const [sender, receiver] = [await client.sender(queue), await client.receiver(queue)];
      await sender.send({ body: 'before' });
      await receiver.complete(await receiver.next());
      assert.ok(cut() > 0, 'it was met');
      await sender.send({ body: 'after' });
      const message = await receiver.next();
      assert.equal(message.body, 'after');
      await receiver.complete(message);
      await client.close();
    });
  }
});
