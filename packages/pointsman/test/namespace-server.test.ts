// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseConnectionString } from '@pointsman/azure';
import { TransportError, loadTlsCredentials } from '@pointsman/transport';
import { connect } from '../src/client/client.js';
import { ClientError } from '../src/client/client-error.js';
import { UsageError } from '../src/command-options.js';
import { parseNamespaceArguments } from '../src/namespace-server/arguments.js';
import { runNamespaceCommand } from '../src/namespace-server/command.js';
import { startNamespaceServer } from '../src/namespace-server/namespace-server.js';
import { TestIo, opening, text, textOf, until } from './client-fixture.js';
import type { Opened } from './client-fixture.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));

function folderFor(opened: Opened): string {
  const folder = mkdtempSync(join(tmpdir(), 'pointsman-test-'));
  opened.later(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe('A namespace on real ports', () => {
  it(
    'takes nobody without TLS further than the list of mechanisms, as in the cloud',
    opening(async (opened) => {
      const server = await opened.namespace();
      const plain = opened.client(server, { mode: 'tcp', port: server.ports.amqp!, timeoutMs: 200 });
      await assert.rejects(plain, (error: unknown) => error instanceof ClientError);
      assert.deepEqual(Object.keys(server.ports).sort(), ['amqp', 'amqps', 'wss']);
    }),
  );

  it(
    'is plain as an emulator, over TCP and WebSocket',
    opening(async (opened) => {
      const server = await opened.namespace({ mode: 'emulator' });
      assert.deepEqual(Object.keys(server.ports).sort(), ['amqp', 'ws']);
      assert.equal(server.caCertFile, undefined);
      for (const options of [{}, { mode: 'websocket', port: server.ports.ws! }] as const) {
        const client = await opened.client(server, options);
        assert.equal(client.info.encrypted, false);
        assert.equal((await (await client.sender('orders')).send(text('x'))).type, 'accepted');
      }
      assert.equal(server.namespace.counts('orders').active, 2);
    }),
  );

  it(
    'has the entities and policies that it is given',
    opening(async (opened) => {
      const server = await opened.namespace({
        queues: ['orders', { name: 'short', maxMessageSizeBytes: 1024 }],
        topics: [{ name: 'news', subscriptions: [{ name: 'all' }] }],
        policies: [
          { name: 'shop', key: 'k1', rights: ['Send'] },
          { name: 'desk', key: 'k2', rights: ['Listen'] },
        ],
      });
      const as = (username: string, key: string) =>
        opened.client(server, { sasl: { mechanisms: ['PLAIN'], username, password: () => key } });
      const [shop, desk] = [await as('shop', 'k1'), await as('desk', 'k2')];
      await (await shop.sender('news')).send(text('x'));
      assert.equal(textOf((await (await desk.receiver('news/Subscriptions/all')).next())!.message), 'x');
      await assert.rejects(desk.sender('orders'), /Unauthorized/);
      await assert.rejects(shop.receiver('orders'), /Unauthorized/);
      const short = await shop.sender('short');
      const state = await short.send(text('x'.repeat(2000)));
      assert.ok('type' in state && state.type === 'rejected');
      assert.equal(state.error?.condition, 'amqp:link:message-size-exceeded');
    }),
  );

  it(
    'gives connection strings that lead back to it',
    opening(async (opened) => {
      const cloud = await opened.namespace({
        policies: [
          { name: 'root', key: 'a+b/c==', rights: ['Manage'] },
          { name: 'shop', key: 'k', rights: ['Send'] },
        ],
      });
      const parsed = parseConnectionString(cloud.connectionString());
      assert.deepEqual(
        [parsed.host, parsed.port, parsed.tls, parsed.keyName, parsed.key?.reveal()],
        ['localhost', cloud.ports.amqps, 'first', 'root', 'a+b/c=='],
      );
      const shop = parseConnectionString(cloud.connectionString('SHOP', { entityPath: 'orders', form: 'host' }));
      assert.deepEqual([shop.port, shop.keyName, shop.entityPath], [5671, 'shop', 'orders']);
      assert.throws(() => cloud.connectionString('nobody'), /no shared access policy 'nobody'/);
      assert.throws(() => cloud.connectionString('root', { form: 'emulator' }), /mode 'cloud'/);

      const emulator = await opened.namespace({ mode: 'emulator', ports: { ws: false } });
      const plain = parseConnectionString(emulator.connectionString());
      assert.deepEqual([plain.port, plain.tls, plain.emulator], [emulator.ports.amqp, 'none', true]);
      assert.deepEqual(Object.keys(emulator.ports), ['amqp']);
    }),
  );

  it(
    'keeps to the times it is given',
    opening(async (opened) => {
      const server = await opened.namespace({ times: { firstLinkMs: 20 } });
      const lost: string[] = [];
      await opened.client(server, { onLost: ({ message }) => lost.push(message) });
      await until('the connection to be closed for want of a link', () => lost.length === 1);
      assert.match(lost[0]!, /amqp:connection:forced.*did not have any active links in the past 20 milliseconds/);
    }),
  );

  it(
    'opens all of its ports or none',
    opening(async (opened) => {
      const blocker = createServer();
      await new Promise<void>((resolve) => {
        blocker.listen(0, '127.0.0.1', resolve);
      });
      opened.later(() => blocker.close());
      const { port } = blocker.address() as AddressInfo;
      const free = await freePort();
      await assert.rejects(
        startNamespaceServer({ ports: { amqps: free, amqp: port } }),
        (error: unknown) => error instanceof TransportError && error.kind === 'address-in-use',
      );
      await assert.rejects(
        connect({ host: '127.0.0.1', port: free }),
        (error: unknown) => error instanceof TransportError && error.kind === 'refused',
      );
      await assert.rejects(startNamespaceServer({ mode: 'emulator', ports: { amqps: 0 } }), TypeError);
    }),
  );
});

describe('The development certificate', () => {
  it(
    'is for the names given, its key is for nobody else, and it goes with the server',
    opening(async (opened) => {
      const server = await opened.namespace({
        hostname: 'unit.servicebus.windows.net',
        names: ['broker.test', '10.1.2.3'],
      });
      const { caCertFile, privateKeyFile, folder } = server.certificate!;
      assert.equal(statSync(privateKeyFile).mode & 0o777, 0o600);
      assert.equal(statSync(folder).mode & 0o777, 0o700);
      const tls = loadTlsCredentials({ caCertFile });
      for (const servername of ['localhost', 'unit.servicebus.windows.net', 'broker.test']) {
        const client = await opened.client(server, { tls, servername });
        assert.equal(client.info.peerCertificate?.verified, true);
      }
      await assert.rejects(
        opened.client(server, { tls, servername: 'other.test' }),
        (error: unknown) => error instanceof TransportError && error.kind === 'tls-name-mismatch',
      );
      await server.close();
      assert.ok(!existsSync(folder), 'a temporary folder is removed');
    }),
  );

  it(
    'stays the same in a folder that is kept, as long as it serves',
    opening(async (opened) => {
      const certificateFolder = join(folderFor(opened), 'certificates');
      const run = async (names: readonly string[] = []): Promise<{ ca: string; reused: boolean }> => {
        const server = await startNamespaceServer({ certificateFolder, names });
        const result = { ca: readFileSync(server.caCertFile!, 'utf8'), reused: server.certificate!.reused };
        await server.close();
        return result;
      };
      const first = await run();
      assert.equal(first.reused, false);
      assert.deepEqual(await run(), { ca: first.ca, reused: true });
      const other = await run(['broker.test']);
      assert.notEqual(other.ca, first.ca, 'another name needs another certificate');
      const key = join(certificateFolder, 'key.pem');
      chmodSync(key, 0o644);
      const third = await run(['broker.test']);
      assert.notEqual(third.ca, other.ca, 'a key that others could read is not used again');
      assert.equal(statSync(key).mode & 0o777, 0o600);
      assert.equal(readFileSync(join(certificateFolder, '.gitignore'), 'utf8'), '*\n');
    }),
  );
});

describe('pointsman namespace', () => {
  it('explains itself, and wrong arguments', async () => {
    const io = new TestIo();
    assert.equal(await runNamespaceCommand(['--help'], io), 0);
    assert.match(io.out, /Examples:\n {2}pointsman namespace/);
    for (const [argv, said] of [
      [['--port', '70000'], /--port '70000' is no port/],
      [['--policy', 'shop:Sned'], /--policy 'shop:Sned' is not of the form NAME:RIGHTS/],
      [['--quue', 'x'], /--quue/],
      [['--emulator', '--in-band-port', '0'], /emulator has none/],
    ] as const) {
      const wrong = new TestIo();
      assert.equal(await runNamespaceCommand(argv, wrong), 2);
      assert.match(wrong.err, said);
    }
  });

  it('reads how many operations a second has', () => {
    const parsed = parseNamespaceArguments(['--operations-per-second', '50']);
    assert.ok(parsed !== 'help');
    assert.equal(parsed.server.operationsPerSecond, 50);
    for (const text of ['0', '-1', '1.5', 'x', '9999999999'])
      assert.throws(() => parseNamespaceArguments([`--operations-per-second=${text}`]), UsageError);
  });

  it('reads how much memory messages may take', () => {
    const parsed = parseNamespaceArguments(['--memory-max', '64']);
    assert.ok(parsed !== 'help');
    assert.equal(parsed.server.memoryBytesMax, 67_108_864);
    for (const text of ['0', '-1', '1.5', 'x', '99999999'])
      assert.throws(() => parseNamespaceArguments([`--memory-max=${text}`]), UsageError);
  });

  it('reads queues, topics, subscriptions and policies', () => {
    const parsed = parseNamespaceArguments([
      '--queue',
      'a',
      '--queue',
      'b/c',
      '--topic',
      't/s1',
      '--topic',
      't/Subscriptions/s2',
      '--topic',
      'x',
      '--policy',
      'shop:send+Listen',
    ]);
    assert.ok(parsed !== 'help');
    assert.deepEqual(parsed.server.queues, ['a', 'b/c']);
    assert.deepEqual(parsed.server.topics, [
      { name: 't', subscriptions: [{ name: 's1' }, { name: 's2' }] },
      { name: 'x', subscriptions: [] },
    ]);
    const [root, shop] = parsed.server.policies ?? [];
    assert.deepEqual([root?.name, shop?.name, shop?.rights], ['RootManageSharedAccessKey', 'shop', ['Send', 'Listen']]);
    assert.ok((shop?.key.length ?? 0) > 40);
  });

  it(
    'runs until a signal, and tells whom to connect to',
    opening(async (opened) => {
      const folder = folderFor(opened);
      const io = new TestIo();
      const done = runNamespaceCommand(
        [
          '--port',
          '0',
          '--in-band-port',
          '0',
          '--websocket-port',
          '0',
          '--certificates',
          folder,
          '--policy',
          'shop:Send',
        ],
        io,
      );
      await until('its introduction', () => io.out.includes('Ctrl-C'));
      const strings = [...io.out.matchAll(/Endpoint=\S+/gu)].map(([found]) => parseConnectionString(found));
      assert.deepEqual(
        strings.map(({ keyName }) => keyName),
        ['RootManageSharedAccessKey', 'shop'],
      );
      const [, shop] = strings;
      const client = opened.add(
        await connect({
          host: shop!.host,
          port: shop!.port,
          mode: 'tls',
          tls: loadTlsCredentials({ caCertFile: join(folder, 'ca.pem') }),
          sasl: { mechanisms: ['PLAIN'], username: 'shop', password: () => shop!.key!.reveal() },
        }),
      );
      assert.equal((await (await client.sender('orders')).send(text('x'))).type, 'accepted');
      await assert.rejects(client.receiver('orders'), /Unauthorized/);
      assert.match(io.err, /refused: amqp:unauthorized-access/);
      io.emit('SIGTERM');
      assert.equal(await done, 0);
      assert.equal(io.listenerCount('SIGTERM') + io.listenerCount('SIGINT'), 0);
    }),
  );

  it(
    'says which port is taken',
    opening(async (opened) => {
      const io = new TestIo();
      const server = await opened.namespace({ mode: 'emulator' });
      assert.equal(await runNamespaceCommand(['--emulator', '--port', String(server.ports.amqp)], io), 1);
      assert.match(io.err, /another program listens there.*--port/);
    }),
  );

  it(
    'is a command',
    opening(async (opened) => {
      const child = spawn(process.execPath, [MAIN, 'namespace', '--emulator', '--port', '0'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      opened.later(() => child.kill('SIGKILL'));
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString();
      });
      await until('its introduction', () => out.includes('Ctrl-C'));
      const { port } = parseConnectionString(/Endpoint=\S+/u.exec(out)![0]);
      const client = await connect({ host: '127.0.0.1', port });
      await client.close();
      const exited = new Promise((resolve) => {
        child.once('exit', resolve);
      });
      child.kill('SIGINT');
      assert.equal(await exited, 0);
    }),
  );
});

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}
