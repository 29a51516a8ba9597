// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { runProgram } from '../src/proton.js';
import { skipWithout } from '@pointsman/testing';
import { openNamespace } from '../src/azure-scene.js';

const skip = skipWithout('Qpid Proton (Python)');
const server = await openNamespace({ after }, { mode: 'emulator', queues: ['orders'] });

describe("transactions of Proton's Python client at the namespace", { skip }, () => {
  it('send and settle at the commit, and leave nothing behind when they are rolled back', async (t) => {
    const url = `amqp://RootManageSharedAccessKey:SAS_KEY_VALUE@127.0.0.1:${server.ports.amqp}`;
    const events = await runProgram(t, 'transactions.py', url, 'orders');
    assert.deepEqual(
      events.map(({ event, step, body }) => [event, step ?? body ?? '']),
      [
        ['declared', 1],
        ['committed', 1],
        ['declared', 2],
        ['aborted', 2],
        ['declared', 3],
        ['message', 'a'],
        ['committed', 3],
        ['declared', 4],
        ['message', 'b'],
        ['aborted', 4],
        ['done', ''],
      ],
    );
    // b, which stays locked until its lock ends, and d.
    const { active, locked } = server.namespace.counts('orders');
    assert.deepEqual({ active, locked }, { active: 2, locked: 1 });
  });
});
