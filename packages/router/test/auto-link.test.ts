// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED } from '@pointsman/engine';
import type { AttachParameters } from '@pointsman/engine';
import type { AmqpErrorFields } from '@pointsman/wire';
import type { RouterConnection } from '../src/index.js';
import { World } from './world.js';

const broker = { role: 'route-container', direction: 'out', name: 'broker' } as const;

const isThere = (end: { readonly detached: unknown } | undefined): boolean => end?.detached === undefined;

describe('autolinks', () => {
  it('passes messages through a queue of a broker and back', () => {
    const world = new World({
      addresses: [{ prefix: 'orders', distribution: 'balanced', waypoint: true }],
      autoLinks: [
        { address: 'orders', direction: 'out', connection: 'broker', externalAddress: 'queue.orders' },
        { address: 'orders', direction: 'in', connection: 'broker', externalAddress: 'queue.orders' },
      ],
    });
    const container = world.peer(broker);
    const [toBroker] = container.attached;
    const [fromBroker] = container.outlets;
    assert.equal(
      toBroker!.link.remoteAttach!.target !== undefined &&
        (toBroker!.link.remoteAttach!.target as { address: string }).address,
      'queue.orders',
    );
    assert.deepEqual(
      world.router.autoLinks.map((link) => link.status),
      ['active', 'active'],
    );
    toBroker!.credit(10);
    const outlet = world.peer().send('orders');
    outlet.text('o1');
    assert.deepEqual(toBroker!.texts, ['o1']);
    toBroker!.settle(0, ACCEPTED);
    assert.deepEqual(outlet.told, { o1: 'accepted' });
    assert.equal(fromBroker!.link.credit, 0, 'nobody receives yet, so nothing is fetched');
    const inlet = world.peer().receive('orders');
    assert.equal(fromBroker!.link.credit, 250);
    fromBroker!.text('o1');
    assert.deepEqual(inlet.texts, ['o1']);
    inlet.settle(0, ACCEPTED);
    assert.deepEqual(fromBroker!.told, { o1: 'accepted' });
  });

  it('says no outcome that the source does not list: released in place of modified', () => {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'in', phase: 0, connection: 'broker' }] });
    const answer = (): AttachParameters => ({
      source: {
        type: 'source',
        address: 'q',
        outcomes: ['amqp:accepted:list', 'amqp:rejected:list', 'amqp:released:list'],
      },
    });
    const container = world.peer(broker);
    container.answer = answer;
    const [link] = world.router.autoLinks;
    container.outlets[0]!.link.detach();
    world.run();
    world.advance(2_000);
    assert.equal(link!.status, 'active');
    const inlet = world.peer().receive('q');
    const outlet = container.outlets[1]!;
    for (const text of ['failed', 'not here', 'fine']) outlet.text(text);
    inlet.settle(0, MODIFIED_FAILED);
    inlet.settle(1, { ...MODIFIED_FAILED, undeliverableHere: true });
    inlet.settle(2, ACCEPTED);
    assert.deepEqual(outlet.told, { failed: 'released', 'not here': 'released', fine: 'accepted' });
  });

  it('is active only once the terminus is there, keeps the reason of a refusal and tries again', () => {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'out', connection: 'broker' }] });
    const [autoLink] = world.router.autoLinks;
    const statuses: string[] = [];
    world.router.observer = { onAutoLink: (link) => statuses.push(link.status) };
    const container = world.peer(broker);
    assert.equal(autoLink!.status, 'active');
    container.decide = (): { condition: string; description: string } => ({
      condition: 'amqp:not-found',
      description: 'no such queue',
    });
    container.attached[0]!.link.detach({ condition: 'amqp:resource-deleted', description: 'deleted' });
    world.run();
    assert.equal(autoLink!.status, 'failed');
    assert.equal(autoLink!.lastError, 'deleted');
    world.advance(2_000);
    assert.equal(autoLink!.lastError, 'no such queue');
    assert.equal(autoLink!.status, 'failed');
    container.decide = undefined;
    world.advance(5_000);
    assert.equal(autoLink!.status, 'active');
    assert.deepEqual(statuses, ['attaching', 'active', 'failed', 'attaching', 'failed', 'attaching', 'active']);
    assert.ok(
      world.logs.some((line) =>
        line.includes("Auto Link Activation Failed. no such queue 'autoLink/0' on connection broker"),
      ),
    );
  });

  it('is calm about ends in the normal course of things, until they follow each other too closely', () => {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'out', connection: 'broker' }] });
    const [autoLink] = world.router.autoLinks;
    const container = world.peer(broker);
    container.at.dialect = { isNormalEnd: () => true, retryDelay: (_error, { attempt }) => attempt * 100 };
    const detach = (): void => {
      container.attached.at(-1)!.link.detach({ condition: 'amqp:link:detach-forced', description: 'idle' });
      world.run();
    };
    const ends: string[] = [];
    for (let i = 1; i <= 6; i++) {
      detach();
      ends.push(`${autoLink!.status} ${autoLink!.nextAttempt! - world.clock.time}`);
      world.advance(i * 100);
      assert.equal(autoLink!.status, 'active');
    }
    assert.deepEqual(ends, ['idle 100', 'idle 200', 'idle 300', 'idle 400', 'idle 500', 'failed 600']);
    assert.equal(world.logs.filter((line) => line.includes('(warning) Auto Link Activation Failed. idle')).length, 1);
    world.advance(10_000);
    detach();
    assert.equal(autoLink!.status, 'idle');
    assert.equal(autoLink!.failures, 1, 'it had been up for long enough');
  });

  it('is inactive without its connection and comes back with it', () => {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'in', containerId: 'theirs' }] });
    const container = world.peer({ role: 'route-container', containerId: 'theirs' });
    assert.equal(world.router.autoLinks[0]!.status, 'active');
    container.cut();
    assert.equal(world.router.autoLinks[0]!.status, 'inactive');
    world.advance(60_000);
    world.peer({ role: 'route-container', containerId: 'theirs' });
    assert.equal(world.router.autoLinks[0]!.status, 'active');
  });

  it('stays attaching where the container names no node in its answer', () => {
    const world = new World();
    const container = world.peer(broker);
    container.answer = (): AttachParameters => ({ source: { type: 'source' }, target: { type: 'target' } });
    const out = world.router.addAutoLink({ address: 'q', direction: 'out', connection: 'broker' });
    const back = world.router.addAutoLink({ address: 'q', direction: 'in', phase: 0, connection: 'broker' });
    world.run();
    assert.deepEqual([out.status, back.status], ['attaching', 'attaching']);
    assert.match(out.lastError ?? '', /target without an address/);
    assert.match(back.lastError ?? '', /source without an address/);
    assert.equal(world.peer().send('q').link.credit, 0, 'it is nobody to send to');
    container.attached[0]!.link.detach();
    container.answer = undefined;
    world.run();
    world.advance(2_000);
    assert.equal(out.status, 'active');
  });

  it('settles what it has in hand before it is detached, when it is no longer wanted', () => {
    const world = new World({
      autoLinks: [
        { address: 'q', direction: 'out', connection: 'broker' },
        { address: 'q', direction: 'in', phase: 1, connection: 'broker' },
      ],
      addresses: [{ prefix: 'q', distribution: 'balanced', waypoint: true }],
    });
    const container = world.peer(broker);
    const consumer = world.peer().receive('q');
    const producer = world.peer().send('q');
    const [toBroker] = container.attached;
    const [fromBroker] = container.outlets;
    toBroker!.credit(1);
    producer.text('taken');
    producer.text('waits');
    fromBroker!.text('on its way');
    const [out, back] = world.router.autoLinks;
    world.router.removeAutoLink(out!);
    world.router.removeAutoLink(back!);
    world.run();
    assert.deepEqual([toBroker, fromBroker].map(isThere), [true, true]);
    assert.equal(fromBroker!.link.credit, 0, 'nothing more is fetched');
    producer.text('later');
    assert.deepEqual(producer.told, { waits: 'released', later: 'released' });
    consumer.settle(0, ACCEPTED);
    world.advance(50);
    assert.deepEqual(fromBroker!.told, { 'on its way': 'accepted' });
    assert.deepEqual([toBroker, fromBroker].map(isThere), [true, false]);
    toBroker!.settle(0, ACCEPTED);
    world.advance(50);
    assert.deepEqual(producer.told, { taken: 'accepted', waits: 'released', later: 'released' });
    assert.equal(isThere(toBroker), false);
    assert.equal(container.inside.sessions.length, 0);
  });

  it('does not wait for ever for that, nor beyond the end of its connection', () => {
    const autoLinks = [
      { name: 'a', address: 'a', direction: 'out' as const, connection: 'broker' },
      { name: 'b', address: 'b', direction: 'out' as const, connection: 'broker' },
    ];
    const world = new World({ autoLinks });
    const container = world.peer(broker);
    for (const inlet of container.attached) inlet.credit(1);
    const producers = ['a', 'b'].map((address) => world.peer().send(address));
    for (const producer of producers) producer.text('m');
    world.router.removeAutoLink(world.router.autoLinks[0]!);
    world.advance(4_000);
    assert.equal(isThere(container.attached[0]), true);
    world.advance(1_100);
    assert.equal(isThere(container.attached[0]), false);
    assert.deepEqual(producers[0]!.told, { m: 'modified' });
    world.router.removeAutoLink(world.router.autoLinks[0]!);
    container.cut();
    assert.deepEqual(producers[1]!.told, { m: 'modified' });
    world.advance(10_000);
    assert.deepEqual([...world.router.addresses].length, 2, 'those of the producers');
  });

  it('attaches at every connection of its container, and shows the furthest of them', () => {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'out', connection: 'broker' }] });
    const [autoLink] = world.router.autoLinks;
    const first = world.peer(broker);
    const second = world.peer(broker);
    assert.equal(autoLink!.links.length, 2);
    assert.equal(autoLink!.connection, second.at);
    first.attached[0]!.credit(10);
    second.attached[0]!.credit(10);
    const outlet = world.peer().send('q');
    for (let i = 0; i < 4; i++) outlet.text(`m${i}`);
    assert.deepEqual([first.attached[0]!.texts.length, second.attached[0]!.texts.length], [2, 2]);
    second.decide = (): { condition: string } => ({ condition: 'amqp:not-found' });
    second.attached[0]!.link.detach();
    world.run();
    assert.equal(autoLink!.status, 'active', 'by the first');
    assert.equal(autoLink!.lastError, 'detached without a reason');
    first.cut();
    assert.equal(autoLink!.status, 'failed');
    second.cut();
    assert.equal(autoLink!.status, 'inactive');
    assert.equal(autoLink!.links.length, 0);
  });

  it('leaves alone a connection that is closing, while another one ends', () => {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'in', connection: 'broker' }] });
    const first = world.peer(broker);
    const second = world.peer(broker);
    second.isCut = true;
    second.at.close();
    first.connection.close();
    world.run();
    assert.equal(world.router.connections.size, 1, 'nobody has answered the close of the second');
    assert.equal(world.router.autoLinks[0]!.status, 'inactive');
    const added = world.router.addAutoLink({ address: 'r', direction: 'in', connection: 'broker' });
    assert.equal(added.status, 'inactive');
  });

  it('has a session for each link, as far as the container allows, and ends it with the autolink', () => {
    const autoLinks = ['a', 'b', 'c', 'd', 'e'].map((address) => ({
      name: address,
      address,
      direction: 'out' as const,
      connection: 'broker',
    }));
    const world = new World({ autoLinks });
    const roomy = world.peer(broker);
    assert.equal(roomy.inside.sessions.length, 5);
    world.router.removeAutoLink(world.router.autoLinks[0]!);
    world.run();
    assert.equal(roomy.inside.sessions.length, 4);
    assert.equal(roomy.connection.sessions.length, 4);
    roomy.cut();
    const tight = world.peer(broker, { channelMax: 3 });
    assert.equal(tight.inside.sessions.length, 2, 'half of the four are left for others');
    assert.ok(world.router.autoLinks.every(({ status }) => status === 'active'));
    while (world.router.autoLinks.length > 0) world.router.removeAutoLink(world.router.autoLinks[0]!);
    world.run();
    assert.equal(tight.inside.sessions.length, 0);
    assert.equal(tight.attached.filter(({ detached }) => detached === undefined).length, 0);
  });

  it('keeps its session from one attempt to the next, and takes another when that has ended', () => {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'out', connection: 'broker' }] });
    const container = world.peer(broker);
    const session = container.inside.sessions[0]!;
    container.attached[0]!.link.detach();
    world.run();
    world.advance(2_000);
    assert.equal(container.attached[1]!.link.session.channel, container.attached[0]!.link.session.channel);
    assert.deepEqual(container.inside.sessions, [session]);
    container.attached[1]!.link.session.end();
    world.run();
    assert.equal(world.router.autoLinks[0]!.status, 'failed');
    world.advance(5_000);
    assert.equal(world.router.autoLinks[0]!.status, 'active');
    assert.equal(container.inside.sessions.length, 1);
  });

  it('fails with a reason where the container takes no further link, or no name of that length, and tries again', () => {
    const world = new World({
      autoLinks: [
        { address: 'one', direction: 'out', connection: 'broker' },
        { address: 'x'.repeat(600), direction: 'in', connection: 'broker' },
      ],
    });
    const container = world.peer(broker, { channelMax: 0, maxFrameSize: 512 });
    container.beginOptions = { handleMax: 0 };
    container.attached[0]!.link.session.end();
    world.run();
    world.advance(2_000);
    const [one, long] = world.router.autoLinks;
    assert.deepEqual([one!.status, long!.status], ['active', 'failed']);
    assert.match(long!.lastError ?? '', /frame of \d+ bytes for a peer that takes 512/);
    const two = world.router.addAutoLink({ address: 'two', direction: 'out', connection: 'broker' });
    assert.equal(two.status, 'failed');
    assert.equal(two.lastError, 'all 1 channels are in use');
    world.router.removeAutoLink(one!);
    world.run();
    world.advance(5_000);
    assert.equal(two.status, 'active');
  });

  it('does not attach on a connection of another role', () => {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'in', connection: 'broker' }] });
    world.peer({ ...broker, role: 'normal' });
    assert.equal(world.router.autoLinks[0]!.status, 'inactive');
  });

  it('gives back the right to attach where it had it at once, and the attach could not be made', () => {
    const world = new World({
      autoLinks: [{ address: 'a', direction: 'in', connection: 'broker', externalAddress: 'x'.repeat(1_000) }],
    });
    let held = 0;
    const prepare = (at: RouterConnection): void => {
      at.dialect = {
        authorize(_address, _direction, done) {
          held++;
          done(undefined);
          return () => held--;
        },
      };
    };
    world.peer(broker, { maxFrameSize: 512 }, {}, prepare);
    world.advance(20_000);
    assert.equal(world.router.autoLinks[0]!.status, 'failed');
    assert.equal(held, 0);
  });

  it('attaches once it has the right to, and gives it back when the link has ended', () => {
    const world = new World({
      autoLinks: [{ address: 'q', externalAddress: 'far', direction: 'in', connection: 'b' }],
    });
    const [autoLink] = world.router.autoLinks;
    const asked: string[] = [];
    const given: (string | undefined)[] = [];
    let done: ((error?: AmqpErrorFields) => void) | undefined;
    const container = world.peer({ role: 'route-container', direction: 'out', name: 'b' }, {}, {}, (at) => {
      at.dialect = {
        retryDelay: () => 100,
        authorize(address, direction, whenDone) {
          asked.push(`${direction} ${address}`);
          done = whenDone;
          return (error) => given.push(error?.condition);
        },
      };
    });
    assert.deepEqual(asked, ['in far']);
    assert.equal(autoLink!.status, 'attaching');
    assert.equal(container.outlets.length, 0);
    done!({ condition: 'amqp:unauthorized-access', description: 'no token' });
    assert.equal(autoLink!.status, 'failed');
    assert.equal(autoLink!.lastError, 'no token');
    assert.deepEqual(given, ['amqp:unauthorized-access']);
    world.advance(100);
    assert.equal(asked.length, 2);
    done!();
    world.run();
    assert.equal(autoLink!.status, 'active');
    container.outlets.at(-1)!.link.detach({ condition: 'amqp:link:detach-forced', description: 'RenewToken' });
    world.run();
    assert.deepEqual(given, ['amqp:unauthorized-access', 'amqp:link:detach-forced']);
    world.advance(100);
    assert.equal(asked.length, 3);
    autoLink!.remove();
    assert.equal(given.length, 3, 'nobody waits for the third');
  });
});
