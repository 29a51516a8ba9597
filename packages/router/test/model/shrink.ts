// SPDX-License-Identifier: Apache-2.0

/** Most times that a run is tried again with fewer steps. */
const ATTEMPTS_MAX = 4_000;

/**
 * The shortest list that still fails, as far as leaving steps out finds it: halves first, single ones last, until none can
 * be spared.
 */
export function shrunk<T>(steps: readonly T[], fails: (steps: readonly T[]) => boolean): readonly T[] {
  let least = steps;
  let attempts = 0;
  for (let size = least.length >> 1; size >= 1;) {
    let spared = false;
    for (let at = Math.max(0, least.length - size); ;) {
      if (++attempts > ATTEMPTS_MAX) return least;
      const fewer = [...least.slice(0, at), ...least.slice(at + size)];
      if (fewer.length < least.length && fails(fewer)) {
        least = fewer;
        spared = true;
      }
      if (at === 0) break;
      at = Math.max(0, at - size);
    }
    if (!spared || size > 1) {
      if (size === 1) break;
      size >>= 1;
    }
  }
  return least;
}
