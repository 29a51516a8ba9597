// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import type { Transit } from './transit.js';

/** Whole messages whose consumer is expected back at any moment, in their order. */
export class ParkedMessages {
  readonly #clock: Clock;
  readonly #gaveUp: () => void;
  #messages: Transit[] = [];
  #cancel: (() => void) | undefined = undefined;

  /** @param gaveUp - the time of the first is over: {@link take} them */
  constructor(clock: Clock, gaveUp: () => void) {
    this.#clock = clock;
    this.#gaveUp = gaveUp;
  }

  /** @param until - ms of the clock at which whoever is expected is late. @returns false where that is now */
  add(transit: Transit, until: number): boolean {
    const left = until - this.#clock.now();
    if (left <= 0) return false;
    this.#cancel ??= this.#clock.after(left, this.#gaveUp);
    this.#messages.push(transit);
    return true;
  }

  /** All of them: none is here any more. */
  take(): readonly Transit[] {
    this.#cancel?.();
    this.#cancel = undefined;
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }
}
