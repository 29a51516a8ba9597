// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@pointsman/engine';

/** Something that wants to be called at a time that it may change its mind about. */
export interface WheelEntry {
  /** Monotonic ms at which {@link expire} is due, or undefined for never. */
  deadline(): number | undefined;
  expire(now: number): void;
  /** Slot in which the wheel keeps the entry, -1 where it does not. Only the wheel writes it. */
  wheelSlot: number;
}

/** A deadline is met at most this many ms late, what the event loop adds apart. */
const SLOT_MS = 16;

/** 64 slots of 16 ms: just over a second, after which every entry is asked again for its deadline. */
const SLOTS = 64;
const HORIZON = SLOTS - 2;

/**
 * One timer for any number of deadlines.
 *
 * Entries stand in slots of 16 ms, at most a second ahead. A deadline that moves back costs nothing: the entry is asked when
 * its old slot comes up and moves on then. One that moves forward is noticed in {@link note}, or within a second at the
 * latest. A wheel with entries has one timer running, an empty one has none.
 */
export class DeadlineWheel {
  readonly #clock: Clock;
  readonly #slots: Set<WheelEntry>[] = Array.from({ length: SLOTS }, () => new Set<WheelEntry>());
  #size = 0;
  /** Number of the slot that the timer waits for, counted from time 0; -1 where no timer runs. */
  #armedSlot = -1;
  #disarm: () => void = () => {};
  readonly #onTimer = (): void => this.#turn();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Entries in the wheel. */
  get size(): number {
    return this.#size;
  }

  /** Timers of the runtime that the wheel uses at this moment: one, or none while it is empty. */
  get timers(): 0 | 1 {
    return this.#armedSlot === -1 ? 0 : 1;
  }

  add(entry: WheelEntry): void {
    if (entry.wheelSlot !== -1) return;
    this.#size++;
    this.#place(entry, entry.deadline(), this.#clock.now());
  }

  /** Takes notice of the deadline of an entry. Costs a comparison unless it moved forward. */
  note(entry: WheelEntry, deadline: number | undefined, now: number): void {
    if (deadline === undefined || deadline > entry.wheelSlot * SLOT_MS - SLOT_MS || entry.wheelSlot === -1) return;
    if (slotOf(deadline, now) >= entry.wheelSlot) return;
    this.#slotAt(entry.wheelSlot).delete(entry);
    this.#place(entry, deadline, now);
  }

  remove(entry: WheelEntry): void {
    if (entry.wheelSlot === -1) return;
    this.#slotAt(entry.wheelSlot).delete(entry);
    entry.wheelSlot = -1;
    this.#size--;
    if (this.#size === 0) this.#stop();
  }

  #place(entry: WheelEntry, deadline: number | undefined, now: number): void {
    let slot = Math.floor(now / SLOT_MS) + HORIZON;
    if (deadline !== undefined) slot = Math.min(slot, slotOf(deadline, now));
    // Behind an overdue timer the ring must not lap itself.
    if (this.#armedSlot !== -1) slot = Math.min(slot, this.#armedSlot + SLOTS - 1);
    entry.wheelSlot = slot;
    this.#slotAt(slot).add(entry);
    if (this.#armedSlot === -1 || slot < this.#armedSlot) this.#arm(slot, now);
  }

  #arm(slot: number, now: number): void {
    this.#disarm();
    this.#armedSlot = slot;
    this.#disarm = this.#clock.after(Math.max(1, Math.ceil(slot * SLOT_MS - now)), this.#onTimer);
  }

  #stop(): void {
    this.#disarm();
    this.#armedSlot = -1;
  }

  #turn(): void {
    const now = this.#clock.now();
    const first = this.#armedSlot;
    const last = Math.min(Math.floor(now / SLOT_MS), first + SLOTS - 1);
    this.#armedSlot = -1;
    // All are taken out before the first is served: what is placed anew may land on an index that is still to be emptied.
    const due: WheelEntry[] = [];
    for (let slot = first; slot <= last; slot++) {
      const entries = this.#slotAt(slot);
      for (const entry of entries) due.push(entry);
      entries.clear();
    }
    for (const entry of due) this.#serve(entry, last, now);
    // What was placed meanwhile armed the timer for itself; what stood in the wheel before may come earlier.
    if (this.#size === 0) return;
    for (let slot = Math.max(last + 1, first); slot < first + SLOTS; slot++) {
      if (this.#armedSlot !== -1 && slot >= this.#armedSlot) return;
      if (this.#slotAt(slot).size > 0) {
        this.#arm(slot, now);
        return;
      }
    }
  }

  #serve(entry: WheelEntry, last: number, now: number): void {
    // Gone or moved while the entries before it were served.
    const waits = (): boolean => entry.wheelSlot !== -1 && entry.wheelSlot <= last;
    if (!waits()) return;
    const deadline = entry.deadline();
    if (deadline === undefined || deadline > now) {
      this.#place(entry, deadline, now);
      return;
    }
    entry.expire(now);
    if (waits()) this.#place(entry, entry.deadline(), now);
  }

  #slotAt(slot: number): Set<WheelEntry> {
    return this.#slots[slot % SLOTS] as Set<WheelEntry>;
  }
}

/** The first slot that begins at or after `deadline`, and after now: an entry that is overdue must not spin. */
function slotOf(deadline: number, now: number): number {
  return Math.max(Math.ceil(deadline / SLOT_MS), Math.floor(now / SLOT_MS) + 1);
}
