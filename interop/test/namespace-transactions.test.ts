// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { runProgram } from '../src/proton.js';
import { skipWithout, startRouter, until } from '@pointsman/testing';
import type { ProcessEvent } from '@pointsman/testing';
import { openNamespace } from '../src/azure-scene.js';

const skip = skipWithout('Qpid Proton (Python)');
const server = await openNamespace(
  { after },
  { mode: 'emulator', queues: ['orders', ...Array.from({ length: 4 }, (_, i) => `routed-${i}`)] },
);

const ALL = [
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
];

const told = (events: readonly ProcessEvent[]): unknown[] =>
  events.map(({ event, step, body }) => [event, step ?? body ?? '']);

describe("transactions of Proton's Python client at the namespace", { skip }, () => {
  it('send and settle at the commit, and leave nothing behind when they are rolled back', async (t) => {
    const url = `amqp://RootManageSharedAccessKey:SAS_KEY_VALUE@127.0.0.1:${server.ports.amqp}`;
    const events = await runProgram(t, 'transactions.py', url, 'orders');
    assert.deepEqual(told(events), ALL);
    // b, which stays locked until its lock ends, and d.
    const { active, locked } = server.namespace.counts('orders');
    assert.deepEqual({ active, locked }, { active: 2, locked: 1 });
  });
});

describe("transactions of several of Proton's clients through the router", { skip }, () => {
  it('share the one coordinator that the service has for a connection, each with its own', async (t) => {
    process.env['ROUTED_TRANSACTIONS_CLOUD'] = server.connectionString();
    const router = await startRouter(
      t,
      `
router { mode: standalone  id: routed-transactions }
listener { host: 127.0.0.1  port: 0  authenticatePeer: no }
connector { name: service-bus  role: route-container  connectionString: env:ROUTED_TRANSACTIONS_CLOUD }
linkRoute { prefix: $coordinator  direction: in   connection: service-bus }
${[0, 1, 2, 3]
  .flatMap((i) =>
    ['in', 'out'].map((way) => `linkRoute { prefix: routed-${i}  direction: ${way}  connection: service-bus }`),
  )
  .join('\n')}
`,
    );
    await router.linkRoutesActive();
    const all = await Promise.all(
      [0, 1, 2, 3].map((i) => runProgram(t, 'transactions.py', `amqp://127.0.0.1:${router.port()}`, `routed-${i}`)),
    );
    for (const [i, events] of all.entries()) {
      assert.deepEqual(told(events), ALL);
      const { active, locked } = server.namespace.counts(`routed-${i}`);
      assert.deepEqual({ active, locked }, { active: 2, locked: 1 });
    }
    await until('the links to be gone', () => server.namespace.links === 0);
  });
});
