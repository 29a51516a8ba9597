// SPDX-License-Identifier: Apache-2.0
import { AmqpArray, int, symbol, timestamp, Typed, uuid, type AmqpValue, type Message } from '@pointsman/wire';
import { deferredAnnotations, peekAnnotations, utc } from './broker-annotations.js';
import type { Refusal } from './entity.js';
import { hexOf, swapGuid } from './guid.js';
import type { NamespaceHost } from './host.js';
import { joined } from './incoming-payload.js';
import { numberOf, textOf } from './message-content.js';
import type { MessageQueue } from './message-queue.js';
import { deadLetterProperties, type Settlement } from './settlement.js';

/** What a request comes to. */
interface Answer {
  readonly status: number;
  readonly refusal?: Refusal;
  readonly body?: Map<AmqpValue, AmqpValue>;
}

/** Messages that one peek returns at most. */
const PEEK_MAX = 250;
/** Bytes of messages that one peek returns, the first message apart. */
const PEEK_BYTES_MAX = 1_048_576;

const LOCK_LOST: Answer = refused(
  410,
  'com.microsoft:message-lock-lost',
  'The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.',
);

type Arguments = ReadonlyMap<AmqpValue, AmqpValue>;

/** Operations by the name behind `com.microsoft:`. */
const OPERATIONS: Readonly<Record<string, (messages: MessageQueue, body: Arguments, host: NamespaceHost) => Answer>> = {
  'renew-lock': renewLock,
  'peek-message': peekMessage,
  'receive-by-sequence-number': receiveBySequenceNumber,
  'update-disposition': updateDisposition,
};

/**
 * Answers a request to `<entity>/$management`.
 *
 * @param messages - those of the entity; undefined for a topic
 */
export function answerManagement(
  request: Message,
  messages: MessageQueue | undefined,
  host: NamespaceHost,
  tracked: (text: string) => string,
): Message {
  const { status, refusal, body } = perform(request, messages, host);
  const properties = new Map<string, AmqpValue>([
    ['statusCode', int(status)],
    [
      'statusDescription',
      refusal === undefined ? (status === 204 ? 'No content' : 'OK') : tracked(refusal.description),
    ],
  ]);
  if (refusal !== undefined) properties.set('errorCondition', symbol(refusal.condition));
  return { applicationProperties: properties, body: { kind: 'value', value: body ?? new Map() } };
}

function perform(request: Message, messages: MessageQueue | undefined, host: NamespaceHost): Answer {
  const name = textOf(request.applicationProperties?.get('operation')) ?? '';
  const operation = name.startsWith('com.microsoft:') ? name.slice('com.microsoft:'.length) : '';
  const run = Object.hasOwn(OPERATIONS, operation) ? OPERATIONS[operation] : undefined;
  if (run === undefined || messages === undefined) {
    return refused(
      501,
      'amqp:not-implemented',
      `The operation '${name.slice(0, 80)}' is not supported by this namespace.`,
    );
  }
  const body = request.body?.kind === 'value' ? request.body.value : undefined;
  if (!(body instanceof Map)) return invalid('The body of a request is a map.');
  return run(messages, body, host);
}

function renewLock(messages: MessageQueue, body: Arguments, host: NamespaceHost): Answer {
  const tokens = tokensOf(body);
  if (tokens === undefined) return invalid("'lock-tokens' is an array of uuid.");
  const ends = tokens.map((token) => messages.renew(token));
  if (ends.includes(undefined)) return LOCK_LOST;
  const expirations = ends.map((end) => timestamp(utc(end ?? 0, host)));
  return { status: 200, body: new Map([['expirations', new AmqpArray('timestamp', expirations)]]) };
}

function peekMessage(messages: MessageQueue, body: Arguments, host: NamespaceHost): Answer {
  const from = numberOf(body.get('from-sequence-number'));
  const count = numberOf(body.get('message-count'));
  if (from === undefined || count === undefined || count < 1) {
    return invalid("'from-sequence-number' is a long and 'message-count' an int above 0.");
  }
  const found: AmqpValue[] = [];
  let bytes = 0;
  for (const message of messages.peek(from, Math.min(count, PEEK_MAX))) {
    const encoded = joined(
      message.content.encode(message.deliveryCount, peekAnnotations(message, host), message.changes),
    );
    bytes += encoded.length;
    if (found.length > 0 && bytes > PEEK_BYTES_MAX) break;
    found.push(new Map<AmqpValue, AmqpValue>([['message', encoded]]));
  }
  return found.length === 0 ? { status: 204 } : { status: 200, body: new Map([['messages', found]]) };
}

function receiveBySequenceNumber(messages: MessageQueue, body: Arguments, host: NamespaceHost): Answer {
  const sequences = valuesOf(body.get('sequence-numbers'))?.map(numberOf);
  const settleMode = numberOf(body.get('receiver-settle-mode'));
  if (sequences === undefined || sequences.length === 0 || sequences.includes(undefined))
    return invalid("'sequence-numbers' is an array of long.");
  const received = messages.receiveDeferred(
    sequences as number[],
    settleMode === 0 ? 'receive-and-delete' : 'peek-lock',
  );
  if (received === undefined)
    return refused(
      404,
      'com.microsoft:message-not-found',
      'Failed to lock one or more specified messages. The message does not exist.',
    );
  const list = received.map(
    ({ message, lock }) =>
      new Map<AmqpValue, AmqpValue>([
        ...(lock === undefined ? [] : [['lock-token', uuid(swapGuid(lock.tag))] as [AmqpValue, AmqpValue]]),
        [
          'message',
          joined(
            message.content.encode(message.deliveryCount, deferredAnnotations(message, lock, host), message.changes),
          ),
        ],
      ]),
  );
  return { status: 200, body: new Map([['messages', list]]) };
}

function updateDisposition(messages: MessageQueue, body: Arguments): Answer {
  const tokens = tokensOf(body);
  const settlement = settlementOf(body);
  if (tokens === undefined || tokens.length === 0) return invalid("'lock-tokens' is an array of uuid.");
  if (settlement === undefined) return invalid("'disposition-status' is completed, abandoned, suspended or defered.");
  const results = tokens.map((token) => messages.settle(token, settlement));
  return results.includes('lock-lost') ? LOCK_LOST : { status: 200 };
}

/** `defered` is spelt so on the wire, and `suspended` means dead-lettered. */
function settlementOf(body: Arguments): Settlement | undefined {
  const given = body.get('properties-to-modify');
  const changes = new Map<string, AmqpValue>();
  if (given instanceof Map) for (const [key, value] of given) if (typeof key === 'string') changes.set(key, value);
  switch (textOf(body.get('disposition-status'))) {
    case 'completed':
      return { kind: 'complete' };
    case 'abandoned':
      return { kind: 'abandon', changes };
    case 'defered':
      return { kind: 'defer', changes };
    case 'suspended': {
      const reasons = deadLetterProperties(
        textOf(body.get('deadletter-reason')) ?? '',
        textOf(body.get('deadletter-description')) ?? '',
      );
      for (const [name, value] of reasons) if (value !== '') changes.set(name, value);
      return { kind: 'dead-letter', changes };
    }
    default:
      return undefined;
  }
}

/** Lock tokens as the queue knows them. On this node they are uuids in network order. */
function tokensOf(body: Arguments): string[] | undefined {
  const values = valuesOf(body.get('lock-tokens'));
  const bytes = values?.map((value) => {
    if (value instanceof Typed && value.value instanceof Uint8Array) return value.value;
    return value instanceof Uint8Array && value.length === 16 ? value : undefined;
  });
  if (bytes === undefined || bytes.includes(undefined)) return undefined;
  return bytes.map((token) => hexOf(swapGuid(token!)));
}

function valuesOf(value: AmqpValue | undefined): readonly AmqpValue[] | undefined {
  if (value instanceof AmqpArray) return value.values;
  return Array.isArray(value) ? value : undefined;
}

function refused(status: number, condition: string, description: string): Answer {
  return { status, refusal: { condition, description } };
}

function invalid(description: string): Answer {
  return refused(400, 'com.microsoft:argument-error', description);
}
