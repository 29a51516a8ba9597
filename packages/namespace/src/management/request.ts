// SPDX-License-Identifier: Apache-2.0
import { AmqpArray, type AmqpValue } from '@pointsman/wire';
import type { BrokerNode } from '../broker.js';
import type { Refusal } from '../entity.js';
import type { NamespaceHost } from '../host.js';
import { numberOf, textOf } from '../message-content.js';
import type { TransactionWork } from '../transactions.js';

/** Messages that one request names at most. */
export const NAMED_MAX = 10_000;

export type Arguments = ReadonlyMap<AmqpValue, AmqpValue>;

/** A request to `<entity>/$management`, its operation found and allowed. */
export interface ManagementRequest {
  readonly node: BrokerNode;
  readonly body: Arguments;
  readonly host: NamespaceHost;
  readonly hostname: string;
  /** The connection that it came on: whose message sessions it may work with. */
  readonly owner: unknown;
  /** Name of the link that the client says it is about. */
  readonly linkName?: string | undefined;
  /** Puts what is done into the transaction that the request belongs to, where it belongs to one. */
  readonly enlist?: ((works: readonly TransactionWork[]) => Refusal | undefined) | undefined;
}

/** What a request comes to. */
export interface Answer {
  readonly status: number;
  readonly refusal?: Refusal;
  readonly body?: Map<AmqpValue, AmqpValue>;
}

export const NOTHING: Answer = { status: 204 };

export const SESSION_LOST: Answer = refused(
  410,
  'com.microsoft:session-lock-lost',
  'The session lock was lost. Request a new session receiver.',
);

export function refused(status: number, condition: string, description: string): Answer {
  return { status, refusal: { condition, description } };
}

export function invalid(description: string): Answer {
  return refused(400, 'com.microsoft:argument-error', description);
}

/** Status of what is refused for reasons that a sender would hear of, too. */
const STATUS: Readonly<Record<string, number>> = {
  'amqp:unauthorized-access': 401,
  'amqp:resource-limit-exceeded': 403,
  'amqp:link:message-size-exceeded': 403,
  'amqp:not-found': 404,
  'com.microsoft:message-not-found': 404,
  'com.microsoft:timeout': 408,
  'com.microsoft:entity-already-exists': 409,
  'com.microsoft:message-lock-lost': 410,
  'com.microsoft:session-lock-lost': 410,
  'com.microsoft:session-cannot-be-locked': 410,
  'amqp:internal-error': 500,
  'amqp:not-implemented': 501,
  'com.microsoft:server-busy': 503,
};

export function refusedWith(refusal: Refusal): Answer {
  return { status: STATUS[refusal.condition] ?? 400, refusal };
}

/** The members of an array or a list; undefined for all else. */
export function valuesOf(value: AmqpValue | undefined): readonly AmqpValue[] | undefined {
  if (value instanceof AmqpArray) return value.values;
  return Array.isArray(value) ? value : undefined;
}

/** Sequence numbers of a request, at least one. */
export function sequencesOf(body: Arguments): readonly number[] | undefined {
  const values = valuesOf(body.get('sequence-numbers'));
  if (values === undefined || values.length === 0 || values.length > NAMED_MAX) return undefined;
  const sequences = values.map(numberOf);
  if (sequences.includes(undefined)) return undefined;
  return sequences as number[];
}

export function sessionIdOf(body: Arguments): string | undefined {
  return textOf(body.get('session-id'));
}
