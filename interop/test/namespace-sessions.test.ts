// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import type { ServiceBusSessionReceiver } from '@azure/service-bus';
import { openNamespace } from '../src/azure-scene.js';

const SESSIONS = 12;
const MESSAGES = 15;
const WORKERS = 4;

const clients: ServiceBusClient[] = [];
after(() => Promise.all(clients.map((client) => client.close())));
const server = await openNamespace(
  { after },
  {
    mode: 'emulator',
    queues: [{ name: 'orders', requiresSession: true, maxDeliveryCount: 1000 }],
  },
);
const { namespace } = server;

function connect(): ServiceBusClient {
  const client = new ServiceBusClient(server.connectionString(), {
    retryOptions: { maxRetries: 0, timeoutInMs: 1_500 },
  });
  clients.push(client);
  return client;
}

describe('message sessions with the official client, their links cut again and again', () => {
  it('keep the order within each session and lose nothing', async () => {
    const sender = connect().createSender('orders');
    for (let number = 0; number < MESSAGES; number++)
      for (let session = 0; session < SESSIONS; session++)
        await sender.sendMessages({ body: number, sessionId: `s-${session}` });

    const completed = new Map<string, number[]>();
    const holders = new Map<string, number>();
    let cuts = 0;
    let completing = 0;
    const isDone = (): boolean => namespace.counts('orders').active === 0;

    /** Takes what a session has, message by message, until its link is cut. `made`: cuts before it was asked for. */
    const drain = async (receiver: ServiceBusSessionReceiver, worker: number, made: number): Promise<void> => {
      const { sessionId } = receiver;
      holders.set(sessionId, worker);
      for (;;) {
        const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 150 });
        if (message === undefined) return;
        assert.equal(message.sessionId, sessionId);
        assert.equal(holders.get(sessionId), worker, 'nobody else has taken the session meanwhile');
        const done = completed.get(sessionId) ?? [];
        completed.set(sessionId, done);
        done.push(message.body as number);
        if (made !== cuts) return;
        completing += 1;
        await receiver.completeMessage(message);
        completing -= 1;
      }
    };

    const work = async (worker: number): Promise<void> => {
      const client = connect();
      while (!isDone()) {
        let receiver: ServiceBusSessionReceiver | undefined;
        const made = cuts;
        try {
          receiver = await client.acceptNextSession('orders', { maxAutoLockRenewalDurationInMs: 0 });
          await drain(receiver, worker, made);
        } catch (error) {
          // A cut, or no session in time. What is not settled comes again.
          if (error instanceof assert.AssertionError) throw error;
        } finally {
          await receiver?.close();
        }
      }
    };

    const cut = async (): Promise<void> => {
      while (!isDone()) {
        await delay(100);
        // The client waits a minute for the confirmation of a settlement whose link is gone.
        while (completing > 0) await delay(1);
        if (namespace.faults.detachLinks('orders') > 0) cuts += 1;
      }
    };
    await Promise.all([cut(), ...Array.from({ length: WORKERS }, (_, worker) => work(worker))]);

    assert.ok(cuts > 2, `links were cut ${cuts} times`);
    assert.equal(completed.size, SESSIONS);
    for (const [session, numbers] of completed) {
      // A message whose settlement was cut comes once more, before any that follows it.
      const once = numbers.filter((number, at) => number !== numbers[at - 1]);
      assert.deepEqual(
        once,
        Array.from({ length: MESSAGES }, (_, number) => number),
        session,
      );
    }
    assert.equal(namespace.counts('orders').deadLetter, 0);
  });
});
