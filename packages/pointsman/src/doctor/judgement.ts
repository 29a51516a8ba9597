// SPDX-License-Identifier: Apache-2.0
import type { EntityDescription } from '../administration/entity-description.js';
import type { AutoLinkConfig } from '../config/model.js';
import type { CheckName, Detail, Finding } from './finding.js';
import type { EntityNeed } from './patient.js';
import { capitalized, countInWords, durationInWords } from './words.js';

/** What is known of an entity, from wherever. */
export interface EntityFacts {
  readonly path: string;
  readonly description: EntityDescription | undefined;
  /** How long a message, or a message session, is locked. */
  readonly lockMs: number | undefined;
  readonly requiresSession: boolean | undefined;
  /** Something lies in it; undefined where that is not known. */
  readonly hasMessages: boolean | undefined;
  /** Something lies in the dead-letter queue: as much as is known of it. */
  readonly deadLetters: { readonly count: number | undefined; readonly reason: string | undefined } | undefined;
}

/** Messages that an autolink takes ahead where it says nothing, see docs/service-bus.md. */
const PREFETCH = 50;
/** A receiver that has less time for a message than this, on the average, is taken for one that may not manage. */
const TIME_FOR_ONE_MS = 2_000;
/** Renewed at half of it: less is lost with a short pause of the network. */
const LOCK_SHORT_MS = 15_000;
const DELIVERIES_FEW = 2;
const FULL_SHARE = 0.8;
const LIFE_SHORT_MS = 60_000;
const IDLE_SHORT_MS = 86_400_000;

/** What an entity is like, in a sentence or two, and as details for programs. */
export function settingsOf(description: EntityDescription): {
  readonly text: string;
  readonly details: Readonly<Record<string, Detail>>;
} {
  const { kind, path, status, lockMs, maxDeliveryCount, timeToLiveMs, requiresSession, forwardTo, counts } =
    description;
  const sessions = requiresSession ? ' with message sessions' : '';
  const sentences = [`${path} is a ${kind}${sessions}, ${status === 'Active' ? 'active' : status}`];
  if (forwardTo !== undefined) sentences.push(`Messages go on to ${forwardTo}`);
  if (lockMs !== undefined && kind !== 'topic') {
    const attempts =
      maxDeliveryCount === undefined
        ? ''
        : `, and is a dead letter after ${countInWords(maxDeliveryCount, 'delivery', 'deliveries')}`;
    sentences.push(
      `${requiresSession ? 'A session' : 'A message'} is locked for ${durationInWords(lockMs)}${requiresSession ? '' : attempts}`,
    );
  }
  if (timeToLiveMs !== undefined && timeToLiveMs !== Infinity)
    sentences.push(`Messages live ${durationInWords(timeToLiveMs)}`);
  if (counts !== undefined && kind !== 'topic') {
    const { active, deadLetter, scheduled } = counts;
    const more = scheduled === 0 ? '' : `, ${scheduled} scheduled`;
    sentences.push(
      `${capitalized(countInWords(active, 'message'))} in it${more}, ${countInWords(deadLetter, 'dead letter')}`,
    );
  }
  const known: Readonly<Record<string, Detail | undefined>> = {
    entity: path,
    kind,
    status,
    requiresSession,
    lockMs,
    maxDeliveryCount,
    timeToLiveMs: timeToLiveMs === Infinity ? undefined : timeToLiveMs,
    forwardTo,
    forwardDeadLettersTo: description.forwardDeadLettersTo,
    messages: counts?.active,
    deadLetters: counts?.deadLetter,
    transferDeadLetters: counts?.transferDeadLetter,
    scheduled: counts?.scheduled,
  };
  return { text: sentences.join('. '), details: without(known) };
}

/** What does not fit between an entity and those who use it, or will hurt some day. */
export function remarksOn(facts: EntityFacts, needs: readonly EntityNeed[]): Finding[] {
  const all = [...lockRemarks(facts, needs), ...entityRemarks(facts, needs)];
  // Autolinks that are alike give rise to the same.
  return all.filter(({ text }, index) => all.findIndex((other) => other.text === text) === index);
}

/** What the time of a lock means for the autolinks that receive. */
export function lockRemarks(
  { path, lockMs, requiresSession }: Pick<EntityFacts, 'path' | 'lockMs' | 'requiresSession'>,
  needs: readonly EntityNeed[],
): Finding[] {
  if (lockMs === undefined) return [];
  const lock = durationInWords(lockMs);
  const found: Finding[] = [];
  const locking = needs
    .map(({ link }) => link)
    .filter((link): link is AutoLinkConfig => link?.direction === 'in' && link.receiveMode === 'peekLock');
  for (const link of locking) {
    const prefetch = link.prefetch ?? (requiresSession === true ? 1 : PREFETCH);
    const details = { entity: path, lockMs, prefetch, renewLocks: link.renewLocks };
    const share = lockMs / prefetch;
    if (link.renewLocks) {
      if (lockMs < LOCK_SHORT_MS)
        found.push(
          remark(
            'lock',
            path,
            `Locks of ${lock} are short: the router renews them every ${durationInWords(lockMs / 2)}, and a pause of the network of as long loses them. Set the LockDuration of ${path} to a minute.`,
            details,
          ),
        );
    } else if (requiresSession === true) {
      found.push(
        remark(
          'lock',
          path,
          `The lock of a message session ends after ${lock}, and renewLocks is off: the session is lost then, with what is under way. Leave renewLocks on.`,
          details,
        ),
      );
    } else if (share < TIME_FOR_ONE_MS) {
      const fitting = Math.max(1, Math.floor(lockMs / TIME_FOR_ONE_MS));
      found.push(
        remark(
          'lock',
          path,
          `Up to ${prefetch} messages are taken ahead, each locked for ${lock} from then on, and renewLocks is off: that leaves ${durationInWords(share)} for each. Leave renewLocks on, or write prefetch: ${fitting}.`,
          details,
        ),
      );
    }
  }
  return found;
}

function entityRemarks({ path, description, deadLetters }: EntityFacts, needs: readonly EntityNeed[]): Finding[] {
  const found: Finding[] = [];
  const add = (check: CheckName, text: string, details: Readonly<Record<string, Detail>> = {}): void => {
    found.push(remark(check, path, text, { entity: path, ...details }));
  };
  if (deadLetters !== undefined) {
    const { count, reason } = deadLetters;
    const lie =
      count === undefined ? 'Messages lie' : count === 1 ? '1 message lies' : `${countInWords(count, 'message')} lie`;
    const first = reason === undefined ? '' : ` (the first: ${reason})`;
    add(
      'dead-letters',
      `${lie} in the dead-letter queue of ${path}${first}. Nobody gets them from ${path} itself: look at them, at ${path}/$DeadLetterQueue.`,
      without({ deadLetters: count, reason }),
    );
  }
  if (description === undefined) return found;
  const { maxDeliveryCount, counts, sizeBytes, maxSizeBytes, autoDeleteOnIdleMs, timeToLiveMs, forwardTo } =
    description;
  const receives = needs.some(({ direction, link }) => direction !== 'out' && link?.receiveMode !== 'receiveAndDelete');
  const sends = needs.some(({ direction }) => direction !== 'in');
  if (maxDeliveryCount !== undefined && maxDeliveryCount <= DELIVERIES_FEW && receives && forwardTo === undefined)
    add(
      'deliveries',
      `MaxDeliveryCount is ${maxDeliveryCount}: ${maxDeliveryCount === 1 ? 'one receiver that goes' : 'two receivers that go'} away with a message, and it is a dead letter. Ten is usual.`,
      { maxDeliveryCount },
    );
  if (counts !== undefined && counts.transferDeadLetter > 0)
    add(
      'dead-letters',
      `${capitalized(countInWords(counts.transferDeadLetter, 'message'))} could not be forwarded${forwardTo === undefined ? '' : ` to ${forwardTo}`}: look at ${path}/$Transfer/$DeadLetterQueue, and whether the entity that it forwards to exists and is active.`,
      { transferDeadLetters: counts.transferDeadLetter },
    );
  if (sizeBytes !== undefined && maxSizeBytes !== undefined && maxSizeBytes > 0 && sends) {
    const share = sizeBytes / maxSizeBytes;
    if (share >= FULL_SHARE)
      add(
        'size',
        `${path} is full to ${Math.round(share * 100)} %: what is sent is refused when it is full. Receive from it, or raise its size.`,
        { sizeBytes, maxSizeBytes },
      );
  }
  if (timeToLiveMs !== undefined && timeToLiveMs < LIFE_SHORT_MS && !description.deadLettersExpired)
    add(
      'life',
      `Messages that nobody takes within ${durationInWords(timeToLiveMs)} vanish (DefaultMessageTimeToLive, without dead-lettering). Raise it, if that is not meant.`,
      { timeToLiveMs },
    );
  if (autoDeleteOnIdleMs !== undefined && autoDeleteOnIdleMs <= IDLE_SHORT_MS)
    add(
      'life',
      `${path} is deleted when nobody has used it for ${durationInWords(autoDeleteOnIdleMs)} (AutoDeleteOnIdle). If it is to outlast a pause of the router, take that off.`,
      { autoDeleteOnIdleMs },
    );
  return found;
}

function remark(check: CheckName, subject: string, text: string, details: Readonly<Record<string, Detail>>): Finding {
  return { step: 'entity', check, verdict: 'warning', subject, text, details };
}

function without(known: Readonly<Record<string, Detail | undefined>>): Readonly<Record<string, Detail>> {
  return Object.fromEntries(Object.entries(known).filter((entry): entry is [string, Detail] => entry[1] !== undefined));
}
