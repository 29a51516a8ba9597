// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  attemptAfter,
  classify,
  conditionEntry,
  CONDITIONS,
  isNormalLife,
  RETRY_POLICIES,
  retryDelay,
  trackingIdOf,
  type ConditionClass,
} from '../src/index.js';

const none = (): number => 0;
const most = (): number => 0.999;

describe('conditions of Service Bus', () => {
  it('are classified by their symbol', () => {
    const expected: [string, ConditionClass][] = [
      ['amqp:connection:forced', 'forced'],
      ['amqp:unauthorized-access', 'unauthorized'],
      ['amqp:not-found', 'missing'],
      ['com.microsoft:entity-disabled', 'disabled'],
      ['amqp:not-allowed', 'misuse'],
      ['com.microsoft:server-busy', 'busy'],
      ['com.microsoft:timeout', 'transient'],
      ['amqp:internal-error', 'transient'],
      ['amqp:link:message-size-exceeded', 'too-large'],
      ['amqp:resource-limit-exceeded', 'quota'],
      ['com.microsoft:message-lock-lost', 'lock-lost'],
      ['amqp:link:stolen', 'stolen'],
    ];
    for (const [condition, conditionClass] of expected) assert.equal(classify(condition), conditionClass, condition);
  });

  it('tell kinds of forced detach apart by the text, and do not need it', () => {
    const idle =
      "The link 'G1:2:x' is force detached. Code: publisher(link7). Details: AmqpMessagePublisher.IdleTimerExpired: Idle timeout: 00:10:00.";
    assert.equal(classify('amqp:link:detach-forced', idle), 'idle');
    assert.equal(classify('amqp:link:detach-forced', 'Code: RenewToken. Details: Unauthorized access.'), 'token');
    assert.equal(classify('amqp:link:detach-forced', 'reworded'), 'forced');
    assert.equal(classify('amqp:not-found', idle), 'missing');
    for (const kind of ['idle', 'token', 'forced'] as const) {
      assert.ok(isNormalLife(kind));
      assert.equal(retryDelay(kind, 0, none), 0);
    }
  });

  it('are unknown where they are made up, whatever the name', () => {
    for (const name of ['x', '__proto__', 'constructor', 'toString', ''])
      assert.equal(conditionEntry(name).class, 'unknown');
    assert.equal(classify(undefined), 'forced');
  });

  it('give the TrackingId', () => {
    assert.equal(trackingIdOf('Gone. TrackingId:0a1b2c3d_G7_B12, SystemTracker:x, Timestamp:y'), '0a1b2c3d_G7_B12');
    assert.equal(trackingIdOf(undefined), undefined);
  });
});

describe('retry delay', () => {
  it('is 30 s and more where an operator has to act, 60 s and more where the request itself is wrong', () => {
    for (const kind of ['unauthorized', 'missing', 'disabled'] as const) {
      for (let attempt = 0; attempt < 50; attempt += 1) assert.ok(retryDelay(kind, attempt, none) >= 30_000);
    }
    for (let attempt = 0; attempt < 50; attempt += 1) assert.ok(retryDelay('misuse', attempt, none) >= 60_000);
    assert.ok(retryDelay('busy', 0, none) >= 4_000);
  });

  it('grows to its bound and never beyond, for every class', () => {
    for (const [kind, { maxMs, jitterMs }] of Object.entries(RETRY_POLICIES)) {
      let before = -1;
      for (const attempt of [0, 1, 2, 3, 10, 1_000, 1e9]) {
        const delay = retryDelay(kind as ConditionClass, attempt, none);
        assert.ok(delay >= before, `${kind} ${attempt}`);
        assert.ok(retryDelay(kind as ConditionClass, attempt, most) <= maxMs + jitterMs);
        before = delay;
      }
      assert.equal(before, maxMs, kind);
    }
  });

  it('spreads the links of one burst', () => {
    assert.notEqual(retryDelay('idle', 0, none), retryDelay('idle', 0, most));
  });

  it('begins anew once a link had stayed up, and not where it fell within seconds', () => {
    assert.equal(attemptAfter('idle', 5, 600_000), 0);
    assert.equal(attemptAfter('idle', 5, 2_000), 5);
  });

  it('exists for every class in the table of conditions', () => {
    for (const { class: kind } of Object.values(CONDITIONS)) assert.ok(RETRY_POLICIES[kind]);
  });
});
