// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import * as tls from 'node:tls';
import { describe, it } from 'node:test';
import { Driver, listen } from '../src/index.js';
import type { Listener, ListenOptions, Refusal } from '../src/index.js';
import { Accepted, TestAuthority, assertEchoes, connectTo, withListener } from './support.js';

const authority = new TestAuthority();
const credentials = authority.server();
const trusted = authority.client();
const GET = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n';

function open(options: Partial<ListenOptions>, accepted = new Accepted()): Promise<Listener> {
  const onRequest: ListenOptions['onRequest'] = (_request, response) => {
    response.writeHead(200, { 'Content-Length': 3 }).end('ok\n');
  };
  return listen({ host: '127.0.0.1', port: 0, mode: 'websocket', onRequest, ...options }, accepted.make);
}

/** What arrives at a socket, as text. */
class Talk {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  text = '';

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('error', () => undefined);
    socket.on('data', (text: string) => {
      this.text += text;
    });
    this.closed = new Promise((resolve) => socket.once('close', resolve));
  }

  static to({ port }: { readonly port: number }): Talk {
    return new Talk(connect(port, '127.0.0.1'));
  }

  /** Resolves when `count` answers are here. */
  async answers(count: number): Promise<void> {
    while (this.text.split('ok\n').length <= count) await once(this.socket, 'data');
  }
}

/** A clock that moves when it is told to. */
class HandClock {
  time = 0;
  #timers: { readonly at: number; readonly action: () => void }[] = [];
  now(): number {
    return this.time;
  }
  after(ms: number, action: () => void): () => void {
    const timer = { at: this.time + ms, action };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }
  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.time = next.at;
      next.action();
    }
    this.time = end;
  }
}

describe('listener: HTTP', () => {
  it('takes TLS and plain requests and WebSockets on one port, with several requests on a connection', async () => {
    const accepted = new Accepted();
    await withListener(open({ detectTls: true, tls: { credentials } }, accepted), async ({ port }) => {
      const plain = Talk.to({ port });
      plain.socket.write(GET + GET);
      await plain.answers(2);
      plain.socket.write(GET);
      await plain.answers(3);
      const secure = new Talk(tls.connect({ port, host: '127.0.0.1', ca: authority.issuer.cert }));
      secure.socket.write(GET);
      await secure.answers(1);
      secure.socket.write(GET);
      await secure.answers(2);
      for (const talk of [plain, secure]) talk.socket.destroy();
      for (const mode of ['websocket', 'websocket-tls'] as const) {
        const { endpoint } = await connectTo({ port }, { mode, credentials: trusted });
        await assertEchoes(endpoint);
      }
      assert.deepEqual(
        accepted.infos.map(({ encrypted, websocket }) => [encrypted, websocket]),
        [
          [false, true],
          [true, true],
        ],
      );
    });
  });

  it('puts a request together that comes byte by byte', async () => {
    await withListener(open({ detectTls: true, tls: { credentials } }), async ({ port }) => {
      const talk = Talk.to({ port });
      talk.socket.setNoDelay(true);
      for (const byte of GET) {
        await new Promise((resolve) => {
          talk.socket.write(byte, resolve);
        });
      }
      await talk.answers(1);
      talk.socket.destroy();
    });
  });

  it('turns away plain AMQP there too', async () => {
    const refused: Refusal[] = [];
    const options = { detectTls: true, tls: { credentials }, onRefused: (one: Refusal) => refused.push(one) };
    await withListener(open(options), async ({ port }) => {
      const talk = Talk.to({ port });
      talk.socket.write('AMQP\0\x01\0\0');
      await talk.closed;
      assert.deepEqual(
        refused.map(({ kind }) => kind),
        ['amqp-on-websocket-port'],
      );
    });
  });

  it('needs credentials to detect TLS', async () => {
    await assert.rejects(open({ detectTls: true }), TypeError);
  });

  it('treats a request for a WebSocket as any other where WebSockets are off', async () => {
    await withListener(open({ websockets: false }), async ({ port }) => {
      const talk = Talk.to({ port });
      const headers = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: amqp';
      talk.socket.write(`GET / HTTP/1.1\r\nHost: a\r\n${headers}\r\n\r\n`);
      await talk.answers(1);
      assert.match(talk.text, /^HTTP\/1\.1 200 /u);
      talk.socket.destroy();
    });
  });

  it('gives each request of a connection a limited time, however many of its bytes come', async () => {
    const clock = new HandClock();
    await withListener(open({ driver: new Driver(clock) }), async ({ port }) => {
      const slow = Talk.to({ port });
      slow.socket.write(GET);
      await slow.answers(1);
      slow.socket.write(GET.slice(0, 10));
      const other = Talk.to({ port });
      clock.advance(59_000);
      other.socket.write(GET);
      await other.answers(1);
      assert.equal(slow.socket.closed, false);
      slow.socket.write(GET.slice(10, 15));
      clock.advance(2_000);
      await slow.closed;
      // The time of the other one began later.
      other.socket.write(GET);
      await other.answers(2);
      other.socket.destroy();
    });
  });

  it('ends idle connections when it stops listening, and leaves WebSockets alone', async () => {
    const listener = await open({});
    const { endpoint } = await connectTo(listener, { mode: 'websocket' });
    await assertEchoes(endpoint, 'AMQP\0\x01\0\0');
    const talk = Talk.to(listener);
    talk.socket.write(GET);
    await talk.answers(1);
    const stopped = listener.stopListening();
    await talk.closed;
    endpoint.send('more');
    await endpoint.until(() => endpoint.receivedBytes === 12 || endpoint.ends.length > 0);
    assert.equal(endpoint.text, 'AMQP\0\x01\0\0more');
    await listener.close();
    await stopped;
  });

  it('lets a request that is under way be answered while it closes, and ends its connection', async () => {
    let answer: (() => void) | undefined;
    const isAsked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let finish = (): void => undefined;
    const listener = await open({
      onRequest: (_request, response) => {
        finish = () => response.end('ok\n');
        answer?.();
      },
    });
    const talk = Talk.to(listener);
    talk.socket.write(GET);
    await isAsked;
    const closed = listener.close(600_000);
    finish();
    await talk.answers(1);
    await closed;
  });

  for (const mode of ['tcp', 'websocket'] as const) {
    it(`lets who is connected by ${mode} go on while it closes`, async () => {
      const accepted = new Accepted();
      const listener = await open({ mode }, accepted);
      const { endpoint } = await connectTo(listener, { mode });
      await assertEchoes(endpoint, 'AMQP\0\x01\0\0');
      const closed = listener.close(600_000);
      endpoint.send('more');
      await endpoint.until(() => endpoint.receivedBytes === 12 || endpoint.ends.length > 0);
      assert.equal(endpoint.text, 'AMQP\0\x01\0\0more');
      accepted.endpoints[0]!.finish();
      endpoint.finish();
      await closed;
    });
  }
});
