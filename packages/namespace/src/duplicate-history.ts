// SPDX-License-Identifier: Apache-2.0

/** Ids that are remembered at a time; the oldest goes first. At 128 characters each this is a few hundred megabytes at the worst. */
const IDS_MAX = 1_000_000;

/** The message ids that came within the last while. */
export class DuplicateHistory {
  readonly #windowMs: number;
  /** When each is forgotten (ms of the clock), in order of coming, which is that of forgetting too. */
  readonly #ids = new Map<string, number>();

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Notes an id. @returns whether it was there already */
  isRepeated(id: string, now: number): boolean {
    this.#forget(now);
    if (this.#ids.has(id)) return true;
    this.#ids.set(id, now + this.#windowMs);
    return false;
  }

  #forget(now: number): void {
    for (const [id, until] of this.#ids) {
      if (until > now && this.#ids.size < IDS_MAX) return;
      this.#ids.delete(id);
    }
  }
}
