// SPDX-License-Identifier: Apache-2.0
import { ReceiverLink, SenderLink, keep, letGo } from '@pointsman/engine';
import type {
  AttachParameters,
  FlowFrame,
  IncomingDelivery,
  Link,
  OutgoingDelivery,
  ReceiverHandler,
  SenderHandler,
  TransferFrame,
} from '@pointsman/engine';
import type { AmqpErrorFields, Attach, DeliveryState, SourceTerminus, TargetTerminus } from '@pointsman/wire';
import type { RouterConnection } from './router-connection.js';
import type { LinkRouteSettings } from './settings.js';

/** `operStatus` of management. */
export type LinkRouteStatus = 'inactive' | 'active';

/** Addresses whose links go, as they are, to a container. */
export class LinkRoute {
  readonly settings: LinkRouteSettings;
  /** Undefined where it was given none. */
  readonly name: string | undefined;
  readonly id: number;
  readonly connections: RouterConnection[] = [];
  #turn = 0;

  constructor(settings: LinkRouteSettings, name: string | undefined, id: number) {
    this.id = id;
    this.settings = settings;
    this.name = name;
  }

  get status(): LinkRouteStatus {
    return this.connections.length > 0 ? 'active' : 'inactive';
  }

  matches(connection: RouterConnection): boolean {
    return connection.isContainerOf(this.settings);
  }

  /** The connection that takes the next link: each in turn. */
  next(): RouterConnection | undefined {
    if (this.connections.length === 0) return undefined;
    return this.connections[this.#turn++ % this.connections.length];
  }

  /** The name of a node at the container. */
  toExternal(address: string): string {
    const { addExternalPrefix, delExternalPrefix } = this.settings;
    let name = address;
    if (
      delExternalPrefix !== undefined &&
      name.startsWith(delExternalPrefix) &&
      name.length > delExternalPrefix.length
    ) {
      name = name.slice(delExternalPrefix.length);
    }
    return (addExternalPrefix ?? '') + name;
  }

  /** The name by which clients know a node of the container. */
  toInternal(address: string): string {
    const { addExternalPrefix, delExternalPrefix } = this.settings;
    let name = address;
    if (addExternalPrefix !== undefined && name.startsWith(addExternalPrefix))
      name = name.slice(addExternalPrefix.length);
    return (delExternalPrefix ?? '') + name;
  }
}

const LINK_LOST: AmqpErrorFields = {
  condition: 'qd:routed-link-lost',
  description: 'Connectivity to the peer container was lost',
};
/** Bytes of transfers that wait for room at the far end before the near end's session is held back. */
const HOLD_AT = 1 << 18;
/** What a transfer that waits counts beside its payload, so that empty ones do not wait without number. */
const ITEM_BYTES = 64;
/** Messages beyond the client's credit that a container may send; the session's window bounds how many wait here. */
const TOLERANCE = 1 << 16;

/**
 * Joins a link of a client with a link at a container: attaches, flows, transfers, dispositions and detaches pass through,
 * delivery tags and states untouched. One of the two ends receives, the other sends.
 */
export class RoutedLink implements ReceiverHandler, SenderHandler {
  readonly #route: LinkRoute;
  readonly #client: SenderLink | ReceiverLink;
  #container!: SenderLink | ReceiverLink;
  #at: RouterConnection | undefined;
  /** Frames that wait for room, oldest first. */
  #queue: {
    readonly incoming: IncomingDelivery;
    readonly bytes: Uint8Array;
    readonly tag: Uint8Array | undefined;
    readonly state: DeliveryState | undefined;
    readonly more: boolean;
    readonly aborted: boolean;
    offset: number;
  }[] = [];
  #queued = 0;
  #holds = false;
  #ended = false;
  /** Gives back what the dialect's `authorize` gave. */
  #release: ((error?: AmqpErrorFields) => void) | undefined;
  /** Messages that the near receiver allowed since the attach, and those that came on the far link. */
  #granted = 0;
  #received = 0;

  constructor(route: LinkRoute, client: SenderLink | ReceiverLink) {
    this.#route = route;
    this.#client = client;
    client.handler = this;
  }

  get #receiver(): ReceiverLink {
    return this.#client instanceof ReceiverLink ? this.#client : (this.#container as ReceiverLink);
  }

  get #sender(): SenderLink {
    return this.#client instanceof SenderLink ? this.#client : (this.#container as SenderLink);
  }

  /** Attaches at the container what the client attached here, as soon as it may. */
  attach(connection: RouterConnection, attach: Attach, name: string): void {
    const client = this.#client;
    const terminus = client instanceof SenderLink ? attach.source : attach.target;
    const address = terminus !== undefined && 'address' in terminus ? terminus.address : undefined;
    const { dialect } = connection;
    if (dialect?.authorize === undefined || address === undefined) return this.#attachTo(connection, attach, name);
    this.#release = dialect.authorize(
      this.#route.toExternal(address),
      client instanceof SenderLink ? 'in' : 'out',
      (error) => {
        if (error === undefined) this.#attachTo(connection, attach, name);
        else this.#end(client, error, true);
      },
    );
  }

  #attachTo(connection: RouterConnection, attach: Attach, name: string): void {
    const session = connection.routedSession(this.#client.session);
    this.#at = connection;
    const parameters: AttachParameters = {
      source:
        this.#client instanceof SenderLink
          ? this.#renamed(attach.source, (a) => this.#route.toExternal(a))
          : attach.source,
      target:
        this.#client instanceof ReceiverLink
          ? this.#renamed(attach.target, (a) => this.#route.toExternal(a))
          : attach.target,
      sndSettleMode: attach.sndSettleMode,
      rcvSettleMode: attach.rcvSettleMode,
      maxMessageSize: attach.maxMessageSize,
      offeredCapabilities: attach.offeredCapabilities,
      desiredCapabilities: attach.desiredCapabilities,
      properties: attach.properties,
    };
    this.#container =
      this.#client instanceof SenderLink
        ? session.attachReceiver(name, this, parameters)
        : session.attachSender(name, this, parameters);
    // Brokers of some kinds send more than they may: it waits here until the client has credit for it.
    if (this.#container instanceof ReceiverLink && connection.dialect === undefined) {
      this.#container.tolerance = TOLERANCE;
    }
    // Credit that the client gave without waiting for our answer.
    const client = this.#client;
    if (client instanceof SenderLink && client.credit > 0) {
      this.#granted = client.deliveryCount + client.credit;
      this.#receiver.setCredit(this.#granted, client.draining);
    }
  }

  #renamed<T extends SourceTerminus | TargetTerminus | undefined>(terminus: T, rename: (address: string) => string): T {
    if (terminus === undefined || !('type' in terminus) || terminus.type === 'coordinator') return terminus;
    return terminus.address === undefined ? terminus : { ...terminus, address: rename(terminus.address) };
  }

  // ---- the container's answer ----

  onAttached(_link: Link, attach: Attach): void {
    const client = this.#client;
    const parameters: AttachParameters = {
      source:
        client instanceof SenderLink ? this.#renamed(attach.source, (a) => this.#route.toInternal(a)) : attach.source,
      target:
        client instanceof ReceiverLink ? this.#renamed(attach.target, (a) => this.#route.toInternal(a)) : attach.target,
      sndSettleMode: attach.sndSettleMode,
      rcvSettleMode: attach.rcvSettleMode,
      maxMessageSize: attach.maxMessageSize,
      offeredCapabilities: attach.offeredCapabilities,
      desiredCapabilities: attach.desiredCapabilities,
      properties: attach.properties,
    };
    if (client instanceof SenderLink) client.accept(this, parameters);
    else client.accept(this, { ...parameters, maxMessageSize: undefined });
  }

  // ---- transfers ----

  onTransfer(link: ReceiverLink, incoming: IncomingDelivery, frame: TransferFrame): void {
    const first = incoming.context === undefined;
    if (first) {
      this.#received++;
      incoming.context = this;
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

  #pump(): void {
    const sender = this.#sender;
    while (this.#queue.length > 0) {
      const item = this.#queue[0]!;
      if (item.aborted) {
        if (sender.current !== undefined) sender.abort();
      } else if (item.tag !== undefined && item.offset === 0 && item.incoming.context === this) {
        if (!sender.sendable) return;
        const outgoing = sender.send(
          item.tag,
          item.incoming.messageFormat,
          item.incoming.settled,
          item.incoming,
          item.bytes,
          0,
          item.bytes.length,
          !item.more,
          item.state,
        );
        item.incoming.context = outgoing;
        item.offset = sender.sentBytes;
        if (item.offset < item.bytes.length || (!item.more && !outgoing.complete)) return;
      } else {
        if (!sender.resumable) return;
        item.offset += sender.resume(item.bytes, item.offset, item.bytes.length, !item.more);
        if (item.offset < item.bytes.length || (!item.more && sender.current !== undefined)) return;
      }
      this.#queue.shift();
      letGo(item.bytes);
      this.#queued -= item.bytes.length + ITEM_BYTES;
      if (this.#holds && this.#queued < HOLD_AT / 2) {
        this.#holds = false;
        this.#receiver.session.releaseWindow();
      }
    }
  }

  onSendable(): void {
    if (this.#container !== undefined) this.#pump();
  }

  // ---- dispositions, both ways ----

  onDisposition(
    _link: SenderLink,
    outgoing: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const incoming = outgoing.context as IncomingDelivery;
    if (settled) this.#receiver.settle(incoming, state);
    else if (state !== undefined) this.#receiver.update(incoming, state);
  }

  onRemoteState(
    _link: ReceiverLink,
    incoming: IncomingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const outgoing = incoming.context as OutgoingDelivery | this | undefined;
    if (outgoing === undefined || outgoing === this) return;
    if (settled) this.#sender.settle(outgoing as OutgoingDelivery, state);
    else if (state !== undefined) this.#sender.update(outgoing as OutgoingDelivery, state);
  }

  // ---- credit ----

  onFlow(link: SenderLink | ReceiverLink, frame: FlowFrame): void {
    if (this.#container === undefined) return;
    if (link instanceof SenderLink) {
      // What the receiver at the near end allows, counted from the attach, is what the far end is allowed.
      this.#granted = link.deliveryCount + link.credit;
      const receiver = this.#receiver;
      // A sender that is beyond its credit already is told nothing new: RabbitMQ 3 would take that for more.
      if (this.#granted <= this.#received && receiver.credit === 0 && !frame.drain) return;
      receiver.setCredit(Math.max(0, this.#granted - this.#received), frame.drain);
    } else if (link.announced === 0 && this.#sender.draining && this.#queue.length === 0) {
      this.#received = this.#granted;
      this.#sender.drained();
      this.#granted = this.#received = this.#sender.deliveryCount;
    }
  }

  /** Answered by {@link onFlow} once the far end has used its credit up. */
  onDrain(link: SenderLink): void {
    if (link.credit === 0 && this.#queue.length === 0) link.drained();
  }

  // ---- the end ----

  onDetach(link: Link, error: AmqpErrorFields | undefined, closed: boolean): void {
    const other = link === this.#client ? this.#container : this.#client;
    link.detach(undefined, closed);
    this.#end(other, error, closed);
  }

  onLost(link: Link): void {
    const other = link === this.#client ? this.#container : this.#client;
    this.#end(other, LINK_LOST, true);
  }

  #end(other: Link | undefined, error: AmqpErrorFields | undefined, closed: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#release?.(error);
    if (this.#holds) {
      this.#holds = false;
      this.#receiver.session.releaseWindow();
    }
    for (const { bytes } of this.#queue) letGo(bytes);
    this.#queue = [];
    if (other !== undefined) {
      if (other === this.#client && !other.localAttached && error !== undefined) other.refuse(error);
      else other.detach(error, closed);
    }
    this.#at?.leaveRoutedSession(this.#client.session);
  }
}
