// SPDX-License-Identifier: Apache-2.0
import { AmqpArray, uuid } from '@pointsman/wire';

/**
 * The lock token of a message as `$management` wants it, in network order. A delivery-tag has the layout of .NET: the first
 * three groups have their bytes reversed.
 *
 * @returns undefined where the tag is none of Service Bus: those have 16 bytes
 */
export function lockTokenOf(tag: Uint8Array): Uint8Array | undefined {
  if (tag.length !== 16) return undefined;
  const [b0, b1, b2, b3, b4, b5, b6, b7] = tag;
  const token = Uint8Array.from(tag);
  token.set([b3!, b2!, b1!, b0!, b5!, b4!, b7!, b6!]);
  return token;
}

/** The argument `lock-tokens` for one token. */
export function lockTokens(token: Uint8Array): AmqpArray {
  return new AmqpArray('uuid', [uuid(token)]);
}
