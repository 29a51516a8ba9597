// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';

/** A longer delay in one is more than the timers of JavaScript can: they would ring at once. */
const DELAY_MAX = 0x7fff_ffff;

/** One order with a clock at a time. It rings at or after the earliest time asked for since it last rang. */
export class Alarm {
  readonly #clock: Clock;
  readonly #action: () => void;
  #at: number | undefined;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, action: () => void) {
    this.#clock = clock;
    this.#action = action;
  }

  /** Rings at `at` (ms of the clock), unless it is set to ring earlier. */
  atLatest(at: number): void {
    if (at === Infinity || (this.#at !== undefined && this.#at <= at)) return;
    this.stop();
    this.#at = at;
    this.#cancel = this.#clock.after(Math.min(DELAY_MAX, Math.max(0, at - this.#clock.now())), () => {
      this.#at = undefined;
      this.#cancel = undefined;
      // Too early: the time is further off than the clock can wait, or its timer was imprecise.
      if (this.#clock.now() < at) this.atLatest(at);
      else this.#action();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#at = undefined;
    this.#cancel = undefined;
  }
}
