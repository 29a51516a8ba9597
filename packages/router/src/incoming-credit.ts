// SPDX-License-Identifier: Apache-2.0
import type { CreditThrottle } from './credit-throttle.js';
import type { IncomingLink } from './incoming-link.js';

/**
 * The credit of a link that messages enter the router on: as much as its capacity, and only while there is somewhere for
 * messages to go.
 */
export class IncomingCredit {
  readonly #owner: IncomingLink;
  /** Bounds it further; undefined: nothing does. */
  throttle: CreditThrottle | undefined = undefined;
  /** Credit that is granted once there is somewhere to go. */
  #withheld = 0;
  /** The router stops: no more credit. */
  #quiet = false;
  /** The sender is asked to use its credit up, since messages have nowhere to go. */
  #draining = false;

  constructor(owner: IncomingLink) {
    this.#owner = owner;
  }

  /** The router stops: what the link had was the last. */
  get isQuiet(): boolean {
    return this.#quiet;
  }

  /** The link is attached. */
  begin(): void {
    const { link, hasPaths, capacity } = this.#owner;
    const credit = this.throttle?.begin((count) => this.#grant(count)) ?? capacity;
    if (hasPaths) link.addCredit(credit);
    else this.#withheld = credit;
  }

  /** Credit that was kept back may be given. */
  #grant(count: number): void {
    const { link, hasPaths } = this.#owner;
    if (link.state !== 'attached' || this.#quiet) return;
    if (!hasPaths) {
      this.#withheld += count;
      return;
    }
    link.addCredit(count);
    // A single message is to be asked for at once, not with half of the window.
    if (link.announced < link.credit) link.sendFlow();
  }

  /** There is somewhere to go: what was withheld is given. */
  release(): void {
    const { link } = this.#owner;
    const count = this.throttle?.pass(this.#withheld) ?? this.#withheld;
    this.#withheld = 0;
    this.#draining = false;
    // A drain that was not answered yet is off: the new credit is there to be used.
    link.draining = false;
    if (count > 0) link.addCredit(count);
  }

  /** A message had nowhere to go: no new credit until there is, and what the sender has is to be used up. */
  withhold(): void {
    this.#withheld++;
    if (this.#draining || this.#quiet) return;
    this.#draining = true;
    this.#owner.link.drain();
  }

  /** One message less in hand: one more may come. */
  replace(): void {
    const owner = this.#owner;
    const { link } = owner;
    if (link.state !== 'attached' || this.#quiet) return;
    if (!owner.hasPaths) {
      this.#withheld++;
      return;
    }
    if (this.throttle !== undefined && this.throttle.pass(1) === 0) return;
    link.addCredit(1);
    // All is back: told at once, since there are senders that send a message for each flow that they hear.
    if (link.credit >= owner.capacity && link.announced < link.credit) link.sendFlow();
  }

  /** The sender has given credit up. */
  forgone(count: number): void {
    if (count === 0) return;
    // The answer to a drain may come when there is somewhere to go again: then the credit is given anew at once.
    if (this.#owner.hasPaths) this.#owner.link.addCredit(this.throttle?.pass(count) ?? count);
    else this.#withheld += count;
  }

  quiesce(): void {
    this.#quiet = true;
    const { link } = this.#owner;
    if (link.state === 'attached') link.withdrawCredit();
  }
}
