// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MessageQueue } from '../src/message-queue.js';
import type { MessageSession, SessionConsumer, SessionWaiter } from '../src/message-session.js';
import type { Lock, StoredMessage } from '../src/stored-message.js';
import { contentOf } from './broker-scenarios.js';
import { seededRandom, VirtualClock } from './virtual-clock.js';

const IDS = ['a', 'b', 'c'];

/** A receiver that takes a session, some messages, and writes everything down. */
class Taker implements SessionConsumer, SessionWaiter {
  readonly mode = 'peek-lock';
  readonly owner = this;
  readonly sessionId: string | undefined;
  readonly held: string[] = [];
  readonly taken: number[] = [];
  session!: MessageSession;
  credit = 0;
  state: 'waiting' | 'holding' | 'over' = 'waiting';

  constructor(sessionId: string | undefined) {
    this.sessionId = sessionId;
  }

  accept(session: MessageSession): SessionConsumer | undefined {
    if (this.state === 'over') return undefined;
    assert.equal(session.holder, undefined, 'nobody else holds it');
    this.session = session;
    this.state = 'holding';
    return this;
  }

  hasRoom(): boolean {
    return this.credit > 0;
  }

  take(message: StoredMessage, lock: Lock | undefined): void {
    assert.equal(this.state, 'holding');
    assert.equal(message.content.groupId, this.session.id, 'no message of another session');
    this.credit -= 1;
    this.held.push(lock!.token);
    this.taken.push(message.sequence);
  }

  onSessionLost(): void {
    this.state = 'over';
  }
}

describe('message sessions of a queue', () => {
  it('lose, double and mix nothing, whatever receivers do and whenever locks end', () => {
    const step = fc.tuple(fc.nat(8), fc.nat(20), fc.nat(2));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150, size: 'max' }), fc.nat(), (steps, seed) => {
        const clock = new VirtualClock();
        const queue = new MessageQueue(
          {
            lockDurationMs: 30_000,
            maxDeliveryCount: 4,
            defaultTtlMs: Infinity,
            deadLetterOnExpiration: false,
            maxSizeBytes: 1e9,
            requiresSession: true,
          },
          { clock, random: seededRandom(seed) },
        );
        const takers: Taker[] = [];
        let sent = 0;
        let gone = 0;
        const holding = (): Taker[] => takers.filter(({ state }) => state === 'holding');
        const check = (): void => {
          const { active, deferred, scheduled, deadLetter } = queue.counts();
          assert.equal(active + deferred + scheduled + deadLetter + gone, sent);
          const ids = holding().map(({ session }) => session.id);
          assert.equal(new Set(ids).size, ids.length, 'one holder a session');
        };
        for (const [what, amount, which] of steps) {
          const id = IDS[which]!;
          const taker = holding()[amount % Math.max(1, holding().length)];
          const token = taker?.held[amount % Math.max(1, taker.held.length)];
          if (what === 0) {
            queue.enqueue(contentOf('x', { session: id }));
            sent += 1;
          } else if (what === 1) {
            queue.schedule(contentOf('x', { session: id }), clock.now() + amount * 1000);
            sent += 1;
          } else if (what === 2) {
            const next = new Taker(amount % 2 === 0 ? id : undefined);
            const result = queue.acceptSession(next);
            if (result === 'granted' || result === 'waiting') takers.push(next);
            assert.equal(result === 'granted', next.state === 'holding');
          } else if (what === 3) clock.advance(amount * 1000);
          else if (taker === undefined) continue;
          else if (what === 4) {
            taker.credit += amount;
            queue.wake(taker);
          } else if (what === 5) {
            taker.state = 'over';
            queue.removeConsumer(taker);
          } else if (what === 6) queue.renewSession(taker.session);
          else if (token === undefined) continue;
          else if (what === 7) gone += queue.settle(token, { kind: 'complete' }) === 'done' ? 1 : 0;
          else queue.settle(token, { kind: (['abandon', 'defer', 'unlock'] as const)[which]! });
          check();
        }
        for (const taker of takers) {
          if (taker.state === 'waiting') queue.stopWaiting(taker);
          if (taker.state === 'holding') queue.removeConsumer(taker);
          taker.state = 'over';
        }
        clock.advance(600_000);
        check();
        assert.equal(queue.counts().locked, 0);
        assert.equal(clock.pending, 0, 'every order with the clock has ended');
        // What is left comes in the order of its numbers, session by session, to whoever asks.
        for (let left = queue.counts().active; left > 0; left = queue.counts().active) {
          const taker = new Taker(undefined);
          assert.equal(queue.acceptSession(taker), 'granted');
          taker.credit = Infinity;
          queue.wake(taker);
          assert.deepEqual(
            taker.taken,
            taker.taken.toSorted((a, b) => a - b),
          );
          for (const token of taker.held) queue.settle(token, { kind: 'complete' });
          gone += taker.held.length;
          queue.removeConsumer(taker);
          check();
        }
      }),
      { numRuns: 100 },
    );
  });
});
