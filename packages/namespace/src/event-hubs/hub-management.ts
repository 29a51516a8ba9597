// SPDX-License-Identifier: Apache-2.0
import { int, long, symbol, timestamp, type AmqpValue, type Message } from '@pointsman/wire';
import { utc } from '../broker-annotations.js';
import type { NamespaceHost } from '../host.js';
import { textOf } from '../message-content.js';
import type { EventHub } from './event-hub.js';
import { partitionRefusal } from './hub-refusals.js';

export interface HubManagementContext {
  readonly host: NamespaceHost;
  /** A hub that the connection may read, by its name. */
  readonly hubOf: (name: string) => EventHub | undefined;
  /** Why a token of the request does not open a hub. */
  readonly tokenRefusal: (hub: EventHub, token: string) => string | undefined;
}

/** Answers a request to `$management` of a namespace of event hubs: what is known of a hub or of a partition. */
export function answerHubManagement(request: Message, { host, hubOf, tokenRefusal }: HubManagementContext): Message {
  const text = (name: string): string => textOf(request.applicationProperties?.get(name)) ?? '';
  const type = text('type');
  if (text('operation') !== 'READ' || !(type === HUB_TYPE || type === PARTITION_TYPE)) {
    return failed(501, 'amqp:not-implemented', 'What there is to ask is READ, of an event hub or a partition.');
  }
  const name = text('name');
  const hub = hubOf(name);
  if (hub === undefined)
    return failed(404, 'amqp:not-found', `The messaging entity '${name.slice(0, 260)}' could not be found.`);
  // Clients give their token once more with each request; what the connection may do is not all that counts.
  const token = textOf(request.applicationProperties?.get('security_token'));
  const refusal = token === undefined ? undefined : tokenRefusal(hub, token);
  if (refusal !== undefined) return failed(401, 'amqp:unauthorized-access', refusal);
  if (type === HUB_TYPE) {
    return succeeded([
      ['name', hub.name],
      ['type', HUB_TYPE],
      ['created_at', timestamp(utc(hub.createdAt, host))],
      ['partition_count', int(hub.partitions.length)],
      ['partition_ids', hub.partitions.map(({ id }) => id)],
      ['georeplication_factor', int(1)],
    ]);
  }
  const id = text('partition');
  const partition = hub.partitions.find((one) => one.id === id);
  if (partition === undefined)
    return failed(400, 'com.microsoft:argument-out-of-range', partitionRefusal(hub).description);
  partition.expire(host.clock.now());
  const { sequence, offset, at } = partition.last;
  return succeeded([
    ['name', hub.name],
    ['type', PARTITION_TYPE],
    ['partition', partition.id],
    ['begin_sequence_number', long(partition.firstSequence)],
    ['last_enqueued_sequence_number', long(sequence)],
    ['last_enqueued_offset', String(offset)],
    ['last_enqueued_time_utc', timestamp(utc(at, host))],
    ['is_partition_empty', partition.size === 0],
  ]);
}

const HUB_TYPE = 'com.microsoft:eventhub';
const PARTITION_TYPE = 'com.microsoft:partition';

function succeeded(body: readonly (readonly [string, AmqpValue])[]): Message {
  return {
    applicationProperties: new Map<string, AmqpValue>([
      ['status-code', int(200)],
      ['status-description', 'OK'],
    ]),
    body: { kind: 'value', value: new Map<AmqpValue, AmqpValue>(body) },
  };
}

function failed(status: number, condition: string, description: string): Message {
  return {
    applicationProperties: new Map<string, AmqpValue>([
      ['status-code', int(status)],
      ['status-description', description],
      ['error-condition', symbol(condition)],
    ]),
    body: { kind: 'value', value: new Map() },
  };
}
