// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CoordinatorRelay } from '@pointsman/azure';
import { Connection } from '@pointsman/engine';
import type { ConnectionHandler, Link, OutgoingDelivery, SenderHandler, SenderLink } from '@pointsman/engine';
import { Described, encodeMessage, ulong } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, DeliveryState } from '@pointsman/wire';
import { VirtualCloud } from './virtual-cloud.js';

const DECLARE = new Described(ulong(0x31), [null]);
const discharge = (txnId: Uint8Array, fail = false): Described => new Described(ulong(0x32), [txnId, fail]);

/** A client of the router whose links are all taken by the relay, and the one that it has to the coordinator. */
class TransactingClient implements ConnectionHandler, SenderHandler {
  readonly #cloud: VirtualCloud;
  readonly #mine: Connection;
  readonly #routers: Connection;
  readonly link: SenderLink;
  isAttached = false;
  error: AmqpErrorFields | undefined;
  readonly outcomes: DeliveryState[] = [];

  constructor(cloud: VirtualCloud, relay: CoordinatorRelay) {
    this.#cloud = cloud;
    this.#mine = new Connection({ role: 'client', containerId: 'client', now: 0 }, this);
    this.#routers = new Connection(
      { role: 'server', containerId: 'R', now: 0 },
      {
        onOpen: (connection) => connection.open(),
        onBegin: (session) => session.begin(),
        onEnd: () => undefined,
        onClosed: () => undefined,
        onAttach: (link, attach) => assert.ok(relay.take(link, attach)),
      },
    );
    this.#carry();
    this.link = this.#mine.session().attachSender('txn', this, {
      source: { type: 'source' },
      target: { type: 'coordinator', capabilities: ['amqp:local-transactions'] },
    });
  }

  /** Lets everything happen, here and at the namespace. */
  async settle(): Promise<void> {
    for (let round = 0; round < 4; round++) {
      this.#carry();
      // oxlint-disable-next-line no-await-in-loop
      await this.#cloud.settle();
    }
    this.#carry();
  }

  #carry(): void {
    const { time } = this.#cloud.clock;
    for (let moved = true; moved;) {
      moved = false;
      for (const [from, to] of [
        [this.#mine, this.#routers],
        [this.#routers, this.#mine],
      ] as const) {
        const buffers = from.takeOutput(time);
        if (buffers === undefined) continue;
        moved = true;
        for (const buffer of buffers) to.receive(Uint8Array.from(buffer), time);
        from.releaseOutput(buffers, time);
      }
    }
  }

  async ask(value: AmqpValue): Promise<DeliveryState> {
    const bytes = encodeMessage({ body: { kind: 'value', value } });
    this.link.send(undefined, 0, false, undefined, bytes, 0, bytes.length, true);
    await this.settle();
    return this.outcomes.at(-1)!;
  }

  async declare(): Promise<Uint8Array> {
    const outcome = await this.ask(DECLARE);
    assert.ok('type' in outcome && outcome.type === 'declared', JSON.stringify(outcome));
    return outcome.txnId;
  }

  cut(): void {
    this.#routers.abort();
  }

  onAttached(link: Link): void {
    this.isAttached = link.remoteAttach?.target !== undefined;
  }
  onDetach(link: Link, error: AmqpErrorFields | undefined): void {
    this.error = error ?? { condition: 'none' };
    link.detach();
  }
  onLost(): void {
    this.error = { condition: 'lost' };
  }
  onSendable(): void {
    /* tests send by hand */
  }
  onDisposition(link: SenderLink, delivery: OutgoingDelivery, state: DeliveryState | undefined): void {
    this.outcomes.push(state!);
    link.settle(delivery);
  }
  onOpen(connection: Connection): void {
    connection.open();
  }
  onBegin(): void {
    /* begun by us */
  }
  onEnd(): void {
    /* links are told */
  }
  onAttach(): void {
    /* the router attaches nothing */
  }
  onClosed(): void {
    /* cut by a test */
  }
}

function sceneOf(clients: number): { cloud: VirtualCloud; clients: TransactingClient[] } {
  const cloud = new VirtualCloud();
  const relay = new CoordinatorRelay({
    connection: cloud.connection,
    name: 'R-coordinator',
    authorize: (address, done) => cloud.cbs.authorize(address, done),
  });
  return { cloud, clients: Array.from({ length: clients }, () => new TransactingClient(cloud, relay)) };
}

const conditionOf = (state: DeliveryState): unknown =>
  'type' in state && state.type === 'rejected' ? state.error?.condition : 'type' in state && state.type;

describe('links of clients to the coordinator', () => {
  it('share the one that the service has for a connection, each with transactions of its own', async () => {
    const { cloud, clients } = sceneOf(2);
    const [one, two] = clients as [TransactingClient, TransactingClient];
    for (const client of [one, two, one]) await client.settle();
    assert.ok(one.isAttached && two.isAttached);
    assert.equal(cloud.namespace.links, 3, '$cbs and the coordinator');
    const [first, second] = [await one.declare(), await two.declare()];
    assert.equal(conditionOf(await two.ask(discharge(first))), 'amqp:transaction:unknown-id');
    assert.equal(conditionOf(await one.ask(discharge(first))), 'accepted');
    assert.equal(conditionOf(await one.ask(discharge(first))), 'amqp:transaction:unknown-id');
    assert.equal(conditionOf(await two.ask(discharge(second, true))), 'accepted');
  });

  it('take with them what they left open: it is rolled back, and others keep theirs', async () => {
    const { clients } = sceneOf(2);
    const [one, two] = clients as [TransactingClient, TransactingClient];
    for (const client of [one, two]) await client.settle();
    const kept = await two.declare();
    // The namespace has a hundred for a connection.
    for (let i = 0; i < 99; i++) await one.declare();
    assert.equal(conditionOf(await two.ask(DECLARE)), 'amqp:resource-limit-exceeded');
    one.cut();
    await two.settle();
    assert.equal(conditionOf(await two.ask(DECLARE)), 'declared');
    assert.equal(conditionOf(await two.ask(discharge(kept))), 'accepted');
  });

  it('end with the link at the service, and the next has another', async () => {
    const { cloud, clients } = sceneOf(3);
    const [one, two, next] = clients as [TransactingClient, TransactingClient, TransactingClient];
    for (const client of [one, two]) await client.settle();
    const txnId = await one.declare();
    assert.equal(cloud.namespace.faults.detachLinks(''), 1);
    for (const client of [one, two]) {
      await client.settle();
      assert.equal(client.error?.condition, 'amqp:link:detach-forced');
    }
    await next.settle();
    assert.equal(conditionOf(await next.ask(discharge(txnId))), 'amqp:transaction:unknown-id');
    assert.equal(conditionOf(await next.ask(DECLARE)), 'declared');
  });

  it('are gone with the last client, and come again with the next', async () => {
    const cloud = new VirtualCloud();
    const relay = new CoordinatorRelay({ connection: cloud.connection, name: 'R', authorize: undefined });
    cloud.cbs.authorize('orders', () => undefined);
    await cloud.settle();
    const one = new TransactingClient(cloud, relay);
    await one.settle();
    await one.declare();
    one.link.detach();
    await one.settle();
    assert.equal(cloud.namespace.links, 2, 'those to $cbs');
    const two = new TransactingClient(cloud, relay);
    await two.settle();
    assert.equal(conditionOf(await two.ask(DECLARE)), 'declared');
  });

  it('hear of what is no request to a coordinator', async () => {
    const { clients } = sceneOf(1);
    const [one] = clients as [TransactingClient];
    await one.settle();
    for (const value of ['declare', null, new Described(ulong(0x32), ['text']), new Described(ulong(0x99), [])])
      assert.equal(conditionOf(await one.ask(value)), 'amqp:not-implemented');
    assert.equal(conditionOf(await one.ask(discharge(new Uint8Array(33)))), 'amqp:not-implemented');
    assert.equal(conditionOf(await one.ask(DECLARE)), 'declared');
  });
});
