// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LocalProtocolError } from '@pointsman/wire';
import type { AmqpErrorFields, Begin, Disposition, End, Flow, Transfer } from '@pointsman/wire';
import { ACCEPTED, RELEASED } from '../src/index.js';
import type { Session } from '../src/index.js';
import { Pair, RecordingReceiver, RecordingSender, Recorder, sendText, text } from './pair.js';
import { HEADER, RawPeer, flowOf, transferOf } from './raw-peer.js';

const BEGIN = { type: 'begin', nextOutgoingId: 0, incomingWindow: 100, outgoingWindow: 100 } as const;
const endOf = (p: RawPeer): AmqpErrorFields | undefined =>
  (
    p
      .hear()
      .map(({ frame }) => frame)
      .find((frame) => frame.type === 'end') as End | undefined
  )?.error;
const ofType = <T extends { type: string }>(p: RawPeer, type: T['type']): T[] =>
  p
    .hear()
    .map(({ frame }) => frame)
    .filter((frame) => frame.type === type) as unknown as T[];

describe('sessions (2.5)', () => {
  it('end from both sides at once, and the channel is free', () => {
    const pair = new Pair().run();
    const session = pair.client.session();
    pair.run();
    session.end();
    pair.s.sessions[0]!.end({ condition: 'amqp:internal-error' });
    pair.run();
    assert.deepEqual([pair.client.sessions, pair.server.sessions], [[], []]);
    assert.deepEqual([pair.c.end, pair.s.end], [undefined, undefined]);
  });

  it('tell the handler of the end of the peer with its error, and each link of its loss', () => {
    const pair = new Pair();
    const { sending } = pair.link();
    pair.s.sessions[0]!.end({ condition: 'amqp:resource-limit-exceeded' });
    pair.run();
    assert.ok(pair.c.events.includes('end amqp:resource-limit-exceeded'));
    assert.ok(sending.lost);
    assert.deepEqual(pair.client.sessions, []);
  });

  it('that are refused are begun and ended', () => {
    class Refusing extends Recorder {
      override onBegin(session: Session): void {
        session.end({ condition: 'amqp:not-allowed' });
      }
    }
    const p = new RawPeer();
    Object.assign(p.recorder, { onBegin: (session: Session) => new Refusing().onBegin(session) });
    p.open().say(BEGIN);
    assert.deepEqual(p.types(), ['begin', 'end']);
    p.say(transferOf(0), { type: 'attach', name: 'a', handle: 0, role: false });
    p.say({ type: 'end' });
    assert.deepEqual(p.connection.sessions, []);
    assert.deepEqual(p.types(), []);
  });

  it('that the peer ends before we have answered its begin are begun and ended', () => {
    const p = new RawPeer();
    const pending: Session[] = [];
    Object.assign(p.recorder, { onBegin: (session: Session) => pending.push(session) });
    p.open().say(BEGIN, { type: 'end' });
    assert.deepEqual(p.types(), ['begin', 'end']);
    pending[0]!.begin();
    pending[0]!.end();
    assert.deepEqual(p.types(), []);
    assert.deepEqual(p.connection.sessions, []);
  });

  it('are begun before a link of theirs is answered, whoever forgot to', () => {
    const p = new RawPeer();
    Object.assign(p.recorder, { onBegin: () => undefined });
    p.open().say(BEGIN, {
      type: 'attach',
      name: 'a',
      handle: 0,
      role: false,
      source: { type: 'source' },
      target: { type: 'target' },
    });
    assert.deepEqual(p.types(), ['begin', 'attach']);
  });

  it('that we end before the peer has answered our begin go without a word to the handler', () => {
    const p = new RawPeer().open();
    const session = p.connection.session();
    session.end();
    p.say({ ...BEGIN, remoteChannel: 0 }, { type: 'end' });
    assert.deepEqual(p.types(), ['begin', 'end']);
    assert.deepEqual(p.recorder.sessions, []);
    assert.deepEqual(p.connection.sessions, []);
    assert.equal(session.state, 'ended');
  });

  it('discard what arrives between our end and that of the peer', () => {
    const p = new RawPeer().begin().sender(5);
    p.recorder.sessions[0]!.end();
    p.say(
      transferOf(0),
      flowOf({ handle: 0, linkCredit: 3 }),
      flowOf({ echo: true }),
      { type: 'attach', name: 'x', handle: 5, role: true },
      { type: 'detach', handle: 0 },
      { type: 'disposition', role: true, first: 0 },
    );
    assert.deepEqual(p.types(), ['end']);
    assert.equal(p.recorder.receivers[0]!.deliveries.length, 0);
    assert.equal(p.recorder.receivers.length, 1);
    p.say({ type: 'end' });
    assert.deepEqual(p.recorder.errors, []);
  });

  it('say nothing behind their end, whatever those do who are told of it', () => {
    const p = new RawPeer().begin().sender(5).receiver(5, { handle: 1 });
    const [receiving, sending] = [p.recorder.receivers[0]!, p.recorder.senders[0]!];
    const session = p.recorder.sessions[0]!;
    p.say(transferOf(0));
    receiving.onLost = (): void => {
      sending.link.detach();
      receiving.link.settle(receiving.deliveries[0]!, ACCEPTED);
      receiving.link.addCredit(9);
      session.sendSessionFlow(true);
      assert.throws(() => session.attachSender('again', new RecordingSender(), {}), LocalProtocolError);
    };
    p.hear();
    p.say({ type: 'end' });
    assert.deepEqual(p.types(), ['end']);
    assert.ok(sending.lost, 'the second link is told, though the first one tried to detach it');
  });
});

describe('session flow control (2.5.6)', () => {
  it('holds transfers back at the window of the peer, and goes on when it opens', () => {
    const p = new RawPeer().begin({ incomingWindow: 2 }).receiver(10, {}, { incomingWindow: 2 });
    const sending = p.recorder.senders[0]!;
    for (let i = 0; i < 2; i++) sendText(sending.link, 'x');
    assert.equal(sending.link.sendable, false);
    assert.equal(ofType<Transfer>(p, 'transfer').length, 2);
    const before = sending.sendables;
    // This flow was sent before the transfers arrived: of the window of 2 nothing is left.
    p.say(flowOf({ nextIncomingId: 0, incomingWindow: 2 }));
    assert.equal(sending.link.sendable, false);
    p.say(flowOf({ nextIncomingId: 1, incomingWindow: 2 }));
    assert.equal(sending.sendables, before + 1);
    assert.ok(sending.link.sendable);
    sendText(sending.link, 'x');
    assert.equal(sending.link.sendable, false);
  });

  it('counts over the wrap of transfer ids, on both sides', () => {
    const pair = new Pair().run();
    const session = pair.client.session({ nextOutgoingId: 0xfffffffa, incomingWindow: 5 });
    pair.run();
    const sending = new RecordingSender();
    const sender = session.attachSender('l', sending, {
      target: { type: 'target', address: 'q' },
      source: { type: 'source' },
    });
    pair.run();
    const receiving = pair.s.receivers[0]!;
    receiving.link.addCredit(5_000);
    pair.run();
    for (let i = 0; i < 3_000; i++) {
      assert.ok(sender.sendable, `message ${i}`);
      sendText(sender, String(i), i % 2 === 0);
      if (i % 7 === 0) pair.run();
    }
    pair.run();
    assert.equal(receiving.deliveries.length, 3_000);
    assert.equal(session.nextOutgoingId, (0xfffffffa + 3_000) >>> 0);
    assert.equal(pair.s.sessions[0]!.nextIncomingId, session.nextOutgoingId);
    assert.deepEqual([pair.c.errors, pair.s.errors], [[], []]);
  });

  it('takes a flow without next-incoming-id from our first id on', () => {
    const p = new RawPeer().open();
    const session = p.connection.session({ nextOutgoingId: 1_000 });
    p.say({ ...BEGIN, incomingWindow: 7, remoteChannel: 0 }, flowOf({ nextIncomingId: undefined, incomingWindow: 7 }));
    assert.equal(session.remoteIncomingWindow, 7);
  });

  it('ends a session that goes beyond the window that we hold closed', () => {
    const p = new RawPeer();
    Object.assign(p.recorder, {
      onBegin: (session: Session) => {
        session.begin({ incomingWindow: 4 });
        p.recorder.sessions.push(session);
      },
    });
    p.begin().sender(100);
    p.recorder.sessions[0]!.holdWindow();
    for (let i = 0; i < 4; i++) p.say(transferOf(i));
    assert.deepEqual(ofType<Flow>(p, 'flow'), []);
    p.say(transferOf(4));
    assert.equal(endOf(p)?.condition, 'amqp:session:window-violation');
    assert.equal(p.recorder.receivers[0]!.deliveries.length, 4);
    assert.ok(p.recorder.events.includes('end amqp:session:window-violation'));
  });

  it('opens the window anew once half of it is used, once more than one holder has let go', () => {
    const p = new RawPeer();
    Object.assign(p.recorder, {
      onBegin: (session: Session) => {
        session.begin({ incomingWindow: 8 });
        p.recorder.sessions.push(session);
      },
    });
    p.begin().sender(100);
    const session = p.recorder.sessions[0]!;
    for (let i = 0; i < 3; i++) p.say(transferOf(i));
    assert.deepEqual(ofType<Flow>(p, 'flow'), []);
    p.say(transferOf(3));
    assert.deepEqual(
      ofType<Flow>(p, 'flow').map((f) => [f.nextIncomingId, f.incomingWindow]),
      [[4, 8]],
    );
    session.holdWindow();
    session.holdWindow();
    for (let i = 4; i < 10; i++) p.say(transferOf(i));
    session.releaseWindow();
    assert.deepEqual(ofType<Flow>(p, 'flow'), []);
    session.releaseWindow();
    assert.deepEqual(
      ofType<Flow>(p, 'flow').map((f) => [f.nextIncomingId, f.incomingWindow]),
      [[10, 8]],
    );
  });

  it('lets the window shrink when frames grow, without blaming those that were on the way', () => {
    const p = new RawPeer({ maxFrameSize: 65_536 }).begin({ incomingWindow: 5_000 }).sender(10_000);
    const { link } = p.recorder.receivers[0]!;
    let id = 0;
    const windowNow = (): number => ofType<Flow>(p, 'flow').at(-1)?.incomingWindow ?? -1;
    // Small frames make the window wide.
    let wide = -1;
    for (; id < 400; id++) {
      p.say(transferOf(id));
      wide = Math.max(wide, windowNow());
    }
    assert.equal(wide, 1_024);
    // Then large ones come, and a flow tells of a smaller window while many are on the way.
    for (let i = 0; i < 100; i++) p.say([transferOf(id++), 0, new Uint8Array(60_000)]);
    link.sendFlow();
    const narrow = windowNow();
    assert.ok(narrow < 100, `${narrow} frames`);
    for (let i = 0; i < 500; i++) p.say(transferOf(id++));
    assert.deepEqual(p.recorder.errors, []);
    assert.equal(p.recorder.receivers[0]!.deliveries.length, id);
  });

  it('is not opened by a flow of a link while it is held', () => {
    const p = new RawPeer().begin().sender(5);
    p.recorder.sessions[0]!.holdWindow();
    p.say(transferOf(0), transferOf(1));
    p.recorder.receivers[0]!.link.sendFlow();
    assert.deepEqual(
      ofType<Flow>(p, 'flow').map((f) => f.incomingWindow),
      [62],
    );
  });

  it('is told on request, with and without a link', () => {
    const p = new RawPeer().begin().sender(3);
    p.say(flowOf({ echo: true }));
    assert.deepEqual(
      ofType<Flow>(p, 'flow').map((f) => [f.handle, f.echo]),
      [[undefined, undefined]],
    );
    p.say(flowOf({ handle: 0, deliveryCount: 0, linkCredit: 0, echo: true }));
    assert.deepEqual(
      ofType<Flow>(p, 'flow').map((f) => [f.handle, f.linkCredit]),
      [[0, 3]],
    );
    p.receiver(4, { handle: 1, name: 'out' });
    p.say(flowOf({ handle: 1, deliveryCount: 0, linkCredit: 4, echo: true }));
    assert.deepEqual(
      ofType<Flow>(p, 'flow').map((f) => [f.handle, f.linkCredit, f.deliveryCount]),
      [[1, 4, 0]],
    );
  });

  it('begins with what the session was given', () => {
    const p = new RawPeer().open();
    p.connection.session({ incomingWindow: 17, handleMax: 3, nextOutgoingId: 0xffffffff });
    const [begin] = ofType<Begin>(p, 'begin');
    assert.deepEqual([begin!.incomingWindow, begin!.handleMax, begin!.nextOutgoingId], [17, 3, 0xffffffff]);
  });
});

describe('handles (2.6.2)', () => {
  it('beyond our handle-max end the session', () => {
    const p = new RawPeer();
    Object.assign(p.recorder, { onBegin: (session: Session) => session.begin({ handleMax: 1 }) });
    p.begin().sender(0, { handle: 1 });
    p.say({ type: 'attach', name: 'x', handle: 2, role: false });
    assert.equal(endOf(p)?.condition, 'amqp:resource-limit-exceeded');
  });

  it('beyond the handle-max of the peer are not used: an attach of ours fails, one of its own ends the session', () => {
    const p = new RawPeer().begin({ handleMax: 0 }).sender(0);
    const session = p.recorder.sessions[0]!;
    assert.equal(session.hasFreeHandle, false);
    assert.throws(
      () => session.attachReceiver('x', new RecordingReceiver(), {}),
      (error) => error instanceof LocalProtocolError && error.condition === 'amqp:resource-limit-exceeded',
    );
    p.say({ type: 'attach', name: 'y', handle: 1, role: false });
    assert.equal(endOf(p)?.condition, 'amqp:resource-limit-exceeded');
  });

  it('that are attached cannot be attached again', () => {
    const p = new RawPeer().begin().sender(0).say({ type: 'attach', name: 'other', handle: 0, role: true });
    assert.equal(endOf(p)?.condition, 'amqp:session:handle-in-use');
  });

  it('that are not attached end the session', () => {
    for (const frame of [
      transferOf(0, { handle: 7 }),
      flowOf({ handle: 7, linkCredit: 1 }),
      { type: 'detach', handle: 7 } as const,
    ]) {
      assert.equal(endOf(new RawPeer().begin().say(frame))?.condition, 'amqp:session:unattached-handle', frame.type);
    }
  });

  it('of a sender of ours take no transfer', () => {
    assert.equal(endOf(new RawPeer().begin().receiver(1).say(transferOf(0)))?.condition, 'amqp:not-allowed');
  });

  it('are free again after the detach of both, and the lowest is taken', () => {
    const p = new RawPeer().begin();
    const session = p.recorder.sessions[0]!;
    const links = ['a', 'b', 'c', 'd'].map((name) => session.attachSender(name, new RecordingSender(), {}));
    links.forEach((link, i) =>
      p.say({
        type: 'attach',
        name: link.name,
        handle: i,
        role: true,
        source: { type: 'source' },
        target: { type: 'target' },
      }),
    );
    links[1]!.detach();
    assert.equal(session.attachSender('e', new RecordingSender(), {}).handle, 4);
    p.say({ type: 'detach', handle: 1, closed: true });
    assert.equal(session.attachSender('f', new RecordingSender(), {}).handle, 1);
    assert.equal(session.attachSender('g', new RecordingSender(), {}).handle, 5);
  });
});

describe('dispositions (2.7.6)', () => {
  const sent = (count: number): { p: RawPeer; sending: RecordingSender; session: Session } => {
    const p = new RawPeer().begin({ incomingWindow: 100_000 }).receiver(count, {}, { incomingWindow: 100_000 });
    const sending = p.recorder.senders[0]!;
    for (let i = 0; i < count; i++) {
      sendText(sending.link, 'x');
      if (i % 500 === 0) p.hear();
    }
    p.hear();
    return { p, sending, session: p.recorder.sessions[0]! };
  };

  it('in any order and overlapping settle each delivery once', () => {
    const { p, sending, session } = sent(20);
    for (const [first, last] of [
      [15, 19],
      [3, undefined],
      [0, 4],
      [10, 16],
      [0, 19],
      [0, 19],
    ] as const) {
      p.say({ type: 'disposition', role: true, first, last, settled: true, state: ACCEPTED });
    }
    assert.deepEqual(
      sending.outcomes.map(({ id }) => id).toSorted((a, b) => a - b),
      Array.from({ length: 20 }, (_, i) => i),
    );
    assert.equal(session.outgoing.size, 0);
  });

  it('about numbers that are not in use, or inverted, are about nothing', () => {
    const { p, sending, session } = sent(5);
    for (const [first, last] of [
      [4, 0],
      [100, 200],
      [0xfffffff0, 0xffffffff],
      [0x80000000, 0x80000005],
      [5, 0xffffffff],
    ] as const) {
      p.say({ type: 'disposition', role: true, first, last, settled: true, state: RELEASED });
    }
    // What we send is settled by the receiver alone.
    p.say({ type: 'disposition', role: false, first: 0, last: 4, settled: true });
    assert.deepEqual(sending.outcomes, []);
    assert.equal(session.outgoing.size, 5);
    assert.deepEqual(p.recorder.errors, []);
  });

  it('of any width cost what the deliveries cost, not what the range could hold', () => {
    const { p, sending } = sent(3);
    const began = process.cpuUsage();
    for (let i = 0; i < 2_000; i++)
      p.say({ type: 'disposition', role: true, first: 0, last: 0x7fffffff, settled: false, state: undefined });
    const spent = process.cpuUsage(began);
    assert.equal(sending.outcomes.length, 6_000);
    assert.ok(spent.user + spent.system < 5e6);
    p.say({ type: 'disposition', role: true, first: 0xffffff00, last: 0x10, settled: true, state: ACCEPTED });
    assert.equal(sending.outcomes.length, 6_003);
  });

  it('reach a delivery that was left behind by any number of others, settled or never to be', () => {
    const p = new RawPeer().begin({ incomingWindow: 200_000 }).receiver(200_000, {}, { incomingWindow: 200_000 });
    const sending = p.recorder.senders[0]!;
    const first = sendText(sending.link, 'stuck');
    for (let i = 1; i < 40_000; i++) {
      sendText(sending.link, 'x', i % 3 !== 0);
      if (i % 3 === 0 && i % 9 !== 0)
        p.say({ type: 'disposition', role: true, first: i, settled: true, state: ACCEPTED });
      if (i % 500 === 0) p.hear();
    }
    const before = sending.outcomes.length;
    p.say({ type: 'disposition', role: true, first: first.id, settled: true, state: ACCEPTED });
    assert.deepEqual(
      sending.outcomes.slice(before).map(({ id }) => id),
      [first.id],
    );
    p.say({ type: 'disposition', role: true, first: 9, last: 27, settled: true, state: RELEASED });
    assert.deepEqual(
      sending.outcomes.slice(before + 1).map(({ id }) => id),
      [9, 18, 27],
    );
  });

  it('to many old deliveries one by one stay cheap', () => {
    const count = 60_000;
    const { p, sending, session } = sent(count);
    const began = process.cpuUsage();
    for (let id = 0; id < count; id++)
      p.say({ type: 'disposition', role: true, first: id, settled: true, state: ACCEPTED });
    const spent = process.cpuUsage(began);
    assert.equal(sending.outcomes.length, count);
    assert.equal(session.outgoing.size, 0);
    assert.ok(spent.user + spent.system < 5e6, `${spent.user} us`);
  });

  it('stop at what the handler does with the first of them', () => {
    for (const act of [
      (link: RecordingSender['link']): void => link.detach(),
      (link: RecordingSender['link']): void => link.session.end(),
      (link: RecordingSender['link']): void => link.session.connection.close(),
    ]) {
      const { p, sending } = sent(5);
      let told = 0;
      sending.onDisposition = (link): void => {
        told++;
        act(link);
      };
      p.say({ type: 'disposition', role: true, first: 0, last: 4, settled: true, state: ACCEPTED });
      assert.equal(told, 1);
    }
  });

  it('over the wrap of delivery-ids find what they mean', () => {
    const p = new RawPeer().begin().sender(10);
    const { deliveries, link } = p.recorder.receivers[0]!;
    for (const id of [0xfffffffe, 0xffffffff, 0, 1]) p.say(transferOf(id));
    for (const delivery of deliveries) link.settle(delivery, ACCEPTED);
    const [disposition] = ofType<Disposition>(p, 'disposition');
    assert.deepEqual([disposition!.first, disposition!.last], [0xfffffffe, 1]);
  });
});

describe('delivery-ids (2.6.12)', () => {
  it('have no gap', () => {
    const p = new RawPeer().begin().sender(5).say(transferOf(7), transferOf(9));
    assert.equal(endOf(p)?.condition, 'amqp:invalid-field');
  });

  it('may begin anywhere, and are one row for all links of a session', () => {
    const p = new RawPeer().begin().sender(5).sender(5, { handle: 1, name: 'second' });
    p.say(transferOf(0xffffffff), transferOf(0, { handle: 1 }), transferOf(1));
    assert.deepEqual(
      p.recorder.receivers.map(({ deliveries }) => deliveries.map(({ id }) => id)),
      [[0xffffffff, 1], [0]],
    );
  });

  it('and tags stand on the first frame', () => {
    for (const fields of [{ deliveryId: undefined }, { deliveryTag: undefined }, { deliveryTag: new Uint8Array(33) }]) {
      const p = new RawPeer().begin().sender(5).say(transferOf(0, fields));
      assert.equal(p.recorder.errors[0]?.condition, 'amqp:decode-error');
    }
  });
});

it('begin, attach and credit may follow our open at once, from a client of ours too', () => {
  const p = new RawPeer({ role: 'client' }).say(HEADER);
  const session = p.connection.session();
  const receiving = new RecordingReceiver();
  const link = session.attachReceiver('in', receiving, {
    source: { type: 'source', address: 'q' },
    target: { type: 'target' },
  });
  link.addCredit(10);
  assert.deepEqual(
    p.types(),
    ['header', 'open', 'begin', 'attach'],
    'the credit waits for the delivery-count of the sender',
  );
  p.say(
    { type: 'open', containerId: 's' },
    { ...BEGIN, remoteChannel: 0 },
    {
      type: 'attach',
      name: 'in',
      handle: 4,
      role: false,
      source: { type: 'source', address: 'q' },
      target: { type: 'target' },
      initialDeliveryCount: 77,
    },
  );
  const [flow] = ofType<Flow>(p, 'flow');
  assert.deepEqual([flow!.handle, flow!.deliveryCount, flow!.linkCredit], [0, 77, 10]);
  p.say([transferOf(0, { handle: 4 }), 0, text('x')]);
  assert.equal(receiving.deliveries.length, 1);
});
