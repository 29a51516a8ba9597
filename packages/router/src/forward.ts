// SPDX-License-Identifier: Apache-2.0
import { copyOf } from '@pointsman/engine';
import type { MessageHead } from './annotations.js';
import { firstPart } from './first-part.js';
import type { OutgoingLink } from './outgoing-link.js';
import type { RouterConnection } from './router-connection.js';
import type { Transit } from './transit.js';
import type { Hop, Way } from './way.js';

/** What is known of a message that is to be forwarded. */
export interface Origin {
  /** Connection that it came over; undefined where it came from within the router. */
  readonly from: RouterConnection | undefined;
  /** Its head, where it was taken apart already. */
  readonly head: MessageHead | undefined;
  /** It carries router annotations that receivers are not to see as they came. */
  readonly rewritten: boolean;
  /** Address text for annotations that name none. */
  readonly to: string;
}

/** A message on this way is for a node within the router, which takes it whole. */
export function isForWithin(way: Way): boolean {
  return way.hops.some(({ address }) => address.receivers.length > 0);
}

/**
 * Sends a message on its way: nodes within the router get it at once, copies wait at the links of the others.
 *
 * @throws ProtocolError where its head is malformed and a receiver wants router annotations; then nobody got anything
 */
export function forward(transit: Transit, way: Way, origin: Origin): void {
  const found: { readonly consumer: OutgoingLink; readonly first: Uint8Array | undefined }[] = [];
  const copy = (consumer: OutgoingLink, hop: Hop): void => {
    const first = firstPart(consumer, transit, origin.head, origin.rewritten, origin.to, hop);
    found.push({ consumer, first });
  };
  for (const hop of way.hops) {
    const { address, insteadOf } = hop;
    if (insteadOf !== undefined) insteadOf.deliveriesRedirectedToFallback++;
    if (address.distribution === 'multicast') {
      for (const consumer of address.consumers) copy(consumer, hop);
    } else if (address.receivers.length === 0) {
      const consumer = address.choose();
      if (consumer !== undefined) copy(consumer, hop);
    }
  }
  // What nodes within do may end links, and copies that are sent take the message with them: each in its turn.
  const copies = found.map(({ consumer, first }) => transit.addCopy(consumer, first));
  const within = way.hops.flatMap(({ address }) =>
    address.nextReceivers().map((receive) => {
      address.deliveriesToContainer++;
      return { receive, bytes: copyOf(transit.joinedHead(), 0, transit.size) };
    }),
  );
  if (within.length > 0) transit.takenWithin();
  way.count?.();
  for (const one of copies) one.link.enqueue(one);
  for (const { receive, bytes } of within) receive({ bytes, from: origin.from });
}
