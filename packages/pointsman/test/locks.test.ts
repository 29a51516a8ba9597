// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  EntityManagement,
  LateSettlements,
  LockKeeper,
  ManagementRelays,
  SessionHolders,
  SessionKeeper,
} from '@pointsman/azure';
import type { LateMessage, LateResult, LockedMessage, LockedMessages } from '@pointsman/azure';
import { ACCEPTED, MODIFIED_FAILED, SenderLink } from '@pointsman/engine';
import type { IncomingDelivery, Link, ReceiverHandler, ReceiverLink, TransferFrame } from '@pointsman/engine';
import { encodeMessage, timestamp } from '@pointsman/wire';
import type { DeliveryState } from '@pointsman/wire';
import { VirtualClock, VirtualCloud } from './virtual-cloud.js';

/** Messages in hand, as an autolink has them. */
class Hand implements LockedMessages, ReceiverHandler {
  readonly address = 'orders';
  readonly list: (LockedMessage & { note: unknown })[] = [];
  readonly renewsLocks: boolean;
  readonly capacity = 50;
  creditLimit = 50;
  settled = 0;
  handlingMs = 0;
  renewals = 0;
  leaves = 0;
  keeper: LockKeeper | undefined;
  now: () => number = () => 0;

  constructor(renewsLocks = true) {
    this.renewsLocks = renewsLocks;
  }

  get held(): readonly LockedMessage[] {
    return this.list;
  }
  get heldCount(): number {
    return this.list.length;
  }
  limitCredit(count: number): void {
    this.creditLimit = Math.min(this.capacity, count);
  }
  renewed(): void {
    this.renewals++;
  }
  leave(): void {
    this.leaves++;
  }

  /** Settles the oldest, that had been in hand for so long. */
  settle(ms: number): void {
    this.list.shift();
    this.settled++;
    this.handlingMs += ms;
  }

  onTransfer(_link: ReceiverLink, _delivery: IncomingDelivery, frame: TransferFrame): void {
    this.list.push({ tag: frame.tag(), since: this.now(), note: undefined });
    this.keeper?.look(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd));
  }
  onAttached(): void {
    /* credit was given before */
  }
  onDetach(link: Link): void {
    link.detach();
  }
  onLost(): void {
    /* its messages stay in hand */
  }
}

/** Counts what it is asked. */
class CountingManagement extends EntityManagement {
  asked = 0;

  override ask(...request: Parameters<EntityManagement['ask']>): void {
    this.asked++;
    super.ask(...request);
  }
}

interface Scene {
  readonly cloud: VirtualCloud;
  readonly management: CountingManagement;
  readonly hand: Hand;
  readonly locked: () => number;
}

/** A namespace under virtual time, so many messages of whose queue are in hand. */
async function open(lockDurationMs: number, renewsLocks = true, count = 1): Promise<Scene> {
  const cloud = new VirtualCloud({ queues: [{ name: 'orders', lockDurationMs }] });
  const { clock, connection, cbs } = cloud;
  await cloud.settle();
  const management = new CountingManagement({ clock });
  management.open(
    new ManagementRelays({
      connection,
      name: 'R-management',
      authorize: (address, done) => cbs.authorize(address, done),
      linkNameOf: (_client, name) => name,
      sessions: new SessionHolders(),
      clock,
    }),
  );
  const hand = new Hand(renewsLocks);
  hand.now = () => clock.now();
  hand.keeper = new LockKeeper({ messages: hand, management, clock, nowMs: () => cloud.wallMs, random: () => 0.5 });
  const sender = cloud.send('orders');
  await cloud.settle();
  const bytes = encodeMessage({ body: { kind: 'value', value: 'm' } });
  const { link } = sender;
  assert.ok(link instanceof SenderLink);
  for (let n = 0; n < count; n++) link.send(undefined, 0, true, undefined, bytes, 0, bytes.length, true);
  const receiver = connection.session().attachReceiver('in', hand, {
    source: { type: 'source', address: 'orders' },
    target: { type: 'target' },
    sndSettleMode: 0,
    rcvSettleMode: 1,
  });
  receiver.addCredit(count);
  await cloud.settle();
  assert.equal(hand.heldCount, count);
  return { cloud, management, hand, locked: () => cloud.namespace.counts('orders').locked };
}

describe('locks of messages in hand', () => {
  for (const seconds of [5, 30, 300]) {
    it(`of ${seconds} s are renewed when half of that has gone, for an hour and on`, async () => {
      const { cloud, hand, locked } = await open(seconds * 1000);
      await cloud.advance(3_600_000);
      assert.equal(locked(), 1);
      const expected = 3_600 / (seconds / 2);
      assert.ok(
        hand.renewals <= expected + 1 && hand.renewals >= expected * 0.6,
        `${hand.renewals} renewals, ${expected} expected at most`,
      );
      hand.keeper!.stop();
      await cloud.advance(seconds * 1000 + 1_000);
      assert.equal(locked(), 0, 'left to itself it ends');
    });
  }

  it('are renewed before they end though the service is busy, or ends the link that asks', async () => {
    const { cloud, hand, locked } = await open(5_000);
    const { faults } = cloud.namespace;
    for (let round = 0; round < 20; round++) {
      faults.refuseRequests(2, 'orders');
      await cloud.advance(5_000);
      faults.detachLinks('orders/$management');
      assert.equal(locked(), 1, `round ${round}`);
    }
    assert.ok(hand.renewals >= 20, `${hand.renewals}`);
  });

  it('are renewed in time, though the service is busy for nearly all that is left of them, and it is not asked for each', async () => {
    const count = 40;
    const { cloud, management, hand, locked } = await open(30_000, true, count);
    const { namespace } = cloud;
    await cloud.advance(14_000);
    namespace.faults.refuseRequests(Infinity, 'orders');
    await cloud.advance(14_500);
    assert.deepEqual([hand.renewals, locked()], [0, count]);
    assert.ok(management.asked > count + 5 && management.asked < count + 40, `asked ${management.asked} times`);
    namespace.faults.refuseRequests(0, 'orders');
    await cloud.advance(1_000);
    assert.deepEqual([hand.renewals, locked()], [count, count]);
  });

  it('hold for certain until a whole lock after the last renewal that was granted was asked for', async () => {
    const { cloud, hand } = await open(30_000);
    const { faults } = cloud.namespace;
    const heldFor = (): number => hand.keeper!.heldUntil(hand.list[0]!) - hand.now();
    for (let round = 0; round < 20; round++) {
      await cloud.advance(5_000);
      assert.ok(heldFor() >= 12_000 && heldFor() <= 30_000, `round ${round}: ${heldFor()} ms`);
    }
    faults.refuseRequests(Infinity, 'orders');
    await cloud.advance(30_000);
    assert.ok(heldFor() <= 0, `${heldFor()} ms`);
  });

  it('are left alone where that is switched off', async () => {
    const { cloud, hand, locked } = await open(30_000, false);
    await cloud.advance(31_000);
    assert.deepEqual([hand.renewals, locked()], [0, 0]);
  });

  it('are not asked for again where they are lost', async () => {
    const { cloud, hand } = await open(30_000);
    cloud.namespace.remove('orders');
    await cloud.advance(120_000);
    assert.equal(hand.renewals, 0);
  });
});

describe('messages that are taken ahead', () => {
  /** One consumer that takes so long for each message, of a lock of 5 s; the hand is as full as it may be. */
  function run(handlingMs: number, minutes: number, hand = new Hand(false), clock = new VirtualClock()): Hand {
    const management = new EntityManagement({ clock });
    const keeper = new LockKeeper({ messages: hand, management, clock, nowMs: () => clock.now(), random: () => 0.5 });
    // A lock that has ended, by this machine's clock: the shortest that there can be is taken.
    keeper.look(encodeMessage({ messageAnnotations: new Map([['x-opt-locked-until', timestamp(0)]]) }));
    assert.equal(keeper.lockMs, 5_000);
    let done = clock.now() + handlingMs;
    const end = clock.now() + minutes * 60_000;
    for (; clock.time < end; clock.time += 100) {
      while (hand.heldCount < hand.creditLimit)
        hand.list.push({ tag: new Uint8Array(16), since: clock.time, note: undefined });
      for (; done <= clock.time && hand.heldCount > 0; done += handlingMs)
        hand.settle(clock.time - hand.list[0]!.since);
      clock.strike();
    }
    keeper.stop();
    return hand;
  }

  it('are as many as are settled in half of the lock, by the time that they took of late', () => {
    const slow = run(500, 5);
    assert.ok(slow.creditLimit >= 2 && slow.creditLimit <= 6, `${slow.creditLimit} for a lock of 5 s and 0.5 s each`);
    assert.equal(run(10_000, 10).creditLimit, 1, 'one at a time where a message takes longer than its lock');
    assert.equal(run(1, 1).creditLimit, 50, 'all where it takes no time');
  });

  it('become more again when receivers are faster', () => {
    const clock = new VirtualClock();
    const hand = run(2_000, 5, new Hand(false), clock);
    assert.ok(hand.creditLimit <= 2, `${hand.creditLimit}`);
    run(1, 2, hand, clock);
    assert.equal(hand.creditLimit, 50);
  });
});

function messageOf(tag: Uint8Array, told: Partial<LateMessage> = {}): LateMessage {
  return { tag, identity: undefined, wasTold: false, heldUntil: 0, ...told };
}

describe('outcomes by lock token', () => {
  it('wait for a connection as long as a lock can last, and no longer', async () => {
    const clock = new VirtualClock();
    const management = new EntityManagement({ clock });
    const late = new LateSettlements({ management, clock, random: () => 0.5 });
    const results: LateResult[] = [];
    late.settle('orders', messageOf(new Uint8Array(16)), ACCEPTED, (result) => results.push(result));
    clock.time = 299_999;
    clock.strike();
    assert.equal(late.count, 1);
    clock.time = 300_000;
    clock.strike();
    assert.equal(late.count, 0);
    late.settle('orders', messageOf(new Uint8Array(8)), ACCEPTED, (result) => results.push(result));
    clock.strike();
    assert.deepEqual(results, ['gone', 'gone'], 'a tag that is no lock token is none');
  });

  it('are given up with the connector: whoever waits is told, and no timer is left', () => {
    const clock = new VirtualClock();
    const late = new LateSettlements({ management: new EntityManagement({ clock }), clock, random: () => 0.5 });
    const results: LateResult[] = [];
    const settle = (): void =>
      late.settle('orders', messageOf(new Uint8Array(16)), ACCEPTED, (result) => results.push(result));
    settle();
    settle();
    late.close();
    settle();
    clock.strike();
    assert.deepEqual(results, ['gone', 'gone', 'gone']);
    assert.deepEqual([late.count, clock.next], [0, Infinity]);
  });

  it('are told again while the service is busy, with growing waits, and are gone when the lock is', async () => {
    const { cloud, management, hand } = await open(60_000);
    hand.keeper!.stop();
    const late = new LateSettlements({ management, clock: cloud.clock, random: () => 0.5 });
    const results: LateResult[] = [];
    cloud.namespace.faults.refuseRequests(3, 'orders');
    late.settle('orders', messageOf(hand.list[0]!.tag), ACCEPTED, (result) => results.push(result));
    await cloud.advance(4_000);
    assert.equal(late.count, 1);
    await cloud.advance(12_000);
    assert.deepEqual(results, ['taken']);
    late.settle('orders', messageOf(hand.list[0]!.tag), ACCEPTED, (result) => results.push(result));
    await cloud.advance(100);
    assert.deepEqual(results, ['taken', 'gone'], 'a token counts once');
    assert.equal(late.count, 0);
    await cloud.advance(15_000);
    const { links } = cloud.namespace;
    assert.ok(links <= 4, `the pair to $management is given back: ${links} links`);
  });
});

describe('outcomes in doubt, told on a link that ended before the answer', () => {
  const LOCK_MS = 60_000;

  /** Settles twice over: what was told first is what had been heard, or had not. */
  async function inDoubt(
    first: DeliveryState | 'not heard',
    state: DeliveryState,
    told: Partial<LateMessage> = {},
  ): Promise<LateResult> {
    const { cloud, management, hand } = await open(LOCK_MS, false);
    hand.keeper!.stop();
    const { tag } = hand.list[0]!;
    const late = new LateSettlements({ management, clock: cloud.clock, random: () => 0.5 });
    if (first !== 'not heard') {
      late.settle('orders', messageOf(tag), first, (result) => assert.equal(result, 'taken'));
      await cloud.advance(100);
    } else {
      await cloud.advance(LOCK_MS + 1_000);
    }
    let last: LateResult | undefined;
    const heldUntil = first === 'not heard' ? 0 : LOCK_MS;
    late.settle('orders', messageOf(tag, { identity: 1n, wasTold: true, heldUntil, ...told }), state, (result) => {
      last = result;
    });
    await cloud.advance(100);
    assert.ok(last !== undefined, 'an answer');
    return last;
  }

  it('are taken where the queue has the message no more, and its lock cannot have ended', async () => {
    assert.equal(await inDoubt(ACCEPTED, ACCEPTED), 'taken');
    assert.equal(await inDoubt({ type: 'rejected' }, { type: 'rejected' }), 'taken');
    assert.equal(await inDoubt(DEFERRED, DEFERRED), 'taken');
  });

  it('came too late where the queue has the message still', async () => {
    assert.equal(await inDoubt('not heard', ACCEPTED), 'gone');
    assert.equal(await inDoubt('not heard', DEFERRED), 'gone');
  });

  it('do not matter where the message was to come again anyhow', async () => {
    assert.equal(await inDoubt('not heard', MODIFIED_FAILED), 'taken');
  });

  it('stay in doubt where the lock may have ended, and somebody else may have had the message', async () => {
    assert.equal(await inDoubt(ACCEPTED, ACCEPTED, { heldUntil: 0 }), 'unknown');
    assert.equal(await inDoubt(ACCEPTED, ACCEPTED, { identity: undefined }), 'unknown', 'or its number is not known');
  });

  it('are only those that the service may have taken: a request that never left leaves no doubt', async () => {
    const { cloud, management, hand } = await open(5_000, false);
    hand.keeper!.stop();
    const late = new LateSettlements({ management, clock: cloud.clock, random: () => 0.5 });
    const results: LateResult[] = [];
    // The node refuses our links until the lock has ended.
    cloud.namespace.faults.refuseAttaches(6, 'orders');
    late.settle('orders', messageOf(hand.list[0]!.tag), ACCEPTED, (result) => results.push(result));
    await cloud.advance(20_000);
    assert.deepEqual(results, ['gone']);
  });

  it('are looked up again while the service is busy', async () => {
    const { cloud, management, hand } = await open(LOCK_MS, false);
    hand.keeper!.stop();
    const late = new LateSettlements({ management, clock: cloud.clock, random: () => 0.5 });
    await cloud.advance(LOCK_MS + 1_000);
    const results: LateResult[] = [];
    const message = messageOf(hand.list[0]!.tag, { identity: 1n, wasTold: true });
    cloud.namespace.faults.refuseRequests(2, 'orders');
    late.settle('orders', message, ACCEPTED, (result) => results.push(result));
    await cloud.advance(30_000);
    assert.deepEqual(results, ['gone']);
    assert.equal(late.count, 0);
  });
});

const DEFERRED: DeliveryState = { type: 'modified', undeliverableHere: true };

describe('the lock of a message session', () => {
  it('is kept while the link is there, and the session is left when it has had nothing for five seconds', () => {
    const clock = new VirtualClock();
    const management = new EntityManagement({ clock });
    const hand = new Hand();
    const keeper = new SessionKeeper({
      messages: hand,
      management,
      clock,
      nowMs: () => clock.now(),
      sessionId: 'a',
      lockedUntilMs: 30_000,
      renews: true,
      goesOn: true,
    });
    const pass = (ms: number): void => {
      for (const end = clock.time + ms; clock.time < end; clock.time += 500) clock.strike();
    };
    hand.list.push({ tag: new Uint8Array(16), since: 0, note: undefined });
    pass(60_000);
    assert.equal(hand.leaves, 0, 'what is in hand keeps it');
    hand.settle(1);
    pass(4_500);
    assert.equal(hand.leaves, 0);
    pass(2_500);
    assert.ok(hand.leaves > 0);
    keeper.stop();
  });
});
