// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import type { Delivery } from '../src/client/receiver.js';
import { LISTENER, autoLink, connector, scene, section, sslProfile, until } from './five-steps-fixture.js';
import type { RunningRouter, Scene, ServiceBusDouble } from './five-steps-fixture.js';
import { seeded } from './seeded.js';

/** `STORM=10000 node --test …/hub-storm.test.js` is the long one: a fault a second. */
const LONG = Number(process.env['STORM'] ?? 0);
const COUNT = LONG > 0 ? LONG : 1_200;
const FAULT_EVERY_MS = LONG > 0 ? 1_000 : 80;
const HANDLING_MS = LONG > 0 ? 20 : 6;
const PARTITIONS = 2;
const SOON = { minMs: 5, maxMs: 50 };

const reader = (partition: number): string => `hub/ConsumerGroups/$Default/Partitions/${partition}`;

/** A partition whose link was refused four times in a row rests for half a minute. */
const CALM_MS = 90_000;

function routerText(one: Scene, cloud: ServiceBusDouble, stateDir: string): string {
  return (
    section('router', { id: 'Router.A', stateDir }) +
    LISTENER +
    sslProfile({ caCertFile: one.caCertFile }) +
    connector(cloud.port, { saslMechanisms: undefined, azureAuthentication: 'sas' }) +
    Array.from(
      { length: PARTITIONS },
      (_, id) =>
        autoLink('out', `feed/${id}`, `hub/Partitions/${id}`) +
        section('autoLink', {
          address: 'events',
          direction: 'in',
          phase: 0,
          externalAddress: reader(id),
          connection: 'azure',
        }),
    ).join('')
  );
}

/** Puts numbered events into the hub, as many into each partition. */
async function fill(router: RunningRouter): Promise<void> {
  const client = await connect({ host: '127.0.0.1', port: router.port });
  const senders = await Promise.all(Array.from({ length: PARTITIONS }, (_, id) => client.sender(`feed/${id}`)));
  for (let i = 0; i < COUNT; i += 100)
    await Promise.all(
      Array.from({ length: Math.min(100, COUNT - i) }, (_, k) =>
        senders[(i + k) % PARTITIONS]!.send({ body: { kind: 'value', value: `${i + k}` } }),
      ),
    );
  await client.close();
}

describe('an event hub at its worst', () => {
  it(
    'is read without a gap, while links, connections, tokens, receivers and routers come and go',
    { timeout: 2 * CALM_MS + COUNT * 50 },
    scene(async (one) => {
      const random = seeded(11);
      // Apart from how many messages have come by then: the same faults in the same order each time.
      const chance = seeded(12);
      const stateDir = mkdtempSync(join(tmpdir(), 'hub-storm-'));
      one.whenOver(() => rmSync(stateDir, { recursive: true, force: true }));
      const cloud = await one.openNamespace({ eventHubs: [{ name: 'hub', partitions: PARTITIONS }] });
      const text = routerText(one, cloud, stateDir);
      const received = new Map<number, number>();
      const accepted = new Set<number>();
      const handle = async (delivery: Delivery): Promise<void> => {
        const { body } = delivery.message;
        const value = body?.kind === 'value' ? Number(body.value) : -1;
        await new Promise<void>((resolve) => {
          setTimeout(resolve, random() * HANDLING_MS);
        });
        received.set(value, (received.get(value) ?? 0) + 1);
        const draw = random();
        if (draw < 0.01) return delivery.release();
        if (draw < 0.02) return delivery.modify();
        await delivery.accept();
        accepted.add(value);
      };

      let router: RunningRouter;
      let client: Client;
      const begin = async (): Promise<void> => {
        router = await one.startRouter(text, { backoff: SOON });
        client = await connect({ host: '127.0.0.1', port: router.port });
        await client.receiver('events', { credit: 20 }, (delivery) => handle(delivery).catch(() => undefined));
      };
      await begin();
      await router!.active();
      await fill(router!);

      const { faults } = cloud.namespace;
      const strikes: Readonly<Record<string, () => Promise<void> | number | void>> = {
        detached: () => faults.detachLinks(reader(0)),
        'the other detached': () => faults.detachLinks(reader(1)),
        dropped: () => faults.dropConnections(),
        recycled: () => faults.closeConnections(),
        'token expired': () => faults.revokeTokens(),
        'attaches refused': () => faults.refuseAttaches(2),
        'receiver gone': async () => {
          await client.close().catch(() => undefined);
          client = await connect({ host: '127.0.0.1', port: router.port });
          await client.receiver('events', { credit: 20 }, (delivery) => handle(delivery).catch(() => undefined));
        },
        'router restarted': async () => {
          await router.process.stop(0);
          await begin();
        },
      };
      const names = Object.keys(strikes);
      const met: Record<string, number> = {};
      let round: string[] = [];
      while (accepted.size < COUNT * 0.95) {
        // Each of them once before any comes again.
        if (round.length === 0) round = [...names];
        const [name] = round.splice(Math.floor(chance() * round.length), 1) as [string];
        met[name] = (met[name] ?? 0) + 1;
        await strikes[name]!();
        await new Promise<void>((resolve) => {
          setTimeout(resolve, FAULT_EVERY_MS);
        });
      }
      const tallies = (): (number | undefined)[] =>
        Array.from({ length: PARTITIONS }, (_, id) => router.autoLink('in', reader(id)).tally.position?.sequence);
      const last = COUNT / PARTITIONS - 1;
      await until(
        'the end of both partitions',
        () => tallies().every((sequence) => sequence === last),
        () =>
          `${accepted.size} of ${COUNT}, at ${tallies().join(' and ')}; ${JSON.stringify(met)}\n${router.log.slice(-3_000)}`,
        CALM_MS,
      );
      const doubles = [...received.values()].reduce((sum, times) => sum + times - 1, 0);
      const report = `${COUNT} events, ${doubles} of them again; ${JSON.stringify(met)}`;
      assert.equal(accepted.size, COUNT, report);
      if (LONG > 0) process.stderr.write(`${report}\n`);
    }),
  );
});
