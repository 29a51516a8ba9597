// SPDX-License-Identifier: Apache-2.0
import { MinHeap } from './heap.js';
import type { StoredMessage } from './stored-message.js';

/** Messages that are gone may lie in the line until there are this many, and as many as the others. */
const SLACK = 64;

/** Messages that wait to be handed out. */
export interface Line {
  /** Appends a message. */
  push(message: StoredMessage): void;
  /** Puts a message back to its place. */
  giveBack(message: StoredMessage): void;
  /** A message of the line is gone: expired, or taken by another way. */
  onGone(message: StoredMessage): void;
  /** Takes the next one. */
  shift(): StoredMessage | undefined;
}

/** Messages that wait to be handed out, in the order of their sequence numbers. Those that are no longer available are skipped. */
export class MessageLine implements Line {
  #fresh: (StoredMessage | undefined)[] = [];
  #freshHead = 0;
  readonly #returned = new MinHeap<StoredMessage>((message) => message.sequence);
  #gone = 0;

  /** Appends a message with a number above all others. */
  push(message: StoredMessage): void {
    this.#fresh.push(message);
  }

  /** Puts a message back to its place. */
  giveBack(message: StoredMessage): void {
    this.#returned.push(message);
  }

  /** A message of the line is gone: expired, or taken by another way. */
  onGone(): void {
    this.#gone += 1;
    if (this.#gone < SLACK || this.#gone * 2 < this.#fresh.length - this.#freshHead + this.#returned.size) return;
    this.#gone = 0;
    this.#fresh = this.#fresh.slice(this.#freshHead).filter((message) => isAvailable(message!));
    this.#freshHead = 0;
    this.#returned.retain(isAvailable);
  }

  /** The first one, left where it is. */
  peek(): StoredMessage | undefined {
    for (;;) {
      const message = this.#first();
      if (message === undefined || isAvailable(message)) return message;
      this.#drop(message);
    }
  }

  /** Takes the first one. */
  shift(): StoredMessage | undefined {
    const message = this.peek();
    if (message !== undefined) this.#drop(message);
    return message;
  }

  #first(): StoredMessage | undefined {
    const returned = this.#returned.peek();
    const fresh = this.#fresh[this.#freshHead];
    return fresh !== undefined && (returned === undefined || fresh.sequence < returned.sequence) ? fresh : returned;
  }

  #drop(message: StoredMessage): void {
    if (message !== this.#fresh[this.#freshHead]) {
      this.#returned.pop();
      return;
    }
    this.#fresh[this.#freshHead++] = undefined;
    // Half of the array is behind us: cut it off, so that it does not grow for ever.
    if (this.#freshHead > SLACK && this.#freshHead * 2 > this.#fresh.length) {
      this.#fresh = this.#fresh.slice(this.#freshHead);
      this.#freshHead = 0;
    }
  }
}

const isAvailable = (message: StoredMessage): boolean => message.state === 'available';
