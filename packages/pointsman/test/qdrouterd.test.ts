// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect as connectClient } from '../src/client/client.js';
import { parseFailoverUrls } from '../src/config/failover-urls.js';
import { parseArguments } from '../src/qdrouterd/arguments.js';
import { until } from './five-steps-fixture.js';

const QDROUTERD = fileURLToPath(new URL('../../bin/qdrouterd.js', import.meta.url));
const LISTENER = 'listener {\n    host: 127.0.0.1\n    port: 0\n}\n';

interface Run {
  readonly pid: number;
  stdout: string;
  stderr: string;
  readonly ended: Promise<readonly [status: number | null, signal: NodeJS.Signals | null]>;
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'qdrouterd-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The executable at work in `cwd`, with a file `r.conf` there. */
function qdrouterd(t: TestContext, args: readonly string[], { cwd, conf }: { cwd?: string; conf?: string } = {}): Run {
  const place = cwd ?? folder(t);
  if (conf !== undefined) writeFileSync(join(place, 'r.conf'), conf);
  const child = spawn(QDROUTERD, args, { cwd: place, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const run: Run = {
    pid: child.pid!,
    stdout: '',
    stderr: '',
    ended: once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
  };
  child.stdout.on('data', (chunk: Buffer) => (run.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (run.stderr += chunk.toString()));
  return run;
}

function portIn(text: string): number | undefined {
  const [, port] = /Listening on 127\.0\.0\.1:(\d+)/.exec(text) ?? [];
  return port === undefined ? undefined : Number(port);
}

describe('the command line of qdrouterd', () => {
  const taken: readonly (readonly [args: readonly string[], config: string, daemon: boolean])[] = [
    [[], '/etc/qpid-dispatch/qdrouterd.conf', false],
    [['-c', 'a.conf'], 'a.conf', false],
    [['-ca.conf', '-I', '/usr/lib/x', '-T'], 'a.conf', false],
    [['--config=a.conf', '--include=/x', '--daemon'], 'a.conf', true],
    [['--conf', 'a.conf', '-dT'], 'a.conf', true],
    [['-dc', 'a.conf', '-U', 'nobody', '-P', 'pid'], 'a.conf', true],
  ];
  for (const [args, config, daemon] of taken) {
    it(`takes ${args.join(' ') || 'nothing at all'}`, () => {
      const parsed = parseArguments(args);
      assert.equal(parsed.kind, 'run');
      assert.deepEqual([parsed.arguments.config, parsed.arguments.daemon], [config, daemon]);
    });
  }

  for (const args of [['-x'], ['--nothing'], ['-c'], ['--config'], ['--daemon=yes'], ['--']]) {
    it(`${args[0] === '--' ? 'takes' : 'refuses'} ${args.join(' ')}`, () => {
      assert.equal(parseArguments(args).kind, args[0] === '--' ? 'run' : 'wrong');
    });
  }

  it('prints the version alone on a line, and its usage on stdout', async (t) => {
    const version = qdrouterd(t, ['--version']);
    assert.deepEqual(await version.ended, [0, null]);
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
    const help = qdrouterd(t, ['--help']);
    assert.deepEqual(await help.ended, [0, null]);
    for (const name of 'config include daemon pidfile user test-hooks version help'.split(' ')) {
      assert.match(help.stdout, new RegExp(`--${name}\\b`));
    }
  });

  it('names words that it did not expect, and ends with status 1', async (t) => {
    const run = qdrouterd(t, ['here', 'there']);
    assert.deepEqual(await run.ended, [1, null]);
    assert.match(run.stderr, /^Unexpected arguments: here there\n/);
    assert.match(run.stdout, /^Usage: qdrouterd/);
  });
});

describe('a router that does not start', () => {
  const refused: readonly (readonly [what: string, conf: string, ours: RegExp, words: string])[] = [
    [
      'an id with a blank',
      'router {\n    id: a b\n}\n',
      /r\.conf:2: error: .*U\+0020/,
      "AttributeError: Router id attribute containing character ' ' in id 'a b' is disallowed.",
    ],
    [
      'an id with a control character',
      'router {\n    id: a\\bc\n}\n',
      /r\.conf:2: error:/,
      'AttributeError: Router id attribute containing',
    ],
    [
      'an id that is too long',
      `router {\n    id: ${'X'.repeat(128)}\n}\n`,
      /r\.conf:2: error: .*longer than 127/,
      'exceeds the maximum allowed length (127 characters)',
    ],
    [
      'a standalone router with a connector of routers',
      'connector {\n    host: localhost\n    port: 5\n    role: inter-router\n}\n',
      /r\.conf:4: error:/,
      "qdrouterd: Python: Exception: Cannot load configuration file r.conf: role='standalone' not allowed to connect to or accept connections from other routers.",
    ],
    [
      'both names of an attribute',
      'linkRoute {\n    prefix: a\n    dir: in\n    direction: in\n    containerId: c\n}\n',
      /r\.conf:4: error: linkRoute has both/,
      "org.apache.qpid.dispatch.router.config.linkRoute: Both 'dir' and 'direction' cannot be specified for entity 'linkRoute'",
    ],
    [
      'an attribute that there is not',
      'listener {\n    prot: 5\n}\n',
      /r\.conf:2: error: listener has no attribute 'prot'/,
      "org.apache.qpid.dispatch.listener: Unknown attribute 'prot' for 'org.apache.qpid.dispatch.listener'",
    ],
    [
      'openProperties that are no map',
      'listener {\n    port: 0\n    openProperties: [1, 2]\n}\n',
      /r\.conf:3: error:/,
      'Properties must be a map',
    ],
    [
      'keys of openProperties that are not ASCII',
      'listener {\n    port: 0\n    openProperties: {\n        "a\\u2588": 1,\n    }\n}\n',
      /r\.conf:3: error:/,
      'Property keys must be ASCII encoded',
    ],
    [
      'keys of openProperties that are no names',
      'listener {\n    port: 0\n    openProperties: {\n        9: "nine",\n    }\n}\n',
      /r\.conf:4: error: '9' is no name/,
      'Expecting property name',
    ],
    [
      'a key of openProperties that is reserved',
      'listener {\n    port: 0\n    openProperties: {\n        "qd.x": 1,\n    }\n}\n',
      /r\.conf:3: error:/,
      "ValidationError: Reserved key 'qd.x' not allowed in openProperties",
    ],
    ['a file that is not there', '', /error: the configuration file/, 'Cannot load configuration file r.conf: '],
  ];
  for (const [what, conf, ours, words] of refused) {
    it(`says of ${what} where it stands, and then what the old router said, with status 1`, async (t) => {
      const log = 'log {\n    module: DEFAULT\n    outputFile: r.log\n}\n';
      const run = qdrouterd(t, ['-c', 'r.conf', '-I', '/nowhere'], conf === '' ? {} : { conf: conf + log });
      assert.deepEqual(await run.ended, [1, null]);
      assert.match(run.stderr, ours);
      assert.ok(run.stderr.includes(words), run.stderr);
    });
  }

  it('tells on stderr that a port is in use, also where the log goes to a file', async (t) => {
    const other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    t.after(() => other.close());
    const { port } = other.address() as AddressInfo;
    const cwd = folder(t);
    const conf = `listener {\n    host: 127.0.0.1\n    port: ${port}\n}\nlog {\n    module: DEFAULT\n    outputFile: r.log\n}\n`;
    const run = qdrouterd(t, ['-c', 'r.conf'], { cwd, conf });
    assert.deepEqual(await run.ended, [1, null]);
    assert.match(run.stderr, new RegExp(`^qdrouterd: .*127\\.0\\.0\\.1:${port}`, 'm'));
    const log = readFileSync(join(cwd, 'r.log'), 'utf8');
    assert.match(
      log,
      new RegExp(`SERVER \\(error\\) Listener error on 127\\.0\\.0\\.1:${port}: .*another program listens there`),
    );
    assert.match(
      log,
      new RegExp(`SERVER \\(critical\\) Shutting down, required listener failed 127\\.0\\.0\\.1:${port}`),
    );
    assert.match(log, /MAIN \(critical\) Router start-up failed: /);
  });
});

describe('the life of qdrouterd', () => {
  it('runs without any listener, and logs the old names of attributes', async (t) => {
    const conf = 'log {\n    module: DEFAULT\n    output: r.log\n}\n';
    const cwd = folder(t);
    const run = qdrouterd(t, ['-c', 'r.conf'], { cwd, conf });
    const log = (): string => (existsSync(join(cwd, 'r.log')) ? readFileSync(join(cwd, 'r.log'), 'utf8') : '');
    await until('it is up', () => log().includes('Operational'), log);
    assert.match(
      log(),
      /AGENT \(warning\) Attribute 'output' of entity 'log' has been deprecated\. Use 'outputFile' instead/,
    );
    process.kill(run.pid, 'SIGTERM');
    assert.deepEqual(await run.ended, [0, null]);
    assert.match(log(), /SERVER \(notice\) Shut Down\n$/);
  });

  for (const [signal, end] of [
    ['SIGTERM', [0, null]],
    ['SIGQUIT', [0, null]],
    ['SIGINT', [null, 'SIGINT']],
  ] as const) {
    it(`ends after ${signal} with a client attached: ${end[1] ?? `status ${end[0]}`}`, async (t) => {
      const run = qdrouterd(t, ['-c', 'r.conf'], { conf: LISTENER });
      const port = await until(
        'its port',
        () => portIn(run.stderr),
        () => run.stderr,
      );
      const client = connect(port, '127.0.0.1');
      client.on('error', () => undefined);
      t.after(() => client.destroy());
      client.write(Buffer.from('AMQP\0\x01\0\0', 'latin1'));
      await once(client, 'data');
      process.kill(run.pid, signal);
      assert.deepEqual(await run.ended, end);
      assert.match(run.stderr, /Shut Down/);
    });
  }

  it('waits, when it stops, for the outcome of a message that its receiver has', async (t) => {
    const run = qdrouterd(t, ['-c', 'r.conf'], { conf: LISTENER });
    const port = await until(
      'its port',
      () => portIn(run.stderr),
      () => run.stderr,
    );
    const client = await connectClient({ host: '127.0.0.1', port });
    t.after(() => client.close());
    const receiver = await client.receiver('q', { credit: 1 });
    const sender = await client.sender('q');
    const outcome = sender.send({ body: { kind: 'value', value: 'one' } });
    const delivery = await receiver.next();
    process.kill(run.pid, 'SIGTERM');
    await until(
      'that it waits',
      () => run.stderr.includes('Stopping: 1 deliveries in flight'),
      () => run.stderr,
    );
    await delivery!.accept();
    assert.equal((await outcome).type, 'accepted');
    assert.deepEqual(await run.ended, [0, null]);
    assert.doesNotMatch(run.stderr, /not settled in time/);
  });

  for (const [args, scan, age] of [
    [[], 30, 10],
    [['-T'], 5, 3],
  ] as const) {
    it(`looks for stuck deliveries every ${scan} s with ${args.join(' ') || 'no flag'}`, async (t) => {
      const run = qdrouterd(t, ['-c', 'r.conf', ...args], { conf: LISTENER });
      const line = `Stuck delivery detection: Scan interval: ${scan} seconds, Delivery age threshold: ${age} seconds`;
      await until(
        'that line',
        () => run.stderr.includes(line),
        () => run.stderr,
      );
      process.kill(run.pid, 'SIGTERM');
      assert.deepEqual(await run.ended, [0, null]);
    });
  }

  it('reads its configuration again on SIGHUP, and goes on', async (t) => {
    const run = qdrouterd(t, ['-c', 'r.conf'], { conf: LISTENER });
    const port = await until(
      'its port',
      () => portIn(run.stderr),
      () => run.stderr,
    );
    process.kill(run.pid, 'SIGHUP');
    await until(
      'that it was heard',
      () => run.stderr.includes('Configuration reloaded from r.conf, changes: 0'),
      () => run.stderr,
    );
    const client = connect(port, '127.0.0.1');
    await once(client, 'connect');
    client.destroy();
    process.kill(run.pid, 'SIGTERM');
    assert.deepEqual(await run.ended, [0, null]);
  });
});

describe('failoverUrls', () => {
  it('are addresses with commas between them, with a default port, and a scheme only where one is given', () => {
    assert.deepEqual(parseFailoverUrls('a:25000, amqps://b, [::1]:5'), [
      { scheme: undefined, host: 'a', port: '25000' },
      { scheme: 'amqps', host: 'b', port: '5672' },
      { scheme: undefined, host: '::1', port: '5' },
    ]);
    for (const wrong of ['a,', 'http://a', 'a:b:c', 'a:65536', 'a@b'])
      assert.ok('wrong' in parseFailoverUrls(wrong), wrong);
  });
});

describe('qdrouterd as a daemon', () => {
  it('returns once the router is up, leaves its process id, and works in /', async (t) => {
    const cwd = folder(t);
    const conf = `${LISTENER}log {\n    module: DEFAULT\n    outputFile: ${join(cwd, 'r.log')}\n}\n`;
    const run = qdrouterd(t, ['-d', '-c', 'r.conf', '-P', 'r.pid'], { cwd, conf });
    const ended = await run.ended;
    assert.deepEqual(ended, [0, null], run.stderr);
    const pid = Number(readFileSync(join(cwd, 'r.pid'), 'utf8'));
    t.after(() => {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended, as it should.
      }
    });
    assert.notEqual(pid, run.pid);
    const log = (): string => readFileSync(join(cwd, 'r.log'), 'utf8');
    const port = await until('its port', () => portIn(log()), log);
    const client = connect(port, '127.0.0.1');
    await once(client, 'connect');
    client.destroy();
    process.kill(pid, 'SIGTERM');
    await until('its end', () => log().includes('Shut Down'), log);
  });

  it('passes on why it does not start, with status 1', async (t) => {
    const run = qdrouterd(t, ['-d', '-c', 'r.conf'], { conf: 'router {\n    id: a b\n}\n' });
    assert.deepEqual(await run.ended, [1, null]);
    assert.match(run.stderr, /r\.conf:2: error:/);
    assert.match(run.stderr, /qdrouterd: Python: AttributeError: /);
  });

  it('says where it cannot write its process id', async (t) => {
    const run = qdrouterd(t, ['-d', '-c', 'r.conf', '-P', 'no/such/folder'], { conf: LISTENER });
    assert.deepEqual(await run.ended, [1, null]);
    assert.match(run.stderr, /pidfile .*no\/such\/folder/);
  });
});
