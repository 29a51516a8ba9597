// SPDX-License-Identifier: Apache-2.0
import {
  DESCRIPTOR_CODES,
  LocalProtocolError,
  ProtocolError,
  Reader,
  Writer,
  beginFrame,
  endFrame,
  readDescriptor,
} from '@pointsman/wire';

// Shared by all connections: filled and copied within one call.
const WRITER = new Writer(2048);

/** A whole frame. Valid until the next call. */
export function frameBytes(type: number, channel: number, write: (w: Writer) => void): Uint8Array {
  const w = WRITER;
  w.reset();
  const start = beginFrame(w);
  write(w);
  endFrame(w, start, type, channel);
  return w.written();
}

export function frameTooLarge(size: number, max: number): LocalProtocolError {
  return new LocalProtocolError('amqp:frame-size-too-small', `a frame of ${size} bytes for a peer that takes ${max}`, {
    scope: 'connection',
    section: '2.3.1',
  });
}

/** Which performative a frame's body begins with, as far as that can be told. */
export function performativeCodeOf(b: Uint8Array, body: number, end: number): number | undefined {
  try {
    return body < end ? readDescriptor(new Reader(b, body, end), DESCRIPTOR_CODES) : undefined;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return undefined;
  }
}
