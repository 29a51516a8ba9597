// SPDX-License-Identifier: Apache-2.0
import {
  ACCEPTED,
  type IncomingDelivery,
  type ReceiverHandler,
  type ReceiverLink,
  type TransferFrame,
} from '@pointsman/engine';
import {
  AmqpSymbol,
  decodeMessage,
  DeclareCode,
  Described,
  DischargeCode,
  RemoteProtocolError,
  type AmqpValue,
  type DeliveryState,
} from '@pointsman/wire';
import type { Refusal } from './entity.js';
import { IncomingPayload } from './incoming-payload.js';
import { numberOf } from './message-content.js';
import type { LinkOwner, LinkUse, NamespaceLink } from './namespace-link.js';
import type { Right } from './policy.js';
import type { Transactions } from './transactions.js';

export interface CoordinatorSettings {
  readonly transactions: Transactions;
  readonly now: () => number;
  readonly tracked: (text: string) => string;
}

/** Bytes of a declare or a discharge; both have a few dozen. */
const SIZE_MAX = 65_536;
const CREDIT = 100;

/** The link on which the peer declares and discharges transactions. When it goes, what is open is rolled back. */
export class CoordinatorLink implements NamespaceLink, ReceiverHandler {
  readonly use: LinkUse = 'coordinator';
  readonly rights: readonly Right[] = [];
  readonly link: ReceiverLink;
  readonly entityPath = '';
  readonly nodePath = '';
  lastActivity: number;
  readonly #owner: LinkOwner;
  readonly #settings: CoordinatorSettings;
  readonly #onGone: () => void;
  readonly #payload = new IncomingPayload();

  constructor(link: ReceiverLink, owner: LinkOwner, settings: CoordinatorSettings, onGone: () => void) {
    this.link = link;
    this.lastActivity = settings.now();
    this.#owner = owner;
    this.#settings = settings;
    this.#onGone = onGone;
  }

  start(): void {
    this.link.addCredit(CREDIT);
  }

  onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    if (this.#payload.size > SIZE_MAX) {
      this.#owner.detach(this, {
        condition: 'amqp:link:message-size-exceeded',
        description: `A message to the coordinator has at most ${SIZE_MAX} bytes.`,
      });
      return;
    }
    const bytes = this.#payload.add(delivery, frame);
    if (!delivery.complete) return;
    link.addCredit(1);
    if (bytes === undefined) return;
    this.#owner.onActivity(this);
    const answer = this.#answer(bytes);
    link.settle(
      delivery,
      'condition' in answer
        ? { type: 'rejected', error: { ...answer, description: this.#settings.tracked(answer.description) } }
        : answer,
    );
  }

  #answer(bytes: Uint8Array): DeliveryState | Refusal {
    const { transactions } = this.#settings;
    let value: AmqpValue;
    try {
      const { body } = decodeMessage(bytes);
      value = body?.kind === 'value' ? body.value : null;
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      return { condition: error.condition, description: error.description };
    }
    const code = value instanceof Described ? codeOf(value.descriptor) : undefined;
    const fields = value instanceof Described && Array.isArray(value.value) ? value.value : [];
    if (code === DeclareCode) {
      const id = transactions.declare();
      return id instanceof Uint8Array ? { type: 'declared', txnId: id } : id;
    }
    const [id, fail] = fields;
    if (code === DischargeCode && id instanceof Uint8Array)
      return transactions.discharge(id, fail === true) ?? ACCEPTED;
    return {
      condition: 'amqp:not-implemented',
      description: 'The coordinator takes a declare, or a discharge with the id of a transaction.',
    };
  }

  onDetach(): void {
    this.#owner.onGone(this);
  }

  onLost(): void {
    this.#owner.onGone(this);
  }

  onGone(): void {
    this.#onGone();
    this.#settings.transactions.rollBackAll();
  }
}

function codeOf(descriptor: AmqpValue): number | undefined {
  if (!(descriptor instanceof AmqpSymbol)) return numberOf(descriptor);
  if (descriptor.value === 'amqp:declare:list') return DeclareCode;
  return descriptor.value === 'amqp:discharge:list' ? DischargeCode : undefined;
}
