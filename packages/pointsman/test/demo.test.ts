// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../src/config/read-config.js';
import type { RouterConfig } from '../src/config/model.js';
import { runDemo } from '../src/demo/demo.js';
import { Ledger } from '../src/demo/ledger.js';
import { besideNamespace, namespaceFor, planOf } from '../src/demo/plan.js';
import { Traffic } from '../src/demo/traffic.js';
import { silentLogger } from '../src/log.js';
import { CERTIFICATE_FOLDER } from '../src/namespace-server/arguments.js';
import { startNamespaceServer } from '../src/namespace-server/namespace-server.js';
import type { NamespaceServer } from '../src/namespace-server/namespace-server.js';
import { RouterProcess } from '../src/run/router-process.js';
import { TestIo, opening, text, until } from './client-fixture.js';
import type { Opened } from './client-fixture.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));
const CONFIG = fileURLToPath(new URL('../../../../demo/qdrouterd.conf', import.meta.url));

/** The rows of the summary. */
function countsIn(output: string): Record<string, number> {
  const rows = output.matchAll(/^ {2}(sent|accepted|received|resent|refused|lost|doubled) +([\d,]+)/gmu);
  return Object.fromEntries([...rows].map(([, name, digits]) => [name, Number(digits!.replaceAll(',', ''))]));
}

const all = (count: number): Record<string, number> => ({
  sent: count,
  accepted: count,
  received: count,
  lost: 0,
  doubled: 0,
});

function configOf(change: (text: string) => string = (unchanged) => unchanged): RouterConfig {
  const result = readConfig(change(readFileSync(CONFIG, 'utf8')), {
    path: CONFIG,
    secrets: { env: () => 'SAS_KEY_VALUE', readFile: () => '' },
  });
  assert.ok(result.ok);
  assert.deepEqual(result.warnings, []);
  return result.config;
}

/** A file with the demo's configuration, changed. */
function changedConfig(opened: Opened, change: (text: string) => string): string {
  const folder = mkdtempSync(join(tmpdir(), 'pointsman-test-'));
  opened.later(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'changed.conf');
  writeFileSync(file, change(readFileSync(CONFIG, 'utf8')));
  return file;
}

describe('The demo', () => {
  it('walks the five steps, and has every order back', async () => {
    const io = new TestIo();
    assert.equal(await runDemo(['--messages', '200'], io), 0, io.out + io.err);
    for (const step of [
      /✔ 1 Connection +localhost:\d+, from 127\.0\.0\.1:\d+ +[\d.]+ m?s\n/u,
      /✔ 2 TLS +TLSv1\.3, TLS_AES_\w+ +[\d.]+ m?s\n +certificate of localhost\n +trusted: issued by Pointsman development CA/u,
      /✔ 3 Idle time-out +we advertise 60 s, the service 120 s/u,
      /✔ 4 Authentication +SASL PLAIN, policy RootManageSharedAccessKey .*\n +its key was accepted at the first attach/u,
      /✔ 5 Autolinks +orders ──▶ orders, active, link credit 1000 .*\n +orders ◀── orders, active\n +events ──▶ order-events, active, link credit 1000\n +events ◀── order-events\/Subscriptions\/all, active/u,
    ])
      assert.match(io.out, step);
    assert.match(io.out, /came back as message \d+ of the queue 'orders'/u);
    assert.deepEqual(countsIn(io.out), all(200));
    assert.doesNotMatch(io.out, /\u001b/u, 'no control sequences where there is no terminal');
    assert.doesNotMatch(io.out + io.err, /SAS_KEY_VALUE/u, 'no key');
    assert.equal(io.listenerCount('SIGINT') + io.listenerCount('SIGTERM'), 0);
  });

  it('is a command that ends by itself', async () => {
    const { status, out } = await runMain(['demo', '--messages', '200']);
    assert.equal(status, 0, out);
    assert.deepEqual(countsIn(out), all(200));
  });

  it(
    'ends at a signal, when what is under way has come',
    opening(async (opened) => {
      const child = spawn(process.execPath, [MAIN, 'demo', '--rate', '500'], { stdio: ['ignore', 'pipe', 'inherit'] });
      opened.later(() => child.kill('SIGKILL'));
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString();
      });
      const closed = new Promise((resolve) => {
        child.once('close', resolve);
      });
      await until('the first order', () => out.includes('The first one'));
      child.kill('SIGINT');
      assert.equal(await closed, 0, out);
      const counts = countsIn(out);
      assert.ok((counts['sent'] ?? 0) > 0);
      assert.deepEqual(counts, all(counts['sent']!));
    }),
  );

  it('explains itself, and wrong arguments', async () => {
    const io = new TestIo();
    assert.equal(await runDemo(['--help'], io), 0);
    assert.match(io.out, /Exit status:/u);
    for (const [argv, said] of [
      [['--messages', '0'], /--messages '0' is no number from 1/u],
      [['--mesages', '5'], /--mesages/u],
      [['--queue', 'x'], /give --connection-string as well/u],
      [['--connection-string', 'env:POINTSMAN_TEST_UNSET'], /'POINTSMAN_TEST_UNSET', which is not set/u],
      [
        ['--connection-string', 'Endpoint=sb://x.servicebus.windows.net/;SharedAccessKey=s3cret'],
        /SharedAccessKeyName is missing/u,
      ],
      [['--config', '/nowhere/x.conf'], /does not exist/u],
    ] as const) {
      const wrong = new TestIo();
      assert.equal(await runDemo(argv, wrong), 2);
      assert.match(wrong.err, said);
      assert.doesNotMatch(wrong.out + wrong.err, /s3cret/u);
    }
  });

  it(
    'stops at a step that fails, with what to change',
    opening(async (opened) => {
      for (const [change, step, said] of [
        [
          (conf: string) => conf.replace('idleTimeoutSeconds: 120', 'idleTimeoutSeconds: 8'),
          /✘ 3 Idle time-out/u,
          /Write idleTimeoutSeconds: 120/u,
        ],
        [
          (conf: string) =>
            conf
              .replace('saslMechanisms: PLAIN', 'saslMechanisms: ANONYMOUS')
              .replace(/^ *sasl(Username|Password):.*$/gmu, ''),
          /✘ 4 Authentication/u,
          /does\s+not\s+authenticate/u,
        ],
        [
          (conf: string) =>
            `${conf}autoLink { address: events  direction: in  connection: service-bus  externalAddress: order-events }\n`,
          /✘ 5 Autolinks/u,
          /order-events\/Subscriptions\/NAME/u,
        ],
      ] as const) {
        const io = new TestIo();
        assert.equal(
          await runDemo(['--messages', '1', '--config', changedConfig(opened, change)], io),
          3,
          io.out + io.err,
        );
        assert.match(io.out, step);
        assert.match(io.out, said);
        assert.doesNotMatch(io.out, /^ {2}sent/mu);
      }
    }),
  );

  it(
    'says what of a configuration or a connection string it cannot use',
    opening(async (opened) => {
      for (const [argv, status, said] of [
        [
          [
            '--config',
            changedConfig(opened, (conf) =>
              conf.replace('caCertFile:', 'certFile: /nowhere/cert.pem\n    caCertFile:'),
            ),
          ],
          2,
          /certFile \/nowhere\/cert\.pem/u,
        ],
        [
          ['--config', changedConfig(opened, (conf) => conf.replace('authenticatePeer: no', 'authenticatePeer: yes'))],
          1,
          /the router does not take the clients/u,
        ],
        [
          ['--connection-string', 'Endpoint=sb://localhost/;SharedAccessSignature=SharedAccessSignature sr=a'],
          2,
          /shared access signature cannot be read/u,
        ],
      ] as const) {
        const io = new TestIo();
        assert.equal(await runDemo(['--messages', '1', ...argv], io), status, io.out + io.err);
        assert.match(io.err, said);
      }
    }),
  );

  it(
    'refuses a configuration with no way through a queue and back',
    opening(async (opened) => {
      const io = new TestIo();
      const file = changedConfig(opened, (conf) => conf.replaceAll(/^autoLink.*direction: in.*$/gmu, ''));
      assert.equal(await runDemo(['--messages', '1', '--config', file], io), 2);
      assert.match(io.err, /no address with autoLinks to a queue in both directions/u);
    }),
  );
});

describe('The demo with a namespace of somebody else', () => {
  const started = (opened: Opened): Promise<NamespaceServer> =>
    opened.namespace({ mode: 'emulator', queues: ['orders', 'q2'] });

  it(
    'uses the queue that it is told, and leaves it empty',
    opening(async (opened) => {
      const server = await started(opened);
      const io = new TestIo();
      assert.equal(
        await runDemo(
          ['--messages', '50', '--rate', '5000', '--connection-string', server.connectionString(), '--queue', 'q2'],
          io,
        ),
        0,
        io.out + io.err,
      );
      assert.deepEqual(countsIn(io.out), all(50));
      assert.match(io.out, /must have a queue 'q2'/u);
      assert.match(io.out, /orders ──▶ q2/u);
      assert.doesNotMatch(io.out + io.err, /SAS_KEY_VALUE/u);
      assert.deepEqual([server.namespace.counts('q2').active, server.namespace.counts('orders').active], [0, 0]);
    }),
  );

  it(
    'names a wrong key as such',
    opening(async (opened) => {
      const server = await started(opened);
      const io = new TestIo();
      const wrong = server.connectionString().replace('SAS_KEY_VALUE', 'wr0ng_key_value');
      assert.equal(await runDemo(['--messages', '1', '--connection-string', wrong], io), 3);
      assert.match(io.out, /✘ 4 Authentication/u);
      assert.match(io.out, /SharedAccessKey\s+in\s+the\s+connectionString/u);
      assert.doesNotMatch(io.out, /wr0ng_key_value/u);
    }),
  );

  it(
    'leaves the messages of others where they are',
    opening(async (opened) => {
      const server = await started(opened);
      const sender = await (await opened.client(server)).sender('orders');
      await Promise.all(Array.from({ length: 60 }, (_, i) => sender.send(text(`theirs ${i}`))));
      const io = new TestIo();
      assert.equal(await runDemo(['--messages', '5', '--connection-string', server.connectionString()], io), 1, io.out);
      assert.match(io.out, /messages that are not of this demo/u);
      const { active, deadLetter } = server.namespace.counts('orders');
      assert.ok(active >= 60, `${active} of 60 are still there`);
      assert.equal(deadLetter, 0);
    }),
  );
});

describe("The demo's configuration", () => {
  it('works as it lies there, beside pointsman namespace', () => {
    const config = configOf();
    const { connector, address, queue } = planOf(config);
    assert.deepEqual(
      [connector.host, connector.port, connector.tls, address, queue],
      ['localhost', 5671, 'first', 'orders', 'orders'],
    );
    assert.equal(config.sslProfiles[0]?.caCertFile, `${CERTIFICATE_FOLDER}/ca.pem`);
    const { queues, topics, policies } = namespaceFor(config, planOf(config));
    assert.deepEqual([queues, topics], [['orders'], [{ name: 'order-events', subscriptions: [{ name: 'all' }] }]]);
    assert.equal(policies?.[0]?.name, connector.saslUsername);
  });
});

describe("The demo's traffic", () => {
  /** A router beside a namespace, both as the demo has them, and traffic through them. */
  const running = async (opened: Opened, messages: number): Promise<{ traffic: Traffic; server: NamespaceServer }> => {
    const config = configOf();
    const plan = planOf(config);
    // What a lost link held stays locked until its locks end.
    const server = opened.add(
      await startNamespaceServer({ ...namespaceFor(config, plan), queues: [{ name: 'orders', lockDurationMs: 300 }] }),
    );
    const router = new RouterProcess(besideNamespace(config, plan, server), { log: silentLogger });
    await router.start();
    opened.later(() => router.stop(200));
    await until('the autolinks', () => router.router.autoLinks.every(({ status }) => status === 'active'));
    const { host, port } = router.listeners[0]!;
    return {
      traffic: opened.add(
        new Traffic({ host, port, address: 'orders', messages, rate: undefined, patienceMs: 15_000 }),
      ),
      server,
    };
  };

  it(
    'loses nothing when the connection to the namespace is cut in mid-flow',
    opening(async (opened) => {
      const { traffic, server } = await running(opened, 3000);
      await traffic.start();
      for (const mark of [300, 1200]) {
        await until(`${mark} orders`, () => traffic.ledger.counts.received >= mark);
        assert.ok(server.namespace.faults.dropConnections() > 0);
      }
      assert.deepEqual(await traffic.ended, { how: 'done' });
      const { sent, accepted, received, missing, doubled } = traffic.ledger.counts;
      assert.deepEqual(
        { sent, accepted, received, missing, doubled },
        { sent: 3000, accepted: 3000, received: 3000, missing: 0, doubled: 0 },
      );
    }),
  );

  it(
    'counts an order that the queue has lost',
    opening(async (opened) => {
      const { traffic, server } = await running(opened, 50);
      // Somebody else takes one out of the queue, and keeps it.
      const thief = await opened.client(server);
      const stolen: unknown[] = [];
      await thief
        .receiver('orders', { mode: 'settled', credit: 0 }, (delivery) => {
          stolen.push(delivery.message.properties?.messageId);
        })
        .then((receiver) => receiver.addCredit(1));
      await traffic.start();
      await until('all but one', () => traffic.ledger.counts.accepted === 50 && traffic.ledger.counts.received === 49);
      assert.equal(stolen.length, 1);
      assert.equal(traffic.ledger.counts.missing, 1);
      traffic.giveUp();
      assert.deepEqual(await traffic.ended, { how: 'silent' });
    }),
  );
});

describe('The ledger', () => {
  it('balances when every order was accepted and received, in whichever order', () => {
    const ledger = new Ledger();
    const [a, b] = [ledger.sent(0), ledger.sent(0)];
    ledger.accepted(a);
    assert.equal(ledger.counts.missing, 1);
    assert.equal(ledger.received(a, false, 5), 5);
    ledger.received(b, false, 6);
    assert.equal(ledger.isBalanced, false);
    ledger.accepted(b);
    assert.equal(ledger.isBalanced, true);
    assert.deepEqual(ledger.counts, {
      sent: 2,
      resent: 0,
      accepted: 2,
      refused: 0,
      received: 2,
      missing: 0,
      repeated: 0,
      doubled: 0,
    });
  });

  it('tells a double that at-least-once permits from one that nothing explains', () => {
    const ledger = new Ledger();
    const numbers = [ledger.sent(0), ledger.sent(0), ledger.sent(0)] as const;
    ledger.resent(numbers[1], true);
    ledger.resent(numbers[2], false);
    for (const number of numbers) {
      ledger.accepted(number);
      ledger.received(number, false, 1);
    }
    assert.equal(ledger.received(numbers[0], true, 2), undefined);
    ledger.received(numbers[1], false, 2);
    assert.deepEqual([ledger.counts.repeated, ledger.counts.doubled], [2, 0]);
    ledger.received(numbers[2], false, 2);
    assert.deepEqual([ledger.counts.repeated, ledger.counts.doubled, ledger.counts.received], [2, 1, 3]);
  });

  it('keeps what was refused apart from what was lost', () => {
    const ledger = new Ledger();
    const [a, b] = [ledger.sent(0), ledger.sent(0)];
    ledger.refused(a, false);
    ledger.accepted(b);
    assert.equal(ledger.isBalanced, false);
    assert.deepEqual([ledger.counts.refused, ledger.counts.missing], [1, 1]);
    ledger.accepted(a);
    assert.equal(ledger.counts.accepted, 1, 'an outcome counts once');
    assert.equal(ledger.knows(3), false);
  });
});

function runMain(argv: readonly string[]): Promise<{ status: number | null; out: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        out += chunk.toString();
      });
    }
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, out }));
  });
}
