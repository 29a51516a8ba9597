// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED, RELEASED, type OutgoingDelivery, type SenderHandler, type SenderLink } from '@pointsman/engine';
import type { AmqpErrorFields, DeliveryState, Rejected } from '@pointsman/wire';
import { brokerAnnotations, encodedMessage } from './broker-annotations.js';
import type { Refusal } from './entity.js';
import type { NamespaceHost } from './host.js';
import { joined } from './incoming-payload.js';
import type { Consumer, ReceiveMode } from './consumer.js';
import type { MessageQueue } from './message-queue.js';
import type { LinkOwner, LinkUse, NamespaceLink } from './namespace-link.js';
import { settlementOf } from './outcome.js';
import type { Right } from './policy.js';
import { settleRefusal, type Settlement } from './settlement.js';
import type { MessageSession } from './message-session.js';
import type { Lock, StoredMessage } from './stored-message.js';
import type { Transactions } from './transactions.js';

export interface ConsumerSettings {
  readonly entityPath: string;
  readonly nodePath: string;
  readonly messages: MessageQueue;
  readonly mode: ReceiveMode;
  /** Path of the queue or topic, which transactions go by, lower case. */
  readonly topLevelPath: string;
  readonly transactions: Transactions;
  readonly host: NamespaceHost;
  /** A fault that is asked for: why the next settlement fails. */
  readonly settlementFault: () => Refusal | undefined;
  /** A message was handed out. */
  readonly onTaken: () => void;
  readonly tracked: (text: string) => string;
}

const REJECTED: Rejected = Object.freeze({ type: 'rejected', error: undefined });

/** A link on which the peer receives from a queue, a subscription or a dead-letter queue. */
export class ConsumerLink implements NamespaceLink, SenderHandler, Consumer {
  readonly use: LinkUse = 'consumer';
  readonly rights: readonly Right[] = ['Listen'];
  readonly link: SenderLink;
  readonly entityPath: string;
  readonly nodePath: string;
  readonly mode: ReceiveMode;
  readonly session: MessageSession | undefined = undefined;
  lastActivity: number;
  readonly #settings: ConsumerSettings;
  readonly #owner: LinkOwner;
  /** A message of which only a part is written yet, from where it goes on. */
  #rest: { readonly bytes: Uint8Array; position: number } | undefined;

  constructor(link: SenderLink, owner: LinkOwner, settings: ConsumerSettings) {
    this.link = link;
    this.entityPath = settings.entityPath;
    this.nodePath = settings.nodePath;
    this.mode = settings.mode;
    this.lastActivity = settings.host.clock.now();
    this.#owner = owner;
    this.#settings = settings;
  }

  /** Joins the line at the entity. To be called once the attach is out. */
  start(): void {
    this.#settings.messages.addConsumer(this);
  }

  hasRoom(): boolean {
    return this.#rest === undefined && this.link.sendable;
  }

  take(message: StoredMessage, lock: Lock | undefined): void {
    const { host, onTaken } = this.#settings;
    onTaken();
    const bytes = joined(encodedMessage(message, brokerAnnotations(message, lock, host), host));
    this.link.send(lock?.tag, message.content.format, lock === undefined, lock?.token, bytes, 0, bytes.length, true);
    if (this.link.sentBytes < bytes.length) this.#rest = { bytes, position: this.link.sentBytes };
    this.#owner.onActivity(this);
  }

  onSendable(link: SenderLink): void {
    const rest = this.#rest;
    if (rest !== undefined) {
      rest.position += link.resume(rest.bytes, rest.position, rest.bytes.length, true);
      if (rest.position < rest.bytes.length) return;
      this.#rest = undefined;
    }
    this.#settings.messages.wake(this);
    if (link.draining) this.onDrain(link);
  }

  onDrain(link: SenderLink): void {
    // Everything that could be handed out was, when the credit came with the same flow. A message that is half written
    // is finished first.
    if (this.#rest === undefined) link.drained();
  }

  onDisposition(
    link: SenderLink,
    delivery: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const token = delivery.context;
    if (typeof token !== 'string') return;
    this.#owner.onActivity(this);
    const isTransactional = state !== undefined && 'type' in state && state.type === 'transactional-state';
    const settlement = settlementOf(isTransactional ? state.outcome : state);
    // Settled without an outcome: the lock ends by itself.
    if (settlement === undefined) return;
    const fault = this.#settings.settlementFault();
    if (fault !== undefined) {
      if (!settled) link.settle(delivery, this.#rejection(fault));
      return;
    }
    if (isTransactional) {
      const refusal = this.#enlist(state.txnId, token, settlement);
      if (!settled) link.settle(delivery, refusal === undefined ? state : this.#rejection(refusal));
      return;
    }
    const refusal = settleRefusal(this.#settings.messages.settle(token, settlement));
    // Settled in one step (receiver settle mode first): a late one is ignored, and its sender never hears of it.
    if (settled) return;
    link.settle(delivery, refusal === undefined ? echoOf(state) : this.#rejection(refusal));
  }

  #enlist(txnId: Uint8Array, lockToken: string, settlement: Settlement): Refusal | undefined {
    const { transactions, messages, topLevelPath } = this.#settings;
    return transactions.enlist(txnId, {
      entityPath: topLevelPath,
      lockToken,
      sizeBytes: 0,
      check: () => settleRefusal(messages.wouldSettle(lockToken, settlement)),
      apply: () => {
        messages.settle(lockToken, settlement);
      },
    });
  }

  #rejection(refusal: Refusal): Rejected {
    return { type: 'rejected', error: { ...refusal, description: this.#settings.tracked(refusal.description) } };
  }

  onDetach(): void {
    this.#owner.onGone(this);
  }

  onLost(_link: unknown, _error: AmqpErrorFields | undefined): void {
    this.#owner.onGone(this);
  }

  /** What it held stays locked until the locks end: no new link can settle it. */
  onGone(): void {
    this.#rest = undefined;
    this.#settings.messages.removeConsumer(this);
  }
}

/** The outcome as it is said back. Shared objects let a run of settlements leave as one disposition. */
function echoOf(state: DeliveryState | undefined): DeliveryState | undefined {
  if (state === undefined || !('type' in state)) return state;
  if (state.type === 'accepted') return ACCEPTED;
  if (state.type === 'released') return RELEASED;
  return state.type === 'rejected' ? REJECTED : state;
}
