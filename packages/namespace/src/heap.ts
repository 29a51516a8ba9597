// SPDX-License-Identifier: Apache-2.0

/** A binary heap: the smallest item, by `keyOf`, first. Keys must not change while their items are inside. */
export class MinHeap<T> {
  readonly #items: T[] = [];
  readonly #keyOf: (item: T) => number;
  readonly #secondOf: (item: T) => number;

  /** @param secondOf - what decides between items with the same key; left out, either may come first */
  constructor(keyOf: (item: T) => number, secondOf: (item: T) => number = () => 0) {
    this.#keyOf = keyOf;
    this.#secondOf = secondOf;
  }

  #isBefore(a: T, b: T): boolean {
    const keyA = this.#keyOf(a);
    const keyB = this.#keyOf(b);
    return keyA < keyB || (keyA === keyB && this.#secondOf(a) < this.#secondOf(b));
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent]!;
      if (!this.#isBefore(item, above)) break;
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
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#isBefore(items[child + 1]!, items[child]!)) child += 1;
      if (!this.#isBefore(items[child]!, last)) break;
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
