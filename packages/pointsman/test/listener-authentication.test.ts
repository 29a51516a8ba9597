// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadTlsCredentials } from '@pointsman/transport';
import { hashPassword } from '../src/auth/password-hash.js';
import { connect } from '../src/client/client.js';
import type { Client, ConnectOptions } from '../src/client/client.js';
import { runQdmanage } from '../src/tools/qdmanage.js';
import { runQdstat } from '../src/tools/qdstat.js';
import { Certificates } from './certificates.js';
import { opening, until } from './client-fixture.js';
import type { Opened } from './client-fixture.js';
import { Running } from './running-router.js';
import { toolIo } from './tools-fixture.js';

const PASSWORD = 'pa ss:wörd';

function folderOf(opened: Opened): string {
  const folder = mkdtempSync(join(tmpdir(), 'auth-'));
  opened.later(() => rmSync(folder, { recursive: true }));
  return folder;
}

const listener = (name: string, ...settings: string[]): string =>
  `listener {\n  name: ${name}\n  host: 127.0.0.1\n  port: 0\n  ${settings.join('\n  ')}\n}\n`;

/** A router with users, and listeners with and without TLS. */
async function routerWithUsers(
  opened: Opened,
): Promise<{ router: Running; folder: string; certificates: Certificates }> {
  const folder = folderOf(opened);
  writeFileSync(join(folder, 'sasl.users'), `ann@example.org:${await hashPassword(PASSWORD)}\n`);
  const certificates = new Certificates(folder);
  const { certFile, privateKeyFile } = certificates.issue('localhost', { names: ['localhost'] });
  const router = await Running.start(
    opened,
    [
      `router {\n  id: QDR.A\n  saslConfigDir: ${folder}\n  saslConfigName: sasl\n}`,
      `sslProfile {\n  name: tls\n  certFile: ${certFile}\n  privateKeyFile: ${privateKeyFile}\n  caCertFile: ${certificates.caCertFile}\n}`,
      listener('plain', 'saslMechanisms: PLAIN', 'authenticatePeer: yes'),
      listener('open'),
      listener('secure', 'sslProfile: tls', 'requireSsl: yes', 'authenticatePeer: yes'),
      listener('certified', 'sslProfile: tls', 'requireSsl: yes', 'saslMechanisms: EXTERNAL', 'authenticatePeer: yes'),
      '',
    ].join('\n'),
  );
  return { router, folder, certificates };
}

function clientOf(opened: Opened, router: Running, at: string, sasl: ConnectOptions['sasl']): Promise<Client> {
  return connect({ host: '127.0.0.1', port: router.port(at)!, ...(sasl === undefined ? {} : { sasl }) }).then(
    (client) => opened.add(client),
  );
}

const plain = (username: string, password: string): ConnectOptions['sasl'] => ({
  mechanisms: ['PLAIN'],
  username,
  password: () => password,
});

function usersOf(router: Running): (string | undefined)[] {
  return [...router.process.router.connections].map(({ connection }) => connection.user);
}

describe('a listener with SASL PLAIN', () => {
  it(
    'lets in who knows the password, and nobody else',
    opening(async (opened) => {
      const { router } = await routerWithUsers(opened);
      await clientOf(opened, router, 'plain', plain('ann@example.org', PASSWORD));
      assert.deepEqual(usersOf(router), ['ann@example.org']);
      for (const [name, password] of [
        ['ann@example.org', 'wrong-secret'],
        ['ann@example.org', ''],
        ['bob', PASSWORD],
        ['', PASSWORD],
      ] as const)
        await assert.rejects(clientOf(opened, router, 'plain', plain(name, password)), /refused SASL PLAIN/);
      await assert.rejects(clientOf(opened, router, 'plain', { mechanisms: ['ANONYMOUS'] }));
      await assert.rejects(clientOf(opened, router, 'plain', undefined));
      await until('the line', () => router.io.err.includes("there is no user 'bob'"));
      assert.match(
        router.io.err,
        /SERVER \(info\) \[C\d+\] Connection from 127\.0\.0\.1:\d+ \(to 127\.0\.0\.1:0\) failed: amqp:unauthorized-access Authentication failed \[mech=PLAIN\]: the password is wrong of user 'ann@example\.org'/,
      );
      assert.doesNotMatch(router.io.err, /wrong-secret|pa ss|\$scrypt/);
    }),
  );

  it(
    'is not what a listener offers that names no mechanisms and has no TLS',
    opening(async (opened) => {
      const { router } = await routerWithUsers(opened);
      await assert.rejects(
        clientOf(opened, router, 'open', plain('ann@example.org', PASSWORD)),
        /the peer offers SASL ANONYMOUS, we may use PLAIN/,
      );
    }),
  );

  it(
    'says at the start that nobody can log in, and how to change that',
    opening(async (opened) => {
      const folder = folderOf(opened);
      const router = await Running.start(
        opened,
        `router {\n  id: A\n  saslConfigDir: ${folder}\n}\n${listener('plain', 'saslMechanisms: PLAIN')}`,
      );
      assert.match(
        router.io.err,
        /CONN_MGR \(error\) Nobody can log in by password at listener plain: there is no file of users .*qdrouterd\.users\. Write one with: pointsman user add NAME --file /,
      );
    }),
  );
});

describe('a listener with SASL EXTERNAL', () => {
  const subject = 'CN=robot,O=Example\\, Inc';

  it(
    'calls the user as uidFormat and uidNameMappingFile say, and takes a changed mapping',
    opening(async (opened) => {
      const folder = folderOf(opened);
      const certificates = new Certificates(folder);
      const server = certificates.issue('localhost', { names: ['localhost'] });
      const client = certificates.issue('robot', { organization: 'Example, Inc' });
      const sha256 = createHash('sha256')
        .update(new X509Certificate(readFileSync(client.certFile)).raw)
        .digest('hex');
      const names = join(folder, 'names.json');
      writeFileSync(names, JSON.stringify({ [sha256]: 'R2' }));
      const formats = {
        none: [],
        name: ['uidFormat: no'],
        print: ['uidFormat: 2n'],
        mapped: ['uidFormat: 2', `uidNameMappingFile: ${names}`],
        unmapped: ['uidFormat: n', `uidNameMappingFile: ${names}`],
        missing: ['uidFormat: cs'],
        odd: ['uidFormat: 1x'],
      };
      const files = `certFile: ${server.certFile}\n  privateKeyFile: ${server.privateKeyFile}\n  caCertFile: ${certificates.caCertFile}`;
      const conf = Object.entries(formats).map(
        ([name, settings]) =>
          `sslProfile {\n  name: p-${name}\n  ${files}\n  ${settings.join('\n  ')}\n}\n` +
          listener(
            name,
            `sslProfile: p-${name}`,
            'saslMechanisms: EXTERNAL',
            'authenticatePeer: yes',
            'requireSsl: yes',
          ),
      );
      const router = await Running.start(opened, `router {\n  id: A\n}\n${conf.join('')}`);
      const tls = loadTlsCredentials({ ...client, caCertFile: certificates.caCertFile });
      const userAt = async (name: string): Promise<string | undefined> => {
        const options = { mode: 'tls', tls, sasl: { mechanisms: ['EXTERNAL'] } } as const;
        const one = await connect({ host: 'localhost', port: router.port(name)!, ...options });
        const [user] = usersOf(router);
        await one.close();
        await until('its end', () => router.process.router.connections.size === 0);
        return user;
      };
      const found: Record<string, string | undefined> = {};
      for (const name of Object.keys(formats)) found[name] = await userAt(name);
      assert.deepEqual(found, {
        none: subject,
        name: 'robot;Example, Inc',
        print: `${sha256};robot`,
        mapped: 'R2',
        unmapped: 'robot',
        missing: subject,
        odd: subject,
      });
      writeFileSync(names, JSON.stringify({ [sha256]: 'R2-renamed' }));
      router.process.checkCertificates(true);
      assert.equal(await userAt('mapped'), 'R2-renamed');
      writeFileSync(names, '[]');
      router.process.checkCertificates(true);
      assert.match(router.io.err, /cannot be used: .*names\.json cannot be used: it has to be an object/);
      assert.equal(await userAt('mapped'), 'R2-renamed');
    }),
  );
});

describe('qdstat and qdmanage at a router that asks who they are', () => {
  const TOOLS = [
    ['qdstat', runQdstat, ['-g']],
    ['qdmanage', runQdmanage, ['query', '--type=router', 'id']],
  ] as const;

  for (const [tool, runTool, args] of TOOLS) {
    const run = async (...more: string[]): Promise<readonly [number, string]> => {
      const io = toolIo();
      return [await runTool([...args, ...more], io), io.stdoutText() + io.stderrText()];
    };

    it(
      `${tool} logs in by user and password, from arguments, a file or the URL`,
      opening(async (opened) => {
        const { router, folder } = await routerWithUsers(opened);
        const place = `127.0.0.1:${router.port('plain')}`;
        const file = join(folder, 'pw');
        writeFileSync(file, `${PASSWORD}\n`);
        const user = ['--sasl-mechanisms=PLAIN', '--sasl-username=ann@example.org'];
        const [status, text] = await run('-b', place, ...user, `--sasl-password=${PASSWORD}`);
        assert.equal(status, 0, text);
        assert.match(text, /QDR\.A/);
        assert.equal((await run('-b', place, ...user, `--sasl-password-file=${file}`))[0], 0);
        assert.equal((await run('-b', `ann%40example.org:pa%20ss%3Aw%C3%B6rd@${place}`))[0], 0);
        const [refused, why] = await run('-b', place, ...user, '--sasl-password=wrong-secret');
        assert.equal(refused, 1);
        assert.match(why, /refused SASL PLAIN as 'ann@example\.org'/);
        assert.doesNotMatch(why, /wrong-secret/);
        assert.equal((await run('-b', place))[0], 1);
      }),
    );

    it(
      `${tool} checks the router's certificate and name, and logs in over TLS`,
      opening(async (opened) => {
        const { router, folder, certificates } = await routerWithUsers(opened);
        const trust = `--ssl-trustfile=${certificates.caCertFile}`;
        const other = `--ssl-trustfile=${new Certificates(folder, 'other root').caCertFile}`;
        const user = ['--sasl-username=ann@example.org', `--sasl-password=${PASSWORD}`];
        const port = router.port('secure');
        const [status, text] = await run('-b', `amqps://localhost:${port}`, trust, ...user);
        assert.equal(status, 0, text);
        const [unknown, why] = await run('-b', `amqps://localhost:${port}`, other, ...user);
        assert.equal(unknown, 1);
        assert.match(why, /certificate verify failed/);
        const [elsewhere, name] = await run('-b', `amqps://127.0.0.1:${port}`, trust, ...user);
        assert.equal(elsewhere, 1);
        assert.match(name, /certificate verify failed/);
        const unchecked = [trust, '--ssl-disable-peer-name-verify', ...user];
        assert.equal((await run('-b', `amqps://127.0.0.1:${port}`, ...unchecked))[0], 0);
      }),
    );

    it(
      `${tool} shows its own certificate where that is asked for`,
      opening(async (opened) => {
        const { router, certificates } = await routerWithUsers(opened);
        const { certFile, privateKeyFile } = certificates.issue('robot');
        const at = [
          '-b',
          `amqps://localhost:${router.port('certified')}`,
          `--ssl-trustfile=${certificates.caCertFile}`,
        ];
        const [status, text] = await run(...at, `--ssl-certificate=${certFile}`, `--ssl-key=${privateKeyFile}`);
        assert.equal(status, 0, text);
        assert.equal((await run(...at))[0], 1);
      }),
    );
  }
});
