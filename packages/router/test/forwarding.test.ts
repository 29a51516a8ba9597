// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, RELEASED } from '@pointsman/engine';
import { symbol } from '@pointsman/wire';
import { World } from './world.js';
import type { Outlet } from './world.js';

describe('message routing', () => {
  it('carries a message to its consumer and the outcome back to its producer', () => {
    const world = new World();
    const inlet = world.peer().receive('orders');
    const outlet = world.peer().send('orders');
    assert.equal(outlet.link.credit, 250);
    outlet.text('one');
    assert.deepEqual(inlet.texts, ['one']);
    assert.deepEqual(outlet.outcomes, []);
    inlet.settle(0, ACCEPTED);
    assert.deepEqual(outlet.told, { one: 'accepted' });
  });

  it('tells each kind of outcome with its details', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer().send('q');
    for (const name of ['a', 'b', 'c', 'd']) outlet.text(name);
    inlet.settle(0, { type: 'rejected', error: { condition: 'app:bad', description: 'no good' } });
    inlet.settle(1, RELEASED);
    inlet.settle(2, {
      type: 'modified',
      deliveryFailed: true,
      undeliverableHere: true,
      messageAnnotations: new Map([['x-reason', 'tired']]),
    });
    inlet.settle(3, ACCEPTED);
    assert.deepEqual(outlet.told, { a: 'rejected', b: 'released', c: 'modified', d: 'accepted' });
    const rejected = outlet.outcomes[0]!.state as { error: { condition: string; description: string } };
    assert.equal(rejected.error.description, 'no good');
    const modified = outlet.outcomes[2]!.state as {
      undeliverableHere: boolean;
      messageAnnotations: Map<string, unknown>;
    };
    assert.equal(modified.undeliverableHere, true);
    assert.equal(modified.messageAnnotations.get('x-reason'), 'tired');
  });

  it('gives no credit while there is nowhere to go, and gives it when a consumer comes', () => {
    const world = new World();
    const outlet = world.peer().send('later');
    assert.equal(outlet.link.credit, 0);
    world.peer().receive('later');
    assert.equal(outlet.link.credit, 250);
  });

  it('replaces credit as deliveries are settled, so that any number passes', () => {
    const world = new World();
    const inlet = world.peer().receive('q', 10_000);
    inlet.auto = ACCEPTED;
    const outlet = world.peer().send('q');
    for (let i = 0; i < 2_000; i++) outlet.text(String(i));
    assert.equal(inlet.texts.length, 2_000);
    assert.equal(outlet.outcomes.length, 2_000);
    assert.ok(outlet.link.credit > 100);
  });

  it('holds messages for a consumer without credit, in their order', () => {
    const world = new World();
    const inlet = world.peer().receive('q', 0);
    const outlet = world.peer().send('q');
    for (let i = 0; i < 5; i++) outlet.text(String(i));
    assert.deepEqual(inlet.texts, []);
    inlet.credit(2);
    assert.deepEqual(inlet.texts, ['0', '1']);
    inlet.credit(10);
    assert.deepEqual(inlet.texts, ['0', '1', '2', '3', '4']);
  });

  it('balances by what is unsettled, not in turn', () => {
    const world = new World();
    const slow = world.peer().receive('q');
    const quick = world.peer().receive('q');
    quick.auto = ACCEPTED;
    const outlet = world.peer().send('q');
    for (let i = 0; i < 20; i++) outlet.text(String(i));
    assert.equal(slow.texts.length, 1);
    assert.equal(quick.texts.length, 19);
  });

  it('takes the closest consumers in turn', () => {
    const world = new World({ addresses: [{ prefix: 'c', distribution: 'closest' }] });
    const inlets = [0, 1, 2].map(() => world.peer().receive('c'));
    const outlet = world.peer().send('c');
    for (let i = 0; i < 6; i++) outlet.text(String(i));
    assert.deepEqual(
      inlets.map((inlet) => inlet.texts.length),
      [2, 2, 2],
    );
  });

  it('copies a multicast to every consumer and settles once all have, the strongest outcome first', () => {
    const world = new World({ addresses: [{ prefix: 'm', distribution: 'multicast' }] });
    const inlets = [0, 1, 2].map(() => world.peer().receive('m'));
    const outlet = world.peer().send('m');
    outlet.text('x');
    for (const inlet of inlets) assert.deepEqual(inlet.texts, ['x']);
    inlets[0]!.settle(0, RELEASED);
    inlets[1]!.settle(0, ACCEPTED);
    assert.deepEqual(outlet.outcomes, []);
    inlets[2]!.settle(0, { type: 'modified' });
    assert.deepEqual(outlet.told, { x: 'accepted' });
  });

  it('releases what was not sent and modifies what was, when a consumer is lost', () => {
    const world = new World();
    const consumer = world.peer();
    consumer.receive('q', 2);
    const outlet = world.peer().send('q');
    for (const name of ['a', 'b', 'c', 'd']) outlet.text(name);
    consumer.cut();
    assert.deepEqual(outlet.told, { a: 'modified', b: 'modified', c: 'released', d: 'released' });
  });

  it('releases and drains where the last consumer has gone, and starts again when one comes', () => {
    const world = new World();
    const consumer = world.peer();
    consumer.receive('q');
    const outlet = world.peer().send('q');
    consumer.cut();
    outlet.text('lost');
    assert.deepEqual(outlet.told, { lost: 'released' });
    assert.equal(outlet.drains, 1);
    assert.equal(outlet.link.credit, 0);
    const inlet = world.peer().receive('q');
    assert.equal(outlet.link.credit, 250);
    outlet.text('found');
    assert.deepEqual(inlet.texts, ['found']);
  });

  it('passes presettled messages without an outcome', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer().send('q');
    for (let i = 0; i < 600; i++) {
      outlet.text(String(i), true);
      if (i % 50 === 0) inlet.credit(50);
    }
    assert.equal(inlet.texts.length, 600);
    assert.ok(inlet.deliveries.every((delivery) => delivery.settled));
    assert.deepEqual(outlet.outcomes, []);
  });

  it('carries a message of many frames without holding it whole', () => {
    const world = new World();
    const inlet = world.peer({}, { maxFrameSize: 4_096 }).receive('big');
    const outlet = world.peer({}, {}, { maxFrameSize: 16_384 }).send('big');
    const body = new Uint8Array(3_000_000).map((_, i) => i % 253);
    const message = Buffer.concat([
      Buffer.from([
        0,
        0x53,
        0x75,
        0xb0,
        body.length >>> 24,
        (body.length >>> 16) & 255,
        (body.length >>> 8) & 255,
        body.length & 255,
      ]),
      body,
    ]);
    const delivery = outlet.raw(new Uint8Array(message), false, 'big');
    let sent = outlet.link.sentBytes;
    while (!delivery.complete) {
      const n = outlet.link.resume(new Uint8Array(message), sent, message.length, true);
      assert.ok(n > 0, 'it goes on');
      sent += n;
      world.run();
    }
    assert.equal(inlet.bytes[0]!.length, message.length);
    assert.ok(Buffer.from(inlet.bytes[0]!).equals(message));
    inlet.settle(0, ACCEPTED);
    assert.deepEqual(outlet.told, { big: 'accepted' });
  });

  it('holds no more than a part of a message whose consumer cannot take it, and goes on when it can', () => {
    const world = new World();
    const inlet = world.peer().receive('big', 0);
    const outlet = world.peer({}, {}, { maxFrameSize: 16_384 }).send('big');
    const message = new Uint8Array(10_000_000);
    message.set([0, 0x53, 0x75, 0xb0, 0, 0x98, 0x96, 0x78]);
    const delivery = outlet.raw(message, false, 'big');
    let sent = outlet.link.sentBytes;
    const push = (): number => {
      const n = outlet.link.resumable ? outlet.link.resume(message, sent, message.length, true) : 0;
      sent += n;
      world.run();
      return n;
    };
    while (push() > 0) {
      /* as far as the router lets it */
    }
    assert.ok(sent < 2_500_000, `${sent} bytes were taken for a consumer without credit`);
    inlet.credit(1);
    while (!delivery.complete) assert.ok(push() > 0, 'it goes on');
    assert.equal(inlet.bytes[0]!.length, message.length);
    inlet.settle(0, ACCEPTED);
    assert.deepEqual(outlet.told, { big: 'accepted' });
  });

  it('aborts at the consumer what its producer aborts', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer().send('q');
    outlet.raw(new Uint8Array(200_000).fill(0), false, 'half', false);
    outlet.link.abort();
    world.run();
    assert.ok(inlet.deliveries.length === 0 || inlet.deliveries[0]!.aborted);
    outlet.text('next');
    assert.deepEqual(inlet.texts, ['next']);
  });

  describe('an outcome that is clear before a message is whole', () => {
    const PART = new Uint8Array(200_000);
    PART.set([0, 0x53, 0x75, 0xb0, 0, 0x09, 0x27, 0xc0]);
    const REST = new Uint8Array(400_008);
    const begin = (outlet: Outlet): void => void outlet.raw(PART, false, 'big', false);
    const end = (outlet: Outlet): void => {
      let at = 0;
      while (at < REST.length) {
        at += outlet.link.resume(REST, at, REST.length, true);
        outlet.peer.world.run();
      }
    };
    const cases: readonly (readonly [what: string, told: string, decide: (world: World) => Outlet])[] = [
      [
        'its receiver settled',
        'accepted',
        (world) => {
          const inlet = world.peer().receive('q');
          const outlet = world.peer().send('q');
          begin(outlet);
          inlet.settle(0, ACCEPTED);
          return outlet;
        },
      ],
      [
        'its receiver is gone',
        'modified',
        (world) => {
          const inlet = world.peer().receive('q');
          const outlet = world.peer().send('q');
          begin(outlet);
          inlet.peer.cut();
          return outlet;
        },
      ],
      [
        'it is larger than its receiver takes',
        'rejected',
        (world) => {
          world.peer().receive('q', 100, { maxMessageSize: 150_000n });
          const outlet = world.peer().send('q');
          begin(outlet);
          return outlet;
        },
      ],
      [
        'it names no address',
        'rejected',
        (world) => {
          const outlet = world.peer().send(undefined);
          begin(outlet);
          return outlet;
        },
      ],
    ];
    for (const [what, told, decide] of cases) {
      it(`is told once it is whole: ${what}`, () => {
        const world = new World();
        const outlet = decide(world);
        assert.deepEqual(outlet.told, {});
        end(outlet);
        assert.deepEqual(outlet.told, { big: told });
        world.peer().receive('q');
        assert.ok(outlet.link.sendable, 'the link goes on');
      });

      it(`is told to nobody where its producer takes it back: ${what}`, () => {
        const outlet = decide(new World());
        outlet.link.abort();
        outlet.peer.world.run();
        assert.deepEqual(outlet.told, {});
        assert.deepEqual(outlet.link.session.unsettledOf(outlet.link), []);
      });
    }
  });

  it('routes by the message where the link names no address', () => {
    const world = new World();
    const inlet = world.peer().receive('a/b');
    const outlet = world.peer().send(undefined);
    assert.equal(outlet.link.credit, 250);
    outlet.text('here', false, { properties: { to: 'amqp:/a/b' } });
    outlet.text('nowhere', false, { properties: { to: 'a/c' } });
    outlet.text('blank');
    assert.deepEqual(inlet.texts, ['here']);
    inlet.settle(0, ACCEPTED);
    assert.deepEqual(outlet.told, { here: 'accepted', nowhere: 'released', blank: 'rejected' });
  });

  it('makes an address for a dynamic receiver, to which answers can be sent', () => {
    const world = new World();
    const inlet = world.peer().receive(undefined, 10, { source: { type: 'source', dynamic: true } });
    const source = inlet.attach!.source as { address: string };
    assert.match(source.address, /^amqp:\/_topo\/0\/R\/temp\.[A-Za-z0-9+_]{15}$/);
    const outlet = world.peer().send(undefined);
    outlet.text('answer', false, { properties: { to: source.address } });
    assert.deepEqual(inlet.texts, ['answer']);
  });

  it('refuses attaches to unavailable addresses and receivers without a source', () => {
    const world = new World({
      defaultDistribution: 'unavailable',
      addresses: [{ prefix: 'ok', distribution: 'balanced' }],
    });
    const peer = world.peer();
    assert.equal(peer.receive('nope', 0).detached?.error?.condition, 'amqp:not-found');
    assert.equal(peer.send('nope').detached?.error?.condition, 'amqp:not-found');
    assert.equal(peer.receive('ok/x', 0).detached, undefined);
    assert.equal(peer.receive(undefined, 0, { source: undefined }).detached?.error?.condition, 'qd:no-route-to-dest');
  });

  it('keeps the two phases of a waypoint apart', () => {
    const world = new World({ addresses: [{ prefix: 'wp', distribution: 'balanced', waypoint: true }] });
    const inlet = world.peer().receive('wp');
    const outlet = world.peer().send('wp');
    assert.equal(outlet.link.credit, 0, 'a receiver of phase 1 is no consumer of phase 0');
    assert.equal(inlet.detached, undefined);
  });

  it('keeps the user’s annotations and drops a router’s at the border', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer().send('q');
    outlet.text('x', false, {
      messageAnnotations: new Map<string, never>([
        ['x-user', symbol('kept') as never],
        ['x-opt-qd.to', 'elsewhere' as never],
      ]),
    });
    const annotations = inlet.message(0).messageAnnotations!;
    assert.deepEqual([...annotations.keys()], ['x-user']);
  });

  it('writes annotations for a consumer that wants them', () => {
    const world = new World();
    const inlet = world.peer({ stripAnnotations: 'no' }).receive('q');
    world.peer().send('q').text('x');
    const annotations = inlet.message(0).messageAnnotations!;
    assert.equal(annotations.get('x-opt-qd.to'), 'q');
    assert.equal(annotations.get('x-opt-qd.ingress'), '0/R');
    assert.deepEqual(annotations.get('x-opt-qd.trace'), ['0/R']);
  });

  it('rejects to its producer a message that the receiver would not take, and keeps the link', () => {
    const world = new World();
    const inlet = world.peer().receive('q', 10, { maxMessageSize: 1_000n });
    const outlet = world.peer().send('q');
    outlet.text('x'.repeat(2_000));
    outlet.text('small');
    assert.deepEqual(inlet.texts, ['small']);
    const { state } = outlet.outcomes[0]!;
    assert.ok(state !== undefined && 'type' in state && state.type === 'rejected');
    assert.equal(state.error?.condition, 'amqp:link:message-size-exceeded');
    assert.equal(inlet.detached, undefined);
  });

  it('gives back to a container what clients have not settled, before it leaves', () => {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'in', phase: 0, connection: 'broker' }] });
    const broker = world.peer({ role: 'route-container', direction: 'out', name: 'broker' });
    world.peer().receive('q', 1);
    const [outlet] = broker.outlets;
    outlet!.text('sent');
    outlet!.text('waiting');
    world.router.close();
    world.run();
    assert.deepEqual(outlet!.told, { sent: 'modified', waiting: 'released' });
  });

  it('stops without a word about single links, which clients that connect again would not attach anew', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer().send('q');
    outlet.text('in doubt');
    world.router.close();
    world.run();
    assert.deepEqual(outlet.told, { 'in doubt': 'modified' });
    for (const { peer, detached, lost } of [inlet, outlet]) {
      assert.deepEqual({ detached, lost }, { detached: undefined, lost: true });
      assert.equal(
        (peer.end as { error?: { condition: string } } | undefined)?.error?.condition,
        'amqp:connection:forced',
      );
    }
  });

  for (const [how, leave] of [
    ['its connection is cut', ({ peer }: Outlet): void => peer.cut()],
    ['its link is detached', ({ link }: Outlet): void => link.detach()],
  ] as const) {
    it(`tells a receiver of no outcome as confirmed that its sender did not confirm: ${how}`, () => {
      const world = new World();
      const inlet = world.peer().receive('q', 100, { rcvSettleMode: 1 });
      const outlet = world.peer().send('q', { rcvSettleMode: 1 });
      const first = outlet.text('confirmed');
      for (const value of ['waiting', 'late']) outlet.text(value);
      const accept = (index: number): void => {
        inlet.link.update(inlet.deliveries[index]!, ACCEPTED);
        world.run();
      };
      accept(0);
      accept(1);
      assert.deepEqual(inlet.confirmed, []);
      outlet.link.settle(first, ACCEPTED);
      world.run();
      leave(outlet);
      world.run();
      accept(2);
      assert.deepEqual(inlet.confirmed, ['confirmed accepted', 'waiting modified', 'late modified']);
      assert.deepEqual(inlet.link.session.unsettledOf(inlet.link), []);
    });
  }

  it('forgets addresses that nobody uses any more', () => {
    const world = new World();
    const peer = world.peer();
    peer.receive('q');
    world.peer().send('q');
    for (const each of world.peers) each.cut();
    assert.deepEqual([...world.router.addresses], []);
    assert.equal(world.router.connections.size, 0);
  });
});
