// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { attempt, report } from './run.js';

const RUNS = Number(process.env['ROUTER_MODEL_RUNS'] ?? 120);
const STEPS = Number(process.env['ROUTER_MODEL_STEPS'] ?? 250);
const SEED = Number(process.env['ROUTER_MODEL_SEED'] ?? 1);

describe('a router and its model', () => {
  it(`agree on every message, whatever clients do (${RUNS} runs of ${STEPS} steps)`, () => {
    for (let seed = SEED; seed < SEED + RUNS; seed++) {
      const steps = attempt(seed, STEPS);
      if (steps !== undefined) assert.fail(report(seed, STEPS, steps));
    }
  });
});
