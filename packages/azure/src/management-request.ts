// SPDX-License-Identifier: Apache-2.0
import { AmqpSymbol, SECTION, decodeMessage, encodeMessage, int, plainOf, sectionsOf, symbol } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Message, Properties, PropertiesFields, SectionSpan } from '@pointsman/wire';

/** @throws RemoteProtocolError where the message is malformed */
export function propertiesOf(message: Uint8Array): Properties | undefined {
  return section(message, SECTION.properties)?.properties as Properties | undefined;
}

/** The message with other properties; all other sections are the same bytes. */
export function withProperties(message: Uint8Array, properties: PropertiesFields): Uint8Array {
  const sections = sectionsOf(message);
  const before = sections.filter(({ code }) => code < SECTION.properties).at(-1)?.end ?? 0;
  const after = sections.find(({ code }) => code > SECTION.properties)?.start ?? message.length;
  return joined([message.subarray(0, before), encodeMessage({ properties }), message.subarray(after)]);
}

/** Requests about what was received say on which link. */
const LINK_NAME = 'associated-link-name';
const SESSION_ID = 'session-id';

/**
 * Operations that ask for no session of the one who asks: `session-id` only picks what is looked at, or is of what is sent. With
 * all others, unknown ones too, it says whose lock they lean on.
 */
const FREE_OF_SESSIONS: ReadonlySet<unknown> = new Set(
  [
    'peek-message',
    'schedule-message',
    'cancel-scheduled-message',
    'get-message-sessions',
    'add-rule',
    'remove-rule',
    'enumerate-rules',
  ].map((name) => `com.microsoft:${name}`),
);

/**
 * Whether a request names what it works on by lock tokens, which only who received it knows. With it clients write the session of
 * the message, whether the entity has sessions or not: a dead-letter queue, for one, has none.
 */
export function isByLockToken(message: Uint8Array): boolean {
  const { applicationProperties } = section(message, SECTION.applicationProperties) ?? {};
  return plainOf(applicationProperties?.get('operation')) === 'com.microsoft:update-disposition';
}

/** Clients of event hubs give their token with each request: it is one that the router knows, not the service. */
const SECURITY_TOKEN = 'security_token';
const HUB_TYPE = /^com\.microsoft:(?:eventhub|partition)$/iu;

/** What a client asks of the event hubs of a namespace; undefined where it is something else. */
export function hubQuestion(
  message: Uint8Array,
): { readonly hub: string; readonly token: string | undefined } | undefined {
  const { applicationProperties } = section(message, SECTION.applicationProperties) ?? {};
  const text = (name: string): string | undefined => {
    const value = plainOf(applicationProperties?.get(name));
    return typeof value === 'string' ? value : undefined;
  };
  const hasToken = applicationProperties?.has(SECURITY_TOKEN) === true;
  if (!hasToken && !HUB_TYPE.test(text('type') ?? '')) return undefined;
  return { hub: text('name') ?? '', token: hasToken ? (text(SECURITY_TOKEN) ?? '') : undefined };
}

/** The request with another token, or without one. */
export function withSecurityToken(message: Uint8Array, token: string | undefined): Uint8Array {
  const span = spanOf(message, SECTION.applicationProperties);
  if (span === undefined) return message;
  const applicationProperties = new Map(decodeMessage(message, span.start, span.end).applicationProperties);
  if (token === undefined) applicationProperties.delete(SECURITY_TOKEN);
  else applicationProperties.set(SECURITY_TOKEN, token);
  return joined([
    message.subarray(0, span.start),
    encodeMessage({ applicationProperties }),
    message.subarray(span.end),
  ]);
}

/** The request with the name that its link has at the service. @throws RemoteProtocolError where the message is malformed */
export function withLinkName(message: Uint8Array, nameOf: (name: string) => string): Uint8Array {
  const span = spanOf(message, SECTION.applicationProperties);
  const { applicationProperties } = span === undefined ? {} : decodeMessage(message, span.start, span.end);
  const name = plainOf(applicationProperties?.get(LINK_NAME));
  if (span === undefined || typeof name !== 'string') return message;
  const changed = encodeMessage({ applicationProperties: new Map(applicationProperties).set(LINK_NAME, nameOf(name)) });
  return joined([message.subarray(0, span.start), changed, message.subarray(span.end)]);
}

/**
 * The message sessions whose locks a request leans on. All that somebody could read as one counts: under a string or a symbol, as
 * text or not. A key cannot be there twice: that is a malformed map.
 *
 * @throws RemoteProtocolError where the message is malformed
 */
export function sessionIdsOf(message: Uint8Array): readonly string[] {
  const { applicationProperties } = section(message, SECTION.applicationProperties) ?? {};
  if (FREE_OF_SESSIONS.has(plainOf(applicationProperties?.get('operation')))) return [];
  const { body } = section(message, SECTION.amqpValue) ?? {};
  const value = body?.kind === 'value' ? body.value : null;
  if (!(value instanceof Map)) return [];
  const ids: string[] = [];
  for (const [key, id] of value) {
    const name = key instanceof AmqpSymbol ? key.value : key;
    // Null is the same as none: clients without a session say so.
    if (name === SESSION_ID && id !== null) ids.push(String(plainOf(id) ?? ''));
  }
  return ids;
}

/** What the service says to a connection that does not hold a session. */
export function sessionLockLost(sessionId: string): AmqpErrorFields {
  return {
    condition: 'com.microsoft:session-lock-lost',
    description: `The session lock was lost. Request a new session receiver. No link of this client through the router has the session '${shown(sessionId)}'.`,
  };
}

/** As the service has them in its answers, where they are not 500. */
const STATUS: Readonly<Record<string, number>> = {
  'amqp:not-allowed': 400,
  'amqp:decode-error': 400,
  'com.microsoft:argument-error': 400,
  'amqp:unauthorized-access': 401,
  'amqp:resource-limit-exceeded': 403,
  'amqp:link:message-size-exceeded': 403,
  'amqp:not-found': 404,
  'com.microsoft:timeout': 408,
  'com.microsoft:session-lock-lost': 410,
  'com.microsoft:server-busy': 503,
};

/** The answer of a node for management to a request that is refused. */
export function refusalOf(error: AmqpErrorFields, properties: PropertiesFields): Uint8Array {
  const status = Object.hasOwn(STATUS, error.condition) ? STATUS[error.condition]! : 500;
  return encodeMessage({
    properties,
    applicationProperties: new Map<string, AmqpValue>([
      ['statusCode', int(status)],
      ['statusDescription', error.description ?? error.condition],
      ['errorCondition', symbol(error.condition)],
    ]),
    body: { kind: 'value', value: new Map<AmqpValue, AmqpValue>() },
  });
}

function spanOf(message: Uint8Array, code: number): SectionSpan | undefined {
  return sectionsOf(message).find((one) => one.code === code);
}

function section(message: Uint8Array, code: number): Message | undefined {
  const span = spanOf(message, code);
  return span === undefined ? undefined : decodeMessage(message, span.start, span.end);
}

/** As much of an id as the service allows, on one line. */
function shown(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.slice(0, 128).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/gu, ' ');
}

/** Pieces as one. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
