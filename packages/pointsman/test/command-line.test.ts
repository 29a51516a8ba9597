// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../src/command.js';
import { widthOf } from '../src/namespace-server/terminal.js';
import { TestIo, opening, until } from './client-fixture.js';
import type { Opened } from './client-fixture.js';

const POINTSMAN = fileURLToPath(new URL('../../bin/pointsman.js', import.meta.url));
const CONF = 'router { id: QDR.A }\nlistener { host: 127.0.0.1  port: 0 }\n';

function fileOf(opened: Opened, conf: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'pointsman-'));
  opened.later(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'router.conf');
  writeFileSync(file, conf);
  return file;
}

/** Runs a router until it is up, and stops it. @returns what it wrote to stderr */
async function logOf(opened: Opened, conf: string, ...flags: string[]): Promise<string[]> {
  const io = new TestIo();
  const ended = runCommand(['-c', fileOf(opened, conf), ...flags], io);
  await until('the port', () => io.err.includes('Listening'));
  io.emit('SIGTERM');
  assert.equal(await ended, 0);
  return io.err.trimEnd().split('\n');
}

describe('pointsman -c FILE', () => {
  it(
    'logs one JSON object a line with --log-format json',
    opening(async (opened) => {
      const lines = (await logOf(opened, CONF, '--log-format', 'json')).map(
        (line) => JSON.parse(line) as Record<string, unknown>,
      );
      const last = lines.at(-1)!;
      assert.deepEqual([last['module'], last['level'], last['text']], ['SERVER', 'notice', 'Shut Down']);
      assert.match(String(last['time']), /^\d{4}-\d\d-\d\d /);
    }),
  );

  it(
    'logs what --log-level says, whatever the file says of DEFAULT, and modules of the file as they are there',
    opening(async (opened) => {
      const logs = 'log { module: DEFAULT  enable: trace+ }\nlog { module: ROUTER  enable: info+ }\n';
      const text = (await logOf(opened, CONF + logs, '--log-level', 'notice+')).join('\n');
      assert.match(text, /ROUTER \(info\) Router started/);
      assert.doesNotMatch(text, /SERVER \((?:info|debug|trace)\)/);
      assert.match(text, /SERVER \(notice\) Listening/);
    }),
  );

  it('refuses what it does not understand, with status 2 and what there is', async () => {
    for (const [flags, why] of [
      [['--log-format', 'xml'], /--log-format: there is no format 'xml': choose text or json/],
      [['--log-level', 'loud'], /--log-level: 'loud' is no level: trace, debug/],
      [['--stop-wait', 'long'], /--stop-wait: 'long' is no number of seconds from 0 to 3600/],
      [['--stop-wait', '3601'], /--stop-wait: '3601'/],
    ] as const) {
      const io = new TestIo();
      assert.equal(await runCommand(['-c', 'none.conf', ...flags], io), 2);
      assert.match(io.err, why);
    }
  });
});

/** Whether `port` answers the header of AMQP. */
async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  socket.write(Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 1, 0, 0]));
  const [first] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return first.subarray(0, 4).toString('latin1') === 'AMQP';
}

describe('output that nobody reads any more', () => {
  it(
    'does not end a router: it forwards without a log',
    opening(async (opened) => {
      const child = spawn(process.execPath, [POINTSMAN, '-c', fileOf(opened, CONF)], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      opened.later(() => child.kill('SIGKILL'));
      const ended = once(child, 'close');
      let log = '';
      child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
      await until('the port', () => /Listening on 127\.0\.0\.1:\d+/.test(log));
      const port = Number(/Listening on 127\.0\.0\.1:(\d+)/.exec(log)![1]);
      child.stderr.destroy();
      // The first one is the line that meets the closed pipe.
      for (let time = 0; time < 3; time++) assert.equal(await answers(port), true);
      child.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
    }),
  );

  it(
    'leaves a command the status that it has, and nothing on stderr',
    opening(async (opened) => {
      for (const [args, status] of [
        [['check', fileOf(opened, CONF)], 0],
        [['--help'], 0],
      ] as const) {
        const child = spawn(process.execPath, [POINTSMAN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
        child.stdout.destroy();
        let said = '';
        child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
        assert.deepEqual([await once(child, 'close'), said], [[status, null], ''], args.join(' '));
      }
    }),
  );
});

describe('pointsman help', () => {
  it('tells of each command how it is called, examples and exit statuses, in lines that are not too long', async () => {
    const commands = ['check', 'reload', 'doctor', 'azure config', 'demo', 'namespace', 'stat', 'manage', 'user'];
    for (const command of ['', ...commands]) {
      const io = new TestIo();
      assert.equal(await runCommand([...command.split(' ').filter((word) => word !== ''), '--help'], io), 0);
      assert.match(io.out, /^(?:[^]*\n)?Usage:[^]*\nOptions:\n[^]*\nExamples:\n[^]*\nExit status: 0[^]*\n$/, command);
      assert.equal(
        io.out.split('\n').find((line) => line.length > 120 || line.endsWith(' ')),
        undefined,
        command,
      );
      if (command === '') for (const word of commands) assert.ok(io.out.includes(`pointsman ${word} `), word);
    }
  });

  it('is --help, of a command too', async () => {
    for (const [args, first] of [
      [['help'], /^pointsman \d+\.\d+\.\d+: /],
      [['help', 'check'], /^Usage: pointsman check FILE/],
      [['version'], /^\d+\.\d+\.\d+\n$/],
    ] as const) {
      const io = new TestIo();
      assert.equal(await runCommand(args, io), 0);
      assert.match(io.out, first);
    }
  });
});

describe('pointsman with a word that it does not know', () => {
  it('says so, names the command that may have been meant, and ends with status 2', async () => {
    for (const [args, why] of [
      [['stats'], /^pointsman: there is no command 'stats'; did you mean 'stat'\?\nTry 'pointsman --help'\.\n$/],
      [['nothing'], /^pointsman: there is no command 'nothing'\n/],
      [['--verbos'], /^pointsman: Unknown option '--verbos'\n/],
    ] as const) {
      const io = new TestIo();
      assert.equal(await runCommand(args, io), 2);
      assert.match(io.err, why);
    }
  });
});

describe('pointsman reload', () => {
  it(
    'lets a router that runs read its file again, and changes nothing where that is bad',
    opening(async (opened) => {
      const file = fileOf(opened, CONF);
      const child = spawn(process.execPath, [POINTSMAN, '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
      opened.later(() => child.kill('SIGKILL'));
      let log = '';
      child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
      await until('the port', () => log.includes('Listening on'));
      const pid = join(file, '..', 'pid');
      writeFileSync(pid, `${child.pid}\n`);
      writeFileSync(file, `${CONF}listener { name: new  host: 127.0.0.1  port: 0 }\n`);
      assert.equal(await runCommand(['reload', String(child.pid)], new TestIo()), 0);
      await until('the new listener', () => /Listening on 127\.0\.0\.1:\d+ \(new\)/.test(log));
      writeFileSync(file, `${CONF}listener { name: newer  port: none }\n`);
      assert.equal(await runCommand(['reload', '--pidfile', pid], new TestIo()), 0);
      await until('the refusal', () => /Configuration not reloaded, nothing has changed: .*router\.conf:3/.test(log));
      assert.doesNotMatch(log, /Stopped listening|newer\)/);
      child.kill('SIGTERM');
      assert.deepEqual(await once(child, 'close'), [0, null]);
    }),
  );

  it('says what is wrong: no process id, no such file, no such process', async () => {
    const child = spawn(process.execPath, ['-e', '0']);
    await once(child, 'close');
    for (const [args, status, why] of [
      [[], 2, /it takes the process id/],
      [['x'], 2, /'x' is no process id/],
      [['--pidfile', '/nowhere/pid'], 1, /\/nowhere\/pid/],
      [['--pidfile', tmpdir()], 1, /cannot be read: it is a folder/],
      [['1', '2'], 2, /one router at a time/],
      [[String(child.pid)], 1, /cannot be told: there is none/],
    ] as const) {
      const io = new TestIo();
      assert.equal(await runCommand(['reload', ...args], io), status);
      assert.match(io.err, why);
    }
  });
});

describe('pointsman reload of what is no router', () => {
  it(
    'leaves it alone, since the signal would end it',
    { skip: !existsSync('/proc/self/status') && 'only where the system says which signals a process expects' },
    opening(async (opened) => {
      const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
      opened.later(() => child.kill('SIGKILL'));
      await once(child, 'spawn');
      const io = new TestIo();
      assert.equal(await runCommand(['reload', String(child.pid)], io), 1);
      assert.match(io.err, /process \d+ is no router: it was left alone/);
      child.stdin.end();
      assert.deepEqual(await once(child, 'close'), [0, null]);
    }),
  );
});

describe('pointsman check FILE', () => {
  it('takes one file, and says so', async () => {
    const io = new TestIo();
    assert.equal(await runCommand(['check', 'a.conf', 'b.conf'], io), 2);
    assert.match(io.err, /^pointsman check: one file at a time: 'a\.conf' or 'b\.conf'\nTry 'pointsman check --help'/);
  });

  it(
    'makes no log file and writes none, and says where none could be made',
    opening(async (opened) => {
      const file = fileOf(opened, CONF);
      const folder = dirname(file);
      const log = join(folder, 'router.log');
      writeFileSync(file, `${CONF}log { module: DEFAULT  enable: trace+  outputFile: ${log} }\n`);
      const good = new TestIo();
      assert.equal(await runCommand(['check', file], good), 0);
      assert.deepEqual([existsSync(log), good.err], [false, '']);
      writeFileSync(file, `${CONF}log { module: DEFAULT  outputFile: ${join(folder, 'none', 'a.log')} }\n`);
      const bad = new TestIo();
      assert.equal(await runCommand(['check', file], bad), 1);
      assert.match(bad.err, /Failed to open log file '.*a\.log': ENOENT/);
    }),
  );
});

describe('a router that does not start', () => {
  it(
    'listens to no signal any more',
    opening(async (opened) => {
      const io = new TestIo();
      const conf = `${CONF}sslProfile { name: tls  certFile: /nowhere/cert.pem }\n`;
      assert.equal(await runCommand(['-c', fileOf(opened, conf)], io), 1);
      assert.deepEqual(io.eventNames(), []);
    }),
  );
});

describe('widthOf', () => {
  it('takes a terminal without a size for one of the usual width', () => {
    const terminal = (columns?: number): never => Object.assign(new TestIo().stdout, { columns }) as never;
    assert.deepEqual(
      [undefined, 0, 20, 80, 300].map((columns) => widthOf(terminal(columns))),
      [100, 100, 40, 80, 110],
    );
  });
});
