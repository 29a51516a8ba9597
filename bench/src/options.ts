// SPDX-License-Identifier: Apache-2.0

import { parseArgs } from 'node:util';
import { CASES, type Case } from './cases.js';
import type { Duration } from './load.js';
import { builtInContender, namedContender, PEERS, type Contender } from './peers.js';

export const USAGE: string = `usage: npm run bench -- [OPTION ...]

Puts load on this router and on peers, in turn and in one run, and shows what a message costs each of them.

  --cases A,B     of ${CASES.map((one) => one.name).join(', ')} (default all)
  --peers A,B     of ${Object.keys(PEERS).join(', ')} (default all)
  --peer NAME=HOST:PORT,PID
                  a router that runs already on this machine, beside them; may be given several times
  --runs N        measurements of each case and peer (default 5)
  --seconds S     length of one measurement (default 2); --warmup S before it (default 1)
  --json          one JSON document instead of the tables
  --smoke         every case once, briefly: checks what is counted, not what is timed
  --micro         parts of the router, each alone, instead; --micro WORD: those whose name contains WORD
`;

export interface Options {
  readonly cases: readonly Case[];
  readonly contenders: readonly Contender[];
  readonly runs: number;
  readonly duration: Duration;
  readonly json: boolean;
  readonly smoke: boolean;
  /** Words that the names of micro-benchmarks are chosen by; undefined where none are asked for. */
  readonly micro: readonly string[] | undefined;
}

/** The command line is wrong: the usage helps. */
export class UsageError extends Error {}

/**
 * @returns undefined where help was asked for
 * @throws UsageError
 */
export function optionsOf(argv: readonly string[]): Options | undefined {
  const { values, positionals } = parse(argv);
  if (values.help) return undefined;
  if (positionals.length > 0 && !values.micro) throw new UsageError(`'${positionals[0]}' is no option`);
  const { smoke, json } = values;
  return {
    cases: values.cases === undefined || values.cases === 'all' ? CASES : values.cases.split(',').map(caseOf),
    contenders: [
      ...(values.peers?.split(',') ?? Object.keys(PEERS)).map((name) => checked(() => builtInContender(name))),
      ...(values.peer ?? []).map((text) => checked(() => namedContender(text))),
    ],
    runs: smoke ? 1 : numberOf('runs', values.runs, 1),
    duration: smoke
      ? { warmup: 0, seconds: 0.5 }
      : { warmup: numberOf('warmup', values.warmup, 0), seconds: numberOf('seconds', values.seconds, 0.1) },
    json,
    smoke,
    micro: values.micro ? positionals : undefined,
  };
}

function parse(argv: readonly string[]) {
  return checked(() =>
    parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        cases: { type: 'string' },
        peers: { type: 'string' },
        peer: { type: 'string', multiple: true },
        runs: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '2' },
        warmup: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
        smoke: { type: 'boolean', default: false },
        micro: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }),
  );
}

function checked<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function caseOf(name: string): Case {
  const found = CASES.find((candidate) => candidate.name === name);
  if (found === undefined) throw new UsageError(`there is no case '${name}'`);
  return found;
}

function numberOf(option: string, text: string, min: number): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < min)
    throw new UsageError(`--${option} is '${text}', which is no number of at least ${min}`);
  return value;
}
