// SPDX-License-Identifier: Apache-2.0

import { contendersOf, type BenchContext, type Case, type Measurement } from './cases.js';
import { compileLoad } from './load.js';
import { machine } from './machine.js';
import { runMicro } from './micro/run.js';
import { optionsOf, USAGE, UsageError, type Options } from './options.js';
import type { Peer } from './peer.js';
import { OURS, type Contender } from './peers.js';
import { Progress } from './progress.js';
import { caseTable, ratioLine, rowsOf, verdictsOf, verdictTable, type PeerResults, type Verdict } from './report.js';

/** Idle connections that memory is measured with: so many that what the process itself takes does not count. */
const IDLE_CONNECTIONS = 5_000;
const IDLE_CONNECTIONS_SMOKE = 40;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const options = optionsOf(argv);
    if (options === undefined) process.stdout.write(USAGE);
    else if (options.micro !== undefined) runMicro(options.micro, options.json, options.smoke);
    else await bench(options);
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`bench: ${message}\n${error instanceof UsageError ? `\n${USAGE}` : ''}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function bench({ cases, contenders, runs, duration, json, smoke }: Options): Promise<void> {
  const program = await compileLoad();
  const context: BenchContext = {
    program,
    duration,
    idle: smoke ? IDLE_CONNECTIONS_SMOKE : IDLE_CONNECTIONS,
    isStrict: smoke,
  };
  const progress = new Progress(
    cases.reduce((sum, one) => sum + contendersOf(one, contenders, smoke).length * runs, 0),
  );
  const report = [];
  const verdicts: Verdict[] = [];
  for (const one of cases) {
    const results = await measure(context, one, contendersOf(one, contenders, smoke), runs, progress);
    progress.clear();
    const rows = rowsOf(one, results);
    verdicts.push(...verdictsOf(one, rows));
    report.push({ case: one.name, title: one.title, rows, goals: verdictsOf(one, rows) });
    if (smoke) for (const { peer } of rows) process.stdout.write(`ok ${one.title}: ${peer}\n`);
    else if (!json) {
      const ratios = ratioLine(one, rows);
      const length = one.fresh ? '' : ` x ${duration.seconds} s`;
      process.stdout.write(`${one.name}: ${one.title} (${runs}${length})\n\n${caseTable(one, rows)}\n`);
      process.stdout.write(ratios === undefined ? '\n' : `${ratios}\n\n`);
    }
  }
  if (smoke) return;
  if (json) {
    process.stdout.write(`${JSON.stringify({ machine: machine(), runs, duration, cases: report }, null, 2)}\n`);
    return;
  }
  if (verdicts.length > 0) process.stdout.write(`goals\n\n${verdictTable(verdicts)}\n\n`);
  process.stdout.write(
    `${Object.entries(machine())
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}\n`,
  );
}

/** In turn, so that whatever else the machine does meets all peers alike. */
async function measure(
  context: BenchContext,
  one: Case,
  contenders: readonly Contender[],
  runs: number,
  progress: Progress,
): Promise<PeerResults[]> {
  const results = contenders.map(({ name, isNamed }) => ({ peer: name, isNamed, runs: [] as Measurement[] }));
  const peers: Peer[] = [];
  try {
    if (!one.fresh) for (const contender of contenders) peers.push(await contender.start());
    for (let run = 0; run < runs; run++) {
      for (const [i, contender] of contenders.entries()) {
        progress.step(`${one.name}: ${contender.name}, ${run + 1} of ${runs}`);
        const peer = peers[i];
        try {
          const measurement =
            peer === undefined ? await measureFresh(context, one, contender) : await one.measure(context, peer);
          if (measurement !== undefined) results[i]?.runs.push(measurement);
        } catch (error) {
          // What a peer cannot do is worth a line, not the other results. Of our own router, or in a check, it is the result.
          if (contender.name === OURS || context.isStrict) throw error;
          progress.clear();
          process.stderr.write(`bench: ${one.name}: ${error instanceof Error ? error.message : String(error)}\n`);
        }
      }
    }
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
  return results;
}

async function measureFresh(context: BenchContext, one: Case, contender: Contender): Promise<Measurement | undefined> {
  const peer = await contender.start();
  try {
    return await one.measure(context, peer);
  } finally {
    await peer.stop();
  }
}
