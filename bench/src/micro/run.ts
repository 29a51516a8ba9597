// SPDX-License-Identifier: Apache-2.0

import { machine } from '../machine.js';
import { summaryOf, tableOf, type Summary } from '../summary.js';
import { CODEC } from './codec.js';
import { CREDIT } from './credit.js';
import { DISPOSITIONS } from './dispositions.js';
import { FRAMES } from './frames.js';
import { LOOK_UP } from './look-up.js';
import { checkHash, type MicroCase } from './micro-case.js';

export const MICRO_CASES: readonly MicroCase[] = [...CODEC, ...FRAMES, ...CREDIT, ...DISPOSITIONS, ...LOOK_UP];

/** Measured parts of one case, and their length at least, ms. */
const SLICES = 7;
const SLICE_MS = 60;

/** For the just-in-time compiler, ms. */
const WARM_UP_MS = 120;

/**
 * Runs the cases whose names contain one of the words, and prints a table or JSON; with `smoke` a single round of each that
 * is not large, checking only what it returns.
 *
 * @throws Error where a result is wrong, or no name contains a word
 */
export function runMicro(words: readonly string[], json: boolean, smoke: boolean): void {
  const wanted = MICRO_CASES.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
  if (wanted.length === 0) throw new Error(`no micro-benchmark has ${words.join(' or ')} in its name`);
  const results = [];
  for (const one of wanted) {
    if (smoke) {
      if (one.isLarge) continue;
      checkHash(one, one.prepare()());
      process.stdout.write(`ok ${one.name}\n`);
    } else {
      results.push({ name: one.name, nanosPerOperation: measure(one) });
    }
  }
  if (smoke) return;
  if (json) {
    process.stdout.write(`${JSON.stringify({ machine: machine(), micro: results }, null, 2)}\n`);
    return;
  }
  const rows = results.map(({ name, nanosPerOperation: { median, min, max } }) => [
    name,
    nanos(median),
    `${nanos(min)} - ${nanos(max)}`,
  ]);
  process.stdout.write(`${tableOf([['part', 'ns/operation', 'min - max'], ...rows])}\n`);
}

/** Wall-clock time of an operation, ns. */
function measure(one: MicroCase): Summary {
  const round = one.prepare();
  runFor(one, round, WARM_UP_MS);
  return summaryOf(Array.from({ length: SLICES }, () => runFor(one, round, SLICE_MS)));
}

/** @returns ns an operation */
function runFor(one: MicroCase, round: () => number, millis: number): number {
  const start = performance.now();
  let rounds = 0;
  let elapsed = 0;
  do {
    checkHash(one, round());
    rounds++;
    elapsed = performance.now() - start;
  } while (elapsed < millis);
  return (elapsed * 1e6) / (rounds * one.operations);
}

function nanos(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}
