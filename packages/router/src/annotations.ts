// SPDX-License-Identifier: Apache-2.0
import {
  AmqpSymbol,
  Reader,
  RemoteProtocolError,
  SECTION,
  Writer,
  beginCompound,
  decodeError,
  endCompound,
  readValue,
  sectionAt,
  sectionCodeAt,
  skipValue,
  writeDescriptor,
  writeRawBytes,
  writeString,
  writeSymbol,
  writeValue,
} from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { FALLBACK_PHASE } from './address-text.js';

/** What routers write into a message for each other. All of it is optional. */
export interface RouterAnnotations {
  to?: string | undefined;
  /** 0 to 9; 22 marks a fallback. */
  phase?: number | undefined;
  /** Its source marked the message as one that is to be sent on while it still arrives. */
  stream?: true | undefined;
  ingress?: string | undefined;
  trace?: readonly string[] | undefined;
}

const PREFIX = 'x-opt-qd.';
/** What follows the prefix in keys of routers. Other keys are the user's, whatever they begin with. */
const NAMES: ReadonlySet<string> = new Set(['', 'to', 'phase', 'stream', 'ingress', 'trace', 'class']);

/** Head of a message up to the properties, taken apart. Offsets are those of the bytes that were parsed. */
export interface MessageHead {
  /** Header and delivery annotations, as they stood. */
  readonly frontEnd: number;
  /** Where the properties or what follows begins. */
  readonly rest: number;
  /** `[start, end)` of the user's message annotations as alternating keys and values; equal where there are none. */
  readonly userStart: number;
  readonly userEnd: number;
  readonly userCount: number;
  readonly annotations: RouterAnnotations;
  /** Whether there was any router annotation to take off. */
  readonly hasRouterAnnotations: boolean;
}

/**
 * True where it is plain at a glance that there are no annotations: the message begins with a section behind which none
 * can stand, or with a header and such a section. That is the common case.
 */
export function hasNoAnnotations(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 3) return true;
  if (bytes[start] !== 0 || bytes[start + 1] !== 0x53) return false;
  const code = bytes[start + 2]!;
  return code > SECTION.messageAnnotations || (code === SECTION.header && isPlainBehind(bytes, start + 3, end));
}

/** @param at - where the list of a header begins */
function isPlainBehind(bytes: Uint8Array, at: number, end: number): boolean {
  const form = bytes[at];
  const next = form === 0x45 ? at + 1 : form === 0xc0 ? at + 2 + bytes[at + 1]! : end;
  return (
    next + 3 <= end && bytes[next] === 0 && bytes[next + 1] === 0x53 && bytes[next + 2]! > SECTION.messageAnnotations
  );
}

/**
 * Takes the head of a message apart. Router annotations stand behind those of the user; from the first one on, all
 * further keys are taken for router's.
 *
 * @throws RemoteProtocolError `amqp:decode-error` where the sections are malformed, or not all there;
 *   `amqp:invalid-field` where the message annotations are not what they have to be
 */
export function headOf(bytes: Uint8Array, start: number, end: number): MessageHead {
  let position = start;
  let frontEnd = start;
  // What does not begin with a descriptor is no section: nothing of it is for routers.
  while (position < end && bytes[position] === 0) {
    // What stands behind the annotations need not be all there, nor be what it says.
    if ((sectionCodeAt(bytes, position, end) ?? 0) > SECTION.messageAnnotations) break;
    const span = sectionAt(bytes, position, end);
    if (span.code < SECTION.messageAnnotations) {
      frontEnd = position = span.end;
      continue;
    }
    return annotationsOf(bytes, span.valueStart, span.end, frontEnd);
  }
  return {
    frontEnd,
    rest: position,
    userStart: position,
    userEnd: position,
    userCount: 0,
    annotations: {},
    hasRouterAnnotations: false,
  };
}

function annotationsOf(bytes: Uint8Array, valueStart: number, sectionEnd: number, frontEnd: number): MessageHead {
  const code = bytes[valueStart];
  let at = valueStart;
  let count: number;
  if (code === 0xc1) {
    count = bytes[at + 2]!;
    at += 3;
  } else if (code === 0xd1) {
    count = ((bytes[at + 5]! << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!) >>> 0;
    at += 9;
  } else if (code === 0x40) {
    return {
      frontEnd,
      rest: sectionEnd,
      userStart: at,
      userEnd: at,
      userCount: 0,
      annotations: {},
      hasRouterAnnotations: false,
    };
  } else {
    throw invalidField('Invalid message annotations section - missing map type');
  }
  if (at > sectionEnd || count > sectionEnd - at) throw decodeError('message annotations that are no map', '3.2.3');
  if (count % 2 !== 0) throw invalidField('Invalid MA map count (odd number of fields)');
  const userStart = at;
  const annotations: RouterAnnotations = {};
  let userEnd = at;
  let userCount = 0;
  let foreign = false;
  for (let i = 0; i < count; i += 2) {
    const keyStart = at;
    const valueAt = skipValue(bytes, keyStart, sectionEnd);
    const next = skipValue(bytes, valueAt, sectionEnd);
    if (!foreign) foreign = isRouterKey(bytes, keyStart);
    if (foreign) takeAnnotation(annotations, bytes, keyStart, sectionEnd);
    else {
      userEnd = next;
      userCount += 2;
    }
    at = next;
  }
  if (at !== sectionEnd) throw decodeError('message annotations with bytes behind them', '3.2.3');
  return { frontEnd, rest: sectionEnd, userStart, userEnd, userCount, annotations, hasRouterAnnotations: foreign };
}

function isRouterKey(bytes: Uint8Array, at: number): boolean {
  const length = bytes[at + 1]!;
  if (bytes[at] !== 0xa3 || length < PREFIX.length) return false;
  for (let i = 0; i < PREFIX.length; i++) if (bytes[at + 2 + i] !== PREFIX.charCodeAt(i)) return false;
  let name = '';
  for (let i = PREFIX.length; i < length && name.length < 8; i++) name += String.fromCharCode(bytes[at + 2 + i]!);
  return NAMES.has(name);
}

function invalidField(description: string): RemoteProtocolError {
  return new RemoteProtocolError('amqp:invalid-field', description, { scope: 'link', section: '3.2.3' });
}

function takeAnnotation(into: RouterAnnotations, bytes: Uint8Array, at: number, end: number): void {
  const r = new Reader(bytes, at, end);
  const key = readValue(r);
  const value = readValue(r);
  if (!(key instanceof AmqpSymbol)) return;
  switch (key.value) {
    case 'x-opt-qd.to':
      if (typeof value !== 'string') throw invalidField('to-override not a valid string type');
      into.to = value;
      break;
    case 'x-opt-qd.phase':
      into.phase = phaseNumber(value);
      break;
    case 'x-opt-qd.stream':
      into.stream = true;
      break;
    case 'x-opt-qd.ingress':
      if (typeof value !== 'string') throw invalidField('ingress router not a string type');
      into.ingress = value;
      break;
    case 'x-opt-qd.trace':
      into.trace = traceOf(value);
      break;
    default:
  }
}

/** 0 to 9, or that of a fallback; what is neither is passed over. */
function phaseNumber(value: AmqpValue): number | undefined {
  const phase = Number(value);
  return (Number.isInteger(phase) && phase >= 0 && phase <= 9) || phase === FALLBACK_PHASE ? phase : undefined;
}

function traceOf(value: AmqpValue): string[] {
  if (!Array.isArray(value)) throw invalidField('trace annotation is not a list');
  return value.map((entry) => {
    if (typeof entry !== 'string') throw invalidField('trace list contains non-string entries');
    return entry;
  });
}

/**
 * What stands in front of the properties of a message on its way out: header and delivery annotations as they came, the
 * user's annotations as they came, then the router's, in the order in which other routers expect them.
 */
export function writeHead(
  bytes: Uint8Array,
  start: number,
  head: MessageHead,
  annotations: RouterAnnotations | undefined,
): Uint8Array {
  const w = new Writer(256 + head.rest - start);
  writeRawBytes(w, bytes.subarray(start, head.frontEnd));
  const own = annotations === undefined ? [] : entriesOf(annotations);
  const count = head.userCount + own.length * 2;
  if (count === 0) return w.toBytes();
  writeDescriptor(w, SECTION.messageAnnotations);
  const map = beginCompound(w, 0xd1, count);
  writeRawBytes(w, bytes.subarray(head.userStart, head.userEnd));
  for (const [key, value] of own) {
    writeSymbol(w, key);
    if (typeof value === 'string') writeString(w, value);
    else writeValue(w, value);
  }
  endCompound(w, map);
  return w.toBytes();
}

function entriesOf(annotations: RouterAnnotations): [string, AmqpValue][] {
  const entries: [string, AmqpValue][] = [];
  if (annotations.phase !== undefined && annotations.phase !== 0) entries.push(['x-opt-qd.phase', annotations.phase]);
  if (annotations.stream === true) entries.push(['x-opt-qd.stream', 1]);
  if (annotations.to !== undefined) entries.push(['x-opt-qd.to', annotations.to]);
  if (annotations.ingress !== undefined) entries.push(['x-opt-qd.ingress', annotations.ingress]);
  if (annotations.trace !== undefined) entries.push(['x-opt-qd.trace', [...annotations.trace]]);
  return entries;
}
