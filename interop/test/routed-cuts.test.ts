// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { freePort, startRouter, until } from '@pointsman/testing';
import type { Owner } from '@pointsman/testing';
import { openNamespace } from '../src/azure-scene.js';

const server = await openNamespace(
  { after },
  {
    mode: 'emulator',
    // What a link held when it was lost comes again soon.
    queues: [{ name: 'orders', lockDurationMs: 1_000, maxDeliveryCount: 1_000 }],
  },
);
const { namespace } = server;
process.env['ROUTED_CUTS_CLOUD'] = server.connectionString();

const router = await startRouter(
  { after },
  `
router { mode: standalone  id: routed-cuts }

listener { host: 127.0.0.1  port: 0  azureClients: admitted }

connector { name: nowhere      role: route-container  host: 127.0.0.1  port: ${await freePort()} }
connector { name: service-bus  role: route-container  connectionString: env:ROUTED_CUTS_CLOUD }

linkRoute { prefix: away  direction: in   connection: nowhere }
linkRoute { pattern: "#"  direction: in   connection: service-bus }
linkRoute { pattern: "#"  direction: out  connection: service-bus }
`,
  { backoff: { minMs: 5, maxMs: 50 } },
);
const connector = router.process.connectors.find(({ name }) => name === 'service-bus')!;
await until('the connector to be open', () => connector.step === 'open');

/** The client waits for all of its time-out where a link is lost with a message on it: directly at the service, too. */
function connect(owner: Owner, maxRetries: number): ServiceBusClient {
  const client = new ServiceBusClient(
    `Endpoint=sb://localhost:${router.port()};SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true`,
    { retryOptions: { maxRetries, retryDelayInMs: 20, timeoutInMs: 1_000 } },
  );
  owner.after(() => client.close());
  return client;
}

const MESSAGES = 30;

describe('clients whose links are routed go on by themselves, and nothing is lost, where', () => {
  for (const [what, cut] of [
    ['the service closes the connection behind the router', () => namespace.faults.closeConnections()],
    ['that connection breaks', () => namespace.faults.dropConnections()],
    ['the service detaches their links', () => namespace.faults.detachLinks('orders')],
  ] as const) {
    it(what, async (t) => {
      const seen = new Set<unknown>();
      const errors: Error[] = [];
      for (let i = 0; i < 3; i++) {
        connect(t, 100)
          .createReceiver('orders')
          .subscribe({
            processMessage: async ({ body }) => {
              seen.add(body);
            },
            processError: async ({ error }) => {
              errors.push(error);
            },
          });
      }
      const client = connect(t, 100);
      const sender = client.createSender('orders');
      const peeking = client.createReceiver('orders');
      for (let number = 0; number < MESSAGES; number++) {
        if (number % 10 === 5) assert.ok(cut() > 0);
        await sender.sendMessages({ body: `${what} ${number}` });
        if (number % 10 === 6) await peeking.peekMessages(1);
      }
      await until('all messages', () => seen.size === MESSAGES, {
        state: () => ({ seen: seen.size, errors, ...namespace.counts('orders') }),
      });
      await until('the queue to be empty', () => namespace.counts('orders').active === 0);
    });
  }
});

describe('a client whose link has nowhere to go', () => {
  it('is told so at once, as of something that may pass', async (t) => {
    const sender = connect(t, 0).createSender('away');
    await assert.rejects(sender.sendMessages({ body: 1 }), {
      name: 'ServiceBusError',
      message: 'No route to the destination node',
      retryable: true,
    });
  });
});
