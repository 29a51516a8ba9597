// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { Secret, makeSasToken } from '@pointsman/azure';
import { int, plainOf } from '@pointsman/wire';
import type { ClientError } from '../src/client/client-error.js';
import { connect } from '../src/client/client.js';
import { runManage, runStat } from '../src/tools/command-tools.js';
import {
  CLOUD_HOST,
  KEY,
  LISTENER,
  POLICY,
  ROUTER,
  THROUGH_ORDERS,
  connector,
  scene,
  section,
  sslProfile,
} from './five-steps-fixture.js';
import { toolIo } from './tools-fixture.js';
import type { Attributes, RunningRouter, Scene } from './five-steps-fixture.js';

const byTokens = (one: Scene, port: number, changes: Attributes): string =>
  ROUTER +
  LISTENER +
  sslProfile({ caCertFile: one.caCertFile }) +
  connector(port, { saslMechanisms: undefined, azureAuthentication: 'sas', ...changes }) +
  THROUGH_ORDERS;

const WITHOUT_KEY: Attributes = { saslUsername: undefined, saslPassword: undefined };

/** A message there and back, through the queue. */
async function roundTrip(router: RunningRouter): Promise<void> {
  const client = await connect({ host: '127.0.0.1', port: router.port });
  try {
    const receiver = await client.receiver('orders');
    const sender = await client.sender('orders');
    await sender.send({ body: { kind: 'value', value: 'by token' } });
    const received = await receiver.next();
    assert.ok(received);
    assert.deepEqual(received.message.body, { kind: 'value', value: 'by token' });
    void received.accept();
  } finally {
    await client.close();
  }
}

function assertSilentAbout(router: RunningRouter, secret: string): void {
  const { process } = router;
  const shown = [router.log, router.connector.lastFailure, router.connector.tokens, inspect(process, { depth: 12 })];
  assert.equal(inspect(shown, { depth: 12, maxStringLength: null }).includes(secret), false, 'a secret is shown');
}

describe('a connector with tokens', () => {
  it(
    'makes them of the key, one for each entity, before its links attach',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(byTokens(one, cloud.port, {}));
      await router.active();
      assert.equal(cloud.visit.saslInit?.mechanism, 'MSSBCBS');
      assert.deepEqual(
        router.connector.tokens.map(({ audience, state, links, kind }) => [audience, state, links, kind]),
        [[`sb://${CLOUD_HOST}/orders`, 'valid', 2, 'sas']],
      );
      await roundTrip(router);
      const io = toolIo();
      const read = ['read', '-b', `127.0.0.1:${router.port}`, '--type', 'connector', '--name', 'azure', '-o', 'json'];
      assert.equal(await runManage(read, io), 0, io.stderrText());
      const entity = JSON.parse(io.stdoutText()) as {
        azureTokens: Record<string, unknown>[];
        azureNodes: Record<string, unknown>[];
        azureLate: number;
        idleTimeoutSeconds: number;
      };
      const { azureTokens, azureNodes, azureLate, idleTimeoutSeconds } = entity;
      assert.deepEqual(
        azureNodes.map(({ node, state, clients, requests, failures }) => [node, state, clients, requests, failures]),
        [['$cbs', 'attached', 1, 1, 0]],
      );
      assert.equal(azureLate, 0);
      assert.equal(idleTimeoutSeconds, 240, 'what is enforced where nothing is configured');
      const [row, ...others] = azureTokens;
      assert.deepEqual(others, []);
      assert.deepEqual(
        ['audience', 'state', 'kind', 'links', 'renewals', 'lastError'].map((name) => row![name]),
        [`sb://${CLOUD_HOST}/orders`, 'valid', 'sas', 2, 0, null],
      );
      assert.ok(Number(row!['secondsLeft']) > 3_500);
      assert.doesNotMatch(io.stdoutText(), /SharedAccessSignature/);
      const stat = toolIo();
      assert.equal(await runStat(['service-bus', '-b', `127.0.0.1:${router.port}`], stat), 0, stat.stderrText());
      assert.match(stat.stdoutText(), /azure +orders +key of policy '.*' +valid +000:(?:00:59:\d\d|01:00:00) +2 +0 +0/);
      assert.match(stat.stdoutText(), /in +orders +active .* 0 +0 +0 +0 +0/);
      await router.said(/Token for sb:\/\/.*\/orders from key of policy '.*' accepted, valid until 20/);
      assertSilentAbout(router, KEY);
      assertSilentAbout(router, 'SharedAccessSignature sr');
    }),
  );

  it(
    'takes one that is ready-made, from the connection string',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const expiresAtSeconds = Math.floor(Date.now() / 1000) + 3600;
      const resource = `sb://${CLOUD_HOST}/orders`;
      const token = makeSasToken({ resource, keyName: POLICY, key: new Secret(KEY), expiresAtSeconds }).reveal();
      const router = await one.startRouter(
        ROUTER +
          LISTENER +
          sslProfile({ caCertFile: one.caCertFile }) +
          section('connector', {
            name: 'azure',
            role: 'route-container',
            sslProfile: 'cloud',
            connectionString: 'env:CONNECTION',
          }) +
          THROUGH_ORDERS,
        { env: { CONNECTION: `Endpoint=sb://${CLOUD_HOST}:${cloud.port}/;SharedAccessSignature=${token}` } },
      );
      await router.active();
      await roundTrip(router);
      await router.said('cannot be renewed: links end with it at');
      assertSilentAbout(router, token);
    }),
  );

  it(
    'says what $cbs said of a wrong key, and what to check',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(byTokens(one, cloud.port, {}), { env: { SERVICEBUS_KEY: 'not+the/key=' } });
      await router.said('Auto Link Activation Failed.', 'refused the token', 'status 401', 'InvalidSignature');
      const line = await router.said('Service Bus refused the token of connector', 'saslPassword');
      assert.match(line, /The key or signature is wrong/);
      assert.ok(router.retryOf(router.autoLink('out', 'orders')) >= 30_000, 'it is not asked for again at once');
      assert.equal(router.connector.step, 'open');
      assertSilentAbout(router, 'not+the/key=');
    }),
  );

  it(
    'gets a new one when the service takes the old ones back',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(byTokens(one, cloud.port, {}));
      await router.active();
      cloud.namespace.faults.revokeTokens();
      await router.until('both to be back', () =>
        router.process.router.autoLinks.every(({ status, activations }) => status === 'active' && activations === 2),
      );
      assert.equal(router.log.includes('(warning)'), false, router.log);
      await roundTrip(router);
    }),
  );

  it(
    'loses no message while the service takes tokens back, again and again',
    scene(async (one) => {
      const MESSAGES = 600;
      const cloud = await one.openNamespace({ queues: [{ name: 'orders', lockDurationMs: 1_000 }] });
      const router = await one.startRouter(byTokens(one, cloud.port, {}));
      await router.active();
      const client = await connect({ host: '127.0.0.1', port: router.port });
      one.whenOver(() => client.close());
      const came = new Map<number, number>();
      await client.receiver('orders', { credit: 20 }, ({ message }) => {
        const { body } = message;
        const number = body?.kind === 'value' ? Number(plainOf(body.value)) : -1;
        came.set(number, (came.get(number) ?? 0) + 1);
      });
      const sender = await client.sender('orders');
      let accepted = 0;
      let again = 0;
      // As an application does: what was not accepted is sent again.
      const send = async (number: number): Promise<void> => {
        for (;;) {
          // oxlint-disable-next-line no-await-in-loop
          const { type } = await sender.send({ body: { kind: 'value', value: int(number) } });
          if (type === 'accepted') break;
          again += 1;
        }
        accepted += 1;
      };
      const all = Promise.all(Array.from({ length: MESSAGES }, (_, number) => send(number)));
      for (const mark of [100, 300, 500]) {
        // oxlint-disable-next-line no-await-in-loop
        await router.until(`${mark} messages to be sent`, () => accepted >= mark);
        cloud.namespace.faults.revokeTokens();
      }
      await all;
      await router.until('all to come', () => came.size === MESSAGES);
      await router.until('the queue to be empty', () => cloud.namespace.counts('orders').active === 0);
      assert.deepEqual(
        [...came.keys()].toSorted((a, b) => a - b),
        Array.from({ length: MESSAGES }, (_, number) => number),
      );
      const doubles = [...came.values()].filter((times) => times > 1).length;
      // A double is a message that was under way when its link ended: sent again, or its lock had to run out.
      assert.ok(doubles <= again + 3 * 50, `${doubles} doubles of ${MESSAGES}`);
      assert.ok(router.process.router.autoLinks.every(({ activations }) => activations >= 2));
    }),
  );

  it(
    'runs a command that prints one, and never shows it',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const expiresAtSeconds = Math.floor(Date.now() / 1000) + 3600;
      const resource = `sb://${CLOUD_HOST}/`;
      const token = makeSasToken({ resource, keyName: POLICY, key: new Secret(KEY), expiresAtSeconds }).reveal();
      const script = one.file('token.mjs', `process.stdout.write(${JSON.stringify(`${token}\n`)});\n`);
      const router = await one.startRouter(
        byTokens(one, cloud.port, {
          ...WITHOUT_KEY,
          azureAuthentication: 'command',
          azureTokenCommand: `${process.execPath} ${script}`,
        }),
      );
      await router.active();
      await roundTrip(router);
      assert.match(router.connector.tokens[0]!.provider, /^the command .*node/);
      assertSilentAbout(router, token);
    }),
  );

  it(
    'says why a command gave none',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const script = one.file('fail.mjs', `console.error('Please run az login'); process.exit(3);\n`);
      const router = await one.startRouter(
        byTokens(one, cloud.port, {
          ...WITHOUT_KEY,
          azureAuthentication: 'command',
          azureTokenCommand: `'${process.execPath}' ${script}`,
        }),
      );
      await router.said(
        'Auto Link Activation Failed.',
        'no token from the command',
        'ended with 3: Please run az login',
      );
      await router.said("There is no token for connector 'azure'", 'Check azureAuthentication of connector');
    }),
  );

  it(
    'tells clients of link routes that there is none, and not what the command said',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const script = one.file('fail.mjs', `console.error('/home/me: Please run az login'); process.exit(3);\n`);
      const router = await one.startRouter(
        byTokens(one, cloud.port, {
          ...WITHOUT_KEY,
          azureAuthentication: 'command',
          azureTokenCommand: `'${process.execPath}' ${script}`,
        }) +
          section('linkRoute', { prefix: 'direct', direction: 'in', connection: 'azure' }) +
          section('linkRoute', { prefix: 'direct', direction: 'out', connection: 'azure' }),
      );
      await router.said('Please run az login');
      const client = await connect({ host: '127.0.0.1', port: router.port });
      one.whenOver(() => client.close());
      for (const address of ['direct', 'direct/$management', 'direct/$management'])
        await assert.rejects(client.sender(address), (error: ClientError) => {
          assert.match(error.message, /There is no token of the router for this entity\. Its log says why\./);
          return !error.message.includes('az login');
        });
    }),
  );

  it(
    'keeps the connection that serves link routes alone with a token for the namespace',
    scene(async (one) => {
      const cloud = await one.openNamespace({ times: { tokenDeadlineMs: 6_000 } });
      const router = await one.startRouter(
        ROUTER +
          LISTENER +
          sslProfile({ caCertFile: one.caCertFile }) +
          connector(cloud.port, { saslMechanisms: undefined, azureAuthentication: 'sas' }),
      );
      await router.said(`Token for sb://${CLOUD_HOST}/ from key of policy`);
      assert.equal(cloud.visits.length, 1);
    }),
  );
});
