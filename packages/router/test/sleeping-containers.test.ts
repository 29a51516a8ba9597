// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { World } from './world.js';

const broker = { role: 'route-container', direction: 'out', name: 'broker' } as const;

/** A router whose container `broker` is connected to when it is wanted. */
function asleep(): { world: World; wakes: () => number; awake: () => void } {
  const world = new World({
    linkRoutes: [
      { prefix: 'q', direction: 'in', connection: 'broker' },
      { prefix: 'q', direction: 'out', connection: 'broker' },
    ],
  });
  let wakes = 0;
  const awake = world.router.sleepers.sleep('broker', () => wakes++);
  return { world, wakes: () => wakes, awake };
}

describe('links that clients want routed to a container that sleeps', () => {
  it('wait until it is there', () => {
    const { world, wakes, awake } = asleep();
    const client = world.peer();
    const [outlet, inlet] = [client.send('q.a'), client.receive('q.a')];
    assert.equal(wakes(), 2);
    assert.deepEqual([outlet.attach, inlet.attach, outlet.detached, inlet.detached], Array(4).fill(undefined));
    const container = world.peer(broker);
    awake();
    assert.ok(outlet.attach?.target !== undefined && inlet.attach?.source !== undefined);
    assert.deepEqual([container.attached.length, container.outlets.length], [1, 1]);
    inlet.credit(0);
    assert.equal(container.outlets[0]!.link.credit, 100, 'credit that came meanwhile is passed on');
  });

  it('are refused when it has not come after half a minute', () => {
    const { world } = asleep();
    const outlet = world.peer().send('q.a');
    world.advance(29_999);
    const reasonOf = (): string | undefined => outlet.detached?.error?.condition;
    assert.equal(reasonOf(), undefined);
    world.advance(1);
    assert.equal(reasonOf(), 'qd:no-route-to-dest');
  });

  it('are refused at once where it does not sleep, and forgotten where the client leaves', () => {
    const { world, awake } = asleep();
    const client = world.peer();
    client.send('q.a').link.detach();
    world.run();
    client.send('q.b');
    client.cut();
    world.peer(broker).cut();
    awake();
    assert.equal(world.peer().send('q.c').detached?.error?.condition, 'qd:no-route-to-dest');
    world.advance(60_000);
  });
});
