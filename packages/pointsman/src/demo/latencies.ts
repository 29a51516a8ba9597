// SPDX-License-Identifier: Apache-2.0

/** Values that are kept at most; from then on each new one takes the place of the oldest. */
const KEPT = 65_536;

/** Round-trip times, in ms. */
export class Latencies {
  readonly #values = new Float64Array(KEPT);
  #count = 0;

  add(ms: number): void {
    this.#values[this.#count++ % KEPT] = ms;
  }

  /** @param share - 0.5 for the median. @returns undefined where there is none yet */
  quantile(share: number): number | undefined {
    const size = Math.min(this.#count, KEPT);
    if (size === 0) return undefined;
    return this.#values.slice(0, size).sort()[Math.min(size - 1, Math.floor(size * share))];
  }
}
