// SPDX-License-Identifier: Apache-2.0
import { ProtocolError, Reader, SECTION, plainOf, readAnnotations, sectionAt } from '@pointsman/wire';

/** A message annotation out of the first bytes of a message; undefined where it is not there, or they cannot be read. */
export function messageAnnotation(bytes: Uint8Array, name: string): ReturnType<typeof plainOf> {
  try {
    let at = 0;
    while (at < bytes.length) {
      const { code, valueStart, end } = sectionAt(bytes, at, bytes.length);
      if (code === SECTION.messageAnnotations)
        return plainOf(readAnnotations(new Reader(bytes, valueStart, end))?.get(name));
      if (code !== SECTION.header && code !== SECTION.deliveryAnnotations) return undefined;
      at = end;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  return undefined;
}

/** `x-opt-sequence-number`: what a queue, subscription or dead-letter queue knows a message by for as long as it has it. */
export function sequenceNumberOf(bytes: Uint8Array): bigint | undefined {
  const value = messageAnnotation(bytes, 'x-opt-sequence-number');
  return typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))
    ? BigInt(value)
    : undefined;
}
