// SPDX-License-Identifier: Apache-2.0
import { plainAddress } from './address-text.js';

/**
 * A part of the address space that belongs to the clients of one host name: to them `orders` means `example.org/orders`.
 * Addresses of this router or of others by name (`_local/`, `_topo/`, `_edge/`) are outside of it, all else is within.
 */
export class Tenant {
  /** What stands in front of its addresses, with a slash at the end. */
  readonly prefix: string;

  /** Host name that the client gave in its open. */
  readonly space: string;

  constructor(space: string) {
    this.space = space;
    this.prefix = `${space}/`;
  }

  /** The full address of what a client of the tenant calls `text`. */
  toFull(text: string): string {
    let plain = plainAddress(text);
    // What looks like a scheme would take the prefix with it when the full address is read.
    while (plain.includes(':/')) plain = plainAddress(plain);
    if (plain.startsWith('_local/') || plain.startsWith('_topo/') || plain.startsWith('_edge/')) return text;
    return this.prefix + plain;
  }

  /** What a client of the tenant calls the address `full`. */
  toOwn(full: string): string {
    return full.startsWith(this.prefix) ? full.slice(this.prefix.length) : full;
  }

  /** An address that a message carries for routers: another tenant's becomes one of this. */
  confined(full: string): string {
    return full.startsWith(this.prefix) ? full : this.toFull(full);
  }
}
