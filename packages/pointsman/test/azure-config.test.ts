// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { describe, it } from 'node:test';
import { runAzure } from '../src/azure-config/command.js';
import { TestIo } from './client-fixture.js';
import { CLOUD_HOST, KEY, POLICY, read, scene, sslProfile } from './five-steps-fixture.js';

function azure(...argv: string[]): { status: number; out: string; error: string } {
  const io = new TestIo();
  const status = runAzure(argv, io);
  return { status, out: io.out, error: io.err };
}

const FROM = ['config', '--connection-string', 'env:SB'] as const;
const SECRETS = { SB: `Endpoint=sb://${CLOUD_HOST}/;SharedAccessKeyName=${POLICY};SharedAccessKey=${KEY}` };

describe('azure config', () => {
  it(
    'writes a file with which a router works',
    scene(async (one) => {
      const file = one.file('unused', '').replace('unused', 'router.conf');
      const made = azure(
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
      const again = azure(...FROM, '--entity', 'orders', '-f', file);
      assert.equal(again.status, 1);
      assert.match(again.error, /exists already/);
    }),
  );

  it('takes what a connector can be told, and link routes', () => {
    const { out, status } = azure(
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

  it('refuses what would not work, and secrets in a command line', () => {
    const refused: readonly [argv: readonly string[], words: RegExp][] = [
      [['config'], /env:NAME or file:PATH/],
      [['config', '--connection-string', SECRETS.SB, '--entity', 'a'], /env:NAME or file:PATH/],
      [[...FROM], /at least one --entity/],
      [[...FROM, '--entity', 'send:events/Subscriptions/a'], /is not sent to/],
      [[...FROM, '--entity', 'a b'], /no name of an entity/],
      [[...FROM, '--entity', 'a', '--transport', 'udp'], /transport/],
      [[...FROM, '--entity', 'a', '--what'], /what/],
      [['what'], /there is no command/],
    ];
    for (const [argv, words] of refused) {
      const { status, error, out } = azure(...argv);
      assert.equal(status, 2, argv.join(' '));
      assert.match(error, words);
      assert.ok(!(error + out).includes(KEY));
    }
    assert.equal(azure('config', '--help').status, 0);
  });
});
