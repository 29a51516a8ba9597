// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED } from '@pointsman/engine';
import { Tenant } from '../src/tenant.js';
import { World } from './world.js';
import type { Peer } from './world.js';

function clientOf(world: World, hostname: string | undefined): Peer {
  return world.peer({ multiTenant: true, stripAnnotations: 'no' }, { hostname });
}

function keysOf(world: World): string[] {
  return [...world.router.addresses].map(({ key }) => key).sort();
}

describe('tenants', () => {
  it('are told apart by the host name of the open, and share nothing', () => {
    const world = new World();
    const [here, there] = [clientOf(world, 'a.example'), clientOf(world, 'b.example')];
    const inlets = [here, there].map((peer) => peer.receive('q'));
    here.send('q').text('one');
    there.send('/q').text('two');
    assert.deepEqual(
      inlets.map(({ texts }) => texts),
      [['one'], ['two']],
    );
    assert.deepEqual(keysOf(world), ['M0a.example/q', 'M0b.example/q']);
  });

  it('are reached from without by the full address', () => {
    const world = new World();
    const inlet = clientOf(world, 'a.example').receive('q');
    inlet.auto = ACCEPTED;
    const outlet = world.peer().send('a.example/q');
    outlet.text('hello');
    assert.deepEqual(outlet.told, { hello: 'accepted' });
    assert.deepEqual(inlet.texts, ['hello']);
  });

  it('send with anonymous links into their own space, whatever the message says', () => {
    const world = new World();
    const own = world.peer({ stripAnnotations: 'no' }).receive('a.example/q');
    const foreign = world.peer().receive('b.example/q');
    const outlet = clientOf(world, 'a.example').send(undefined);
    outlet.text('by properties', false, { properties: { to: 'q' } });
    outlet.text('by annotation', false, {
      messageAnnotations: new Map([['x-opt-qd.to', 'b.example/q']]),
      properties: { to: 'q' },
    });
    assert.deepEqual(own.texts, ['by properties']);
    assert.equal(own.message(0).messageAnnotations?.get('x-opt-qd.to'), 'a.example/q');
    assert.deepEqual(foreign.texts, []);
    assert.deepEqual(outlet.told, { 'by annotation': 'released' });
  });

  it('name the full address in the annotations of a targeted link', () => {
    const world = new World();
    const inlet = world.peer({ stripAnnotations: 'no' }).receive('a.example/q');
    clientOf(world, 'a.example').send('q').text('x');
    assert.equal(inlet.message(0).messageAnnotations?.get('x-opt-qd.to'), 'a.example/q');
  });

  it('have their addresses configured in full', () => {
    const world = new World({ addresses: [{ prefix: 'a.example/news', distribution: 'multicast' }] });
    const peer = clientOf(world, 'a.example');
    const inlets = [peer.receive('news'), peer.receive('news')];
    peer.send('news').text('x');
    assert.deepEqual(
      inlets.map(({ texts }) => texts),
      [['x'], ['x']],
    );
  });

  it('do not hold what belongs to one router, nor dynamic addresses', () => {
    const world = new World();
    const peer = clientOf(world, 'a.example');
    const inlet = peer.receive(undefined, 10, { source: { type: 'source', dynamic: true } });
    const { source } = inlet.attach!;
    assert.ok(source !== undefined && 'type' in source);
    peer.send(source.address).text('reply');
    assert.deepEqual(inlet.texts, ['reply']);
    peer.receive('_local/here');
    assert.ok(keysOf(world).includes('Lhere'));
  });

  it('do not reach the management agent by its short name', () => {
    const world = new World();
    const seen: number[] = [];
    for (const name of ['$management', '_local/$management'])
      world.router.serve(name, ({ bytes }) => seen.push(bytes.length));
    const peer = clientOf(world, 'a.example');
    assert.equal(peer.send('$management').link.credit, 0);
    peer.send('_local/$management').text('x');
    assert.equal(seen.length, 1);
  });

  it('are routed to containers by the full address, and see their own', () => {
    const world = new World({
      linkRoutes: [
        { prefix: 'a.example/store', direction: 'in', containerId: 'C', delExternalPrefix: 'a.example/' },
        { prefix: 'a.example/shop', direction: 'out', containerId: 'C' },
      ],
    });
    const container = world.peer({ role: 'route-container', containerId: 'C' });
    const peer = clientOf(world, 'a.example');
    const outlet = peer.send('store/x');
    const inlet = peer.receive('shop/y');
    assert.equal(container.attached.length + container.outlets.length, 2);
    const asked = container.attached[0]!.link.remoteAttach!.target;
    assert.ok(asked !== undefined && 'type' in asked && asked.type === 'target');
    assert.equal(asked.address, 'store/x');
    const given = container.outlets[0]!.link.remoteAttach!.source;
    assert.ok(given !== undefined && 'type' in given);
    assert.equal(given.address, 'a.example/shop/y');
    const target = outlet.attach!.target;
    assert.ok(target !== undefined && 'type' in target && target.type === 'target');
    assert.equal(target.address, 'store/x');
    const source = inlet.attach!.source;
    assert.ok(source !== undefined && 'type' in source);
    assert.equal(source.address, 'shop/y');
  });

  it('are nobody without a host name, and on a listener that does not ask for one', () => {
    const world = new World();
    clientOf(world, undefined).receive('q');
    world.peer({}, { hostname: 'a.example' }).receive('r');
    assert.deepEqual(keysOf(world), ['M0q', 'M0r']);
  });

  it('stand in the row of their connection and in its log line', () => {
    const world = new World();
    clientOf(world, 'a.example');
    world.peer();
    const table = world.router.tables().find(({ type }) => type.name === 'connection')!;
    const rows = [...table.entities({ connection: undefined })];
    assert.deepEqual(
      rows.map((row) => row.attribute('tenant')),
      ['a.example/', null],
    );
    assert.ok(world.logs.some((line) => line.includes('Connection Opened') && line.includes(' vhost=a.example ')));
  });
});

describe('a tenant', () => {
  it('turns what its clients say into full addresses and back', () => {
    const tenant = new Tenant('h');
    assert.equal(tenant.toFull('amqp://some.host/a/b/'), 'h/a/b');
    assert.equal(tenant.toFull('_topo/0/R/x'), '_topo/0/R/x');
    assert.equal(tenant.toOwn('h/a/b'), 'a/b');
    assert.equal(tenant.toOwn('other/a'), 'other/a');
    assert.equal(tenant.confined('h/a'), 'h/a');
    assert.equal(tenant.confined('other/a'), 'h/other/a');
  });
});

describe('an address of a tenant that looks like one with a scheme', () => {
  it('is read once, and leads to nobody else', () => {
    const world = new World();
    const secret = world.peer().receive('secret', 10);
    const own = world.peer().receive('example.org/secret', 10);
    const client = world.peer({ multiTenant: true }, { hostname: 'example.org' });
    client.send('/b:/secret').text('link');
    client.send(undefined).text('message', false, { properties: { to: 'a:/b:/c:/secret' } });
    assert.deepEqual(secret.texts, []);
    assert.deepEqual(own.texts, ['link', 'message']);
  });
});
