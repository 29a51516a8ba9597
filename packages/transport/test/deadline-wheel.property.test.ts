// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DeadlineWheel } from '../src/index.js';
import type { WheelEntry } from '../src/index.js';

class Entry implements WheelEntry {
  wheelSlot = -1;
  due: number | undefined;
  /** When it became known to the wheel. */
  notedAt = 0;
  expiries: { due: number; at: number }[] = [];
  deadline(): number | undefined {
    return this.due;
  }
  expire(now: number): void {
    this.expiries.push({ due: this.due ?? NaN, at: now });
    this.due = undefined;
  }
}

/** A clock that jumps from timer to timer, never further than it is told to. */
class Clock {
  time = 12_345;
  #timers: { at: number; action: () => void }[] = [];
  now(): number {
    return this.time;
  }
  after(ms: number, action: () => void): () => void {
    const timer = { at: this.time + ms, action };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }
  get timers(): number {
    return this.#timers.length;
  }
  /** @param stall - ms that the event loop is blocked at the end: timers that fell due meanwhile come late */
  advance(ms: number, stall: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.time = Math.max(this.time, next.at);
      next.action();
    }
    this.time = end + stall;
  }
}

type Step =
  | { readonly kind: 'set'; readonly entry: number; readonly ms: number }
  | { readonly kind: 'toggle'; readonly entry: number }
  | { readonly kind: 'advance'; readonly ms: number; readonly stall: number };

const entry = fc.nat(7);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), entry, ms: fc.integer({ min: -50, max: 5_000 }) }),
  fc.record({ kind: fc.constant('toggle' as const), entry }),
  fc.record({
    kind: fc.constant('advance' as const),
    ms: fc.oneof(fc.nat(40), fc.nat(3_000)),
    stall: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(4_000) }),
  }),
);

describe('deadline wheel', () => {
  it('serves every deadline once, never early, and at most a slot late where the loop was not blocked', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const clock = new Clock();
        const wheel = new DeadlineWheel(clock);
        const entries = Array.from({ length: 8 }, () => new Entry());
        const inside = new Set<Entry>();
        let stalledUntil = 0;
        for (const one of steps) {
          if (one.kind === 'advance') {
            clock.advance(one.ms, one.stall);
            if (one.stall > 0) stalledUntil = clock.time;
          } else {
            const subject = entries[one.entry] as Entry;
            if (one.kind === 'set') {
              subject.due = clock.time + one.ms;
              subject.notedAt = clock.time;
              wheel.note(subject, subject.due, clock.time);
            } else if (inside.delete(subject)) {
              wheel.remove(subject);
            } else {
              subject.notedAt = clock.time;
              inside.add(subject);
              wheel.add(subject);
            }
          }
          assert.equal(wheel.size, inside.size);
          assert.equal(wheel.timers, inside.size === 0 ? 0 : 1);
          assert.equal(clock.timers, wheel.timers, 'the wheel knows what it has running');
        }
        // Whatever was blocked comes now.
        clock.advance(1, 0);
        clock.advance(10_000, 0);
        for (const subject of entries) {
          if (inside.has(subject)) assert.equal(subject.due, undefined, 'a deadline was forgotten');
          for (const { due, at } of subject.expiries) {
            assert.ok(at >= due, `served ${due - at} ms early`);
            const since = Math.max(due, subject.notedAt, stalledUntil);
            assert.ok(at <= since + 33 || at < stalledUntil + 33 || at <= due + 33, `served ${at - since} ms late`);
          }
        }
      }),
      { numRuns: 300, includeErrorInReport: true },
    );
  });

  it('asks an entry again at least once a second, for deadlines that move forward unseen', () => {
    const clock = new Clock();
    const wheel = new DeadlineWheel(clock);
    const subject = new Entry();
    wheel.add(subject);
    clock.advance(10_000, 0);
    subject.due = clock.time + 1;
    clock.advance(1_050, 0);
    assert.equal(subject.expiries.length, 1);
  });

  it('comes back no more than once a slot to an entry that stays overdue', () => {
    const clock = new Clock();
    const wheel = new DeadlineWheel(clock);
    let calls = 0;
    wheel.add({ wheelSlot: -1, deadline: () => 0, expire: () => calls++ });
    clock.advance(1_000, 0);
    assert.ok(calls >= 30 && calls <= 64, `${calls} calls in a second`);
  });
});
