// SPDX-License-Identifier: Apache-2.0
import { MESSAGE_SIZE_MAX, type Entity, type EntityStatus } from '../entity.js';
import type { MessageQueue } from '../message-queue.js';
import type { PolicyOptions, Right } from '../policy.js';
import type { HoldingOptions, Queue, ReceivingOptions } from '../queue.js';
import type { Subscription } from '../subscription.js';
import type { Topic } from '../topic.js';
import { invalid } from './admin-error.js';
import type { Description } from './description.js';
import { durationOf } from './duration.js';
import { childOf, escapeXml } from './xml.js';

const MEGABYTE = 1024 * 1024;
const PARTITIONS = 16;
const PARTITION_MEGABYTES_MAX = 5_120;
/** What an entity may have: those of the Standard tier and, from 10 GB on, of the Premium tier. */
const SIZES: readonly number[] = [1_024, 2_048, 3_072, 4_096, 5_120, 10_240, 20_480, 40_960, 81_920];
const SECOND = 1_000;
const MINUTE = 60_000;
const DAY = 86_400_000;
const KEY_NAME_MAX = 256;

const STATUSES: readonly EntityStatus[] = ['Active', 'Disabled', 'SendDisabled', 'ReceiveDisabled'];
const RIGHTS: readonly Right[] = ['Listen', 'Manage', 'Send'];

/** What is kept of an entity only to be shown again. */
export interface Details {
  /** Ms since 1970. */
  readonly createdAt: number;
  updatedAt: number;
  userMetadata: string | undefined;
  /** Ms; shown where duplicates are not looked for. */
  duplicateWindowMs: number;
  enableBatchedOperations: boolean;
  readonly enableExpress: boolean;
  supportOrdering: boolean;
  /** With their keys, for those who may manage. */
  policies: readonly PolicyOptions[];
}

/** @param utcNow - ms since 1970 */
export function detailsOf(description: Description | undefined, utcNow: number): Details {
  return {
    createdAt: utcNow,
    updatedAt: utcNow,
    userMetadata: description?.text('UserMetadata'),
    duplicateWindowMs: (description && duplicateWindowOf(description)) ?? 10 * MINUTE,
    enableBatchedOperations: description?.flag('EnableBatchedOperations') ?? true,
    enableExpress: description?.flag('EnableExpress') ?? false,
    supportOrdering: description?.flag('SupportOrdering') ?? true,
    policies: description === undefined ? [] : policiesOf(description),
  };
}

/** Changes what is shown to what a later description has. */
export function updateDetails(details: Details, next: Details): void {
  const { enableExpress, createdAt } = details;
  Object.assign(details, { ...next, createdAt, enableExpress });
}

/**
 * Settings of a queue or a subscription as a description has them; what it leaves out is not there.
 *
 * @param currentBytes - size of the entity, where it is there already: who changes it gives back what was shown
 */
export function holdingOptionsOf(description: Description, currentBytes?: number): HoldingOptions {
  const megabytes = megabytesOf(description, currentBytes);
  const options: { -readonly [K in keyof HoldingOptions]: HoldingOptions[K] } = {
    forwardTo: entityNameOf(description.text('ForwardTo')),
    forwardDeadLetteredMessagesTo: entityNameOf(description.text('ForwardDeadLetteredMessagesTo')),
  };
  assign(options, 'lockDurationMs', description.duration('LockDuration', 5 * SECOND, 5 * MINUTE));
  assign(options, 'maxDeliveryCount', description.number('MaxDeliveryCount', 1, 2_000));
  assign(options, 'defaultTtlMs', description.duration('DefaultMessageTimeToLive', SECOND, Infinity));
  assign(options, 'deadLetterOnExpiration', description.flag('DeadLetteringOnMessageExpiration'));
  assign(options, 'requiresSession', description.flag('RequiresSession'));
  assign(options, 'maxSizeBytes', megabytes === undefined ? undefined : megabytes * MEGABYTE);
  return options;
}

function duplicateWindowOf(description: Description): number | undefined {
  return description.duration('DuplicateDetectionHistoryTimeWindow', 20 * SECOND, 7 * DAY);
}

/** Of a partitioned entity each of the 16 partitions has the size that is asked for, and what is shown is the sum. */
function megabytesOf(description: Description, currentBytes: number | undefined): number | undefined {
  const megabytes = description.number('MaxSizeInMegabytes', 0, 81_920);
  if (currentBytes !== undefined && (megabytes ?? megabytesIn(currentBytes)) === megabytesIn(currentBytes))
    return undefined;
  if (megabytes !== undefined && !SIZES.some((size) => size === megabytes || size * PARTITIONS === megabytes))
    throw invalid(`MaxSizeInMegabytes is ${megabytes}, and none of ${SIZES.join(', ')}.`);
  if (description.flag('EnablePartitioning') !== true) return megabytes;
  const given = megabytes ?? 1_024;
  // Who changes an entity gives back what was shown.
  return given > PARTITION_MEGABYTES_MAX ? given : given * PARTITIONS;
}

function megabytesIn(bytes: number): number {
  return Math.round(bytes / MEGABYTE);
}

/** Ms; what a description leaves out is never. */
export function autoDeleteOf(description: Description): number {
  return description.duration('AutoDeleteOnIdle', 5 * MINUTE, Infinity) ?? Infinity;
}

/**
 * Settings of a queue or a topic.
 *
 * @param current - bytes of a message, where the entity is there already: who changes it gives back what was shown
 */
export function receivingOptionsOf(
  description: Description,
  current: number = MESSAGE_SIZE_MAX,
): ReceivingOptions & { maxMessageSizeBytes?: number } {
  const kilobytes = description.number('MaxMessageSizeInKilobytes', 0, Number.MAX_SAFE_INTEGER);
  if (
    kilobytes !== undefined &&
    kilobytes !== Math.floor(current / 1_024) &&
    !(kilobytes >= 1_024 && kilobytes <= 102_400)
  )
    throw invalid("The value for 'MaxMessageSizeInKilobytes' must be between 1024 and 102400.");
  const window = duplicateWindowOf(description);
  return {
    requiresDuplicateDetection: description.flag('RequiresDuplicateDetection') ?? false,
    ...(window === undefined ? {} : { duplicateDetectionWindowMs: window }),
    ...(kilobytes === undefined ? {} : { maxMessageSizeBytes: kilobytes * 1_024 }),
  };
}

export function statusOf(description: Description): EntityStatus | undefined {
  return description.oneOf('Status', STATUSES);
}

/** Refuses to change what is fixed when an entity is made. @throws AdminError */
export function checkFixed(description: Description, entity: Queue | Topic | Subscription): void {
  const session = description.flag('RequiresSession');
  if (session !== undefined && session !== entity.requiresSession) throw fixed('RequiresSession', entity);
  if (entity.kind === 'subscription') return;
  const partitioning = description.flag('EnablePartitioning');
  if (partitioning !== undefined && partitioning !== entity.isPartitioned)
    throw invalid(`Partitioning cannot be changed for ${kindOf(entity)}.`);
  const duplicates = description.flag('RequiresDuplicateDetection');
  if (duplicates !== undefined && duplicates !== (entity.inbox.duplicateWindowMs !== undefined))
    throw fixed('RequiresDuplicateDetection', entity);
}

function fixed(name: string, entity: Entity): Error {
  return invalid(`The value for the ${name} property of an existing ${kindOf(entity)} cannot be changed.`);
}

function kindOf({ kind }: Entity): string {
  return kind.charAt(0).toUpperCase() + kind.slice(1);
}

function assign<T extends object, K extends keyof T>(target: T, key: K, value: T[K] | undefined): void {
  if (value !== undefined) target[key] = value;
}

/** The name in `sb://host/name`, or the text itself. */
function entityNameOf(text: string | undefined): string | undefined {
  return text?.replace(/^[a-z]+:\/\/[^/]*\//iu, '').replace(/\/$/u, '');
}

/** As the service shows an entity that messages go on to, whether it was given so or by its name. */
function uriOf(path: string | undefined, hostname: string): string | undefined {
  return path === undefined ? undefined : `sb://${hostname}/${path}`;
}

function policiesOf(description: Description): PolicyOptions[] {
  const rules = description.element('AuthorizationRules')?.children ?? [];
  const names = new Set<string>();
  return rules
    .filter(({ name }) => name === 'AuthorizationRule')
    .map((rule) => {
      const text = (name: string): string => childOf(rule, name)?.text ?? '';
      const rights = (childOf(rule, 'Rights')?.children ?? []).map((right) => right.text);
      const secondaryKey = text('SecondaryKey');
      const keyName = text('KeyName');
      if (keyName === '' || text('PrimaryKey') === '')
        throw invalid('An AuthorizationRule needs KeyName and PrimaryKey.');
      if (keyName.length > KEY_NAME_MAX) throw invalid(`A KeyName has at most ${KEY_NAME_MAX} characters.`);
      if (names.has(keyName.toLowerCase())) throw invalid(`There are two rules with the KeyName '${keyName}'.`);
      names.add(keyName.toLowerCase());
      const unknown = rights.find((right) => !(RIGHTS as readonly string[]).includes(right));
      if (rights.length === 0 || unknown !== undefined)
        throw invalid(
          `The rights of the rule '${keyName}' are ${unknown ?? 'none'}: they are of ${RIGHTS.join(', ')}.`,
        );
      if (rights.includes('Manage') && !(rights.includes('Send') && rights.includes('Listen')))
        throw invalid('Manage permission should also include Send and Listen.');
      return {
        name: keyName,
        key: text('PrimaryKey'),
        ...(secondaryKey === '' ? {} : { secondaryKey }),
        rights: rights as Right[],
      };
    });
}

// ---- what is shown; the order is that of the service: some clients read no other ----

/** What is shown of an entity besides its settings. */
export interface Shown {
  readonly hostname: string;
  /** Ms since 1970; undefined for never. */
  readonly accessedAt: number | undefined;
}

type Row = readonly [name: string, value: string | number | boolean | undefined];

export function queueXml(queue: Queue, details: Details, { hostname, accessedAt }: Shown): string {
  return rows([
    ['LockDuration', durationOf(queue.messages.settings.lockDurationMs)],
    ['MaxSizeInMegabytes', megabytesIn(queue.messages.settings.maxSizeBytes)],
    ['RequiresDuplicateDetection', queue.inbox.duplicateWindowMs !== undefined],
    ['RequiresSession', queue.requiresSession],
    ['DefaultMessageTimeToLive', durationOf(queue.messages.settings.defaultTtlMs)],
    ['DeadLetteringOnMessageExpiration', queue.messages.settings.deadLetterOnExpiration],
    ['DuplicateDetectionHistoryTimeWindow', durationOf(queue.inbox.duplicateWindowMs ?? details.duplicateWindowMs)],
    ['MaxDeliveryCount', queue.messages.settings.maxDeliveryCount],
    ['EnableBatchedOperations', details.enableBatchedOperations],
    ['SizeInBytes', sizeOf(queue)],
    ['MessageCount', total(queue.messages)],
  ]).concat(
    '<IsAnonymousAccessible>false</IsAnonymousAccessible>',
    rulesXml(details.policies),
    rows([
      ['Status', queue.status],
      ['ForwardTo', uriOf(queue.forwardTo, hostname)],
      ['UserMetadata', details.userMetadata],
      ['CreatedAt', date(details.createdAt)],
      ['UpdatedAt', date(details.updatedAt)],
      ['AccessedAt', accessed(accessedAt)],
      ['SupportOrdering', details.supportOrdering],
    ]),
    countsXml(queue.messages, queue.transferDeadLetters),
    rows([
      ['AutoDeleteOnIdle', autoDelete(queue)],
      ['EnablePartitioning', queue.isPartitioned],
      ['EntityAvailabilityStatus', 'Available'],
      ['ForwardDeadLetteredMessagesTo', uriOf(queue.forwardDeadLetteredMessagesTo, hostname)],
      ['EnableExpress', details.enableExpress],
      ['MaxMessageSizeInKilobytes', Math.floor(queue.maxMessageSizeBytes / 1_024)],
    ]),
  );
}

export function topicXml(topic: Topic, details: Details, { accessedAt }: Shown): string {
  return rows([
    ['DefaultMessageTimeToLive', durationOf(topic.defaultTtlMs)],
    ['MaxSizeInMegabytes', megabytesIn(topic.scheduled.settings.maxSizeBytes)],
    ['RequiresDuplicateDetection', topic.inbox.duplicateWindowMs !== undefined],
    ['DuplicateDetectionHistoryTimeWindow', durationOf(topic.inbox.duplicateWindowMs ?? details.duplicateWindowMs)],
    ['EnableBatchedOperations', details.enableBatchedOperations],
    ['SizeInBytes', topic.sizeBytes],
    ['FilteringMessagesBeforePublishing', false],
    ['IsAnonymousAccessible', false],
  ]).concat(
    rulesXml(details.policies),
    rows([
      ['Status', topic.status],
      ['UserMetadata', details.userMetadata],
      ['CreatedAt', date(details.createdAt)],
      ['UpdatedAt', date(details.updatedAt)],
      ['AccessedAt', accessed(accessedAt)],
      ['SupportOrdering', details.supportOrdering],
    ]),
    countsXml(topic.scheduled, undefined),
    rows([
      ['SubscriptionCount', topic.subscriptions.length],
      ['AutoDeleteOnIdle', autoDelete(topic)],
      ['EnablePartitioning', topic.isPartitioned],
      ['EntityAvailabilityStatus', 'Available'],
      ['EnableExpress', details.enableExpress],
      ['MaxMessageSizeInKilobytes', Math.floor(topic.maxMessageSizeBytes / 1_024)],
    ]),
  );
}

export function subscriptionXml(subscription: Subscription, details: Details, { hostname, accessedAt }: Shown): string {
  const { settings } = subscription.messages;
  return rows([
    ['LockDuration', durationOf(settings.lockDurationMs)],
    ['RequiresSession', subscription.requiresSession],
    ['DefaultMessageTimeToLive', durationOf(settings.defaultTtlMs)],
    ['DeadLetteringOnMessageExpiration', settings.deadLetterOnExpiration],
    ['DeadLetteringOnFilterEvaluationExceptions', subscription.deadLettersFilterFaults],
    ['MessageCount', total(subscription.messages)],
    ['MaxDeliveryCount', settings.maxDeliveryCount],
    ['EnableBatchedOperations', details.enableBatchedOperations],
    ['Status', subscription.status],
    ['ForwardTo', uriOf(subscription.forwardTo, hostname)],
    ['CreatedAt', date(details.createdAt)],
    ['UpdatedAt', date(details.updatedAt)],
    ['AccessedAt', accessed(accessedAt)],
    ['UserMetadata', details.userMetadata],
  ]).concat(
    countsXml(subscription.messages, subscription.transferDeadLetters),
    rows([
      ['ForwardDeadLetteredMessagesTo', uriOf(subscription.forwardDeadLetteredMessagesTo, hostname)],
      ['AutoDeleteOnIdle', autoDelete(subscription)],
      ['EntityAvailabilityStatus', 'Available'],
    ]),
  );
}

/** The first time that .NET knows stands for never. */
const accessed = (at: number | undefined): string => (at === undefined ? '0001-01-01T00:00:00Z' : date(at));
/** What forwards its messages is never taken away. */
const autoDelete = ({ forwardTo, autoDeleteOnIdleMs }: Entity): string =>
  durationOf(forwardTo === undefined ? autoDeleteOnIdleMs : Infinity);

const date = (ms: number): string => new Date(ms).toISOString();

function rows(list: readonly Row[]): string {
  return list
    .map(([name, value]) => (value === undefined ? '' : `<${name}>${escapeXml(String(value))}</${name}>`))
    .join('');
}

/** Dead letters count, too. */
function sizeOf({ messages, transferDeadLetters }: Queue): number {
  return messages.sizeBytes + (messages.deadLetters?.sizeBytes ?? 0) + transferDeadLetters.sizeBytes;
}

function total(messages: MessageQueue): number {
  const { active, scheduled, deferred, deadLetter } = messages.counts();
  return active + scheduled + deferred + deadLetter;
}

function countsXml(messages: MessageQueue, transferDeadLetters: MessageQueue | undefined): string {
  // Deferred messages count as active ones.
  const { active, deferred, scheduled, deadLetter } = messages.counts();
  const counts: readonly (readonly [string, number])[] = [
    ['ActiveMessageCount', active + deferred],
    ['DeadLetterMessageCount', deadLetter],
    ['ScheduledMessageCount', scheduled],
    ['TransferMessageCount', 0],
    ['TransferDeadLetterMessageCount', transferDeadLetters?.counts().active ?? 0],
  ];
  const inner = counts.map(([name, count]) => `<d2p1:${name}>${count}</d2p1:${name}>`).join('');
  return `<CountDetails xmlns:d2p1="http://schemas.microsoft.com/netservices/2011/06/servicebus">${inner}</CountDetails>`;
}

function rulesXml(policies: readonly PolicyOptions[]): string {
  const rules = policies.map(({ name, key, secondaryKey, rights }) => {
    const granted = rights.map((right) => `<AccessRights>${right}</AccessRights>`).join('');
    return (
      '<AuthorizationRule i:type="SharedAccessAuthorizationRule"><ClaimType>SharedAccessKey</ClaimType><ClaimValue>None</ClaimValue>' +
      `<Rights>${granted}</Rights>${rows([
        ['KeyName', name],
        ['PrimaryKey', key],
        ['SecondaryKey', secondaryKey],
      ])}</AuthorizationRule>`
    );
  });
  return `<AuthorizationRules>${rules.join('')}</AuthorizationRules>`;
}
