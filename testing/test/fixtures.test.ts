// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  JsonProcess,
  configOf,
  freePorts,
  skipWithout,
  startGuarded,
  startRouter,
  speaksAmqp,
  until,
  whenOver,
} from '@pointsman/testing';

const HERE = new URL('../src/index.js', import.meta.url).href;

/** A shell that starts a further program, and says which. */
const PROGRAM = "sh -c 'sleep 1000 & echo pid $!; wait' &";

const isRunning = (pid: number): boolean => {
  // A zombie is over, though nobody has waited for it.
  const { status, stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return status === 0 && !stdout.startsWith('Z');
};

describe('whenOver', () => {
  it('runs the latest first, each even where another one failed, and reports the failure', async () => {
    const ran: number[] = [];
    const actions: (() => void | Promise<void>)[] = [];
    const owner = { after: (action: () => void | Promise<void>) => void actions.push(action) };
    for (let i = 0; i < 3; i++) {
      whenOver(owner, () => {
        ran.push(i);
        if (i === 1) throw new Error('one failed');
      });
    }
    assert.equal(actions.length, 1);
    await assert.rejects(async () => actions[0]!(), /one failed/u);
    assert.deepEqual(ran, [2, 1, 0]);
  });
});

describe('startGuarded', { skip: existsSync('/bin/sh') ? false : 'there is no /bin/sh' }, () => {
  it('kills the whole group', async () => {
    const guarded = startGuarded(PROGRAM, process.env);
    const pid = Number(await until('the pid', () => /pid (\d+)/u.exec(guarded.output())?.[1]));
    assert.ok(isRunning(pid));
    await guarded.kill();
    await until('the program to be gone', () => !isRunning(pid));
  });

  it('lets nothing live on when this process is killed', async (t) => {
    const script = `import { startGuarded } from '${HERE}';
      const guarded = startGuarded(${JSON.stringify(PROGRAM)}, process.env);
      const timer = setInterval(() => { const m = /pid (\\d+)/.exec(guarded.output()); if (m) { console.log(JSON.stringify({ event: 'pid', pid: Number(m[1]) })); clearInterval(timer); } }, 5);`;
    const child = new JsonProcess(t, 'the process that is killed', process.execPath, [
      '--input-type=module',
      '-e',
      script,
    ]);
    const pid = Number((await child.next('pid'))['pid']);
    assert.ok(isRunning(pid));
    await child.kill();
    await until('the program to be gone', () => !isRunning(pid));
  });
});

describe('JsonProcess', () => {
  it('tells why a program ended when an event is waited for', async (t) => {
    const child = new JsonProcess(t, 'the program', process.execPath, ['-e', 'console.error("why"); process.exit(7)']);
    await assert.rejects(child.next('never'), /the program ended before event 'never', status 7[^]*why/u);
  });

  it('hears events in order, and says commands', async (t) => {
    const script = `process.stdin.on('data', (line) => console.log(JSON.stringify({ event: 'heard', ...JSON.parse(line) })));`;
    const child = new JsonProcess(t, 'the program', process.execPath, ['-e', script]);
    child.tell({ value: 1 });
    assert.equal((await child.next('heard'))['value'], 1);
    child.tell({ value: 2 });
    assert.equal((await child.next('heard'))['value'], 2);
    assert.equal(child.count('heard'), 2);
  });
});

describe('startRouter', () => {
  it('gives a router on a port that the system chose, which is closed with its owner', async () => {
    const actions: (() => void | Promise<void>)[] = [];
    const owner = { after: (action: () => void | Promise<void>) => void actions.push(action) };
    const router = await startRouter(
      owner,
      'router {\n mode: standalone\n}\nlistener {\n host: 127.0.0.1\n port: 0\n}\n',
    );
    const port = router.port();
    assert.ok(await speaksAmqp(port));
    for (const action of actions) await action();
    assert.equal(await speaksAmqp(port), false);
  });

  it('names every problem of a wrong configuration', () => {
    assert.throws(() => configOf('router {\n mode: nowhere\n}\nlistener {\n prt: 1\n}\n'), /line 2: [^]*line 5: /u);
  });
});

describe('freePorts', () => {
  it('gives different ports', async () => {
    assert.equal(new Set(await freePorts(20)).size, 20);
  });
});

describe('skipWithout', () => {
  it('fails instead where POINTSMAN_REQUIRE_PEERS=1 and the peer is missing', () => {
    const missing = ['Qpid Proton (Python)', 'RabbitMQ'] as const;
    for (const name of missing) {
      const before = process.env['POINTSMAN_REQUIRE_PEERS'];
      try {
        delete process.env['POINTSMAN_REQUIRE_PEERS'];
        const reason = skipWithout(name, () => false);
        assert.match(String(reason), /is not installed \(Debian package /u);
        process.env['POINTSMAN_REQUIRE_PEERS'] = '1';
        assert.throws(() => skipWithout(name, () => false), /is not installed .*POINTSMAN_REQUIRE_PEERS=1/u);
        assert.equal(
          skipWithout(name, () => true),
          false,
        );
      } finally {
        if (before === undefined) delete process.env['POINTSMAN_REQUIRE_PEERS'];
        else process.env['POINTSMAN_REQUIRE_PEERS'] = before;
      }
    }
  });
});
