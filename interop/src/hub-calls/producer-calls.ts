// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { until } from '@pointsman/testing';
import { MANAGED, bodiesOf, publishingOf, read } from './hub-scene.js';
import type { HubRow, HubScene } from './hub-scene.js';

const PRODUCER = 'EventHubProducerClient';
const BUFFERED = 'EventHubBufferedProducerClient';

/** Number of events of each partition. */
function contentsOf({ namespace }: HubScene, hub: string): number[] {
  return namespace.broker.eventHubs.hub(hub)!.partitions.map(({ size }) => size);
}

export const PRODUCER_CALLS: readonly HubRow[] = [
  {
    of: PRODUCER,
    call: 'sendBatch',
    what: 'an array or an EventDataBatch, to a partition',
    async run(scene) {
      const hub = scene.hub();
      const sending = scene.producer(hub);
      await sending.sendBatch([{ body: 'a', properties: { color: 'red' } }, { body: { b: 1 } }], { partitionId: '1' });
      const batch = await sending.createBatch({ partitionId: '1' });
      assert.ok(batch.tryAdd({ body: 'c', messageId: 'id' }));
      await sending.sendBatch(batch);
      const events = await read(scene.consumer(hub), '1', 3);
      assert.deepEqual(bodiesOf(events), ['a', { b: 1 }, 'c']);
      assert.deepEqual(
        events.map(({ sequenceNumber }) => sequenceNumber),
        [0, 1, 2],
      );
      const offsets = events.map(({ offset }) => Number(offset));
      assert.ok(offsets[0]! < offsets[1]! && offsets[1]! < offsets[2]!);
      assert.deepEqual(events[0]!.properties, { color: 'red' });
      assert.equal(events[2]!.messageId, 'id');
      assert.ok(Math.abs(events[0]!.enqueuedTimeUtc.getTime() - Date.now()) < 60_000);
    },
  },
  {
    of: PRODUCER,
    call: 'sendBatch',
    routedIf: MANAGED,
    what: 'by key, to the partition that other clients compute for it; without one, to each in turn',
    async run(scene) {
      const hub = scene.hub({ partitions: 4 });
      const sending = scene.producer(hub);
      // The buffered producer computes the partition by itself.
      const buffering = scene.buffered(hub);
      const keys = ['a', 'key', 'orders-4711', 'ein längerer Schlüssel mit Umlauten', '鍵'];
      for (const partitionKey of keys) {
        await sending.sendBatch([{ body: partitionKey }], { partitionKey });
        await buffering.enqueueEvent({ body: partitionKey }, { partitionKey });
      }
      await buffering.flush();
      const hubNow = scene.namespace.broker.eventHubs.hub(hub)!;
      const partitionsOf = new Map<string, Set<string>>();
      for (const { id, size } of hubNow.partitions) {
        for (const event of size === 0 ? [] : await read(scene.consumer(hub), id, size)) {
          // The buffered producer keeps the key to itself.
          assert.ok(event.partitionKey === undefined || event.partitionKey === event.body);
          partitionsOf.set(String(event.body), (partitionsOf.get(String(event.body)) ?? new Set()).add(id));
        }
      }
      assert.deepEqual(
        keys.map((key) => partitionsOf.get(key)?.size),
        keys.map(() => 1),
      );
      const turns = scene.hub();
      for (let i = 0; i < 4; i++) await scene.producer(turns).sendBatch([{ body: i }]);
      assert.deepEqual(contentsOf(scene, turns), [2, 2]);
    },
  },
  {
    of: PRODUCER,
    call: 'sendBatch',
    what: 'to a hub that is not there: MessagingEntityNotFoundError; to a partition: ArgumentOutOfRangeError',
    async run(scene) {
      const code = 'MessagingEntityNotFoundError';
      await assert.rejects(scene.producer(scene.nameOf('missing')).sendBatch([{ body: 1 }]), { code });
      await assert.rejects(scene.producer(scene.hub()).sendBatch([{ body: 1 }], { partitionId: '9' }), {
        code: 'ArgumentOutOfRangeError',
        message: /should be between 0 and 1/,
      });
    },
  },
  {
    of: PRODUCER,
    call: 'sendBatch',
    what: 'while the service throttles: ServerBusyError',
    async run(scene) {
      const hub = scene.hub();
      scene.namespace.faults.refuseSends(1, hub);
      await assert.rejects(scene.producer(hub).sendBatch([{ body: 1 }]), { code: 'ServerBusyError' });
    },
  },
  {
    of: PRODUCER,
    call: 'createBatch',
    what: 'bounded by the link, 1 MiB',
    async run(scene) {
      const batch = await scene.producer(scene.hub()).createBatch();
      assert.equal(batch.maxSizeInBytes, 1_048_576);
      assert.equal(batch.tryAdd({ body: 'x'.repeat(1_100_000) }), false);
    },
  },
  {
    of: PRODUCER,
    call: 'getEventHubProperties, getPartitionIds, getPartitionProperties',
    what: 'and where there is none: MessagingEntityNotFoundError, ArgumentOutOfRangeError',
    routedIf: MANAGED,
    async run(scene) {
      const hub = scene.hub();
      const sending = scene.producer(hub);
      const { name, partitionIds } = await sending.getEventHubProperties();
      assert.deepEqual([name, partitionIds], [hub, ['0', '1']]);
      assert.equal((await sending.getPartitionProperties('0')).isEmpty, true);
      await sending.sendBatch([{ body: 1 }, { body: 2 }], { partitionId: '0' });
      const properties = await scene.consumer(hub).getPartitionProperties('0');
      assert.equal(properties.isEmpty, false);
      assert.deepEqual([properties.beginningSequenceNumber, properties.lastEnqueuedSequenceNumber], [0, 1]);
      await assert.rejects(sending.getPartitionProperties('7'), { code: 'ArgumentOutOfRangeError' });
      const missing = scene.producer(scene.nameOf('missing'));
      await assert.rejects(missing.getEventHubProperties(), { code: 'MessagingEntityNotFoundError' });
    },
  },
  {
    of: BUFFERED,
    call: 'enqueueEvent, enqueueEvents, flush',
    what: 'to a partition, by key, or spread over all; told to onSendEventsSuccessHandler',
    routedIf: MANAGED,
    async run(scene) {
      const hub = scene.hub();
      const sent = new Map<string, number>();
      const client = scene.buffered(hub, {
        onSendEventsSuccessHandler: ({ partitionId, events }) =>
          void sent.set(partitionId, (sent.get(partitionId) ?? 0) + events.length),
      });
      await client.enqueueEvent({ body: 'one' }, { partitionId: '1' });
      await client.enqueueEvents(
        Array.from({ length: 50 }, (_, i) => ({ body: i })),
        { partitionKey: 'key' },
      );
      await client.enqueueEvents(Array.from({ length: 50 }, (_, i) => ({ body: i })));
      await client.flush();
      const contents = contentsOf(scene, hub);
      assert.equal(contents[0]! + contents[1]!, 101);
      assert.deepEqual([sent.get('0') ?? 0, sent.get('1') ?? 0], contents);
    },
  },
  {
    of: BUFFERED,
    call: 'enqueueEvent',
    what: 'sends by itself after maxWaitTimeInMs',
    routedIf: MANAGED,
    async run(scene) {
      const hub = scene.hub({ partitions: 1 });
      await scene.buffered(hub, { maxWaitTimeInMs: 50 }).enqueueEvent({ body: 1 });
      await until('the event', () => contentsOf(scene, hub)[0] === 1);
    },
  },
  {
    of: BUFFERED,
    call: 'onSendEventsErrorHandler',
    what: 'hears of what is refused, with its code',
    routedIf: MANAGED,
    async run(scene) {
      const hub = scene.hub();
      const errors: (string | undefined)[] = [];
      const client = scene.buffered(hub, {
        onSendEventsErrorHandler: ({ error }) => void errors.push((error as { code?: string }).code),
      });
      scene.namespace.faults.refuseSends(1, hub);
      await client.enqueueEvent({ body: 1 });
      await client.flush();
      assert.deepEqual(errors, ['ServerBusyError']);
    },
  },
  {
    of: BUFFERED,
    call: 'enableIdempotentRetries',
    what: 'numbers the events of each partition',
    routedIf: MANAGED,
    async run(scene) {
      const hub = scene.hub();
      const client = scene.buffered(hub, { enableIdempotentRetries: true });
      for (let i = 0; i < 3; i++) {
        await client.enqueueEvents([{ body: i }, { body: i }], { partitionId: '0' });
        await client.flush();
      }
      const events = await read(scene.consumer(hub), '0', 6);
      assert.deepEqual(
        events.map(({ systemProperties }) => systemProperties?.['com.microsoft:producer-sequence-number']),
        [1, 2, 3, 4, 5, 6],
      );
    },
  },
  {
    of: BUFFERED,
    call: 'getEventHubProperties, getPartitionIds, getPartitionProperties',
    what: 'as of the plain producer',
    routedIf: MANAGED,
    async run(scene) {
      const client = scene.buffered(scene.hub({ partitions: 3 }));
      assert.deepEqual(await client.getPartitionIds(), ['0', '1', '2']);
      assert.deepEqual((await client.getEventHubProperties()).partitionIds, ['0', '1', '2']);
      assert.equal((await client.getPartitionProperties('2')).isEmpty, true);
    },
  },
  {
    of: BUFFERED,
    call: 'close',
    what: 'sends what is left, unless told otherwise',
    routedIf: MANAGED,
    async run(scene) {
      const hub = scene.hub();
      const client = scene.buffered(hub);
      await client.enqueueEvent({ body: 1 }, { partitionId: '0' });
      await client.close();
      assert.deepEqual(contentsOf(scene, hub), [1, 0]);
    },
  },
];

/** What the client's buffered producer asks of the service for its idempotent retries. */
export const IDEMPOTENT_CALLS: readonly HubRow[] = [
  {
    of: PRODUCER,
    call: 'enableIdempotentRetries',
    what: 'is told its id, epoch and last number, or says them; what is sent twice is kept once',
    async run(scene) {
      const hub = scene.hub();
      const first = scene.idempotent(hub);
      const begin = await publishingOf(first, '0');
      assert.deepEqual([begin.ownerLevel, begin.lastPublishedSequenceNumber], [0, 0]);
      await first.sendBatch([{ body: 1 }, { body: 2 }], { partitionId: '0' });
      await first.sendBatch([{ body: 3 }], { partitionId: '0' });
      const { producerGroupId, lastPublishedSequenceNumber } = await publishingOf(first, '0');
      assert.equal(lastPublishedSequenceNumber, 3);
      // As after a cut, when nobody told that the last one had come.
      const again = scene.idempotent(hub, { 0: { ownerLevel: 0, producerGroupId, startingSequenceNumber: 2 } });
      await again.sendBatch([{ body: 3 }], { partitionId: '0' });
      await again.sendBatch([{ body: 4 }], { partitionId: '0' });
      assert.deepEqual(bodiesOf(await read(scene.consumer(hub), '0', 4)), [1, 2, 3, 4]);
    },
  },
  {
    of: PRODUCER,
    call: 'enableIdempotentRetries',
    what: 'a higher epoch displaces the lower: ProducerDisconnectedError',
    async run(scene) {
      const hub = scene.hub();
      const first = scene.idempotent(hub);
      await first.sendBatch([{ body: 1 }], { partitionId: '0' });
      const { ownerLevel, producerGroupId, lastPublishedSequenceNumber } = await publishingOf(first, '0');
      const second = scene.idempotent(hub, {
        0: { ownerLevel: ownerLevel + 1, producerGroupId, startingSequenceNumber: lastPublishedSequenceNumber },
      });
      await second.sendBatch([{ body: 2 }], { partitionId: '0' });
      await assert.rejects(first.sendBatch([{ body: 'late' }], { partitionId: '0' }), {
        code: 'ProducerDisconnectedError',
        message: /Received:0 Current:1/,
      });
    },
  },
  {
    of: PRODUCER,
    call: 'enableIdempotentRetries',
    what: 'numbers out of order: SequenceOutOfOrderError; below zero: ArgumentOutOfRangeError',
    async run(scene) {
      const hub = scene.hub();
      const first = scene.idempotent(hub);
      await first.sendBatch([{ body: 1 }, { body: 2 }, { body: 3 }], { partitionId: '0' });
      const { producerGroupId } = await publishingOf(first, '0');
      const second = scene.idempotent(hub, { 0: { producerGroupId, startingSequenceNumber: 1 } });
      await assert.rejects(second.sendBatch([{ body: 'late' }], { partitionId: '0' }), {
        code: 'SequenceOutOfOrderError',
        message: /old sequence/,
      });
      const third = scene.idempotent(hub, { 0: { ownerLevel: -1 } });
      await assert.rejects(third.sendBatch([{ body: 1 }], { partitionId: '0' }), {
        code: 'ArgumentOutOfRangeError',
        message: /must be zero or positive/,
      });
    },
  },
];
