// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { OutgoingDelivery, SenderHandler, SenderLink } from '@pointsman/engine';
import type { AmqpErrorFields, Attach, DeliveryState } from '@pointsman/wire';
import type { Client } from './client.js';
import { kindOf } from './message.js';
import type { Message } from './message.js';

/** Bytes of a first part: enough for what a message is known by. */
const FIRST_PART = 600;

/** A link that a client sends on. */
export class Producer implements SenderHandler {
  readonly id: number;
  /** Undefined where the router itself sends. */
  readonly client: Client;
  /** Undefined where each message names its own. */
  readonly address: string | undefined;
  node: string | undefined;
  /** Its receiver waits for its word before it settles. */
  readonly confirms: boolean;
  link!: SenderLink;
  attach: Attach | undefined;
  error: AmqpErrorFields | undefined;
  ended = false;
  /** Its autolink was taken out: it gets no credit. */
  retires = false;
  readonly messages: Message[] = [];
  /** Deliveries whose outcome was told and that are for this side to settle. */
  readonly unconfirmed: { readonly delivery: OutgoingDelivery; readonly state: DeliveryState }[] = [];
  /** The message of which more is to come, and how far it may go by now. */
  #current: { readonly message: Message; readonly delivery: OutgoingDelivery; at: number; goal: number } | undefined;

  constructor(
    id: number,
    client: Client | undefined,
    address: string | undefined,
    node: string | undefined,
    confirms: boolean,
  ) {
    this.id = id;
    this.client = client!;
    this.address = address;
    this.node = node;
    // On a link that is routed each end settles as it likes.
    this.confirms = confirms || node?.startsWith('routed') === true;
  }

  /** A link from a container that is spoken to in a dialect. */
  get isStrict(): boolean {
    return this.id >= 0 && this.node?.startsWith('routed') === false && this.client.settings.isStrict;
  }

  get name(): string {
    return this.id < 0 ? 'the router' : `producer ${this.id}`;
  }

  get attached(): boolean {
    return !this.ended && this.link.state === 'attached' && this.attach?.target !== undefined;
  }

  get mayBegin(): boolean {
    return this.attached && this.#current === undefined && this.link.sendable;
  }

  /** The message that it has begun and not handed over whole. */
  get open(): Message | undefined {
    return this.#current === undefined || this.ended ? undefined : this.#current.message;
  }

  /** Hands over a message, or its first part. */
  begin(message: Message, whole: boolean): void {
    this.messages.push(message);
    const { bytes } = message;
    const goal = whole ? bytes.length : Math.min(FIRST_PART, bytes.length - 1);
    if (whole) this.#handedOver(message);
    const delivery = this.link.send(message.tag, 0, message.settled, message, bytes, 0, goal, whole);
    this.#current = { message, delivery, at: this.link.sentBytes, goal };
    this.#pump();
  }

  /** Hands over `count` more bytes of the open message, or all that is left. */
  more(count: number): void {
    const current = this.#current;
    if (current === undefined || this.ended || current.message.stage !== 'arriving') return;
    const left = current.message.bytes.length - current.goal;
    if (count >= left) this.#handedOver(current.message);
    current.goal += Math.min(count, left);
    this.#pump();
  }

  #handedOver(message: Message): void {
    message.stage = 'whole';
    message.handedAt = this.client.field.step;
  }

  abort(): void {
    const current = this.#current;
    if (current === undefined || this.ended || current.message.stage === 'aborted') return;
    current.message.stage = 'aborted';
    this.link.abort();
    if (this.link.current === undefined) this.#close();
  }

  confirm(): void {
    for (const { delivery, state } of this.unconfirmed.splice(0)) {
      (delivery.context as Message).confirmedAt = this.client.field.step;
      this.link.settle(delivery, state);
    }
  }

  #pump(): void {
    const current = this.#current;
    if (current === undefined) return;
    const { message, delivery, goal } = current;
    if (message.stage === 'aborted') {
      if (this.link.current === undefined) this.#close();
      return;
    }
    const last = goal === message.bytes.length;
    while (current.at < goal || (last && !delivery.complete)) {
      if (!this.link.resumable) return;
      current.at += this.link.resume(message.bytes, current.at, goal, last);
    }
    if (!last) return;
    message.handedAt = this.client.field.step;
    this.#close();
  }

  /** The message is out; a drain that came meanwhile is answered. */
  #close(): void {
    this.#current = undefined;
    if (this.link.draining) this.link.drained();
  }

  // ---- SenderHandler ----

  onAttached(_link: unknown, attach: Attach): void {
    this.attach = attach;
  }

  onSendable(): void {
    this.#pump();
  }

  onDrain(link: SenderLink): void {
    if (link.current === undefined) link.drained();
  }

  onDisposition(
    _link: SenderLink,
    delivery: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const message = delivery.context as Message;
    if (!settled) {
      if (kindOf(state) === 'received') return;
      assert.ok(
        this.confirms,
        `${message.name}: ${kindOf(state)} without settlement, on a link that did not ask for that`,
      );
      this.unconfirmed.push({ delivery, state: state! });
    } else if (message.told && this.confirms) {
      const at = this.unconfirmed.findIndex((other) => other.delivery === delivery);
      assert.ok(at >= 0, `${message.name} has two outcomes`);
      this.unconfirmed.splice(at, 1);
      message.confirmedAt = this.client.field.step;
      assert.equal(kindOf(state), kindOf(message.outcome), `${message.name} is settled otherwise than was told`);
      return;
    }
    assert.ok(!message.told, `${message.name} has two outcomes: ${kindOf(message.outcome)} and ${kindOf(state)}`);
    assert.ok(!message.settled, `${message.name} was sent settled and has an outcome`);
    message.told = true;
    message.outcome = state;
    this.client.field.ledger.told(message);
  }

  onDetach(_link: unknown, error: AmqpErrorFields | undefined): void {
    this.error = error;
    this.end();
  }

  onLost(_link: unknown, error: AmqpErrorFields | undefined): void {
    this.error = error;
    this.end();
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    if (this.#current?.message.stage === 'arriving') this.#current.message.stage = 'aborted';
    // Handed over, but not written: nobody will ever see the rest.
    if (this.#current?.message.stage === 'whole') this.#current.message.stage = 'aborted';
    this.#current = undefined;
    // Whether the last of it has come to the router, or the wire broke before, nobody knows.
    for (const message of this.messages)
      if (message.stage === 'whole' && message.handedAt > this.client.field.silentAt) message.stage = 'in doubt';
  }
}
