// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { Writer, encodeMessage, plainOf } from '@pointsman/wire';
import type { Message } from '@pointsman/wire';
import { connect } from '../client/client.js';
import type { Client } from '../client/client.js';
import { ClientError } from '../client/client-error.js';
import type { Delivery } from '../client/receiver.js';
import type { Outcome, Sender } from '../client/sender.js';
import { Latencies } from './latencies.js';
import { Ledger } from './ledger.js';

export interface TrafficOptions {
  readonly host: string;
  readonly port: number;
  /** The router's address that the orders go to and come from. */
  readonly address: string;
  /** Orders to send; undefined: until {@link Traffic.finish}. */
  readonly messages: number | undefined;
  /** Orders a second at most. */
  readonly rate: number | undefined;
  /** ms without anything new after which what is open counts as lost. */
  readonly patienceMs: number;
  /** The first order came back. */
  readonly onFirst?: ((journey: Journey) => void) | undefined;
}

/** One order's way, as its receiver saw it. */
export interface Journey {
  readonly body: string;
  readonly ms: number;
  /** Number that the queue gave it; undefined where it came by another way. */
  readonly sequenceNumber: string | undefined;
}

/** How the traffic came to its end. */
export type TrafficEnd =
  | { readonly how: 'done' }
  /** Nothing new came for a while. */
  | { readonly how: 'silent' }
  /** The queue holds messages of somebody else. */
  | { readonly how: 'strangers' }
  /** The clients lost the router. */
  | { readonly how: 'broken'; readonly reason: string };

/** Orders on their way at a time: enough to keep everyone busy, little enough that a round trip is no queue. */
const UNDER_WAY_MAX = 500;
/** Messages of others that are held, unsettled, before the demo gives up: they must not be eaten. */
const STRANGERS_MAX = 20;
/** First wait before an order is sent again, and the longest, in ms. */
const RESEND_MS = 20;
const RESEND_MAX_MS = 2_000;
/** How often waiting is looked at, in ms. */
const PULSE_MS = 20;
/** Subject of all orders of any run of the demo. */
const SUBJECT = 'pointsman-demo-order';

const ITEMS = ['lantern', 'signal flag', 'switch lever', 'rail spike', 'timetable', 'whistle'] as const;

/** A shop that sends orders to the router, and a warehouse that receives them from there: two plain AMQP clients. */
export class Traffic {
  readonly ledger: Ledger = new Ledger();
  readonly latencies: Latencies = new Latencies();
  /** Orders of an earlier run that were still in the queue; they are taken out. */
  leftOver = 0;
  /** Resolves at the end, whichever. */
  readonly ended: Promise<TrafficEnd>;
  readonly #options: TrafficOptions;
  readonly #run = randomBytes(4).toString('hex');
  readonly #writer = new Writer(512);
  readonly #strangers: Delivery[] = [];
  #shop: Client | undefined;
  #warehouse: Client | undefined;
  #sender: Sender | undefined;
  #resolve!: (end: TrafficEnd) => void;
  #isFinishing = false;
  #isOver = false;
  #startedAt = 0;
  #endedAt: number | undefined;
  #lastNews = 0;
  #pulse: NodeJS.Timeout | undefined;
  readonly #resends = new Set<NodeJS.Timeout>();

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Connects both clients and begins to send. @throws TransportError, ClientError where the router does not take them */
  async start(): Promise<void> {
    const { host, port, address } = this.#options;
    const onLost = (error: ClientError): void =>
      this.#end({ how: 'broken', reason: `the router closed a client's connection: ${error.message}` });
    const onEnded = (error: ClientError): void =>
      this.#end({ how: 'broken', reason: `the router ended a client's link: ${error.message}` });
    this.#startedAt = performance.now();
    this.#warehouse = await connect({ host, port, containerId: `warehouse-${this.#run}`, onLost });
    await this.#warehouse.receiver(address, { credit: UNDER_WAY_MAX, onEnded }, (delivery) => this.#receive(delivery));
    this.#shop = await connect({ host, port, containerId: `shop-${this.#run}`, onLost });
    this.#sender = await this.#shop.sender(address, { onEnded });
    // The first messages may have ended it already.
    if (this.#isOver) return;
    this.#startedAt = this.#lastNews = performance.now();
    this.#pulse = setInterval(() => this.#beat(), PULSE_MS);
    this.#fill();
  }

  /** Sends no more, and ends when what is under way has come. */
  finish(): void {
    this.#isFinishing = true;
    this.#check();
  }

  /** Does not wait for what is under way. */
  giveUp(): void {
    this.#end({ how: 'silent' });
  }

  /** Ms since the first order, or until the end. */
  get elapsedMs(): number {
    return (this.#endedAt ?? performance.now()) - this.#startedAt;
  }

  /** Closes the clients. Messages of others go back to where they came from. */
  async close(): Promise<void> {
    this.#end({ how: 'done' });
    await Promise.all(this.#strangers.map((delivery) => delivery.release().catch(() => undefined)));
    await Promise.all([this.#shop?.close(), this.#warehouse?.close()]);
  }

  #fill(): void {
    const { messages = Infinity, rate } = this.#options;
    const sender = this.#sender;
    if (sender === undefined) return;
    const now = performance.now();
    const due = rate === undefined ? Infinity : 1 + Math.floor(((now - this.#startedAt) * rate) / 1000);
    const limit = Math.min(messages, due);
    while (
      !this.#isFinishing &&
      !this.#isOver &&
      this.ledger.counts.sent < limit &&
      this.ledger.underWay < UNDER_WAY_MAX
    ) {
      const number = this.ledger.sent(now);
      this.#post(sender, number, 1);
    }
    if (this.ledger.counts.sent >= messages) this.#isFinishing = true;
  }

  #post(sender: Sender, number: number, attempt: number): void {
    sender.post(this.#encode(number), (outcome) => this.#outcome(number, attempt, outcome));
  }

  #outcome(number: number, attempt: number, outcome: Outcome | ClientError): void {
    if (this.#isOver) return;
    this.#lastNews = performance.now();
    if (outcome instanceof ClientError) {
      this.ledger.refused(number, outcome.condition !== 'pointsman:queue-full');
    } else if (outcome.type === 'accepted') {
      this.ledger.accepted(number);
    } else if (outcome.type === 'rejected') {
      this.ledger.refused(number, false);
    } else {
      // At least once: what the router gives back is sent again. Modified says that it may have been taken all the same.
      this.#resendLater(number, attempt, outcome.type === 'modified');
      return;
    }
    this.#fill();
    this.#check();
  }

  #resendLater(number: number, attempt: number, inDoubt: boolean): void {
    const timer = setTimeout(
      () => {
        this.#resends.delete(timer);
        if (this.#isOver || this.#sender === undefined) return;
        this.ledger.resent(number, inDoubt);
        this.#post(this.#sender, number, attempt + 1);
      },
      Math.min(RESEND_MS * 2 ** (attempt - 1), RESEND_MAX_MS),
    );
    this.#resends.add(timer);
  }

  #receive(delivery: Delivery): void | Promise<void> {
    const now = performance.now();
    const { header, properties } = delivery.message;
    const [run, number] = orderOf(properties?.messageId, properties?.subject);
    if (run === undefined) {
      this.#strangers.push(delivery);
      if (this.#strangers.length >= STRANGERS_MAX) this.#end({ how: 'strangers' });
      // Never settled by us: closing gives it back.
      return new Promise(() => undefined);
    }
    if (run !== this.#run || !this.ledger.knows(number)) {
      this.leftOver++;
      return undefined;
    }
    this.#lastNews = now;
    const latency = this.ledger.received(number, (header?.deliveryCount ?? 0) > 0, now);
    if (latency !== undefined) {
      if (number === 1) this.#options.onFirst?.(journeyOf(delivery.message, latency));
      this.latencies.add(latency);
    }
    this.#fill();
    this.#check();
    return undefined;
  }

  #encode(number: number): Uint8Array {
    const item = ITEMS[number % ITEMS.length]!;
    this.#writer.reset();
    return encodeMessage(
      {
        header: { durable: true },
        properties: { messageId: `${this.#run}/${number}`, subject: SUBJECT, contentType: 'application/json' },
        applicationProperties: new Map([['item', item]]),
        body: {
          kind: 'data',
          sections: [Buffer.from(JSON.stringify({ order: number, item, quantity: 1 + (number % 12) }))],
        },
      },
      this.#writer,
    );
  }

  #check(): void {
    if (this.#isFinishing && this.ledger.isBalanced && this.#resends.size === 0) this.#end({ how: 'done' });
  }

  #beat(): void {
    this.#fill();
    const waitsForRate = this.#options.rate !== undefined && this.ledger.underWay === 0 && !this.#isFinishing;
    if (waitsForRate) this.#lastNews = performance.now();
    if (performance.now() - this.#lastNews > this.#options.patienceMs) this.#end({ how: 'silent' });
  }

  #end(end: TrafficEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#endedAt = performance.now();
    clearInterval(this.#pulse);
    for (const timer of this.#resends) clearTimeout(timer);
    this.#resolve(end);
  }
}

/** Run and number of an order of the demo; nothing where the message is of somebody else. */
function orderOf(messageId: unknown, subject: string | undefined): [run: string | undefined, number: number] {
  if (subject !== SUBJECT || typeof messageId !== 'string') return [undefined, 0];
  const at = messageId.indexOf('/');
  return at < 0 ? [undefined, 0] : [messageId.slice(0, at), Number(messageId.slice(at + 1))];
}

function journeyOf({ body, messageAnnotations }: Message, ms: number): Journey {
  const sequenceNumber = plainOf(messageAnnotations?.get('x-opt-sequence-number'));
  return {
    body: body?.kind === 'data' ? body.sections.map((section) => Buffer.from(section).toString('utf8')).join('') : '',
    ms,
    sequenceNumber: sequenceNumber === undefined ? undefined : String(sequenceNumber),
  };
}
