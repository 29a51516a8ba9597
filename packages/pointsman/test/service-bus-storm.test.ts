// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeMessage } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import { ClientError } from '../src/client/client-error.js';
import type { Delivery } from '../src/client/receiver.js';
import type { Sender } from '../src/client/sender.js';
import { LISTENER, ROUTER, THROUGH_ORDERS, connector, scene, sslProfile } from './five-steps-fixture.js';
import type { ServiceBusDouble } from './five-steps-fixture.js';

/** `STORM=10000 node --expose-gc --test …/service-bus-storm.test.js` is the long one: a fault a second. */
const LONG = Number(process.env['STORM'] ?? 0);
const COUNT = LONG > 0 ? LONG : 600;
const FAULT_EVERY_MS = LONG > 0 ? 1_000 : 120;
/** Longest that a consumer takes for a message. */
const HANDLING_MS = LONG > 0 ? 200 : 40;
/** Messages that the producer has under way: the storm is to last. */
const UNDER_WAY = LONG > 0 ? 100 : 12;
const LOCK_MS = 5_000;
/** The last messages come in calm weather. */
const CALM_FROM = Math.floor(COUNT * 0.95);
const SOON = { minMs: 5, maxMs: 50 };

/** Small and the same each time: faults and handling times are drawn from it. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function faultsOf({ namespace: { faults } }: ServiceBusDouble): Readonly<Record<string, () => unknown>> {
  const idle = (use: string): { condition: string; description: string } => ({
    condition: 'amqp:link:detach-forced',
    description: `Code: ${use}(link1). Details: AmqpMessage${use}.IdleTimerExpired: Idle timeout: 00:10:00.`,
  });
  return {
    detached: () => faults.detachLinks('orders'),
    idle: () => faults.detachLinks('orders', idle('Consumer')),
    'management idle': () => faults.detachLinks('orders/$management', idle('Control')),
    'token expired': () => faults.revokeTokens(),
    dropped: () => faults.dropConnections(),
    recycled: () => faults.closeConnections(),
    'sends throttled': () => faults.refuseSends(3, 'orders'),
    'settlements throttled': () => faults.refuseSettlements(3, 'orders'),
    'requests throttled': () => faults.refuseRequests(3, 'orders'),
  };
}

describe('Service Bus at its worst', () => {
  it(
    'loses nothing, and doubles only what was too late or in doubt by its own count',
    { timeout: 60_000 + COUNT * 100 },
    scene(async (one) => {
      const random = seeded(7);
      const cloud = await one.openNamespace({
        queues: [{ name: 'orders', lockDurationMs: LOCK_MS, maxDeliveryCount: 1_000 }],
      });
      const text =
        ROUTER +
        LISTENER +
        sslProfile({ caCertFile: one.caCertFile }) +
        connector(cloud.port, { saslMechanisms: undefined, azureAuthentication: 'sas' }) +
        THROUGH_ORDERS;
      const router = await one.startRouter(text, { backoff: SOON });
      await router.active();
      const [producer, consumer] = await Promise.all([
        connect({ host: '127.0.0.1', port: router.port }),
        connect({ host: '127.0.0.1', port: router.port }),
      ]);
      one.whenOver(() => Promise.all([producer.close(), consumer.close()]));

      const accepted = new Set<number>();
      const received = new Map<string, number>();
      const receivedIds = new Set<number>();
      const told: Record<string, number> = {};
      const handle = async (delivery: Delivery): Promise<void> => {
        const key = String(delivery.message.applicationProperties?.get('key'));
        await new Promise<void>((resolve) => {
          setTimeout(resolve, random() * HANDLING_MS);
        });
        received.set(key, (received.get(key) ?? 0) + 1);
        receivedIds.add(Number(key.split('/', 1)[0]));
        await delivery.accept();
      };
      const receiver = await consumer.receiver('orders', { credit: 20 }, handle);
      const sender = await producer.sender('orders');
      let next = 0;
      const produce = async (): Promise<void> => {
        while (next < COUNT) {
          const id = next++;
          for (let attempt = 0; !(await post(sender, id, attempt, told)); attempt++);
          accepted.add(id);
        }
      };
      const faults = Object.entries(faultsOf(cloud));
      const met: Record<string, number> = {};
      const storm = setInterval(() => {
        if (receivedIds.size >= CALM_FROM) return;
        const [name, strike] = faults[Math.floor(random() * faults.length)]!;
        met[name] = (met[name] ?? 0) + 1;
        strike();
      }, FAULT_EVERY_MS);
      one.whenOver(() => clearInterval(storm));
      const heaps: number[] = [];
      await Promise.all(Array.from({ length: UNDER_WAY }, produce));
      const { tally } = router.autoLink('in', 'orders');
      // As long as something comes there is hope.
      for (let last = -1; receivedIds.size < CALM_FROM && receivedIds.size > last;) {
        last = receivedIds.size;
        if (heaps.length < 4 && last > (CALM_FROM * (heaps.length + 1)) / 5) heaps.push(heapUsed());
        await router.until('further messages', () => receivedIds.size > Math.min(last + 100, CALM_FROM - 1));
      }
      const left = (): string =>
        JSON.stringify({ ...cloud.namespace.counts('orders'), received: receivedIds.size, met, ...tally });
      await router
        .until('every message', () => {
          const { active, locked } = cloud.namespace.counts('orders');
          return receivedIds.size === COUNT && active === 0 && locked === 0;
        })
        .catch((error: unknown) => {
          throw new Error(left(), { cause: error });
        });
      clearInterval(storm);

      const doubles = [...received.values()].reduce((sum, count) => sum + count - 1, 0);
      const report = JSON.stringify({ met, told, received: received.size, doubles, ...tally });
      if (LONG > 0)
        process.stdout.write(`# ${report} heap ${heaps.map((heap) => Math.round(heap / 1e6)).join(' ')} MB\n`);
      assert.equal(accepted.size, COUNT);
      // What this test itself writes down is some megabytes.
      if (LONG > 0) assert.ok(heaps.at(-1)! < heaps[0]! * 1.5 + 20e6, `memory grows: ${report} ${heaps.join(' ')}`);
      assert.equal(cloud.namespace.counts('orders').deadLetter, 0);
      assert.ok(doubles <= tally.tooLate + tally.inDoubt, `doubles that nobody counted: ${report}`);
      assert.ok(tally.settledLater > 0, `outcomes went by lock token: ${report}`);
      await receiver.close();
    }),
  );
});

/** Bytes; with `--expose-gc` of what is alive. */
function heapUsed(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().heapUsed;
}

/** @returns whether the queue has it */
async function post(sender: Sender, id: number, attempt: number, told: Record<string, number>): Promise<boolean> {
  const bytes = encodeMessage({
    applicationProperties: new Map([['key', `${id}/${attempt}`]]),
    body: { kind: 'value', value: id },
  });
  try {
    const { type } = await sender.send(bytes);
    told[type] = (told[type] ?? 0) + 1;
    return type === 'accepted';
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    told['error'] = (told['error'] ?? 0) + 1;
    return false;
  }
}
