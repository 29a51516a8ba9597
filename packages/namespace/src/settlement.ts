// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import { REFUSALS, type Refusal } from './entity.js';

/** What settling came to. */
export type SettleResult = 'done' | 'lock-lost' | 'too-large' | 'dead-letter-twice' | 'no-room';

const SETTLE_REFUSALS: Readonly<Record<Exclude<SettleResult, 'done'>, Refusal>> = {
  'lock-lost': {
    condition: 'com.microsoft:message-lock-lost',
    description:
      'The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue, or was ' +
      'received by a different receiver instance.',
  },
  'too-large': {
    condition: 'com.microsoft:argument-error',
    description: 'A message has at most 65536 bytes of properties, with those that settling gives it.',
  },
  'dead-letter-twice': {
    condition: 'amqp:not-allowed',
    description: 'A message that is in a dead-letter queue cannot be dead-lettered.',
  },
  'no-room': REFUSALS.noRoom,
};

/** What a client is told that cannot settle a message; undefined where it could. */
export function settleRefusal(result: SettleResult): Refusal | undefined {
  return result === 'done' ? undefined : SETTLE_REFUSALS[result];
}

/** What a receiver decided about a message that it holds. */
export type Settlement =
  | { readonly kind: 'complete' }
  /** Back to its place; the count stays. */
  | { readonly kind: 'unlock' }
  /** Back to its place; the count rises. */
  | { readonly kind: 'abandon'; readonly changes?: ReadonlyMap<string, AmqpValue> }
  | { readonly kind: 'defer'; readonly changes?: ReadonlyMap<string, AmqpValue> }
  | { readonly kind: 'dead-letter'; readonly changes?: ReadonlyMap<string, AmqpValue> };

/** Of a dead-letter reason or description, in characters. */
const REASON_MAX = 4096;

/** Application properties of a message that has more of them than the service keeps. */
export const HEADER_SIZE_EXCEEDED: ReadonlyMap<string, AmqpValue> = new Map([
  ['DeadLetterReason', 'HeaderSizeExceeded'],
  ['DeadLetterErrorDescription', 'The size quota for this stream has been exceeded.'],
]);

/** Application properties of a message that the broker dead-letters. */
export function deadLetterProperties(reason: string, description: string): Map<string, AmqpValue> {
  return new Map<string, AmqpValue>([
    ['DeadLetterReason', reason.slice(0, REASON_MAX)],
    ['DeadLetterErrorDescription', description.slice(0, REASON_MAX)],
  ]);
}
