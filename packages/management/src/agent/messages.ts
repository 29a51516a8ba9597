// SPDX-License-Identifier: Apache-2.0
import {
  decodeError,
  decodeMessage,
  encodeMessage,
  entryOf,
  int,
  Reader,
  readPropertiesBody,
  SECTION,
  sectionAt,
} from '@pointsman/wire';
import type { AmqpValue, Message } from '@pointsman/wire';
import { integerOf, textOf } from './values.js';

/** A request to a management node, as it travels. */
export interface ManagementRequest {
  readonly replyTo: string;
  /** Copied to the answer, whatever its type. */
  readonly correlationId: AmqpValue | undefined;
  readonly properties: ReadonlyMap<string, AmqpValue>;
  /** Null where there is none. */
  readonly body: AmqpValue;
  /** Why the rest could not be read; it is empty then. */
  readonly fault?: string;
}

/** Longest request that is looked at, in bytes. */
export const REQUEST_LENGTH_MAX = 1_048_576;

/** Reads a request. Undefined for what cannot be answered, because it names no address to answer to. */
export function decodeManagementRequest(bytes: Uint8Array): ManagementRequest | undefined {
  try {
    if (bytes.length > REQUEST_LENGTH_MAX) throw decodeError(`a request of more than ${REQUEST_LENGTH_MAX} bytes`);
    const message = decodeMessage(bytes);
    const { replyTo, correlationId } = message.properties ?? {};
    if (replyTo === undefined || replyTo === '') return undefined;
    const properties = message.applicationProperties ?? new Map<string, AmqpValue>();
    return { replyTo, correlationId, properties, body: bodyOf(message) };
  } catch (error) {
    const properties = propertiesOf(bytes);
    if (properties?.replyTo === undefined || properties.replyTo === '') return undefined;
    const { replyTo, correlationId } = properties;
    return { replyTo, correlationId, properties: new Map(), body: null, fault: (error as Error).message };
  }
}

function bodyOf({ body }: Message): AmqpValue {
  if (body === undefined) return null;
  if (body.kind === 'value') return body.value;
  if (body.kind === 'sequence') return body.sections.flatMap((section) => [...section]);
  return body.sections[0] ?? null;
}

/** The properties of a message that is malformed behind them. */
function propertiesOf(bytes: Uint8Array): ReturnType<typeof readPropertiesBody> | undefined {
  try {
    for (let position = 0; position < bytes.length;) {
      const span = sectionAt(bytes, position, bytes.length);
      if (span.code === SECTION.properties) return readPropertiesBody(new Reader(bytes, span.valueStart, span.end));
      if (span.code > SECTION.properties) return undefined;
      position = span.end;
    }
  } catch {
    // Malformed before or in its properties: nobody can be told.
  }
  return undefined;
}

/** Encodes the answer to a request. @throws LocalProtocolError where the body has a value that does not fit its type */
export function encodeManagementResponse(
  request: Pick<ManagementRequest, 'replyTo' | 'correlationId'>,
  answer: { readonly statusCode: number; readonly statusDescription: string; readonly body: AmqpValue },
): Uint8Array {
  return encodeMessage({
    header: { durable: false },
    properties: { to: request.replyTo, correlationId: request.correlationId },
    applicationProperties: new Map<string, AmqpValue>([
      ['statusCode', int(answer.statusCode)],
      ['statusDescription', answer.statusDescription],
    ]),
    body: { kind: 'value', value: answer.body },
  });
}

/** What a client asks of a management node. */
export interface ManagementCall {
  readonly operation: string;
  readonly type?: string;
  readonly name?: string;
  readonly identity?: string;
  /** Arguments of the operation, as `entityType`, `offset` and `count`. */
  readonly properties?: Readonly<Record<string, AmqpValue>>;
  /** Default: an empty map. */
  readonly body?: AmqpValue;
  /** Address of the node, for a sender without one. */
  readonly to?: string;
  readonly replyTo: string;
  readonly correlationId?: AmqpValue;
}

/** Encodes a request. @throws LocalProtocolError where a value does not fit its type */
export function encodeManagementRequest(call: ManagementCall): Uint8Array {
  const properties = new Map<string, AmqpValue>([['operation', call.operation]]);
  for (const key of ['type', 'name', 'identity'] as const) {
    const value = call[key];
    if (value !== undefined) properties.set(key, value);
  }
  for (const [key, value] of Object.entries(call.properties ?? {})) properties.set(key, value);
  return encodeMessage({
    properties: { to: call.to, replyTo: call.replyTo, correlationId: call.correlationId },
    applicationProperties: properties,
    body: { kind: 'value', value: call.body ?? new Map() },
  });
}

/** What a management node answers. */
export interface ManagementResponse {
  readonly statusCode: number;
  /** Empty where the node gave none. */
  readonly statusDescription: string;
  readonly correlationId: AmqpValue | undefined;
  readonly body: AmqpValue;
}

/** Decodes an answer. @throws RemoteProtocolError `amqp:decode-error` where it is none */
export function decodeManagementResponse(bytes: Uint8Array): ManagementResponse {
  const message = decodeMessage(bytes);
  const status = entryOf(message.applicationProperties, 'statusCode');
  const statusCode = status === undefined ? undefined : integerOf(status);
  if (statusCode === undefined) throw decodeError('an answer of management without a statusCode');
  return {
    statusCode,
    statusDescription: textOf(entryOf(message.applicationProperties, 'statusDescription')) ?? '',
    correlationId: message.properties?.correlationId,
    body: bodyOf(message),
  };
}
