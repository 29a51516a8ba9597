// SPDX-License-Identifier: Apache-2.0
import { ID_BYTES, MemoryBudget } from './memory-budget.js';

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
  readonly #memory: MemoryBudget;

  constructor(windowMs: number, memory: MemoryBudget = new MemoryBudget()) {
    this.windowMs = windowMs;
    this.#memory = memory;
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
    this.#memory.take(bytesOf(id));
  }

  /** Forgets everything. */
  clear(): void {
    for (const id of this.#since.keys()) this.#memory.take(-bytesOf(id));
    this.#since.clear();
    this.#inOrder = [];
    this.#head = 0;
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
      this.#memory.take(-bytesOf(id));
    }
    if (this.#head <= SLACK || this.#head * 2 <= this.#inOrder.length) return;
    this.#inOrder = this.#inOrder.slice(this.#head);
    this.#head = 0;
  }
}

/** Bytes of memory; a character has two at the most. */
function bytesOf(id: string): number {
  return ID_BYTES + 2 * id.length;
}
