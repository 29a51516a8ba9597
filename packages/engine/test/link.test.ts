// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LocalProtocolError } from '@pointsman/wire';
import type { AmqpErrorFields, Attach, Detach, Flow } from '@pointsman/wire';
import { ACCEPTED, MODIFIED_FAILED, SenderLink } from '../src/index.js';
import type { ReceiverLink } from '../src/index.js';
import { Pair, RecordingReceiver, RecordingSender, sendText } from './pair.js';
import { RawPeer, flowOf, transferOf } from './raw-peer.js';

const TERMINI = { source: { type: 'source' }, target: { type: 'target', address: 'q' } } as const;
const heardOf = (p: RawPeer): string[] =>
  p.hear().map(({ frame }) => {
    if (frame.type === 'attach')
      return `attach ${frame.name} ${frame.handle}${frame.source === undefined || frame.target === undefined ? ' null' : ''}`;
    if (frame.type === 'detach')
      return `detach ${frame.handle} ${frame.closed === true ? 'closed' : 'kept'}${frame.error === undefined ? '' : ` ${frame.error.condition}`}`;
    return frame.type;
  });

describe('attaching and detaching (2.6.3 to 2.6.6)', () => {
  it('detaches from both sides at once', () => {
    const pair = new Pair();
    const { sender, receiver } = pair.link();
    sender.detach({ condition: 'amqp:internal-error' });
    receiver.detach();
    pair.run();
    assert.deepEqual([sender.session.links, receiver.session.links], [[], []]);
    assert.deepEqual([pair.c.errors, pair.s.errors], [[], []]);
  });

  it('answers a detach once, as it was meant, whether the handler does it or not', () => {
    for (const answers of [true, false]) {
      for (const closed of [true, false]) {
        const p = new RawPeer().begin().sender(1);
        const receiving = p.recorder.receivers[0]!;
        receiving.onDetach = (link: ReceiverLink): void => {
          if (answers) link.detach(undefined, closed);
        };
        p.say({ type: 'detach', handle: 0, closed });
        assert.deepEqual(heardOf(p), [`detach 0 ${closed ? 'closed' : 'kept'}`]);
        receiving.link.detach();
        assert.deepEqual(heardOf(p), []);
        assert.deepEqual(receiving.link.session.links, []);
      }
    }
  });

  it('refuses in brief where the termini are larger than the frames of the peer, and ends the session where the name is', () => {
    const address = 'x'.repeat(1_000);
    for (const name of ['short', address]) {
      const p = new RawPeer().begin({}, { maxFrameSize: 512 });
      p.recorder.onAttach = (link): void => link.refuse({ condition: 'a:b' }, { source: { type: 'source', address } });
      p.say({ type: 'attach', name, handle: 0, role: true, source: { type: 'source', address } });
      assert.deepEqual(heardOf(p), name === 'short' ? ['attach short 0 null', 'detach 0 closed a:b'] : ['end']);
      assert.equal(p.connection.done, false);
    }
  });

  it('leaves the answer to a handler that gives it later', () => {
    const p = new RawPeer().begin().sender(1);
    const receiving = p.recorder.receivers[0]!;
    receiving.onDetach = (link: ReceiverLink): void => {
      link.answersLater = true;
    };
    p.say({ type: 'detach', handle: 0, closed: true });
    assert.deepEqual(heardOf(p), []);
    receiving.link.detach({ condition: 'a:b' });
    assert.deepEqual(heardOf(p), ['detach 0 closed a:b']);
    assert.deepEqual(receiving.link.session.links, []);
  });

  it('tells who asked for it how a detach was answered, or that it cannot be any more', () => {
    for (const end of ['answered', 'session ended', 'connection lost'] as const) {
      const p = new RawPeer().begin().sender(1);
      const { link } = p.recorder.receivers[0]!;
      const told: string[] = [];
      link.handler.onDetachAnswered = (_link, error, closed): void => {
        told.push(`${error?.condition} ${closed}`);
      };
      link.handler.onLost = (): void => {
        told.push('lost');
      };
      link.awaitsAnswer = true;
      link.detach(undefined, false);
      if (end === 'answered') {
        p.say({
          type: 'detach',
          handle: 0,
          closed: false,
          error: { condition: 'a:b' },
        });
        p.say({ type: 'end' });
        assert.deepEqual(told, ['a:b false']);
      } else {
        if (end === 'session ended') p.say({ type: 'end' });
        else p.connection.receiveEnd(0, new Error('cut'));
        assert.deepEqual(told, ['undefined true']);
      }
    }
  });

  it('takes a longer delivery-tag where its owner deals with that, and ends the connection where not (2.8.7)', () => {
    for (const tagMax of [32, Infinity]) {
      const p = new RawPeer().begin().sender(1);
      const { link, deliveries } = p.recorder.receivers[0]!;
      link.tagMax = tagMax;
      p.say(transferOf(0, { deliveryTag: new Uint8Array(33) }));
      assert.equal(deliveries.length, tagMax === 32 ? 0 : 1);
      assert.equal(p.connection.isOpen, tagMax !== 32);
    }
  });

  it('drops what crosses our detach, and takes the detach of the peer', () => {
    const p = new RawPeer().begin().sender(5);
    const { link, deliveries } = p.recorder.receivers[0]!;
    link.detach();
    p.say(
      transferOf(0, { more: true }),
      { type: 'transfer', handle: 0, more: false },
      transferOf(1),
      flowOf({ handle: 0, deliveryCount: 2, linkCredit: 0, echo: true }),
      { type: 'detach', handle: 0, closed: true },
    );
    assert.deepEqual(heardOf(p), ['detach 0 closed']);
    assert.equal(deliveries.length, 0);
    p.say({ type: 'attach', name: 'in', handle: 0, role: false, ...TERMINI }, transferOf(2));
    assert.deepEqual(p.recorder.errors, []);
  });

  it('takes the name again after a detach, time and again, from either side', () => {
    const p = new RawPeer().begin();
    const session = p.recorder.sessions[0]!;
    for (let i = 0; i < 500; i++) {
      p.say(
        { type: 'attach', name: 'in', handle: i % 3, role: false, ...TERMINI },
        { type: 'detach', handle: i % 3, closed: true },
      );
      const link = session.attachSender('out', new RecordingSender(), TERMINI);
      assert.equal(link.handle, 0);
      p.say({ type: 'attach', name: 'out', handle: 9, role: true, ...TERMINI });
      link.detach();
      p.say({ type: 'detach', handle: 9, closed: true });
    }
    assert.deepEqual(session.links, []);
    assert.deepEqual(p.recorder.errors, []);
    assert.equal(p.recorder.receivers.length, 500);
  });

  it('attaches a name again before the peer has answered the attach before: each answer finds its own', () => {
    const p = new RawPeer().begin();
    const session = p.recorder.sessions[0]!;
    const [first, second, third] = [new RecordingSender(), new RecordingSender(), new RecordingSender()];
    const one = session.attachSender('l', first, TERMINI);
    one.detach();
    const two = session.attachSender('l', second, TERMINI);
    two.detach();
    const three = session.attachSender('l', third, TERMINI);
    assert.deepEqual(heardOf(p), ['attach l 0', 'detach 0 closed', 'attach l 1', 'detach 1 closed', 'attach l 2']);
    p.say(
      { type: 'attach', name: 'l', handle: 5, role: true, ...TERMINI },
      { type: 'detach', handle: 5, closed: true },
    );
    assert.deepEqual([first.attached, second.attached, third.attached], [undefined, undefined, undefined]);
    p.say(
      { type: 'attach', name: 'l', handle: 5, role: true, ...TERMINI },
      { type: 'detach', handle: 5, closed: true },
    );
    p.say(
      { type: 'attach', name: 'l', handle: 6, role: true, ...TERMINI },
      flowOf({ handle: 6, linkCredit: 1, deliveryCount: 0 }),
    );
    assert.ok(third.attached !== undefined && three.state === 'attached' && three.sendable);
    assert.deepEqual(session.links, [three]);
    assert.deepEqual(p.recorder.senders, [], 'none of the answers was taken for an attach of the peer');
  });

  it('tells links of one name apart by their direction', () => {
    const p = new RawPeer()
      .begin()
      .say(
        { type: 'attach', name: 'same', handle: 0, role: false, ...TERMINI },
        { type: 'attach', name: 'same', handle: 1, role: true, ...TERMINI },
      );
    assert.deepEqual(heardOf(p), ['attach same 0', 'attach same 1']);
  });

  it('refuses a second link of a name, and the first goes on', () => {
    const p = new RawPeer().begin().sender(2);
    p.say({ type: 'attach', name: 'in', handle: 1, role: false, ...TERMINI });
    assert.deepEqual(heardOf(p), ['attach in 1 null', 'detach 1 closed amqp:resource-locked']);
    p.say({ type: 'detach', handle: 1, closed: true }, transferOf(0));
    assert.equal(p.recorder.receivers[0]!.deliveries.length, 1);
    p.say(
      { type: 'detach', handle: 0, closed: true },
      { type: 'attach', name: 'in', handle: 0, role: false, ...TERMINI },
    );
    assert.deepEqual(heardOf(p), ['detach 0 closed', 'attach in 0']);
  });

  it('refuses with a null terminus, then a detach with the error', () => {
    const p = new RawPeer();
    p.recorder.decide = (): AmqpErrorFields => ({ condition: 'amqp:not-found', description: 'no q' });
    p.begin().say(
      { type: 'attach', name: 'in', handle: 0, role: false, ...TERMINI },
      { type: 'attach', name: 'out', handle: 1, role: true, ...TERMINI },
    );
    assert.deepEqual(heardOf(p), [
      'attach in 0 null',
      'detach 0 closed amqp:not-found',
      'attach out 1 null',
      'detach 1 closed amqp:not-found',
    ]);
    p.say(
      transferOf(0),
      flowOf({ handle: 1, linkCredit: 4 }),
      { type: 'detach', handle: 0 },
      { type: 'detach', handle: 1 },
    );
    assert.deepEqual(p.recorder.sessions[0]!.links, []);
  });

  it('answers an attach that nobody has decided on when the peer detaches, and whoever decides later is told', () => {
    const p = new RawPeer();
    const undecided: (SenderLink | ReceiverLink)[] = [];
    Object.assign(p.recorder, { onAttach: (link: SenderLink | ReceiverLink) => undecided.push(link) });
    p.begin().say(
      { type: 'attach', name: 'in', handle: 0, role: false, ...TERMINI },
      { type: 'attach', name: 'out', handle: 1, role: true, ...TERMINI },
    );
    assert.deepEqual(heardOf(p), []);
    p.say({ type: 'detach', handle: 0, closed: true }, { type: 'detach', handle: 1, closed: true });
    assert.deepEqual(heardOf(p), ['attach in 0 null', 'detach 0 closed', 'attach out 1 null', 'detach 1 closed']);
    for (const link of undecided) {
      const handler = link instanceof SenderLink ? new RecordingSender() : new RecordingReceiver();
      (link as { accept(handler: RecordingSender | RecordingReceiver): void }).accept(handler);
      assert.ok(handler.lost);
    }
    assert.deepEqual(heardOf(p), []);
    undecided[0]!.refuse({ condition: 'amqp:not-found' });
    assert.deepEqual(heardOf(p), []);
  });

  it('forgets a link whose session or connection goes before it was decided on', () => {
    const p = new RawPeer();
    let link: ReceiverLink | undefined;
    Object.assign(p.recorder, { onAttach: (attached: ReceiverLink) => (link = attached) });
    p.begin().say({ type: 'attach', name: 'in', handle: 0, role: false, ...TERMINI }, { type: 'end' });
    const handler = new RecordingReceiver();
    link!.accept(handler);
    assert.ok(handler.lost);
    assert.deepEqual(p.types(), ['end']);
  });

  it('takes the settle modes from the end that acts by them', () => {
    const p = new RawPeer().begin();
    const session = p.recorder.sessions[0]!;
    const sender = session.attachSender('s', new RecordingSender(), { ...TERMINI, sndSettleMode: 0, rcvSettleMode: 1 });
    const receiver = session.attachReceiver('r', new RecordingReceiver(), {
      ...TERMINI,
      sndSettleMode: 0,
      rcvSettleMode: 1,
    });
    p.say({ type: 'attach', name: 's', handle: 0, role: true, ...TERMINI, sndSettleMode: 2, rcvSettleMode: 0 });
    p.say({ type: 'attach', name: 'r', handle: 1, role: false, ...TERMINI, sndSettleMode: 1, rcvSettleMode: 0 });
    assert.deepEqual([sender.sndSettleMode, sender.rcvSettleMode], [0, 0]);
    assert.deepEqual([receiver.sndSettleMode, receiver.rcvSettleMode], [1, 1]);
    p.hear();
    p.say({ type: 'attach', name: 'theirs', handle: 2, role: false, ...TERMINI, sndSettleMode: 1, rcvSettleMode: 1 });
    const [attach] = p.hear().map(({ frame }) => frame as Attach);
    assert.deepEqual([attach!.sndSettleMode, attach!.rcvSettleMode], [1, 1], 'what the peer asked for is echoed');
  });

  it('forgets unsettled deliveries with their link, and those of other links stay', () => {
    const p = new RawPeer().begin().receiver(5).receiver(5, { handle: 1, name: 'second' });
    const [one, two] = p.recorder.senders;
    const session = p.recorder.sessions[0]!;
    for (const sending of [one!, two!, one!]) sendText(sending.link, 'x');
    assert.deepEqual([session.unsettledOf(one!.link).length, session.unsettledOf(two!.link).length], [2, 1]);
    let atDetach = 0;
    one!.onDetach = (link: SenderLink): void => void (atDetach = session.unsettledOf(link).length);
    p.say({ type: 'detach', handle: 0, closed: true });
    assert.equal(atDetach, 2, 'the handler still finds them when it is told');
    assert.deepEqual([session.unsettledOf(one!.link), session.unsettledOf(two!.link).length], [[], 1]);
    p.say({ type: 'disposition', role: true, first: 0, last: 2, settled: true, state: ACCEPTED });
    assert.deepEqual([one!.outcomes, two!.outcomes.map(({ id }) => id)], [[], [1]]);
  });

  it('keeps no link that waited for room once it is detached, however many come', () => {
    const p = new RawPeer().begin({ incomingWindow: 0 });
    for (let i = 0; i < 2_000; i++) {
      p.say(
        { type: 'attach', name: 'out', handle: 0, role: true, ...TERMINI },
        flowOf({ handle: 0, deliveryCount: 0, linkCredit: 5, incomingWindow: 0 }),
      );
      const sending = p.recorder.senders.pop()!;
      assert.equal(sending.link.sendable, false);
      assert.ok(sending.link.waiting);
      p.say({ type: 'detach', handle: 0, closed: true });
      assert.ok(!sending.link.waiting);
      if (i % 100 === 0) p.hear();
    }
    p.receiver(5, {}, { incomingWindow: 0 });
    const sending = p.recorder.senders.pop()!;
    assert.equal(sending.link.sendable, false);
    const before = sending.sendables;
    p.say(flowOf({ incomingWindow: 5 }));
    assert.equal(sending.sendables, before + 1);
  });
});

describe('credit as a receiver gives it (2.6.7)', () => {
  const flows = (p: RawPeer): (readonly [number | undefined, number | undefined])[] =>
    p
      .hear()
      .filter(({ frame }) => frame.type === 'flow')
      .map(({ frame }) => [(frame as Flow).deliveryCount, (frame as Flow).linkCredit] as const);

  it('is told at once where the sender has none, and again when half is used', () => {
    const p = new RawPeer().begin().sender(0);
    const { link } = p.recorder.receivers[0]!;
    link.addCredit(10);
    assert.deepEqual(flows(p), [[0, 10]]);
    for (let i = 0; i < 4; i++) {
      p.say(transferOf(i));
      link.addCredit(1);
    }
    assert.deepEqual(flows(p), []);
    p.say(transferOf(4));
    link.addCredit(1);
    assert.deepEqual(flows(p), [[5, 10]]);
  });

  it('that was added to what the sender still had is told before it runs out', () => {
    const p = new RawPeer().begin().sender(10);
    const { link, deliveries } = p.recorder.receivers[0]!;
    link.addCredit(5);
    assert.deepEqual(flows(p), []);
    for (let i = 0; i < 10; i++) p.say(transferOf(i));
    assert.deepEqual(flows(p), [[10, 5]]);
    assert.equal(deliveries.length, 10);
  });

  it('never leaves a sender without credit that it is owed, whatever is added and sent when', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ add: fc.integer({ min: 1, max: 20 }) }),
        fc.record({ send: fc.integer({ min: 1, max: 30 }) }),
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(steps, (list) => {
        const p = new RawPeer().begin({ incomingWindow: 5_000 }).sender(0);
        const { link } = p.recorder.receivers[0]!;
        let known = 0;
        let id = 0;
        const listen = (): void => {
          for (const [count, credit] of flows(p)) if (credit !== undefined) known = (count ?? 0) + credit - id;
        };
        for (const step of list) {
          if ('add' in step) link.addCredit(step.add);
          else for (let i = 0; i < step.send && known > 0; i++, known--) p.say(transferOf(id++));
          listen();
          assert.ok(known > 0 || link.credit === 0, `${link.credit} owed, none known`);
          assert.ok(known <= link.credit);
        }
        assert.deepEqual(p.recorder.errors, []);
      }),
      { numRuns: 100 },
    );
  });

  it('that is overrun costs the link, with the reason, though the handler detaches too', () => {
    const p = new RawPeer().begin().sender(1);
    const receiving = p.recorder.receivers[0]!;
    receiving.onDetach = (link: ReceiverLink, error: AmqpErrorFields | undefined): void => {
      receiving.detached = { error, closed: true };
      link.detach();
    };
    p.say(transferOf(0), transferOf(1, { more: true }), { type: 'transfer', handle: 0 });
    assert.deepEqual(heardOf(p), ['detach 0 closed amqp:link:transfer-limit-exceeded']);
    assert.equal(receiving.detached?.error?.condition, 'amqp:link:transfer-limit-exceeded');
    assert.equal(receiving.deliveries.length, 1);
  });

  it('that is overrun by a sender for which there is tolerance counts the surplus, and grants less until it is paid', () => {
    const p = new RawPeer().begin().sender(2);
    const receiving = p.recorder.receivers[0]!;
    const { link } = receiving;
    link.tolerance = 2;
    p.say(transferOf(0), transferOf(1), transferOf(2), transferOf(3));
    assert.equal(receiving.deliveries.length, 4);
    assert.deepEqual([link.credit, link.overdrawn], [0, 2]);
    link.addCredit(1);
    assert.deepEqual([link.credit, link.overdrawn], [0, 1]);
    link.addCredit(3);
    assert.deepEqual([link.credit, link.overdrawn], [2, 0]);
    p.hear();
    p.say(transferOf(4), transferOf(5), transferOf(6), transferOf(7), transferOf(8));
    assert.equal(receiving.deliveries.length, 8, 'the tolerance has an end');
    assert.equal(receiving.detached?.error?.condition, 'amqp:link:transfer-limit-exceeded');
  });

  it('of a receiver whose attach waits for an answer is kept until then', () => {
    const p = new RawPeer();
    let waiting: SenderLink | undefined;
    Object.assign(p.recorder, { onAttach: (link: SenderLink) => void (waiting = link) });
    p.begin().say(
      {
        type: 'attach',
        name: 'out',
        handle: 0,
        role: true,
        source: { type: 'source', address: 'q' },
        target: { type: 'target' },
      },
      flowOf({ handle: 0, deliveryCount: 0, linkCredit: 7 }),
    );
    assert.equal(waiting?.sendable, false);
    waiting?.accept(new RecordingSender());
    assert.deepEqual([waiting?.credit, waiting?.sendable], [7, true]);
  });

  it('was never given by an attach alone', () => {
    const p = new RawPeer();
    Object.assign(p.recorder, { onAttach: () => undefined });
    p.begin().say({ type: 'attach', name: 'in', handle: 0, role: false, ...TERMINI }, transferOf(0));
    assert.deepEqual(heardOf(p), ['attach in 0 null', 'detach 0 closed amqp:link:transfer-limit-exceeded']);
  });

  it('may be given before the attach is answered: the flow follows the answer', () => {
    const p = new RawPeer();
    let link: ReceiverLink | undefined;
    Object.assign(p.recorder, { onAttach: (attached: ReceiverLink) => (link = attached) });
    p.begin().say({ type: 'attach', name: 'in', handle: 0, role: false, ...TERMINI, initialDeliveryCount: 9 });
    link!.addCredit(3);
    assert.deepEqual(heardOf(p), []);
    link!.accept(new RecordingReceiver());
    assert.deepEqual(
      p.hear().map(({ frame }) => [frame.type, (frame as Flow).deliveryCount, (frame as Flow).linkCredit]),
      [
        ['attach', undefined, undefined],
        ['flow', 9, 3],
      ],
    );
  });

  it('can be taken back, and what was on the way is no breach', () => {
    const p = new RawPeer().begin().sender(10);
    const { link, deliveries } = p.recorder.receivers[0]!;
    link.withdrawCredit();
    assert.deepEqual(flows(p), [[0, 0]]);
    for (let i = 0; i < 10; i++) p.say(transferOf(i));
    assert.equal(deliveries.length, 10);
    assert.equal(link.credit, 0);
    p.say(transferOf(10));
    assert.deepEqual(heardOf(p), ['detach 0 closed amqp:link:transfer-limit-exceeded']);
  });

  it('can be set, up and down, and counts from what has come', () => {
    const p = new RawPeer().begin().sender(10);
    const { link, deliveries } = p.recorder.receivers[0]!;
    p.say(transferOf(0), transferOf(1));
    link.setCredit(3);
    assert.deepEqual(flows(p), [[2, 3]]);
    for (let i = 2; i < 10; i++) p.say(transferOf(i));
    link.setCredit(2);
    assert.deepEqual(flows(p), [[10, 2]]);
    p.say(transferOf(10), transferOf(11));
    assert.equal(deliveries.length, 12);
    p.say(transferOf(12));
    assert.deepEqual(heardOf(p), ['detach 0 closed amqp:link:transfer-limit-exceeded']);
  });

  it('counts deliveries over their wrap, from wherever the sender begins', () => {
    const p = new RawPeer().begin().sender(5, { initialDeliveryCount: 0xfffffffe });
    const { link } = p.recorder.receivers[0]!;
    for (let i = 0; i < 5; i++) p.say(transferOf(i));
    assert.equal(link.deliveryCount, 3);
    link.addCredit(5);
    assert.deepEqual(flows(p), [[3, 5]]);
  });

  it('is gone when the sender says that it used it up', () => {
    const p = new RawPeer().begin().sender(10);
    const { link } = p.recorder.receivers[0]!;
    link.drain();
    assert.equal((p.hear()[0]!.frame as Flow).drain, true);
    p.say(transferOf(0), flowOf({ handle: 0, deliveryCount: 10, linkCredit: 0, drain: true }));
    assert.deepEqual([link.credit, link.announced, link.deliveryCount, link.draining], [0, 0, 10, false]);
    p.say(transferOf(1));
    assert.deepEqual(heardOf(p), ['detach 0 closed amqp:link:transfer-limit-exceeded']);
  });

  it('takes no harm from a sender that counts backwards or beyond', () => {
    const p = new RawPeer().begin().sender(10);
    const { link } = p.recorder.receivers[0]!;
    p.say(flowOf({ handle: 0, deliveryCount: 0xfffffff0, linkCredit: 3 }));
    assert.deepEqual([link.credit, link.deliveryCount], [10, 0]);
    p.say(flowOf({ handle: 0, deliveryCount: 1_000, linkCredit: 3 }));
    assert.deepEqual([link.credit, link.announced, link.deliveryCount], [0, 0, 1_000]);
    link.addCredit(2);
    assert.deepEqual(flows(p), [[1_000, 2]]);
  });
});

describe('credit as a sender takes it (2.6.7)', () => {
  it('is what the receiver allows less what it has not counted yet', () => {
    const p = new RawPeer().begin().receiver(3);
    const { link } = p.recorder.senders[0]!;
    sendText(link, 'a');
    sendText(link, 'b');
    p.say(flowOf({ handle: 0, deliveryCount: 0, linkCredit: 5, nextIncomingId: 0 }));
    assert.equal(link.credit, 3);
    p.say(flowOf({ handle: 0, deliveryCount: 2, linkCredit: 1, nextIncomingId: 2 }));
    assert.equal(link.credit, 1);
    p.say(flowOf({ handle: 0, deliveryCount: 0, linkCredit: 1, nextIncomingId: 2 }));
    assert.equal(link.credit, 0, 'less than was used already');
    p.say(flowOf({ handle: 0, deliveryCount: undefined, linkCredit: 9, nextIncomingId: 2 }));
    assert.equal(link.credit, 7, 'counted from the attach where the receiver had not seen it');
  });

  it('counts over the wrap of delivery-counts', () => {
    const p = new RawPeer().begin().receiver(1);
    const { link } = p.recorder.senders[0]!;
    p.say(flowOf({ handle: 0, deliveryCount: 0, linkCredit: 0xffffffff, drain: true }));
    assert.equal(link.deliveryCount, 0xffffffff, 'the drain used all of it up');
    p.say(flowOf({ handle: 0, deliveryCount: 0xffffffff, linkCredit: 5 }));
    assert.equal(link.credit, 5);
    for (let i = 0; i < 3; i++) sendText(link, 'x');
    assert.equal(link.deliveryCount, 2);
    p.say(flowOf({ handle: 0, deliveryCount: 0xffffffff, linkCredit: 5, nextIncomingId: 0 }));
    assert.equal(link.credit, 2);
    p.say(flowOf({ handle: 0, deliveryCount: 1, linkCredit: 5, nextIncomingId: 2 }));
    assert.equal(link.credit, 4);
  });

  it('is not touched by a flow that says nothing of it', () => {
    const p = new RawPeer()
      .begin()
      .receiver(3)
      .say(flowOf(), flowOf({ handle: 0 }));
    assert.equal(p.recorder.senders[0]!.link.credit, 3);
  });

  it('that comes before the attach is answered counts from then on', () => {
    const p = new RawPeer();
    let link: SenderLink | undefined;
    Object.assign(p.recorder, { onAttach: (attached: SenderLink) => (link = attached) });
    p.begin().say(
      { type: 'attach', name: 'out', handle: 0, role: true, ...TERMINI },
      flowOf({ handle: 0, deliveryCount: 0, linkCredit: 2 }),
    );
    assert.equal(link!.sendable, false);
    link!.accept(new RecordingSender());
    assert.equal(link!.sendable, true);
    sendText(link!, 'x');
    assert.deepEqual(p.types(), ['attach', 'transfer']);
  });

  it('lets nothing be sent without it, nor with too long a tag, and nothing is lost by trying', () => {
    const p = new RawPeer().begin().receiver(1);
    const { link } = p.recorder.senders[0]!;
    assert.throws(
      () => link.send(new Uint8Array(33), 0, false, undefined, new Uint8Array(1), 0, 1, true),
      LocalProtocolError,
    );
    assert.equal(link.credit, 1);
    sendText(link, 'x');
    assert.throws(() => sendText(link, 'y'), LocalProtocolError);
    link.detach();
    assert.equal(link.sendable, false);
    assert.equal(link.resumable, false);
  });

  it('drains by itself where the handler does not care', () => {
    const p = new RawPeer().begin().receiver(3);
    Object.assign(p.recorder.senders[0]!, { onDrain: undefined });
    p.say(flowOf({ handle: 0, deliveryCount: 0, linkCredit: 3, drain: true }));
    const [flow] = p.hear().map(({ frame }) => frame as Flow);
    assert.deepEqual([flow!.deliveryCount, flow!.linkCredit, flow!.drain], [3, 0, true]);
  });
});

describe('what a peer may not ask of links', () => {
  const attachOf = (
    handle: number,
  ): { type: 'attach'; name: string; handle: number; role: boolean } & typeof TERMINI => ({
    type: 'attach',
    name: `l${handle}`,
    handle,
    role: true,
    ...TERMINI,
  });

  it('is more of them than the connection has room for, on all sessions together; one that goes makes room', () => {
    const p = new RawPeer({ maxLinks: 3 })
      .begin()
      .say([{ type: 'begin', nextOutgoingId: 0, incomingWindow: 9, outgoingWindow: 9 }, 1]);
    p.say(attachOf(0), attachOf(1), [attachOf(0), 1]);
    p.hear();
    p.say([attachOf(1), 1]);
    const said = p.hear();
    const { error } = said.find(({ frame }) => frame.type === 'detach')!.frame as Detach;
    assert.equal(error?.condition, 'amqp:resource-limit-exceeded');
    assert.match(error?.description ?? '', /all the 3 links/);
    p.say([{ type: 'detach', handle: 1, closed: true }, 1], { type: 'detach', handle: 0, closed: true });
    p.hear();
    p.say([attachOf(2), 1]);
    assert.deepEqual(heardOf(p), ['attach l2 1']);
    assert.equal(p.connection.linkBudget.count, 3);
    p.say([{ type: 'end' }, 1]);
    assert.equal(p.connection.linkBudget.count, 1);
  });

  it('is to go on attaching without a word to the refusals: that ends the session', () => {
    const p = new RawPeer({ maxLinks: 1 }).begin({ handleMax: 10_000 });
    for (let handle = 0; handle < 1_100; handle++) p.say(attachOf(handle));
    const end = p.hear().find(({ frame }) => frame.type === 'end')?.frame as { error?: AmqpErrorFields };
    assert.equal(end.error?.condition, 'amqp:resource-limit-exceeded');
    assert.equal(p.connection.linkBudget.count, 0);
    assert.equal(p.recorder.end, undefined, 'the connection lives');
  });

  it('is to say more of links than there is room for: they are refused, and then the session ends', () => {
    const p = new RawPeer().begin({ handleMax: 10_000 });
    const wordy = (handle: number): ReturnType<typeof attachOf> & { properties: Map<string, string> } => ({
      ...attachOf(handle),
      properties: new Map([['x', 'x'.repeat(60_000)]]),
    });
    const errors: string[] = [];
    let handle = 0;
    while (p.connection.linkBudget.count > 0 || handle === 0) {
      p.say(wordy(handle++));
      for (const { frame } of p.hear())
        if (frame.type === 'detach' || frame.type === 'end') errors.push(`${frame.type} ${frame.error?.description}`);
    }
    assert.equal(handle, Math.ceil((2 << 24) / 60_100) + 1);
    assert.equal(errors.length, Math.ceil((1 << 24) / 60_100) + 1);
    assert.match(errors[0]!, /^detach the attaches of the connection's links take the 16777216 bytes/);
    assert.match(errors.at(-1)!, /^end the attaches/);
    assert.equal(p.connection.linkBudget.bytes, 0);
    assert.equal(p.recorder.end, undefined, 'the connection lives');
  });

  it('is to resume deliveries: the link is told so and detached', () => {
    const p = new RawPeer()
      .begin()
      .sender(5, { unsettled: new Map([[new Uint8Array(1), null]]), incompleteUnsettled: false });
    p.say(transferOf(0, { resume: true }));
    const said = p.hear();
    const { error } = said.find(({ frame }) => frame.type === 'detach')!.frame as Detach;
    assert.equal(error?.condition, 'amqp:not-implemented');
    assert.equal(p.recorder.receivers[0]!.deliveries.length, 0, 'it is no message');
    assert.equal(p.recorder.end, undefined);
  });
});

describe('states of links that are gone', () => {
  it('say nothing: settling, updating, credit, flows and detaching are without effect', () => {
    const p = new RawPeer().begin().sender(5).receiver(5, { handle: 1 });
    const [receiving, sending] = [p.recorder.receivers[0]!, p.recorder.senders[0]!];
    p.say(transferOf(0));
    const delivery = sendText(sending.link, 'x');
    p.say({ type: 'detach', handle: 0, closed: true }, { type: 'detach', handle: 1, closed: true });
    p.hear();
    receiving.link.settle(receiving.deliveries[0]!, ACCEPTED);
    receiving.link.update(receiving.deliveries[0]!, MODIFIED_FAILED);
    receiving.link.addCredit(10);
    receiving.link.drain();
    receiving.link.sendFlow();
    receiving.link.detach();
    sending.link.settle(delivery);
    sending.link.update(delivery, ACCEPTED);
    sending.link.drained();
    sending.link.abort();
    assert.equal(sending.link.resume(new Uint8Array(1), 0, 1, true), 0);
    sending.link.detach({ condition: 'amqp:internal-error' });
    assert.deepEqual(heardOf(p), []);
    const detaches = p.hear().filter(({ frame }): boolean => (frame as Detach).type === 'detach');
    assert.deepEqual(detaches, []);
  });
});
