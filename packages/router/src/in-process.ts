// SPDX-License-Identifier: Apache-2.0
import { copyOf } from '@pointsman/engine';
import type { AmqpErrorFields } from '@pointsman/wire';
import type { Address } from './address.js';
import { firstPart } from './first-part.js';
import { Transit } from './transit.js';

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
 * @returns false where the address has nobody to take it
 * @throws RemoteProtocolError where the sections of `message` are malformed and the receiver wants annotations
 */
export function sendFromWithin(address: Address, to: string, message: Uint8Array): boolean {
  if (!address.hasPaths) return false;
  const isMulticast = address.distribution === 'multicast';
  const receivers = address.nextReceivers();
  const consumers = isMulticast ? [...address.consumers] : receivers.length > 0 ? [] : [address.choose()!];
  address.deliveriesFromContainer++;
  for (const receive of receivers) {
    address.deliveriesToContainer++;
    receive({ bytes: copyOf(message, 0, message.length), from: undefined });
  }
  if (consumers.length === 0) return true;
  const transit = new Transit(undefined, undefined, consumers[0]!.connection.router.tick);
  transit.append(message);
  transit.complete = true;
  const copies = consumers.map((consumer) =>
    transit.addCopy(consumer, firstPart(consumer, transit, undefined, false, to)),
  );
  for (const copy of copies) copy.link.enqueue(copy);
  return true;
}
