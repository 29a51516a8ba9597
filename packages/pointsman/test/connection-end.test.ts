// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RETRY_POLICIES } from '@pointsman/azure';
import { delayAfter } from '../src/run/connection-end.js';

describe('a connection that Service Bus has closed', () => {
  const closed = (condition: string, by: 'remote' | 'protocol' = 'remote') =>
    ({ by, phase: 'opened', error: { condition } }) as const;

  it('is made again later and later where the service has too much to do, or a quota is used up', () => {
    for (const [condition, kind] of [
      ['com.microsoft:server-busy', 'busy'],
      ['amqp:resource-limit-exceeded', 'quota'],
    ] as const) {
      const { firstMs, secondMs, maxMs, jitterMs } = RETRY_POLICIES[kind];
      assert.equal(
        delayAfter(closed(condition), 0, () => 0),
        firstMs,
      );
      assert.equal(
        delayAfter(closed(condition), 1, () => 0),
        secondMs,
      );
      assert.equal(
        delayAfter(closed(condition), 50, () => 1),
        maxMs + jitterMs,
      );
    }
  });

  it('is made again as any other where it was recycled, where a key may be put right, and where nobody said why', () => {
    for (const condition of ['amqp:connection:forced', 'amqp:unauthorized-access', 'amqp:not-found'])
      assert.equal(
        delayAfter(closed(condition), 3, () => 0.5),
        0,
      );
    assert.equal(
      delayAfter(closed('com.microsoft:server-busy', 'protocol'), 3, () => 0.5),
      0,
    );
    assert.equal(
      delayAfter({ by: 'lost', phase: 'opened' }, 3, () => 0.5),
      0,
    );
  });
});
