// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConnectorError } from '../src/run/destination.js';
import {
  CLOUD_HOST,
  KEY,
  POLICY,
  ROUTER,
  THROUGH_ORDERS,
  read,
  scene,
  section,
  sslProfile,
} from './five-steps-fixture.js';
import type { Attributes, RunningRouter, Scene } from './five-steps-fixture.js';

/** All that a connector needs. */
const oneLine = (more: Attributes = {}): string =>
  ROUTER +
  section('connector', {
    name: 'azure',
    role: 'route-container',
    connectionString: 'env:SERVICEBUS_CONNECTION_STRING',
    ...more,
  }) +
  THROUGH_ORDERS;

const start = (one: Scene, text: string, connectionString: string): Promise<RunningRouter> =>
  one.startRouter(text, { env: { SERVICEBUS_CONNECTION_STRING: connectionString }, backoff: { maxMs: 20 } });

const credentials = `SharedAccessKeyName=${POLICY};SharedAccessKey=${KEY}`;

describe('the one line', () => {
  it(
    'sets host, port, TLS, hostname check, idle time-out and PLAIN by itself',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const text = sslProfile({ caCertFile: one.caCertFile }) + oneLine({ sslProfile: 'cloud' });
      const router = await start(one, text, `Endpoint=sb://${CLOUD_HOST}:${cloud.port}/;${credentials}`);
      await router.active();
      const { info, open, saslInit } = cloud.visit;
      assert.equal(info.encrypted, true);
      assert.equal(info.servername, CLOUD_HOST);
      assert.equal(open?.hostname, CLOUD_HOST);
      assert.equal(open.idleTimeOut, 120_000);
      assert.equal(saslInit?.mechanism, 'PLAIN');
      assert.equal(Buffer.from(saslInit.initialResponse!).toString(), `\0${POLICY}\0${KEY}`);
      assert.equal(router.log.includes(KEY), false);
    }),
  );

  it(
    'trusts the system alone where it stands alone, and goes to port 5671',
    scene(async (one) => {
      const result = read(oneLine(), { SERVICEBUS_CONNECTION_STRING: `Endpoint=sb://${CLOUD_HOST}/;${credentials}` });
      assert.ok(result.ok);
      assert.deepEqual(result.warnings, []);
      const cloud = await one.openNamespace();
      const router = await start(one, oneLine(), `Endpoint=sb://${CLOUD_HOST}:${cloud.port}/;${credentials}`);
      assert.equal(router.connector.target, `${CLOUD_HOST}:${cloud.port}`);
      await router.said('was issued by "Unit Root" (Contoso), which is not trusted', 'a proxy here may look into TLS');
      const standard = await start(one, oneLine(), `Endpoint=sb://${CLOUD_HOST}/;${credentials}`);
      assert.equal(standard.connector.target, `${CLOUD_HOST}:5671`);
    }),
  );

  it(
    'checks the name in the certificate',
    scene(async (one) => {
      const cloud = await one.openNamespace({
        certificate: one.certificate({ names: ['amqp.contoso.example'], ips: [] }),
      });
      const text = sslProfile({ caCertFile: one.caCertFile }) + oneLine({ sslProfile: 'cloud' });
      const router = await start(one, text, `Endpoint=sb://${CLOUD_HOST}:${cloud.port}/;${credentials}`);
      await router.said(`is for amqp.contoso.example, not for ${CLOUD_HOST}`);
    }),
  );

  it(
    'goes without TLS to a development emulator, at the port of the endpoint',
    scene(async (one) => {
      const emulator = await one.openNamespace({ port: 'plain' });
      const router = await start(
        one,
        oneLine(),
        `Endpoint=sb://localhost:${emulator.port};${credentials};UseDevelopmentEmulator=true;`,
      );
      await router.active();
      assert.equal(emulator.visit.info.encrypted, false);
      assert.equal(emulator.visit.open?.idleTimeOut, 120_000);
      const standard = await start(
        one,
        oneLine(),
        `Endpoint=sb://localhost;${credentials};UseDevelopmentEmulator=true;`,
      );
      assert.equal(standard.connector.target, 'localhost:5672');
    }),
  );

  it(
    'speaks of the connection string where its key is wrong',
    scene(async (one) => {
      const emulator = await one.openNamespace({ port: 'plain' });
      const router = await start(
        one,
        oneLine(),
        `Endpoint=sb://localhost:${emulator.port};SharedAccessKeyName=${POLICY};SharedAccessKey=not+the/key=;UseDevelopmentEmulator=true;`,
      );
      await router.said(
        `the key of policy '${POLICY}' is wrong`,
        "Check SharedAccessKeyName and SharedAccessKey in the connectionString of connector 'azure'",
      );
      assert.equal(router.log.includes('not+the/key='), false);
    }),
  );

  it(
    'says that UseDevelopmentEmulator is missing where the emulator takes no TLS',
    scene(async (one) => {
      const emulator = await one.openNamespace({ port: 'plain' });
      const router = await start(one, oneLine(), `Endpoint=sb://localhost:${emulator.port};${credentials}`);
      await router.said(
        /closed the connection during the TLS handshake|does not speak TLS/,
        'UseDevelopmentEmulator=true',
      );
    }),
  );

  const mistakes: readonly [what: string, connectionString: string, message: RegExp][] = [
    [
      'no endpoint',
      credentials,
      /Endpoint is missing\. Expected Endpoint=sb:\/\/NAMESPACE\.servicebus\.windows\.net\/;/,
    ],
    ['an endpoint that is none', `Endpoint=${CLOUD_HOST};${credentials}`, /Endpoint is not of the form sb:\/\/HOST\//],
    ['a semicolon that is missing', `Endpoint=sb://${CLOUD_HOST}/${credentials}`, /is a ; missing behind it\?/],
    [
      'a name that is mistyped',
      `Endpoint=sb://${CLOUD_HOST}/;SharedAccesKeyName=${POLICY};SharedAccessKey=${KEY}`,
      /part 2 has an unknown name\. Did you mean SharedAccessKeyName\?/,
    ],
    [
      'no key',
      `Endpoint=sb://${CLOUD_HOST}/;SharedAccessKeyName=${POLICY}`,
      /SharedAccessKey is missing: the key of the policy/,
    ],
    [
      'no policy',
      `Endpoint=sb://${CLOUD_HOST}/;SharedAccessKey=${KEY}`,
      /SharedAccessKeyName is missing: the name of the policy/,
    ],
    ['quotation marks', `"Endpoint=sb://${CLOUD_HOST}/;${credentials}"`, /begins with a quotation mark/],
    [
      'a key that would go out in clear',
      `Endpoint=sb://${CLOUD_HOST}/;${credentials};UseDevelopmentEmulator=true`,
      /would send the key in clear/,
    ],
    [
      'a signature in place of a key',
      `Endpoint=sb://${CLOUD_HOST}/;SharedAccessSignature=SharedAccessSignature sr=${KEY}`,
      /The shared access signature cannot be read/,
    ],
  ];
  for (const [what, connectionString, message] of mistakes) {
    it(
      `does not start with ${what}, and says where it stands without showing the key`,
      scene(async (one) => {
        await assert.rejects(start(one, oneLine(), connectionString), (error: unknown) => {
          assert.ok(error instanceof ConnectorError, String(error));
          assert.match(error.message, /^router\.conf:4: connector azure: .*connection ?[sS]tring/);
          assert.match(error.message, message);
          assert.equal(error.message.includes(KEY), false);
          return true;
        });
      }),
    );
  }

  it('does not read a configuration whose variable is not set, or that says twice where to connect', () => {
    const unset = read(oneLine(), {});
    assert.ok(!unset.ok);
    assert.match(unset.problems[0]!.message, /SERVICEBUS_CONNECTION_STRING, which is not set/);
    const twice = read(oneLine({ host: CLOUD_HOST }), {
      SERVICEBUS_CONNECTION_STRING: `Endpoint=sb://${CLOUD_HOST}/;${credentials}`,
    });
    assert.ok(!twice.ok);
    assert.equal(twice.problems[0]!.message, "connector 'azure' has both 'connectionString' and 'host'");
  });
});
