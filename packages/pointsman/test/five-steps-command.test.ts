// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { issueCertificate } from '@pointsman/transport';
import {
  CLOUD_HOST,
  KEY,
  ROUTER,
  THROUGH_ORDERS,
  connector,
  days,
  scene,
  section,
  sslProfile,
  until,
} from './five-steps-fixture.js';
import type { Scene } from './five-steps-fixture.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));

/** The built command at work, with what it has written. */
class Command {
  stderr = '';
  /** Undefined while it runs. */
  status: number | null | undefined = undefined;
  readonly child: ChildProcess;

  constructor(one: Scene, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'], ...env },
    });
    this.child.stderr!.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    this.child.once('close', (code) => {
      this.status = code;
    });
    one.whenOver(() => this.child.kill('SIGKILL'));
  }

  ended(): Promise<number | null> {
    return this.until('its end', () => this.status);
  }

  until<T>(what: string, condition: () => T | false | undefined): Promise<T> {
    return until(what, condition, () => this.stderr);
  }
}

/** Whether a connection to the port is refused. */
function isClosed(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', () => resolve(true));
  });
}

const ELSEWHERE = { host: 'localhost', idleTimeoutSeconds: 120 };

describe('the command with a configuration file', () => {
  it(
    'trusts the authorities of the system where there is no caCertFile, and beside it where there is one',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const other = issueCertificate({ commonName: 'Another Root', ...days(-1, 1), authority: true });
      const system = { SSL_CERT_FILE: one.caCertFile, SERVICEBUS_KEY: KEY };
      for (const caCertFile of [undefined, one.file('other.pem', other.cert)]) {
        const listener = section('listener', { host: '127.0.0.1', port: 0 });
        const path = one.file(
          'router.conf',
          ROUTER + listener + sslProfile({ caCertFile }) + connector(cloud.port, ELSEWHERE) + THROUGH_ORDERS,
        );
        const command = new Command(one, ['-c', path], system);
        await command.until('both autolinks', () => (command.stderr.match(/Auto Link Activated/g)?.length ?? 0) === 2);
        const port = Number(/Listening on 127\.0\.0\.1:(\d+)/.exec(command.stderr)?.[1]);
        assert.equal(await isClosed(port), false);
        command.child.kill('SIGTERM');
        assert.equal(await command.ended(), 0);
        assert.equal(await isClosed(port), true);
        assert.equal(command.stderr.includes(KEY), false);
      }
    }),
  );

  /** A mistake, and the lines that it is reported with. `#` in the file stands for the number of the port, `@` for the file. */
  const mistakes: readonly [what: string, text: string, says: readonly string[]][] = [
    [
      'an attribute that does not exist',
      'listener {\n    host: 127.0.0.1\n    prot: #\n}\n',
      ["@:3: error: listener has no attribute 'prot'", 'found    prot', 'nearest  port'],
    ],
    [
      'a section that does not exist',
      'listener { port: # }\nconector {\n    name: azure\n}\n',
      ['@:2: error:', 'found    conector', 'nearest  connector'],
    ],
    [
      'a value that is none of those allowed',
      'listener {\n    port: #\n    role: normall\n}\n',
      ['@:3: error:', 'found    normall', 'allowed', 'route-container', 'nearest  normal'],
    ],
    [
      'a port that is none',
      'listener { port: # }\nlistener {\n    port: ampq\n}\n',
      [
        "@:3: error: 'port' of listener",
        'found    ampq',
        'a number from 0 to 65535, amqp (5672) or amqps (5671)',
        'nearest  amqp',
      ],
    ],
    [
      'a mechanism that does not exist',
      'listener { port: # }\nconnector {\n    name: azure\n    host: h.example\n    saslMechanisms: PLAN\n}\n',
      ['@:5: error:', 'found    PLAN', 'allowed  ', 'nearest  PLAIN'],
    ],
    [
      'an autolink to a connector that does not exist',
      'listener { port: # }\nconnector { name: azure\n role: route-container\n host: h.example }\nautoLink {\n    address: orders\n    direction: in\n    connection: azur\n}\n',
      ["@:8: error: 'connection' of autoLink", 'found    azur', 'allowed  azure', 'nearest  azure'],
    ],
    ['a section that is not closed', 'listener {\n    port: #\n', ['@:', 'error:', '}']],
    [
      'an idle time-out that Service Bus refuses',
      `listener { port: # }\n${connector(5671, { sslProfile: undefined, idleTimeoutSeconds: 16 })}`,
      [
        'error: idleTimeoutSeconds: 16 would advertise 8000 ms; Service Bus refuses anything under 10000 ms',
        'write 120',
      ],
    ],
    [
      'a password whose variable is not set',
      `listener { port: # }\n${connector(5671, { sslProfile: undefined, saslPassword: 'env:NO_SUCH_VARIABLE' })}`,
      ["'saslPassword' of connector 'azure' refers to the environment variable NO_SUCH_VARIABLE, which is not set"],
    ],
    [
      'a certificate that does not exist',
      'listener { port: # }\nsslProfile {\n    name: cloud\n    caCertFile: /nowhere/ca.pem\n}\n',
      ['Router start-up failed: @:2: caCertFile /nowhere/ca.pem of sslProfile cloud: there is no such file'],
    ],
    [
      'a connection string that is none',
      'listener { port: # }\nconnector {\n    name: azure\n    role: route-container\n    connectionString: env:SERVICEBUS_CONNECTION_STRING\n}\n',
      [
        'Router start-up failed: @:2: connector azure: connectionString: The connection string cannot be used: SharedAccessKeyName is missing',
      ],
    ],
    ['nothing in it', ' \n', ['@: error: the configuration file is empty']],
  ];
  for (const [what, text, says] of mistakes) {
    it(
      `ends with status 1 and no port open: ${what}`,
      scene(async (one) => {
        const port = await one.closedPort();
        const path = one.file('router.conf', text.replaceAll('#', String(port)));
        const command = new Command(one, ['-c', path], {
          SERVICEBUS_KEY: KEY,
          SERVICEBUS_CONNECTION_STRING: `Endpoint=sb://${CLOUD_HOST}/;SharedAccessKey=${KEY}`,
        });
        assert.equal(await command.ended(), 1);
        for (const words of says)
          assert.ok(
            command.stderr.includes(words.replaceAll('@', path)),
            `'${words}' is missing in:\n${command.stderr}`,
          );
        assert.doesNotMatch(command.stderr, /Listening|Operational/);
        assert.equal(command.stderr.includes(KEY), false);
        assert.equal(await isClosed(port), true);
      }),
    );
  }

  it(
    'ends with status 1 and no port open where the file does not exist',
    scene(async (one) => {
      const command = new Command(one, ['-c', '/nowhere/router.conf'], {});
      assert.equal(await command.ended(), 1);
      assert.match(command.stderr, /\/nowhere\/router\.conf: error: the configuration file does not exist/);
    }),
  );

  it(
    'reports all mistakes of a file at once',
    scene(async (one) => {
      const path = one.file('router.conf', 'listener {\n    prot: 1\n    rolle: normal\n}\nconector {\n}\n');
      const command = new Command(one, ['-c', path], {});
      assert.equal(await command.ended(), 1);
      for (const line of [2, 3, 5]) assert.ok(command.stderr.includes(`${path}:${line}: error:`), command.stderr);
      assert.match(command.stderr, /\n3 errors\n/);
    }),
  );

  it(
    'ends with status 1 where one of its ports is taken, and opens none of the others',
    scene(async (one) => {
      const taken = createServer();
      await new Promise<void>((resolve) => {
        taken.listen(0, '127.0.0.1', resolve);
      });
      one.whenOver(() => taken.close());
      const { port } = taken.address() as AddressInfo;
      const free = await one.closedPort();
      const path = one.file(
        'router.conf',
        section('listener', { host: '127.0.0.1', port: free }) + section('listener', { host: '127.0.0.1', port }),
      );
      const command = new Command(one, ['-c', path], {});
      assert.equal(await command.ended(), 1);
      assert.match(command.stderr, new RegExp(`127\\.0\\.0\\.1:${port}`));
      assert.doesNotMatch(command.stderr, /Listening/);
      assert.equal(await isClosed(free), true);
    }),
  );
});
