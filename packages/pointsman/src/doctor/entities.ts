// SPDX-License-Identifier: Apache-2.0
import { entityAddressOf } from '@pointsman/azure';
import type { EntityDescription } from '../administration/entity-description.js';
import type { Client } from '../client/client.js';
import { ClientError } from '../client/client-error.js';
import type { Direction } from '../config/model.js';
import { rightText, tryLink } from './entity-link.js';
import type { LinkTrial } from './entity-link.js';
import type { Detail, Finding, StepName } from './finding.js';
import { remarksOn, settingsOf } from './judgement.js';
import type { EntityFacts } from './judgement.js';
import { examineKey } from './key.js';
import type { KeyVerdict } from './key.js';
import { ownerOf } from './management.js';
import type { Descriptions } from './management.js';
import type { Way } from './network.js';
import type { EntityNeed, Patient } from './patient.js';
import { peek } from './request-node.js';
import type { PeekedMessage } from './request-node.js';
import { durationInWords } from './words.js';

/** What the steps before have brought. */
export interface EntityExamination {
  readonly patient: Patient;
  readonly client: Client;
  readonly way: Way;
  /** Undefined where the management API was not asked. */
  readonly descriptions: Descriptions | undefined;
  /** What was most likely meant by names that no entity has; by name in lower case. */
  readonly suggestions: ReadonlyMap<string, string>;
  /** By how much our clock is ahead of the service's; undefined where that is not known. */
  readonly skewMs: number | undefined;
  readonly timeoutMs: number;
  /** Paths for which a token was refused: links there would be, too. */
  readonly withoutToken: ReadonlySet<string>;
  readonly onWait: (step: StepName, what: string) => void;
  /** Told how long a lock of an entity lasts, where that came out. */
  readonly onLock: (path: string) => void;
}

/** Locks that an entity can have. */
const LOCK_MIN_MS = 5_000;
const LOCK_MAX_MS = 300_000;
const LOCK_STEP_MS = 5_000;
const LOCK_LATE_MS = 2_000;
const LOCK_ERROR_MS = 1_000;

/** Looks at each entity, and attaches each link that the connector is to have. Nothing is sent and nothing taken. */
export async function* examineEntities(examination: EntityExamination): AsyncGenerator<Finding> {
  const { entities, connector } = examination.patient;
  if (entities.length === 0) {
    const { linkRoutes } = examination.patient;
    const routes =
      linkRoutes.length === 0
        ? ''
        : `; what its link routes lead to (${[...new Set(linkRoutes)].join(', ')}) nobody knows before a client comes`;
    const text = `No autolink names connector ${connector.name}, and no --entity was given: rights on entities were not looked at${routes}. Name some with --entity`;
    yield { step: 'entity', check: 'none', verdict: 'skipped', subject: '', text };
    return;
  }
  const byPath = new Map<string, EntityNeed[]>();
  for (const need of entities) {
    const key = need.path.toLowerCase();
    byPath.set(key, [...(byPath.get(key) ?? []), need]);
  }
  let key: KeyVerdict | undefined;
  let isKeyLookedAt = false;
  let isSilent = false;
  for (const needs of byPath.values()) {
    const { path } = needs[0]!;
    if (isSilent || !examination.client.isOpen) {
      const text = `${path} was not looked at: the peer ${isSilent ? 'does not answer any more' : 'has ended the connection'}`;
      yield { step: 'entity', check: 'none', verdict: 'skipped', subject: path, text };
      continue;
    }
    if (examination.withoutToken.has(path)) {
      const text = `${path} was not looked at: there is no token for it (see Tokens)`;
      yield { step: 'entity', check: 'none', verdict: 'skipped', subject: path, text };
      continue;
    }
    examination.onWait('entity', path);
    const trials = await tryLinks(examination, needs);
    isSilent = trials.some(isUnanswered);
    if (!isKeyLookedAt && trials.some(isUnauthorized)) {
      isKeyLookedAt = true;
      key = await examineKey(examination.patient, examination.client, path, examination);
      if (key !== undefined) yield key.finding;
    }
    yield* await findingsOn(examination, needs, trials, key);
  }
}

interface Trial extends LinkTrial {
  readonly need: EntityNeed;
  readonly direction: Direction;
  /** Autolinks that are to have such a link. */
  readonly alike: number;
}

function isUnanswered({ condition }: LinkTrial): boolean {
  return condition === 'pointsman:timed-out';
}

function isUnauthorized({ condition }: LinkTrial): boolean {
  return condition === 'amqp:unauthorized-access';
}

async function tryLinks(
  { patient, client, way, descriptions }: EntityExamination,
  needs: readonly EntityNeed[],
): Promise<readonly Trial[]> {
  const trials: Trial[] = [];
  const description = descriptionOf(descriptions, needs[0]!.path);
  const tried = new Set<string>();
  for (const need of needs) {
    for (const direction of directionsOf(need, description)) {
      // Autolinks that are alike fare alike; each for the next session may take its time.
      const kind = kindOf(need, direction);
      if (tried.has(kind)) continue;
      tried.add(kind);
      // oxlint-disable-next-line no-await-in-loop
      const trial = await tryLink(patient, client, way, need, direction, description);
      const alike = needs.filter((other) => other.direction === direction && kindOf(other, direction) === kind).length;
      trials.push({ ...trial, need, direction, alike });
      // Others would not be answered either.
      if (isUnanswered(trial) || !client.isOpen) return trials;
    }
  }
  return trials;
}

/** What tells links to an entity apart. */
function kindOf({ path, address, link, isRoute }: EntityNeed, direction: Direction): string {
  const isManagement = entityAddressOf(path).kind === 'management';
  const { sessionId, nextSession, receiveMode, filter } = link ?? {};
  return JSON.stringify([direction, isRoute, isManagement ? address : '', sessionId, nextSession, receiveMode, filter]);
}

/** Where nobody says which way, all that an entity of its kind takes. */
function directionsOf(
  { direction, path }: EntityNeed,
  description: EntityDescription | undefined,
): readonly Direction[] {
  if (direction !== undefined) return [direction];
  const { kind } = entityAddressOf(path);
  if (kind === 'subscription' || kind === 'dead-letter-queue' || /\/ConsumerGroups\//iu.test(path)) return ['in'];
  if (description?.kind === 'event-hub' || /\/(?:Partitions|Publishers)\/[^/]+$/iu.test(path)) return ['out'];
  return description?.kind === 'topic' || description?.forwardTo !== undefined ? ['out'] : ['out', 'in'];
}

function descriptionOf(descriptions: Descriptions | undefined, path: string): EntityDescription | undefined {
  const owner = ownerOf(path);
  const described = owner === undefined ? undefined : descriptions?.get(owner.toLowerCase());
  return described === 'missing' ? undefined : described;
}

async function findingsOn(
  examination: EntityExamination,
  needs: readonly EntityNeed[],
  trials: readonly Trial[],
  key: KeyVerdict | undefined,
): Promise<readonly Finding[]> {
  const { descriptions, onLock } = examination;
  const { path } = needs[0]!;
  const owner = ownerOf(path);
  const description = descriptionOf(descriptions, path);
  const isMissing = trials.every(({ condition }) => condition === 'amqp:not-found');
  const links = linksOf(examination, isMissing ? trials.slice(0, 1) : trials, key);
  const isOwn =
    owner !== undefined && entityAddressOf(path).kind !== 'management' && owner === entityAddressOf(path).path;
  const isDeadLetterQueue = entityAddressOf(path).kind === 'dead-letter-queue';
  const facts = await factsOf(examination, path, isOwn || isDeadLetterQueue ? description : undefined, trials, isOwn);
  if (facts.lockMs !== undefined) onLock(path);
  const isAnyAttached = trials.some(({ isAttached }) => isAttached);
  const settings =
    isOwn && (isAnyAttached || description !== undefined) ? settingsFinding(examination, facts) : undefined;
  return [
    ...(settings === undefined ? [] : [settings]),
    ...links,
    ...remarksOn(isOwn ? facts : { ...facts, description: undefined }, needs),
  ];
}

/** What came of the attaches. Where nobody said which way, one that is taken will do. */
function linksOf(
  { patient, suggestions }: EntityExamination,
  trials: readonly Trial[],
  key: KeyVerdict | undefined,
): Finding[] {
  return trials.map((trial) => {
    const { finding, need, direction, alike } = trial;
    const meant = suggestions.get((ownerOf(need.path) ?? need.path).toLowerCase());
    const isMissing = trial.condition === 'amqp:not-found';
    const said =
      key !== undefined && isUnauthorized(trial)
        ? rightText(patient, need, direction, key.isRight)
        : isMissing && need.isRoute === true
          ? routeText(need, trials)
          : finding.text;
    const text = isMissing && need.isRoute !== true && meant !== undefined ? `${said} Did you mean ${meant}?` : said;
    const several = alike > 1 ? ` (${alike} ${need.isRoute === true ? 'link routes' : 'autolinks'})` : '';
    return {
      ...finding,
      text: `${text}${several}`,
      verdict: verdictOf(trial, trials),
      ...(alike > 1 ? { details: { ...finding.details, autoLinks: alike } } : {}),
    };
  });
}

/** A link route to what is not there, or not that way. */
function routeText({ path }: EntityNeed, trials: readonly Trial[]): string {
  return trials.some(({ isAttached }) => isAttached)
    ? `${path} is sent to alone, as a topic is: clients of the link route receive from what is below it`
    : `${path}, the prefix of a link route, is no entity itself: what clients attach to below it shows when they come`;
}

function verdictOf({ finding, need, condition }: Trial, trials: readonly Trial[]): Finding['verdict'] {
  if (finding.verdict !== 'bad') return finding.verdict;
  // Clients bring what a link route leads to, and find out for themselves what it takes.
  if (need.isRoute === true)
    return condition === 'amqp:not-found' ? 'skipped' : condition === 'amqp:unauthorized-access' ? 'bad' : 'warning';
  const isOtherAttached = trials.some((other) => other.need === need && other.isAttached);
  return need.direction === undefined && isOtherAttached ? 'warning' : 'bad';
}

async function factsOf(
  { client, patient, skewMs, timeoutMs, onWait }: EntityExamination,
  path: string,
  description: EntityDescription | undefined,
  trials: readonly LinkTrial[],
  isOwn: boolean,
): Promise<EntityFacts> {
  const session = trials.find(({ lockedUntilMs }) => lockedUntilMs !== undefined);
  const fromSession =
    session === undefined || skewMs === undefined
      ? undefined
      : lockOf(session.lockedUntilMs! - (session.answeredAtMs - skewMs));
  const receives = trials.some(({ isAttached, finding }) => isAttached && finding.details?.['direction'] === 'in');
  const counts = description?.counts;
  const count = counts?.deadLetter;
  const mayLook = patient.isServiceBus && isOwn && receives;
  let deadLetters: EntityFacts['deadLetters'] =
    count === undefined || count === 0 ? undefined : { count, reason: undefined };
  let hasMessages = counts === undefined ? undefined : counts.active > 0;
  if (mayLook && count !== 0) {
    onWait('entity', `looking at the dead letters of ${path}`);
    const first = await lookAt(client, `${path}/$DeadLetterQueue`, timeoutMs);
    if (first !== undefined && first !== 'nothing') deadLetters = { count, reason: reasonOf(first) };
    // Where the first look came to nothing, so would another.
    if (hasMessages === undefined && first !== undefined) {
      onWait('entity', `looking whether ${path} has messages`);
      const own = await lookAt(client, path, timeoutMs);
      hasMessages = own === undefined ? undefined : own !== 'nothing';
    }
  }
  return {
    path,
    description,
    lockMs: description?.lockMs ?? fromSession,
    requiresSession: !isOwn
      ? false
      : (description?.requiresSession ?? trials.find((one) => one.requiresSession !== undefined)?.requiresSession),
    hasMessages,
    deadLetters: isOwn ? deadLetters : undefined,
  };
}

/** @returns undefined where the service does not tell: it was an offer, and a link that is lost shows at the next step */
async function lookAt(client: Client, path: string, timeoutMs: number): Promise<PeekedMessage | 'nothing' | undefined> {
  try {
    return (await peek(client, path, { timeoutMs })) ?? 'nothing';
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return undefined;
  }
}

/**
 * How long a lock is that was seen to last so long. What is seen is a little less, by the time on the way, and clocks may differ a little:
 * just below a multiple of five seconds, as people set it, it is that.
 *
 * @returns undefined for what no lock can be: a clock that is off may make anything of it
 */
export function lockOf(seenMs: number): number | undefined {
  const next = Math.ceil((seenMs - LOCK_ERROR_MS) / LOCK_STEP_MS) * LOCK_STEP_MS;
  const lockMs = next - seenMs <= LOCK_LATE_MS ? next : Math.round(seenMs / 1_000) * 1_000;
  return lockMs >= LOCK_MIN_MS && lockMs <= LOCK_MAX_MS ? lockMs : undefined;
}

function reasonOf(first: {
  readonly deadLetterReason: string | undefined;
  readonly deadLetterDescription: string | undefined;
}): string | undefined {
  const { deadLetterReason, deadLetterDescription } = first;
  return [deadLetterReason, deadLetterDescription].filter((part) => part !== undefined).join(': ') || undefined;
}

/** What the entity is like, or why that is not known. */
function settingsFinding(
  { patient, descriptions }: EntityExamination,
  { path, description, lockMs, requiresSession, hasMessages }: EntityFacts,
): Finding | undefined {
  const common = { step: 'entity', check: 'settings', subject: path } as const;
  if (description !== undefined) return { ...common, verdict: 'good', ...settingsOf(description) };
  if (!patient.isServiceBus) return undefined;
  const details: Record<string, Detail> = { entity: path };
  if (lockMs !== undefined) details['lockMs'] = lockMs;
  if (requiresSession !== undefined) details['requiresSession'] = requiresSession;
  if (hasMessages !== undefined) details['hasMessages'] = hasMessages;
  const sessions =
    requiresSession === undefined ? '' : ` It ${requiresSession ? 'requires' : 'does not require'} message sessions.`;
  const messages = hasMessages === undefined ? '' : ` There are ${hasMessages ? '' : 'no '}messages in it.`;
  if (lockMs !== undefined) {
    const text = `${path}: a message session is locked for about ${durationInWords(lockMs)}.${messages}`;
    return { ...common, verdict: 'good', text, details };
  }
  const why = descriptions === undefined ? ': the management API tells, which was not asked' : ' (see Management API)';
  return {
    ...common,
    verdict: 'skipped',
    text: `How long locks of ${path} last, and how often it delivers, is not known${why}.${sessions}${messages}`,
    details,
  };
}
