// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import { Alarm } from './alarm.js';
import { MinHeap } from './heap.js';
import type { StoredMessage } from './stored-message.js';

/** What is gone may stay until there is this much of it, and as much again as what is not. */
const SLACK = 64;

/** When the messages of a queue expire. */
export class Expiry {
  readonly #expiring = new MinHeap<StoredMessage>((message) => message.expiresAt);
  readonly #alarm: Alarm;
  readonly #clock: Clock;
  readonly #onExpired: (message: StoredMessage) => void;

  /** @param onExpired - told of a message that is to be received still */
  constructor(clock: Clock, onExpired: (message: StoredMessage) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
    this.#alarm = new Alarm(clock, () => this.#expire());
  }

  /** @param messages - how many the queue has */
  add(message: StoredMessage, messages: number): void {
    if (message.expiresAt === Infinity) return;
    this.onGone(messages);
    this.#expiring.push(message);
    this.#alarm.atLatest(message.expiresAt);
  }

  /** One of them is gone. @param messages - how many the queue has */
  onGone(messages: number): void {
    if (this.#expiring.size > 2 * messages + SLACK) this.#expiring.retain((other) => other.state !== 'gone');
  }

  stop(): void {
    this.#alarm.stop();
  }

  #expire(): void {
    const now = this.#clock.now();
    const due = (message: StoredMessage | undefined): message is StoredMessage =>
      message !== undefined && message.expiresAt <= now;
    for (let message = this.#expiring.peek(); due(message); message = this.#expiring.peek()) {
      this.#expiring.pop();
      // A locked one is looked at again when its lock ends; a deferred one stays until it is received.
      if (message.state === 'available') this.#onExpired(message);
    }
    const next = this.#expiring.peek();
    if (next !== undefined) this.#alarm.atLatest(next.expiresAt);
  }
}
