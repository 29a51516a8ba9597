// SPDX-License-Identifier: Apache-2.0
import type { AmqpErrorFields } from '@pointsman/wire';
import type { Address } from './address.js';
import { FALLBACK_PHASE } from './address-text.js';
import { AutoLinkAttachment } from './auto-link-attachment.js';
import { emptyTally } from './custody.js';
import type { CustodyTally, HeldMessages } from './custody.js';
import type { IncomingLink } from './incoming-link.js';
import type { OutgoingLink } from './outgoing-link.js';
import type { Router } from './router.js';
import type { RouterConnection } from './router-connection.js';
import type { AutoLinkSettings, Direction } from './settings.js';

/** `operStatus` of management. */
export type AutoLinkStatus = 'inactive' | 'attaching' | 'failed' | 'active' | 'quiescing' | 'idle';

/** Of several attachments the one that has come furthest speaks for all. */
const RANK: readonly AutoLinkStatus[] = ['inactive', 'quiescing', 'failed', 'idle', 'attaching', 'active'];

/** So long a node waits for a link that is expected back. */
const BACK_MS = 5_000;

/** How an attachment ended while its connection lived. */
export interface AutoLinkFailure {
  readonly error: AmqpErrorFields | undefined;
  /** It belongs to the normal course of things. */
  readonly normal: boolean;
}

/**
 * A link that the router attaches at containers on its own account: one at each connection of its container, for as long
 * as that is open.
 */
export class AutoLink {
  readonly settings: AutoLinkSettings;
  readonly id: number;
  /** Whether somebody gave it the name. */
  readonly isNamed: boolean;
  readonly name: string;
  /** Description of the last failure; a later success does not clear it. */
  lastError: string | undefined = undefined;
  lastFailure: AutoLinkFailure | undefined = undefined;
  /** Times that a link was active. */
  activations = 0;
  /** Its messages are the router's to answer for beyond the link: {@link tally} says something. */
  hasCustody = false;
  /** What became of messages apart from the ordinary course. */
  readonly tally: CustodyTally = emptyTally();
  /** @internal what its links have taken from the container, and have not settled. */
  readonly inHand: HeldMessages = new Map();
  /** Told of every change of {@link status}. */
  onChange: ((autoLink: AutoLink) => void) | undefined = undefined;
  readonly #attachments = new Map<RouterConnection, AutoLinkAttachment>();
  /** Failures in a row at the connection that was lost last: a link that costs its connection starts no better. */
  #formerFailures = 0;
  /** Node whose messages wait for its link. */
  #awaiting: Address | undefined;

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

  get isFallback(): boolean {
    return this.settings.fallback === true;
  }

  get phase(): number {
    return this.settings.phase ?? (this.direction === 'in' && !this.isFallback ? 1 : 0);
  }

  /** Phase of the node that it belongs to. */
  get nodePhase(): number {
    return this.isFallback && this.direction === 'out' ? FALLBACK_PHASE : this.phase;
  }

  get status(): AutoLinkStatus {
    let best = 0;
    for (const { status } of this.#attachments.values()) best = Math.max(best, RANK.indexOf(status));
    return RANK[best]!;
  }

  /** The link that was made last. */
  get link(): IncomingLink | OutgoingLink | undefined {
    return this.#latest?.link;
  }

  /** Connection that it was last activated on. */
  get connection(): RouterConnection | undefined {
    return this.#latest?.connection;
  }

  /** Links that are there now, one for each connection of the container. */
  get links(): (IncomingLink | OutgoingLink)[] {
    return [...this.#attachments.values()].flatMap(({ link }) => link ?? []);
  }

  /** Refusals and detaches in a row, none of them after the link had been up for some seconds, as it may be now. */
  get failures(): number {
    let most = this.#attachments.size === 0 ? this.#formerFailures : 0;
    for (const { currentFailures } of this.#attachments.values()) most = Math.max(most, currentFailures);
    return most;
  }

  /** Monotonic ms of the next attempt, while one is planned. */
  get nextAttempt(): number | undefined {
    let next: number | undefined;
    for (const { nextAttempt } of this.#attachments.values())
      if (nextAttempt !== undefined && (next === undefined || nextAttempt < next)) next = nextAttempt;
    return next;
  }

  get #latest(): AutoLinkAttachment | undefined {
    const attachments = [...this.#attachments.values()];
    return attachments.findLast(({ link }) => link !== undefined) ?? attachments.at(-1);
  }

  /**
   * Its link to a container went in the normal course of things: what is sent to its node meanwhile waits for it, for some
   * seconds.
   */
  expectBack(address: Address | undefined, router: Router): void {
    if (this.direction !== 'out' || address === undefined || router.isStopping) return;
    address.awaitedUntil = router.clock.now() + BACK_MS;
    this.#awaiting = address;
  }

  /** It is back, or will not be for some time. */
  stopWaiting(): void {
    const address = this.#awaiting;
    this.#awaiting = undefined;
    if (address === undefined) return;
    address.awaitedUntil = 0;
    address.gaveUp();
  }

  matches(connection: RouterConnection): boolean {
    return connection.isContainerOf(this.settings);
  }

  /** Attaches at a connection that is open. */
  activate(connection: RouterConnection): void {
    if (this.#attachments.has(connection) || !connection.takesLinks) return;
    const attachment = new AutoLinkAttachment(this, connection, this.#formerFailures);
    this.#attachments.set(connection, attachment);
    attachment.attach();
  }

  /** A connection is gone. */
  deactivate(connection: RouterConnection): void {
    const attachment = this.#attachments.get(connection);
    if (attachment === undefined) return;
    this.#attachments.delete(connection);
    attachment.stop();
    this.#formerFailures = attachment.failures;
    this.onChange?.(this);
  }

  /** It is no longer configured: what is attached is detached. */
  remove(): void {
    this.onChange = undefined;
    this.stopWaiting();
    for (const attachment of this.#attachments.values()) attachment.leave();
    this.#attachments.clear();
  }
}
