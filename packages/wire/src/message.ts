// SPDX-License-Identifier: Apache-2.0
import { RemoteProtocolError, decodeError } from './errors.js';
import {
  DESCRIPTOR_CODES,
  readHeaderBody,
  readPropertiesBody,
  writeHeader,
  writeProperties,
} from './generated/composites.js';
import type { HeaderFields, PropertiesFields } from './generated/composites.js';
import {
  Reader,
  readAnnotations,
  readBinary,
  readDescriptor,
  readList,
  readStringMap,
  readValue,
  skipValue,
} from './reader.js';
import type { AmqpValue } from './values.js';
import {
  Writer,
  writeAnnotations,
  writeBinary,
  writeDescriptor,
  writeList,
  writeStringMap,
  writeValue,
} from './writer.js';

/** Descriptor codes of the sections of a message, in the order in which they may stand. @see OASIS AMQP 1.0, 3.2 */
export const SECTION = {
  header: 0x70,
  deliveryAnnotations: 0x71,
  messageAnnotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
  data: 0x75,
  amqpSequence: 0x76,
  amqpValue: 0x77,
  footer: 0x78,
} as const;

/** Symbols of the sections that are no composites. */
const SECTION_SYMBOLS: ReadonlyMap<string, number> = new Map([
  ...[...DESCRIPTOR_CODES].filter(([, code]) => code === SECTION.header || code === SECTION.properties),
  ['amqp:delivery-annotations:map', SECTION.deliveryAnnotations],
  ['amqp:message-annotations:map', SECTION.messageAnnotations],
  ['amqp:application-properties:map', SECTION.applicationProperties],
  ['amqp:data:binary', SECTION.data],
  ['amqp:amqp-sequence:list', SECTION.amqpSequence],
  ['amqp:amqp-value:*', SECTION.amqpValue],
  ['amqp:footer:map', SECTION.footer],
]);

/** A body is data sections, or sequence sections, or one value. @see OASIS AMQP 1.0, 3.2 */
export type MessageBody =
  | { readonly kind: 'data'; readonly sections: readonly Uint8Array[] }
  | { readonly kind: 'sequence'; readonly sections: readonly (readonly AmqpValue[])[] }
  | { readonly kind: 'value'; readonly value: AmqpValue };

/** A message as an object. Sections that are absent are undefined; a message of bare properties has no body. */
export interface Message {
  header?: HeaderFields | undefined;
  deliveryAnnotations?: Map<string | bigint, AmqpValue> | undefined;
  messageAnnotations?: Map<string | bigint, AmqpValue> | undefined;
  properties?: PropertiesFields | undefined;
  applicationProperties?: Map<string, AmqpValue> | undefined;
  body?: MessageBody | undefined;
  footer?: Map<string | bigint, AmqpValue> | undefined;
}

/** Where a section stands in an encoded message: `[start, end)` with its descriptor, the value from `valueStart`. */
export interface SectionSpan {
  readonly code: number;
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** Most sections that a message may have: a batch of Service Bus holds one data section for each of its messages. */
export const SECTIONS_MAX = 16_384;

/**
 * Finds the sections of a message without decoding their values.
 *
 * @param order - `any`: takes sections behind others that the standard has them before, as some services do
 * @throws RemoteProtocolError `amqp:decode-error` where the bytes are no sequence of sections in the standard's order
 */
export function sectionsOf(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
  order: 'standard' | 'any' = 'standard',
): SectionSpan[] {
  const spans: SectionSpan[] = [];
  let position = start;
  let last = 0;
  /** Codes that came, a bit each; those of bodies are one. */
  let seen = 0;
  while (position < end) {
    const span = sectionAt(bytes, position, end);
    const repeats = span.code === last && (span.code === SECTION.data || span.code === SECTION.amqpSequence);
    const bit = 1 << ((isBody(span.code) ? SECTION.data : span.code) - SECTION.header);
    if (!repeats && ((seen & bit) !== 0 || (order === 'standard' && span.code <= last))) {
      throw decodeError(`message section 0x${span.code.toString(16)} behind 0x${last.toString(16)}`, '3.2');
    }
    if (spans.length === SECTIONS_MAX) throw decodeError(`a message of more than ${SECTIONS_MAX} sections`, '3.2');
    spans.push(span);
    seen |= bit;
    last = span.code;
    position = span.end;
  }
  return spans;
}

function isBody(code: number): boolean {
  return code >= SECTION.data && code <= SECTION.amqpValue;
}

/**
 * Code of the section that starts at `position`, whether the rest of it is there or not; undefined where none does.
 *
 * @throws RemoteProtocolError `amqp:decode-error` where its descriptor is cut short
 */
export function sectionCodeAt(bytes: Uint8Array, position: number, end: number): number | undefined {
  // The short form first: nearly every message has it.
  if (end - position >= 3 && bytes[position] === 0 && bytes[position + 1] === 0x53) return bytes[position + 2]!;
  return readDescriptor(new Reader(bytes, position, end), SECTION_SYMBOLS);
}

/** The section that starts at `position`. @throws RemoteProtocolError `amqp:decode-error` where none does */
export function sectionAt(bytes: Uint8Array, position: number, end: number): SectionSpan {
  // The short form first: nearly every message has it.
  if (end - position > 3 && bytes[position] === 0 && bytes[position + 1] === 0x53) {
    const code = bytes[position + 2]!;
    if (code >= SECTION.header && code <= SECTION.footer) {
      const valueStart = position + 3;
      return { code, start: position, valueStart, end: skipValue(bytes, valueStart, end) };
    }
  }
  const r = new Reader(bytes, position, end);
  const code = readDescriptor(r, SECTION_SYMBOLS);
  if (code === undefined || code < SECTION.header || code > SECTION.footer) {
    throw decodeError('a message section without a descriptor of one', '3.2');
  }
  return { code, start: position, valueStart: r.position, end: skipValue(bytes, r.position, end) };
}

/**
 * Decodes a whole message.
 *
 * @throws RemoteProtocolError `amqp:decode-error`
 */
export function decodeMessage(bytes: Uint8Array, start = 0, end: number = bytes.length): Message {
  const message: Message = {};
  const data: Uint8Array[] = [];
  const sequences: AmqpValue[][] = [];
  // One reader for all sections, so that its limits count for the message as a whole.
  const r = new Reader(bytes);
  for (const span of sectionsOf(bytes, start, end)) {
    r.position = span.valueStart;
    r.end = span.end;
    switch (span.code) {
      case SECTION.header:
        message.header = readHeaderBody(r);
        break;
      case SECTION.deliveryAnnotations:
        message.deliveryAnnotations = readAnnotations(r);
        break;
      case SECTION.messageAnnotations:
        message.messageAnnotations = readAnnotations(r);
        break;
      case SECTION.properties:
        message.properties = readPropertiesBody(r);
        break;
      case SECTION.applicationProperties:
        message.applicationProperties = readStringMap(r);
        break;
      case SECTION.data:
        data.push(readBinary(r) ?? new Uint8Array(0));
        break;
      case SECTION.amqpSequence:
        sequences.push(readList(r) ?? []);
        break;
      case SECTION.amqpValue:
        message.body = { kind: 'value', value: readValue(r) };
        break;
      case SECTION.footer:
        message.footer = readAnnotations(r);
        break;
    }
    if (r.position !== span.end) throw decodeError('a message section with bytes behind its value', '3.2');
  }
  if (data.length > 0) message.body = { kind: 'data', sections: data };
  else if (sequences.length > 0) message.body = { kind: 'sequence', sections: sequences };
  return message;
}

/** Encodes a message. @throws LocalProtocolError `amqp:invalid-field` where a value does not fit its type */
export function encodeMessage(message: Message, w: Writer = new Writer()): Uint8Array {
  if (message.header !== undefined) writeHeader(w, message.header);
  if (message.deliveryAnnotations !== undefined) {
    writeDescriptor(w, SECTION.deliveryAnnotations);
    writeAnnotations(w, message.deliveryAnnotations);
  }
  if (message.messageAnnotations !== undefined) {
    writeDescriptor(w, SECTION.messageAnnotations);
    writeAnnotations(w, message.messageAnnotations);
  }
  if (message.properties !== undefined) writeProperties(w, message.properties);
  if (message.applicationProperties !== undefined) {
    writeDescriptor(w, SECTION.applicationProperties);
    writeStringMap(w, message.applicationProperties);
  }
  writeMessageBody(w, message.body);
  if (message.footer !== undefined) {
    writeDescriptor(w, SECTION.footer);
    writeAnnotations(w, message.footer);
  }
  return w.toBytes();
}

function writeMessageBody(w: Writer, body: MessageBody | undefined): void {
  if (body === undefined) return;
  if (body.kind === 'value') {
    writeDescriptor(w, SECTION.amqpValue);
    writeValue(w, body.value);
    return;
  }
  for (const section of body.sections) {
    if (section instanceof Uint8Array) {
      writeDescriptor(w, SECTION.data);
      writeBinary(w, section);
    } else {
      writeDescriptor(w, SECTION.amqpSequence);
      writeList(w, section as AmqpValue[]);
    }
  }
}

/**
 * Finds the value of `properties.to` in what has arrived of a message so far.
 *
 * @returns the address; null where the message has none; undefined where more bytes are needed to tell
 * @throws RemoteProtocolError `amqp:decode-error` where the sections before it are malformed
 */
export function toOf(bytes: Uint8Array, start: number, end: number, whole: boolean): string | null | undefined {
  let position = start;
  try {
    while (position < end) {
      const span = sectionAt(bytes, position, end);
      if (span.code > SECTION.properties) return null;
      if (span.code === SECTION.properties)
        return readPropertiesBody(new Reader(bytes, span.valueStart, span.end)).to ?? null;
      position = span.end;
    }
  } catch (error) {
    // Cut short is not malformed while more is to come.
    if (!whole && error instanceof RemoteProtocolError) return undefined;
    throw error;
  }
  return whole ? null : undefined;
}
