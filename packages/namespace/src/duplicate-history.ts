// SPDX-License-Identifier: Apache-2.0

/** Ids that are remembered at a time; the oldest goes first. At 128 characters each this is a few hundred megabytes at the worst. */
const IDS_MAX = 1_000_000;
/** Forgotten ids may lie in the list until there are this many, and as many as the others. */
const SLACK = 1024;

/** The message ids that came within the last while. */
export class DuplicateHistory {
  /** Ms; a change counts for what is remembered already, too. */
  windowMs: number;
  /** When each came (ms of the clock). */
  readonly #since = new Map<string, number>();
  /** In order of coming, which is that of forgetting too. A list, for a map would have to look past all that it has forgotten. */
  #inOrder: string[] = [];
  #head = 0;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  /** @param now - ms of the clock */
  has(id: string, now: number): boolean {
    this.#forget(now);
    return this.#since.has(id);
  }

  /** Remembers an id that is not remembered already. @param at - ms of the clock, not before that of the last one */
  note(id: string, at: number): void {
    this.#forget(at);
    if (this.#since.has(id)) return;
    this.#since.set(id, at);
    this.#inOrder.push(id);
  }

  /** Ids, and when they came, the oldest first. */
  *entries(now: number): Generator<readonly [id: string, at: number]> {
    this.#forget(now);
    for (let at = this.#head; at < this.#inOrder.length; at += 1) {
      const id = this.#inOrder[at]!;
      yield [id, this.#since.get(id)!];
    }
  }

  #forget(now: number): void {
    for (; this.#head < this.#inOrder.length; this.#head += 1) {
      const id = this.#inOrder[this.#head]!;
      if (this.#since.get(id)! + this.windowMs > now && this.#since.size < IDS_MAX) break;
      this.#since.delete(id);
    }
    if (this.#head <= SLACK || this.#head * 2 <= this.#inOrder.length) return;
    this.#inOrder = this.#inOrder.slice(this.#head);
    this.#head = 0;
  }
}
