// SPDX-License-Identifier: Apache-2.0

import os from 'node:os';
import { parseArgs } from 'node:util';
import { CASES, type Case } from './cases.js';
import { compileLoad, runLoad, type Duration, type LoadResult } from './load.js';
import { startPeer, type Peer } from './peer.js';
import { FLOOR, PEERS } from './peers.js';
import { summaryOf, tableOf, type Summary } from './summary.js';

const USAGE = `usage: npm run bench -- [OPTION ...]

Puts load on this router and on peers, in turn and in one run, and shows what a message costs each of them.

  --cases A,B     of ${CASES.map((c) => c.name).join(', ')}, or all (default ${CASES[0].name})
  --peers A,B     of ${Object.keys(PEERS).join(', ')} (default all)
  --runs N        measurements of each case and peer (default 5)
  --seconds S     length of one measurement (default 3); --warmup S before it (default 1)
  --json          one JSON document instead of the table
  --smoke         every case once, briefly: checks what is counted, not what is timed
`;

/** One peer in one case. */
interface Row {
  readonly peer: string;
  readonly cpuMicrosPerMessage: Summary;
  readonly messagesPerSecond: Summary;
  readonly residentKilobytes: Summary;
  /** Median CPU time as a multiple of the floor's, where the floor was measured too. */
  readonly floorRatio: number | undefined;
}

interface Options {
  readonly cases: readonly Case[];
  readonly peers: readonly string[];
  readonly runs: number;
  readonly duration: Duration;
  readonly json: boolean;
  readonly smoke: boolean;
}

class UsageError extends Error {}

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const options = optionsOf(argv);
    if (options === undefined) process.stdout.write(USAGE);
    else await bench(options);
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`bench: ${message}\n${error instanceof UsageError ? `\n${USAGE}` : ''}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

/** @returns undefined where help was asked for */
function optionsOf(argv: readonly string[]): Options | undefined {
  const { values } = parse(argv);
  if (values.help) return undefined;
  const { smoke, json } = values;
  const allCases = values.cases === 'all' || (smoke && values.cases === undefined);
  return {
    cases: allCases ? CASES : (values.cases ?? CASES[0].name).split(',').map(caseOf),
    peers: (values.peers?.split(',') ?? Object.keys(PEERS)).map(peerOf),
    runs: smoke ? 1 : numberOf('runs', values.runs, 1),
    duration: smoke
      ? { warmup: 0.1, seconds: 0.3 }
      : { warmup: numberOf('warmup', values.warmup, 0), seconds: numberOf('seconds', values.seconds, 0.1) },
    json,
    smoke,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        cases: { type: 'string' },
        peers: { type: 'string' },
        runs: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '3' },
        warmup: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
        smoke: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function caseOf(name: string): Case {
  const found = CASES.find((candidate) => candidate.name === name);
  if (found === undefined) throw new UsageError(`there is no case '${name}'`);
  return found;
}

function peerOf(name: string): string {
  if (PEERS[name] === undefined) throw new UsageError(`there is no peer '${name}'`);
  return name;
}

function numberOf(option: string, text: string, min: number): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < min)
    throw new UsageError(`--${option} is '${text}', which is no number of at least ${min}`);
  return value;
}

async function bench({ cases, peers: names, runs, duration, json, smoke }: Options): Promise<void> {
  const program = await compileLoad();
  const peers: Peer[] = [];
  try {
    for (const name of names) {
      const command = PEERS[name];
      if (command !== undefined) peers.push(await startPeer(command()));
    }
    const report = [];
    for (const one of cases) {
      const results = await measure(program, one, peers, runs, duration);
      if (smoke) checkCounts(one, results);
      else if (json) report.push({ case: one.name, title: one.title, rows: rowsOf(results) });
      else process.stdout.write(`${one.title}, ${runs} x ${duration.seconds} s\n\n${tableOfRows(rowsOf(results))}\n\n`);
    }
    if (json) process.stdout.write(`${JSON.stringify({ machine: machine(), cases: report }, null, 2)}\n`);
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
}

type Results = ReadonlyMap<string, readonly LoadResult[]>;

/** In turn, so that whatever else the machine does meets all peers alike. */
async function measure(
  program: string,
  { load }: Case,
  peers: readonly Peer[],
  runs: number,
  duration: Duration,
): Promise<Results> {
  const results = new Map<string, LoadResult[]>(peers.map((peer) => [peer.name, []]));
  for (let run = 0; run < runs; run++) {
    for (const peer of peers) results.get(peer.name)?.push(await runLoad(program, peer, load, duration));
  }
  return results;
}

/** The load generator has counted: nothing refused, nobody disconnected. Here: what had to be settled was. */
function checkCounts({ title, load }: Case, results: Results): void {
  for (const [peer, runs] of results) {
    for (const { messagesPerSecond, acceptedPerSecond } of runs) {
      if (!(messagesPerSecond > 0)) throw new Error(`${title}: ${peer} forwarded nothing`);
      if (!load.settled && !(acceptedPerSecond > 0)) throw new Error(`${title}: ${peer} accepted nothing`);
    }
    process.stdout.write(`ok ${title}: ${peer}\n`);
  }
}

function rowsOf(results: Results): Row[] {
  const rows = [...results].map(([peer, runs]) => ({
    peer,
    cpuMicrosPerMessage: summaryOf(runs.map((run) => run.cpuMicrosPerMessage)),
    messagesPerSecond: summaryOf(runs.map((run) => run.messagesPerSecond)),
    residentKilobytes: summaryOf(runs.map((run) => run.residentKilobytes)),
  }));
  const floor = rows.find((row) => row.peer === FLOOR)?.cpuMicrosPerMessage.median;
  return rows.map((row) => ({
    ...row,
    floorRatio: floor === undefined ? undefined : row.cpuMicrosPerMessage.median / floor,
  }));
}

function tableOfRows(rows: readonly Row[]): string {
  const head = ['peer', 'CPU µs/message', 'min - max', 'x floor', 'messages/s', 'min - max', 'MB resident'];
  const whole = (value: number): string => Math.round(value).toLocaleString('en');
  return tableOf([
    head,
    ...rows.map(({ peer, cpuMicrosPerMessage: cpu, messagesPerSecond: rate, residentKilobytes, floorRatio }) => [
      peer,
      cpu.median.toFixed(2),
      `${cpu.min.toFixed(2)} - ${cpu.max.toFixed(2)}`,
      floorRatio === undefined ? '-' : floorRatio.toFixed(1),
      whole(rate.median),
      `${whole(rate.min)} - ${whole(rate.max)}`,
      whole(residentKilobytes.median / 1024),
    ]),
  ]);
}

function machine(): Record<string, string | number> {
  const processors = os.cpus();
  return {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: processors[0]?.model ?? 'unknown',
    cores: processors.length,
  };
}
