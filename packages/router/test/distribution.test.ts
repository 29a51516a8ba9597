// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from '@pointsman/engine';
import type { DeliveryState } from '@pointsman/wire';
import { World } from './world.js';

const REJECTED: DeliveryState = { type: 'rejected', error: { condition: 'a:b', description: 'for one of many' } };

describe('balanced', () => {
  it('takes the one with the fewest messages that wait or are unsettled, whatever its credit', () => {
    const world = new World();
    const [slow, idle] = [world.peer().receive('q', 10), world.peer().receive('q', 0)];
    const outlet = world.peer().send('q');
    for (const text of ['a', 'b', 'c', 'd']) outlet.text(text);
    assert.equal(slow.texts.length, 2);
    idle.credit(10);
    assert.equal(idle.texts.length, 2);
    for (const i of [0, 1]) slow.settle(i, ACCEPTED);
    outlet.text('e');
    assert.equal(slow.texts.length, 3);
  });

  it('prefers those below their capacity, and goes beyond it where all have reached theirs', () => {
    const world = new World();
    const small = world.peer({ linkCapacity: 2 }).receive('q', 100);
    const large = world.peer({ linkCapacity: 6 }).receive('q', 100);
    const outlet = world.peer().send('q');
    for (let i = 0; i < 8; i++) outlet.text(String(i));
    assert.deepEqual([small.texts.length, large.texts.length], [2, 6]);
    for (let i = 0; i < 2; i++) outlet.text(`more ${i}`);
    assert.deepEqual([small.texts.length, large.texts.length], [4, 6]);
  });

  it('goes round among the idle', () => {
    const world = new World();
    const inlets = [0, 1, 2].map(() => world.peer().receive('q'));
    for (const inlet of inlets) inlet.auto = ACCEPTED;
    const outlet = world.peer().send('q');
    for (let i = 0; i < 9; i++) outlet.text(String(i));
    assert.deepEqual(
      inlets.map(({ texts }) => texts.length),
      [3, 3, 3],
    );
  });
});

describe('closest', () => {
  it('means a node within the router before any consumer, and consumers in turn, whatever their credit', () => {
    const world = new World({ addresses: [{ prefix: 'c', distribution: 'closest' }] });
    const [one, two] = [world.peer().receive('c', 100), world.peer().receive('c', 0)];
    const outlet = world.peer().send('c');
    for (let i = 0; i < 4; i++) outlet.text(String(i));
    two.credit(10);
    assert.deepEqual(
      [one.texts, two.texts],
      [
        ['0', '2'],
        ['1', '3'],
      ],
    );
    let within = 0;
    const end = world.router.serve('c', () => within++);
    outlet.text('4');
    end();
    outlet.text('5');
    assert.equal(within, 1);
    assert.equal(one.texts.length + two.texts.length, 5);
  });
});

describe('multicast', () => {
  const MULTICAST = { addresses: [{ prefix: 'm', distribution: 'multicast' as const }] };
  const outcomes: readonly [string, readonly DeliveryState[], string][] = [
    ['rejected before all others', [ACCEPTED, REJECTED, RELEASED], 'rejected'],
    ['accepted before modified', [MODIFIED_FAILED, ACCEPTED, RELEASED], 'accepted'],
    ['modified before released', [RELEASED, MODIFIED_FAILED, RELEASED], 'modified'],
    ['released where all release', [RELEASED, RELEASED, RELEASED], 'released'],
  ];
  for (const [what, states, expected] of outcomes) {
    it(`tells the strongest outcome once all have spoken, without its details: ${what}`, () => {
      const world = new World(MULTICAST);
      const inlets = states.map(() => world.peer().receive('m'));
      const outlet = world.peer().send('m');
      outlet.text('x');
      states.forEach((state, i) => {
        assert.deepEqual(outlet.outcomes, []);
        inlets[i]!.settle(0, state);
      });
      assert.deepEqual(outlet.told, { x: expected });
      assert.equal((outlet.outcomes[0]!.state as { error?: unknown }).error, undefined);
    });
  }

  it('takes a consumer that is lost for released where it had nothing, for modified where it had the message', () => {
    for (const [credit, expected] of [
      [0, 'released'],
      [10, 'modified'],
    ] as const) {
      const world = new World(MULTICAST);
      const lost = world.peer();
      lost.receive('m', credit);
      const other = world.peer().receive('m');
      const outlet = world.peer().send('m');
      outlet.text('x');
      other.settle(0, RELEASED);
      lost.cut();
      assert.deepEqual(outlet.told, { x: expected });
    }
  });

  it('waits for its sender to settle where both sides do so in three steps', () => {
    const THREE = { rcvSettleMode: 1 as const };
    const world = new World(MULTICAST);
    const inlets = [0, 1, 2].map(() => world.peer().receive('m', 100, THREE));
    const sender = world.peer();
    const outlet = sender.send('m', THREE);
    const tell = (i: number, message: number, state: DeliveryState): void => {
      inlets[i]!.link.update(inlets[i]!.deliveries[message]!, state);
      world.run();
    };
    const delivery = outlet.text('x');
    tell(0, 0, RELEASED);
    tell(1, 0, ACCEPTED);
    tell(0, 0, REJECTED);
    assert.equal(outlet.outcomes.length, 0);
    tell(2, 0, MODIFIED_FAILED);
    assert.deepEqual([outlet.told, outlet.outcomes[0]!.settled], [{ x: 'accepted' }, false]);
    assert.deepEqual(
      inlets.flatMap(({ confirmed }) => confirmed),
      [],
    );
    outlet.link.settle(delivery, ACCEPTED);
    world.run();
    assert.deepEqual(
      inlets.map(({ confirmed }) => confirmed),
      [['x released'], ['x accepted'], ['x modified']],
    );
    // One that settles at once, one that is lost, and a sender that is lost before it settles.
    outlet.text('y');
    inlets[0]!.settle(1, RELEASED);
    tell(1, 1, ACCEPTED);
    inlets[2]!.peer.cut();
    assert.equal(outlet.told['y'], 'accepted');
    sender.cut();
    assert.deepEqual(inlets[1]!.confirmed, ['x accepted', 'y modified']);
    for (const { at } of world.peers) for (const link of at.links) assert.equal(link.unsettledCount, 0);
  });

  it('settles those who wait for it when its sender has been told', () => {
    const world = new World(MULTICAST);
    const inlets = [0, 1, 2].map(() => world.peer().receive('m', 100));
    const outlet = world.peer().send('m');
    outlet.text('x');
    inlets[0]!.settle(0, RELEASED);
    for (const i of [1, 2]) {
      assert.equal(outlet.outcomes.length, 0);
      assert.deepEqual(inlets[1]!.confirmed, []);
      inlets[i]!.link.update(inlets[i]!.deliveries[0]!, i === 1 ? ACCEPTED : RELEASED);
      world.run();
    }
    assert.deepEqual([outlet.told, outlet.outcomes.at(-1)?.settled], [{ x: 'accepted' }, true]);
    assert.deepEqual([inlets[1]!.confirmed, inlets[2]!.confirmed], [['x accepted'], ['x released']]);
  });

  it('has no transactions: one that is declared counts as a rejection, and is told of', () => {
    const world = new World(MULTICAST);
    const inlets = [world.peer().receive('m'), world.peer().receive('m')];
    const outlet = world.peer().send('m');
    outlet.text('x');
    inlets[0]!.settle(0, { type: 'declared', txnId: Uint8Array.of(1) });
    inlets[1]!.settle(0, ACCEPTED);
    assert.deepEqual(outlet.told, { x: 'rejected' });
    assert.ok(world.logs.includes('ROUTER_CORE (warning) Transactions are not supported for multicast messages'));
  });
});

describe('a consumer that does not keep up', () => {
  it('loses the settled messages that wait beyond its capacity, but not the first and none that is unsettled', () => {
    const world = new World();
    const inlet = world.peer({ linkCapacity: 4 }).receive('q', 0);
    const outlet = world.peer().send('q');
    for (const text of ['0', '1', '2']) outlet.text(text, true);
    outlet.text('unsettled');
    for (const text of ['4', '5']) outlet.text(text, true);
    inlet.credit(100);
    assert.deepEqual(inlet.texts, ['0', 'unsettled', '4', '5']);
    assert.equal(world.router.counters.droppedPresettledDeliveries, 2);
    assert.deepEqual(outlet.told, {});
  });
});
