// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import type { DeliveryState } from '@pointsman/wire';

export interface CreditThrottleOptions {
  /** Messages that may be in hand at most. */
  readonly capacity: number;
  readonly clock: Clock;
  /** Ms until the `n`th message is asked for, from 1 on, while every one is released; undefined: at once. */
  readonly releaseDelay: ((n: number) => number) | undefined;
  /** All that comes is released: said once, until a message is accepted. */
  readonly onLoop: () => void;
}

/** Released in a row before it counts as a loop: a consumer that leaves gives back what it had in hand. */
const RELEASES_FREE = 10;

/**
 * Bounds the messages that an autolink takes ahead. Two things lower the bound: those who know how long a message takes
 * ({@link setLimit}), and a loop of releases, in which the container gives out again at once what it gets back. In such a
 * loop the link asks for one message at a time, ever later. It outlasts the links of its autolink.
 */
export class CreditThrottle {
  readonly capacity: number;
  limit: number;
  /** Loops of releases that were met with. */
  loops = 0;
  readonly #options: CreditThrottleOptions;
  /** Lets the link ask for so many more messages. */
  #grant: ((count: number) => void) | undefined;
  /** Credit that is kept back. */
  #kept = 0;
  #releases = 0;
  /** Messages asked for one by one in a loop of releases; undefined where there is none. */
  #probes: number | undefined;
  #cancel: (() => void) | undefined;

  constructor(options: CreditThrottleOptions) {
    this.#options = options;
    this.capacity = this.limit = options.capacity;
  }

  /** A loop of releases is on. */
  get isSlowed(): boolean {
    return this.#probes !== undefined;
  }

  /** A link begins. @returns what it may ask for */
  begin(grant: (count: number) => void): number {
    this.end();
    this.#grant = grant;
    this.#kept = 0;
    if (this.isSlowed) this.#probeLater();
    return this.pass(this.capacity);
  }

  /** The link has gone. */
  end(): void {
    this.#grant = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** @returns what of `count` messages may be asked for; the rest is kept */
  pass(count: number): number {
    const kept = Math.min(count, Math.max(0, this.#toKeep - this.#kept));
    this.#kept += kept;
    // What is neither accepted nor released ends no loop: it goes on.
    if (kept > 0) this.#probeLater();
    return count - kept;
  }

  get #toKeep(): number {
    return this.capacity - (this.isSlowed ? 0 : this.limit);
  }

  /** @param count - messages that may be in hand at once, 1 to the capacity */
  setLimit(count: number): void {
    this.limit = Math.max(1, Math.min(this.capacity, Math.floor(count)));
    this.#giveBack();
  }

  #giveBack(): void {
    const free = this.#kept - this.#toKeep;
    if (free <= 0 || this.#grant === undefined) return;
    this.#kept -= free;
    this.#grant(free);
  }

  /** What becomes of messages says how fast more may come. To be told before their credit is passed on. */
  heed(said: DeliveryState | undefined): void {
    if (said === undefined || !('type' in said)) return;
    if (said.type === 'accepted') this.accepted();
    else if (said.type === 'released') this.released();
  }

  /** A message was accepted. */
  accepted(): void {
    this.#releases = 0;
    if (!this.isSlowed) return;
    this.#probes = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#giveBack();
  }

  /** A message goes back untouched. To be told before its credit is passed on. */
  released(): void {
    if (this.#options.releaseDelay === undefined || ++this.#releases <= RELEASES_FREE) return;
    if (!this.isSlowed) {
      this.#probes = 0;
      this.loops++;
      this.#options.onLoop();
    }
    this.#probeLater();
  }

  #probeLater(): void {
    const { releaseDelay, clock } = this.#options;
    if (this.#cancel !== undefined || this.#probes === undefined || releaseDelay === undefined) return;
    this.#cancel = clock.after(releaseDelay(this.#probes + 1), () => {
      this.#cancel = undefined;
      if (this.#grant === undefined || this.#probes === undefined) return;
      // Where all is still in hand, the next outcome says how it goes on.
      if (this.#kept === 0) return;
      this.#probes++;
      this.#kept--;
      this.#grant(1);
    });
  }
}
