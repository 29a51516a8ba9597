// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import { bodies, eventually, partitionOf, rejectsWith, rowsOf, take, takeOne, type CallRow } from './call-row.js';

/** The client renews locks by itself otherwise. */
const NO_RENEWAL = { maxAutoLockRenewalDurationInMs: 0 };

/** Calls of `ServiceBusReceiver`. */
export const RECEIVER_CALLS: readonly CallRow[] = rowsOf('ServiceBusReceiver', [
  [
    'receiveMessages',
    'in peekLock mode: locked until they are settled',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a', 'b', 'c'], { lockDurationMs: 30_000 });
      const got = await take(receiver, 2);
      assert.deepEqual(bodies(got), ['a', 'b']);
      assert.equal(scene.counts(queue), '3 2 0 0 0');
      const [a, b] = got;
      assert.notEqual(a!.lockToken, b!.lockToken);
      const left = a!.lockedUntilUtc!.getTime() - Date.now();
      assert.ok(left > 20_000 && left <= 31_000, `locked for ${left} ms`);
    },
  ],
  [
    'receiveMessages',
    'in receiveAndDelete mode: gone with the delivery',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a', 'b'], {}, { receiveMode: 'receiveAndDelete' });
      const got = await take(receiver, 2);
      assert.deepEqual(bodies(got), ['a', 'b']);
      assert.equal(got[0]!.lockToken, undefined);
      assert.equal(scene.counts(queue), '0 0 0 0 0');
    },
  ],
  [
    'receiveMessages',
    'from an empty entity: nothing, after maxWaitTimeInMs',
    async (scene) => {
      const receiver = scene.receiver(scene.queue());
      assert.deepEqual(await receiver.receiveMessages(5, { maxWaitTimeInMs: 100 }), []);
    },
  ],
  [
    'receiveMessages',
    'drains: what comes after the call stays free for others',
    async (scene) => {
      const queue = scene.queue();
      const receiver = scene.receiver(queue);
      await receiver.receiveMessages(5, { maxWaitTimeInMs: 50 });
      await scene.sender(queue).sendMessages({ body: 'x' });
      assert.equal(scene.counts(queue), '1 0 0 0 0');
    },
  ],
  [
    'receiveMessages',
    'from the deadLetter and transferDeadLetter sub-queues',
    async (scene) => {
      const target = scene.queue({ status: 'SendDisabled' });
      const { queue, receiver } = await scene.filled(['a']);
      await receiver.deadLetterMessage(await takeOne(receiver));
      assert.equal((await takeOne(scene.receiver(queue, { subQueueType: 'deadLetter' }))).body, 'a');
      const { queue: source, receiver: dying } = await scene.filled(['b'], { forwardDeadLetteredMessagesTo: target });
      await dying.deadLetterMessage(await takeOne(dying));
      const moved = await takeOne(scene.receiver(source, { subQueueType: 'transferDeadLetter' }));
      assert.equal(moved.body, 'b');
      assert.match(moved.deadLetterErrorDescription ?? '', /disabled/);
    },
  ],
  [
    'receiveMessages',
    'what was forwarded, with where it came from',
    async (scene) => {
      const target = scene.queue();
      const source = scene.queue({ forwardTo: target });
      await scene.sender(target).sendMessages({ body: 'first' });
      await scene.sender(source).sendMessages({ body: 'forwarded' });
      const [, forwarded] = await take(scene.receiver(target), 2);
      assert.deepEqual(
        [forwarded!.body, Number(forwarded!.sequenceNumber), Number(forwarded!.enqueuedSequenceNumber)],
        ['forwarded', 2, 1],
      );
      await assert.rejects(scene.receiver(source).receiveMessages(1, { maxWaitTimeInMs: 50 }), /forwards its messages/);
      const graveyard = scene.queue();
      const { queue, receiver } = await scene.filled(['dead'], { forwardDeadLetteredMessagesTo: graveyard });
      await receiver.deadLetterMessage(await takeOne(receiver), {
        deadLetterReason: 'unfit',
        deadLetterErrorDescription: 'x',
      });
      const dead = await takeOne(scene.receiver(graveyard));
      assert.deepEqual([dead.body, dead.deadLetterReason, dead.deadLetterSource], ['dead', 'unfit', queue]);
    },
  ],
  [
    'receiveMessages',
    'what has expired is not delivered; it is dead-lettered where the entity says so',
    async (scene) => {
      const { queue, receiver } = await scene.filled([], { deadLetterOnExpiration: true });
      await scene.sender(queue).sendMessages([{ body: 'short', timeToLive: 50 }, { body: 'long' }]);
      await eventually('the end of the first', () => scene.counts(queue) === '1 0 0 0 1');
      assert.equal((await takeOne(receiver)).body, 'long');
      const dead = await takeOne(scene.receiver(queue, { subQueueType: 'deadLetter' }));
      assert.deepEqual([dead.body, dead.deadLetterReason], ['short', 'TTLExpiredException']);
    },
  ],
  [
    'receiveMessages',
    'with the time to live that the entity leaves it, and when that ends',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['default'], { defaultTtlMs: 600_000 });
      await scene.sender(queue).sendMessages([
        { body: 'long', timeToLive: 3_600_000 },
        { body: 'short', timeToLive: 60_000 },
      ]);
      const got = await take(receiver, 3);
      assert.deepEqual(
        got.map(({ body, timeToLive, expiresAtUtc, enqueuedTimeUtc }) => [
          body,
          timeToLive,
          expiresAtUtc!.getTime() - enqueuedTimeUtc!.getTime(),
        ]),
        [
          ['default', 600_000, 600_000],
          ['long', 600_000, 600_000],
          ['short', 60_000, 60_000],
        ],
      );
    },
  ],
  [
    'receiveMessages',
    'what is never settled comes again, counted, until it is dead-lettered',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a'], { maxDeliveryCount: 2 }, NO_RENEWAL);
      const counts: (number | undefined)[] = [];
      while (counts.length < 2) {
        counts.push((await takeOne(receiver)).deliveryCount);
        scene.namespace.faults.endLocks(queue);
      }
      assert.deepEqual(counts, [0, 1]);
      await eventually('the dead letter', () => scene.counts(queue) === '0 0 0 0 1');
      const dead = await takeOne(scene.receiver(queue, { subQueueType: 'deadLetter' }));
      assert.equal(dead.deadLetterReason, 'MaxDeliveryCountExceeded');
    },
  ],
  [
    'receiveMessages',
    'from an entity that is not there, is disabled, has sessions',
    async (scene) => {
      const fails = (queue: string, code: string): Promise<void> =>
        rejectsWith(code, scene.receiver(queue).receiveMessages(1, { maxWaitTimeInMs: 100 }));
      await fails('nowhere', 'MessagingEntityNotFound');
      await fails(scene.queue({ status: 'ReceiveDisabled' }), 'MessagingEntityDisabled');
      await fails(scene.queue({ requiresSession: true }), 'GeneralError');
    },
  ],
  [
    'subscribe',
    'hands each message to processMessage and completes it',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a', 'b', 'c']);
      const got: unknown[] = [];
      const subscription = receiver.subscribe(
        {
          processMessage: async ({ body }) => {
            got.push(body);
          },
          processError: async ({ error }) => assert.fail(error),
        },
        { maxConcurrentCalls: 2 },
      );
      await eventually('all to be completed', () => scene.counts(queue) === '0 0 0 0 0');
      assert.deepEqual(got.sort(), ['a', 'b', 'c']);
      await scene.sender(queue).sendMessages({ body: 'd' });
      await eventually('one that comes later', () => got.length === 4);
      await subscription.close();
    },
  ],
  [
    'subscribe',
    'abandons what processMessage throws for, and goes on after the link was lost',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['bad'], { maxDeliveryCount: 2 });
      const got: unknown[] = [];
      const subscription = receiver.subscribe({
        processMessage: async ({ body }) => {
          got.push(body);
          if (body === 'bad') throw new Error('not today');
        },
        processError: async () => undefined,
      });
      await eventually('the dead letter', () => scene.counts(queue) === '0 0 0 0 1');
      assert.deepEqual(got, ['bad', 'bad']);
      assert.equal(scene.namespace.faults.detachLinks(queue), 1);
      await scene.sender(queue).sendMessages({ body: 'good' });
      await eventually('the next message', () => got.includes('good'));
      await subscription.close();
    },
  ],
  [
    'subscribe',
    'renews locks for as long as processMessage takes',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['slow'], { lockDurationMs: 12_000 });
      let until: Date | undefined;
      let message: ServiceBusReceivedMessage | undefined;
      const { promise, resolve } = withResolvers();
      const subscription = receiver.subscribe({
        processMessage: async (slow) => {
          message = slow;
          until = slow.lockedUntilUtc!;
          await promise;
        },
        processError: async ({ error }) => assert.fail(error),
      });
      await eventually('a renewal', () => until !== undefined && message!.lockedUntilUtc! > until);
      resolve();
      await eventually('it to be completed', () => scene.counts(queue) === '0 0 0 0 0');
      await subscription.close();
    },
  ],
  [
    'getMessageIterator',
    'message by message',
    async (scene) => {
      const { receiver } = await scene.filled(['a', 'b']);
      const got: unknown[] = [];
      for await (const message of receiver.getMessageIterator()) {
        got.push(message.body);
        await receiver.completeMessage(message);
        if (got.length === 2) break;
      }
      assert.deepEqual(got, ['a', 'b']);
    },
  ],
  [
    'peekMessages',
    'in whatever state, without locking; where the last peek ended, or from a number on',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a', 'b', 'c']);
      await receiver.deferMessage(await takeOne(receiver));
      await takeOne(receiver);
      const browser = scene.receiver(queue);
      const seen = await browser.peekMessages(2);
      assert.deepEqual(
        seen.map(({ body, state, lockToken }) => [body, state, lockToken]),
        [
          ['a', 'deferred', undefined],
          ['b', 'active', undefined],
        ],
      );
      assert.deepEqual(bodies(await browser.peekMessages(2)), ['c']);
      assert.deepEqual(await browser.peekMessages(2), []);
      const { sequenceNumber } = seen[1]!;
      assert.deepEqual(bodies(await browser.peekMessages(5, { fromSequenceNumber: sequenceNumber! })), ['b', 'c']);
    },
  ],
  [
    'peekMessages',
    'of a partitioned entity: of one partition at a time, until all have been seen',
    async (scene) => {
      const { queue } = await scene.filled([1, 2, 3, 4, 5, 6], { enablePartitioning: true });
      const browser = scene.receiver(queue);
      const seen: unknown[] = [];
      for (let some = await browser.peekMessages(10); some.length > 0; some = await browser.peekMessages(10)) {
        assert.equal(new Set(some.map(partitionOf)).size, 1);
        seen.push(...bodies(some));
      }
      assert.deepEqual(new Set(seen), new Set([1, 2, 3, 4, 5, 6]));
    },
  ],
  [
    'receiveDeferredMessages',
    'by sequence number, in both modes; MessageNotFound for what is not deferred',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a', 'b', 'c']);
      const [a, b, c] = await take(receiver, 3);
      for (const message of [a!, b!]) await receiver.deferMessage(message);
      assert.equal(scene.counts(queue), '1 1 2 0 0');
      const [again] = await receiver.receiveDeferredMessages(a!.sequenceNumber!);
      assert.deepEqual([again!.body, again!.state], ['a', 'deferred']);
      await receiver.completeMessage(again!);
      const deleting = scene.receiver(queue, { receiveMode: 'receiveAndDelete' });
      assert.deepEqual(bodies(await deleting.receiveDeferredMessages([b!.sequenceNumber!])), ['b']);
      assert.equal(scene.counts(queue), '1 1 0 0 0');
      await rejectsWith('MessageNotFound', receiver.receiveDeferredMessages(c!.sequenceNumber!));
    },
  ],
  [
    'completeMessage',
    'removes it; MessageLockLost where the lock has ended',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a', 'b'], {}, NO_RENEWAL);
      await receiver.completeMessage(await takeOne(receiver));
      assert.equal(scene.counts(queue), '1 0 0 0 0');
      const late = await takeOne(receiver);
      scene.namespace.faults.endLocks(queue);
      await rejectsWith('MessageLockLost', receiver.completeMessage(late));
      assert.equal(scene.namespace.counts(queue).active, 1);
    },
  ],
  [
    'completeMessage',
    'after the link was lost, by lock token on $management',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a']);
      const message = await takeOne(receiver);
      scene.namespace.faults.detachLinks(queue);
      await eventually('the client to notice', async () => {
        await receiver.completeMessage(message).catch(() => undefined);
        return scene.counts(queue) === '0 0 0 0 0';
      });
    },
  ],
  [
    'abandonMessage',
    'back to its place, counted; with properties to modify',
    async (scene) => {
      const { receiver } = await scene.filled(['a', 'b']);
      const properties = { tries: 1, text: 'x', yes: true };
      await receiver.abandonMessage(await takeOne(receiver), properties);
      const again = await takeOne(receiver);
      assert.deepEqual([again.body, again.deliveryCount], ['a', 1]);
      assert.deepEqual(again.applicationProperties, properties);
    },
  ],
  [
    'deferMessage',
    'put aside, with properties to modify',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a']);
      const message = await takeOne(receiver);
      await receiver.deferMessage(message, { why: 'later' });
      assert.equal(scene.counts(queue), '0 0 1 0 0');
      const [again] = await receiver.receiveDeferredMessages([message.sequenceNumber!]);
      assert.deepEqual(again!.applicationProperties, { why: 'later' });
    },
  ],
  [
    'deadLetterMessage',
    'with reason, description and properties; and without any',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a', 'b']);
      const [a, b] = await take(receiver, 2);
      await receiver.deadLetterMessage(a!, {
        deadLetterReason: 'unfit',
        deadLetterErrorDescription: 'no street',
        own: 'x',
      });
      await receiver.deadLetterMessage(b!);
      const dead = await take(scene.receiver(queue, { subQueueType: 'deadLetter' }), 2);
      assert.deepEqual(
        dead.map(({ body, deadLetterReason, deadLetterErrorDescription, applicationProperties }) => [
          body,
          deadLetterReason,
          deadLetterErrorDescription,
          applicationProperties?.['own'],
        ]),
        [
          ['a', 'unfit', 'no street', 'x'],
          ['b', undefined, undefined, undefined],
        ],
      );
    },
  ],
  [
    'renewMessageLock',
    'starts the duration anew; MessageLockLost where it has ended',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a'], { lockDurationMs: 30_000 }, NO_RENEWAL);
      const message = await takeOne(receiver);
      const before = message.lockedUntilUtc!;
      await eventually('some time', () => Date.now() > before.getTime() - 29_700);
      const after = await receiver.renewMessageLock(message);
      assert.ok(after > before);
      assert.deepEqual(message.lockedUntilUtc, after);
      scene.namespace.faults.endLocks(queue);
      await rejectsWith('MessageLockLost', receiver.renewMessageLock(message));
    },
  ],
  [
    'renewMessageLock',
    'while the service throttles: ServiceBusy',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a']);
      const message = await takeOne(receiver);
      scene.namespace.faults.refuseRequests(1, queue);
      await rejectsWith('ServiceBusy', receiver.renewMessageLock(message));
    },
  ],
  [
    'isClosed',
    'tells whether it was closed',
    async (scene) => {
      const receiver = scene.receiver(scene.queue());
      assert.equal(receiver.isClosed, false);
      await receiver.close();
      assert.equal(receiver.isClosed, true);
    },
  ],
  [
    'close',
    'what it holds stays locked until the lock ends',
    async (scene) => {
      const { queue, receiver } = await scene.filled(['a']);
      await takeOne(receiver);
      await receiver.close();
      assert.equal(scene.counts(queue), '1 1 0 0 0');
      scene.namespace.faults.endLocks(queue);
      assert.equal(scene.counts(queue), '1 0 0 0 0');
    },
  ],
]);

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
