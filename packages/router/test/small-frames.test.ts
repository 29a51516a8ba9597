// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { World } from './world.js';
import type { Peer } from './world.js';

const both = [
  { prefix: 'org', direction: 'in', connection: 'broker' },
  { prefix: 'org', direction: 'out', connection: 'broker' },
] as const;
const long = 'x'.repeat(3_000);

/** A client that sends frames of any size and takes small ones only. */
function narrow(world: World): Peer {
  return world.peer({}, { maxFrameSize: 512 });
}
function routed(): { world: World; container: Peer } {
  const world = new World({ linkRoutes: both });
  return { world, container: world.peer({ role: 'route-container', direction: 'out', name: 'broker' }) };
}
/** The container is as it was: others are routed there. */
function serves(world: World, container: Peer): void {
  container.answer = undefined;
  assert.equal(container.end, undefined);
  assert.notEqual(world.peer().receive('org.other', 1).attach?.source, undefined);
}

describe('a client whose frames are smaller than the answer to its attach', () => {
  it('is closed with the reason, and nothing of its links stays, neither of a sender', () => {
    const world = new World();
    const client = narrow(world);
    client.send(long);
    assert.equal(client.end?.error?.condition, 'amqp:frame-size-too-small');
    assert.deepEqual([...world.router.addresses], []);
  });

  it('nor of a receiver', () => {
    const world = new World();
    const client = narrow(world);
    client.receive(long, 0);
    assert.equal(client.end?.error?.condition, 'amqp:frame-size-too-small');
    assert.deepEqual([...world.router.addresses], []);
  });

  it('costs a container nothing whose answer it is: the link alone ends, at both ends', () => {
    const { world, container } = routed();
    container.answer = ({ target }) => ({ source: { type: 'source', address: long }, target });
    const client = narrow(world);
    const inlet = client.receive('org.a', 0);
    assert.equal(inlet.detached?.error?.condition, 'amqp:frame-size-too-small');
    assert.notEqual(container.outlets[0]!.detached, undefined);
    assert.equal(client.end, undefined);
    assert.equal(client.at.links.size + container.at.links.size, 0);
    serves(world, container);
  });

  it('hears of a refusal without what does not fit', () => {
    const { world, container } = routed();
    container.decide = () => ({ condition: 'amqp:not-found', description: 'none' });
    const client = narrow(world);
    const inlet = client.receive('org.a', 0, { target: { type: 'target', address: long } });
    assert.equal(inlet.detached?.error?.condition, 'amqp:not-found');
    container.decide = undefined;
    serves(world, container);
  });

  it('loses its session where not even the name of the link fits', () => {
    const { world, container } = routed();
    const client = narrow(world);
    let lost = '';
    const handler = {
      onTransfer: () => undefined,
      onDetach: () => undefined,
      onLost: (_link: unknown, error: { readonly condition: string } | undefined): void => {
        lost = error?.condition ?? 'no reason';
      },
    };
    client.session.attachReceiver(long, handler, {
      source: { type: 'source', address: 'org.a' },
      target: { type: 'target' },
    });
    world.run();
    assert.equal(lost, 'amqp:frame-size-too-small');
    assert.equal(client.end, undefined);
    assert.equal(client.at.links.size + container.at.links.size, 0);
    serves(world, container);
  });
});
