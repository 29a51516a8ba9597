// SPDX-License-Identifier: Apache-2.0
import { int, long, timestamp, type AmqpValue } from '@pointsman/wire';
import type { NamespaceHost } from './host.js';
import type { Lock, StoredMessage } from './stored-message.js';

/** Message annotations that the broker sets on a message on its way out. `lock` where it is locked for the receiver. */
export function brokerAnnotations(
  message: StoredMessage,
  lock: Lock | undefined,
  host: NamespaceHost,
): Map<string | bigint, AmqpValue> {
  const annotations = new Map<string | bigint, AmqpValue>([
    ['x-opt-enqueued-time', timestamp(utc(message.enqueuedAt, host))],
    ['x-opt-sequence-number', long(message.sequence)],
  ]);
  if (message.originalSequence !== undefined)
    annotations.set('x-opt-enqueue-sequence-number', long(message.originalSequence));
  if (lock !== undefined) annotations.set('x-opt-locked-until', timestamp(utc(lock.until, host)));
  return annotations;
}

/** As {@link brokerAnnotations}, for a message that is only looked at. */
export function peekAnnotations(message: StoredMessage, host: NamespaceHost): Map<string | bigint, AmqpValue> {
  const annotations = brokerAnnotations(message, undefined, host);
  annotations.set('x-opt-message-state', int(message.deferred ? 1 : 0));
  return annotations;
}

/** Ms since 1970 of a time of the clock. */
export function utc(at: number, host: NamespaceHost): number {
  return Math.round(host.timeOrigin + at);
}
