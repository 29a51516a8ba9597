// SPDX-License-Identifier: Apache-2.0
import { decodeMessage } from '@pointsman/wire';
import type { AmqpErrorFields } from '@pointsman/wire';
import type { Address } from './address.js';
import { forward } from './forward.js';
import { Transit } from './transit.js';
import { wayOf } from './way.js';

/** Bytes of the largest message for a node within the router: it is held whole, and management requests are small. */
const WHOLE_MAX = 1 << 20;

/** Why a message of `bytes` is not held for a node within the router; undefined where it is. */
export function tooLargeToHold(bytes: number): AmqpErrorFields | undefined {
  if (bytes <= WHOLE_MAX) return undefined;
  return {
    condition: 'amqp:link:message-size-exceeded',
    description: `a message of more than ${WHOLE_MAX} bytes exceeds what a node within the router takes`,
  };
}

/**
 * Sends a message from within the router, settled.
 *
 * @param to - address text, for receivers that want it in the annotations
 * @param message - a whole encoded message, not changed by its owner from here on
 * @param tick - of the router, now
 * @returns false where the address has nobody to take it
 * @throws RemoteProtocolError where the sections of `message` are malformed and the receiver wants annotations
 */
export function sendFromWithin(address: Address, to: string, message: Uint8Array, tick: number): boolean {
  const way = wayOf(address, true, () => decodeMessage(message).properties?.subject);
  if (way === undefined || way.hops.length === 0) {
    way?.count?.();
    return false;
  }
  const transit = new Transit(undefined, undefined, tick);
  transit.append(message);
  transit.complete = true;
  forward(transit, way, { from: undefined, head: undefined, rewritten: false, to });
  address.deliveriesFromContainer++;
  if (transit.copies.length === 0) transit.abort();
  return true;
}
