// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { lookUpOf, type LookUpKind } from '../src/micro/look-up.js';
import { checkHash } from '../src/micro/micro-case.js';
import { MICRO_CASES } from '../src/micro/run.js';

describe('micro-benchmarks', () => {
  for (const one of MICRO_CASES.filter(({ isLarge }) => !isLarge)) {
    it(`measure what is right, round after round: ${one.name}`, () => {
      const round = one.prepare();
      checkHash(one, round());
      checkHash(one, round());
    });
  }

  it('notice a result that is wrong', () => {
    const [one] = MICRO_CASES;
    assert.ok(one);
    assert.throws(() => checkHash(one, one.hash + 1), /the results hash to/);
  });
});

describe('looking an address up', () => {
  for (const kind of ['exact', 'prefix', 'pattern'] as const) {
    it(`takes as many steps among 100 000 addresses as among 10: ${kind}`, () => {
      assert.deepEqual(stepsOf(kind, 100_000), stepsOf(kind, 10));
    });
  }

  it('takes no more steps for patterns that begin alike and part late', () => {
    const few = stepsOf('pattern', 10);
    const many = stepsOf('pattern', 1_000);
    assert.ok(few.length > 0 && Math.max(...many) <= Math.max(...few));
  });
});

/** Map look-ups that each of the first addresses takes. */
function stepsOf(kind: LookUpKind, count: number): number[] {
  const table = lookUpOf(kind, count);
  return Array.from({ length: 10 }, (_, i) => {
    let found = -1;
    const steps = mapReadsOf(() => (found = table.find(i)));
    assert.equal(found, i);
    assert.ok(steps > 0, 'no map was read: steps have to be counted in another way');
    return steps;
  });
}

/** Every node of the tables is found in a map: so the calls of `Map.prototype.get` are the nodes that were visited. */
function mapReadsOf(action: () => void): number {
  const spy = mock.method(Map.prototype, 'get');
  try {
    action();
    return spy.mock.callCount();
  } finally {
    spy.mock.restore();
  }
}
