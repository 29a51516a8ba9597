// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { Driver, listen } from '../src/index.js';
import type { ByteStream, StreamHandler, StreamInfo } from '../src/index.js';
import { Accepted, TestEndpoint, assertEchoes, connectTo, withListener, withServer } from './support.js';

const INFO: StreamInfo = {
  remoteAddress: '192.0.2.1',
  remotePort: 1,
  localAddress: '192.0.2.2',
  localPort: 2,
  encrypted: false,
  websocket: false,
};

/** A stream that takes what it gets and reports it as written when the test says so. */
class HeldStream implements ByteStream {
  readonly info = INFO;
  readonly writes: Uint8Array[][] = [];
  paused = false;
  ended = false;
  destroyed = false;
  handler!: StreamHandler;
  attach(handler: StreamHandler): void {
    this.handler = handler;
  }
  write(buffers: readonly Uint8Array[]): void {
    this.writes.push([...buffers]);
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.ended = true;
  }
  destroy(cause?: Error): void {
    this.destroyed = true;
    this.handler.onClosed(cause);
  }
}

/** A clock that a test turns. */
class HandClock {
  time = 1_000_000;
  action: (() => void) | undefined;
  now(): number {
    return this.time;
  }
  after(_ms: number, action: () => void): () => void {
    this.action = action;
    return () => {
      if (this.action === action) this.action = undefined;
    };
  }
  /** Goes on by `ms`, in steps that are shorter than a slot, and serves the timer on the way. */
  advance(ms: number): void {
    for (const end = this.time + ms; this.time < end;) {
      this.time += 4;
      const action = this.action;
      this.action = undefined;
      action?.();
    }
  }
}

function held(): { driver: Driver; clock: HandClock; stream: HeldStream; endpoint: TestEndpoint } {
  const clock = new HandClock();
  const driver = new Driver(clock);
  const stream = new HeldStream();
  const endpoint = new TestEndpoint();
  driver.drive(endpoint, stream);
  return { driver, clock, stream, endpoint };
}

const nextTick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

describe('driver', () => {
  it('carries bytes both ways over TCP', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async (listener) => {
      const { endpoint, connection } = await connectTo(listener);
      await assertEchoes(endpoint);
      assert.equal(connection.receivedBytes, endpoint.receivedBytes);
      assert.equal(connection.sentBytes, endpoint.receivedBytes);
      assert.equal(listener.connections.size, 1);
    });
  });

  it('writes everything of one turn at once, whatever the number of wakes', async () => {
    const { stream, endpoint } = held();
    await nextTick();
    const takes = endpoint.takes;
    endpoint.send('one');
    endpoint.send('two');
    endpoint.wake?.();
    endpoint.send('three');
    await nextTick();
    assert.equal(stream.writes.length, 1);
    assert.equal(Buffer.concat(stream.writes[0] ?? []).toString(), 'onetwothree');
    assert.equal(endpoint.takes, takes + 1);
  });

  it('writes once for all that a turn of the event loop brings, where it is told to', async () => {
    const driver = new Driver(new HandClock(), 'turn');
    const stream = new HeldStream();
    const endpoint = new TestEndpoint();
    driver.drive(endpoint, stream);
    endpoint.send('one');
    await nextTick();
    assert.equal(stream.writes.length, 0);
    endpoint.send('two');
    await new Promise(setImmediate);
    assert.equal(stream.writes.length, 1);
    assert.equal(Buffer.concat(stream.writes[0] ?? []).toString(), 'onetwo');
  });

  it('gives buffers back in order when they are written, and not before', async () => {
    const { stream, endpoint } = held();
    endpoint.send('one');
    await nextTick();
    endpoint.send('two');
    await nextTick();
    assert.equal(stream.writes.length, 2);
    assert.equal(endpoint.released.length, 0);
    stream.handler.onWritten();
    assert.equal(Buffer.concat(endpoint.released[0] ?? []).toString(), 'one');
    assert.equal(endpoint.released.length, 1);
    stream.handler.onWritten();
    assert.equal(endpoint.released.length, 2);
  });

  it('gives all buffers back when the stream is gone, each once, and reports the end once with its cause', async () => {
    const { stream, endpoint, driver } = held();
    endpoint.send('one');
    await nextTick();
    endpoint.send('two');
    await nextTick();
    const cause = new Error('cut');
    stream.destroy(cause);
    stream.handler.onWritten();
    assert.equal(endpoint.released.length, 2);
    assert.deepEqual(endpoint.ends, [cause]);
    assert.equal(endpoint.wake, undefined);
    assert.equal(driver.wheel.size, 0);
  });

  it('leaves output in the endpoint while 256 KiB wait for the socket, and takes it up again', async () => {
    const { stream, endpoint } = held();
    for (let i = 0; i < 4; i++) {
      endpoint.send(new Uint8Array(100_000));
      await nextTick();
    }
    assert.equal(stream.writes.length, 3, 'the third crosses the bound');
    assert.equal(endpoint.waitingBytes, 100_000);
    stream.handler.onWritten();
    await nextTick();
    assert.equal(stream.writes.length, 4);
    assert.equal(endpoint.waitingBytes, 0);
  });

  it('holds a bounded number of bytes for a reader that stopped, and delivers all when it reads again', async () => {
    let stalled: Socket | undefined;
    let read = 0;
    const onSocket = (socket: Socket): void => {
      socket.pause();
      stalled = socket;
    };
    await withServer(onSocket, async (port) => {
      const { endpoint, connection } = await connectTo({ port });
      const chunk = new Uint8Array(64 * 1024).fill(7);
      let sent = 0;
      // More than the buffers of both kernels take, so that the socket is certain to be backed up.
      for (let rounds = 0; endpoint.waitingBytes < 8 * 1024 * 1024; rounds++) {
        assert.ok(rounds < 10_000, 'the socket takes bytes for ever');
        endpoint.send(chunk);
        sent += chunk.length;
        await new Promise(setImmediate);
      }
      assert.ok(connection.outstandingBytes < 512 * 1024, `${connection.outstandingBytes} bytes wait for the socket`);
      await new Promise<void>((resolve) => {
        stalled?.on('data', (bytes: Buffer) => {
          read += bytes.length;
          if (read === sent) resolve();
        });
        stalled?.resume();
      });
      await endpoint.until(() => endpoint.taken.length === 0);
      assert.equal(connection.outstandingBytes, 0);
      connection.destroy();
    });
  });

  it('pauses the stream while the endpoint is congested, also where it only learns so from a wake', async () => {
    const { stream, endpoint } = held();
    endpoint.congested = true;
    stream.handler.onData(Uint8Array.of(1));
    assert.equal(stream.paused, true);
    endpoint.congested = false;
    endpoint.poke();
    await nextTick();
    assert.equal(stream.paused, false);
  });

  it('stops reading a socket whose endpoint is congested', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async (listener) => {
      const { endpoint, connection } = await connectTo(listener);
      endpoint.send('AMQP\0\x01\0\0');
      await endpoint.until(() => endpoint.receivedBytes === 8);
      const [server] = accepted.endpoints as [TestEndpoint];
      server.congested = true;
      endpoint.send('last');
      await server.until(() => server.receivedBytes === 12);
      const before = server.receivedBytes;
      endpoint.send(new Uint8Array(32 * 1024 * 1024));
      // A socket that is read gives 64 KiB a turn: all of it would arrive meanwhile.
      for (let i = 0; i < 1_000; i++) await new Promise(setImmediate);
      assert.ok(server.receivedBytes - before <= 128 * 1024, `${server.receivedBytes - before} bytes were read`);
      server.congested = false;
      server.poke();
      await server.until(() => server.receivedBytes === before + 32 * 1024 * 1024);
      connection.destroy();
    });
  });

  it('flushes what an endpoint that is done has to say, then ends the stream', async () => {
    const { stream, endpoint } = held();
    endpoint.send('last words');
    endpoint.finish();
    await nextTick();
    assert.equal(Buffer.concat(stream.writes.flat()).toString(), 'last words');
    assert.equal(stream.ended, true);
    stream.handler.onData(Uint8Array.of(1));
    assert.equal(endpoint.receivedBytes, 0, 'who has said everything hears nothing more');
  });

  it('ends both sides of a TCP connection when one endpoint is done', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async (listener) => {
      const { endpoint, connection } = await connectTo(listener);
      await assertEchoes(endpoint);
      endpoint.finish();
      await endpoint.until(() => endpoint.ends.length > 0);
      const [server] = accepted.endpoints as [TestEndpoint];
      assert.deepEqual(server.ends, [undefined]);
      assert.deepEqual(endpoint.ends, [undefined]);
      while (!connection.closed || listener.connections.size > 0) await new Promise(setImmediate);
    });
  });

  it('cuts off a peer that does not end its side within 5 seconds', async () => {
    const { stream, endpoint, clock } = held();
    endpoint.finish();
    await nextTick();
    clock.advance(4_900);
    assert.equal(stream.destroyed, false);
    clock.advance(200);
    assert.equal(stream.destroyed, true);
  });

  it('cuts off a peer that keeps an endpoint that is done from saying its last words', async () => {
    const { stream, endpoint, clock } = held();
    for (let i = 0; i < 4; i++) {
      endpoint.send(new Uint8Array(100_000));
      await nextTick();
    }
    endpoint.done = true;
    stream.handler.onData(Uint8Array.of(1));
    await nextTick();
    assert.equal(stream.ended, false);
    clock.advance(5_100);
    assert.equal(stream.destroyed, true);
    assert.equal(endpoint.taken.length, 0);
  });

  it('survives a peer that resets the connection, and tells the endpoint once why', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async (listener) => {
      const socket = connect(listener.port, '127.0.0.1');
      socket.write('AMQP\0\x01\0\0');
      await new Promise((resolve) => socket.once('data', resolve));
      socket.resetAndDestroy();
      const [server] = accepted.endpoints as [TestEndpoint];
      await server.until(() => server.ends.length > 0);
      while (listener.connections.size > 0) await new Promise(setImmediate);
      assert.equal(server.ends.length, 1);
      assert.match(String(server.ends[0]), /cut the connection/);
    });
  });

  it('ticks an endpoint when its deadline has come, and asks again where it moved', async () => {
    const { stream, endpoint, clock } = held();
    await nextTick();
    endpoint.dueAt = clock.time + 500;
    stream.handler.onData(Uint8Array.of(1));
    clock.advance(480);
    assert.equal(endpoint.ticks, 0);
    clock.advance(44);
    assert.equal(endpoint.ticks, 1);
    // Nobody tells the driver of this one: it finds out by itself within a second or so.
    endpoint.dueAt = clock.time + 10;
    clock.advance(1_040);
    assert.equal(endpoint.ticks, 2);
  });

  it('serves a thousand connections with one timer', async () => {
    const accepted = new Accepted();
    const driver = new Driver();
    const options = { host: '127.0.0.1', port: 0, mode: 'tcp', driver } as const;
    await withListener(listen(options, accepted.make), async (listener) => {
      const clients: TestEndpoint[] = [];
      for (let i = 0; i < 1_000; i += 50) {
        const some = await Promise.all(Array.from({ length: 50 }, () => connectTo(listener)));
        for (const { endpoint } of some) {
          endpoint.send('AMQP\0\x01\0\0');
          clients.push(endpoint);
        }
        await Promise.all(some.map(({ endpoint }) => endpoint.until(() => endpoint.receivedBytes === 8)));
      }
      assert.equal(listener.connections.size, 1_000);
      assert.equal(driver.wheel.size, 1_000);
      assert.equal(driver.wheel.timers, 1);
      for (const endpoint of clients) endpoint.finish();
      while (driver.wheel.size > 0) await new Promise(setImmediate);
      assert.equal(driver.wheel.timers, 0, 'an idle driver has no timer');
    });
  });
});
