// SPDX-License-Identifier: Apache-2.0
import type { DeliveryState } from '@pointsman/wire';
import { ACCEPTED, OutgoingDelivery, RELEASED } from './delivery.js';
import { fitState } from './fit.js';
import {
  REFERENCE_MIN,
  TRANSFER_HEAD_MAX,
  TRANSFER_STATE_MAX,
  writePayload,
  writeTransferHead,
} from './hot-writers.js';
import type { SenderLink } from './link.js';

// How the frames of a delivery get into the output of its connection. The hot path: no object but the delivery itself.

/** Begins a delivery and writes as many frames of it as there is room for, the first in any case. See {@link SenderLink.send}. */
export function beginDelivery(
  link: SenderLink,
  tag: Uint8Array | undefined,
  messageFormat: number,
  settled: boolean,
  context: unknown,
  bytes: Uint8Array,
  start: number,
  end: number,
  last: boolean,
  state: DeliveryState | undefined,
): OutgoingDelivery {
  const { session } = link;
  if (state !== undefined && state !== ACCEPTED && state !== RELEASED) state = fitState(state, TRANSFER_STATE_MAX);
  const id = session.nextDeliveryId;
  session.nextDeliveryId = (id + 1) >>> 0;
  const delivery = new OutgoingDelivery(id, link, settled, context);
  if (!settled) session.outgoing.add(delivery);
  const out = session.connection.output;
  const max = session.connection.remoteMaxFrameSize;
  const size = end - start;
  // What is not long enough to be referenced is copied behind the head.
  const copied = size < max ? size : max;
  out.room(TRANSFER_HEAD_MAX + (copied < REFERENCE_MIN + TRANSFER_HEAD_MAX ? copied : 0));
  const headStart = out.position;
  const head = writeTransferHead(
    out.bytes,
    headStart,
    session.channel,
    link.handle,
    id,
    tag,
    link.tagCounter,
    messageFormat,
    settled,
    !last,
    false,
    state,
    session.padded,
  );
  if (tag === undefined) link.tagCounter = (link.tagCounter + 1) >>> 0;
  if (size <= max - head) {
    out.position = headStart + head;
    writePayload(out, headStart, bytes, start, end);
    link.sentBytes = size;
    if (last) delivery.complete = true;
    else link.current = delivery;
    session.frameSent();
    return delivery;
  }
  // Larger than a frame: written again, since `more` is set now.
  const counter = tag === undefined ? link.tagCounter - 1 : 0;
  const first = writeTransferHead(
    out.bytes,
    headStart,
    session.channel,
    link.handle,
    id,
    tag,
    counter,
    messageFormat,
    settled,
    true,
    false,
    state,
    session.padded,
  );
  out.position = headStart + first;
  const sent = max - first;
  writePayload(out, headStart, bytes, start, start + sent);
  session.frameSent();
  link.current = delivery;
  continueDelivery(link, delivery, bytes, start + sent, end, last);
  link.sentBytes += sent;
  return delivery;
}

/** Writes further frames of a delivery, as far as there is room. See {@link SenderLink.resume}. */
export function continueDelivery(
  link: SenderLink,
  delivery: OutgoingDelivery,
  bytes: Uint8Array,
  start: number,
  end: number,
  last: boolean,
): void {
  const { session } = link;
  const out = session.connection.output;
  const max = session.connection.remoteMaxFrameSize;
  let position = start;
  while ((position < end || last) && session.hasRoom(link)) {
    const copied = Math.min(end - position, max);
    out.room(TRANSFER_HEAD_MAX + (copied < REFERENCE_MIN + TRANSFER_HEAD_MAX ? copied : 0));
    const headStart = out.position;
    const head = writeTransferHead(
      out.bytes,
      headStart,
      session.channel,
      link.handle,
      -1,
      undefined,
      0,
      -1,
      delivery.settled,
      true,
      false,
      undefined,
      session.padded,
    );
    const size = Math.min(end - position, max - head);
    const final = last && position + size === end;
    out.position = headStart + head;
    if (final) {
      out.position =
        headStart +
        writeTransferHead(
          out.bytes,
          headStart,
          session.channel,
          link.handle,
          -1,
          undefined,
          0,
          -1,
          delivery.settled,
          false,
          false,
          undefined,
          session.padded,
        );
    }
    writePayload(out, headStart, bytes, position, position + size);
    session.frameSent();
    position += size;
    if (final) {
      link.current = undefined;
      delivery.complete = true;
      break;
    }
  }
  link.sentBytes = position - start;
}

/** Withdraws a delivery. See {@link SenderLink.abort}. */
export function abortDelivery(link: SenderLink, delivery: OutgoingDelivery): void {
  const { session } = link;
  delivery.settled = true;
  session.outgoing.remove(delivery.id);
  // The abort is a transfer as well: it waits for the window, and the link with it.
  link.aborting = session.remoteIncomingWindow <= 0;
  if (link.aborting) return session.connection.waiting.add(link);
  const out = session.connection.output;
  out.room(TRANSFER_HEAD_MAX);
  const start = out.position;
  out.position += writeTransferHead(
    out.bytes,
    start,
    session.channel,
    link.handle,
    -1,
    undefined,
    0,
    -1,
    true,
    false,
    true,
    undefined,
    session.padded,
  );
  writePayload(out, start, out.bytes, 0, 0);
  link.current = undefined;
  delivery.complete = true;
  session.frameSent();
}
