// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  AmqpArray,
  Described,
  double,
  encodeMessage,
  int,
  long,
  symbol,
  timestamp,
  ulong,
  uuid,
  type AmqpValue,
} from '@pointsman/wire';
import { Harness, numberIn, TIME_ORIGIN } from './harness.js';

const OPERATIONS = (
  'renew-lock peek-message receive-by-sequence-number update-disposition batch-delete-messages schedule-message cancel-scheduled-message ' +
  'renew-session-lock set-session-state get-session-state get-message-sessions add-rule remove-rule enumerate-rules'
).split(' ');

const NODES = ['orders', 'sessions', 'news', 'news/Subscriptions/all', 'orders/$DeadLetterQueue'];

const later = encodeMessage({
  messageAnnotations: new Map([['x-opt-scheduled-enqueue-time', timestamp(TIME_ORIGIN + 5_000)]]),
  properties: { groupId: 'one' },
  applicationProperties: new Map([['a', 'x']]),
  body: { kind: 'value', value: 'later' },
});

/** Values that mean something to some operation, and such as mean nothing to any. */
const leaf: fc.Arbitrary<AmqpValue> = fc.oneof(
  fc.constantFrom<AmqpValue>(null, true, '', 'one', 'completed', 'suspended', 'x'.repeat(2_000), later, symbol('one')),
  fc.constantFrom("a = 'x'", '1=1', "SET sys.ContentType = 'ü'", 'SET a = 1; REMOVE b', 'a LIKE', '$Default'),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => long(value)),
  fc.integer({ min: -3, max: 300 }).map((value) => int(value)),
  fc.integer({ min: -3, max: 30 }).map((value) => long(value)),
  fc.constantFrom<AmqpValue>(
    double(NaN),
    double(-Infinity),
    ulong(2n ** 64n - 1n),
    timestamp(-1n),
    timestamp(TIME_ORIGIN),
  ),
  fc.uint8Array({ maxLength: 20 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => uuid(bytes)),
);

const KEYS = (
  'lock-tokens from-sequence-number message-count sequence-numbers receiver-settle-mode session-id disposition-status properties-to-modify ' +
  'deadletter-reason messages message session-state last-updated-time skip top rule-name ' +
  'rule-description sql-filter sql-rule-action expression correlation-filter label properties enqueued-time-utc'
).split(' ');

const { tree } = fc.letrec<{ tree: AmqpValue; map: AmqpValue }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    tie('map'),
    fc.array(tie('tree'), { maxLength: 3 }),
    fc
      .array(
        fc.integer({ min: 0, max: 9 }).map((value) => long(value)),
        { maxLength: 3 },
      )
      .map((values) => new AmqpArray('long', values)),
    leaf.map((value) => new Described(ulong(1), value)),
  ),
  map: fc
    .array(fc.tuple(fc.constantFrom(...KEYS), tie('tree')), { maxLength: 5 })
    .map((entries) => new Map<AmqpValue, AmqpValue>(entries)),
}));

const request = fc.tuple(
  fc.constantFrom(...OPERATIONS),
  fc.constantFrom(...NODES),
  fc.array(fc.tuple(fc.constantFrom(...KEYS), tree), { maxLength: 8 }),
);

describe('requests to $management of any content', () => {
  it('are answered, one by one, and touch nobody else', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 12 }), (requests) => {
        const harness = new Harness({ queues: [{ name: 'orders' }, { name: 'sessions', requiresSession: true }] });
        const [client, witness] = [harness.connect({ user: 'root' }), harness.connect({ user: 'root' })];
        const receivers = ['orders', 'news/Subscriptions/all'].map((path) => witness.receiver(path, 50));
        const session = witness.receiver('sessions', 50, {
          source: {
            type: 'source',
            address: 'sessions',
            filter: new Map<AmqpValue, AmqpValue>([[symbol('com.microsoft:session-filter'), 'one']]),
          },
        });
        const asks = new Map(NODES.map((node) => [node, client.requester(`${node}/$management`)]));
        for (const [operation, node, entries] of requests) {
          const answer = asks.get(node)!(
            { operation: `com.microsoft:${operation}` },
            new Map<AmqpValue, AmqpValue>(entries),
          );
          const status = numberIn(answer.applicationProperties?.get('statusCode'));
          assert.ok([200, 204, 400, 403, 404, 409, 410, 501].includes(status), `${operation}: ${status}`);
        }
        for (const path of ['orders', 'news'])
          witness.sender(path).send({
            properties: { contentType: 'a/b' },
            applicationProperties: new Map([['a', 'x']]),
            body: { kind: 'value', value: 1 },
          });
        // What was scheduled comes.
        harness.advance(20_000);
        assert.equal(witness.ending, '');
        assert.equal(client.ending, '');
        for (const { detached } of [...receivers, session]) assert.equal(detached, undefined);
      }),
      { numRuns: 400 },
    );
  });
});
