// SPDX-License-Identifier: Apache-2.0
import {
  AmqpSymbol,
  decodeError,
  Reader,
  readAnnotations,
  readBinary,
  readHeaderBody,
  readPropertiesBody,
  readStringMap,
  SECTION,
  sectionsOf,
  Typed,
  Writer,
  writeAnnotations,
  writeDescriptor,
  writeHeader,
  writeProperties,
  writeRawBytes,
  writeStringMap,
  type AmqpValue,
  type HeaderFields,
  type PropertiesFields,
  type SectionSpan,
} from '@pointsman/wire';
import { hexOf } from './guid.js';

/** Message format of a batch: a series of data sections, each holding one encoded message. */
export const BATCH_FORMAT = 0x8001_3700;

/** Bytes of a text or binary among the application properties. */
const PROPERTY_MAX = 32_768;
/** Bytes of all properties of a message, its header included. */
export const HEADER_MAX = 65_536;

const UINT_MAX = 0xffff_ffff;

/** Messages in one batch: what fits in the largest batch, at a few bytes each, is far below. */
const BATCH_MESSAGES_MAX = 16_384;

/** Annotations that the broker sets. What a sender put there is not kept. */
const BROKER_ANNOTATIONS: ReadonlySet<string> = new Set([
  'x-opt-sequence-number',
  'x-opt-enqueue-sequence-number',
  'x-opt-enqueued-time',
  'x-opt-locked-until',
  'x-opt-message-state',
  'x-opt-deadletter-source',
  'x-opt-lock-token',
  'x-opt-partition-id',
]);

/** Annotations that the service does not take without a value. Of others, as of a partition key, null is as good as none. */
const NEVER_NULL = ['x-opt-scheduled-enqueue-time', 'x-opt-message-state', 'x-opt-enqueue-sequence-number'] as const;

type Annotations = Map<string | bigint, AmqpValue>;

/**
 * A message as it was sent. All sections are kept bit for bit; header and message annotations are decoded too, because
 * they are written anew each time the message goes out.
 */
export class MessageContent {
  readonly format: number;
  readonly header: HeaderFields | undefined;
  /** Without those that the broker sets. */
  readonly annotations: ReadonlyMap<string | bigint, AmqpValue> | undefined;
  /** A message annotation that is null and must not be. */
  readonly nullAnnotation: string | undefined;
  /** Properties, application properties, body and footer as they came. */
  readonly bare: Uint8Array;
  /** Span of the application properties in `bare`; empty, at the place where they belong, where there are none. */
  readonly #applicationProperties: { readonly start: number; readonly end: number; readonly value: number | undefined };
  readonly messageId: AmqpValue;
  /** Place of the properties in `bare`, where there are any; their list begins at `value`. */
  readonly #properties: { readonly start: number; readonly value: number; readonly end: number } | undefined;
  /** `group-id`: the message session that it belongs to. */
  readonly groupId: string | undefined;
  /** Time to live in milliseconds, undefined for no end. 0 is not a valid one; the caller refuses it. */
  readonly ttlMs: number | undefined;
  /** Of the whole message as sent. */
  readonly sizeBytes: number;
  /** Of its header, message annotations, properties and application properties. */
  readonly headerBytes: number;
  /** Whether one of the application properties is larger than the service takes. */
  readonly hasLargeProperty: boolean;

  private constructor(bytes: Uint8Array, format: number, spans: readonly SectionSpan[]) {
    this.format = format;
    this.sizeBytes = bytes.length;
    const at = (code: number): SectionSpan | undefined => spans.find((span) => span.code === code);
    const reader = (span: SectionSpan): Reader => new Reader(bytes, span.valueStart, span.end);

    const header = at(SECTION.header);
    this.header = header === undefined ? undefined : readHeaderBody(reader(header));
    const annotations = at(SECTION.messageAnnotations);
    const given = annotations === undefined ? undefined : readAnnotations(reader(annotations));
    this.nullAnnotation = NEVER_NULL.find((name) => given?.get(name) === null);
    this.annotations = given === undefined ? undefined : withoutBrokers(given);
    const properties = at(SECTION.properties);
    const fields = properties === undefined ? undefined : readPropertiesBody(reader(properties));
    this.messageId = fields?.messageId ?? null;
    this.groupId = fields?.groupId ?? undefined;
    this.ttlMs = ttlOf(this.header, fields);

    const first = spans.find((span) => span.code >= SECTION.properties);
    const start = first?.start ?? bytes.length;
    this.bare = bytes.subarray(start);
    this.#properties =
      properties === undefined
        ? undefined
        : { start: properties.start - start, value: properties.valueStart - start, end: properties.end - start };
    const own = at(SECTION.applicationProperties);
    // Decoded once now, so that a malformed map is refused here and not when the message is dead-lettered.
    const map = own === undefined ? undefined : readStringMap(reader(own));
    const ownBytes = own === undefined ? 0 : own.end - own.start;
    this.hasLargeProperty = ownBytes > PROPERTY_MAX && [...(map?.values() ?? [])].some(isLarge);
    this.headerBytes = spans
      .filter(({ code }) => code <= SECTION.applicationProperties && code !== SECTION.deliveryAnnotations)
      .reduce((sum, span) => sum + span.end - span.start, 0);
    const place = (own?.start ?? properties?.end ?? start) - start;
    this.#applicationProperties =
      own === undefined
        ? { start: place, end: place, value: undefined }
        : { start: place, end: own.end - start, value: own.valueStart - start };
  }

  /**
   * @param newMessageId - makes an id for a message that has none; left out, it stays without
   * @throws RemoteProtocolError `amqp:decode-error` where the bytes are not a message
   */
  static read(given: Uint8Array, format: number, newMessageId?: () => string): MessageContent {
    const { bytes, spans } = arranged(given);
    const content = new MessageContent(bytes, format, spans);
    if (content.messageId !== null || newMessageId === undefined) return content;
    // The official JavaScript client cannot settle a message without an id, so the service must give one to those that
    // come without. Of the sections that are kept as they came, this is the one that changes.
    const properties = spans.find((span) => span.code === SECTION.properties);
    const at = properties?.start ?? spans.find((span) => span.code > SECTION.properties)?.start ?? bytes.length;
    const fields =
      properties === undefined ? {} : readPropertiesBody(new Reader(bytes, properties.valueStart, properties.end));
    const w = new Writer();
    writeRawBytes(w, bytes.subarray(0, at));
    writeProperties(w, { ...fields, messageId: newMessageId() });
    writeRawBytes(w, bytes.subarray(properties?.end ?? at));
    const whole = w.toBytes();
    return new MessageContent(whole, format, spansOf(whole));
  }

  /** When the sender wants it to appear, in ms since 1970. */
  get scheduledAtUtc(): number | undefined {
    const at = numberOf(this.annotations?.get('x-opt-scheduled-enqueue-time'));
    return at === undefined || Math.abs(at) === Infinity ? undefined : at;
  }

  /** The properties section, decoded anew. */
  properties(): PropertiesFields {
    const place = this.#properties;
    return place === undefined ? {} : readPropertiesBody(new Reader(this.bare, place.value, place.end));
  }

  /** The same message with other properties and application properties; everything else stays bit for bit. */
  with(properties: PropertiesFields, applicationProperties: ReadonlyMap<string, AmqpValue>): MessageContent {
    const { end } = this.#applicationProperties;
    const w = new Writer();
    if (this.header !== undefined) writeHeader(w, this.header);
    if (this.annotations !== undefined) {
      writeDescriptor(w, SECTION.messageAnnotations);
      writeAnnotations(w, this.annotations);
    }
    writeProperties(w, properties);
    if (applicationProperties.size > 0) {
      writeDescriptor(w, SECTION.applicationProperties);
      writeStringMap(w, applicationProperties);
    }
    writeRawBytes(w, this.bare.subarray(end));
    const bytes = w.toBytes();
    return new MessageContent(bytes, this.format, spansOf(bytes));
  }

  /** The whole message, to be read again; without delivery annotations, which are for one hop. */
  stored(): Uint8Array {
    const w = new Writer();
    if (this.header !== undefined) writeHeader(w, this.header);
    if (this.annotations !== undefined) {
      writeDescriptor(w, SECTION.messageAnnotations);
      writeAnnotations(w, this.annotations);
    }
    writeRawBytes(w, this.bare);
    return w.toBytes();
  }

  applicationProperties(): Map<string, AmqpValue> {
    const { value, end } = this.#applicationProperties;
    return value === undefined ? new Map() : (readStringMap(new Reader(this.bare, value, end)) ?? new Map());
  }

  /**
   * The message as it goes out: header and annotations written anew, then the rest as it came, with the application
   * properties extended where settling or dead-lettering changed some.
   *
   * @param deliveryCount - earlier attempts, 0 the first time
   * @param expiry - time to live as the entity caps it, in ms, and when it began, in ms since 1970: told with its end
   * @param forThisHop - delivery annotations
   * @returns pieces to be sent one behind the other; the last is never copied
   */
  encode(
    deliveryCount: number,
    brokerAnnotations: Annotations,
    changes?: ReadonlyMap<string, AmqpValue>,
    expiry?: { readonly ttlMs: number; readonly fromUtc: number },
    forThisHop?: Annotations,
  ): Uint8Array[] {
    const w = new Writer();
    const ttl = expiry === undefined ? this.header?.ttl : Math.min(expiry.ttlMs, UINT_MAX);
    writeHeader(w, { ...this.header, ttl, deliveryCount });
    if (forThisHop !== undefined) {
      writeDescriptor(w, SECTION.deliveryAnnotations);
      writeAnnotations(w, forThisHop);
    }
    const annotations: Annotations = new Map(this.annotations);
    for (const [key, value] of brokerAnnotations) annotations.set(key, value);
    writeDescriptor(w, SECTION.messageAnnotations);
    writeAnnotations(w, annotations);
    let from = 0;
    if (expiry !== undefined) {
      const properties = this.properties();
      writeProperties(w, {
        ...properties,
        absoluteExpiryTime: BigInt(expiry.fromUtc + expiry.ttlMs),
        // Clients take the difference of the two for the time to live.
        creationTime: properties.creationTime === undefined ? undefined : BigInt(expiry.fromUtc),
      });
      from = this.#properties?.end ?? 0;
    }
    if (changes === undefined || changes.size === 0) return [w.toBytes(), this.bare.subarray(from)];

    const { start, end } = this.#applicationProperties;
    const changed = new Writer();
    writeDescriptor(changed, SECTION.applicationProperties);
    writeStringMap(changed, new Map([...this.applicationProperties(), ...changes]));
    return [w.toBytes(), this.bare.subarray(from, start), changed.toBytes(), this.bare.subarray(end)];
  }
}

/** The service reads sections in whatever order they come: its client for Python has delivery annotations at the end. */
function spansOf(bytes: Uint8Array): SectionSpan[] {
  return sectionsOf(bytes, 0, bytes.length, 'any');
}

/** Delivery annotations behind the body stay there, as part of what is kept as it came. */
function placeOf({ code }: SectionSpan, behind: number): number {
  return code === SECTION.deliveryAnnotations && behind > code ? SECTION.footer + 1 : code;
}

/** A message with its sections in the standard's order, whatever order they came in. */
function arranged(bytes: Uint8Array): { readonly bytes: Uint8Array; readonly spans: readonly SectionSpan[] } {
  const spans = spansOf(bytes);
  let last = 0;
  let isArranged = true;
  const places = spans.map((span) => {
    const place = placeOf(span, last);
    isArranged &&= place >= last;
    last = Math.max(last, place);
    return { span, place };
  });
  if (isArranged) return { bytes, spans };
  const w = new Writer();
  for (const { span } of places.toSorted((a, b) => a.place - b.place))
    writeRawBytes(w, bytes.subarray(span.start, span.end));
  const whole = w.toBytes();
  return { bytes: whole, spans: spansOf(whole) };
}

/** What the header cannot say, for it ends at 49 days, a client says with the times of its properties. */
function ttlOf(header: HeaderFields | undefined, properties: PropertiesFields | undefined): number | undefined {
  const ttl = header?.ttl ?? undefined;
  const { creationTime, absoluteExpiryTime } = properties ?? {};
  if (ttl !== UINT_MAX || typeof creationTime !== 'bigint' || typeof absoluteExpiryTime !== 'bigint') return ttl;
  return Math.max(ttl, Number(absoluteExpiryTime - creationTime));
}

/** An encoded message without its body. */
export function withoutBody(bytes: Uint8Array): Uint8Array {
  const w = new Writer();
  for (const { code, start, end } of spansOf(bytes)) {
    const isBody = code === SECTION.data || code === SECTION.amqpSequence || code === SECTION.amqpValue;
    if (!isBody) writeRawBytes(w, bytes.subarray(start, end));
  }
  return w.toBytes();
}

/**
 * The messages of a transfer: itself, or those inside where it is a batch.
 *
 * @throws RemoteProtocolError `amqp:decode-error` where the bytes are not a message, or not a batch of them
 */
export function messagesOf(bytes: Uint8Array, format: number, newMessageId?: () => string): MessageContent[] {
  if (format !== BATCH_FORMAT) return [MessageContent.read(bytes, format, newMessageId)];
  const inner = sectionsOf(bytes).filter((span) => span.code === SECTION.data);
  if (inner.length === 0) throw decodeError('a batch without messages', '3.2.6');
  if (inner.length > BATCH_MESSAGES_MAX)
    throw decodeError(`a batch of more than ${BATCH_MESSAGES_MAX} messages`, '3.2.6');
  return inner.map((span) => {
    const message = readBinary(new Reader(bytes, span.valueStart, span.end)) ?? new Uint8Array(0);
    return MessageContent.read(message, 0, newMessageId);
  });
}

function withoutBrokers(annotations: Annotations | undefined): Annotations | undefined {
  if (annotations === undefined) return undefined;
  for (const name of BROKER_ANNOTATIONS) annotations.delete(name);
  return annotations;
}

function isLarge(value: AmqpValue): boolean {
  if (typeof value === 'string')
    return value.length > PROPERTY_MAX || new TextEncoder().encode(value).length > PROPERTY_MAX;
  return value instanceof Uint8Array && value.length > PROPERTY_MAX;
}

/** A number in whatever AMQP type it came, or undefined: for what is none, too, though its type would be a number's. */
export function numberOf(value: AmqpValue | undefined): number | undefined {
  const plain = value instanceof Typed && !(value.value instanceof Uint8Array) ? value.value : value;
  if (typeof plain === 'bigint') return Number(plain);
  return typeof plain === 'number' && !Number.isNaN(plain) ? plain : undefined;
}

/** The text of a string or symbol, or undefined. */
export function textOf(value: AmqpValue | undefined): string | undefined {
  if (value instanceof AmqpSymbol) return value.value;
  return typeof value === 'string' ? value : undefined;
}

/** A message id as a key: equal ids of equal types have the same. Undefined where there is none. */
export function keyTextOf(id: AmqpValue): string | undefined {
  if (id === null) return undefined;
  if (typeof id === 'string') return id;
  const bytes = id instanceof Uint8Array ? id : id instanceof Typed ? id.value : undefined;
  if (bytes instanceof Uint8Array) return `\0${hexOf(bytes)}`;
  return bytes === undefined ? undefined : `\0${String(bytes)}`;
}
