// SPDX-License-Identifier: Apache-2.0
import { childOf, msOfDuration } from '@pointsman/namespace';
import type { XmlElement } from '@pointsman/namespace';

/** What a namespace says of one of its entities. What it leaves out, or what cannot be read, is undefined. */
export interface EntityDescription {
  readonly kind: 'queue' | 'topic' | 'subscription' | 'event-hub';
  /** Relative to the namespace: `orders`, `news/Subscriptions/all`. */
  readonly path: string;
  /** `Active`, `Disabled`, `SendDisabled`, `ReceiveDisabled`, and what else the service may have. */
  readonly status: string;
  readonly requiresSession: boolean;
  /** How long a message, or a message session, is locked. */
  readonly lockMs: number | undefined;
  readonly maxDeliveryCount: number | undefined;
  /** Infinity where messages do not end. */
  readonly timeToLiveMs: number | undefined;
  readonly deadLettersExpired: boolean;
  readonly forwardTo: string | undefined;
  readonly forwardDeadLettersTo: string | undefined;
  readonly sizeBytes: number | undefined;
  readonly maxSizeBytes: number | undefined;
  /** Infinity where it stays. */
  readonly autoDeleteOnIdleMs: number | undefined;
  readonly counts: EntityCounts | undefined;
}

/** Messages of an entity. */
export interface EntityCounts {
  readonly active: number;
  readonly deadLetter: number;
  readonly scheduled: number;
  readonly transferDeadLetter: number;
}

const KINDS: Readonly<Record<string, EntityDescription['kind']>> = {
  QueueDescription: 'queue',
  TopicDescription: 'topic',
  SubscriptionDescription: 'subscription',
  EventHubDescription: 'event-hub',
};
const MEGABYTE = 1_048_576;

/**
 * Reads an ATOM entry.
 *
 * @param parent - path of the topic, for entries that carry the name of a subscription alone
 * @returns undefined where it describes nothing that is known here
 */
export function entityDescriptionOf(entry: XmlElement, parent?: string): EntityDescription | undefined {
  const content = childOf(entry, 'content')?.children[0];
  const kind = content === undefined ? undefined : KINDS[content.name];
  const title = childOf(entry, 'title')?.text.trim() ?? '';
  if (content === undefined || kind === undefined || title === '') return undefined;
  const text = (name: string): string | undefined => {
    const value = childOf(content, name)?.text.trim();
    return value === '' ? undefined : value;
  };
  const number = (name: string): number | undefined => numberOf(text(name));
  const duration = (name: string): number | undefined => msOfDuration(text(name) ?? '');
  const megabytes = number('MaxSizeInMegabytes');
  return {
    kind,
    path: kind === 'subscription' && parent !== undefined ? `${parent}/Subscriptions/${title}` : title,
    status: text('Status') ?? 'Active',
    requiresSession: text('RequiresSession') === 'true',
    lockMs: duration('LockDuration'),
    maxDeliveryCount: number('MaxDeliveryCount'),
    timeToLiveMs: duration('DefaultMessageTimeToLive'),
    deadLettersExpired: text('DeadLetteringOnMessageExpiration') === 'true',
    forwardTo: entityNameOf(text('ForwardTo')),
    forwardDeadLettersTo: entityNameOf(text('ForwardDeadLetteredMessagesTo')),
    sizeBytes: number('SizeInBytes'),
    maxSizeBytes: megabytes === undefined ? undefined : megabytes * MEGABYTE,
    autoDeleteOnIdleMs: duration('AutoDeleteOnIdle'),
    counts: countsOf(childOf(content, 'CountDetails')),
  };
}

function countsOf(details: XmlElement | undefined): EntityCounts | undefined {
  if (details === undefined) return undefined;
  const count = (name: string): number => numberOf(childOf(details, name)?.text.trim()) ?? 0;
  return {
    active: count('ActiveMessageCount'),
    deadLetter: count('DeadLetterMessageCount'),
    scheduled: count('ScheduledMessageCount'),
    transferDeadLetter: count('TransferDeadLetterMessageCount'),
  };
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/u.test(text) ? Number(text) : undefined;
}

/** The name in `https://HOST/NAME`, or the text itself. */
function entityNameOf(text: string | undefined): string | undefined {
  return text?.replace(/^[a-z]+:\/\/[^/]*\//iu, '').replace(/\/$/u, '');
}
