// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import type { RetryOptions, ServiceBusError } from '@azure/service-bus';
import { openNamespace } from '../src/azure-scene.js';
import { whenOver } from '@pointsman/testing';

describe('the official client at a namespace that throttles by load', () => {
  it('is told ServiceBusy, or waits where it may retry, and nothing is lost', async (context) => {
    const server = await openNamespace(context, { mode: 'emulator', queues: ['orders'], operationsPerSecond: 10 });
    const senderWith = (retryOptions: RetryOptions): ReturnType<ServiceBusClient['createSender']> => {
      const client = new ServiceBusClient(server.connectionString(), { retryOptions });
      whenOver(context, () => client.close());
      return client.createSender('orders');
    };
    const impatient = senderWith({ maxRetries: 0 });
    const codes = await Promise.all(
      Array.from({ length: 40 }, (_, body) =>
        impatient.sendMessages({ body }).then(
          () => 'sent',
          (error: ServiceBusError) => error.code,
        ),
      ),
    );
    const sent = codes.filter((code) => code === 'sent').length;
    assert.deepEqual(new Set(codes), new Set(['sent', 'ServiceBusy']));
    assert.equal(server.namespace.counts('orders').active, sent);
    const patient = senderWith({ maxRetries: 20, retryDelayInMs: 200 });
    await Promise.all(Array.from({ length: 25 }, (_, body) => patient.sendMessages({ body })));
    assert.equal(server.namespace.counts('orders').active, sent + 25);
  });
});
