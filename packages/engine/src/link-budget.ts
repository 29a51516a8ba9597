// SPDX-License-Identifier: Apache-2.0

/** Links that a connection has at most by default: far more than clients have, and some tens of megabytes. */
const LINKS_MAX = 20_000;
/** Refused links, each of which lives until its peer has answered the detach, beyond which a session is ended. */
const REFUSED_MAX = 1_000;

/** How many links the sessions of a connection have together, and may have. */
export class LinkBudget {
  readonly max: number;
  count = 0;

  constructor(max: number = LINKS_MAX) {
    this.max = max;
  }

  /** One more is more than there may be: it is refused. */
  get isSpent(): boolean {
    return this.count > this.max;
  }

  /** The peer goes on attaching, and does not answer refusals. */
  get isAbused(): boolean {
    return this.count >= this.max + REFUSED_MAX;
  }

  get words(): string {
    return `the connection has all the ${this.max} links that it may have`;
  }
}
