// SPDX-License-Identifier: Apache-2.0
import {
  ACCEPTED,
  type IncomingDelivery,
  type ReceiverHandler,
  type ReceiverLink,
  type TransferFrame,
} from '@pointsman/engine';
import { RemoteProtocolError, type AmqpErrorFields } from '@pointsman/wire';
import type { Refusal } from './entity.js';
import { IncomingPayload } from './incoming-payload.js';
import { messagesOf, type MessageContent } from './message-content.js';
import type { LinkOwner, LinkUse, NamespaceLink } from './namespace-link.js';
import type { Right } from './policy.js';
import { TransactionOf } from './transaction-of.js';

/** A message beyond the limit of its entity is rejected; beyond this one, and the entity's, it ends the link. Bytes. */
const LINK_SIZE_MAX = 1_048_576;

export interface PublisherSettings {
  readonly entityPath: string;
  readonly nodePath: string;
  /** Largest message in bytes. */
  readonly maxMessageSize: number;
  /** Bytes of a message that end the link; 1 MiB, and not less than what is taken, unless given. */
  readonly linkSizeMax?: number;
  /** Link credit that is held open. */
  readonly credit: number;
  readonly now: () => number;
  /** Takes the messages of one transfer, all or none; within a transaction where `txnId` is given. */
  readonly send: (contents: readonly MessageContent[], txnId: Uint8Array | undefined) => Refusal | undefined;
  /** An id for a message that comes without one; undefined where it stays without. */
  readonly newMessageId: (() => string) | undefined;
  /** Appends tracking to a text that goes out. */
  readonly tracked: (text: string) => string;
}

/** A link on which the peer sends to a queue or a topic. */
export class PublisherLink implements NamespaceLink, ReceiverHandler {
  readonly use: LinkUse = 'publisher';
  readonly rights: readonly Right[] = ['Send'];
  readonly link: ReceiverLink;
  readonly entityPath: string;
  readonly nodePath: string;
  lastActivity: number;
  readonly #settings: PublisherSettings;
  readonly #owner: LinkOwner;
  readonly #payload = new IncomingPayload();
  readonly #transaction = new TransactionOf();
  /** Size of the delivery whose frames are coming. */
  #size = 0;

  constructor(link: ReceiverLink, owner: LinkOwner, settings: PublisherSettings) {
    this.link = link;
    this.entityPath = settings.entityPath;
    this.nodePath = settings.nodePath;
    this.lastActivity = settings.now();
    this.#owner = owner;
    this.#settings = settings;
  }

  /** Gives the first credit. To be called once the attach is out. */
  start(): void {
    this.link.addCredit(this.#settings.credit);
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    const { maxMessageSize, linkSizeMax = Math.max(maxMessageSize, LINK_SIZE_MAX) } = this.#settings;
    this.#size += frame.payloadEnd - frame.payloadStart;
    const isTooLarge = this.#size > maxMessageSize && !delivery.aborted;
    if (isTooLarge && this.#size > linkSizeMax) {
      // The service proper never sees so much: its AMQP layer ends the link.
      this.#owner.detach(this, this.#tooLarge(delivery));
      return;
    }
    this.#transaction.take(frame);
    const bytes = isTooLarge ? this.#payload.clear() : this.#payload.add(delivery, frame);
    if (!delivery.complete) return;
    const txnId = this.#transaction.end();
    const tooLarge = isTooLarge ? this.#tooLarge(delivery) : undefined;
    this.#size = 0;
    // The engine puts top-ups together: the peer hears of them when half of its credit is used up.
    link.addCredit(1);
    if (bytes === undefined && tooLarge === undefined) return;
    this.#owner.onActivity(this);
    const refusal = bytes === undefined ? tooLarge : this.#take(bytes, delivery, txnId);
    // What came settled gets no answer, taken or not; settling it again is without effect.
    if (refusal === undefined)
      link.settle(delivery, txnId === undefined ? ACCEPTED : { type: 'transactional-state', txnId, outcome: ACCEPTED });
    else
      link.settle(delivery, {
        type: 'rejected',
        error: { ...refusal, description: this.#settings.tracked(refusal.description) },
      });
  }

  #tooLarge(delivery: IncomingDelivery): Refusal {
    return {
      condition: 'amqp:link:message-size-exceeded',
      description:
        `The received message (delivery-id:${delivery.id}, size:${this.#size} bytes) exceeds the limit ` +
        `(${this.#settings.maxMessageSize} bytes) currently allowed on the link.`,
    };
  }

  #take(bytes: Uint8Array, delivery: IncomingDelivery, txnId: Uint8Array | undefined): Refusal | undefined {
    try {
      return this.#settings.send(messagesOf(bytes, delivery.messageFormat, this.#settings.newMessageId), txnId);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      return { condition: error.condition, description: error.description };
    }
  }

  onDetach(): void {
    this.#owner.onGone(this);
  }

  onLost(_link: unknown, _error: AmqpErrorFields | undefined): void {
    this.#owner.onGone(this);
  }

  onGone(): void {
    // Nothing is kept for a link that has gone: there is no resuming.
  }
}
