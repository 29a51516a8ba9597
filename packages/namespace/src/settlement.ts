// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';

/** What settling came to. */
export type SettleResult = 'done' | 'lock-lost' | 'too-large' | 'no-room';

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
