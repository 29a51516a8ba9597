// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED, MODIFIED_FAILED, OutgoingDelivery, RELEASED } from '@pointsman/engine';
import type { IncomingDelivery, Link, ReceiverHandler, ReceiverLink, TransferFrame } from '@pointsman/engine';
import { ProtocolError } from '@pointsman/wire';
import type { AmqpErrorFields, Attach, DeliveryState } from '@pointsman/wire';
import type { Address } from './address.js';
import { headOf, hasNoAnnotations } from './annotations.js';
import type { MessageHead } from './annotations.js';
import type { Custody } from './custody.js';
import { forward, isForWithin } from './forward.js';
import { tooLargeToHold } from './in-process.js';
import { IncomingCredit } from './incoming-credit.js';
import { LinkRecord } from './link-record.js';
import type { ConnectionPolicy } from './policy/connection-policy.js';
import { tellWaiting } from './outgoing-link.js';
import type { LinkOwner, OutgoingLink } from './outgoing-link.js';
import { ParkedMessages } from './parked-messages.js';
import type { RouterConnection } from './router-connection.js';
import { propertiesAt } from './properties-at.js';
import { takesModified } from './takes-modified.js';
import { Copy, GIVE_BACK_ALL_AT, STREAM_FROM, Transit } from './transit.js';
import { wayOf } from './way.js';
import type { Way } from './way.js';

const USER_ID_PROXY: AmqpErrorFields = {
  condition: 'amqp:unauthorized-access',
  description: 'user_id proxy violation',
};
const TARGET_DISALLOWED: AmqpErrorFields = {
  condition: 'amqp:unauthorized-access',
  description: 'policy violation on target',
};

/** A link that messages enter the router on: a producer of its address, or an anonymous one. */
export class IncomingLink extends LinkRecord implements ReceiverHandler {
  link!: ReceiverLink;
  readonly direction = 'in';
  owner: LinkOwner | undefined = undefined;
  /** Node that messages go to; undefined for an anonymous link, whose messages name theirs. */
  readonly address: Address | undefined;
  /** Address text for those who want to read it in the message: where {@link address} is given. */
  readonly addressText: string;
  readonly credit: IncomingCredit = new IncomingCredit(this);
  /** The sender's node knows the outcome modified. RabbitMQ 3 does not, and ends the session where it hears it. */
  #takesModified = true;
  /** Message whose frames are arriving and that was not sent on yet, or is being sent on. */
  #arriving: Transit | undefined;
  /** Bytes kept of a message of which nobody is to hear any more. */
  #discarding: IncomingDelivery | undefined;
  /** Outcome of a message that is to be told once the rest of it has come. */
  #decided: { readonly delivery: IncomingDelivery; readonly said: DeliveryState | undefined } | undefined;
  /** Deliveries in hand that are more than a pointer to their one copy. */
  readonly #transits = new Set<Transit>();
  #parked: ParkedMessages | undefined;
  readonly capacity: number;
  /** Bytes of the largest message. */
  readonly #sizeMax: number;
  /** Looks at each message; undefined: there is nothing to look for. */
  #guard: ConnectionPolicy | undefined;
  /** Outcomes that the container did not take, such as for a lock that had expired: the message comes again. */
  unconfirmed = 0;
  /** Where the container can be told of outcomes beyond the link. */
  custody: Custody | undefined = undefined;

  constructor(connection: RouterConnection, address: Address | undefined, addressText: string, capacity: number) {
    super(connection);
    this.address = address;
    this.addressText = addressText;
    this.capacity = capacity;
    this.#sizeMax = connection.policy?.maxMessageSize ?? Infinity;
  }

  /** The peer has attached it, so that what it says in messages is for the policy to judge. */
  guard(): void {
    const { policy } = this.connection;
    if (policy !== undefined && (this.address === undefined || !policy.group.allowUserIdProxy)) this.#guard = policy;
  }

  /** The link is attached: credit, where there is somewhere to go. */
  start(link: ReceiverLink): void {
    this.link = link;
    link.context = this;
    const source = link.remoteAttach?.source;
    if (source !== undefined && 'type' in source) this.#takesModified = takesModified(source.outcomes);
    this.custody?.start(link.remoteAttach);
    this.credit.begin();
  }

  /** There is somewhere to go: for an anonymous link there may always be. */
  get hasPaths(): boolean {
    const { address } = this;
    return address === undefined || (this.isFallback ? address.hasOwnPaths : address.hasPaths);
  }

  /** A first consumer came. */
  pathsOpened(): void {
    if (this.link.state !== 'attached' || this.credit.isQuiet) return;
    this.#unpark((transit) => this.#route(transit));
    this.credit.release();
  }

  /** Who was expected back has not come. */
  gaveUp(): void {
    this.#unpark((transit) => this.#noPath(transit));
  }

  /** @returns whether it waits for a consumer that is expected back */
  #park(transit: Transit): boolean {
    const { address } = this;
    if (address === undefined || address.awaitedUntil === 0 || address.hasPaths) return false;
    if (!transit.complete || this.credit.isQuiet) return false;
    this.#parked ??= new ParkedMessages(this.connection.router.clock, () => this.gaveUp());
    if (!this.#parked.add(transit, address.awaitedUntil)) return false;
    this.#transits.add(transit);
    transit.incoming!.context = transit;
    return true;
  }

  #unpark(act: (transit: Transit) => void): void {
    for (const transit of this.#parked?.take() ?? []) {
      this.#transits.delete(transit);
      const { incoming } = transit;
      // Its sender may have settled it meanwhile.
      if (incoming === undefined) continue;
      incoming.context = undefined;
      act(transit);
    }
  }

  override quiesce(): void {
    this.credit.quiesce();
    this.gaveUp();
  }

  // ---- ReceiverHandler ----

  onAttached(_link: Link, attach: Attach): void {
    this.owner?.attached(attach);
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    if (delivery.bytes > this.#sizeMax && !delivery.aborted) return this.connection.refuseSize(this, link, delivery);
    if (this.#arriving === undefined && delivery.complete && this.#discarding === undefined) {
      if (delivery.aborted) return this.credit.replace();
      if (this.#begin(delivery, frame)) this.#whole(delivery, frame.bytes, frame.payloadStart, frame.payloadEnd);
      return;
    }
    this.#part(delivery, frame);
  }

  /** @returns whether it goes on: what its container sends again may be done with already */
  #begin(delivery: IncomingDelivery, frame: TransferFrame): boolean {
    this.deliveries++;
    const { messageLog } = this.connection;
    if (messageLog !== undefined)
      messageLog.tell('Received', this.link, frame.bytes, frame.payloadStart, frame.payloadEnd);
    delivery.arrivedAt = this.connection.router.tick;
    const { custody } = this;
    if (delivery.settled) this.presettled++;
    if (custody === undefined) return true;
    if (delivery.settled) custody.saw(frame);
    else if (!custody.took(delivery, frame)) {
      this.link.settle(delivery, ACCEPTED);
      custody.over(delivery);
      this.credit.replace();
      return false;
    }
    return true;
  }

  #countIngress(address: Address): void {
    if (!this.isFallback) address.deliveriesIngress++;
    if (this.atContainer) address.deliveriesIngressRouteContainer++;
  }

  /** The common case: a message in one frame, for a receiver that can take it now, is passed on as it stands. */
  #whole(delivery: IncomingDelivery, bytes: Uint8Array, start: number, end: number): void {
    const address = this.address;
    if (
      address !== undefined &&
      hasNoAnnotations(bytes, start, end) &&
      address.isDirect &&
      (this.#guard === undefined || this.#isOfUser(this.#guard, bytes, start, end))
    ) {
      const consumer = address.choose();
      if (consumer !== undefined && !consumer.writesAnnotations && consumer.canPass(end - start)) {
        this.#countIngress(address);
        consumer.pass(delivery, bytes, start, end);
        return;
      }
      address.undoChoice();
    }
    const transit = new Transit(delivery, this, delivery.arrivedAt);
    transit.append(bytes.subarray(start, end));
    transit.complete = true;
    this.#route(transit);
  }

  #part(delivery: IncomingDelivery, frame: TransferFrame): void {
    if (this.#discarding !== undefined) {
      if (delivery.complete) {
        this.#discarding = undefined;
        this.#tellDecided(delivery);
      }
      return;
    }
    let transit = this.#arriving;
    if (transit === undefined) {
      if (!this.#begin(delivery, frame)) {
        if (!delivery.complete) this.#discarding = delivery;
        return;
      }
      transit = this.#arriving = new Transit(delivery, this, delivery.arrivedAt);
    } else if (transit.isOver) {
      // Its receiver settled before it was whole: the rest is read and dropped.
      if (delivery.complete) {
        this.#arriving = undefined;
        this.#tellDecided(delivery);
      }
      return;
    }
    if (delivery.aborted) {
      this.#arriving = undefined;
      this.#transits.delete(transit);
      transit.abort();
      this.custody?.over(delivery);
      if (!transit.credited) this.credit.replace();
      return;
    }
    const empty = frame.payloadStart === frame.payloadEnd;
    if (!empty || delivery.complete) transit.append(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd));
    transit.complete = delivery.complete;
    if (delivery.complete) this.#arriving = undefined;
    if (transit.copies.length > 0) {
      for (const copy of transit.copies) if (!copy.done) copy.link.pump();
      transit.bound();
      this.#settleEarly(transit);
    } else if (transit.collects) {
      this.#collected(transit);
    } else if (delivery.complete || transit.held >= STREAM_FROM) {
      this.#route(transit);
    }
    // A sender that knows the outcome may settle with a frame of the message itself.
    if (delivery.settled && delivery.localState !== undefined && delivery.context instanceof OutgoingDelivery)
      this.onRemoteState(this.link, delivery, delivery.localState, true);
  }

  /** Whether it is plain that a message is of the user who sends it. */
  #isOfUser(guard: ConnectionPolicy, bytes: Uint8Array, start: number, end: number): boolean {
    try {
      const message = bytes.subarray(start, end);
      return guard.allowsUserId(propertiesAt(message, headOf(message, 0, message.length).rest, true)?.userId);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return false;
    }
  }

  /** Decides where a message goes, and sends or queues it. */
  #route(transit: Transit): void {
    if (this.connection.heldBytes >= GIVE_BACK_ALL_AT) return this.#giveBack(transit);
    const delivery = transit.incoming!;
    let head: MessageHead | undefined;
    let address = this.address;
    let to: string | undefined;
    let way: Way | undefined;
    // Only a head that has to be read is put together.
    const start = transit.part(0)!;
    const guard = this.#guard;
    const isPlain =
      guard === undefined && address !== undefined && start.length >= 3 && hasNoAnnotations(start, 0, start.length);
    const bytes = isPlain ? start : transit.joinedHead();
    try {
      if (guard !== undefined || address === undefined || !hasNoAnnotations(bytes, 0, bytes.length)) {
        head = headOf(bytes, 0, bytes.length);
        if (this.connection.stripsIn) head = { ...head, annotations: {} };
      }
      if (guard?.allowsUserId(propertiesAt(bytes, head!.rest, transit.complete)?.userId) === false)
        return this.#refuse(transit, USER_ID_PROXY);
      if (address === undefined) {
        to = this.#destination(head!, bytes, transit.complete);
        if (to === undefined) {
          return this.#refuse(transit, {
            condition: 'amqp:precondition-failed',
            description: 'Routing failure: no address present',
          });
        }
        if (guard?.allowsMessage(to) === false) return this.#refuse(transit, TARGET_DISALLOWED);
        const found = this.connection.router.resolve(to, head!.annotations.phase);
        if (found === 'unavailable') {
          return this.#refuse(transit, {
            condition: 'amqp:not-found',
            description: 'Deliveries cannot be sent to an unavailable address',
          });
        }
        address = found;
      }
      if (address !== undefined) {
        way = wayOf(address, !this.isFallback, () => {
          const { rest } = head ?? headOf(bytes, 0, bytes.length);
          return propertiesAt(bytes, rest, transit.complete)?.subject;
        });
      }
    } catch (error) {
      return this.#unreadable(transit, error);
    }
    if (address === undefined || way === undefined || way.hops.length === 0) {
      way?.count?.();
      return this.#noPath(transit);
    }
    if (isForWithin(way)) {
      const tooLarge = tooLargeToHold(transit.size);
      if (tooLarge !== undefined) return this.#refuse(transit, tooLarge);
      if (!transit.complete) return transit.collect();
    }
    this.#countIngress(address);
    for (const { insteadOf } of way.hops) if (insteadOf !== undefined) this.redirected++;
    this.#transits.add(transit);
    delivery.context = transit;
    if (way.settles) transit.settled = true;
    const rewritten = head?.hasRouterAnnotations === true;
    transit.credited = delivery.settled;
    try {
      forward(transit, way, { from: this.connection, head, rewritten, to: to ?? this.addressText });
    } catch (error) {
      this.#transits.delete(transit);
      delivery.context = undefined;
      return this.#unreadable(transit, error);
    }
    if (transit.copies.length === 0) {
      this.#transits.delete(transit);
      transit.abort();
      this.finish(delivery, ACCEPTED);
    } else {
      transit.bound();
      this.#settleEarly(transit);
    }
    if (transit.credited) this.credit.replace();
  }

  /** The head of a message is not what it has to be, or not all there. @throws what is no ProtocolError */
  #unreadable(transit: Transit, error: unknown): void {
    if (!(error instanceof ProtocolError)) throw error;
    const { condition, description } = error;
    if (condition === 'amqp:invalid-field') return this.#refuse(transit, { condition, description });
    // What is missing may still come.
    if (!transit.complete && tooLargeToHold(transit.size) === undefined) return transit.collect();
    this.#refuse(transit, { condition: 'amqp:decode-error', description: `invalid message format: ${description}` });
  }

  /** Tells the sender of a message that its receivers get settled, once it is whole: it need not wait for them. */
  #settleEarly(transit: Transit): void {
    const { incoming } = transit;
    // What is so large that its sender is held back is accepted when it has gone.
    if (incoming === undefined || incoming.settled || !transit.settled || !transit.complete || transit.holds) return;
    transit.disown();
    this.finish(incoming, ACCEPTED);
  }

  /** Where a message on an anonymous link is to go: what routers wrote into it counts before its properties. */
  #destination({ annotations, rest }: MessageHead, bytes: Uint8Array, complete: boolean): string | undefined {
    const { connection } = this;
    const { tenant } = connection;
    if (annotations.to !== undefined) return tenant === undefined ? annotations.to : tenant.confined(annotations.to);
    const to = propertiesAt(bytes, rest, complete)?.to;
    return to === undefined ? undefined : connection.fullAddress(to);
  }

  /** More has come of a message that is put together before it goes on: for a node within the router, or for its head. */
  #collected(transit: Transit): void {
    if (!transit.complete && tooLargeToHold(transit.size) === undefined) return;
    transit.collects = false;
    this.#route(transit);
  }

  /** Nowhere to go: the sender gets the message back, and no new credit until there is. */
  #noPath(transit: Transit): void {
    const delivery = transit.incoming!;
    if (this.#park(transit)) return;
    this.#discardRest(transit);
    if (!delivery.settled) {
      this.#tell(delivery, this.#toSender(RELEASED));
      this.released++;
    } else {
      this.presettledDropped++;
    }
    if (this.hasPaths) this.credit.replace();
    else this.credit.withhold();
  }

  /** So much of the connection waits here that there is no room for more: the sender gets the message back. */
  #giveBack(transit: Transit): void {
    const delivery = transit.incoming!;
    this.#discardRest(transit);
    if (delivery.settled) {
      this.presettledDropped++;
    } else {
      this.#tell(delivery, this.#toSender(RELEASED));
      this.released++;
    }
    if (this.credit.throttle !== undefined) this.credit.throttle.released();
    this.credit.replace();
  }

  #refuse(transit: Transit, error: AmqpErrorFields): void {
    const delivery = transit.incoming!;
    this.#discardRest(transit);
    if (!delivery.settled) {
      // A routing problem is the router's: a container that stores rejected messages apart must not take it for its own.
      this.#tell(
        delivery,
        this.connection.dialect === undefined ? { type: 'rejected', error } : this.#toSender(RELEASED),
      );
      this.rejected++;
    }
    if (this.credit.throttle !== undefined) this.credit.throttle.released();
    this.credit.replace();
  }

  #discardRest(transit: Transit): void {
    const delivery = transit.incoming!;
    if (!delivery.complete) this.#discarding = delivery;
    this.#arriving = undefined;
    transit.abort();
  }

  /** A message has come to its end, with `state` as its outcome. */
  finish(delivery: IncomingDelivery, state: DeliveryState | undefined): void {
    let isReplaced = false;
    if (delivery.context instanceof Transit) {
      isReplaced = delivery.context.credited;
      this.#transits.delete(delivery.context);
    }
    delivery.context = undefined;
    if (this.link.state !== 'attached') {
      this.custody?.late(delivery, this.#toSender(state));
      return;
    }
    this.countAge(delivery.arrivedAt);
    if (!delivery.settled && delivery.localState !== undefined) {
      // The sender was told and has not settled yet: what the receiver said stands, though it has gone since.
      this.countOutcome(delivery.localState);
      // A container that confirms outcomes does so here, too: until then they are the router's to tell.
      if (!this.#isConfirmed) {
        this.link.settle(delivery, delivery.localState);
        this.custody?.over(delivery);
      }
    } else if (!delivery.settled) {
      this.countOutcome(state);
      const said = this.#toSender(state);
      this.#tell(delivery, said);
      if (this.credit.throttle !== undefined) this.credit.throttle.heed(said);
    } else {
      // Its sender settled it with a later frame.
      this.custody?.over(delivery);
    }
    if (!isReplaced) this.credit.replace();
  }

  /** An outcome of a message whose link has gone can still be told. */
  isSettledLater(delivery: IncomingDelivery): boolean {
    return this.custody !== undefined && this.link.state !== 'attached' && this.custody.survives(delivery);
  }

  /** Tells it, and the receiver that waits for the sender's word. */
  settleLater(delivery: IncomingDelivery, outgoing: OutgoingDelivery, state: DeliveryState): void {
    delivery.context = undefined;
    const taken = this.custody!.late(delivery, this.#toSender(state), (isTaken) =>
      tellWaiting(outgoing, isTaken, state),
    );
    if (!taken) tellWaiting(outgoing, false, state);
  }

  /** The sender answers each outcome with its settlement. */
  get #isConfirmed(): boolean {
    return this.link.rcvSettleMode === 1 && this.connection.dialect?.settleSecond === true;
  }

  /**
   * Settles with an outcome. That of a message of which more is to come waits for the rest: a sender may be written so that it
   * goes on with a delivery that is settled (the rhea library stands still then, with its whole session).
   */
  #tell(delivery: IncomingDelivery, said: DeliveryState | undefined): void {
    if (!delivery.complete) this.#decided = { delivery, said };
    else if (this.#isConfirmed && said !== undefined) this.link.update(delivery, said);
    else {
      this.link.settle(delivery, said);
      this.custody?.over(delivery);
    }
  }

  /** The rest has come. Of a message that its sender took back nothing is said. */
  #tellDecided(delivery: IncomingDelivery): void {
    const decided = this.#decided;
    this.#decided = undefined;
    if (decided?.delivery === delivery && !delivery.aborted) return this.#tell(delivery, decided.said);
    // What was told while it was coming is for the container to confirm, or to be told again.
    if (delivery.aborted || delivery.settled || delivery.localState === undefined) this.custody?.over(delivery);
  }

  /** The receiver told an outcome and waits for the sender to confirm it. */
  update(delivery: IncomingDelivery, state: DeliveryState): void {
    this.link.update(delivery, this.#toSender(state) ?? state);
  }

  onRemoteState(
    link: ReceiverLink,
    delivery: IncomingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    if (!settled) return;
    const context = delivery.context;
    delivery.context = undefined;
    if (context === undefined) {
      if (this.custody?.answered(delivery, state) === true) return;
      // The container's word on an outcome that we told it: other than a confirmation, it is worth a line.
      if (state !== undefined && 'type' in state && state.type === 'rejected' && state.error !== undefined) {
        this.unconfirmed++;
        this.connection.router.log(
          'ROUTER_CORE',
          'info',
          `[C${this.connection.id}] An outcome came too late on link ${link.name}: ${state.error.condition} ${state.error.description ?? ''}`,
        );
      }
      return;
    }
    if (context instanceof Transit) {
      // The rest of the message is still to come: its end is dealt with as ever.
      if (!context.complete) {
        delivery.context = context;
        return;
      }
      this.#transits.delete(context);
      this.custody?.answered(delivery, state);
      context.confirm();
      context.disown();
      if (delivery.localState !== undefined) this.countOutcome(delivery.localState);
    } else {
      // The sender settled: the receiver that waits for it may settle too.
      const outgoing = context as OutgoingDelivery;
      const told = delivery.localState;
      const isAgain = this.custody?.answered(delivery, state, (taken) => tellWaiting(outgoing, taken, told)) === true;
      if (!isAgain) (outgoing.link.handler as OutgoingLink).confirm(outgoing, state);
      if (delivery.localState !== undefined) this.countOutcome(delivery.localState);
      const copy = outgoing.context;
      if (copy instanceof Copy) {
        this.#transits.delete(copy.transit);
        // More of it may come, and be taken back: its credit is given again here.
        copy.transit.credited = true;
      }
    }
    this.countAge(delivery.arrivedAt);
    if (this.credit.throttle !== undefined) this.credit.throttle.heed(delivery.localState);
    this.credit.replace();
  }

  /** The receiver told how far it has come with a message: the sender may want to know. */
  progress(delivery: IncomingDelivery, state: DeliveryState): void {
    if (this.link.state !== 'attached' || delivery.settled || this.connection.dialect !== undefined) return;
    const told = delivery.localState;
    this.link.update(delivery, state);
    delivery.localState = told;
  }

  #toSender(state: DeliveryState | undefined): DeliveryState | undefined {
    const map = this.connection.dialect?.outcomeToContainer;
    const said = map === undefined ? state : map(state);
    if (said === undefined || !('type' in said) || said.type !== 'modified') return said;
    // Not rejected, even where it must not come back: a broker without a dead-letter exchange would drop it.
    if (!this.#takesModified) return RELEASED;
    // What a receiver has had in its hands has been tried, whatever it says of that.
    return map !== undefined || said.deliveryFailed === true ? said : { ...said, deliveryFailed: true };
  }

  onFlow(link: ReceiverLink): void {
    this.credit.forgone(link.forgone);
  }

  onDetach(link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    this.#end();
    link.detach(undefined, closed);
    this.owner?.ended(error, false);
    this.connection.linkGone(this);
  }

  onLost(_link: Link, error: AmqpErrorFields | undefined): void {
    this.isLost = true;
    this.#end();
    this.owner?.ended(error, true);
    this.connection.linkGone(this);
  }

  get owningKey(): string | undefined {
    return this.address?.key;
  }

  get undeliveredCount(): number {
    return 0;
  }

  get unsettledCount(): number {
    return this.link.session.unsettledOf(this.link).length;
  }

  /** Deliveries that came at tick `limit` or before and have no outcome yet. */
  olderThan(limit: number): number {
    return this.link.session.unsettledOf(this.link).filter(({ arrivedAt, complete }) => complete && arrivedAt <= limit)
      .length;
  }

  /** Detaches on our own account. */
  leave(): void {
    this.#end();
    this.link.detach(undefined, true);
    this.connection.linkGone(this);
  }

  #end(): void {
    const arriving = this.#arriving;
    this.#arriving = undefined;
    this.#discarding = this.#decided = undefined;
    if (arriving !== undefined) {
      this.#transits.delete(arriving);
      arriving.abort();
    }
    this.#unpark((transit) => transit.abort());
    this.credit.throttle?.end();
    const { custody } = this;
    if (custody !== undefined) this.#handOver(custody);
    this.#endConfirmations();
    // Receivers go on with what is whole; what they say of it may have no one to go to.
    for (const transit of this.#transits) {
      if (transit.incoming !== undefined && custody?.survives(transit.incoming) === true) transit.outlive();
      else transit.disown();
    }
    this.#transits.clear();
    const address = this.address;
    if (address !== undefined) {
      address.removeProducer(this);
      this.connection.router.addressLeft(address);
    }
  }

  /** What was told and not confirmed is told another way. */
  #handOver(custody: Custody): void {
    const waiting = new Map<IncomingDelivery, OutgoingDelivery>();
    for (const delivery of this.link.session.unsettledOf(this.link)) {
      const { context, localState } = delivery;
      if (localState === undefined || !custody.survives(delivery)) continue;
      if (context instanceof OutgoingDelivery) waiting.set(delivery, context);
      delivery.context = undefined;
    }
    custody.ended((delivery, taken) => {
      const outgoing = waiting.get(delivery);
      if (outgoing !== undefined) tellWaiting(outgoing, taken, delivery.localState);
    });
  }

  /** Receivers that wait for the sender's word on the outcome that they told wait in vain: it may have come or not. */
  #endConfirmations(): void {
    for (const delivery of this.link.session.unsettledOf(this.link)) {
      const outgoing = delivery.context;
      if (delivery.localState === undefined || !(outgoing instanceof OutgoingDelivery)) continue;
      delivery.context = undefined;
      if (outgoing.link.state === 'attached')
        (outgoing.link.handler as OutgoingLink).confirm(outgoing, MODIFIED_FAILED);
    }
  }
}
