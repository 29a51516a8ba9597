// SPDX-License-Identifier: Apache-2.0
import type { Address } from './address.js';

/** One address that a message goes to, and what it says of it to routers further on. */
export interface Hop {
  readonly address: Address;
  /** Address and phase that stand in the annotations in place of what came. */
  readonly to?: string;
  readonly phase?: number;
  /** Address that has nobody: this one takes what is meant for it. */
  readonly insteadOf?: Address;
  /** The message begins a new journey: where it came from and through is forgotten. */
  readonly resets?: true;
}

/** Where a message goes. */
export interface Way {
  readonly hops: readonly Hop[];
  /** Receivers get it settled, and its sender hears that it is accepted as soon as it is on its way. */
  readonly settles: boolean;
  /** Counts the message, once it is certain that it takes this way. */
  readonly count?: () => void;
}

/**
 * Where a message for `address` goes; undefined, or without hops, where there is nobody.
 *
 * @param mayFallBack - false for what comes back from a fallback destination
 * @param subject - reads the subject of the message, for exchanges
 * @throws ProtocolError what `subject` throws
 */
export function wayOf(address: Address, mayFallBack: boolean, subject: () => string | undefined): Way | undefined {
  const { exchange, fallback } = address;
  if (exchange === undefined && address.hasTakers) return address.way;
  const way = exchange?.wayOf(subject());
  if (way !== undefined && way.hops.length > 0) return way;
  if (!mayFallBack || fallback === undefined || !fallback.hasTakers) return way;
  const last = address.fallbackWay!;
  return way === undefined ? last : { ...last, count: way.count! };
}
