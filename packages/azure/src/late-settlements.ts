// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import { entryOf, plainOf } from '@pointsman/wire';
import type { AmqpValue, DeliveryState } from '@pointsman/wire';
import { classify } from './conditions.js';
import type { ConditionClass } from './conditions.js';
import type { EntityManagement } from './entity-management.js';
import { lockTokenOf, lockTokens } from './lock-token.js';
import type { ServiceResult } from './entity-management.js';
import { retryDelay } from './retry.js';

export interface LateSettlementsOptions {
  readonly management: EntityManagement;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** `gone`: the lock had ended, the message comes again. `unknown`: asked, and nobody can say whether it was done. */
export type LateResult = 'taken' | 'gone' | 'unknown';

interface Settlement {
  readonly entity: string;
  readonly body: Map<AmqpValue, AmqpValue>;
  readonly until: number;
  readonly done: (result: LateResult) => void;
  attempt: number;
  /** It was sent and no answer came: that may have done it. */
  isUnanswered: boolean;
  cancel: (() => void) | undefined;
}

/** No lock lasts longer, unless it is renewed. */
const LOCK_MAX_MS = 300_000;
/** More than that is not kept: their messages come again. */
const WAITING_MAX = 10_000;
/** Longest that is waited before another attempt: a lock may have five seconds. */
const DELAY_MAX_MS = 5_000;
/** Reasons and texts of a dead letter are cut at this length by the service. */
const REASON_MAX = 4096;

/** Classes of error that an outcome may get past while its lock lasts. */
const PASSING: ReadonlySet<ConditionClass> = new Set([
  'idle',
  'forced',
  'token',
  'stolen',
  'busy',
  'quota',
  'transient',
  'misuse',
  'unauthorized',
]);

/**
 * Outcomes that no link can carry any more: told by lock token through `<entity>/$management`, while the lock holds, on
 * whatever connection there is then.
 */
export class LateSettlements {
  readonly #options: LateSettlementsOptions;
  readonly #waiting = new Set<Settlement>();
  #isClosed = false;

  constructor(options: LateSettlementsOptions) {
    this.#options = options;
    options.management.whenOpen(() => {
      for (const settlement of this.#waiting) this.#tryNow(settlement);
    });
  }

  /** Outcomes that are not told yet. */
  get count(): number {
    return this.#waiting.size;
  }

  /** There is no connection any more, and none will be: nothing more is told. */
  close(): void {
    this.#isClosed = true;
    for (const settlement of this.#waiting) this.#finish(settlement, 'gone');
  }

  /**
   * @param tag - delivery-tag of the message
   * @param done - called once, and not at once
   */
  settle(entity: string, tag: Uint8Array, state: DeliveryState, done: (result: LateResult) => void): void {
    const { clock } = this.#options;
    const body = dispositionOf(state);
    const token = lockTokenOf(tag);
    if (token === undefined || body === undefined || this.#isClosed || this.#waiting.size >= WAITING_MAX) {
      clock.after(0, () => done('gone'));
      return;
    }
    body.set('lock-tokens', lockTokens(token));
    const settlement: Settlement = {
      entity,
      body,
      until: clock.now() + LOCK_MAX_MS,
      done,
      attempt: 0,
      isUnanswered: false,
      cancel: undefined,
    };
    this.#waiting.add(settlement);
    this.#tryNow(settlement);
  }

  #tryNow(settlement: Settlement): void {
    const { management, clock } = this.#options;
    settlement.cancel?.();
    settlement.cancel = undefined;
    if (clock.now() >= settlement.until) return this.#finish(settlement, 'gone');
    if (!management.isOpen) {
      settlement.cancel = clock.after(settlement.until - clock.now(), () => this.#finish(settlement, 'gone'));
      return;
    }
    management.ask(settlement.entity, 'update-disposition', settlement.body, (result) =>
      this.#answered(settlement, result),
    );
  }

  #answered(settlement: Settlement, result: ServiceResult): void {
    if (!this.#waiting.has(settlement)) return;
    if (!('error' in result) && result.status >= 200 && result.status < 300) return this.#finish(settlement, 'taken');
    const { clock, random, management } = this.#options;
    const condition = 'error' in result ? result.error.condition : result.condition;
    const kind = classify(condition, 'error' in result ? result.error.description : result.description);
    if (!('error' in result) && (kind === 'lock-lost' || kind === 'missing')) return this.#finish(settlement, 'gone');
    if (!PASSING.has(kind)) return this.#finish(settlement, 'gone');
    if ('error' in result) settlement.isUnanswered = true;
    if (!management.isOpen) return this.#tryNow(settlement);
    const delay = Math.min(DELAY_MAX_MS, retryDelay(kind, settlement.attempt++, random));
    settlement.cancel = clock.after(delay, () => this.#tryNow(settlement));
  }

  #finish(settlement: Settlement, result: LateResult): void {
    if (!this.#waiting.delete(settlement)) return;
    settlement.cancel?.();
    settlement.done(result === 'gone' && settlement.isUnanswered ? 'unknown' : result);
  }
}

/** Arguments of update-disposition. An outcome that it does not know frees the message, as near as that goes. */
function dispositionOf(state: DeliveryState): Map<AmqpValue, AmqpValue> | undefined {
  if (!('type' in state)) return undefined;
  switch (state.type) {
    case 'accepted':
      return new Map([['disposition-status', 'completed']]);
    case 'rejected': {
      const body = new Map<AmqpValue, AmqpValue>([['disposition-status', 'suspended']]);
      const { error } = state;
      const info = (name: string): string | undefined => {
        const value = plainOf(entryOf(error?.info, name));
        return typeof value === 'string' ? value : undefined;
      };
      const reason = info('DeadLetterReason') ?? error?.condition;
      const description = info('DeadLetterErrorDescription') ?? error?.description;
      if (reason !== undefined) body.set('deadletter-reason', reason.slice(0, REASON_MAX));
      if (description !== undefined) body.set('deadletter-description', description.slice(0, REASON_MAX));
      return body;
    }
    case 'modified': {
      const status = state.undeliverableHere === true ? 'defered' : 'abandoned';
      const body = new Map<AmqpValue, AmqpValue>([['disposition-status', status]]);
      const changes = new Map<AmqpValue, AmqpValue>(state.messageAnnotations ?? []);
      if (changes.size > 0) body.set('properties-to-modify', changes);
      return body;
    }
    case 'released':
      // There is no release by token. Left to itself the message would come again with the same count, but later.
      return new Map([['disposition-status', 'abandoned']]);
    default:
      return undefined;
  }
}
