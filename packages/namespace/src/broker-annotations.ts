// SPDX-License-Identifier: Apache-2.0
import { int, long, short, timestamp, type AmqpValue } from '@pointsman/wire';
import type { NamespaceHost } from './host.js';
import { partitionOfSequence } from './partitions.js';
import type { Lock, StoredMessage } from './stored-message.js';

/** Of `x-opt-message-state`, where 0 is active. */
const MESSAGE_DEFERRED = 1;
const MESSAGE_SCHEDULED = 2;

/** A message that is only looked at: a time to live that it has from its entity alone is told to those who receive it. */
export function encodedPeek(message: StoredMessage, host: NamespaceHost): Uint8Array[] {
  const annotations = peekAnnotations(message, host);
  const { content, deliveryCount, changes } = message;
  return content.ttlMs === undefined
    ? content.encode(deliveryCount, annotations, changes)
    : encodedMessage(message, annotations, host);
}

/**
 * A message as it goes out, with annotations of the broker: pieces to be sent one behind the other.
 *
 * @param lockToken - where no delivery-tag tells it
 */
export function encodedMessage(
  message: StoredMessage,
  annotations: Map<string | bigint, AmqpValue>,
  host: NamespaceHost,
  lockToken?: AmqpValue,
): Uint8Array[] {
  const { content, deliveryCount, changes, enqueuedAt, expiresAt } = message;
  const expiry =
    expiresAt === Infinity ? undefined : { ttlMs: Math.round(expiresAt - enqueuedAt), fromUtc: utc(enqueuedAt, host) };
  return content.encode(
    deliveryCount,
    annotations,
    changes,
    expiry,
    lockToken === undefined ? undefined : new Map([['x-opt-lock-token', lockToken]]),
  );
}

/** Message annotations that the broker sets on a message on its way out. `lock` where it is locked for the receiver. */
export function brokerAnnotations(
  message: StoredMessage,
  lock: Lock | undefined,
  host: NamespaceHost,
): Map<string | bigint, AmqpValue> {
  const annotations = new Map<string | bigint, AmqpValue>([
    ['x-opt-enqueued-time', timestamp(utc(message.enqueuedAt, host))],
    ['x-opt-sequence-number', long(message.sequence)],
    ['x-opt-enqueue-sequence-number', long(message.originalSequence ?? message.sequence)],
  ]);
  if (message.deadLetterSource !== undefined) annotations.set('x-opt-deadletter-source', message.deadLetterSource);
  if (message.wasScheduled) annotations.set('x-opt-message-state', int(MESSAGE_SCHEDULED));
  const partition = partitionOfSequence(message.sequence);
  if (partition > 0) annotations.set('x-opt-partition-id', short(partition));
  if (lock !== undefined) annotations.set('x-opt-locked-until', timestamp(utc(lock.until, host)));
  return annotations;
}

/** As {@link brokerAnnotations}, for a message that is only looked at. */
function peekAnnotations(message: StoredMessage, host: NamespaceHost): Map<string | bigint, AmqpValue> {
  const annotations = brokerAnnotations(message, undefined, host);
  annotations.set(
    'x-opt-message-state',
    int(message.state === 'scheduled' ? MESSAGE_SCHEDULED : message.deferred ? MESSAGE_DEFERRED : 0),
  );
  return annotations;
}

/** As {@link brokerAnnotations}, for a message that was deferred and is received by its sequence number. */
export function deferredAnnotations(
  message: StoredMessage,
  lock: Lock | undefined,
  host: NamespaceHost,
): Map<string | bigint, AmqpValue> {
  return brokerAnnotations(message, lock, host).set('x-opt-message-state', int(MESSAGE_DEFERRED));
}

/** Ms since 1970 of a time of the clock. */
export function utc(at: number, host: NamespaceHost): number {
  return Math.round(host.timeOrigin + at);
}
