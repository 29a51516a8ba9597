// SPDX-License-Identifier: Apache-2.0
import type { LinkBudget } from './link-budget.js';
import type { Link } from './link.js';
import { NO_SLOTS, withSlot } from './slots.js';

/** The links of a session, by our handle, by the peer's, and by name and direction. */
export class LinkTable {
  readonly #budget: LinkBudget;
  #byHandle: (Link | undefined)[] = NO_SLOTS;
  #byRemoteHandle: (Link | undefined)[] = NO_SLOTS;
  readonly #byName = new Map<string, Link>();
  /** No handle below is free. */
  #lowestFree = 0;

  constructor(budget: LinkBudget) {
    this.#budget = budget;
  }

  /** Every link that is attached or attaching, or waits for the peer's detach. */
  get all(): Link[] {
    return this.#byHandle.filter((link) => link !== undefined);
  }

  /** The lowest free handle, or -1 where all up to `max` are taken. */
  freeHandle(max: number): number {
    const links = this.#byHandle;
    let handle = this.#lowestFree;
    while (handle < links.length && links[handle] !== undefined) handle++;
    this.#lowestFree = handle;
    return handle <= max ? handle : -1;
  }

  ofRemote(handle: number): Link | undefined {
    return this.#byRemoteHandle[handle];
  }

  setRemote(handle: number, link: Link | undefined): void {
    this.#byRemoteHandle = withSlot(this.#byRemoteHandle, handle, link);
  }

  /** The link of a name and direction; further ones, which wait for the end of those before, are its namesakes. */
  named(name: string, isReceiver: boolean): Link | undefined {
    return this.#byName.get(keyOf(name, isReceiver));
  }

  /** @param named - it may be found by its name; not so a link that is refused because its name is taken */
  add(link: Link, named: boolean): void {
    this.#byHandle = withSlot(this.#byHandle, link.handle, link);
    this.#budget.count++;
    if (!named) return;
    let last = this.named(link.name, link.isReceiver);
    if (last === undefined) {
      this.#byName.set(keyOf(link.name, link.isReceiver), link);
      return;
    }
    while (last.namesake !== undefined) last = last.namesake;
    last.namesake = link;
  }

  /** Both sides have detached: handle and name are free again. */
  remove(link: Link): void {
    if (this.#byHandle[link.handle] !== link) return;
    this.#byHandle[link.handle] = undefined;
    this.#budget.count--;
    this.#budget.bytes -= link.attachBytes;
    this.#lowestFree = Math.min(this.#lowestFree, link.handle);
    const key = keyOf(link.name, link.isReceiver);
    let at = this.#byName.get(key);
    if (at === link) {
      if (link.namesake === undefined) this.#byName.delete(key);
      else this.#byName.set(key, link.namesake);
    } else {
      while (at !== undefined && at.namesake !== link) at = at.namesake;
      if (at !== undefined) at.namesake = link.namesake;
    }
    link.namesake = undefined;
  }

  clear(): void {
    for (const link of this.all) {
      this.#budget.count--;
      this.#budget.bytes -= link.attachBytes;
    }
    this.#byHandle = this.#byRemoteHandle = NO_SLOTS;
    this.#byName.clear();
    this.#lowestFree = 0;
  }
}

function keyOf(name: string, isReceiver: boolean): string {
  return isReceiver ? `r${name}` : `s${name}`;
}
