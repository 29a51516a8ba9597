// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { startRouter, until } from '@pointsman/testing';
import { AzureClient, AzureError } from '../src/azure-client.js';
import type { AzureConnection } from '../src/azure-client.js';
import { openNamespace } from '../src/azure-scene.js';

const owner = { after };
const POLICY = 'clients';
const KEY = 'key-of-the-clients';
const OLD_KEY = 'key-before-that';
const HOST = 'example.servicebus.windows.net';
process.env['FRONT_DOOR_KEY'] = KEY;
process.env['FRONT_DOOR_OLD_KEY'] = OLD_KEY;

// The namespace knows nothing of the key that clients have: the router is there under its own.
const cloud = await openNamespace(owner, {
  queues: ['orders'],
  topics: [{ name: 'news', subscriptions: [{ name: 'all' }] }],
});
process.env['FRONT_DOOR_CLOUD'] = cloud.connectionString();
const azure = new AzureClient(owner, cloud.caCertFile);

const router = await startRouter(
  owner,
  `
router { mode: standalone  id: front-door }

sslProfile {
    name: ours
    caCertFile: ${cloud.caCertFile}
    certFile: ${cloud.certificate?.certFile}
    privateKeyFile: ${cloud.certificate?.privateKeyFile}
}

listener { name: keys      host: 127.0.0.1  port: 0  sslProfile: ours  azureClients: sas  azureKeys: { "${POLICY}": ["env:FRONT_DOOR_OLD_KEY", "env:FRONT_DOOR_KEY"] } }
listener { name: admitted  host: 127.0.0.1  port: 0  sslProfile: ours  azureClients: admitted }
listener { name: web       host: 127.0.0.1  port: 0  sslProfile: ours  azureClients: admitted  http: yes }
listener { name: closed    host: 127.0.0.1  port: 0  sslProfile: ours }

connector { name: service-bus  role: route-container  sslProfile: ours  connectionString: env:FRONT_DOOR_CLOUD  azureAuthentication: sas }

linkRoute { prefix: orders  direction: in   connection: service-bus }
linkRoute { prefix: orders  direction: out  connection: service-bus }
linkRoute { prefix: news    direction: in   connection: service-bus }
linkRoute { prefix: news    direction: out  connection: service-bus }
`,
);
await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');

function connect(listener: string, key: string = KEY, webSocket = false): Promise<AzureConnection> {
  const { port } = router.process.listeners.find(({ name }) => name === listener)!;
  return azure.connect({
    connectionString: `Endpoint=sb://${HOST}/;SharedAccessKeyName=${POLICY};SharedAccessKey=${key}`,
    customEndpoint: `sb://localhost:${port}`,
    webSocket,
    timeoutMs: 10_000,
  });
}

async function roundTrip(client: AzureConnection, body: string): Promise<void> {
  const sender = await client.sender('orders');
  await sender.send({ body, applicationProperties: { color: 'red' } });
  const receiver = await client.receiver('orders');
  const message = await receiver.next();
  assert.equal(message.body, body);
  assert.equal(message.applicationProperties?.['color'], 'red');
  await receiver.complete(message);
  await sender.close();
  await receiver.close();
  await until('the queue to be empty', () => cloud.namespace.counts('orders').active === 0);
}

describe('an unmodified client of Service Bus whose custom endpoint is the router', () => {
  it('sends and receives by link routes, let in by tokens of a key that the router knows', async () => {
    const client = await connect('keys');
    await roundTrip(client, 'one');
    await roundTrip(client, 'two');
    await client.close();
    assert.ok(
      router.log.some(({ text }) => /Token of a client for sb:\/\/.*\/orders accepted \(listener keys\)/.test(text)),
    );
    assert.equal(
      router.log.some(({ text }) => /SharedAccessSignature|key-of-the/.test(text)),
      false,
    );
  });

  it('may have a key that is about to go', async () => {
    const client = await connect('keys', OLD_KEY);
    await roundTrip(client, 'by the old key');
    await client.close();
  });

  it('receives from a subscription what it sent to its topic', async () => {
    const client = await connect('keys');
    const receiver = await client.subscriber('news', 'all');
    const sender = await client.sender('news');
    await sender.send({ body: 'extra' });
    const message = await receiver.next();
    assert.equal(message.body, 'extra');
    await receiver.complete(message);
    await client.close();
  });

  it('peeks and renews locks through the node for management of an entity', async () => {
    const client = await connect('keys');
    const sender = await client.sender('orders');
    await sender.send({ body: 'looked at' });
    const receiver = await client.receiver('orders');
    assert.deepEqual(
      (await receiver.peek(1)).map(({ body }) => body),
      ['looked at'],
    );
    const message = await receiver.next();
    assert.ok((await receiver.renew(message)).getTime() > Date.now());
    await receiver.complete(message);
    await client.close();
  });

  it('shares the management of an entity, of which the service has one for each connection, with other clients', async () => {
    const clients = [await connect('keys'), await connect('admitted'), await connect('keys')];
    const sender = await clients[0]!.sender('orders');
    await sender.send({ body: 'one' }, { body: 'two' });
    const receivers = await Promise.all(clients.map((client) => client.receiver('orders')));
    const peeked = await Promise.all(receivers.map((receiver) => receiver.peek(2)));
    for (const messages of peeked) {
      assert.deepEqual(
        messages.map(({ body }) => body),
        ['one', 'two'],
      );
    }
    // Each renews the lock of its own message, and they come and go.
    const first = await receivers[1]!.next();
    const second = await receivers[2]!.next();
    await clients[0]!.close();
    assert.ok((await receivers[1]!.renew(first)).getTime() > Date.now());
    assert.ok((await receivers[2]!.renew(second)).getTime() > Date.now());
    await receivers[1]!.complete(first);
    await receivers[2]!.complete(second);
    await clients[1]!.close();
    assert.deepEqual(await receivers[2]!.peek(1), []);
    const node = (): unknown => {
      const found = router.process.connectors[0]!.nodes?.find(({ address }) => address === 'orders/$management');
      return [found?.state, found?.clients, found?.underWay];
    };
    assert.deepEqual(node(), ['attached', 1, 0], 'of the three that are shown to operators one is left');
    await clients[2]!.close();
    assert.equal(cloud.namespace.counts('orders').active, 0);
    await until('the node to rest', () => String(node()) === 'resting,0,0');
  });

  it('finds the management of an entity again after the service has detached it', async () => {
    const client = await connect('keys');
    const receiver = await client.receiver('orders');
    assert.deepEqual(await receiver.peek(1), []);
    assert.ok(cloud.namespace.faults.detachLinks('orders/$management') > 0);
    await until('the client to peek again', async () => {
      try {
        return (await receiver.peek(1)).length === 0;
      } catch (error) {
        // The client has not noticed the detach yet.
        assert.ok(error instanceof AzureError, String(error));
        return undefined;
      }
    });
    await client.close();
  });

  it('is refused with a wrong key, and told so', async () => {
    const client = await connect('keys', 'no-key-of-ours');
    const sender = await client.sender('orders');
    await assert.rejects(sender.send({ body: 'never' }), (error: unknown) => {
      assert.ok(error instanceof AzureError, String(error));
      assert.match(error.message, /InvalidSignature/);
      return true;
    });
    await client.close();
    assert.equal(cloud.namespace.counts('orders').active, 0);
  });

  it('is let in with any token where the listener itself decides', async () => {
    const client = await connect('admitted', 'whatever it has');
    await roundTrip(client, 'admitted');
    await client.close();
  });

  it('comes over a WebSocket, too', async () => {
    const client = await connect('web', KEY, true);
    await roundTrip(client, 'over a WebSocket');
    await client.close();
  });

  it('hears from a listener that takes no tokens what to configure', async () => {
    const client = await connect('closed');
    const sender = await client.sender('orders');
    await assert.rejects(sender.send({ body: 'never' }), (error: unknown) => {
      assert.ok(error instanceof AzureError, String(error));
      assert.match(error.message, /Listener 'closed' of this router takes no tokens at \$cbs.*azureClients: sas/);
      return true;
    });
    await client.close();
  });
});
