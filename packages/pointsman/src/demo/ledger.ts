// SPDX-License-Identifier: Apache-2.0

/** What is known of the orders so far, from what the clients themselves saw. */
export interface LedgerCounts {
  /** Orders that were sent, each counted once. */
  readonly sent: number;
  /** Times that an order was sent once more, because the router gave it back. */
  readonly resent: number;
  /** Orders that the router said were taken. */
  readonly accepted: number;
  /** Orders that were refused for good, or whose outcome will never be known. */
  readonly refused: number;
  /** Orders that came back, each counted once. */
  readonly received: number;
  /** Accepted, and not come back. */
  readonly missing: number;
  /** Times that an order came once more, where at-least-once permits it: it was in doubt, or marked as a redelivery. */
  readonly repeated: number;
  /** Times that an order came once more without any such reason. */
  readonly doubled: number;
}

interface Order {
  readonly sentAt: number;
  state: 'sent' | 'accepted' | 'refused';
  received: boolean;
}

/**
 * The books of the demo: every order by its number, from its first sending until it was both accepted and received.
 * Nothing is assumed; an order that nobody says anything of stays on the books.
 */
export class Ledger {
  readonly #open = new Map<number, Order>();
  /** Orders that may come twice: one sending of them ended in doubt. */
  readonly #inDoubt = new Set<number>();
  #next = 1;
  #resent = 0;
  #accepted = 0;
  #refused = 0;
  #received = 0;
  #missing = 0;
  #repeated = 0;
  #doubled = 0;

  /** Books an order about to be sent. @returns its number, from 1 on */
  sent(now: number): number {
    const number = this.#next++;
    this.#open.set(number, { sentAt: now, state: 'sent', received: false });
    return number;
  }

  /** @param inDoubt - the sending before may have arrived all the same */
  resent(number: number, inDoubt: boolean): void {
    this.#resent++;
    if (inDoubt) this.#inDoubt.add(number);
  }

  accepted(number: number): void {
    const order = this.#open.get(number);
    if (order === undefined || order.state !== 'sent') return;
    order.state = 'accepted';
    this.#accepted++;
    if (order.received) this.#open.delete(number);
    else this.#missing++;
  }

  /** It will not be sent again. @param inDoubt - it may have arrived all the same */
  refused(number: number, inDoubt: boolean): void {
    const order = this.#open.get(number);
    if (order === undefined || order.state !== 'sent') return;
    order.state = 'refused';
    this.#refused++;
    if (inDoubt) this.#inDoubt.add(number);
  }

  /**
   * An order came.
   *
   * @param redelivered - it is marked as one that was handed out before
   * @returns ms since it was first sent, or undefined where it came again
   */
  received(number: number, redelivered: boolean, now: number): number | undefined {
    const order = this.#open.get(number);
    if (order === undefined || order.received) {
      if (redelivered || this.#inDoubt.has(number)) this.#repeated++;
      else this.#doubled++;
      return undefined;
    }
    order.received = true;
    this.#received++;
    if (order.state === 'accepted') {
      this.#missing--;
      this.#open.delete(number);
    }
    return now - order.sentAt;
  }

  /** The number was given to an order of this run. */
  knows(number: number): boolean {
    return Number.isSafeInteger(number) && number >= 1 && number < this.#next;
  }

  /** Orders that were sent and neither refused nor seen again: what is on its way. */
  get underWay(): number {
    return this.#next - 1 - this.#received - this.#refused;
  }

  /** Nothing is open: every order was refused, or accepted and received. */
  get isBalanced(): boolean {
    return this.#open.size === 0 || (this.#missing === 0 && this.#accepted + this.#refused === this.#next - 1);
  }

  get counts(): LedgerCounts {
    return {
      sent: this.#next - 1,
      resent: this.#resent,
      accepted: this.#accepted,
      refused: this.#refused,
      received: this.#received,
      missing: this.#missing,
      repeated: this.#repeated,
      doubled: this.#doubled,
    };
  }
}
