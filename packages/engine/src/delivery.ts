// SPDX-License-Identifier: Apache-2.0
import type { Accepted, DeliveryState, Modified, Released } from '@pointsman/wire';
import type { ReceiverLink, SenderLink } from './link.js';

/** The outcomes without details, shared: dispositions that carry the same object leave as one range. */
export const ACCEPTED: Accepted = Object.freeze({ type: 'accepted' });
export const RELEASED: Released = Object.freeze({ type: 'released' });
/** Counted as a failed attempt, and nothing else. */
export const MODIFIED_FAILED: Modified = Object.freeze({
  type: 'modified',
  deliveryFailed: true,
  undeliverableHere: undefined,
  messageAnnotations: undefined,
});

/**
 * A message on its way in. `context` belongs to whoever handles the link.
 *
 * @see OASIS AMQP 1.0, 2.6.12
 */
export class IncomingDelivery {
  readonly id: number;
  readonly link: ReceiverLink;
  readonly messageFormat: number;
  /** Settled by the sender, or by us. */
  settled: boolean;
  /** The last frame has arrived, or the delivery was aborted. */
  complete = false;
  aborted = false;
  context: unknown = undefined;
  /** State that we last told the sender of it. */
  localState: DeliveryState | undefined = undefined;
  /** For whoever handles the link: when it came, by a clock of its own. */
  arrivedAt = 0;
  /** Bytes of payload that have arrived. */
  bytes = 0;

  constructor(id: number, link: ReceiverLink, messageFormat: number, settled: boolean) {
    this.id = id;
    this.link = link;
    this.messageFormat = messageFormat;
    this.settled = settled;
  }
}

/**
 * A message on its way out. `context` belongs to whoever handles the link.
 *
 * @see OASIS AMQP 1.0, 2.6.12
 */
export class OutgoingDelivery {
  readonly id: number;
  readonly link: SenderLink;
  settled: boolean;
  /** The last frame is written, or the abort. */
  complete = false;
  context: unknown;
  /** State that the receiver last told us of it. */
  remoteState: DeliveryState | undefined = undefined;

  constructor(id: number, link: SenderLink, settled: boolean, context: unknown) {
    this.id = id;
    this.link = link;
    this.settled = settled;
    this.context = context;
  }
}

/** Walks for one link each, before all are sorted by link: the end of a link takes three. */
const WALKS_MAX = 4;

/** What a ring starts with: most links of most connections are idle. */
const NO_SLOTS: undefined[] = [];
/** Largest span of ids that the ring itself holds; what stays behind longer moves to the map. */
const RING_MAX = 1 << 14;

/**
 * Deliveries by their id. Ids are dense and rise, so the place is the id's low bits; a delivery that stays unsettled
 * while thousands pass it moves to a map, so that one slow delivery does not make the ring grow.
 */
export class DeliveryRing<T extends { readonly id: number; readonly link: unknown }> {
  #slots: (T | undefined)[] = NO_SLOTS;
  #mask = 0;
  #late: Map<number, T> | undefined;
  /** By link, once links were asked for in a row with no change between; before, how often that was. */
  #byLink: Map<unknown, T[]> | number = 0;
  size = 0;

  add(delivery: T): void {
    if (this.#slots.length === 0) {
      this.#slots = new Array<T | undefined>(16).fill(undefined);
      this.#mask = 15;
    }
    const at = delivery.id & this.#mask;
    if (this.#slots[at] !== undefined) this.#makeRoom(delivery.id);
    this.#slots[delivery.id & this.#mask] = delivery;
    this.#byLink = 0;
    this.size++;
  }

  get(id: number): T | undefined {
    const delivery = this.#slots[id & this.#mask];
    if (delivery !== undefined && delivery.id === id) return delivery;
    return this.#late === undefined ? undefined : this.#late.get(id);
  }

  remove(id: number): void {
    this.#byLink = 0;
    const at = id & this.#mask;
    const delivery = this.#slots[at];
    if (delivery !== undefined && delivery.id === id) {
      this.#slots[at] = undefined;
      this.size--;
    } else if (this.#late?.delete(id) === true) {
      this.size--;
    }
  }

  /** Ids that can be looked up one by one for less than a walk over all there are. */
  get span(): number {
    return this.#slots.length;
  }

  /** Those that `is` picks, oldest first. */
  where(is: (delivery: T) => boolean): T[] {
    const list: T[] = [];
    if (this.size === 0) return list;
    if (this.#late !== undefined) for (const delivery of this.#late.values()) if (is(delivery)) list.push(delivery);
    for (const delivery of this.#slots) if (delivery !== undefined && is(delivery)) list.push(delivery);
    return list.sort((a, b) => (a.id - b.id) | 0);
  }

  /** Those of a link, oldest first. To ask for each link in turn costs a few walks in all, not one for each. */
  ofLink(link: unknown): readonly T[] {
    if (this.size === 0) return [];
    if (typeof this.#byLink === 'number') {
      if (this.#byLink++ < WALKS_MAX) return this.where((delivery) => delivery.link === link);
      const byLink = new Map<unknown, T[]>();
      for (const delivery of this.all()) {
        const list = byLink.get(delivery.link);
        if (list === undefined) byLink.set(delivery.link, [delivery]);
        else list.push(delivery);
      }
      this.#byLink = byLink;
    }
    return this.#byLink.get(link) ?? [];
  }

  /** All of them, oldest first. */
  all(): T[] {
    return this.where(() => true);
  }

  clear(): void {
    this.#slots = NO_SLOTS;
    this.#mask = 0;
    this.#late = undefined;
    this.#byLink = 0;
    this.size = 0;
  }

  #makeRoom(id: number): void {
    // Growing is for many deliveries under way; a few that are slow step aside instead.
    const inRing = this.size - (this.#late?.size ?? 0);
    while (
      inRing * 4 >= this.#slots.length &&
      this.#slots.length < RING_MAX &&
      this.#slots[id & this.#mask] !== undefined
    ) {
      const old = this.#slots;
      const slots = new Array<T | undefined>(old.length * 2).fill(undefined);
      this.#mask = slots.length - 1;
      for (const delivery of old) if (delivery !== undefined) slots[delivery.id & this.#mask] = delivery;
      this.#slots = slots;
    }
    const occupant = this.#slots[id & this.#mask];
    if (occupant === undefined) return;
    this.#late ??= new Map();
    this.#late.set(occupant.id, occupant);
    this.#slots[id & this.#mask] = undefined;
  }
}
