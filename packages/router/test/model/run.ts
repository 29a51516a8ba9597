// SPDX-License-Identifier: Apache-2.0
import { Chooser } from './chooser.js';
import { Field } from './field.js';
import { Random } from './random.js';
import { shrunk } from './shrink.js';
import { textOf } from './step.js';
import type { Step } from './step.js';

/** Goes through the steps from the beginning. @returns what failed */
export function replay(steps: readonly Step[]): unknown {
  const field = new Field();
  try {
    for (const step of steps) field.run(step);
    field.finish();
    return undefined;
  } catch (error) {
    return error ?? new Error('failed');
  }
}

/** A run that a seed determines. @returns its steps where it failed */
export function attempt(seed: number, count: number): readonly Step[] | undefined {
  const field = new Field();
  const chooser = new Chooser(new Random(seed), field);
  const steps: Step[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const step = chooser.next();
      steps.push(step);
      field.run(step);
    }
    field.finish();
    return undefined;
  } catch {
    return steps;
  }
}

/** Why a run failed, with as few steps as that takes, and how to see it again. */
export function report(seed: number, count: number, steps: readonly Step[]): Error {
  const least = shrunk(steps, (fewer) => replay(fewer) !== undefined);
  const cause = replay(least);
  const message = cause instanceof Error ? cause.message : String(cause);
  return new Error(
    [
      `seed ${seed}: ${message}`,
      `again: ROUTER_MODEL_RUNS=1 ROUTER_MODEL_STEPS=${count} ROUTER_MODEL_SEED=${seed} npm test -- router/dist/test/model`,
      `${least.length} of ${steps.length} steps are enough:`,
      ...least.map((step) => `  ${textOf(step)}`),
    ].join('\n'),
    { cause },
  );
}
