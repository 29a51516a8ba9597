// SPDX-License-Identifier: Apache-2.0
import { AmqpArray, int, long, RemoteProtocolError, timestamp, Typed, uuid, type AmqpValue } from '@pointsman/wire';
import { deferredAnnotations, encodedMessage, encodedPeek, utc } from '../broker-annotations.js';
import { hexOf, randomGuid, swapGuid } from '../guid.js';
import { canSend, disabledRefusal, type Refusal } from '../entity.js';
import type { Inbox } from '../inbox.js';
import { joined } from '../incoming-payload.js';
import { MessageContent, numberOf, textOf, withoutBody } from '../message-content.js';
import { partitionOfSequence } from '../partitions.js';
import type { Queue } from '../queue.js';
import { deadLetterProperties, settleRefusal, type Settlement } from '../settlement.js';
import type { Topic } from '../topic.js';
import {
  invalid,
  NAMED_MAX,
  NOTHING,
  refused,
  refusedWith,
  sequencesOf,
  SESSION_LOST,
  sessionIdOf,
  valuesOf,
  type Answer,
  type Arguments,
  type ManagementRequest,
} from './request.js';
import { sessionOf } from './sessions.js';

/** Messages that one peek returns at most. */
const PEEK_MAX = 250;
/** Bytes of messages that one peek returns, the first message apart. */
const PEEK_BYTES_MAX = 1_048_576;
/** Messages that one request deletes at most. */
const DELETE_MAX = 4000;
/** Messages that one request schedules at most. */
const SCHEDULE_MAX = 1000;
/** Numbers that a refusal names at most. */
const MISSING_SHOWN = 20;

const LOCK_LOST: Answer = refusedWith(settleRefusal('lock-lost')!);

/** Those of these that do not wait for their time: cancelled, sent, or never there. */
function notScheduled(inbox: Inbox, sequences: readonly number[]): Refusal | undefined {
  const missing = sequences.filter((sequence) => !inbox.areScheduled([sequence]));
  if (missing.length === 0) return undefined;
  const named = missing.slice(0, MISSING_SHOWN).join(', ');
  return {
    condition: 'com.microsoft:message-not-found',
    description: `Messages not found. Missing sequence numbers: ${named}${missing.length > MISSING_SHOWN ? ', ...' : ''}`,
  };
}

const SEVERAL_PARTITIONS: Refusal = {
  condition: 'amqp:not-allowed',
  description:
    'ReceiveBatch of sequence numbers from different partitions is not supported for an entity with partitioning enabled.',
};

export function renewLock({ node, body, host }: ManagementRequest): Answer {
  const tokens = tokensOf(body);
  if (tokens === undefined) return invalid("'lock-tokens' is an array of uuid.");
  const ends = tokens.map((token) => node.messages!.renew(token));
  if (ends.includes(undefined)) return LOCK_LOST;
  const expirations = ends.map((end) => timestamp(utc(end ?? 0, host)));
  return { status: 200, body: new Map([['expirations', new AmqpArray('timestamp', expirations)]]) };
}

export function peekMessage({ node, body, host }: ManagementRequest): Answer {
  const from = numberOf(body.get('from-sequence-number'));
  const count = numberOf(body.get('message-count'));
  if (from === undefined || count === undefined || count < 1) {
    return invalid("'from-sequence-number' is a long and 'message-count' an int above 0.");
  }
  const isBodyless = body.get('omit-message-body') === true;
  const found: AmqpValue[] = [];
  let bytes = 0;
  for (const message of node.messages!.peek(from, Math.min(count, PEEK_MAX), sessionIdOf(body))) {
    const pieces = encodedPeek(message, host);
    const encoded = isBodyless ? withoutBody(joined(pieces)) : joined(pieces);
    bytes += encoded.length;
    if (found.length > 0 && bytes > PEEK_BYTES_MAX) break;
    found.push(new Map<AmqpValue, AmqpValue>([['message', encoded]]));
  }
  return found.length === 0 ? NOTHING : { status: 200, body: new Map([['messages', found]]) };
}

export function receiveBySequenceNumber(request: ManagementRequest): Answer {
  const { node, body, host } = request;
  const sequences = sequencesOf(body);
  const settleMode = numberOf(body.get('receiver-settle-mode'));
  if (sequences === undefined) return invalid("'sequence-numbers' is an array of long.");
  if (new Set(sequences.map(partitionOfSequence)).size > 1) return refusedWith(SEVERAL_PARTITIONS);
  const hasSessions = node.entity.requiresSession && !node.isDeadLetterQueue;
  const session = hasSessions ? sessionOf(request) : undefined;
  if (hasSessions && session === undefined) return SESSION_LOST;
  const mode = settleMode === 0 ? 'receive-and-delete' : 'peek-lock';
  const received = node.messages!.receiveDeferred(sequences, mode, session);
  if (received === undefined)
    return refused(
      404,
      'com.microsoft:message-not-found',
      'Failed to lock one or more specified messages. The message does not exist.',
    );
  const list = received.map(({ message, lock }) => {
    const token = lock === undefined ? undefined : uuid(swapGuid(lock.tag));
    // Some clients look for it beside the message, others, as that for Python, in it.
    const encoded = encodedMessage(message, deferredAnnotations(message, lock, host), host, token);
    return new Map<AmqpValue, AmqpValue>([
      ...(token === undefined ? [] : [['lock-token', token] as [AmqpValue, AmqpValue]]),
      ['message', joined(encoded)],
    ]);
  });
  return { status: 200, body: new Map([['messages', list]]) };
}

export function updateDisposition(request: ManagementRequest): Answer {
  const { node, body } = request;
  const tokens = tokensOf(body);
  const settlement = settlementOf(body);
  if (tokens === undefined || tokens.length === 0) return invalid("'lock-tokens' is an array of uuid.");
  if (settlement === undefined) return invalid("'disposition-status' is completed, abandoned, suspended or defered.");
  // Clients name the session of the message, be the entity one with sessions or not.
  const hasSessions = node.messages!.sessions !== undefined;
  if (hasSessions && sessionIdOf(body) !== undefined && sessionOf(request) === undefined) return SESSION_LOST;
  const messages = node.messages!;
  if (request.enlist !== undefined) {
    const { entity } = node;
    const entityPath = (entity.kind === 'subscription' ? entity.topic : entity).path.toLowerCase();
    const works = tokens.map((lockToken) => ({
      entityPath,
      lockToken,
      sizeBytes: 0,
      check: () => settleRefusal(messages.wouldSettle(lockToken, settlement)),
      apply: () => void messages.settle(lockToken, settlement),
    }));
    const refusal = request.enlist(works);
    return refusal === undefined ? { status: 200 } : refusedWith(refusal);
  }
  const refusals = tokens.map((token) => settleRefusal(messages.settle(token, settlement)));
  const refusal = refusals.find((one) => one !== undefined);
  return refusal === undefined ? { status: 200 } : refusedWith(refusal);
}

export function batchDeleteMessages(request: ManagementRequest): Answer {
  const { node, body, host } = request;
  const count = numberOf(body.get('message-count'));
  const before = numberOf(body.get('enqueued-time-utc'));
  if (count === undefined || before === undefined || count < 1)
    return invalid("'message-count' is an int above 0 and 'enqueued-time-utc' a timestamp.");
  const session = sessionIdOf(body) === undefined ? undefined : sessionOf(request);
  if (sessionIdOf(body) !== undefined && session === undefined) return SESSION_LOST;
  const deleted = node.messages!.deleteBatch(Math.min(count, DELETE_MAX), before - host.timeOrigin, session);
  return deleted === 0 ? NOTHING : { status: 200, body: new Map([['message-count', int(deleted)]]) };
}

export function scheduleMessage({ node, body, host, hostname, enlist }: ManagementRequest): Answer {
  const entity = node.entity as Queue | Topic;
  const list = valuesOf(body.get('messages'));
  if (list === undefined || list.length === 0 || list.length > SCHEDULE_MAX)
    return invalid(`'messages' is a list of 1 to ${SCHEDULE_MAX} maps.`);
  const contents: MessageContent[] = [];
  for (const entry of list) {
    const bytes = entry instanceof Map ? entry.get('message') : undefined;
    if (!(bytes instanceof Uint8Array)) return invalid("Each of 'messages' is a map with a 'message' as binary.");
    if (bytes.length > entity.maxMessageSizeBytes)
      return refusedWith({
        condition: 'amqp:link:message-size-exceeded',
        description: `The message has ${bytes.length} bytes: ${entity.maxMessageSizeBytes} at the most.`,
      });
    try {
      // The bytes lie in those of the whole request, which may go.
      contents.push(MessageContent.read(Uint8Array.from(bytes), 0, () => hexOf(randomGuid(host.random))));
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      return invalid(`A message cannot be read: ${error.description}`);
    }
  }
  if (contents.some(({ scheduledAtUtc }) => scheduledAtUtc === undefined))
    return invalid("A message has no annotation 'x-opt-scheduled-enqueue-time'.");
  const { inbox } = entity;
  const refusal = inbox.check(contents);
  if (refusal !== undefined) return refusedWith(refusal);
  const sequences = inbox.numbersFor(contents);
  const keep = (): void => inbox.keepUntilDue(contents, sequences, host.timeOrigin + host.clock.now());
  const isOut = enlist?.([
    {
      entityPath: entity.path.toLowerCase(),
      sizeBytes: contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      messages: contents.length,
      partitionKey: inbox.isPartitioned ? (inbox.partitionKeyOf(contents) ?? null) : undefined,
      check: () => (canSend(entity.status) ? inbox.check(contents) : disabledRefusal(entity.path, hostname)),
      apply: keep,
    },
  ]);
  if (isOut !== undefined) return refusedWith(isOut);
  if (enlist === undefined) keep();
  const numbers = sequences.map((sequence) => long(sequence));
  return { status: 200, body: new Map([['sequence-numbers', new AmqpArray('long', numbers)]]) };
}

export function cancelScheduledMessage({ node, body, enlist }: ManagementRequest): Answer {
  const sequences = sequencesOf(body);
  if (sequences === undefined) return invalid("'sequence-numbers' is an array of long.");
  const { inbox, path } = node.entity as Queue | Topic;
  const missing = notScheduled(inbox, sequences);
  if (missing !== undefined) return refusedWith(missing);
  const refusal = enlist?.([
    {
      entityPath: path.toLowerCase(),
      sizeBytes: 0,
      messages: sequences.length,
      check: () => notScheduled(inbox, sequences),
      apply: () => void inbox.cancel(sequences),
    },
  ]);
  if (refusal !== undefined) return refusedWith(refusal);
  if (enlist === undefined) inbox.cancel(sequences);
  return { status: 200 };
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
  if (values !== undefined && values.length > NAMED_MAX) return undefined;
  const bytes = values?.map((value) => {
    if (value instanceof Typed && value.value instanceof Uint8Array) return value.value;
    return value instanceof Uint8Array && value.length === 16 ? value : undefined;
  });
  if (bytes === undefined || bytes.includes(undefined)) return undefined;
  return bytes.map((token) => hexOf(swapGuid(token!)));
}
