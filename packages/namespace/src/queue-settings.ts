// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import type { MemoryBudget } from './memory-budget.js';

export interface MessageQueueSettings {
  readonly lockDurationMs: number;
  /** Attempts after which a message is dead-lettered; Infinity for never. */
  readonly maxDeliveryCount: number;
  /** Cap of the time to live; Infinity for none. */
  readonly defaultTtlMs: number;
  readonly deadLetterOnExpiration: boolean;
  /** Bytes of all messages together. */
  readonly maxSizeBytes: number;
  /** Messages lie in partitions, each with an order of its own. */
  readonly partitioned?: boolean;
  /** Messages are received session by session. */
  readonly requiresSession?: boolean;
}

export interface MessageCounts {
  /** Those to be received, locked ones included. */
  readonly active: number;
  /** Of the active ones, those that someone holds. */
  readonly locked: number;
  readonly deferred: number;
  /** Those that wait for their time. */
  readonly scheduled: number;
  readonly deadLetter: number;
  readonly sizeBytes: number;
}

export interface MessageQueueHost {
  readonly clock: Clock;
  /** Ms since 1970 at which the clock showed 0; 0 unless given. */
  readonly timeOrigin?: number;
  /** 0 to 1, exclusive. */
  readonly random: () => number;
  /** Without limit unless given. */
  readonly memory?: MemoryBudget;
}
