// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { Secret, sasKeyProvider } from '@pointsman/azure';
import { readXml } from '@pointsman/namespace';
import { loadTlsCredentials } from '@pointsman/transport';
import { AdministrationClient, AdministrationError } from '../src/administration/administration-client.js';
import { entityDescriptionOf } from '../src/administration/entity-description.js';
import { openCloud } from './doctor-fixture.js';
import { CLOUD_HOST, KEY, POLICY, lookUpHere, scene } from './five-steps-fixture.js';
import type { Scene } from './five-steps-fixture.js';
import type { NamespaceServer } from '../src/namespace-server/namespace-server.js';

function clientOf(one: Scene, server: NamespaceServer): AdministrationClient {
  const client = new AdministrationClient({
    dial: {
      host: CLOUD_HOST,
      port: server.ports.wss!,
      mode: 'tls',
      credentials: loadTlsCredentials({ caCertFile: server.caCertFile }),
      lookup: lookUpHere,
      timeoutMs: 30_000,
    },
    hostname: CLOUD_HOST,
    identity: sasKeyProvider(POLICY, new Secret(KEY), Date.now),
    secrets: [new Secret(KEY)],
  });
  one.whenOver(() => client.close());
  return client;
}

describe('a client of the management API', () => {
  it(
    'lists all there is, page by page, and finds each by its name',
    scene(async (one) => {
      const names = Array.from({ length: 123 }, (_, i) => `queue-${String(i).padStart(3, '0')}`);
      const server = await openCloud(one, {
        queues: [...names, 'a/b', { name: 'steps', requiresSession: true, forwardDeadLetteredMessagesTo: 'a/b' }],
        topics: [{ name: 'news', subscriptions: [{ name: 'all', lockDurationMs: 10_000 }, { name: 'none' }] }],
      });
      const client = clientOf(one, server);
      assert.deepEqual(
        (await client.queues()).map(({ path }) => path),
        ['a/b', ...names, 'steps'],
      );
      assert.deepEqual(
        (await client.topics()).map(({ path, kind }) => [path, kind]),
        [['news', 'topic']],
      );
      assert.deepEqual(
        (await client.subscriptions('news')).map(({ path, kind, lockMs }) => [path, kind, lockMs]),
        [
          ['news/Subscriptions/all', 'subscription', 10_000],
          ['news/Subscriptions/none', 'subscription', 60_000],
        ],
      );
      assert.equal((await client.entity('a/b'))?.path, 'a/b');
      const steps = await client.entity('Steps');
      assert.equal(steps?.requiresSession, true);
      assert.equal(steps.forwardDeadLettersTo, 'a/b');
      assert.equal((await client.entity('news/subscriptions/all'))?.path, 'news/Subscriptions/all');
      assert.equal(await client.entity('nope'), undefined);
      assert.equal(await client.entity('news/Subscriptions/nope'), undefined);
      assert.deepEqual(await client.subscriptions('queue-000'), []);
    }),
  );

  it(
    'shows no secret that a server throws back at it',
    scene(async (one) => {
      const server = createServer((request, response) => {
        const { authorization = '' } = request.headers;
        response.writeHead(400, { 'content-type': 'application/xml' });
        response.end(
          `<Error><Code>400</Code><Detail>${authorization.replaceAll('&', '&amp;')} sig=abc ${KEY}</Detail></Error>`,
        );
      });
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve);
      });
      one.whenOver(() => {
        server.closeAllConnections();
        server.close();
      });
      const { port } = server.address() as AddressInfo;
      const client = new AdministrationClient({
        dial: { host: '127.0.0.1', port, mode: 'tcp', timeoutMs: 30_000 },
        hostname: 'localhost',
        identity: sasKeyProvider(POLICY, new Secret(KEY), Date.now),
        secrets: [new Secret(KEY)],
      });
      one.whenOver(() => client.close());
      await assert.rejects(client.entity('orders'), (error) => {
        assert.ok(error instanceof AdministrationError);
        assert.equal(error.kind, 'refused');
        assert.ok(!error.message.includes(KEY));
        assert.match(error.message, /status 400: \[secret\] sig=\[secret\] \[secret\]$/);
        return true;
      });
    }),
  );

  it('reads an entry as the service writes it', () => {
    // As ServiceBusAdministrationClient gets it, shortened.
    const entry = readXml(`\ufeff<?xml version="1.0" encoding="utf-8"?>
<entry xml:base="https://contoso.servicebus.windows.net/$Resources/Queues" xmlns="http://www.w3.org/2005/Atom">
  <id>https://contoso.servicebus.windows.net/orders?api-version=2021-05</id>
  <title type="text">orders</title><published>2026-01-01T00:00:00Z</published><updated>2026-01-01T00:00:01Z</updated>
  <author><name>contoso</name></author><link rel="self" href="../orders?api-version=2021-05"/>
  <content type="application/xml">
    <QueueDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
      <LockDuration>PT1M30S</LockDuration><MaxSizeInMegabytes>1024</MaxSizeInMegabytes>
      <RequiresSession>false</RequiresSession><DefaultMessageTimeToLive>P10675199DT2H48M5.4775807S</DefaultMessageTimeToLive>
      <DeadLetteringOnMessageExpiration>true</DeadLetteringOnMessageExpiration><MaxDeliveryCount>10</MaxDeliveryCount>
      <SizeInBytes>4096</SizeInBytes><AuthorizationRules/><Status>Active</Status>
      <ForwardTo>https://contoso.servicebus.windows.net/archive</ForwardTo>
      <CountDetails xmlns:d2p1="http://schemas.microsoft.com/netservices/2011/06/servicebus">
        <d2p1:ActiveMessageCount>7</d2p1:ActiveMessageCount><d2p1:DeadLetterMessageCount>2</d2p1:DeadLetterMessageCount>
        <d2p1:ScheduledMessageCount>1</d2p1:ScheduledMessageCount><d2p1:TransferMessageCount>0</d2p1:TransferMessageCount>
        <d2p1:TransferDeadLetterMessageCount>0</d2p1:TransferDeadLetterMessageCount>
      </CountDetails>
      <AutoDeleteOnIdle>P10675199DT2H48M5.4775807S</AutoDeleteOnIdle><EntityAvailabilityStatus>Available</EntityAvailabilityStatus>
    </QueueDescription>
  </content>
</entry>`);
    assert.deepEqual(entityDescriptionOf(entry), {
      kind: 'queue',
      path: 'orders',
      status: 'Active',
      requiresSession: false,
      lockMs: 90_000,
      maxDeliveryCount: 10,
      timeToLiveMs: Infinity,
      deadLettersExpired: true,
      forwardTo: 'archive',
      forwardDeadLettersTo: undefined,
      sizeBytes: 4_096,
      maxSizeBytes: 1_073_741_824,
      autoDeleteOnIdleMs: Infinity,
      counts: { active: 7, deadLetter: 2, scheduled: 1, transferDeadLetter: 0 },
    });
  });
});
