// SPDX-License-Identifier: Apache-2.0
import { IncomingDelivery, ReceiverLink } from '@pointsman/engine';
import type { SenderLink } from '@pointsman/engine';
import type { DeliveryState } from '@pointsman/wire';
import { LinkRecord } from './link-record.js';
import type { RoutedLink } from './routed-link.js';
import type { RouterConnection } from './router-connection.js';
import type { Direction } from './settings.js';

/** One of the two links that a routed link joins. */
export class RoutedEnd extends LinkRecord {
  readonly link: SenderLink | ReceiverLink;
  readonly direction: Direction;
  /** Key of the address that the client asked for; undefined for a coordinator. */
  readonly owningKey: string | undefined;
  readonly capacity: number;
  /** The other one. */
  peer: RoutedEnd | undefined = undefined;
  readonly #routed: RoutedLink;

  constructor(
    connection: RouterConnection,
    routed: RoutedLink,
    link: SenderLink | ReceiverLink,
    owningKey: string | undefined,
    capacity: number,
  ) {
    super(connection);
    this.#routed = routed;
    this.link = link;
    this.direction = link instanceof ReceiverLink ? 'in' : 'out';
    this.owningKey = owningKey;
    this.capacity = capacity;
  }

  override get peerId(): number | undefined {
    return this.peer?.id;
  }

  /** Deliveries that wait to be sent here. */
  get undeliveredCount(): number {
    return this.direction === 'out' ? this.#routed.waiting : 0;
  }

  get unsettledCount(): number {
    const { link } = this;
    const { session } = link;
    return (link instanceof ReceiverLink ? session.unsettledOf(link) : session.unsettledOf(link)).length;
  }

  olderThan(limit: number): number {
    const { link } = this;
    if (link instanceof ReceiverLink) {
      const unsettled = link.session.unsettledOf(link);
      return unsettled.filter(({ arrivedAt, complete }) => complete && arrivedAt <= limit).length;
    }
    const unsettled = link.session.unsettledOf(link);
    const sent = unsettled.filter(({ context }) => context instanceof IncomingDelivery && context.arrivedAt <= limit);
    return sent.length + this.#routed.waitingSince(limit);
  }

  override quiesce(): void {
    if (this.link instanceof ReceiverLink && this.link.state === 'attached') this.link.withdrawCredit();
  }

  /** A delivery begins here. */
  began(settled: boolean): void {
    this.deliveries++;
    if (settled) this.presettled++;
  }

  /** A delivery that came at tick `since` is settled with an outcome. */
  ended(state: DeliveryState | undefined, since: number): void {
    this.countOutcome(state);
    this.countAge(since);
  }
}
