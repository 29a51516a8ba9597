// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { World } from './world.js';

const broker = { role: 'route-container', direction: 'out', name: 'broker' } as const;

describe('sessions at the container of routed links', () => {
  it('are shared by clients where it takes no more, and end with their last link', () => {
    const world = new World({ linkRoutes: [{ prefix: 'org', direction: 'out', connection: 'broker' }] });
    const container = world.peer(broker, { channelMax: 1 });
    const clients = Array.from({ length: 5 }, () => {
      const client = world.peer();
      return { client, inlet: client.receive('org.q', 1) };
    });
    const open = (): number[] => container.connection.sessions.map(({ links }) => links.length).sort();
    assert.deepEqual(open(), [2, 3]);
    container.outlets.forEach((outlet, i) => outlet.text(`m${i}`, true));
    assert.deepEqual(
      clients.map(({ inlet }) => inlet.texts.join()),
      ['m0', 'm1', 'm2', 'm3', 'm4'],
    );
    clients[0]!.inlet.link.detach();
    clients[1]!.client.cut();
    assert.deepEqual(open(), [1, 2]);
    for (const { client } of clients) client.cut();
    assert.deepEqual(open(), []);
    assert.notEqual(world.peer().receive('org.q').attach?.source, undefined);
    assert.deepEqual(open(), [1]);
  });

  it('are refused where all of them are taken by others', () => {
    const world = new World({
      linkRoutes: [{ prefix: 'org', direction: 'out', connection: 'broker' }],
      autoLinks: [{ address: 'a', direction: 'in', connection: 'broker' }],
    });
    world.peer(broker, { channelMax: 0 });
    const { detached } = world.peer().receive('org.q');
    assert.equal(detached?.error?.condition, 'amqp:resource-limit-exceeded');
  });
});
