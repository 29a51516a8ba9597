// SPDX-License-Identifier: Apache-2.0
import type { OutgoingDelivery, SenderHandler, SenderLink } from '@pointsman/engine';
import { long, timestamp, type AmqpValue } from '@pointsman/wire';
import { utc } from '../broker-annotations.js';
import type { NamespaceHost } from '../host.js';
import { joined } from '../incoming-payload.js';
import type { LinkOwner, LinkUse, NamespaceLink } from '../namespace-link.js';
import type { Right } from '../policy.js';
import type { EventPartition, PartitionReader, StoredEvent } from './event-partition.js';

export interface ReaderSettings {
  readonly entityPath: string;
  readonly nodePath: string;
  readonly partition: EventPartition;
  /** Lower case. */
  readonly group: string;
  readonly epoch: number | undefined;
  /** Sequence number to begin with. */
  readonly from: number;
  /** With each event the peer is told how far the partition goes. */
  readonly tellsEnd: boolean;
  readonly host: NamespaceHost;
}

/** A link on which the peer reads a partition: events go out settled, from a place on, and stay where they are. */
export class ReaderLink implements NamespaceLink, SenderHandler, PartitionReader {
  readonly use: LinkUse = 'consumer';
  readonly rights: readonly Right[] = ['Listen'];
  readonly link: SenderLink;
  readonly entityPath: string;
  readonly nodePath: string;
  readonly group: string;
  readonly epoch: number | undefined;
  lastActivity: number;
  readonly #settings: ReaderSettings;
  readonly #owner: LinkOwner;
  #next: number;
  /** An event of which only a part is written yet. */
  #rest: { readonly bytes: Uint8Array; position: number } | undefined;

  constructor(link: SenderLink, owner: LinkOwner, settings: ReaderSettings) {
    this.link = link;
    this.entityPath = settings.entityPath;
    this.nodePath = settings.nodePath;
    this.group = settings.group;
    this.epoch = settings.epoch;
    this.lastActivity = settings.host.clock.now();
    this.#settings = settings;
    this.#owner = owner;
    this.#next = settings.from;
  }

  /** Begins to read. To be called once the attach is out. */
  start(): void {
    this.#settings.partition.join(this);
  }

  wake(): void {
    this.onSendable(this.link);
  }

  displace(): void {
    this.#owner.detach(this, {
      condition: 'amqp:link:stolen',
      description:
        `New receiver '${this.nodePath}' with higher epoch is created hence current receiver with epoch '${this.epoch ?? 'nil'}' ` +
        'is getting disconnected.',
    });
  }

  onSendable(link: SenderLink): void {
    const { partition, host } = this.#settings;
    const rest = this.#rest;
    if (rest !== undefined) {
      rest.position += link.resume(rest.bytes, rest.position, rest.bytes.length, true);
      if (rest.position < rest.bytes.length) return;
      this.#rest = undefined;
    }
    partition.expire(host.clock.now());
    while (link.sendable) {
      const event = partition.at(this.#next);
      if (event === undefined) break;
      this.#next = event.sequence + 1;
      const bytes = this.#encoded(event);
      link.send(undefined, event.content.format, true, undefined, bytes, 0, bytes.length, true);
      this.#owner.onActivity(this);
      if (link.sentBytes < bytes.length) {
        this.#rest = { bytes, position: link.sentBytes };
        return;
      }
    }
    if (link.draining) link.drained();
  }

  #encoded({ sequence, offset, enqueuedAt, content }: StoredEvent): Uint8Array {
    const annotations = new Map<string | bigint, AmqpValue>([
      ['x-opt-sequence-number', long(sequence)],
      ['x-opt-offset', String(offset)],
      ['x-opt-enqueued-time', timestamp(utc(enqueuedAt, this.#settings.host))],
    ]);
    return joined(content.encode(0, annotations, undefined, undefined, this.#end()));
  }

  /** The newest event there is, as the peer learns of it beside each event that it reads. */
  #end(): Map<string, AmqpValue> | undefined {
    const { tellsEnd, partition, host } = this.#settings;
    if (!tellsEnd) return undefined;
    const { sequence, offset, at } = partition.last;
    return new Map<string, AmqpValue>([
      ['last_enqueued_sequence_number', long(sequence)],
      ['last_enqueued_offset', String(offset)],
      ['last_enqueued_time_utc', timestamp(utc(at, host))],
      ['runtime_info_retrieval_time_utc', timestamp(utc(host.clock.now(), host))],
    ]);
  }

  onDrain(link: SenderLink): void {
    if (this.#rest === undefined) link.drained();
  }

  onDisposition(_link: SenderLink, _delivery: OutgoingDelivery): void {
    // Events are settled when they are sent.
  }

  onDetach(): void {
    this.#owner.onGone(this);
  }

  onLost(): void {
    this.#owner.onGone(this);
  }

  onGone(): void {
    this.#rest = undefined;
    this.#settings.partition.leave(this);
  }
}
