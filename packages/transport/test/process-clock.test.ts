// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { processClock } from '../src/index.js';

describe('the clock of a process', () => {
  it('bears delays that timers of Node.js do not: what is due in a year does not happen now', async () => {
    const happened: string[] = [];
    const cancel = processClock.after(365 * 86_400_000, () => happened.push('in a year'));
    const never = processClock.after(3_000_000_000, () => happened.push('in a month'));
    const keepsRunning = setInterval(() => undefined, 1_000);
    await new Promise<void>((resolve) => {
      processClock.after(5, resolve);
    });
    clearInterval(keepsRunning);
    cancel();
    never();
    assert.deepEqual(happened, []);
  });
});
