// SPDX-License-Identifier: Apache-2.0
import type { Consumer } from './consumer.js';

/** The consumers of a queue, and those of them that wait for a message, the longest waiting first. */
export class ConsumerLine {
  readonly #all = new Set<Consumer>();
  #waiting: Consumer[] = [];
  readonly #isWaiting = new Set<Consumer>();

  get size(): number {
    return this.#all.size;
  }

  get isAnyWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  add(consumer: Consumer): void {
    this.#all.add(consumer);
  }

  delete(consumer: Consumer): void {
    this.#all.delete(consumer);
    if (this.#isWaiting.delete(consumer)) this.#waiting = this.#waiting.filter((other) => other !== consumer);
  }

  /** Whether the consumer is one of these, could take a message, and does not wait for one yet. */
  couldWait(consumer: Consumer): boolean {
    return this.#all.has(consumer) && !this.#isWaiting.has(consumer) && consumer.hasRoom();
  }

  /** Puts a consumer at the end of the line. */
  wait(consumer: Consumer): void {
    this.#isWaiting.add(consumer);
    this.#waiting.push(consumer);
  }

  /** Takes the first that has room still. */
  next(): Consumer | undefined {
    for (let consumer = this.#waiting.shift(); consumer !== undefined; consumer = this.#waiting.shift()) {
      this.#isWaiting.delete(consumer);
      if (consumer.hasRoom()) return consumer;
    }
    return undefined;
  }

  clear(): void {
    this.#all.clear();
    this.#isWaiting.clear();
    this.#waiting = [];
  }
}
