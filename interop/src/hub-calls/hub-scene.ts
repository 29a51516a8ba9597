// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { EventHubBufferedProducerClient, EventHubConsumerClient, EventHubProducerClient } from '@azure/event-hubs';
import type {
  CheckpointStore,
  EventHubBufferedProducerClientOptions,
  EventHubConsumerClientOptions,
  EventPosition,
  PartitionContext,
  ReceivedEventData,
  SubscribeOptions,
  Subscription,
} from '@azure/event-hubs';
import type { EventHubOptions, Namespace } from '@pointsman/namespace';
import { until } from '@pointsman/testing';
import type { NamespaceServer } from 'pointsman';

/** One call of the official client of Event Hubs, in one of its uses. */
export interface HubRow {
  readonly of: string;
  readonly call: string;
  readonly what: string;
  readonly run: (scene: HubScene) => Promise<void>;
  /** What has to be the case for it to work through a router. */
  readonly routedIf?: string;
}

const retryOptions = { maxRetries: 0, timeoutInMs: 5_000 };
/** For rows whose client asks about all hubs. */
export const MANAGED = 'where `$management` is routed';
export const EARLIEST: EventPosition = { offset: '-1' };

/** A namespace with event hubs, and the official client of it. To be closed. */
export class HubScene {
  readonly namespace: Namespace;
  readonly #connectionString: string;
  readonly #prefix: string;
  readonly #closing: (() => Promise<void>)[] = [];
  static #hubs = 0;

  /** @param prefix - that hubs have, and link routes lead to */
  constructor(server: NamespaceServer, connectionString: string, prefix: string) {
    this.namespace = server.namespace;
    this.#connectionString = connectionString;
    this.#prefix = prefix;
  }

  async close(): Promise<void> {
    for (const close of this.#closing.toReversed()) await close();
  }

  /** Makes an event hub of two partitions. @returns its name */
  hub(options: Partial<EventHubOptions> = {}): string {
    const name = this.nameOf(`hub-${++HubScene.#hubs}`);
    this.namespace.broker.eventHubs.create({ partitions: 2, ...options, name }, performance.now());
    return name;
  }

  nameOf(hub: string): string {
    return `${this.#prefix}/${hub}`;
  }

  producer(hub: string): EventHubProducerClient {
    const client = new EventHubProducerClient(this.#connectionString, hub, { retryOptions });
    this.#closing.push(() => client.close());
    return client;
  }

  /** A producer that numbers its events, which the client keeps to itself but for its buffered producer. */
  idempotent(hub: string, options: Readonly<Record<string, PublishingOptions>> = {}): EventHubProducerClient {
    const client = this.producer(hub);
    Object.assign(client, { _enableIdempotentRetries: true, _partitionOptions: options });
    return client;
  }

  buffered(hub: string, options: Partial<EventHubBufferedProducerClientOptions> = {}): EventHubBufferedProducerClient {
    const client = new EventHubBufferedProducerClient(this.#connectionString, hub, {
      retryOptions,
      onSendEventsErrorHandler: ({ error }) => assert.fail(error),
      ...options,
    });
    this.#closing.push(() => client.close({ flush: false }));
    return client;
  }

  consumer(
    hub: string,
    { group = '$Default', store, ...options }: ConsumerOptions & EventHubConsumerClientOptions = {},
  ): EventHubConsumerClient {
    const all = { retryOptions, ...options };
    const client =
      store === undefined
        ? new EventHubConsumerClient(group, this.#connectionString, hub, all)
        : new EventHubConsumerClient(group, this.#connectionString, hub, store, all);
    this.#closing.push(() => client.close());
    return client;
  }
}

interface ConsumerOptions {
  readonly group?: string;
  readonly store?: CheckpointStore;
}

/** Where an idempotent producer goes on. */
export interface PublishingOptions {
  readonly ownerLevel?: number;
  readonly producerGroupId?: number;
  readonly startingSequenceNumber?: number;
}

/** As far as a producer has come with a partition: what the client has no public call for. */
export function publishingOf(
  client: EventHubProducerClient,
  partitionId: string,
): Promise<{ ownerLevel: number; producerGroupId: number; lastPublishedSequenceNumber: number }> {
  const inner = client as unknown as Record<string, (id: string) => Promise<never>>;
  return inner['getPartitionPublishingProperties']!(partitionId);
}

/** A reader, with what it has met so far. */
export interface Reading {
  readonly events: ReceivedEventData[];
  readonly contexts: PartitionContext[];
  /** Codes of errors. */
  readonly errors: (string | undefined)[];
  readonly subscription: Subscription;
}

export function reading(
  client: EventHubConsumerClient,
  partitionId: string,
  options: SubscribeOptions = {},
  onEvents: (events: readonly ReceivedEventData[], context: PartitionContext) => Promise<void> = async () => undefined,
): Reading {
  const [events, contexts, errors]: [ReceivedEventData[], PartitionContext[], (string | undefined)[]] = [[], [], []];
  const subscription = client.subscribe(
    partitionId,
    {
      processEvents: async (received, context) => {
        events.push(...received);
        contexts.push(context);
        await onEvents(received, context);
      },
      processError: async (error) => void errors.push((error as { code?: string }).code ?? error.message),
    },
    { startPosition: EARLIEST, maxWaitTimeInSeconds: 1, ...options },
  );
  return { events, contexts, errors, subscription };
}

/** So many events of a partition, and no more. */
export async function read(
  client: EventHubConsumerClient,
  partitionId: string,
  count: number,
  options: SubscribeOptions = {},
): Promise<ReceivedEventData[]> {
  const { events, errors, subscription } = reading(client, partitionId, options);
  await until(`${count} events`, () => events.length >= count || errors.length > 0, { state: () => events.length });
  await subscription.close();
  assert.deepEqual(errors, []);
  return events;
}

export const bodiesOf = (events: readonly { readonly body: unknown }[]): unknown[] => events.map(({ body }) => body);
