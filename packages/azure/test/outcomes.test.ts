// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  outcomeToProducer,
  outcomeToServiceBus,
  settlementAnswer,
  TO_SERVICE_BUS,
  type ConsumerSaid,
} from '../src/index.js';

describe('what is said to Service Bus', () => {
  it('dead-letters only what a consumer rejected itself', () => {
    const deadLettering = Object.entries(TO_SERVICE_BUS)
      .filter(([, { effect }]) => effect === 'dead-letter')
      .map(([name]) => name);
    assert.deepEqual(deadLettering, ['rejected']);
  });

  it('never defers unless that was configured', () => {
    for (const name of Object.keys(TO_SERVICE_BUS))
      assert.notEqual(outcomeToServiceBus(name as ConsumerSaid).effect, 'defer');
    const plain = outcomeToServiceBus('modified-undeliverable-here');
    assert.deepEqual([plain.outcome, plain.undeliverableHere], ['modified', false]);
    const deferred = outcomeToServiceBus('modified-undeliverable-here', true);
    assert.deepEqual([deferred.effect, deferred.undeliverableHere], ['defer', true]);
    assert.equal(outcomeToServiceBus('rejected', true).effect, 'dead-letter');
  });

  it('slows what comes back at once without being counted', () => {
    assert.equal(outcomeToServiceBus('released').delayed, true);
    assert.equal(outcomeToServiceBus('router-refused').delayed, true);
    assert.equal(outcomeToServiceBus('router-stopping').delayed, false);
  });

  it('counts an attempt that somebody may have seen, and none that nobody saw', () => {
    assert.equal(outcomeToServiceBus('lost-after-send').outcome, 'modified');
    assert.equal(outcomeToServiceBus('lost-before-send').outcome, 'released');
  });
});

describe('what the producer is told', () => {
  it('is accepted only where Service Bus accepted', () => {
    assert.equal(outcomeToProducer('accepted').tell, 'accepted');
    for (const said of ['rejected', 'released', 'modified', 'lost-after-send', 'lost-before-send'] as const) {
      for (const condition of [undefined, 'com.microsoft:server-busy', 'amqp:not-allowed']) {
        assert.notEqual(outcomeToProducer(said, condition).tell, 'accepted');
      }
    }
  });

  it('is nothing yet while the service is only busy, and released where the message cannot be held', () => {
    for (const condition of ['com.microsoft:server-busy', 'com.microsoft:timeout', 'amqp:internal-error']) {
      assert.equal(outcomeToProducer('rejected', condition).tell, 'hold');
      assert.equal(outcomeToProducer('rejected', condition, false).tell, 'released');
    }
  });

  it('is rejected with the error where the message itself is at fault, or no error is given', () => {
    for (const condition of [
      'amqp:not-allowed',
      'com.microsoft:argument-error',
      'amqp:link:message-size-exceeded',
      undefined,
      'made:up',
    ]) {
      assert.deepEqual(
        [outcomeToProducer('rejected', condition).tell, outcomeToProducer('rejected', condition).carriesDetails],
        ['rejected', true],
      );
    }
  });

  it('leaves the doubt to the producer where a message was sent and nothing came back', () => {
    assert.deepEqual(
      [outcomeToProducer('lost-after-send').tell, outcomeToProducer('lost-after-send').deliveryFailed],
      ['modified', true],
    );
  });
});

describe('the answer to a settlement', () => {
  it('is done when echoed, lock-lost when the lock had gone, retry when the service was busy', () => {
    assert.equal(settlementAnswer('accepted', 'accepted'), 'done');
    assert.equal(settlementAnswer('accepted', undefined), 'done');
    assert.equal(settlementAnswer('rejected', 'rejected'), 'done');
    assert.equal(settlementAnswer('accepted', 'rejected', 'com.microsoft:message-lock-lost'), 'lock-lost');
    assert.equal(settlementAnswer('accepted', 'rejected', 'com.microsoft:session-lock-lost'), 'lock-lost');
    assert.equal(settlementAnswer('modified', 'rejected', 'amqp:not-found'), 'lock-lost');
    assert.equal(settlementAnswer('accepted', 'rejected', 'com.microsoft:server-busy'), 'retry');
    assert.equal(settlementAnswer('accepted', 'rejected'), 'failed');
    assert.equal(settlementAnswer('accepted', 'rejected', 'amqp:not-allowed'), 'failed');
  });
});
