// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeMessage } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import { ClientError } from '../src/client/client-error.js';
import type { Delivery } from '../src/client/receiver.js';
import type { Sender } from '../src/client/sender.js';
import { ROUTER, connector, scene, section, sslProfile } from './five-steps-fixture.js';
import type { RunningRouter, Scene } from './five-steps-fixture.js';
import { seeded } from './seeded.js';
import { census, excess, heapUsed } from './storm-census.js';
import { Ledger, keyOf } from './storm-ledger.js';
import { Line } from './storm-line.js';
import { Weather } from './storm-weather.js';

/** `STORM=50000 STORM_SEED=7 node --test …/service-bus-storm.test.js` is another. */
const COUNT = Number(process.env['STORM'] ?? 10_000);
const SEED = Number(process.env['STORM_SEED'] ?? 1);
/** It is to last: 10,000 messages in half a minute. */
const MESSAGES_PER_SECOND = 330;
const SOON = { minMs: 5, maxMs: 50 };
const WINDOW = 100;
/** Clients and router do not part, however busy the machine is: they are not what this is about. */
const PATIENT_MS = 600_000;
/** Without anything new for so long, nothing more comes. */
const STILL_MS = 60_000;

interface Stream {
  readonly queue: string;
  readonly lockDurationMs: number;
  readonly renewLocks: boolean;
  /** Ms that a consumer takes for a message, and for the few that take long; how many of those there are. */
  readonly handlingMs: number;
  readonly slowMs: number;
  readonly slowShare: (progress: number) => number;
}

/** Locks that are left to run out, and run out; and locks that are renewed, which nothing may end. */
const STREAMS: readonly Stream[] = [
  {
    queue: 'fleeting',
    lockDurationMs: 5_000,
    renewLocks: false,
    handlingMs: 100,
    slowMs: 6_500,
    slowShare: () => 0.01,
  },
  {
    queue: 'orders',
    lockDurationMs: 30_000,
    renewLocks: true,
    handlingMs: 100,
    slowMs: 32_000,
    slowShare: (progress) => (progress < 0.15 ? 0.03 : 0),
  },
];

describe('Service Bus at its worst', () => {
  it(
    'loses nothing, and gives twice only what had lost its lock, by its own count and by that of the queue',
    { timeout: 180_000 + COUNT * 20 },
    (t) =>
      scene(async (one) => {
        const told: Record<string, number> = {};
        const random = seeded(SEED);
        const cloud = await one.openNamespace({
          queues: STREAMS.map(({ queue: name, lockDurationMs }) => ({ name, lockDurationMs, maxDeliveryCount: 2_000 })),
        });
        const tokenFile = one.file('token', '');
        const queues = STREAMS.map(({ queue }) => queue);
        const line = await Line.to(cloud.port, one);
        const { namespace } = cloud;
        const weather = new Weather({ namespace, line, queues, host: 'localhost', tokenFile, random });
        one.whenOver(() => weather.stop());
        const router = await one.startRouter(configuration(one, line.port, tokenFile), { backoff: SOON });
        await router.active();
        const streams = await Promise.all(
          STREAMS.map((stream) => open(one, router, stream, new Ledger(namespace, stream.queue), random, told)),
        );
        const state = (): string =>
          JSON.stringify({
            seed: SEED,
            ...weather.met,
            ...told,
            streams: streams.map(({ stream: { queue }, ledger }) => {
              const { arrived, doubles, expired, returned } = ledger;
              const { tally } = router.autoLink('in', queue);
              return { queue, arrived, doubles, expired, returned, ...tally };
            }),
          });
        const before = census();
        const heaps: number[] = [];
        const stormMs = (COUNT / MESSAGES_PER_SECOND) * 1_000;
        weather.start([stormMs * 0.15, stormMs * 0.6]);
        const progress = (): number => streams.reduce((sum, { ledger }) => sum + ledger.arrived, 0);
        const sampling = setInterval(() => {
          if (progress() > (COUNT * (heaps.length + 1)) / 5) heaps.push(heapUsed());
        }, 100);
        one.whenOver(() => clearInterval(sampling));
        // A machine that is too busy to keep up has its calm all the same.
        const clearing = setTimeout(() => weather.calm(), stormMs * 2);
        one.whenOver(() => clearTimeout(clearing));
        await Promise.all(streams.map((stream) => stream.produce()));
        clearTimeout(clearing);
        weather.calm();
        const isOver = (): boolean =>
          streams.every(({ stream: { queue }, ledger }) => {
            // Of some it takes the router a while to hear that they came too late.
            const { tooLate } = router.autoLink('in', queue).tally;
            return namespace.counts(queue).active === 0 && tooLate >= ledger.doubles;
          });
        await stillness(progress, () => progress() === COUNT && isOver());
        clearInterval(sampling);
        heaps.push(heapUsed());
        t.diagnostic(state());
        t.diagnostic(
          `heap ${heaps.map((bytes) => (bytes / 1e6).toFixed(1)).join(' ')} MB; before ${JSON.stringify(before)}`,
        );
        for (const queue of queues) {
          const { active, deadLetter } = namespace.counts(queue);
          assert.deepEqual([active, deadLetter], [0, 0], state());
        }
        const wrongs = streams.flatMap(({ ledger }) => ledger.wrongs);
        assert.deepEqual(wrongs.slice(0, 20), [], `${wrongs.length} messages of ${state()}`);
        for (const { stream, ledger } of streams) {
          const { tally } = router.autoLink('in', stream.queue);
          assert.equal(tally.tooLate, ledger.doubles, `what came too late is what came twice: ${state()}`);
          assert.ok(tally.settledLater > 0, `outcomes went by lock token: ${state()}`);
          if (stream.renewLocks) assert.deepEqual([ledger.doubles, tally.inDoubt], [0, 0], state());
          else assert.ok(ledger.doubles > 0, `locks ended: ${state()}`);
        }
        // Half a kilobyte for each message is what this test writes down itself.
        assert.ok(heaps.at(-1)! < heaps[0]! + COUNT * 500 + 5e6, `memory grows: ${heaps.join(' ')}`);
        let more: string[] = [];
        await stillness(
          () => (more = excess(before, census())).length,
          () => more.length === 0,
          2_000,
        );
        assert.deepEqual(more, [], `of what there was at the beginning: ${JSON.stringify(before)}`);
      })(),
  );
});

/** Both queues through the router, by tokens that somebody else makes and that last for seconds. */
function configuration(one: Scene, port: number, tokenFile: string): string {
  return [
    ROUTER,
    section('listener', {
      host: '127.0.0.1',
      port: 0,
      saslMechanisms: 'ANONYMOUS',
      idleTimeoutSeconds: PATIENT_MS / 1_000,
    }),
    sslProfile({ caCertFile: one.caCertFile }),
    connector(port, {
      host: 'localhost',
      saslMechanisms: undefined,
      saslUsername: undefined,
      saslPassword: undefined,
      azureAuthentication: 'command',
      azureTokenCommand: `cat ${tokenFile}`,
    }),
    ...STREAMS.flatMap(({ queue, renewLocks }) => [
      section('address', { prefix: queue, waypoint: 'yes' }),
      section('autoLink', { address: queue, direction: 'out', connection: 'azure' }),
      section('autoLink', {
        address: queue,
        direction: 'in',
        connection: 'azure',
        renewLocks: renewLocks ? 'yes' : 'no',
      }),
    ]),
  ].join('');
}

interface OpenStream {
  readonly stream: Stream;
  readonly ledger: Ledger;
  /** Sends its part; resolved when the queue has all of it. */
  produce(): Promise<void>;
}

async function open(
  one: Scene,
  router: RunningRouter,
  stream: Stream,
  ledger: Ledger,
  random: () => number,
  told: Record<string, number>,
): Promise<OpenStream> {
  const { queue, handlingMs, slowMs, slowShare } = stream;
  const count = COUNT / STREAMS.length;
  let next = 0;
  const handle = async (delivery: Delivery): Promise<void> => {
    const key = String(delivery.message.properties?.messageId);
    ledger.received(key);
    const isSlow = random() < slowShare(ledger.arrived / count);
    await pause(isSlow ? slowMs : random() * handlingMs);
    await delivery.accept();
  };
  const [producer, consumer] = await Promise.all([
    connect({ host: '127.0.0.1', port: router.port, idleTimeoutMs: PATIENT_MS }),
    connect({ host: '127.0.0.1', port: router.port, idleTimeoutMs: PATIENT_MS }),
  ]);
  one.whenOver(() => Promise.all([producer.close(), consumer.close()]));
  await consumer.receiver(queue, { credit: WINDOW }, handle);
  const sender = await producer.sender(queue);
  const began = performance.now();
  const sendNext = async (): Promise<void> => {
    while (next < count) {
      const id = next++;
      await pause(began + (id / (MESSAGES_PER_SECOND / STREAMS.length)) * 1_000 - performance.now());
      for (let attempt = 0; !(await post(sender, id, attempt, told)); attempt++) await pause(50 + random() * 200);
    }
  };
  const post = async (to: Sender, id: number, attempt: number, outcomes: Record<string, number>): Promise<boolean> => {
    const outcome = await send(to, keyOf(id, attempt), id);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (outcome === 'accepted') ledger.accepted(id, attempt);
    return outcome === 'accepted';
  };
  return {
    stream,
    ledger,
    produce: async () => void (await Promise.all(Array.from({ length: WINDOW }, sendNext))),
  };
}

/** @returns what the sender was told */
async function send(sender: Sender, messageId: string, value: number): Promise<string> {
  try {
    return (await sender.send(encodeMessage({ properties: { messageId }, body: { kind: 'value', value } }))).type;
  } catch (error) {
    if (!(error instanceof ClientError) || !sender.isOpen) throw error;
    return 'error';
  }
}

/** The time that work takes. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, Math.max(0, ms));
  });
}

/** Waits until all is done, or nothing more happens. */
async function stillness(progress: () => number, isDone: () => boolean, everyMs = 20): Promise<void> {
  let last = -1;
  let since = 0;
  while (!isDone()) {
    const now = progress();
    if (now !== last) since = performance.now();
    last = now;
    if (performance.now() - since > STILL_MS) return;
    await pause(everyMs);
  }
}
