// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runAzure } from '../src/azure-config/command.js';
import { connect } from '../src/client/client.js';
import type { NamespaceServer } from '../src/namespace-server/namespace-server.js';
import { TestIo } from './client-fixture.js';
import { ConnectProxy } from './connect-proxy.js';
import { openCloud } from './doctor-fixture.js';
import { CLOUD_HOST, KEY, POLICY, lookUpHere, read, scene, sslProfile } from './five-steps-fixture.js';

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly error: string;
}

function azure(...argv: string[]): Promise<Ran> {
  return azureWith({}, ...argv);
}

/** @param env - what `env:` finds */
async function azureWith(env: Readonly<Record<string, string>>, ...argv: string[]): Promise<Ran> {
  const io = new TestIo();
  const status = await runAzure(argv, io, { environment: (name) => env[name], lookup: lookUpHere });
  assert.ok(!(io.out + io.err).includes(KEY), 'the key is shown');
  return { status, out: io.out, error: io.err };
}

/** What `pointsman check` says of a file, in a process of its own. */
function checked(file: string, env: Readonly<Record<string, string>>): string {
  const main = fileURLToPath(new URL('../src/main.js', import.meta.url));
  return execFileSync(process.execPath, [main, 'check', file], { encoding: 'utf8', env: { ...process.env, ...env } });
}

function stringTo(server: NamespaceServer, policy?: string): string {
  return server.connectionString(policy);
}

const FROM = ['config', '--connection-string', 'env:SB'] as const;
const SECRETS = { SB: `Endpoint=sb://${CLOUD_HOST}/;SharedAccessKeyName=${POLICY};SharedAccessKey=${KEY}` };

describe('azure config', () => {
  it(
    'writes a file with which a router works',
    scene(async (one) => {
      const file = one.file('unused', '').replace('unused', 'router.conf');
      const made = await azure(
        ...FROM,
        '--entity',
        'orders',
        '--entity',
        'send:events',
        '--entity',
        'events/Subscriptions/billing=billing',
        '-f',
        file,
      );
      assert.equal(made.status, 0);
      assert.match(made.error, /pointsman doctor -c/);
      assert.equal(statSync(file).mode & 0o007, 0);
      const cloud = await one.openNamespace();
      const text = readFileSync(file, 'utf8')
        .replace('port: amqp', 'port: 0')
        .replace('role: route-container', 'role: route-container\n    sslProfile: cloud');
      const string = SECRETS.SB.replace(CLOUD_HOST, `${CLOUD_HOST}:${cloud.port}`);
      const router = await one.startRouter(text + sslProfile({ caCertFile: one.caCertFile }), { env: { SB: string } });
      await router.active();
      assert.deepEqual(
        router.process.router.autoLinks.map(
          (link) => `${link.direction} ${link.settings.address} ${link.externalAddress}`,
        ),
        ['out orders orders', 'in orders orders', 'out events events', 'in billing events/Subscriptions/billing'],
      );
      const again = await azure(...FROM, '--entity', 'orders', '-f', file);
      assert.equal(again.status, 1);
      assert.match(again.error, /exists already/);
    }),
  );

  it('takes what a connector can be told, and link routes', async () => {
    const { out, status } = await azure(
      ...FROM,
      '--link-route',
      'sb',
      '--transport',
      'auto',
      '--proxy',
      'http://p:3128',
      '--name',
      'cloud',
    );
    assert.equal(status, 0);
    const result = read(out, SECRETS);
    assert.ok(result.ok);
    assert.deepEqual(result.warnings, []);
    assert.equal(result.config.connectors[0]?.transport, 'auto');
    assert.deepEqual(
      result.config.linkRoutes.map(({ prefix, direction, connection }) => [prefix, direction, connection]),
      [
        ['sb', 'in', 'cloud'],
        ['sb', 'out', 'cloud'],
      ],
    );
  });

  it('takes partitions of event hubs, which are only received from', async () => {
    const partitions = [0, 1].flatMap((one) => ['--entity', `tele/ConsumerGroups/$Default/Partitions/${one}=events`]);
    const { out, status, error } = await azure(...FROM, '--offline', ...partitions, '--entity', 'send:tele');
    assert.equal(status, 0, error);
    assert.match(out, /# tele\/ConsumerGroups.*: a stateDir of the router/);
    const result = read(out, SECRETS);
    assert.ok(result.ok);
    assert.deepEqual(result.warnings, []);
    assert.deepEqual(
      result.config.autoLinks.map(({ address, direction, phase }) => [address, direction, phase]),
      [
        ['events', 'in', 0],
        ['events', 'in', 0],
        ['tele', 'out', 0],
      ],
    );
    assert.deepEqual(
      result.config.addresses.map(({ pattern }) => pattern),
      ['tele'],
    );
  });

  it('refuses what would not work, and secrets in a command line', async () => {
    const refused: readonly [argv: readonly string[], words: RegExp][] = [
      [['config'], /env:NAME or file:PATH/],
      [[...FROM, '--all', '--offline'], /does not let it/],
      [[...FROM, '--all', '--entity', 'a'], /take --entity out/],
      [[...FROM, '--entity', 'a', '--timeout', 'x'], /no number of seconds/],
      [['config', '--connection-string', SECRETS.SB, '--entity', 'a'], /env:NAME or file:PATH/],
      [[...FROM], /at least one --entity/],
      [[...FROM, '--entity', 'send:events/Subscriptions/a'], /is not sent to/],
      [[...FROM, '--entity', 'a b'], /no name of an entity/],
      [[...FROM, '--entity', 'a', '--transport', 'udp'], /transport/],
      [[...FROM, '--entity', 'a', '--what'], /what/],
      [['what'], /there is no command/],
    ];
    for (const [argv, words] of refused) {
      const { status, error, out } = await azure(...argv);
      assert.equal(status, 2, argv.join(' '));
      assert.match(error, words);
      assert.ok(!(error + out).includes(KEY));
    }
    assert.equal((await azure('config', '--help')).status, 0);
  });
});

describe('azure config, where the namespace can be asked', () => {
  it(
    'finds all entities, and writes a file that is good, and with which messages go both ways',
    scene(async (one) => {
      const server = await openCloud(one, {
        queues: [
          { name: 'orders' },
          { name: 'steps', requiresSession: true },
          { name: 'fwd', forwardTo: 'orders' },
          { name: 'off', status: 'Disabled' },
          { name: 'full', status: 'SendDisabled' },
        ],
        topics: [
          { name: 'events', subscriptions: [{ name: 'billing' }, { name: 'by-session', requiresSession: true }] },
        ],
      });
      const env = { SB: stringTo(server) };
      const file = one.file('unused', '').replace('unused', 'all.conf');
      const argv = ['--ca-file', server.caCertFile!, '--http-port', String(server.ports.wss), '-f', file];
      const made = await azureWith(env, ...FROM, '--all', ...argv);
      assert.equal(made.status, 0, made.error);
      assert.match(
        made.error,
        /has 5 queues, 1 topic and 2 subscriptions\.\nLeft out: off: it is Disabled\n2 autolinks with message sessions/,
      );
      assert.match(checked(file, env), /: good\. 1 listener, 1 connector, 7 addresses, 9 autolinks/);

      const text = readFileSync(file, 'utf8');
      assert.match(text, /# fwd: messages go on to orders\n/);
      const router = await one.startRouter(text.replace('port: amqp', 'port: 0'), { env });
      await router.until('links without sessions', () =>
        router.process.router.autoLinks.every(
          ({ status, settings }) => status === 'active' || settings.nextSession === true,
        ),
      );
      assert.deepEqual(
        router.process.router.autoLinks.map(({ direction, externalAddress }) => `${direction} ${externalAddress}`),
        [
          'in full',
          'out fwd',
          'out orders',
          'in orders',
          'out steps',
          'in steps',
          'out events',
          'in events/Subscriptions/billing',
          'in events/Subscriptions/by-session',
        ],
      );
      const client = await connect({ host: '127.0.0.1', port: router.port });
      one.whenOver(() => client.close());
      for (const [from, to] of [
        ['orders', 'orders'],
        ['fwd', 'orders'],
        ['steps', 'steps'],
        ['events', 'events/Subscriptions/billing'],
      ] as const) {
        const sender = await client.sender(from);
        const receiver = await client.receiver(to, { credit: 1 });
        const outcome = await sender.send({ properties: { messageId: `through ${from}`, groupId: 'one' } });
        assert.equal(outcome.type, 'accepted', from);
        const delivery = await receiver.next();
        assert.equal(delivery?.message.properties?.messageId, `through ${from}`);
        await delivery.accept();
        await sender.close();
        await receiver.close();
      }
    }),
  );

  it(
    'sees what named entities are, through a proxy as the router will go; offline it does not look',
    scene(async (one) => {
      const server = await openCloud(one, {
        queues: [
          { name: 'steps', requiresSession: true },
          { name: 'off', status: 'Disabled' },
        ],
        topics: [{ name: 'events', subscriptions: [] }],
      });
      const proxy = await ConnectProxy.open();
      one.whenOver(() => proxy.close());
      const env = { SB: stringTo(server) };
      const common = [
        ...FROM,
        '--ca-file',
        server.caCertFile!,
        '--http-port',
        String(server.ports.wss),
        '--proxy',
        `http://localhost:${proxy.port}`,
      ];
      const made = await azureWith(env, ...common, '--entity', 'steps', '--entity', 'events=news');
      assert.equal(made.status, 0, made.error);
      assert.deepEqual([...new Set(proxy.asked)], [`${CLOUD_HOST}:${server.ports.wss}`]);
      const result = read(made.out, env);
      assert.ok(result.ok);
      assert.deepEqual(
        result.config.autoLinks.map(({ direction, address, nextSession }) => [direction, address, nextSession]),
        [
          ['out', 'steps', false],
          ['in', 'steps', true],
          ['out', 'news', false],
        ],
      );
      for (const [entity, words] of [
        ['steps-', /there is no entity 'steps-' in the namespace; did you mean 'steps'\?/],
        ['off', /'off' cannot be used so: it is Disabled/],
        ['receive:events', /it is a topic, which is only sent to/],
      ] as const) {
        const refused = await azureWith(env, ...common, '--entity', entity);
        assert.equal(refused.status, 2);
        assert.match(refused.error, words);
      }
      const asked = proxy.asked.length;
      const offline = await azureWith(env, ...common, '--offline', '--entity', 'sessions:steps', '--entity', 'nope');
      assert.equal(offline.status, 0);
      assert.match(offline.out, /nextSession: yes/);
      assert.equal(proxy.asked.length, asked);

      const own = await azureWith({ SB: server.connectionString(undefined, { entityPath: 'steps' }) }, ...common);
      assert.equal(own.status, 0, own.error);
      assert.match(own.out, /address: steps[^]*nextSession: yes/);
    }),
  );

  it(
    'says what stands against it: no Manage, no way there, no string',
    scene(async (one) => {
      const server = await openCloud(one, {
        queues: ['orders'],
        policies: [{ name: 'both', key: KEY, rights: ['Send', 'Listen'] }],
      });
      const env = { SB: stringTo(server) };
      const common = [...FROM, '--ca-file', server.caCertFile!, '--timeout', '2'];
      const port = ['--http-port', String(server.ports.wss)];
      const none = await azureWith(env, ...common, ...port, '--all');
      assert.equal(none.status, 1);
      assert.match(none.error, /'Manage' claim.*Take a policy with the right Manage for this once, or name entities/);
      // What is named is written all the same, and it is said that nobody looked.
      const named = await azureWith(env, ...common, ...port, '--entity', 'orders');
      assert.equal(named.status, 0);
      assert.match(named.error, /^The namespace was not asked what its entities are: .*'Manage' claim/);
      const away = await azureWith(env, ...common, '--http-port', String(await one.closedPort()), '--all');
      assert.equal(away.status, 1);
      assert.match(away.error, /refused the connection.*see pointsman doctor/);
      const unset = await azureWith({}, ...common, '--all');
      assert.equal(unset.status, 1);
      assert.match(unset.error, /--all asks the namespace, and cannot: .*SB, which is not set/);
    }),
  );
});
