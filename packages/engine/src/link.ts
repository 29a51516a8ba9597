// SPDX-License-Identifier: Apache-2.0
import { LocalProtocolError, serial, serialDistance } from '@pointsman/wire';
import type {
  AmqpErrorFields,
  AmqpValue,
  Attach,
  AttachFields,
  DeliveryState,
  SerialNumber,
  SourceTerminus,
  TargetTerminus,
} from '@pointsman/wire';
import type { IncomingDelivery, OutgoingDelivery } from './delivery.js';
import type { FlowFrame, TransferFrame } from './hot-frames.js';
import { abortDelivery, beginDelivery, continueDelivery } from './send-delivery.js';
import type { Session } from './session.js';

/** Delivery states of a link's life, as each side sees it. */
export type LinkState = 'attaching' | 'attached' | 'detached';

/** What we say of a link in our attach. The rest follows from the link itself. */
export interface AttachParameters {
  readonly source?: SourceTerminus | undefined;
  readonly target?: TargetTerminus | undefined;
  readonly sndSettleMode?: number | undefined;
  readonly rcvSettleMode?: number | undefined;
  readonly maxMessageSize?: bigint | undefined;
  readonly offeredCapabilities?: readonly string[] | undefined;
  readonly desiredCapabilities?: readonly string[] | undefined;
  readonly properties?: Map<string, AmqpValue> | undefined;
}

/** Happenings of any link. No member is called again after {@link onDetach} or {@link onLost}. */
export interface LinkHandler {
  /** The peer answered an attach of ours. A refusal is an answer with null termini: the detach follows. */
  onAttached?(link: Link, attach: Attach): void;
  /**
   * The peer detached. We have not answered yet: {@link Link.detach} does. Or the peer broke the rules of the link: then our
   * detach is out already.
   */
  onDetach(link: Link, error: AmqpErrorFields | undefined, closed: boolean): void;
  /**
   * The peer answered our detach, or cannot any more since its session or connection is gone: then `closed` is true. Told
   * once, to who asked for it by {@link Link.awaitsAnswer}; no other member is called after it.
   */
  onDetachAnswered?(link: Link, error: AmqpErrorFields | undefined, closed: boolean): void;
  /** The session ended or the connection is gone; nothing can be sent on the link any more. Also told to who accepts too late. */
  onLost(link: Link, error: AmqpErrorFields | undefined): void;
}

export interface ReceiverHandler extends LinkHandler {
  /**
   * A frame of a delivery. `frame` and its bytes are valid during the call; what is needed longer is taken by `keep`.
   * `delivery.complete` is set on its last frame.
   */
  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void;
  /** The sender told a state of a delivery, or settled it. */
  onRemoteState?(
    link: ReceiverLink,
    delivery: IncomingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void;
  /** The sender told its flow state: an answer to a drain, or what is available. */
  onFlow?(link: ReceiverLink, frame: FlowFrame): void;
}

export interface SenderHandler extends LinkHandler {
  /** There is credit and room again: {@link SenderLink.sendable} may have become true. */
  onSendable(link: SenderLink): void;
  /** The receiver told a state of a delivery, or settled it. */
  onDisposition(link: SenderLink, delivery: OutgoingDelivery, state: DeliveryState | undefined, settled: boolean): void;
  /** The receiver wants the credit used up: send what there is, then call {@link SenderLink.drained}. */
  onDrain?(link: SenderLink): void;
  /** Every flow of the receiver for this link, after the credit was updated. */
  onFlow?(link: SenderLink, frame: FlowFrame): void;
}

const NOTHING: LinkHandler = { onDetach: (link) => link.detach(undefined, true), onLost: () => undefined };

/** One direction between two nodes over a session. @see OASIS AMQP 1.0, 2.6 */
export abstract class Link {
  readonly session: Session;
  readonly name: string;
  /** Number by which we name the link. */
  readonly handle: number;
  state: LinkState = 'attaching';
  /** Number by which the peer names the link, -1 before its attach. */
  remoteHandle = -1;
  /** What the peer said in its attach. */
  remoteAttach: Attach | undefined = undefined;
  /** @internal size of that on the wire. */
  attachBytes = 0;
  localAttached = false;
  /** Negotiated: what each side said last counts. */
  sndSettleMode = 2;
  rcvSettleMode = 0;
  /** For whoever owns the link. */
  context: unknown = undefined;
  /** Our detach is out; what still arrives is for nobody. */
  localDetached = false;
  remoteDetached = false;
  /** Set in {@link LinkHandler.onDetach}: the answer follows, it is not given when that returns. */
  answersLater = false;
  /** Set before {@link detach}: {@link LinkHandler.onDetachAnswered} is to be told. */
  awaitsAnswer = false;
  /** @internal the next link of this name and direction on the session, attached while this one waits for its detach. */
  namesake: Link | undefined = undefined;

  constructor(session: Session, name: string, handle: number) {
    this.session = session;
    this.name = name;
    this.handle = handle;
  }

  abstract readonly isReceiver: boolean;
  abstract get commonHandler(): LinkHandler;

  /** Detaches, or answers a detach. Idempotent. @param closed - for good; false keeps the terminus in theory */
  detach(error?: AmqpErrorFields, closed = true): void {
    this.session.detachLink(this, error, closed);
  }

  /**
   * Refuses an attach of the peer: an attach with null termini, then a detach with the error. What is larger than the peer's
   * frames is left out of the answer; where not even the name fits, the session ends instead.
   *
   * @see OASIS AMQP 1.0, 2.6.3
   */
  refuse(error: AmqpErrorFields, parameters: AttachParameters = {}): void {
    try {
      this.session.answerAttach(this, { ...parameters, ...this.refusedTermini(parameters) });
    } catch (failure) {
      if (!(failure instanceof LocalProtocolError)) throw failure;
    }
    this.detach(error, true);
  }

  /** @internal the peer answered our detach. */
  answered(error: AmqpErrorFields | undefined, closed: boolean): void {
    if (this.awaitsAnswer) this.commonHandler.onDetachAnswered?.(this, error, closed);
  }

  /** @internal its session is gone. */
  lose(error: AmqpErrorFields | undefined): void {
    if (this.awaitsAnswer) this.commonHandler.onDetachAnswered?.(this, undefined, true);
    else this.commonHandler.onLost(this, error);
  }

  protected abstract refusedTermini(parameters: AttachParameters): AttachParameters;

  /** @internal fills the fields of our attach that follow from the link. */
  attachFields(parameters: AttachParameters): AttachFields {
    const remote = this.remoteAttach;
    this.sndSettleMode = parameters.sndSettleMode ?? remote?.sndSettleMode ?? 2;
    this.rcvSettleMode = parameters.rcvSettleMode ?? remote?.rcvSettleMode ?? 0;
    return {
      name: this.name,
      handle: this.handle,
      role: this.isReceiver,
      sndSettleMode: this.sndSettleMode,
      rcvSettleMode: this.rcvSettleMode,
      source: parameters.source,
      target: parameters.target,
      initialDeliveryCount: this.isReceiver ? undefined : 0,
      maxMessageSize: parameters.maxMessageSize,
      offeredCapabilities: parameters.offeredCapabilities,
      desiredCapabilities: parameters.desiredCapabilities,
      properties: parameters.properties,
    };
  }
}

/** The end of a link that we receive on. */
export class ReceiverLink extends Link {
  override readonly isReceiver = true;
  handler: ReceiverHandler = NOTHING as ReceiverHandler;
  /** Deliveries that have begun, as RFC 1982 counts. Follows the sender's attach and flows. */
  deliveryCount: SerialNumber = serial(0);
  /** Messages that may still begin, those that the sender does not know of yet included. */
  credit = 0;
  /** Of these, how many the sender knows of. */
  announced = 0;
  /** @internal messages that may begin without breach: more than the credit where some was taken back. */
  allowed = 0;
  /**
   * Messages beyond the credit that are taken all the same. RabbitMQ 3 grants itself once more what it has on its way when
   * a flow comes; without tolerance such a link ends with `amqp:link:transfer-limit-exceeded`.
   */
  tolerance = 0;
  /** Messages that were taken beyond the credit: what is granted next pays for them first. */
  overdrawn = 0;
  /** Delivery whose frames are arriving. */
  current: IncomingDelivery | undefined = undefined;
  /** We want the sender to use its credit up. */
  draining = false;
  /** Credit that the sender gave up with its last flow: the answer to a drain. */
  forgone = 0;
  /** @internal in the session's list of links that owe a flow. */
  flowPending = false;
  /** Longest delivery-tag that is borne, in bytes: beyond it the peer's connection ends. @see OASIS AMQP 1.0, 2.8.7 */
  tagMax = 32;
  /** Bytes of the largest message that we said we take; 0 for any. */
  maxMessageSize = 0;
  /**
   * What comes settled has an outcome all the same, which the handler gives and the peer does not hear of: for a sender that
   * keeps its messages whatever becomes of them. To be set before the first transfer.
   */
  judgesSettled = false;

  override get commonHandler(): LinkHandler {
    return this.handler;
  }

  /**
   * Takes the attach of the peer: from here on the link is attached.
   *
   * @throws LocalProtocolError where the answer is larger than the peer's frames; it can be refused still
   */
  accept(handler: ReceiverHandler, parameters: AttachParameters = {}): void {
    if (this.localDetached) return handler.onLost(this, undefined);
    this.handler = handler;
    const remote = this.remoteAttach!;
    this.session.answerAttach(this, { source: remote.source, target: remote.target, ...parameters });
    this.maxMessageSize = Number(parameters.maxMessageSize ?? 0n);
  }

  /** Lets `count` more messages begin. The flow leaves with the next write, several together. */
  addCredit(count: number): void {
    if (this.overdrawn > 0) {
      const paid = Math.min(count, this.overdrawn);
      this.overdrawn -= paid;
      this.credit += count - paid;
    } else {
      this.credit += count;
    }
    if (this.owesCredit) this.session.oweFlow(this);
  }

  /** @internal the sender has used up half of what it may know: one flow for many messages, and never a stall. */
  get owesCredit(): boolean {
    return this.announced < this.credit && this.announced <= this.credit >> 1;
  }

  /** Makes the credit exactly `count`, and tells the sender at once. @param drain - it is to use the credit up */
  setCredit(count: number, drain = false): void {
    this.overdrawn = 0;
    this.credit = count;
    this.draining = drain;
    this.session.oweFlow(this);
  }

  /** Takes back all credit that is not used yet, as far as the sender has not. */
  withdrawCredit(): void {
    this.credit = 0;
    this.session.oweFlow(this);
  }

  /** Asks the sender to use its credit up at once. {@link ReceiverHandler.onFlow} tells when it has. */
  drain(): void {
    this.draining = true;
    this.session.oweFlow(this);
  }

  /** Sends a flow at once with the next write, with `echo` asking for the sender's. */
  sendFlow(): void {
    this.session.oweFlow(this);
  }

  /** Tells the sender a state and keeps the delivery: for links whose receiver settles second. */
  update(delivery: IncomingDelivery, state: DeliveryState): void {
    delivery.localState = state;
    if (!this.judgesSettled) this.session.dispose(delivery, state, false);
  }

  /** Settles with a final state. Idempotent: what is settled stays so. */
  settle(delivery: IncomingDelivery, state: DeliveryState | undefined): void {
    if (delivery.settled) return;
    delivery.settled = true;
    delivery.localState = state;
    if (this.judgesSettled) this.session.incoming.remove(delivery.id);
    else this.session.dispose(delivery, state, true);
  }

  /** @internal a message begins. @returns false where it is more than may be borne */
  spend(): boolean {
    this.deliveryCount = ((this.deliveryCount + 1) >>> 0) as SerialNumber;
    if (--this.allowed < 0) {
      if (this.credit === 0) {
        if (this.overdrawn >= this.tolerance) return false;
        this.overdrawn++;
      }
      if (this.tolerance === 0) return false;
      this.allowed = 0;
    }
    if (this.credit > 0) this.credit--;
    if (this.announced > 0) this.announced--;
    return true;
  }

  /** @internal what a flow of the sender leaves of the credit. @see OASIS AMQP 1.0, 2.6.7 */
  takeFlow(frame: FlowFrame): void {
    const before = this.credit;
    if (frame.deliveryCount >= 0) {
      // A drained sender moves its count on: the credit that it used up so is gone.
      const skipped = serialDistance(this.deliveryCount, serial(frame.deliveryCount));
      if (skipped > 0) {
        this.deliveryCount = serial(frame.deliveryCount);
        this.announced = Math.max(0, this.announced - skipped);
        this.allowed = Math.max(0, this.allowed - skipped);
        this.credit = Math.max(0, this.credit - skipped);
      }
    }
    this.forgone = before - this.credit;
    // Credit that was given meanwhile is to be used up as well.
    if (this.draining && this.announced === 0 && this.credit === 0) this.draining = false;
  }

  /** @internal ends the link for what its sender did. The error goes out before the handler can answer with a detach of its own. */
  fail(error: AmqpErrorFields): void {
    this.detach(error);
    this.handler.onDetach(this, error, true);
  }

  protected override refusedTermini(parameters: AttachParameters): AttachParameters {
    return { source: parameters.source, target: undefined };
  }
}

/** The end of a link that we send on. */
export class SenderLink extends Link {
  override readonly isReceiver = false;
  handler: SenderHandler = NOTHING as unknown as SenderHandler;
  deliveryCount: SerialNumber = serial(0);
  credit = 0;
  /** The receiver asked for its credit to be used up. */
  draining = false;
  /** Delivery of which only a part is sent. */
  current: OutgoingDelivery | undefined = undefined;
  /** Largest message that the peer takes, in bytes; 0 for any. */
  remoteMaxMessageSize = 0n;
  /** @internal in the connection's list of links that wait for room. */
  waiting = false;
  /** @internal {@link current} is withdrawn, and the frame that says so waits for the peer's window. */
  aborting = false;
  /** @internal next value of the tags that we make ourselves: eight bytes, the upper four of them zero. */
  tagCounter = 0;

  override get commonHandler(): LinkHandler {
    return this.handler;
  }

  /**
   * Takes the attach of the peer: from here on the link is attached.
   *
   * @throws LocalProtocolError where the answer is larger than the peer's frames; it can be refused still
   */
  accept(handler: SenderHandler, parameters: AttachParameters = {}): void {
    if (this.localDetached) return handler.onLost(this, undefined);
    this.handler = handler;
    const remote = this.remoteAttach!;
    this.session.answerAttach(this, { source: remote.source, target: remote.target, ...parameters });
  }

  /** A new message may begin now. Where it is false for want of room, onSendable follows. */
  get sendable(): boolean {
    return this.credit > 0 && this.current === undefined && this.state === 'attached' && this.session.hasRoom(this);
  }

  /**
   * Begins a delivery and sends as much of `bytes[start, end)` as there is room for, at least one frame.
   *
   * @param tag - up to 32 bytes, unique among the unsettled of the link; undefined for a counter of ours
   * @param last - nothing follows `end`
   * @returns the delivery; {@link sentBytes} tells how far it came, and {@link resume} goes on
   * @throws LocalProtocolError where the link is not {@link sendable}, or the tag is longer
   */
  send(
    tag: Uint8Array | undefined,
    messageFormat: number,
    settled: boolean,
    context: unknown,
    bytes: Uint8Array,
    start: number,
    end: number,
    last: boolean,
    state?: DeliveryState,
  ): OutgoingDelivery {
    if (!this.sendable) {
      throw new LocalProtocolError('amqp:illegal-state', `link ${this.name} cannot send now`, {
        scope: 'link',
        section: '2.6.7',
      });
    }
    if (tag !== undefined && tag.length > 32) {
      throw new LocalProtocolError('amqp:invalid-field', `a delivery-tag of ${tag.length} bytes: 32 at the most`, {
        scope: 'link',
        section: '2.8.7',
      });
    }
    this.credit--;
    this.deliveryCount = ((this.deliveryCount + 1) >>> 0) as SerialNumber;
    return beginDelivery(this, tag, messageFormat, settled, context, bytes, start, end, last, state);
  }

  /** Bytes of the last `send` or `resume` that went out. */
  sentBytes = 0;

  /**
   * Sends more of {@link current}.
   *
   * @returns bytes that went out; fewer than given where room ended: onSendable follows
   */
  resume(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    const delivery = this.current;
    this.sentBytes = 0;
    if (delivery === undefined || this.aborting || this.state !== 'attached') return 0;
    continueDelivery(this, delivery, bytes, start, end, last);
    return this.sentBytes;
  }

  /** There is room for a further frame of {@link current}. */
  get resumable(): boolean {
    return this.state === 'attached' && !this.aborting && this.session.hasRoom(this);
  }

  /**
   * Withdraws the delivery whose frames are going out. Where the peer's window is closed, {@link current} stays until the abort
   * is out; onSendable follows.
   *
   * @see OASIS AMQP 1.0, 2.7.5 aborted
   */
  abort(): void {
    const delivery = this.current;
    if (delivery !== undefined && this.state === 'attached') abortDelivery(this, delivery);
  }

  /** Uses up what credit is left, after a drain. */
  drained(): void {
    this.deliveryCount = serial(this.deliveryCount + this.credit);
    this.credit = 0;
    this.session.sendLinkFlow(this, this.draining);
    this.draining = false;
  }

  /** Settles a delivery that the receiver has told an outcome of, or that we give up. Idempotent. */
  settle(delivery: OutgoingDelivery, state?: DeliveryState): void {
    if (delivery.settled) return;
    delivery.settled = true;
    this.session.disposeOutgoing(delivery, state, true);
  }

  /** Tells the receiver a state without settling: the progress of a transaction. */
  update(delivery: OutgoingDelivery, state: DeliveryState): void {
    this.session.disposeOutgoing(delivery, state, false);
  }

  /** @internal the credit that a flow of the receiver leaves us. @see OASIS AMQP 1.0, 2.6.7 */
  takeFlow(frame: FlowFrame): void {
    const theirCount = frame.deliveryCount < 0 ? serial(0) : serial(frame.deliveryCount);
    const crossed = serialDistance(theirCount, this.deliveryCount);
    this.credit = Math.max(0, frame.linkCredit - Math.max(0, crossed));
    this.draining = frame.drain;
  }

  protected override refusedTermini(parameters: AttachParameters): AttachParameters {
    return { source: undefined, target: parameters.target };
  }
}
