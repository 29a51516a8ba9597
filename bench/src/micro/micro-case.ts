// SPDX-License-Identifier: Apache-2.0

/** One part of the router, alone. */
export interface MicroCase {
  readonly name: string;
  /** Operations of one round. */
  readonly operations: number;
  /**
   * What a round returns: a number made from the results of all its operations. Checked on every round, so that what is
   * measured is also right.
   */
  readonly hash: number;
  /** Too large for a moment in CI. */
  readonly isLarge: boolean;
  /** Makes what the operations work on; the result runs a round. */
  prepare(): () => number;
}

/** Mixes a value into a hash, as integers of 32 bits. */
export function mix(hash: number, value: number): number {
  return (Math.imul(hash, 31) + value) | 0;
}

/** @throws Error where a round returned something else than it has to */
export function checkHash({ name, hash }: MicroCase, result: number): void {
  if (result !== hash) throw new Error(`${name}: the results hash to ${result}, not to ${hash}`);
}
