// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import * as tls from 'node:tls';
import { describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { dial, listen, makeDevelopmentCertificates } from '../src/index.js';
import type { Listener, ListenOptions, Refusal } from '../src/index.js';
import {
  Accepted,
  TestAuthority,
  assertEchoes,
  assertFails,
  assertTransportError,
  connectTo,
  credentialsOf,
  withListener,
} from './support.js';
import type { TestEndpoint } from './support.js';

const authority = new TestAuthority();
const credentials = authority.server();
const trusted = authority.client();
const AMQP = 'AMQP\0\x01\0\0';
const AMQP_TLS = 'AMQP\x02\x01\0\0';

/** Who was turned away by a listener, in order. */
class Refusals {
  readonly all: Refusal[] = [];
  #next: (() => void) | undefined;
  readonly note = (refusal: Refusal): void => {
    this.all.push(refusal);
    this.#next?.();
  };
  async first(): Promise<Refusal> {
    while (this.all.length === 0) {
      await new Promise<void>((resolve) => {
        this.#next = resolve;
      });
    }
    return this.all[0] as Refusal;
  }
}

function open(options: Partial<ListenOptions>, accepted = new Accepted()): Promise<Listener> {
  return listen({ host: '127.0.0.1', port: 0, mode: 'tcp', ...options }, accepted.make);
}

/** Sends `bytes` and returns everything that comes back until the server hangs up. */
function converse(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
    socket.write(bytes, 'latin1');
  });
}

async function assertRefused(
  options: Partial<ListenOptions>,
  bytes: string,
  kind: string,
  word: string,
): Promise<string> {
  const refusals = new Refusals();
  const accepted = new Accepted();
  let answer = '';
  await withListener(open({ ...options, onRefused: refusals.note }, accepted), async ({ port }) => {
    answer = await converse(port, bytes);
    const refusal = await refusals.first();
    assert.equal(refusal.kind, kind, refusal.text);
    assert.ok(refusal.text.includes(word), refusal.text);
    assert.match(refusal.text, /^A connection from 127\.0\.0\.1:\d+ to port \d+ was refused: /);
    assert.equal(refusals.all.length, 1);
    assert.equal(accepted.endpoints.length, 0);
  });
  return answer;
}

describe('listener', () => {
  it('chooses a port where it is given 0, and says which', async () => {
    await withListener(open({}), async (listener) => {
      assert.ok(listener.port > 0);
      assert.equal(listener.address, '127.0.0.1');
    });
  });

  it('says that its port is taken, or its address is not of this machine', async () => {
    await withListener(open({}), async ({ port }) => {
      await assertFails(open({ port }), 'address-in-use', `127.0.0.1:${port}`);
    });
    await assertFails(open({ host: '192.0.2.1' }), 'address-not-available', '192.0.2.1');
    await assertFails(open({ port: 70_000 }), 'other', '70000');
  });

  it('hands over bytes that came one by one, in full', async () => {
    const accepted = new Accepted();
    await withListener(open({}, accepted), async ({ port }) => {
      const socket = connect(port, '127.0.0.1');
      socket.setNoDelay(true);
      for (const byte of AMQP) {
        socket.write(byte, 'latin1');
        await new Promise(setImmediate);
      }
      let answer = '';
      socket.setEncoding('latin1');
      for await (const text of socket) {
        answer += text as string;
        if (answer.length === AMQP.length) break;
      }
      assert.equal(answer, AMQP);
      assert.equal(accepted.infos[0]?.encrypted, false);
    });
  });

  it('hands over bytes that are no protocol that it knows: the endpoint knows what to answer', async () => {
    const accepted = new Accepted();
    await withListener(open({}, accepted), async ({ port }) => {
      const { endpoint } = await connectTo({ port });
      await assertEchoes(endpoint, 'SSH-2.0');
    });
  });

  it('refuses TLS and HTTP on a plain port, and says so', async () => {
    await assertRefused({}, '\x16\x03\x01\x02\0', 'tls-on-plain-port', 'sslProfile');
    const answer = await assertRefused({}, 'GET / HTTP/1.1\r\n\r\n', 'http-on-amqp-port', 'HTTP');
    assert.match(answer, /^HTTP\/1\.1 400 .*AMQP 1\.0, not HTTP/s);
  });

  it('refuses plain AMQP and HTTP on a port for TLS, and says so', async () => {
    for (const bytes of [AMQP, 'GET / HTTP/1.1\r\n\r\n']) {
      await assertRefused({ mode: 'tls', tls: { credentials } }, bytes, 'plain-on-tls-port', 'without TLS');
    }
  });

  it('takes up TLS on a plain port where it may, beside plain AMQP', async () => {
    const accepted = new Accepted();
    await withListener(open({ detectTls: true, tls: { credentials } }, accepted), async ({ port }) => {
      const plain = await connectTo({ port });
      await assertEchoes(plain.endpoint);
      const secure = await connectTo({ port }, { mode: 'tls', credentials: trusted });
      await assertEchoes(secure.endpoint);
      assert.deepEqual(
        accepted.infos.map(({ encrypted }) => encrypted),
        [false, true],
      );
    });
  });

  it('gives up on a peer that says nothing, in every mode', async () => {
    for (const mode of ['tcp', 'tls', 'websocket', 'websocket-tls'] as const) {
      const refusals = new Refusals();
      const options = { mode, tls: { credentials }, handshakeTimeoutMs: 30, onRefused: refusals.note };
      await withListener(open(options), async ({ port }) => {
        await converse(port, '');
        assert.equal((await refusals.first()).kind, 'timed-out');
      });
    }
  });

  it('says nothing of a peer that connects and leaves', async () => {
    const refusals = new Refusals();
    await withListener(open({ onRefused: refusals.note }), async ({ port }) => {
      const socket = connect(port, '127.0.0.1');
      socket.resume();
      socket.end();
      await new Promise((resolve) => socket.once('close', resolve));
      assert.deepEqual(refusals.all, []);
    });
  });

  it('accepts no more connections than it may, and new ones when others have gone', async () => {
    const refusals = new Refusals();
    await withListener(open({ maxConnections: 1, onRefused: refusals.note }), async (listener) => {
      const { endpoint, connection } = await connectTo(listener);
      await assertEchoes(endpoint);
      assert.equal(await converse(listener.port, '').catch(() => ''), '');
      assert.equal((await refusals.first()).kind, 'too-many-connections');
      connection.destroy();
      while (listener.connections.size > 0) await new Promise(setImmediate);
      const again = await connectTo(listener);
      await assertEchoes(again.endpoint);
    });
  });

  it('drops a connection for which no endpoint is made', async () => {
    await withListener(
      listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, () => undefined),
      async ({ port }) => {
        assert.equal(await converse(port, AMQP).catch(() => ''), '');
      },
    );
  });

  it('ends all connections when it closes, after the time of grace', async () => {
    const accepted = new Accepted();
    const listener = await open({}, accepted);
    const { endpoint } = await connectTo(listener);
    await assertEchoes(endpoint);
    const closed = listener.close(60_000);
    const [server] = accepted.endpoints as [TestEndpoint];
    assert.equal(server.ends.length, 0, 'it has its grace');
    server.finish();
    endpoint.finish();
    await closed;
    assert.equal(listener.connections.size, 0);

    const second = await open({}, accepted);
    const other = await connectTo(second);
    await assertEchoes(other.endpoint);
    await second.close();
    await other.endpoint.until(() => other.endpoint.ends.length > 0);
  });

  it('drops unfinished handshakes at once when it closes', async () => {
    const listener = await open({});
    const socket = connect(listener.port, '127.0.0.1');
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    const gone = new Promise((resolve) => socket.once('close', resolve));
    socket.write('AMQ');
    // One more connection proves that the first was accepted.
    const { endpoint } = await connectTo(listener);
    await assertEchoes(endpoint);
    const closed = listener.close(60_000);
    socket.resume();
    await gone;
    endpoint.finish();
    await closed;
  });

  it('needs a certificate for TLS, and authorities to check those of clients', async () => {
    await assert.rejects(open({ mode: 'tls' }), TypeError);
    await assert.rejects(open({ mode: 'tls', tls: { credentials: trusted } }), /certificate of its own/);
    const one = makeDevelopmentCertificates();
    const alone = credentialsOf({ 'one.pem': one.cert + one.key }, { certFile: 'one.pem' });
    await assert.rejects(
      open({ mode: 'tls', tls: { credentials: alone, clientCertificate: 'required' } }),
      /caCertFile/,
    );
  });
});

describe('listener: client certificates', () => {
  const stranger = new TestAuthority('Stranger');
  const bad = stranger.issue({ commonName: 'mallory' });
  const mallory = credentialsOf(
    { 'ca.pem': authority.issuer.cert, 'me.pem': bad.cert + bad.key },
    { caCertFile: 'ca.pem', certFile: 'me.pem' },
  );

  it('refuses one of an authority that it does not know, or none, where one is required', async () => {
    for (const [client, word] of [
      [mallory, 'UNABLE_TO'],
      [trusted, 'shown no certificate'],
    ] as const) {
      const refusals = new Refusals();
      const accepted = new Accepted();
      const options = {
        mode: 'tls',
        tls: { credentials, clientCertificate: 'required' },
        onRefused: refusals.note,
      } as const;
      await withListener(open(options, accepted), async ({ port }) => {
        const { endpoint } = await connectTo({ port }, { mode: 'tls', credentials: client });
        await endpoint.until(() => endpoint.ends.length > 0);
        const refusal = await refusals.first();
        assert.equal(refusal.kind, 'client-certificate');
        assert.ok(refusal.text.includes(word), refusal.text);
        assert.equal(accepted.endpoints.length, 0);
      });
    }
  });

  it('notices a peer that hangs up in the middle of the handshake', async () => {
    const options = { mode: 'tls', tls: { credentials }, handshakeTimeoutMs: 600_000 } as const;
    const listener = await open(options);
    const stream = await dial({ host: '127.0.0.1', port: listener.port, mode: 'tls', credentials: trusted });
    // Too early for its last flight to have left.
    stream.destroy();
    await listener.close(300_000);
    assert.equal(listener.connections.size, 0);
  });

  it('hands over one that it cannot verify as such, where one is optional', async () => {
    const accepted = new Accepted();
    const options = { mode: 'tls', tls: { credentials, clientCertificate: 'optional' } } as const;
    await withListener(open(options, accepted), async ({ port }) => {
      const { endpoint } = await connectTo({ port }, { mode: 'tls', credentials: mallory });
      await assertEchoes(endpoint);
      assert.equal(accepted.infos[0]?.peerCertificate?.subject['CN'], 'mallory');
      assert.equal(accepted.infos[0]?.peerCertificate?.verified, false);
      const without = await connectTo({ port }, { mode: 'tls', credentials: trusted });
      await assertEchoes(without.endpoint);
      assert.equal(accepted.infos[1]?.peerCertificate, undefined);
    });
  });

  it('trusts the authorities of caCertFile for them, and none of the system', () => {
    assert.deepEqual(Reflect.get(credentials.makeServer({}), 'ca'), [authority.issuer.cert.trim()]);
    const one = makeDevelopmentCertificates();
    const alone = credentialsOf({ 'one.pem': one.cert + one.key }, { certFile: 'one.pem' });
    assert.deepEqual(Reflect.get(alone.makeServer({}), 'ca'), []);
  });
});

describe('listener: in-band TLS (5.2.1)', () => {
  const inBand = (use: 'allowed' | 'required', plain?: 'refuse' | 'pass'): Partial<ListenOptions> => ({
    tls: { credentials },
    inBandTls: { use, plain },
  });

  it('upgrades, and begins anew with the headers of the endpoint', async () => {
    for (const use of ['allowed', 'required'] as const) {
      const accepted = new Accepted();
      await withListener(open(inBand(use), accepted), async ({ port }) => {
        const { endpoint, connection } = await connectTo(
          { port },
          { mode: 'tls-in-band', credentials: trusted, host: 'localhost' },
        );
        await assertEchoes(endpoint);
        assert.equal(connection.info.encrypted, true);
        assert.equal(accepted.infos[0]?.encrypted, true);
        assert.equal(accepted.infos[0]?.servername, 'localhost');
        assert.equal(accepted.endpoints[0]?.text, 'AMQP\0\x01\0\0 hello', 'the TLS header is not for the endpoint');
      });
    }
  });

  it('takes a TLS handshake that comes right behind the header', async () => {
    const accepted = new Accepted();
    await withListener(open(inBand('required'), accepted), async ({ port }) => {
      const raw = connect(port, '127.0.0.1');
      await new Promise((resolve) => raw.once('connect', resolve));
      // Held back, so that header and handshake leave as one packet.
      raw.cork();
      raw.write(AMQP_TLS, 'latin1');
      const { Duplex } = await import('node:stream');
      let skip = 8;
      const behind = new Duplex({
        write: (bytes: Buffer, _, done) => raw.write(bytes, () => done()),
        read: () => {},
      });
      raw.on('data', (bytes: Buffer) => {
        const rest = bytes.subarray(Math.min(skip, bytes.length));
        skip -= bytes.length - rest.length;
        if (rest.length > 0) behind.push(rest);
      });
      const secure = tls.connect({ socket: behind, servername: 'localhost', ca: authority.issuer.cert });
      setImmediate(() => setImmediate(() => raw.uncork()));
      await new Promise((resolve) => secure.once('secureConnect', resolve));
      secure.write(AMQP, 'latin1');
      const [echo] = (await new Promise<[Buffer]>((resolve) =>
        secure.once('data', (bytes: Buffer) => resolve([bytes])),
      )) as [Buffer];
      assert.equal(echo.toString('latin1'), AMQP);
      raw.destroy();
    });
  });

  it('lets a plain peer in where TLS is allowed, and where it is required but the endpoint decides', async () => {
    for (const options of [inBand('allowed'), inBand('required', 'pass')]) {
      const accepted = new Accepted();
      await withListener(open(options, accepted), async ({ port }) => {
        const { endpoint } = await connectTo({ port });
        await assertEchoes(endpoint, 'AMQP\x03\x01\0\0');
        assert.equal(accepted.infos[0]?.encrypted, false);
      });
    }
  });

  it('answers a plain peer with the TLS header and hangs up where TLS is required', async () => {
    for (const header of [AMQP, 'AMQP\x03\x01\0\0']) {
      assert.equal(await assertRefused(inBand('required'), header, 'tls-required', 'without TLS'), AMQP_TLS);
    }
    await withListener(open(inBand('required')), async ({ port }) => {
      const { endpoint } = await connectTo({ port });
      endpoint.send(AMQP);
      await endpoint.until(() => endpoint.ends.length > 0);
      assertTransportError(endpoint.ends[0], 'tls-required');
    });
  });

  it('answers another version of the header with the one that it knows, and hangs up (2.2)', async () => {
    assert.equal(await assertRefused(inBand('allowed'), 'AMQP\x02\x01\x01\0', 'tls-handshake', 'version'), AMQP_TLS);
  });

  it('leaves the header to the endpoint where it is off', async () => {
    const accepted = new Accepted();
    await withListener(open({}, accepted), async ({ port }) => {
      const { endpoint } = await connectTo({ port });
      endpoint.send(AMQP_TLS);
      await endpoint.until(() => endpoint.ends.length > 0);
      assert.equal(accepted.endpoints[0]?.text, AMQP_TLS);
    });
  });
});

describe('listener: WebSocket', () => {
  it('carries bytes over ws and wss, with both subprotocols', async () => {
    for (const mode of ['websocket', 'websocket-tls'] as const) {
      const accepted = new Accepted();
      await withListener(open({ mode, tls: { credentials } }, accepted), async ({ port }) => {
        for (const websocketProtocol of ['amqp', 'AMQPWSB10']) {
          const { endpoint, connection } = await connectTo(
            { port },
            { mode, host: 'localhost', credentials: trusted, websocketProtocols: [websocketProtocol] },
          );
          await assertEchoes(endpoint);
          assert.equal(connection.info.websocketProtocol, websocketProtocol);
          assert.equal(connection.info.encrypted, mode === 'websocket-tls');
          const info = accepted.infos.at(-1);
          assert.equal(info?.websocket, true);
          assert.equal(info?.websocketProtocol, websocketProtocol);
          assert.equal(info?.websocketPath, '/$servicebus/websocket');
          assert.equal(info?.encrypted, mode === 'websocket-tls');
          assert.equal(info?.servername, mode === 'websocket-tls' ? 'localhost' : undefined);
          assert.equal(info?.remoteAddress, '127.0.0.1');
        }
      });
    }
  });

  it('carries a megabyte in messages of any size, and the end of either side', async () => {
    const accepted = new Accepted();
    await withListener(open({ mode: 'websocket' }, accepted), async (listener) => {
      const { endpoint, connection } = await connectTo(listener, { mode: 'websocket' });
      const sizes = [1, 125, 126, 65_535, 65_536, 1_000_000];
      const parts = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
      for (const part of parts) endpoint.send(part);
      const total = sizes.reduce((sum, size) => sum + size, 0);
      await endpoint.until(() => endpoint.receivedBytes === total);
      assert.ok(Buffer.concat(endpoint.received).equals(Buffer.concat(parts)));
      assert.deepEqual(
        parts.map((part) => part[part.length - 1]),
        [1, 2, 3, 4, 5, 6],
        'masking leaves our buffers alone',
      );
      endpoint.finish();
      while (!connection.closed || listener.connections.size > 0) await new Promise(setImmediate);
      assert.deepEqual(accepted.endpoints[0]?.ends, [undefined]);
      assert.deepEqual(endpoint.ends, [undefined]);
      assert.deepEqual(endpoint.taken, [], 'all buffers came back');
    });
  });

  it('takes the first subprotocol of the client that it knows', async () => {
    const accepted = new Accepted();
    await withListener(open({ mode: 'websocket' }, accepted), async ({ port }) => {
      const { endpoint } = await connectTo(
        { port },
        { mode: 'websocket', websocketProtocols: ['binary', 'AMQPWSB10', 'amqp'] },
      );
      await assertEchoes(endpoint);
      assert.equal(accepted.infos[0]?.websocketProtocol, 'AMQPWSB10');
    });
  });

  it('refuses a client without a subprotocol that it knows', async () => {
    const refusals = new Refusals();
    await withListener(open({ mode: 'websocket', onRefused: refusals.note }), async ({ port }) => {
      const attempt = dial({ host: '127.0.0.1', port, mode: 'websocket', websocketProtocols: ['mqtt'] });
      await assertFails(attempt, 'websocket-refused', '400', 'amqp, AMQPWSB10');
      assert.equal((await refusals.first()).kind, 'websocket-subprotocol');
    });
  });

  it('knows its paths, with and without a slash at the end', async () => {
    const refusals = new Refusals();
    const options = {
      mode: 'websocket',
      websocketPaths: ['/$servicebus/websocket'],
      onRefused: refusals.note,
    } as const;
    await withListener(open(options), async ({ port }) => {
      for (const websocketPath of ['/$servicebus/websocket', '/$servicebus/websocket/', '/$servicebus/websocket?x=1']) {
        const { endpoint } = await connectTo({ port }, { mode: 'websocket', websocketPath });
        await assertEchoes(endpoint);
      }
      const attempt = dial({ host: '127.0.0.1', port, mode: 'websocket', websocketPath: '/other' });
      const error = await assertFails(attempt, 'websocket-refused', '404', '/other');
      assert.match(error.hint, /emulator/);
      assert.equal((await refusals.first()).kind, 'websocket-path');
    });
  });

  it('refuses plain AMQP, plain HTTP and other bytes, and says so', async () => {
    const options = { mode: 'websocket' } as const;
    await assertRefused(options, AMQP, 'amqp-on-websocket-port', 'AMQP');
    await assertRefused(options, '\x16\x03\x01\x02\0', 'tls-on-plain-port', 'TLS');
    await assertRefused(options, 'nonsense\r\n\r\n', 'not-websocket', 'not HTTP');
    const answer = await assertRefused(options, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'not-websocket', 'plain HTTP');
    assert.match(answer, /^HTTP\/1\.1 426 /);
  });

  it('leaves other requests to who takes them', async () => {
    const options: Partial<ListenOptions> = {
      mode: 'websocket',
      onRequest: (request, response) => {
        response.writeHead(200, { Connection: 'close' });
        response.end(`you asked for ${request.url}`);
      },
    };
    await withListener(open(options), async ({ port }) => {
      assert.match(await converse(port, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'), /you asked for \/healthz/);
    });
  });

  it('ends a connection that sends text', async () => {
    const accepted = new Accepted();
    await withListener(open({ mode: 'websocket' }, accepted), async ({ port }) => {
      const client = new WebSocket(`ws://127.0.0.1:${port}/`, ['amqp']);
      client.once('open', () => client.send('hello'));
      const code = await new Promise((resolve) => client.once('close', resolve));
      assert.equal(code, 1003);
      const [server] = accepted.endpoints as [TestEndpoint];
      await server.until(() => server.ends.length > 0);
      assert.match(String(server.ends[0]), /text message/);
      assert.equal(server.receivedBytes, 0);
    });
  });

  it('holds a bounded number of bytes for a reader that stopped', async () => {
    const accepted = new Accepted();
    await withListener(open({ mode: 'websocket' }, accepted), async (listener) => {
      const { endpoint, connection } = await connectTo(listener, { mode: 'websocket' });
      await assertEchoes(endpoint);
      const [server] = accepted.endpoints as [TestEndpoint];
      server.congested = true;
      endpoint.send('last');
      const before = server.receivedBytes;
      await server.until(() => server.receivedBytes > before);
      const chunk = new Uint8Array(64 * 1024);
      for (let rounds = 0; endpoint.waitingBytes < 8 * 1024 * 1024; rounds++) {
        assert.ok(rounds < 10_000, 'the socket takes bytes for ever');
        endpoint.send(chunk);
        await new Promise(setImmediate);
      }
      assert.ok(connection.outstandingBytes < 512 * 1024);
      connection.destroy();
      await endpoint.until(() => endpoint.ends.length > 0);
      assert.deepEqual(endpoint.taken, [], 'all buffers came back');
    });
  });
});
