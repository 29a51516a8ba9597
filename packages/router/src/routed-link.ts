// SPDX-License-Identifier: Apache-2.0
import { OutgoingDelivery, ReceiverLink, SenderLink, keep, letGo } from '@pointsman/engine';
import type {
  AttachParameters,
  FlowFrame,
  IncomingDelivery,
  Link,
  ReceiverHandler,
  SenderHandler,
  Session,
  TransferFrame,
} from '@pointsman/engine';
import { LocalProtocolError } from '@pointsman/wire';
import type { AmqpErrorFields, Attach, DeliveryState, SourceTerminus, TargetTerminus } from '@pointsman/wire';
import type { LinkRoute } from './link-route.js';
import { RoutedEnd } from './routed-end.js';
import type { RouterConnection } from './router-connection.js';

const LINK_LOST: AmqpErrorFields = {
  condition: 'qd:routed-link-lost',
  description: 'Connectivity to the peer container was lost',
};
const EMPTY: DeliveryState = {
  type: 'rejected',
  error: { condition: 'amqp:decode-error', description: 'invalid message format: it is empty' },
};
const TAG_TOO_LONG: DeliveryState = {
  type: 'rejected',
  error: { condition: 'amqp:invalid-field', description: 'delivery tag length exceeded' },
};
/** Longest delivery-tag that can be passed on. @see OASIS AMQP 1.0, 2.8.7 */
const TAG_MAX = 32;
/** Bytes of transfers that wait for room at the far end before the near end's session is held back. */
const HOLD_AT = 1 << 18;
/** What a transfer that waits counts beside its payload, so that empty ones do not wait without number. */
const ITEM_BYTES = 64;
/** Messages beyond the client's credit that a container may send; the session's window bounds how many wait here. */
const TOLERANCE = 1 << 16;
/** Bytes of a frame that its head may need beside a payload. */
const HEAD_BYTES = 512;

/** A transfer that waits for room. */
interface Waiting {
  readonly incoming: IncomingDelivery;
  readonly bytes: Uint8Array;
  /** Undefined on all but the first of a delivery. */
  readonly tag: Uint8Array | undefined;
  readonly state: DeliveryState | undefined;
  readonly more: boolean;
  readonly aborted: boolean;
  offset: number;
}

/** Name at a container of the link that a client attached as `name`. */
export function routedLinkName(name: string, containerId: string): string {
  return `${name}@${containerId}`;
}

/**
 * Joins a link of a client with a link at a container: attaches, flows, transfers, dispositions and detaches pass through,
 * delivery tags and states untouched. One of the two ends receives, the other sends.
 */
export class RoutedLink implements ReceiverHandler, SenderHandler {
  readonly #route: LinkRoute;
  readonly #at: RouterConnection;
  readonly #attach: Attach;
  readonly #isCoordinator: boolean;
  readonly #client: RoutedEnd;
  /** It comes once the router may attach at the container. */
  #container: RoutedEnd | undefined;
  #session: Session | undefined;
  /** The end that messages come in on, and the one that they go out on. */
  #from!: RoutedEnd;
  #to!: RoutedEnd;
  #receiver!: ReceiverLink;
  #sender!: SenderLink;
  /** Gives back what the dialect's `authorize` gave. */
  #release: ((error?: AmqpErrorFields) => void) | undefined;
  /** Tells the dialect that the link at the container has ended. */
  #forget: (() => void) | undefined;
  /** Frames that wait for room, oldest first. */
  #queue: Waiting[] = [];
  #queued = 0;
  #holds = false;
  #ended = false;
  /** The end that was detached by its peer, and waits for the answer of the other. */
  #leaving: { readonly link: Link; readonly closed: boolean } | undefined;
  /** The sending end has gone, and with what words: the other is told them when what came whole by then is out. */
  #finishing: { readonly error: AmqpErrorFields | undefined; readonly closed: boolean } | undefined;
  /** Delivery that cannot be passed on: what comes of it is dropped. */
  #discarding: IncomingDelivery | undefined;
  /** Bytes of the largest message that policy lets in. */
  #sizeMax = Infinity;
  /** Messages that have come and of which nothing was sent yet. */
  waiting = 0;

  /**
   * @param client - its attach is not answered yet
   * @param connection - the client's
   * @param at - that of the container
   * @param owningKey - key of the address that the client named
   */
  constructor(
    route: LinkRoute,
    connection: RouterConnection,
    client: SenderLink | ReceiverLink,
    attach: Attach,
    at: RouterConnection,
    owningKey: string | undefined,
  ) {
    this.#route = route;
    this.#at = at;
    this.#attach = attach;
    this.#isCoordinator = !attach.role && isCoordinator(attach);
    client.handler = this;
    this.#client = new RoutedEnd(connection, this, client, owningKey, connection.linkCapacity);
    connection.links.add(this.#client);
    connection.logAttached(this.#client.direction, attach, this.#client.id);
  }

  /** Attaches at the container what the client attached here, as soon as it may. */
  start(): void {
    const attach = this.#attach;
    const address = addressOf(attach.role ? attach.source : attach.target);
    const { dialect } = this.#at;
    if (dialect?.authorize === undefined || address === undefined) {
      this.#attachThere();
      return;
    }
    const there = this.#toExternal(address);
    const done = (error: AmqpErrorFields | undefined): void => {
      if (error === undefined) this.#attachThere();
      else this.#end(undefined, error, true);
    };
    this.#release =
      dialect.authorizeClient === undefined
        ? dialect.authorize(there, attach.role ? 'in' : 'out', done)
        : dialect.authorizeClient(there, done);
    if (this.#ended) this.#release();
  }

  #attachThere(): void {
    const at = this.#at;
    const attach = this.#attach;
    const client = this.#client;
    const parameters: AttachParameters = {
      ...passedOn(attach),
      source: attach.role ? renamed(attach.source, (address) => this.#toExternal(address)) : attach.source,
      target: attach.role ? attach.target : renamed(attach.target, (address) => this.#toExternal(address)),
    };
    const name = routedLinkName(attach.name, client.connection.containerId);
    let link: SenderLink | ReceiverLink;
    try {
      this.#session = at.routedSessions.take(client.link.session);
      link = attach.role
        ? this.#session.attachReceiver(name, this, parameters)
        : this.#session.attachSender(name, this, parameters);
    } catch (error) {
      // The container takes no more sessions or links, or no frame as large as the attach.
      if (!(error instanceof LocalProtocolError)) throw error;
      return this.#end(undefined, { condition: error.condition, description: error.description }, true);
    }
    const container = new RoutedEnd(at, this, link, client.owningKey, 0);
    this.#container = container;
    client.peer = container;
    container.peer = client;
    this.#from = attach.role ? container : client;
    this.#to = attach.role ? client : container;
    this.#receiver = this.#from.link as ReceiverLink;
    this.#sender = this.#to.link as SenderLink;
    this.#sizeMax = this.#from.connection.policy?.maxMessageSize ?? Infinity;
    this.#receiver.tagMax = Infinity;
    // What is too large is for the ends themselves to say.
    this.#receiver.maxMessageSize = 0;
    // Brokers of some kinds send more than they may: it waits here until the client has credit for it.
    if (link instanceof ReceiverLink && at.dialect === undefined) link.tolerance = TOLERANCE;
    at.links.add(container);
    at.logAttached(container.direction, { ...attach, ...parameters }, container.id);
    // Credit that the client gave without waiting for our answer.
    if (attach.role && this.#sender.credit > 0) this.#receiver.setCredit(this.#sender.credit, this.#sender.draining);
  }

  // ---- the container's answer ----

  onAttached(_link: Link, attach: Attach): void {
    const client = this.#client.link;
    const address = addressOf(this.#attach.role ? this.#attach.source : this.#attach.target);
    const there = address === undefined ? undefined : this.#toExternal(address);
    this.#forget = this.#at.dialect?.linkRouted?.(client.session.connection, there, attach);
    const parameters: AttachParameters = {
      ...passedOn(attach),
      source: this.#attach.role ? this.#known(attach.source, this.#attach.source) : attach.source,
      target: this.#attach.role ? attach.target : this.#known(attach.target, this.#attach.target),
    };
    try {
      client.accept(this, parameters);
    } catch (error) {
      // The client takes no frame as large as the answer. That is no fault of the container.
      if (!(error instanceof LocalProtocolError)) throw error;
      return this.#end(undefined, { condition: error.condition, description: error.description }, true);
    }
    this.#receiver.maxMessageSize = 0;
  }

  /** The container's terminus by the name under which the client knows it. */
  #known<T extends SourceTerminus | TargetTerminus>(terminus: T | undefined, asked: T | undefined): T | undefined {
    const wanted = addressOf(asked);
    return renamed(terminus, (address) => {
      if (wanted !== undefined && this.#toExternal(wanted) === address) return wanted;
      const full = this.#route.toInternal(address);
      return this.#client.connection.tenant?.toOwn(full) ?? full;
    });
  }

  /** Name at the container of what the client calls `address`. */
  #toExternal(address: string): string {
    return this.#route.toExternal(this.#client.connection.fullAddress(address));
  }

  // ---- transfers ----

  onTransfer(link: ReceiverLink, incoming: IncomingDelivery, frame: TransferFrame): void {
    if (incoming.bytes > this.#sizeMax && !incoming.aborted)
      return this.#from.connection.refuseSize(this.#from, link, incoming);
    if (incoming === this.#discarding) {
      if (incoming.complete) this.#dropped(incoming, TAG_TOO_LONG);
      return;
    }
    const first = incoming.context === undefined;
    if (first) {
      if (frame.tagLength > TAG_MAX || incoming.aborted) {
        if (incoming.complete) this.#dropped(incoming, TAG_TOO_LONG);
        else this.#discarding = incoming;
        return;
      }
      if (incoming.complete && incoming.bytes === 0) return this.#dropped(incoming, EMPTY);
      incoming.arrivedAt = this.#from.connection.router.tick;
      this.#from.began(incoming.settled);
      this.#from.connection.messageLog?.tell('Received', link, frame.bytes, frame.payloadStart, frame.payloadEnd);
      if (incoming.complete && this.#queue.length === 0 && this.#passes(frame.payloadEnd - frame.payloadStart)) {
        this.#send(incoming, frame.tag(), frame.state, frame.bytes, frame.payloadStart, frame.payloadEnd, true);
        if (this.#sender.draining) this.#used();
        return;
      }
      incoming.context = this;
      this.waiting++;
    } else if (incoming.complete && incoming.context === this && (incoming.bytes === 0 || incoming.aborted)) {
      return this.#dropUnbegun(incoming);
    }
    const bytes = keep(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd));
    this.#queue.push({
      incoming,
      bytes,
      tag: first ? frame.tag() : undefined,
      state: frame.state,
      more: frame.more && !frame.aborted,
      aborted: frame.aborted,
      offset: 0,
    });
    this.#queued += bytes.length + ITEM_BYTES;
    this.#pump();
    if (this.#queued >= HOLD_AT && !this.#holds) {
      this.#holds = true;
      link.session.holdWindow();
    }
  }

  /** A message that is not passed on has come to its end: its sender may send another. */
  #dropped(incoming: IncomingDelivery, state: DeliveryState, isCounted = false): void {
    this.#discarding = undefined;
    const from = this.#from;
    if (!incoming.aborted) {
      if (!isCounted) from.began(incoming.settled);
      if (incoming.settled) from.presettledDropped++;
      else from.ended(state, from.connection.router.tick);
      this.#receiver.settle(incoming, state);
    }
    this.#receiver.setCredit(this.#receiver.credit + 1, this.#receiver.draining);
  }

  /** Of a message that waited for its first byte none has come, or its sender takes it back before any of it went on. */
  #dropUnbegun(incoming: IncomingDelivery): void {
    this.waiting--;
    this.#queue = this.#queue.filter((item) => {
      if (item.incoming !== incoming) return true;
      this.#queued -= item.bytes.length + ITEM_BYTES;
      letGo(item.bytes);
      return false;
    });
    if (this.#queued < HOLD_AT / 2) this.#letGoOn();
    this.#dropped(incoming, EMPTY, true);
  }

  /** A message of `bytes` can go out in this very turn, in one frame. */
  #passes(bytes: number): boolean {
    const sender = this.#sender;
    return sender.sendable && bytes <= sender.session.connection.remoteMaxFrameSize - HEAD_BYTES;
  }

  #send(
    incoming: IncomingDelivery,
    tag: Uint8Array,
    state: DeliveryState | undefined,
    bytes: Uint8Array,
    start: number,
    end: number,
    last: boolean,
  ): OutgoingDelivery {
    const { settled, messageFormat } = incoming;
    // A discharge comes behind what was said of messages in its transaction.
    if (this.#isCoordinator) for (const session of this.#to.connection.connection.sessions) session.flush();
    const outgoing = this.#sender.send(tag, messageFormat, settled, incoming, bytes, start, end, last, state);
    incoming.context = outgoing;
    this.#to.began(settled);
    this.#to.connection.messageLog?.tell('Sent', this.#sender, bytes, start, end);
    return outgoing;
  }

  #pump(): void {
    const sender = this.#sender;
    while (this.#queue.length > 0) {
      const item = this.#queue[0]!;
      const { incoming, bytes, more } = item;
      if (item.aborted) {
        if (sender.current !== undefined) sender.abort();
      } else if (incoming.context === this) {
        // No message is empty: more of it comes, or it goes no further.
        if (!sender.sendable || (incoming.bytes === 0 && !incoming.complete)) return;
        this.waiting--;
        const outgoing = this.#send(incoming, item.tag!, item.state, bytes, 0, bytes.length, !more);
        item.offset = sender.sentBytes;
        if (item.offset < bytes.length || (!more && !outgoing.complete)) return;
      } else {
        if (!sender.resumable) return;
        item.offset += sender.resume(bytes, item.offset, bytes.length, !more);
        if (item.offset < bytes.length || (!more && sender.current !== undefined)) return;
      }
      this.#queue.shift();
      letGo(bytes);
      this.#queued -= bytes.length + ITEM_BYTES;
      if (this.#queued < HOLD_AT / 2) this.#letGoOn();
    }
    if (sender.draining) this.#used();
    const finishing = this.#finishing;
    if (finishing !== undefined) this.#end(this.#receiver, finishing.error, finishing.closed);
  }

  /** The near end's session is held back no longer. */
  #letGoOn(): void {
    if (!this.#holds) return;
    this.#holds = false;
    this.#receiver.session.releaseWindow();
  }

  onSendable(): void {
    if (this.#queue.length > 0) this.#pump();
  }

  // ---- dispositions, both ways ----

  onDisposition(
    _link: SenderLink,
    outgoing: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    if (this.#ended) return;
    const incoming = outgoing.context as IncomingDelivery;
    if (settled) {
      this.#settled(incoming, state);
      if (this.#finishing === undefined) this.#receiver.settle(incoming, state);
    } else if (this.#finishing !== undefined) return;
    else if (state !== undefined) this.#receiver.update(incoming, state);
  }

  onRemoteState(
    _link: ReceiverLink,
    incoming: IncomingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const outgoing = incoming.context;
    // What was not sent yet goes out as it stands now.
    if (this.#ended || !(outgoing instanceof OutgoingDelivery)) return;
    if (settled) {
      this.#settled(incoming, state ?? incoming.localState);
      this.#sender.settle(outgoing, state);
    } else if (state !== undefined) this.#sender.update(outgoing, state);
  }

  #settled(incoming: IncomingDelivery, state: DeliveryState | undefined): void {
    this.#from.ended(state, incoming.arrivedAt);
    this.#to.ended(state, incoming.arrivedAt);
  }

  /** Messages that came at tick `limit` or before and of which nothing was sent yet. */
  waitingSince(limit: number): number {
    return this.#queue.filter(
      ({ incoming, tag }) =>
        tag !== undefined && incoming.context === this && incoming.complete && incoming.arrivedAt <= limit,
    ).length;
  }

  // ---- credit ----

  onFlow(link: SenderLink | ReceiverLink, frame: FlowFrame): void {
    if (this.#container === undefined) return;
    if (this.#finishing !== undefined) {
      // What had come whole is not wanted any more.
      if (this.waiting > this.#sender.credit) this.#end(this.#receiver, this.#finishing.error, this.#finishing.closed);
    } else if (link instanceof SenderLink) {
      // What the receiver at the near end allows is what the far end is allowed, less what has come for it already.
      const credit = Math.max(0, link.credit - this.waiting);
      if (credit > 0 && this.#at.router.isStopping) return;
      // A sender that is beyond its credit already is told nothing new: RabbitMQ 3 would take that for more.
      if (credit === 0 && this.#receiver.credit === 0 && !frame.drain) return;
      this.#receiver.setCredit(credit, frame.drain);
    } else if (this.#sender.draining) {
      this.#used();
    }
  }

  /** Answered by {@link onFlow} once the far end has used its credit up. */
  onDrain(): void {
    if (this.#container !== undefined && this.#sender.credit === 0) this.#used();
  }

  /** Tells the near end that its credit is used up, once that is so: nothing waits, and the far end has none. */
  #used(): void {
    const sender = this.#sender;
    if (this.#queue.length > 0 || sender.current !== undefined) return;
    if (sender.credit === 0 || this.#receiver.credit === 0) sender.drained();
  }

  // ---- the end ----

  /** Answered as the other end answers. */
  onDetach(link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    const other = link === this.#client.link ? this.#container?.link : this.#client.link;
    if (other === undefined || other.localDetached || other.remoteDetached) {
      link.detach(undefined, closed);
      // The other had left before, and what it had sent was still on its way.
      this.#leaving = undefined;
    } else {
      link.answersLater = other.awaitsAnswer = true;
      this.#leaving = { link, closed };
    }
    this.#end(link, error, closed);
  }

  onDetachAnswered(link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    const leaving = this.#leaving;
    if (!this.#ended) {
      // It was still sent what had come, and is gone before it was detached.
      this.#leaving = undefined;
      return this.onLost(link);
    }
    leaving?.link.detach(error, closed || leaving.closed);
    this.#leaveSession();
  }

  onLost(link: Link): void {
    const end = link === this.#client.link ? this.#client : this.#container;
    if (end !== undefined) end.isLost = true;
    const { role, source, target } = this.#attach;
    this.#end(link, LINK_LOST, !survives(role ? source : target));
  }

  /** One end is gone: so is the other. @param gone - undefined where the two cannot be joined: then both have to go */
  #end(gone: Link | undefined, error: AmqpErrorFields | undefined, closed: boolean): void {
    if (this.#ended) return;
    this.#forget?.();
    this.#forget = undefined;
    if (gone !== undefined && gone === this.#receiver && this.#finishing === undefined && this.#hasMore()) {
      this.#finishing = { error, closed };
      this.#letGoOn();
      this.#from.connection.linkGone(this.#from);
      return this.#pump();
    }
    this.#ended = true;
    this.#release?.(error);
    this.#letGoOn();
    for (const { bytes } of this.#queue) letGo(bytes);
    this.#queue = [];
    this.waiting = 0;
    const client = this.#client;
    // A receiver is told that the message which it has a part of will not be whole.
    const far = gone === client.link ? this.#container?.link : client.link;
    if (gone !== undefined && far instanceof SenderLink) far.abort();
    if (gone !== this.#container?.link) this.#container?.link.detach(error, closed);
    if (gone !== client.link) {
      if (!client.link.localAttached && error !== undefined) client.link.refuse(error, near(this.#attach));
      else client.link.detach(error, closed);
    }
    client.connection.linkGone(client);
    if (this.#container !== undefined) this.#at.linkGone(this.#container);
    if (this.#leaving === undefined) this.#leaveSession();
  }

  /** Whole messages wait for room, and have credit: those of a sender that settles them and leaves must not be lost. */
  #hasMore(): boolean {
    if (this.#queue.length === 0 || this.waiting > this.#sender.credit) return false;
    const { incoming } = this.#queue.at(-1)!;
    if (incoming.complete) return true;
    // The last one never will be whole.
    if (incoming.context === this) this.waiting--;
    const dropped = this.#queue.filter((item) => item.incoming === incoming);
    this.#queue = this.#queue.filter((item) => item.incoming !== incoming);
    for (const { bytes } of dropped) {
      letGo(bytes);
      this.#queued -= bytes.length + ITEM_BYTES;
    }
    return this.#queue.length > 0;
  }

  #leaveSession(): void {
    if (this.#session !== undefined) this.#at.leaveRoutedSession(this.#client.link.session, this.#session);
  }
}

/** The client's own terminus, which an attach that is refused is answered with. */
function near({ role, source, target }: Attach): AttachParameters {
  return role ? { target } : { source };
}

/** A terminus that outlives the connection of its link. @see OASIS AMQP 1.0, 3.5.6 */
export function survives(terminus: SourceTerminus | TargetTerminus | undefined): boolean {
  if (terminus === undefined || !('type' in terminus) || terminus.type === 'coordinator') return false;
  return (terminus.timeout ?? 0) > 0 || terminus.expiryPolicy === 'never';
}

function isCoordinator({ target }: Attach): boolean {
  return target !== undefined && 'type' in target && target.type === 'coordinator';
}

/** What an attach says beside its termini. */
function passedOn(attach: Attach): AttachParameters {
  const { sndSettleMode, rcvSettleMode, maxMessageSize, offeredCapabilities, desiredCapabilities, properties } = attach;
  return { sndSettleMode, rcvSettleMode, maxMessageSize, offeredCapabilities, desiredCapabilities, properties };
}

function addressOf(terminus: SourceTerminus | TargetTerminus | undefined): string | undefined {
  return terminus !== undefined && 'address' in terminus && typeof terminus.address === 'string'
    ? terminus.address
    : undefined;
}

function renamed<T extends SourceTerminus | TargetTerminus>(
  terminus: T | undefined,
  rename: (address: string) => string,
): T | undefined {
  const address = addressOf(terminus);
  return address === undefined ? terminus : { ...terminus!, address: rename(address) };
}
