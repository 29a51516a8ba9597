// SPDX-License-Identifier: Apache-2.0
import { SenderLink } from '@pointsman/engine';
import type {
  Connection,
  ConnectionEnd,
  ConnectionHandler,
  IncomingDelivery,
  Session,
  ReceiverLink,
} from '@pointsman/engine';
import type {
  AmqpErrorFields,
  Attach,
  Open,
  ProtocolError,
  Source,
  SourceTerminus,
  Target,
  TargetTerminus,
} from '@pointsman/wire';
import { IncomingLink } from './incoming-link.js';
import type { LinkRecord } from './link-record.js';
import type { LinkRouteNode } from './link-route-table.js';
import { MessageLog } from './message-log.js';
import { OutgoingLink } from './outgoing-link.js';
import type { ConnectionPolicy } from './policy/connection-policy.js';
import { RoutedLink, survives } from './routed-link.js';
import { RoutedSessions } from './routed-sessions.js';
import type { Router } from './router.js';
import { Tenant } from './tenant.js';
import { terminusText } from './terminus-text.js';
import type { ContainerDialect, RouterConnectionSettings } from './settings.js';

const LINK_CAPACITY = 250;
/** The engine's window for a session: so many bytes, or so many frames where those are large. */
const WINDOW_BYTES = 1 << 20;
const WINDOW_FRAMES = 64;
/** Whoever has not said who they are. */
const ANONYMOUS = 'anonymous';
/** From so long without credit on a link counts as blocked. */
const BLOCKED_SECONDS = 10;
/** Links of autolinks on a session whose begin the peer has not answered yet. */
const UNANSWERED_LINKS_MAX = 250;
/** Links that a peer may have on one session: tools and tests of the field have ten thousand. */
const HANDLE_MAX = 65_535;

const NO_ROUTE: AmqpErrorFields = { condition: 'qd:no-route-to-dest', description: 'No route to the destination node' };
const NOT_FOUND: AmqpErrorFields = { condition: 'amqp:not-found', description: 'Node not found' };
const NO_COORDINATOR: AmqpErrorFields = {
  condition: 'amqp:precondition-failed',
  description:
    "The router can't coordinate transactions by itself, a linkRoute to a coordinator must be configured to use transactions.",
};
const STOPPING: AmqpErrorFields = { condition: 'amqp:link:detach-forced', description: 'The router is stopping' };
const NOT_RESUMABLE: AmqpErrorFields = {
  condition: 'qd:link-expiration',
  description: 'Requested link expiration not allowed',
};
const DISALLOWED: AmqpErrorFields = {
  condition: 'amqp:resource-limit-exceeded',
  description: 'connection disallowed by local policy',
};
const TOO_LARGE_FOR_LINK: AmqpErrorFields = {
  condition: 'amqp:link:message-size-exceeded',
  description: 'Message size exceeded',
};
const TOO_LARGE: AmqpErrorFields = { condition: 'amqp:connection:forced', description: 'Message size exceeded' };
const FORBIDDEN: AmqpErrorFields = { condition: 'qd:forbidden', description: 'Connectivity to the node is forbidden' };

/** What the router holds of one connection. */
export class RouterConnection implements ConnectionHandler {
  readonly router: Router;
  readonly settings: RouterConnectionSettings;
  /** Number in logs and management. */
  readonly id: number;
  readonly messageLog: MessageLog | undefined;
  connection!: Connection;
  containerId = '';
  /** Whose addresses the peer means; undefined: everybody's. */
  tenant: Tenant | undefined = undefined;
  /** What the peer may do; undefined: everything. */
  policy: ConnectionPolicy | undefined = undefined;
  /** How this peer has to be spoken to; undefined: as AMQP has it. */
  dialect: ContainerDialect | undefined = undefined;
  /** Tick at which a delivery had last come or gone when it was looked at, and the number of deliveries by then. */
  #lastDelivery: number | undefined = undefined;
  #deliveries = 0;
  /** Deliveries of links that are gone. */
  #gone = 0;
  /** Monotonic ms of the open. */
  openedAt = 0;
  isOpen = false;
  /** Bytes of messages that came over it and wait in the router. */
  heldBytes = 0;
  isClosing = false;
  readonly links: Set<LinkRecord> = new Set();
  /** Frames are to be logged. {@link tracing} hears of a change. */
  protocolTrace = false;
  tracing: { switch(on: boolean): void } | undefined = undefined;
  /** Sessions of autolinks, and how many use each. */
  #autoLinkSessions: Map<Session, number> | undefined = undefined;
  /** Those here that stand for sessions of clients elsewhere. */
  #routedSessions: RoutedSessions | undefined = undefined;
  /** Where links of this peer were led to, and where its further ones have to go. */
  #homes: Set<RouterConnection> | undefined = undefined;

  constructor(router: Router, settings: RouterConnectionSettings, id: number) {
    this.router = router;
    this.settings = settings;
    this.id = id;
    this.messageLog = MessageLog.of(id, settings.messageLogging, router.log);
  }

  /** Made when it is first needed: most connections are to no container. */
  get routedSessions(): RoutedSessions {
    this.#routedSessions ??= new RoutedSessions(
      () => this.connection.session({ incomingWindow: this.#windowOf(this.settings.maxSessionFrames) }),
      isRoomy,
    );
    return this.#routedSessions;
  }

  get linkCapacity(): number {
    const { linkCapacity } = this.settings;
    return linkCapacity === undefined || linkCapacity === 0 ? LINK_CAPACITY : linkCapacity;
  }

  get stripsIn(): boolean {
    const strip = this.settings.stripAnnotations ?? 'both';
    return strip === 'both' || strip === 'in';
  }

  get stripsOut(): boolean {
    const strip = this.settings.stripAnnotations ?? 'both';
    return strip === 'both' || strip === 'out';
  }

  /** The full address of what the peer calls `text`. */
  fullAddress(text: string): string {
    const { readAddress } = this.settings;
    const read = readAddress === undefined ? text : readAddress(text);
    return this.tenant === undefined ? read : this.tenant.toFull(read);
  }

  /** Whether an autolink or link route of these settings belongs here: by the connection's name or the peer's container. */
  isContainerOf({
    connection,
    containerId,
  }: {
    readonly connection?: string | undefined;
    readonly containerId?: string | undefined;
  }): boolean {
    if (this.settings.role !== 'route-container') return false;
    return (
      (connection !== undefined && connection === this.settings.name) ||
      (containerId !== undefined && containerId === this.containerId)
    );
  }

  /** Once a second. @param scans - deliveries that are stuck are looked for, too */
  sample(tick: number, scans: boolean): void {
    const { stuckAgeSeconds } = this.router;
    this.#noteDeliveries();
    for (const link of this.links) {
      link.sample(tick, link.link.credit);
      if (!scans) continue;
      const before = link.stuck;
      link.stuck = link.olderThan(tick - stuckAgeSeconds);
      if (link.stuck > 0 && before === 0) {
        this.router.log(
          'ROUTER_CORE',
          'info',
          `[C${this.id}][L${link.id}] Stuck delivery: At least one delivery on this link has been undelivered/unsettled for more than ${stuckAgeSeconds} seconds`,
        );
      }
      if (!link.isBlocked && link.zeroCreditSeconds > BLOCKED_SECONDS) {
        link.isBlocked = true;
        this.router.log(
          'ROUTER_CORE',
          'info',
          `[C${this.id}][L${link.id}] Link blocked with zero credit for ${link.zeroCreditSeconds} seconds`,
        );
      }
    }
  }

  /** Seconds since a delivery last came or went, undefined before the first one. */
  get lastDeliverySeconds(): number | undefined {
    this.#noteDeliveries();
    return this.#lastDelivery === undefined ? undefined : this.router.tick - this.#lastDelivery;
  }

  #noteDeliveries(): void {
    let deliveries = this.#gone;
    for (const link of this.links) deliveries += link.deliveries;
    if (deliveries > this.#deliveries) this.#lastDelivery = this.router.tick;
    this.#deliveries = deliveries;
  }

  /** Links of ours can be attached. */
  get takesLinks(): boolean {
    return this.isOpen && !this.isClosing && this.connection.isOpen && !this.router.isStopping;
  }

  /**
   * A session for one more autolink: one of its own, since links that share one cost more, but no more than half of the
   * sessions that the peer allows. Beyond that they share.
   *
   * @throws LocalProtocolError where the peer takes no further link
   */
  autoLinkSession(): Session {
    const sessions = (this.#autoLinkSessions ??= new Map());
    for (const session of sessions.keys())
      if (session.state === 'ended' || session.state === 'ending') sessions.delete(session);
    const max = Math.ceil(this.connection.channels / 2);
    let best: Session | undefined;
    if (sessions.size >= max)
      for (const [session, links] of sessions)
        if (isRoomy(session, links) && (best === undefined || links < sessions.get(best)!)) best = session;
    best ??= this.connection.session({ incomingWindow: this.#windowOf(this.settings.maxSessionFrames) });
    sessions.set(best, (sessions.get(best) ?? 0) + 1);
    return best;
  }

  /** An autolink needs its session no more; with the last one it ends. */
  leaveAutoLinkSession(session: Session): void {
    const sessions = this.#autoLinkSessions;
    const links = sessions?.get(session);
    if (sessions === undefined || links === undefined) return;
    if (links > 1) {
      sessions.set(session, links - 1);
      return;
    }
    sessions.delete(session);
    if (this.connection.isOpen) session.end();
  }

  /** A link of a session of {@link routedSessions} is gone; with the last one the session ends. */
  leaveRoutedSession(client: Session, session: Session): void {
    if (this.routedSessions.leave(client, session) && this.connection.isOpen) session.end();
  }

  // ---- ConnectionHandler ----

  onAuthenticated(connection: Connection, mechanism: string): void {
    this.settings.hooks?.onAuthenticated?.(connection, mechanism);
  }

  onOpen(connection: Connection, open: Open): void {
    this.connection = connection;
    const { hostname = '' } = open;
    const { settings } = this;
    const verdict = this.router.policy.open({
      id: this.id,
      user: connection.user ?? ANONYMOUS,
      host: settings.peerHost ?? '',
      vhost: hostname,
      direction: settings.direction,
      role: settings.role,
      peer: settings.peer,
      name: settings.name ?? '',
      policyVhost: settings.policyVhost,
    });
    if (verdict.denied) {
      connection.open();
      settings.hooks?.onDenied?.(connection, verdict.reason);
      return this.close(DISALLOWED);
    }
    this.policy = verdict.policy;
    connection.open(this.policy?.openFields);
    settings.hooks?.onOpened?.(connection);
    this.containerId = open.containerId;
    const space = verdict.space ?? hostname;
    if (settings.multiTenant === true && space !== '') this.tenant = new Tenant(space);
    this.isOpen = true;
    this.openedAt = this.router.clock.now();
    this.router.connectionOpened(this);
  }

  onBegin(session: Session): void {
    const { policy } = this;
    const { maxSessionFrames } = this.settings;
    if (policy === undefined || session.localBegun)
      return session.begin({ handleMax: HANDLE_MAX, incomingWindow: this.#windowOf(maxSessionFrames) });
    const refusal = policy.begin(session);
    if (refusal !== undefined) return session.end(refusal);
    session.begin({
      handleMax: HANDLE_MAX,
      incomingWindow: this.#windowOf(policy.windowOf(this.connection.maxFrameSize) ?? maxSessionFrames),
    });
  }

  /** Frames that a session is to take, where that is less than the engine's own window, which stays small in bytes. */
  #windowOf(frames: number | undefined): number | undefined {
    const own = Math.max(WINDOW_FRAMES, WINDOW_BYTES / this.connection.maxFrameSize);
    return frames === undefined || frames >= own ? undefined : frames;
  }

  onEnd(session: Session): void {
    this.policy?.ended(session);
    this.#autoLinkSessions?.delete(session);
  }

  onAttach(link: SenderLink | ReceiverLink, attach: Attach): void {
    if (this.settings.takeLink?.(link, attach) === true) return;
    if (this.router.isStopping) return link.refuse(STOPPING, echoOf(attach));
    const refusal = this.#refusalOf(link, attach);
    if (refusal !== undefined) return link.refuse(refusal, echoOf(attach));
    this.#attached(link, attach);
    if (link.localDetached) this.policy?.detached(link);
  }

  /** Why the policy does not allow a link. */
  #refusalOf(link: SenderLink | ReceiverLink, { source, target }: Attach): AmqpErrorFields | undefined {
    const { policy } = this;
    if (policy === undefined) return undefined;
    return link instanceof SenderLink
      ? policy.attachReceiver(link, source !== undefined && 'type' in source ? source : undefined)
      : policy.attachSender(
          link,
          target !== undefined && 'type' in target && target.type === 'target' ? target : undefined,
        );
  }

  #attached(link: SenderLink | ReceiverLink, attach: Attach): void {
    const terminus = attach.role ? attach.source : attach.target;
    if (
      !attach.role &&
      attach.target !== undefined &&
      'type' in attach.target &&
      attach.target.type === 'coordinator'
    ) {
      const node = this.router.linkRouteTable.find('$coordinator', 'in');
      if (node !== undefined) return this.#routeLink(node, link, attach, undefined);
      // Once as asked for, with a null target: then the reason.
      return link.refuse(NO_COORDINATOR, { source: attach.source });
    }
    const capabilities = terminus !== undefined && 'capabilities' in terminus ? terminus.capabilities : undefined;
    if (capabilities?.length === 1 && (capabilities[0] === 'qd.router' || capabilities[0] === 'qd.router-data')) {
      return link.refuse(FORBIDDEN, echoOf(attach));
    }
    if (link instanceof SenderLink) this.#attachConsumer(link, attach);
    else this.#attachProducer(link, attach);
  }

  #attachConsumer(link: SenderLink, attach: Attach): void {
    const source = attach.source;
    if (source === undefined || !('type' in source)) return link.refuse(NO_ROUTE, { target: attach.target });
    let { address } = source;
    let terminus: SourceTerminus = source;
    const wanted = source.dynamic === true ? nodeWanted(source) : undefined;
    if (wanted !== undefined) {
      const node = this.router.linkRouteTable.find(this.fullAddress(wanted), 'out');
      return node === undefined ? link.refuse(NO_ROUTE, echoOf(attach)) : this.#routeLink(node, link, attach, address);
    }
    if (source.dynamic === true) {
      address = `amqp:/_topo/${this.router.area}/${this.router.id}/temp.${this.router.randomText(15)}`;
      terminus = { ...source, address };
    } else {
      if (address === undefined || address === '') return link.refuse(NO_ROUTE, { target: attach.target });
      address = this.fullAddress(address);
      const routes = this.router.linkRouteTable.find(address, 'out');
      if (routes !== undefined) return this.#routeLink(routes, link, attach, address);
    }
    const node = this.router.bindConsumer(address, capabilitiesOf(source), source.dynamic === true);
    if (node === 'unavailable') return link.refuse(NOT_FOUND, { target: attach.target });
    if (node === 'no-route') return link.refuse(NO_ROUTE, { target: attach.target });
    const outgoing = new OutgoingLink(this);
    outgoing.link = link;
    link.context = outgoing;
    outgoing.pendingAddress = node;
    this.links.add(outgoing);
    link.accept(outgoing, { source: terminus, target: attach.target ?? { type: 'target' } });
    outgoing.start();
    this.logAttached('out', attach, outgoing.id);
  }

  #attachProducer(link: ReceiverLink, attach: Attach): void {
    const target = attach.target;
    if (target === undefined || !('type' in target) || target.type !== 'target')
      return link.refuse(NO_ROUTE, { source: attach.source });
    let { address } = target;
    let terminus: TargetTerminus = target;
    const wanted = target.dynamic === true ? nodeWanted(target) : undefined;
    if (wanted !== undefined) {
      const routes = this.router.linkRouteTable.find(this.fullAddress(wanted), 'in');
      return routes === undefined
        ? link.refuse(NO_ROUTE, echoOf(attach))
        : this.#routeLink(routes, link, attach, address);
    }
    let node;
    if (target.dynamic === true) {
      address = `amqp:/_$temp.${this.router.randomText(15)}`;
      terminus = { ...target, address };
      node = this.router.bindProducer(address, undefined, true);
    } else if (address !== undefined && address !== '') {
      address = this.fullAddress(address);
      const routes = this.router.linkRouteTable.find(address, 'in');
      if (routes !== undefined) return this.#routeLink(routes, link, attach, address);
      node = this.router.bindProducer(address, capabilitiesOf(target), false);
    }
    if (node === 'unavailable') return link.refuse(NOT_FOUND, { source: attach.source });
    if (node === 'no-route') return link.refuse(NO_ROUTE, { source: attach.source });
    const incoming = new IncomingLink(this, node, address ?? '', this.linkCapacity);
    incoming.link = link;
    incoming.guard();
    this.links.add(incoming);
    link.accept(incoming, { source: attach.source ?? { type: 'source' }, target: terminus });
    this.router.startProducer(incoming, link);
    this.logAttached('in', attach, incoming.id);
  }

  /** @param address - the full text of what the client named the node by */
  #routeLink(node: LinkRouteNode, link: SenderLink | ReceiverLink, attach: Attach, address: string | undefined): void {
    const to = this.#containerFor(node);
    if (to !== undefined) return this.#routeTo(to, node, link, attach, address);
    const onGone = (): void => this.policy?.detached(link);
    const isHeld = this.router.sleepers.hold(
      node,
      link,
      () => {
        const late = this.#containerFor(node);
        if (late === undefined) link.refuse(NO_ROUTE, echoOf(attach));
        else this.#routeTo(late, node, link, attach, address);
        if (link.localDetached) onGone();
      },
      onGone,
    );
    if (!isHeld) link.refuse(NO_ROUTE, echoOf(attach));
  }

  #routeTo(
    to: RouterConnection,
    node: LinkRouteNode,
    link: SenderLink | ReceiverLink,
    attach: Attach,
    address: string | undefined,
  ): void {
    const lasts = survives(attach.role ? attach.source : attach.target);
    if (lasts && !this.router.allowResumableLinkRoute) return link.refuse(NOT_RESUMABLE, echoOf(attach));
    const route = node.routeTo(to);
    const there = address === undefined ? undefined : route.toExternal(address);
    if (to.dialect?.takeLink?.(link, attach, there) === true) return this.policy?.detached(link);
    const owningKey = address === undefined ? undefined : `M0${address}`;
    const routed = new RoutedLink(route, this, link, attach, to, owningKey);
    routed.start();
  }

  #containerFor(node: LinkRouteNode): RouterConnection | undefined {
    for (const home of this.#homes ?? []) {
      if (!home.takesLinks) this.#homes?.delete(home);
      else if (node.connections.includes(home)) return home;
    }
    const to = node.next();
    if (to?.dialect?.keepsTogether === true) (this.#homes ??= new Set()).add(to);
    return to;
  }

  /** @internal */
  logAttached(direction: string, attach: Attach, id: number): void {
    this.router.log(
      'ROUTER_CORE',
      'info',
      `[C${this.id}][L${id}] Link attached: dir=${direction} source={${terminusText(attach.source)}} target={${terminusText(attach.target)}}`,
    );
  }

  /** @internal */
  linkGone(link: LinkRecord): void {
    if (!this.links.delete(link)) return;
    if (!link.isLost) this.policy?.detached(link.link);
    this.#gone += link.deliveries;
    this.router.counters.keep(link);
    this.router.log('ROUTER_CORE', 'info', `[C${this.id}][L${link.id}] ${this.#endOf(link)}: ${link.summary}`);
  }

  #endOf({ isLost }: LinkRecord): string {
    if (!isLost) return 'Link detached';
    return this.connection.isOpen ? 'Link lost' : 'Link closed due to connection loss';
  }

  onProtocolError(_connection: Connection, error: ProtocolError): void {
    this.router.log(
      'PROTOCOL',
      'error',
      `[C${this.id}] ${this.settings.peer}: ${error.message}${error.section === undefined ? '' : ` (AMQP 1.0, ${error.section})`}`,
    );
  }

  onClosed(connection: Connection, end: ConnectionEnd): void {
    this.isOpen = false;
    this.dialect?.closed?.();
    this.policy?.closed();
    this.router.connectionClosed(this, end);
    this.settings.hooks?.onClosed?.(connection, end);
  }

  /**
   * @internal a message of a peer has come that is larger than the policy allows: it is rejected, and the connection closed.
   * Whoever had some of it already is told that it is withdrawn.
   */
  refuseSize(record: LinkRecord, link: ReceiverLink, delivery: IncomingDelivery): void {
    this.policy?.deniedSize(record.id);
    if (!delivery.settled) {
      record.rejected++;
      link.settle(delivery, { type: 'rejected', error: TOO_LARGE_FOR_LINK });
    }
    // From here on nothing is attached anew.
    this.isClosing = true;
    link.fail(TOO_LARGE_FOR_LINK);
    this.close(TOO_LARGE);
  }

  /** Leaves: links first told by the close itself. */
  close(error?: AmqpErrorFields): void {
    this.isClosing = true;
    this.connection.close(error);
  }
}

/** There is a handle for one more link. What the peer allows is not known before its begin: some allow 256. */
function isRoomy(session: Session, links: number): boolean {
  return session.remoteBegin === undefined ? links < UNANSWERED_LINKS_MAX : session.hasFreeHandle;
}

function capabilitiesOf(terminus: {
  readonly capabilities?: readonly string[] | undefined;
}): readonly string[] | undefined {
  return terminus.capabilities;
}

/** Node property by which a dynamic terminus says where it is to be made. */
const NODE_WANTED = 'x-opt-qd.address';

/** The address whose container is to make a dynamic node: the first of the node's properties. */
function nodeWanted({ dynamicNodeProperties }: Source | Target): string | undefined {
  for (const [name, value] of dynamicNodeProperties ?? [])
    return name === NODE_WANTED && typeof value === 'string' && value !== '' ? value : undefined;
  return undefined;
}

/** What a refused attach is answered with: the near terminus as it came, the far one null. */
function echoOf(attach: Attach): { source?: SourceTerminus | undefined; target?: TargetTerminus | undefined } {
  return attach.role ? { target: attach.target } : { source: attach.source };
}
