// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from '@pointsman/engine';
import type { OutgoingDelivery } from '@pointsman/engine';
import { encodeMessage } from '@pointsman/wire';
import type { DeliveryState } from '@pointsman/wire';
import type { ContainerDialect, ContainerInbox, LateMessage, LateSettlement } from '../src/index.js';
import { World } from './world.js';
import type { Outlet, Peer } from './world.js';

const broker = { role: 'route-container', direction: 'out', name: 'broker' } as const;
const CREDIT = 20;

interface Told extends Omit<LateMessage, 'tag'> {
  readonly tag: string;
  readonly state: DeliveryState;
  readonly done: (result: LateSettlement) => void;
}

/** A container of whose queue `q` a router takes messages, and a dialect that settles beyond links. */
class Cloud {
  readonly world: World;
  readonly container: Peer;
  readonly told: Told[] = [];
  inbox: ContainerInbox | undefined;
  stops = 0;

  constructor(dialect: ContainerDialect = {}) {
    this.world = new World({ autoLinks: [{ address: 'q', direction: 'in', phase: 0, connection: 'broker' }] });
    this.container = this.world.peer(broker, {}, {}, (at) => {
      at.dialect = {
        inboundCredit: CREDIT,
        settleSecond: true,
        isNormalEnd: () => true,
        retryDelay: () => 0,
        settleLater: (_address, message, state, done) =>
          this.told.push({ ...message, tag: Buffer.from(message.tag).toString('latin1'), state, done }),
        tend: (inbox) => {
          this.inbox = inbox;
          return { stop: () => this.stops++ };
        },
        ...dialect,
      };
    });
  }

  get autoLink(): World['router']['autoLinks'][number] {
    return this.world.router.autoLinks[0]!;
  }

  /** The latest link of the autolink. */
  get outlet(): Outlet {
    return this.container.outlets.at(-1)!;
  }

  /** A message whose delivery-tag is its text. */
  send(text: string): OutgoingDelivery {
    const bytes = encodeMessage({ body: { kind: 'value', value: text } });
    return this.outlet.raw(bytes, false, text, true, Buffer.from(text));
  }

  detach(): void {
    this.outlet.link.detach({ condition: 'amqp:link:detach-forced', description: 'moved' });
    this.world.run();
    this.world.advance(1);
  }
}

describe('outcomes of messages whose link to the container has gone', () => {
  const ends: Readonly<Record<string, (cloud: Cloud) => void>> = {
    'its link': (cloud) => cloud.detach(),
    'its connection': (cloud) => cloud.container.cut(),
  };
  for (const [what, end] of Object.entries(ends)) {
    it(`are told by the tag of the delivery after the end of ${what}`, () => {
      const cloud = new Cloud();
      const inlet = cloud.world.peer().receive('q');
      for (const text of ['a', 'b', 'c']) cloud.send(text);
      inlet.settle(0, ACCEPTED);
      assert.equal(cloud.outlet.outcomes.length, 1, 'while there is a link, it carries them');
      const { inbox } = cloud;
      end(cloud);
      inlet.settle(1, ACCEPTED);
      inlet.settle(2, MODIFIED_FAILED);
      // The peer of these tests does not confirm: what was told on the link is told again.
      assert.deepEqual(
        cloud.told.map(({ tag, state }) => `${tag} ${'type' in state ? state.type : ''}`),
        ['a accepted', 'b accepted', 'c modified'],
      );
      assert.equal(inbox!.heldCount, 3, 'they are looked after until the container has them');
      const stops = cloud.stops;
      assert.deepEqual(
        cloud.told.map(({ wasTold }) => wasTold),
        [true, false, false],
        'what was told on the link may have been heard',
      );
      cloud.told[0]!.done('unknown');
      cloud.told[1]!.done('taken');
      cloud.told[2]!.done('gone');
      assert.equal(cloud.stops, stops + 1);
      const { tally } = cloud.autoLink;
      assert.deepEqual([tally.settledLater, tally.tooLate, tally.inDoubt], [1, 1, 1]);
    });
  }

  it('count an attempt, and reject nothing, where a receiver is not sent a message that is too large for it', () => {
    const cloud = new Cloud();
    const small = cloud.world.peer().receive('q', 10, { maxMessageSize: 100n });
    const bytes = encodeMessage({ body: { kind: 'value', value: 'x'.repeat(1_000) } });
    cloud.outlet.raw(bytes, false, 'large', true, Buffer.from('tag'));
    cloud.world.run();
    assert.deepEqual(small.texts, []);
    const { state } = cloud.outlet.outcomes[0]!;
    assert.ok(state !== undefined && 'type' in state);
    assert.equal(state.type, 'modified', 'a rejected message would be dead-lettered at once');
  });

  it('are told for messages that waited for credit, and for those of several receivers', () => {
    const cloud = new Cloud();
    const slow = cloud.world.peer().receive('q', 0);
    cloud.send('waits');
    cloud.detach();
    slow.credit(1);
    cloud.world.run();
    assert.deepEqual(slow.texts, ['waits']);
    slow.settle(0, ACCEPTED);
    assert.deepEqual(
      cloud.told.map(({ tag }) => tag),
      ['waits'],
    );
  });

  it('are not told of what came in part: that comes again', () => {
    const cloud = new Cloud();
    cloud.world.peer().receive('q');
    cloud.outlet.raw(new Uint8Array(1000), false, 'part', false);
    cloud.world.run();
    cloud.detach();
    assert.deepEqual(cloud.told, []);
    assert.equal(cloud.inbox!.heldCount, 0);
  });

  it('go by a receiver that waits for the word of the container: it hears what became of it', () => {
    const cloud = new Cloud();
    const inlet = cloud.world.peer().receive('q', 100, { rcvSettleMode: 1 });
    for (const text of ['a', 'b']) cloud.send(text);
    cloud.detach();
    for (const delivery of inlet.deliveries) inlet.link.update(delivery, ACCEPTED);
    cloud.world.run();
    assert.deepEqual(
      cloud.told.map(({ tag }) => tag),
      ['a', 'b'],
    );
    assert.deepEqual(inlet.confirmed, []);
    cloud.told[0]!.done('taken');
    cloud.told[1]!.done('gone');
    cloud.world.run();
    assert.deepEqual(inlet.confirmed, ['a accepted', 'b modified']);
  });

  it('are told again where the receiver that waited for the word of the container has left before it came', () => {
    const cloud = new Cloud();
    const inlet = cloud.world.peer().receive('q');
    const delivery = cloud.send('a');
    inlet.link.update(inlet.deliveries[0]!, ACCEPTED);
    inlet.link.detach();
    cloud.world.run();
    assert.deepEqual(cloud.outlet.outcomes, [{ tag: 'a', state: ACCEPTED, settled: false }]);
    assert.equal(cloud.outlet.link.credit, CREDIT - 1, 'nobody is there for more');
    cloud.container.cut();
    assert.deepEqual(
      cloud.told.map(({ tag, state }) => [tag, state]),
      [['a', ACCEPTED]],
    );
    assert.equal(delivery.settled, false);
  });

  it('are told again where the receiver told them, and left, before it had the whole message', () => {
    const cloud = new Cloud();
    const inlet = cloud.world.peer().receive('q', 10, { rcvSettleMode: 1 });
    const first = new Uint8Array(200_000);
    first.set([0x00, 0x53, 0x75, 0xb0, 0, 0x04, 0x93, 0xe0]);
    const rest = new Uint8Array(300_008 - first.length);
    cloud.outlet.raw(first, false, 'a', false, Buffer.from('a'));
    inlet.link.update(inlet.deliveries[0]!, ACCEPTED);
    cloud.world.run();
    assert.deepEqual(cloud.outlet.told, { a: 'accepted' });
    inlet.link.detach();
    cloud.world.run();
    cloud.outlet.link.resume(rest, 0, rest.length, true);
    cloud.world.run();
    assert.equal(cloud.inbox!.heldCount, 1, 'the container has not confirmed it');
    cloud.container.cut();
    assert.deepEqual(
      cloud.told.map(({ tag, state }) => `${tag} ${'type' in state ? state.type : ''}`),
      ['a accepted'],
    );
  });

  it('are not told again where the container has confirmed to a receiver that had left', () => {
    const cloud = new Cloud();
    const inlet = cloud.world.peer().receive('q');
    const delivery = cloud.send('a');
    inlet.link.update(inlet.deliveries[0]!, ACCEPTED);
    inlet.link.detach();
    cloud.world.run();
    cloud.outlet.link.settle(delivery, ACCEPTED);
    cloud.world.run();
    assert.equal(cloud.inbox!.heldCount, 0);
    cloud.container.cut();
    assert.equal(cloud.told.length, 0);
  });

  it('came too late where the container has given the message out again meanwhile, whatever it says of the first time', () => {
    const cloud = new Cloud({ identityOf: (bytes) => bytes.length });
    const inlet = cloud.world.peer().receive('q');
    cloud.send('same');
    inlet.settle(0, ACCEPTED);
    cloud.detach();
    cloud.send('same');
    inlet.settle(1, ACCEPTED);
    cloud.detach();
    assert.deepEqual(
      cloud.told.map(({ identity }) => identity === cloud.told[0]!.identity),
      [true, true],
    );
    for (const { done } of cloud.told) done('taken');
    const { tally, inHand } = cloud.autoLink;
    assert.deepEqual([tally.settledLater, tally.tooLate, tally.inDoubt, inHand.size], [1, 1, 0, 0]);
  });

  it('are no later for that where the message was to come again', () => {
    const cloud = new Cloud({ identityOf: (bytes) => bytes.length });
    const inlet = cloud.world.peer().receive('q');
    cloud.send('same');
    cloud.detach();
    inlet.settle(0, MODIFIED_FAILED);
    cloud.send('same');
    cloud.told[0]!.done('taken');
    const { tally } = cloud.autoLink;
    assert.deepEqual([tally.settledLater, tally.tooLate], [1, 0]);
  });

  it('say until when the message was the routers for certain', () => {
    const cloud = new Cloud({ tend: () => ({ heldUntil: ({ since }) => since + 30_000, stop: () => undefined }) });
    const inlet = cloud.world.peer().receive('q');
    const began = cloud.world.clock.time;
    cloud.send('a');
    cloud.world.advance(10_000);
    cloud.detach();
    inlet.settle(0, ACCEPTED);
    assert.equal(cloud.told[0]!.heldUntil, began + 30_000);
  });

  it('are told again where the container could not take them, and counted where it was too late', () => {
    const verdicts = { busy: 'again', lost: 'gone' } as const;
    const cloud = new Cloud({
      verdictOf: (_said, answer) =>
        'type' in answer && answer.type === 'rejected' ? verdicts[answer.error!.condition as 'busy' | 'lost'] : 'done',
    });
    const inlet = cloud.world.peer().receive('q');
    for (const text of ['fine', 'busy', 'lost']) {
      const sent = cloud.send(text);
      inlet.settle(inlet.texts.length - 1, ACCEPTED);
      cloud.outlet.link.settle(sent, text === 'fine' ? ACCEPTED : { type: 'rejected', error: { condition: text } });
    }
    cloud.world.run();
    assert.deepEqual(
      cloud.told.map(({ tag }) => tag),
      ['busy'],
    );
    cloud.told[0]!.done('taken');
    const { tally } = cloud.autoLink;
    assert.deepEqual([tally.settledLater, tally.tooLate, cloud.inbox!.heldCount], [1, 1, 0]);
  });
});

describe('credit of an autolink', () => {
  it('is given one by one, ever later, while all that comes is released, and in full after an accepted message', () => {
    const cloud = new Cloud({ settleSecond: false, releaseDelay: (n) => 100 * 2 ** (n - 1) });
    const { world } = cloud;
    const inlet = world.peer().receive('q');
    let sent = 0;
    const times: number[] = [];
    const loop = (outcome: DeliveryState): void => {
      while (cloud.outlet.link.credit > 0) {
        times.push(world.clock.time);
        cloud.send(`m${sent++}`);
        inlet.settle(inlet.texts.length - 1, outcome);
        world.run();
        if (outcome === ACCEPTED || sent > 500) return;
      }
    };
    const start = world.clock.time;
    loop(RELEASED);
    assert.ok(sent <= CREDIT + 11, `${sent} messages before it was noticed`);
    const before = sent;
    for (let at = 0; at < 3_200; at += 50) {
      world.advance(50);
      loop(RELEASED);
    }
    assert.deepEqual(
      times.slice(before).map((time) => time - start),
      [100, 300, 700, 1_500, 3_100],
    );
    assert.equal(cloud.autoLink.tally.releaseLoops, 1);
    assert.equal(world.logs.filter((line) => line.includes('again and again')).length, 1, 'said once');
    cloud.detach();
    assert.equal(cloud.outlet.link.credit, 0, 'a new link makes it no faster');
    world.advance(3_200);
    assert.equal(cloud.outlet.link.credit, 1);
    loop(ACCEPTED);
    assert.equal(cloud.outlet.link.credit, CREDIT);
  });

  it('goes on one by one where a message is neither released nor accepted', () => {
    const cloud = new Cloud({ settleSecond: false, releaseDelay: () => 100 });
    const { world } = cloud;
    const inlet = world.peer().receive('q');
    const pass = (outcome: DeliveryState): void => {
      cloud.send('m');
      inlet.settle(inlet.texts.length - 1, outcome);
      world.run();
    };
    while (cloud.outlet.link.credit > 0) pass(RELEASED);
    for (const outcome of [{ type: 'rejected' } as const, MODIFIED_FAILED, RELEASED]) {
      world.advance(101);
      assert.equal(cloud.outlet.link.credit, 1);
      pass(outcome);
      assert.equal(cloud.outlet.link.credit, 0);
    }
  });

  it('follows the limit of who looks after it, down and up', () => {
    const cloud = new Cloud({ settleSecond: false });
    const { world } = cloud;
    const inlet = world.peer().receive('q');
    assert.equal(cloud.outlet.link.credit, CREDIT);
    cloud.inbox!.limitCredit(5);
    const pass = (count: number): void => {
      for (let i = 0; i < count; i++) {
        cloud.send('m');
        inlet.settle(inlet.texts.length - 1, ACCEPTED);
        world.run();
      }
    };
    pass(CREDIT);
    assert.equal(cloud.autoLink.link!.link.credit, 5);
    cloud.detach();
    assert.equal(cloud.outlet.link.credit, 5, 'the next link knows');
    cloud.inbox!.limitCredit(100);
    world.run();
    assert.equal(cloud.outlet.link.credit, CREDIT);
    assert.deepEqual([cloud.inbox!.capacity, cloud.inbox!.creditLimit], [CREDIT, CREDIT]);
  });
});

describe('messages for a container whose link goes in the normal course of things', () => {
  const moved = { condition: 'amqp:link:detach-forced', description: 'moved' };

  function out(dialect: ContainerDialect): { world: World; container: Peer; sender: Outlet } {
    const world = new World({ autoLinks: [{ address: 'q', direction: 'out', connection: 'broker' }] });
    const container = world.peer(broker, {}, {}, (at) => {
      at.dialect = { awaitsLinks: true, ...dialect };
    });
    container.attached[0]!.credit(10);
    return { world, container, sender: world.peer().send('q') };
  }

  it('wait for the link, in their order, and go before what comes later', () => {
    const { world, container, sender } = out({ isNormalEnd: () => true, retryDelay: () => 250 });
    container.attached[0]!.link.detach(moved);
    world.run();
    for (const text of ['a', 'b']) sender.text(text);
    world.advance(249);
    assert.deepEqual(sender.told, {});
    world.advance(1);
    const inlet = container.attached[1]!;
    sender.text('c');
    inlet.credit(10);
    assert.deepEqual(inlet.texts, ['a', 'b', 'c']);
    for (let i = 0; i < 3; i++) inlet.settle(i, ACCEPTED);
    assert.deepEqual(sender.told, { a: 'accepted', b: 'accepted', c: 'accepted' });
    assert.equal(sender.link.credit, 250 - 3 + 3);
  });

  it('go back when the link is refused, or has not come after five seconds', () => {
    for (const late of [true, false]) {
      const { world, container, sender } = out({ isNormalEnd: () => true, retryDelay: () => (late ? 60_000 : 250) });
      container.attached[0]!.link.detach(moved);
      world.run();
      sender.text('a');
      container.decide = (): typeof moved => moved;
      world.advance(late ? 4_999 : 249);
      assert.deepEqual(sender.told, {});
      world.advance(1);
      assert.deepEqual(sender.told, { a: 'released' });
      assert.equal(sender.link.credit, 0, 'and nothing more is asked for');
    }
  });

  it('wait for the next connection too, and go back at once where the end was no normal one', () => {
    const { world, container, sender } = out({});
    container.cut();
    sender.text('a');
    const next = world.peer(broker, {}, {}, (at) => {
      at.dialect = { awaitsLinks: true };
    });
    next.attached[0]!.credit(1);
    assert.deepEqual(next.attached[0]!.texts, ['a']);
    const other = out({ isNormalEnd: () => false });
    other.container.attached[0]!.link.detach(moved);
    other.world.run();
    other.sender.text('a');
    assert.deepEqual(other.sender.told, { a: 'released' });
  });

  it('are forgotten with their sender, and go back where the autolink is taken away', () => {
    const { world, container, sender } = out({ isNormalEnd: () => true, retryDelay: () => 250 });
    const second = world.peer().send('q');
    container.attached[0]!.link.detach(moved);
    world.run();
    sender.text('a');
    sender.link.detach();
    second.text('b');
    world.router.removeAutoLink(world.router.autoLinks[0]!);
    world.run();
    assert.deepEqual(second.told, { b: 'released' });
    world.advance(10_000);
    assert.deepEqual(container.attached.length, 1);
  });
});
