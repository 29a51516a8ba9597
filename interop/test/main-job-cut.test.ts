// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { RheaClient } from '@pointsman/interop';
import type { RheaReceiver, RheaSender } from '@pointsman/interop';
import { until } from '@pointsman/testing';
import type { Delivery, EventContext } from 'rhea';
import { AzureClient } from '../src/azure-client.js';
import { Ledger } from '../src/azure-ledger.js';
import { openNamespace, startHastyRouter } from '../src/azure-scene.js';

const owner = { after };
/** Messages each way. */
const COUNT = 2_000;
/** Short, so that what was locked when a link went comes again soon. */
const QUEUE = { lockDurationMs: 1_000, maxDeliveryCount: 1_000 };

const cloud = await openNamespace(owner, {
  queues: [
    { name: 'there', ...QUEUE },
    { name: 'back', ...QUEUE },
  ],
});
const azure = new AzureClient(owner, cloud.caCertFile);
const { faults } = cloud.namespace;

const CONF = `
router {
    mode: standalone
    id: main-job-cut
}
listener {
    host: 127.0.0.1
    port: 0
    saslMechanisms: ANONYMOUS
    authenticatePeer: no
}
sslProfile {
    name: service-bus-tls
    caCertFile: ${cloud.caCertFile}
}
connector {
    name: service-bus
    role: route-container
    host: localhost
    port: ${cloud.ports.amqps}
    sslProfile: service-bus-tls
    idleTimeoutSeconds: 120
    saslMechanisms: PLAIN
    saslUsername: RootManageSharedAccessKey
    saslPassword: pass:SAS_KEY_VALUE
}
address  { prefix: there  waypoint: yes }
autoLink { address: there  direction: out  connection: service-bus }
address  { prefix: back  waypoint: yes }
autoLink { address: back  direction: in  connection: service-bus }
`;

const CUTS: readonly (() => number)[] = [
  () => faults.dropConnections(),
  () => faults.detachLinks('there'),
  () => faults.closeConnections(),
  () => faults.detachLinks('back'),
  () => faults.dropConnections(),
  () => faults.closeConnections(),
];

/** Messages that the producer is ahead of the consumer at most, so that it is at work until the end. */
const AHEAD = 300;

/** Sends all numbers as credit allows, each again until it is accepted. */
async function produce(sender: RheaSender, ledger: Ledger): Promise<void> {
  const again: { number: number; attempt: number }[] = [];
  let next = 0;
  let accepted = 0;
  const send = (number: number, attempt: number): void => {
    const message = { message_id: `${number}`, body: `order ${number}`, application_properties: { number, attempt } };
    void sender.sendNow(message).then(({ outcome }) => {
      ledger.sent(number, attempt, outcome === 'accepted' || outcome === 'released' ? outcome : 'unknown');
      if (outcome === 'accepted') accepted++;
      else again.push({ number, attempt: attempt + 1 });
    });
  };
  await until(
    'every message to be accepted',
    () => {
      while (sender.link.sendable() && (again.length > 0 || next < Math.min(COUNT, ledger.numbersReceived + AHEAD))) {
        const { number, attempt } = again.shift() ?? { number: next++, attempt: 0 };
        send(number, attempt);
      }
      return accepted === COUNT;
    },
    { state: () => ({ accepted, next, again: again.length, pending: sender.pending }) },
  );
}

/** Accepts all that comes, and notes what the router confirms. */
function consume(receiver: RheaReceiver, ledger: Ledger): void {
  const idOf = ({ message }: EventContext): { number: number; attempt: number; sequence: number } => {
    const { number, attempt } = message!.application_properties as { number: number; attempt: number };
    return { number, attempt, sequence: Number(message!.message_annotations!['x-opt-sequence-number']) };
  };
  const sequences = new Map<Delivery, number>();
  receiver.link.on('message', (context: EventContext) => {
    const { number, attempt, sequence } = idOf(context);
    sequences.set(context.delivery!, sequence);
    ledger.came(number, attempt, sequence, context.message!.delivery_count ?? 0);
  });
  receiver.link.on('settled', ({ delivery }: EventContext) => {
    const sequence = sequences.get(delivery!)!;
    sequences.delete(delivery!);
    const { composite_type: outcome } = (delivery!.remote_state?.constructor ?? {}) as { composite_type?: string };
    if (outcome === 'accepted') ledger.confirmed(sequence);
    else ledger.unconfirmed(sequence);
  });
}

describe('the main job while its connection is cut in mid-flow', () => {
  it(`loses none of ${COUNT} messages there and ${COUNT} back, and doubles only what nobody could know`, async (t) => {
    const router = await startHastyRouter(t, CONF);
    await router.autoLinksActive();
    const [there, back] = [new Ledger(), new Ledger()];

    // Back: from the official client by the queue to rhea, who is told when the queue has confirmed.
    const far = await RheaClient.connect(t, router.port());
    consume(await far.receiver({ source: { address: 'back' }, rcv_settle_mode: 1 }), back);
    const connection = await azure.connect({
      connectionString: cloud.connectionString(),
      retries: 0,
      timeoutMs: 1_500,
    });
    await azure.call('produce', { sender: (await connection.sender('back')).name, count: COUNT, concurrency: 50 });

    // There: from rhea by the queue to the official client, whose own connections are cut as well.
    const consumer = await azure.connect({ connectionString: cloud.connectionString(), retries: 0, timeoutMs: 1_500 });
    await azure.call('consume', { receiver: (await consumer.receiver('there')).name, concurrency: 50 });
    const near = await RheaClient.connect(t, router.port());
    const producing = produce(await near.sender('there'), there);

    let read = 0;
    const readEvents = (): void => {
      for (; read < azure.events.length; read++) {
        const event = azure.events[read]!;
        const [number, attempt, sequence] = ['number', 'attempt', 'sequence'].map((key) => Number(event[key])) as [
          number,
          number,
          number,
        ];
        if (event.event === 'came') there.came(number, attempt, sequence, Number(event['deliveryCount']));
        else if (event.event === 'completed') there.confirmed(sequence);
        else if (event.event === 'uncertain') there.unconfirmed(sequence);
        else if (event.event === 'sent')
          back.sent(number, attempt, event['error'] === undefined ? 'accepted' : 'unknown');
      }
    };

    let cut = 0;
    await until(
      'every message to be accounted for',
      () => {
        readEvents();
        const progress = there.numbersReceived + back.numbersReceived;
        if (cut < CUTS.length && progress > ((cut + 1) * 2 * COUNT) / (CUTS.length + 1)) assert.ok(CUTS[cut++]!() > 0);
        return [there, back].every((ledger) => ledger.numbersAccepted === COUNT && ledger.numbersReceived === COUNT);
      },
      { timeoutMs: 120_000, state: () => ({ cut, there: there.toString(), back: back.toString() }) },
    );
    await producing;
    assert.equal(cut, CUTS.length);
    await until('empty queues', () => ['there', 'back'].every((queue) => cloud.namespace.counts(queue).active === 0));
    await until(
      'every outcome to be told',
      () => {
        readEvents();
        return there.open === 0 && back.open === 0;
      },
      { state: () => ({ there: there.toString(), back: back.toString() }) },
    );
    for (const [name, ledger] of [
      ['there', there],
      ['back', back],
    ] as const) {
      assert.deepEqual(ledger.problems(), [], name);
      assert.equal(cloud.namespace.counts(name).deadLetter, 0);
      t.diagnostic(`${name}: ${ledger}`);
    }
    for (const name of ['autoLink/0', 'autoLink/1']) assert.ok(router.autoLink(name).activations >= 3, 'it was felt');
  });
});
