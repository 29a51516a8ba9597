// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import { plainOf } from '@pointsman/wire';
import type { EntityManagement } from './entity-management.js';

/** What has come of a message session on one link. */
export interface SessionMessages {
  readonly address: string;
  readonly heldCount: number;
  readonly settled: number;
  renewed(): void;
  /** Gives the link up and attaches another. */
  leave(): void;
}

export interface SessionKeeperOptions {
  readonly messages: SessionMessages;
  readonly management: EntityManagement;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
  readonly sessionId: string;
  /** When the lock ends, as the attach says; ms since 1970. */
  readonly lockedUntilMs: number | undefined;
  readonly renews: boolean;
  /** Any session does: when this one has nothing more, the next is asked for. */
  readonly goesOn: boolean;
}

const LOOK_MS = 1_000;
const LOCK_MIN_MS = 5_000;
const LOCK_MAX_MS = 300_000;
const LOCK_DEFAULT_MS = 60_000;
const RENEW_SHARE = 1 / 2;
/** A session from which nothing has come for so long has nothing more. */
const IDLE_MS = 5_000;
const TICKS_PER_MS = 10_000n;
const MS_TO_1970 = 62_135_596_800_000n;

/** Keeps the lock of the message session that an autolink has, and lets go of one that has nothing more. */
export class SessionKeeper {
  readonly #options: SessionKeeperOptions;
  #due: number;
  #settled = 0;
  #activeAt: number;
  #cancel: (() => void) | undefined;

  constructor(options: SessionKeeperOptions) {
    this.#options = options;
    const { clock, nowMs, lockedUntilMs } = options;
    this.#activeAt = clock.now();
    this.#due = clock.now() + within(lockedUntilMs === undefined ? LOCK_DEFAULT_MS : lockedUntilMs - nowMs());
    this.#lookLater();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #lookLater(): void {
    this.#cancel = this.#options.clock.after(LOOK_MS, () => {
      this.#lookLater();
      const { messages, clock, renews, goesOn } = this.#options;
      const now = clock.now();
      if (messages.heldCount > 0 || messages.settled !== this.#settled) {
        this.#settled = messages.settled;
        this.#activeAt = now;
      } else if (goesOn && now - this.#activeAt >= IDLE_MS) {
        messages.leave();
        return;
      }
      if (renews && now >= this.#due) this.#renew();
    });
  }

  #renew(): void {
    const { messages, management, clock, nowMs, sessionId } = this.#options;
    if (!management.isOpen) return;
    this.#due = Infinity;
    management.ask(messages.address, 'renew-session-lock', new Map([['session-id', sessionId]]), (result) => {
      if ('error' in result || result.status !== 200) {
        // A lock that is lost ends the link.
        this.#due = clock.now() + LOOK_MS;
        return;
      }
      messages.renewed();
      const until = result.body instanceof Map ? plainOf(result.body.get('expiration')) : undefined;
      this.#due = clock.now() + within(until === undefined ? LOCK_DEFAULT_MS : Number(until) - nowMs());
    });
  }
}

/** Ms until a lock of that length is renewed: clocks may differ. */
function within(lockMs: number): number {
  return Math.min(LOCK_MAX_MS, Math.max(LOCK_MIN_MS, lockMs)) * RENEW_SHARE;
}

/** A time in ticks of .NET, as attaches have it, in ms since 1970. */
export function msOfTicks(ticks: bigint | number | undefined): number | undefined {
  return ticks === undefined ? undefined : Number(BigInt(ticks) / TICKS_PER_MS - MS_TO_1970);
}
