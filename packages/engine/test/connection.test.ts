// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from '../src/index.js';
import { Pair, RecordingSender, sendText, text } from './pair.js';

describe('connection endpoint (2.4)', () => {
  it('opens, and each side learns what the other said', () => {
    const pair = new Pair({ hostname: 'example', idleTimeoutMs: 16_000 }).run();
    assert.equal(pair.s.open?.containerId, 'client');
    assert.equal(pair.s.open?.hostname, 'example');
    assert.equal(pair.c.open?.containerId, 'server');
    assert.equal(pair.s.open?.idleTimeOut, 8_000, 'half of what is enforced is advertised');
  });

  it('opens however the stream is cut', () => {
    for (const chunk of [1, 3, 7, 8, 9, 64]) {
      const pair = new Pair({ saslClient: { mechanisms: ['ANONYMOUS'] } });
      pair.chunk = chunk;
      const { sender, receiving } = pair.link();
      sendText(sender, 'hello');
      pair.run();
      assert.deepEqual(receiving.payloads, [text('hello')], `in pieces of ${chunk}`);
    }
  });

  it('closes both ways', () => {
    const pair = new Pair().run();
    pair.client.close();
    pair.run();
    assert.equal(pair.c.end?.by, 'local');
    assert.equal(pair.s.end?.by, 'remote');
    assert.ok(pair.client.done && pair.server.done);
  });

  it('tells an error with the close', () => {
    const pair = new Pair().run();
    pair.server.close({ condition: 'amqp:connection:forced', description: 'maintenance' });
    pair.run();
    assert.equal(pair.c.end?.by, 'remote');
    assert.equal(pair.c.end?.error?.condition, 'amqp:connection:forced');
    assert.equal(pair.c.end?.error?.description, 'maintenance');
  });

  it('does not wait for ever for the answer to a close', () => {
    const pair = new Pair().run();
    pair.client.close();
    assert.notEqual(pair.client.deadline(), undefined);
    pair.client.tick(pair.now + 60_000);
    assert.equal(pair.c.end?.by, 'local');
    assert.ok(pair.client.done);
  });

  it('sends heartbeats at half of what the peer advertised, so that an idle connection lives', () => {
    const pair = new Pair({ idleTimeoutMs: 10_000 }, { idleTimeoutMs: 30_000 }).run();
    pair.advance(600_000);
    assert.equal(pair.c.end, undefined);
    assert.equal(pair.s.end, undefined);
  });

  it('closes when the peer falls silent', () => {
    const pair = new Pair({ idleTimeoutMs: 10_000 }).run();
    pair.client.tick(pair.now + 9_999);
    assert.ok(!pair.client.done);
    pair.client.tick(pair.now + 10_000);
    assert.equal(pair.c.end?.by, 'idle');
    assert.equal(pair.c.end?.error?.condition, 'amqp:resource-limit-exceeded');
  });

  it('gives up on a peer that never opens', () => {
    const pair = new Pair({}, { handshakeTimeoutMs: 5_000 });
    pair.server.tick(pair.now + 5_000);
    assert.equal(pair.s.end?.error?.description, 'Timeout waiting for initial handshake');
    assert.ok(pair.server.done);
  });

  it('reports a socket that went away, once', () => {
    const pair = new Pair().run();
    pair.client.receiveEnd(pair.now, new Error('ECONNRESET'));
    pair.client.receiveEnd(pair.now);
    assert.deepEqual(
      pair.c.events.filter((e) => e.startsWith('closed')),
      ['closed by lost'],
    );
  });

  it('answers something that is not AMQP with the header it wants, and names what came', () => {
    const pair = new Pair();
    pair.server.receive(text('GET / HTTP/1.1\r\n\r\n'), pair.now);
    assert.equal(pair.s.end?.by, 'protocol');
    assert.match(pair.s.end?.error?.description ?? '', /HTTP/);
    assert.ok(pair.server.done);
  });
});

describe('SASL (5.3)', () => {
  const check = (request: {
    username: string;
    password: string | undefined;
    authorizationId: string;
  }): { ok: boolean; user: string } => ({
    ok: request.username === 'ann' && request.password === 'secret' && request.authorizationId === '',
    user: request.username,
  });

  it('authenticates with PLAIN and no authorization identity', () => {
    const pair = new Pair(
      { saslClient: { mechanisms: ['PLAIN'], username: 'ann', password: () => 'secret' } },
      { saslServer: { mechanisms: ['PLAIN', 'ANONYMOUS'], optional: false, authenticate: check } },
    ).run();
    assert.deepEqual(pair.s.authenticated, { mechanism: 'PLAIN', user: 'ann' });
    assert.ok(pair.client.isOpen);
  });

  it('reports a refusal on both sides and opens nothing', () => {
    const pair = new Pair(
      { saslClient: { mechanisms: ['PLAIN'], username: 'ann', password: () => 'wrong' } },
      { saslServer: { mechanisms: ['PLAIN'], optional: false, authenticate: check } },
    ).run();
    assert.equal(pair.c.end?.by, 'sasl');
    assert.match(pair.c.end?.error?.description ?? '', /refused SASL PLAIN as 'ann': auth/);
    assert.ok(!JSON.stringify(pair.c.end).includes('wrong'));
    assert.equal(pair.s.end?.by, 'sasl');
  });

  it('says which mechanisms would do where none fits', () => {
    const pair = new Pair(
      { saslClient: { mechanisms: ['EXTERNAL'] } },
      { saslServer: { mechanisms: ['PLAIN', 'ANONYMOUS'], optional: false } },
    ).run();
    assert.match(pair.c.end?.error?.description ?? '', /offers SASL PLAIN ANONYMOUS, we may use EXTERNAL/);
  });

  it('insists on SASL where it is required', () => {
    const pair = new Pair({}, { saslServer: { mechanisms: ['PLAIN'], optional: false } }).run();
    assert.equal(pair.s.end?.by, 'protocol');
    assert.equal(pair.c.end?.by, 'protocol');
    assert.match(pair.c.end?.error?.description ?? '', /insists on SASL/);
  });
});

describe('links and deliveries (2.6)', () => {
  it('carries a message and its outcome', () => {
    const pair = new Pair();
    const { sender, sending, receiving, receiver } = pair.link();
    sendText(sender, 'one');
    pair.run();
    assert.deepEqual(receiving.payloads, [text('one')]);
    receiver.settle(receiving.deliveries[0]!, ACCEPTED);
    pair.run();
    assert.deepEqual(sending.outcomes, [{ id: 0, state: ACCEPTED, settled: true }]);
  });

  it('sends no more than the credit allows', () => {
    const pair = new Pair();
    const { sender } = pair.link(2);
    sendText(sender, '1');
    sendText(sender, '2');
    assert.equal(sender.sendable, false);
    assert.throws(() => sendText(sender, '3'), /cannot send now/);
  });

  it('detaches a sender that overruns its credit', () => {
    const pair = new Pair();
    const { sender, sending, receiving } = pair.link(1);
    sender.credit = 5;
    sendText(sender, '1');
    sendText(sender, '2');
    pair.run();
    assert.equal(receiving.deliveries.length, 1);
    assert.equal(sending.detached?.error?.condition, 'amqp:link:transfer-limit-exceeded');
  });

  it('splits a message over frames and joins it again, byte for byte', () => {
    const pair = new Pair({}, { maxFrameSize: 512 });
    const { sender, receiving, receiver, sending } = pair.link();
    const big = Uint8Array.from({ length: 10_000 }, (_, i) => i % 251);
    sender.send(Uint8Array.of(1, 2, 3), 0, false, undefined, big, 0, big.length, true);
    pair.run();
    assert.equal(receiving.frames > 20, true);
    assert.deepEqual(new Uint8Array(receiving.payloads[0]!), big);
    assert.equal(receiving.tags[0], '010203');
    receiver.settle(receiving.deliveries[0]!, RELEASED);
    pair.run();
    assert.equal(sending.outcomes[0]?.state, RELEASED);
  });

  it('stops at the session window and goes on when it opens', () => {
    const pair = new Pair({}, { maxFrameSize: 512 }).run();
    const { sender, receiving } = pair.link();
    const session = pair.s.sessions[0]!;
    session.holdWindow();
    const big = new Uint8Array(1024 * 512 * 2).fill(7);
    sender.send(undefined, 0, false, undefined, big, 0, big.length, true);
    pair.run();
    let sent = sender.sentBytes;
    assert.ok(sent < big.length, 'held back');
    const held = receiving.payloads[0]!.length;
    pair.run();
    assert.equal(receiving.payloads[0]!.length, held);
    session.releaseWindow();
    pair.run();
    while (sent < big.length) {
      const n = sender.resume(big, sent, big.length, true);
      assert.ok(n > 0);
      sent += n;
      pair.run();
    }
    assert.equal(receiving.payloads[0]!.length, big.length);
    assert.ok(receiving.deliveries[0]!.complete);
  });

  it('aborts a delivery in mid-message', () => {
    const pair = new Pair();
    const { sender, receiving, receiver } = pair.link();
    const part = text('half');
    sender.send(undefined, 0, false, undefined, part, 0, part.length, false);
    pair.run();
    sender.abort();
    pair.run();
    assert.ok(receiving.deliveries[0]!.aborted && receiving.deliveries[0]!.complete);
    assert.equal(receiver.current, undefined);
    sendText(sender, 'next');
    pair.run();
    assert.deepEqual(receiving.payloads[1], text('next'));
  });

  it('gathers the settlements of a turn into ranges, in whatever order they were made', () => {
    const pair = new Pair();
    const { sender, sending, receiving, receiver } = pair.link(300);
    for (let i = 0; i < 300; i++) {
      sendText(sender, String(i));
      pair.run();
    }
    const order = receiving.deliveries.map((d) => d).sort((a, b) => (a.id % 7) - (b.id % 7));
    for (const delivery of order) receiver.settle(delivery, ACCEPTED);
    const bytes = pair.server.takeOutput(pair.now)!.reduce((n, b) => n + b.length, 0);
    assert.ok(bytes < 200, `one range and a flow at most, not ${bytes} bytes`);
    pair.server.releaseOutput([], pair.now);
    for (const delivery of receiving.deliveries) assert.ok(delivery.settled);
    assert.equal(sending.outcomes.length, 0);
  });

  it('settles second: state first, settlement when the sender confirms', () => {
    const pair = new Pair();
    const { sender, sending, receiving, receiver } = pair.link(10, { rcvSettleMode: 1 });
    sendText(sender, 'x');
    pair.run();
    receiver.update(receiving.deliveries[0]!, MODIFIED_FAILED);
    pair.run();
    assert.equal(sending.outcomes[0]?.settled, false);
    assert.equal((sending.outcomes[0]!.state as { type: string }).type, 'modified');
    const delivery = pair.client.sessions[0]!.unsettledOf(sender)[0]!;
    sender.settle(delivery, ACCEPTED);
    pair.run();
    assert.deepEqual(receiving.remoteStates, [{ id: 0, state: ACCEPTED, settled: true }]);
    assert.equal(pair.s.sessions[0]!.incoming.size, 0);
    assert.equal(pair.client.sessions[0]!.outgoing.size, 0);
  });

  it('drains: the credit is used up and the receiver is told', () => {
    const pair = new Pair();
    const { sender, sending, receiver, receiving } = pair.link(10);
    sendText(sender, 'x');
    pair.run();
    receiver.drain();
    pair.run();
    assert.equal(sending.drains, 1);
    assert.equal(sender.credit, 0);
    assert.equal(receiver.credit, 0);
    assert.ok(receiving.flows > 0);
    receiver.addCredit(3);
    pair.run();
    assert.equal(sender.credit, 3);
  });

  it('refuses an attach with null terminus and error, and the session goes on', () => {
    const pair = new Pair().run();
    pair.s.decide = (): { condition: string; description: string } => ({
      condition: 'amqp:not-found',
      description: 'no such node',
    });
    const session = pair.client.session();
    pair.run();
    const sending = new RecordingSender();
    const sender = session.attachSender('l', sending, {
      target: { type: 'target', address: 'nope' },
      source: { type: 'source' },
    });
    pair.run();
    assert.equal(sending.attached?.target, undefined);
    assert.deepEqual(sending.detached?.error?.condition, 'amqp:not-found');
    assert.ok(sender.localDetached);
    pair.s.decide = undefined;
    pair.link();
    assert.equal(pair.c.end, undefined);
  });

  it('tells every link when the connection is lost', () => {
    const pair = new Pair();
    const { sending, receiving } = pair.link();
    pair.client.receiveEnd(pair.now);
    pair.server.receiveEnd(pair.now);
    assert.ok(sending.lost && receiving.lost);
  });

  it('echoes a flow on request', () => {
    const pair = new Pair();
    pair.link();
    const before = pair.now;
    pair.s.sessions[0]!.sendSessionFlow(true);
    const out = pair.server.takeOutput(before)!;
    for (const buffer of out) pair.client.receive(buffer.slice(), before);
    assert.notEqual(pair.client.takeOutput(before), undefined);
  });
});
