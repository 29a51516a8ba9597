// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { SecureVersion } from 'node:tls';
import { loadTlsCredentials } from '@pointsman/transport';
import { connect } from '../src/client/client.js';
import { runQdmanage } from '../src/tools/qdmanage.js';
import { Certificates } from './certificates.js';
import { opening, until } from './client-fixture.js';
import type { Opened } from './client-fixture.js';
import { Running } from './running-router.js';
import { toolIo } from './tools-fixture.js';

const BASE = 'router {\n  id: QDR.A\n}\nlistener {\n  name: open\n  host: 127.0.0.1\n  port: 0\n}\n';
const SECURE = 'listener {\n  name: secure\n  host: 127.0.0.1\n  port: 0\n  sslProfile: tls\n  requireSsl: yes\n}\n';

function certificatesOf(opened: Opened): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'tls-'));
  opened.later(() => rmSync(folder, { recursive: true }));
  return new Certificates(folder);
}

function profile({ certFile, privateKeyFile }: { certFile: string; privateKeyFile: string }): string {
  return `sslProfile {\n  name: tls\n  certFile: ${certFile}\n  privateKeyFile: ${privateKeyFile}\n}\n`;
}

/** Fingerprint of the certificate that a port shows. */
function shownAt(port: number, version?: SecureVersion): Promise<string> {
  const versions = version === undefined ? {} : { minVersion: version, maxVersion: version };
  const options = { host: '127.0.0.1', port, rejectUnauthorized: false, ...versions };
  return new Promise((resolve, reject) => {
    const socket = connectTls(options, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

const printOf = (file: string): string => new X509Certificate(readFileSync(file)).fingerprint256;

describe('TLS of a router that runs', () => {
  const manage = async (router: Running, ...args: string[]): Promise<readonly [number, string]> => {
    const io = toolIo();
    const status = await runQdmanage([...args, '-b', `127.0.0.1:${router.port('open')}`], io);
    return [status, io.stdoutText()];
  };

  it(
    'comes with an sslProfile and a listener that management creates',
    opening(async (opened) => {
      const certificates = certificatesOf(opened);
      const { certFile, privateKeyFile } = certificates.issue('localhost', { names: ['localhost'] });
      const router = await Running.start(opened, BASE);
      const listener = ['create', '--type=listener', '--name=new', 'host=127.0.0.1', 'port=0', 'sslProfile=tls'];
      const [early, why] = await manage(router, ...listener);
      assert.deepEqual([early, /no sslProfile/.test(why)], [1, true], why);
      const create = ['create', '--type=sslProfile', '--name=tls', `certFile=${certFile}`];
      const [wrong, text] = await manage(router, ...create, 'privateKeyFile=/nowhere.key');
      assert.deepEqual([wrong, /BadRequestStatus: .*nowhere\.key.*there is no such file/.test(text)], [1, true], text);
      const [created, shown] = await manage(
        router,
        ...create,
        `privateKeyFile=${privateKeyFile}`,
        'password=pass:s3cret',
      );
      assert.equal(created, 0, shown);
      assert.doesNotMatch(shown, /s3cret/);
      assert.equal((await manage(router, ...listener))[0], 0);
      const tls = loadTlsCredentials({ caCertFile: certificates.caCertFile });
      opened.add(await connect({ host: 'localhost', port: router.port('new')!, mode: 'tls', tls }));
      const [used, inUse] = await manage(router, 'delete', '--type=sslProfile', '--name=tls');
      assert.deepEqual([used, /'tls' is in use: 'new' refers to it/.test(inUse)], [1, true], inUse);
    }),
  );

  it(
    'changes with the sslProfile of a file that is read again, for its listeners alone',
    opening(async (opened) => {
      const certificates = certificatesOf(opened);
      const [old, fresh] = [certificates.issue('old'), certificates.issue('fresh')];
      const router = await Running.start(opened, BASE + profile(old) + SECURE);
      const openPort = router.port('open');
      assert.equal(await shownAt(router.port('secure')!), printOf(old.certFile));
      router.write(BASE + profile(fresh) + SECURE);
      const result = await router.process.reload();
      assert.ok(result.ok);
      assert.equal(await shownAt(router.port('secure')!), printOf(fresh.certFile));
      assert.equal(router.port('open'), openPort);
      router.write(BASE + profile({ ...fresh, privateKeyFile: old.privateKeyFile }) + SECURE);
      const refused = await router.process.reload();
      assert.match(refused.ok ? '' : refused.problems[0]!.message, /the key does not belong to the certificate/);
      assert.equal(await shownAt(router.port('secure')!), printOf(fresh.certFile));
    }),
  );

  it(
    'speaks the versions that protocols names, also where one between them is left out',
    opening(async (opened) => {
      const files = certificatesOf(opened).issue('server');
      const conf = profile(files).replace('}', '  protocols: TLSv1.1 TLSv1.3\n}');
      const router = await Running.start(opened, BASE + conf + SECURE);
      const port = router.port('secure')!;
      await assert.rejects(shownAt(port, 'TLSv1.2'));
      assert.equal(await shownAt(port, 'TLSv1.3'), printOf(files.certFile));
    }),
  );

  it(
    'takes certificates that are renewed on disk, and keeps the old ones where the new ones do not do',
    opening(async (opened) => {
      const certificates = certificatesOf(opened);
      const files = certificates.issue('server', { names: ['localhost'] });
      const router = await Running.start(opened, BASE + profile(files) + SECURE);
      const port = router.port('secure')!;
      const before = await shownAt(port);
      let lost = false;
      const tls = loadTlsCredentials({ caCertFile: certificates.caCertFile });
      const options = { host: 'localhost', port, mode: 'tls', tls, onLost: () => (lost = true) } as const;
      opened.add(await connect(options));
      certificates.issue('server', { names: ['localhost'] });
      router.process.checkCertificates(true);
      const after = await shownAt(port);
      assert.notEqual(after, before);
      assert.equal(after, printOf(files.certFile));
      rmSync(files.privateKeyFile);
      router.process.checkCertificates(true);
      router.process.checkCertificates(true);
      assert.equal(await shownAt(port), after);
      const complaints = router.io.err.match(
        /Files of sslProfile tls have changed and cannot be used: .*there is no such file/g,
      );
      assert.equal(complaints?.length, 1);
      assert.equal(lost, false);
    }),
  );
});

describe('the log over management', () => {
  it(
    'is read by GET-LOG, and has a line for each request at level debug',
    opening(async (opened) => {
      const router = await Running.start(opened, `${BASE}log {\n  module: AGENT\n  enable: debug+\n}\n`);
      const ask = async (...args: string[]): Promise<unknown> => {
        const io = toolIo();
        const status = await runQdmanage([...args, '-b', `127.0.0.1:${router.port('open')}`], io);
        assert.equal(status, 0, io.stdoutText());
        return JSON.parse(io.stdoutText());
      };
      const rows = (await ask('get-log', 'limit=500')) as unknown[][];
      const listening = rows.find((row) => row[0] === 'SERVER' && String(row[2]).startsWith('Listening on'));
      assert.deepEqual([listening?.length, listening?.[1]], [6, 'notice']);
      assert.equal(((await ask('get-log', 'limit=1')) as unknown[]).length, 1);
      const bad = toolIo();
      const at = ['-b', `127.0.0.1:${router.port('open')}`];
      assert.equal(await runQdmanage(['read', '--type=listener', '--name=nosuch', ...at], bad), 1);
      await until('its line', () => /AGENT \(error\) .*nosuch/.test(router.io.err));
      assert.match(router.io.err, /AGENT \(debug\) .*Agent request .*get-log/i);
    }),
  );
});
