// SPDX-License-Identifier: Apache-2.0
import { after, describe, it } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { startRouter, until } from '@pointsman/testing';
import { openNamespace } from '../src/azure-scene.js';
import { CALLS } from '../src/calls/all-calls.js';
import { CallScene } from '../src/calls/call-row.js';

// Before the router goes: a client takes its time to see that a connection is dead.
const clients: ServiceBusClient[] = [];
after(() => Promise.all(clients.map((client) => client.close())));

const owner = { after };
const server = await openNamespace(owner, { mode: 'emulator' });
process.env['ROUTED_CALLS_CLOUD'] = server.connectionString();

const router = await startRouter(
  owner,
  `
router { mode: standalone  id: routed-calls }

listener { host: 127.0.0.1  port: 0  azureClients: admitted }

connector { name: service-bus  role: route-container  connectionString: env:ROUTED_CALLS_CLOUD }

linkRoute { pattern: "#"  direction: in   connection: service-bus }
linkRoute { pattern: "#"  direction: out  connection: service-bus }
`,
);
await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');

const scene = new CallScene(server.namespace, () => {
  const client = new ServiceBusClient(
    `Endpoint=sb://localhost:${router.port()};SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true`,
    { retryOptions: { maxRetries: 0, timeoutInMs: 4_000 } },
  );
  clients.push(client);
  return client;
});

// All of them over one connection of the router's.
describe('each call of the official client through the router', { concurrency: 8 }, () => {
  for (const { of, call, what, missingRouted, run } of CALLS) {
    if (run !== undefined && missingRouted === undefined) it(`${of} ${call}: ${what}`, () => run(scene));
  }
});
