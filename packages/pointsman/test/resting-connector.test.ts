// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import { LISTENER, ROUTER, connector, scene, section, sslProfile } from './five-steps-fixture.js';
import type { RunningRouter, Scene, ServiceBusDouble } from './five-steps-fixture.js';

/** The clocks of connections without links, 60 s and 300 s in the cloud. */
const TIMES = { firstLinkMs: 60, noLinkMs: 100 };
const ROUTES = ['in', 'out']
  .map((direction) => section('linkRoute', { prefix: 'orders', direction, connection: 'azure' }))
  .join('');

interface Stage {
  readonly cloud: ServiceBusDouble;
  readonly router: RunningRouter;
  readonly client: Client;
}

async function start(one: Scene): Promise<Stage> {
  const cloud = await one.openNamespace({ times: TIMES });
  const text = ROUTER + LISTENER + sslProfile({ caCertFile: one.caCertFile }) + connector(cloud.port) + ROUTES;
  const router = await one.startRouter(text, { backoff: { minMs: 5, maxMs: 20 } });
  await router.until('the first connection', () => cloud.visits.length === 1);
  await router.said('rests: it had no links');
  const client = await connect({ host: '127.0.0.1', port: router.port });
  one.whenOver(() => client.close());
  return { cloud, router, client };
}

/** Nothing is to happen for as long as a connection that flaps would have come and gone several times. */
async function quiet(router: RunningRouter): Promise<void> {
  const end = performance.now() + 5 * TIMES.noLinkMs;
  await router.until('some time', () => performance.now() > end);
}

describe('a connector that only serves link routes', () => {
  it(
    'rests when Service Bus closes it for want of links, and connects for the first client that wants one',
    scene(async (one) => {
      const { cloud, router, client } = await start(one);
      await quiet(router);
      assert.equal(cloud.visits.length, 1, 'it does not flap');
      assert.match(router.connector.lastMessage ?? '', /rests/);

      const [sender, receiver] = await Promise.all([client.sender('orders'), client.receiver('orders')]);
      assert.equal((await sender.send({ body: { kind: 'value', value: 'm' } })).type, 'accepted');
      await (await receiver.next())!.accept();
      assert.equal(cloud.visits.length, 2);
      await router.until('an empty queue', () => cloud.namespace.counts('orders').locked === 0);

      await Promise.all([sender.close(), receiver.close()]);
      await router.until('the second rest', () => cloud.namespace.connections === 0);
      await quiet(router);
      assert.equal(cloud.visits.length, 2);
      const again = await client.sender('orders');
      assert.equal((await again.send({ body: { kind: 'value', value: 'm' } })).type, 'accepted');
      assert.equal(cloud.visits.length, 3);
    }),
  );

  it(
    'wakes for an autolink that comes at run time, and is kept by it',
    scene(async (one) => {
      const { cloud, router } = await start(one);
      const autoLink = router.process.router.addAutoLink({
        name: 'late',
        address: 'orders-in',
        direction: 'in',
        phase: 0,
        connection: 'azure',
        externalAddress: 'orders',
      });
      await router.until('the link', () => autoLink.status === 'active');
      await quiet(router);
      assert.equal(cloud.visits.length, 2);
      assert.equal(autoLink.status, 'active');
    }),
  );

  it(
    'leaves nothing behind of a client that has waited in vain',
    scene(async (one) => {
      const { cloud, router, client } = await start(one);
      await cloud.close();
      const attach = client.sender('orders');
      const leaves = assert.rejects(attach);
      await router.until('an attempt', () => router.steps.at(-1) === 'failed');
      await client.close();
      await leaves;
      await router.until('nobody', () => router.process.router.connections.size === 0);
    }),
  );
});
