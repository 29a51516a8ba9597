// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import { AmqpArray, plainOf } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import type { ConditionClass } from './conditions.js';
import { classOf } from './entity-management.js';
import type { EntityManagement, ServiceResult } from './entity-management.js';
import { lockTokenOf, lockTokens } from './lock-token.js';
import { messageAnnotation } from './message-annotation.js';
import { retryDelay } from './retry.js';

/** A message in hand. */
export interface LockedMessage {
  readonly tag: Uint8Array;
  /** Ms of the clock at which it came. */
  readonly since: number;
  note: unknown;
}

/** What has come from an entity and is not settled yet. */
export interface LockedMessages {
  readonly address: string;
  readonly held: Iterable<LockedMessage>;
  readonly heldCount: number;
  /** Messages that were settled, and ms that they were in hand, altogether. */
  readonly settled: number;
  readonly handlingMs: number;
  readonly capacity: number;
  readonly creditLimit: number;
  /** Locks are renewed while their messages are in hand. */
  readonly renewsLocks: boolean;
  limitCredit(count: number): void;
  renewed(): void;
}

export interface LockKeeperOptions {
  readonly messages: LockedMessages;
  readonly management: EntityManagement;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Between two looks, on the average: what happens in step with them would meet each of them. */
const LOOK_MS = 1_000;
/** A renewal that failed is tried again when such a share of what is left of its lock has gone, at the latest; but not sooner. */
const RETRY_SHARE = 1 / 5;
const RETRY_MIN_MS = 250;
const PATIENCE_MIN_MS = 500;
/** Lock durations that an entity can have. */
const LOCK_MIN_MS = 5_000;
const LOCK_MAX_MS = 300_000;
/** What an entity has where nobody says otherwise, and what is taken until messages tell. */
const LOCK_DEFAULT_MS = 60_000;
/** A lock is renewed when so much of it is left. */
const RENEW_SHARE = 1 / 2;
/** Messages are to be settled within so much of their lock, those at the end of the queue too. */
const HANDLING_SHARE = 1 / 2;
/** Messages that are looked at for the end of their lock, of which the shortest counts: clocks may differ. */
const SAMPLES = 3;

interface Note {
  /** When the lock is to be renewed; undefined where it is lost, or its token was none. */
  due: number | undefined;
  /** When it ends. */
  until: number;
  /** When the renewal was asked for that was granted last. */
  renewedAt: number | undefined;
  /** Renewals that failed, in a row. */
  failures: number;
}

/**
 * Keeps the locks of messages that are on their way through the network, and sees to it that no more of them are taken than
 * can be dealt with in the time of a lock.
 */
export class LockKeeper {
  readonly #options: LockKeeperOptions;
  #lockMs: number | undefined;
  #samples = 0;
  #cancel: (() => void) | undefined;
  #nextLook = Infinity;
  /** The service was busy: until then nothing is asked, and then for one message alone, until it answers. */
  #busyUntil: number | undefined;
  #isProbing = false;
  /** Of the messages, at the last change of the limit. */
  #settled = 0;
  #handlingMs = 0;
  #changedAt = -Infinity;

  constructor(options: LockKeeperOptions) {
    this.#options = options;
    this.#lookWithin(LOOK_MS);
  }

  /** As far as it is known. Ms. */
  get lockMs(): number {
    return this.#lockMs ?? LOCK_DEFAULT_MS;
  }

  /** Ms of the clock until which its lock holds for certain, if nothing but time ends it. */
  heldUntil({ since, note }: LockedMessage): number {
    return ((note as Note | undefined)?.renewedAt ?? since) + this.lockMs;
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** The first bytes of a message. @returns whether enough has been seen */
  look(bytes: Uint8Array): boolean {
    // Ms since 1970.
    const until = messageAnnotation(bytes, 'x-opt-locked-until');
    if (typeof until === 'number' || typeof until === 'bigint') this.#learn(Number(until) - this.#options.nowMs());
    return ++this.#samples >= SAMPLES;
  }

  #learn(lockMs: number): void {
    const within = Math.min(LOCK_MAX_MS, Math.max(LOCK_MIN_MS, lockMs));
    this.#lockMs = Math.min(this.#lockMs ?? Infinity, within);
  }

  /** @param ms - at the latest */
  #lookWithin(ms: number): void {
    const { clock } = this.#options;
    const at = clock.now() + ms;
    if (at >= this.#nextLook) return;
    this.#cancel?.();
    this.#nextLook = at;
    this.#cancel = clock.after(ms, () => {
      this.#nextLook = Infinity;
      this.#lookWithin(LOOK_MS * (3 / 4 + this.#options.random() / 2));
      const { messages } = this.#options;
      if (messages.renewsLocks && messages.heldCount > 0) this.#renewDue();
      this.#bound();
    });
  }

  // ---- locks ----

  #renewDue(): void {
    const { messages, clock, management } = this.#options;
    const now = clock.now();
    if (this.#busyUntil !== undefined && now < this.#busyUntil) return;
    let first: { readonly message: LockedMessage; readonly note: Note } | undefined;
    for (const message of messages.held) {
      const note = (message.note ??= this.#noteOf(message)) as Note;
      if (note.due === undefined || note.due > now) continue;
      if (!management.isOpen) return this.#lookWithin(RETRY_MIN_MS);
      if (this.#busyUntil === undefined) this.#renew(message, note);
      else if (first === undefined || note.until < first.note.until) first = { message, note };
    }
    // A busy service is not asked for each of a hundred messages whether it still is.
    if (first === undefined || this.#isProbing) return;
    this.#isProbing = true;
    this.#renew(first.message, first.note);
  }

  #noteOf({ since }: LockedMessage): Note {
    return { due: since + this.lockMs * RENEW_SHARE, until: since + this.lockMs, renewedAt: undefined, failures: 0 };
  }

  #renew(message: LockedMessage, note: Note): void {
    const { messages, clock, management, nowMs } = this.#options;
    const token = lockTokenOf(message.tag);
    if (token === undefined) {
      note.due = undefined;
      return;
    }
    // An answer that is lost must leave time to ask again.
    const patienceMs = Math.max(PATIENCE_MIN_MS, (note.until - clock.now()) / 3);
    const body = new Map([['lock-tokens', lockTokens(token)]]);
    const askedAt = clock.now();
    // Not again before the answer.
    note.due = Infinity;
    const answered = (result: ServiceResult): void => {
      this.#isProbing = false;
      const kind = classOf(result);
      if (kind !== 'busy' && this.#busyUntil !== undefined) {
        this.#busyUntil = undefined;
        if (this.#cancel !== undefined) this.#lookWithin(0);
      }
      if (!('error' in result) && result.status === 200) {
        messages.renewed();
        const until = firstExpiration(result.body);
        const lockMs =
          until === undefined ? this.lockMs : Math.min(LOCK_MAX_MS, Math.max(LOCK_MIN_MS, until - nowMs()));
        note.failures = 0;
        note.renewedAt = askedAt;
        note.until = clock.now() + lockMs;
        note.due = clock.now() + lockMs * RENEW_SHARE;
      } else if (!('error' in result) && (result.status === 410 || result.status === 404)) {
        note.due = undefined;
      } else {
        this.#failed(note, kind);
      }
    };
    management.ask(messages.address, 'renew-lock', body, answered, patienceMs);
  }

  #failed(note: Note, kind: ConditionClass): void {
    const { clock, random } = this.#options;
    const left = note.until - clock.now();
    const wanted = retryDelay(kind, note.failures++, random);
    const delay = Math.min(wanted, Math.max(RETRY_MIN_MS, left * RETRY_SHARE));
    note.due = clock.now() + delay;
    if (kind === 'busy') this.#busyUntil = note.due;
    if (this.#cancel !== undefined) this.#lookWithin(delay);
  }

  // ---- credit ----

  /** As many messages in hand as are settled within a part of the lock, by the time that they have taken of late. */
  #bound(): void {
    const { messages, clock } = this.#options;
    const { settled, handlingMs, creditLimit, capacity, heldCount } = messages;
    const target = this.lockMs * HANDLING_SHARE;
    const count = settled - this.#settled;
    const mean = (handlingMs - this.#handlingMs) / count;
    if (count === 0) {
      if (heldCount === 0) return;
      // Nothing is settled at all: half of it, and so on.
      const waited = clock.now() - Math.max(this.#changedAt, oldestOf(messages.held));
      if (waited > target) this.#limit(creditLimit / 2);
    } else if (mean > target) {
      this.#limit((creditLimit * target) / mean);
    } else if (count >= creditLimit) {
      // All that came under this limit has shown what it takes.
      this.#limit(mean < target / 2 ? Math.min(capacity, creditLimit * 2) : creditLimit);
    }
  }

  #limit(count: number): void {
    const { messages, clock } = this.#options;
    this.#settled = messages.settled;
    this.#handlingMs = messages.handlingMs;
    this.#changedAt = clock.now();
    messages.limitCredit(Math.max(1, Math.floor(count)));
  }
}

/** When the first of them came. */
function oldestOf(held: Iterable<LockedMessage>): number {
  for (const { since } of held) return since;
  return -Infinity;
}

function firstExpiration(body: AmqpValue | undefined): number | undefined {
  const expirations = body instanceof Map ? body.get('expirations') : undefined;
  return expirations instanceof AmqpArray ? timeOf(expirations.values[0]) : undefined;
}

function timeOf(value: AmqpValue | undefined): number | undefined {
  const plain = plainOf(value);
  return typeof plain === 'number' || typeof plain === 'bigint' ? Number(plain) : undefined;
}
