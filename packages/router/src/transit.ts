// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED, MODIFIED_FAILED, RELEASED, keep, letGo } from '@pointsman/engine';
import type { IncomingDelivery, OutgoingDelivery } from '@pointsman/engine';
import type { DeliveryState } from '@pointsman/wire';
import { closesCircle, hold, isHeld, release } from './held-sessions.js';
import type { IncomingLink } from './incoming-link.js';
import type { OutgoingLink } from './outgoing-link.js';

/** Bytes from which on a message that is still arriving is sent on: below, it goes out whole. */
export const STREAM_FROM: number = 1 << 17;
/** Bytes of one message that may wait here before its sender is held back, and where it may go on. */
const HOLD_AT = 1 << 18;
const RELEASE_AT = 1 << 17;

/**
 * Bytes of a message that waits behind another one whose rest can only come while its own session is not held back: beyond them
 * it is given back.
 */
const GIVE_BACK_AT = 1 << 24;
/** How often such a message is looked at again, in bytes. */
const LOOK_EACH = 1 << 16;

/**
 * Bytes of messages of one connection that may wait here, however small each is, before whoever sends more is held back: what a
 * link with the usual credit has in hand where each of its messages is just too small to hold it back.
 */
const HOLD_ALL_AT = 1 << 26;
/** What a message costs besides its bytes while it waits here, and each of its receivers. */
const MESSAGE_BYTES = 512;
const COPY_BYTES = 128;
/** Bytes beyond which further messages of the connection are given back: its sessions have a window each before they are held. */
export const GIVE_BACK_ALL_AT: number = 1 << 28;

/** Parts that are shorter are put together: what comes in very small frames must not cost more than its bytes. */
const JOIN_BELOW = 4_096;
const JOINED_MAX = 16_384;

/**
 * A message that cannot simply be passed through in the turn in which it came: it arrives in parts, or waits for credit,
 * or has several receivers. Its bytes are held once, by reference, whatever the number of receivers.
 */
export class Transit {
  /** The delivery that is waiting for an outcome; undefined once its link is gone. */
  incoming: IncomingDelivery | undefined;
  /** Link that it came on; undefined for a message from within the router. */
  readonly from: IncomingLink | undefined;
  readonly messageFormat: number;
  /** Its receivers get it settled. */
  settled: boolean;
  /** Tick of the router at which it came. */
  readonly arrivedAt: number;
  readonly copies: Copy[] = [];
  complete = false;
  aborted = false;
  #parts: Uint8Array[] = [];
  /** Memory of the last part, where that was put together: more may follow in it. */
  #tail: Uint8Array | undefined;
  /** Parts that every copy has sent and that are dropped. */
  #dropped = 0;
  /** Bytes that are held, and all that have come. */
  held = 0;
  size = 0;
  /** It is put together for an in-process node, which takes whole messages: its sender is not held back. */
  collects = false;
  /** Its sender has its credit back already: nobody waits for an outcome, so forwarded is done. */
  credited = false;
  #holds = false;
  /** How much of it there was when it was last looked at whether its sender can be held back. */
  #lookedAt = 0;
  /** What it costs besides its bytes. */
  #charged = 0;
  #outcome: DeliveryState | undefined;
  #pending = 0;
  /** A node within the router has it: that counts among the outcomes. */
  #withinToo = false;

  constructor(incoming: IncomingDelivery | undefined, from: IncomingLink | undefined, arrivedAt: number) {
    this.incoming = incoming;
    this.from = from;
    this.messageFormat = incoming?.messageFormat ?? 0;
    this.settled = incoming?.settled ?? true;
    this.arrivedAt = arrivedAt;
    this.#charge(MESSAGE_BYTES);
  }

  /** Number of the part behind the last. */
  get end(): number {
    return this.#dropped + this.#parts.length;
  }

  /** Every receiver has told its outcome, whether the message is whole or not. */
  get isOver(): boolean {
    if (this.copies.length === 0) return false;
    return this.incoming === undefined || this.copies.every(({ done, settled }) => done && settled);
  }

  /** Its sender is held back until more of it has gone. */
  get holds(): boolean {
    return this.#holds;
  }

  /** It has one receiver, whose outcome is that of the message with all its details. */
  get isSingle(): boolean {
    return this.copies.length === 1 && !this.#withinToo;
  }

  /** A node within the router has it: it is accepted, unless another receiver rejects it. */
  takenWithin(): void {
    this.#withinToo = true;
    this.#outcome = ACCEPTED;
  }

  part(index: number): Uint8Array | undefined {
    return this.#parts[index - this.#dropped];
  }

  append(bytes: Uint8Array): void {
    if (bytes.length >= JOIN_BELOW || !this.#joins(bytes)) this.#parts.push(keep(bytes));
    this.#account(bytes.length);
    this.size += bytes.length;
  }

  /** So many more bytes are held, or fewer. */
  #account(bytes: number): void {
    this.held += bytes;
    if (this.from !== undefined) this.from.connection.heldBytes += bytes;
  }

  /** It costs so much more besides its bytes, until nobody waits for any of it. */
  #charge(bytes: number): void {
    if (this.from === undefined) return;
    this.#charged += bytes;
    this.from.connection.heldBytes += bytes;
  }

  /** Sees to it that what waits here is bounded: more of the message has come, and has been sent on as far as that goes. */
  bound(): void {
    const { held, incoming, from } = this;
    if (incoming === undefined || from === undefined || this.#holds || this.collects) return;
    const isOver = from.connection.heldBytes >= HOLD_ALL_AT;
    if (held < HOLD_AT && !isOver) return;
    const { session } = incoming.link;
    if (held < HOLD_AT) {
      if (held === 0 || isHeld(session)) return;
    } else if (!isOver) {
      const look = Math.floor(held / LOOK_EACH);
      if (look === this.#lookedAt) return;
      this.#lookedAt = look;
    }
    if (!closesCircle(session, this)) {
      this.#holds = true;
      hold(session, this);
    } else if (isOver || held >= GIVE_BACK_AT) {
      for (const copy of this.copies) if (!copy.done && copy.outgoing === undefined) copy.link.giveBack(copy);
    }
  }

  /** Adds a small part to the one before it. @returns false where it has to be one of its own */
  #joins(bytes: Uint8Array): boolean {
    const last = this.#parts.at(-1);
    // Receivers may have a first part of their own.
    if (last === undefined || (this.end === 1 && this.copies.length > 0)) return false;
    const length = last.length + bytes.length;
    let tail = this.#tail;
    const isTail = tail !== undefined && last.buffer === tail.buffer;
    if (length > JOINED_MAX || (!isTail && last.length >= JOIN_BELOW)) return false;
    if (!isTail || tail!.length < length) {
      tail = new Uint8Array(Math.min(JOINED_MAX, length * 2));
      tail.set(last);
      this.#tail = tail;
    }
    tail!.set(bytes, last.length);
    this.#parts[this.#parts.length - 1] = tail!.subarray(0, length);
    for (const copy of this.copies) {
      if (copy.index !== this.end) continue;
      copy.index--;
      copy.offset = last.length;
    }
    return true;
  }

  /** Puts the parts together that are here, before any of them is sent. */
  joinedHead(): Uint8Array {
    if (this.#parts.length === 1) return this.#parts[0]!;
    const joined = new Uint8Array(this.held);
    let at = 0;
    for (const part of this.#parts) {
      joined.set(part, at);
      at += part.length;
      letGo(part);
    }
    this.#parts = [joined];
    return joined;
  }

  addCopy(link: OutgoingLink, first: Uint8Array | undefined): Copy {
    const copy = new Copy(this, link, first);
    this.copies.push(copy);
    this.#charge(COPY_BYTES);
    this.#pending++;
    return copy;
  }

  /** Drops what every copy has sent, and lets the sender go on where little is left. */
  consumed(): void {
    let least = Infinity;
    for (const copy of this.copies) if (!copy.done && copy.index < least) least = copy.index;
    if (least === Infinity && this.#charged > 0) this.#charge(-this.#charged);
    const limit = Math.min(least, this.end);
    while (this.#dropped < limit) {
      const part = this.#parts.shift()!;
      this.#account(-part.length);
      letGo(part);
      this.#dropped++;
    }
    if (this.held < RELEASE_AT) this.#release();
  }

  /** Collects what is still to come. */
  collect(): void {
    this.collects = true;
    this.#release();
  }

  #dropParts(): void {
    for (const part of this.#parts) letGo(part);
    this.#parts = [];
    this.#account(-this.held);
  }

  #release(): void {
    if (!this.#holds) return;
    this.#holds = false;
    if (this.incoming !== undefined) release(this.incoming.link.session, this);
  }

  /** The sender withdrew the message, or went away in mid-message: no outcome is produced. */
  abort(): void {
    this.aborted = this.complete = true;
    this.#charge(-this.#charged);
    this.#release();
    this.incoming = undefined;
    for (const copy of this.copies) if (!copy.done) copy.link.abortCopy(copy);
    this.#dropParts();
  }

  /** The inbound link is gone: what is still to be said about the delivery is for nobody. */
  disown(): void {
    if (!this.complete) return this.abort();
    this.#release();
    this.incoming = undefined;
    // What a receiver told has not reached the sender for certain.
    for (const copy of this.copies) if (copy.waits) copy.link.confirm(copy.outgoing!, MODIFIED_FAILED);
  }

  /** The inbound link is gone, but an outcome can still be told. */
  outlive(): void {
    if (!this.complete) return this.abort();
    this.#release();
    for (const copy of this.copies) if (copy.waits) copy.link.confirm(copy.outgoing!, MODIFIED_FAILED);
  }

  /** Of several receivers those that tell an outcome and wait are settled together, once the sender has been told. */
  get collectsOutcomes(): boolean {
    const { incoming } = this;
    return (
      !this.isSingle &&
      incoming !== undefined &&
      !incoming.settled &&
      this.complete &&
      incoming.link.state === 'attached'
    );
  }

  /** A receiver told an outcome, of a message that it has as a whole, and waits for the sender to settle. */
  told(copy: Copy, state: DeliveryState): void {
    if (copy.settled || copy.told !== undefined) return;
    copy.told = state;
    this.#merge(copy, state);
  }

  /** The sender knows the outcome: those who wait for that are settled. */
  confirm(): void {
    for (const copy of this.copies) if (copy.waits) copy.link.confirm(copy.outgoing!, copy.told);
  }

  /**
   * A receiver told an outcome. With several receivers the strongest counts: rejected before accepted before modified
   * before released, once all have spoken.
   */
  outcome(copy: Copy, state: DeliveryState | undefined): void {
    copy.done = true;
    // Its sender has confirmed it, and now the receiver is gone: what is still to come is for nobody.
    if (copy.settled) return this.consumed();
    copy.settled = true;
    if (copy.told === undefined) this.#merge(copy, state);
  }

  #merge(copy: Copy, state: DeliveryState | undefined): void {
    this.#pending--;
    if (!this.isSingle && state !== undefined && 'type' in state && state.type === 'declared') {
      const { router } = copy.link.connection;
      router.log('ROUTER_CORE', 'warning', 'Transactions are not supported for multicast messages');
    }
    if (this.isSingle) this.#outcome = state;
    else if (rank(state) > rank(this.#outcome)) this.#outcome = plainOutcome(state);
    this.consumed();
    if (this.#pending === 0) this.#finish();
  }

  #finish(): void {
    this.#release();
    const incoming = this.incoming;
    if (incoming === undefined) {
      if (this.from === undefined) this.#dropParts();
      return;
    }
    this.#dropParts();
    if (incoming.link.rcvSettleMode === 1 && this.copies.some(({ waits }) => waits)) {
      // The sender settles first.
      this.from?.update(incoming, this.#outcome ?? ACCEPTED);
      return;
    }
    this.incoming = undefined;
    this.from?.finish(incoming, this.#outcome);
    this.confirm();
  }
}

function rank(state: DeliveryState | undefined): number {
  if (state === undefined || !('type' in state)) return 0;
  switch (state.type) {
    case 'rejected':
    case 'declared':
      return 4;
    case 'accepted':
      return 3;
    case 'modified':
      return 2;
    case 'released':
      return 1;
    default:
      return 0;
  }
}

/** Of several receivers' outcomes only the kind is told, not the details. */
function plainOutcome(state: DeliveryState | undefined): DeliveryState | undefined {
  if (state === undefined || !('type' in state)) return state;
  switch (state.type) {
    case 'rejected':
    case 'declared':
      return { type: 'rejected' };
    case 'accepted':
      return ACCEPTED;
    case 'modified':
      return MODIFIED_FAILED;
    case 'released':
      return RELEASED;
    default:
      return state;
  }
}

/** One receiver's share of a message in transit. */
export class Copy {
  readonly transit: Transit;
  readonly link: OutgoingLink;
  /** Stands in for the first part, where its annotations differ from what came. */
  readonly first: Uint8Array | undefined;
  /** Next part to send, and how far into it. */
  index = 0;
  offset = 0;
  outgoing: OutgoingDelivery | undefined = undefined;
  /** All parts are out, or none will be any more. */
  done = false;
  settled = false;
  /** Outcome that the receiver told without settling. */
  told: DeliveryState | undefined = undefined;

  constructor(transit: Transit, link: OutgoingLink, first: Uint8Array | undefined) {
    this.transit = transit;
    this.link = link;
    this.first = first;
  }

  /** Its receiver waits for the sender to settle. */
  get waits(): boolean {
    return this.told !== undefined && !this.settled;
  }

  part(): Uint8Array | undefined {
    return this.index === 0 && this.first !== undefined ? this.first : this.transit.part(this.index);
  }
}
