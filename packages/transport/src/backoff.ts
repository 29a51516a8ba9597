// SPDX-License-Identifier: Apache-2.0

/** How long a connector waits between attempts. Times in ms. */
export interface Backoff {
  /** Wait after nothing has failed: before the very first attempt, and after the loss of a connection that had stayed up. */
  readonly firstMs: number;
  /** Wait after the first failure. */
  readonly minMs: number;
  /** No wait is longer. */
  readonly maxMs: number;
  /** Growth from one failure to the next, 1 and above. */
  readonly factor: number;
  /** Share of the wait that chance takes away, 0 to 1: peers that lost a server together must not come back together. */
  readonly jitter: number;
}

export const DEFAULT_BACKOFF: Backoff = { firstMs: 0, minMs: 1_000, maxMs: 30_000, factor: 2, jitter: 0.5 };

/**
 * The wait before the next attempt.
 *
 * @param failures - attempts that failed in a row, 0 and above
 * @param random - gives numbers from 0 (inclusive) to 1 (exclusive)
 * @returns ms; after a failure between `(1 - jitter)` and 1 times `minMs * factor^(failures - 1)`, capped at `maxMs` before chance
 */
export function backoffDelay(failures: number, backoff: Backoff, random: () => number): number {
  if (failures <= 0) return backoff.firstMs;
  const full = Math.min(backoff.maxMs, backoff.minMs * backoff.factor ** (failures - 1));
  return full * (1 - backoff.jitter * random());
}
