// SPDX-License-Identifier: Apache-2.0

/**
 * What the spelling of an address says about the node behind it. A bare name may be a queue or a topic: only the
 * namespace knows.
 */
export type EntityKind = 'queue-or-topic' | 'subscription' | 'dead-letter-queue' | 'management' | 'cbs';

export interface EntityAddress {
  readonly kind: EntityKind;
  /** Address relative to the namespace, in the spelling given: no scheme, no host, no slash in front. */
  readonly path: string;
  /** Path of the queue, topic or subscription that a `$…` suffix belongs to; otherwise the path itself. */
  readonly owner: string;
}

/** Scheme and authority, or one slash: `sb://host/orders`, `amqps://host/orders` and `/orders` all name `orders`. */
const PREFIX = /^(?:(?:sb|amqps?|https?):\/\/[^/]*\/|\/)/i;

/**
 * Reads an address as Service Bus does. Names may contain slashes, so the marks are looked for from the right, in any
 * case.
 */
export function entityAddressOf(address: string): EntityAddress {
  const path = address.replace(PREFIX, '');
  const lower = path.toLowerCase();
  if (lower === '$cbs') return { kind: 'cbs', path, owner: path };
  // Of a whole namespace of event hubs.
  if (lower === '$management') return { kind: 'management', path, owner: '' };
  if (lower.endsWith('/$management')) {
    return { kind: 'management', path, owner: path.slice(0, -'/$management'.length) };
  }
  for (const suffix of ['/$transfer/$deadletterqueue', '/$deadletterqueue']) {
    if (lower.endsWith(suffix)) return { kind: 'dead-letter-queue', path, owner: path.slice(0, -suffix.length) };
  }
  const mark = lower.lastIndexOf('/subscriptions/');
  const isSubscription = mark > 0 && mark + '/subscriptions/'.length < path.length;
  return { kind: isSubscription ? 'subscription' : 'queue-or-topic', path, owner: path };
}
