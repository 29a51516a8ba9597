// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { World } from './world.js';

const broker = { role: 'route-container', direction: 'out', name: 'broker' } as const;
const both = [
  { prefix: 'org', direction: 'in', connection: 'broker' },
  { prefix: 'org', direction: 'out', connection: 'broker' },
] as const;

describe('link routes that lead to several connections', () => {
  for (const keepsTogether of [true, false]) {
    it(`take each in turn, ${keepsTogether ? 'with all links of a client on the same where the container wants it' : 'whosoever the links are'}`, () => {
      const world = new World({ linkRoutes: both });
      const containers = [0, 1].map(() => world.peer(broker, {}, {}, (at) => (at.dialect = { keepsTogether })));
      for (let i = 0; i < 2; i++) {
        const client = world.peer();
        client.receive('org.q');
        client.send('org.q');
        client.receive('org.other');
        client.send('org.q');
      }
      const clientsAt = containers.map(
        ({ attached, outlets }) =>
          new Set([...attached, ...outlets].map(({ link }) => link.name.replace(/.*@/, '')).sort()),
      );
      assert.deepEqual(
        clientsAt.map((names) => [...names]),
        keepsTogether
          ? [['peer2'], ['peer3']]
          : [
              ['peer2', 'peer3'],
              ['peer2', 'peer3'],
            ],
      );
    });
  }

  it('find another where the one of the client is gone', () => {
    const world = new World({ linkRoutes: both });
    const keep = (at: { dialect: unknown }): void => void (at.dialect = { keepsTogether: true });
    const [first, second] = [world.peer(broker, {}, {}, keep), world.peer(broker, {}, {}, keep)];
    const client = world.peer();
    client.receive('org.q');
    assert.deepEqual([first.outlets.length, second.outlets.length], [1, 0]);
    first.cut();
    client.receive('org.q');
    assert.deepEqual([first.outlets.length, second.outlets.length], [1, 1]);
  });
});
