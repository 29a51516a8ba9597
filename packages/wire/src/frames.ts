// SPDX-License-Identifier: Apache-2.0
import { RemoteProtocolError } from './errors.js';
import { putRaw32 } from './writer.js';
import type { Writer } from './writer.js';

/** Protocol ids of the header `AMQP id major minor revision`. @see OASIS AMQP 1.0, 2.2, 5.2.1 and 5.3.2 */
export const PROTOCOL_AMQP = 0;
export const PROTOCOL_TLS = 2;
export const PROTOCOL_SASL = 3;

/** Frame types. @see OASIS AMQP 1.0, 2.3.1 and 5.3.1 */
export const FRAME_AMQP = 0;
export const FRAME_SASL = 1;

/** Every peer takes frames of this size, and no SASL frame may be larger. @see OASIS AMQP 1.0, 2.8.19 and 5.3.1 */
export const MIN_MAX_FRAME_SIZE = 512;

export const FRAME_HEADER_SIZE = 8;
export const PROTOCOL_HEADER_SIZE = 8;

export function protocolHeader(id: number): Uint8Array {
  return Uint8Array.of(0x41, 0x4d, 0x51, 0x50, id, 1, 0, 0);
}

/**
 * Reads a protocol header at `at`, of which eight bytes must be there.
 *
 * @returns the protocol id, or a text that says what stands there instead
 */
export function protocolIdOf(bytes: Uint8Array, at: number): number | string {
  if (bytes[at] !== 0x41 || bytes[at + 1] !== 0x4d || bytes[at + 2] !== 0x51 || bytes[at + 3] !== 0x50) {
    return `no AMQP protocol header but ${describeBytes(bytes, at)}`;
  }
  const major = bytes[at + 5]!;
  const minor = bytes[at + 6]!;
  const revision = bytes[at + 7]!;
  if (major !== 1 || minor !== 0 || revision !== 0) {
    // AMQP 0-9-1 says `AMQP 0 0 9 1`, 0-10 says `AMQP 1 1 0 10`: name it, since brokers of several kinds share a port.
    return `AMQP version ${bytes[at + 4]}-${major}-${minor}-${revision} where 1.0.0 is spoken`;
  }
  return bytes[at + 4]!;
}

/** Names what the first bytes of a stream look like, for error messages. */
export function describeBytes(bytes: Uint8Array, at = 0): string {
  if (bytes[at] === 0x16 && bytes[at + 1] === 0x03) return 'a TLS handshake';
  if (bytes[at] === 0x15 && bytes[at + 1] === 0x03) return 'a TLS alert';
  let text = '';
  for (let i = at; i < Math.min(bytes.length, at + 8); i++) {
    const c = bytes[i]!;
    text += c >= 0x20 && c < 0x7f ? String.fromCharCode(c) : `\\x${c.toString(16).padStart(2, '0')}`;
  }
  if (/^(GET|POST|PUT|HEAD|HTTP|OPTI|CONN)/.test(text)) return `HTTP ("${text}")`;
  return `"${text}"`;
}

/** Leaves room for a frame header; {@link endFrame} fills it in. */
export function beginFrame(w: Writer): number {
  w.ensure(FRAME_HEADER_SIZE);
  const start = w.position;
  w.position += FRAME_HEADER_SIZE;
  return start;
}

export function endFrame(w: Writer, start: number, type: number, channel: number): void {
  const b = w.bytes;
  putRaw32(b, start, w.position - start);
  b[start + 4] = 2;
  b[start + 5] = type;
  b[start + 6] = channel >>> 8;
  b[start + 7] = channel;
}

/**
 * The size field of a frame.
 *
 * @throws RemoteProtocolError `amqp:connection:framing-error` where it is below 8 or above `max`
 */
export function frameSizeAt(bytes: Uint8Array, at: number, max: number): number {
  const size = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  if (size < FRAME_HEADER_SIZE || size > max) {
    const wrong = size < FRAME_HEADER_SIZE ? 'is below 8' : `exceeds the ${max} that we announced`;
    throw new RemoteProtocolError('amqp:connection:framing-error', `frame of ${size} bytes ${wrong}`, {
      scope: 'connection',
      section: '2.3.1',
    });
  }
  return size;
}
