// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED, IncomingDelivery, MODIFIED_FAILED, RELEASED } from '@pointsman/engine';
import type { Link, OutgoingDelivery, SenderHandler, SenderLink, Session } from '@pointsman/engine';
import type { AmqpErrorFields, Attach, DeliveryState } from '@pointsman/wire';
import type { Address } from './address.js';
import type { IncomingLink } from './incoming-link.js';
import { LinkRecord } from './link-record.js';
import type { RouterConnection } from './router-connection.js';
import { Copy } from './transit.js';
import type { Transit } from './transit.js';

/** What an autolink wants to know of the link that it made. */
export interface LinkOwner {
  attached(attach: Attach): void;
  /** The link is gone: detached by the peer with `error`, or lost with its session or connection. */
  ended(error: AmqpErrorFields | undefined, lost: boolean): void;
}

/** A link that messages leave the router on: a consumer of its address. */
export class OutgoingLink extends LinkRecord implements SenderHandler {
  readonly capacity: number;
  link!: SenderLink;
  readonly direction = 'out';
  owner: LinkOwner | undefined = undefined;
  address: Address | undefined = undefined;
  /** Node whose consumer it becomes with {@link start}. */
  pendingAddress: Address | undefined = undefined;
  /** Router annotations are written for this receiver. */
  readonly writesAnnotations: boolean;
  #queue: (Copy | undefined)[] = [];
  #head = 0;
  unsettled = 0;

  constructor(connection: RouterConnection) {
    super(connection);
    this.capacity = connection.linkCapacity;
    this.writesAnnotations = !connection.stripsOut;
  }

  /** The link is attached: from here on it takes messages of its address. */
  start(): void {
    const address = this.pendingAddress;
    if (address === undefined || this.address !== undefined) return;
    this.address = address;
    this.isFallback = address.isFallback;
    address.addConsumer(this);
  }

  get owningKey(): string | undefined {
    return this.address?.key;
  }

  get undeliveredCount(): number {
    return this.queued;
  }

  get unsettledCount(): number {
    return this.unsettled;
  }

  get queued(): number {
    return this.#queue.length - this.#head;
  }

  /** Messages that wait here or are unsettled with the receiver. */
  get load(): number {
    return this.#queue.length - this.#head + this.unsettled;
  }

  /** A message of `bytes` can go out in this very turn, in one frame, past nobody. */
  canPass(bytes: number): boolean {
    return (
      this.#head === this.#queue.length &&
      this.link.sendable &&
      bytes <= this.link.session.connection.remoteMaxFrameSize - 512 &&
      !this.#isTooLarge(bytes)
    );
  }

  /** The receiver said that it does not take messages of this size: sending one would cost it the link. */
  #isTooLarge(bytes: number): boolean {
    const max = this.link.remoteMaxMessageSize;
    return max > 0n && bytes > max;
  }

  /** Sends a whole message at once; {@link canPass} was asked before. */
  pass(incoming: IncomingDelivery, bytes: Uint8Array, start: number, end: number): void {
    const link = this.link;
    const settled = incoming.settled || link.sndSettleMode === 1;
    const outgoing = link.send(undefined, incoming.messageFormat, settled, incoming, bytes, start, end, true);
    this.connection.messageLog?.tell('Sent', link, bytes, start, end);
    this.#count();
    if (!settled) {
      this.unsettled++;
      incoming.context = outgoing;
      return;
    }
    if (incoming.settled) this.presettled++;
    else this.accepted++;
    // The receiver wants no settlement: reaching it is the best that can be known.
    (incoming.link.context as IncomingLink).finish(incoming, ACCEPTED);
  }

  /** A message leaves. */
  #count(): void {
    this.deliveries++;
    const { address } = this;
    if (address === undefined) return;
    if (!this.isFallback) address.deliveriesEgress++;
    if (this.atContainer) address.deliveriesEgressRouteContainer++;
  }

  enqueue(copy: Copy): void {
    if (copy.transit.settled && this.queued >= this.capacity) this.#dropPresettled();
    this.#queue.push(copy);
    this.pump();
  }

  /** Sessions over which the rest of messages is to come that stand before `copy`. */
  sessionsAwaitedBy(copy: Copy): Set<Session> {
    const sessions = new Set<Session>();
    for (let i = this.#head; i < this.#queue.length; i++) {
      const other = this.#queue[i]!;
      if (other === copy) break;
      const { incoming, complete } = other.transit;
      if (!other.done && !complete && incoming !== undefined) sessions.add(incoming.link.session);
    }
    return sessions;
  }

  /** A message that was not begun here is not for this receiver any more: there is no room for it to wait. */
  giveBack(copy: Copy): void {
    const at = this.#queue.indexOf(copy, this.#head);
    if (at >= 0) this.#queue.splice(at, 1);
    copy.done = true;
    if (copy.transit.settled) {
      this.presettledDropped++;
      this.presettled++;
    }
    copy.transit.outcome(copy, RELEASED);
  }

  /** A receiver that does not keep up gets no more than its capacity of messages that nobody waits for. */
  #dropPresettled(): void {
    const kept: Copy[] = [];
    for (let i = this.#head; i < this.#queue.length; i++) {
      const copy = this.#queue[i]!;
      if (i > this.#head && copy.transit.settled && copy.outgoing === undefined) {
        this.presettledDropped++;
        this.presettled++;
        // For an exchange it was taken: its sender may wait for that, where it is large.
        copy.transit.outcome(copy, ACCEPTED);
      } else {
        kept.push(copy);
      }
    }
    this.#queue = kept;
    this.#head = 0;
  }

  /** Sends what waits, as far as credit and room go. */
  pump(): void {
    while (this.#head < this.#queue.length) {
      const copy = this.#queue[this.#head]!;
      if (!this.#send(copy)) return this.#answerDrain();
      this.#queue[this.#head++] = undefined;
      if (this.#head > 64 && this.#head * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
    }
    if (this.#head > 0) {
      this.#queue.length = 0;
      this.#head = 0;
    }
    this.#answerDrain();
  }

  /** What waited here has gone out as far as the credit went: the rest of it is used up. Nothing is fetched from elsewhere. */
  #answerDrain(): void {
    const { link } = this;
    if (!link.draining || link.current !== undefined) return;
    if (link.credit === 0 || this.#head === this.#queue.length) link.drained();
  }

  /** @returns false where it has to stop: for want of credit or room, or of further parts */
  #send(copy: Copy): boolean {
    const { transit } = copy;
    const link = this.link;
    const settled = transit.settled || link.sndSettleMode === 1;
    for (;;) {
      if (copy.done) return true;
      if (this.#isTooLarge(transit.size)) {
        this.#refuseSize(copy);
        return true;
      }
      const part = copy.part();
      if (part === undefined) return false;
      const last = transit.complete && copy.index === transit.end - 1;
      if (copy.outgoing === undefined) {
        if (!link.sendable) return false;
        copy.outgoing = link.send(undefined, transit.messageFormat, settled, copy, part, 0, part.length, last);
        this.connection.messageLog?.tell('Sent', link, part, 0, part.length);
        this.#count();
        if (transit.settled) this.presettled++;
        else if (!settled) this.unsettled++;
        copy.offset = link.sentBytes;
      } else {
        if (!link.resumable) return false;
        copy.offset += link.resume(part, copy.offset, part.length, last);
      }
      if (copy.offset < part.length || (last && !copy.outgoing.complete)) return false;
      copy.index++;
      copy.offset = 0;
      if (last) {
        copy.done = true;
        transit.consumed();
        if (settled) {
          if (!transit.settled) this.accepted++;
          transit.outcome(copy, ACCEPTED);
        }
        return true;
      }
      transit.consumed();
    }
  }

  #refuseSize(copy: Copy): void {
    const { outgoing, transit } = copy;
    if (outgoing !== undefined && !outgoing.complete) {
      if (!outgoing.settled) this.unsettled--;
      this.link.abort();
    }
    const description = `a message of ${transit.size} bytes or more exceeds the ${this.link.remoteMaxMessageSize} that its receiver takes`;
    // Not what its receiver thinks of the message: a container that stores rejected messages apart counts an attempt instead,
    // and other receivers may have it.
    const isContainers = transit.from?.connection.dialect !== undefined;
    const error = { condition: 'amqp:link:message-size-exceeded', description };
    transit.outcome(copy, isContainers ? MODIFIED_FAILED : { type: 'rejected', error });
  }

  /** A message that is not whole and never will be. */
  abortCopy(copy: Copy): void {
    copy.done = true;
    if (copy.outgoing !== undefined && !copy.outgoing.complete) {
      if (!copy.outgoing.settled) this.unsettled--;
      this.link.abort();
    }
    this.pump();
  }

  // ---- SenderHandler ----

  onAttached(_link: Link, attach: Attach): void {
    this.owner?.attached(attach);
  }

  onSendable(): void {
    this.pump();
  }

  onDrain(): void {
    this.pump();
  }

  onDisposition(
    link: SenderLink,
    outgoing: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const context = outgoing.context;
    if (context instanceof IncomingDelivery) {
      if (settled) {
        this.unsettled--;
        this.countOutcome(state);
        this.countAge(context.arrivedAt);
        (context.link.context as IncomingLink).finish(context, this.#fromReceiver(state));
      } else {
        this.#unsettledState(link, outgoing, context, state);
      }
      return;
    }
    const copy = context as Copy;
    if (settled) {
      this.unsettled--;
      this.countOutcome(state);
      this.countAge(copy.transit.arrivedAt);
      copy.done = true;
      copy.transit.outcome(copy, this.#fromReceiver(state));
      if (!outgoing.complete) this.#receiverDone(copy);
      return;
    }
    const incoming = copy.transit.isSingle ? copy.transit.incoming : undefined;
    this.#unsettledState(link, outgoing, incoming, state, copy);
  }

  /** The receiver settled before it had the whole message: the rest is not for it any more. */
  #receiverDone(copy: Copy): void {
    if (this.#queue[this.#head] !== copy) return;
    this.link.abort();
    this.pump();
  }

  /** The receiver told a state and waits for our settlement. */
  #unsettledState(
    link: SenderLink,
    outgoing: OutgoingDelivery,
    incoming: IncomingDelivery | undefined,
    state: DeliveryState | undefined,
    copy?: Copy,
  ): void {
    if (state === undefined) return;
    if (isProgress(state)) {
      if (incoming !== undefined) (incoming.link.context as IncomingLink).progress(incoming, state);
      return;
    }
    const inbound = incoming?.link;
    if (
      incoming !== undefined &&
      inbound !== undefined &&
      inbound.state === 'attached' &&
      !incoming.settled &&
      inbound.rcvSettleMode === 1
    ) {
      // The sender confirms, and its settlement comes back to the receiver.
      incoming.context = outgoing;
      (inbound.context as IncomingLink).update(incoming, this.#fromReceiver(state) ?? state);
      return;
    }
    if (
      incoming !== undefined &&
      outgoing.complete &&
      (incoming.link.context as IncomingLink).isSettledLater(incoming)
    ) {
      (incoming.link.context as IncomingLink).settleLater(incoming, outgoing, this.#fromReceiver(state) ?? state);
      return;
    }
    if (copy !== undefined && outgoing.complete && copy.transit.collectsOutcomes) {
      copy.transit.told(copy, this.#fromReceiver(state) ?? state);
      return;
    }
    this.unsettled--;
    this.countOutcome(state);
    this.countAge(copy === undefined ? incoming!.arrivedAt : copy.transit.arrivedAt);
    // Its sender has gone: the outcome reaches nobody, so it must not look like one that did.
    const isLate = copy === undefined ? inbound?.state !== 'attached' : isOrphan(copy.transit);
    link.settle(outgoing, isLate ? MODIFIED_FAILED : state);
    if (copy !== undefined) {
      copy.transit.outcome(copy, this.#fromReceiver(state));
      if (!outgoing.complete) this.#receiverDone(copy);
    } else if (incoming !== undefined) {
      (incoming.link.context as IncomingLink).finish(incoming, this.#fromReceiver(state));
    }
  }

  /** The sender of a message settled it: so may we. */
  confirm(outgoing: OutgoingDelivery, state: DeliveryState | undefined): void {
    if (outgoing.settled) return;
    this.unsettled--;
    this.countOutcome(outgoing.remoteState);
    this.link.settle(outgoing, state);
    if (outgoing.context instanceof Copy) outgoing.context.settled = true;
  }

  #fromReceiver(state: DeliveryState | undefined): DeliveryState | undefined {
    const map = this.connection.dialect?.outcomeFromContainer;
    return map === undefined ? state : map(state);
  }

  onDetach(link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    this.#end();
    link.detach(undefined, closed);
    this.owner?.ended(error, false);
    this.connection.linkGone(this);
  }

  onLost(_link: Link, error: AmqpErrorFields | undefined): void {
    this.abandon();
    this.owner?.ended(error, true);
    this.connection.linkGone(this);
  }

  /** Deliveries that came at tick `limit` or before and wait here, or for an outcome. */
  olderThan(limit: number): number {
    let count = 0;
    for (let i = this.#head; i < this.#queue.length; i++) {
      const copy = this.#queue[i]!;
      if (copy.outgoing === undefined && copy.transit.complete && copy.transit.arrivedAt <= limit) count++;
    }
    if (this.unsettled === 0) return count;
    for (const { context } of this.link.session.unsettledOf(this.link)) {
      if (
        context instanceof IncomingDelivery ? context.arrivedAt <= limit : (context as Copy).transit.arrivedAt <= limit
      )
        count++;
    }
    return count;
  }

  /**
   * Gives up what its receiver has: the connection goes, and that is all the receiver is told. A detach would mean this link alone:
   * clients that connect again attach what was lost with the connection, and not what was taken from them before.
   */
  abandon(): void {
    if (this.isLost) return;
    this.isLost = true;
    this.#end();
  }

  /** Detaches on our own account. */
  leave(): void {
    this.#end();
    this.link.detach(undefined, true);
    this.connection.linkGone(this);
  }

  /** Takes no more messages: what has not been begun is released, and what the receiver has it may still settle. */
  retire(): void {
    const begun = this.#queue.slice(this.#head, this.#head + 1) as Copy[];
    const isBegun = begun[0]?.outgoing !== undefined;
    const waiting = this.#queue.slice(this.#head + (isBegun ? 1 : 0)) as Copy[];
    this.#queue = isBegun ? begun : [];
    this.#head = 0;
    this.#leaveAddress();
    for (const copy of waiting) {
      copy.done = true;
      copy.transit.outcome(copy, RELEASED);
    }
  }

  #leaveAddress(): void {
    const address = this.address ?? this.pendingAddress;
    this.address = this.pendingAddress = undefined;
    if (address === undefined) return;
    address.removeConsumer(this);
    this.connection.router.addressLeft(address);
  }

  /** Takes the link out of its address: what was not sent is released, what was sent and is unsettled is in doubt. */
  #end(): void {
    this.#leaveAddress();
    for (const outgoing of this.link.session.unsettledOf(this.link)) {
      const context = outgoing.context;
      if (context instanceof IncomingDelivery) (context.link.context as IncomingLink).finish(context, MODIFIED_FAILED);
      else if (context instanceof Copy) context.transit.outcome(context, MODIFIED_FAILED);
    }
    const queue = this.#queue.slice(this.#head) as Copy[];
    this.#queue = [];
    this.#head = 0;
    for (const copy of queue) {
      copy.done = true;
      copy.transit.outcome(copy, copy.outgoing === undefined ? RELEASED : MODIFIED_FAILED);
    }
    this.unsettled = 0;
  }
}

/** Whether there is nobody who could hear of an outcome, but was. */
function isOrphan({ incoming, settled }: Transit): boolean {
  return incoming === undefined && !settled;
}

/** A state that is no outcome: how far a transfer has come. */
function isProgress(state: DeliveryState): boolean {
  return 'type' in state && state.type === 'received';
}

/** Tells a receiver that waits for the sender's word whether what it said has reached the sender. */
export function tellWaiting(outgoing: OutgoingDelivery, taken: boolean, state: DeliveryState | undefined): void {
  if (outgoing.link.state !== 'attached') return;
  (outgoing.link.handler as OutgoingLink).confirm(outgoing, taken ? state : MODIFIED_FAILED);
}
