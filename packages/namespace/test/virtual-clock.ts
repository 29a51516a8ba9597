// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';

interface Order {
  readonly at: number;
  readonly action: () => void;
}

/** A clock that stands still until it is told to go on. */
export class VirtualClock implements Clock {
  #now = 1_000;
  #orders: Order[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, action: () => void): () => void {
    const order = { at: this.#now + ms, action };
    this.#orders.push(order);
    return () => {
      this.#orders = this.#orders.filter((other) => other !== order);
    };
  }

  get pending(): number {
    return this.#orders.length;
  }

  /** Goes on by `ms`, carrying out in order of time what falls due. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#orders.filter((order) => order.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#orders = this.#orders.filter((order) => order !== due);
      this.#now = Math.max(this.#now, due.at);
      due.action();
    }
    this.#now = end;
  }
}

/** Numbers of 0 to 1 that look random and are the same each time (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
