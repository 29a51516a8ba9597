// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { bodies, eventually, rejectsWith, rowsOf, take, takeOne, type CallRow, type CallScene } from './call-row.js';

/** A queue with sessions, and messages in it. @returns its name */
async function sessions(
  scene: CallScene,
  messages: readonly (readonly [body: string, sessionId: string])[],
  lockDurationMs = 60_000,
): Promise<string> {
  const queue = scene.queue({ requiresSession: true, lockDurationMs });
  const sender = scene.sender(queue);
  for (const [body, sessionId] of messages) await sender.sendMessages({ body, sessionId });
  await sender.close();
  return queue;
}

/** Calls of `ServiceBusSessionReceiver`. */
export const SESSION_CALLS: readonly CallRow[] = rowsOf('ServiceBusSessionReceiver', [
  [
    'sessionId, sessionLockedUntilUtc',
    'as the service said them',
    async (scene) => {
      const receiver = await scene.client.acceptSession(await sessions(scene, []), 'one');
      assert.equal(receiver.sessionId, 'one');
      const left = receiver.sessionLockedUntilUtc.getTime() - Date.now();
      assert.ok(left > 50_000 && left <= 61_000, `locked for ${left} ms`);
    },
  ],
  [
    'receiveMessages',
    'those of the session alone, in order, an abandoned one first',
    async (scene) => {
      const queue = await sessions(scene, [
        ['a', 'one'],
        ['b', 'two'],
        ['c', 'one'],
      ]);
      const receiver = await scene.client.acceptSession(queue, 'one');
      await receiver.abandonMessage(await takeOne(receiver));
      assert.deepEqual(bodies(await take(receiver, 2)), ['a', 'c']);
      assert.deepEqual(await receiver.receiveMessages(1, { maxWaitTimeInMs: 100 }), []);
    },
  ],
  [
    'receiveMessages',
    'in receiveAndDelete mode',
    async (scene) => {
      const queue = await sessions(scene, [['a', 'one']]);
      const receiver = await scene.client.acceptNextSession(queue, { receiveMode: 'receiveAndDelete' });
      assert.equal((await takeOne(receiver)).body, 'a');
      assert.equal(scene.counts(queue), '0 0 0 0 0');
    },
  ],
  [
    'subscribe',
    'one message at a time, in order',
    async (scene) => {
      const names = ['a', 'b', 'c', 'd', 'e'];
      const queue = await sessions(
        scene,
        names.map((name) => [name, 'one']),
      );
      const receiver = await scene.client.acceptNextSession(queue);
      const got: unknown[] = [];
      const subscription = receiver.subscribe({
        processMessage: async ({ body }) => {
          got.push(body);
        },
        processError: async ({ error }) => assert.fail(error),
      });
      await eventually('all of them', () => scene.counts(queue) === '0 0 0 0 0');
      assert.deepEqual(got, names);
      await subscription.close();
    },
  ],
  [
    'getMessageIterator',
    'message by message',
    async (scene) => {
      const queue = await sessions(scene, [['a', 'one']]);
      const receiver = await scene.client.acceptNextSession(queue);
      for await (const message of receiver.getMessageIterator()) {
        assert.equal(message.body, 'a');
        break;
      }
    },
  ],
  [
    'peekMessages',
    'those of the session alone',
    async (scene) => {
      const queue = await sessions(scene, [
        ['a', 'one'],
        ['b', 'two'],
        ['c', 'one'],
      ]);
      const receiver = await scene.client.acceptSession(queue, 'one');
      assert.deepEqual(bodies(await receiver.peekMessages(5)), ['a', 'c']);
    },
  ],
  [
    'receiveDeferredMessages, deferMessage',
    'within the session; they are settled on $management',
    async (scene) => {
      const queue = await sessions(scene, [
        ['a', 'one'],
        ['b', 'two'],
      ]);
      const receiver = await scene.client.acceptSession(queue, 'one');
      const message = await takeOne(receiver);
      await receiver.deferMessage(message, { why: 'later' });
      const [again] = await receiver.receiveDeferredMessages(message.sequenceNumber!);
      assert.deepEqual([again!.body, again!.applicationProperties], ['a', { why: 'later' }]);
      await receiver.completeMessage(again!);
      assert.equal(scene.counts(queue), '1 0 0 0 0');
      const other = await scene.client.acceptSession(queue, 'two');
      await rejectsWith('MessageNotFound', other.receiveDeferredMessages(message.sequenceNumber!));
    },
  ],
  [
    'completeMessage, abandonMessage, deadLetterMessage',
    'as without sessions; dead letters are read by a plain receiver',
    async (scene) => {
      const queue = await sessions(scene, [
        ['a', 'one'],
        ['b', 'one'],
      ]);
      const receiver = await scene.client.acceptNextSession(queue);
      const [a, b] = await take(receiver, 2);
      await receiver.completeMessage(a!);
      await receiver.deadLetterMessage(b!, { deadLetterReason: 'unfit', deadLetterErrorDescription: 'x' });
      assert.equal(scene.counts(queue), '0 0 0 0 1');
      const dead = await takeOne(scene.receiver(queue, { subQueueType: 'deadLetter' }));
      assert.deepEqual([dead.body, dead.deadLetterReason, dead.sessionId], ['b', 'unfit', 'one']);
    },
  ],
  [
    'renewSessionLock',
    'starts the duration anew, for all that the session holds',
    async (scene) => {
      const queue = await sessions(scene, [['a', 'one']], 5_000);
      const receiver = await scene.client.acceptSession(queue, 'one', { maxAutoLockRenewalDurationInMs: 0 });
      const message = await takeOne(receiver);
      const before = receiver.sessionLockedUntilUtc;
      await eventually('some time', () => Date.now() > before.getTime() - 2_500);
      const after = await receiver.renewSessionLock();
      assert.ok(after > before);
      assert.deepEqual(receiver.sessionLockedUntilUtc, after);
      await eventually('the first end', () => Date.now() > before.getTime() + 100);
      await receiver.completeMessage(message);
      assert.equal(scene.counts(queue), '0 0 0 0 0');
    },
  ],
  [
    'renewSessionLock',
    'after its end: the receiver is closed, SessionLockLost; messages are free again, counted',
    async (scene) => {
      const queue = await sessions(scene, [['a', 'one']]);
      const receiver = await scene.client.acceptSession(queue, 'one', { maxAutoLockRenewalDurationInMs: 0 });
      const message = await takeOne(receiver);
      scene.namespace.faults.endLocks(queue);
      await eventually('the client to notice', () => receiver.isClosed);
      await rejectsWith('SessionLockLost', receiver.completeMessage(message));
      await rejectsWith('SessionLockLost', receiver.renewSessionLock());
      const next = await scene.client.acceptNextSession(queue);
      assert.equal((await takeOne(next)).deliveryCount, 1);
    },
  ],
  [
    'setSessionState, getSessionState',
    'kept with the session, whoever holds it; null for none',
    async (scene) => {
      const queue = await sessions(scene, []);
      const first = await scene.client.acceptSession(queue, 'one');
      assert.equal(await first.getSessionState(), null);
      await first.setSessionState({ step: 7, text: 'ü' });
      await first.close();
      const second = await scene.client.acceptSession(queue, 'one');
      assert.deepEqual(await second.getSessionState(), { step: 7, text: 'ü' });
      await second.setSessionState(null);
      assert.equal(await second.getSessionState(), null);
    },
  ],
  [
    'isClosed, close',
    'sets the session free, and counts nothing',
    async (scene) => {
      const queue = await sessions(scene, [['a', 'one']]);
      const first = await scene.client.acceptSession(queue, 'one');
      await takeOne(first);
      assert.equal(first.isClosed, false);
      await first.close();
      assert.equal(first.isClosed, true);
      const second = await scene.client.acceptSession(queue, 'one');
      assert.equal((await takeOne(second)).deliveryCount, 0);
    },
  ],
]);
