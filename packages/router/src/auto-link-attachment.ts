// SPDX-License-Identifier: Apache-2.0
import { Described, LocalProtocolError, symbol, ulong } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Attach } from '@pointsman/wire';
import type { Session } from '@pointsman/engine';
import type { Address } from './address.js';
import type { AutoLink, AutoLinkStatus } from './auto-link.js';
import { CreditThrottle } from './credit-throttle.js';
import { Custody } from './custody.js';
import { IncomingLink } from './incoming-link.js';
import { OutgoingLink } from './outgoing-link.js';
import type { LinkOwner } from './outgoing-link.js';
import type { RouterConnection } from './router-connection.js';
import type { ContainerDialect } from './settings.js';

/** Messages beyond its credit that a container may send, as a multiple of the link's capacity. */
const TOLERANCE = 4;
/** First retry of a refused attach, and those after it, in ms; a dialect may know better. */
const FIRST_RETRY_MS = 2_000;
const RETRY_MS = 5_000;

/** A link that was up for so long has recovered: what ends it is a first failure again. */
const STEADY_MS = 10_000;
/** What ends a link in the normal course of things does so now and then. Oftener than this in a row, something is wrong. */
const NORMAL_ENDS_MAX = 5;

/** Time that a link has, when it is no longer wanted, to settle what it has in hand; and how often that is looked at. */
const QUIESCE_MS = 5_000;
const QUIESCE_LOOK_MS = 50;

/** The link of an {@link AutoLink} at one connection: attached, and attached again. */
export class AutoLinkAttachment implements LinkOwner {
  readonly connection: RouterConnection;
  status: AutoLinkStatus = 'inactive';
  failures: number;
  nextAttempt: number | undefined = undefined;
  link: IncomingLink | OutgoingLink | undefined = undefined;
  readonly #autoLink: AutoLink;
  #session: Session | undefined;
  #refused = false;
  #pinned: Address | undefined;
  #activeSince = 0;
  #cancelRetry: (() => void) | undefined;
  /** Gives back what {@link ContainerDialect.authorize} gave. */
  #release: ((error?: AmqpErrorFields) => void) | undefined;
  #lastCondition: string | undefined;
  #sameInARow = 0;
  #throttle: CreditThrottle | undefined;

  /** @param failures - in a row, so far */
  constructor(autoLink: AutoLink, connection: RouterConnection, failures: number) {
    this.#autoLink = autoLink;
    this.connection = connection;
    this.failures = failures;
  }

  attach(): void {
    const { connection } = this;
    const { externalAddress, direction, settings, nodePhase } = this.#autoLink;
    this.nextAttempt = undefined;
    this.#refused = false;
    this.#become('attaching');
    const address = connection.router.bind(settings.address, nodePhase, true);
    this.#pin(address);
    this.#release = connection.dialect?.authorize?.(externalAddress, direction, (error) => {
      if (error === undefined) this.#attachTo(address);
      else this.ended(error, false);
    });
    if (connection.dialect?.authorize === undefined) this.#attachTo(address);
    // It failed before there was anything to give back.
    else if (this.link === undefined && this.status !== 'attaching') this.#forsake(undefined);
  }

  /** The connection is gone, and the link with it. */
  stop(): void {
    this.#rest();
    this.#pin(undefined);
    this.#forsake(undefined);
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.nextAttempt = undefined;
    this.#session = undefined;
    this.link = undefined;
    this.#log('info', 'Auto Link Deactivated');
  }

  /** Failures in a row, up to now: a link that holds has none. */
  get currentFailures(): number {
    return this.status === 'active' && this.#attachedMs() >= STEADY_MS ? 0 : this.failures;
  }

  #rest(): void {
    this.failures = this.currentFailures;
    this.status = 'inactive';
  }

  /**
   * It is no longer wanted. It takes nothing more, and is detached once what it has in hand is settled, or after
   * {@link QUIESCE_MS}: a broker would send again what was not.
   */
  leave(): void {
    const { link } = this;
    this.#cancelRetry?.();
    if (link === undefined || this.status !== 'active') return this.#detach();
    this.status = 'quiescing';
    const hadCredit = link instanceof IncomingLink && link.link.credit > 0;
    if (link instanceof IncomingLink) link.quiesce();
    else link.retire();
    // What the container sent before it hears of the end of its credit is still to come.
    if (hadCredit || isBusy(link)) this.#lookAgain(this.connection.router.clock.now() + QUIESCE_MS);
    else this.#detach();
  }

  #lookAgain(until: number): void {
    const { clock } = this.connection.router;
    this.#cancelRetry = clock.after(QUIESCE_LOOK_MS, () => {
      const { link } = this;
      if (link !== undefined && isBusy(link) && clock.now() < until) this.#lookAgain(until);
      else this.#detach();
    });
  }

  #detach(): void {
    const { link, connection } = this;
    const session = this.#session;
    if (link !== undefined) {
      link.owner = undefined;
      link.leave();
    }
    this.stop();
    if (session !== undefined) connection.leaveAutoLinkSession(session);
  }

  /** Keeps the node while the link is on its way. */
  #pin(address: Address | undefined): void {
    if (address !== undefined) address.pins++;
    const former = this.#pinned;
    this.#pinned = address;
    if (former === undefined) return;
    former.pins--;
    this.connection.router.addressLeft(former);
  }

  #forsake(error: AmqpErrorFields | undefined): void {
    const release = this.#release;
    this.#release = undefined;
    release?.(error);
  }

  #attachTo(address: Address): void {
    try {
      this.#makeLink(address);
    } catch (error) {
      // Nothing is free at the peer, or a name is longer than its frames: it may be different later.
      if (!(error instanceof LocalProtocolError)) throw error;
      this.link = undefined;
      this.ended({ condition: error.condition, description: error.description }, false);
    }
  }

  #makeLink(address: Address): void {
    const { connection } = this;
    const { dialect, router } = connection;
    const { direction, externalAddress, settings } = this.#autoLink;
    const session = dialect?.sessionTo?.(externalAddress) ?? this.#ownSession();
    const name = `qdlink.${router.randomText(15)}`;
    // The near terminus is empty, not null: to many peers a null one means a refusal.
    if (direction === 'in') {
      const besides = dialect?.inboundAttach?.(settings);
      const filter = besides?.filter ?? selectorOf(settings.filter);
      const capacity =
        settings.prefetch ?? Math.min(connection.linkCapacity, besides?.credit ?? dialect?.inboundCredit ?? Infinity);
      const isSettled = settings.receiveMode === 'receiveAndDelete';
      const keepsMessages = besides?.keepsMessages === true;
      const link = new IncomingLink(connection, address, settings.address, capacity);
      link.owner = this;
      link.isFallback = this.#autoLink.isFallback;
      if (dialect !== undefined) this.#lookAfter(link, dialect, capacity);
      this.link = link;
      link.link = session.attachReceiver(name, link, {
        source: { type: 'source', address: externalAddress, ...(filter === undefined ? {} : { filter }) },
        target: { type: 'target', ...(besides?.target === undefined ? {} : { address: besides.target }) },
        sndSettleMode: isSettled || keepsMessages ? 1 : dialect === undefined ? 2 : 0,
        rcvSettleMode: !isSettled && !keepsMessages && dialect?.settleSecond === true ? 1 : 0,
        ...(besides?.properties === undefined ? {} : { properties: besides.properties }),
        ...(besides?.desiredCapabilities === undefined ? {} : { desiredCapabilities: besides.desiredCapabilities }),
      });
      link.link.judgesSettled = keepsMessages;
      // Brokers of some kinds send more than they may.
      if (dialect === undefined) link.link.tolerance = TOLERANCE * capacity;
      link.link.context = link;
      connection.links.add(link);
    } else {
      const link = new OutgoingLink(connection);
      link.owner = this;
      this.link = link;
      link.link = session.attachSender(name, link, {
        source: { type: 'source' },
        target: { type: 'target', address: externalAddress },
        sndSettleMode: dialect === undefined ? 2 : 0,
        rcvSettleMode: 0,
      });
      link.link.context = link;
      connection.links.add(link);
      link.pendingAddress = address;
    }
  }

  #lookAfter(link: IncomingLink, dialect: ContainerDialect, capacity: number): void {
    const { clock } = this.connection.router;
    const { externalAddress, tally, inHand } = this.#autoLink;
    this.#throttle ??= new CreditThrottle({
      capacity,
      clock,
      releaseDelay: dialect.releaseDelay?.bind(dialect),
      onLoop: () => {
        tally.releaseLoops++;
        this.#log(
          'warning',
          `Messages come back again and again: every consumer of ${this.#autoLink.settings.address} releases them. Auto Link asks for one at a time until one is accepted`,
        );
      },
    });
    link.credit.throttle = this.#throttle;
    if (dialect.settleLater === undefined && dialect.tend === undefined) return;
    this.#autoLink.hasCustody = true;
    link.custody = new Custody({
      dialect,
      address: externalAddress,
      clock,
      tally,
      inHand,
      throttle: this.#throttle,
      settings: this.#autoLink.settings,
      onLeave: (afterMs) => {
        // Its owner has nothing to hear of it.
        if (this.link !== link || this.status === 'quiescing') return;
        link.owner = undefined;
        this.link = undefined;
        link.leave();
        this.#forsake(undefined);
        if (afterMs === 0) return this.attach();
        this.#attachLater(afterMs);
        this.#become('idle');
      },
    });
  }

  /** The session is kept from one attempt to the next. */
  #ownSession(): Session {
    const known = this.#session;
    if (known !== undefined && known.state !== 'ended' && known.state !== 'ending' && known.hasFreeHandle) return known;
    if (known !== undefined) this.connection.leaveAutoLinkSession(known);
    this.#session = undefined;
    return (this.#session = this.connection.autoLinkSession());
  }

  // ---- LinkOwner ----

  attached(attach: Attach): void {
    const { direction } = this.#autoLink;
    const terminus = direction === 'in' ? attach.source : attach.target;
    if (terminus === undefined) {
      // Refused: the detach that follows says why.
      this.#refused = true;
      return;
    }
    const { link, connection } = this;
    if (!('address' in terminus) || terminus.address === undefined || terminus.address === '') {
      // Attached, but not to the node that was named: what is sent there would go nowhere.
      this.#autoLink.lastError = `the container answered with a ${direction === 'in' ? 'source' : 'target'} without an address`;
      this.#log('warning', `Auto Link not activated: ${this.#autoLink.lastError}`);
      return;
    }
    this.#autoLink.activations++;
    this.#activeSince = connection.router.clock.now();
    if (link instanceof IncomingLink) connection.router.startProducer(link, link.link);
    else link?.start();
    this.#autoLink.stopWaiting();
    if (link !== undefined) connection.logAttached(direction, attach, link.id);
    this.#become('active');
    this.#log('info', 'Auto Link Activated');
  }

  ended(error: AmqpErrorFields | undefined, lost: boolean): void {
    const { connection } = this;
    const wasActive = this.status === 'active';
    // What it was there for it has done: a link that is ended often, and works in between, is not one that fails.
    const hasWorked = wasActive && this.link !== undefined && this.link.accepted > 0;
    this.link = undefined;
    if (this.status === 'quiescing') return this.#detach();
    this.#forsake(error);
    const { dialect, router } = connection;
    const description =
      error?.description ??
      error?.condition ??
      (this.#refused ? 'refused without a reason' : 'detached without a reason');
    // Gone with its connection: that is no failure of its own, and its end follows.
    if (lost && !connection.connection.isOpen) {
      if (wasActive && dialect?.awaitsLinks === true) this.#autoLink.expectBack(this.#pinned, router);
      return this.#rest();
    }
    const attachedMs = wasActive ? this.#attachedMs() : 0;
    this.#autoLink.lastError = description;
    const { settings: own } = this.#autoLink;
    const isWait = dialect?.isWait?.(error, own) === true;
    this.failures = hasWorked || isWait || attachedMs >= STEADY_MS ? 1 : this.failures + 1;
    const normal = isWait || (wasActive && this.failures <= NORMAL_ENDS_MAX && dialect?.isNormalEnd?.(error) === true);
    if (isWait) {
      this.#log('info', `Auto Link has nothing to receive yet, attaching again. ${description}`);
    } else if (normal) {
      this.#log('info', `Auto Link Detached by its container, attaching again. ${description}`);
    } else {
      this.#log('warning', `Auto Link Activation Failed. ${description}`);
      const { direction, externalAddress, name, settings } = this.#autoLink;
      const explained = dialect?.explain?.(error, { address: settings.address, externalAddress, direction, name });
      if (explained !== undefined) router.log('ROUTER_CORE', 'warning', explained);
    }
    const isSame = error !== undefined && error.condition === this.#lastCondition;
    this.#lastCondition = error?.condition;
    this.#sameInARow = isSame && this.failures > 1 ? this.#sameInARow + 1 : 1;
    const { failures: attempt } = this;
    const failure = { attempt, sameInARow: this.#sameInARow, attachedMs, isRepeated: isSame && !wasActive };
    const delay = dialect?.retryDelay?.(error, failure, own) ?? (this.failures === 1 ? FIRST_RETRY_MS : RETRY_MS);
    this.#attachLater(delay);
    this.#autoLink.lastFailure = { error, normal };
    if (normal && dialect?.awaitsLinks === true) this.#autoLink.expectBack(this.#pinned, router);
    else this.#autoLink.stopWaiting();
    this.#become(normal ? 'idle' : 'failed');
  }

  #attachLater(ms: number): void {
    const { connection } = this;
    const { clock } = connection.router;
    this.nextAttempt = clock.now() + ms;
    this.#cancelRetry = clock.after(ms, () => {
      this.#cancelRetry = undefined;
      if (this.link === undefined && connection.takesLinks) this.attach();
    });
  }

  #attachedMs(): number {
    return this.connection.router.clock.now() - this.#activeSince;
  }

  #log(level: 'info' | 'warning', what: string): void {
    const { settings, name } = this.#autoLink;
    const { containerId } = settings;
    const where =
      containerId === undefined ? `connection ${this.connection.settings.name ?? ''}` : `container ${containerId}`;
    this.connection.router.log('ROUTER_CORE', level, `${what} '${name}' on ${where}`);
  }

  #become(status: AutoLinkStatus): void {
    this.status = status;
    this.#autoLink.onChange?.(this.#autoLink);
  }
}

/** Selectors are filters of this name, whatever the container. */
function selectorOf(filter: string | undefined): Map<AmqpValue, AmqpValue> | undefined {
  if (filter === undefined) return undefined;
  return new Map([[symbol('apache.org:selector-filter:string'), new Described(ulong(0x468c_0000_0004n), filter)]]);
}

/** There are messages on it whose outcome is not known. */
function isBusy(link: IncomingLink | OutgoingLink): boolean {
  return link instanceof IncomingLink ? link.unsettledCount > 0 : link.unsettled + link.queued > 0;
}
