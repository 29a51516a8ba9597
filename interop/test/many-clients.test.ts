// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { queryObjects } from 'node:v8';
import { ServiceBusClient } from '@azure/service-bus';
import type { ServiceBusReceivedMessage, ServiceBusReceiver, ServiceBusSessionReceiver } from '@azure/service-bus';
import { Link } from '@pointsman/engine';
import { RouterConnection } from '@pointsman/router';
import { bytesHeld, startRouter, until } from '@pointsman/testing';
import { openNamespace } from '../src/azure-scene.js';
import { bodies, rejectsWith } from '../src/calls/call-row.js';

const owner = { after };
const server = await openNamespace(owner, {
  mode: 'emulator',
  queues: ['orders', { name: 'talks', requiresSession: true }],
});
const { namespace } = server;
process.env['MANY_CLIENTS_CLOUD'] = server.connectionString();

const router = await startRouter(
  owner,
  `
router { mode: standalone  id: many-clients }

listener { host: 127.0.0.1  port: 0  azureClients: admitted }

connector { name: service-bus  role: route-container  connectionString: env:MANY_CLIENTS_CLOUD }

linkRoute { pattern: "#"  direction: in   connection: service-bus }
linkRoute { pattern: "#"  direction: out  connection: service-bus }
`,
);
await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');

const CLIENTS = 100;

function connect(port: number = router.port()): ServiceBusClient {
  return new ServiceBusClient(
    `Endpoint=sb://localhost:${port};SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true`,
    { retryOptions: { maxRetries: 0, timeoutInMs: 60_000 } },
  );
}

/** One message. A shorter wait would end in a drain, and a client gives a link up that takes too long to answer one. */
async function takeOne(receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 60_000 });
  assert.ok(message !== undefined);
  return message;
}

/** So many clients at once; they are closed, and nothing of them may stay. */
async function withClients(
  count: number,
  act: (client: ServiceBusClient, number: number) => Promise<void>,
): Promise<void> {
  const clients = Array.from({ length: count }, () => connect());
  try {
    await Promise.all(clients.map(act));
    assert.equal(namespace.connections, 1);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
  await until('all links to be gone', () => namespace.links === 0 && routedLinks() === 0);
}

/** Links of all connections, the router's own included. */
function routedLinks(): number {
  return [...router.process.router.connections].reduce((sum, { links }) => sum + links.size, 0);
}

/** Objects of the router and the namespace that are not collected. */
function living(): Readonly<Record<string, number>> {
  const kinds = [RouterConnection, Link];
  return Object.fromEntries(kinds.map((kind) => [kind.name, queryObjects(kind, { format: 'count' })]));
}

/** What a client of a plain queue does: all that goes over links and over the node for management. */
async function work(client: ServiceBusClient, number: number): Promise<void> {
  const sender = client.createSender('orders');
  await sender.sendMessages({ body: number });
  const scheduled = await sender.scheduleMessages({ body: 'later' }, new Date(Date.now() + 3_600_000));
  const receiver = client.createReceiver('orders');
  assert.ok((await receiver.peekMessages(1)).length <= 1);
  const message = await takeOne(receiver);
  assert.ok((await receiver.renewMessageLock(message)).getTime() > Date.now());
  await receiver.completeMessage(message);
  await sender.cancelScheduledMessages(scheduled);
}

describe('a hundred clients through one connector', () => {
  it('send, schedule, peek, receive, renew and complete over one connection', async () => {
    await withClients(CLIENTS, work);
    const { active, locked, scheduled } = namespace.counts('orders');
    assert.deepEqual([active, locked, scheduled], [0, 0, 0]);
  });

  it('hold a session each, with its state and its lock', async () => {
    await withClients(CLIENTS, async (client, number) => {
      const sessionId = `session-${number}`;
      await client.createSender('talks').sendMessages([
        { body: `${number}-a`, sessionId },
        { body: `${number}-b`, sessionId },
      ]);
      const receiver = await client.acceptSession('talks', sessionId);
      const before = receiver.sessionLockedUntilUtc;
      await receiver.setSessionState({ number });
      assert.deepEqual(bodies(await receiver.peekMessages(5)), [`${number}-a`, `${number}-b`]);
      const message = await takeOne(receiver);
      assert.ok((await receiver.renewSessionLock()) >= before);
      await receiver.completeMessage(message);
      await receiver.completeMessage(await takeOne(receiver));
      assert.deepEqual(await receiver.getSessionState(), { number });
      await receiver.close();
    });
    assert.equal(namespace.counts('talks').active, 0);
  });

  it('leave nothing in the memory of the router', async () => {
    await withClients(20, work);
    const [bytes, objects] = [await bytesHeld(), living()];
    for (let round = 0; round < 3; round++) await withClients(20, work);
    const grown = (await bytesHeld()) - bytes;
    assert.ok(grown < 200_000, `${grown} bytes more`);
    assert.deepEqual(living(), objects);
  });

  it('leave no links where their connections are cut', async () => {
    const clients = Array.from({ length: 20 }, () => connect());
    await Promise.all(
      clients.map(async (client) => {
        await client.createSender('orders').sendMessages({ body: 'cut' });
        await client.createReceiver('orders').peekMessages(1);
      }),
    );
    assert.ok(namespace.links > 20);
    for (const connection of router.process.router.connections)
      if (connection.settings.role === 'normal') connection.close({ condition: 'amqp:connection:forced' });
    await until('all links to be gone', () => namespace.links === 0 && routedLinks() === 0);
    await Promise.all(clients.map((client) => client.close()));
  });
});

describe('sessions of several clients over one connection', () => {
  it('are held by one of them at a time', async () => {
    const [one, two] = [connect(), connect()];
    const held = await one.acceptSession('talks', 'wanted');
    await rejectsWith('SessionCannotBeLocked', two.acceptSession('talks', 'wanted'));
    await held.close();
    const next: ServiceBusSessionReceiver = await two.acceptSession('talks', 'wanted');
    assert.equal(next.sessionId, 'wanted');
    await Promise.all([one.close(), two.close()]);
  });

  it('go to the clients that wait for the next one, each to another', async () => {
    const clients = Array.from({ length: 5 }, () => connect());
    const waiting = clients.map((client) => client.acceptNextSession('talks'));
    const sender = clients[0]!.createSender('talks');
    for (let i = 0; i < clients.length; i++) await sender.sendMessages({ body: i, sessionId: `next-${i}` });
    const receivers = await Promise.all(waiting);
    assert.equal(new Set(receivers.map(({ sessionId }) => sessionId)).size, clients.length);
    for (const receiver of receivers) await receiver.completeMessage(await takeOne(receiver));
    await Promise.all(clients.map((client) => client.close()));
  });
});

describe('clients at a router with two connectors to one namespace', () => {
  it('have all of their links, and what these hold, on one of the connections', async () => {
    const wide = await startRouter(
      owner,
      `
router { mode: standalone  id: two-connectors }

listener { host: 127.0.0.1  port: 0  azureClients: admitted }

connector { name: one  role: route-container  connectionString: env:MANY_CLIENTS_CLOUD }
connector { name: two  role: route-container  connectionString: env:MANY_CLIENTS_CLOUD }

linkRoute { pattern: "#"  direction: in   connection: one }
linkRoute { pattern: "#"  direction: out  connection: one }
linkRoute { pattern: "#"  direction: in   connection: two }
linkRoute { pattern: "#"  direction: out  connection: two }
`,
    );
    await until('both to be open', () => wide.process.connectors.every(({ step }) => step === 'open'));
    const clients = Array.from({ length: 6 }, () => connect(wide.port()));
    for (const [number, client] of clients.entries()) {
      const receiver = await client.acceptSession('talks', `wide-${number}`);
      await receiver.setSessionState(number);
      assert.equal(await receiver.getSessionState(), number);
    }
    const used = [...wide.process.router.connections].filter(({ settings }) => settings.role === 'route-container');
    assert.deepEqual(
      used.map(({ links }) => links.size),
      [3, 3],
    );
    await Promise.all(clients.map((client) => client.close()));
  });
});
