// SPDX-License-Identifier: Apache-2.0

import { runIdle, runLoad, type Duration, type Load, type LoadResult } from './load.js';
import type { Contender } from './peers.js';
import { residentKilobytes, type Peer } from './peer.js';

/** What can be measured, with its column's title and the digits that mean something. */
export const METRICS = {
  cpu: { title: 'CPU µs/message', digits: 2 },
  rate: { title: 'messages/s', digits: 0 },
  p50: { title: 'p50 µs', digits: 0 },
  p99: { title: 'p99 µs', digits: 0 },
  beside: { title: 'large/s', digits: 0 },
  connection: { title: 'kB/connection', digits: 1 },
  start: { title: 'ms to listen', digits: 0 },
  memory: { title: 'MB resident', digits: 0 },
} as const;

export type MetricName = keyof typeof METRICS;

/** One measurement of one peer. */
export type Measurement = Partial<Readonly<Record<MetricName, number>>>;

/**
 * What this router is to reach, on a machine of two shared cores. Set against the router in C that it replaces, and
 * against the floor: what lies between is what semantics may cost.
 */
export interface Goal {
  readonly metric: MetricName;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** Most as a part of what a peer that is named on the command line takes. */
  readonly ofPeer?: number;
}

export interface Case {
  readonly name: string;
  readonly title: string;
  /** Columns of the table; the first is what peers are compared by. */
  readonly metrics: readonly [MetricName, ...MetricName[]];
  readonly goals: readonly Goal[];
  /** Peers of ours for which it makes no sense. */
  readonly without: readonly string[];
  /** Peers of ours that have nothing to show within the moment that `--smoke` takes. */
  readonly tooSlowForSmoke: readonly string[];
  /** Each measurement has a process of its own, started for it; else all measurements of the case share one. */
  readonly fresh: boolean;
  /** @returns undefined where the peer cannot be measured so */
  measure(bench: BenchContext, peer: Peer): Promise<Measurement | undefined>;
}

export interface BenchContext {
  /** The compiled load generator. */
  readonly program: string;
  readonly duration: Duration;
  /** Idle connections to open. */
  readonly idle: number;
  /** What a peer cannot do ends the whole. */
  readonly isStrict: boolean;
}

/** Times as long for another try. */
const LONGER = [4, 16];

/** The generator has looked for refusals and losses. Here: what had to be settled was. */
function missingOf(load: Load, { acceptedPerSecond, besidePerSecond }: LoadResult): string | undefined {
  if (!load.settled && !(acceptedPerSecond > 0)) return 'accepted nothing';
  if (load.besideBytes !== undefined && !(Number(besidePerSecond) > 0)) return 'forwarded no large message';
  return undefined;
}

function loadCase(
  name: string,
  title: string,
  load: Load,
  metrics: Case['metrics'],
  goals: readonly Goal[],
  except: Partial<Pick<Case, 'without' | 'tooSlowForSmoke'>> = {},
): Case {
  const measure: Case['measure'] = async ({ program, duration, isStrict }, peer) => {
    let result = await runLoad(program, peer, load, duration);
    // On a busy machine the moment that a smoke test takes may be too short for anything to come back.
    for (const factor of isStrict ? LONGER : []) {
      if (missingOf(load, result) === undefined) break;
      result = await runLoad(program, peer, load, { ...duration, seconds: duration.seconds * factor });
    }
    const missing = missingOf(load, result);
    if (missing !== undefined) throw new Error(`${title}: ${peer.name} ${missing}`);
    return {
      cpu: result.cpuMicrosPerMessage,
      rate: result.messagesPerSecond,
      memory: result.residentKilobytes / 1024,
      ...(result.latencyMicros === undefined ? {} : { p50: result.latencyMicros.p50, p99: result.latencyMicros.p99 }),
      ...(result.besidePerSecond === undefined ? {} : { beside: result.besidePerSecond }),
    };
  };
  return { name, title, metrics, goals, without: [], tooSlowForSmoke: [], ...except, fresh: false, measure };
}

const small = (pairs: number, settled = false): Load => ({ sizeBytes: 100, settled, pairs });
const FLAT_OUT: Case['metrics'] = ['cpu', 'rate', 'memory'];

/** In the order in which they are run. The first one is what changes are judged by. */
export const CASES: readonly [Case, ...Case[]] = [
  loadCase('unsettled', '100 B, unsettled, 1 pair', small(1), FLAT_OUT, [
    { metric: 'cpu', atMost: 0.7, ofPeer: 0.17 },
    { metric: 'rate', atLeast: 1_000_000 },
  ]),
  loadCase('settled', '100 B, settled, 1 pair', small(1, true), FLAT_OUT, [
    { metric: 'cpu', atMost: 0.6, ofPeer: 0.17 },
  ]),
  loadCase(
    'pairs10',
    '100 B, unsettled, 10 pairs',
    small(10),
    FLAT_OUT,
    [{ metric: 'cpu', atMost: 0.7, ofPeer: 0.08 }],
    { tooSlowForSmoke: ['rhea'] },
  ),
  loadCase(
    'pairs100',
    '100 B, unsettled, 100 pairs',
    small(100),
    FLAT_OUT,
    [{ metric: 'cpu', atMost: 0.8, ofPeer: 0.08 }],
    { tooSlowForSmoke: ['rhea'] },
  ),
  loadCase('1kB', '1 000 B, unsettled, 1 pair', { sizeBytes: 1_000, settled: false, pairs: 1 }, FLAT_OUT, [
    { metric: 'cpu', atMost: 2, ofPeer: 0.22 },
  ]),
  loadCase(
    '10kB',
    '10 000 B, unsettled, 1 pair, credit 100',
    { sizeBytes: 10_000, settled: false, pairs: 1, credit: 100 },
    FLAT_OUT,
    [{ metric: 'cpu', atMost: 9, ofPeer: 0.75 }],
  ),
  loadCase(
    '1MB',
    '1 000 000 B, unsettled, 1 pair, credit 20',
    { sizeBytes: 1_000_000, settled: false, pairs: 1, credit: 20 },
    FLAT_OUT,
    [
      { metric: 'cpu', atMost: 500, ofPeer: 0.5 },
      { metric: 'memory', atMost: 150 },
    ],
  ),
  loadCase(
    'latency',
    '100 B, unsettled, 1 pair, 20 000 messages/s',
    { ...small(1), ratePerSecond: 20_000 },
    ['p50', 'p99', 'cpu', 'memory'],
    [
      { metric: 'p50', atMost: 40, ofPeer: 0.45 },
      { metric: 'p99', atMost: 1_500, ofPeer: 0.45 },
    ],
  ),
  loadCase(
    'beside',
    '100 B, unsettled, 10 pairs, 10 000 messages/s, beside 1 pair of 1 MB flat out',
    { ...small(10), ratePerSecond: 10_000, besideBytes: 1_000_000 },
    ['p99', 'p50', 'beside', 'memory'],
    [{ metric: 'p99', atMost: 5_000 }],
    // The floor has no fairness and no limits: it would be measured for what it is not.
    { without: ['floor'], tooSlowForSmoke: ['rhea'] },
  ),
  {
    name: 'idle',
    title: 'idle connections with one link each',
    metrics: ['connection', 'memory'],
    goals: [{ metric: 'connection', atMost: 18, ofPeer: 0.5 }],
    // Has a buffer of 256 KiB for each.
    without: ['floor'],
    tooSlowForSmoke: [],
    fresh: true,
    measure: async ({ program, idle }, peer) => {
      const result = await runIdle(program, peer, idle);
      return { connection: result.kilobytesPerConnection, memory: result.residentKilobytes / 1024 };
    },
  },
  {
    name: 'start',
    title: 'from the start of the process to listening',
    metrics: ['start', 'memory'],
    goals: [
      { metric: 'start', atMost: 250 },
      { metric: 'memory', atMost: 70 },
    ],
    without: [],
    tooSlowForSmoke: [],
    fresh: true,
    measure: (_bench, peer) =>
      Promise.resolve(
        peer.startMillis === undefined
          ? undefined
          : { start: peer.startMillis, memory: residentKilobytes(peer.pid) / 1024 },
      ),
  },
];

/** Contenders that a case is for. */
export function contendersOf(one: Case, contenders: readonly Contender[], smoke: boolean): Contender[] {
  return contenders.filter(({ name }) => !one.without.includes(name) && !(smoke && one.tooSlowForSmoke.includes(name)));
}
