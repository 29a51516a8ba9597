// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseResult } from '../src/load.js';
import { startPeer } from '../src/peer.js';
import { PEERS } from '../src/peers.js';
import { summaryOf, tableOf } from '../src/summary.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));

/** Where the load generator cannot be compiled there is nothing to measure with. */
const unavailable =
  process.platform !== 'linux' || spawnSync('cc', ['--version']).status !== 0 ? 'needs Linux and a C compiler' : false;
const skip = process.env['POINTSMAN_REQUIRE_PEERS'] === '1' ? false : unavailable;

function bench(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
}

describe('npm run bench', () => {
  it('forwards and settles messages through the floor and through rhea', { skip }, () => {
    const { status, stdout, stderr } = bench('--smoke', '--cases', 'unsettled,settled', '--peers', 'floor,rhea');
    assert.equal(status, 0, stderr);
    assert.deepEqual(stdout.trim().split('\n'), [
      'ok 100 B, unsettled, 1 pair: floor',
      'ok 100 B, unsettled, 1 pair: rhea',
      'ok 100 B, settled, 1 pair: floor',
      'ok 100 B, settled, 1 pair: rhea',
    ]);
  });

  it('prints its measurements as JSON, as multiples of the floor, with the goals', { skip }, () => {
    const few = ['--runs', '2', '--seconds', '0.2', '--warmup', '0.1'];
    const { status, stdout, stderr } = bench(
      '--json',
      '--cases',
      'unsettled,start',
      '--peers',
      'floor,pointsman',
      ...few,
    );
    assert.equal(status, 0, stderr);
    const [unsettled, start] = (JSON.parse(stdout) as { cases: [CaseJson, CaseJson] }).cases;
    assert.deepEqual(
      unsettled.rows.map(({ peer }) => peer),
      ['floor', 'pointsman'],
    );
    const [floor, ours] = unsettled.rows;
    assert.equal(floor.floorRatio, 1);
    assert.equal(ours.floorRatio, ours.metrics.cpu.median / floor.metrics.cpu.median);
    assert.deepEqual(
      unsettled.goals.map(({ metric, atMost, atLeast }) => [metric, atMost ?? atLeast]),
      [
        ['cpu', 0.7],
        ['rate', 1_000_000],
      ],
    );
    for (const { value, atMost, met } of start.goals) assert.equal(met, value <= Number(atMost));
  });

  it('puts a router that runs already beside the others', { skip }, async () => {
    const command = PEERS['floor'];
    assert.ok(command);
    const other = await startPeer(command());
    try {
      const named = ['--peer', `other=${other.endpoint},${other.pid}`];
      const few = ['--runs', '1', '--seconds', '0.2', '--warmup', '0.1'];
      const { status, stdout, stderr } = bench('--cases', 'unsettled', '--peers', 'pointsman', ...named, ...few);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^other +\d/m);
      assert.match(stdout, /pointsman is [\d.,]+ x other$/m);
      assert.match(stdout, /^unsettled +CPU µs\/message \/ other +<= 0\.17 +\d.* (not )?met/m);
    } finally {
      await other.stop();
    }
  });

  it('runs its micro-benchmarks for a moment', () => {
    const { status, stdout, stderr } = bench('--micro', '--smoke', 'flow');
    assert.equal(status, 0, stderr);
    assert.equal(stdout, 'ok codec: flow, parsed in place\n');
  });

  it('names an option or a case that it does not know, and shows its usage', () => {
    for (const [args, problem] of [
      [['--nonsense'], /'--nonsense'/],
      [['nonsense'], /'nonsense' is no option/],
      [['--cases', 'nothing'], /there is no case 'nothing'/],
      [['--peers', 'nobody'], /there is no peer 'nobody'/],
      [['--peer', 'x=localhost:1,2'], /--peer is 'x=localhost:1,2'/],
      [['--peer', 'floor=127.0.0.1:1,2'], /'floor' is the name of a peer/],
      [['--runs', 'many'], /--runs is 'many'/],
    ] as const) {
      const { status, stderr } = bench(...args);
      assert.equal(status, 2);
      assert.match(stderr, problem);
      assert.match(stderr, /^usage: /m);
    }
  });
});

interface CaseJson {
  readonly rows: readonly [RowJson, RowJson];
  readonly goals: readonly {
    readonly metric: string;
    readonly atMost?: number;
    readonly atLeast?: number;
    readonly value: number;
    readonly met: boolean;
  }[];
}

interface RowJson {
  readonly peer: string;
  readonly floorRatio: number;
  readonly metrics: { readonly cpu: { readonly median: number } };
}

describe('a peer', () => {
  it('that ends before it listens is reported with what it printed', async () => {
    const program = process.execPath;
    const broken = startPeer({
      name: 'broken',
      program,
      args: ['-e', 'console.error("no such queue"); process.exit(3)'],
    });
    await assert.rejects(broken, /^Error: broken did not start: it ended with status 3\nno such queue/);
  });

  it('that cannot be started at all is reported too', async () => {
    await assert.rejects(
      startPeer({ name: 'absent', program: '/nowhere/absent', args: [] }),
      /absent did not start: .*ENOENT/,
    );
  });
});

describe('a summary', () => {
  it('has the middle value, or the mean of the middle two', () => {
    assert.deepEqual(summaryOf([5, 1, 3]), { median: 3, min: 1, max: 5 });
    assert.deepEqual(summaryOf([10, 9, 1, 2]), { median: 5.5, min: 1, max: 10 });
    assert.throws(() => summaryOf([]), RangeError);
  });

  it('is shown in columns', () => {
    assert.equal(
      tableOf([
        ['peer', 'x'],
        ['a', '100'],
      ]),
      'peer     x\na      100',
    );
  });
});

describe("the load generator's result", () => {
  it('is refused where a number is missing', () => {
    assert.throws(() => parseResult('{"msgs_per_s":1}'), /no number 'accepted_per_s'/);
  });
});
