// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import type { Refusal } from './entity.js';
import { SERVER_BUSY } from './fault-plan.js';

const PERIOD_MS = 1_000;

/**
 * What a namespace does in a second, much as the Standard tier counts it: one for each message that is sent, handed out or
 * settled, one for each rule that looks at it, one for a request, and ten for one to the management API. When the operations of a
 * second are used up, everything is refused until the next.
 */
export class Throttle {
  readonly #clock: Clock;
  #perSecond = Infinity;
  #period = -Infinity;
  #used = 0;

  constructor(clock: Clock, perSecond: number | undefined) {
    this.#clock = clock;
    this.limit(perSecond);
  }

  /** @param perSecond - undefined for no limit. @throws TypeError where it is not above 0 */
  limit(perSecond: number | undefined): void {
    if (perSecond !== undefined && !(perSecond > 0))
      throw new TypeError(`operationsPerSecond must be above 0, not ${perSecond}.`);
    this.#perSecond = perSecond ?? Infinity;
  }

  /**
   * Counts what is asked for, or says why it is not done. What is more than a whole second gets one of its own.
   *
   * @param count - how many operations that is; not asked where nothing is counted
   */
  take(count: number | (() => number)): Refusal | undefined {
    if (this.#perSecond === Infinity) return undefined;
    const operations = typeof count === 'number' ? count : count();
    this.#turn();
    if (this.#used > 0 && this.#used + operations > this.#perSecond) return SERVER_BUSY;
    this.#used += operations;
    return undefined;
  }

  /** Counts what nobody asked for, and is done in any case. */
  count(operations: number): void {
    if (this.#perSecond === Infinity) return;
    this.#turn();
    this.#used += operations;
  }

  #turn(): void {
    const period = Math.floor(this.#clock.now() / PERIOD_MS);
    if (period === this.#period) return;
    this.#period = period;
    this.#used = 0;
  }
}
