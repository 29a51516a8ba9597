// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CLOUD_HOST, ROUTER, THROUGH_ORDERS, connector, read, scene, sslProfile } from './five-steps-fixture.js';
import type { Attributes, Scene } from './five-steps-fixture.js';

const configuration = (one: Scene, port: number, changes: Attributes): string =>
  ROUTER + sslProfile({ caCertFile: one.caCertFile }) + connector(port, changes) + THROUGH_ORDERS;

describe('step 3, idle time-out', () => {
  it(
    'tells Service Bus two minutes where the configuration says nothing',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(configuration(one, cloud.port, {}));
      await router.active();
      assert.equal(cloud.visit.open?.idleTimeOut, 120_000);
    }),
  );

  it(
    'tells Service Bus half of what is configured, from 10 seconds on, and nothing where it is switched off',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      for (const [idleTimeoutSeconds, advertised] of [
        [20, 10_000],
        [120, 60_000],
        [0, undefined],
      ] as const) {
        const router = await one.startRouter(configuration(one, cloud.port, { idleTimeoutSeconds }));
        await router.active();
        assert.equal(cloud.visit.open?.idleTimeOut, advertised);
        await router.process.stop();
      }
    }),
  );

  it('does not read a configuration that would tell Service Bus less, and says both numbers', () => {
    for (let seconds = 1; seconds < 20; seconds++) {
      const result = read(
        ROUTER + connector(5671, { sslProfile: undefined, idleTimeoutSeconds: seconds }) + THROUGH_ORDERS,
      );
      assert.ok(!result.ok);
      const [problem, ...others] = result.problems;
      assert.equal(others.length, 0);
      assert.equal(problem?.line, 12);
      assert.equal(
        problem.message,
        `idleTimeoutSeconds: ${seconds} would advertise ${seconds * 500} ms; Service Bus refuses anything under 10000 ms`,
      );
      assert.equal(problem.hint, 'write 120 (advertises 60000 ms), or leave it out');
    }
  });

  // The name is another one, so that only the service itself can say that it is Service Bus.
  for (const [what, idleTimeoutSeconds] of [
    ['configured', 16],
    ['the default of other peers', undefined],
  ] as const) {
    it(
      `explains the service's own refusal of 16 seconds (${what}), and what to write`,
      scene(async (one) => {
        const cloud = await one.openNamespace();
        const router = await one.startRouter(configuration(one, cloud.port, { host: 'localhost', idleTimeoutSeconds }));
        const line = await router.said(`Connection to localhost:${cloud.port} failed (connector azure)`);
        assert.match(
          line,
          /Service Bus refuses an idle time-out below 10000 ms; connector 'azure' has idleTimeoutSeconds: 16, which is advertised as 8000 ms\./,
        );
        assert.match(line, /Write idleTimeoutSeconds: 120 \(at least 20\)/);
        assert.match(
          line,
          /Service Bus said: Idle timeout value specified in connection OPEN \('8000 ms'\) is not supported/,
        );
        assert.equal(cloud.visit.open?.idleTimeOut, 8_000);
        assert.equal(router.connector.lastFailure?.startsWith('Service Bus refuses an idle time-out'), true);
        await router.until('a wait of a minute', () => (router.connector.waitMs ?? 0) >= 59_000);
        assert.equal(
          router.process.router.autoLinks.every(({ failures }) => failures === 0),
          true,
          'the autolinks have no part in it',
        );
      }),
    );
  }

  it(
    'keeps a connection alive on which nothing happens',
    scene(async (one) => {
      const cloud = await one.openNamespace({ times: { idleTimeOutMs: 1_000, minimumIdleTimeOutMs: 100 } });
      const router = await one.startRouter(
        configuration(one, cloud.port, { host: 'localhost', idleTimeoutSeconds: 1 }),
      );
      await router.active();
      // Longer than the time-out of either side, with nothing but signs of life.
      await router.until(
        'signs of life in both directions',
        () => cloud.visit.heartbeats.came >= 3 && cloud.visit.heartbeats.went >= 5,
      );
      assert.equal(cloud.visits.length, 1);
      assert.equal(cloud.visit.isOver, false);
      assert.equal(router.connector.step, 'open');
      assert.deepEqual(
        router.process.router.autoLinks.map(({ activations }) => activations),
        [1, 1],
      );
    }),
  );

  it(
    'gives up a peer that has fallen silent, says so, and connects anew',
    scene(async (one) => {
      const cloud = await one.openNamespace({ times: { minimumIdleTimeOutMs: 100 } });
      const router = await one.startRouter(
        configuration(one, cloud.port, { host: 'localhost', idleTimeoutSeconds: 1 }),
        { backoff: { maxMs: 20 } },
      );
      await router.active();
      assert.equal(cloud.namespace.faults.freezeConnections(), 1);
      await router.said('Connection to localhost', 'Nothing came for 1000 ms, the idle time-out of connector azure');
      await router.until('a second connection', () => cloud.visits.length === 2);
      await router.active();
    }),
  );

  it('says nothing of the sort at the real name', () => {
    const result = read(ROUTER + connector(5671, { host: CLOUD_HOST, sslProfile: undefined, idleTimeoutSeconds: 20 }));
    assert.ok(result.ok);
    assert.deepEqual(result.warnings, []);
  });
});
