// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MessageQueue } from '../src/message-queue.js';
import type { Lock, StoredMessage } from '../src/stored-message.js';
import { contentOf } from './broker-scenarios.js';
import { seededRandom, VirtualClock } from './virtual-clock.js';

const LOCK_MS = 30_000;
const ATTEMPTS = 3;

/** A message as the twin knows it. */
interface TwinMessage {
  readonly sequence: number;
  readonly expiresAt: number;
  readonly dueAt: number;
  state: 'available' | 'locked' | 'deferred' | 'scheduled';
  wasDeferred: boolean;
  count: number;
  lockedUntil: number;
  token: string;
}

/** What a queue does, in as few lines as can be: a list that is gone through each time. */
class Twin {
  messages: TwinMessage[] = [];
  dead = 0;
  last = 0;
  now: number;

  constructor(now: number) {
    this.now = now;
  }

  add(ttlMs: number, delayMs: number): void {
    this.messages.push({
      sequence: ++this.last,
      expiresAt: delayMs > 0 ? Infinity : this.now + ttlMs,
      dueAt: this.now + delayMs,
      state: delayMs > 0 ? 'scheduled' : 'available',
      wasDeferred: false,
      count: 0,
      lockedUntil: 0,
      token: '',
    });
  }

  /** Lets time pass, one happening after the other. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = this.messages.map((message) => this.#nextOf(message)).toSorted((a, b) => a - b);
      if (next === undefined || next > end) break;
      this.now = Math.max(this.now, next);
      for (const message of this.messages) {
        if (message.state === 'locked' && message.lockedUntil <= this.now) this.giveBack(message, true);
        else if (message.state === 'available' && message.expiresAt <= this.now) this.#die(message);
        else if (message.state === 'scheduled' && message.dueAt <= this.now) {
          this.remove(message);
          this.add(Infinity, 0);
        }
      }
    }
    this.now = end;
  }

  #nextOf({ state, lockedUntil, expiresAt, dueAt }: TwinMessage): number {
    if (state === 'locked') return lockedUntil;
    return state === 'available' ? expiresAt : state === 'scheduled' ? dueAt : Infinity;
  }

  #die(message: TwinMessage): void {
    this.remove(message);
    this.dead += 1;
  }

  remove(message: TwinMessage): void {
    this.messages = this.messages.filter((other) => other !== message);
  }

  giveBack(message: TwinMessage, isCounted: boolean): void {
    if (isCounted) message.count += 1;
    const isOver = (message.expiresAt <= this.now && !message.wasDeferred) || (isCounted && message.count >= ATTEMPTS);
    if (isOver) this.#die(message);
    else message.state = message.wasDeferred ? 'deferred' : 'available';
  }

  settle(message: TwinMessage, how: 'complete' | 'unlock' | 'abandon' | 'defer' | 'dead-letter'): void {
    if (how === 'complete') this.remove(message);
    else if (how === 'dead-letter') this.#die(message);
    else if (how === 'defer') {
      message.count += 1;
      message.wasDeferred = true;
      message.state = 'deferred';
    } else this.giveBack(message, how === 'abandon');
  }

  /** Messages with a number from `sequence` on. */
  from(sequence: number): TwinMessage[] {
    return this.messages.filter((message) => message.sequence >= sequence).toSorted((a, b) => a.sequence - b.sequence);
  }

  count(state: TwinMessage['state']): number {
    return this.messages.filter((message) => message.state === state).length;
  }
}

const SETTLEMENTS = ['complete', 'unlock', 'abandon', 'defer', 'dead-letter'] as const;

describe('a queue beside its twin', () => {
  it('has the same messages in the same states, whatever is done to it and whatever time passes', () => {
    const step = fc.tuple(fc.nat(9), fc.nat(12), fc.nat(60));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), fc.nat(), (steps, seed) => {
        const clock = new VirtualClock();
        const queue = new MessageQueue(
          {
            lockDurationMs: LOCK_MS,
            maxDeliveryCount: ATTEMPTS,
            defaultTtlMs: Infinity,
            deadLetterOnExpiration: true,
            maxSizeBytes: 1e9,
          },
          { clock, random: seededRandom(seed) },
        );
        const twin = new Twin(clock.now());
        const bySequence = (sequence: number): TwinMessage => {
          const found = twin.messages.find((message) => message.sequence === sequence);
          assert.ok(found !== undefined, `${sequence} is gone, by the twin`);
          return found;
        };
        const hold = ({ sequence }: StoredMessage, lock: Lock | undefined): void => {
          const message = bySequence(sequence);
          message.state = 'locked';
          message.lockedUntil = twin.now + LOCK_MS;
          message.token = lock!.token;
        };
        const consumer = {
          mode: 'peek-lock' as const,
          credit: 0,
          hasRoom: (): boolean => consumer.credit > 0,
          take: (message: StoredMessage, lock: Lock | undefined): void => {
            consumer.credit -= 1;
            const [first] = twin.from(0).filter(({ state }) => state === 'available');
            assert.equal(message.sequence, first?.sequence, 'the one with the lowest number');
            assert.equal(message.deliveryCount, first?.count);
            hold(message, lock);
          },
        };
        queue.addConsumer(consumer);
        for (const [what, amount, where] of steps) {
          const held = twin.from(0).filter(({ state }) => state === 'locked');
          const one = held[where % Math.max(1, held.length)];
          if (what === 0 || what === 1) {
            for (let i = 0; i < amount; i += 1) {
              // A little off the rest, so that nothing happens at the same moment as something else.
              const ttl = where % 3 === 0 ? 1_000 * (i + where) + 137 : undefined;
              queue.enqueue(contentOf('a', ttl === undefined ? {} : { ttl: `${ttl}ms` }));
              twin.add(ttl ?? Infinity, 0);
            }
          } else if (what === 2) {
            const delay = 1_000 * where + 71;
            for (let i = 0; i < amount; i += 1) {
              queue.schedule(contentOf('a'), clock.now() + delay);
              twin.add(Infinity, delay);
            }
          } else if (what === 3) {
            consumer.credit = amount;
            queue.wake(consumer);
            consumer.credit = 0;
          } else if (what === 4) {
            clock.advance(1_000 * where);
            twin.advance(1_000 * where);
          } else if (what === 5) {
            const wanted = [where, where + 1];
            const areThere = wanted.every((at) =>
              twin.messages.some((m) => m.sequence === at && m.state === 'scheduled'),
            );
            assert.equal(queue.cancelScheduled(wanted), areThere);
            if (areThere) for (const at of wanted) twin.remove(bySequence(at));
          } else if (what === 6) {
            const deferred = twin.from(0).filter(({ state }) => state === 'deferred');
            const wanted = deferred.slice(0, amount).map(({ sequence }) => sequence);
            const received = queue.receiveDeferred(wanted, 'peek-lock');
            assert.equal(received?.length, wanted.length);
            for (const { message, lock } of received ?? []) hold(message, lock);
            assert.equal(queue.receiveDeferred([...wanted, 1e6], 'peek-lock'), undefined);
          } else if (what === 7) {
            const free = twin.from(0).filter(({ state }) => state === 'available');
            assert.equal(queue.deleteBatch(amount, Infinity), Math.min(amount, free.length));
            for (const message of free.slice(0, amount)) twin.remove(message);
          } else if (one === undefined) continue;
          else if (what === 8) {
            assert.equal(queue.renew(one.token), twin.now + LOCK_MS);
            one.lockedUntil = twin.now + LOCK_MS;
          } else {
            const how = SETTLEMENTS[amount % SETTLEMENTS.length]!;
            assert.equal(queue.settle(one.token, { kind: how }), 'done');
            twin.settle(one, how);
            assert.equal(queue.settle(one.token, { kind: how }), 'lock-lost');
          }
          const show = (sequence: number, state: string): string => `${sequence} ${state}`;
          assert.deepEqual(
            queue.peek(where, 7).map(({ sequence, state }) => show(sequence, state)),
            twin
              .from(where)
              .slice(0, 7)
              .map(({ sequence, state }) => show(sequence, state)),
          );
          const { active, locked, deferred, scheduled, deadLetter } = queue.counts();
          assert.deepEqual(
            { free: active - locked, locked, deferred, scheduled, deadLetter },
            {
              free: twin.count('available'),
              locked: twin.count('locked'),
              deferred: twin.count('deferred'),
              scheduled: twin.count('scheduled'),
              deadLetter: twin.dead,
            },
          );
        }
        queue.close();
        assert.equal(clock.pending, 0, 'every order with the clock is given back');
      }),
      { numRuns: Number(process.env['QUEUE_TWIN_RUNS'] ?? 500) },
    );
  });
});
