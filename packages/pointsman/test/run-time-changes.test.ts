// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { makeDevelopmentCertificates } from '@pointsman/transport';
import { connect } from '../src/client/client.js';
import { readConfig } from '../src/config/read-config.js';
import { silentLogger } from '../src/log.js';
import type { Logger } from '../src/log.js';
import { RouterProcess } from '../src/run/router-process.js';
import type { Opened } from './client-fixture.js';
import { opening, text, textOf, until } from './client-fixture.js';

const ROUTER = 'router { id: QDR.A }\n';

async function running(opened: Opened, conf: string, said: string[] = []): Promise<RouterProcess> {
  const result = readConfig(conf, { path: 'router.conf' });
  assert.ok(result.ok, JSON.stringify(result));
  const log: Logger = { ...silentLogger, log: (module, level, line) => void said.push(`${module} (${level}) ${line}`) };
  const process = new RouterProcess(result.config, { log });
  await process.start();
  opened.later(() => process.stop());
  return process;
}

function portOf(process: RouterProcess, name: string): number {
  const port = process.listeners.find((listener) => listener.name === name)?.port;
  assert.ok(port !== undefined, `listener ${name} is open`);
  return port;
}

function folder(opened: Opened): string {
  const path = mkdtempSync(join(tmpdir(), 'pointsman-'));
  opened.later(() => rmSync(path, { recursive: true }));
  return path;
}

/** Serial number of the certificate that a port shows. */
function certificateAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('listeners at run time', () => {
  it(
    'listens as soon as one is added',
    opening(async (opened) => {
      const process = await running(opened, ROUTER);
      const listener = await process.addListener({ name: 'new', host: '127.0.0.1', port: '0' });
      assert.equal(listener.status, 'open');
      opened.add(await connect({ host: '127.0.0.1', port: portOf(process, 'new') }));
    }),
  );

  it(
    'closes the port of one that is removed, and leaves alone who is connected',
    opening(async (opened) => {
      const process = await running(opened, `${ROUTER}listener { name: old  host: 127.0.0.1  port: 0 }`);
      const port = portOf(process, 'old');
      const client = opened.add(await connect({ host: '127.0.0.1', port }));
      assert.equal(process.removeListener('old'), true);
      assert.deepEqual(process.listeners, []);
      await assert.rejects(connect({ host: '127.0.0.1', port }), /refused/);
      const receiver = await client.receiver('still/here', { credit: 1 });
      const sender = await client.sender('still/here');
      const sent = sender.send(text('hello'));
      const delivery = await receiver.next();
      assert.equal(textOf(delivery!.message), 'hello');
      await delivery!.accept();
      await sent;
      assert.equal(process.removeListener('old'), false);
    }),
  );

  it(
    'keeps one whose port is taken, says so, and opens it when the port is free',
    opening(async (opened) => {
      const said: string[] = [];
      const process = await running(opened, ROUTER, said);
      const taken = createServer().listen(0, '127.0.0.1');
      await until('the port', () => taken.listening);
      const { port } = taken.address() as AddressInfo;
      const listener = await process.addListener({ name: 'late', host: '127.0.0.1', port: String(port) });
      assert.equal(listener.status, 'failed');
      assert.equal(process.listener('late'), listener);
      const line = said.find((candidate) => candidate.includes('(late)'));
      assert.match(line ?? '', new RegExp(`^SERVER \\(error\\) Listener error on 127.0.0.1:${port}: .* \\(late\\)$`));
      taken.close();
      await until('the listener', () => listener.status === 'open');
      opened.add(await connect({ host: '127.0.0.1', port }));
    }),
  );

  it(
    'refuses what a configuration file could not have either, and adds nothing',
    opening(async (opened) => {
      const process = await running(opened, `${ROUTER}listener { name: first  host: 127.0.0.1  port: 0 }`);
      const refused = async (attributes: Record<string, string>, words: RegExp): Promise<void> => {
        await assert.rejects(process.addListener(attributes), { name: 'EntityRefused', message: words });
      };
      await refused({ name: 'first', port: '0' }, /the name 'first' belongs to two entities/);
      await refused({ name: 'b', port: 'http' }, /'port' of listener 'b' is no port \(found: http; allowed: a number/);
      await refused({ name: 'b', port: '0', sslProfile: 'none' }, /'sslProfile' of listener 'b' names no sslProfile/);
      await refused({ name: 'b', port: '0', role: 'inter-router' }, /inter-router/);
      assert.deepEqual(
        process.source.of('listener').map(({ name }) => name),
        ['first'],
      );
    }),
  );
});

describe('connectors at run time', () => {
  it(
    'connects as soon as one is added, and disconnects when it is removed',
    opening(async (opened) => {
      const server = await running(opened, `${ROUTER}listener { name: in  host: 127.0.0.1  port: 0 }`);
      const process = await running(opened, 'router { id: QDR.B }');
      const port = String(portOf(server, 'in'));
      const connector = process.addConnector({ name: 'out', host: '127.0.0.1', port });
      await until('the connection', () => connector.step === 'open');
      assert.match(connector.lastMessage ?? '', /^\[C\d+\] Connection Opened: dir=out host=127.0.0.1:\d+ .*QDR.A$/);
      assert.equal(process.removeConnector('out'), true);
      await until('the end', () => server.router.connections.size === 0 && process.router.connections.size === 0);
      assert.deepEqual(process.connectors, []);
    }),
  );
});

describe('certificates at run time', () => {
  const write = (path: string): void => {
    const { cert, key } = makeDevelopmentCertificates();
    writeFileSync(join(path, 'cert.pem'), cert);
    writeFileSync(join(path, 'key.pem'), key);
  };
  const conf = (path: string): string =>
    `${ROUTER}sslProfile { name: tls  certFile: ${path}/cert.pem  privateKeyFile: ${path}/key.pem }
listener { name: in  host: 127.0.0.1  port: 0  sslProfile: tls }`;

  it(
    'shows new connections the certificate that is on disk now',
    opening(async (opened) => {
      const path = folder(opened);
      write(path);
      const process = await running(opened, conf(path));
      const port = portOf(process, 'in');
      const before = await certificateAt(port);
      write(path);
      process.checkCertificates();
      assert.equal(await certificateAt(port), before, 'files that may be in the middle of a change');
      process.checkCertificates();
      assert.notEqual(await certificateAt(port), before);
    }),
  );

  it(
    'goes on with the old certificate where the new one does not do, and says why once',
    opening(async (opened) => {
      const path = folder(opened);
      write(path);
      const said: string[] = [];
      const process = await running(opened, conf(path), said);
      const port = portOf(process, 'in');
      const before = await certificateAt(port);
      writeFileSync(join(path, 'key.pem'), makeDevelopmentCertificates().key);
      for (let i = 0; i < 4; i++) process.checkCertificates();
      assert.equal(await certificateAt(port), before);
      assert.equal(said.filter((line) => line.includes('(error)')).length, 1);
      assert.match(
        said.at(-1) ?? '',
        /CONN_MGR \(error\) Files of sslProfile tls .* does not belong to the certificate/,
      );
    }),
  );

  it(
    'adds a profile, and does not remove one that is in use',
    opening(async (opened) => {
      const path = folder(opened);
      write(path);
      const process = await running(opened, ROUTER);
      const files = { certFile: join(path, 'cert.pem'), privateKeyFile: join(path, 'key.pem') };
      process.addSslProfile({ name: 'tls', ...files });
      assert.throws(() => process.addSslProfile({ name: 'bad', certFile: 'nowhere.pem' }), /nowhere.pem/);
      await process.addListener({ name: 'in', host: '127.0.0.1', port: '0', sslProfile: 'tls' });
      assert.ok(await certificateAt(portOf(process, 'in')));
      assert.throws(() => process.removeSslProfile('tls'), /sslProfile 'tls' is in use: 'in' refers to it/);
      process.removeListener('in');
      assert.equal(process.removeSslProfile('tls'), true);
    }),
  );
});
