// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { IncomingDelivery } from '@pointsman/engine';
import { decodeMessage, encodeMessage } from '@pointsman/wire';
import type { DeliveryState } from '@pointsman/wire';
import type { Consumer } from './consumer.js';
import { subjectOf } from './exchanges.js';
import type { Ways } from './exchanges.js';
import type { Producer } from './producer.js';

/** What a message is found by among the bytes of its first frame. */
const MARK = 'msg-';

/** A message that a producer has begun to send, and what became of it. */
export class Message {
  readonly id: number;
  readonly producer: Producer;
  readonly node: string;
  /** Settled as it was sent. */
  readonly settled: boolean;
  readonly bytes: Uint8Array;
  /** Step in which it was begun. */
  readonly sentAt: number;
  /** How much of it its producer has handed over. */
  stage: 'arriving' | 'whole' | 'aborted' | 'in doubt' = 'arriving';
  /** Step in which the last of it went out. */
  handedAt = 0;
  /** What its producer was told of it. */
  outcome: DeliveryState | undefined = undefined;
  told = false;
  readonly receipts: Receipt[] = [];
  /** How often a node within the router has got it. */
  within = 0;
  /** A node within the router was there for certain when it was sent, and is for as long as this stays as it is. */
  readonly served: unknown;
  /** Step in which its producer confirmed the outcome, or heard that there is no need to. */
  confirmedAt: number = Infinity;
  /** What its container was told after the link had gone. */
  late: DeliveryState | undefined = undefined;
  /** The router did not take it over from within. */
  refused = false;
  ways: Ways;
  /** Its ways have changed while it came: it takes the old or the new ones. */
  isUnsure = false;
  /** Consumers of its ways that were attached for certain when it was sent. */
  readonly audience: readonly Consumer[];

  constructor(
    id: number,
    producer: Producer,
    node: string,
    to: string | undefined,
    size: number,
    settled: boolean,
    at: number,
    ways: Ways,
    audience: readonly Consumer[],
    served: unknown,
  ) {
    this.id = id;
    this.producer = producer;
    this.node = node;
    this.settled = settled;
    this.sentAt = at;
    this.ways = ways;
    this.audience = audience;
    this.served = served;
    this.bytes = bytesOf(id, to, size);
  }

  /** All of it has been sent: none of it waits for room on its session. */
  get isOut(): boolean {
    return this.stage === 'whole' && this.producer.open !== this;
  }

  /** Undefined where any will do. */
  get tag(): Uint8Array | undefined {
    return this.producer.isStrict ? Buffer.from(`tag ${this.id}`) : undefined;
  }

  /** All nodes that it may go to. */
  get nodes(): string[] {
    return [...this.ways.first, ...this.ways.spare.map(({ node }) => node)];
  }

  get subject(): string {
    return subjectOf(this.id);
  }

  get name(): string {
    return `message ${this.id} of ${this.producer.name} for ${this.node}`;
  }

  /** Its annotations may have changed on the way, what is behind them may not. */
  checkContent(bytes: Uint8Array): void {
    const came = decodeMessage(bytes);
    const sent = decodeMessage(this.bytes);
    assert.equal(came.header?.durable, sent.header?.durable, `${this.name}: its header`);
    assert.deepEqual(came.properties, sent.properties, `${this.name}: its properties`);
    assert.equal(
      came.messageAnnotations?.get('x-mine'),
      sent.messageAnnotations?.get('x-mine'),
      `${this.name}: annotations`,
    );
    assert.ok(
      came.body?.kind === 'data' && sent.body?.kind === 'data' && sameBytes(came.body.sections, sent.body.sections),
      `${this.name}: its body has changed on the way`,
    );
  }
}

function sameBytes(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((part, i) => Buffer.compare(part, b[i]!) === 0);
}

/** What a consumer has of a message. */
export class Receipt {
  readonly message: Message;
  readonly consumer: Consumer;
  readonly delivery: IncomingDelivery;
  parts: Uint8Array[] = [];
  complete = false;
  aborted = false;
  /** What the consumer said of it. */
  said: DeliveryState | undefined = undefined;

  constructor(message: Message, consumer: Consumer, delivery: IncomingDelivery) {
    this.message = message;
    this.consumer = consumer;
    this.delivery = delivery;
  }
}

function bytesOf(id: number, to: string | undefined, size: number): Uint8Array {
  const body = new Uint8Array(size);
  // No letters: the mark of another message cannot turn up in a body.
  for (let i = 0; i < size; i++) body[i] = (Math.imul(i + 1, id * 2 + 1) >>> 3) & 0x3f;
  return encodeMessage({
    ...(id % 3 === 0 ? { header: { durable: true } } : {}),
    ...(id % 4 === 0 ? { messageAnnotations: new Map([['x-mine', `own ${id}`]]) } : {}),
    properties: { messageId: `${MARK}${id}.`, to, subject: subjectOf(id) },
    body: { kind: 'data', sections: [body] },
  });
}

/** Number of the message that begins with `bytes`. */
export function idOf(bytes: Uint8Array): number {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 480)).toString('latin1');
  const found = /msg-(\d+)\./.exec(text);
  assert.ok(found !== null, 'a message begins with what no producer sent');
  return Number(found[1]);
}

/** Kind of an outcome; `none` where there is none. */
export function kindOf(state: DeliveryState | undefined): string {
  return state !== undefined && 'type' in state ? state.type : 'none';
}
