// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import type { Settlement } from './settlement.js';

/** A message that somebody holds, or held. */
export interface WatchedMessage {
  readonly sequence: number;
  /** As it was sent, or as the namespace made it. */
  readonly messageId: AmqpValue;
  /** Attempts that ended before without success. */
  readonly deliveryCount: number;
}

/** Told of the locks of a queue, as they are: what may come twice, and what may not. Nothing may be called from within. */
export interface LockWatcher {
  /** Given out. */
  onLocked?(message: WatchedMessage): void;
  /** Settled while its lock lasted. */
  onSettled?(message: WatchedMessage, how: Settlement['kind']): void;
  /** Its lock ended, by itself or with its message session: it is given out again, or is a dead letter. */
  onExpired?(message: WatchedMessage): void;
}
