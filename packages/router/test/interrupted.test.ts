// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED } from '@pointsman/engine';
import type { SenderLink } from '@pointsman/engine';
import { World } from './world.js';
import type { Inlet, Outlet, Peer } from './world.js';

/** The beginning of a message of 600 kB in one data section, enough of it to be on its way. */
const PART = new Uint8Array(200_000);
PART.set([0, 0x53, 0x75, 0xb0, 0, 0x09, 0x27, 0xc0]);
const REST = new Uint8Array(400_008);

function finish(outlet: Outlet): void {
  for (let at = 0; at < REST.length;) {
    at += outlet.link.resume(REST, at, REST.length, true);
    outlet.peer.world.run();
  }
}

const ENDS: readonly (readonly [string, (end: Inlet | Outlet) => void])[] = [
  [
    'detaches',
    (end) => {
      end.link.detach();
      end.peer.world.run();
    },
  ],
  [
    'ends its session',
    (end) => {
      end.link.session.end();
      end.peer.world.run();
    },
  ],
  ['is cut off', (end) => end.peer.cut()],
];

describe('a message of which only a part has come', () => {
  for (const [what, leave] of ENDS) {
    for (const distribution of ['balanced', 'multicast'] as const) {
      it(`is aborted at each receiver where its sender ${what}: ${distribution}`, () => {
        const world = new World({ defaultDistribution: distribution });
        const ready = world.peer().receive('q');
        const late = world.peer().receive('q', 0);
        const outlet = world.peer().send('q');
        outlet.raw(PART, false, 'half', false);
        assert.equal(ready.deliveries.length, 1);
        assert.equal(ready.deliveries[0]!.complete, false);
        leave(outlet);
        assert.equal(ready.deliveries[0]!.aborted, true);
        late.credit(10);
        assert.deepEqual([ready.texts, late.texts, late.deliveries.length], [[], [], 0]);
        world.peer().send('q').text('next');
        assert.ok(ready.texts.includes('next') || late.texts.includes('next'), 'the receivers go on');
        assert.equal(ready.link.session.unsettledOf(ready.link).length, ready.texts.length);
      });
    }

    it(`is in doubt where its receiver ${what}, and the next message goes to another`, () => {
      const world = new World({ defaultDistribution: 'closest' });
      const first = world.peer().receive('q');
      const outlet = world.peer({ linkCapacity: 2 }).send('q');
      outlet.raw(PART, false, 'half', false);
      leave(first);
      const second = world.peer().receive('q');
      assert.deepEqual(outlet.told, {}, 'the sender is still at it');
      finish(outlet);
      assert.deepEqual(outlet.told, { half: 'modified' });
      assert.equal(second.deliveries.length, 0, 'it is not begun anew in the middle');
      assert.equal(outlet.link.credit, 2);
      outlet.text('next');
      second.settle(0, ACCEPTED);
      assert.deepEqual(outlet.told, { half: 'modified', next: 'accepted' });
    });

    it(`is settled by those that stay, where one of several receivers ${what}`, () => {
      const world = new World({ defaultDistribution: 'multicast' });
      const goes = world.peer().receive('q');
      const stays = world.peer().receive('q');
      const outlet = world.peer().send('q');
      outlet.raw(PART, false, 'big', false);
      leave(goes);
      finish(outlet);
      assert.equal(stays.bytes[0]!.length, PART.length + REST.length);
      assert.deepEqual(outlet.told, {});
      stays.settle(0, ACCEPTED);
      assert.deepEqual(outlet.told, { big: 'accepted' });
    });
  }

  it('takes nothing with it where it is presettled: whoever leaves, the others go on', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer({ linkCapacity: 2 }).send('q');
    outlet.raw(PART, true, 'half', false);
    assert.equal(inlet.deliveries[0]!.settled, true);
    outlet.link.abort();
    world.run();
    assert.equal(inlet.deliveries[0]!.aborted, true);
    for (let i = 0; i < 10; i++) outlet.text(`m${i}`, true);
    assert.equal(inlet.texts.length, 10);
    inlet.peer.cut();
    const other = world.peer().receive('q');
    outlet.text('last', true);
    assert.deepEqual(other.texts, ['last']);
  });
});

describe('a message that turns out larger than its receiver takes, after both ends have settled it', () => {
  it('is read to its end, and nothing of it stays', () => {
    const world = new World();
    const inlet = world.peer().receive('q', 10, { maxMessageSize: 300_000n });
    const outlet = world.peer({ linkCapacity: 2 }).send('q', { rcvSettleMode: 1 });
    const first = PART.slice();
    const rest = new Uint8Array(8_000_000);
    new DataView(first.buffer).setUint32(4, first.length - 8 + rest.length);
    const delivery = outlet.raw(first, false, 'large', false);
    inlet.link.update(inlet.deliveries[0]!, ACCEPTED);
    world.run();
    outlet.link.settle(delivery, ACCEPTED);
    world.run();
    let at = 0;
    for (let round = 0; round < 100 && at < rest.length; round++) {
      at += outlet.link.resume(rest, at, rest.length, true);
      world.run();
    }
    assert.equal(at, rest.length, 'its sender is not held back for ever');
    assert.equal(inlet.deliveries[0]!.aborted, true);
    outlet.text('next');
    assert.deepEqual(inlet.texts, ['next']);
    assert.equal(outlet.link.credit, 1);
  });
});

describe('two large messages on one session', () => {
  /** The beginning of a message in one data section, and the rest: more than the window of a session. */
  const first = PART.slice();
  const rest = new Uint8Array(4_000_000);
  new DataView(first.buffer).setUint32(4, first.length - 8 + rest.length);

  for (const distribution of ['balanced', 'multicast'] as const) {
    it(`come through where the one that comes faster waits behind the other: ${distribution}`, () => {
      const world = new World({ defaultDistribution: distribution });
      const inlet = world.peer().receive('q');
      inlet.auto = ACCEPTED;
      const sender = world.peer();
      const outlets = [sender.send('q'), sender.send('q')];
      for (const [i, outlet] of outlets.entries()) outlet.raw(first, false, `message ${i}`, false);
      const at = [0, 0];
      for (let round = 0; round < 200; round++) {
        for (const i of [1, 1, 1, 0]) {
          const end = Math.min(rest.length, at[i]! + 80_000);
          if (at[i]! < rest.length) at[i]! += outlets[i]!.link.resume(rest, at[i]!, end, end === rest.length);
          world.run();
        }
      }
      assert.deepEqual(at, [rest.length, rest.length]);
      assert.deepEqual(
        { ...outlets[0]!.told, ...outlets[1]!.told },
        { 'message 0': 'accepted', 'message 1': 'accepted' },
      );
      assert.equal(inlet.deliveries.length, 2);
    });
  }

  it('hold their sender back where nobody takes them', () => {
    const world = new World();
    const inlet = world.peer().receive('q', 0);
    const { link } = world.peer().send('q').raw(first, false, 'large', false);
    let sent = 0;
    for (let round = 0; round < 20; round++) {
      sent += link.resume(rest, 0, rest.length, false);
      world.run();
    }
    assert.ok(sent < 2 * rest.length, `${sent} bytes were taken`);
    inlet.credit(1);
    assert.ok(link.resumable, 'there is room again');
  });

  it('wait for each other no longer than there is room: the one that waits behind the other is given back', () => {
    const world = new World();
    const taken = takes(world.peer(), 'q');
    const sender = world.peer();
    const [slow, fast] = [sender.send('q'), sender.send('q')] as const;
    slow.raw(first, false, 'slow', false);
    const large = new Uint8Array(24_000_000);
    fast.raw(headFor(large.length), false, 'fast', false);
    assert.ok(sendAll(world, fast.link, large), 'it is not held back');
    assert.deepEqual(fast.told, { fast: 'released' });
    assert.ok(sender.at.heldBytes < 1_000_000, `${sender.at.heldBytes} bytes are held`);
    assert.ok(sendAll(world, slow.link, rest));
    assert.deepEqual(slow.told, { slow: 'accepted' });
    assert.equal(taken.count, 1);
    assert.equal(sender.at.heldBytes, 0);
  });
});

describe('large messages over two sessions to two receivers, each second behind the first of the other session', () => {
  for (const size of [4_000_000, 24_000_000]) {
    it(`do not wait for each other for ever: ${size} bytes`, () => {
      const world = new World();
      const receiver = world.peer();
      for (const address of ['x', 'y']) takes(receiver, address);
      const rest = new Uint8Array(size);
      const [a, b] = [world.peer(), world.peer()];
      const begin = (peer: Peer, address: string, tag: string): Outlet => {
        const outlet = peer.send(address);
        outlet.raw(headFor(size), false, tag, false);
        return outlet;
      };
      const firsts = [begin(a, 'x', 'first of a'), begin(b, 'y', 'first of b')];
      const seconds = [begin(a, 'y', 'second of a'), begin(b, 'x', 'second of b')];
      const at = new Map([...seconds, ...firsts].map((outlet) => [outlet, 0]));
      for (let round = 0; round < 2_000 && [...at.values()].some((sent) => sent < size); round++) {
        for (const [outlet, sent] of at)
          if (sent < size) at.set(outlet, sent + outlet.link.resume(rest, sent, size, true));
        world.run();
      }
      assert.deepEqual([...at.values()], [size, size, size, size]);
      const told = Object.assign({}, ...[...at.keys()].map((outlet) => outlet.told)) as Record<string, string>;
      const { 'second of a': one, 'second of b': other, ...others } = told;
      assert.deepEqual(others, { 'first of a': 'accepted', 'first of b': 'accepted' });
      // What has no room to wait is given back, and no more than one of them has to be.
      assert.ok(one === 'accepted' || other === 'accepted', `${one} and ${other}`);
      if (size < 16_000_000) assert.equal(one, other);
      assert.deepEqual([a.at.heldBytes, b.at.heldBytes], [0, 0]);
    });
  }
});

describe('messages of a connection that wait here', () => {
  const message = new Uint8Array(60_000);
  message.set(headFor(0).subarray(0, 8));
  new DataView(message.buffer).setUint32(4, message.length - 8);

  it('are bounded, however many links bring them: then their senders are held back', () => {
    const world = new World();
    const receiver = world.peer();
    const { inlet } = takes(receiver, 'q', 0);
    const sender = world.peer();
    const outlets = Array.from({ length: 8 }, () => sender.send('q'));
    for (let round = 0; round < 250; round++)
      for (const outlet of outlets) if (outlet.link.sendable) outlet.raw(message, false, `${round}`);
    const { heldBytes } = sender.at;
    assert.ok(heldBytes >= 1 << 26 && heldBytes < (1 << 26) + 8_000_000, `${heldBytes} bytes are held`);
    inlet.credit(10_000);
    assert.equal(sender.at.heldBytes, 0);
    assert.ok(outlets.every(({ link }) => link.sendable));
  });

  it('are given back where they wait behind one whose rest comes the same way', () => {
    const world = new World();
    const taken = takes(world.peer(), 'q', 10_000);
    const sender = world.peer();
    const large = sender.send('q');
    large.raw(headFor(1_000_000), false, 'large', false);
    const outlets = Array.from({ length: 6 }, () => sender.send('q'));
    for (let round = 0; round < 250; round++) for (const outlet of outlets) outlet.raw(message, false, `${round}`);
    const { heldBytes } = sender.at;
    assert.ok(heldBytes < (1 << 26) + 1_000_000, `${heldBytes} bytes are held`);
    const given = outlets.flatMap((outlet) => Object.values(outlet.told));
    assert.ok(given.length > 100 && given.every((kind) => kind === 'released'), `${given.length} are given back`);
    assert.ok(sendAll(world, large.link, new Uint8Array(1_000_000)));
    assert.deepEqual(large.told, { large: 'accepted' });
    const accepted = outlets.flatMap((outlet) => Object.values(outlet.told)).filter((kind) => kind === 'accepted');
    assert.equal(accepted.length, 6 * 250 - given.length);
    assert.equal(taken.count, accepted.length + 1);
    assert.equal(sender.at.heldBytes, 0);
  });

  it('cost what holding them does, at each of their receivers', () => {
    const world = new World({ defaultDistribution: 'multicast' });
    const receivers = Array.from({ length: 10 }, () => takes(world.peer(), 'q', 0));
    const sender = world.peer();
    const outlet = sender.send('q');
    for (let i = 0; i < 5; i++) outlet.text(`${i}`);
    const { heldBytes } = sender.at;
    assert.ok(heldBytes > 5 * 10 * 100 && heldBytes < 5 * 10 * 400, `${heldBytes} bytes are held`);
    for (const { inlet } of receivers) inlet.credit(10);
    assert.equal(sender.at.heldBytes, 0);
  });

  it('are no more than a multiple of that, however many sessions bring them: the rest is given back', () => {
    for (const settled of [false, true]) {
      const world = new World();
      const inlet = world.peer().receive('q', 0);
      const sender = world.peer();
      const outlet = sender.send('q');
      sender.at.heldBytes += 1 << 28;
      outlet.raw(message, settled, 'one');
      world.run();
      sender.at.heldBytes -= 1 << 28;
      assert.equal(outlet.told['one'], settled ? undefined : 'released');
      const [row] = [...sender.at.links];
      assert.deepEqual([row!.released, row!.presettledDropped], settled ? [0, 1] : [1, 0]);
      outlet.raw(message, false, 'two');
      world.run();
      inlet.auto = ACCEPTED;
      inlet.credit(10);
      assert.equal(outlet.told['two'], 'accepted');
      assert.equal(inlet.deliveries.length, 1);
    }
  });
});

/** The beginning of a message of one data section, of which `size` bytes are still to come. */
function headFor(size: number): Uint8Array {
  const head = PART.slice();
  new DataView(head.buffer).setUint32(4, head.length - 8 + size);
  return head;
}

/** A receiver that accepts what it has got whole, and keeps nothing of it. */
function takes(peer: Peer, address: string, credit = 100): { readonly inlet: Inlet; readonly count: number } {
  const taken = { inlet: peer.receive(address, 0), count: 0 };
  taken.inlet.onTransfer = (link, delivery): void => {
    if (!delivery.complete || delivery.aborted) return;
    taken.count++;
    link.settle(delivery, ACCEPTED);
  };
  if (credit > 0) taken.inlet.credit(credit);
  return taken;
}

/** Sends the rest of a message that has begun. @returns whether all of it went out */
function sendAll(world: World, link: SenderLink, rest: Uint8Array): boolean {
  let at = 0;
  for (let round = 0; round < 1_000 && at < rest.length; round++) {
    at += link.resume(rest, at, rest.length, true);
    world.run();
  }
  return at === rest.length;
}
