// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Secret, makeSasToken } from '@pointsman/azure';
import type { WatchedMessage } from '@pointsman/namespace';
import { JsonProcess, until, whenOver } from '@pointsman/testing';
import type { ProcessEvent } from '@pointsman/testing';
import { openNamespace, startHastyRouter } from '../src/azure-scene.js';

const PROGRAM = fileURLToPath(new URL('../src/azure-storm-program.js', import.meta.url));
const owner = { after };
/** Messages without and with sessions. */
const COUNT = 1_000;
const SESSIONS = 5;
const OF_EACH_SESSION = 30;
const LOCK_MS = 5_000;
const TOKEN_SECONDS = 4;
const STORM_MS = 25_000;
const PATIENCE_MS = 120_000;

const folder = mkdtempSync(join(tmpdir(), 'front-door-storm-'));
whenOver(owner, () => rmSync(folder, { recursive: true, force: true }));
const tokenFile = join(folder, 'token');
/** Until then there are no tokens, ms of the clock. */
let droughtUntil = 0;

function writeToken(): void {
  if (performance.now() < droughtUntil) return;
  const expiresAtSeconds = Math.floor(Date.now() / 1000) + TOKEN_SECONDS;
  const key = new Secret('SAS_KEY_VALUE');
  const token = makeSasToken({
    resource: 'sb://localhost/',
    keyName: 'RootManageSharedAccessKey',
    key,
    expiresAtSeconds,
  });
  writeFileSync(`${tokenFile}.new`, token.reveal());
  renameSync(`${tokenFile}.new`, tokenFile);
}

writeToken();
const writing = setInterval(writeToken, 900);
whenOver(owner, () => clearInterval(writing));

const cloud = await openNamespace(owner, {
  queues: [
    { name: 'orders', lockDurationMs: LOCK_MS, maxDeliveryCount: 1_000 },
    { name: 'talks', lockDurationMs: LOCK_MS, maxDeliveryCount: 1_000, requiresSession: true },
  ],
});
const { namespace } = cloud;
const { faults } = namespace;

const router = await startHastyRouter(
  owner,
  `
router { mode: standalone  id: front-door-storm }

listener { host: 127.0.0.1  port: 0  azureClients: admitted }

sslProfile { name: ours  caCertFile: ${cloud.caCertFile} }

connector {
    name: service-bus
    role: route-container
    host: localhost
    port: ${cloud.ports.amqps}
    sslProfile: ours
    azureAuthentication: command
    azureTokenCommand: cat ${tokenFile}
}

linkRoute { pattern: "#"  direction: in   connection: service-bus }
linkRoute { pattern: "#"  direction: out  connection: service-bus }
`,
);
await until('the connector to be open', () => router.process.connectors[0]!.step === 'open');

/** What became of each message of a queue, by its sequence number: a sender that sends again makes another. */
class Lines {
  readonly received = new Map<string, number>();
  readonly bodies = new Set<string>();
  readonly expired = new Map<string, number>();
  lost = 0;

  constructor(queue: string) {
    const expired = ({ sequence }: WatchedMessage): void => add(this.expired, String(sequence));
    namespace.watchLocks(queue, {
      onExpired: expired,
      onSettled: (_message, how) => {
        if (how === 'dead-letter' || how === 'defer') this.lost++;
      },
    });
  }

  came(sequence: string, body: string): void {
    add(this.received, sequence);
    this.bodies.add(body);
  }

  get doubles(): number {
    return [...this.received.values()].reduce((sum, times) => sum + times - 1, 0);
  }

  /** Numbers of messages that came twice though their lock had not ended. */
  get wrong(): string[] {
    return [...this.received].filter(([key, times]) => times - 1 > (this.expired.get(key) ?? 0)).map(([key]) => key);
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

const met: Record<string, number> = {};
const timers = new Set<NodeJS.Timeout>();
whenOver(owner, () => {
  for (const timer of timers) clearInterval(timer);
});

function each(ms: number, what: string, act: () => unknown): void {
  timers.add(
    setInterval(() => {
      met[what] = (met[what] ?? 0) + 1;
      act();
    }, ms),
  );
}

/** All at once; each at a pace of its own. */
function storm(): void {
  each(1_000, 'links detached', () => {
    for (const queue of ['orders', 'talks']) {
      faults.detachLinks(queue);
      faults.detachLinks(`${queue}/$management`);
    }
  });
  each(3_700, 'connections dropped', () => faults.dropConnections());
  each(5_300, 'connections closed', () => faults.closeConnections());
  each(2_300, 'throttled', () => {
    faults.refuseSends(2, 'orders');
    faults.refuseSettlements(2, 'orders');
    faults.refuseRequests(2, 'talks');
  });
  // Once: it takes half of the time that the rest of it does.
  met['times without tokens'] = 1;
  droughtUntil = performance.now() + TOKEN_SECONDS * 1_000 + 1_000;
  rmSync(tokenFile, { force: true });
}

function calm(): void {
  for (const timer of timers) clearInterval(timer);
  timers.clear();
  faults.refuseSends(0, 'orders');
  faults.refuseSettlements(0, 'orders');
  faults.refuseRequests(0, 'talks');
  droughtUntil = 0;
  writeToken();
}

/** Reads on in what the clients say. */
function follow(clients: JsonProcess, onEvent: (event: ProcessEvent) => void): () => void {
  let read = 0;
  return () => {
    for (; read < clients.events.length; read++) onEvent(clients.events[read]!);
  };
}

describe('unmodified clients of Service Bus in a storm', () => {
  it(
    'lose nothing through the router, get twice only what had lost its lock, and have sessions in their order',
    { timeout: PATIENCE_MS * 3 },
    async (t) => {
      const lines = { orders: new Lines('orders'), talks: new Lines('talks') };
      const { orders, talks } = lines;
      const failures = new Map<string, number>();
      const broken: unknown[] = [];
      const misplaced: string[] = [];
      let isSent = false;
      const clients = new JsonProcess(t, 'the clients', process.execPath, [
        PROGRAM,
        `Endpoint=sb://localhost:${router.port()};SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true`,
        ...[COUNT, SESSIONS, OF_EACH_SESSION].map(String),
      ]);
      const read = follow(clients, ({ event, queue, sequence, body, name, message, stack }) => {
        if (event === 'came') {
          const text = String(body);
          const [session, number] = text.split('/');
          if (queue === 'talks' && number !== '0' && !talks.bodies.has(`${session}/${Number(number) - 1}`))
            misplaced.push(text);
          lines[queue as keyof typeof lines].came(String(sequence), text);
        } else if (event === 'failed') {
          // Up to where numbers and names begin.
          add(failures, `${String(name)}: ${String(message).replace(/['\d].*$/su, '')}`);
        } else if (event === 'broken') {
          broken.push(stack);
        } else if (event === 'sent') {
          isSent = true;
        }
      });
      const state = (): string =>
        JSON.stringify({
          ...met,
          orders: [orders.bodies.size, orders.doubles, orders.wrong.length, namespace.counts('orders').active],
          talks: [talks.bodies.size, talks.doubles, talks.wrong.length, namespace.counts('talks').active],
          failures: Object.fromEntries(failures),
          broken,
        });
      const reading = (condition: () => boolean) => (): boolean => {
        read();
        return condition();
      };
      storm();
      // On a machine that is busy a client hardly gets a link up within the second that it has: it is to go on afterwards.
      const end = performance.now() + STORM_MS;
      await until(
        'the end of the storm',
        reading(() => isSent || performance.now() > end),
        { state },
      );
      calm();
      await until(
        'all to be sent',
        reading(() => isSent),
        { state, timeoutMs: PATIENCE_MS },
      );
      await until(
        'every message, and empty queues',
        reading(
          () =>
            orders.bodies.size === COUNT &&
            talks.bodies.size === SESSIONS * OF_EACH_SESSION &&
            namespace.counts('orders').active === 0 &&
            namespace.counts('talks').active === 0,
        ),
        { state, timeoutMs: PATIENCE_MS },
      );
      t.diagnostic(state());
      assert.deepEqual(orders.wrong, [], state());
      assert.deepEqual(talks.wrong, [], state());
      assert.deepEqual(misplaced, [], state());
      assert.deepEqual([orders.lost, talks.lost], [0, 0]);
    },
  );
});
