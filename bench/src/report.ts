// SPDX-License-Identifier: Apache-2.0

import { METRICS, type Case, type Goal, type Measurement, type MetricName } from './cases.js';
import { FLOOR, OURS } from './peers.js';
import { summaryOf, tableOf, type Summary } from './summary.js';

/** One peer in one case. */
export interface Row {
  readonly peer: string;
  /** It was named on the command line. */
  readonly isNamed: boolean;
  readonly metrics: Partial<Readonly<Record<MetricName, Summary>>>;
  /** Median of the case's first metric as a multiple of the floor's, where the floor was measured too. */
  readonly floorRatio: number | undefined;
}

/** A goal and how far we are. */
export interface Verdict {
  readonly case: string;
  readonly metric: MetricName;
  /** The peer that the value is a part of; undefined where it stands for itself. */
  readonly peer: string | undefined;
  readonly atMost: number | undefined;
  readonly atLeast: number | undefined;
  readonly value: number;
  readonly met: boolean;
  /** The same of the floor, in the same run: a bad one says that the machine was busy. */
  readonly floor: number | undefined;
}

/** What was measured of one peer, run by run. */
export interface PeerResults {
  readonly peer: string;
  readonly isNamed: boolean;
  readonly runs: readonly Measurement[];
}

export function rowsOf(one: Case, results: readonly PeerResults[]): Row[] {
  const rows = results
    .filter(({ runs }) => runs.length > 0)
    .map(({ peer, isNamed, runs }) => {
      const metrics: Partial<Record<MetricName, Summary>> = {};
      for (const metric of one.metrics) {
        const values = runs.map((run) => run[metric]).filter((value) => value !== undefined);
        if (values.length > 0) metrics[metric] = summaryOf(values);
      }
      return { peer, isNamed, metrics };
    });
  const floor = medianOf(rows, FLOOR, one.metrics[0]);
  return rows.map((row) => {
    const own = row.metrics[one.metrics[0]]?.median;
    return { ...row, floorRatio: floor === undefined || own === undefined ? undefined : own / floor };
  });
}

function medianOf(
  rows: readonly Pick<Row, 'peer' | 'metrics'>[],
  peer: string,
  metric: MetricName,
): number | undefined {
  return rows.find((row) => row.peer === peer)?.metrics[metric]?.median;
}

/** The goals of a case, for this router: the plain ones, and those against each peer that was named. */
export function verdictsOf(one: Case, rows: readonly Row[]): Verdict[] {
  const verdicts: Verdict[] = [];
  for (const goal of one.goals) {
    const value = medianOf(rows, OURS, goal.metric);
    if (value === undefined) continue;
    const floor = medianOf(rows, FLOOR, goal.metric);
    if (goal.atMost !== undefined || goal.atLeast !== undefined)
      verdicts.push({ ...verdictOf(one, goal, undefined, value, goal.atMost, goal.atLeast), floor });
    if (goal.ofPeer === undefined) continue;
    for (const { peer, isNamed, metrics } of rows) {
      const theirs = metrics[goal.metric]?.median;
      if (isNamed && theirs !== undefined)
        verdicts.push(verdictOf(one, goal, peer, value / theirs, goal.ofPeer, undefined));
    }
  }
  return verdicts;
}

function verdictOf(
  one: Case,
  { metric }: Goal,
  peer: string | undefined,
  value: number,
  atMost: number | undefined,
  atLeast: number | undefined,
): Verdict {
  const met = (atMost === undefined || value <= atMost) && (atLeast === undefined || value >= atLeast);
  return { case: one.name, metric, peer, atMost, atLeast, value, met, floor: undefined };
}

/** The table of a case: a row for each peer; the spread beside each median but that of the memory. */
export function caseTable(one: Case, rows: readonly Row[]): string {
  const head = ['peer'];
  for (const metric of one.metrics) {
    head.push(METRICS[metric].title);
    if (metric !== 'memory') head.push('min - max');
    if (metric === one.metrics[0]) head.push('x floor');
  }
  const cells = rows.map(({ peer, metrics, floorRatio }) => {
    const row = [peer];
    for (const metric of one.metrics) {
      const summary = metrics[metric];
      const show = (value: number | undefined): string => shown(value, METRICS[metric].digits);
      row.push(show(summary?.median));
      if (metric !== 'memory') row.push(summary === undefined ? '-' : `${show(summary.min)} - ${show(summary.max)}`);
      if (metric === one.metrics[0]) row.push(shown(floorRatio, 2));
    }
    return row;
  });
  return tableOf([head, ...cells]);
}

/** This router as a part of each other peer, in the case's first metric: `0.02 of rhea`. */
export function ratioLine(one: Case, rows: readonly Row[]): string | undefined {
  const ours = medianOf(rows, OURS, one.metrics[0]);
  if (ours === undefined) return undefined;
  const parts = rows
    .filter(({ peer }) => peer !== OURS)
    .flatMap(({ peer, metrics }) => {
      const theirs = metrics[one.metrics[0]]?.median;
      return theirs === undefined || theirs === 0 ? [] : [`${shown(ours / theirs, 2)} x ${peer}`];
    });
  return parts.length === 0 ? undefined : `${METRICS[one.metrics[0]].title}: ${OURS} is ${parts.join(', ')}`;
}

export function verdictTable(verdicts: readonly Verdict[]): string {
  return tableOf([
    ['case', 'what', 'goal', 'here', '', 'floor'],
    ...verdicts.map(({ case: name, metric, peer, atMost, atLeast, value, met, floor }) => {
      const digits = peer === undefined ? Math.max(METRICS[metric].digits, metric === 'cpu' ? 2 : 0) : 2;
      const bound = atMost === undefined ? `>= ${shown(atLeast, digits)}` : `<= ${shown(atMost, digits)}`;
      const what = peer === undefined ? METRICS[metric].title : `${METRICS[metric].title} / ${peer}`;
      return [name, what, bound, shown(value, digits), met ? 'met' : 'not met', shown(floor, digits)];
    }),
  ]);
}

function shown(value: number | undefined, digits: number): string {
  if (value === undefined) return '-';
  // Four figures mean something: 0.31, 12.4, 960.
  const fraction = value >= 100 ? 0 : Math.min(digits, value >= 10 ? 1 : digits);
  return value.toLocaleString('en', { minimumFractionDigits: fraction, maximumFractionDigits: fraction });
}
