// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { QueueOptions } from '@pointsman/namespace';
import type { CustodyTally } from '@pointsman/router';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import type { Delivery, Receiver } from '../src/client/receiver.js';
import { LISTENER, ROUTER, connector, scene, section, sslProfile } from './five-steps-fixture.js';
import type { Attributes, RunningRouter, Scene, ServiceBusDouble } from './five-steps-fixture.js';

const SOON = { minMs: 5, maxMs: 20 };

interface Held {
  readonly cloud: ServiceBusDouble;
  readonly router: RunningRouter;
  readonly consumer: Client;
  readonly receiver: Receiver;
  readonly delivery: Delivery;
  readonly tally: CustodyTally;
}

/** A message of the queue in the hands of a consumer of the router. */
async function held(
  one: Scene,
  queue: Partial<QueueOptions> = {},
  options: { readonly connector?: Attributes; readonly autoLink?: Attributes } = {},
): Promise<Held> {
  const cloud = await one.openNamespace({ queues: [{ name: 'orders', ...queue }] });
  const text =
    ROUTER +
    LISTENER +
    sslProfile({ caCertFile: one.caCertFile }) +
    connector(cloud.port, options.connector) +
    section('address', { prefix: 'orders', waypoint: 'yes' }) +
    section('autoLink', { address: 'orders', direction: 'out', connection: 'azure' }) +
    section('autoLink', { address: 'orders', direction: 'in', connection: 'azure', ...options.autoLink });
  const router = await one.startRouter(text, { backoff: SOON });
  await router.active();
  const [producer, consumer] = await Promise.all([
    connect({ host: '127.0.0.1', port: router.port }),
    connect({ host: '127.0.0.1', port: router.port }),
  ]);
  one.whenOver(() => Promise.all([producer.close(), consumer.close()]));
  const receiver = await consumer.receiver('orders', { credit: 0 });
  receiver.addCredit(1);
  await (await producer.sender('orders')).send({ body: { kind: 'value', value: 'held' } });
  const delivery = await receiver.next();
  assert.ok(delivery);
  return { cloud, router, consumer, receiver, delivery, tally: router.autoLink('in', 'orders').tally };
}

function state({ cloud, tally }: Held): string {
  const { active, locked, deadLetter } = cloud.namespace.counts('orders');
  return `active ${active} locked ${locked} dead ${deadLetter} later ${tally.settledLater} late ${tally.tooLate} doubt ${tally.inDoubt}`;
}

async function comesTo(one: Held, wanted: string): Promise<void> {
  await one.router
    .until(wanted, () => state(one) === wanted)
    .catch((error: unknown) => {
      throw new Error(`${state(one)} in place of ${wanted}`, { cause: error });
    });
}

const cuts: Readonly<Record<string, (cloud: ServiceBusDouble) => unknown>> = {
  'the service detaches the link': ({ namespace }) => namespace.faults.detachLinks('orders'),
  'the connection drops': ({ namespace }) => namespace.faults.dropConnections(),
  'the gateway is recycled': ({ namespace }) => namespace.faults.closeConnections(),
};

describe('an outcome whose link has gone', () => {
  for (const [what, cut] of Object.entries(cuts)) {
    it(
      `reaches the queue by the lock token after ${what}`,
      scene(async (one) => {
        const held1 = await held(one);
        const { cloud, router, delivery } = held1;
        const { activations } = router.autoLink('in', 'orders');
        cut(cloud);
        await router.until('the link again', () => router.autoLink('in', 'orders').activations > activations);
        await delivery.accept();
        await comesTo(held1, 'active 0 locked 0 dead 0 later 1 late 0 doubt 0');
      }),
    );
  }

  it(
    'is kept while there is no connection, and told when there is one',
    scene(async (one) => {
      const held1 = await held(one);
      const { cloud, router, delivery } = held1;
      cloud.namespace.faults.dropConnections();
      await router.until('the loss', () => router.autoLink('in', 'orders').status !== 'active');
      await delivery.accept();
      await comesTo(held1, 'active 0 locked 0 dead 0 later 1 late 0 doubt 0');
    }),
  );

  it(
    'dead-letters with the reason of the consumer, and abandons where the consumer failed',
    scene(async (one) => {
      const held1 = await held(one);
      const { cloud, delivery, receiver } = held1;
      cloud.namespace.faults.detachLinks('orders');
      receiver.addCredit(1);
      await delivery.modify({ deliveryFailed: true });
      const again = await receiver.next();
      assert.equal(again?.message.header?.deliveryCount, 1);
      cloud.namespace.faults.detachLinks('orders');
      await again.reject({ condition: 'app:bad', description: 'cannot be read' });
      await comesTo(held1, 'active 0 locked 0 dead 1 later 2 late 0 doubt 0');
    }),
  );

  it(
    'is told again where the service was busy, on the link and beside it',
    scene(async (one) => {
      const held1 = await held(one);
      const { cloud, delivery } = held1;
      cloud.namespace.faults.refuseSettlements(1, 'orders');
      cloud.namespace.faults.refuseRequests(1, 'orders', {
        condition: 'com.microsoft:timeout',
        description: 'The operation did not complete within the allotted time.',
      });
      await delivery.accept();
      await comesTo(held1, 'active 0 locked 0 dead 0 later 1 late 0 doubt 0');
    }),
  );

  it(
    'is confirmed to a consumer that waits for that',
    scene(async (one) => {
      const held1 = await held(one);
      const { cloud, consumer, receiver, router, delivery } = held1;
      await delivery.release();
      await receiver.close();
      const second = await consumer.receiver('orders', { mode: 'second' });
      const again = await second.next();
      const { activations } = router.autoLink('in', 'orders');
      cloud.namespace.faults.detachLinks('orders');
      await router.until('the link again', () => router.autoLink('in', 'orders').activations > activations);
      await again!.accept();
      assert.equal(cloud.namespace.counts('orders').locked, 0, 'the queue had it when the consumer heard of it');
      assert.equal(held1.tally.settledLater, 1);
    }),
  );

  it(
    'needs a token where the connection is one of tokens',
    scene(async (one) => {
      const held1 = await held(one, {}, { connector: { azureAuthentication: 'sas', saslMechanisms: undefined } });
      const { cloud, delivery } = held1;
      cloud.namespace.faults.detachLinks('orders');
      await delivery.accept();
      await comesTo(held1, 'active 0 locked 0 dead 0 later 1 late 0 doubt 0');
    }),
  );
});

describe('locks of messages on their way', () => {
  it(
    'are renewed for as long as a consumer takes',
    scene(async (one) => {
      const held1 = await held(one, { lockDurationMs: 5_000 });
      const { delivery, router, tally } = held1;
      await router.until('two renewals', () => tally.locksRenewed === 2);
      await delivery.accept();
      await comesTo(held1, 'active 0 locked 0 dead 0 later 0 late 0 doubt 0');
    }),
  );
});
