// SPDX-License-Identifier: Apache-2.0
import type { ReceiverLink, SenderLink } from '@pointsman/engine';
import type { DeliveryState } from '@pointsman/wire';
import type { RouterConnection } from './router-connection.js';
import type { Direction } from './settings.js';

/** Seconds over which the rate of settlements is taken. */
const RATE_SECONDS = 5;

/** What is counted of a link since its attach. Ages are in whole seconds, those of the router's {@link Router.tick}. */
export abstract class LinkRecord {
  abstract readonly link: SenderLink | ReceiverLink;
  /** `in`: messages enter the router on it. */
  abstract readonly direction: Direction;
  abstract readonly capacity: number;
  /** Key of the address that it belongs to; undefined for an anonymous one. */
  abstract get owningKey(): string | undefined;
  /** Deliveries that wait to be sent on it, and those that came or went on it and have no outcome yet. */
  abstract get undeliveredCount(): number;
  abstract get unsettledCount(): number;
  readonly connection: RouterConnection;
  /** Number in logs and management. */
  readonly id: number;
  /** The peer is a container that messages are fetched from and left at. */
  readonly atContainer: boolean;
  /** It serves a fallback destination: what it takes others did not, and what comes from it does not go back there. */
  isFallback = false;
  /** Messages that went to a fallback destination. */
  redirected = 0;
  deliveries = 0;
  presettled = 0;
  presettledDropped = 0;
  accepted = 0;
  rejected = 0;
  released = 0;
  modified = 0;
  /** Settled more than one second, and more than ten, after they came. */
  delayed1 = 0;
  delayed10 = 0;
  /** Deliveries that were too old at the last scan. */
  stuck = 0;
  /** Tick since which there is no credit; undefined while there is some. */
  zeroCreditSince: number | undefined;
  isBlocked = false;
  /** It ended with its session or connection. */
  isLost = false;
  /** Settlements that had been counted at the ticks {@link RATE_SECONDS} back to the last; none for a link without any. */
  #settledAt: number[] = [];

  constructor(connection: RouterConnection) {
    this.connection = connection;
    this.id = connection.router.nextId();
    this.atContainer = connection.settings.role === 'route-container';
    this.zeroCreditSince = connection.router.tick;
  }

  /** Number of the other half of a routed link. */
  get peerId(): number | undefined {
    return undefined;
  }

  /** The router stops: what the peer has sent by now is dealt with, and nothing is to follow. */
  quiesce(): void {
    // What leaves the router goes on leaving it.
  }

  /** Deliveries that came at tick `limit` or before and have no outcome yet. */
  abstract olderThan(limit: number): number;

  get settled(): number {
    return this.accepted + this.rejected + this.released + this.modified + this.presettled;
  }

  /** Settlements per second of late. */
  get settleRate(): number {
    const first = this.#settledAt[0];
    return first === undefined ? 0 : Math.round((this.settled - first) / RATE_SECONDS);
  }

  get zeroCreditSeconds(): number {
    return this.zeroCreditSince === undefined ? 0 : this.connection.router.tick - this.zeroCreditSince;
  }

  protected countOutcome(state: DeliveryState | undefined): void {
    if (state === undefined || !('type' in state)) return;
    switch (state.type) {
      case 'accepted':
        this.accepted++;
        break;
      case 'rejected':
        this.rejected++;
        break;
      case 'released':
        this.released++;
        break;
      case 'modified':
        this.modified++;
        break;
      default:
    }
  }

  /** A delivery that came at tick `since` is settled. */
  protected countAge(since: number): void {
    const age = this.connection.router.tick - since;
    if (age <= 1) return;
    if (age <= 10) this.delayed1++;
    else this.delayed10++;
  }

  /** Once a second. */
  sample(tick: number, credit: number): void {
    if (credit > 0) {
      this.zeroCreditSince = undefined;
      this.isBlocked = false;
    } else {
      this.zeroCreditSince ??= tick;
    }
    const { settled } = this;
    const at = this.#settledAt;
    if (at.length === 0 && settled === 0) return;
    if (at.length === 0) at.push(0);
    at.push(settled);
    if (at.length > RATE_SECONDS + 1) at.shift();
  }

  /** The numbers at the end of its log line. */
  get summary(): string {
    return `del=${this.deliveries} presett=${this.presettled} psdrop=${this.presettledDropped} acc=${this.accepted} rej=${this.rejected} rel=${this.released} mod=${this.modified} delay1=${this.delayed1} delay10=${this.delayed10} blocked=${this.isBlocked ? 'yes' : 'no'}`;
  }
}
