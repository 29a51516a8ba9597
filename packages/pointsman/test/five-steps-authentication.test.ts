// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { connect } from '../src/client/client.js';
import {
  CLOUD_HOST,
  KEY,
  LISTENER,
  POLICY,
  ROUTER,
  THROUGH_ORDERS,
  autoLink,
  connector,
  read,
  scene,
  section,
  sslProfile,
} from './five-steps-fixture.js';
import type { Attributes, RunningRouter, Scene } from './five-steps-fixture.js';

const configuration = (one: Scene, port: number, changes: Attributes, links: string = THROUGH_ORDERS): string =>
  ROUTER + LISTENER + sslProfile({ caCertFile: one.caCertFile }) + connector(port, changes) + links;

/** No key stands in the log, in a status, or in what a debugger would print. */
function assertSilentAbout(router: RunningRouter, ...keys: readonly string[]): void {
  const { process } = router;
  const shown = [
    router.log,
    router.connector.lastFailure,
    process.router.autoLinks.map(({ lastError }) => lastError),
    inspect(process, { depth: 12 }),
  ];
  for (const key of keys)
    assert.equal(inspect(shown, { depth: 12, maxStringLength: null }).includes(key), false, `${key} is shown`);
}

describe('step 4, authentication', () => {
  it(
    'sends name and key as they stand, to the host of the namespace, without an authorization id',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(configuration(one, cloud.port, {}));
      await router.active();
      const { saslInit } = cloud.visit;
      assert.equal(saslInit?.mechanism, 'PLAIN');
      assert.equal(saslInit.hostname, CLOUD_HOST);
      assert.equal(Buffer.from(saslInit.initialResponse!).toString(), `\0${POLICY}\0${KEY}`);
      assertSilentAbout(router, KEY);
    }),
  );

  it(
    'opens with a wrong key, and says at the autolinks what is wrong: key or right, which right, which entity, where',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(configuration(one, cloud.port, {}), {
        env: { SERVICEBUS_KEY: 'not+the/key=' },
      });
      await router.until('both to fail', () =>
        router.process.router.autoLinks.every(({ status }) => status === 'failed'),
      );
      assert.equal(router.connector.step, 'open');
      for (const [direction, right] of [
        ['out', 'Send'],
        ['in', 'Listen'],
      ] as const) {
        await router.said('Auto Link Activation Failed', `'${right}' claim(s) are required`, 'on connection azure');
        await router.said(
          `Service Bus refused 'orders': the key of policy '${POLICY}' is wrong, or the policy lacks the right '${right}' on 'orders' (direction ${direction} needs ${right})`,
          `Check saslUsername (the policy's name) and saslPassword (its key, as the portal shows it) of connector 'azure'`,
        );
        const link = router.autoLink(direction, 'orders');
        assert.match(link.lastError ?? '', new RegExp(`'${right}' claim\\(s\\) are required`));
        assert.ok(router.retryOf(link) > 29_900, 'a wrong key is not tried every few seconds');
      }
      assert.equal(
        router.statuses.some((status) => status.endsWith(' active')),
        false,
      );
      assertSilentAbout(router, KEY, 'not+the/key=');
    }),
  );

  it(
    'says the same of a policy that does not exist',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(configuration(one, cloud.port, { saslUsername: 'Rooot' }));
      await router.said("the key of policy 'Rooot' is wrong, or the policy lacks the right 'Send' on 'orders'");
    }),
  );

  it(
    'leaves autolinks that the policy allows unharmed by one that it does not',
    scene(async (one) => {
      const cloud = await one.openNamespace({ policies: [{ name: 'sender', key: KEY, rights: ['Send'] }] });
      const router = await one.startRouter(configuration(one, cloud.port, { saslUsername: 'sender' }));
      await router.said("policy lacks the right 'Listen' on 'orders'");
      await router.until('the other one', () => router.autoLink('out', 'orders').status === 'active');
      const client = await connect({ host: '127.0.0.1', port: router.port });
      one.whenOver(() => client.close());
      const sender = await client.sender('orders');
      assert.equal((await sender.send({ body: { kind: 'value', value: 'one' } })).type, 'accepted');
      assert.equal(cloud.namespace.counts('orders').active, 1);
      assert.equal(router.autoLink('in', 'orders').status, 'failed');
      assert.equal(cloud.visits.length, 1, 'and the connection stays');
    }),
  );

  it(
    'leaves other entities unharmed where the policy is of one of them',
    scene(async (one) => {
      const policies = [{ name: 'ours', key: KEY, rights: ['Send', 'Listen'] }] as const;
      const cloud = await one.openNamespace({
        policies: [],
        queues: [{ name: 'orders', policies }, { name: 'returns' }],
      });
      const links =
        THROUGH_ORDERS + section('address', { prefix: 'returns', waypoint: 'yes' }) + autoLink('in', 'returns');
      const router = await one.startRouter(configuration(one, cloud.port, { saslUsername: 'ours' }, links));
      await router.said("policy lacks the right 'Listen' on 'returns'");
      await router.until('the others', () =>
        ['out', 'in'].every((direction) => router.autoLink(direction as 'in' | 'out', 'orders').status === 'active'),
      );
    }),
  );

  it(
    'warns of a connector without credentials, and says at the autolinks that they are missing',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const text = configuration(one, cloud.port, {
        saslMechanisms: undefined,
        saslUsername: undefined,
        saslPassword: undefined,
      });
      const result = read(text);
      assert.ok(result.ok);
      assert.equal(
        result.warnings[0]?.message,
        "connector 'azure' does not authenticate: Service Bus will open the connection and refuse every link",
      );
      const router = await one.startRouter(text);
      await router.said(
        "Service Bus refused 'orders': connector 'azure' does not authenticate",
        'saslMechanisms: PLAIN',
        "right 'Send'",
      );
      assert.equal(cloud.visit.saslInit?.mechanism, 'ANONYMOUS');
    }),
  );
});
