// SPDX-License-Identifier: Apache-2.0

/** What the error takes down with it. The engine closes exactly this and nothing wider. */
export type ErrorScope = 'connection' | 'session' | 'link';

/** An AMQP error condition: a symbol such as `amqp:not-found`. @see OASIS AMQP 1.0, 2.8.14 to 2.8.18 */
export type ErrorCondition = string;

export interface ProtocolErrorOptions {
  readonly scope: ErrorScope;
  /** What the reader of the message can do about it, in one sentence. */
  readonly hint?: string;
  /** Section of the standard that was not kept. */
  readonly section?: string;
  /** Container, channel, link: for the log, never for the peer. */
  readonly where?: Readonly<Record<string, string | number>>;
  readonly cause?: unknown;
}

/**
 * A breach of AMQP 1.0, by the peer or by the caller.
 *
 * Only two subclasses exist, and they differ in who is at fault, because that is what a handler decides on:
 * {@link RemoteProtocolError} is answered on the wire, {@link LocalProtocolError} is a bug of the caller.
 */
export abstract class ProtocolError extends Error {
  readonly condition: ErrorCondition;
  readonly description: string;
  readonly scope: ErrorScope;
  readonly hint: string | undefined;
  readonly section: string | undefined;
  readonly where: Readonly<Record<string, string | number>>;

  constructor(condition: ErrorCondition, description: string, options: ProtocolErrorOptions) {
    super(`${condition}: ${description}`, { cause: options.cause });
    this.name = new.target.name;
    this.condition = condition;
    this.description = description;
    this.scope = options.scope;
    this.hint = options.hint;
    this.section = options.section;
    this.where = options.where ?? {};
  }
}

/** The peer broke the protocol. */
export class RemoteProtocolError extends ProtocolError {}

/** The caller asked for something that the protocol forbids. */
export class LocalProtocolError extends ProtocolError {}

/** Bytes that are no AMQP value, or not the one that stands here. */
export function decodeError(description: string, section = '1'): RemoteProtocolError {
  return new RemoteProtocolError('amqp:decode-error', description, { scope: 'connection', section });
}
