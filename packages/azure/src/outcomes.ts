// SPDX-License-Identifier: Apache-2.0
import { classify, conditionEntry } from './conditions.js';

/** What became of a message on the router's side of an incoming autolink. */
export type ConsumerSaid =
  | 'accepted'
  | 'rejected'
  | 'released'
  /** modified, with delivery-failed or with neither flag. */
  | 'modified'
  /** modified{undeliverable-here}. */
  | 'modified-undeliverable-here'
  /** The consumer's link went before the message was sent on it. */
  | 'lost-before-send'
  /** The consumer's link went with the message sent and not settled. */
  | 'lost-after-send'
  /** The router could not route it: no route, too large, policy. */
  | 'router-refused'
  | 'router-stopping';

/** What is said to Service Bus about it. */
export interface OutcomeToServiceBus {
  readonly outcome: 'accepted' | 'rejected' | 'released' | 'modified';
  /** Fields of `modified`; absent for the others. */
  readonly deliveryFailed?: boolean;
  readonly undeliverableHere?: boolean;
  /** The consumer's error, reason or annotations go along. */
  readonly carriesDetails: boolean;
  /** To be said with a growing delay: Service Bus hands the message out again at once, without counting. */
  readonly delayed: boolean;
  readonly effect: 'complete' | 'dead-letter' | 'unlock' | 'abandon' | 'defer';
  readonly why: string;
}

const said = (
  outcome: OutcomeToServiceBus['outcome'],
  effect: OutcomeToServiceBus['effect'],
  options: { details?: boolean; delayed?: boolean; why: string },
): OutcomeToServiceBus => ({
  outcome,
  effect,
  ...(outcome === 'modified' ? { deliveryFailed: true, undeliverableHere: effect === 'defer' } : {}),
  carriesDetails: options.details ?? false,
  delayed: options.delayed ?? false,
  why: options.why,
});

/**
 * Towards Service Bus an outcome is a command, and two of AMQP's do harm there: `rejected` dead-letters, and
 * `modified{undeliverable-here}` defers the message, after which only its sequence number finds it.
 */
// prettier-ignore
export const TO_SERVICE_BUS: Readonly<Record<ConsumerSaid, OutcomeToServiceBus>> = {
  'accepted':                    said('accepted', 'complete',    { why: 'the consumer has it' }),
  'rejected':                    said('rejected', 'dead-letter', { why: 'the consumer wants it dead-lettered', details: true }),
  'released':                    said('released', 'unlock',      { why: 'untouched; slowed, because its count does not rise', delayed: true }),
  'modified':                    said('modified', 'abandon',     { why: 'the attempt failed; its count rises', details: true }),
  'modified-undeliverable-here': said('modified', 'abandon',     { why: 'deferring would hide the message', details: true }),
  'lost-before-send':            said('released', 'unlock',      { why: 'nobody has seen it' }),
  'lost-after-send':             said('modified', 'abandon',     { why: 'somebody may have seen it; a poison message must end' }),
  'router-refused':              said('released', 'unlock',      { why: 'a routing problem must not dead-letter', delayed: true }),
  'router-stopping':             said('released', 'unlock',      { why: 'frees the lock' }),
};

const DEFERRED: OutcomeToServiceBus = said('modified', 'defer', {
  why: 'deferral was asked for in the configuration',
  details: true,
});

/**
 * What to say to Service Bus.
 *
 * @param allowDefer - the operator has configured that undeliverable-here shall defer
 */
export function outcomeToServiceBus(consumer: ConsumerSaid, allowDefer = false): OutcomeToServiceBus {
  return allowDefer && consumer === 'modified-undeliverable-here' ? DEFERRED : TO_SERVICE_BUS[consumer];
}

/** How Service Bus, or the loss of the way to it, answered a message that we sent. */
export type ServiceBusSaid =
  | 'accepted'
  | 'rejected'
  | 'released'
  | 'modified'
  /** Sent, and the link or connection went before an outcome came. */
  | 'lost-after-send'
  /** Not sent when the link or connection went. */
  | 'lost-before-send';

export interface OutcomeToProducer {
  /** `hold`: say nothing yet, wait {@link retryDelay} of `conditionClass`, send again. */
  readonly tell: 'accepted' | 'rejected' | 'released' | 'modified' | 'hold';
  readonly deliveryFailed?: boolean;
  /** Condition and description of the service go along. */
  readonly carriesDetails: boolean;
  readonly why: string;
}

/**
 * What the producer is told. Never `accepted` unless Service Bus said so.
 *
 * @param condition - of the error inside `rejected`
 * @param canHold - the router still has the message and its producer's delivery: otherwise `hold` becomes `released`
 */
export function outcomeToProducer(service: ServiceBusSaid, condition?: string, canHold = true): OutcomeToProducer {
  switch (service) {
    case 'accepted':
      return { tell: 'accepted', carriesDetails: false, why: 'Service Bus has it' };
    case 'released':
      return { tell: 'released', carriesDetails: false, why: 'Service Bus did not take it' };
    case 'modified':
      return { tell: 'modified', deliveryFailed: true, carriesDetails: true, why: 'Service Bus did not take it' };
    case 'lost-before-send':
      return { tell: 'released', carriesDetails: false, why: 'it was never sent' };
    case 'lost-after-send':
      return {
        tell: 'modified',
        deliveryFailed: true,
        carriesDetails: false,
        why: 'whether Service Bus has it is not known',
      };
    case 'rejected': {
      // `rejected` without an error, or with one we cannot read, is final: sending it again would not end.
      const passing = condition !== undefined && conditionEntry(condition).send === 'resend';
      if (!passing) return { tell: 'rejected', carriesDetails: true, why: conditionEntry(condition ?? '').meaning };
      const why = `${conditionEntry(condition).meaning} (${classify(condition)})`;
      return canHold ? { tell: 'hold', carriesDetails: false, why } : { tell: 'released', carriesDetails: false, why };
    }
  }
}

/** What the service's answer to an unsettled disposition says (receiver settle mode second). */
export type SettlementAnswer =
  | 'done'
  /** The lock had expired: the message comes again, and its outcome must not be reported a second time. */
  | 'lock-lost'
  /** To be said again while the lock lasts. */
  | 'retry'
  | 'failed';

/**
 * @param asked - outcome that we had sent
 * @param answered - outcome in the service's settled disposition, undefined where it had no state
 * @param condition - of the error inside, where it is `rejected`
 */
export function settlementAnswer(
  asked: OutcomeToServiceBus['outcome'],
  answered: string | undefined,
  condition?: string,
): SettlementAnswer {
  if (answered !== 'rejected') return 'done';
  // A bare `rejected` after a dead-letter request is its echo.
  if (condition === undefined) return asked === 'rejected' ? 'done' : 'failed';
  const { class: conditionClass, send } = conditionEntry(condition);
  // Older nodes say not-found for a lock that has gone.
  if (conditionClass === 'lock-lost' || conditionClass === 'missing') return 'lock-lost';
  if (asked === 'rejected' && condition === 'com.microsoft:dead-letter') return 'done';
  return send === 'resend' ? 'retry' : 'failed';
}
