// SPDX-License-Identifier: Apache-2.0

/** Links that a connection has at most by default: far more than clients have, and some tens of megabytes. */
const LINKS_MAX = 20_000;
/** Refused links, each of which lives until its peer has answered the detach, beyond which a session is ended. */
const REFUSED_MAX = 1_000;

/**
 * Bytes of attaches that a connection keeps at most: what peers say of that many links in the ordinary way. What is decoded of a frame
 * that is made for it takes some ten times its bytes.
 */
const BYTES_MAX = 1 << 24;

/** How many links the sessions of a connection have together, and may have. */
export class LinkBudget {
  readonly max: number;
  count = 0;
  /** Of the attaches of the peer. */
  bytes = 0;

  constructor(max: number = LINKS_MAX) {
    this.max = max;
  }

  /** One more is more than there may be: it is refused. */
  get isSpent(): boolean {
    return this.count > this.max || this.bytes > BYTES_MAX;
  }

  /** The peer goes on attaching, and does not answer refusals. */
  get isAbused(): boolean {
    return this.count >= this.max + REFUSED_MAX || this.bytes > BYTES_MAX * 2;
  }

  get words(): string {
    return this.count > this.max
      ? `the connection has all the ${this.max} links that it may have`
      : `the attaches of the connection's links take the ${BYTES_MAX} bytes that they may have`;
  }
}
