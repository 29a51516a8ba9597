// SPDX-License-Identifier: Apache-2.0
import type { ConditionClass } from './conditions.js';

/** How long to wait before attempt n of the same thing. All times in milliseconds. */
export interface RetryPolicy {
  /** Before the first retry. */
  readonly firstMs: number;
  /** Before the second; each later one is `factor` times the one before. */
  readonly secondMs: number;
  readonly factor: number;
  /** No delay exceeds this, jitter apart. */
  readonly maxMs: number;
  /** Upper end of what is added at random. Never taken away: `firstMs` of a slow class is a promise. */
  readonly jitterMs: number;
  /** A link that stayed up this long has recovered: the next failure is a first one again. */
  readonly steadyAfterMs: number;
}

const policy = (
  firstMs: number,
  secondMs: number,
  maxMs: number,
  jitterMs: number,
  steadyAfterMs = 10_000,
): RetryPolicy => ({ firstMs, secondMs, factor: 2, maxMs, jitterMs, steadyAfterMs });

/**
 * Idle and forced detaches are repaired at once, with jitter so that hundreds of links do not come back in one burst,
 * and ever slower where they repeat within seconds. What an operator has to change is asked for seldom: each failing
 * attach costs the service and the log.
 */
// prettier-ignore
const SLOW = policy(30_000, 60_000, 300_000, 5_000, 60_000);

/** By class; see {@link retryDelay}. */
// prettier-ignore
export const RETRY_POLICIES: Readonly<Record<ConditionClass, RetryPolicy>> = {
  'idle':         policy(0,      500,     30_000,  250),
  'forced':       policy(0,      1_000,   30_000,  500),
  'token':        policy(0,      1_000,   30_000,  250),
  'stolen':       policy(1_000,  2_000,   60_000,  1_000),
  'unauthorized': SLOW,
  'missing':      SLOW,
  'disabled':     SLOW,
  'misuse':       policy(60_000, 120_000, 600_000, 10_000, 60_000),
  'invalid':      policy(10_000, 20_000,  120_000, 2_000),
  'busy':         policy(4_000,  8_000,   60_000,  1_000),
  'quota':        policy(10_000, 20_000,  120_000, 2_000),
  'transient':    policy(2_000,  4_000,   60_000,  1_000),
  'too-large':    policy(0,      1_000,   30_000,  250),
  'lock-lost':    policy(0,      1_000,   30_000,  250),
  'protocol':     policy(5_000,  10_000,  120_000, 1_000),
  'transaction':  policy(1_000,  2_000,   60_000,  500),
  'unknown':      policy(5_000,  10_000,  120_000, 1_000),
};

/**
 * Milliseconds to wait before the next attempt.
 *
 * @param attempt - retries of this since it last worked: 0 for the first
 * @param random - 0 to 1, exclusive, for the jitter
 */
export function retryDelay(conditionClass: ConditionClass, attempt: number, random: () => number): number {
  const { firstMs, secondMs, factor, maxMs, jitterMs } = RETRY_POLICIES[conditionClass];
  // The exponent is bounded: 2^1024 is Infinity, and a router may retry for years.
  const base = attempt <= 0 ? firstMs : Math.min(maxMs, secondMs * factor ** Math.min(attempt - 1, 30));
  return base + random() * jitterMs;
}

/** The number of the attempt that follows a failure: 0 again where the link had been up for long enough. */
export function attemptAfter(conditionClass: ConditionClass, attempt: number, upMs: number): number {
  return upMs >= RETRY_POLICIES[conditionClass].steadyAfterMs ? 0 : attempt;
}
