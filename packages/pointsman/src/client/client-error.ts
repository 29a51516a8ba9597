// SPDX-License-Identifier: Apache-2.0
import type { AmqpErrorFields } from '@pointsman/wire';

/** What is gone with the error. */
export type ClientErrorScope = 'connection' | 'link' | 'message';

/** Conditions of our own, where the peer gave none. */
export type ClientCondition =
  /** The connection or the link went away and nobody said why. */
  | 'pointsman:lost'
  /** It was closed on this side. */
  | 'pointsman:closed'
  /** No answer came in time. */
  | 'pointsman:timed-out'
  /** More waits to be sent than may wait. */
  | 'pointsman:queue-full'
  /** The peer settled without telling an outcome. */
  | 'pointsman:no-outcome';

/** What a promise of the client is rejected with, apart from the errors of getting a stream at all. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  /** A condition of AMQP, of the peer, or one of {@link ClientCondition}. */
  readonly condition: string;
  readonly description: string;
  readonly scope: ClientErrorScope;

  constructor(scope: ClientErrorScope, condition: string, description: string, cause?: unknown) {
    super(`${condition}: ${description}`, cause === undefined ? {} : { cause });
    this.scope = scope;
    this.condition = condition;
    this.description = description;
  }
}

/** The error of a peer, or `otherwise` where it gave none. */
export function clientErrorOf(
  scope: ClientErrorScope,
  error: AmqpErrorFields | undefined,
  condition: ClientCondition,
  otherwise: string,
): ClientError {
  if (error === undefined) return new ClientError(scope, condition, otherwise);
  return new ClientError(scope, error.condition, error.description ?? otherwise);
}
