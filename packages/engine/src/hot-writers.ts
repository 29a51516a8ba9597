// SPDX-License-Identifier: Apache-2.0
import { Writer, writeDeliveryState } from '@pointsman/wire';
import type { DeliveryState } from '@pointsman/wire';
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from './delivery.js';
import { FRAME_REST, fitState } from './fit.js';
import type { Output } from './output.js';

/** Room for a transfer without its payload: 8 of frame header, all fields at their widest, and a state of {@link TRANSFER_STATE_MAX}. */
export const TRANSFER_HEAD_MAX = 512;
/** Bytes of the largest state that a transfer takes along; {@link TRANSFER_HEAD_MAX} leaves room for it, and so does any peer. */
export const TRANSFER_STATE_MAX = 400;

function putUint(b: Uint8Array, p: number, value: number): number {
  if (value < 0x100) {
    if (value === 0) {
      b[p] = 0x43;
      return p + 1;
    }
    b[p] = 0x52;
    b[p + 1] = value;
    return p + 2;
  }
  b[p] = 0x70;
  b[p + 1] = value >>> 24;
  b[p + 2] = value >>> 16;
  b[p + 3] = value >>> 8;
  b[p + 4] = value;
  return p + 5;
}

/** Payloads from here on are referenced in the output instead of copied. */
export const REFERENCE_MIN = 4096;
/** Below this many bytes a loop copies faster than a call. */
const LOOP_COPY_MAX = 40;

/** Of a list that is padded. */
const TRANSFER_FIELDS = 11;
const FLOW_FIELDS = 11;
const DISPOSITION_FIELDS = 6;

const scratch = new Writer(256);

function putState(b: Uint8Array, p: number, state: DeliveryState | undefined, padded: boolean): number {
  if (state === undefined) {
    b[p] = 0x40;
    return p + 1;
  }
  if (state === ACCEPTED || state === RELEASED) {
    b[p] = 0x00;
    b[p + 1] = 0x53;
    b[p + 2] = state === ACCEPTED ? 0x24 : 0x26;
    b[p + 3] = 0x45;
    return p + 4;
  }
  scratch.reset();
  writeDeliveryState(scratch, state, padded);
  b.set(scratch.written(), p);
  return p + scratch.position;
}

/**
 * Writes frame header and performative of a transfer at `start`; the size field is left to the caller.
 *
 * @param deliveryId - -1 on continuation frames
 * @param tag - undefined on the first frame: `tagCounter` as eight bytes
 * @param messageFormat - -1 on continuation frames
 * @param padded - all eleven fields
 * @returns bytes written
 */
export function writeTransferHead(
  b: Uint8Array,
  start: number,
  channel: number,
  handle: number,
  deliveryId: number,
  tag: Uint8Array | undefined,
  tagCounter: number,
  messageFormat: number,
  settled: boolean,
  more: boolean,
  aborted: boolean,
  state: DeliveryState | undefined,
  padded: boolean,
): number {
  b[start + 4] = 2;
  b[start + 5] = 0;
  b[start + 6] = channel >>> 8;
  b[start + 7] = channel;
  b[start + 8] = 0x00;
  b[start + 9] = 0x53;
  b[start + 10] = 0x14;
  b[start + 11] = 0xc0;
  let p = putUint(b, start + 14, handle);
  let count = 5;
  if (deliveryId < 0) {
    b[p++] = 0x40;
    b[p++] = 0x40;
    b[p++] = 0x40;
  } else {
    p = putUint(b, p, deliveryId);
    b[p++] = 0xa0;
    if (tag === undefined) {
      b[p] = 8;
      b[p + 1] = b[p + 2] = b[p + 3] = b[p + 4] = 0;
      b[p + 5] = tagCounter >>> 24;
      b[p + 6] = tagCounter >>> 16;
      b[p + 7] = tagCounter >>> 8;
      b[p + 8] = tagCounter;
      p += 9;
    } else {
      const length = tag.length;
      b[p++] = length;
      for (let i = 0; i < length; i++) b[p++] = tag[i]!;
    }
    p = putUint(b, p, messageFormat);
  }
  b[p++] = settled ? 0x41 : 0x42;
  if (more || aborted || state !== undefined) {
    b[p++] = more ? 0x41 : 0x42;
    count = 6;
  }
  if (aborted || state !== undefined) {
    b[p++] = 0x40;
    const before = p;
    p = putState(b, p, state, padded);
    count = 8;
    if (aborted) {
      b[p++] = 0x42;
      b[p++] = 0x41;
      count = 10;
    }
    if (padded) for (; count < TRANSFER_FIELDS; count++) b[p++] = 0x40;
    // A state that does not fit the short list is rare: then the head is moved apart by the six bytes of the long form.
    if (p - before > 100) return widenHead(b, start, p, count);
  }
  if (padded) for (; count < TRANSFER_FIELDS; count++) b[p++] = 0x40;
  b[start + 12] = p - start - 13;
  b[start + 13] = count;
  return p - start;
}

function widenHead(b: Uint8Array, start: number, end: number, count: number): number {
  b.copyWithin(start + 20, start + 14, end);
  const size = end - start - 14 + 4;
  b[start + 11] = 0xd0;
  b[start + 12] = size >>> 24;
  b[start + 13] = size >>> 16;
  b[start + 14] = size >>> 8;
  b[start + 15] = size;
  b[start + 16] = b[start + 17] = b[start + 18] = 0;
  b[start + 19] = count;
  return end - start + 6;
}

/**
 * Writes a disposition frame.
 *
 * @param frameSizeMax - of the peer: a state that does not fit is shortened
 * @param padded - all six fields, and errors with all of theirs
 */
export function writeDispositionFrame(
  out: Output,
  channel: number,
  receiver: boolean,
  first: number,
  last: number,
  settled: boolean,
  state: DeliveryState | undefined,
  frameSizeMax: number,
  padded: boolean,
): void {
  if (state !== undefined && state !== ACCEPTED && state !== RELEASED) {
    // What cannot be said at all is said as "something went wrong", never as nothing: that could pass for success.
    const fitting = fitState(state, frameSizeMax - FRAME_REST) ?? MODIFIED_FAILED;
    writeWideDisposition(out, channel, receiver, first, last, settled, fitting, padded);
    return;
  }
  out.room(48);
  const b = out.bytes;
  const start = out.position;
  b[start] = b[start + 1] = b[start + 2] = 0;
  b[start + 4] = 2;
  b[start + 5] = 0;
  b[start + 6] = channel >>> 8;
  b[start + 7] = channel;
  b[start + 8] = 0x00;
  b[start + 9] = 0x53;
  b[start + 10] = 0x15;
  b[start + 11] = 0xc0;
  b[start + 13] = padded ? DISPOSITION_FIELDS : 5;
  b[start + 14] = receiver ? 0x41 : 0x42;
  let p = putUint(b, start + 15, first);
  if (last === first) b[p++] = 0x40;
  else p = putUint(b, p, last);
  b[p++] = settled ? 0x41 : 0x42;
  p = putState(b, p, state, padded);
  if (padded) b[p++] = 0x40;
  b[start + 12] = p - start - 13;
  b[start + 3] = p - start;
  out.position = p;
}

const wide = new Writer(512);

function writeWideDisposition(
  out: Output,
  channel: number,
  receiver: boolean,
  first: number,
  last: number,
  settled: boolean,
  state: DeliveryState,
  padded: boolean,
): void {
  scratch.reset();
  writeDeliveryState(scratch, state, padded);
  const stateBytes = scratch.written();
  wide.reset();
  wide.ensure(64 + stateBytes.length);
  const b = wide.bytes;
  b.fill(0, 0, 24);
  b[4] = 2;
  b[6] = channel >>> 8;
  b[7] = channel;
  b[9] = 0x53;
  b[10] = 0x15;
  b[11] = 0xd0;
  b[19] = padded ? DISPOSITION_FIELDS : 5;
  b[20] = receiver ? 0x41 : 0x42;
  let p = putUint(b, 21, first);
  p = putUint(b, p, last);
  b[p++] = settled ? 0x41 : 0x42;
  b.set(stateBytes, p);
  p += stateBytes.length;
  if (padded) b[p++] = 0x40;
  const listSize = p - 16;
  b[12] = listSize >>> 24;
  b[13] = listSize >>> 16;
  b[14] = listSize >>> 8;
  b[15] = listSize;
  b[0] = p >>> 24;
  b[1] = p >>> 16;
  b[2] = p >>> 8;
  b[3] = p;
  out.append(b.subarray(0, p));
}

/**
 * Writes a flow frame.
 *
 * @param nextIncomingId - -1 before the peer's begin
 * @param handle - -1 for the session alone; then the link's fields are left out
 * @param padded - all eleven fields
 */
export function writeFlowFrame(
  out: Output,
  channel: number,
  nextIncomingId: number,
  incomingWindow: number,
  nextOutgoingId: number,
  handle: number,
  deliveryCount: number,
  linkCredit: number,
  drain: boolean,
  echo: boolean,
  padded: boolean,
): void {
  out.room(80);
  const b = out.bytes;
  const start = out.position;
  b[start] = b[start + 1] = b[start + 2] = 0;
  b[start + 4] = 2;
  b[start + 5] = 0;
  b[start + 6] = channel >>> 8;
  b[start + 7] = channel;
  b[start + 8] = 0x00;
  b[start + 9] = 0x53;
  b[start + 10] = 0x13;
  b[start + 11] = 0xc0;
  let p = start + 14;
  if (nextIncomingId < 0) b[p++] = 0x40;
  else p = putUint(b, p, nextIncomingId);
  p = putUint(b, p, incomingWindow < 0 ? 0 : incomingWindow);
  p = putUint(b, p, nextOutgoingId);
  p = putUint(b, p, 0x7fffffff);
  let count = 4;
  if (handle >= 0) {
    p = putUint(b, p, handle);
    p = putUint(b, p, deliveryCount);
    p = putUint(b, p, linkCredit);
    count = 7;
    if (drain || echo) {
      b[p++] = 0x40;
      b[p++] = drain ? 0x41 : 0x42;
      count = 9;
    }
  } else if (echo) {
    b[p++] = b[p++] = b[p++] = b[p++] = 0x40;
    b[p++] = 0x42;
    count = 9;
  }
  if (echo) {
    b[p++] = 0x41;
    count = 10;
  }
  if (padded) for (; count < FLOW_FIELDS; count++) b[p++] = 0x40;
  b[start + 12] = p - start - 13;
  b[start + 13] = count;
  b[start + 3] = p - start;
  out.position = p;
}

/** Puts the payload behind the head of a transfer that was just written, and the size into its frame. */
export function writePayload(out: Output, headStart: number, bytes: Uint8Array, start: number, end: number): void {
  const length = end - start;
  const target = out.bytes;
  const size = out.position - headStart + length;
  target[headStart] = size >>> 24;
  target[headStart + 1] = size >>> 16;
  target[headStart + 2] = size >>> 8;
  target[headStart + 3] = size;
  if (length >= REFERENCE_MIN) {
    out.reference(bytes.subarray(start, end));
    return;
  }
  let w = out.position;
  if (length < LOOP_COPY_MAX) {
    for (let i = start; i < end; i++) target[w++] = bytes[i]!;
  } else {
    target.set(bytes.subarray(start, end), w);
    w += length;
  }
  out.position = w;
}
