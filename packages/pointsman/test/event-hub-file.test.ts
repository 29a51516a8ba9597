// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Described, int, plainOf, symbol, ulong } from '@pointsman/wire';
import type { AmqpValue, Message } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import { startNamespace } from '../src/index.js';
import type { NamespaceServerOptions, RunningNamespace } from '../src/index.js';

const COMMAND = fileURLToPath(new URL('../../bin/pointsman.js', import.meta.url));

/** Runs a test with the path of a file that is not there yet. */
function withFile(body: (path: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'event-hub-file-'));
    try {
      await body(join(folder, 'namespace.db'));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

function open(file: string, more: NamespaceServerOptions = {}): Promise<RunningNamespace> {
  return startNamespace({ eventHubs: [{ name: 'Hub', partitions: 2 }], file, ...more });
}

function clientOf(port: number): Promise<Client> {
  return connect({
    host: '127.0.0.1',
    port,
    sasl: { mechanisms: ['PLAIN'], username: 'RootManageSharedAccessKey', password: () => 'SAS_KEY_VALUE' },
  });
}

const within = async (ns: RunningNamespace, act: (client: Client) => Promise<void>): Promise<void> => {
  const client = await clientOf(ns.server.ports.amqp!);
  await act(client);
  await client.close();
};

const text = (value: string): Message => ({ body: { kind: 'value', value } });

/** What a partition has, each as `number@offset body`. */
async function contentsOf(client: Client, partition: string, count: number): Promise<string[]> {
  const selector = new Described(ulong(0x468c_0000_0004n), "amqp.annotation.x-opt-offset > '-1'");
  const receiver = await client.receiver(`hub/ConsumerGroups/$Default/Partitions/${partition}`, {
    mode: 'settled',
    attach: {
      source: {
        type: 'source',
        address: `hub/ConsumerGroups/$Default/Partitions/${partition}`,
        filter: new Map<AmqpValue, AmqpValue>([[symbol('apache.org:selector-filter:string'), selector]]),
      },
    },
  });
  const contents: string[] = [];
  while (contents.length < count) {
    const { messageAnnotations: annotations, body } = (await receiver.next())!.message;
    const value = body?.kind === 'value' ? String(body.value) : '';
    contents.push(
      `${String(plainOf(annotations?.get('x-opt-sequence-number')))}@${String(plainOf(annotations?.get('x-opt-offset')))} ${value}`,
    );
  }
  await receiver.close();
  return contents;
}

describe('event hubs of a namespace in a file', () => {
  it(
    'have their events again, with their numbers and places, and count on',
    withFile(async (path) => {
      let before: string[] = [];
      {
        await using ns = await open(path);
        await within(ns, async (client) => {
          const sender = await client.sender('hub/Partitions/1');
          for (const one of ['a', 'b', 'c']) await sender.send(text(one));
          before = await contentsOf(client, '1', 3);
        });
      }
      await using ns = await open(path);
      await within(ns, async (client) => {
        assert.deepEqual(await contentsOf(client, '1', 3), before);
        await (await client.sender('hub/Partitions/1')).send(text('d'));
        const after = await contentsOf(client, '1', 4);
        assert.match(after[3]!, /^3@\d+ d$/);
        const offsets = after.map((one) => Number(/@(\d+)/u.exec(one)![1]));
        assert.deepEqual(
          offsets.toSorted((a, b) => a - b),
          offsets,
        );
        assert.equal(new Set(offsets).size, 4);
      });
      const { partitions } = ns.server.namespace.broker.eventHubs.hub('hub')!;
      assert.deepEqual(
        partitions.map(({ size }) => size),
        [0, 4],
      );
    }),
  );

  it(
    'count on though all of their events have gone, and the file does not keep those',
    withFile(async (path) => {
      const eventHubs = [{ name: 'hub', partitions: 1, retainedBytes: 1_000, retentionMs: 1 }];
      {
        await using ns = await open(path, { eventHubs });
        await within(ns, async (client) => {
          const sender = await client.sender('hub');
          await Promise.all(Array.from({ length: 200 }, () => sender.send(text('x'.repeat(1_000)))));
        });
      }
      assert.ok(statSync(path).size > 200_000);
      for (let round = 0; round < 2; round++) {
        await using ns = await open(path, { eventHubs });
        const [partition] = ns.server.namespace.broker.eventHubs.hub('hub')!.partitions;
        partition!.expire(performance.now() + 10);
        assert.deepEqual([partition!.size, partition!.nextSequence, partition!.last.sequence], [0, 200, 199]);
      }
    }),
  );

  it(
    'know their idempotent producers: what is sent again is kept once',
    withFile(async (path) => {
      const sequence = (n: number): Message => ({
        ...text(`${n}`),
        messageAnnotations: new Map([['com.microsoft:producer-sequence-number', int(n)]]),
      });
      let properties: ReadonlyMap<string, AmqpValue> | undefined;
      const send = async (ns: RunningNamespace, n: number): Promise<string> => {
        let type = '';
        await within(ns, async (client) => {
          const sender = await client.sender('hub/Partitions/0', {
            attach: {
              desiredCapabilities: ['com.microsoft:idempotent-producer'],
              ...(properties === undefined ? {} : { properties: new Map(properties) }),
            },
          });
          properties ??= sender.link.remoteAttach?.properties;
          ({ type } = await sender.send(sequence(n)));
        });
        return type;
      };
      {
        await using ns = await open(path);
        assert.equal(await send(ns, 1), 'accepted');
      }
      await using ns = await open(path);
      assert.equal(await send(ns, 1), 'accepted');
      assert.equal(await send(ns, 2), 'accepted');
      const [partition] = ns.server.namespace.broker.eventHubs.hub('hub')!.partitions;
      assert.equal(partition!.size, 2);
      assert.equal(await send(ns, 9), 'rejected');
    }),
  );

  it(
    'that are not there any more, or have fewer partitions, are named',
    withFile(async (path) => {
      {
        await using ns = await open(path, { eventHubs: [{ name: 'hub', partitions: 3 }, { name: 'gone' }] });
        await within(ns, async (client) => {
          for (const to of ['hub/Partitions/2', 'hub/Partitions/0', 'gone/Partitions/0'])
            await (await client.sender(to)).send(text(to));
        });
      }
      const warnings: string[] = [];
      await using ns = await open(path, { log: (level, line) => level === 'warning' && warnings.push(line) });
      assert.match(warnings.join('\n'), /no entity 'gone' any more/);
      assert.match(warnings.join('\n'), /no entity 'Hub\/Partitions\/2' any more/);
      await within(ns, async (client) => {
        assert.deepEqual(await contentsOf(client, '0', 1), ['0@0 hub/Partitions/0']);
      });
    }),
  );

  it(
    'lose nothing that was accepted when the process is killed',
    withFile(async (path) => {
      const args = ['namespace', '--emulator', '--port', '0', '--event-hub', 'hub:1', '--file', path];
      const child = spawn(process.execPath, [COMMAND, ...args]);
      const ended = once(child, 'exit');
      let out = '';
      child.stdout.setEncoding('utf8').on('data', (more: string) => (out += more));
      while (!/AMQP, plain\s+localhost:(\d+)/u.test(out)) await once(child.stdout, 'data');
      const client = await clientOf(Number(/AMQP, plain\s+localhost:(\d+)/u.exec(out)?.[1]));
      const sender = await client.sender('hub');
      const accepted = new Set<string>();
      const sends = Array.from({ length: 2_000 }, (_, i) =>
        sender.send(text(`m${i}`)).then(
          ({ type }) => {
            if (type === 'accepted') accepted.add(`m${i}`);
            if (accepted.size === 500) child.kill('SIGKILL');
          },
          () => undefined,
        ),
      );
      await Promise.all(sends);
      await ended;
      assert.ok(accepted.size >= 500);
      await using ns = await open(path, { eventHubs: [{ name: 'hub', partitions: 1 }] });
      const [partition] = ns.server.namespace.broker.eventHubs.hub('hub')!.partitions;
      await within(ns, async (again) => {
        const there = new Set((await contentsOf(again, '0', partition!.size)).map((one) => one.split(' ')[1]!));
        for (const one of accepted) assert.ok(there.has(one), `${one} was accepted and is gone`);
      });
    }),
  );
});
