// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, LookupFunction, Socket } from 'node:net';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { dial, listen } from '../src/index.js';
import type { DialMode, DialOptions, HttpProxy, ListenMode, TransportErrorKind } from '../src/index.js';
import { Accepted, TestAuthority, assertEchoes, assertFails, connectTo, withListener, withServer } from './support.js';

const authority = new TestAuthority();
const trusted = authority.client();

/** A proxy that makes tunnels to 127.0.0.1, whatever the name, and keeps what it was asked. */
async function withProxy(
  body: (
    proxy: HttpProxy,
    asked: { readonly url: string; readonly authorization: string | undefined }[],
  ) => Promise<void>,
): Promise<void> {
  const asked: { url: string; authorization: string | undefined }[] = [];
  const sockets = new Set<Socket>();
  const server = createServer();
  server.on('connect', (request, socket: Socket, head: Buffer) => {
    asked.push({ url: request.url ?? '', authorization: request.headers['proxy-authorization'] });
    const there = connect(Number(/:(\d+)$/.exec(request.url ?? '')?.[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) there.write(head);
      socket.pipe(there).pipe(socket);
    });
    for (const one of [socket, there]) {
      sockets.add(one);
      one.on('error', () => there.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await body({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, asked);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

function through(proxy: HttpProxy, more: Partial<DialOptions> = {}): Promise<unknown> {
  return dial({ host: 'cloud.example', port: 5671, mode: 'tls', credentials: trusted, proxy, ...more });
}

describe('dial: through an HTTP proxy', () => {
  it('carries TCP, TLS, in-band TLS and WebSockets, and lets the proxy look the name up', async () => {
    const never: LookupFunction = () => assert.fail('the name is the business of the proxy');
    const tls = { credentials: authority.server({ names: ['cloud.example'] }) };
    const ways: readonly [ListenMode, DialMode][] = [
      ['tcp', 'tcp'],
      ['tls', 'tls'],
      ['tcp', 'tls-in-band'],
      ['websocket', 'websocket'],
      ['websocket-tls', 'websocket-tls'],
    ];
    await withProxy(async (proxy, asked) => {
      for (const [mode, by] of ways) {
        const options = {
          host: '127.0.0.1',
          port: 0,
          mode,
          ...(by.includes('tls') ? { tls } : {}),
          ...(by === 'tls-in-band' ? { inBandTls: { use: 'required' as const } } : {}),
        };
        await withListener(listen(options, new Accepted().make), async ({ port }) => {
          const { endpoint, connection } = await connectTo(
            { port },
            { host: 'cloud.example', mode: by, proxy, lookup: never, credentials: trusted },
          );
          await assertEchoes(endpoint);
          assert.deepEqual(asked.pop(), { url: `cloud.example:${port}`, authorization: undefined }, by);
          connection.destroy();
        });
      }
    });
  });

  it('proves who asks, where it is told', async () => {
    await withProxy(async (proxy, asked) => {
      await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, new Accepted().make), async ({ port }) => {
        const credentials = { username: 'jo', password: (): string => 's3cr:et' };
        const { endpoint } = await connectTo({ port }, { proxy: { ...proxy, credentials } });
        await assertEchoes(endpoint);
        assert.equal(asked[0]?.authorization, `Basic ${Buffer.from('jo:s3cr:et').toString('base64')}`);
      });
    });
  });

  it('says what a proxy said that makes no tunnel, and what to change', async () => {
    const answers = async (
      text: string,
      more: Partial<HttpProxy>,
      kind: TransportErrorKind,
      ...words: string[]
    ): Promise<string> => {
      let hint = '';
      await withServer(
        (socket) => socket.once('data', () => socket.end(text)),
        async (port) => {
          hint = (await assertFails(through({ host: '127.0.0.1', port, ...more }), kind, ...words)).hint;
        },
      );
      return hint;
    };
    const refusal = 'HTTP/1.1 403 Forbidden\r\ncontent-length: 26\r\n\r\n<h1>Not\u0000 to the cloud</h1>\n';
    assert.match(
      await answers(refusal, {}, 'proxy-refused', 'cloud.example:5671', '403 Forbidden', 'to the cloud'),
      /CONNECT/,
    );

    const ask = 'HTTP/1.1 407 Who?\r\nproxy-authenticate: Basic realm="x"\r\ncontent-length: 0\r\n\r\n';
    assert.match(await answers(ask, {}, 'proxy-authentication', '407', 'Basic'), /Give the connector proxyUsername/);
    const credentials = { username: 'jo', password: (): string => 's3cret' };
    const hint = await answers(ask, { credentials }, 'proxy-authentication', '407');
    assert.match(hint, /check the connector's proxyUsername/);
    const negotiate = ask.replace('Basic realm="x"', 'Negotiate');
    assert.match(await answers(negotiate, { credentials }, 'proxy-authentication', 'Negotiate'), /Only Basic/);
    const digest = ask.replace('Basic realm="x"', 'Digest realm="a, basic", nonce="x"');
    assert.match(await answers(digest, {}, 'proxy-authentication', 'Digest'), /Only Basic/);
    assert.match(await answers('HTTP/1.1 302 Found\r\n\r\n', {}, 'proxy-refused', '302 Found.'), /sign-in/);
    assert.match(
      await answers('HTTP/1.1 504 Late\r\n\r\n', {}, 'proxy-refused'),
      /not find or reach cloud\.example:5671/,
    );
    await answers('AMQP\0\x01\0\0', {}, 'proxy-refused', 'did not answer in HTTP');
    await answers('', {}, 'closed-early', 'instead of answering');
    await answers(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`, {}, 'proxy-refused');
  });

  it('repeats nothing of what it was told, where the proxy shows the request in its answer', async () => {
    const credentials = { username: 'jo', password: (): string => 's3cr3t' };
    const basic = Buffer.from('jo:s3cr3t').toString('base64');
    const answers = [
      `HTTP/1.1 502 Bad ${basic}\r\n\r\n<pre>proxy-authorization: Basic ${basic}</pre> (jo:s3cr3t)`,
      `HTTP/1.1 407 Who?\r\nproxy-authenticate: Basic realm="${basic} s3cr3t"\r\n\r\n`,
    ];
    for (const text of answers) {
      await withServer(
        (socket) => socket.once('data', () => socket.end(text)),
        async (port) => {
          const kind = text.includes('407') ? 'proxy-authentication' : 'proxy-refused';
          const failure = await assertFails(through({ host: '127.0.0.1', port, credentials }), kind, '[secret]');
          assert.doesNotMatch(inspect(failure, { depth: 12 }), /s3cr3t|am86/);
        },
      );
    }
  });

  it('says that it is the proxy that is out of reach, or that does not answer', async () => {
    await withServer(
      (socket) => socket.resume(),
      async (port) => {
        await assertFails(
          through({ host: '127.0.0.1', port }, { timeoutMs: 1_000 }),
          'timed-out',
          `127.0.0.1:${port}`,
          'the proxy did not answer',
        );
      },
    );
    const missing: LookupFunction = (host, _, done) => {
      done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }), '', 4);
    };
    const failure = await assertFails(
      through({ host: 'proxy.example', port: 3128 }, { lookup: missing }),
      'name-not-found',
      'The proxy is out of reach',
      'proxy.example',
    );
    assert.match(failure.hint, /proxy/);
  });

  it('speaks of the peer, not of the proxy, once there is a tunnel', async () => {
    await withProxy(async (proxy) => {
      await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, new Accepted().make), async ({ port }) => {
        await assertFails(
          through(proxy, { port, timeoutMs: 2_000 }),
          'closed-early',
          `cloud.example:${port} (through the proxy `,
        );
      });
    });
  });
});
