// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, RELEASED } from '@pointsman/engine';
import { ManagementError } from '@pointsman/management';
import type { EntityTable, EntityValue, ManagedEntity } from '@pointsman/management';
import { AmqpSymbol, encodeMessage, uint } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { World } from './world.js';
import type { Peer } from './world.js';

const REQUESTER = { connection: undefined };
const table = (world: World, name: string): EntityTable =>
  world.router.tables().find(({ type }) => type.name === name) ?? assert.fail(`no table ${name}`);
const entities = (world: World, name: string): ManagedEntity[] => [...table(world, name).entities(REQUESTER)];
const create = (world: World, name: string, attributes: EntityValue): ManagedEntity =>
  table(world, name).create!(attributes, new Set(Object.keys(attributes)), REQUESTER) as ManagedEntity;
const values = (entity: ManagedEntity, ...names: string[]): unknown[] => names.map((name) => entity.attribute(name));
// A function, since the compiler believes what was asserted of the property before.
const endOf = (peer: Peer): Peer['end'] => peer.end;
const refused = (text: string) => (error: unknown) => error instanceof ManagementError && error.message === text;

describe('links and the router in management', () => {
  it('count deliveries and their outcomes on both sides, and keep the totals of links that have gone', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer().send('q');
    for (const name of ['a', 'b', 'c']) outlet.text(name);
    outlet.text('settled', true);
    inlet.settle(0, ACCEPTED);
    inlet.settle(1, RELEASED);
    const [out, into] = entities(world, 'router.link') as [ManagedEntity, ManagedEntity];
    const names = [
      'linkDir',
      'owningAddr',
      'deliveryCount',
      'acceptedCount',
      'releasedCount',
      'presettledCount',
      'unsettledCount',
    ];
    assert.deepEqual(values(out, ...names), ['out', 'M0q', 4, 1, 1, 1, 1]);
    assert.deepEqual(values(into, ...names), ['in', 'M0q', 4, 1, 1, 1, 1]);
    assert.match(into.identity, /^\d+$/);
    outlet.link.detach();
    world.run();
    const [router] = entities(world, 'router') as [ManagedEntity];
    const totals = ['linkCount', 'deliveriesIngress', 'deliveriesEgress', 'acceptedDeliveries', 'presettledDeliveries'];
    assert.deepEqual(values(router, ...totals), [1, 4, 4, 1, 1]);
    const line = world.logs.find((text) => text.includes('Link detached'));
    assert.match(
      line ?? '',
      /\[C\d+\]\[L\d+\] Link detached: del=4 presett=1 psdrop=0 acc=1 rej=0 rel=1 mod=0 delay1=0 delay10=0 blocked=no$/,
    );
  });

  it('tell deliveries that take seconds from those that take ten, and find the ones that are stuck', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer().send('q');
    for (const name of ['quick', 'slow', 'slower']) outlet.text(name);
    inlet.settle(0, ACCEPTED);
    world.advance(5_000);
    inlet.settle(1, ACCEPTED);
    world.advance(30_000);
    assert.equal(world.router.counters.deliveriesStuck, 2);
    assert.ok(world.logs.some((line) => line.includes('Stuck delivery')));
    inlet.settle(2, ACCEPTED);
    world.advance(31_000);
    const { deliveriesDelayed1Sec, deliveriesDelayed10Sec, deliveriesStuck } = world.router.counters;
    assert.deepEqual([deliveriesDelayed1Sec, deliveriesDelayed10Sec, deliveriesStuck], [1, 1, 0]);
  });

  it('count a link as blocked that has been without credit for long, until it has some', () => {
    const world = new World();
    world.peer().send('nobody');
    world.advance(31_000);
    assert.equal(world.router.counters.linksBlocked, 1);
    world.peer().receive('nobody');
    world.advance(1_000);
    assert.equal(world.router.counters.linksBlocked, 0);
  });
});

describe('links in management', () => {
  it('show both directions as tools know them, anonymous senders without an address', () => {
    const world = new World();
    const peer = world.peer({ linkCapacity: 20 });
    peer.receive('q', 2).auto = ACCEPTED;
    const outlet = peer.send('q');
    for (const name of ['a', 'b', 'c']) outlet.text(name);
    peer.send(undefined);
    world.advance(3_000);
    const rows = entities(world, 'router.link');
    const names = ['linkType', 'linkDir', 'owningAddr', 'capacity', 'peer', 'undeliveredCount', 'unsettledCount'];
    assert.deepEqual(
      rows.map((row) => values(row, ...names)),
      [
        ['endpoint', 'out', 'M0q', 20, null, 1, 0],
        ['endpoint', 'in', 'M0q', 20, null, 0, 1],
        ['endpoint', 'in', null, 20, null, 0, 0],
      ],
    );
    const more = ['adminStatus', 'operStatus', 'priority', 'creditAvailable', 'zeroCreditSeconds', 'deliveryCount'];
    assert.deepEqual(
      rows.map((row) => values(row, ...more)),
      [
        ['enabled', 'up', 4, 0, 3, 2],
        ['enabled', 'up', 4, 19, 0, 3],
        ['enabled', 'up', 4, 20, 0, 0],
      ],
    );
    const [out, into] = rows as [ManagedEntity, ManagedEntity];
    const histogram = out.attribute('ingressHistogram') as number[];
    assert.deepEqual([histogram.length, histogram[0], histogram.some((n, at) => at > 0 && n > 0)], [128, 2, false]);
    assert.equal(into.attribute('ingressHistogram'), null);
    assert.equal(out.name, out.attribute('linkName'));
    assert.equal(out.attribute('connectionId'), entities(world, 'connection')[0]!.identity);
  });

  it('tell how many deliveries a second were settled of late', () => {
    const world = new World();
    world.peer().receive('q', 200).auto = ACCEPTED;
    const outlet = world.peer().send('q');
    const rate = (): unknown => entities(world, 'router.link')[0]!.attribute('settleRate');
    assert.equal(rate(), 0);
    for (let second = 0; second < 6; second++) {
      for (let i = 0; i < 10; i++) outlet.text(`${second}.${i}`);
      world.advance(1_000);
    }
    assert.equal(rate(), 10);
    world.advance(6_000);
    assert.equal(rate(), 0);
  });
});

describe('addresses in management', () => {
  it('count what leaves when it leaves, and keep the counts of links that have gone', () => {
    const world = new World();
    const broker = world.peer({ role: 'route-container' });
    const inlet = broker.receive('q', 1);
    const outlet = broker.send('q');
    const client = world.peer();
    const stays = client.send('q');
    for (const name of ['a', 'b']) outlet.text(name);
    stays.text('c');
    const row = (): unknown[] =>
      values(
        entities(world, 'router.address')[0]!,
        'deliveriesIngress',
        'deliveriesIngressRouteContainer',
        'deliveriesEgress',
        'deliveriesEgressRouteContainer',
      );
    assert.deepEqual(row(), [3, 2, 1, 1]);
    inlet.credit(1);
    assert.deepEqual(row(), [3, 2, 2, 2]);
    outlet.link.detach();
    inlet.link.detach();
    world.run();
    assert.deepEqual(row(), [3, 2, 2, 2]);
    client.receive('q', 10).link.detach();
    world.run();
    assert.deepEqual(row(), [3, 2, 2, 2]);
  });

  it('count a message from an anonymous sender at the address that it names', () => {
    const world = new World();
    world.peer().receive('q');
    const outlet = world.peer({ role: 'route-container' }).send(undefined);
    outlet.text('a', false, { properties: { to: 'q' } });
    outlet.text('b', true, { properties: { to: 'q' } });
    const [address] = entities(world, 'router.address') as [ManagedEntity];
    const names = ['deliveriesIngress', 'deliveriesIngressRouteContainer', 'deliveriesEgress', 'trackedDeliveries'];
    assert.deepEqual(values(address, ...names), [2, 2, 2, 0]);
  });

  it('show how many take part, and what goes in and out of the router itself', () => {
    const world = new World();
    const peer = world.peer();
    const inlet = peer.receive('answers', 0);
    world.router.serve('node', () => void world.router.send('answers', encodeMessage({})));
    peer.send('node').text('ask');
    inlet.credit(1);
    const row = (key: string, ...names: string[]): unknown[] =>
      values(
        entities(world, 'router.address').find(({ identity }) => identity === key)!,
        ...names,
      );
    const counts = ['inProcess', 'subscriberCount', 'deliveriesToContainer', 'deliveriesFromContainer'];
    assert.deepEqual(row('M0node', ...counts, 'deliveriesIngress', 'deliveriesEgress'), [1, 0, 1, 0, 1, 0]);
    assert.deepEqual(row('M0answers', ...counts, 'deliveriesIngress', 'deliveriesEgress'), [0, 1, 0, 1, 0, 1]);
    assert.equal(world.router.counters.deliveriesDelayed10Sec, 0);
  });

  it('do not take an answer that waits for credit for an old one', () => {
    const world = new World();
    const peer = world.peer();
    peer.receive('answers', 0);
    world.advance(29_000);
    world.router.send('answers', encodeMessage({}));
    world.advance(2_000);
    assert.equal(world.router.counters.deliveriesStuck, 0);
    world.advance(30_000);
    assert.equal(world.router.counters.deliveriesStuck, 1);
  });
});

describe('connections in management', () => {
  it('are dropped by adminStatus and not by DELETE', () => {
    const world = new World();
    const peer = world.peer();
    const connections = table(world, 'connection');
    const [connection] = entities(world, 'connection') as [ManagedEntity];
    assert.deepEqual(values(connection, 'container', 'dir', 'role', 'operStatus'), ['peer0', 'in', 'normal', 'up']);
    assert.throws(
      () => connections.delete!(connection, REQUESTER),
      refused('You are not allowed to perform this operation.'),
    );
    void connections.update!(connection, { adminStatus: 'deleted' }, REQUESTER);
    world.run();
    assert.ok(peer.end !== undefined);
    assert.deepEqual(entities(world, 'connection'), []);
  });
});

describe('a connection in management', () => {
  it('shows what its peer says of itself, as text and whole numbers', () => {
    const world = new World();
    const properties = new Map<string, AmqpValue>([
      ['product', 'p'],
      ['platform', new AmqpSymbol('x')],
      ['count', uint(0)],
      ['nested', new Map([['a', 'b']])],
      ['yes', true],
    ]);
    world.peer({ direction: 'out', role: 'route-container', peer: 'broker:5672' }, { properties });
    const [connection] = entities(world, 'connection') as [ManagedEntity];
    assert.equal(connection.name, 'connection/broker:5672');
    assert.deepEqual(
      connection.attribute('properties'),
      new Map<string, AmqpValue>([
        ['product', 'p'],
        ['platform', 'x'],
        ['count', uint(0)],
      ]),
    );
    const names = ['host', 'dir', 'role', 'protocol', 'isEncrypted', 'ssl', 'sslProto', 'sslSsf', 'tenant', 'active'];
    assert.deepEqual(values(connection, ...names), [
      'broker:5672',
      'out',
      'route-container',
      'amqp',
      false,
      false,
      null,
      0,
      null,
      true,
    ]);
  });

  it('tells for how long it has been open, and since when nothing came or went', () => {
    const world = new World();
    const peer = world.peer();
    const inlet = peer.receive('q');
    const row = (): unknown[] => values(entities(world, 'connection')[0]!, 'uptimeSeconds', 'lastDlvSeconds');
    world.advance(5_000);
    assert.deepEqual(row(), [5, null]);
    peer.send('q').text('a');
    world.advance(3_000);
    assert.deepEqual(inlet.texts, ['a']);
    assert.deepEqual(row(), [8, 2]);
    const outlet = peer.send('q');
    outlet.text('b');
    assert.deepEqual(row(), [8, 0]);
    world.advance(2_000);
    outlet.text('c');
    outlet.link.detach();
    inlet.link.detach();
    world.run();
    assert.deepEqual(row(), [10, 0]);
  });

  it('refuses changes that make no sense, and on behalf of whom who has gone', () => {
    const world = new World();
    const peer = world.peer();
    const connections = table(world, 'connection');
    const [connection] = entities(world, 'connection') as [ManagedEntity];
    const update = (attributes: EntityValue, requester: { connection: string | undefined } = REQUESTER): void =>
      void connections.update!(connection, attributes, requester);
    assert.throws(() => update({}), refused('Bad Request'));
    assert.throws(() => update({ adminStatus: 'gone' }), refused('Bad Request'));
    assert.throws(
      () => update({ adminStatus: 'deleted' }, { connection: '4711' }),
      refused('Parent connection no longer exists'),
    );
    assert.equal(peer.end, undefined);
    assert.equal(connection.attribute('enableProtocolTrace'), false);
    update({ enableProtocolTrace: true, adminStatus: 'enabled' }, { connection: connection.identity });
    assert.deepEqual(values(connection, 'enableProtocolTrace', 'adminStatus'), [true, 'enabled']);
    update({ adminStatus: 'deleted' }, { connection: connection.identity });
    assert.deepEqual(values(connection, 'adminStatus', 'operStatus'), ['deleted', 'closing']);
    world.run();
    assert.equal(endOf(peer)?.error?.condition, 'amqp:connection:forced');
  });

  it('is not ended by request where it is one between routers', () => {
    const world = new World();
    world.peer({ role: 'inter-router' });
    const [connection] = entities(world, 'connection') as [ManagedEntity];
    assert.throws(
      () => void table(world, 'connection').update!(connection, { adminStatus: 'deleted' }, REQUESTER),
      refused('You are not allowed to perform this operation.'),
    );
  });
});

describe('configuration at run time', () => {
  it('attaches a new autolink at once and detaches it when it is deleted', () => {
    const world = new World();
    const broker = world.peer({ role: 'route-container', containerId: 'broker' });
    const made = create(world, 'router.config.autoLink', { address: 'q', direction: 'in', containerId: 'broker' });
    world.run();
    assert.equal(made.attribute('operStatus'), 'active');
    assert.equal(made.name, null);
    assert.deepEqual(values(made, 'phase', 'externalAddress', 'externalAddr', 'lastError'), [1, null, null, null]);
    assert.equal(made.attribute('linkRef'), entities(world, 'router.link')[0]!.identity);
    void table(world, 'router.config.autoLink').delete!(made, REQUESTER);
    world.run();
    assert.ok(broker.outlets[0]!.detached !== undefined);
    assert.deepEqual(entities(world, 'router.config.autoLink'), []);
    assert.deepEqual(entities(world, 'router.link'), []);
    assert.deepEqual(entities(world, 'router.address'), []);
  });

  it('tells how often an autolink was attached, how often that failed in a row, and when it is tried again', () => {
    const world = new World();
    const broker = world.peer({ role: 'route-container', containerId: 'broker' });
    const made = create(world, 'router.config.autoLink', { address: 'q', direction: 'in', containerId: 'broker' });
    const told = (): unknown[] => values(made, 'operStatus', 'activations', 'failures', 'retrySeconds');
    world.run();
    assert.deepEqual(told(), ['active', 1, 0, null]);
    for (let failures = 1; failures <= 2; failures++) {
      broker.outlets.at(-1)!.link.detach({ condition: 'amqp:resource-deleted', description: 'deleted' });
      world.run();
      assert.deepEqual(told(), ['failed', failures, failures, failures === 1 ? 2 : 5]);
      world.advance(1_500);
      assert.equal(made.attribute('retrySeconds'), failures === 1 ? 1 : 4);
      world.advance(3_500);
    }
    assert.deepEqual(told(), ['active', 3, 2, null], 'it has yet to hold');
    world.advance(10_000);
    assert.deepEqual(told(), ['active', 3, 0, null]);
  });

  it('routes links by a new link route, and no more by one that is deleted', () => {
    const world = new World();
    const broker = world.peer({ role: 'route-container', containerId: 'broker' });
    const made = create(world, 'router.config.linkRoute', { prefix: 'b', direction: 'out', containerId: 'broker' });
    assert.equal(made.attribute('operStatus'), 'active');
    world.peer().receive('b.x');
    assert.equal(broker.outlets.length, 1);
    void table(world, 'router.config.linkRoute').delete!(made, REQUESTER);
    world.peer().receive('b.y');
    assert.equal(broker.outlets.length, 1);
  });

  it('treats new addresses as a new address entity says, until it is deleted', () => {
    const world = new World();
    const made = create(world, 'router.config.address', { prefix: 'news', distribution: 'multicast' });
    world.peer().receive('news.a');
    void table(world, 'router.config.address').delete!(made, REQUESTER);
    world.peer().receive('news.b');
    assert.deepEqual(
      entities(world, 'router.address').map((address) => values(address, 'key', 'distribution', 'subscriberCount')),
      [
        ['M0news.a', 'multicast', 1],
        ['M0news.b', 'balanced', 1],
      ],
    );
  });

  it('says what is wrong with what it does not take', () => {
    const world = new World();
    const both = 'Both connection and containerId cannot be specified. Specify only one';
    const tries: [string, EntityValue, string][] = [
      ['router.config.address', {}, "Either a 'prefix' or 'pattern' attribute must be provided"],
      [
        'router.config.address',
        { prefix: 'a', pattern: 'b' },
        "Cannot specify both a 'prefix' and a 'pattern' attribute",
      ],
      ['router.config.address', { pattern: './' }, 'Pattern invalid - no tokens'],
      ['router.config.address', { prefix: 'a', ingressPhase: 10 }, 'Phase values must be between 0 and 9'],
      ['router.config.linkRoute', { prefix: 'a' }, "No 'direction' attribute provided - it is mandatory"],
      ['router.config.linkRoute', { prefix: 'a', direction: 'in', connection: 'c', containerId: 'd' }, both],
      ['router.config.autoLink', { address: 'a' }, 'address and direction fields are mandatory'],
      ['router.config.autoLink', { address: 'a', direction: 'up' }, "Invalid value for 'direction'"],
      ['router.config.exchange', {}, 'exchange requires a unique name'],
    ];
    for (const [type, attributes, text] of tries)
      assert.throws(() => create(world, type, attributes), refused(text), text);
    create(world, 'router.config.address', { prefix: 'a' });
    assert.throws(() => create(world, 'router.config.address', { pattern: 'a/#' }), refused('Already exists'));
  });
});

describe('anonymous senders', () => {
  it('attach where every address is unavailable, and are told of each message', () => {
    const world = new World({ defaultDistribution: 'unavailable' });
    const outlet = world.peer().send(undefined);
    assert.equal(outlet.link.credit, 250);
    outlet.text('lost', false, { properties: { to: 'nowhere' } });
    assert.deepEqual(outlet.told, { lost: 'rejected' });
    assert.equal(outlet.detached, undefined);
    assert.equal((outlet.outcomes[0]!.state as { error: { condition: string } }).error.condition, 'amqp:not-found');
  });
});

describe('exchanges and bindings in management', () => {
  it('are made, shown with their counts, and deleted, an exchange with its bindings', () => {
    const world = new World();
    create(world, 'router.config.exchange', { name: 'E', address: 'news', phase: 0, alternateAddress: 'rest' });
    const bound = create(world, 'router.config.binding', {
      exchangeName: 'E',
      bindingKey: 'a.#',
      nextHopAddress: 'one',
      nextHopPhase: 0,
    });
    world.peer().receive('one');
    world.peer().receive('rest');
    const outlet = world.peer().send('news');
    for (const subject of ['a.b', 'a', 'x']) outlet.text(subject, false, { properties: { subject } });
    const [exchange] = entities(world, 'router.config.exchange') as [ManagedEntity];
    const names = ['name', 'address', 'phase', 'alternateAddress', 'alternatePhase', 'matchMethod', 'bindingCount'];
    assert.deepEqual([exchange.name, ...values(exchange, ...names.slice(1))], ['E', 'news', 0, 'rest', 0, 'amqp', 1]);
    const counts = ['receivedCount', 'forwardedCount', 'divertedCount', 'droppedCount'];
    assert.deepEqual(values(exchange, ...counts), [3, 3, 1, 0]);
    assert.deepEqual(values(bound, 'exchangeName', 'bindingKey', 'nextHopAddress', 'nextHopPhase', 'matchedCount'), [
      'E',
      'a.#',
      'one',
      0,
      2,
    ]);
    void table(world, 'router.config.exchange').delete!(exchange, REQUESTER);
    assert.deepEqual(entities(world, 'router.config.binding'), []);
    assert.deepEqual(entities(world, 'router.config.exchange'), []);
  });

  it('are refused with a reason', () => {
    const world = new World();
    create(world, 'router.config.exchange', { name: 'E', address: 'news', matchMethod: 'mqtt' });
    create(world, 'router.config.binding', { name: 'b', exchangeName: 'E', nextHopAddress: 'one' });
    const tries: [string, EntityValue, string][] = [
      ['exchange', { address: 'a' }, 'exchange requires a unique name'],
      ['exchange', { name: 'F' }, 'exchange address is mandatory'],
      [
        'exchange',
        { name: 'F', address: 'a', matchMethod: 'x' },
        "Exchange matchMethod must be either 'amqp' or 'mqtt'",
      ],
      ['exchange', { name: 'F', address: 'a', phase: 10 }, 'phase must be in the range 0-9'],
      ['exchange', { name: 'E', address: 'a' }, 'duplicate exchange name'],
      ['exchange', { name: 'F', address: 'news' }, 'duplicate exchange address'],
      ['binding', { nextHopAddress: 'a' }, 'Binding configuration requires an exchange'],
      ['binding', { exchangeName: 'E' }, 'No next hop specified'],
      ['binding', { exchangeName: 'F', nextHopAddress: 'a' }, 'Named exchange does not exist'],
      ['binding', { exchangeName: 'E', nextHopAddress: 'a', bindingKey: '#/a' }, 'The binding key pattern is invalid'],
      ['binding', { exchangeName: 'E', nextHopAddress: 'a', nextHopPhase: -1 }, 'phase must be in the range 0-9'],
      ['binding', { exchangeName: 'E', nextHopAddress: 'one' }, 'Next hop for key already exists'],
    ];
    for (const [name, attributes, text] of tries)
      assert.throws(() => create(world, `router.config.${name}`, attributes), refused(text), text);
  });
});
