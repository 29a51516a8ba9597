// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Harness, sasToken, TIME_ORIGIN } from './harness.js';

const TRACKING = /TrackingId:[0-9a-f-]{36}_G0, SystemTracker:gateway0, Timestamp:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/;

describe('connection to a namespace', () => {
  it('opens with the values of the service', () => {
    const client = new Harness().connect({ user: 'root', maxFrameSize: 1 << 20, channelMax: 3 });
    assert.match(client.open?.containerId ?? '', /^[0-9a-f]{32}_G\d+$/);
    assert.equal(client.open?.maxFrameSize, 65_536);
    assert.equal(client.open?.channelMax, 3);
    assert.equal(client.open?.idleTimeOut, 120_000);
    assert.equal(client.open?.hostname, undefined);
    assert.equal(client.open?.offeredCapabilities, undefined);
    assert.equal(new Harness().connect({ user: 'root', maxFrameSize: 32_768 }).open?.maxFrameSize, 32_768);
    assert.equal(new Harness().connect({ user: 'root' }).open?.channelMax, 4999);
  });

  it('begins sessions with the values of the service', () => {
    const harness = new Harness();
    const { session } = harness.connect({ user: 'root' });
    harness.run();
    assert.equal(session.remoteBegin?.nextOutgoingId, 1);
    assert.equal(session.remoteBegin?.incomingWindow, 5000);
    assert.equal(session.remoteBegin?.handleMax, 255);
    assert.deepEqual(session.remoteBegin?.properties, new Map());
  });

  it('writes every field of open, begin and attach, because some clients index without counting', () => {
    const harness = new Harness();
    const client = harness.connect({ user: 'root' });
    const counts = new Map<number, number>();
    const original = client.connection.receive.bind(client.connection);
    client.connection.receive = (bytes, now) => {
      // Frames of these are small lists: descriptor 0x53 code, then 0xc0 size count or 0xd0 size32 count32.
      for (let at = 0; at + 12 < bytes.length; at += 1) {
        if (bytes[at] !== 0 || bytes[at + 1] !== 0x53) continue;
        const code = bytes[at + 2]!;
        if (bytes[at + 3] === 0xc0 && !counts.has(code)) counts.set(code, bytes[at + 5]!);
        if (bytes[at + 3] === 0xd0 && !counts.has(code)) counts.set(code, bytes[at + 11]!);
      }
      original(bytes, now);
    };
    client.receiver('orders');
    assert.equal(counts.get(0x11), 8, 'begin');
    assert.equal(counts.get(0x12), 14, 'attach');
  });

  it('refuses an idle time-out below the minimum, naming both numbers, and takes none or 0', () => {
    const refused = new Harness().connect({ user: 'root', idleTimeoutMs: 16_000 });
    assert.equal(refused.end?.by, 'remote');
    assert.equal(refused.end?.error?.condition, 'amqp:not-allowed');
    assert.match(refused.ending, /\('8000 ms'\) is not supported\. Minimum idle timeout is '10000' ms\./);
    assert.match(refused.ending, TRACKING);
    for (const idleTimeoutMs of [0, 20_000, 240_000]) {
      assert.equal(new Harness().connect({ user: 'root', idleTimeoutMs }).end, undefined, String(idleTimeoutMs));
    }
  });

  it('lets PLAIN in whatever the key', () => {
    assert.equal(new Harness().connect({ user: 'root', key: 'wrong' }).end, undefined);
  });

  it('takes a connection without SASL, which opens nothing before its token', () => {
    const client = new Harness().connect({ saslClient: undefined });
    assert.ok(client.open);
    assert.equal(client.sender('orders').detached?.condition, 'amqp:unauthorized-access');
    const audience = 'sb://example.servicebus.windows.net/orders';
    client.requester('$cbs')(
      { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: audience },
      sasToken(audience, 'sender', 'sender-key', TIME_ORIGIN / 1000 + 3600),
    );
    assert.equal(client.sender('orders').detached, undefined);
  });

  it('gets a plain connection no further than the mechanisms, unless TLS is not required', () => {
    const harness = new Harness();
    const stuck = harness.connect({ user: 'root', secure: false });
    assert.equal(stuck.connection.saslMechanism, 'PLAIN', 'the list of mechanisms came');
    assert.equal(stuck.open, undefined);
    assert.ok(harness.log.some((line) => line.includes('connect with TLS')));
    assert.ok(new Harness({ requireTls: false }).connect({ user: 'root', secure: false }).open);
  });

  it('closes after 60 s without a link, and after 300 s once there had been one', () => {
    const harness = new Harness();
    const never = harness.connect({ user: 'root', idleTimeoutMs: 60_000 });
    harness.advance(59_000);
    assert.equal(never.ending, '');
    harness.advance(2_000);
    assert.match(never.ending, /^remote amqp:connection:forced/);
    assert.match(never.ending, /did not have any active links in the past 60000 milliseconds/);

    const once = harness.connect({ user: 'root', idleTimeoutMs: 60_000 });
    once.sender('orders').link.detach();
    harness.run();
    harness.advance(299_000);
    assert.equal(once.ending, '');
    harness.advance(2_000);
    assert.match(once.ending, /past 300000 milliseconds/);
  });

  it('counts refused links as none', () => {
    const harness = new Harness();
    const client = harness.connect({ user: 'root' });
    assert.equal(client.sender('missing').detached?.condition, 'amqp:not-found');
    harness.advance(61_000);
    assert.match(client.ending, /past 60000 milliseconds/);
  });

  it('closes on a peer that is silent for the advertised time', () => {
    const harness = new Harness({ times: { idleTimeOutMs: 30_000, sessionEchoMs: 1e9 } });
    const client = harness.connect({ user: 'root' });
    const receiver = client.receiver('orders');
    // The engine of a client keeps the connection alive on its own.
    harness.advance(120_000);
    assert.equal(client.ending, '');
    client.connection.deadline = () => undefined;
    client.connection.tick = () => undefined;
    harness.advance(31_000);
    assert.match(client.ending, /inactive for more than the allowed 30000 milliseconds/);
    assert.equal(receiver.detached?.condition, 'amqp:connection:forced');
  });

  it('asks quiet sessions for their flow state', () => {
    const harness = new Harness({ times: { idleTimeOutMs: 1e9 } });
    const client = harness.connect({ user: 'root' });
    client.receiver('orders');
    let flows = 0;
    const take = client.session.takeFlow.bind(client.session);
    client.session.takeFlow = (frame) => {
      if (frame.echo && frame.handle < 0) flows += 1;
      take(frame);
    };
    harness.advance(540_000);
    assert.equal(flows, 3);
  });

  it('ends a session that goes beyond its handles, at 256 links', () => {
    const harness = new Harness();
    const client = harness.connect({ user: 'root' });
    for (let i = 0; i < 256; i += 1) client.sender('orders');
    assert.equal(harness.namespace.connections, 1);
    assert.equal(harness.namespace.links, 256);
    assert.throws(() => client.sender('orders'), /takes no further handle/);
    // A client that does not look at what the session allows.
    client.connection.sessions[0]!.remoteBegin!.handleMax = 1_000;
    client.sender('orders');
    assert.equal(client.sessionEnd?.condition, 'amqp:resource-limit-exceeded');
    assert.equal(harness.namespace.links, 0);
  });

  it('has room for so many connections and no more', () => {
    const harness = new Harness({ connectionsMax: 2 });
    assert.equal(harness.connect({ user: 'root' }).end, undefined);
    assert.equal(harness.connect({ user: 'root' }).end, undefined);
    assert.equal(harness.connect({ user: 'root' }).end?.error?.condition, 'amqp:resource-limit-exceeded');
    assert.equal(harness.namespace.connections, 2);
  });

  it('closes, drops and freezes on request', () => {
    const harness = new Harness();
    const [first, second, third] = [
      harness.connect({ user: 'root' }),
      harness.connect({ user: 'root' }),
      harness.connect({ user: 'root' }),
    ];
    assert.equal(harness.namespace.faults.closeConnections(), 3);
    harness.run();
    for (const client of [first, second, third]) assert.equal(client.end?.error?.condition, 'amqp:connection:forced');

    const dropped = harness.connect({ user: 'root' });
    assert.equal(harness.namespace.faults.dropConnections(), 1);
    harness.run();
    assert.equal(dropped.end?.by, 'lost');
    assert.equal(dropped.end?.error, undefined);

    const hung = harness.connect({ user: 'root', idleTimeoutMs: 30_000 });
    harness.namespace.faults.freezeConnections();
    harness.advance(31_000);
    assert.equal(hung.end?.by, 'idle', 'only the silence tells');
  });

  it('leaves no order with the clock behind', () => {
    const harness = new Harness();
    const client = harness.connect({ user: 'root' });
    client.sender('orders').text('a');
    client.receiver('orders', 1);
    harness.namespace.close();
    harness.run();
    assert.equal(client.end?.error?.condition, 'amqp:connection:forced');
    assert.equal(harness.namespace.connections, 0);
    assert.equal(harness.clock.pending, 0);
  });
});
