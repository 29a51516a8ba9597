// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { World } from './world.js';
import type { Inlet, Peer } from './world.js';

const linkRoutes = [{ prefix: 'org', direction: 'in', connection: 'broker' }] as const;
const broker = { role: 'route-container', direction: 'out', name: 'broker' } as const;

describe('a routed link whose sender has left and whose messages wait', () => {
  /** Ten large messages on their way to a container that does not read; their sender detaches. */
  function leaving(): { world: World; container: Peer; client: Peer; far: Inlet } {
    const world = new World({ linkRoutes });
    const container = world.peer(broker, {}, { outputMax: 1 });
    const client = world.peer();
    const outlet = client.send('org.q');
    const far = container.attached[0]!;
    far.credit(20);
    container.isCut = true;
    for (let i = 0; i < 10; i++) outlet.raw(new Uint8Array(60_000).fill(0x41));
    outlet.link.detach();
    world.run();
    return { world, container, client, far };
  }

  it('does not hold back the other links of its session', () => {
    const { client, world } = leaving();
    const inlet = world.peer().receive('plain');
    const other = client.send('plain');
    for (let i = 0; i < 100; i++) other.raw(new Uint8Array(60_000).fill(0x41), true);
    assert.equal(inlet.deliveries.length, 100);
  });

  it('ends at both ends where the container is cut off', () => {
    const { client, container } = leaving();
    container.cut();
    assert.deepEqual([client.at.links.size, container.at.links.size], [0, 0]);
  });

  it('ends at both ends where the container takes its credit back', () => {
    const { client, container, far, world } = leaving();
    far.link.withdrawCredit();
    container.isCut = false;
    world.run();
    assert.equal(far.detached?.closed, true);
    assert.deepEqual([client.at.links.size, container.at.links.size], [0, 0]);
  });
});

describe('a routed link whose sender takes a message back of which nothing has gone on', () => {
  it('takes nothing of it on', () => {
    const world = new World({ linkRoutes });
    const container = world.peer(broker);
    const outlet = world.peer().send('org.q');
    const far = container.attached[0]!.credit(3_000);
    const { session } = far.link;
    session.holdWindow();
    for (let i = 0; i < 1_200; i++) outlet.text(String(i));
    assert.ok(far.deliveries.length < 1_200, 'the container has no room');
    outlet.raw(new Uint8Array(100_000), false, 'half', false);
    outlet.link.abort();
    world.run();
    outlet.text('next');
    session.releaseWindow();
    world.run();
    assert.deepEqual([far.deliveries.length, far.texts.at(-1)], [1_201, 'next']);
    assert.equal(outlet.link.credit, far.link.credit);
    assert.equal(world.router.deliveriesInFlight, 1_201);
  });
});
