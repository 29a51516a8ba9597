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
  sectionAt,
  sectionCodeAt,
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
import { joined } from './incoming-payload.js';

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

/** Where the sections before the body stand in a message whose sections are in order. */
interface Head {
  readonly header: SectionSpan | undefined;
  readonly deliveryAnnotations: SectionSpan | undefined;
  readonly annotations: SectionSpan | undefined;
  readonly properties: SectionSpan | undefined;
  readonly applicationProperties: SectionSpan | undefined;
  /** Where properties begin, or would. */
  readonly bare: number;
  /** Where application properties begin, or would. */
  readonly own: number;
  /** Where the body begins, or would. */
  readonly end: number;
}

/**
 * A message as it was sent. Its bytes are kept and little else: decoded to objects, a small message takes several times as much,
 * and one with many annotations far more. Header and message annotations are written anew each time the message goes out, all
 * other sections go bit for bit.
 */
export class MessageContent {
  readonly format: number;
  /** The sections, in the standard's order. */
  readonly #bytes: Uint8Array;
  /** `group-id`: the message session that it belongs to. */
  readonly groupId: string | undefined;
  readonly partitionKey: string | undefined;
  /** A message annotation that is null and must not be. */
  readonly nullAnnotation: string | undefined;
  /** When the sender wants it to appear, in ms since 1970. */
  readonly scheduledAtUtc: number | undefined;
  /** Time to live in milliseconds, undefined for no end. 0 is not a valid one; the caller refuses it. */
  readonly ttlMs: number | undefined;
  /** Of its header, message annotations, properties and application properties. */
  readonly headerBytes: number;
  /** Whether one of the application properties is larger than the service takes. */
  readonly hasLargeProperty: boolean;
  /** Queues that hold it: the copies of a topic share it. */
  holders = 0;

  /** Everything is decoded once now, so that a malformed message is refused here and not when it goes out. */
  private constructor(bytes: Uint8Array, format: number) {
    this.format = format;
    this.#bytes = bytes;
    const head = headOf(bytes);
    const given = this.#givenAnnotationsIn(head);
    this.nullAnnotation = NEVER_NULL.find((name) => given?.get(name) === null);
    const annotations = withoutBrokers(given);
    const fields = this.#propertiesIn(head);
    const own = this.#applicationPropertiesIn(head);
    this.groupId = fields?.groupId ?? undefined;
    this.partitionKey = textOf(annotations?.get('x-opt-partition-key'));
    const scheduledAt = numberOf(annotations?.get('x-opt-scheduled-enqueue-time'));
    this.scheduledAtUtc = scheduledAt === undefined || Math.abs(scheduledAt) === Infinity ? undefined : scheduledAt;
    this.ttlMs = ttlOf(this.#headerIn(head), fields);
    this.hasLargeProperty = lengthOf(head.applicationProperties) > PROPERTY_MAX && [...own.values()].some(isLarge);
    this.headerBytes = head.end - lengthOf(head.deliveryAnnotations);
  }

  /**
   * @param newMessageId - makes an id for a message that has none; left out, it stays without
   * @throws RemoteProtocolError `amqp:decode-error` where the bytes are not a message
   */
  static read(given: Uint8Array, format: number, newMessageId?: () => string): MessageContent {
    const bytes = arranged(given);
    const content = new MessageContent(bytes, format);
    if (newMessageId === undefined || content.messageId !== null) return content;
    // The official JavaScript client cannot settle a message without an id, so the service must give one to those that
    // come without. Of the sections that are kept as they came, this is the one that changes.
    const { bare, properties } = headOf(bytes);
    const w = new Writer();
    writeRawBytes(w, bytes.subarray(0, bare));
    writeProperties(w, { ...content.properties(), messageId: newMessageId() });
    writeRawBytes(w, bytes.subarray(properties?.end ?? bare));
    return new MessageContent(w.toBytes(), format);
  }

  /** Of the whole message as sent. */
  get sizeBytes(): number {
    return this.#bytes.length;
  }

  /** Properties, application properties, body and footer as they came. */
  get bare(): Uint8Array {
    return this.#between(headOf(this.#bytes).bare);
  }

  /** Decoded anew, as all of the following. */
  get messageId(): AmqpValue {
    return this.properties().messageId ?? null;
  }

  /** Message annotations without those that the broker sets. */
  get annotations(): ReadonlyMap<string | bigint, AmqpValue> | undefined {
    return this.#annotationsIn(headOf(this.#bytes));
  }

  /** The properties section. */
  properties(): PropertiesFields {
    return this.#propertiesIn(headOf(this.#bytes)) ?? {};
  }

  applicationProperties(): Map<string, AmqpValue> {
    return this.#applicationPropertiesIn(headOf(this.#bytes));
  }

  #readerOf(span: SectionSpan): Reader {
    return new Reader(this.#bytes, span.valueStart, span.end);
  }

  #headerIn({ header }: Head): HeaderFields | undefined {
    return header && readHeaderBody(this.#readerOf(header));
  }

  #givenAnnotationsIn({ annotations }: Head): Annotations | undefined {
    return annotations && readAnnotations(this.#readerOf(annotations));
  }

  #annotationsIn(head: Head): Annotations | undefined {
    return withoutBrokers(this.#givenAnnotationsIn(head));
  }

  #propertiesIn({ properties }: Head): PropertiesFields | undefined {
    return properties && readPropertiesBody(this.#readerOf(properties));
  }

  #applicationPropertiesIn({ applicationProperties }: Head): Map<string, AmqpValue> {
    return (applicationProperties && readStringMap(this.#readerOf(applicationProperties))) ?? new Map();
  }

  /** The same message with other properties and application properties; everything else stays bit for bit. */
  with(properties: PropertiesFields, applicationProperties: ReadonlyMap<string, AmqpValue>): MessageContent {
    const { header, annotations, end } = headOf(this.#bytes);
    const w = new Writer();
    for (const span of [header, annotations])
      if (span !== undefined) writeRawBytes(w, this.#between(span.start, span.end));
    writeProperties(w, properties);
    if (applicationProperties.size > 0) {
      writeDescriptor(w, SECTION.applicationProperties);
      writeStringMap(w, applicationProperties);
    }
    writeRawBytes(w, this.#between(end));
    return new MessageContent(w.toBytes(), this.format);
  }

  #between(start: number, end?: number): Uint8Array {
    return this.#bytes.subarray(start, end);
  }

  /** The whole message, to be read again; without delivery annotations, which are for one hop. */
  stored(): Uint8Array {
    const { deliveryAnnotations } = headOf(this.#bytes);
    if (deliveryAnnotations === undefined) return this.#bytes;
    return joined([this.#between(0, deliveryAnnotations.start), this.#between(deliveryAnnotations.end)]);
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
    const head = headOf(this.#bytes);
    const header = this.#headerIn(head);
    const ttl = expiry === undefined ? header?.ttl : Math.min(expiry.ttlMs, UINT_MAX);
    writeHeader(w, { ...header, ttl, deliveryCount });
    if (forThisHop !== undefined) {
      writeDescriptor(w, SECTION.deliveryAnnotations);
      writeAnnotations(w, forThisHop);
    }
    const annotations: Annotations = this.#annotationsIn(head) ?? new Map();
    for (const [key, value] of brokerAnnotations) annotations.set(key, value);
    writeDescriptor(w, SECTION.messageAnnotations);
    writeAnnotations(w, annotations);
    let from = head.bare;
    if (expiry !== undefined) {
      const properties = this.#propertiesIn(head) ?? {};
      writeProperties(w, {
        ...properties,
        absoluteExpiryTime: BigInt(expiry.fromUtc + expiry.ttlMs),
        // Clients take the difference of the two for the time to live.
        creationTime: properties.creationTime === undefined ? undefined : BigInt(expiry.fromUtc),
      });
      from = head.own;
    }
    if (changes === undefined || changes.size === 0) return [w.toBytes(), this.#between(from)];

    const changed = new Writer();
    writeDescriptor(changed, SECTION.applicationProperties);
    writeStringMap(changed, new Map([...this.#applicationPropertiesIn(head), ...changes]));
    return [w.toBytes(), this.#between(from, head.own), changed.toBytes(), this.#between(head.end)];
  }
}

function lengthOf(span: SectionSpan | undefined): number {
  return span === undefined ? 0 : span.end - span.start;
}

/** Finds the sections before the body of a message that is {@link arranged}. */
function headOf(bytes: Uint8Array): Head {
  const spans: (SectionSpan | undefined)[] = [];
  const at = (code: number): SectionSpan | undefined => spans[code - SECTION.header];
  let end = 0;
  while (end < bytes.length) {
    const code = sectionCodeAt(bytes, end, bytes.length);
    if (code === undefined || code > SECTION.applicationProperties) break;
    const span = sectionAt(bytes, end, bytes.length);
    spans[code - SECTION.header] = span;
    end = span.end;
  }
  const properties = at(SECTION.properties);
  const applicationProperties = at(SECTION.applicationProperties);
  const own = applicationProperties?.start ?? end;
  return {
    header: at(SECTION.header),
    deliveryAnnotations: at(SECTION.deliveryAnnotations),
    annotations: at(SECTION.messageAnnotations),
    properties,
    applicationProperties,
    bare: properties?.start ?? own,
    own,
    end,
  };
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
function arranged(bytes: Uint8Array): Uint8Array {
  let last = 0;
  let isArranged = true;
  const places = spansOf(bytes).map((span) => {
    const place = placeOf(span, last);
    isArranged &&= place >= last;
    last = Math.max(last, place);
    return { span, place };
  });
  if (isArranged) return bytes;
  const w = new Writer();
  for (const { span } of places.toSorted((a, b) => a.place - b.place))
    writeRawBytes(w, bytes.subarray(span.start, span.end));
  return w.toBytes();
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
