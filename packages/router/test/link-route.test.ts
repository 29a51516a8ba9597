// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED } from '@pointsman/engine';
import type { AmqpErrorFields, AmqpValue } from '@pointsman/wire';
import { Described, symbol } from '@pointsman/wire';
import { World } from './world.js';

const broker = { role: 'route-container', direction: 'out', name: 'broker' } as const;
const both = [
  { prefix: 'org', direction: 'in', connection: 'broker' },
  { prefix: 'org', direction: 'out', connection: 'broker' },
] as const;

describe('link routes', () => {
  it('passes an attach with its filter, credit, tags, and outcomes', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const filter = new Map<AmqpValue, AmqpValue>([
      [symbol('sel'), new Described(symbol('apache.org:selector-filter:string'), "color = 'red'")],
    ]);
    const inlet = world.peer().receive('org.queue', 3, { source: { type: 'source', address: 'org.queue', filter } });
    const far = container.outlets[0]!;
    const source = far.link.remoteAttach!.source as { address: string; filter: Map<unknown, unknown> };
    assert.equal(source.address, 'org.queue');
    assert.equal(source.filter.size, 1);
    assert.match(far.link.name, /@peer1$/);
    assert.equal(far.link.credit, 3);
    const tag = Uint8Array.from({ length: 16 }, (_, i) => i);
    far.raw(new Uint8Array([0, 0x53, 0x77, 0xa1, 2, 0x68, 0x69]), false, 'hi', true, tag);
    assert.deepEqual(inlet.texts, ['hi']);
    assert.equal(inlet.tags[0], '000102030405060708090a0b0c0d0e0f');
    inlet.settle(0, ACCEPTED);
    assert.deepEqual(far.told, { hi: 'accepted' });
    assert.equal(far.link.credit, 2);
    inlet.credit(5);
    assert.equal(far.link.credit, 7);
  });

  it('passes messages of a client to the container', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const outlet = world.peer().send('org.in');
    assert.equal(outlet.link.credit, 0, 'the credit is the container’s');
    container.attached[0]!.credit(5);
    assert.equal(outlet.link.credit, 5);
    outlet.text('x');
    assert.deepEqual(container.attached[0]!.texts, ['x']);
    container.attached[0]!.settle(0, { type: 'rejected', error: { condition: 'a:b', description: 'c' } });
    assert.equal((outlet.outcomes[0]!.state as { error: { condition: string } }).error.condition, 'a:b');
  });

  it('passes the refusal of the container on, with its words', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    container.decide = (): { condition: string; description: string } => ({
      condition: 'amqp:unauthorized-access',
      description: 'not you',
    });
    const inlet = world.peer().receive('org.secret', 0);
    assert.deepEqual(inlet.detached?.error?.description, 'not you');
    assert.equal(inlet.attach?.source, undefined);
  });

  it('passes a detach on, either way, with its error', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const inlet = world.peer().receive('org.q', 1);
    container.outlets[0]!.link.detach({ condition: 'amqp:link:detach-forced', description: 'idle' });
    world.run();
    assert.equal(inlet.detached?.error?.condition, 'amqp:link:detach-forced');
    const again = world.peer().receive('org.q', 1);
    again.link.detach();
    world.run();
    assert.deepEqual(container.outlets[1]!.detached, { error: undefined, closed: true });
  });

  it('tells the client when the container is lost, and refuses while it is away', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const client = world.peer();
    const inlet = client.receive('org.q', 1);
    container.cut();
    assert.equal(inlet.detached?.error?.condition, 'qd:routed-link-lost');
    assert.equal(client.receive('org.q', 0).detached?.error?.condition, 'qd:no-route-to-dest');
    world.peer(broker);
    assert.equal(client.receive('org.q', 0).detached, undefined);
  });

  it('ends the session at the container with the last link of the client’s', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const client = world.peer();
    client.receive('org.a', 1);
    client.receive('org.b', 1);
    assert.equal(container.connection.sessions.length, 1);
    client.cut();
    assert.equal(container.connection.sessions.length, 0);
    assert.equal(container.inside.sessions.length, 0);
  });

  it('drains through to the container and back', () => {
    const world = new World({ linkRoutes: both });
    const container = world.peer(broker);
    const inlet = world.peer().receive('org.q', 10);
    inlet.link.drain();
    world.run();
    assert.equal(container.outlets[0]!.drains, 1);
    assert.equal(inlet.link.credit, 0);
    inlet.credit(4);
    assert.equal(container.outlets[0]!.link.credit, 4);
    container.outlets[0]!.text('after');
    assert.deepEqual(inlet.texts, ['after']);
  });

  it('renames by external prefixes, there and back', () => {
    const world = new World({
      linkRoutes: [
        { prefix: 'sb', direction: 'out', connection: 'broker', delExternalPrefix: 'sb/', addExternalPrefix: 'prod/' },
      ],
    });
    const container = world.peer(broker);
    const inlet = world.peer().receive('sb/orders', 0);
    assert.equal((container.outlets[0]!.link.remoteAttach!.source as { address: string }).address, 'prod/orders');
    assert.equal((inlet.attach!.source as { address: string }).address, 'sb/orders');
  });

  it('matches patterns by token', () => {
    const world = new World({ linkRoutes: [{ pattern: 'a/*/c', direction: 'out', connection: 'broker' }] });
    const container = world.peer(broker);
    const client = world.peer();
    client.receive('a.b.c', 0);
    client.receive('a/b/d', 0);
    assert.equal(container.outlets.length, 1);
  });

  it('routes a coordinator where there is a link route for it, and says what is missing where not', () => {
    const world = new World({ linkRoutes: [{ prefix: '$coordinator', direction: 'in', connection: 'broker' }] });
    const client = world.peer();
    const before = client.send(undefined, { target: { type: 'coordinator' } });
    assert.ok(before.detached?.error !== undefined);
    const container = world.peer(broker);
    client.send(undefined, { target: { type: 'coordinator' } });
    assert.equal((container.attached[0]!.link.remoteAttach!.target as { type: string }).type, 'coordinator');
    const other = new World().peer().send(undefined, { target: { type: 'coordinator' } });
    assert.equal(other.detached?.error?.condition, 'amqp:precondition-failed');
  });

  it('attaches at the container once it has the right to, with the credit that the client gave meanwhile', () => {
    const world = new World({ linkRoutes: both });
    const asked: string[] = [];
    const waiting: ((error: AmqpErrorFields | undefined) => void)[] = [];
    let released = 0;
    const container = world.peer(broker, {}, {}, (at) => {
      at.dialect = {
        authorize(address, direction, done) {
          asked.push(`${direction} ${address}`);
          waiting.push(done);
          return () => released++;
        },
      };
    });
    const client = world.peer();
    const inlet = client.receive('org.a', 3);
    const outlet = client.send('org.b');
    assert.deepEqual(asked, ['in org.a', 'out org.b']);
    assert.equal(container.outlets.length + container.attached.length, 0);
    waiting[0]!(undefined);
    world.run();
    assert.equal(container.outlets[0]!.link.credit, 3);
    assert.equal(inlet.link.state, 'attached');
    waiting[1]!({ condition: 'amqp:unauthorized-access', description: 'no token' });
    world.run();
    assert.equal(outlet.detached?.error?.description, 'no token');
    assert.equal(released, 1);
    client.receive('org.c', 0);
    client.cut();
    world.run();
    assert.equal(released, 3, 'nobody waits any more');
  });

  it('tells the dialect of each link that the container has attached, by its name there, and of its end', () => {
    const told: string[] = [];
    const world = new World({
      linkRoutes: [
        { prefix: 'org', direction: 'in', connection: 'broker', delExternalPrefix: 'org.' },
        { prefix: 'org', direction: 'out', connection: 'broker', delExternalPrefix: 'org.' },
      ],
    });
    const container = world.peer({ role: 'route-container', direction: 'out', name: 'broker' }, {}, {}, (at) => {
      at.dialect = {
        linkRouted(client, address, { role }) {
          const what = `${client.remoteOpen?.containerId} ${role ? 'sends to' : 'receives from'} ${address}`;
          told.push(what);
          return () => told.push(`${what}: over`);
        },
      };
    });
    const client = world.peer({ containerId: 'C' });
    const outlet = client.send('org.a');
    client.receive('org.b');
    assert.deepEqual(told, ['C sends to a', 'C receives from b']);
    outlet.link.detach();
    world.run();
    assert.deepEqual(told.slice(2), ['C sends to a: over']);
    container.cut();
    world.run();
    assert.deepEqual(told.slice(3), ['C receives from b: over']);
  });

  it('leaves alone what the owner of a connection takes itself', () => {
    const world = new World();
    const taken: string[] = [];
    const client = world.peer({
      takeLink(link, { target }) {
        if (target === undefined || !('address' in target) || target.address !== 'own') return false;
        taken.push(target.address);
        link.refuse({ condition: 'amqp:not-allowed', description: 'not here' });
        return true;
      },
    });
    const ours = client.send('own');
    const theirs = client.send('a');
    assert.deepEqual(taken, ['own']);
    assert.equal(ours.detached?.error?.description, 'not here');
    assert.equal(theirs.link.state, 'attached');
  });
});
