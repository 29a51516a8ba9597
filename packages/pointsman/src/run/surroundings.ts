// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import { processClock } from '@pointsman/transport';

/** What a connector needs to know of the world besides what its peer says. */
export interface Surroundings {
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Those of this process. */
export const OF_PROCESS: Surroundings = { clock: processClock, nowMs: Date.now, random: Math.random };
