// SPDX-License-Identifier: Apache-2.0
import type { AmqpErrorFields, Attach } from '@pointsman/wire';
import type { Address } from './address.js';
import { IncomingLink } from './incoming-link.js';
import { OutgoingLink } from './outgoing-link.js';
import type { LinkOwner } from './outgoing-link.js';
import type { RouterConnection } from './router-connection.js';
import type { AutoLinkSettings, Direction } from './settings.js';

/** `operStatus` of management. */
export type AutoLinkStatus = 'inactive' | 'attaching' | 'failed' | 'active' | 'quiescing' | 'idle';

/** Messages beyond its credit that a container may send, as a multiple of the link's capacity. */
const TOLERANCE = 4;
/** First retry of a refused attach, and those after it, in ms; a dialect may know better. */
const FIRST_RETRY_MS = 2_000;
const RETRY_MS = 5_000;

/** A link that was up for so long has recovered: what ends it is a first failure again. */
const STEADY_MS = 10_000;
/** What ends a link in the normal course of things does so now and then. Oftener than this in a row, something is wrong. */
const NORMAL_ENDS_MAX = 5;

/** A link that the router attaches at a container on its own account, for as long as the container is connected. */
export class AutoLink implements LinkOwner {
  readonly settings: AutoLinkSettings;
  readonly id: number;
  /** Whether somebody gave it the name. */
  readonly isNamed: boolean;
  readonly name: string;
  status: AutoLinkStatus = 'inactive';
  /** Description of the last failure; a later success does not clear it. */
  lastError: string | undefined = undefined;
  /** Refusals and detaches in a row, none of them after the link had been up for {@link STEADY_MS}. */
  failures = 0;
  /** Times that the link was active. */
  activations = 0;
  /** Monotonic ms of the next attempt, while one is planned. */
  nextAttempt: number | undefined = undefined;
  connection: RouterConnection | undefined = undefined;
  link: IncomingLink | OutgoingLink | undefined = undefined;
  #refused = false;
  #pinned: Address | undefined;
  #activeSince = 0;
  #cancelRetry: (() => void) | undefined;
  /** Gives back what {@link ContainerDialect.authorize} gave. */
  #release: ((error?: AmqpErrorFields) => void) | undefined;

  constructor(settings: AutoLinkSettings, name: string | undefined, id: number) {
    this.settings = settings;
    this.id = id;
    this.isNamed = name !== undefined;
    this.name = name ?? `autoLink/${id}`;
  }

  get direction(): Direction {
    return this.settings.direction;
  }

  /** Name of the node at the container. */
  get externalAddress(): string {
    return this.settings.externalAddress ?? this.settings.address;
  }

  get phase(): number {
    return this.settings.phase ?? (this.direction === 'in' ? 1 : 0);
  }

  matches(connection: RouterConnection): boolean {
    return connection.isContainerOf(this.settings);
  }

  /** Attaches at a connection that has opened. */
  activate(connection: RouterConnection): void {
    if (this.connection !== undefined) return;
    this.connection = connection;
    this.#attach();
  }

  /** Keeps the node while the link is on its way. */
  #pin(address: Address | undefined): void {
    if (address !== undefined) address.pins++;
    const former = this.#pinned;
    this.#pinned = address;
    if (former === undefined) return;
    former.pins--;
    this.connection?.router.addressLeft(former);
  }

  /** The connection is gone. */
  deactivate(): void {
    if (this.status === 'active' && this.#attachedMs() >= STEADY_MS) this.failures = 0;
    this.#pin(undefined);
    this.#forsake(undefined);
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.nextAttempt = undefined;
    this.connection = undefined;
    this.link = undefined;
    this.#become('inactive');
  }

  /** It is no longer configured: what is attached is detached. */
  remove(): void {
    const { link, connection } = this;
    this.onChange = undefined;
    if (link !== undefined && connection !== undefined) {
      link.owner = undefined;
      link.leave();
      connection.router.log('ROUTER_CORE', 'info', `Auto Link Deactivated ${this.#where()}`);
    }
    this.deactivate();
  }

  #attach(): void {
    const connection = this.connection!;
    const router = connection.router;
    this.nextAttempt = undefined;
    this.#refused = false;
    this.#become('attaching');
    const address = router.bind(this.settings.address, this.phase, true);
    this.#pin(address);
    this.#release = connection.dialect?.authorize?.(this.externalAddress, this.direction, (error) => {
      if (error === undefined) this.#attachTo(address);
      else this.ended(error, false);
    });
    if (connection.dialect?.authorize === undefined) this.#attachTo(address);
  }

  #forsake(error: AmqpErrorFields | undefined): void {
    const release = this.#release;
    this.#release = undefined;
    release?.(error);
  }

  #attachTo(address: Address | undefined): void {
    const connection = this.connection!;
    const { dialect, router } = connection;
    const session = connection.autoLinkSession();
    const name = `qdlink.${router.randomText(15)}`;
    const terminus = this.externalAddress;
    // The near terminus is empty, not null: to many peers a null one means a refusal.
    if (this.direction === 'in') {
      const capacity = Math.min(connection.linkCapacity, dialect?.inboundCredit ?? Infinity);
      const link = new IncomingLink(connection, address, this.settings.address, capacity);
      link.owner = this;
      this.link = link;
      link.link = session.attachReceiver(name, link, {
        source: { type: 'source', address: terminus },
        target: { type: 'target' },
        sndSettleMode: dialect === undefined ? 2 : 0,
        rcvSettleMode: dialect?.settleSecond === true ? 1 : 0,
      });
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
        target: { type: 'target', address: terminus },
        sndSettleMode: dialect === undefined ? 2 : 0,
        rcvSettleMode: 0,
      });
      link.link.context = link;
      connection.links.add(link);
      link.pendingAddress = address;
    }
  }

  // ---- LinkOwner ----

  attached(attach: Attach): void {
    const terminus = this.direction === 'in' ? attach.source : attach.target;
    if (terminus === undefined) {
      // Refused: the detach that follows says why.
      this.#refused = true;
      return;
    }
    const link = this.link;
    const connection = this.connection!;
    this.activations++;
    this.#activeSince = connection.router.clock.now();
    if (link instanceof IncomingLink) connection.router.startProducer(link, link.link);
    else link?.start();
    if (link !== undefined) connection.logAttached(this.direction, link.link, attach, link.id);
    this.#become('active');
    connection.router.log('ROUTER_CORE', 'info', `Auto Link Activated ${this.#where()}`);
  }

  ended(error: AmqpErrorFields | undefined, lost: boolean): void {
    const connection = this.connection;
    if (connection === undefined) return;
    const wasActive = this.status === 'active';
    this.link = undefined;
    this.#forsake(error);
    const { dialect } = connection;
    const description =
      error?.description ??
      error?.condition ??
      (this.#refused ? 'refused without a reason' : 'detached without a reason');
    // Gone with its connection: that is no failure of its own, and deactivation follows.
    if (lost && !connection.connection.isOpen) return;
    const router = connection.router;
    const attachedMs = wasActive ? this.#attachedMs() : 0;
    this.lastError = description;
    this.failures = attachedMs >= STEADY_MS ? 1 : this.failures + 1;
    const normal = wasActive && this.failures <= NORMAL_ENDS_MAX && dialect?.isNormalEnd?.(error) === true;
    if (normal) {
      router.log(
        'ROUTER_CORE',
        'info',
        `Auto Link Detached by its container, attaching again. ${description} ${this.#where()}`,
      );
    } else {
      router.log('ROUTER_CORE', 'warning', `Auto Link Activation Failed. ${description} ${this.#where()}`);
      const explained = dialect?.explain?.(error, {
        address: this.settings.address,
        externalAddress: this.externalAddress,
        direction: this.direction,
        name: this.name,
      });
      if (explained !== undefined) router.log('ROUTER_CORE', 'warning', explained);
    }
    const delay =
      dialect?.retryDelay?.(error, this.failures, attachedMs) ?? (this.failures === 1 ? FIRST_RETRY_MS : RETRY_MS);
    this.nextAttempt = router.clock.now() + delay;
    this.lastFailure = { error, normal };
    this.#become(normal ? 'idle' : 'failed');
    this.#cancelRetry = router.clock.after(delay, () => {
      this.#cancelRetry = undefined;
      if (this.connection === connection && this.link === undefined) this.#attach();
    });
  }

  /** How it last ended while its connection lived. */
  lastFailure: { readonly error: AmqpErrorFields | undefined; readonly normal: boolean } | undefined = undefined;

  #attachedMs(): number {
    return this.connection === undefined ? 0 : this.connection.router.clock.now() - this.#activeSince;
  }

  #where(): string {
    const { connection } = this;
    const container = this.settings.containerId;
    return container === undefined
      ? `'${this.name}' on connection ${connection?.settings.name ?? ''}`
      : `'${this.name}' on container ${container}`;
  }

  #become(status: AutoLinkStatus): void {
    this.status = status;
    this.onChange?.(this);
  }

  /** Told of every change of {@link status}. */
  onChange: ((autoLink: AutoLink) => void) | undefined = undefined;
}
