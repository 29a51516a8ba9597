// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import { RemoteProtocolError, decodeMessage, int, long, plainOf } from '@pointsman/wire';
import type { AmqpValue, Message } from '@pointsman/wire';
import type { Client } from '../client/client.js';
import { ClientError } from '../client/client-error.js';
import { within } from '../client/deferred.js';

/** What lies at the head of an entity, as a look without a lock shows it. */
export interface PeekedMessage {
  readonly deadLetterReason: string | undefined;
  readonly deadLetterDescription: string | undefined;
}

const TEXT_MAX = 200;

/**
 * Looks at the first message of an entity: nothing is taken, locked or counted. Needs the right Listen.
 *
 * @param path - of a queue, a subscription, or the dead-letter queue of one
 * @returns undefined where there is none
 * @throws ClientError where the service does not tell
 */
export async function peek(
  client: Client,
  path: string,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<PeekedMessage | undefined> {
  const node = `${path}/$management`;
  const replyTo = `pointsman-doctor-${randomUUID()}`;
  const late = (): ClientError =>
    new ClientError('message', 'pointsman:timed-out', `${node} did not answer within ${timeoutMs} ms`);
  const receiver = await client.receiver(node, { attach: { target: { type: 'target', address: replyTo } } });
  try {
    const sender = await client.sender(node, { attach: { source: { type: 'source', address: replyTo } } });
    try {
      const outcome = await within(sender.send(peekRequest(replyTo)), timeoutMs, late);
      if (outcome.type !== 'accepted')
        throw new ClientError('message', 'pointsman:no-outcome', `${node} did not take a request: ${outcome.type}`);
      const delivery = await within(receiver.next(), timeoutMs, late);
      await delivery?.accept();
      return delivery === undefined ? undefined : firstOf(delivery.message);
    } finally {
      await sender.close();
    }
  } catch (error) {
    if (error instanceof RemoteProtocolError) throw new ClientError('message', error.condition, error.message);
    throw error;
  } finally {
    await receiver.close();
  }
}

function peekRequest(replyTo: string): Message {
  return {
    properties: { messageId: randomUUID(), replyTo },
    applicationProperties: new Map([['operation', 'com.microsoft:peek-message']]),
    body: {
      kind: 'value',
      value: new Map<AmqpValue, AmqpValue>([
        ['from-sequence-number', long(0n)],
        ['message-count', int(1)],
        // Newer services leave it out then; what is wanted stands in the properties.
        ['omit-message-body', true],
      ]),
    },
  };
}

/** @throws ClientError where the answer is a no */
function firstOf({ applicationProperties, body }: Message): PeekedMessage | undefined {
  const property = (...names: string[]): unknown =>
    plainOf(names.map((name) => applicationProperties?.get(name)).find((value) => value !== undefined));
  const status = Number(property('statusCode', 'status-code'));
  const condition = property('errorCondition', 'error-condition');
  if (status === 204 || (status === 404 && condition === 'com.microsoft:message-not-found')) return undefined;
  if (status !== 200) {
    const description = property('statusDescription', 'status-description');
    throw new ClientError(
      'message',
      typeof condition === 'string' ? condition : 'amqp:internal-error',
      typeof description === 'string' ? description : `status ${status}`,
    );
  }
  const messages = body?.kind === 'value' && body.value instanceof Map ? body.value.get('messages') : undefined;
  const [first] = Array.isArray(messages) ? messages : [];
  const bytes = first instanceof Map ? first.get('message') : undefined;
  if (!(bytes instanceof Uint8Array)) return undefined;
  const properties = decodeMessage(bytes).applicationProperties;
  const text = (name: string): string | undefined => {
    const value = plainOf(properties?.get(name));
    return typeof value === 'string' && value !== '' ? value.slice(0, TEXT_MAX) : undefined;
  };
  return {
    deadLetterReason: text('DeadLetterReason'),
    deadLetterDescription: text('DeadLetterErrorDescription'),
  };
}
