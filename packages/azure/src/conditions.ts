// SPDX-License-Identifier: Apache-2.0

/**
 * What an error of Service Bus asks of us. Each class has one way of waiting before the next attempt
 * ({@link retryDelay}).
 */
export type ConditionClass =
  /** The node, the link or the connection was idle for too long. Normal life. */
  | 'idle'
  /** The service moved, upgraded or recycled something. Normal life. */
  | 'forced'
  /** A token ran out. */
  | 'token'
  /** Another link took the name. */
  | 'stolen'
  | 'unauthorized'
  | 'missing'
  | 'disabled'
  /** We asked for something that this entity or the service does not do. */
  | 'misuse'
  /** A message or a request was not acceptable as it stood. */
  | 'invalid'
  /** Throttled. */
  | 'busy'
  /** A quota is used up: entity full, too many connections or links. */
  | 'quota'
  | 'transient'
  | 'too-large'
  | 'lock-lost'
  /** A breach of the protocol that the service holds against us. */
  | 'protocol'
  | 'transaction'
  | 'unknown';

/** How wide the damage is, as a place to begin again: `same` keeps the link. */
export type RetryScope = 'same' | 'link' | 'connection';

export interface ConditionEntry {
  readonly class: ConditionClass;
  readonly scope: RetryScope;
  /** What a `rejected` outcome with this condition means for a message that we sent. */
  readonly send: 'resend' | 'reject';
  readonly meaning: string;
}

const entry = (
  conditionClass: ConditionClass,
  scope: RetryScope,
  send: 'resend' | 'reject',
  meaning: string,
): ConditionEntry => ({ class: conditionClass, scope, send, meaning });

/** Every condition that Service Bus is known to use, by its symbol. */
// prettier-ignore
export const CONDITIONS: Readonly<Record<string, ConditionEntry>> = {
  'amqp:connection:forced':                 entry('forced',       'connection', 'resend', 'the service closed the connection: idle, without links, or a node recycled'),
  'com.microsoft:container-close':          entry('forced',       'connection', 'resend', 'the node of the service is shutting down'),
  'amqp:connection:framing-error':          entry('protocol',     'connection', 'resend', 'the service could not read a frame'),
  'amqp:connection:redirect':               entry('misuse',       'connection', 'resend', 'the service redirects, which is not followed'),
  'amqp:decode-error':                      entry('protocol',     'connection', 'reject', 'the service could not decode what was sent'),
  'amqp:frame-size-too-small':              entry('protocol',     'connection', 'resend', 'a frame did not fit'),
  'amqp:illegal-state':                     entry('protocol',     'connection', 'resend', 'a frame came in the wrong state'),
  'amqp:resource-limit-exceeded':           entry('quota',        'link',       'reject', 'a quota is used up: entity full, or too many connections, sessions or links'),
  'amqp:link:detach-forced':                entry('forced',       'link',       'resend', 'the service detached the link: idle, moved, or its token ran out'),
  'amqp:link:stolen':                       entry('stolen',       'link',       'resend', 'a link of the same name was attached elsewhere'),
  'amqp:link:redirect':                     entry('misuse',       'link',       'resend', 'the service redirects, which is not followed'),
  'amqp:link:message-size-exceeded':        entry('too-large',    'link',       'reject', 'a message was larger than the entity allows'),
  'amqp:link:transfer-limit-exceeded':      entry('protocol',     'link',       'resend', 'more was sent than credit allowed'),
  'amqp:unauthorized-access':               entry('unauthorized', 'link',       'reject', 'the key is wrong or the policy lacks the right'),
  'com.microsoft:auth-failed':              entry('unauthorized', 'link',       'reject', 'the token is malformed or has expired'),
  'com.microsoft:publisher-revoked':        entry('unauthorized', 'link',       'reject', 'this publisher was revoked'),
  'amqp:not-found':                         entry('missing',      'link',       'reject', 'the entity does not exist'),
  'amqp:resource-deleted':                  entry('missing',      'link',       'reject', 'the entity was deleted'),
  'com.microsoft:message-not-found':        entry('invalid',      'same',       'reject', 'there is no such message'),
  'com.microsoft:entity-disabled':          entry('disabled',     'link',       'reject', 'the entity is disabled'),
  'com.microsoft:entity-already-exists':    entry('invalid',      'same',       'reject', 'it exists already'),
  'amqp:not-allowed':                       entry('misuse',       'link',       'reject', 'the service does not allow this'),
  'amqp:not-implemented':                   entry('misuse',       'link',       'reject', 'the service does not implement this'),
  'amqp:invalid-field':                     entry('invalid',      'link',       'reject', 'a field was not valid'),
  'com.microsoft:argument-error':           entry('invalid',      'link',       'reject', 'an argument was not valid'),
  'com.microsoft:argument-out-of-range':    entry('invalid',      'link',       'reject', 'an argument was out of range'),
  'amqp:precondition-failed':               entry('invalid',      'link',       'reject', 'the state of the entity does not permit it'),
  'amqp:resource-locked':                   entry('stolen',       'link',       'resend', 'the name of the link is in use'),
  'amqp:internal-error':                    entry('transient',    'link',       'resend', 'the service had a fault of its own'),
  'com.microsoft:internal-error':           entry('transient',    'link',       'resend', 'the service had a fault of its own'),
  'com.microsoft:server-busy':              entry('busy',         'same',       'resend', 'the service is throttling'),
  'com.microsoft:timeout':                  entry('transient',    'same',       'resend', 'the service did not finish in time'),
  'com.microsoft:operation-cancelled':      entry('transient',    'same',       'resend', 'the service gave the operation up'),
  'com.microsoft:store-lock-lost':          entry('transient',    'same',       'resend', 'the entity moved to another node'),
  'com.microsoft:partition-not-owned':      entry('transient',    'same',       'resend', 'the entity moved to another node'),
  'com.microsoft:message-lock-lost':        entry('lock-lost',    'same',       'reject', 'the lock on the message had expired; it will come again'),
  'com.microsoft:session-lock-lost':        entry('lock-lost',    'link',       'reject', 'the lock on the message session had expired'),
  'com.microsoft:session-cannot-be-locked': entry('misuse',       'link',       'reject', 'another receiver holds the message session'),
  'com.microsoft:no-matching-subscription': entry('invalid',      'same',       'reject', 'no subscription takes the message'),
  'amqp:transaction:unknown-id':            entry('transaction',  'same',       'reject', 'the transaction is not known'),
  'amqp:transaction:rollback':              entry('transaction',  'same',       'reject', 'the transaction was rolled back'),
  'amqp:transaction:timeout':               entry('transaction',  'same',       'reject', 'the transaction took too long'),
  'amqp:session:window-violation':          entry('protocol',     'connection', 'resend', 'more was sent than the session window allowed'),
  'amqp:session:errant-link':               entry('protocol',     'connection', 'resend', 'a frame came on a link that had gone'),
  'amqp:session-errant-link':               entry('protocol',     'connection', 'resend', 'a frame came on a link that had gone'),
  'amqp:session:unattached-handle':         entry('protocol',     'connection', 'resend', 'a frame came on a handle without a link'),
  'amqp:session:handle-in-use':             entry('protocol',     'connection', 'resend', 'a handle was used twice'),
};

const UNKNOWN: ConditionEntry = entry(
  'unknown',
  'link',
  'reject',
  'the service gave a condition that is not known here',
);

/** What is known of a condition. A missing one (a connection that just ended) counts as forced. */
export function conditionEntry(condition: string | undefined): ConditionEntry {
  if (condition === undefined) return CONDITIONS['amqp:connection:forced'] ?? UNKNOWN;
  return Object.hasOwn(CONDITIONS, condition) ? (CONDITIONS[condition] ?? UNKNOWN) : UNKNOWN;
}

/**
 * The class of an error.
 *
 * The symbol decides. The description only tells kinds of forced detach apart, whose first retry is the same, so a
 * text that Microsoft rewords costs a word in a log and nothing else.
 */
export function classify(condition: string | undefined, description?: string): ConditionClass {
  const known = conditionEntry(condition).class;
  if (known !== 'forced' || description === undefined) return known;
  if (/RenewToken/i.test(description)) return 'token';
  if (/IdleTimerExpired|Idle timeout|was inactive|did not have any active links/i.test(description)) return 'idle';
  return known;
}

/** Whether this belongs to the normal life of a link or connection to Service Bus, as long as it does not persist. */
export function isNormalLife(conditionClass: ConditionClass): boolean {
  return conditionClass === 'idle' || conditionClass === 'forced' || conditionClass === 'token';
}

/**
 * The `TrackingId` that Microsoft's support asks for, where the description has one.
 *
 * Descriptions end with `TrackingId:<guid>_G<n>, SystemTracker:…, Timestamp:…`.
 */
export function trackingIdOf(description: string | undefined): string | undefined {
  return /TrackingId:\s*([0-9a-zA-Z_-]{8,80})/.exec(description ?? '')?.[1];
}
