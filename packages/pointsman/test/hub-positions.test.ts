// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { IncomingLink } from '@pointsman/router';
import type { Message } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import type { Delivery } from '../src/client/receiver.js';
import { renderMetrics } from '../src/http/metrics.js';
import { metricsOf } from '../src/http/router-metrics.js';
import { runStat } from '../src/tools/command-tools.js';
import { LISTENER, connector, scene, section, sslProfile, until } from './five-steps-fixture.js';
import type { Attributes, RunningRouter, Scene, ServiceBusDouble } from './five-steps-fixture.js';
import { toolIo } from './tools-fixture.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));
const READER = 'hub/ConsumerGroups/$Default/Partitions/0';
const HUB = { name: 'hub', partitions: 1 };
const SOON = { minMs: 5, maxMs: 20 };
const FILE = 'event-hub-positions.json';

const numbered = (value: number): Message => ({ body: { kind: 'value', value: `${value}` } });
const numberOf = ({ message: { body } }: Delivery): number => (body?.kind === 'value' ? Number(body.value) : -1);

/** A folder for the state of routers. */
function stateOf(one: Scene): string {
  const folder = mkdtempSync(join(tmpdir(), 'positions-'));
  one.whenOver(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const reader = (attributes: Attributes = {}): string =>
  section('autoLink', {
    name: 'reader',
    address: 'events',
    direction: 'in',
    phase: 0,
    externalAddress: READER,
    connection: 'azure',
    ...attributes,
  });
const feed = section('autoLink', {
  address: 'feed',
  direction: 'out',
  externalAddress: 'hub/Partitions/0',
  connection: 'azure',
});

interface Stage {
  readonly router: RunningRouter;
  readonly client: Client;
}

interface StartOptions {
  readonly stateDir?: string;
  readonly links?: string;
  /** Its autolink is refused. */
  readonly isDoomed?: boolean;
}

/** A router that reads the hub. */
async function start(
  one: Scene,
  cloud: ServiceBusDouble,
  { stateDir, links = reader(), isDoomed = false }: StartOptions = {},
): Promise<Stage> {
  const text =
    section('router', { id: 'Router.A', stateDir }) +
    LISTENER +
    sslProfile({ caCertFile: one.caCertFile }) +
    connector(cloud.port) +
    feed +
    links;
  const router = await one.startRouter(text, { backoff: SOON });
  if (!isDoomed) await router.active();
  const client = await connect({ host: '127.0.0.1', port: router.port });
  one.whenOver(() => client.close());
  return { router, client };
}

async function send({ client }: Stage, from: number, count: number): Promise<void> {
  const sender = await client.sender('feed');
  await Promise.all(Array.from({ length: count }, (_, i) => sender.send(numbered(from + i))));
  await sender.close();
}

/** A receiver that keeps what it gets until told. */
async function taking({ client }: Stage): Promise<Delivery[]> {
  return heldBy(client);
}

async function heldBy(client: Client): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  const receiver = await client.receiver('events', { credit: 100 });
  void (async (): Promise<void> => {
    for await (const delivery of receiver) deliveries.push(delivery);
  })().catch(() => undefined);
  return deliveries;
}

const position = ({ router }: Stage): (number | undefined)[] => {
  const { sequence, end } = router.autoLink('in', READER).tally.position!;
  return [sequence, end];
};

async function again(stage: Stage, act: () => unknown): Promise<void> {
  const { router } = stage;
  const { activations } = router.autoLink('in', READER);
  act();
  await router.until('the link again', () => router.autoLink('in', READER).activations > activations);
}

describe('the position of an autolink in a partition of an event hub', () => {
  it(
    'is that of what receivers have settled, not of what came: nothing in flight is skipped when the link is lost',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stage = await start(one, cloud);
      await send(stage, 0, 6);
      const got = await taking(stage);
      await stage.router.until('all six', () => got.length === 6);
      // Settled, but not yet all before it.
      for (const i of [0, 1, 3]) await got[i]!.accept();
      await stage.router.until('the position', () => position(stage)[0] === 1);
      assert.deepEqual(position(stage), [1, 5]);
      for (const cut of [
        (): unknown => cloud.namespace.faults.detachLinks(READER),
        (): unknown => cloud.namespace.faults.dropConnections(),
      ]) {
        got.length = 0;
        await again(stage, cut);
        await stage.router.until('those that were not settled', () => got.length === 3);
        assert.deepEqual(got.map(numberOf), [2, 4, 5]);
      }
      // A receiver may reject what it cannot use: the hub keeps no dead letters, and what comes behind goes on.
      await got[0]!.reject({ condition: 'amqp:decode-error', description: 'not for me' });
      for (const delivery of got.slice(1)) await delivery.accept();
      await stage.router.until('the end', () => position(stage)[0] === 5);
    }),
  );

  it(
    'is that of the first event, where an autolink began with the newest: it is not skipped when it was not settled',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stateDir = stateOf(one);
      const links = reader({ filter: `"amqp.annotation.x-opt-offset > '@latest'"` });
      const first = await start(one, cloud, { stateDir, links });
      const held = await taking(first);
      await send(first, 0, 2);
      await first.router.until('both', () => held.length === 2);
      await first.router.until('a note of it', () => savedIn(stateDir) === 0);
      held.length = 0;
      await again(first, () => cloud.namespace.faults.detachLinks(READER));
      await first.router.until('both again', () => held.length === 2);
      await first.router.process.stop(0);
      const second = await start(one, cloud, { stateDir, links });
      const got = await taking(second);
      await second.router.until('both once more', () => got.length === 2);
      assert.deepEqual(got.map(numberOf), [0, 1]);
      await got[0]!.accept();
      await second.router.until('the position', () => position(second)[0] === 0);
    }),
  );

  it(
    'stays before what a receiver gives back: that comes again, with all behind it, ever later',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stage = await start(one, cloud);
      await send(stage, 0, 3);
      const outcomes: string[] = [];
      let isWilling = false;
      await stage.client.receiver('events', { credit: 10 }, async (delivery) => {
        const value = numberOf(delivery);
        outcomes.push(`${value}`);
        if (value === 1 && !isWilling) await (outcomes.length % 2 === 0 ? delivery.release() : delivery.modify());
        else await delivery.accept();
      });
      await stage.router.said('warning', 'event at offset', 'given back again and again');
      assert.equal(position(stage)[0], 0);
      assert.ok(
        stage.router.retries.some(({ ms }) => ms >= 99),
        'it waits before it reads again',
      );
      isWilling = true;
      await stage.router.until('all of them', () => position(stage)[0] === 2);
      const { replays, inVain } = stage.router.autoLink('in', READER).tally.position!;
      assert.ok(replays >= 5);
      assert.equal(inVain, 0);
      assert.equal(outcomes.filter((value) => value === '0').length, 1, 'what was settled does not come again');
    }),
  );

  it(
    'survives what leaves: a receiver that goes with events in its hands leaves them to the next',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stage = await start(one, cloud);
      await send(stage, 0, 5);
      const first = await connect({ host: '127.0.0.1', port: stage.router.port });
      const held = await heldBy(first);
      await stage.router.until('all five', () => held.length === 5);
      await held[0]!.accept();
      await stage.router.until('the first', () => position(stage)[0] === 0);
      await first.close();
      const got = await taking(stage);
      await stage.router.until('the rest', () => got.length === 4);
      assert.deepEqual(got.map(numberOf), [1, 2, 3, 4]);
    }),
  );

  it(
    'is kept in the stateDir: a router that starts again goes on behind it, and reads nothing twice',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stateDir = join(stateOf(one), 'made', 'here');
      const first = await start(one, cloud, { stateDir });
      await send(first, 0, 4);
      const got = await taking(first);
      await first.router.until('all four', () => got.length === 4);
      for (const i of [0, 1, 2]) await got[i]!.accept();
      await first.router.until('the position', () => position(first)[0] === 2);
      await first.router.process.stop(0);
      assert.deepEqual(readdirSync(stateDir), [FILE]);
      assert.equal(statSync(join(stateDir, FILE)).mode & 0o777, 0o600);
      const text = readFileSync(join(stateDir, FILE), 'utf8');
      assert.match(text, /"node":"hub\/ConsumerGroups\/\$Default\/Partitions\/0","address":"events","offset":"\d+"/);
      const second = await start(one, cloud, { stateDir });
      assert.equal(position(second)[0], 2);
      const rest = await taking(second);
      await second.router.until('the rest', () => rest.length === 1);
      assert.equal(numberOf(rest[0]!), 3);
      await rest[0]!.accept();
      await second.router.until('the end', () => position(second)[0] === 3);
      await second.router.process.stop(0);
      // Another place to begin is another reader.
      const filter = `"amqp.annotation.x-opt-sequence-number > '0'"`;
      const third = await start(one, cloud, { stateDir, links: reader({ filter }) });
      const anew = await taking(third);
      await third.router.until('what its filter says', () => anew.length === 3);
      assert.deepEqual(anew.map(numberOf), [1, 2, 3]);
    }),
  );

  it(
    'leaves out what was settled behind it, large or small, when the rest comes again',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stage = await start(one, cloud);
      const sender = await stage.client.sender('feed');
      const large = (value: number): Message => ({
        ...numbered(value),
        applicationProperties: new Map([['filler', 'x'.repeat(200_000)]]),
      });
      for (const message of [numbered(0), large(1), numbered(2), large(3), numbered(4)]) await sender.send(message);
      const got = await taking(stage);
      await stage.router.until('all five', () => got.length === 5);
      await got[1]!.accept();
      await got[2]!.accept();
      // Its link is gone when it is told.
      const late = got[3]!;
      await stage.router.until('both', () => stage.router.autoLink('in', READER).link!.accepted === 2);
      got.length = 0;
      await again(stage, () => {
        cloud.namespace.faults.detachLinks(READER);
      });
      await stage.router.until('the others', () => got.length === 3);
      assert.deepEqual(got.map(numberOf), [0, 3, 4]);
      await late.accept();
      for (const delivery of got) await delivery.accept();
      await stage.router.until('the end', () => position(stage)[0] === 4);
      assert.equal(stage.router.autoLink('in', READER).tally.tooLate, 0);
    }),
  );

  it(
    'lets a thousand events pass one that a receiver keeps, and waits for that one then',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stage = await start(one, cloud);
      let count = 0;
      let letGo = (): void => undefined;
      const kept = new Promise<void>((resolve) => (letGo = resolve));
      await stage.client.receiver('events', { credit: 1 }, async (delivery) => {
        await kept;
        count++;
        await delivery.accept();
      });
      const quick = await connect({ host: '127.0.0.1', port: stage.router.port });
      one.whenOver(() => quick.close());
      await quick.receiver('events', { credit: 20 }, async (delivery) => {
        count++;
        await delivery.accept();
      });
      await send(stage, 0, 1_500);
      const link = (): number => (stage.router.autoLink('in', READER).link as IncomingLink).link.credit;
      await stage.router.until('nothing more to be asked for', () => count > 900 && link() === 0);
      assert.ok(count < 1_100, `${count} passed it`);
      letGo();
      await stage.router.until('the end', () => position(stage)[0] === 1_499);
      assert.equal(count, 1_500, 'none twice');
    }),
  );

  it(
    'is shown by management and metrics, with what is still to come',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stage = await start(one, cloud);
      await send(stage, 0, 5);
      const got = await taking(stage);
      await stage.router.until('all five', () => got.length === 5);
      await got[0]!.accept();
      await got[1]!.accept();
      await stage.router.until('the position', () => position(stage)[0] === 1);
      const { router } = stage.router.process;
      const table = router.tables().find(({ type }) => type.name === 'router.config.autoLink')!;
      const entity = [...table.entities({ connection: undefined })].find(({ name }) => name === 'reader')!;
      assert.equal(entity.attribute('lastSequenceNumber'), 1);
      assert.equal(entity.attribute('lag'), 3);
      assert.equal(entity.attribute('replays'), 0);
      assert.equal(entity.attribute('missedEvents'), 0);
      assert.match(String(entity.attribute('lastOffset')), /^\d+$/);
      const stat = toolIo();
      assert.equal(await runStat(['service-bus', '-b', `127.0.0.1:${stage.router.port}`], stat), 0, stat.stderrText());
      assert.match(stat.stdoutText(), /Event Hubs\n.*\nreader +hub\/Cons[^ ]+ +active +\d+ +1 +3 +0 +0/);
      const metrics = renderMetrics(metricsOf(router), []);
      assert.match(metrics, /^pointsman_event_hub_lag_events\{autolink="reader",entity="hub\/[^"]+"\} 3$/m);
      assert.match(metrics, /^pointsman_event_hub_sequence_number\{autolink="reader",[^}]+\} 1$/m);
    }),
  );

  it(
    'says how many events had gone before they were read',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [{ ...HUB, retainedBytes: 1_000 }] });
      const stage = await start(one, cloud);
      await send(stage, 0, 1);
      const receiver = await stage.client.receiver('events', { credit: 10 }, (delivery) => delivery.accept());
      await stage.router.until('the first', () => position(stage)[0] === 0);
      await receiver.close();
      await again(stage, () => cloud.namespace.faults.detachLinks(READER));
      await send(stage, 1, 200);
      await stage.client.receiver('events', { credit: 10 }, (delivery) => delivery.accept());
      await stage.router.said('events had gone before they were read (1 to', 'limited time');
      await stage.router.until('the end', () => position(stage)[0] === 200);
      assert.ok(stage.router.autoLink('in', READER).tally.position!.missed > 20);
    }),
  );

  it(
    'is of no use where the hub was made anew: the autolink says so, and what to do',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stateDir = stateOf(one);
      const first = await start(one, cloud, { stateDir });
      await send(first, 0, 5);
      await first.client.receiver('events', { credit: 10 }, (delivery) => delivery.accept());
      await first.router.until('the end', () => position(first)[0] === 4);
      await first.router.process.stop(0);
      const { port } = cloud;
      await cloud.close();
      const fresh = await one.openNamespace({ eventHubs: [HUB], onPort: port });
      const { router } = await start(one, fresh, { stateDir, isDoomed: true });
      await router.said('is behind the newest event', 'made anew', 'stateDir');
      assert.match(router.autoLink('in', READER).lastError!, /The supplied offset '\d+' is invalid/);
    }),
  );
});

describe('the file of positions', () => {
  const failing = async (one: Scene, stateDir: string): Promise<string> => {
    const cloud = await one.openNamespace({ eventHubs: [HUB] });
    let message = '';
    await assert.rejects(start(one, cloud, { stateDir }), (error: Error & { hint?: string }) => {
      message = `${error.message} ${error.hint ?? ''}`;
      return true;
    });
    return message;
  };

  it(
    'keeps a router from starting where it cannot be used, which says why',
    scene(async (one) => {
      const folder = stateOf(one);
      const path = join(folder, FILE);
      const entry = '{"namespace":"n","node":"x","address":"a","offset":"1","at":"2026-01-01T00:00:00Z"}';
      for (const [text, why] of [
        ['{"version":1', /event-hub-positions\.json cannot be read: .*JSON/],
        ['[]', /it is no file of positions.*Put back an older one, or take it away/],
        ['{"version":2,"positions":[]}', /it is of version 2, not 1/],
        [`{"version":1,"positions":[${entry},{}]}`, /position 2 has no at/],
        [`{"version":1,"positions":[${entry.replace('"1"', '1')}]}`, /position 1 has no offset/],
        [`{"version":1,"positions":[${entry.replace('2026', 'x')}]}`, /position 1 has no time/],
        [`{"version":1,"positions":[${entry.replace('}', ',"sequence":"1"}')}]}`, /the sequence of position 1/],
        [`{"version":1,"positions":[${entry.replace('}', ',"isFirst":1}')}]}`, /isFirst of position 1/],
      ] as const) {
        writeFileSync(path, text);
        assert.match(await failing(one, folder), why);
        assert.equal(readFileSync(path, 'utf8'), text, 'it is left as it was');
        assert.equal(existsSync(`${path}.lock`), false);
      }
      writeFileSync(path, `{"version":1,"positions":[${entry}]}`);
      const first = await start(one, await one.openNamespace({ eventHubs: [HUB] }), { stateDir: folder });
      assert.match(await failing(one, folder), /is in use by process \d+; where that is no router, remove .*\.lock/);
      await first.router.process.stop(0);
      const file = join(folder, 'file');
      writeFileSync(file, '');
      assert.match(await failing(one, file), /cannot be made: .*EEXIST.*The stateDir of the router is a folder/);
    }),
  );

  it(
    'that cannot be written is told, and tried again; events flow meanwhile',
    scene(async (one) => {
      const cloud = await one.openNamespace({ eventHubs: [HUB] });
      const stateDir = stateOf(one);
      const stage = await start(one, cloud, { stateDir });
      rmSync(stateDir, { recursive: true });
      await stage.client.receiver('events', { credit: 10 }, (delivery) => delivery.accept());
      await send(stage, 0, 3);
      await stage.router.said('error', `${FILE} cannot be written`, 'known in memory alone');
      await stage.router.until('the end', () => position(stage)[0] === 2);
    }),
  );
});

/** What is in the file now: a process that is killed leaves a whole one. */
function savedIn(folder: string): number {
  const path = join(folder, FILE);
  if (!existsSync(path)) return -1;
  const { positions } = JSON.parse(readFileSync(path, 'utf8')) as { positions: { sequence: number }[] };
  return positions[0]?.sequence ?? -1;
}

describe('a router that is killed while it reads an event hub', () => {
  it(
    'misses nothing when it is started again, however often',
    scene(async (one) => {
      const TOTAL = 1_200;
      const cloud = await one.openNamespace({ eventHubs: [HUB], port: 'plain' });
      const string = `Endpoint=sb://127.0.0.1:${cloud.port}/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=k3y/of+the==policy;UseDevelopmentEmulator=true`;
      const stateDir = stateOf(one);
      const port = await one.closedPort();
      const conf = one.file(
        'killed.conf',
        section('router', { id: 'Router.K', stateDir }) +
          section('listener', { host: '127.0.0.1', port }) +
          section('connector', { name: 'azure', role: 'route-container', connectionString: 'env:HUB' }) +
          feed +
          reader(),
      );
      const run = async (): Promise<{ client: Client; kill: () => Promise<void> }> => {
        const child = spawn(process.execPath, [MAIN, '-c', conf], {
          stdio: ['ignore', 'ignore', 'pipe'],
          env: { ...process.env, HUB: string },
        });
        let said = '';
        child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
        one.whenOver(() => void child.kill('SIGKILL'));
        await until(
          'both autolinks',
          () => said.split('Auto Link Activated').length === 3,
          () => said,
        );
        const client = await connect({ host: '127.0.0.1', port });
        const kill = async (): Promise<void> => {
          child.kill('SIGKILL');
          await once(child, 'exit');
        };
        return { client, kill };
      };
      const seen = new Set<number>();
      const accepted = new Set<number>();
      let begun = -1;
      for (let round = 0; accepted.size < TOTAL; round++) {
        assert.ok(round < 20, `${accepted.size} of ${TOTAL} after ${round} rounds`);
        const { client, kill } = await run();
        if (round === 0) {
          const sender = await client.sender('feed');
          await Promise.all(Array.from({ length: TOTAL }, (_, i) => sender.send(numbered(i))));
        }
        const saved = savedIn(stateDir);
        assert.ok(saved >= begun, 'it does not go back');
        begun = saved;
        let first: number | undefined;
        let count = 0;
        const quota = 250 + Math.floor(Math.random() * 300);
        await client.receiver('events', { credit: 20 }, async (delivery) => {
          const value = numberOf(delivery);
          first ??= value;
          seen.add(value);
          // There is something in its hands when the router is cut down.
          if (++count > quota) return new Promise<void>(() => undefined);
          await delivery.accept().then(
            () => accepted.add(value),
            () => undefined,
          );
        });
        await until(
          'a good part to be written down',
          () => (count > quota && savedIn(stateDir) >= saved + quota / 2) || accepted.size === TOTAL,
          () => `${count} came, ${savedIn(stateDir)} is written down`,
        );
        await kill();
        assert.equal(first, saved + 1, 'it begins right behind what is written down');
      }
      assert.equal(seen.size, TOTAL);
      assert.ok(savedIn(stateDir) > 0);
    }),
  );
});
