// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { CLOUD_HOST, ROUTER, THROUGH_ORDERS, connector, read, scene, sslProfile, until } from './five-steps-fixture.js';
import type { Scene } from './five-steps-fixture.js';

/** A name that does not tell that Service Bus is behind it. */
const ELSEWHERE = { host: 'localhost', idleTimeoutSeconds: 120 };

/** A configuration whose connector has TLS and leads to `port`. */
const withTls = (one: Scene, port: number, changes = {}): string =>
  ROUTER + sslProfile({ caCertFile: one.caCertFile }) + connector(port, changes) + THROUGH_ORDERS;

/** The same without TLS, to another host than Service Bus. */
const withoutTls = (port: number): string =>
  ROUTER + connector(port, { ...ELSEWHERE, sslProfile: undefined }) + THROUGH_ORDERS;

describe('step 1, connection', () => {
  it(
    'connects with TLS from the first byte',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(withTls(one, cloud.port));
      await router.active();
      assert.equal(cloud.visit.info.encrypted, true);
      assert.deepEqual(router.steps, ['connecting', 'connected', 'authenticated', 'open']);
      assert.equal(router.connector.lastFailure, undefined);
      assert.equal(cloud.visit.open?.hostname, CLOUD_HOST, 'the open names the namespace');
    }),
  );

  it('takes port 5671 of Service Bus where none is given, and the in-band upgrade where it is 5672', () => {
    for (const [port, expected] of [
      [undefined, [5671, 'first']],
      ['amqps', [5671, 'first']],
      [5672, [5672, 'in-band']],
      ['amqp', [5672, 'in-band']],
    ] as const) {
      const result = read(ROUTER + connector(0, { port, sslProfile: undefined }));
      assert.ok(result.ok);
      const [azure] = result.config.connectors;
      assert.deepEqual([azure?.port, azure?.tls], expected);
    }
  });

  it(
    'upgrades to TLS in-band where the peer takes no TLS from the first byte, and stays with that',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'in-band' });
      const router = await one.startRouter(withTls(one, cloud.port, ELSEWHERE), { backoff: { maxMs: 20 } });
      await router.said('Connection to localhost', 'The in-band upgrade is tried next.');
      await router.active();
      assert.equal(cloud.visit.info.encrypted, true);
      assert.deepEqual(cloud.refusals, ['tls-on-plain-port']);

      cloud.namespace.faults.dropConnections();
      await router.until('a second connection', () => cloud.visits.length === 2 && router.connector.step === 'open');
      assert.equal(cloud.visit.info.encrypted, true);
      assert.deepEqual(cloud.refusals, ['tls-on-plain-port'], 'the way that works is taken at once');
    }),
  );

  it(
    'says that a name was not found, and which setting to check',
    scene(async (one) => {
      const router = await one.startRouter(
        ROUTER + connector(5672, { host: 'no-such-host.invalid', sslProfile: undefined }) + THROUGH_ORDERS,
        { lookup: 'system' },
      );
      const line = await router.said('no-such-host.invalid:5672 failed (connector azure)');
      assert.match(line, /The name no-such-host\.invalid (was not found|could not be looked up)/);
      assert.match(line, /Check .*the connector's host/);
      assert.equal(router.connector.step, 'failed');
      assert.ok(router.connector.waitMs! > 0, 'it is tried again');
    }),
  );

  it(
    'says that nobody listens, and connects once somebody does',
    scene(async (one) => {
      const port = await one.closedPort();
      const router = await one.startRouter(withTls(one, port));
      const line = await router.said(`${CLOUD_HOST}:${port} refused the connection: nothing listens there`);
      assert.match(line, /Check the connector's port: AMQP over TLS is usually on 5671/);
      await one.openNamespace({ onPort: port });
      await router.active();
      assert.equal(router.connector.lastFailure, undefined);
    }),
  );

  it(
    'says that a plain AMQP peer stands where TLS was expected',
    scene(async (one) => {
      const emulator = await one.openNamespace({ port: 'plain' });
      const router = await one.startRouter(withTls(one, emulator.port, ELSEWHERE), { backoff: { maxMs: 20 } });
      await router.said(
        /localhost:\d+ (does not speak TLS on this port|closed the connection during the TLS handshake)/,
        "check the connector's port, and whether it needs its sslProfile",
      );
      await router.said('it offers no in-band TLS', 'if the peer has no TLS at all, leave out the sslProfile.');
      assert.equal(
        emulator.visits.every(({ saslInit }) => saslInit === undefined),
        true,
        'no credentials go where TLS is missing',
      );
    }),
  );

  it(
    'says that an HTTP server is none',
    scene(async (one) => {
      const http = (socket: Socket): void => {
        socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n'));
      };
      const port = await one.openPort(http);
      const plain = await one.startRouter(withoutTls(port));
      await plain.said(`localhost:${port} answered in HTTP, not in AMQP.`, 'AMQP is usually on 5671 or 5672');
      const tls = await one.startRouter(withTls(one, port, ELSEWHERE), { backoff: { maxMs: 20 } });
      await tls.said(`localhost:${port} does not speak TLS on this port`);
      await tls.said(`localhost:${port} answered in HTTP, not in AMQP.`);
    }),
  );

  it(
    'says that another version of AMQP is none, and what RabbitMQ needs',
    scene(async (one) => {
      const port = await one.openPort((socket) => {
        socket.once('data', () => socket.end(Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1)));
      });
      const router = await one.startRouter(withoutTls(port));
      await router.said(`localhost:${port} does not speak AMQP 1.0`, '0-9-1', 'RabbitMQ needs its AMQP 1.0 plugin');
    }),
  );

  it(
    'says that something else is none',
    scene(async (one) => {
      const port = await one.openPort((socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n'));
      const router = await one.startRouter(withoutTls(port));
      await router.said(`localhost:${port} does not speak AMQP 1.0`, "Check host and port of connector 'azure'");
    }),
  );

  it(
    'says that the peer wants TLS where the connector has none: a port with TLS from the first byte',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(withoutTls(cloud.port));
      const line = await router.said(`localhost:${cloud.port}`, 'failed (connector azure)');
      assert.match(line, /TLS/);
      assert.match(line, /give the connector an sslProfile/i);
      assert.equal(cloud.visits.length, 0);
    }),
  );

  it(
    'says that the peer wants TLS where the connector has none: a port that answers with the TLS header',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'in-band-refusing' });
      const router = await one.startRouter(withoutTls(cloud.port));
      await router.said(`localhost:${cloud.port} insists on TLS`, 'Give the connector an sslProfile.');
      assert.equal(cloud.visits.length, 0);
    }),
  );

  it(
    'says that the peer wants TLS where the connector has none: Service Bus, which falls silent',
    scene(async (one) => {
      const cloud = await one.openNamespace({ port: 'in-band' });
      const router = await one.startRouter(withoutTls(cloud.port), { openTimeoutMs: 300 });
      await router.said("Service Bus takes no connection without TLS. Give connector 'azure' an 'sslProfile'");
      assert.equal(cloud.visit.open, undefined);
    }),
  );

  it(
    'says that the peer hung up or fell silent before it had opened',
    scene(async (one) => {
      const leaves = await one.openPort((socket) => {
        socket.once('data', () => socket.end());
      });
      const silent = await one.openPort(() => undefined);
      const first = await one.startRouter(withoutTls(leaves));
      await first.said(`localhost:${leaves} closed the connection before AMQP was open`, 'whether the peer wants TLS');
      const second = await one.startRouter(withoutTls(silent), { openTimeoutMs: 100 });
      await second.said(`localhost:${silent} accepted the connection and then fell silent`, 'its protocol header');
    }),
  );

  it(
    'tries again ever more slowly',
    scene(async (one) => {
      let attempts = 0;
      const port = await one.openPort((socket) => {
        attempts++;
        socket.destroy();
      });
      const router = await one.startRouter(withoutTls(port));
      const waits: number[] = [];
      await until('two attempts', () => {
        const { waitMs } = router.connector;
        if (waitMs !== undefined && waits.length < attempts && router.connector.step === 'failed') waits.push(waitMs);
        return waits.length === 2;
      });
      assert.ok(waits[0]! >= 500 && waits[0]! <= 1_000, `first wait ${waits[0]}`);
      assert.ok(waits[1]! >= 1_000 && waits[1]! <= 2_000, `second wait ${waits[1]}`);
    }),
  );
});
