// SPDX-License-Identifier: Apache-2.0
import { entityAddressOf, explain, inboundAttach, sessionOf, trackingIdOf, withoutSecrets } from '@pointsman/azure';
import { uint } from '@pointsman/wire';
import type { EntityDescription } from '../administration/entity-description.js';
import type { Client } from '../client/client.js';
import { ClientError } from '../client/client-error.js';
import type { Direction } from '../config/model.js';
import type { Detail, Finding } from './finding.js';
import type { Way } from './network.js';
import type { EntityNeed, Patient } from './patient.js';

/** What came of an attach. */
export interface LinkTrial {
  readonly finding: Finding;
  readonly isAttached: boolean;
  readonly condition: string | undefined;
  /** The entity needs message sessions, or does not; undefined where the attach did not tell. */
  readonly requiresSession: boolean | undefined;
  /** When the lock of the message session ends, ms since 1970 by the clock of the service. */
  readonly lockedUntilMs: number | undefined;
  /** When the answer came, ms since 1970 by ours. */
  readonly answeredAtMs: number;
}

/** Time that the service is given to find a message session that nobody has. */
const SESSION_WAIT_MS = 2_000;

/** What a link is tried with. */
interface Wish {
  readonly sessionId: string | undefined;
  readonly nextSession: boolean;
}

/** Attaches a link as the connector will, and detaches it again. Nothing is sent and nothing taken. */
export async function tryLink(
  patient: Patient,
  client: Client,
  way: Way,
  need: EntityNeed,
  direction: Direction,
  description: EntityDescription | undefined,
): Promise<LinkTrial> {
  const { link } = need;
  if (direction === 'out') return attempt(patient, client, way, need, 'out', description, NO_WISH);
  // Where no autolink says what it wants, the entity does.
  const wish: Wish =
    link === undefined
      ? { sessionId: undefined, nextSession: description?.requiresSession === true && isOwn(need.path) }
      : { sessionId: link.sessionId, nextSession: link.nextSession };
  const first = await attempt(patient, client, way, need, 'in', description, wish);
  if (link !== undefined || wish.nextSession || first.requiresSession !== true) return first;
  return attempt(patient, client, way, need, 'in', description, { sessionId: undefined, nextSession: true });
}

const NO_WISH: Wish = { sessionId: undefined, nextSession: false };

/** Dead-letter queues have no sessions. */
function isOwn(path: string): boolean {
  const { kind } = entityAddressOf(path);
  return kind === 'queue-or-topic' || kind === 'subscription';
}

async function attempt(
  patient: Patient,
  client: Client,
  way: Way,
  need: EntityNeed,
  direction: Direction,
  description: EntityDescription | undefined,
  wish: Wish,
): Promise<LinkTrial> {
  const started = performance.now();
  const { path } = need;
  const what = direction === 'out' ? `send to ${path}` : `receive from ${path}`;
  const wantsSession = wish.sessionId !== undefined || wish.nextSession;
  const details: Record<string, Detail> = { entity: path, direction };
  const done = (
    verdict: Finding['verdict'],
    text: string,
    more: Partial<Omit<LinkTrial, 'finding'>> = {},
  ): LinkTrial => {
    const ms = performance.now() - started;
    return {
      finding: { step: 'entity', check: 'link', verdict, subject: path, text, ms, details },
      isAttached: verdict !== 'bad',
      condition: undefined,
      requiresSession: undefined,
      lockedUntilMs: undefined,
      answeredAtMs: Date.now(),
      ...more,
    };
  };
  try {
    if (direction === 'out') {
      const size = await trySender(client, path);
      if (size !== undefined && size > 0) details['maxMessageBytes'] = size;
      return done('good', `May ${what}${size === undefined || size === 0 ? '' : `, messages up to ${size} bytes`}`);
    }
    const session = await tryReceiver(client, need, wish);
    if (session === undefined) return done('good', `May ${what}`, isOwn(path) ? { requiresSession: false } : {});
    details['sessionId'] = session.id;
    const text =
      wish.sessionId === undefined
        ? `May ${what}. A message session is free now: '${session.id}'`
        : `May ${what}, message session '${session.id}'`;
    return done('good', text, {
      requiresSession: true,
      lockedUntilMs: session.lockedUntilMs,
    });
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const { condition } = error;
    details['condition'] = condition;
    const trackingId = trackingIdOf(error.description);
    if (trackingId !== undefined) details['trackingId'] = trackingId;
    if (wantsSession && condition === 'com.microsoft:timeout') {
      const text = `May ${what}. No message session that has messages is free at the moment (${SESSION_WAIT_MS / 1_000} s waited)`;
      return done('good', text, { condition, requiresSession: true });
    }
    if (wantsSession && condition === 'com.microsoft:session-cannot-be-locked') {
      const text = `Session '${wish.sessionId ?? ''}' of ${path} is held by another receiver. If that is the router with this configuration, all is well; if not, it waits until the other one lets go.`;
      return done('warning', text, { condition, requiresSession: true });
    }
    const wantsNone = condition === 'amqp:not-allowed' && /does not require sessions/iu.test(error.description);
    const wantsOne =
      !wantsSession && condition === 'amqp:not-allowed' && /requires sessions/iu.test(error.description) && !wantsNone;
    return done('bad', refusalText(patient, way, need, direction, description, error, what), {
      condition,
      requiresSession: wantsOne ? true : wantsNone ? false : undefined,
    });
  }
}

function refusalText(
  patient: Patient,
  way: Way,
  { path, address }: EntityNeed,
  direction: Direction,
  description: EntityDescription | undefined,
  error: ClientError,
  what: string,
): string {
  const { connector, to, secrets, isServiceBus } = patient;
  const { condition } = error;
  const said = withoutTracking(withoutSecrets(error.description, secrets));
  if (condition === 'pointsman:timed-out')
    return `${said}. The peer has the connection open and does not answer: try again, and where that does not help, look whether the service has trouble (status.azure.com).`;
  if (!isServiceBus) return `The peer refused to let us ${what}: ${condition}: ${said}`;
  if (direction === 'in' && description?.forwardTo !== undefined && ownPathOf(path) === ownPathOf(description.path))
    return (
      `${path} forwards its messages to ${description.forwardTo}, and lets nobody receive from itself. Write externalAddress: ${description.forwardTo}, ` +
      `or take ForwardTo off ${path}. Service Bus said: ${said}`
    );
  if (description?.kind === 'topic' && direction === 'in')
    return `${path} is a topic: it is only sent to. To receive, write one of its subscriptions: externalAddress: ${path}/Subscriptions/NAME. Service Bus said: ${said}`;
  if (direction === 'in' && /event hub is read at/iu.test(said))
    return `${path} is an event hub: it is read partition by partition. Write externalAddress: ${path}/ConsumerGroups/$Default/Partitions/0 (and so on). Service Bus said: ${said}`;
  return explain({
    step: 'autolink',
    connector: connector.name,
    host: to.hostname,
    port: way.port,
    byConnectionString: connector.connectionString !== undefined,
    secrets,
    direction,
    address,
    externalAddress: path,
    condition,
    description: withoutTracking(error.description),
    ...(to.username === undefined ? {} : { policy: to.username }),
    ...(to.username === undefined && to.tokens !== undefined ? { tokenSource: to.tokens.name } : {}),
  }).message;
}

/**
 * What a refusal for want of a right means where it is known whether the key is right: links are refused with the same words for
 * both.
 */
export function rightText(
  { to, connector }: Patient,
  { path }: EntityNeed,
  direction: Direction,
  isKeyRight: boolean,
): string {
  const right = direction === 'out' ? 'Send' : 'Listen';
  const what = direction === 'out' ? `send to ${path}` : `receive from ${path}`;
  if (!isKeyRight) return `Service Bus does not let us ${what}, with that key`;
  return (
    `Policy ${to.username ?? ''} lacks the right ${right} on ${path}, without which connector ${connector.name} cannot ${what}. Give the policy that ` +
    `right (portal, Shared access policies), or the connector a policy that has it.`
  );
}

/** Without what support asks for, which is in the details: it is longer than what is said. */
function withoutTracking(text: string): string {
  return text.replace(/\s*TrackingId:.*$/su, '');
}

function ownPathOf(path: string): string {
  return entityAddressOf(path).path.toLowerCase();
}

async function trySender(client: Client, path: string): Promise<number | undefined> {
  const sender = await client.sender(path);
  const { maxMessageSize } = sender.link.remoteAttach ?? {};
  await sender.close();
  return maxMessageSize === undefined ? undefined : Number(maxMessageSize);
}

async function tryReceiver(
  client: Client,
  { path, address, link }: EntityNeed,
  { sessionId, nextSession }: Wish,
): Promise<{ readonly id: string; readonly lockedUntilMs: number | undefined } | undefined> {
  const { filter, properties } = inboundAttach({ sessionId, nextSession, filter: link?.filter });
  if (nextSession) properties?.set('com.microsoft:timeout', uint(SESSION_WAIT_MS));
  const isManagement = entityAddressOf(path).kind === 'management';
  // Without credit nothing is taken, and nothing locked but a session for a moment.
  const receiver = await client.receiver(path, {
    credit: 0,
    mode: link?.receiveMode === 'receiveAndDelete' ? 'settled' : 'second',
    attach: {
      source: { type: 'source', address: path, ...(filter === undefined ? {} : { filter }) },
      ...(properties === undefined ? {} : { properties }),
      ...(isManagement ? { target: { type: 'target', address } } : {}),
    },
  });
  const session = sessionOf(receiver.link.remoteAttach);
  await receiver.close();
  return sessionId === undefined && !nextSession ? undefined : session;
}
