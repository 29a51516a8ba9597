// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { EventHubConsumerClient, EventHubProducerClient } from '@azure/event-hubs';
import type { EventPosition, ReceivedEventData, SubscribeOptions } from '@azure/event-hubs';
import { startRouter, until } from '@pointsman/testing';
import type { Owner } from '@pointsman/testing';
import { openNamespace } from '../src/azure-scene.js';

const owner = { after };
const HUBS = ['sent', 'keyed', 'read', 'asked', 'shared'];
const server = await openNamespace(owner, {
  mode: 'emulator',
  eventHubs: HUBS.flatMap((name) => [`direct-${name}`, `routed-${name}`]).map((name) => ({
    name,
    partitions: 2,
    consumerGroups: ['others'],
  })),
});
process.env['EVENT_HUBS_CLOUD'] = server.connectionString();

const router = await startRouter(
  owner,
  `
router { mode: standalone  id: event-hubs }

listener { host: 127.0.0.1  port: 0  azureClients: admitted }

connector { name: event-hubs  role: route-container  connectionString: env:EVENT_HUBS_CLOUD }

${[...HUBS.map((name) => `routed-${name}`), 'routed-missing', '$management']
  .flatMap((prefix) =>
    ['in', 'out'].map((way) => `linkRoute { prefix: ${prefix}  direction: ${way}  connection: event-hubs }`),
  )
  .join('\n')}
`,
);
await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');

// The client leaves timers of a minute behind, which would hold this process.
after(() => void setTimeout(() => process.exit(), 1_000).unref());

const retryOptions = { maxRetries: 0, timeoutInMs: 5_000 };
const EARLIEST: EventPosition = { offset: '-1' };

for (const [way, prefix, connectionString] of [
  ['directly', 'direct', server.connectionString()],
  [
    'through the router',
    'routed',
    `Endpoint=sb://localhost:${router.port()};SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true`,
  ],
] as const) {
  const producer = (owner: Owner, hub: string): EventHubProducerClient => {
    const client = new EventHubProducerClient(connectionString, `${prefix}-${hub}`, { retryOptions });
    owner.after(() => client.close());
    return client;
  };
  const consumer = (owner: Owner, hub: string, group = '$Default'): EventHubConsumerClient => {
    const client = new EventHubConsumerClient(group, connectionString, `${prefix}-${hub}`, { retryOptions });
    owner.after(() => client.close());
    return client;
  };

  describe(`the official client of Event Hubs, ${way}`, () => {
    it('sends events and batches to a partition, and reads them in order with their offsets', async (t) => {
      const sending = producer(t, 'sent');
      await sending.sendBatch([{ body: 'a', properties: { color: 'red' } }, { body: { b: 1 } }], { partitionId: '1' });
      const batch = await sending.createBatch({ partitionId: '1' });
      assert.ok(batch.maxSizeInBytes > 100_000);
      assert.ok(batch.tryAdd({ body: 'c', messageId: 'id' }));
      await sending.sendBatch(batch);
      const events = await read(consumer(t, 'sent'), '1', 3);
      assert.deepEqual(
        events.map(({ body }) => body),
        ['a', { b: 1 }, 'c'],
      );
      assert.deepEqual(
        events.map(({ sequenceNumber }) => sequenceNumber),
        [0, 1, 2],
      );
      const offsets = events.map(({ offset }) => Number(offset));
      assert.ok(offsets[0]! < offsets[1]! && offsets[1]! < offsets[2]!);
      assert.deepEqual(events[0]!.properties, { color: 'red' });
      assert.equal(events[2]!.messageId, 'id');
      assert.ok(Math.abs(events[0]!.enqueuedTimeUtc.getTime() - Date.now()) < 60_000);
    });

    it('sends events of one key to one partition, and reads all partitions', async (t) => {
      const sending = producer(t, 'keyed');
      for (let i = 0; i < 4; i++) await sending.sendBatch([{ body: `k${i}` }], { partitionKey: 'key' });
      for (let i = 0; i < 4; i++) await sending.sendBatch([{ body: `n${i}` }]);
      const events: ReceivedEventData[] = [];
      const partitions = new Map<string, string>();
      const subscription = consumer(t, 'keyed').subscribe(
        {
          processEvents: async (received, { partitionId }) => {
            for (const event of received) {
              events.push(event);
              partitions.set(String(event.body), partitionId);
            }
          },
          processError: async () => undefined,
        },
        { startPosition: EARLIEST, maxWaitTimeInSeconds: 1 },
      );
      await until('all events', () => events.length === 8);
      await subscription.close();
      assert.equal(new Set([...partitions].filter(([body]) => body.startsWith('k')).map(([, id]) => id)).size, 1);
      assert.equal(new Set(partitions.values()).size, 2);
      assert.equal(events.find(({ body }) => body === 'k0')!.partitionKey, 'key');
    });

    it('reads from an offset, a sequence number, a time or the end on, as often as it likes', async (t) => {
      const sending = producer(t, 'read');
      for (let i = 0; i < 5; i++) await sending.sendBatch([{ body: i }], { partitionId: '0' });
      const client = consumer(t, 'read');
      const bodies = async (position: EventPosition, count: number): Promise<unknown[]> =>
        (await read(client, '0', count, { startPosition: position })).map(({ body }) => body);
      const all = await read(client, '0', 5);
      assert.deepEqual(await bodies({ offset: all[1]!.offset }, 3), [2, 3, 4]);
      assert.deepEqual(await bodies({ offset: all[1]!.offset, isInclusive: true }, 4), [1, 2, 3, 4]);
      assert.deepEqual(await bodies({ sequenceNumber: 3 }, 1), [4]);
      assert.deepEqual(await bodies({ sequenceNumber: 3, isInclusive: true }, 2), [3, 4]);
      assert.deepEqual(await bodies({ enqueuedOn: all[0]!.enqueuedTimeUtc.getTime() - 1_000 }, 5), [0, 1, 2, 3, 4]);
      assert.deepEqual((await read(consumer(t, 'read', 'others'), '0', 5)).length, 5);
      const late = read(client, '0', 1, { startPosition: { offset: '@latest' } });
      const timer = setInterval(() => void sending.sendBatch([{ body: 'late' }], { partitionId: '0' }), 100);
      assert.deepEqual(
        (await late).map(({ body }) => body),
        ['late'],
      );
      clearInterval(timer);
    });

    it('asks what there is of a hub and of its partitions', async (t) => {
      const sending = producer(t, 'asked');
      const { name, partitionIds } = await sending.getEventHubProperties();
      assert.deepEqual([name, partitionIds], [`${prefix}-asked`, ['0', '1']]);
      assert.equal((await sending.getPartitionProperties('0')).isEmpty, true);
      await sending.sendBatch([{ body: 1 }, { body: 2 }], { partitionId: '0' });
      const properties = await consumer(t, 'asked').getPartitionProperties('0');
      assert.equal(properties.isEmpty, false);
      assert.deepEqual([properties.beginningSequenceNumber, properties.lastEnqueuedSequenceNumber], [0, 1]);
      await assert.rejects(sending.getPartitionProperties('7'));
    });

    it('is displaced by a reader with a higher owner level, and refused with a lower one', async (t) => {
      const errors: (string | undefined)[] = [];
      const processEvents = async (): Promise<void> => undefined;
      const first = consumer(t, 'shared').subscribe(
        '0',
        { processEvents, processError: async (error) => void errors.push((error as { code?: string }).code) },
        { startPosition: EARLIEST, ownerLevel: 1, maxWaitTimeInSeconds: 1 },
      );
      const links = server.namespace.links;
      await until('the first to read', () => server.namespace.links > links || errors.length > 0);
      const second = consumer(t, 'shared').subscribe(
        '0',
        { processEvents, processError: async () => undefined },
        { startPosition: EARLIEST, ownerLevel: 2, maxWaitTimeInSeconds: 1 },
      );
      await until('the first to be displaced', () => errors.includes('ReceiverDisconnectedError'));
      errors.length = 0;
      const third = consumer(t, 'shared').subscribe(
        '0',
        { processEvents, processError: async (error) => void errors.push((error as { code?: string }).code) },
        { startPosition: EARLIEST, ownerLevel: 1, maxWaitTimeInSeconds: 1 },
      );
      await until('the third to be refused', () => errors.includes('ReceiverDisconnectedError'));
      await Promise.all([first.close(), second.close(), third.close()]);
    });

    it('hears of a hub or a partition that is not there', async (t) => {
      const code = { code: 'MessagingEntityNotFoundError' };
      await assert.rejects(producer(t, 'missing').sendBatch([{ body: 1 }]), code);
      await assert.rejects(producer(t, 'sent').sendBatch([{ body: 1 }], { partitionId: '9' }), code);
      await assert.rejects(producer(t, 'missing').getEventHubProperties(), code);
    });
  });
}

/** So many events of a partition, and no more. */
async function read(
  client: EventHubConsumerClient,
  partitionId: string,
  count: number,
  options: SubscribeOptions = { startPosition: EARLIEST },
): Promise<ReceivedEventData[]> {
  const events: ReceivedEventData[] = [];
  const errors: Error[] = [];
  const subscription = client.subscribe(
    partitionId,
    {
      processEvents: async (received) => void events.push(...received),
      processError: async (error) => void errors.push(error),
    },
    { maxWaitTimeInSeconds: 1, ...options },
  );
  await until(`${count} events`, () => events.length >= count || errors.length > 0, { state: () => events.length });
  await subscription.close();
  assert.deepEqual(errors, []);
  return events;
}
