// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { openNamespace } from '../src/azure-scene.js';
import { CALLS, callTable } from '../src/calls/all-calls.js';
import { CallScene } from '../src/calls/call-row.js';

const PAGE = new URL('../../../docs/namespace.md', import.meta.url);
const BEGIN = '<!-- calls: written by the tests -->';
const END = '<!-- end of calls -->';

// Before the namespace goes: a client takes its time to see that a connection is dead.
const clients: ServiceBusClient[] = [];
after(() => Promise.all(clients.map((client) => client.close())));

const server = await openNamespace({ after }, { mode: 'emulator', queues: ['any'], topics: [{ name: 'topic' }] });
const scene = new CallScene(server.namespace, () => {
  const client = new ServiceBusClient(server.connectionString(), {
    retryOptions: { maxRetries: 0, timeoutInMs: 4_000 },
  });
  clients.push(client);
  return client;
});

// Each has entities of its own.
describe('each call of the official client at the namespace', { concurrency: 8 }, () => {
  for (const { of, call, what, run } of CALLS) {
    if (run !== undefined) it(`${of} ${call}: ${what}`, () => run(scene));
  }
});

describe('the table of calls', () => {
  it('names every member that the client has', () => {
    const { client } = scene;
    const objects: Readonly<Record<string, object>> = {
      ServiceBusClient: client,
      ServiceBusSender: client.createSender('any'),
      ServiceBusReceiver: client.createReceiver('any'),
      ServiceBusRuleManager: client.createRuleManager('any', 'all'),
    };
    // Not for users: helpers, and what TypeScript's declarations leave out.
    const inner = ['constructor', 'logPrefix', 'getRules'];
    for (const [of, object] of Object.entries(objects)) {
      const named = new Set(CALLS.filter((row) => row.of === of).flatMap(({ call }) => call.split(', ')));
      for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(object))) {
        if (name.startsWith('_') || inner.includes(name) || named.has(name)) continue;
        // A closed manager of rules is of no consequence: it has no close().
        if (of === 'ServiceBusRuleManager' && name === 'isClosed') continue;
        assert.fail(`${of}.${name} is in no row`);
      }
    }
  });

  it('is that of docs/namespace.md', () => {
    const page = readFileSync(PAGE, 'utf8');
    const [start, end] = [page.indexOf(BEGIN), page.indexOf(END)];
    assert.ok(start >= 0 && end > start, 'the page has no place for the table');
    const whole = `${page.slice(0, start)}${BEGIN}\n\n${callTable()}\n\n${page.slice(end)}`;
    if (process.env['UPDATE'] === '1') writeFileSync(PAGE, whole);
    else assert.equal(page, whole, 'run the tests with UPDATE=1');
  });
});
