// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_BACKOFF, backoffDelay } from '../src/index.js';

describe('back-off', () => {
  it('begins at once, then doubles from a second to half a minute', () => {
    const waits = Array.from({ length: 8 }, (_, failures) => backoffDelay(failures, DEFAULT_BACKOFF, () => 0));
    assert.deepEqual(waits, [0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it('lets chance take away up to the share that is set, and never adds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (failures, chance, jitter) => {
          const backoff = { ...DEFAULT_BACKOFF, jitter };
          const full = backoffDelay(failures, backoff, () => 0);
          const wait = backoffDelay(failures, backoff, () => chance);
          assert.ok(wait <= full && wait >= full * (1 - jitter) - 1e-6);
          assert.ok(full <= backoff.maxMs);
          assert.ok(full >= backoffDelay(failures - 1, backoff, () => 0));
        },
      ),
    );
  });
});
