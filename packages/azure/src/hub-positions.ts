// SPDX-License-Identifier: Apache-2.0
import { HubReader } from './hub-reader.js';
import type { HubInbox, HubReaderHost, SettledAhead } from './hub-reader.js';

const PARTITION = /\/consumergroups\/[^/]+\/partitions\/[^/]+$/iu;
/** A selector by position, which is all that Event Hubs knows. */
const BY_POSITION = /^\s*amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time)\s*>/u;
/** From the oldest event on. */
const FROM_BEGINNING = "amqp.annotation.x-opt-offset > '-1'";
/** Positions that are kept: those of so many readers. Who has not moved for longest is forgotten first. */
export const HUB_POSITIONS_MAX = 10_000;

/** Who reads: links with the same go on where the other was. */
export interface HubReaderId {
  /** Host name of the namespace. */
  readonly namespace: string;
  /** `<hub>/ConsumerGroups/<group>/Partitions/<id>`, as it was configured. */
  readonly node: string;
  /** Where the events go. */
  readonly address: string;
  /** Where the first link begins. */
  readonly filter: string | undefined;
}

/**
 * How far a reader has come: the last event that is settled, as are all before it. Or the first event that it got, where that
 * is not settled yet: the newest event, where a filter begins, is another one by then.
 */
export interface HubPosition {
  readonly reader: HubReaderId;
  readonly offset: string;
  /** The event itself is still to be read. */
  readonly isFirst: boolean;
  /** Undefined where the events say none. */
  readonly sequence: number | undefined;
  /** Ms since 1970. */
  readonly at: number;
}

/** What is heard of positions. */
export interface HubPositionsObserver {
  /** One has moved. */
  onMoved?(position: HubPosition): void;
}

/** Whether an address is that of a partition of an event hub, to be read. */
export function isHubPartition(address: string): boolean {
  return PARTITION.test(address);
}

/** How far the partitions of event hubs have been read: a link that is attached again goes on from there. */
export class HubPositions {
  readonly #positions = new Map<string, HubPosition>();
  readonly #observer: HubPositionsObserver;
  /** Of readers that follow a link, or have followed one, and whose position is behind. */
  readonly #ahead = new Map<string, SettledAhead>();

  constructor(observer: HubPositionsObserver = {}) {
    this.#observer = observer;
  }

  /** @param known - from earlier, oldest first */
  restore(known: Iterable<HubPosition>): void {
    for (const position of known) this.#set(keyOf(position.reader), position);
  }

  /** All of them, who has moved last at the end. */
  get all(): Iterable<HubPosition> {
    return this.#positions.values();
  }

  of(reader: HubReaderId): HubPosition | undefined {
    return this.#positions.get(keyOf(reader));
  }

  /** The selector that a reader's next link is to have. */
  filterOf(reader: HubReaderId): string {
    const { filter } = reader;
    const position = this.of(reader);
    if (position === undefined || (filter !== undefined && !BY_POSITION.test(filter))) return filter ?? FROM_BEGINNING;
    const operator = position.isFirst ? '>=' : '>';
    return `amqp.annotation.x-opt-offset ${operator} '${position.offset.replaceAll("'", "''")}'`;
  }

  /** Follows a link that a reader has attached. */
  follow(reader: HubReaderId, inbox: HubInbox, host: HubReaderHost): HubReader {
    const key = keyOf(reader);
    let ahead = this.#ahead.get(key);
    if (ahead === undefined) this.#ahead.set(key, (ahead = new Map()));
    if (this.#ahead.size > HUB_POSITIONS_MAX) forgetFirst(this.#ahead);
    return new HubReader(inbox, host, this.#positions.get(key), ahead, (offset, sequence, isFirst) => {
      const position = { reader, offset, sequence, isFirst, at: host.nowMs() };
      this.#set(key, position);
      this.#observer.onMoved?.(position);
    });
  }

  #set(key: string, position: HubPosition): void {
    // Behind all others.
    this.#positions.delete(key);
    this.#positions.set(key, position);
    if (this.#positions.size > HUB_POSITIONS_MAX) forgetFirst(this.#positions);
  }
}

function forgetFirst(map: Map<string, unknown>): void {
  for (const first of map.keys()) return void map.delete(first);
}

function keyOf({ namespace, node, address, filter }: HubReaderId): string {
  return JSON.stringify([namespace.toLowerCase(), node.toLowerCase(), address, filter ?? null]);
}
