// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { eventually, rejectsWith, rowsOf, takeOne, type CallRow } from './call-row.js';

/** Calls of `ServiceBusClient`. */
export const CLIENT_CALLS: readonly CallRow[] = [
  ...rowsOf('ServiceBusClient', [
    [
      'constructor',
      'with a connection string',
      async (scene) => {
        const client = scene.connect();
        assert.equal(client.fullyQualifiedNamespace, scene.client.fullyQualifiedNamespace);
        await client.createSender(scene.queue()).sendMessages({ body: 1 });
        await client.close();
      },
    ],
    [
      'createSender',
      'of a queue and of a topic',
      async (scene) => {
        for (const entity of [scene.queue(), scene.topic()]) {
          const sender = scene.client.createSender(entity);
          assert.equal(sender.entityPath, entity);
          await sender.sendMessages({ body: 1 });
        }
      },
    ],
    [
      'createReceiver',
      'of a queue, of a subscription, of their sub-queues',
      async (scene) => {
        const topic = scene.topic();
        await scene.sender(topic).sendMessages({ body: 'a' });
        const receiver = scene.client.createReceiver(topic, 'all');
        assert.equal(receiver.entityPath, `${topic}/Subscriptions/all`);
        await receiver.deadLetterMessage(await takeOne(receiver));
        const dead = scene.client.createReceiver(topic, 'all', { subQueueType: 'deadLetter' });
        assert.equal((await takeOne(dead)).body, 'a');
        const { receiver: plain } = await scene.filled(['b']);
        assert.equal((await takeOne(plain)).body, 'b');
      },
    ],
    [
      'createRuleManager',
      'of a subscription',
      async (scene) => {
        const manager = scene.client.createRuleManager(scene.topic(), 'all');
        for await (const { name } of manager.listRules()) assert.equal(name, '$Default');
      },
    ],
    [
      'acceptSession',
      'of a queue and of a subscription, whether it has messages or not; SessionCannotBeLocked where it is held',
      async (scene) => {
        const queue = scene.queue({ requiresSession: true });
        const receiver = await scene.client.acceptSession(queue, 'one');
        assert.equal(receiver.sessionId, 'one');
        await rejectsWith('SessionCannotBeLocked', scene.client.acceptSession(queue, 'one'));
        await receiver.close();
        await scene.client.acceptSession(queue, 'one');
        const topic = scene.topic('all', { requiresSession: true });
        await scene.sender(topic).sendMessages({ body: 'a', sessionId: 's' });
        assert.equal((await takeOne(await scene.client.acceptSession(topic, 'all', 's'))).body, 'a');
      },
    ],
    [
      'acceptSession',
      'of an entity without sessions: refused, which the client takes for SessionCannotBeLocked',
      (scene) => rejectsWith('SessionCannotBeLocked', scene.client.acceptSession(scene.queue(), 'one')),
    ],
    [
      'acceptNextSession',
      'the next that is free and has messages, waiting for one',
      async (scene) => {
        const queue = scene.queue({ requiresSession: true });
        const waiting = scene.client.acceptNextSession(queue);
        const sender = scene.sender(queue);
        await sender.sendMessages({ body: 'a', sessionId: 'one' });
        assert.equal((await waiting).sessionId, 'one');
        await sender.sendMessages([{ body: 'b', sessionId: 'one' }]);
        await sender.sendMessages([{ body: 'c', sessionId: 'two' }]);
        const next = await scene.client.acceptNextSession(queue);
        assert.equal(next.sessionId, 'two');
        assert.equal((await takeOne(next)).body, 'c');
      },
    ],
    [
      'acceptNextSession',
      'where there is none in time: ServiceTimeout',
      async (scene) => {
        const client = scene.connect();
        await rejectsWith('ServiceTimeout', client.acceptNextSession(scene.queue({ requiresSession: true })));
        await client.close();
      },
    ],
    [
      'close',
      'closes the connection, with all that was made with it',
      async (scene) => {
        const client = scene.connect();
        const queue = scene.queue();
        const sender = client.createSender(queue);
        await sender.sendMessages({ body: 1 });
        await client.close();
        await eventually('the link to go', () => scene.namespace.faults.detachLinks(queue) === 0);
        await assert.rejects(sender.sendMessages({ body: 2 }), /closed/);
      },
    ],
  ]),
];
