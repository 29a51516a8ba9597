// SPDX-License-Identifier: Apache-2.0
import {
  AmqpArray,
  AmqpSymbol,
  DESCRIPTOR_CODES,
  Described,
  FRAME_HEADER_SIZE,
  FRAME_SASL,
  PROTOCOL_SASL,
  PROTOCOL_TLS,
  ProtocolError,
  Reader,
  Typed,
  composites,
  protocolIdOf,
  readValue,
} from '@pointsman/wire';
import type { AmqpValue, Composite } from '@pointsman/wire';

/** `->` is what we say, `<-` what the peer says. */
export type TraceDirection = '->' | '<-';

/** A frame as text, and what of it matters for those that follow. */
export interface TracedFrame {
  readonly text: string;
  /** Of a transfer: its link. */
  readonly handle: number | undefined;
  /** More of the same delivery follows. */
  readonly more: boolean;
  /** Its payload was kept back. */
  readonly isHidden: boolean;
}

/** Longest text of a frame, in characters, and the most bytes of a payload that are shown. */
const TEXT_MAX = 2_000;
const PAYLOAD_MAX = 512;
/** Bytes of a payload that are searched for secrets. */
const SEARCH_MAX = 8_192;

const BY_CODE: ReadonlyMap<number, Composite> = new Map(composites.map((composite) => [composite.code, composite]));

/** Fields that carry credentials, whatever the mechanism. 5.3.3 */
const SECRET_FIELDS: ReadonlySet<string> = new Set(['initial-response', 'challenge', 'response', 'additional-data']);
/** Keys of maps whose values are nobody's business. */
const SECRET_KEY = /password|passwd|secret|token|signature|authorization|credential/i;
/** What shows that a text or a payload holds a key or a token: those of CBS, and of configurations. */
const SECRET_TEXT = /put-token|SharedAccess(?:Key|Signature)|password|\bsig=|\bBearer /i;

const HIDDEN = '<hidden>';

/** The protocol header at `at`: `-> AMQP`. */
export function headerTrace(direction: TraceDirection, bytes: Uint8Array, at: number): string {
  const id = protocolIdOf(bytes, at);
  const name = typeof id === 'string' ? id : id === PROTOCOL_SASL ? 'SASL' : id === PROTOCOL_TLS ? 'TLS' : 'AMQP';
  return `${direction} ${name}`;
}

/**
 * A frame as tools of this field write it: `0 -> @transfer(20) [handle=0, delivery-id=0] (108) "payload"`.
 *
 * Secrets are left out: responses of SASL, tokens of claims-based security, passwords. Nothing is thrown, whatever the
 * bytes are.
 *
 * @param end - of the bytes that are here, at least the performative
 * @param size - of the whole frame
 * @param hide - keep the payload back
 */
export function frameTrace(
  direction: TraceDirection,
  bytes: Uint8Array,
  start: number,
  end: number,
  size: number = end - start,
  hide = false,
): TracedFrame {
  const body = start + (bytes[start + 4]! << 2);
  const channel = bytes[start + 5] === FRAME_SASL ? 0 : (bytes[start + 6]! << 8) | bytes[start + 7]!;
  const head = `FRAME: ${channel} ${direction} `;
  if (body === start + size) return plain(`${head}(EMPTY FRAME)`);
  if (body < start + FRAME_HEADER_SIZE || body > end) return plain(`${head}(MALFORMED FRAME of ${size} bytes)`);
  const reader = new Reader(bytes, body, end);
  let performative: AmqpValue;
  try {
    performative = readValue(reader);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return plain(`${head}(MALFORMED FRAME of ${size} bytes)`);
  }
  const out = new TraceText(head);
  out.value(performative);
  const payload = start + size - reader.position;
  if (payload <= 0) return plain(out.finished());
  const here = bytes.subarray(reader.position, end);
  const isHidden = hide || SECRET_TEXT.test(latinOf(here.subarray(0, SEARCH_MAX)));
  const fields = performative instanceof Described && Array.isArray(performative.value) ? performative.value : [];
  const shown = isHidden ? HIDDEN : quoted(here.subarray(0, PAYLOAD_MAX));
  const cut = !isHidden && payload > PAYLOAD_MAX ? '... (truncated)' : '';
  return {
    text: `${out.finished()} (${payload}) ${shown}${cut}`,
    handle: fields[0] instanceof Typed ? Number(fields[0].value) : undefined,
    more: fields[5] === true,
    isHidden,
  };
}

/** A value as it stands in a frame's text. Secrets are left out; of what is very long, the end. */
export function valueTrace(value: AmqpValue): string {
  const out = new TraceText('');
  out.value(value);
  return out.finished();
}

const plain = (text: string): TracedFrame => ({ text, handle: undefined, more: false, isHidden: false });

/** Collects text up to {@link TEXT_MAX}: beyond it nothing more is looked at. */
class TraceText {
  #text: string;

  constructor(head: string) {
    this.#text = head;
  }

  finished(): string {
    return this.#isFull ? `${this.#text.slice(0, TEXT_MAX)}... (truncated)` : this.#text;
  }

  get #isFull(): boolean {
    return this.#text.length > TEXT_MAX;
  }

  value(value: AmqpValue): void {
    if (this.#isFull) return;
    if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint') {
      this.#text += String(value);
    } else if (typeof value === 'string') {
      this.#text += SECRET_TEXT.test(value) ? HIDDEN : quotedText(value);
    } else if (value instanceof AmqpSymbol) {
      this.#text += symbolText(value.value);
    } else if (value instanceof Uint8Array) {
      this.#text += `b${quoted(value.subarray(0, TEXT_MAX))}`;
    } else if (value instanceof Typed) {
      this.#text += typedText(value);
    } else if (Array.isArray(value)) {
      this.#list(value);
    } else if (value instanceof Map) {
      this.#map(value);
    } else if (value instanceof AmqpArray) {
      this.#text += `@${value.elementType}`;
      this.#list(value.values);
    } else {
      this.#described(value);
    }
  }

  #list(values: readonly AmqpValue[]): void {
    this.#text += '[';
    for (let i = 0; i < values.length && !this.#isFull; i++) {
      if (i > 0) this.#text += ', ';
      this.value(values[i]!);
    }
    this.#text += ']';
  }

  #map(values: ReadonlyMap<AmqpValue, AmqpValue>): void {
    this.#text += '{';
    let rest = false;
    for (const [key, value] of values) {
      if (this.#isFull) break;
      if (rest) this.#text += ', ';
      rest = true;
      this.value(key);
      this.#text += '=';
      const name = key instanceof AmqpSymbol ? key.value : key;
      if (typeof name === 'string' && SECRET_KEY.test(name)) this.#text += HIDDEN;
      else this.value(value);
    }
    this.#text += '}';
  }

  #described({ descriptor, value }: Described): void {
    const composite = compositeOf(descriptor);
    if (composite === undefined || !Array.isArray(value)) {
      this.#text += '@';
      this.value(descriptor);
      this.#text += ' ';
      this.value(value);
      return;
    }
    this.#text += `@${composite.name}(${composite.code}) [`;
    let rest = false;
    for (let i = 0; i < value.length && !this.#isFull; i++) {
      const field = value[i];
      if (field === null || field === undefined) continue;
      const name = composite.fields[i]?.name ?? String(i);
      this.#text += `${rest ? ', ' : ''}${name}=`;
      rest = true;
      if (SECRET_FIELDS.has(name)) this.#text += HIDDEN;
      else this.value(field);
    }
    this.#text += ']';
  }
}

function compositeOf(descriptor: AmqpValue): Composite | undefined {
  if (descriptor instanceof AmqpSymbol) return BY_CODE.get(DESCRIPTOR_CODES.get(descriptor.value) ?? -1);
  return descriptor instanceof Typed && typeof descriptor.value === 'bigint'
    ? BY_CODE.get(Number(descriptor.value))
    : undefined;
}

function typedText(value: Typed): string {
  if (value.type === 'char') return `'${String.fromCodePoint(Math.min(Number(value.value), 0x10ffff))}'`;
  if (value.type === 'uuid' && value.value instanceof Uint8Array) {
    return value.toString().replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }
  return value.toString();
}

/** Names are bare behind their colon, all else is in quotes. */
function symbolText(text: string): string {
  return `:${/^[A-Za-z_]\w*$/.test(text) ? text : quotedText(text)}`;
}

function quotedText(text: string): string {
  const shown = text
    .slice(0, TEXT_MAX)
    .replace(/["\\]/g, '\\$&')
    // eslint-disable-next-line no-control-regex
    .replace(/[\u0000-\u001f\u007f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return `"${shown}"`;
}

function quoted(bytes: Uint8Array): string {
  let text = '"';
  for (const byte of bytes) {
    if (byte === 0x22 || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`;
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `${text}"`;
}

function latinOf(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
