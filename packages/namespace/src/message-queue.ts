// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import { Alarm } from './alarm.js';
import type { Clock } from '@pointsman/engine';
import { hexOf, randomGuid, swapGuid } from './guid.js';
import { MinHeap } from './heap.js';
import type { MessageContent } from './message-content.js';
import { StoredMessage, type Lock } from './stored-message.js';

export type ReceiveMode = 'peek-lock' | 'receive-and-delete';

/** Someone who takes messages. Waiting consumers are served in turn, one message each. */
export interface Consumer {
  readonly mode: ReceiveMode;
  /** Whether one more could be taken now: credit is there and the way is open. */
  hasRoom(): boolean;
  /** Takes a message. `lock` is undefined where it is already gone from the queue (receive-and-delete). */
  take(message: StoredMessage, lock: Lock | undefined): void;
}

/** What a receiver decided about a message that it holds. */
export type Settlement =
  | { readonly kind: 'complete' }
  /** Back to its place; the count stays. */
  | { readonly kind: 'unlock' }
  /** Back to its place; the count rises. */
  | { readonly kind: 'abandon'; readonly changes?: ReadonlyMap<string, AmqpValue> }
  | { readonly kind: 'defer'; readonly changes?: ReadonlyMap<string, AmqpValue> }
  | { readonly kind: 'dead-letter'; readonly changes?: ReadonlyMap<string, AmqpValue> };

export interface MessageQueueSettings {
  readonly lockDurationMs: number;
  /** Attempts after which a message is dead-lettered; Infinity for never. */
  readonly maxDeliveryCount: number;
  /** Cap of the time to live; Infinity for none. */
  readonly defaultTtlMs: number;
  readonly deadLetterOnExpiration: boolean;
  /** Bytes of all messages together. */
  readonly maxSizeBytes: number;
}

export interface MessageCounts {
  /** Those to be received, locked ones included. */
  readonly active: number;
  /** Of the active ones, those that someone holds. */
  readonly locked: number;
  readonly deferred: number;
  readonly deadLetter: number;
  readonly sizeBytes: number;
}

export interface MessageQueueHost {
  readonly clock: Clock;
  /** 0 to 1, exclusive. */
  readonly random: () => number;
}

/** Receive requests that an entity keeps waiting at a time. */
export const CONSUMERS_MAX = 5000;

/** Of a dead-letter reason or description, in characters. */
const REASON_MAX = 4096;

/** What is over may stay in a heap until there is this much of it, and as much again as what is not. */
const HEAP_SLACK = 1024;

interface LockEnd {
  readonly lock: Lock;
  readonly at: number;
}

/** Application properties of a message that the broker dead-letters. */
export function deadLetterProperties(reason: string, description: string): Map<string, AmqpValue> {
  return new Map<string, AmqpValue>([
    ['DeadLetterReason', reason.slice(0, REASON_MAX)],
    ['DeadLetterErrorDescription', description.slice(0, REASON_MAX)],
  ]);
}

/**
 * The messages of a queue, a subscription or a dead-letter queue, and who waits for them.
 *
 *     enqueue ──▶ available ──take──▶ locked ──complete──▶ gone
 *                     ▲                 │ ├──defer──▶ deferred (found by its sequence number alone)
 *                     │                 │ └──dead-letter, or count at its maximum──▶ the dead-letter queue
 *                     └──unlock, abandon, end of lock (by sequence number, so near the front)
 */
export class MessageQueue {
  readonly settings: MessageQueueSettings;
  /** Undefined for a dead-letter queue: nothing is dead-lettered twice. */
  readonly deadLetters: MessageQueue | undefined;
  readonly #host: MessageQueueHost;
  /** All that are not gone, in the order of their sequence numbers. */
  readonly #messages = new Map<number, StoredMessage>();
  #fresh: StoredMessage[] = [];
  #freshHead = 0;
  readonly #returned = new MinHeap<StoredMessage>((message) => message.sequence);
  readonly #locks = new Map<string, Lock>();
  /** Locks by an end that they once had. A renewed one is put in again when that comes up. */
  readonly #lockEnds = new MinHeap<LockEnd>((end) => end.at);
  readonly #expiring = new MinHeap<StoredMessage>((message) => message.expiresAt);
  readonly #lockAlarm: Alarm;
  readonly #expiryAlarm: Alarm;
  readonly #consumers = new Set<Consumer>();
  #waiting: Consumer[] = [];
  readonly #isWaiting = new Set<Consumer>();
  #lastSequence = 0;
  #sizeBytes = 0;
  #deferred = 0;
  #pumping = false;
  #paused = false;

  constructor(settings: MessageQueueSettings, host: MessageQueueHost, isDeadLetterQueue = false) {
    this.settings = settings;
    this.#host = host;
    this.#lockAlarm = new Alarm(host.clock, () => this.#endLocks());
    this.#expiryAlarm = new Alarm(host.clock, () => this.#expire());
    this.deadLetters = isDeadLetterQueue
      ? undefined
      : new MessageQueue(
          {
            ...settings,
            maxDeliveryCount: Infinity,
            defaultTtlMs: Infinity,
            deadLetterOnExpiration: false,
            maxSizeBytes: Infinity,
          },
          host,
          true,
        );
  }

  get consumers(): number {
    return this.#consumers.size;
  }

  counts(): MessageCounts {
    return {
      active: this.#messages.size - this.#deferred,
      locked: this.#locks.size,
      deferred: this.#deferred,
      deadLetter: this.deadLetters?.counts().active ?? 0,
      sizeBytes: this.#sizeBytes,
    };
  }

  /** Whether `bytes` more would go beyond the size of the queue. */
  isFull(bytes: number): boolean {
    return this.#sizeBytes + bytes > this.settings.maxSizeBytes;
  }

  /** Appends a message. The caller has asked {@link isFull}. @returns its sequence number */
  enqueue(content: MessageContent): number {
    const now = this.#host.clock.now();
    // A dead-letter queue ignores time to live.
    const ttl =
      this.deadLetters === undefined ? Infinity : Math.min(content.ttlMs ?? Infinity, this.settings.defaultTtlMs);
    return this.#append(
      new StoredMessage({
        sequence: this.#lastSequence + 1,
        content,
        enqueuedAt: now,
        expiresAt: now + ttl,
      }),
    );
  }

  /** Appends a message to the dead-letter queue, because it could not become one of this queue. */
  enqueueDeadLetter(content: MessageContent, changes: ReadonlyMap<string, AmqpValue>): void {
    const sequence = this.#lastSequence + 1;
    this.#lastSequence = sequence;
    const enqueuedAt = this.#host.clock.now();
    this.deadLetters?.adopt(new StoredMessage({ sequence, content, enqueuedAt, expiresAt: Infinity, changes }));
  }

  #append(message: StoredMessage): number {
    this.#lastSequence = message.sequence;
    this.#messages.set(message.sequence, message);
    this.#sizeBytes += message.content.sizeBytes;
    this.#fresh.push(message);
    if (message.expiresAt !== Infinity) {
      if (this.#expiring.size > 2 * this.#messages.size + HEAP_SLACK) {
        this.#expiring.retain((other) => other.state !== 'gone');
      }
      this.#expiring.push(message);
      this.#expiryAlarm.atLatest(message.expiresAt);
    }
    this.#pump();
    return message.sequence;
  }

  addConsumer(consumer: Consumer): void {
    this.#consumers.add(consumer);
    this.wake(consumer);
  }

  /** Takes a consumer away. What it holds stays locked until settled or until the lock ends. */
  removeConsumer(consumer: Consumer): void {
    this.#consumers.delete(consumer);
    if (this.#isWaiting.delete(consumer)) this.#waiting = this.#waiting.filter((other) => other !== consumer);
  }

  /** The consumer may have room again. */
  wake(consumer: Consumer): void {
    if (!this.#consumers.has(consumer) || this.#isWaiting.has(consumer) || !consumer.hasRoom()) return;
    this.#isWaiting.add(consumer);
    this.#waiting.push(consumer);
    this.#pump();
  }

  /** Hands nothing out while paused: a disabled entity. */
  set paused(paused: boolean) {
    this.#paused = paused;
    this.#pump();
  }

  /** @returns lock-lost where the lock has ended or never was */
  settle(token: string, settlement: Settlement): 'done' | 'lock-lost' {
    const lock = this.#lockOf(token);
    if (lock === undefined) return 'lock-lost';
    this.#locks.delete(token);
    const { message } = lock;
    switch (settlement.kind) {
      case 'complete':
        this.#remove(message);
        break;
      case 'unlock':
        this.#giveBack(message, false);
        break;
      case 'abandon':
        message.change(settlement.changes);
        this.#giveBack(message, true);
        break;
      case 'defer':
        message.change(settlement.changes);
        this.#defer(message);
        break;
      case 'dead-letter':
        if (this.deadLetters === undefined) this.#giveBack(message, true);
        else this.#deadLetter(message, settlement.changes);
        break;
    }
    this.#pump();
    return 'done';
  }

  /** Starts the lock's duration anew. @returns its new end, or undefined where it has ended */
  renew(token: string): number | undefined {
    const lock = this.#lockOf(token);
    if (lock === undefined) return undefined;
    lock.until = this.#host.clock.now() + this.settings.lockDurationMs;
    return lock.until;
  }

  /** Messages from a sequence number on, in whatever state, without taking them. */
  peek(fromSequence: number, count: number): StoredMessage[] {
    const found: StoredMessage[] = [];
    for (const message of this.#messages.values()) {
      if (found.length >= count) break;
      if (message.sequence >= fromSequence) found.push(message);
    }
    return found;
  }

  /** Takes deferred messages, all or none. @returns undefined where one of them is not deferred or is held */
  receiveDeferred(
    sequences: readonly number[],
    mode: ReceiveMode,
  ): { message: StoredMessage; lock: Lock | undefined }[] | undefined {
    const messages = sequences.map((sequence) => this.#messages.get(sequence));
    if (new Set(sequences).size !== sequences.length) return undefined;
    if (messages.some((message) => message?.state !== 'deferred')) return undefined;
    return messages.map((found) => {
      const message = found!;
      this.#deferred -= 1;
      message.state = 'available';
      return { message, lock: this.#hold(message, mode) };
    });
  }

  /** Gives orders with the clock back. Nothing may be called afterwards. */
  close(): void {
    this.#lockAlarm.stop();
    this.#expiryAlarm.stop();
    this.#consumers.clear();
    this.#isWaiting.clear();
    this.#waiting = [];
    this.deadLetters?.close();
  }

  /** A lock that still holds. The timer may be late: an ended lock must settle nothing even so. */
  #lockOf(token: string): Lock | undefined {
    const lock = this.#locks.get(token);
    return lock !== undefined && lock.until > this.#host.clock.now() ? lock : undefined;
  }

  #pump(): void {
    // A consumer that takes a message may send, settle or leave within the call.
    if (this.#pumping || this.#paused) return;
    this.#pumping = true;
    try {
      while (this.#waiting.length > 0) {
        const message = this.#next();
        if (message === undefined) break;
        const consumer = this.#nextConsumer();
        if (consumer === undefined) {
          this.#returned.push(message);
          break;
        }
        const lock = this.#hold(message, consumer.mode);
        consumer.take(message, lock);
        if (this.#consumers.has(consumer) && !this.#isWaiting.has(consumer) && consumer.hasRoom()) {
          this.#isWaiting.add(consumer);
          this.#waiting.push(consumer);
        }
        if (this.#paused) break;
      }
    } finally {
      this.#pumping = false;
    }
  }

  #nextConsumer(): Consumer | undefined {
    for (let consumer = this.#waiting.shift(); consumer !== undefined; consumer = this.#waiting.shift()) {
      this.#isWaiting.delete(consumer);
      if (consumer.hasRoom()) return consumer;
    }
    return undefined;
  }

  /** Takes the available message with the lowest sequence number; expired ones are put away on the way. */
  #next(): StoredMessage | undefined {
    const now = this.#host.clock.now();
    for (;;) {
      const returned = this.#returned.peek();
      const fresh = this.#fresh[this.#freshHead];
      let message: StoredMessage | undefined;
      if (fresh !== undefined && (returned === undefined || fresh.sequence < returned.sequence)) {
        message = fresh;
        this.#shiftFresh();
      } else {
        message = this.#returned.pop();
      }
      if (message === undefined) return undefined;
      if (message.state !== 'available') continue;
      if (message.expiresAt > now) return message;
      this.#expireOne(message);
    }
  }

  #shiftFresh(): void {
    this.#freshHead += 1;
    // Half of the array is behind us: cut it off, so that it does not grow for ever.
    if (this.#freshHead > 1024 && this.#freshHead * 2 > this.#fresh.length) {
      this.#fresh = this.#fresh.slice(this.#freshHead);
      this.#freshHead = 0;
    }
  }

  /** Locks a message, or removes it where it is received and deleted in one. */
  #hold(message: StoredMessage, mode: ReceiveMode): Lock | undefined {
    if (mode === 'receive-and-delete') {
      this.#remove(message);
      return undefined;
    }
    message.state = 'locked';
    const tag = swapGuid(randomGuid(this.#host.random));
    const lock: Lock = {
      tag,
      token: hexOf(tag),
      message,
      until: this.#host.clock.now() + this.settings.lockDurationMs,
    };
    this.#locks.set(lock.token, lock);
    if (this.#lockEnds.size > 2 * this.#locks.size + HEAP_SLACK) {
      this.#lockEnds.retain((end) => this.#locks.get(end.lock.token) === end.lock);
    }
    this.#lockEnds.push({ lock, at: lock.until });
    this.#lockAlarm.atLatest(lock.until);
    return lock;
  }

  #endLocks(): void {
    const now = this.#host.clock.now();
    for (let end = this.#lockEnds.peek(); end !== undefined && end.at <= now; end = this.#lockEnds.peek()) {
      this.#lockEnds.pop();
      const { lock } = end;
      if (this.#locks.get(lock.token) !== lock) continue;
      if (lock.until > now) {
        this.#lockEnds.push({ lock, at: lock.until });
        continue;
      }
      this.#locks.delete(lock.token);
      this.#giveBack(lock.message, true);
    }
    const next = this.#lockEnds.peek();
    if (next !== undefined) this.#lockAlarm.atLatest(next.at);
    this.#pump();
  }

  /** Ends an attempt: back to where it was, or to the dead-letter queue. */
  #giveBack(message: StoredMessage, counted: boolean): void {
    if (counted) message.deliveryCount += 1;
    if (message.expiresAt <= this.#host.clock.now()) {
      // Time to live does not touch a message while it is locked; now it does.
      this.#expireOne(message);
      return;
    }
    if (counted && message.deliveryCount >= this.settings.maxDeliveryCount) {
      this.#deadLetter(
        message,
        deadLetterProperties(
          'MaxDeliveryCountExceeded',
          `Message could not be consumed after ${message.deliveryCount} delivery attempts.`,
        ),
      );
      return;
    }
    if (message.deferred) {
      this.#defer(message);
      return;
    }
    message.state = 'available';
    this.#returned.push(message);
  }

  #defer(message: StoredMessage): void {
    message.deferred = true;
    message.state = 'deferred';
    this.#deferred += 1;
  }

  #deadLetter(message: StoredMessage, changes: ReadonlyMap<string, AmqpValue> | undefined): void {
    this.#remove(message);
    message.change(changes);
    this.deadLetters?.adopt(message);
  }

  /** Takes over a message that another queue dead-letters. */
  adopt(message: StoredMessage): void {
    this.#append(
      new StoredMessage({
        sequence: this.#lastSequence + 1,
        originalSequence: message.originalSequence ?? message.sequence,
        content: message.content,
        enqueuedAt: message.enqueuedAt,
        expiresAt: Infinity,
        deliveryCount: message.deliveryCount,
        changes: message.changes,
      }),
    );
  }

  #expireOne(message: StoredMessage): void {
    if (!this.settings.deadLetterOnExpiration) {
      this.#remove(message);
      return;
    }
    this.#deadLetter(
      message,
      deadLetterProperties('TTLExpiredException', 'The message expired and was dead lettered.'),
    );
  }

  #expire(): void {
    const now = this.#host.clock.now();
    for (
      let message = this.#expiring.peek();
      message !== undefined && message.expiresAt <= now;
      message = this.#expiring.peek()
    ) {
      this.#expiring.pop();
      // A locked one is looked at again when its lock ends.
      if (message.state === 'available' || message.state === 'deferred') this.#expireOne(message);
    }
    const next = this.#expiring.peek();
    if (next !== undefined) this.#expiryAlarm.atLatest(next.expiresAt);
  }

  #remove(message: StoredMessage): void {
    if (message.state === 'deferred') this.#deferred -= 1;
    message.state = 'gone';
    this.#messages.delete(message.sequence);
    this.#sizeBytes -= message.content.sizeBytes;
  }
}
