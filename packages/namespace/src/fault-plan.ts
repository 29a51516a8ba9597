// SPDX-License-Identifier: Apache-2.0
import type { Refusal } from './entity.js';

/** Errors that a test has asked for, each for a number of times. */
export class FaultPlan {
  readonly #planned = new Map<string, { refusal: Refusal; times: number }>();

  /** @param path - of an entity, or undefined for all */
  plan(path: string | undefined, refusal: Refusal, times: number): void {
    const key = path?.toLowerCase() ?? '';
    if (times > 0) this.#planned.set(key, { refusal, times });
    else this.#planned.delete(key);
  }

  /** The error for what is being done now, counted as used. */
  take(path: string): Refusal | undefined {
    const key = this.#planned.has(path) ? path : '';
    const planned = this.#planned.get(key);
    if (planned === undefined) return undefined;
    planned.times -= 1;
    if (planned.times === 0) this.#planned.delete(key);
    return planned.refusal;
  }
}

/** What Service Bus says while it throttles. */
export const SERVER_BUSY: Refusal = {
  condition: 'com.microsoft:server-busy',
  description:
    'The request was terminated because the entity is being throttled. Error code : 50002. Sub error : 102. ' +
    'Please wait 4 seconds and try again.',
};
