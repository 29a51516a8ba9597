// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { get } from 'node:https';
import { get as getPlain } from 'node:http';
import { describe, it } from 'node:test';
import type { AutoLinkStatus } from '@pointsman/router';
import { RouterProcess, readConfig, silentLogger, startNamespace } from '../src/index.js';
import type { RunningNamespace } from '../src/index.js';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import { parseNamespaceArguments } from '../src/namespace-server/arguments.js';
import { EmulatorConfigError, readEmulatorConfig } from '../src/namespace-server/emulator-config.js';

const config = (namespace: object): string =>
  JSON.stringify({ UserConfig: { Namespaces: [{ Name: 'sbemulatorns', ...namespace }] } });

function fetched(url: string, ca?: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const ask = url.startsWith('https') ? get(url, { ca }) : getPlain(url);
    ask.on('error', reject);
    ask.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
  });
}

describe('startNamespace', () => {
  it('is there at once, for a client and as long as its block', async () => {
    let port: number;
    {
      await using ns = await startNamespace({ queues: ['orders'] });
      assert.match(ns.connectionString, /^Endpoint=sb:\/\/localhost:\d+\/;.*UseDevelopmentEmulator=true$/u);
      assert.equal(ns.administrationConnectionString, undefined);
      port = ns.server.ports.amqp!;
      const client = await connect({
        host: 'localhost',
        port,
        sasl: { mechanisms: ['PLAIN'], username: 'RootManageSharedAccessKey', password: () => 'SAS_KEY_VALUE' },
      });
      const sender = await client.sender('orders');
      assert.equal((await sender.send({ body: { kind: 'value', value: 1 } })).type, 'accepted');
      assert.equal(ns.namespace.counts('orders').active, 1);
      await client.close();
      await ns.close();
    }
    await assert.rejects(connect({ host: 'localhost', port }), /refused the connection/u);
  });

  it('exists as often as one likes, each for itself', async () => {
    await using one = await startNamespace({ queues: ['a'] });
    await using other = await startNamespace({ queues: ['b'], mode: 'cloud' });
    assert.notEqual(one.connectionString, other.connectionString);
    assert.throws(() => other.namespace.counts('a'));
    assert.match(other.administrationConnectionString!, new RegExp(`localhost:${other.server.ports.wss}/`, 'u'));
  });

  it('tells its health, at the port for HTTP', async () => {
    await using plain = await startNamespace();
    const { status, body } = await fetched(`http://localhost:${plain.server.ports.ws}/health`);
    assert.equal(status, 200);
    assert.equal((JSON.parse(body) as { status: string }).status, 'healthy');
    await using cloud = await startNamespace({ mode: 'cloud' });
    const ca = readFileSync(cloud.caCertFile!, 'utf8');
    assert.equal((await fetched(`https://localhost:${cloud.server.ports.wss}/health`, ca)).status, 200);
    // Whoever asks for more has to prove who asks.
    assert.equal((await fetched(`https://localhost:${cloud.server.ports.wss}/orders`, ca)).status, 401);
  });

  it('takes a thousand connections, and is rid of them when they go', async () => {
    await using ns = await startNamespace({ queues: ['orders'], connectionsMax: 1_000 });
    const port = ns.server.ports.amqp!;
    const open = (): Promise<Client> =>
      connect({
        host: '127.0.0.1',
        port,
        sasl: { mechanisms: ['PLAIN'], username: 'RootManageSharedAccessKey', password: () => 'SAS_KEY_VALUE' },
      });
    const clients: Client[] = [];
    while (clients.length < 1_000) clients.push(...(await Promise.all(Array.from({ length: 50 }, open))));
    assert.equal(ns.namespace.connections, 1_000);
    await Promise.all(
      clients.map(async (client) => {
        const sender = await client.sender('orders');
        assert.equal((await sender.send({ body: { kind: 'value', value: 1 } })).type, 'accepted');
      }),
    );
    assert.equal(ns.namespace.links, 1_000);
    assert.equal(ns.namespace.counts('orders').active, 1_000);
    await Promise.all(clients.map((client) => client.close()));
    assert.deepEqual([ns.namespace.connections, ns.namespace.links], [0, 0]);
  });

  it('says at /health that its memory is full of messages, until some are received', async () => {
    await using ns = await startNamespace({ queues: ['orders'], memoryBytesMax: 20_000 });
    const client = await connect({
      host: '127.0.0.1',
      port: ns.server.ports.amqp!,
      sasl: { mechanisms: ['PLAIN'], username: 'RootManageSharedAccessKey', password: () => 'SAS_KEY_VALUE' },
    });
    const sender = await client.sender('orders');
    const send = async (): Promise<string> => {
      const state = await sender.send({ body: { kind: 'value', value: 1 } });
      return state.type === 'rejected' ? (state.error?.condition ?? '') : state.type;
    };
    let outcome = await send();
    for (let sent = 1; outcome === 'accepted' && sent < 1_000; sent += 1) outcome = await send();
    assert.equal(outcome, 'com.microsoft:server-busy');
    const health = `http://localhost:${ns.server.ports.ws}/health`;
    const full = await fetched(health);
    assert.equal(full.status, 503);
    assert.match(full.body, /Messages take 0\.0 of 0\.0 MiB of memory/u);
    const receiver = await client.receiver('orders', { mode: 'second' });
    for (let left = ns.namespace.counts('orders').active; left > 0; left -= 1) await (await receiver.next())!.accept();
    assert.equal((await fetched(health)).status, 200);
    await client.close();
  });

  it('goes by the clock of a test', async () => {
    const waiting: { at: number; run: () => void }[] = [];
    let now = 0;
    const clock = {
      now: (): number => now,
      after: (ms: number, run: () => void): (() => void) => {
        const entry = { at: now + ms, run };
        waiting.push(entry);
        return () => waiting.splice(waiting.indexOf(entry) >>> 0, 1);
      },
    };
    await using ns = await startNamespace({ queues: [{ name: 'orders', defaultTtlMs: 3_600_000 }], clock });
    const client = await connect({
      host: 'localhost',
      port: ns.server.ports.amqp!,
      sasl: { mechanisms: ['PLAIN'], username: 'RootManageSharedAccessKey', password: () => 'SAS_KEY_VALUE' },
    });
    await (await client.sender('orders')).send({ body: { kind: 'value', value: 1 } });
    assert.equal(ns.namespace.counts('orders').active, 1);
    await client.close();
    now += 3_600_001;
    for (const { run } of waiting.filter(({ at }) => at <= now)) run();
    assert.equal(ns.namespace.counts('orders').active, 0);
  });
});

describe('tokens of Entra ID', () => {
  const jwt = (claims: object): string =>
    `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2lnbmF0dXJl`;
  const soon = (): number => Math.floor(Date.now() / 1_000) + 600;

  /** A router whose connector goes by the token that a command prints; how its autolink out fared. */
  async function statusWith(token: string, ns: RunningNamespace): Promise<AutoLinkStatus> {
    const folder = mkdtempSync(join(tmpdir(), 'entra-'));
    const file = join(folder, 'token');
    writeFileSync(file, token);
    const result = readConfig(
      `router { id: A }
       sslProfile { name: ca  caCertFile: ${ns.caCertFile} }
       connector {
         name: azure
         role: route-container
         host: localhost
         port: ${ns.server.ports.amqps}
         sslProfile: ca
         azureAuthentication: command
         azureTokenCommand: cat ${file}
       }
       autoLink { address: orders  direction: out  connection: azure }`,
      { path: 'router.conf' },
    );
    assert.ok(result.ok, JSON.stringify(result));
    const process = new RouterProcess(result.config, { log: silentLogger, environment: () => undefined });
    try {
      await process.start();
      const [link] = process.router.autoLinks;
      while (link!.status !== 'active' && link!.status !== 'failed')
        await new Promise<void>((resolve) => {
          link!.onChange = () => resolve();
        });
      return link!.status;
    } finally {
      await process.stop(0);
      rmSync(folder, { recursive: true, force: true });
    }
  }

  it('are taken where that is wanted, if they are for Service Bus and last still', async () => {
    await using ns = await startNamespace({ queues: ['orders'], mode: 'cloud', acceptEntraTokens: true });
    assert.equal(await statusWith(jwt({ aud: 'https://servicebus.azure.net', exp: soon() }), ns), 'active');
    assert.equal(await statusWith(jwt({ aud: 'https://management.azure.com', exp: soon() }), ns), 'failed');
    assert.equal(await statusWith(jwt({ aud: 'https://servicebus.azure.net', exp: 1_000 }), ns), 'failed');
    assert.equal(await statusWith('no.token.at-all', ns), 'failed');
  });

  it('are refused otherwise, as by the emulator', async () => {
    await using ns = await startNamespace({ queues: ['orders'], mode: 'cloud' });
    assert.equal(await statusWith(jwt({ aud: 'https://servicebus.azure.net', exp: soon() }), ns), 'failed');
  });
});

describe('Config.json of the emulator', () => {
  it('gives queues, topics, subscriptions and rules, with the defaults of the emulator', () => {
    const { queues, topics } = readEmulatorConfig(
      config({
        Queues: [
          { Name: 'plain' },
          {
            Name: 'queue.1',
            Properties: {
              DeadLetteringOnMessageExpiration: true,
              DefaultMessageTimeToLive: 'PT30M',
              DuplicateDetectionHistoryTimeWindow: 'PT20S',
              ForwardDeadLetteredMessagesTo: '',
              ForwardTo: 'plain',
              LockDuration: 'PT2M',
              MaxDeliveryCount: 5,
              RequiresDuplicateDetection: true,
              RequiresSession: false,
            },
          },
        ],
        Topics: [
          {
            Name: 'topic.1',
            Subscriptions: [
              {
                Name: 'sub',
                Rules: [
                  {
                    Name: 'by-fields',
                    Properties: {
                      FilterType: 'Correlation',
                      CorrelationFilter: { Label: 'x', Properties: { prop: 'v', number: 3 } },
                    },
                  },
                  {
                    Name: 'by-sql',
                    Properties: {
                      FilterType: 'Sql',
                      SqlFilter: { SqlExpression: "sys.MessageId = 'a'" },
                      Action: { SqlExpression: "SET sys.To = 'b'" },
                    },
                  },
                ],
              },
              { Name: 'all' },
            ],
          },
        ],
      }),
    );
    const [plain, first] = queues;
    assert.deepEqual([plain?.maxDeliveryCount, plain?.lockDurationMs, plain?.defaultTtlMs], [3, 60_000, 3_600_000]);
    assert.deepEqual(
      [first?.maxDeliveryCount, first?.lockDurationMs, first?.forwardTo, first?.forwardDeadLetteredMessagesTo],
      [5, 120_000, 'plain', undefined],
    );
    const [sub, all] = topics[0]!.subscriptions!;
    assert.equal(all?.rules, undefined);
    assert.deepEqual(
      sub?.rules?.map(({ name, filter, action }) => [name, filter?.kind, action]),
      [
        ['by-fields', 'correlation', undefined],
        ['by-sql', 'sql', "SET sys.To = 'b'"],
      ],
    );
  });

  it('gives event hubs with their partitions and consumer groups, beside what else there is', () => {
    const hubs = {
      Type: 'EventHub',
      Name: 'emulatorNs1',
      Entities: [
        { Name: 'eh1', PartitionCount: '2', ConsumerGroups: [{ Name: 'cg1' }, { Name: '$Default' }] },
        { Name: 'eh2', PartitionCount: 7 },
      ],
    };
    const userConfig = { NamespaceConfig: [hubs], LoggingConfig: { Type: 'File' } };
    const { queues, eventHubs } = readEmulatorConfig(JSON.stringify({ UserConfig: userConfig }));
    assert.deepEqual(queues, []);
    assert.deepEqual(eventHubs, [
      { name: 'eh1', partitions: 2, consumerGroups: ['cg1'] },
      { name: 'eh2', partitions: 7, consumerGroups: [] },
    ]);
    const both = { ...userConfig, Namespaces: [{ Queues: [{ Name: 'q' }] }] };
    assert.equal(readEmulatorConfig(JSON.stringify({ UserConfig: both })).queues.length, 1);
    for (const [entity, words] of [
      [
        { Name: 'a', PartitionCount: '33' },
        /Entities\[0\]\.PartitionCount: expected a number from 1 to 32, found "33"/u,
      ],
      [{ Name: 'a', PartitionCount: 'two' }, /found "two"/u],
      [{ PartitionCount: 1 }, /Entities\[0\]\.Name: expected a name/u],
    ] as const)
      assert.throws(
        () => readEmulatorConfig(JSON.stringify({ UserConfig: { NamespaceConfig: [{ Entities: [entity] }] } })),
        words,
      );
    const other = { UserConfig: { NamespaceConfig: [{ Type: 'Kafka' }] } };
    assert.throws(() => readEmulatorConfig(JSON.stringify(other)), /Type: expected EventHub, found "Kafka"/u);
  });

  it('tells of what is in it and has no effect', () => {
    const { notes } = readEmulatorConfig(
      config({
        Queues: [{ Name: 'a', Properties: { LockDurations: 'PT1M', MaxDeliveryCount: 3 } }],
        topics: [],
        Logging: { Type: 'File' },
      }),
    );
    assert.deepEqual(notes.toSorted(), [
      'UserConfig.Namespaces[0].Queues[0].Properties.LockDurations: it is not known, and has no effect',
      'UserConfig.Namespaces[0].topics: it is not known, and has no effect',
    ]);
  });

  it('may forward to what comes later in it, or in the options, and to nothing else', () => {
    const folder = mkdtempSync(join(tmpdir(), 'pointsman-config-'));
    const file = join(folder, 'Config.json');
    try {
      const queue = (Name: string, ForwardTo: string): object => ({ Name, Properties: { ForwardTo } });
      writeFileSync(file, config({ Queues: [queue('a', 'B'), queue('b', 'given')] }));
      const parsed = parseNamespaceArguments(['--config', file, '--queue', 'given']);
      assert.ok(parsed !== 'help' && parsed.server.queues?.length === 3);
      assert.throws(
        () => parseNamespaceArguments(['--config', file]),
        (error: Error) =>
          error.message ===
          `${file}: UserConfig.Namespaces[0].Queues[1].Properties.ForwardTo: there is no queue or topic 'given': add one, or leave it out`,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('says where a mistake is, what was found and what was expected', () => {
    for (const [text, words] of [
      ['{', /no JSON/u],
      ['[]', /the file: expected an object, found \[\]/u],
      ['{}', /Namespaces: expected one namespace/u],
      [config({ Queues: {} }), /^UserConfig\.Namespaces\[0\]\.Queues: expected a list, found \{\}$/u],
      [config({ Queues: [{ Name: 3 }] }), /Queues\[0\]\.Name: expected a name, found 3/u],
      [
        config({ Queues: [{ Name: 'a', Properties: { LockDuration: '1m' } }] }),
        /LockDuration: expected a duration such as PT1M, found "1m"/u,
      ],
      [
        config({ Queues: [{ Name: 'a', Properties: { MaxDeliveryCount: '3' } }] }),
        /expected a number from 1 to 2000, found "3"/u,
      ],
      [
        config({
          Topics: [
            { Name: 't', Subscriptions: [{ Name: 's', Rules: [{ Name: 'r', Properties: { FilterType: 'Regex' } }] }] },
          ],
        }),
        /FilterType: expected Sql or Correlation, found "Regex"/u,
      ],
      [
        '{\n  "UserConfig": {\n    "Namespaces": [ ], }\n}',
        /^it is no JSON \(line 3, column 24\): .+\. Comments and commas behind the last value have no place in it$/u,
      ],
      [
        config({ Queues: [{ Name: 'a' }], Topics: [{ Name: 'A' }] }),
        /Topics\[0\]\.Name: there is a queue or topic 'A' already: choose another name/u,
      ],
      [config({ Queues: [{ Name: 'a b' }] }), /Queues\[0\]\.Name: The name of queue 'a b' has characters/u],
      [
        config({ Queues: [{ Name: 'a', Properties: { LockDuration: 'PT10M' } }] }),
        /LockDuration: PT10M is longer than PT5M, which is the most/u,
      ],
      [
        config({ Queues: [{ Name: 'a', Properties: { RequiresSession: true, ForwardTo: 'a' } }] }),
        /ForwardTo: an entity with RequiresSession cannot forward its messages: leave one of the two out/u,
      ],
      [
        config({
          Topics: [{ Name: 't', Subscriptions: [{ Name: 's', Rules: [{ Name: 'r' }, { Name: 'R' }] }] }],
        }),
        /Rules\[1\]\.Name: there is a rule 'R' already/u,
      ],
      ...(['SqlFilter', 'Action'] as const).map(
        (part) =>
          [
            config({
              Topics: [
                {
                  Name: 't',
                  Subscriptions: [
                    { Name: 's', Rules: [{ Name: 'r', Properties: { [part]: { SqlExpression: 'a = = 1' } } }] },
                  ],
                },
              ],
            }),
            new RegExp(`Rules\\[0\\]\\.Properties\\.${part}\\.SqlExpression: Expected .+ at character`, 'u'),
          ] as const,
      ),
    ] as const)
      assert.throws(
        () => readEmulatorConfig(text),
        (error) => error instanceof EmulatorConfigError && words.test(error.message),
        text,
      );
  });
});
