// SPDX-License-Identifier: Apache-2.0
import { readAddress } from '../address.js';
import { EventHub, type EventHubOptions } from './event-hub.js';
import type { Journal, JournalRecord } from '../journal.js';
import type { EventPartition } from './event-partition.js';
import { PartitionJournal, type HubHistory } from './hub-journal.js';

/** What an address leads to, of event hubs. */
export interface HubNode {
  readonly hub: EventHub;
  /** Undefined for the hub itself. */
  readonly partition: EventPartition | undefined;
  /** Of what is read, in lower case; undefined for what is sent to. */
  readonly group: string | undefined;
  /** Path of the node, lower case. */
  readonly path: string;
}

/** What an address names below an event hub, and is not there. */
export interface MissingHubNode {
  readonly missing: 'partition' | 'group' | 'node';
  readonly hub: EventHub;
}

/** The event hubs of a namespace. Names are compared without regard to case. */
export class EventHubs {
  readonly #hubs = new Map<string, EventHub>();
  #journalOf: ((hub: EventHub, id: string) => PartitionJournal) | undefined;

  /** @throws TypeError where an option is not valid */
  constructor(options: readonly EventHubOptions[], now: number) {
    for (const hub of options) this.create(hub, now);
  }

  get size(): number {
    return this.#hubs.size;
  }

  get all(): Iterable<EventHub> {
    return this.#hubs.values();
  }

  /** @throws TypeError where an option is not valid, or the name is taken */
  create(options: EventHubOptions, now: number): EventHub {
    const hub = new EventHub(options, now);
    const key = hub.name.toLowerCase();
    if (this.#hubs.has(key)) throw new TypeError(`There is an event hub '${hub.name}' already.`);
    this.#hubs.set(key, hub);
    this.#writeDown(hub);
    return hub;
  }

  hub(name: string): EventHub | undefined {
    return this.#hubs.get(name.toLowerCase());
  }

  /**
   * Puts back what a journal has of the hubs that are there, and writes down in another what comes from now on.
   *
   * @param history - by name of the hub, in lower case
   * @param now - ms of the clock
   * @returns how many events are back, and the names of what is not there any more
   */
  restore(
    history: ReadonlyMap<string, HubHistory>,
    journal: Journal,
    timeOrigin: number,
    now: number,
  ): { readonly events: number; readonly missing: readonly string[] } {
    let events = 0;
    const missing: string[] = [];
    for (const [name, one] of history) {
      const hub = this.#hubs.get(name);
      if (hub === undefined) {
        missing.push(name);
        continue;
      }
      const restored = one.restore(hub, timeOrigin, now);
      events += restored.events;
      missing.push(...restored.missing.map((id) => `${hub.name}/Partitions/${id}`));
    }
    this.#journalOf = (hub, id) => new PartitionJournal(journal, hub.name.toLowerCase(), id, timeOrigin);
    for (const hub of this.#hubs.values()) this.#writeDown(hub);
    return { events, missing };
  }

  /** All that is in the hubs, as records of a journal. */
  *snapshot(): Generator<JournalRecord> {
    for (const { partitions } of this.#hubs.values())
      for (const partition of partitions) yield* partition.journal?.snapshot(partition) ?? [];
  }

  #writeDown(hub: EventHub): void {
    for (const partition of hub.partitions) partition.journal = this.#journalOf?.(hub, partition.id);
  }

  /** A token may be for it: a node of a hub, a consumer group, management. Whether it has the partition is only seen by a link. */
  knows(path: string): boolean {
    const group = /^(.*)\/consumergroups\/([^/]+)$/iu.exec(path);
    if (group !== null) return this.hub(group[1]!)?.consumerGroups.has(group[2]!.toLowerCase()) === true;
    const node = this.resolve(path);
    return node !== undefined && !('missing' in node && node.missing === 'node');
  }

  /**
   * The node that an address names: `<hub>`, `<hub>/Partitions/<id>`, `<hub>/ConsumerGroups/<group>/Partitions/<id>`.
   *
   * @returns undefined where it is below no event hub
   */
  resolve(address: string): HubNode | MissingHubNode | undefined {
    if (this.#hubs.size === 0) return undefined;
    const path = readAddress(address).written.toLowerCase();
    // Names may contain slashes: the longest one that fits.
    let hub: EventHub | undefined;
    for (const [name, one] of this.#hubs)
      if ((path === name || path.startsWith(`${name}/`)) && name.length > (hub?.name.length ?? 0)) hub = one;
    if (hub === undefined) return undefined;
    const below = path.slice(hub.name.length);
    if (below === '' || below === '/$management') return { hub, partition: undefined, group: undefined, path };
    const [, group, id] = /^(?:\/consumergroups\/([^/]+))?\/partitions\/([^/]+)$/u.exec(below) ?? [];
    if (id === undefined) return { missing: 'node', hub };
    if (group !== undefined && !hub.consumerGroups.has(group)) return { missing: 'group', hub };
    const partition = hub.partitions.find((one) => one.id === id);
    if (partition === undefined) return { missing: 'partition', hub };
    return { hub, partition, group, path };
  }
}
