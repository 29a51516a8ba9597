// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import type { Client } from '../client/client.js';
import { ClientError } from '../client/client-error.js';
import { within } from '../client/deferred.js';
import type { Finding } from './finding.js';

/** Messages of others that are looked at, and given back, on the way to ours. */
const OTHERS_MAX = 100;
/** Ours does not stay for long where it is not found. */
const TIME_TO_LIVE_MS = 60_000;

/** Sends one message to a queue and takes it from there again. Those of others that come first go back as they were. */
export async function examineRoundTrip(
  client: Client,
  queue: string,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<Finding> {
  const started = performance.now();
  const bad = (text: string): Finding => {
    return { step: 'round-trip', verdict: 'bad', subject: queue, text, ms: performance.now() - started };
  };
  const id = `pointsman-doctor-${randomUUID()}`;
  try {
    const sender = await client.sender(queue);
    const outcome = await within(
      sender.send({
        header: { ttl: TIME_TO_LIVE_MS },
        properties: { messageId: id, subject: 'pointsman doctor' },
        body: { kind: 'data', sections: [new TextEncoder().encode('a round trip')] },
      }),
      timeoutMs,
      () => new ClientError('message', 'pointsman:timed-out', `no outcome within ${timeoutMs} ms`),
    );
    await sender.close();
    if (outcome.type !== 'accepted') return bad(`${queue} did not take a message: ${outcome.type}`);
    const sentMs = performance.now() - started;
    const others = await within(
      take(client, queue, id),
      timeoutMs,
      () => new ClientError('message', 'pointsman:timed-out', `it did not come back within ${timeoutMs} ms`),
    );
    if (others === undefined)
      return bad(
        `${OTHERS_MAX} messages of others lie before ours in ${queue}: it was not waited for, and expires by itself`,
      );
    const note = others === 0 ? '' : `; ${others} messages of others were given back`;
    return {
      step: 'round-trip',
      verdict: 'good',
      subject: queue,
      text: `A message went through ${queue}: accepted after ${Math.round(sentMs)} ms, received and completed${note}`,
      ms: performance.now() - started,
      details: { others },
    };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return bad(`A message to ${queue} did not make its way: ${error.description} (${error.condition})`);
  }
}

/** @returns how many others came before it, or undefined where there are too many */
async function take(client: Client, queue: string, id: string): Promise<number | undefined> {
  // Credit by hand: kept up, it would fetch again what is given back.
  const receiver = await client.receiver(queue, { credit: 0, mode: 'second' });
  const passed = [];
  receiver.addCredit(1);
  try {
    for await (const delivery of receiver) {
      if (delivery.message.properties?.messageId === id) {
        await delivery.accept();
        return passed.length;
      }
      if (passed.length >= OTHERS_MAX) return undefined;
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
