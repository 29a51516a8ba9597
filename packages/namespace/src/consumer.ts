// SPDX-License-Identifier: Apache-2.0
import type { MessageSession } from './message-session.js';
import type { Lock, StoredMessage } from './stored-message.js';

export type ReceiveMode = 'peek-lock' | 'receive-and-delete';

/** Someone who takes messages. Waiting consumers are served in turn, one message each. */
export interface Consumer {
  readonly mode: ReceiveMode;
  /** Whether one more could be taken now: credit is there and the way is open. */
  hasRoom(): boolean;
  /** Takes a message. `lock` is undefined where it is already gone from the queue (receive-and-delete). */
  take(message: StoredMessage, lock: Lock | undefined): void;
  /** The message session that it holds, where the queue has them. */
  readonly session?: MessageSession | undefined;
}
