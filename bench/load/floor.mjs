// SPDX-License-Identifier: Apache-2.0

/**
 * What forwarding AMQP 1.0 costs when nothing else is done: the line to measure a router against.
 *
 * It answers the handshake, forwards each transfer frame of the sender on an address to the receiver on the same
 * address (parse, new delivery-id, copy), turns dispositions back in ranges, tops up credit by halves, and writes once
 * per connection and turn of the event loop, into buffers that are reused. No checks, no limits, one link a connection,
 * one receiver an address. It reads the frames of amqpload.c and no others. Never a router.
 *
 *     node floor.mjs [PORT [tick | immediate]]
 *
 * PORT is 0 (any) by default. `tick` flushes at the end of the current callback, `immediate` of the event loop's turn.
 */

import { createServer } from 'node:net';
import process from 'node:process';

const port = Number(process.argv[2] ?? 0);
const defer = process.argv[3] === 'immediate' ? setImmediate : process.nextTick;

/** Size of an output buffer, bytes. */
const BUFFER_BYTES = 1 << 18;

/** Deliveries that a receiver may leave unsettled: more than any credit that amqpload gives. A power of two. */
const IN_FLIGHT_MAX = 8192;

/** Credit of a sender; renewed when half of it is used. */
const CREDIT = 1000;

const ACCEPTED = [0x00, 0x53, 0x24, 0x45];
const NULL = 0x40;
const TRUE = 0x41;
const FALSE = 0x42;
const ZERO = 0x43;
const WINDOW = [0x70, 0x7f, 0xff, 0xff, 0xff];

/** Receiving connection of an address, by its name. @type {Map<string, Connection>} */
const receivers = new Map();

/** Output buffers that no socket holds any more. @type {Buffer[]} */
const spare = [];

/** Connections with something to write. @type {Connection[]} */
const dirty = [];
let flushDeferred = false;

function flushAll() {
  flushDeferred = false;
  for (let i = 0; i < dirty.length; i++) dirty[i].flush();
  dirty.length = 0;
}

/** @param {Buffer} bytes @param {number} at */
function uint32(bytes, at) {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

/** @param {number} value */
function uint32Bytes(value) {
  return [(value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

/** A list8. @param {number} count @param {readonly number[]} fields encoded */
function list(count, fields) {
  return [0xc0, fields.length + 1, count, ...fields];
}

/** @param {Buffer} bytes @param {number} at a value @returns {number} where the next one begins */
function skip(bytes, at) {
  const code = bytes[at++];
  switch (code >> 4) {
    case 0x0:
      return skip(bytes, skip(bytes, at));
    case 0x4:
      return at;
    case 0x5:
      return at + 1;
    case 0x6:
      return at + 2;
    case 0x7:
      return at + 4;
    case 0x8:
      return at + 8;
    case 0x9:
      return at + 16;
    case 0xa:
    case 0xc:
    case 0xe:
      return at + 1 + bytes[at];
    default:
      return at + 4 + uint32(bytes, at);
  }
}

class Connection {
  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.socket = socket;
    this.out = spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    this.outEnd = 0;
    /** Start of a frame that has not arrived whole. @type {Buffer | null} */
    this.rest = null;
    this.isDirty = false;
    this.isReceiver = false;
    /** Encoded source or target address, without its type and size. */
    this.address = '';

    // As a sender: the receiver that it feeds, and the transfers that arrived and were allowed.
    /** @type {Connection | undefined} */
    this.receiver = undefined;
    this.received = 0;
    this.granted = 0;
    /** In the middle of a delivery of several frames. */
    this.isContinued = false;
    // Range of deliveries to settle towards it; first is -1 where there is none.
    this.settledFirst = -1;
    this.settledLast = -1;

    // As a receiver: the next delivery-id, and where each delivery came from.
    this.nextDeliveryId = 0;
    /** @type {Connection[]} */
    this.originOf = new Array(IN_FLIGHT_MAX);
    this.originIdOf = new Uint32Array(IN_FLIGHT_MAX);
  }

  listen() {
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk) => this.onData(chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      if (receivers.get(this.address) === this) receivers.delete(this.address);
    });
  }

  mark() {
    if (this.isDirty) return;
    this.isDirty = true;
    dirty.push(this);
    if (flushDeferred) return;
    flushDeferred = true;
    defer(flushAll);
  }

  flush() {
    this.isDirty = false;
    this.writeSettled();
    if (this.outEnd === 0) return;
    const out = this.out;
    this.socket.write(out.subarray(0, this.outEnd), () => spare.push(out));
    this.out = spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    this.outEnd = 0;
  }

  /** @param {readonly number[]} bytes */
  write(bytes) {
    for (const byte of bytes) this.out[this.outEnd++] = byte;
    this.mark();
  }

  /** @param {number} type @param {number} descriptor @param {readonly number[]} list with its header */
  writeFrame(type, descriptor, list) {
    this.write([...uint32Bytes(11 + list.length), 2, type, 0, 0, 0x00, 0x53, descriptor, ...list]);
  }

  /** @param {Buffer} chunk */
  onData(chunk) {
    let bytes = chunk;
    if (this.rest !== null) {
      bytes = Buffer.concat([this.rest, chunk]);
      this.rest = null;
    }
    let at = 0;
    while (bytes.length - at >= 8) {
      if (bytes[at] === 0x41 && bytes[at + 1] === 0x4d) {
        this.onHeader(bytes[at + 4]);
        at += 8;
        continue;
      }
      const size = uint32(bytes, at);
      if (at + size > bytes.length) break;
      if (size > 8) this.onFrame(bytes, at + (bytes[at + 4] << 2), at + size);
      at += size;
    }
    if (at < bytes.length) this.rest = bytes.subarray(at);
  }

  /** @param {number} protocol 3 for SASL */
  onHeader(protocol) {
    this.write([0x41, 0x4d, 0x51, 0x50, protocol, 1, 0, 0]);
    if (protocol === 3) this.writeFrame(1, 0x40, list(1, [0xe0, 12, 1, 0xa3, 9, ...Buffer.from('ANONYMOUS')]));
  }

  /** @param {Buffer} bytes @param {number} at the performative @param {number} end of the frame */
  onFrame(bytes, at, end) {
    switch (bytes[at + 2]) {
      case 0x14:
        return this.onTransfer(bytes, at + 3, end);
      case 0x15:
        return this.onDisposition(bytes, at + 3);
      case 0x10:
        return this.writeFrame(0, 0x10, list(3, [0xa1, 5, ...Buffer.from('floor'), NULL, 0x70, 0, 1, 0, 0]));
      case 0x11:
        return this.writeFrame(0, 0x11, list(4, [0x60, 0, 0, ZERO, ...WINDOW, ...WINDOW]));
      case 0x12:
        return this.onAttach(bytes, at + 3);
      case 0x41:
        return this.writeFrame(1, 0x44, list(1, [0x50, 0]));
      default:
    }
  }

  /** @param {Buffer} bytes @param {number} listAt */
  onAttach(bytes, listAt) {
    const nameAt = listAt + (bytes[listAt] === 0xc0 ? 3 : 9);
    const roleAt = skip(bytes, skip(bytes, nameAt));
    const sourceAt = skip(bytes, skip(bytes, roleAt + 1));
    const targetAt = skip(bytes, sourceAt);
    const name = bytes.subarray(nameAt, skip(bytes, nameAt));
    const source = bytes.subarray(sourceAt, targetAt);
    const target = bytes.subarray(targetAt, skip(bytes, targetAt));

    this.isReceiver = bytes[roleAt] === TRUE;
    this.address = (this.isReceiver ? source : target).toString('latin1').slice(5);
    const fields = [...name, ZERO, this.isReceiver ? FALSE : TRUE, NULL, NULL, ...source, ...target];
    if (this.isReceiver) fields.push(NULL, NULL, ZERO);
    this.writeFrame(0, 0x12, [0xd0, ...uint32Bytes(fields.length + 4), 0, 0, 0, this.isReceiver ? 10 : 7, ...fields]);

    if (this.isReceiver) receivers.set(this.address, this);
    else this.writeFlow();
  }

  writeFlow() {
    const received = uint32Bytes(this.received);
    this.granted = this.received + CREDIT;
    const session = [0x70, ...received, ...WINDOW, ZERO, ...WINDOW];
    const link = [ZERO, 0x70, ...received, 0x70, ...uint32Bytes(CREDIT)];
    this.writeFrame(0, 0x13, list(7, [...session, ...link]));
  }

  /** @param {Buffer} bytes @param {number} listAt @param {number} end */
  onTransfer(bytes, listAt, end) {
    let at = listAt + (bytes[listAt] === 0xc0 ? 3 : 9);
    let code = bytes[at++]; // handle
    if (code === 0x52) at++;
    else if (code === 0x70) at += 4;
    let deliveryId = 0;
    code = bytes[at++];
    if (code === 0x52) deliveryId = bytes[at++];
    else if (code === 0x70) {
      deliveryId = uint32(bytes, at);
      at += 4;
    }
    at++; // delivery-tag
    const tagBytes = bytes[at++];
    const tagAt = at;
    at += tagBytes;
    code = bytes[at++]; // message-format
    if (code === 0x52) at++;
    else if (code === 0x70) at += 4;
    const settled = bytes[at++] === TRUE;
    const more = bytes[at++] === TRUE;
    const isFirst = !this.isContinued;
    this.isContinued = more;

    if (isFirst && ++this.received > this.granted - CREDIT / 2) this.writeFlow();
    this.receiver ??= receivers.get(this.address);
    const receiver = this.receiver;
    if (receiver === undefined) return;

    if (receiver.outEnd + (end - at) + 64 > receiver.out.length) flushAll();
    const out = receiver.out;
    const start = receiver.outEnd;
    const id = isFirst ? receiver.nextDeliveryId : (receiver.nextDeliveryId - 1) >>> 0;
    const listBytes = 12 + tagBytes;
    const frameBytes = 13 + listBytes + (end - at);
    let w = start;
    out[w++] = frameBytes >>> 24;
    out[w++] = frameBytes >>> 16;
    out[w++] = frameBytes >>> 8;
    out[w++] = frameBytes;
    out[w++] = 2;
    out[w++] = 0;
    out[w++] = 0;
    out[w++] = 0;
    out[w++] = 0x00;
    out[w++] = 0x53;
    out[w++] = 0x14;
    out[w++] = 0xc0;
    out[w++] = listBytes;
    out[w++] = 6;
    out[w++] = ZERO;
    out[w++] = 0x70;
    out[w++] = id >>> 24;
    out[w++] = id >>> 16;
    out[w++] = id >>> 8;
    out[w++] = id;
    out[w++] = 0xa0;
    out[w++] = tagBytes;
    for (let i = 0; i < tagBytes; i++) out[w++] = bytes[tagAt + i];
    out[w++] = ZERO;
    out[w++] = settled ? TRUE : FALSE;
    out[w++] = more ? TRUE : FALSE;
    // A loop is faster than a call into the runtime for what is short.
    if (end - at < 200) for (let i = at; i < end; i++) out[w++] = bytes[i];
    else w += bytes.copy(out, w, at, end);
    receiver.outEnd = w;

    if (!settled) {
      receiver.originOf[id & (IN_FLIGHT_MAX - 1)] = this;
      receiver.originIdOf[id & (IN_FLIGHT_MAX - 1)] = deliveryId;
    }
    if (isFirst) receiver.nextDeliveryId = (id + 1) >>> 0;
    receiver.mark();
  }

  /** @param {Buffer} bytes @param {number} listAt */
  onDisposition(bytes, listAt) {
    let at = listAt + (bytes[listAt] === 0xc0 ? 3 : 9) + 1;
    let first = 0;
    let code = bytes[at++];
    if (code === 0x52) first = bytes[at++];
    else if (code === 0x70) {
      first = uint32(bytes, at);
      at += 4;
    }
    let last = first;
    code = bytes[at++];
    if (code === 0x43) last = 0;
    else if (code === 0x52) last = bytes[at];
    else if (code === 0x70) last = uint32(bytes, at);

    for (let id = first; id <= last; id++) {
      const sender = this.originOf[id & (IN_FLIGHT_MAX - 1)];
      const senderId = this.originIdOf[id & (IN_FLIGHT_MAX - 1)];
      if (sender.settledFirst >= 0 && sender.settledLast === senderId - 1) {
        sender.settledLast = senderId;
      } else {
        sender.writeSettled();
        sender.settledFirst = senderId;
        sender.settledLast = senderId;
      }
      sender.mark();
    }
  }

  writeSettled() {
    if (this.settledFirst < 0) return;
    const range = [0x70, ...uint32Bytes(this.settledFirst), 0x70, ...uint32Bytes(this.settledLast)];
    this.settledFirst = -1;
    this.writeFrame(0, 0x15, list(5, [TRUE, ...range, TRUE, ...ACCEPTED]));
  }
}

const server = createServer((socket) => new Connection(socket).listen());
server.listen(port, '127.0.0.1', () => {
  const address = server.address();
  if (address === null || typeof address === 'string') return;
  process.stderr.write(`Listening on ${address.address}:${address.port}\n`);
});
