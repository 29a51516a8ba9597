// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  DESCRIPTOR_CODES,
  Described,
  ProtocolError,
  Reader,
  Writer,
  composites,
  encodeValue,
  readDescriptor,
  readValue,
  symbol,
  ulong,
} from '../src/index.js';
import type { AmqpValue, Composite } from '../src/index.js';
import { anyComposite, anyScalar, anyValue, mutated } from './arbitraries.js';
import { compositeByTable } from './by-table.js';
import { readBody, writeComposite } from './generated.js';

function encoded(definition: Composite, value: Record<string, unknown>, padded = false): Uint8Array {
  const w = new Writer();
  writeComposite(definition, w, value, padded);
  return w.toBytes();
}

function byGenerated(definition: Composite, bytes: Uint8Array): Record<string, unknown> {
  const r = new Reader(bytes);
  assert.equal(readDescriptor(r, DESCRIPTOR_CODES), definition.code);
  const value = readBody(definition, r);
  assert.equal(r.position, bytes.length);
  assert.equal(r.depth, 0);
  return value;
}

/** What became of reading: the value, or 'refused'. Any other error is thrown. */
function outcomeOf(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError && error.condition === 'amqp:decode-error') return 'refused';
    throw error;
  }
}

describe('composites: generated code, and its twin by the table', () => {
  for (const definition of composites) {
    it(`${definition.name}: what is written is read again, by both, padded or not`, () => {
      fc.assert(
        fc.property(anyComposite(definition), fc.boolean(), (value, padded) => {
          const bytes = encoded(definition, value, padded);
          assert.deepEqual(byGenerated(definition, bytes), value);
          assert.deepEqual(compositeByTable(definition, readValue(new Reader(bytes))), value);
        }),
        { numRuns: 60 },
      );
    });

    it(`${definition.name}: both take the same lists and refuse the same`, () => {
      const descriptor = fc.constantFrom<AmqpValue>(ulong(definition.code), symbol(`amqp:${definition.name}:list`));
      const fields = fc.array(fc.oneof({ weight: 3, arbitrary: anyScalar }, anyValue, fc.constant(null)), {
        maxLength: definition.fields.length + 2,
      });
      // A list that is right but for one field comes further than one of chance.
      const nearly = fc.tuple(anyComposite(definition), fc.nat(20), anyValue).map(([value, at, other]) => {
        const list = (readValue(new Reader(encoded(definition, value))) as Described).value as AmqpValue[];
        if (list.length > 0) list[at % list.length] = other;
        return list;
      });
      const begun = fc.tuple(anyComposite(definition), fc.nat(20)).map(([value, count]) => {
        const list = (readValue(new Reader(encoded(definition, value, true))) as Described).value as AmqpValue[];
        return list.slice(0, count % (list.length + 1));
      });
      fc.assert(
        fc.property(descriptor, fc.oneof(fields, nearly, begun), (name, list) => {
          const bytes = encodeValue(new Described(name, list));
          assert.deepEqual(
            outcomeOf(() => byGenerated(definition, bytes)),
            outcomeOf(() => compositeByTable(definition, readValue(new Reader(bytes)))),
          );
        }),
        { numRuns: 100 },
      );
    });

    it(`${definition.name}: a mutated encoding gives a value or a ProtocolError`, () => {
      fc.assert(
        fc.property(mutated(anyComposite(definition).map((value) => encoded(definition, value))), (bytes) => {
          const r = new Reader(bytes);
          outcomeOf(() => (readDescriptor(r, DESCRIPTOR_CODES) === undefined ? undefined : readBody(definition, r)));
          assert.ok(r.position <= bytes.length);
        }),
        { numRuns: 150 },
      );
    });
  }
});
