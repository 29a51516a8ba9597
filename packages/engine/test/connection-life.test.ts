// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LocalProtocolError, protocolHeader } from '@pointsman/wire';
import type { Close, Open } from '@pointsman/wire';
import { Connection } from '../src/index.js';
import type { ConnectionEnd } from '../src/index.js';
import { Pair, RecordingSender, Recorder, sendText } from './pair.js';
import { HEADER, RawPeer, flowOf, frameOf, transferOf } from './raw-peer.js';

const BEGIN = { type: 'begin', nextOutgoingId: 0, incomingWindow: 100, outgoingWindow: 100 } as const;
const ATTACH = {
  type: 'attach',
  name: 'in',
  handle: 0,
  role: false,
  source: { type: 'source' },
  target: { type: 'target', address: 'q' },
} as const;
const endOf = (p: RawPeer): ConnectionEnd | undefined => p.recorder.end;
const closeOf = (p: RawPeer): Close | undefined =>
  p
    .hear()
    .map(({ frame }) => frame)
    .find((frame): frame is Close => frame.type === 'close');

describe('opening (2.4.1, 2.4.2)', () => {
  it('answers a client that sends header, open, begin, attach and flow before it has read anything', () => {
    const p = new RawPeer().say(
      HEADER,
      { type: 'open', containerId: 'c' },
      BEGIN,
      { ...ATTACH, role: true },
      flowOf({ handle: 0, deliveryCount: 0, linkCredit: 5 }),
    );
    assert.deepEqual(p.types(), ['header', 'open', 'begin', 'attach']);
    assert.equal(p.recorder.senders[0]!.link.credit, 5);
  });

  it('answers one that even closes before it has read anything', () => {
    const p = new RawPeer().say(HEADER, { type: 'open', containerId: 'c' }, BEGIN, ATTACH, { type: 'close' });
    assert.deepEqual(p.types(), ['header', 'open', 'begin', 'attach', 'close']);
    assert.equal(p.recorder.end?.by, 'remote');
    assert.ok(p.recorder.receivers[0]!.lost);
  });

  it('sends the open itself where the handler only answers the begin, or nothing', () => {
    class Lazy extends Recorder {
      override onOpen(): void {
        this.events.push('open');
      }
    }
    const recorder = new Lazy();
    const connection = new Connection({ role: 'server', containerId: 'c', now: 0 }, recorder);
    connection.receive(
      Uint8Array.from([...HEADER, ...frameOf({ type: 'open', containerId: 'c' }), ...frameOf(BEGIN)]),
      0,
    );
    assert.equal(connection.state, 'OPENED');
    const closing = new Connection({ role: 'server', containerId: 'c', now: 0 }, new Lazy());
    closing.receive(
      Uint8Array.from([...HEADER, ...frameOf({ type: 'open', containerId: 'c' }), ...frameOf({ type: 'close' })]),
      0,
    );
    assert.equal(closing.ended?.by, 'remote');
  });

  it('is a breach without an open first', () => {
    const p = new RawPeer().say(HEADER, BEGIN);
    assert.equal(endOf(p), undefined, 'the close is out, the answer is waited for');
    const close = closeOf(p);
    assert.equal(close?.error?.condition, 'amqp:illegal-state');
    p.say({ type: 'close' });
    assert.equal(p.recorder.end?.by, 'protocol');
  });

  it('is a breach twice', () => {
    const p = new RawPeer().open().say({ type: 'open', containerId: 'again' });
    assert.equal(closeOf(p)?.error?.condition, 'amqp:illegal-state');
  });

  it('is a breach with frames of less than 512 bytes', () => {
    const p = new RawPeer().say(HEADER, { type: 'open', containerId: 'c', maxFrameSize: 511 });
    assert.equal(closeOf(p)?.error?.condition, 'amqp:invalid-field');
  });

  it('keeps its frames to what a buffer takes, however large those are that the peer takes', () => {
    for (const maxFrameSize of [undefined, 0xffffffff, 1 << 20]) {
      const p = new RawPeer().begin({ incomingWindow: 0xffffffff }, { maxFrameSize }).receiver(1);
      const { link } = p.recorder.senders[0]!;
      const bytes = new Uint8Array(300_000);
      link.send(undefined, 0, false, undefined, bytes, 0, bytes.length, true);
      for (let sent = link.sentBytes; sent < bytes.length; sent += link.resume(bytes, sent, bytes.length, true))
        p.hear();
      for (const { size } of p.hear()) assert.ok(size <= 65_536);
    }
  });

  it('says once what the open says, whoever asks', () => {
    const p = new RawPeer({ maxFrameSize: 4_096, channelMax: 3, hostname: 'h', padded: true }).say(HEADER);
    p.connection.open({ containerId: 'other' });
    p.connection.open();
    p.say({ type: 'open', containerId: 'c' });
    const [, open] = p.hear();
    const { containerId, maxFrameSize, channelMax, hostname } = open!.frame as Open;
    assert.deepEqual([containerId, maxFrameSize, channelMax, hostname], ['other', 4_096, 3, 'h']);
    assert.deepEqual(p.types(), []);
  });
});

describe('protocol headers (2.2)', () => {
  it('of another version are answered with ours, and that is all', () => {
    const p = new RawPeer({ saslServer: { mechanisms: ['PLAIN'], optional: false } }).say(
      Uint8Array.from(Buffer.from('AMQP\x00\x00\x09\x01', 'latin1')),
    );
    assert.deepEqual(
      p.hear().map(({ frame }) => frame),
      [{ type: 'header', id: 3 }],
    );
    assert.equal(p.recorder.end?.by, 'protocol');
    assert.match(p.recorder.end?.error?.description ?? '', /AMQP version 0-0-9-1/);
    assert.ok(p.connection.done);
  });

  it('for TLS are refused where there is none', () => {
    const p = new RawPeer().say(protocolHeader(2));
    assert.match(p.recorder.end?.error?.description ?? '', /no TLS/);
  });

  it('of a server that insists on another protocol are named to the client', () => {
    for (const [id, said] of [
      [2, /insists on TLS/],
      [3, /insists on SASL/],
      [1, /protocol id 1/],
    ] as const) {
      const p = new RawPeer({ role: 'client' }).say(protocolHeader(id));
      assert.equal(p.recorder.end?.by, 'protocol');
      assert.equal(p.recorder.end.phase, 'sasl');
      assert.match(p.recorder.end.error?.description ?? '', said);
    }
    const p = new RawPeer({ role: 'client', saslClient: { mechanisms: ['ANONYMOUS'] } }).say(HEADER);
    assert.match(p.recorder.end?.error?.description ?? '', /insists on plain AMQP/);
  });
});

describe('closing (2.4.3)', () => {
  it('by both at once ends both, each by its own will', () => {
    const pair = new Pair().run();
    pair.client.close();
    pair.server.close({ condition: 'amqp:connection:forced' });
    pair.run();
    assert.deepEqual([pair.c.end?.by, pair.s.end?.by], ['local', 'local']);
    assert.ok(pair.client.done && pair.server.done);
  });

  it('is done once: a second close, with or without error, says nothing', () => {
    const p = new RawPeer().open();
    p.connection.close();
    p.connection.close({ condition: 'amqp:internal-error' });
    assert.deepEqual(p.types(), ['close']);
    p.say({ type: 'close' });
    p.connection.close();
    p.connection.abort();
    assert.deepEqual(p.types(), []);
    assert.equal(p.recorder.events.filter((e) => e.startsWith('closed')).length, 1);
  });

  it('discards what was under way, right or wrong, until the close of the peer', () => {
    for (const error of [undefined, { condition: 'amqp:connection:forced' }]) {
      const p = new RawPeer().begin().sender(5);
      p.connection.close(error);
      p.say(
        transferOf(0),
        [BEGIN, 7],
        ATTACH,
        { type: 'open', containerId: 'x' },
        Uint8Array.of(0, 0, 0, 12, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff),
        { type: 'end' },
      );
      assert.deepEqual(p.recorder.errors, []);
      assert.equal(p.recorder.receivers[0]!.deliveries.length, 0);
      assert.equal(p.recorder.sessions.length, 1);
      p.say({ type: 'close' });
      assert.equal(p.recorder.end?.by, 'local');
      assert.deepEqual(p.types(), ['close']);
    }
  });

  it('after a breach still finds the close of the peer in what follows', () => {
    const p = new RawPeer().begin().sender(1);
    p.say([{ type: 'flow', incomingWindow: 1, nextOutgoingId: 0, outgoingWindow: 1 }, 9], transferOf(0), {
      type: 'close',
    });
    assert.equal(p.recorder.end?.by, 'protocol');
    assert.equal(p.recorder.errors.length, 1);
    assert.deepEqual(p.types(), ['close']);
  });

  it('does not wait for a peer whose frames cannot be told apart any more', () => {
    const p = new RawPeer().open().say(Uint8Array.of(0, 0, 0, 1, 2, 0, 0, 0));
    assert.equal(p.recorder.end?.by, 'protocol');
    assert.ok(p.connection.done);
    assert.equal(closeOf(p)?.error?.condition, 'amqp:connection:framing-error');
  });

  it('waits so long and no longer for the answer', () => {
    const p = new RawPeer({ closeTimeoutMs: 700 }).open();
    p.connection.close();
    assert.equal(p.connection.deadline(), 1_700);
    p.connection.tick(1_699);
    assert.ok(!p.connection.done);
    p.connection.tick(1_700);
    assert.ok(p.connection.done);
    assert.equal(p.connection.deadline(), undefined);
  });

  it('before the peer has spoken ends at once', () => {
    const p = new RawPeer({ role: 'client' });
    p.connection.close();
    assert.equal(p.recorder.end?.by, 'local');
    assert.equal(p.recorder.end.phase, 'sasl');
  });

  it('between our open and that of the peer is a close behind an open (CLOSE_PIPE)', () => {
    const p = new RawPeer({ role: 'client' }).say(HEADER);
    p.connection.close();
    assert.deepEqual(p.types(), ['header', 'open', 'close']);
    assert.equal(p.connection.state, 'CLOSE_PIPE');
    p.say({ type: 'open', containerId: 's' });
    assert.equal(p.recorder.open, undefined, 'nobody is told of an open that comes too late');
    p.say({ type: 'close' });
    assert.equal(p.recorder.end?.by, 'local');
  });

  it('lets nothing begin afterwards', () => {
    const p = new RawPeer().begin();
    const session = p.recorder.sessions[0]!;
    p.connection.close();
    assert.throws(() => p.connection.session(), LocalProtocolError);
    assert.throws(() => session.attachSender('x', new RecordingSender(), {}), LocalProtocolError);
    session.end();
    session.sendSessionFlow(true);
    session.holdWindow();
    session.releaseWindow();
    assert.deepEqual(p.types(), ['close']);
    assert.deepEqual(p.connection.sessions, []);
  });

  it('says nothing behind the close, whatever is done by those who are told of it', () => {
    const pair = new Pair();
    const { sender, receiver, receiving } = pair.link(5);
    sendText(sender, 'x');
    pair.run();
    const { session } = receiver;
    receiving.onLost = (): void => {
      receiving.lost = true;
      receiver.settle(receiving.deliveries[0]!, undefined);
      receiver.addCredit(100);
      receiver.detach();
      session.sendSessionFlow();
      session.end();
      pair.server.close();
    };
    pair.client.close();
    pair.run();
    assert.ok(receiving.lost);
    assert.equal(pair.s.end?.by, 'remote');
    assert.equal(pair.c.end?.by, 'local');
    assert.deepEqual(pair.c.errors, []);
  });

  it('says nothing behind the close on another session either, by those who are told of the loss of a link', () => {
    for (const ends of [
      (p: RawPeer): void => p.connection.close(),
      (p: RawPeer): void => void p.say({ type: 'close' }),
      (p: RawPeer): void => void p.say(Uint8Array.of(0, 0, 0, 0, 2, 0, 0, 0)),
    ]) {
      const p = new RawPeer().begin().sender(5).say([BEGIN, 1]);
      p.say([{ ...ATTACH, name: 'out', role: true }, 1], [flowOf({ handle: 0, deliveryCount: 0, linkCredit: 5 }), 1]);
      const [receiving, sending] = [p.recorder.receivers[0]!, p.recorder.senders[0]!];
      const other = sending.link.session;
      assert.ok(sending.link.sendable);
      let told = 0;
      receiving.onLost = (): void => {
        told++;
        assert.equal(sending.link.sendable, false);
        other.sendSessionFlow();
        sending.link.drained();
        sending.link.detach();
        other.end();
      };
      p.hear();
      ends(p);
      assert.deepEqual(p.types(), ['close']);
      assert.equal(told, 1);
      assert.ok(sending.lost);
    }
  });

  it('aborts without a word', () => {
    const p = new RawPeer().begin().sender(1);
    p.connection.abort();
    assert.deepEqual(p.types(), []);
    assert.ok(p.connection.done && p.recorder.receivers[0]!.lost);
  });

  it('reads nothing that comes after the end', () => {
    const p = new RawPeer().open().say({ type: 'close' });
    p.hear();
    p.say(BEGIN, Uint8Array.of(1, 2, 3));
    p.connection.tick(1e9);
    p.connection.receiveEnd(1e9);
    assert.deepEqual(p.types(), []);
    assert.equal(p.recorder.errors.length, 0);
  });
});

describe('idle time-outs (2.4.5)', () => {
  it('sends an empty frame at half of what the peer advertised, to the millisecond, and only after silence', () => {
    const p = new RawPeer().open({ idleTimeOut: 1_000 });
    assert.equal(p.connection.deadline(), 1_500);
    p.connection.tick(1_499);
    assert.deepEqual(p.types(), []);
    p.now = 1_500;
    p.connection.tick(1_500);
    assert.deepEqual(p.types(), ['empty']);
    assert.equal(p.connection.deadline(), 2_000);
    p.now = 1_800;
    p.connection.session();
    assert.deepEqual(p.types(), ['begin']);
    assert.equal(p.connection.deadline(), 2_300, 'what is said anyway counts');
  });

  it('closes after the silence that is enforced, which is twice of what is advertised', () => {
    const p = new RawPeer({ idleTimeoutMs: 2_001 }).say(HEADER, { type: 'open', containerId: 'c' });
    assert.equal((p.hear()[1]!.frame as Open).idleTimeOut, 1_000);
    assert.equal(p.connection.deadline(), 3_001);
    p.now = 2_000;
    p.say(Uint8Array.of(0, 0, 0, 8, 2, 0, 0, 0));
    assert.equal(p.connection.deadline(), 4_001, 'an empty frame is a sign of life');
    p.connection.tick(4_000);
    assert.equal(endOf(p), undefined);
    p.connection.tick(4_001);
    assert.equal(p.recorder.end?.by, 'idle');
    assert.deepEqual(p.types(), ['close']);
    assert.ok(p.connection.done);
  });

  it('takes part of a frame as a sign of life', () => {
    const p = new RawPeer({ idleTimeoutMs: 2_000 }).open();
    p.now = 2_500;
    p.say(Uint8Array.of(0, 0, 0));
    assert.equal(p.connection.deadline(), 4_500);
  });

  it('may be as long as its type allows', () => {
    for (const idleTimeOut of [0x7fffffff, 0x80000000, 0xffffffff]) {
      const p = new RawPeer().open({ idleTimeOut });
      assert.equal(p.connection.deadline(), 1_000 + Math.floor(idleTimeOut / 2));
      p.connection.tick(1_000_000);
      assert.deepEqual(p.types(), []);
    }
  });

  it('is never kept for 0 ms, and refused where it is shorter than can be kept', () => {
    assert.equal(new RawPeer().open({ idleTimeOut: 0 }).connection.deadline(), undefined);
    const p = new RawPeer().say(HEADER, { type: 'open', containerId: 'c', idleTimeOut: 1 });
    const close = closeOf(p);
    assert.equal(close?.error?.condition, 'amqp:not-allowed');
    assert.match(close?.error?.description ?? '', /idle-time-out 1 ms is too short/);
  });

  it('does not heap heartbeats up for a peer that does not read', () => {
    const p = new RawPeer().open({ idleTimeOut: 1_000 });
    for (let i = 0; i < 1_000; i++) p.connection.tick(p.connection.deadline()!);
    assert.ok(p.connection.output.backlog <= 8);
  });

  it('takes a peer that reads slowly for alive, as long as we take no input', () => {
    const p = new RawPeer({ idleTimeoutMs: 10_000, outputMax: 1_000 }).begin().receiver(100);
    const { link } = p.recorder.senders[0]!;
    const bytes = new Uint8Array(10_000);
    link.send(undefined, 0, false, undefined, bytes, 0, bytes.length, true);
    assert.ok(p.connection.congested);
    const out = p.connection.takeOutput(1_000)!;
    p.connection.releaseOutput(out, 9_000);
    assert.ok(!p.connection.congested);
    assert.equal(p.connection.deadline(), 19_000);
  });

  it('sends no heartbeat before our own open', () => {
    class Silent extends Recorder {
      override onOpen(): void {
        this.events.push('open');
      }
    }
    const connection = new Connection(
      { role: 'server', containerId: 'c', now: 0, handshakeTimeoutMs: 0 },
      new Silent(),
    );
    connection.receive(
      Uint8Array.from([...HEADER, ...frameOf({ type: 'open', containerId: 'c', idleTimeOut: 1_000 })]),
      0,
    );
    assert.equal(connection.deadline(), undefined);
    connection.open();
    assert.equal(connection.deadline(), 500);
  });
});

describe('the time for opening', () => {
  it('ends at the deadline in every phase, and never otherwise', () => {
    const phases: readonly (readonly [string, (p: RawPeer) => void])[] = [
      ['header', () => undefined],
      ['open', (p) => void p.say(HEADER)],
      ['sasl', (p) => void p.say(protocolHeader(3))],
    ];
    for (const [phase, reach] of phases) {
      const p = new RawPeer({ handshakeTimeoutMs: 4_000 });
      p.now = 3_000;
      reach(p);
      assert.equal(p.connection.deadline(), 5_000, phase);
      p.connection.tick(4_999);
      assert.equal(endOf(p), undefined);
      p.connection.tick(5_000);
      assert.equal(p.recorder.end?.by, 'idle');
      assert.equal(p.recorder.end.phase, phase);
      assert.equal(p.connection.deadline(), undefined);
    }
    const open = new RawPeer({ handshakeTimeoutMs: 4_000 }).open();
    open.connection.tick(1e9);
    assert.equal(endOf(open), undefined);
  });
});

describe('waking the driver (the contract of an endpoint)', () => {
  it('happens once until the output is taken, and not for what is added while it is taken', () => {
    const p = new RawPeer().begin().sender(5);
    let woken = 0;
    p.connection.wake = (): void => void woken++;
    const { link, deliveries } = p.recorder.receivers[0]!;
    p.say(transferOf(0), transferOf(1));
    assert.equal(woken, 0);
    link.settle(deliveries[0]!, undefined);
    link.settle(deliveries[1]!, undefined);
    link.addCredit(5);
    assert.equal(woken, 1);
    assert.deepEqual(p.types(), ['disposition', 'flow']);
    assert.equal(woken, 1);
    p.connection.session();
    assert.equal(woken, 2);
    assert.equal(p.connection.now, p.now);
  });
});

describe('performatives with descriptors by name (1.4)', () => {
  it('are taken like any others', () => {
    const named = (frame: Uint8Array, name: string): Uint8Array => {
      const text = [...Buffer.from(`amqp:${name}:list`)];
      const bytes = Uint8Array.from([...frame.slice(0, 9), 0xa3, text.length, ...text, ...frame.slice(11)]);
      bytes[3] = bytes.length;
      return bytes;
    };
    const p = new RawPeer();
    p.say(
      HEADER,
      named(frameOf({ type: 'open', containerId: 'c' }), 'open'),
      named(frameOf(BEGIN), 'begin'),
      named(frameOf({ ...ATTACH, role: true }), 'attach'),
    );
    p.say(named(frameOf(flowOf({ handle: 0, deliveryCount: 0, linkCredit: 5 })), 'flow'));
    const sending = p.recorder.senders[0]!;
    const { id } = sendText(sending.link, 'x');
    p.say(named(frameOf({ type: 'disposition', role: true, first: id, settled: true }), 'disposition'));
    assert.deepEqual(sending.outcomes, [{ id, state: undefined, settled: true }]);
    p.sender(1, { handle: 1 });
    p.say(named(frameOf(transferOf(0, { handle: 1 })), 'transfer'));
    assert.equal(p.recorder.receivers[0]!.deliveries.length, 1);
    p.hear();
    p.say(
      named(frameOf({ type: 'detach', handle: 0, closed: true }), 'detach'),
      named(frameOf({ type: 'end' }), 'end'),
      named(frameOf({ type: 'close' }), 'close'),
    );
    assert.deepEqual(p.types(), ['detach', 'end', 'close']);
    assert.deepEqual(p.recorder.errors, []);
    p.connection.close();
    const closing = new RawPeer().open();
    closing.connection.close();
    closing.say(named(frameOf({ type: 'close' }), 'close'));
    assert.equal(closing.recorder.end?.by, 'local');
  });
});

describe('channels (2.5.1)', () => {
  it('beyond our channel-max are a framing error', () => {
    const p = new RawPeer({ channelMax: 2 }).open().say([BEGIN, 2], [BEGIN, 3]);
    assert.equal(closeOf(p)?.error?.condition, 'amqp:connection:framing-error');
  });

  it('beyond the channel-max of the peer are not used', () => {
    const p = new RawPeer().open({ channelMax: 1 });
    p.connection.session();
    p.connection.session();
    assert.throws(
      () => p.connection.session(),
      (error) => error instanceof LocalProtocolError && error.condition === 'amqp:resource-limit-exceeded',
    );
    assert.equal(p.hear().length, 2);
  });

  it('take one session each', () => {
    const p = new RawPeer().begin().say(BEGIN);
    assert.equal(closeOf(p)?.error?.condition, 'amqp:not-allowed');
  });

  it('without a session are a breach', () => {
    for (const frame of [
      transferOf(0),
      flowOf(),
      ATTACH,
      { type: 'end' } as const,
      { type: 'disposition', role: true, first: 0 } as const,
    ]) {
      assert.equal(closeOf(new RawPeer().open().say(frame))?.error?.condition, 'amqp:not-allowed', frame.type);
    }
  });

  it('take the answer to a detach of ours that the end of the session has crossed, and nothing else behind an end', () => {
    const detach = { type: 'detach', handle: 0, closed: true } as const;
    const crossed = new RawPeer().begin().say({ type: 'end' }, detach, detach);
    assert.equal(closeOf(crossed), undefined);
    crossed.say(BEGIN);
    assert.equal(crossed.connection.sessions.length, 1);
    for (const frame of [transferOf(0), flowOf(), ATTACH, { type: 'end' } as const]) {
      const p = new RawPeer().begin().say({ type: 'end' }, frame);
      assert.equal(closeOf(p)?.error?.condition, 'amqp:not-allowed', frame.type);
    }
    for (const [channel, p] of [
      [0, new RawPeer().open()],
      [1, new RawPeer().begin().say({ type: 'end' })],
    ] as const)
      assert.equal(closeOf(p.say([detach, channel]))?.error?.condition, 'amqp:not-allowed', 'where none was');
  });

  it('answer no begin that was not asked for, nor twice', () => {
    assert.equal(
      closeOf(new RawPeer().open().say({ ...BEGIN, remoteChannel: 0 }))?.error?.condition,
      'amqp:not-allowed',
    );
    const p = new RawPeer().open();
    p.connection.session();
    p.say({ ...BEGIN, remoteChannel: 0 }, [{ ...BEGIN, remoteChannel: 0 }, 1]);
    assert.equal(closeOf(p)?.error?.condition, 'amqp:not-allowed');
  });

  it('are free again once both sides have ended the session, from either side time and again', () => {
    const p = new RawPeer({ channelMax: 0 }).open({ channelMax: 0 });
    for (let i = 0; i < 1_000; i++) {
      p.say(BEGIN);
      p.say({ type: 'end' });
      const session = p.connection.session();
      p.say({ ...BEGIN, remoteChannel: 0 });
      session.end();
      p.say({ type: 'end' });
      if (i % 100 === 0) p.hear();
    }
    assert.deepEqual(p.connection.sessions, []);
    assert.equal(endOf(p), undefined);
  });

  it('of an ended session stay taken until the peer has ended it too', () => {
    const p = new RawPeer().begin();
    p.recorder.sessions[0]!.end();
    const next = p.connection.session();
    assert.equal(next.channel, 1);
    p.say({ type: 'end' });
    assert.equal(p.connection.session().channel, 0);
  });
});
