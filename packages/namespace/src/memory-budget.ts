// SPDX-License-Identifier: Apache-2.0

/**
 * Bytes of memory that a message takes in a queue beside those that were sent, whatever becomes of it: 480 while it lies there, 600
 * more while it is locked. Measured under Node.js 20.
 */
export const MESSAGE_BYTES = 1_280;
/** Bytes that a message session takes beside its messages and its state. */
export const SESSION_BYTES = 2_048;
/** Bytes that an id takes in the memory of duplicate detection, beside two for each character. */
export const ID_BYTES = 192;

/** What is short is enough again when so much of it is in use, as a share of all. */
const ENOUGH = 0.9;

/**
 * What a namespace may take of the memory of its process, and what it takes, estimated. Sizes of entities count bytes on the wire:
 * of tiny messages, millions fit into one whose objects would fit into no heap.
 */
export class MemoryBudget {
  /** Bytes; Infinity for no limit. */
  readonly max: number;
  readonly #log: ((level: 'info' | 'warning', text: string) => void) | undefined;
  #used = 0;
  #isShort = false;

  /** @throws TypeError where `max` is not above 0 */
  constructor(max: number = Infinity, log?: (level: 'info' | 'warning', text: string) => void) {
    if (!(max > 0)) throw new TypeError(`memoryBytesMax must be above 0, not ${max}.`);
    this.max = max;
    this.#log = log;
  }

  get used(): number {
    return this.#used;
  }

  /** Something was refused for want of memory, and not much has become free since. */
  get isShort(): boolean {
    return this.#isShort;
  }

  /** Whether so many bytes more may be taken: to be asked before anything new is kept. */
  hasRoom(bytes: number): boolean {
    if (this.#used + bytes <= this.max) return true;
    if (!this.#isShort) {
      this.#isShort = true;
      this.#log?.(
        'warning',
        `messages take all ${mebibytes(this.max)} MiB of memory that the namespace has for them: none is taken until some are received`,
      );
    }
    return false;
  }

  /** @param bytes - below 0 for what is given back */
  take(bytes: number): void {
    this.#used += bytes;
    if (!this.#isShort || this.#used > ENOUGH * this.max) return;
    this.#isShort = false;
    this.#log?.('info', 'there is memory for messages again');
  }
}

/** As a person reads it. */
export function mebibytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(bytes < 10_485_760 ? 1 : 0);
}
