// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';
import { entryOf, int, long, plainOf } from '@pointsman/wire';
import type { AmqpValue, DeliveryState } from '@pointsman/wire';
import type { ConditionClass } from './conditions.js';
import { classOf } from './entity-management.js';
import type { EntityManagement } from './entity-management.js';
import { lockTokenOf, lockTokens } from './lock-token.js';
import { messageAnnotation, sequenceNumberOf } from './message-annotation.js';
import type { ServiceAnswer, ServiceResult } from './entity-management.js';
import { retryDelay } from './retry.js';

export interface LateSettlementsOptions {
  readonly management: EntityManagement;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** `gone`: the lock had ended, the message comes again. `unknown`: told, and nobody can say whether it was done. */
export type LateResult = 'taken' | 'gone' | 'unknown';

/** A message whose outcome is told here. */
export interface LateMessage {
  /** Of its delivery. */
  readonly tag: Uint8Array;
  /** Its sequence number, where it has one. */
  readonly identity: string | number | bigint | undefined;
  /** Its outcome was told on the link, which ended before there was an answer: it may have been heard. */
  readonly wasTold: boolean;
  /** Ms of the clock until which its lock holds for certain. */
  readonly heldUntil: number;
}

interface Settlement {
  readonly entity: string;
  readonly message: LateMessage;
  readonly body: Map<AmqpValue, AmqpValue>;
  readonly until: number;
  readonly done: (result: LateResult) => void;
  attempt: number;
  /** It was told and no answer came: that may have done it. */
  isUnanswered: boolean;
  /** Its token counts no more: what the queue still has is to tell why. */
  isLooking: boolean;
  /** The lock lasted when its token did not count, if nothing else had ended it. */
  wasHeld: boolean;
  cancel: (() => void) | undefined;
}

/** No lock lasts longer, unless it is renewed. */
const LOCK_MAX_MS = 300_000;
/** More than that is not kept: their messages come again. */
const WAITING_MAX = 10_000;
/** Longest that is waited before another attempt, and as a share of what is left of the lock; but no shorter than that. */
const DELAY_MAX_MS = 5_000;
const DELAY_SHARE = 1 / 5;
const DELAY_MIN_MS = 250;
/** Reasons and texts of a dead letter are cut at this length by the service. */
const REASON_MAX = 4096;

/** Of `x-opt-message-state`. */
const DEFERRED = 1;

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

  /** @param done - called once, and not at once */
  settle(entity: string, message: LateMessage, state: DeliveryState, done: (result: LateResult) => void): void {
    const { clock } = this.#options;
    const body = dispositionOf(state);
    const token = lockTokenOf(message.tag);
    if (token === undefined || body === undefined || this.#isClosed || this.#waiting.size >= WAITING_MAX) {
      clock.after(0, () => done(message.wasTold ? 'unknown' : 'gone'));
      return;
    }
    body.set('lock-tokens', lockTokens(token));
    const settlement: Settlement = {
      entity,
      message,
      body,
      until: clock.now() + LOCK_MAX_MS,
      done,
      attempt: 0,
      isUnanswered: message.wasTold,
      isLooking: false,
      wasHeld: false,
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
    if (settlement.isLooking) return this.#look(settlement);
    const isHeld = clock.now() < settlement.message.heldUntil;
    management.ask(settlement.entity, 'update-disposition', settlement.body, (result) =>
      this.#answered(settlement, result, isHeld),
    );
  }

  /** @param isHeld - the lock lasted when that was asked, if nothing else had ended it */
  #answered(settlement: Settlement, result: ServiceResult, isHeld: boolean): void {
    if (!this.#waiting.has(settlement)) return;
    if (!('error' in result) && isYes(result)) return this.#finish(settlement, 'taken');
    const kind = classOf(result);
    const isFinal = !('error' in result) && (kind === 'lock-lost' || kind === 'missing');
    if (isFinal || !PASSING.has(kind)) return this.#lost(settlement, isHeld);
    if ('error' in result && !result.isUntaken) settlement.isUnanswered = true;
    this.#tryLater(settlement, kind);
  }

  #tryLater(settlement: Settlement, kind: ConditionClass): void {
    const { clock, random, management } = this.#options;
    if (!management.isOpen) return this.#tryNow(settlement);
    const left = settlement.message.heldUntil - clock.now();
    const most = left > 0 ? Math.min(DELAY_MAX_MS, Math.max(DELAY_MIN_MS, left * DELAY_SHARE)) : DELAY_MAX_MS;
    const delay = Math.min(most, retryDelay(kind, settlement.attempt++, random));
    settlement.cancel = clock.after(delay, () => this.#tryNow(settlement));
  }

  /** The token counts no more: it has ended, or what was told before was heard. */
  #lost(settlement: Settlement, isHeld: boolean): void {
    const { isUnanswered, body, message } = settlement;
    if (!isUnanswered) return this.#finish(settlement, 'gone');
    // With or without our word the message is given out again, and one attempt more is counted.
    if (body.get('disposition-status') === 'abandoned') return this.#finish(settlement, 'taken');
    if (typeof message.identity !== 'bigint') return this.#finish(settlement, 'gone');
    settlement.isLooking = true;
    settlement.wasHeld = isHeld;
    settlement.attempt = 0;
    this.#look(settlement);
  }

  /** Looks whether the message is there still. */
  #look(settlement: Settlement): void {
    const { entity, message } = settlement;
    const number = message.identity as bigint;
    const body = new Map<AmqpValue, AmqpValue>([
      ['from-sequence-number', long(number)],
      ['message-count', int(1)],
      ['omit-message-body', true],
    ]);
    this.#options.management.ask(entity, 'peek-message', body, (result) => {
      if (!this.#waiting.has(settlement)) return;
      const kind = classOf(result);
      if ('error' in result ? PASSING.has(kind) : !isYes(result) && result.status !== 404 && PASSING.has(kind))
        return this.#tryLater(settlement, kind);
      const found = 'error' in result ? undefined : stateOf(result, number);
      if (found === undefined) return this.#finish(settlement, 'gone');
      const isDeferral = settlement.body.get('disposition-status') === 'defered';
      const isDone = isDeferral ? found === 'deferred' : found === 'none';
      // Once the lock has ended, somebody else may have had the message since, and be done with it.
      if (isDone) this.#finish(settlement, settlement.wasHeld ? 'taken' : 'gone');
      else {
        settlement.isUnanswered = false;
        this.#finish(settlement, 'gone');
      }
    });
  }

  #finish(settlement: Settlement, result: LateResult): void {
    if (!this.#waiting.delete(settlement)) return;
    settlement.cancel?.();
    settlement.done(result === 'gone' && settlement.isUnanswered ? 'unknown' : result);
  }
}

function isYes({ status }: ServiceAnswer): boolean {
  return status >= 200 && status < 300;
}

/** What a queue has of the message of that number; undefined where the answer does not tell. */
function stateOf({ status, body }: ServiceAnswer, number: bigint): 'none' | 'deferred' | 'other' | undefined {
  if (status === 204 || status === 404) return 'none';
  const messages = status === 200 && body instanceof Map ? body.get('messages') : undefined;
  const first: AmqpValue | undefined = Array.isArray(messages) ? messages[0] : undefined;
  const bytes = first instanceof Map ? first.get('message') : undefined;
  if (!(bytes instanceof Uint8Array)) return undefined;
  if (sequenceNumberOf(bytes) !== number) return 'none';
  return Number(messageAnnotation(bytes, 'x-opt-message-state') ?? 0) === DEFERRED ? 'deferred' : 'other';
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
