// SPDX-License-Identifier: Apache-2.0
import { AmqpArray, AmqpSymbol, ProtocolError, Reader, SECTION, Typed, readValue, sectionAt } from '@pointsman/wire';
import type { AmqpValue, SectionSpan } from '@pointsman/wire';

/** Parts of a message that can be logged, in their order. The first 13 are the fields of its properties. 3.2.4 */
export const MESSAGE_COMPONENTS = [
  'message-id',
  'user-id',
  'to',
  'subject',
  'reply-to',
  'correlation-id',
  'content-type',
  'content-encoding',
  'absolute-expiry-time',
  'creation-time',
  'group-id',
  'group-sequence',
  'reply-to-group-id',
  'app-properties',
] as const;

export type MessageComponent = (typeof MESSAGE_COMPONENTS)[number];

/** Longest text of a message, in characters. */
const TEXT_MAX = 1_900;
/** Longest section that is looked into, in bytes: a larger one says more than a line of a log can. */
const SECTION_MAX = 1 << 16;

/**
 * Reads messageLoggingComponents: `none`, `all`, or names separated by commas. Names that are none are passed over.
 *
 * @returns undefined for none
 */
export function messageComponentsOf(setting: string): ReadonlySet<MessageComponent> | undefined {
  const names = setting.split(',').map((name) => name.trim());
  const chosen = names.includes('all') ? MESSAGE_COMPONENTS : MESSAGE_COMPONENTS.filter((name) => names.includes(name));
  return chosen.length === 0 || names.includes('none') ? undefined : new Set(chosen);
}

/**
 * The chosen parts of a message as text: `Message{user-id=b"u", subject="s"}`. Times are in UTC. What the message does not
 * have is left out, and so is what lies beyond the bytes that are here. Nothing is thrown, whatever they are.
 *
 * @param bytes - a message, or its beginning, in `[start, end)`
 */
export function messageText(
  bytes: Uint8Array,
  components: ReadonlySet<MessageComponent>,
  start = 0,
  end: number = bytes.length,
): string {
  const shown: string[] = [];
  try {
    for (let position = start; position < end;) {
      const span = sectionAt(bytes, position, end);
      if (span.code > SECTION.applicationProperties) break;
      position = span.end;
      if (span.end - span.start <= SECTION_MAX) showSection(bytes, span, components, shown);
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  const text = shown.join(', ');
  return `Message{${text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}...` : text}}`;
}

function showSection(
  bytes: Uint8Array,
  { code, valueStart, end }: SectionSpan,
  components: ReadonlySet<MessageComponent>,
  shown: string[],
): void {
  if (code === SECTION.properties) {
    const fields = readValue(new Reader(bytes, valueStart, end));
    if (!Array.isArray(fields)) return;
    for (const [index, name] of MESSAGE_COMPONENTS.entries()) {
      const field = fields[index];
      if (field === undefined || field === null || name === 'app-properties' || !components.has(name)) continue;
      shown.push(`${name}=${textOf(field)}`);
    }
  } else if (code === SECTION.applicationProperties && components.has('app-properties')) {
    shown.push(`app-properties=${textOf(readValue(new Reader(bytes, valueStart, end)))}`);
  }
}

function textOf(value: AmqpValue): string {
  if (typeof value === 'string') return quoted(value);
  if (value === null || typeof value !== 'object') return String(value);
  if (value instanceof AmqpSymbol) return `:${quoted(value.value)}`;
  if (value instanceof Uint8Array) return `b${quoted(latinOf(value))}`;
  if (value instanceof Typed) return value.type === 'timestamp' ? timeText(Number(value.value)) : value.toString();
  if (value instanceof AmqpArray) return `[${listText(value.values)}]`;
  if (Array.isArray(value)) return `[${listText(value)}]`;
  if (value instanceof Map) {
    return `{${[...value].map(([key, entry]) => `${textOf(key)}=${textOf(entry)}`).join(', ')}}`;
  }
  return textOf(value.value);
}

const listText = (values: readonly AmqpValue[]): string => values.map(textOf).join(', ');

function quoted(text: string): string {
  // eslint-disable-next-line no-control-regex
  const plain = text.slice(0, TEXT_MAX).replace(/[\u0000-\u001f"\\\u007f-\u009f]/g, (char) => {
    return char === '"' || char === '\\' ? `\\${char}` : `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
  return `"${plain}"`;
}

function latinOf(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes.subarray(0, TEXT_MAX)) text += String.fromCharCode(byte);
  return text;
}

/** Furthest time that a Date can hold, in ms. */
const TIME_MAX = 8.64e15;

function timeText(ms: number): string {
  if (Math.abs(ms) > TIME_MAX) return String(ms);
  return `"${new Date(ms).toISOString().replace('T', ' ').replace('Z', ' +0000')}"`;
}
