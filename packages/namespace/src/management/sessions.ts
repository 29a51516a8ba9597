// SPDX-License-Identifier: Apache-2.0
import { int, timestamp, type AmqpValue } from '@pointsman/wire';
import { utc } from '../broker-annotations.js';
import { numberOf } from '../message-content.js';
import type { MessageSession } from '../message-session.js';
import { REFUSALS } from '../entity.js';
import {
  invalid,
  NOTHING,
  refusedWith,
  SESSION_LOST,
  sessionIdOf,
  type Answer,
  type ManagementRequest,
} from './request.js';

/** Session ids that one enumeration returns at most. */
const SESSIONS_MAX = 1000;

/**
 * The message session of a request, where the connection that asks holds it: the one that it names, or that of the link that it is
 * about, as requests of the client for Go for deferred messages are.
 */
export function sessionOf({ node, body, owner, linkName }: ManagementRequest): MessageSession | undefined {
  const id = sessionIdOf(body);
  if (id !== undefined) return node.messages?.sessionOf(id, owner);
  return linkName === undefined ? undefined : node.messages?.sessionOfLink(linkName, owner);
}

export function renewSessionLock(request: ManagementRequest): Answer {
  const { node, host } = request;
  const session = sessionOf(request);
  if (session === undefined) return SESSION_LOST;
  const until = node.messages!.renewSession(session);
  return { status: 200, body: new Map([['expiration', timestamp(utc(until, host))]]) };
}

export function setSessionState(request: ManagementRequest): Answer {
  const { node, body } = request;
  const session = sessionOf(request);
  if (session === undefined) return SESSION_LOST;
  const state = body.get('session-state') ?? null;
  if (state !== null && !(state instanceof Uint8Array)) return invalid("'session-state' is binary or null.");
  if (state !== null && state.length > node.entity.maxMessageSizeBytes)
    return refusedWith({
      condition: 'amqp:link:message-size-exceeded',
      description: `The state of a session has at most ${node.entity.maxMessageSizeBytes} bytes.`,
    });
  if (node.messages!.journal?.hasRoomFor(1, state?.length ?? 0) === false) return refusedWith(REFUSALS.noRoom);
  if (!node.messages!.sessions!.hasRoomFor(session, state)) return refusedWith(REFUSALS.noMemory);
  const isKept = node.messages!.setSessionState(session, state === null ? undefined : Uint8Array.from(state));
  return isKept ? { status: 200 } : refusedWith(REFUSALS.full);
}

export function getSessionState(request: ManagementRequest): Answer {
  const session = sessionOf(request);
  if (session === undefined) return SESSION_LOST;
  return { status: 200, body: new Map<AmqpValue, AmqpValue>([['session-state', session.state ?? null]]) };
}

export function getMessageSessions({ node, body, host }: ManagementRequest): Answer {
  const since = numberOf(body.get('last-updated-time'));
  const skip = numberOf(body.get('skip'));
  const top = numberOf(body.get('top'));
  if (since === undefined || skip === undefined || top === undefined || skip < 0 || top < 1)
    return invalid("'last-updated-time' is a timestamp, 'skip' an int from 0 on, 'top' an int above 0.");
  // The latest time that .NET knows stands for all sessions; any other is one of states, not of messages.
  const stateSince = since >= 253_402_300_799_000 ? undefined : since - host.timeOrigin;
  const ids = node.messages!.sessions?.ids(stateSince, skip, Math.min(top, SESSIONS_MAX)) ?? [];
  if (ids.length === 0) return NOTHING;
  return {
    status: 200,
    body: new Map<AmqpValue, AmqpValue>([
      ['skip', int(Math.min(skip, 0x7fff_ffff))],
      ['sessions-ids', ids],
    ]),
  };
}
