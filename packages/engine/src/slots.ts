// SPDX-License-Identifier: Apache-2.0

/** Nothing in any slot. Shared: to be changed by {@link withSlot} alone. */
export const NO_SLOTS: undefined[] = [];

/**
 * The list with `value` in slot `index`: the same one, or, for the first value, one that is made for it. A list that grows has
 * room for seventeen at once, and most of these never have more than one.
 */
export function withSlot<T>(list: (T | undefined)[], index: number, value: T | undefined): (T | undefined)[] {
  if (list.length === 0) {
    if (index === 0) return [value];
    list = [];
  }
  list[index] = value;
  return list;
}
