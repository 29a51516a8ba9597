// SPDX-License-Identifier: Apache-2.0

/** A binary heap: the smallest item, by `keyOf`, first. The key of an item must not change while it is inside. */
export class MinHeap<T> {
  readonly #items: T[] = [];
  readonly #keyOf: (item: T) => number;

  constructor(keyOf: (item: T) => number) {
    this.#keyOf = keyOf;
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    const key = this.#keyOf(item);
    let at = items.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent]!;
      if (this.#keyOf(above) <= key) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return first;
    const key = this.#keyOf(last);
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#keyOf(items[child + 1]!) < this.#keyOf(items[child]!)) child += 1;
      if (this.#keyOf(items[child]!) >= key) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return first;
  }

  /** Drops the items that `isWanted` does not want. */
  retain(isWanted: (item: T) => boolean): void {
    const kept = this.#items.filter(isWanted);
    this.#items.length = 0;
    for (const item of kept) this.push(item);
  }
}
