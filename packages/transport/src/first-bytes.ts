// SPDX-License-Identifier: Apache-2.0

/** Who speaks, by the first bytes. `amqp` is a protocol header with an id other than 2, `other` is nothing known. */
export type FirstBytes = 'amqp' | 'amqp-tls' | 'tls' | 'http' | 'other';

/** The AMQP TLS protocol header: id 2, version 1.0.0. @see OASIS AMQP 1.0, 5.2.1 */
export const TLS_PROTOCOL_HEADER: Uint8Array = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 2, 1, 0, 0);

/** Bytes that decide between all of {@link FirstBytes}. */
export const PROTOCOL_HEADER_BYTES = 8;

const AMQP = [0x41, 0x4d, 0x51, 0x50];
/** What a request or a response of HTTP may begin with, four characters of each. */
const HTTP = ['GET ', 'HEAD', 'POST', 'PUT ', 'DELE', 'CONN', 'OPTI', 'TRAC', 'PATC', 'PRI ', 'HTTP'];
const TLS_HANDSHAKE = 0x16;
const TLS_ALERT = 0x15;

/** Recognizes a peer by its first bytes; undefined where more of them are needed, which is never so from the eighth on. */
export function recognizeFirstBytes(bytes: Uint8Array): FirstBytes | undefined {
  const first = bytes[0];
  if (first === undefined) return undefined;
  if (first === TLS_HANDSHAKE || first === TLS_ALERT) {
    if (bytes.length < 2) return undefined;
    return bytes[1] === 3 ? 'tls' : 'other';
  }
  if (AMQP.every((byte, i) => i >= bytes.length || bytes[i] === byte)) {
    if (bytes.length < 5) return undefined;
    if (bytes[4] !== 2) return 'amqp';
    return bytes.length < PROTOCOL_HEADER_BYTES ? undefined : 'amqp-tls';
  }
  const start = String.fromCharCode(...bytes.subarray(0, 4));
  if (!HTTP.some((word) => word.startsWith(start))) return 'other';
  return start.length < 4 ? undefined : 'http';
}

/** True where `bytes` begin with the AMQP TLS protocol header of the version that is spoken here. */
export function isTlsProtocolHeader(bytes: Uint8Array): boolean {
  return TLS_PROTOCOL_HEADER.every((byte, i) => bytes[i] === byte);
}
