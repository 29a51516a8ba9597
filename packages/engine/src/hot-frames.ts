// SPDX-License-Identifier: Apache-2.0
import { Reader, decodeError, readDeliveryState, skipValue } from '@pointsman/wire';
import type { DeliveryState } from '@pointsman/wire';
import { copyOf } from './chunk.js';
import { ACCEPTED, RELEASED } from './delivery.js';

// The three frames that make up nearly all traffic, parsed in place into one reused object each. They take what the
// table-driven readers take, and a property test holds the two against each other.

/** A transfer as it stands in the chunk. Valid during the call that passes it. @see OASIS AMQP 1.0, 2.7.5 */
export class TransferFrame {
  bytes: Uint8Array = new Uint8Array(0);
  handle = 0;
  /** -1 where absent. */
  deliveryId = -1;
  tagStart = 0;
  /** -1 where absent. */
  tagLength = -1;
  /** -1 where absent. */
  messageFormat = -1;
  settled = false;
  more = false;
  rcvSettleMode = -1;
  state: DeliveryState | undefined = undefined;
  resume = false;
  aborted = false;
  payloadStart = 0;
  payloadEnd = 0;

  /** The delivery tag as bytes of its own. */
  tag(): Uint8Array {
    return copyOf(this.bytes, this.tagStart, this.tagStart + Math.max(0, this.tagLength));
  }
}

/** @see OASIS AMQP 1.0, 2.7.6 */
export class DispositionFrame {
  receiver = false;
  first = 0;
  last = 0;
  settled = false;
  state: DeliveryState | undefined = undefined;
}

/** @see OASIS AMQP 1.0, 2.7.4 */
export class FlowFrame {
  /** -1 where absent; likewise for the other optional numbers. */
  nextIncomingId = -1;
  incomingWindow = 0;
  nextOutgoingId = 0;
  outgoingWindow = 0;
  handle = -1;
  deliveryCount = -1;
  linkCredit = -1;
  available = -1;
  drain = false;
  echo = false;
  hasProperties = false;
}

/** Where the last scalar ended. A module variable instead of a result object: this is the hot path. */
let at = 0;

function bad(what: string): Error {
  return decodeError(`${what} is malformed`, '2.7');
}

/** A uint at `p`, or -1 for null. Reading past the list is noticed by the caller, which compares {@link at} to its end. */
function uintAt(b: Uint8Array, p: number): number {
  const code = b[p];
  if (code === 0x52) {
    at = p + 2;
    return b[p + 1]!;
  }
  if (code === 0x43) {
    at = p + 1;
    return 0;
  }
  if (code === 0x70) {
    at = p + 5;
    return ((b[p + 1]! << 24) | (b[p + 2]! << 16) | (b[p + 3]! << 8) | b[p + 4]!) >>> 0;
  }
  if (code === 0x40) {
    at = p + 1;
    return -1;
  }
  throw bad('a uint');
}

/** A boolean at `p`; null is `absent`. */
function booleanAt(b: Uint8Array, p: number, absent: boolean): boolean {
  const code = b[p];
  at = p + 1;
  if (code === 0x41) return true;
  if (code === 0x42) return false;
  if (code === 0x40) return absent;
  if (code === 0x56) {
    const octet = b[p + 1];
    if (octet !== 0 && octet !== 1) throw bad('a boolean');
    at = p + 2;
    return octet === 1;
  }
  throw bad('a boolean');
}

/** Where the list of a described performative starts, behind a descriptor of any form, which has been read before. */
export function listStart(b: Uint8Array, body: number): number {
  const code = b[body + 1];
  if (code === 0x53) return body + 3;
  if (code === 0x80) return body + 10;
  if (code === 0xa3) return body + 3 + b[body + 2]!;
  return body + 6 + ((b[body + 2]! << 24) | (b[body + 3]! << 16) | (b[body + 4]! << 8) | b[body + 5]!);
}

let listEnd = 0;
let listCount = 0;

/** Steps into the list at `p`: sets {@link at}, {@link listEnd} and {@link listCount}. */
function intoList(b: Uint8Array, p: number, end: number): void {
  const code = b[p];
  if (code === 0xc0 && end - p >= 3) {
    listEnd = p + 2 + b[p + 1]!;
    listCount = b[p + 2]!;
    at = p + 3;
  } else if (code === 0xd0 && end - p >= 9) {
    listEnd = p + 5 + (((b[p + 1]! << 24) | (b[p + 2]! << 16) | (b[p + 3]! << 8) | b[p + 4]!) >>> 0);
    listCount = ((b[p + 5]! << 24) | (b[p + 6]! << 16) | (b[p + 7]! << 8) | b[p + 8]!) >>> 0;
    at = p + 9;
  } else if (code === 0x45) {
    listEnd = at = p + 1;
    listCount = 0;
  } else {
    throw bad('the list of a performative');
  }
  // A field takes one byte at least: the fields that are counted have to be there.
  if (listEnd > end || listCount > listEnd - at) throw bad('the list of a performative');
}

function stateAt(b: Uint8Array, p: number, end: number): DeliveryState | undefined {
  if (b[p] === 0x40) {
    at = p + 1;
    return undefined;
  }
  // `00 53 24 45` and `00 53 26 45`: accepted and released as everybody writes them.
  if (b[p] === 0 && b[p + 1] === 0x53 && b[p + 3] === 0x45 && p + 4 <= end) {
    if (b[p + 2] === 0x24) {
      at = p + 4;
      return ACCEPTED;
    }
    if (b[p + 2] === 0x26) {
      at = p + 4;
      return RELEASED;
    }
  }
  const r = new Reader(b, p, end);
  const state = readDeliveryState(r);
  at = r.position;
  if (state !== undefined && 'type' in state && state.type === 'accepted') return ACCEPTED;
  return state;
}

/**
 * Parses the transfer whose list starts at `p`, in a frame that ends at `end`.
 *
 * @throws RemoteProtocolError `amqp:decode-error`
 */
export function parseTransfer(f: TransferFrame, b: Uint8Array, p: number, end: number): void {
  intoList(b, p, end);
  const stop = listEnd;
  const count = listCount;
  if (count === 0) throw bad('a transfer without a handle');
  f.bytes = b;
  f.payloadStart = stop;
  f.payloadEnd = end;
  f.handle = uintAt(b, at);
  if (f.handle < 0) throw bad('a transfer without a handle');
  f.deliveryId = count > 1 ? uintAt(b, at) : -1;
  f.tagLength = -1;
  if (count > 2) {
    const q = at;
    const code = b[q];
    if (code === 0xa0) {
      f.tagLength = b[q + 1]!;
      f.tagStart = q + 2;
      at = q + 2 + f.tagLength;
    } else if (code === 0x40) {
      at = q + 1;
    } else if (code === 0xb0) {
      f.tagLength = ((b[q + 1]! << 24) | (b[q + 2]! << 16) | (b[q + 3]! << 8) | b[q + 4]!) >>> 0;
      f.tagStart = q + 5;
      at = q + 5 + f.tagLength;
    } else {
      throw bad('a delivery-tag');
    }
  }
  f.messageFormat = count > 3 ? uintAt(b, at) : -1;
  f.settled = count > 4 ? booleanAt(b, at, false) : false;
  f.more = count > 5 ? booleanAt(b, at, false) : false;
  f.rcvSettleMode = -1;
  f.state = undefined;
  f.resume = false;
  f.aborted = false;
  if (count > 6) parseTransferTail(f, b, stop, count);
  // One check for all: whatever was read past the list is refused here.
  if (at > stop) throw bad('a transfer');
}

function parseTransferTail(f: TransferFrame, b: Uint8Array, stop: number, count: number): void {
  if (b[at] === 0x50) {
    f.rcvSettleMode = b[at + 1]!;
    if (f.rcvSettleMode > 1) throw bad('an rcv-settle-mode');
    at += 2;
  } else if (b[at] === 0x40) {
    at += 1;
  } else {
    throw bad('an rcv-settle-mode');
  }
  if (at > stop) throw bad('a transfer');
  if (count > 7) f.state = stateAt(b, at, stop);
  if (count > 8) f.resume = booleanAt(b, at, false);
  if (count > 9) f.aborted = booleanAt(b, at, false);
  if (count > 10) booleanAt(b, at, false);
}

/** @throws RemoteProtocolError `amqp:decode-error` */
export function parseDisposition(f: DispositionFrame, b: Uint8Array, p: number, end: number): void {
  intoList(b, p, end);
  const stop = listEnd;
  const count = listCount;
  if (count < 2 || b[at] === 0x40) throw bad('a disposition without role and first');
  f.receiver = booleanAt(b, at, false);
  f.first = uintAt(b, at);
  if (f.first < 0) throw bad('a disposition without first');
  f.last = count > 2 ? uintAt(b, at) : -1;
  if (f.last < 0) f.last = f.first;
  f.settled = count > 3 ? booleanAt(b, at, false) : false;
  f.state = undefined;
  if (at > stop) throw bad('a disposition');
  if (count > 4) f.state = stateAt(b, at, stop);
  if (count > 5) booleanAt(b, at, false);
  if (at > stop) throw bad('a disposition');
}

/** @throws RemoteProtocolError `amqp:decode-error` */
export function parseFlow(f: FlowFrame, b: Uint8Array, p: number, end: number): void {
  intoList(b, p, end);
  const stop = listEnd;
  const count = listCount;
  if (count < 4) throw bad('a flow without its windows');
  f.nextIncomingId = uintAt(b, at);
  f.incomingWindow = uintAt(b, at);
  f.nextOutgoingId = uintAt(b, at);
  f.outgoingWindow = uintAt(b, at);
  if (f.incomingWindow < 0 || f.nextOutgoingId < 0 || f.outgoingWindow < 0) throw bad('a flow without its windows');
  f.handle = count > 4 ? uintAt(b, at) : -1;
  f.deliveryCount = count > 5 ? uintAt(b, at) : -1;
  f.linkCredit = count > 6 ? uintAt(b, at) : -1;
  f.available = count > 7 ? uintAt(b, at) : -1;
  f.drain = count > 8 ? booleanAt(b, at, false) : false;
  f.echo = count > 9 ? booleanAt(b, at, false) : false;
  f.hasProperties = false;
  if (count > 10) {
    if (at > stop) throw bad('a flow');
    f.hasProperties = b[at] !== 0x40;
    at = skipValue(b, at, stop);
  }
  if (at > stop) throw bad('a flow');
}
