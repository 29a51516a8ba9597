// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, RELEASED } from '@pointsman/engine';
import type { DeliveryState } from '@pointsman/wire';
import type { EntityTable, ManagedEntity } from '@pointsman/management';
import type { AmqpValue, Attach } from '@pointsman/wire';
import { encodeMessage, symbol } from '@pointsman/wire';
import { World } from './world.js';
import type { Inlet, Outlet, Peer } from './world.js';

const broker = { role: 'route-container', direction: 'out', name: 'broker' } as const;
const both = [
  { prefix: 'org', direction: 'in', connection: 'broker' },
  { prefix: 'org', direction: 'out', connection: 'broker' },
] as const;
const table = (world: World, name: string): EntityTable =>
  world.router.tables().find(({ type }) => type.name === name) ?? assert.fail(`no table ${name}`);
const rows = (world: World, name: string, connection?: string): ManagedEntity[] => [
  ...table(world, name).entities({ connection }),
];
const values = (entity: ManagedEntity, ...names: string[]): unknown[] => names.map((name) => entity.attribute(name));
const addressOf = (terminus: Attach['source'] | Attach['target']): unknown =>
  terminus !== undefined && 'address' in terminus ? terminus.address : undefined;

/** A router with link routes below `org`, their container, a client that receives and one that sends. */
function receiving(credit = 10): { world: World; container: Peer; client: Peer; inlet: Inlet; far: Outlet } {
  const world = new World({ linkRoutes: both });
  const container = world.peer(broker);
  const client = world.peer();
  const inlet = client.receive('org.q', credit);
  return { world, container, client, inlet, far: container.outlets[0]! };
}
function sending(credit = 10): { world: World; container: Peer; client: Peer; outlet: Outlet; far: Inlet } {
  const world = new World({ linkRoutes: both });
  const container = world.peer(broker);
  const client = world.peer();
  const outlet = client.send('org.q');
  const far = container.attached[0]!;
  far.credit(credit);
  return { world, container, client, outlet, far };
}

describe('a routed link whose sender leaves in mid-message', () => {
  for (const [what, leave] of [
    ['detaches', (outlet: Outlet): void => outlet.link.detach()],
    ['is cut off', (outlet: Outlet): void => outlet.peer.cut()],
  ] as const) {
    it(`aborts it at the receiver before it is detached: ${what}`, () => {
      const { world, outlet, far } = sending();
      outlet.raw(new Uint8Array(20_000).fill(0x41), false, 'half', false);
      assert.equal(far.deliveries[0]!.complete, false);
      leave(outlet);
      world.run();
      assert.equal(far.deliveries[0]!.aborted, true);
      assert.equal(far.detached?.closed, true);
    });
  }
});

describe('a routed link in management', () => {
  it('is two rows that name each other and count what passed', () => {
    const { world, inlet, far } = receiving();
    far.text('a');
    far.text('b');
    far.text('c');
    far.text('settled', true);
    inlet.settle(0, ACCEPTED);
    inlet.settle(1, RELEASED);
    const [container, client] = rows(world, 'router.link').sort((a) => (a.attribute('linkDir') === 'in' ? -1 : 1)) as [
      ManagedEntity,
      ManagedEntity,
    ];
    assert.deepEqual(values(client, 'linkDir', 'peer', 'capacity'), ['out', container.identity, 250]);
    assert.deepEqual(values(container, 'linkDir', 'peer', 'capacity'), ['in', client.identity, 0]);
    assert.match(container.name!, new RegExp(`^${client.name}@peer1$`));
    for (const row of [client, container]) {
      assert.deepEqual(
        values(row, 'linkType', 'owningAddr', 'operStatus', 'deliveryCount', 'presettledCount', 'unsettledCount'),
        ['endpoint', 'M0org.q', 'up', 4, 1, 1],
      );
      assert.deepEqual(
        values(row, 'acceptedCount', 'releasedCount', 'rejectedCount', 'undeliveredCount', 'creditAvailable'),
        [1, 1, 0, 0, 6],
      );
    }
    const totals = ['linkCount', 'deliveriesIngress', 'deliveriesEgress', 'deliveriesEgressRouteContainer'];
    const [router] = rows(world, 'router') as [ManagedEntity];
    assert.deepEqual(values(router, ...totals, 'acceptedDeliveries', 'presettledDeliveries'), [2, 4, 4, 0, 1, 1]);
    assert.equal(world.router.deliveriesInFlight, 1);
    inlet.link.detach();
    world.run();
    assert.deepEqual(rows(world, 'router.link'), []);
    assert.deepEqual(values(router, ...totals, 'acceptedDeliveries'), [0, 4, 4, 0, 1]);
    const attached = world.logs.filter((line) => line.includes('Link attached'));
    const detached = world.logs.filter((line) => line.includes('Link detached'));
    assert.equal(attached.length, 2);
    assert.equal(detached.length, 2);
    for (const line of detached) assert.match(line, /del=4 presett=1 psdrop=0 acc=1 rej=0 rel=1/);
  });

  it('shows what waits, for how long it has, and when there is no credit', () => {
    const { world, far, inlet } = receiving(1);
    far.text('a');
    world.advance(31_000);
    const client = rows(world, 'router.link').find((row) => row.attribute('linkDir') === 'out')!;
    assert.deepEqual(values(client, 'unsettledCount', 'deliveriesStuck', 'creditAvailable'), [1, 1, 0]);
    assert.ok((client.attribute('zeroCreditSeconds') as number) >= 29);
    assert.equal(world.router.counters.linksBlocked, 2);
    assert.ok(world.logs.some((line) => line.includes('Stuck delivery')));
    inlet.settle(0, ACCEPTED);
    inlet.credit(5);
    world.advance(31_000);
    assert.deepEqual(values(client, 'deliveriesStuck', 'deliveriesDelayed10Sec', 'creditAvailable'), [0, 1, 5]);
    assert.equal(world.router.counters.linksBlocked, 0);
  });

  it('has its address listed, with the containers that serve it, whether there are some or not', () => {
    const world = new World({
      linkRoutes: [
        ...both,
        { prefix: 'org', direction: 'in', containerId: 'second' },
        { pattern: 'a/*/c', direction: 'out', connection: 'broker' },
        { pattern: 'x.y.#', direction: 'out', connection: 'broker' },
      ],
    });
    const listed = (): unknown[] =>
      rows(world, 'router.address').map((row) => values(row, 'key', 'containerCount', 'distribution'));
    const before = world.router.counters.addrCount;
    assert.equal(before, 4);
    assert.deepEqual(listed(), [
      ['Corg', 0, 'linkBalanced'],
      ['Dorg', 0, 'linkBalanced'],
      ['Fa/*/c', 0, 'linkBalanced'],
      ['Dx.y', 0, 'linkBalanced'],
    ]);
    const container = world.peer(broker);
    world.peer({ role: 'route-container', direction: 'in', containerId: 'second' });
    assert.deepEqual(
      listed().map((row) => (row as unknown[])[1]),
      [2, 1, 1, 1],
    );
    container.cut();
    assert.deepEqual(
      listed().map((row) => (row as unknown[])[1]),
      [1, 0, 0, 0],
    );
    while (world.router.linkRoutes[0] !== undefined) world.router.removeLinkRoute(world.router.linkRoutes[0]);
    assert.deepEqual(listed(), []);
  });
});

describe('the choice of a container', () => {
  it('takes the connections in turn, those of all link routes for one pattern', () => {
    const world = new World({
      linkRoutes: [
        { prefix: 'org', direction: 'in', connection: 'broker', addExternalPrefix: 'first/' },
        { prefix: 'org', direction: 'in', containerId: 'second', addExternalPrefix: 'other/' },
      ],
    });
    const first = world.peer(broker);
    const second = world.peer({ role: 'route-container', containerId: 'second' });
    const client = world.peer();
    for (let i = 0; i < 4; i++) client.send('org.q');
    assert.deepEqual([first.attached.length, second.attached.length], [2, 2]);
    assert.equal(addressOf(second.attached[0]!.link.remoteAttach!.target), 'first/org.q', 'the first one’s prefix');
    first.cut();
    for (let i = 0; i < 2; i++) client.send('org.q');
    assert.equal(second.attached.length, 4);
  });

  it('goes by role, container id and a name that somebody gave', () => {
    const world = new World({ linkRoutes: both });
    world.peer({ ...broker, role: 'normal' });
    const { name: _, ...nameless } = broker;
    world.peer(nameless);
    const inlet = world.peer().receive('org.q', 0);
    assert.equal(inlet.detached?.error?.condition, 'qd:no-route-to-dest');
  });

  it('leaves links alone that it had routed, when it goes', () => {
    const { world, inlet, far } = receiving();
    while (world.router.linkRoutes[0] !== undefined) world.router.removeLinkRoute(world.router.linkRoutes[0]);
    world.run();
    far.text('still');
    assert.deepEqual(inlet.texts, ['still']);
    inlet.settle(0, ACCEPTED);
    assert.deepEqual(far.told, { still: 'accepted' });
  });
});

describe('termini of routed links', () => {
  it('have at the container the name that the settings read, at the client the one that it wrote', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const client = world.peer({ readAddress: (text) => text.replace('amqps://example/', '') });
    const outlet = client.send('amqps://example/org.q');
    assert.equal(addressOf(container.attached[0]!.link.remoteAttach!.target), 'org.q');
    assert.equal(addressOf(outlet.link.remoteAttach!.target), 'amqps://example/org.q');
    const inlet = client.receive('amqps://example/org.q', 0);
    assert.equal(addressOf(inlet.link.remoteAttach!.source), 'amqps://example/org.q');
  });

  it('are made by the container that x-opt-qd.address names, where they are dynamic', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const wanted = new Map<string, AmqpValue>([['x-opt-qd.address', 'org.temp']]);
    container.answer = (attach): object =>
      attach.role
        ? { source: { ...attach.source!, address: 'made-1' } }
        : { target: { ...attach.target!, address: 'made-2' } };
    const client = world.peer();
    const inlet = client.receive(undefined, 0, {
      source: { type: 'source', dynamic: true, dynamicNodeProperties: wanted },
    });
    const outlet = client.send(undefined, {
      target: { type: 'target', dynamic: true, dynamicNodeProperties: wanted },
    });
    assert.equal(addressOf(inlet.attach!.source), 'made-1');
    assert.equal(addressOf(outlet.attach!.target), 'made-2');
    const asked = container.outlets[0]!.link.remoteAttach!.source as { dynamic?: boolean; address?: string };
    assert.deepEqual([asked.dynamic, asked.address], [true, undefined]);
    const nowhere = client.receive(undefined, 0, {
      source: {
        type: 'source',
        dynamic: true,
        dynamicNodeProperties: new Map<string, AmqpValue>([['x-opt-qd.address', 'elsewhere']]),
      },
    });
    assert.equal(nowhere.detached?.error?.condition, 'qd:no-route-to-dest');
    const other = client.receive(undefined, 0, {
      source: {
        type: 'source',
        dynamic: true,
        dynamicNodeProperties: new Map<string, AmqpValue>([['other', 'org.temp']]),
      },
    });
    assert.match(String(addressOf(other.attach!.source)), /^amqp:\/_topo\/0\/R\/temp\./);
  });

  it('come back under the name that the client asked for', () => {
    const world = new World({
      linkRoutes: [{ prefix: 'sb', direction: 'in', connection: 'broker', delExternalPrefix: 'sb/' }],
    });
    const container = world.peer(broker);
    const client = world.peer();
    const whole = client.send('sb');
    assert.equal(addressOf(container.attached[0]!.link.remoteAttach!.target), 'sb', 'nothing would be left of it');
    assert.equal(addressOf(whole.attach!.target), 'sb');
    const part = client.send('sb/orders');
    assert.equal(addressOf(container.attached[1]!.link.remoteAttach!.target), 'orders');
    assert.equal(addressOf(part.attach!.target), 'sb/orders');
    assert.equal(addressOf(part.attach!.source), undefined, 'the client’s own terminus is its own affair');
  });

  it('that outlive their connection are refused where the router does not allow them', () => {
    const options = { linkRoutes: both, allowResumableLinkRoute: false };
    const world = new World(options);
    world.peer(broker);
    const client = world.peer();
    const tried = [
      client.receive('org.q', 0, { source: { type: 'source', address: 'org.q', expiryPolicy: 'never' } }),
      client.receive('org.q', 0, { source: { type: 'source', address: 'org.q', timeout: 10 } }),
      client.send('org.q', { target: { type: 'target', address: 'org.q', expiryPolicy: 'never' } }),
      client.send('org.q', { target: { type: 'target', address: 'org.q', timeout: 10 } }),
    ];
    for (const { detached } of tried) {
      assert.equal(detached?.error?.condition, 'qd:link-expiration');
      assert.equal(detached?.error?.description, 'Requested link expiration not allowed');
    }
    assert.equal(client.send('org.q').detached, undefined);
    assert.equal(client.receive('org.q', 0).detached, undefined);
  });
});

describe('the end of a routed link', () => {
  it('is a detach without closing where one of its termini outlives it', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const client = world.peer();
    const lasting = client.receive('org.q', 0, {
      source: { type: 'source', address: 'org.q', expiryPolicy: 'never' },
    });
    const passing = client.receive('org.q', 0);
    container.cut();
    assert.deepEqual([lasting.detached?.closed, passing.detached?.closed], [false, true]);
    for (const { detached } of [lasting, passing]) assert.equal(detached?.error?.condition, 'qd:routed-link-lost');
    assert.deepEqual(rows(world, 'router.link'), []);
  });

  it('comes with the end of a session of either side, and reaches the other', () => {
    const { world, container, inlet, client } = receiving();
    container.connection.sessions[0]!.end();
    world.run();
    assert.equal(inlet.detached?.error?.condition, 'qd:routed-link-lost');
    client.receive('org.q', 1);
    const far = container.outlets[1]!;
    client.session.end();
    world.run();
    assert.equal(far.detached?.error?.condition, 'qd:routed-link-lost');
    assert.deepEqual(rows(world, 'router.link'), []);
  });

  it('passes a detach that does not close, with its error', () => {
    const { world, inlet, far } = receiving();
    inlet.link.detach({ condition: 'a:b', description: 'later more' }, false);
    world.run();
    assert.equal(far.detached?.error?.description, 'later more');
    assert.equal(far.detached?.closed, false);
  });

  it('comes behind what its sender had sent whole, and before what never will be', () => {
    for (const leaves of ['detaches', 'is cut off'] as const) {
      const { world, client, outlet, far } = sending(3_000);
      const { session } = far.link;
      session.holdWindow();
      for (let i = 0; i < 2_000; i++) outlet.text(String(i), true);
      outlet.raw(new Uint8Array(10), true, 'never whole', false);
      const before = far.texts.length;
      assert.ok(before < 2_000, 'the container’s window is closed');
      if (leaves === 'detaches') outlet.link.detach();
      else client.cut();
      world.run();
      assert.equal(far.detached, undefined);
      session.releaseWindow();
      world.run();
      assert.equal(far.texts.length, 2_000);
      assert.equal(far.deliveries.length, 2_000);
      assert.ok(far.detached !== undefined);
      assert.deepEqual(rows(world, 'router.link'), []);
    }
  });

  it('is answered at both ends where the far one leaves while it is still sent what had come', () => {
    const { world, outlet, far } = sending(3_000);
    far.link.session.holdWindow();
    for (let i = 0; i < 2_000; i++) outlet.text(String(i), true);
    outlet.link.detach();
    world.run();
    assert.equal(far.detached, undefined);
    far.link.detach();
    world.run();
    assert.deepEqual([outlet.link.session.links, far.link.session.links], [[], []]);
    assert.equal(
      far.link.session.connection.sessions.length,
      0,
      'the session at the container ends with its last link',
    );
    assert.deepEqual(rows(world, 'router.link'), []);
  });

  it('is answered as the other end answers, and when that cannot', () => {
    const { world, inlet, far, container, client } = receiving();
    far.onDetach = (link): void => link.detach({ condition: 'a:b', description: 'for good' }, true);
    inlet.link.awaitsAnswer = true;
    inlet.link.detach(undefined, false);
    assert.equal(inlet.detached, undefined);
    world.run();
    // The answer closes, though the question did not.
    assert.deepEqual(inlet.answered, { description: 'for good', closed: true });
    const second = client.receive('org.q', 1);
    container.outlets[1]!.onDetach = (link): void => {
      link.answersLater = true;
    };
    second.link.awaitsAnswer = true;
    second.link.detach();
    world.run();
    assert.equal(second.answered, undefined, 'the container keeps it waiting');
    container.cut();
    assert.deepEqual(second.answered, { description: undefined, closed: true });
    assert.deepEqual(client.connection.sessions[0]!.links, []);
  });

  it('leaves nothing behind when the container takes no further link or session', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker, { channelMax: 0 });
    container.beginOptions = { handleMax: 0 };
    const first = world.peer().receive('org.q', 0);
    const second = world.peer().receive('org.q', 0);
    assert.equal(first.detached, undefined);
    assert.ok(second.detached?.error !== undefined, 'refused with a reason');
    assert.equal(container.outlets.length, 1);
    assert.equal(rows(world, 'router.link').length, 2);
  });
});

describe('what passes over a routed link', () => {
  it('is every state of a delivery, of transactions too, both ways', () => {
    const { world, outlet, far } = sending();
    const txn: DeliveryState = { type: 'transactional-state', txnId: Uint8Array.of(1, 2), outcome: ACCEPTED };
    const delivery = outlet.text('a');
    far.link.update(far.deliveries[0]!, { type: 'received', sectionNumber: 1, sectionOffset: 5n });
    world.run();
    far.link.update(far.deliveries[0]!, txn);
    world.run();
    const seen = outlet.outcomes.map(({ state, settled }) => [(state as { type: string }).type, settled]);
    assert.deepEqual(seen, [
      ['received', false],
      ['transactional-state', false],
    ]);
    outlet.link.settle(delivery, txn);
    world.run();
    assert.equal(far.confirmed.length, 1);
    assert.equal(world.router.deliveriesInFlight, 0);
  });

  it('is a transaction: its coordinator, what that answers, and links in one session with it', () => {
    const world = new World({
      linkRoutes: [...both, { prefix: '$coordinator', direction: 'in', connection: 'broker' }],
    });
    const container = world.peer(broker);
    const client = world.peer();
    const coordinator = client.send(undefined, {
      target: { type: 'coordinator', capabilities: ['amqp:local-transactions'] },
    });
    const [there] = container.attached;
    there!.credit(2);
    assert.equal((there!.link.remoteAttach!.target as { type: string }).type, 'coordinator');
    coordinator.text('declare');
    const declared: DeliveryState = { type: 'declared', txnId: Uint8Array.of(9) };
    there!.settle(0, declared);
    assert.deepEqual(coordinator.outcomes[0]!.state, declared);
    client.send('org.q');
    container.attached[1]!.credit(1);
    assert.equal(container.attached[1]!.link.session, there!.link.session, 'what is together there stays together');
    const [row] = rows(world, 'router.link');
    assert.equal(row!.attribute('owningAddr'), null);
  });

  it('is in the order of the client: what it says of a message in a transaction comes before the discharge', () => {
    const world = new World({
      linkRoutes: [...both, { prefix: '$coordinator', direction: 'in', connection: 'broker' }],
    });
    const container = world.peer(broker);
    const client = world.peer();
    const coordinator = client.send(undefined, { target: { type: 'coordinator' } });
    const [there] = container.attached;
    there!.credit(2);
    const inlet = client.receive('org.q', 1);
    const far = container.outlets[0]!;
    far.text('a');
    const order: string[] = [];
    const [onDisposition, onTransfer] = [far.onDisposition.bind(far), there!.onTransfer.bind(there)];
    far.onDisposition = (...given) => {
      order.push('disposition');
      onDisposition(...given);
    };
    there!.onTransfer = (...given) => {
      order.push('discharge');
      onTransfer(...given);
    };
    inlet.link.update(inlet.deliveries[0]!, {
      type: 'transactional-state',
      txnId: Uint8Array.of(9),
      outcome: ACCEPTED,
    });
    // Both arrive at the router at once.
    client.session.flush();
    coordinator.text('discharge');
    assert.deepEqual(order, ['disposition', 'discharge']);
  });

  it('takes no more once the router stops, and is waited for', () => {
    const { world, outlet, far } = sending(5);
    outlet.text('a');
    world.router.quiesce();
    world.run();
    assert.equal(outlet.link.credit, 0);
    far.credit(5);
    assert.equal(outlet.link.credit, 0, 'credit of the container’s comes too late');
    assert.deepEqual([world.router.deliveriesInFlight, world.router.busyLinks.length], [1, 1]);
    far.settle(0, ACCEPTED);
    assert.deepEqual(outlet.told, { a: 'accepted' });
    assert.equal(world.router.deliveriesInFlight, 0);
  });

  it('is a drain, either way, answered once nothing is left to come', () => {
    const { world, inlet, far } = receiving(10);
    far.text('one');
    inlet.link.drain();
    world.run();
    assert.deepEqual([far.drains, inlet.link.credit, far.link.credit], [1, 0, 0]);
    const back = sending(10);
    back.outlet.text('one');
    back.far.link.drain();
    back.world.run();
    assert.deepEqual([back.outlet.drains, back.far.link.credit, back.outlet.link.credit], [1, 0, 0]);
    back.far.credit(2);
    back.outlet.text('two');
    assert.deepEqual(back.far.texts, ['one', 'two']);
    assert.ok(world);
  });

  it('is a message of many frames that its sender takes back', () => {
    const { world, outlet, far } = sending();
    outlet.raw(new Uint8Array(100_000), false, 'big', false);
    assert.equal(far.deliveries.length, 1);
    outlet.link.abort();
    world.run();
    assert.equal(far.deliveries[0]!.aborted, true);
    outlet.text('next');
    assert.deepEqual(far.texts, ['next']);
    assert.equal(outlet.link.credit, far.link.credit);
  });

  it('is no message without a byte: that is rejected, in one frame or in several', () => {
    const { world, outlet, far } = sending(2);
    const nothing = new Uint8Array(0);
    outlet.raw(nothing, false, 'empty');
    outlet.raw(nothing, false, 'in parts', false);
    assert.equal(far.deliveries.length, 0);
    outlet.link.resume(nothing, 0, 0, true);
    world.run();
    assert.deepEqual(outlet.told, { empty: 'rejected', 'in parts': 'rejected' });
    assert.equal(outlet.link.credit, 2, 'it may send others');
    outlet.raw(nothing, false, 'late', false);
    const bytes = encodeMessage({ body: { kind: 'value', value: 'late' } });
    outlet.link.resume(bytes, 0, bytes.length, true);
    world.run();
    assert.deepEqual(far.texts, ['late']);
    assert.equal(outlet.link.credit, far.link.credit);
  });

  it('waits while the near end has no room, and leaves the credit right', () => {
    const { world, inlet, far } = receiving(3_000);
    const { session } = inlet.link;
    session.holdWindow();
    for (let i = 0; i < 2_000; i++) far.text(String(i));
    const client = rows(world, 'router.link').find((row) => row.attribute('linkDir') === 'out')!;
    const waiting = client.attribute('undeliveredCount') as number;
    assert.equal(waiting, 2_000 - inlet.texts.length);
    assert.ok(waiting > 0);
    const more = (count: number): void => {
      inlet.link.setCredit(inlet.link.credit + count);
      world.run();
    };
    more(10);
    assert.equal(far.link.credit, 1_010);
    session.releaseWindow();
    world.run();
    assert.equal(inlet.texts.length, 2_000);
    more(5);
    assert.deepEqual([far.link.credit, inlet.link.credit], [1_015, 1_015]);
    assert.equal(client.attribute('undeliveredCount'), 0);
  });

  it('is a drain that a last message uses up', () => {
    const { world, inlet, far } = receiving(0);
    const bytes = encodeMessage({ body: { kind: 'value', value: 'last' } });
    far.onDrain = (link): void => void link.send(undefined, 0, false, 'last', bytes, 0, bytes.length, true);
    const before = inlet.flows;
    inlet.link.addCredit(1);
    inlet.link.drain();
    world.run();
    assert.deepEqual(inlet.texts, ['last']);
    assert.equal(inlet.flows, before + 1, 'the client hears that no more comes');
    assert.equal(inlet.link.draining, false);
  });

  it('is told in the log like other messages, where that is asked for', () => {
    const world = new World({ linkRoutes: both });
    const messageLogging = { components: 'all', isOn: () => true };
    const container = world.peer({ ...broker, messageLogging });
    const outlet = world.peer({ messageLogging }).send('org.q');
    container.attached[0]!.credit(1);
    outlet.text('hi', false, { properties: { subject: 'greeting' } });
    const told = world.logs.filter((line) => line.startsWith('MESSAGE'));
    assert.match(told[0]!, /Received Message\{.*subject="greeting"/);
    assert.match(told[1]!, /Sent Message\{.*subject="greeting"/);
    assert.equal(told.length, 2);
  });

  it('is credit that came before the container’s answer', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const client = world.peer();
    const inlet = client.receive('org.q', 0);
    assert.ok(inlet.attach);
    // Attach and flow leave in one go.
    const link = client.session.attachReceiver('early', inlet, {
      source: { type: 'source', address: 'org.q' },
      target: { type: 'target' },
    });
    link.addCredit(7);
    world.run();
    assert.equal(container.outlets[1]!.link.credit, 7);
  });

  it('says how large a message the container takes', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    container.answer = (): object => ({ maxMessageSize: 1_000n, properties: new Map([['k', symbol('v')]]) });
    const outlet = world.peer().send('org.q');
    assert.equal(outlet.attach!.maxMessageSize, 1_000n);
    assert.equal(outlet.attach!.properties?.size, 1);
  });
});

describe('link routes of a connection', () => {
  const type = 'router.connection.linkRoute';
  const create = (world: World, peer: Peer, attributes: Record<string, string>): ManagedEntity =>
    table(world, type).create!(attributes, new Set(Object.keys(attributes)), {
      connection: String(peer.at.id),
    }) as ManagedEntity;

  it('lead to the client that made them, at once, and go with its connection', () => {
    const world = new World();
    const service = world.peer({ containerId: 'service' });
    const client = world.peer();
    assert.equal(client.send('svc.a').link.remoteAttach?.target === undefined, false, 'a plain address so far');
    const made = create(world, service, { pattern: 'svc.#', direction: 'in', name: 'mine' });
    assert.deepEqual(values(made, 'pattern', 'direction', 'containerId'), ['svc.#', 'in', 'service']);
    create(world, service, { pattern: 'svc.#', direction: 'out' });
    const outlet = client.send('svc.b');
    service.attached[0]!.credit(1);
    outlet.text('hello');
    assert.deepEqual(service.attached[0]!.texts, ['hello']);
    client.receive('svc.b', 1);
    assert.equal(service.outlets.length, 1);
    const keys = rows(world, 'router.address').map((row) => row.identity);
    assert.ok(keys.includes('Csvc') && keys.includes('Dsvc'));
    assert.equal(world.router.counters.linkRouteCount, 0, 'those of the router itself are counted');
    service.cut();
    assert.equal(outlet.detached?.error?.condition, 'qd:routed-link-lost');
    assert.ok(!rows(world, 'router.address').some((row) => row.identity === 'Csvc'));
    assert.equal(client.send('svc.b').detached, undefined, 'a plain address again');
  });

  it('are shown to their own connection only, and deleted by it', () => {
    const world = new World();
    const service = world.peer();
    const other = world.peer();
    const made = create(world, service, { pattern: 'a/*/c', direction: 'in' });
    const mine = String(service.at.id);
    assert.deepEqual(
      rows(world, type, mine).map(({ identity }) => identity),
      [made.identity],
    );
    assert.deepEqual(rows(world, type, String(other.at.id)), []);
    assert.deepEqual(rows(world, type), []);
    void table(world, type).delete!(made, { connection: mine });
    assert.deepEqual(rows(world, type, mine), []);
    assert.deepEqual(rows(world, 'router.address'), []);
  });

  it('take the router’s own nodes from nobody, and leave what is configured as it is', () => {
    const world = new World({ linkRoutes: [{ ...both[0], addExternalPrefix: 'inside/' }] });
    world.router.serve('$management', () => undefined);
    const service = world.peer();
    for (const direction of ['in', 'out']) create(world, service, { pattern: '#', direction });
    const client = world.peer();
    client.send('$management');
    client.receive('_local/x', 0);
    assert.equal(service.attached.length + service.outlets.length, 0);
    client.send('anything.else');
    assert.equal(addressOf(service.attached[0]!.link.remoteAttach!.target), 'anything.else');
    create(world, service, { pattern: 'org.#', direction: 'in' });
    const container = world.peer(broker);
    for (let i = 0; i < 2; i++) client.send('org.q');
    assert.equal(addressOf(container.attached[0]!.link.remoteAttach!.target), 'inside/org.q');
    assert.equal(addressOf(service.attached[1]!.link.remoteAttach!.target), 'org.q');
  });

  it('of a tenant are for its own clients, who know nothing of the space', () => {
    const world = new World();
    const tenant = (hostname: string): Peer => world.peer({ multiTenant: true }, { hostname });
    const service = tenant('a.example');
    const made = create(world, service, { pattern: 'svc.#', direction: 'in' });
    assert.equal(made.attribute('pattern'), 'svc.#');
    const own = tenant('a.example').send('svc.1');
    tenant('b.example').send('svc.2');
    world.peer().send('svc.3');
    assert.deepEqual(
      service.attached.map(({ link }) => addressOf(link.remoteAttach!.target)),
      ['svc.1'],
    );
    assert.equal(addressOf(own.attach!.target), 'svc.1');
    // A host name is whatever its client says.
    assert.throws(() => create(world, tenant('#'), { pattern: 'svc.#', direction: 'in' }), { message: 'Forbidden' });
  });

  it('are refused with a reason where something is wrong with them', () => {
    const world = new World();
    const service = world.peer();
    const refused = (attributes: Record<string, string>, connection: string | undefined, text: string): void => {
      assert.throws(() => table(world, type).create!(attributes, new Set(), { connection }), { message: text });
    };
    const mine = String(service.at.id);
    const good = { pattern: 'a', direction: 'in' };
    refused(good, undefined, 'Can only create via management CREATE');
    refused(good, '9999', 'Parent connection no longer exists');
    refused({ direction: 'in' }, mine, 'Pattern field is required');
    refused({ pattern: '//', direction: 'in' }, mine, 'Pattern invalid - no tokens');
    refused({ pattern: 'a', direction: 'up' }, mine, "Invalid value for 'direction'");
    create(world, service, { ...good, name: 'n' });
    refused({ ...good, name: 'n' }, mine, 'Name conflicts with an existing entity');
  });
});
