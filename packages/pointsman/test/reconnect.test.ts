// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OutgoingLink } from '@pointsman/router';
import { encodeMessage } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import { ClientError } from '../src/client/client-error.js';
import type { Delivery } from '../src/client/receiver.js';
import { LISTENER, ROUTER, THROUGH_ORDERS, connector, scene, sslProfile } from './five-steps-fixture.js';
import type { RunningRouter, Scene, ServiceBusDouble } from './five-steps-fixture.js';

/** Short, so that what was locked when a link went comes again soon. */
const QUEUE = { name: 'orders', lockDurationMs: 400, maxDeliveryCount: 100 };
const SOON = { minMs: 5, maxMs: 20 };

async function start(
  one: Scene,
): Promise<{ cloud: ServiceBusDouble; router: RunningRouter; producer: Client; consumer: Client }> {
  const cloud = await one.openNamespace({ queues: [QUEUE] });
  const text = ROUTER + LISTENER + sslProfile({ caCertFile: one.caCertFile }) + connector(cloud.port) + THROUGH_ORDERS;
  const router = await one.startRouter(text, { backoff: SOON });
  await router.active();
  const [producer, consumer] = await Promise.all([
    connect({ host: '127.0.0.1', port: router.port }),
    connect({ host: '127.0.0.1', port: router.port }),
  ]);
  one.whenOver(() => Promise.all([producer.close(), consumer.close()]));
  return { cloud, router, producer, consumer };
}

/** Every message by its number and the attempt to send it: `17/0`. */
class Ledger {
  /** What the producer was told. */
  readonly outcomes = new Map<string, string>();
  /** For each copy that the consumer got, the number of deliveries before. */
  readonly copies = new Map<string, number[]>();
  readonly accepted = new Set<number>();
  readonly received = new Set<number>();

  take(delivery: Delivery): void {
    const { applicationProperties, header } = delivery.message;
    const key = applicationProperties?.get('key');
    assert.ok(typeof key === 'string');
    const copies = this.copies.get(key) ?? [];
    copies.push(header?.deliveryCount ?? 0);
    this.copies.set(key, copies);
    this.received.add(Number(key.split('/', 1)[0]));
  }

  /** Nothing lost, and doubles only where somebody could not know. */
  check(count: number): void {
    assert.equal(this.accepted.size, count);
    assert.equal(this.received.size, count, 'nothing is lost');
    for (const [key, outcome] of this.outcomes) {
      const copies = this.copies.get(key) ?? [];
      if (outcome === 'accepted') assert.ok(copies.length > 0, `${key} was accepted and never came`);
      if (outcome === 'released') assert.equal(copies.length, 0, `${key} was released, which means that nobody has it`);
      // A further copy of one sending is the queue's own repetition: the lock ended before it heard of the outcome.
      assert.ok(copies.filter((deliveries) => deliveries === 0).length <= 1, `${key} came twice as new`);
    }
  }
}

function post(sender: Awaited<ReturnType<Client['sender']>>, ledger: Ledger, id: number, attempt: number): void {
  const key = `${id}/${attempt}`;
  const bytes = encodeMessage({
    applicationProperties: new Map([['key', key]]),
    body: { kind: 'data', sections: [new Uint8Array(200).fill(id)] },
  });
  sender.post(bytes, (outcome) => {
    assert.ok(!(outcome instanceof ClientError), String(outcome));
    ledger.outcomes.set(key, outcome.type);
    if (outcome.type === 'accepted') ledger.accepted.add(id);
    else post(sender, ledger, id, attempt + 1);
  });
}

describe('a connection to Service Bus that is cut in mid-flow', () => {
  it(
    'loses nothing, doubles only what nobody could know, and leaves nothing behind',
    scene(async (one) => {
      const { cloud, router, producer, consumer } = await start(one);
      const { faults } = cloud.namespace;
      const COUNT = 3_000;
      const cuts: readonly (() => unknown)[] = [
        () => faults.dropConnections(),
        () => faults.detachLinks('orders'),
        () => faults.closeConnections(),
        () => faults.dropConnections(),
        () =>
          faults.closeConnections({
            condition: 'com.microsoft:container-close',
            description: 'The message container is being closed (10398).',
          }),
        () => faults.detachLinks('orders', { condition: 'amqp:link:detach-forced', description: 'Code: RenewToken.' }),
        () => faults.dropConnections(),
        () => faults.closeConnections(),
      ];
      const ledger = new Ledger();
      let cut = 0;
      const receiver = await consumer.receiver('orders', { credit: 100 }, (delivery) => {
        ledger.take(delivery);
        if (cut < cuts.length && ledger.received.size > ((cut + 1) * COUNT) / (cuts.length + 1)) cuts[cut++]?.();
      });
      const sender = await producer.sender('orders');
      for (let id = 0; id < COUNT; id++) post(sender, ledger, id, 0);
      await router.until(
        'every message to be accounted for',
        () => ledger.accepted.size === COUNT && ledger.received.size === COUNT,
      );
      await router.until('an empty queue', () => {
        const { active, locked } = cloud.namespace.counts('orders');
        return active === 0 && locked === 0;
      });
      assert.equal(cut, cuts.length);
      ledger.check(COUNT);
      assert.ok(
        [...ledger.outcomes.values()].some((outcome) => outcome !== 'accepted'),
        'the cuts were felt',
      );

      assert.equal(cloud.namespace.counts('orders').deadLetter, 0);
      assert.equal(cloud.visits.length, 7, 'one connection, and one more after each that ended');
      assert.equal(cloud.namespace.connections, 1);
      // Those of the autolinks; and the pair over which what came too late for them is told, until it has been idle.
      assert.ok([2, 4].includes(cloud.namespace.links), `${cloud.namespace.links} links`);
      const names = cloud.visits.flatMap(({ linkNames }) => linkNames);
      assert.equal(new Set(names).size, names.length);
      const { connections } = router.process.router;
      assert.equal(connections.size, 3, 'the connector, the producer and the consumer');
      assert.deepEqual([sender.queued, sender.unsettled], [0, 0]);
      const outgoing = [...connections]
        .flatMap(({ links }) => [...links])
        .concat(router.process.router.autoLinks.flatMap(({ link }) => link ?? []));
      for (const link of outgoing)
        if (link instanceof OutgoingLink) assert.deepEqual([link.queued, link.unsettled], [0, 0]);
      await receiver.close();
    }),
  );

  it(
    'brings a message again that a consumer had in its hands for longer than the lock, and counts it',
    scene(async (one) => {
      const { cloud, router, producer, consumer } = await start(one);
      const receiver = await consumer.receiver('orders');
      await (await producer.sender('orders')).send({ body: { kind: 'value', value: 'held' } });
      const first = await receiver.next();
      assert.equal(first?.message.header?.deliveryCount ?? 0, 0);
      cloud.namespace.faults.dropConnections();
      const second = await receiver.next();
      await first?.accept();
      const { tally } = router.autoLink('in', 'orders');
      await router.until('the count', () => tally.tooLate === 1);
      assert.equal(tally.settledLater, 0);
      assert.deepEqual(second?.message.body, { kind: 'value', value: 'held' });
      assert.equal(second.message.header?.deliveryCount, 1);
      await second.accept();
      await router.until(
        'an empty queue',
        () => cloud.namespace.counts('orders').locked === 0 && cloud.namespace.counts('orders').active === 0,
      );
    }),
  );

  it(
    'tells the producer what nobody can know: modified, as delivery-failed',
    scene(async (one) => {
      const { cloud, router, producer } = await start(one);
      const sender = await producer.sender('orders');
      cloud.namespace.faults.freezeConnections();
      const outcome = sender.send({ body: { kind: 'value', value: 'on its way' } });
      const link = router.autoLink('out', 'orders').link;
      await router.until('the transfer', () => link instanceof OutgoingLink && link.unsettled === 1);
      cloud.namespace.faults.dropConnections();
      const told = await outcome;
      assert.equal(told.type, 'modified');
      assert.equal(told.type === 'modified' && told.deliveryFailed, true);
      assert.notEqual(told.type === 'modified' && told.undeliverableHere, true);
    }),
  );

  it(
    'is not noticed by a sender whose messages come while the link is on its way back',
    scene(async (one) => {
      const { cloud, router, producer } = await start(one);
      const sender = await producer.sender('orders');
      const outLink = router.autoLink('out', 'orders');
      const cuts = [
        (): unknown => cloud.namespace.faults.detachLinks('orders'),
        (): unknown => cloud.namespace.faults.closeConnections(),
      ];
      for (let i = 0; i < 10; i++) {
        await router.until('the link', () => outLink.status === 'active');
        cuts[i % cuts.length]!();
        await router.until('its end', () => outLink.status !== 'active');
        const { type } = await sender.send({ body: { kind: 'value', value: i } });
        assert.equal(type, 'accepted');
      }
      assert.equal(cloud.namespace.counts('orders').active, 10);
    }),
  );

  it(
    'holds senders back while there is no connection, and goes on when there is',
    scene(async (one) => {
      const { cloud, router, producer } = await start(one);
      const sender = await producer.sender('orders');
      // What detaches for good here comes back after half a minute; a new connection comes at once.
      cloud.namespace.setStatus('orders', 'Disabled');
      await router.until('no link', () => router.autoLink('out', 'orders').status === 'failed');
      const outcome = sender.send({ body: { kind: 'value', value: 'patient' } });
      cloud.namespace.setStatus('orders', 'Active');
      cloud.namespace.faults.dropConnections();
      const told = await outcome;
      if (told.type !== 'accepted') {
        assert.equal(told.type, 'released', 'a message that went nowhere comes back untouched');
        assert.equal((await sender.send({ body: { kind: 'value', value: 'patient' } })).type, 'accepted');
      }
      assert.equal(cloud.namespace.counts('orders').active, 1);
    }),
  );

  it(
    'gives a message back that a busy queue did not take, and keeps the link',
    scene(async (one) => {
      const { cloud, router, producer } = await start(one);
      const sender = await producer.sender('orders');
      cloud.namespace.faults.refuseSends(3, 'orders');
      for (let i = 0; i < 3; i++)
        assert.equal((await sender.send({ body: { kind: 'value', value: i } })).type, 'released');
      assert.equal((await sender.send({ body: { kind: 'value', value: 3 } })).type, 'accepted');
      assert.equal(router.autoLink('out', 'orders').activations, 1);
      assert.equal(cloud.namespace.counts('orders').active, 1);
    }),
  );
});
