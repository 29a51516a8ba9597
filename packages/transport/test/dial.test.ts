// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo, LookupFunction, Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { WebSocket } from 'ws';
import { dial, issueCertificate, listen } from '../src/index.js';
import type { DialMode, DialOptions, ListenOptions, TlsCredentials } from '../src/index.js';
import {
  Accepted,
  TestAuthority,
  assertEchoes,
  assertFails,
  assertTransportError,
  connectTo,
  credentialsOf,
  days,
  withListener,
  withServer,
} from './support.js';

const authority = new TestAuthority();
const trusted = authority.client();

/** Looks every name up as 127.0.0.1, so that tests can use names of their own. */
const lookup: LookupFunction = (_, options, done) => {
  if (options.all === true) done(null, [{ address: '127.0.0.1', family: 4 }]);
  else done(null, '127.0.0.1', 4);
};

function dialing(port: number, options: Partial<DialOptions> = {}): Promise<unknown> {
  return dial({ host: 'localhost', port, mode: 'tls', credentials: trusted, lookup, ...options });
}

function tlsServer(credentials: TlsCredentials, more: Partial<ListenOptions> = {}): ReturnType<typeof listen> {
  return listen({ host: '127.0.0.1', port: 0, mode: 'tls', tls: { credentials }, ...more }, new Accepted().make);
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('dial: names and addresses', () => {
  it('says that a name was not found', async () => {
    const missing: LookupFunction = (host, _, done) => {
      done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }), '', 4);
    };
    await assertFails(dialing(5671, { host: 'nowhere.example', lookup: missing }), 'name-not-found', 'nowhere.example');
  });

  it('looks a name up anew each time', async () => {
    const asked: string[] = [];
    const counting: LookupFunction = (host, options, done) => {
      asked.push(host);
      lookup(host, options, done);
    };
    const port = await closedPort();
    await assertFails(dialing(port, { lookup: counting }), 'refused');
    await assertFails(dialing(port, { lookup: counting }), 'refused');
    assert.deepEqual(asked, ['localhost', 'localhost']);
  });

  it('tries all addresses of a name', async () => {
    const accepted = new Accepted();
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tcp' }, accepted.make), async ({ port }) => {
      const two: LookupFunction = (_, __, done) => {
        done(null, [
          { address: '127.0.0.2', family: 4 },
          { address: '127.0.0.1', family: 4 },
        ]);
      };
      const { endpoint } = await connectTo({ port }, { host: 'two.example', lookup: two });
      await assertEchoes(endpoint);
    });
  });

  it('says that nothing listens on a port', async () => {
    const port = await closedPort();
    await assertFails(dialing(port), 'refused', `localhost:${port}`);
  });

  it('says that a host cannot be reached', async () => {
    // The runtime has no port to unreachable hosts that every machine agrees on; its error is what matters.
    const unreachable: LookupFunction = (_, __, done) => {
      done(Object.assign(new Error('connect EHOSTUNREACH'), { code: 'EHOSTUNREACH' }), '', 4);
    };
    await assertFails(dialing(5671, { lookup: unreachable }), 'unreachable', 'EHOSTUNREACH');
  });

  it('gives up after its time limit, in whatever it is doing, and says what it waited for', async () => {
    const words: Record<DialMode, string> = {
      tcp: '',
      tls: 'TLS handshake',
      'tls-in-band': 'AMQP TLS header',
      websocket: 'WebSocket',
      'websocket-tls': 'TLS',
    };
    await withServer(
      (socket) => socket.resume(),
      async (port) => {
        // Less than that a busy machine may take to look the name up and to connect.
        const timeoutMs = 1_000;
        await Promise.all(
          (['tls', 'tls-in-band', 'websocket'] as const).map((mode) =>
            assertFails(dialing(port, { mode, timeoutMs }), 'timed-out', `${timeoutMs} ms`, words[mode]),
          ),
        );
      },
    );
  });

  it('gives up when it is told to', async () => {
    await withServer(
      (socket) => socket.resume(),
      async (port) => {
        const abort = new AbortController();
        const attempt = dialing(port, { signal: abort.signal });
        setImmediate(() => abort.abort());
        await assertFails(attempt, 'cancelled');
        await assertFails(dialing(port, { signal: AbortSignal.abort() }), 'cancelled');
      },
    );
  });

  it('says that the peer hung up', async () => {
    await withServer(
      (socket) => socket.destroy(),
      async (port) => {
        await assertFails(dialing(port), 'closed-early', 'TLS handshake');
        await assertFails(dialing(port, { mode: 'tls-in-band' }), 'closed-early', 'AMQP TLS header');
        await assertFails(dialing(port, { mode: 'websocket' }), 'closed-early');
      },
    );
    await withServer(
      (socket) => socket.end(),
      async (port) => {
        await assertFails(dialing(port), 'closed-early');
        await assertFails(dialing(port, { mode: 'tls-in-band' }), 'closed-early');
      },
    );
  });

  it('refuses a port that is none', async () => {
    await assertFails(dialing(70_000), 'other', '70000');
  });
});

describe('dial: TLS', () => {
  it('connects with the name in SNI and the certificate of the peer in the info', async () => {
    const accepted = new Accepted();
    const tls = {
      credentials: authority.server({ commonName: 'bus', organization: 'Contoso', names: ['bus.example'] }),
    };
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tls', tls }, accepted.make), async ({ port }) => {
      const { endpoint, connection } = await connectTo(
        { port },
        { host: 'bus.example', lookup, mode: 'tls', credentials: trusted },
      );
      await assertEchoes(endpoint);
      const { info } = connection;
      assert.equal(info.encrypted, true);
      assert.equal(info.tlsProtocol, 'TLSv1.3');
      assert.match(info.tlsCipher ?? '', /^TLS_/);
      assert.deepEqual({ ...info.peerCertificate?.subject }, { O: 'Contoso', CN: 'bus' });
      assert.equal(info.peerCertificate?.verified, true);
      assert.match(info.peerCertificate?.sha256 ?? '', /^[0-9a-f]{64}$/);
      assert.equal(accepted.infos[0]?.servername, 'bus.example');
    });
  });

  it('verifies an IP address, and sends none as a server name', async () => {
    const accepted = new Accepted();
    const tls = { credentials: authority.server() };
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tls', tls }, accepted.make), async ({ port }) => {
      const { endpoint } = await connectTo({ port }, { mode: 'tls', credentials: trusted });
      await assertEchoes(endpoint);
      assert.equal(accepted.infos[0]?.servername, undefined);
    });
  });

  it('carries a megabyte both ways unharmed', async () => {
    const accepted = new Accepted();
    const tls = { credentials: authority.server() };
    await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tls', tls }, accepted.make), async ({ port }) => {
      const { endpoint } = await connectTo({ port }, { mode: 'tls', credentials: trusted });
      const parts = Array.from({ length: 64 }, (_, i) => new Uint8Array(16_384).fill(i));
      for (const part of parts) endpoint.send(part);
      await endpoint.until(() => endpoint.receivedBytes === 64 * 16_384);
      assert.ok(Buffer.concat(endpoint.received).equals(Buffer.concat(parts)));
    });
  });

  it('names the issuer that is not trusted', async () => {
    await withListener(tlsServer(authority.server()), async ({ port }) => {
      const stranger = new TestAuthority('Other Root').client();
      await assertFails(dialing(port, { credentials: stranger }), 'tls-unknown-issuer', '"Test Root"', 'Contoso Ltd');
      await assertFails(dialing(port, { credentials: undefined }), 'tls-unknown-issuer', '"Test Root"');
    });
  });

  it('names the topmost issuer of a chain, not the one in between', async () => {
    const middle = issueCertificate({ commonName: 'Middle', ...days(-1, 1), authority: true }, authority.issuer);
    const leaf = issueCertificate({ commonName: 'leaf', names: ['localhost'], ...days(-1, 1) }, middle);
    const files = { 'chain.pem': leaf.cert + middle.cert + leaf.key };
    await withListener(tlsServer(credentialsOf(files, { certFile: 'chain.pem' })), async ({ port }) => {
      const stranger = new TestAuthority('Other Root').client();
      await assertFails(dialing(port, { credentials: stranger }), 'tls-unknown-issuer', '"Test Root"');
      await dialing(port).then((stream) => (stream as { destroy(): void }).destroy());
    });
  });

  it('says that a certificate is signed by itself', async () => {
    const self = issueCertificate({ commonName: 'alone', names: ['localhost'], ...days(-1, 1) });
    const server = credentialsOf({ 'self.pem': self.cert + self.key }, { certFile: 'self.pem' });
    await withListener(tlsServer(server), async ({ port }) => {
      await assertFails(dialing(port), 'tls-unknown-issuer', 'signed by itself', '"alone"');
    });
  });

  it('names the names of a certificate that is for others, unless verifyHostname is off', async () => {
    await withListener(
      tlsServer(authority.server({ names: ['a.example', 'b.example'], ips: ['192.0.2.1', '2001:db8::1'] })),
      async ({ port }) => {
        await assertFails(dialing(port), 'tls-name-mismatch', 'a.example, b.example, 192.0.2.1', 'not for localhost');
        const stream = (await dialing(port, { verifyHostname: false })) as { destroy(): void };
        stream.destroy();
        const stranger = new TestAuthority('Other Root').client();
        await assertFails(dialing(port, { verifyHostname: false, credentials: stranger }), 'tls-unknown-issuer');
        for (const servername of ['b.example', '192.0.2.1', '2001:db8:0::1'])
          ((await dialing(port, { servername })) as { destroy(): void }).destroy();
        await assertFails(dialing(port, { servername: '2001:db8::2' }), 'tls-name-mismatch');
      },
    );
  });

  it('says since when a certificate has expired, or from when it is valid', async () => {
    const expired = authority.issue(days(-5, -2));
    const early = authority.issue(days(2, 5));
    // Our own profile refuses to serve with such a certificate; others do.
    const { createServer: createTlsServer } = await import('node:tls');
    for (const [made, kind, word] of [
      [expired, 'tls-expired', 'expired on'],
      [early, 'tls-not-yet-valid', 'not valid before'],
    ] as const) {
      const server = createTlsServer({ cert: made.cert, key: made.key });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const error = await assertFails(dialing((server.address() as AddressInfo).port), kind, word);
      assert.match(error.message, /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/);
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('says that the versions of TLS do not meet', async () => {
    await withListener(tlsServer(authority.server({}, { protocols: 'TLSv1.3' })), async ({ port }) => {
      const old = authority.client({ protocols: 'TLSv1.2' });
      await assertFails(dialing(port, { credentials: old }), 'tls-protocol-version');
    });
    await withListener(tlsServer(authority.server({}, { protocols: 'TLSv1.2' })), async ({ port }) => {
      const young = authority.client({ protocols: 'TLSv1.3' });
      await assertFails(dialing(port, { credentials: young }), 'tls-protocol-version');
    });
  });

  it('says that the ciphers do not meet', async () => {
    const server = authority.server({}, { protocols: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' });
    await withListener(tlsServer(server), async ({ port }) => {
      const other = authority.client({ protocols: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' });
      await assertFails(dialing(port, { credentials: other }), 'tls-other', 'without saying why');
    });
  });

  it('says that the peer wants a client certificate, though TLS 1.3 only tells after the handshake', async () => {
    const tls = { credentials: authority.server(), clientCertificate: 'required' } as const;
    await withListener(tlsServer(tls.credentials, { tls }), async ({ port }) => {
      const { endpoint } = await connectTo({ port }, { mode: 'tls', credentials: trusted });
      await endpoint.until(() => endpoint.ends.length > 0);
      assertTransportError(endpoint.ends[0], 'tls-client-certificate', 'wants a client certificate');
    });
  });

  it('shows its client certificate', async () => {
    const me = authority.issue({ commonName: 'router.7' });
    const credentials = credentialsOf(
      { 'ca.pem': authority.issuer.cert, 'me.pem': me.cert + me.key },
      { caCertFile: 'ca.pem', certFile: 'me.pem' },
    );
    for (const clientCertificate of ['required', 'optional'] as const) {
      const accepted = new Accepted();
      const tls = { credentials: authority.server(), clientCertificate };
      await withListener(listen({ host: '127.0.0.1', port: 0, mode: 'tls', tls }, accepted.make), async ({ port }) => {
        const { endpoint } = await connectTo({ port }, { mode: 'tls', credentials });
        await assertEchoes(endpoint);
        assert.equal(accepted.infos[0]?.peerCertificate?.subject['CN'], 'router.7');
        assert.equal(accepted.infos[0]?.peerCertificate?.verified, true);
      });
    }
  });

  it('says that a peer speaks no TLS', async () => {
    for (const answer of ['AMQP\0\x01\0\0', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'SSH-2.0-OpenSSH_9.2\r\n']) {
      await withServer(
        (socket) => socket.once('data', () => socket.end(answer, 'latin1')),
        async (port) => {
          await assertFails(dialing(port), 'not-tls', 'does not speak TLS');
        },
      );
    }
  });

  it('says that a peer without TLS insists on it', async () => {
    for (const answer of ['AMQP\x02\x01\0\0', '\x15\x03\x01\0\x02\x02\x46']) {
      await withServer(
        (socket) => socket.once('data', () => socket.end(answer, 'latin1')),
        async (port) => {
          const { endpoint } = await connectTo({ port });
          endpoint.send('AMQP\0\x01\0\0');
          await endpoint.until(() => endpoint.ends.length > 0);
          assertTransportError(endpoint.ends[0], 'tls-required');
          assert.equal(endpoint.receivedBytes, 0);
        },
      );
    }
  });

  it('says that a peer speaks HTTP', async () => {
    await withServer(
      (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
      async (port) => {
        const { endpoint } = await connectTo({ port });
        endpoint.send('AMQP\0\x01\0\0');
        await endpoint.until(() => endpoint.ends.length > 0);
        assertTransportError(endpoint.ends[0], 'not-amqp', 'HTTP');
      },
    );
  });
});

describe('dial: in-band TLS (5.2.1)', () => {
  it('says what the peer answered instead of the TLS header', async () => {
    for (const [answer, kind, word] of [
      ['AMQP\x03\x01\0\0', 'not-tls', 'protocol id 3'],
      ['\x15\x03\x01\0\x02\x02\x46', 'not-tls', 'from the first byte'],
      ['HTTP/1.1 400 Bad Request\r\n\r\n', 'not-amqp', 'HTTP'],
      ['SSH-2.0-OpenSSH_9.2\r\n', 'not-tls', 'did not answer'],
      ['AMQP\x02\x01\x01\0', 'not-tls', 'did not answer'],
    ] as const) {
      await withServer(
        (socket) => socket.once('data', () => socket.write(answer, 'latin1')),
        async (port) => {
          await assertFails(dialing(port, { mode: 'tls-in-band' }), kind, word);
        },
      );
    }
  });

  it('takes an answer that comes byte by byte', async () => {
    await withServer(
      (socket) =>
        socket.once('data', () => {
          socket.setNoDelay(true);
          for (const byte of 'AMQP\x00\x01\0\0') socket.write(byte, 'latin1');
        }),
      async (port) => {
        await assertFails(dialing(port, { mode: 'tls-in-band' }), 'not-tls', 'protocol id 0');
      },
    );
  });
});

describe('dial: WebSocket', () => {
  it('says which status the request was refused with', async () => {
    await withServer(
      (socket) =>
        socket.once('data', () =>
          socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nConnection: close\r\n\r\nno way'),
        ),
      async (port) => {
        await assertFails(
          dialing(port, { mode: 'websocket' }),
          'websocket-refused',
          '403',
          'no way',
          '/$servicebus/websocket',
        );
      },
    );
  });

  it('says what to do by the status, and waits for no end of what the peer has to say', async () => {
    for (const [status, cure] of [
      ['302 Found', /sign-in/],
      ['403 Ip has been prevented', /firewalls/],
      ['502 Bad Gateway', /pass by itself/],
      ['200 OK', /host and port/],
    ] as const) {
      await withServer(
        (socket) =>
          socket.once('data', () =>
            socket.write(`HTTP/1.1 ${status}\r\ncontent-length: 99999\r\n\r\n<p>${'no way '.repeat(100)}`),
          ),
        async (port) => {
          const refused = dialing(port, { mode: 'websocket', timeoutMs: 60_000 });
          const { hint } = await assertFails(refused, 'websocket-refused', `status ${status}: no way`);
          assert.match(hint, cure);
        },
      );
    }
  });

  it('tells an answer in HTTP that no WebSocket server gives, and names the port that counts', async () => {
    await withServer(
      (socket) =>
        socket.once('data', () =>
          socket.write(
            'HTTP/1.1 101 Go\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: none\r\n\r\n',
          ),
        ),
      async (port) => {
        await assertFails(dialing(port, { mode: 'websocket' }), 'websocket-refused', 'as no WebSocket server does');
      },
    );
    const { hint } = await assertFails(dialing(await closedPort(), { mode: 'websocket-tls' }), 'refused');
    assert.match(hint, /webSocketPort/);
  });

  it('hands on why a WebSocket ended: a status with words, a text, or what is no WebSocket at all', async () => {
    const { WebSocketServer } = await import('ws');
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'amqp' });
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const acts: readonly (readonly [act: (peer: WebSocket, socket: Socket) => void, words: string | undefined])[] = [
      [(peer) => peer.close(1008, 'policy says no'), 'The peer closed the WebSocket with status 1008: policy says no.'],
      [(peer) => peer.close(1011), 'The peer closed the WebSocket with status 1011.'],
      [(peer) => peer.close(1000), undefined],
      [(peer) => peer.pause() ?? peer.send('text'), 'The peer sent a text message'],
      [(_, socket) => socket.write(Buffer.from([0xc2, 1, 0])), 'is no WebSocket: Invalid WebSocket frame: RSV1'],
    ];
    for (const [act, words] of acts) {
      server.once('connection', (peer, { socket }) => act(peer, socket));
      const stream = await dial({ host: '127.0.0.1', port, mode: 'websocket' });
      const cause = await new Promise<Error | undefined>((onClosed) => {
        stream.attach({ onData: () => undefined, onEnd: () => undefined, onWritten: () => undefined, onClosed });
      });
      if (words === undefined) assert.equal(cause, undefined);
      else assertTransportError(cause, 'websocket-ended', words);
    }
    for (const client of server.clients) client.terminate();
    await new Promise((resolve) => server.close(resolve));
  });

  it('says that the peer does not speak HTTP', async () => {
    await withServer(
      (socket) => socket.once('data', () => socket.end('AMQP\0\x01\0\0', 'latin1')),
      async (port) => {
        await assertFails(dialing(port, { mode: 'websocket' }), 'websocket-refused', 'in HTTP');
      },
    );
  });

  it('says that no subprotocol was agreed on', async () => {
    const { WebSocketServer } = await import('ws');
    for (const handleProtocols of [() => false as const, () => 'mqtt']) {
      const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols });
      await new Promise((resolve) => server.once('listening', resolve));
      const { port } = server.address() as AddressInfo;
      await assertFails(dialing(port, { mode: 'websocket' }), 'websocket-subprotocol', 'AMQPWSB10');
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
