// SPDX-License-Identifier: Apache-2.0
import type { StoredMessage } from './stored-message.js';

/** Messages that are gone may lie in the list until there are this many, and as many as the others. */
const SLACK = 64;

/** Messages in the order of their sequence numbers, whatever their state, until they are gone. */
export class OrderedMessages {
  #messages: (StoredMessage | undefined)[] = [];
  /** Index of the first that is not gone: most go in the order in which they came. */
  #head = 0;
  /** Those that are not gone. */
  #count = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  add(message: StoredMessage): void {
    const { sequence } = message;
    const last = this.#messages.at(-1);
    if (last === undefined || last.sequence < sequence) this.#messages.push(message);
    // A number that a transaction was given before it committed.
    else this.#messages.splice(this.#placeOf(sequence), 0, message);
    this.#count += 1;
  }

  /** One of them is gone. */
  onGone(): void {
    this.#count -= 1;
    // What it held goes at once.
    while (this.#messages[this.#head]?.state === 'gone') this.#messages[this.#head++] = undefined;
    if (this.#messages.length <= 2 * this.#count + SLACK) return;
    this.#messages = this.#messages.slice(this.#head).filter((message) => message!.state !== 'gone');
    this.#head = 0;
  }

  /** The one with this number. */
  get(sequence: number): StoredMessage | undefined {
    const message = this.#messages[this.#placeOf(sequence)];
    return message?.sequence === sequence && message.state !== 'gone' ? message : undefined;
  }

  /** Those with this number and above. They must not change meanwhile. */
  *from(sequence: number): Generator<StoredMessage> {
    const messages = this.#messages;
    for (let at = this.#placeOf(sequence); at < messages.length; at += 1) {
      const message = messages[at]!;
      if (message.state !== 'gone') yield message;
    }
  }

  /** Index of the first whose number is not below `sequence`. */
  #placeOf(sequence: number): number {
    let low = this.#head;
    let high = this.#messages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#messages[middle]!.sequence < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
