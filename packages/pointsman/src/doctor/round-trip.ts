// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import { entityAddressOf, inboundAttach, sessionOf, withoutSecrets } from '@pointsman/azure';
import { plainOf } from '@pointsman/wire';
import type { Message } from '@pointsman/wire';
import type { EntityDescription } from '../administration/entity-description.js';
import type { Client } from '../client/client.js';
import { ClientError } from '../client/client-error.js';
import { within } from '../client/deferred.js';
import type { Receiver } from '../client/receiver.js';
import type { Skew } from './clock.js';
import { lockOf } from './entities.js';
import type { Finding } from './finding.js';
import type { Patient } from './patient.js';
import { countInWords, durationInWords } from './words.js';

/** Messages of others that are looked at, and given back, on the way to ours. */
const OTHERS_MAX = 100;
/** Ours does not stay for long where it is not found. */
const TIME_TO_LIVE_MS = 60_000;

/** What a message on its way has shown. */
export interface RoundTrip {
  readonly finding: Finding;
  readonly lockMs: number | undefined;
  readonly requiresSession: boolean | undefined;
  readonly skew: Skew | undefined;
}

/**
 * Sends one message to a queue and takes it from there again. Those of others that come first go back as they were. Where the queue
 * has message sessions, ours has its own.
 */
export async function examineRoundTrip(
  patient: Patient,
  client: Client,
  queue: string,
  { timeoutMs, description }: { readonly timeoutMs: number; readonly description: EntityDescription | undefined },
): Promise<RoundTrip> {
  const started = performance.now();
  const common = { step: 'round-trip', check: 'round-trip', subject: queue } as const;
  const bad = (text: string): RoundTrip => ({
    finding: { ...common, verdict: 'bad', text, ms: performance.now() - started },
    lockMs: undefined,
    requiresSession: undefined,
    skew: undefined,
  });
  const unfit = unfitness(queue, description);
  if (unfit !== undefined) return bad(unfit);
  const late = (what: string) => (): ClientError =>
    new ClientError('message', 'pointsman:timed-out', `${what} within ${timeoutMs} ms`);
  const id = `pointsman-doctor-${randomUUID()}`;
  try {
    const sender = await client.sender(queue);
    const sentAtMs = Date.now();
    const outcome = await within(sender.send(messageOf(id)), timeoutMs, late(`there was no outcome`)).catch(
      (error: unknown) => {
        if (sender.credit > 0 || sender.unsettled > 0 || !(error instanceof ClientError)) throw error;
        throw new ClientError(
          'message',
          error.condition,
          `${error.description}: the peer gave no credit; nobody takes messages there, or it has no room`,
        );
      },
    );
    const acceptedAtMs = Date.now();
    await sender.close();
    if (outcome.type === 'rejected') {
      const { condition = 'no condition', description: said = '' } = outcome.error ?? {};
      return bad(`${queue} did not take a message: ${condition}: ${withoutSecrets(said, patient.secrets)}`);
    }
    if (outcome.type !== 'accepted') return bad(`${queue} did not take a message: ${outcome.type}`);
    const sentMs = performance.now() - started;
    const receiver = await receiverOf(client, queue, id, description);
    const taken = await within(take(receiver, id), timeoutMs, late('it did not come back'));
    if (taken === undefined)
      return bad(
        `${OTHERS_MAX} messages of others lie before ours in ${queue}: it was not waited for, and expires by itself`,
      );
    const { others, message, takenAtMs } = taken;
    const session = sessionOf(receiver.link.remoteAttach);
    const enqueuedMs = annotation(message, 'x-opt-enqueued-time');
    const skew = enqueuedMs === undefined ? undefined : { ms: (sentAtMs + acceptedAtMs) / 2 - enqueuedMs };
    const lockedUntilMs = session?.lockedUntilMs ?? annotation(message, 'x-opt-locked-until');
    const lockMs =
      lockedUntilMs === undefined
        ? undefined
        : lockOf(lockedUntilMs - (takenAtMs - (skew === undefined ? 0 : skew.ms)));
    const note =
      others === 0 ? '' : `; ${countInWords(others, 'message')} of others ${others === 1 ? 'was' : 'were'} given back`;
    const lock =
      lockMs === undefined
        ? ''
        : `. Its ${session === undefined ? '' : "session's "}lock lasted about ${durationInWords(lockMs)}`;
    return {
      finding: {
        ...common,
        verdict: 'good',
        text: `A message went through ${queue}: accepted after ${Math.round(sentMs)} ms, received and completed${note}${lock}`,
        ms: performance.now() - started,
        details: { others, ...(lockMs === undefined ? {} : { lockMs }) },
      },
      lockMs,
      requiresSession: session !== undefined,
      skew,
    };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return bad(
      `A message to ${queue} did not make its way: ${withoutSecrets(error.description, patient.secrets)} (${error.condition})`,
    );
  }
}

/** Why a message cannot come back from there. */
function unfitness(path: string, description: EntityDescription | undefined): string | undefined {
  const { kind } = entityAddressOf(path);
  if (kind !== 'queue-or-topic') return `${path} is not sent to: for a round trip name a queue`;
  if (description?.kind === 'topic')
    return `${path} is a topic: a message to it would go to whoever subscribes. For a round trip name a queue`;
  if (description?.forwardTo !== undefined)
    return `${path} forwards its messages to ${description.forwardTo}: for a round trip name a queue that keeps them`;
  return undefined;
}

function messageOf(id: string): Message {
  return {
    header: { ttl: TIME_TO_LIVE_MS },
    // Without sessions a group-id does no harm.
    properties: { messageId: id, subject: 'pointsman doctor', groupId: id },
    body: { kind: 'data', sections: [new TextEncoder().encode('a round trip')] },
  };
}

async function receiverOf(
  client: Client,
  queue: string,
  id: string,
  description: EntityDescription | undefined,
): Promise<Receiver> {
  // Credit by hand: kept up, it would fetch again what is given back.
  const options = { credit: 0, mode: 'second' } as const;
  const inSession = (): Promise<Receiver> => {
    const { filter } = inboundAttach({ sessionId: id });
    return client.receiver(queue, {
      ...options,
      attach: { source: { type: 'source', address: queue, ...(filter === undefined ? {} : { filter }) } },
    });
  };
  if (description?.requiresSession === true) return inSession();
  try {
    return await client.receiver(queue, options);
  } catch (error) {
    if (error instanceof ClientError && error.condition === 'amqp:not-allowed' && /session/iu.test(error.description))
      return inSession();
    throw error;
  }
}

interface Taken {
  /** Messages of others that came before it. */
  readonly others: number;
  readonly message: Message;
  readonly takenAtMs: number;
}

/** @returns undefined where too many others lie before it */
async function take(receiver: Receiver, id: string): Promise<Taken | undefined> {
  const passed = [];
  receiver.addCredit(1);
  try {
    for await (const delivery of receiver) {
      const takenAtMs = Date.now();
      if (delivery.message.properties?.messageId === id) {
        await delivery.accept();
        return { others: passed.length, message: delivery.message, takenAtMs };
      }
      if (passed.length >= OTHERS_MAX) {
        passed.push(delivery);
        return undefined;
      }
      // Held until the end: released at once it would only come again.
      passed.push(delivery);
      receiver.addCredit(1);
    }
    return undefined;
  } finally {
    for (const delivery of passed) await delivery.release().catch(() => undefined);
    await receiver.close().catch(() => undefined);
  }
}

function annotation({ messageAnnotations }: Message, name: string): number | undefined {
  const value = plainOf(messageAnnotations?.get(name));
  return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : undefined;
}
