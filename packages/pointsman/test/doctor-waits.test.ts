// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { AddressInfo } from 'node:net';
import type { NamespaceServer } from '../src/namespace-server/namespace-server.js';
import { TestIo, until } from './client-fixture.js';
import { checkOf, connectorTo, doctor, findings, openCloud } from './doctor-fixture.js';
import { ROUTER, THROUGH_ORDERS, connector, days, scene, sslProfile } from './five-steps-fixture.js';
import type { Scene } from './five-steps-fixture.js';

/** Somebody at a terminal, who does something as soon as it shows a text. */
class Watcher extends TestIo {
  constructor(text: string, act: () => void) {
    super();
    Object.assign(this.stdout, { isTTY: true, columns: 100 });
    const write = this.stdout.write.bind(this.stdout);
    let isDone = false;
    this.stdout.write = (chunk: unknown) => {
      if (!isDone && String(chunk).includes(text)) {
        isDone = true;
        act();
      }
      return write(chunk);
    };
  }
}

/** Freezes the namespace when the terminal shows that a step begins. */
async function frozenAt(
  one: Scene,
  cloud: NamespaceServer,
  text: string,
  argv: readonly string[],
  config: string,
): Promise<{ status: number; out: string; ms: number }> {
  const io = new Watcher(text, () => cloud.namespace.faults.freezeConnections());
  const file = one.file('router.conf', ROUTER + config);
  const started = performance.now();
  const { status, out } = await doctor(['-c', file, '--timeout', '1.5', '--no-color', ...argv], {}, io);
  return { status, out, ms: performance.now() - started };
}

describe('a doctor at a peer that falls silent', () => {
  it(
    'waits no longer than it was told, shows what it waits for and how long, and says what to do',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders'] });
      const plain = connectorTo(cloud) + THROUGH_ORDERS;
      const byTokens = connectorTo(cloud, { saslMechanisms: undefined, azureAuthentication: 'sas' }) + THROUGH_ORDERS;
      const rows: readonly [text: string, argv: readonly string[], config: string, status: number, words: RegExp][] = [
        ['· Entity          orders', [], plain, 15, /✘ Entity[^✘]*no answer to the attach of a[^✘]*within 1500 ms/],
        ['· Tokens', [], byTokens, 13, /✘ Tokens[^]*orders was not looked at: there is no token/],
        ['· Round trip', ['--round-trip', 'orders'], plain, 16, /✘ Round trip[^]*within 1500[ \n]+ms/],
      ];
      for (const [text, argv, config, expected, words] of rows) {
        const { status, out, ms } = await frozenAt(one, cloud, text, argv, config);
        assert.equal(status, expected, out);
        assert.match(out, words);
        assert.match(out, /\.\.\. \d s of 2/);
        assert.ok(ms < 60_000, `${text} took ${ms} ms`);
      }
    }),
  );

  it(
    'is told of one in TLS, in a WebSocket that does not come about, and before the open',
    scene(async (one) => {
      const deaf = await openTls(one, (socket) => socket.resume());
      const profile = sslProfile({ caCertFile: one.caCertFile });
      const silent = await findings(one, profile + connector(deaf) + THROUGH_ORDERS, '--timeout', '1');
      assert.equal(silent.status, 14);
      assert.match(checkOf(silent.found, 'open').text, /no open came within 1000 ms|fell silent/);
      const upgrade = { transport: 'websocket', webSocketPort: deaf };
      const noUpgrade = await findings(one, profile + connector(1, upgrade) + THROUGH_ORDERS, '--timeout', '1');
      assert.equal(noUpgrade.status, 12);
      assert.match(checkOf(noUpgrade.found, 'handshake').text, /did not answer the WebSocket request/);
    }),
  );

  it(
    'can be left alone: what was found so far is told',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders'] });
      const io = new Watcher('· Entity          orders', () => {
        cloud.namespace.faults.freezeConnections();
        setImmediate(() => io.emit('SIGINT'));
      });
      const file = one.file('router.conf', ROUTER + connectorTo(cloud) + THROUGH_ORDERS);
      const started = performance.now();
      const { status, out } = await doctor(['-c', file, '--timeout', '60', '--no-color'], {}, io);
      assert.equal(status, 130);
      assert.ok(performance.now() - started < 50_000);
      assert.match(out, /✔ .*Open[^]*Interrupted: what was not looked at is not known/);
      assert.equal(io.listenerCount('SIGINT'), 0);
      await until('no more live lines', () => io.out === out);
    }),
  );
});

describe('the doctor as a process', () => {
  const main = fileURLToPath(new URL('../src/main.js', import.meta.url));

  it(
    'ends by Ctrl-C with what it has found, though a peer holds it up',
    scene(async (one) => {
      const port = await one.openPort((socket) => socket.resume());
      const child = spawn(process.execPath, [main, 'doctor', '--connection-string', 'env:SB', '--timeout', '60'], {
        env: { ...process.env, SB: `Endpoint=sb://localhost:${port}/;SharedAccessKeyName=a;SharedAccessKey=YQ==` },
      });
      one.whenOver(() => child.kill('SIGKILL'));
      let out = '';
      child.stdout.on('data', (part: Buffer) => {
        out += part.toString();
        if (out.includes(`Port ${port} can be reached`) && !child.killed) child.kill('SIGINT');
      });
      const [status] = (await once(child, 'exit')) as [number];
      assert.equal(status, 130);
      assert.match(out, /Interrupted: what was not looked at is not known/);
    }),
  );

  it(
    'says nothing more when its reader has seen enough, and ends with the status of what it found',
    scene(async (one) => {
      const port = await one.openPort((socket) => socket.resume());
      const child = spawn(process.execPath, [main, 'doctor', '--connection-string', 'env:SB', '--timeout', '2'], {
        env: { ...process.env, SB: `Endpoint=sb://localhost:${port}/;SharedAccessKeyName=a;SharedAccessKey=YQ==` },
      });
      one.whenOver(() => child.kill('SIGKILL'));
      let error = '';
      child.stderr.on('data', (part: Buffer) => (error += part.toString()));
      // At once: what it writes first may be all that it writes before this process has its turn again.
      child.stdout.destroy();
      const [status] = (await once(child, 'exit')) as [number];
      assert.equal(error, '');
      assert.equal(status, 12);
    }),
  );
});

async function openTls(one: Scene, onSocket: (socket: TLSSocket) => void): Promise<number> {
  const { cert, key } = one.certificate(days(-1, 100));
  const sockets = new Set<TLSSocket>();
  const server = createTlsServer({ cert, key }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  one.whenOver(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
