// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { World } from './world.js';

describe('link routes that a client has made by the hundred for one pattern', () => {
  it('come and go without a look at all of them for each', () => {
    const world = new World();
    const { router } = world;
    const peer = world.peer();
    const count = 500;
    let looks = 0;
    for (let i = 0; i < count; i++) {
      const route = router.addLinkRoute({ pattern: 'a.#', direction: 'out' }, peer.at);
      const { connections } = route;
      Object.defineProperty(route, 'connections', {
        get: () => {
          looks++;
          return connections;
        },
      });
    }
    const [node] = [...router.linkRouteTable.nodes];
    assert.deepEqual(node!.connections, [peer.at]);
    peer.cut();
    assert.ok(looks <= 10 * count, `${looks} looks at ${count} routes`);
    assert.deepEqual([...router.linkRouteTable.nodes], []);
  });
});
