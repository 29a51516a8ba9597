// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DeliveryState, Disposition, Transfer } from '@pointsman/wire';
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from '../src/index.js';
import type { AttachParameters, OutgoingDelivery, SenderLink } from '../src/index.js';
import { Pair, sendText, text } from './pair.js';
import { RawPeer, flowOf, transferOf } from './raw-peer.js';

const partOf = (link: SenderLink, bytes: Uint8Array): OutgoingDelivery =>
  link.send(undefined, 0, false, undefined, bytes, 0, bytes.length, false);
const transfers = (p: RawPeer): Transfer[] =>
  p
    .hear()
    .map(({ frame }) => frame)
    .filter((frame): frame is Transfer => frame.type === 'transfer');

describe('deliveries of several frames (2.6.14)', () => {
  it('arrive whole and in order, on several links of a session at once, however they are cut', () => {
    const message = fc.record({
      link: fc.nat(2),
      size: fc.oneof(fc.nat(100), fc.nat(5_000)),
      parts: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), fc.constantFrom(1, 13, 700, Infinity), (messages, chunk) => {
        const pair = new Pair({}, { maxFrameSize: 700 });
        pair.chunk = chunk;
        const links = [pair.link(100), pair.link(100), pair.link(100)];
        // One message after the other on each link, their parts taking turns over all links.
        const queues = links.map((_, i) =>
          messages
            .filter((m) => m.link === i)
            .map((m, n) => ({ ...m, bytes: new Uint8Array(m.size).map((__, at) => (at * 7 + n) & 0xff) })),
        );
        for (let busy = true; busy;) {
          busy = false;
          for (const [i, { sender }] of links.entries()) {
            const item = queues[i]![0];
            if (item === undefined) continue;
            busy = true;
            const step = Math.ceil(item.size / item.parts);
            const at = (item as { at?: number }).at ?? 0;
            const end = Math.min(item.size, at + step);
            const last = end === item.size;
            if (sender.current === undefined) sender.send(undefined, 0, i === 2, undefined, item.bytes, at, end, last);
            else sender.resume(item.bytes, at, end, last);
            Object.assign(item, { at: end });
            if (last) queues[i]!.shift();
            pair.run();
          }
        }
        for (const [i, { receiving }] of links.entries()) {
          const sent = messages
            .filter((m) => m.link === i)
            .map((m, n) => new Uint8Array(m.size).map((_, at) => (at * 7 + n) & 0xff));
          assert.deepEqual(
            receiving.payloads.map((part) => Uint8Array.from(part)),
            sent,
          );
          assert.ok(receiving.deliveries.every((delivery) => delivery.complete && delivery.settled === (i === 2)));
        }
        assert.deepEqual([pair.c.errors, pair.s.errors], [[], []]);
      }),
      { numRuns: 60 },
    );
  });

  it('may repeat their id and end with an empty frame', () => {
    const p = new RawPeer().begin().sender(5);
    p.say(
      [transferOf(0, { more: true }), 0, text('a')],
      [transferOf(0, { more: true, deliveryTag: undefined }), 0, text('b')],
      { type: 'transfer', handle: 0 },
    );
    assert.deepEqual(p.recorder.receivers[0]!.payloads.map(String), ['ab']);
    assert.ok(p.recorder.receivers[0]!.deliveries[0]!.complete);
  });

  it('do not begin before the one before is whole', () => {
    const p = new RawPeer()
      .begin()
      .sender(5)
      .say(transferOf(0, { more: true }), transferOf(1));
    assert.ok(p.recorder.events.includes('end amqp:invalid-field'));
  });

  it('that are aborted are settled, complete and gone, and the next may follow', () => {
    const p = new RawPeer().begin().sender(5);
    p.say([transferOf(0, { more: true }), 0, text('half')], { type: 'transfer', handle: 0, aborted: true, more: true });
    const { deliveries, link } = p.recorder.receivers[0]!;
    assert.deepEqual([deliveries[0]!.aborted, deliveries[0]!.settled, deliveries[0]!.complete], [true, true, true]);
    assert.equal(link.session.incoming.size, 0);
    p.say([transferOf(1), 0, text('next')]);
    assert.equal(deliveries.length, 2);
    link.settle(deliveries[0]!, ACCEPTED);
    p.hear();
    assert.equal(link.session.incoming.size, 1);
  });

  it('that are aborted with their first frame are told as such', () => {
    const p = new RawPeer()
      .begin()
      .sender(5)
      .say(transferOf(0, { aborted: true }));
    assert.ok(p.recorder.receivers[0]!.deliveries[0]!.aborted);
    assert.equal(p.recorder.sessions[0]!.incoming.size, 0);
  });

  it('that are interrupted by a detach stay incomplete, and the session goes on', () => {
    const p = new RawPeer()
      .begin()
      .sender(5)
      .say([transferOf(0, { more: true }), 0, text('half')], { type: 'detach', handle: 0, closed: true });
    assert.equal(p.recorder.receivers[0]!.deliveries[0]!.complete, false);
    assert.equal(p.recorder.sessions[0]!.incoming.size, 0);
    p.sender(5, { name: 'again' }).say(transferOf(1));
    assert.equal(p.recorder.receivers[1]!.deliveries.length, 1);
  });

  it('are aborted by a frame that waits for the window of the peer, and the next waits behind it', () => {
    const p = new RawPeer().begin({ incomingWindow: 1 }).receiver(5, {}, { incomingWindow: 1 });
    const sending = p.recorder.senders[0]!;
    const { link } = sending;
    partOf(link, text('half'));
    assert.equal(transfers(p).length, 1);
    link.abort();
    assert.deepEqual(transfers(p), [], 'no frame beyond the window');
    assert.deepEqual([link.sendable, link.resumable, link.resume(text('x'), 0, 1, true)], [false, false, 0]);
    const before = sending.sendables;
    p.say(flowOf({ nextIncomingId: 1, incomingWindow: 3 }));
    assert.deepEqual(
      transfers(p).map(({ aborted }) => aborted),
      [true],
    );
    assert.equal(link.current, undefined);
    assert.equal(sending.sendables, before + 1);
    sendText(link, 'next');
    assert.equal(transfers(p)[0]!.deliveryId, 1);
    assert.equal(link.session.outgoing.size, 1);
  });

  it('that wait to be aborted are forgotten with their link', () => {
    const p = new RawPeer().begin({ incomingWindow: 1 }).receiver(5, {}, { incomingWindow: 1 });
    const { link } = p.recorder.senders[0]!;
    partOf(link, text('half'));
    link.abort();
    p.say({ type: 'detach', handle: 0, closed: true }, flowOf({ nextIncomingId: 1, incomingWindow: 9 }));
    assert.deepEqual(p.types(), ['transfer', 'detach']);
    assert.equal(link.current, undefined);
  });

  it('wait for a socket that is behind, and go on when it has caught up', () => {
    const p = new RawPeer({ outputMax: 10_000 })
      .begin({ incomingWindow: 10_000 })
      .receiver(5, {}, { incomingWindow: 10_000 });
    const sending = p.recorder.senders[0]!;
    const big = new Uint8Array(1_000_000);
    sending.link.send(undefined, 0, false, undefined, big, 0, big.length, true);
    let sent = sending.link.sentBytes;
    assert.ok(sent < 200_000, `${sent} bytes at once`);
    while (sent < big.length) {
      const before = sending.sendables;
      p.hear();
      assert.ok(sending.sendables > before, 'told that there is room');
      const more = sending.link.resume(big, sent, big.length, true);
      assert.ok(more > 0);
      sent += more;
    }
    assert.equal(sending.link.current, undefined);
  });
});

describe('settling (2.6.12)', () => {
  const modes: readonly (readonly [string, AttachParameters, boolean])[] = [
    ['settled by the sender', { sndSettleMode: 1 }, true],
    ['unsettled, first', { sndSettleMode: 0, rcvSettleMode: 0 }, false],
    ['unsettled, second', { sndSettleMode: 0, rcvSettleMode: 1 }, false],
    ['mixed', { sndSettleMode: 2 }, false],
  ];
  for (const [name, parameters, settled] of modes) {
    for (const state of [
      ACCEPTED,
      RELEASED,
      MODIFIED_FAILED,
      { type: 'rejected', error: { condition: 'amqp:not-found' } },
    ] as DeliveryState[]) {
      it(`${name}: ${'type' in state ? state.type : ''}, and nothing is left on either side`, () => {
        const pair = new Pair();
        const { sender, sending, receiver, receiving } = pair.link(10, parameters as Record<string, unknown>);
        assert.deepEqual(
          [receiver.sndSettleMode, receiver.rcvSettleMode],
          [parameters.sndSettleMode ?? 2, parameters.rcvSettleMode ?? 0],
        );
        sendText(sender, 'x', settled);
        pair.run();
        const delivery = receiving.deliveries[0]!;
        assert.equal(delivery.settled, settled);
        if (receiver.rcvSettleMode === 1) {
          receiver.update(delivery, state);
          pair.run();
          assert.equal(sending.outcomes[0]!.settled, false);
          sender.settle(sender.session.unsettledOf(sender)[0]!, sending.outcomes[0]!.state);
          pair.run();
          assert.equal(receiving.remoteStates[0]!.settled, true);
        } else {
          receiver.settle(delivery, state);
          pair.run();
          assert.equal(sending.outcomes.length, settled ? 0 : 1);
        }
        assert.deepEqual([sender.session.outgoing.size, receiver.session.incoming.size], [0, 0]);
        assert.ok(delivery.settled);
      });
    }
  }

  it('by the sender leaves it to a receiver that judges what is settled; the sender hears nothing of that', () => {
    const p = new RawPeer().begin().sender(5);
    const { deliveries, link } = p.recorder.receivers[0]!;
    link.judgesSettled = true;
    p.say(transferOf(0, { settled: true }), transferOf(1, { more: true }), {
      type: 'transfer',
      handle: 0,
      settled: true,
    });
    assert.deepEqual(
      deliveries.map(({ settled, complete }) => [settled, complete]),
      [
        [false, true],
        [false, true],
      ],
    );
    assert.equal(link.session.incoming.size, 2);
    link.update(deliveries[0]!, RELEASED);
    link.settle(deliveries[0]!, RELEASED);
    link.settle(deliveries[1]!, ACCEPTED);
    assert.deepEqual(
      deliveries.map(({ settled, localState }) => [settled, localState]),
      [
        [true, RELEASED],
        [true, ACCEPTED],
      ],
    );
    assert.equal(link.session.incoming.size, 0);
    assert.deepEqual(p.types(), []);
  });

  it('by the sender in mid-message is taken, and by the receiver too', () => {
    const p = new RawPeer()
      .begin()
      .sender(5)
      .say(transferOf(0, { more: true }), { type: 'transfer', handle: 0, more: true, settled: true });
    const { deliveries, link } = p.recorder.receivers[0]!;
    assert.ok(deliveries[0]!.settled && !deliveries[0]!.complete);
    assert.equal(link.session.incoming.size, 0);
    p.say({ type: 'transfer', handle: 0 });
    assert.ok(deliveries[0]!.complete);
    link.settle(deliveries[0]!, ACCEPTED);
    assert.deepEqual(p.types(), []);

    p.say(transferOf(1, { more: true }));
    link.settle(deliveries[1]!, RELEASED);
    p.say({ type: 'transfer', handle: 0, more: true }, { type: 'transfer', handle: 0 });
    assert.deepEqual(p.types(), ['disposition']);
    assert.ok(deliveries[1]!.complete);
  });

  it('of what we send in mid-message is taken: the rest goes out as settled, or is aborted', () => {
    const p = new RawPeer().begin().receiver(5);
    const { link, outcomes } = p.recorder.senders[0]!;
    partOf(link, text('half'));
    p.say({ type: 'disposition', role: true, first: 0, settled: true, state: RELEASED });
    assert.equal(outcomes.length, 1);
    link.resume(text('rest'), 0, 4, true);
    assert.deepEqual(
      transfers(p).map(({ settled }) => settled),
      [false, true],
    );
    partOf(link, text('half'));
    p.say({ type: 'disposition', role: true, first: 1, settled: true, state: RELEASED });
    link.abort();
    assert.deepEqual(
      transfers(p).map(({ aborted }) => aborted ?? false),
      [false, true],
    );
  });

  it('is done once', () => {
    const p = new RawPeer().begin().sender(5).receiver(5, { handle: 1 }).say(transferOf(0));
    const { deliveries, link } = p.recorder.receivers[0]!;
    link.settle(deliveries[0]!, ACCEPTED);
    link.settle(deliveries[0]!, RELEASED);
    link.update(deliveries[0]!, RELEASED);
    const sender = p.recorder.senders[0]!.link;
    const delivery = sendText(sender, 'x');
    sender.settle(delivery, ACCEPTED);
    sender.settle(delivery, RELEASED);
    assert.deepEqual(
      p
        .hear()
        .map(({ frame }) => frame)
        .filter((frame): frame is Disposition => frame.type === 'disposition')
        .map(({ role, first }) => [role, first]),
      [
        [true, 0],
        [false, 0],
      ],
    );
  });

  it("by the receiver in the peer's name is not ours to say: a disposition of the wrong role changes nothing", () => {
    const p = new RawPeer()
      .begin()
      .sender(5)
      .say(transferOf(0), { type: 'disposition', role: true, first: 0, settled: true, state: ACCEPTED });
    assert.equal(p.recorder.receivers[0]!.deliveries[0]!.settled, false);
    assert.equal(p.recorder.sessions[0]!.incoming.size, 1);
  });
});

describe('max-message-size (2.7.3)', () => {
  it('is kept by the frame that passes it, with the reason, and no frame behind it is told', () => {
    const p = new RawPeer();
    p.begin().say({
      type: 'attach',
      name: 'in',
      handle: 0,
      role: false,
      source: { type: 'source' },
      target: { type: 'target' },
    });
    const receiving = p.recorder.receivers[0]!;
    receiving.link.maxMessageSize = 10;
    receiving.link.addCredit(5);
    p.hear();
    p.say([transferOf(0), 0, new Uint8Array(10)]);
    assert.equal(receiving.deliveries.length, 1);
    p.say(
      [transferOf(1, { more: true }), 0, new Uint8Array(6)],
      [{ type: 'transfer', handle: 0, more: true }, 0, new Uint8Array(6)],
      [{ type: 'transfer', handle: 0 }, 0, new Uint8Array(6)],
    );
    assert.equal(receiving.frames, 2);
    assert.equal(receiving.detached?.error?.condition, 'amqp:link:message-size-exceeded');
    const [detach] = p.hear().map(({ frame }) => frame);
    assert.ok(detach?.type === 'detach' && detach.error?.condition === 'amqp:link:message-size-exceeded');
  });

  it('of the peer is told to who sends', () => {
    const p = new RawPeer().begin().receiver(1, { maxMessageSize: 4_000n });
    assert.equal(p.recorder.senders[0]!.link.remoteMaxMessageSize, 4_000n);
  });
});
