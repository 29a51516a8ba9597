// SPDX-License-Identifier: Apache-2.0
import { decodeManagementResponse, entityTypes } from '@pointsman/management';
import { AmqpSymbol, Described, encodeMessage, Typed } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bench } from './agent-fixture.js';

const STATUSES = [200, 201, 204, 400, 403, 404, 501];
const nobody = { connection: undefined };

const OPERATIONS = [
  ...new Set(entityTypes.flatMap(({ operations }) => operations)),
  'toString',
  '__proto__',
  'constructor',
  '',
];
const words = fc.oneof(
  fc.constantFrom(...entityTypes.flatMap(({ name, fullName }) => [name, fullName])),
  fc.constantFrom(...new Set(entityTypes.flatMap(({ attributes }) => attributes.map(({ name }) => name)))),
  fc.constantFrom('self', 'front', '1', '8', 'log/AGENT', 'router/A', '__proto__', 'constructor', 'in', 'yes', ''),
  fc.string({ maxLength: 12 }),
);

const anyValue: fc.Arbitrary<AmqpValue> = fc.letrec<{ value: AmqpValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    words,
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double(),
    fc.uint8Array({ maxLength: 8 }),
    words.map((text) => new AmqpSymbol(text.replaceAll(/[^\x20-\x7e]/gu, '.'))),
    fc.nat(255).map((number) => new Typed('ubyte', number)),
    tie('value').map((value) => new Described(new AmqpSymbol('a:b'), value)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
  ),
})).value;

const body = fc.oneof(
  anyValue,
  fc.array(fc.tuple(words as fc.Arbitrary<AmqpValue>, anyValue), { maxLength: 5 }).map((entries) => new Map(entries)),
  fc.array(words, { maxLength: 5 }).map((names) => new Map<AmqpValue, AmqpValue>([['attributeNames', names]])),
);

const property = fc.tuple(
  fc.constantFrom('type', 'entityType', 'name', 'identity', 'offset', 'count', 'limit', 'indent'),
  fc.oneof(words, fc.integer(), fc.boolean(), fc.constant(null)),
);

const request = fc.record({
  operation: fc.constantFrom(...OPERATIONS),
  properties: fc.array(property, { maxLength: 5 }),
  body,
});

function encoded({
  operation,
  properties,
  body: value,
}: {
  operation: string;
  properties: readonly (readonly [string, AmqpValue])[];
  body: AmqpValue;
}): Uint8Array {
  return encodeMessage({
    properties: { replyTo: 'r', correlationId: 'c' },
    applicationProperties: new Map<string, AmqpValue>([['operation', operation], ...properties]),
    body: { kind: 'value', value },
  });
}

describe('ManagementAgent, hostile requests', () => {
  it('meets any request with an answer that is no failure of its own', async () => {
    const seen = new Set<number>();
    const { agent } = bench();
    await fc.assert(
      fc.asyncProperty(request, async (given) => {
        const answer = await agent.answer(encoded(given), nobody);
        assert.ok(answer);
        const { statusCode, statusDescription, correlationId } = decodeManagementResponse(answer.message);
        assert.ok(STATUSES.includes(statusCode), `${statusCode} ${statusDescription}`);
        assert.ok(statusDescription.length > 0 && statusDescription.length <= 1_024);
        assert.equal(correlationId, 'c');
        seen.add(statusCode);
      }),
      { numRuns: 3_000 },
    );
    // Which ones is chance; other tests call for each by itself.
    assert.ok(seen.size >= 3, [...seen].join(' '));
  });

  it('meets any bytes with an answer or with none, and lives on', async () => {
    const { agent, call } = bench();
    const damaged = fc
      .tuple(request, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 }), fc.nat(60))
      .map(([given, changes, cut]) => {
        const bytes = encoded(given);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return bytes.subarray(0, cut === 0 ? bytes.length : bytes.length - (cut % bytes.length));
      });
    await fc.assert(
      fc.asyncProperty(fc.oneof(damaged, fc.uint8Array({ maxLength: 64 })), async (bytes) => {
        const answer = await agent.answer(bytes, nobody);
        if (answer !== undefined) decodeManagementResponse(answer.message);
      }),
      { numRuns: 3_000 },
    );
    assert.equal((await call('GET-MGMT-NODES')).statusCode, 200);
  });

  it('refuses a request that is too long', async () => {
    const { agent } = bench();
    const bytes = encoded({ operation: 'READ', properties: [], body: 'x'.repeat(1_048_576) });
    const answer = await agent.answer(bytes, nobody);
    assert.ok(answer);
    assert.match(decodeManagementResponse(answer.message).statusDescription, /more than 1048576 bytes/u);
  });
});
