// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AmqpSymbol, uint } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { terminusText } from '../src/terminus-text.js';
import { World } from './world.js';

const lines = (world: World, about: string): string[] => world.logs.filter((line) => line.includes(about));

describe('lines of the log about connections', () => {
  it('tell who connects, how, and with which properties, but no secrets', () => {
    const world = new World();
    const properties = new Map<string, AmqpValue>([
      ['product', 'qpid'],
      ['qd.conn-id', uint(7)],
      ['password', 'hunter2'],
    ]);
    world.peer({ peer: '10.0.0.1:4711', containerId: 'c1' }, { properties });
    const [line] = lines(world, 'Connection Opened');
    assert.match(
      line!,
      /^ROUTER_CORE \(info\) \[C1\] Connection Opened: dir=in host=10\.0\.0\.1:4711 vhost= encrypted=no auth=\S+ user=\S+ container_id=c1 props=\{:product="qpid", :"qd\.conn-id"=7, :password=<hidden>\}$/,
    );
  });
});

describe('lines of the log about links', () => {
  it('tell both ends of a link with all that is not as by default', () => {
    const world = new World();
    const peer = world.peer();
    peer.receive('q', 0, {
      source: { type: 'source', address: 'q', durable: 2, timeout: 60, capabilities: ['qd.waypoint'] },
    });
    peer.send('q', { source: { type: 'source', expiryPolicy: 'never' } });
    peer.receive(undefined, 0, { source: { type: 'source', dynamic: true } });
    assert.deepEqual(
      lines(world, 'Link attached').map((line) => line.replace(/^.*\[L\d+\] /, '')),
      [
        'Link attached: dir=out source={q dur:deliveries expire:sess timeout:60 caps::"qd.waypoint"} target={<none> expire:sess}',
        'Link attached: dir=in source={<none>} target={q expire:sess}',
        'Link attached: dir=out source={(dyn)<none> expire:sess} target={<none> expire:sess}',
      ],
    );
  });

  it('tell filters, outcomes and properties of dynamic nodes, of all kinds of termini', () => {
    const symbol = (name: string): AmqpSymbol => new AmqpSymbol(name);
    assert.equal(
      terminusText({
        type: 'source',
        address: 'q',
        durable: 1,
        expiryPolicy: 'connection-close',
        distributionMode: 'copy',
        filter: new Map<AmqpValue, AmqpValue>([[symbol('selector'), "color = 'red'"]]),
        outcomes: ['amqp:accepted:list', 'amqp:rejected:list'],
      }),
      'q dur:config expire:conn dist:copy flt:{:selector="color = \'red\'"} outcomes:@symbol[:"amqp:accepted:list", :"amqp:rejected:list"]',
    );
    assert.equal(
      terminusText({
        type: 'target',
        dynamic: true,
        expiryPolicy: 'link-detach',
        dynamicNodeProperties: new Map([['lifetime-policy', symbol('x')]]),
      }),
      '(dyn)<none> expire:link props:{:"lifetime-policy"=:x}',
    );
    assert.equal(terminusText({ type: 'coordinator' }), '<coordinator>');
    assert.equal(terminusText(undefined), '<none> expire:sess');
    assert.ok(terminusText({ type: 'target', address: 'x'.repeat(100_000) }).length < 1_000);
  });

  it('tell how a link ended: detached, lost with its session, or lost with its connection', () => {
    const world = new World();
    const peer = world.peer();
    const ends = (): string[] =>
      lines(world, ': del=').map((line) => line.replace(/^.*\[L\d+\] /, '').replace(/: del=.*/, ''));
    peer.receive('a').link.detach();
    world.run();
    assert.deepEqual(ends(), ['Link detached']);
    const session = peer.connection.session();
    session.attachReceiver('b', peer.receive('x'), {
      source: { type: 'source', address: 'b' },
      target: { type: 'target' },
    });
    world.run();
    session.end();
    world.run();
    assert.deepEqual(ends(), ['Link detached', 'Link lost']);
    peer.cut();
    assert.deepEqual(ends(), ['Link detached', 'Link lost', 'Link closed due to connection loss']);
  });

  it('tell the same of a connection that the peer closes', () => {
    const world = new World();
    const peer = world.peer();
    peer.send('q');
    peer.connection.close();
    world.run();
    assert.match(lines(world, ': del=')[0]!, /Link closed due to connection loss: del=0 /);
    assert.equal(lines(world, 'Connection Closed').length, 1);
  });
});
