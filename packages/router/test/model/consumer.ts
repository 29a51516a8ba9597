// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { IncomingDelivery, ReceiverHandler, ReceiverLink, TransferFrame } from '@pointsman/engine';
import type { AmqpErrorFields, Attach, DeliveryState } from '@pointsman/wire';
import type { Client } from './client.js';
import { Receipt, idOf } from './message.js';
import { nodeOf } from './plan.js';

/** A link that a client receives on. */
export class Consumer implements ReceiverHandler {
  readonly id: number;
  readonly client: Client;
  /** As the router has it. */
  address: string | undefined;
  /** Undefined until a dynamic address is known. */
  node: string | undefined;
  /** It wants everything settled. */
  readonly settled: boolean;
  /** Bytes of the largest message that it takes. */
  readonly most: number;
  link!: ReceiverLink;
  attach: Attach | undefined;
  error: AmqpErrorFields | undefined;
  ended = false;
  /** Its autolink was taken out: it gets nothing new. */
  retires = false;
  /** Step from which on the router has heard of its end for certain. */
  goneAt: number = Infinity;
  readonly receipts: Receipt[] = [];
  readonly byMessage: Map<number, Receipt> = new Map();
  /** Messages that it has allowed, counted from the attach. */
  granted = 0;
  begun = 0;

  constructor(id: number, client: Client, node: string | undefined, settled: boolean, most = 0) {
    this.id = id;
    this.client = client;
    this.node = node;
    this.most = most === 0 ? Infinity : most;
    // On a link that is routed the container decides.
    this.settled = settled && node?.startsWith('routed') !== true;
  }

  get name(): string {
    return `consumer ${this.id}`;
  }

  get attached(): boolean {
    return !this.ended && this.link.state === 'attached' && this.attach?.source !== undefined;
  }

  credit(count: number): void {
    this.granted += count;
    this.link.addCredit(count);
  }

  /** Says of a message what became of it, and settles or leaves that to the router. */
  say(receipt: Receipt, state: DeliveryState, settles: boolean): void {
    if (this.ended || receipt.delivery.settled || receipt.said !== undefined) return;
    receipt.said = state;
    if (settles) this.link.settle(receipt.delivery, state);
    else this.link.update(receipt.delivery, state);
  }

  // ---- ReceiverHandler ----

  onAttached(_link: unknown, attach: Attach): void {
    this.attach = attach;
    const { source } = attach;
    if (source === undefined || !('type' in source)) return;
    this.address = source.address;
    // That of a dynamic one is known only now.
    if (source.address !== undefined) this.node ??= nodeOf(source.address, true);
  }

  onTransfer(_link: unknown, delivery: IncomingDelivery, frame: TransferFrame): void {
    const part = Uint8Array.prototype.slice.call(frame.bytes, frame.payloadStart, frame.payloadEnd);
    let receipt = delivery.context as Receipt | undefined;
    if (receipt === undefined) {
      const message = this.client.field.message(idOf(part));
      assert.ok(message !== undefined, `${this.name} gets a message that was not sent`);
      receipt = new Receipt(message, this, delivery);
      delivery.context = receipt;
      this.begun++;
      assert.ok(this.begun <= this.granted, `${this.name} gets more than it allowed`);
      this.client.field.ledger.begun(receipt);
    }
    receipt.parts.push(part);
    if (!delivery.complete) return;
    receipt.complete = !delivery.aborted;
    receipt.aborted = delivery.aborted;
    if (receipt.complete) receipt.message.checkContent(Buffer.concat(receipt.parts));
    receipt.parts = [];
  }

  onFlow(link: ReceiverLink): void {
    // A drain was answered: what was not used is gone.
    if (!link.draining && link.credit === 0) this.granted = this.begun;
  }

  onDetach(_link: unknown, error: AmqpErrorFields | undefined): void {
    this.error = error;
    this.ended = true;
    this.goneAt = Math.min(this.goneAt, this.client.field.step);
  }

  onLost(_link: unknown, error: AmqpErrorFields | undefined): void {
    this.error = error;
    this.ended = true;
  }
}
