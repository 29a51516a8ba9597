// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type {
  ServiceBusClient,
  ServiceBusReceivedMessage,
  ServiceBusReceiver,
  ServiceBusReceiverOptions,
  ServiceBusSender,
} from '@azure/service-bus';
import type { Namespace, QueueOptions, SubscriptionOptions } from '@pointsman/namespace';

/** One call of the official client, in one of its uses. */
export interface CallRow {
  /** Class or interface of the client's documentation. */
  readonly of: string;
  readonly call: string;
  readonly what: string;
  /** Proves that it does at the namespace what it does in the cloud. Undefined where that is {@link missing}. */
  readonly run?: (scene: CallScene) => Promise<void>;
  /** Why it is not proven. */
  readonly missing?: string;
  /** Why it is not proven through a router. */
  readonly missingRouted?: string;
}

/** Rows of one class or interface. */
export function rowsOf(
  of: string,
  rows: readonly (readonly [call: string, what: string, run: (scene: CallScene) => Promise<void>])[],
): CallRow[] {
  return rows.map(([call, what, run]) => ({ of, call, what, run }));
}

/** A namespace, and the official client of it. */
export class CallScene {
  readonly namespace: Namespace;
  readonly client: ServiceBusClient;
  /** For a client of one's own. */
  readonly connect: () => ServiceBusClient;
  #names = 0;

  constructor(namespace: Namespace, connect: () => ServiceBusClient) {
    this.namespace = namespace;
    this.connect = connect;
    this.client = connect();
  }

  /** Makes a queue. @returns its name */
  queue(options: Partial<QueueOptions> = {}): string {
    const name = `queue-${++this.#names}`;
    this.namespace.broker.createQueue({ ...options, name });
    return name;
  }

  /** Makes a topic with one subscription. @returns its name */
  topic(subscription = 'all', options: Partial<SubscriptionOptions> = {}): string {
    const name = `topic-${++this.#names}`;
    this.namespace.broker.createTopic({ name, subscriptions: [{ ...options, name: subscription }] });
    return name;
  }

  sender(entity: string): ServiceBusSender {
    return this.client.createSender(entity);
  }

  receiver(queue: string, options: ServiceBusReceiverOptions = {}): ServiceBusReceiver {
    return this.client.createReceiver(queue, options);
  }

  /** A queue with messages in it, and a receiver of it. */
  async filled(
    bodies: readonly unknown[],
    options: Partial<QueueOptions> = {},
    how: ServiceBusReceiverOptions = {},
  ): Promise<{ queue: string; receiver: ServiceBusReceiver }> {
    const queue = this.queue(options);
    const sender = this.sender(queue);
    for (const body of bodies) await sender.sendMessages({ body });
    await sender.close();
    return { queue, receiver: this.receiver(queue, how) };
  }

  /** `active locked deferred scheduled dead-letter` of a queue or subscription. */
  counts(path: string): string {
    const { active, locked, deferred, scheduled, deadLetter } = this.namespace.counts(path);
    return [active, locked, deferred, scheduled, deadLetter].join(' ');
  }
}

export const bodies = (messages: readonly { readonly body: unknown }[]): unknown[] => messages.map(({ body }) => body);

/** The partition that a sequence number tells of. */
export const partitionOf = ({ sequenceNumber }: ServiceBusReceivedMessage): number =>
  sequenceNumber!.shiftRightUnsigned(48).toNumber();

/** Receives exactly that many, in as many calls as it takes. */
export async function take(receiver: ServiceBusReceiver, count: number): Promise<ServiceBusReceivedMessage[]> {
  const all: ServiceBusReceivedMessage[] = [];
  for (let tries = 0; all.length < count; tries++) {
    assert.ok(tries < 30, `${all.length} of ${count} messages came`);
    all.push(...(await receiver.receiveMessages(count - all.length, { maxWaitTimeInMs: 1_000 })));
  }
  return all;
}

export async function takeOne(receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage> {
  return (await take(receiver, 1))[0]!;
}

/** Fails unless the call does, with that code of the client. */
export async function rejectsWith(code: string, call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error: { code?: string; message: string }) => {
    assert.equal(error.code, code, error.message);
    return true;
  });
}

/** Waits for what has no call to wait with. */
export async function eventually(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 60_000; !(await isSo()); await delay(10))
    assert.ok(performance.now() < end, `waited in vain for ${what}`);
}
