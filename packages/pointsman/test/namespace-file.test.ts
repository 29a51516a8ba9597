// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { plainOf, type Message } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import { startNamespace } from '../src/index.js';
import type { NamespaceServerOptions, RunningNamespace } from '../src/index.js';
import { NamespaceFile, NamespaceFileError } from '../src/namespace-server/namespace-file.js';

/** Runs a test with the path of a file that is not there yet. */
function withFile(body: (path: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'namespace-file-'));
    try {
      await body(join(folder, 'namespace.db'));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

const ENTITIES: NamespaceServerOptions = {
  queues: ['orders', { name: 'steps', requiresSession: true }, { name: 'strict', maxDeliveryCount: 1 }],
  topics: [{ name: 'news', subscriptions: [{ name: 'all' }] }],
};

function open(file: string, more: NamespaceServerOptions = {}): Promise<RunningNamespace> {
  return startNamespace({ ...ENTITIES, file, ...more });
}

function clientOf(ns: { readonly server: { readonly ports: { readonly amqp?: number } } }): Promise<Client> {
  return connect({
    host: '127.0.0.1',
    port: ns.server.ports.amqp!,
    sasl: { mechanisms: ['PLAIN'], username: 'RootManageSharedAccessKey', password: () => 'SAS_KEY_VALUE' },
  });
}

const text = (value: string): { kind: 'value'; value: string } => ({ kind: 'value', value });
const valueOf = (body: Message['body']): unknown => (body?.kind === 'value' ? body.value : undefined);

describe('a namespace in a file', () => {
  it(
    'has its messages again, in order, with their numbers, counts, reasons and times',
    withFile(async (path) => {
      {
        await using ns = await open(path);
        const client = await clientOf(ns);
        const sender = await client.sender('orders');
        for (const name of ['one', 'two', 'three', 'four'])
          await sender.send({
            properties: { messageId: name },
            applicationProperties: new Map([['n', name]]),
            body: text(name),
          });
        await (await client.sender('strict')).send({ properties: { messageId: 'bad' }, body: text('bad') });
        await (await client.sender('news')).send({ body: text('event') });
        const later = new Map([['x-opt-scheduled-enqueue-time', BigInt(Date.now() + 3_600_000)]]);
        await sender.send({ messageAnnotations: later, body: text('later') });

        const receiver = await client.receiver('orders', { credit: 0, mode: 'second' });
        receiver.addCredit(3);
        const [one, two, three] = [await receiver.next(), await receiver.next(), await receiver.next()];
        await one!.accept();
        await two!.modify({ deliveryFailed: true });
        await three!.modify({ deliveryFailed: true, undeliverableHere: true });
        const strict = await client.receiver('strict', { credit: 0, mode: 'second' });
        strict.addCredit(1);
        await (await strict.next())!.modify({ deliveryFailed: true });
        await client.close();
      }
      await using ns = await open(path);
      const { namespace } = ns;
      const counts = namespace.counts('orders');
      assert.deepEqual([counts.active, counts.deferred, counts.scheduled], [2, 1, 1]);
      assert.equal(namespace.counts('news/Subscriptions/all').active, 1);
      assert.equal(namespace.counts('strict/$DeadLetterQueue').active, 1);
      const client = await clientOf(ns);
      const receiver = await client.receiver('orders', { credit: 0, mode: 'second' });
      receiver.addCredit(2);
      const [two, four] = [await receiver.next(), await receiver.next()];
      assert.deepEqual([two!.message.properties?.messageId, four!.message.properties?.messageId], ['two', 'four']);
      assert.equal(two!.message.header?.deliveryCount, 1);
      assert.equal(two!.message.applicationProperties?.get('n'), 'two');
      const dead = await client.receiver('strict/$DeadLetterQueue', { credit: 1 });
      const letter = await dead.next();
      assert.equal(letter!.message.applicationProperties?.get('DeadLetterReason'), 'MaxDeliveryCountExceeded');
      // No number comes twice.
      const sender = await client.sender('orders');
      await sender.send({ body: text('six') });
      receiver.addCredit(1);
      const six = await receiver.next();
      assert.ok(
        Number(six!.message.messageAnnotations?.get('x-opt-sequence-number')) >
          Number(four!.message.messageAnnotations?.get('x-opt-sequence-number')) + 1,
      );
      await client.close();
    }),
  );

  it(
    'has messages of a partitioned entity in their partitions again, and counts on in each',
    withFile(async (path) => {
      const options: NamespaceServerOptions = { queues: [{ name: 'wide', enablePartitioning: true }], file: path };
      const send = async (ns: RunningNamespace): Promise<void> => {
        const client = await clientOf(ns);
        const sender = await client.sender('wide');
        for (const key of ['a', 'a', 'b'])
          await sender.send({ messageAnnotations: new Map([['x-opt-partition-key', key]]), body: text(key) });
        await client.close();
      };
      {
        await using ns = await startNamespace(options);
        await send(ns);
      }
      await using ns = await startNamespace(options);
      await send(ns);
      const client = await clientOf(ns);
      const receiver = await client.receiver('wide', { mode: 'settled' });
      const found = new Map<unknown, bigint[]>();
      for (let i = 0; i < 6; i++) {
        const { messageAnnotations } = (await receiver.next())!.message;
        const key = messageAnnotations?.get('x-opt-partition-key');
        const sequence = plainOf(messageAnnotations?.get('x-opt-sequence-number') ?? null);
        found.set(key, [...(found.get(key) ?? []), (sequence as bigint) & 0xffff_ffff_ffffn]);
      }
      assert.deepEqual(found.get('a'), [1n, 2n, 3n, 4n]);
      assert.deepEqual(found.get('b'), [1n, 2n]);
      await client.close();
    }),
  );

  it(
    'remembers what duplicate detection knew, for as long as it would have',
    withFile(async (path) => {
      let now = 1_000;
      const clock = { now: () => now, after: () => () => undefined };
      const options: NamespaceServerOptions = {
        queues: [{ name: 'once', requiresDuplicateDetection: true }],
        topics: [{ name: 'news', requiresDuplicateDetection: true, subscriptions: [{ name: 'all' }] }],
      };
      const ids = ['a', 'b', 'a', Uint8Array.of(1, 2), Uint8Array.of(1, 2)];
      const send = async (ns: RunningNamespace, list: readonly (string | Uint8Array)[]): Promise<void> => {
        const client = await clientOf(ns);
        for (const to of ['once', 'news']) {
          const sender = await client.sender(to);
          for (const messageId of list) await sender.send({ properties: { messageId }, body: text('x') });
        }
        await client.close();
      };
      const counts = (ns: RunningNamespace): number[] =>
        ['once', 'news/Subscriptions/all'].map((name) => ns.namespace.counts(name).active);
      {
        await using ns = await startNamespace({ ...options, file: path });
        await send(ns, ids);
        assert.deepEqual(counts(ns), [3, 3]);
      }
      for (const round of [1, 2]) {
        await using ns = await startNamespace({ ...options, file: path });
        await send(ns, ids);
        assert.deepEqual(counts(ns), [3, 3], `after restart ${round}`);
      }
      // A clock that begins when the namespace is made, eleven minutes on.
      await using ns = await startNamespace({ ...options, file: path, clock });
      now += 660_000;
      await send(ns, ['a']);
      assert.deepEqual(counts(ns), [4, 4], 'the window is over');
    }),
  );

  it(
    'has what the management API made, changed and took away',
    withFile(async (path) => {
      {
        await using ns = await open(path);
        for (const [method, target, inner] of [
          ['PUT', 'made', '<QueueDescription><LockDuration>PT30S</LockDuration></QueueDescription>'],
          ['PUT', 'gone', '<QueueDescription/>'],
          ['PUT', 'news/Subscriptions/extra', '<SubscriptionDescription/>'],
          [
            'PUT',
            'news/Subscriptions/extra/Rules/only',
            '<RuleDescription><Filter type="SqlFilter"><SqlExpression>a = \'b\'</SqlExpression></Filter></RuleDescription>',
          ],
          ['DELETE', 'gone', ''],
          ['DELETE', 'steps', ''],
        ] as const)
          assert.ok(
            ns.server.administration.replay([
              'admin',
              method,
              target,
              `<entry><content>${inner}</content></entry>`,
              false,
            ]) === undefined,
          );
        const client = await clientOf(ns);
        await (await client.sender('made')).send({ body: text('x') });
        await client.close();
      }
      await using ns = await open(path);
      const { broker } = ns.namespace;
      const made = broker.entity('made');
      assert.ok(made?.kind === 'queue');
      assert.equal(made.messages.settings.lockDurationMs, 30_000);
      assert.equal(made.messages.counts().active, 1);
      assert.equal(broker.entity('gone'), undefined);
      assert.equal(broker.entity('steps'), undefined);
      const extra = broker.entity('news/subscriptions/extra');
      assert.ok(extra?.kind === 'subscription');
      assert.deepEqual(
        extra.rules.map(({ name }) => name),
        ['$Default', 'only'],
      );
    }),
  );

  it(
    'loses nothing that was accepted when its process is killed in the middle, wherever the file ends',
    withFile(async (path) => {
      const command = fileURLToPath(new URL('../../bin/pointsman.js', import.meta.url));
      const child = spawn(process.execPath, [
        command,
        'namespace',
        '--emulator',
        '--port',
        '0',
        '--queue',
        'orders',
        '--file',
        path,
      ]);
      const ended = once(child, 'exit');
      let out = '';
      child.stdout.setEncoding('utf8').on('data', (more: string) => (out += more));
      while (!/AMQP, plain\s+localhost:(\d+)/u.test(out)) await once(child.stdout, 'data');
      const port = Number(/AMQP, plain\s+localhost:(\d+)/u.exec(out)?.[1]);
      const client = await clientOf({ server: { ports: { amqp: port } } });
      const sender = await client.sender('orders');
      const accepted = new Set<string>();
      const sends = Array.from({ length: 2_000 }, (_, i) =>
        sender.send({ properties: { messageId: `m${i}` }, body: text('x'.repeat(i % 300)) }).then(
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
      // Something that never became a frame.
      appendFileSync(path, Buffer.from([0, 0, 1, 0, 1, 2, 3, 4, 5]));
      const warnings: string[] = [];
      await using ns = await startNamespace({
        queues: ['orders'],
        file: path,
        log: (level, line) => level === 'warning' && warnings.push(line),
      });
      assert.match(warnings.join('\n'), /the last \d+ bytes were not written to the end/u);
      const there = new Set<string>();
      const again = await clientOf(ns);
      const receiver = await again.receiver('orders', { mode: 'settled' });
      const { active } = ns.namespace.counts('orders');
      for (let i = 0; i < active; i++) there.add(String((await receiver.next())!.message.properties?.messageId));
      for (const id of accepted) assert.ok(there.has(id), `${id} was accepted and is gone`);
      await again.close();
    }),
  );

  it(
    'goes on behind what cannot be read within it, and keeps the file as it was',
    withFile(async (path) => {
      {
        await using ns = await open(path);
        const client = await clientOf(ns);
        const sender = await client.sender('orders');
        for (const name of ['one', 'two', 'three']) await sender.send({ body: text(`${name}-`.repeat(20)) });
        await client.close();
      }
      const bytes = readFileSync(path);
      bytes[bytes.indexOf('two-two')]! ^= 1;
      writeFileSync(path, bytes);
      const warnings: string[] = [];
      const bodies: unknown[] = [];
      {
        await using ns = await open(path, { log: (level, line) => level === 'warning' && warnings.push(line) });
        const client = await clientOf(ns);
        const receiver = await client.receiver('orders', { mode: 'settled' });
        for (let i = ns.namespace.counts('orders').active; i > 0; i -= 1)
          bodies.push(valueOf((await receiver.next())!.message.body));
        await client.close();
      }
      assert.deepEqual(
        bodies,
        ['one-', 'three-'].map((word) => word.repeat(20)),
      );
      assert.match(warnings.join('\n'), /\d+ bytes within it cannot be read: messages are missing/u);
      const aside = /kept as (\S+)/u.exec(warnings.join('\n'))?.[1];
      assert.deepEqual(readFileSync(aside!), bytes);
      await using again = await open(path, { log: (level, line) => level === 'warning' && warnings.push(line) });
      assert.equal(warnings.length, 1, 'the file itself is whole again');
      assert.equal(again.namespace.counts('orders').active, 0);
    }),
  );

  it(
    'takes nothing that it has no room for, settles what is there, and goes on when there is room again',
    { skip: spawnSync('prlimit', ['--version']).status !== 0 },
    withFile(async (path) => {
      // No file of this process becomes larger than 2 MiB: to it the disk is full.
      const command = fileURLToPath(new URL('../../bin/pointsman.js', import.meta.url));
      const child = spawn('/bin/bash', [
        '-c',
        `ulimit -S -f 2048; exec "$0" "$@"`,
        process.execPath,
        command,
        'namespace',
        '--emulator',
        '--port',
        '0',
        '--http-port',
        '0',
        '--queue',
        'orders',
        '--file',
        path,
      ]);
      const ended = once(child, 'exit');
      let out = '';
      child.stdout.setEncoding('utf8').on('data', (more: string) => (out += more));
      const ports = /AMQP, plain\s+localhost:(\d+)[^]*?management\s+http:\/\/localhost:(\d+)/u;
      while (!ports.test(out)) await once(child.stdout, 'data');
      const [, port, httpPort] = ports.exec(out) ?? [];
      const health = async (): Promise<number> => (await fetch(`http://127.0.0.1:${httpPort}/health`)).status;
      const client = await clientOf({ server: { ports: { amqp: Number(port) } } });
      const sender = await client.sender('orders');
      const kept = new Set<string>();
      let next = 0;
      const send = async (): Promise<string> => {
        const messageId = `m${next++}`;
        const state = await sender.send({ properties: { messageId }, body: text('x'.repeat(20_000)) });
        if (state.type === 'accepted') kept.add(messageId);
        return state.type === 'rejected' ? (state.error?.condition ?? '') : state.type;
      };
      let outcome = await send();
      while (outcome === 'accepted') outcome = await send();
      assert.equal(outcome, 'com.microsoft:server-busy');
      assert.ok(kept.size > 50, `${kept.size} were accepted`);
      assert.equal(await health(), 503);

      const receiver = await client.receiver('orders', { credit: 0, mode: 'second' });
      const complete = async (count: number): Promise<void> => {
        receiver.addCredit(count);
        for (let i = 0; i < count; i++) {
          const received = (await receiver.next())!;
          await received.accept();
          assert.ok(kept.delete(String(received.message.properties?.messageId)));
        }
      };
      await complete(10);
      // What was completed makes room, once the file is written anew.
      for (outcome = 'none'; outcome !== 'accepted';) outcome = await send();
      while (outcome === 'accepted') outcome = await send();
      assert.equal(outcome, 'com.microsoft:server-busy');

      assert.equal(spawnSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited']).status, 0);
      assert.equal(await send(), 'accepted');
      assert.equal(await health(), 200);
      await complete(1);
      child.kill('SIGKILL');
      await ended;
      await using ns = await startNamespace({ queues: ['orders'], file: path });
      const again = await clientOf(ns);
      const all = await again.receiver('orders', { mode: 'settled' });
      const there = new Set<string>();
      for (let { active } = ns.namespace.counts('orders'); active > 0; active -= 1)
        there.add(String((await all.next())!.message.properties?.messageId));
      assert.deepEqual(there, kept, 'neither more nor less than was accepted');
      await again.close();
    }),
  );

  it(
    'is written anew at the start, without what is gone',
    withFile(async (path) => {
      {
        await using ns = await open(path);
        const client = await clientOf(ns);
        const sender = await client.sender('orders');
        const receiver = await client.receiver('orders', { mode: 'settled' });
        for (let i = 0; i < 50; i++) {
          await sender.send({ body: text('x'.repeat(1_000)) });
          await receiver.next();
        }
        await client.close();
      }
      const before = statSync(path).size;
      assert.ok(before > 50_000);
      await (await open(path)).close();
      assert.ok(statSync(path).size < 2_000, `${statSync(path).size} bytes are left`);
      assert.ok(!existsSync(`${path}.lock`));
    }),
  );

  it(
    'belongs to one namespace at a time, and is nobody else’s file',
    withFile(async (path) => {
      {
        await using ns = await open(path);
        assert.ok(ns);
        await assert.rejects(open(path), NamespaceFileError);
      }
      await (await open(path)).close();
      // Of a process that is no more.
      writeFileSync(`${path}.lock`, '999999999\n');
      await (await open(path)).close();
      writeFileSync(path, 'some text of somebody');
      await assert.rejects(open(path), /is no file of a namespace/u);
      assert.equal(readFileSync(path, 'utf8'), 'some text of somebody');
    }),
  );

  it(
    'may end anywhere: what is whole counts',
    withFile(async (path) => {
      {
        await using ns = await open(path);
        const client = await clientOf(ns);
        const sender = await client.sender('orders');
        for (let i = 0; i < 20; i++) await sender.send({ body: text(String(i)) });
        await client.close();
      }
      const whole = readFileSync(path);
      let last = Infinity;
      for (let length = whole.length; length >= 22; length -= 37) {
        writeFileSync(path, whole);
        truncateSync(path, length);
        const ns = await open(path);
        const { active } = ns.namespace.counts('orders');
        assert.ok(active <= last);
        last = active;
        await ns.close();
      }
      assert.equal(last, 0);
    }),
  );
});

describe('the file of a namespace', () => {
  it(
    'takes nothing before it is started and after it is closed, and names a place where none can be',
    withFile(async (path) => {
      const said: string[] = [];
      const file = new NamespaceFile({ path, log: (_, line) => said.push(line) });
      file.write(['gone', 'orders', 1]);
      file.start(() => []);
      file.write(['gone', 'orders', 1]);
      assert.equal(file.flush(), true);
      file.close();
      assert.equal(file.flush(), true);
      assert.deepEqual(said, []);
      assert.throws(() => new NamespaceFile({ path: '/nowhere/at/all' }), NamespaceFileError);
    }),
  );

  it(
    'is let go where its namespace does not come about',
    withFile(async (path) => {
      const folder = join(dirname(path), 'no-folder');
      writeFileSync(folder, '');
      await assert.rejects(open(path, { queues: ['orders', 'orders'] }), TypeError);
      await assert.rejects(open(path, { mode: 'cloud', certificateFolder: folder }));
      assert.equal(existsSync(`${path}.lock`), false);
      await using ns = await open(path);
      assert.ok(ns.connectionString);
    }),
  );

  it(
    'is written anew beside itself, not where a link leads that somebody put there',
    withFile(async (path) => {
      const other = `${path}.of-somebody`;
      writeFileSync(other, 'theirs');
      symlinkSync(other, `${path}.new`);
      const file = new NamespaceFile({ path });
      file.start(() => []);
      file.close();
      assert.equal(readFileSync(other, 'utf8'), 'theirs');
    }),
  );

  it(
    'goes on, and grows, where it cannot be written anew',
    withFile(async (path) => {
      const said: string[] = [];
      const file = new NamespaceFile({ path, log: (_, line) => said.push(line) });
      file.start(() => []);
      mkdirSync(`${path}.new`);
      for (const size of [17 << 20, 1, 1]) {
        file.write(['session', 'steps', 'large', new Uint8Array(size)]);
        assert.equal(file.flush(), true);
      }
      assert.equal(file.failure, undefined);
      assert.match(said.join('\n'), /^.*cannot be written anew, and grows: [^\n]*EISDIR[^\n]*$/);
      file.close();
      rmSync(`${path}.new`, { recursive: true });
      const again = new NamespaceFile({ path });
      assert.deepEqual([...again.history.keys()], ['steps']);
      again.start(() => []);
      again.close();
    }),
  );

  it(
    'is free again where its process was killed and another one has the number now, as in a container',
    { skip: !existsSync('/proc/self/stat') },
    withFile(async (path) => {
      writeFileSync(`${path}.lock`, `${process.pid} 1\n`);
      const file = new NamespaceFile({ path });
      assert.throws(
        () => new NamespaceFile({ path }),
        /in use by process \d+; where that is no namespace, remove .*lock/,
      );
      file.start(() => []);
      file.close();
      assert.equal(existsSync(`${path}.lock`), false);
    }),
  );
});
