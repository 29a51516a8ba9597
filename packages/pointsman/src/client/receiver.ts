// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED, MODIFIED_FAILED, RELEASED, keep } from '@pointsman/engine';
import type {
  AttachParameters,
  IncomingDelivery,
  ReceiverHandler,
  ReceiverLink,
  Session,
  TransferFrame,
} from '@pointsman/engine';
import { decodeMessage } from '@pointsman/wire';
import type { AmqpErrorFields, Attach, DeliveryState, Message, ModifiedFields } from '@pointsman/wire';
import type { Client } from './client.js';
import { ClientError, clientErrorOf } from './client-error.js';
import { deferred, within } from './deferred.js';
import type { Deferred } from './deferred.js';

/**
 * `first`: sent unsettled, settled by us in one step. `second`: our outcome is confirmed by the sender, who may object.
 * `settled`: sent settled, gone at the sender with the sending.
 */
export type ReceiveMode = 'first' | 'second' | 'settled';

export interface ReceiverOptions {
  readonly name?: string | undefined;
  /** Messages that may be here and unsettled; kept up. 0: credit is given by hand with {@link Receiver.addCredit}. Default: 100. */
  readonly credit?: number | undefined;
  /** Default: `first`. */
  readonly mode?: ReceiveMode | undefined;
  /** Bytes of the largest message that is taken; a larger one ends the link. Default: 104,857,600, the most that Service Bus has. */
  readonly maxMessageSize?: number | undefined;
  /** More for our attach, or instead of what it says: a filter, properties. */
  readonly attach?: AttachParameters | undefined;
  /** The link was ended by the peer, or lost with its connection. Called once. */
  readonly onEnded?: ((error: ClientError) => void) | undefined;
}

/**
 * Handles a delivery. One that was not settled when the handler, or the promise of it, is done is accepted; where it
 * failed the delivery goes back as modified (delivery-failed).
 */
export type DeliveryHandler = (delivery: Delivery) => void | Promise<void>;

const CREDIT = 100;
const MESSAGE_SIZE_MAX = 104_857_600;

/** A message that came, and our say about it. */
export class Delivery {
  /** The whole message, encoded. Nobody writes to these bytes. */
  readonly bytes: Uint8Array;
  readonly tag: Uint8Array;
  readonly messageFormat: number;
  readonly #receiver: Receiver;
  readonly #delivery: IncomingDelivery;
  #message: Message | undefined;

  /** @internal */
  constructor(receiver: Receiver, delivery: IncomingDelivery, tag: Uint8Array, bytes: Uint8Array) {
    this.#receiver = receiver;
    this.#delivery = delivery;
    this.tag = tag;
    this.bytes = bytes;
    this.messageFormat = delivery.messageFormat;
  }

  /** Decoded when it is first asked for. @throws RemoteProtocolError `amqp:decode-error` */
  get message(): Message {
    return (this.#message ??= decodeMessage(this.bytes));
  }

  /** Nothing is left to say: it was settled by either side, or its link is gone. */
  get isSettled(): boolean {
    return this.#receiver.isDone(this.#delivery);
  }

  // Each of these resolves once the outcome is on its way (mode `first`) or confirmed (mode `second`), and is rejected with
  // a ClientError where the sender objects: the lock was lost, or the link with it.

  accept(): Promise<void> {
    return this.#receiver.settle(this.#delivery, ACCEPTED);
  }

  /** It was not looked at: anyone may have it, and it does not count as an attempt. */
  release(): Promise<void> {
    return this.#receiver.settle(this.#delivery, RELEASED);
  }

  /** It is unfit for anyone. */
  reject(error?: AmqpErrorFields): Promise<void> {
    return this.#receiver.settle(this.#delivery, { type: 'rejected', error });
  }

  /** Back, with changes; an attempt that failed unless `fields` say otherwise. */
  modify(fields: ModifiedFields = { deliveryFailed: true }): Promise<void> {
    const { deliveryFailed, undeliverableHere, messageAnnotations } = fields;
    return this.#receiver.settle(this.#delivery, {
      type: 'modified',
      deliveryFailed,
      undeliverableHere,
      messageAnnotations,
    });
  }
}

const DONE: Promise<void> = Promise.resolve();

/** A link that we receive on. */
export class Receiver implements ReceiverHandler {
  readonly link: ReceiverLink;
  /** @internal Resolves once the peer has accepted the link. */
  readonly attached: Promise<Receiver>;
  readonly #client: Client;
  readonly #options: ReceiverOptions;
  readonly #handler: DeliveryHandler | undefined;
  readonly #window: number;
  readonly #attached = deferred<Receiver>();
  /** Came and not taken by an iteration yet; never more than credit was given. */
  #ready: Delivery[] = [];
  #waiting: Deferred<Delivery | undefined>[] = [];
  /** Frames of the delivery that is arriving. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #tag: Uint8Array = new Uint8Array(0);
  #confirming = new Map<IncomingDelivery, Deferred<void>>();
  #drained: Deferred<void> | undefined;
  #refused = false;
  #ended: ClientError | undefined;

  /** @internal */
  constructor(
    client: Client,
    session: Session,
    name: string,
    address: string | undefined,
    options: ReceiverOptions,
    handler: DeliveryHandler | undefined,
  ) {
    this.#client = client;
    this.#options = options;
    this.#handler = handler;
    this.#window = options.credit ?? CREDIT;
    const mode = options.mode ?? 'first';
    const { timeoutMs } = client;
    this.link = session.attachReceiver(name, this, {
      source: address === undefined ? { type: 'source', dynamic: true } : { type: 'source', address },
      target: { type: 'target' },
      sndSettleMode: mode === 'settled' ? 1 : 0,
      rcvSettleMode: mode === 'second' ? 1 : 0,
      maxMessageSize: BigInt(options.maxMessageSize ?? MESSAGE_SIZE_MAX),
      ...options.attach,
    });
    this.attached = within(this.#attached.promise, timeoutMs, () => {
      this.link.detach();
      return new ClientError(
        'link',
        'pointsman:timed-out',
        `no answer to the attach of a receiver from '${address ?? ''}' within ${timeoutMs} ms`,
      );
    });
  }

  /** Address of the node: the one that was asked for, or that the peer made. */
  get address(): string | undefined {
    const source = this.link.remoteAttach?.source;
    return source !== undefined && 'type' in source ? source.address : undefined;
  }

  get isOpen(): boolean {
    return this.#ended === undefined && this.link.state === 'attached';
  }

  /** Lets `count` more messages come. */
  addCredit(count: number): void {
    if (this.isOpen) this.link.addCredit(count);
  }

  /** Has the peer use up its credit or give it back. Resolves when none is left. */
  async drain(): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    if (this.link.announced === 0 && this.link.credit === 0) return;
    this.#drained ??= deferred();
    this.link.drain();
    const { timeoutMs } = this.#client;
    await within(
      this.#drained.promise,
      timeoutMs,
      () => new ClientError('link', 'pointsman:timed-out', `credit was not drained within ${timeoutMs} ms`),
    );
  }

  /** The next delivery, or undefined when the receiver was closed. @throws ClientError where the link ends otherwise */
  next(): Promise<Delivery | undefined> {
    const ready = this.#ready.shift();
    if (ready !== undefined) {
      if (ready.isSettled && this.#window > 0 && this.isOpen) this.link.addCredit(1);
      return Promise.resolve(ready);
    }
    if (this.#ended !== undefined)
      return this.#ended.condition === 'pointsman:closed' ? Promise.resolve(undefined) : Promise.reject(this.#ended);
    const waiting = deferred<Delivery | undefined>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** Deliveries as they come; ends when the receiver is closed. They are settled by whoever iterates. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery, void, void> {
    for (let delivery = await this.next(); delivery !== undefined; delivery = await this.next()) yield delivery;
  }

  /** Detaches. What is unsettled goes back to the node. Resolves once the detach is on its way. Idempotent. */
  close(): Promise<void> {
    if (this.#ended === undefined) {
      this.#end(new ClientError('link', 'pointsman:closed', 'the receiver was closed'), false);
      this.link.detach();
    }
    return Promise.resolve();
  }

  /** @internal */
  isDone(delivery: IncomingDelivery): boolean {
    return delivery.settled || this.#ended !== undefined;
  }

  /** @internal */
  settle(delivery: IncomingDelivery, state: DeliveryState): Promise<void> {
    if (delivery.settled) return DONE;
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const pending = this.#confirming.get(delivery);
    if (pending !== undefined) return pending.promise;
    if (this.#options.mode === 'second' && this.link.remoteAttach?.rcvSettleMode === 1) {
      const confirmed = deferred<void>();
      this.#confirming.set(delivery, confirmed);
      this.link.update(delivery, state);
      return confirmed.promise;
    }
    this.link.settle(delivery, state);
    this.#replenish();
    return DONE;
  }

  // ---- ReceiverHandler ----

  onAttached(_link: unknown, attach: Attach): void {
    if (attach.source === undefined) {
      this.#refused = true;
      return;
    }
    this.#attached.resolve(this);
    if (this.#window > 0) this.link.addCredit(this.#window);
  }

  onTransfer(_link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    if (delivery.aborted) {
      this.#parts = [];
      this.#partBytes = 0;
      this.#replenish();
      return;
    }
    const payload = keep(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd));
    const isFirst = this.#partBytes === 0 && this.#parts.length === 0;
    if (isFirst) this.#tag = frame.tag();
    if (isFirst && delivery.complete) {
      this.#deliver(new Delivery(this, delivery, this.#tag, payload));
      return;
    }
    this.#parts.push(payload);
    this.#partBytes += payload.length;
    if (!delivery.complete) return;
    const bytes = Buffer.concat(this.#parts, this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
    this.#deliver(new Delivery(this, delivery, this.#tag, bytes));
  }

  onRemoteState(
    link: ReceiverLink,
    delivery: IncomingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const confirmed = this.#confirming.get(delivery);
    if (confirmed === undefined || (!settled && state === undefined)) return;
    this.#confirming.delete(delivery);
    const said = delivery.localState;
    if (!settled) link.settle(delivery, said);
    this.#replenish();
    const refusal = refusalOf(said, state);
    if (refusal === undefined) confirmed.resolve();
    else confirmed.reject(refusal);
  }

  onFlow(link: ReceiverLink): void {
    if (link.credit > 0 || this.#drained === undefined) return;
    this.#drained.resolve();
    this.#drained = undefined;
  }

  onDetach(_link: unknown, error: AmqpErrorFields | undefined): void {
    const otherwise = this.#refused
      ? 'the peer refused the link without a reason'
      : 'the peer detached the link without a reason';
    this.#end(clientErrorOf('link', error, 'pointsman:lost', otherwise), true);
  }

  onLost(_link: unknown, error: AmqpErrorFields | undefined): void {
    this.#end(clientErrorOf('connection', error, 'pointsman:lost', 'the connection was lost'), true);
  }

  #deliver(delivery: Delivery): void {
    if (this.#handler !== undefined) {
      this.#handle(delivery, this.#handler);
      return;
    }
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#ready.push(delivery);
      return;
    }
    if (delivery.isSettled) this.#replenish();
    waiting.resolve(delivery);
  }

  #handle(delivery: Delivery, handler: DeliveryHandler): void {
    const settledBySender = delivery.isSettled;
    const finish = (): void => {
      if (settledBySender) this.#replenish();
      else if (!delivery.isSettled) delivery.accept().catch(() => undefined);
    };
    const fail = (reason: unknown): void => {
      if (settledBySender) this.#replenish();
      else if (!delivery.isSettled) delivery.modify(MODIFIED_FAILED).catch(() => undefined);
      // A mistake of the program: it must not vanish.
      queueMicrotask(() => {
        throw reason;
      });
    };
    try {
      const result = handler(delivery);
      if (result === undefined) finish();
      else result.then(finish, fail);
    } catch (error) {
      fail(error);
    }
  }

  #replenish(): void {
    if (this.#window > 0 && this.isOpen) this.link.addCredit(1);
  }

  #end(error: ClientError, told: boolean): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#parts = [];
    this.#partBytes = 0;
    this.#attached.reject(error);
    this.#drained?.reject(error);
    for (const confirmed of this.#confirming.values()) confirmed.reject(error);
    this.#confirming.clear();
    for (const waiting of this.#waiting.splice(0)) {
      if (error.condition === 'pointsman:closed') waiting.resolve(undefined);
      else waiting.reject(error);
    }
    if (told) this.#options.onEnded?.(error);
  }
}

/** What the sender objects to our outcome, or undefined where it agrees. An echo of our own rejection is no objection. */
function refusalOf(said: DeliveryState | undefined, answered: DeliveryState | undefined): ClientError | undefined {
  if (answered === undefined || !('type' in answered) || answered.type !== 'rejected') return undefined;
  const ours = said !== undefined && 'type' in said && said.type === 'rejected' ? said : undefined;
  if (ours !== undefined && (answered.error === undefined || answered.error.condition === ours.error?.condition))
    return undefined;
  return clientErrorOf('message', answered.error, 'pointsman:no-outcome', 'the sender refused the outcome');
}
