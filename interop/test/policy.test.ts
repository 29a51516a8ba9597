// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RemoteError, RheaClient } from '@pointsman/interop';
import { startRouter, until } from '@pointsman/testing';

const CONF = `
router { id: rhea-policy }
listener { name: open  host: 127.0.0.1  port: 0  policyVhost: free }
listener { name: shop  host: 127.0.0.1  port: 0  policyVhost: shop }
policy { enableVhostPolicy: yes }
vhost {
    hostname: free
    groups: {
        all: {
            users: *
            remoteHosts: 127.0.0.1, ::1
            sources: *
            targets: *
        }
    }
}
vhost {
    hostname: shop
    maxConnections: 1
    groups: {
        clerks: {
            users: anonymous
            remoteHosts: 127.0.0.0-127.255.255.255
            targets: orders, from-\${user}
            sourcePattern: news.#
            maxSenders: 2
            maxFrameSize: 4096
            maxMessageSize: 100000
        }
    }
}
`;

const denied = (condition: string, description: string) => (error: unknown) =>
  error instanceof RemoteError && error.condition === condition && error.description === description;

describe('policies, with rhea', () => {
  it('let in as many as they say, and tell the next one why not', async (t) => {
    const router = await startRouter(t, CONF);
    const first = await RheaClient.connect(t, router.port('shop'));
    const second = await RheaClient.connect(t, router.port('shop')).catch((error: unknown) => error as RemoteError);
    const why = (): RemoteError | undefined => (second instanceof RheaClient ? second.error : second);
    await until('the refusal', () => why() !== undefined);
    assert.ok(denied('amqp:resource-limit-exceeded', 'connection disallowed by local policy')(why()), String(why()));
    await first.close();
  });

  it('let links to the nodes of a group through, and no others', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port('shop'));
    await client.receiver('news.today');
    const forbidden = denied('amqp:unauthorized-access', 'link disallowed by local policy');
    await assert.rejects(client.receiver('orders'), forbidden);
    await assert.rejects(client.receiver({ source: { dynamic: true } } as never), forbidden);
    await assert.rejects(client.sender('news.today'), forbidden);
    const sender = await client.sender('orders');
    await client.sender('from-anonymous');
    await assert.rejects(
      client.sender('orders'),
      denied('amqp:resource-limit-exceeded', 'link disallowed by local policy'),
    );
    await sender.close();
    await client.sender('orders');
  });

  it('end a connection whose message is too large, and nobody gets it', async (t) => {
    const router = await startRouter(t, CONF);
    const far = await RheaClient.connect(t, router.port('open'));
    const receiver = await far.receiver('orders');
    const client = await RheaClient.connect(t, router.port('shop'));
    const sender = await client.sender('orders');
    assert.equal((await sender.send({ body: 'x'.repeat(90_000) })).outcome, 'accepted');
    void sender.send({ body: 'y'.repeat(200_000) });
    await until('the close', () => client.error !== undefined);
    assert.ok(denied('amqp:connection:forced', 'Message size exceeded')(client.error), String(client.error));
    const again = await far.sender('orders');
    assert.equal((await again.send({ body: 'after' })).outcome, 'accepted');
    assert.deepEqual(
      receiver.bodies.map((body) => String(body).slice(0, 5)),
      ['xxxxx', 'after'],
    );
  });

  it('let messages say no other user', async (t) => {
    const router = await startRouter(t, CONF);
    const far = await RheaClient.connect(t, router.port('open'));
    await far.receiver('orders');
    const client = await RheaClient.connect(t, router.port('shop'));
    const sender = await client.sender('orders');
    assert.equal((await sender.send({ user_id: 'anonymous', body: 1 } as never)).outcome, 'accepted');
    const other = await sender.send({ user_id: 'alice', body: 2 } as never);
    assert.equal(other.outcome, 'rejected');
    assert.equal((other.state as { error?: { description?: string } }).error?.description, 'user_id proxy violation');
  });
});
