// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import { Alarm } from './alarm.js';
import { MinHeap } from './heap.js';
import type { StoredMessage } from './stored-message.js';

/** What was cancelled may stay until there is this much of it, and as much again as what was not. */
const SLACK = 64;

/** Messages that wait for their time, in the order of their times. */
export class Schedule {
  readonly #due = new MinHeap<StoredMessage>(
    (message) => message.dueAt,
    (message) => message.sequence,
  );
  readonly #alarm: Alarm;
  #count = 0;

  /** @param onDue - the time of the first has come: they are taken with {@link next} */
  constructor(clock: Clock, onDue: () => void) {
    this.#alarm = new Alarm(clock, onDue);
  }

  /** Those that wait still. */
  get count(): number {
    return this.#count;
  }

  /** One of them does not wait any more. */
  onGone(): void {
    this.#count -= 1;
    if (this.#due.size > 2 * this.#count + SLACK) this.#due.retain((other) => other.state === 'scheduled');
  }

  add(message: StoredMessage): void {
    this.#count += 1;
    this.#due.push(message);
    this.#alarm.atLatest(message.dueAt);
  }

  /** Takes the first whose time has come, undefined where there is none yet. */
  next(now: number): StoredMessage | undefined {
    for (let message = this.#due.peek(); message !== undefined; message = this.#due.peek()) {
      if (message.dueAt > now) {
        this.#alarm.atLatest(message.dueAt);
        return undefined;
      }
      this.#due.pop();
      if (message.state === 'scheduled') return message;
    }
    return undefined;
  }

  stop(): void {
    this.#alarm.stop();
  }
}
