// SPDX-License-Identifier: Apache-2.0
import { ACCEPTED } from '@pointsman/engine';
import type { AttachParameters, OutgoingDelivery, SenderHandler, SenderLink, Session } from '@pointsman/engine';
import { encodeMessage } from '@pointsman/wire';
import type {
  Accepted,
  AmqpErrorFields,
  Attach,
  DeliveryState,
  Message,
  Modified,
  Rejected,
  Released,
} from '@pointsman/wire';
import type { Client } from './client.js';
import { ClientError, clientErrorOf } from './client-error.js';
import { deferred, within } from './deferred.js';

/** What became of a message. Only accepted means that somebody has it. */
export type Outcome = Accepted | Rejected | Released | Modified;

/** Told of a message's end: an outcome, or the error that took the link before there was one. */
export type OnOutcome = (outcome: Outcome | ClientError) => void;

export interface SenderOptions {
  readonly name?: string | undefined;
  /** Send settled: fast, and nobody ever hears what became of a message. Default: false. */
  readonly settled?: boolean | undefined;
  /** Messages that may wait for credit. Default: 10,000. */
  readonly queueMax?: number | undefined;
  /** More for our attach, or instead of what it says. */
  readonly attach?: AttachParameters | undefined;
  /** The link was ended by the peer, or lost with its connection. Called once. */
  readonly onEnded?: ((error: ClientError) => void) | undefined;
}

interface Entry {
  readonly bytes: Uint8Array;
  readonly format: number;
  readonly done: OnOutcome;
}

const QUEUE_MAX = 10_000;

/** A link that we send on. */
export class Sender implements SenderHandler {
  readonly link: SenderLink;
  /** @internal Resolves once the peer has accepted the link. */
  readonly attached: Promise<Sender>;
  readonly #options: SenderOptions;
  readonly #attached = deferred<Sender>();
  readonly #settled: boolean;
  /** What waits for credit, from {@link #head} on. */
  #queue: Entry[] = [];
  #head = 0;
  /** Of the message whose frames are going out. */
  #current: Entry | undefined;
  #sent = 0;
  #unsettled = 0;
  #refused = false;
  #pumping = false;
  #ended: ClientError | undefined;
  #onRoom: (() => void)[] = [];

  /** @internal */
  constructor(client: Client, session: Session, name: string, address: string | undefined, options: SenderOptions) {
    this.#options = options;
    this.#settled = options.settled === true;
    const { timeoutMs } = client;
    this.link = session.attachSender(name, this, {
      source: { type: 'source' },
      target: { type: 'target', address },
      sndSettleMode: this.#settled ? 1 : 0,
      rcvSettleMode: 0,
      ...options.attach,
    });
    this.attached = within(this.#attached.promise, timeoutMs, () => {
      this.link.detach();
      return new ClientError(
        'link',
        'pointsman:timed-out',
        `no answer to the attach of a sender to '${address ?? ''}' within ${timeoutMs} ms`,
      );
    });
  }

  /** Messages that wait for credit. */
  get queued(): number {
    return this.#queue.length - this.#head;
  }

  /** Messages that were sent and whose outcome is not known. */
  get unsettled(): number {
    return this.#unsettled;
  }

  get credit(): number {
    return this.link.credit;
  }

  get isOpen(): boolean {
    return this.#ended === undefined && this.link.state === 'attached';
  }

  /**
   * Sends a message, once there is credit.
   *
   * @param message - bytes are taken as they are, and must not change until the outcome is there
   * @returns what the receiver made of it; `accepted` at once where the link sends settled
   * @throws ClientError where the link ends before the outcome is known, or too many messages wait already
   */
  send(message: Message | Uint8Array, format = 0): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.post(
        message instanceof Uint8Array ? message : encodeMessage(message),
        (outcome) => {
          if (outcome instanceof ClientError) reject(outcome);
          else resolve(outcome);
        },
        format,
      );
    });
  }

  /** Like {@link send} for many messages: no promise, `done` is called once. It may be called before this returns. */
  post(bytes: Uint8Array, done: OnOutcome, format = 0): void {
    if (this.#ended !== undefined) {
      done(this.#ended);
      return;
    }
    const max = this.#options.queueMax ?? QUEUE_MAX;
    if (this.queued >= max) {
      done(
        new ClientError(
          'message',
          'pointsman:queue-full',
          `${max} messages wait already: wait for room(), or for outcomes`,
        ),
      );
      return;
    }
    this.#queue.push({ bytes, format, done });
    if (this.queued === 1) this.#pump();
  }

  /** Resolves when fewer messages than may wait are waiting. @throws ClientError where the link ends before */
  room(): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.queued < (this.#options.queueMax ?? QUEUE_MAX)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#onRoom.push(() => {
        if (this.#ended === undefined) resolve();
        else reject(this.#ended);
      });
    });
  }

  /** Detaches. What waits or is unsettled is rejected. Resolves once the detach is on its way. Idempotent. */
  close(): Promise<void> {
    if (this.#ended === undefined) {
      // The engine forgets deliveries with their link: they are told before.
      this.#end(new ClientError('link', 'pointsman:closed', 'the sender was closed'), false);
      this.link.detach();
    }
    return Promise.resolve();
  }

  // ---- SenderHandler ----

  onAttached(_link: unknown, attach: Attach): void {
    if (attach.target === undefined) this.#refused = true;
    else this.#attached.resolve(this);
  }

  onSendable(): void {
    this.#pump();
  }

  onDrain(link: SenderLink): void {
    this.#pump();
    link.drained();
  }

  onDisposition(
    link: SenderLink,
    delivery: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const outcome = outcomeOf(state);
    if (outcome === undefined && !settled) return;
    const entry = delivery.context as Entry | undefined;
    if (entry === undefined) return;
    delivery.context = undefined;
    this.#unsettled--;
    link.settle(delivery);
    entry.done(
      outcome ??
        new ClientError(
          'message',
          'pointsman:no-outcome',
          'the peer settled the message without saying what became of it',
        ),
    );
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

  #pump(): void {
    // What is posted while outcomes are told is sent by the loop that runs already.
    if (this.#pumping) return;
    this.#pumping = true;
    this.#sendQueued();
    this.#pumping = false;
    if (this.#onRoom.length > 0 && this.queued < (this.#options.queueMax ?? QUEUE_MAX))
      for (const told of this.#onRoom.splice(0)) told();
  }

  #sendQueued(): void {
    const { link } = this;
    if (this.#current !== undefined) this.#resume();
    while (this.#head < this.#queue.length && this.#current === undefined && link.sendable) {
      const entry = this.#queue[this.#head]!;
      // Free what was sent, without moving the rest each time.
      if (++this.#head > 1024 && this.#head * 2 > this.#queue.length) {
        this.#queue.splice(0, this.#head);
        this.#head = 0;
      }
      const { bytes } = entry;
      if (!this.#settled) this.#unsettled++;
      const delivery = link.send(undefined, entry.format, this.#settled, entry, bytes, 0, bytes.length, true);
      if (!delivery.complete) {
        this.#current = entry;
        this.#sent = link.sentBytes;
      } else if (this.#settled) {
        entry.done(ACCEPTED);
      }
    }
  }

  /** Sends more of a message that is larger than the room was. */
  #resume(): void {
    const entry = this.#current!;
    const delivery = this.link.current;
    if (delivery === undefined || !this.link.resumable) return;
    this.#sent += this.link.resume(entry.bytes, this.#sent, entry.bytes.length, true);
    if (!delivery.complete) return;
    this.#current = undefined;
    if (this.#settled) entry.done(ACCEPTED);
  }

  #end(error: ClientError, told: boolean): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    const open: Entry[] = [];
    for (const delivery of this.link.session.unsettledOf(this.link)) {
      if (delivery.context !== undefined) open.push(delivery.context as Entry);
    }
    if (this.#settled && this.#current !== undefined) open.push(this.#current);
    open.push(...this.#queue.slice(this.#head));
    this.#queue = [];
    this.#head = 0;
    this.#current = undefined;
    this.#unsettled = 0;
    this.#attached.reject(error);
    for (const { done } of open) done(error);
    for (const room of this.#onRoom.splice(0)) room();
    if (told) this.#options.onEnded?.(error);
  }
}

function outcomeOf(state: DeliveryState | undefined): Outcome | undefined {
  if (state === undefined || !('type' in state)) return undefined;
  switch (state.type) {
    case 'accepted':
    case 'rejected':
    case 'released':
    case 'modified':
      return state;
    case 'transactional-state':
      return outcomeOf(state.outcome);
    default:
      return undefined;
  }
}
