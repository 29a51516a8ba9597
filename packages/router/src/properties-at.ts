// SPDX-License-Identifier: Apache-2.0
import { Reader, SECTION, decodeError, readPropertiesBody, sectionAt, sectionCodeAt } from '@pointsman/wire';
import type { Properties } from '@pointsman/wire';

/**
 * The properties, which start at `position` where the message has any.
 *
 * @param whole - nothing of the message is still to come
 * @throws ProtocolError where they are malformed, or not all there
 */
export function propertiesAt(bytes: Uint8Array, position: number, whole: boolean): Properties | undefined {
  if (position >= bytes.length) {
    if (whole) return undefined;
    throw decodeError('a message whose properties are still to come');
  }
  if ((sectionCodeAt(bytes, position, bytes.length) ?? 0) > SECTION.properties) return undefined;
  const span = sectionAt(bytes, position, bytes.length);
  if (span.code !== SECTION.properties) return undefined;
  return readPropertiesBody(new Reader(bytes, span.valueStart, span.end));
}
