// SPDX-License-Identifier: Apache-2.0
import { RemoteProtocolError, decodeError, serial, serialDistance } from '@pointsman/wire';
import type { AmqpErrorFields, Attach, Begin, BeginFields, DeliveryState, SerialNumber } from '@pointsman/wire';
import type { Connection } from './connection.js';
import { ACCEPTED, DeliveryRing, IncomingDelivery, OutgoingDelivery } from './delivery.js';
import type { DispositionFrame, FlowFrame, TransferFrame } from './hot-frames.js';
import { writeFlowFrame } from './hot-writers.js';
import { IncomingWindow } from './incoming-window.js';
import { ReceiverLink, SenderLink } from './link.js';
import type { AttachParameters, Link, ReceiverHandler, SenderHandler } from './link.js';
import { SessionLinks } from './session-links.js';
import { Settlements } from './settlements.js';

export type SessionState = 'beginning' | 'mapped' | 'ending' | 'ended';

export interface SessionOptions {
  /** Transfer frames that the peer may have on the way to us, 1 or more. */
  readonly incomingWindow?: number | undefined;
  /** Highest handle that the peer may use, 0 to 2^32 - 1. */
  readonly handleMax?: number | undefined;
  /** First transfer-id of ours. */
  readonly nextOutgoingId?: number | undefined;
  readonly properties?: BeginFields['properties'];
}

/** Links that a session takes by default. */
const HANDLE_MAX = 4095;
/** A session endpoint. @see OASIS AMQP 1.0, 2.5 */
export class Session {
  readonly connection: Connection;
  readonly channel: number;
  remoteChannel = -1;
  state: SessionState = 'beginning';
  remoteBegin: Begin | undefined = undefined;
  localBegun = false;
  /** For whoever owns the session. */
  context: unknown = undefined;

  /** Ids and windows of 2.5.6, in transfer frames. */
  nextIncomingId: SerialNumber = serial(0);
  readonly #window = new IncomingWindow();
  nextOutgoingId: SerialNumber = serial(0);
  #initialOutgoingId: SerialNumber = serial(0);
  remoteIncomingWindow = 0;
  /** @internal highest handle that the peer may use. */
  handleMax: number = HANDLE_MAX;

  readonly #links: SessionLinks;

  /** @internal the next delivery-id of ours. */
  nextDeliveryId = 0;
  /** That of the peer; -1 before its first. */
  #expectedDeliveryId = -1;
  readonly incoming: DeliveryRing<IncomingDelivery> = new DeliveryRing();
  readonly outgoing: DeliveryRing<OutgoingDelivery> = new DeliveryRing();

  readonly #settlements: Settlements;
  /** Links whose flow is to be written; undefined for none. */
  #flowDebtors: ReceiverLink[] | undefined = undefined;
  #owesSessionFlow = false;
  /** @internal see {@link ConnectionOptions.padded} */
  readonly padded: boolean;
  /** @internal in the connection's list of sessions with something to add at the next write. */
  dirty = false;
  /** @internal our end is out. */
  localEnded = false;

  constructor(connection: Connection, channel: number) {
    this.connection = connection;
    this.channel = channel;
    this.#links = new SessionLinks(this);
    this.padded = connection.padded;
    this.#settlements = new Settlements(this.padded);
  }

  /** Every link that is attached or attaching. */
  get links(): Link[] {
    return this.#links.all;
  }

  // ---- life ----

  /** Sends our begin: starts a session, or answers that of the peer. */
  begin(options: SessionOptions = {}): void {
    if (this.localBegun || this.state === 'ended') return;
    this.localBegun = true;
    this.#window.begin(options.incomingWindow, this.connection.maxFrameSize);
    const remote = this.remoteBegin;
    this.handleMax = options.handleMax ?? HANDLE_MAX;
    this.nextOutgoingId = this.#initialOutgoingId = serial(options.nextOutgoingId ?? 0);
    if (remote !== undefined) this.state = 'mapped';
    this.connection.sendBegin(this, {
      remoteChannel: this.remoteChannel < 0 ? undefined : this.remoteChannel,
      nextOutgoingId: this.nextOutgoingId,
      incomingWindow: this.#window.frames,
      outgoingWindow: 0x7fffffff,
      handleMax: this.handleMax,
      properties: options.properties,
    });
  }

  /** Ends the session, or answers the end of the peer. Its links are gone. Idempotent. */
  end(error?: AmqpErrorFields): void {
    if (this.localEnded || this.state === 'ended') return;
    // A begin of the peer that was not answered: it has to be, before the session can end. 2.5.5
    this.begin();
    this.flush();
    this.localEnded = true;
    this.connection.sendEnd(this, error);
    this.#lose(error);
  }

  /** @internal */
  takeBegin(begin: Begin, channel: number): void {
    this.remoteBegin = begin;
    this.remoteChannel = channel;
    this.nextIncomingId = serial(begin.nextOutgoingId);
    this.remoteIncomingWindow = begin.incomingWindow;
    if (this.localBegun && !this.localEnded) this.state = 'mapped';
  }

  /** @internal the peer ended: answer where we have not. Returns once nothing of the session is left. */
  takeEnd(error: AmqpErrorFields | undefined): void {
    if (!this.localEnded) this.begin();
    this.state = 'ended';
    this.#lose(error);
    if (this.localEnded) return;
    this.localEnded = true;
    this.connection.sendEnd(this, undefined);
  }

  /** Tells every link that it is gone. */
  #lose(error: AmqpErrorFields | undefined): void {
    for (const link of this.cut()) link.lose(error);
    this.forget();
  }

  /**
   * @internal nothing can be said on the session any more. All its links are gone at once, before any is told: whoever hears of
   * one may turn to the next.
   *
   * @returns links to tell: those whose handlers do not know of an end yet
   */
  cut(): Link[] {
    if (this.state !== 'ended') this.state = 'ending';
    const links = this.links;
    this.#links.clear();
    this.#flowDebtors = undefined;
    this.#settlements.clear();
    this.connection.waiting.removeOf(this);
    const untold = links.filter((link) => !link.remoteDetached && (!link.localDetached || link.awaitsAnswer));
    for (const link of links) {
      link.state = 'detached';
      link.localDetached = link.remoteDetached = true;
    }
    return untold;
  }

  /** @internal the deliveries go once everybody has been told. */
  forget(): void {
    this.incoming.clear();
    this.outgoing.clear();
  }

  // ---- links ----

  /**
   * Attaches a link that we receive on.
   *
   * @param name - unique for its direction between the two containers
   * @throws LocalProtocolError where the session has ended, no handle is free, or the attach is larger than the peer's frames
   */
  attachReceiver(name: string, handler: ReceiverHandler, parameters: AttachParameters): ReceiverLink {
    return this.#links.attachReceiver(name, handler, parameters);
  }

  /** Attaches a link that we send on. @throws LocalProtocolError as {@link attachReceiver} */
  attachSender(name: string, handler: SenderHandler, parameters: AttachParameters): SenderLink {
    return this.#links.attachSender(name, handler, parameters);
  }

  /** There is a handle that the peer lets us use and that is free. */
  get hasFreeHandle(): boolean {
    return this.#links.nextHandle >= 0;
  }

  /** @internal */
  answerAttach(link: Link, parameters: AttachParameters): void {
    this.#links.answer(link, parameters);
  }

  /** @internal */
  takeAttach(attach: Attach, bytes: number): void {
    this.#links.take(attach, bytes);
  }

  /** @internal */
  detachLink(link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    this.#links.detach(link, error, closed);
  }

  /** @internal */
  takeDetach(handle: number, closed: boolean, error: AmqpErrorFields | undefined): void {
    this.#links.takeDetach(handle, closed, error);
  }

  /** @internal unsettled deliveries end with their link: nothing is resumed. */
  forgetDeliveries(link: Link): void {
    const ring: DeliveryRing<IncomingDelivery | OutgoingDelivery> = link.isReceiver ? this.incoming : this.outgoing;
    if (ring.size === 0) return;
    for (const delivery of ring.ofLink(link)) ring.remove(delivery.id);
  }

  /** Unsettled deliveries of a link of ours, oldest first. */
  unsettledOf(link: SenderLink): readonly OutgoingDelivery[];
  unsettledOf(link: ReceiverLink): readonly IncomingDelivery[];
  unsettledOf(link: Link): readonly (IncomingDelivery | OutgoingDelivery)[] {
    const ring: DeliveryRing<IncomingDelivery | OutgoingDelivery> = link.isReceiver ? this.incoming : this.outgoing;
    return ring.ofLink(link);
  }

  /** Ends the session for a breach by the peer. */
  fail(condition: string, description: string, section: string): void {
    const error = new RemoteProtocolError(condition, description, {
      scope: 'session',
      section,
      where: { channel: this.channel },
    });
    this.connection.handler.onProtocolError?.(this.connection, error);
    this.end({ condition, description });
    this.connection.handler.onEnd(this, { condition, description });
  }

  // ---- receiving ----

  /** @internal */
  takeTransfer(f: TransferFrame): void {
    this.nextIncomingId = ((this.nextIncomingId + 1) >>> 0) as SerialNumber;
    const size = f.payloadEnd - f.payloadStart;
    if (!this.#window.take(size)) {
      return this.fail('amqp:session:window-violation', 'a transfer beyond the incoming-window', '2.5.6');
    }
    if (this.#window.isDue) this.#replenish();
    const link = this.#links.ofRemote(f.handle);
    if (link === undefined)
      return this.fail(
        'amqp:session:unattached-handle',
        `transfer on handle ${f.handle}, which is not attached`,
        '2.5.7',
      );
    if (!(link instanceof ReceiverLink)) {
      return this.fail('amqp:not-allowed', `transfer on handle ${f.handle}, which we send on`, '2.6');
    }
    let delivery = link.current;
    if (delivery === undefined) {
      delivery = this.#beginIncoming(link, f);
      if (delivery === undefined) return;
    } else if (f.deliveryId >= 0 && f.deliveryId !== delivery.id) {
      return this.fail(
        'amqp:invalid-field',
        `delivery ${f.deliveryId} begins before delivery ${delivery.id} is whole`,
        '2.6.14',
      );
    } else if (f.settled && !delivery.settled && !link.judgesSettled) {
      delivery.settled = true;
      this.incoming.remove(delivery.id);
    }
    delivery.bytes += size;
    if (f.more && !f.aborted) {
      link.current = delivery;
    } else {
      link.current = undefined;
      delivery.complete = true;
      if (f.aborted) {
        delivery.aborted = true;
        // An aborted delivery is settled, whatever its frames say. 2.7.5
        delivery.settled = true;
        this.incoming.remove(delivery.id);
      }
    }
    if (link.localDetached) return;
    if (link.maxMessageSize > 0 && delivery.bytes > link.maxMessageSize) {
      return link.fail({
        condition: 'amqp:link:message-size-exceeded',
        description: `a message of ${delivery.bytes} bytes or more exceeds the ${link.maxMessageSize} of the link`,
      });
    }
    link.handler.onTransfer(link, delivery, f);
  }

  #beginIncoming(link: ReceiverLink, f: TransferFrame): IncomingDelivery | undefined {
    if (f.deliveryId < 0 || f.tagLength < 0)
      throw decodeError('the first transfer of a delivery without delivery-id or delivery-tag', '2.7.5');
    if (f.tagLength > link.tagMax) throw decodeError(`a delivery-tag of ${f.tagLength} bytes`, '2.8.7');
    if (this.#expectedDeliveryId < 0) this.#expectedDeliveryId = f.deliveryId;
    if (f.deliveryId !== this.#expectedDeliveryId) {
      this.fail(
        'amqp:invalid-field',
        `delivery-id ${f.deliveryId} where ${this.#expectedDeliveryId} follows`,
        '2.6.12',
      );
      return undefined;
    }
    this.#expectedDeliveryId = (f.deliveryId + 1) >>> 0;
    const settled = f.settled && !link.judgesSettled;
    const delivery = new IncomingDelivery(f.deliveryId, link, f.messageFormat < 0 ? 0 : f.messageFormat, settled);
    // Our detach crossed it, or it breaks the link: the frames that follow are read and dropped.
    if (f.more && !f.aborted) link.current = delivery;
    if (link.localDetached) return undefined;
    if (!link.spend()) {
      link.fail({ condition: 'amqp:link:transfer-limit-exceeded', description: 'a message beyond the link-credit' });
      return undefined;
    }
    if (f.resume) {
      link.fail({ condition: 'amqp:not-implemented', description: 'deliveries cannot be resumed: none is kept' });
      return undefined;
    }
    // Credit that was given while the sender still had enough of it: now it has not.
    if (link.owesCredit) this.oweFlow(link);
    if (!settled) this.incoming.add(delivery);
    return delivery;
  }

  #replenish(): void {
    if (this.#owesSessionFlow) return;
    this.#owesSessionFlow = true;
    this.#mark();
  }

  /** Stops taking more transfers on this session until {@link releaseWindow}: somebody ahead cannot take them. */
  holdWindow(): void {
    this.#window.hold();
  }

  releaseWindow(): void {
    this.#window.release();
    if (this.#window.isDue) this.#replenish();
  }

  /** @internal */
  takeDisposition(f: DispositionFrame): void {
    const { first } = f;
    // What the receiver says is about what we send.
    const ring: DeliveryRing<IncomingDelivery | OutgoingDelivery> = f.receiver ? this.outgoing : this.incoming;
    const count = serialDistance(serial(first), serial(f.last));
    if (count < 0 || ring.size === 0) return;
    if (count > ring.span) {
      // A range may be as wide as the numbers are. What it costs depends on the deliveries that there are.
      for (const delivery of ring.where((d) => (d.id - first) >>> 0 <= count)) this.#takeState(delivery, f);
      return;
    }
    for (let i = 0; i <= count; i++) {
      const delivery = ring.get((first + i) >>> 0);
      if (delivery !== undefined) this.#takeState(delivery, f);
    }
  }

  #takeState(delivery: IncomingDelivery | OutgoingDelivery, f: DispositionFrame): void {
    // What happened to one before may have ended the link or the session of those behind it.
    if (delivery.link.localDetached) return;
    if (delivery instanceof OutgoingDelivery) this.#outgoingState(delivery, f);
    else this.#incomingState(delivery, f);
  }

  #outgoingState(delivery: OutgoingDelivery, f: DispositionFrame): void {
    const link = delivery.link;
    delivery.remoteState = f.state;
    if (f.settled) {
      delivery.settled = true;
      this.outgoing.remove(delivery.id);
    }
    link.handler.onDisposition(link, delivery, f.state, f.settled);
  }

  #incomingState(delivery: IncomingDelivery, f: DispositionFrame): void {
    const link = delivery.link;
    if (f.settled) {
      delivery.settled = true;
      this.incoming.remove(delivery.id);
    }
    link.handler.onRemoteState?.(link, delivery, f.state, f.settled);
  }

  /** @internal */
  takeFlow(f: FlowFrame): void {
    const base = f.nextIncomingId < 0 ? this.#initialOutgoingId : f.nextIncomingId;
    const before = this.remoteIncomingWindow;
    // 2.5.6: what is in flight counts against what the peer says it can take.
    this.remoteIncomingWindow = f.incomingWindow - serialDistance(serial(base), this.nextOutgoingId);
    if (f.handle >= 0) this.#takeLinkFlow(f);
    else if (f.echo) this.sendSessionFlow();
    if (before <= 0 && this.remoteIncomingWindow > 0) this.connection.waiting.wake();
  }

  #takeLinkFlow(f: FlowFrame): void {
    const link = this.#links.ofRemote(f.handle);
    if (link === undefined)
      return this.fail('amqp:session:unattached-handle', `flow on handle ${f.handle}, which is not attached`, '2.7.4');
    if (link.localDetached) return;
    if (!link.localAttached) {
      // Credit that came right behind an attach which somebody else has yet to answer: it counts from then on.
      if (link instanceof SenderLink && f.linkCredit >= 0) {
        link.takeFlow(f);
        link.handler.onFlow?.(link, f);
      }
      return;
    }
    if (link instanceof SenderLink) {
      if (f.linkCredit >= 0) link.takeFlow(f);
      link.handler.onFlow?.(link, f);
      if (link.localDetached) return;
      if (link.credit > 0) link.handler.onSendable(link);
      if (f.drain && link.draining && !link.localDetached) {
        if (link.handler.onDrain === undefined) link.drained();
        else link.handler.onDrain(link);
      }
      if (f.echo && !link.localDetached) this.sendLinkFlow(link, false);
    } else if (link instanceof ReceiverLink) {
      link.takeFlow(f);
      link.handler.onFlow?.(link, f);
      // Credit that was given while the sender used up what it knew of is still to be told.
      if (f.echo || link.owesCredit) this.oweFlow(link);
    }
  }

  // ---- sending ----

  /** @internal A frame may go out: the peer's window and our own output have room. Else the link is told later. */
  hasRoom(link: SenderLink): boolean {
    if (this.remoteIncomingWindow > 0 && !this.connection.outputFull) return true;
    this.connection.waiting.add(link);
    return false;
  }

  /** @internal */
  frameSent(): void {
    this.nextOutgoingId = ((this.nextOutgoingId + 1) >>> 0) as SerialNumber;
    this.remoteIncomingWindow--;
    this.connection.wakeUp();
  }

  // ---- what is said at the next write ----

  #mark(): void {
    if (this.dirty || !this.#isSpoken) return;
    this.dirty = true;
    this.connection.sessionDirty(this);
  }

  /** @internal */
  oweFlow(link: ReceiverLink): void {
    if (link.flowPending || link.localDetached) return;
    link.flowPending = true;
    if (this.#flowDebtors === undefined) this.#flowDebtors = [link];
    else this.#flowDebtors.push(link);
    this.#mark();
  }

  /** @internal what we say as receiver of a delivery. */
  dispose(delivery: IncomingDelivery, state: DeliveryState | undefined, settled: boolean): void {
    if (this.incoming.get(delivery.id) !== delivery) return;
    if (settled) this.incoming.remove(delivery.id);
    if (settled && state === ACCEPTED) {
      this.#settlements.accept(delivery.id);
      if (!this.dirty) this.#mark();
      return;
    }
    this.#say(delivery.id, state, settled, true);
  }

  /** @internal what we say as sender of a delivery. */
  disposeOutgoing(delivery: OutgoingDelivery, state: DeliveryState | undefined, settled: boolean): void {
    if (this.outgoing.get(delivery.id) !== delivery) return;
    if (settled) this.outgoing.remove(delivery.id);
    this.#say(delivery.id, state, settled, false);
  }

  #say(id: number, state: DeliveryState | undefined, settled: boolean, receiver: boolean): void {
    const { output, remoteMaxFrameSize } = this.connection;
    this.#settlements.add(id, state, settled, receiver, output, this.channel, remoteMaxFrameSize);
    this.#mark();
  }

  /** Writes what was put off: dispositions, link flows, a session flow. Called before each write, and before a detach. */
  flush(): void {
    this.dirty = false;
    if (!this.#isSpoken) return;
    this.#settlements.flush(
      this.connection.output,
      this.channel,
      this.connection.remoteMaxFrameSize,
      this.#expectedDeliveryId,
    );
    const debtors = this.#flowDebtors;
    if (debtors !== undefined) {
      this.#flowDebtors = undefined;
      for (let i = 0; i < debtors.length; i++) this.#writeLinkFlow(debtors[i]!);
    }
    if (this.#owesSessionFlow) {
      this.#owesSessionFlow = false;
      if (!this.#window.isHeld) this.sendSessionFlow();
    }
  }

  #writeLinkFlow(link: ReceiverLink): void {
    link.flowPending = false;
    // Before the sender's attach its delivery-count is not known: the credit follows behind it.
    if (link.state !== 'attached') return;
    link.announced = link.credit;
    // Credit that is taken back may be used already: what is on the way is no breach.
    link.allowed = Math.max(link.allowed, link.credit);
    this.#writeFlow(link.handle, link.deliveryCount, link.credit, link.draining, false);
    if (link.draining && link.credit === 0) link.draining = false;
  }

  #refillWindow(): void {
    this.#window.renew();
    this.#owesSessionFlow = false;
  }

  /** Our begin is out, and neither our end nor the peer's: frames may be sent. */
  get #isSpoken(): boolean {
    return this.localBegun && !this.localEnded && (this.state === 'mapped' || this.state === 'beginning');
  }

  /** @internal */
  sendLinkFlow(link: SenderLink, drain: boolean): void {
    if (link.localDetached || !this.#isSpoken) return;
    this.#writeFlow(link.handle, link.deliveryCount, link.credit, drain, false);
  }

  /** Tells the peer our side of the session's flow state. @param echo - ask for its side */
  sendSessionFlow(echo = false): void {
    if (this.#isSpoken) this.#writeFlow(-1, 0, 0, false, echo);
  }

  /** @param handle - of the link that the flow is for, or -1 */
  #writeFlow(handle: number, deliveryCount: number, credit: number, drain: boolean, echo: boolean): void {
    this.#refillWindow();
    const { connection, channel, nextOutgoingId } = this;
    const next = this.remoteBegin === undefined ? -1 : this.nextIncomingId;
    const { frames } = this.#window;
    writeFlowFrame(
      connection.output,
      channel,
      next,
      frames,
      nextOutgoingId,
      handle,
      deliveryCount,
      credit,
      drain,
      echo,
      this.padded,
    );
    connection.wakeUp();
  }
}
