// SPDX-License-Identifier: Apache-2.0

/** Time, where a component needs it: passed in, so that a test can drive it. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls `action` once after `ms`; returns a function that takes the order back. */
  after(ms: number, action: () => void): () => void;
}
