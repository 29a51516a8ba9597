// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { EventPosition } from '@azure/event-hubs';
import { until } from '@pointsman/testing';
import { EARLIEST, MANAGED, bodiesOf, read, reading } from './hub-scene.js';
import type { HubRow } from './hub-scene.js';
import { MemoryCheckpoints } from './memory-checkpoints.js';

const CONSUMER = 'EventHubConsumerClient';

export const CONSUMER_CALLS: readonly HubRow[] = [
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'to one partition; after an offset, a sequence number or a time, or from it on; `@latest`; as often as one likes',
    async run(scene) {
      const hub = scene.hub();
      const sending = scene.producer(hub);
      for (let i = 0; i < 5; i++) await sending.sendBatch([{ body: i }], { partitionId: '0' });
      const client = scene.consumer(hub);
      const bodies = async (startPosition: EventPosition, count: number): Promise<unknown[]> =>
        bodiesOf(await read(client, '0', count, { startPosition }));
      const all = await read(client, '0', 5);
      assert.deepEqual(await bodies({ offset: all[1]!.offset }, 3), [2, 3, 4]);
      assert.deepEqual(await bodies({ offset: all[1]!.offset, isInclusive: true }, 4), [1, 2, 3, 4]);
      assert.deepEqual(await bodies({ sequenceNumber: 3 }, 1), [4]);
      assert.deepEqual(await bodies({ sequenceNumber: 3, isInclusive: true }, 2), [3, 4]);
      assert.deepEqual(await bodies({ enqueuedOn: all[0]!.enqueuedTimeUtc.getTime() - 1_000 }, 5), [0, 1, 2, 3, 4]);
      const late = read(client, '0', 1, { startPosition: { offset: '@latest' } });
      const timer = setInterval(() => void sending.sendBatch([{ body: 'late' }], { partitionId: '0' }), 100);
      assert.deepEqual(bodiesOf(await late).slice(0, 1), ['late']);
      clearInterval(timer);
    },
  },
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'to all partitions',
    routedIf: MANAGED,
    async run(scene) {
      const hub = scene.hub();
      const sending = scene.producer(hub);
      for (let i = 0; i < 6; i++) await sending.sendBatch([{ body: i }]);
      const partitions = new Map<unknown, string>();
      const subscription = scene.consumer(hub).subscribe(
        {
          processEvents: async (received, { partitionId }) => {
            for (const { body } of received) partitions.set(body, partitionId);
          },
          processError: async () => undefined,
        },
        { startPosition: EARLIEST, maxWaitTimeInSeconds: 1 },
      );
      await until('all events', () => partitions.size === 6);
      await subscription.close();
      assert.equal(new Set(partitions.values()).size, 2);
    },
  },
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'two clients share the partitions by a checkpoint store, and go on where a checkpoint says',
    routedIf: MANAGED,
    async run(scene) {
      const hub = scene.hub({ partitions: 4 });
      const sending = scene.producer(hub);
      const store = new MemoryCheckpoints();
      const loadBalancingOptions = { strategy: 'greedy', updateIntervalInMs: 200 } as const;
      const got = new Map<number, number>();
      const start = (): (() => Promise<void>) => {
        const subscription = scene.consumer(hub, { store, loadBalancingOptions }).subscribe(
          {
            processEvents: async (events, context) => {
              for (const { body } of events) got.set(Number(body), (got.get(Number(body)) ?? 0) + 1);
              if (events.length > 0) await context.updateCheckpoint(events.at(-1)!);
            },
            processError: async () => undefined,
          },
          { startPosition: EARLIEST, maxWaitTimeInSeconds: 0.2 },
        );
        return () => subscription.close();
      };
      const send = async (from: number): Promise<void> => {
        for (let i = from; i < from + 8; i++) await sending.sendBatch([{ body: i }], { partitionId: String(i % 4) });
      };
      await send(0);
      const first = start();
      await until('the first to have all', () => store.shares().join() === '0 1 2 3' && got.size === 8);
      const second = start();
      await until(
        'both to have two each',
        () => store.shares().length === 2 && store.shares().every((share) => share.length === 3),
      );
      await send(8);
      await until('what came then', () => got.size === 16);
      await first();
      await send(16);
      await until('the second to have all', () => store.shares().join() === '0 1 2 3' && got.size === 24);
      await second();
      // With a new client nothing comes again: what has checkpoints was seen.
      const seen = [...got.values()].reduce((sum, times) => sum + times, 0);
      await send(24);
      const third = start();
      await until('what came last', () => got.size === 32);
      await third();
      assert.equal(
        [...got.values()].reduce((sum, times) => sum + times, 0),
        seen + 8,
      );
    },
  },
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'with an owner level: the higher displaces the lower, which is refused: ReceiverDisconnectedError',
    async run(scene) {
      const hub = scene.hub();
      await scene.producer(hub).sendBatch([{ body: 1 }], { partitionId: '0' });
      const first = reading(scene.consumer(hub), '0', { ownerLevel: 1 });
      await until('the first to read', () => first.events.length === 1);
      const second = reading(scene.consumer(hub), '0', { ownerLevel: 2 });
      await until('the first to be displaced', () => first.errors.includes('ReceiverDisconnectedError'));
      const third = reading(scene.consumer(hub), '0', { ownerLevel: 1 });
      await until('the third to be refused', () => third.errors.includes('ReceiverDisconnectedError'));
      await until('the second to read', () => second.events.length === 1);
      await Promise.all([first, second, third].map(({ subscription }) => subscription.close()));
    },
  },
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'in several consumer groups, each from its own place on',
    async run(scene) {
      const hub = scene.hub({ consumerGroups: ['others'] });
      await scene.producer(hub).sendBatch([{ body: 1 }, { body: 2 }], { partitionId: '0' });
      assert.deepEqual(bodiesOf(await read(scene.consumer(hub), '0', 2)), [1, 2]);
      assert.deepEqual(bodiesOf(await read(scene.consumer(hub, { group: 'others' }), '0', 2)), [1, 2]);
      // An owner of one group does not displace those of another.
      const one = reading(scene.consumer(hub), '0', { ownerLevel: 1 });
      const other = reading(scene.consumer(hub, { group: 'others' }), '0', { ownerLevel: 2 });
      await until('both to read', () => one.events.length === 2 && other.events.length === 2);
      await Promise.all([one, other].map(({ subscription }) => subscription.close()));
      assert.deepEqual([one.errors, other.errors], [[], []]);
    },
  },
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'with trackLastEnqueuedEventProperties: how far the partition goes',
    async run(scene) {
      const hub = scene.hub();
      const sending = scene.producer(hub);
      for (let i = 0; i < 3; i++) await sending.sendBatch([{ body: i }], { partitionId: '0' });
      const { contexts, events, subscription } = reading(scene.consumer(hub), '0', {
        trackLastEnqueuedEventProperties: true,
        maxBatchSize: 1,
      });
      await until('the events', () => events.length === 3);
      const { lastEnqueuedEventProperties } = contexts[0]!;
      await subscription.close();
      const last = events[2]!;
      assert.equal(lastEnqueuedEventProperties?.sequenceNumber, last.sequenceNumber);
      assert.equal(String(lastEnqueuedEventProperties?.offset), last.offset);
      assert.equal(lastEnqueuedEventProperties?.enqueuedOn?.getTime(), last.enqueuedTimeUtc.getTime());
      assert.ok(Math.abs(lastEnqueuedEventProperties!.retrievedOn!.getTime() - Date.now()) < 60_000);
    },
  },
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'what is older than the hub keeps is gone: from the oldest on that is there',
    async run(scene) {
      const hub = scene.hub({ retainedBytes: 2_000 });
      const sending = scene.producer(hub);
      for (let i = 0; i < 8; i++) await sending.sendBatch([{ body: 'x'.repeat(500) }], { partitionId: '0' });
      const { firstSequence } = scene.namespace.broker.eventHubs.hub(hub)!.partitions[0]!;
      assert.ok(firstSequence > 2);
      const [oldest] = await read(scene.consumer(hub), '0', 8 - firstSequence, {
        startPosition: { sequenceNumber: 0 },
      });
      assert.equal(oldest!.sequenceNumber, firstSequence);
    },
  },
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'without the hub or the group: MessagingEntityNotFoundError; without the partition: ArgumentOutOfRangeError; behind the newest event: ArgumentError',
    async run(scene) {
      const hub = scene.hub();
      await scene.producer(hub).sendBatch([{ body: 1 }], { partitionId: '0' });
      const codeOf = async (
        client: Parameters<typeof reading>[0],
        id: string,
        at?: EventPosition,
      ): Promise<unknown> => {
        const { errors, subscription } = reading(client, id, { startPosition: at ?? EARLIEST });
        await until('an error', () => errors.length > 0);
        await subscription.close();
        return errors[0];
      };
      const missing = 'MessagingEntityNotFoundError';
      assert.equal(await codeOf(scene.consumer(scene.nameOf('missing')), '0'), missing);
      assert.equal(await codeOf(scene.consumer(hub, { group: 'nobody' }), '0'), missing);
      assert.equal(await codeOf(scene.consumer(hub), '9'), 'ArgumentOutOfRangeError');
      assert.equal(await codeOf(scene.consumer(hub), '0', { offset: '488000' }), 'ArgumentError');
      assert.equal(await codeOf(scene.consumer(hub), '0', { sequenceNumber: 488 }), 'ArgumentError');
    },
  },
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'while the service moves the partition: PartitionNotOwnedError, and on when it has',
    async run(scene) {
      const hub = scene.hub();
      await scene.producer(hub).sendBatch([{ body: 1 }], { partitionId: '0' });
      const node = `${hub}/ConsumerGroups/$Default/Partitions/0`;
      const refusal = { condition: 'com.microsoft:partition-not-owned', description: 'The partition is moving.' };
      scene.namespace.faults.refuseAttaches(1, node, refusal);
      const met = reading(scene.consumer(hub), '0');
      await until('the error', () => met.errors.length > 0);
      await until('the event', () => met.events.length === 1);
      await met.subscription.close();
      assert.deepEqual(met.errors, ['PartitionNotOwnedError']);
    },
  },
  {
    of: CONSUMER,
    call: 'subscribe',
    what: 'goes on after the link or the connection was lost, behind the last event',
    async run(scene) {
      const hub = scene.hub();
      const sending = scene.producer(hub);
      await sending.sendBatch([{ body: 1 }, { body: 2 }], { partitionId: '0' });
      const { events, subscription } = reading(
        scene.consumer(hub, { retryOptions: { maxRetries: 5, retryDelayInMs: 50, timeoutInMs: 5_000 } }),
        '0',
      );
      await until('the first two', () => events.length === 2);
      scene.namespace.faults.detachLinks(`${hub}/ConsumerGroups/$Default/Partitions/0`);
      await sending.sendBatch([{ body: 3 }], { partitionId: '0' });
      await until('the third', () => events.length === 3);
      await subscription.close();
      assert.deepEqual(bodiesOf(events), [1, 2, 3]);
    },
  },
];
