// SPDX-License-Identifier: Apache-2.0
import { headOf, writeHead } from './annotations.js';
import type { MessageHead, RouterAnnotations } from './annotations.js';
import type { OutgoingLink } from './outgoing-link.js';
import type { Transit } from './transit.js';
import type { Hop } from './way.js';

/** Annotations of a message that has been nowhere. */
const START: RouterAnnotations = {};

/**
 * The first part of a message for one receiver, where it differs from what came; undefined where it does not.
 *
 * @param head - head of the message, where it was taken apart already
 * @param rewritten - the message carries router annotations that this receiver is not to see as they came
 * @param to - address that stands in the annotations where they name none
 * @param hop - address that the message goes to
 */
export function firstPart(
  consumer: OutgoingLink,
  transit: Transit,
  head: MessageHead | undefined,
  rewritten: boolean,
  to: string,
  hop: Hop,
): Uint8Array | undefined {
  if (!consumer.writesAnnotations && !rewritten) return undefined;
  const bytes = transit.joinedHead();
  const from = head ?? headOf(bytes, 0, bytes.length);
  let annotations: RouterAnnotations | undefined;
  if (consumer.writesAnnotations) {
    const here = consumer.connection.router.traceId;
    const came = from.annotations;
    const { ingress, trace } = hop.resets === true ? START : came;
    annotations = { ...came, to: came.to ?? to, ingress: ingress ?? here, trace: [...(trace ?? []), here] };
    if (hop.to !== undefined) annotations = { ...annotations, to: hop.to, phase: hop.phase };
  }
  const lead = writeHead(bytes, 0, from, annotations);
  const first = new Uint8Array(lead.length + bytes.length - from.rest);
  first.set(lead);
  first.set(bytes.subarray(from.rest), lead.length);
  return first;
}
