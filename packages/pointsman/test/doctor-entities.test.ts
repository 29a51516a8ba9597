// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createServer as createHttpsServer } from 'node:https';
import type { Server } from 'node:https';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { loadTlsCredentials } from '@pointsman/transport';
import { connect } from '../src/client/client.js';
import { ConnectProxy } from './connect-proxy.js';
import { checkOf, clientOf, connectorTo, findings, openCloud, textsOf } from './doctor-fixture.js';
import { autoLink, days, scene, section } from './five-steps-fixture.js';
import type { Attributes, Scene } from './five-steps-fixture.js';

function receiving(externalAddress: string, changes: Attributes = {}): string {
  const address = `for.${externalAddress.replaceAll('/', '.')}.${Object.values(changes).join('.')}`;
  return section('autoLink', { address, direction: 'in', connection: 'azure', externalAddress, ...changes });
}

const LOOKS = { name: 'looks', key: 'bG9va3M=', rights: ['Listen'] } as const;
const MINUTE = 60_000;

describe('doctor: what entities are like', () => {
  it(
    'is asked of the management API, where the policy has Manage',
    scene(async (one) => {
      const cloud = await openCloud(one, {
        queues: [
          { name: 'orders', lockDurationMs: 30_000, maxDeliveryCount: 7, defaultTtlMs: 14 * 24 * 60 * MINUTE },
          { name: 'steps', requiresSession: true, lockDurationMs: 5 * MINUTE },
        ],
        topics: [{ name: 'events', subscriptions: [{ name: 'billing', lockDurationMs: 45_000 }] }],
      });
      const client = await clientOf(one, cloud);
      const sender = await client.sender('orders');
      for (const subject of ['one', 'two', 'three']) await sender.send({ properties: { subject } });
      const receiver = await client.receiver('orders', { credit: 1, mode: 'second' });
      const error = {
        condition: 'com.microsoft:dead-letter',
        info: new Map([
          ['DeadLetterReason', 'no such customer'],
          ['DeadLetterErrorDescription', 'customer 7'],
        ]),
      };
      await (await receiver.next())?.reject(error);
      await receiver.close();

      const text =
        connectorTo(cloud) +
        autoLink('out', 'orders') +
        autoLink('in', 'orders') +
        receiving('steps', { nextSession: 'yes' }) +
        receiving('events/Subscriptions/billing');
      const { status, found } = await findings(one, text);
      assert.equal(status, 0, JSON.stringify(found, undefined, 1));
      assert.equal(checkOf(found, 'management').verdict, 'good');
      assert.equal(checkOf(found, 'clock').verdict, 'good');
      const orders = checkOf(found, 'settings', 'orders');
      assert.equal(
        orders.text,
        'orders is a queue, active. A message is locked for 30 s, and is a dead letter after 7 deliveries. Messages live 14 days. 2 messages in it, 1 dead letter',
      );
      assert.deepEqual(orders.details, {
        entity: 'orders',
        kind: 'queue',
        status: 'Active',
        requiresSession: false,
        lockMs: 30_000,
        maxDeliveryCount: 7,
        timeToLiveMs: 14 * 24 * 60 * MINUTE,
        messages: 2,
        deadLetters: 1,
        transferDeadLetters: 0,
        scheduled: 0,
      });
      assert.match(
        checkOf(found, 'settings', 'steps').text,
        /^steps is a queue with message sessions.*session is locked for 5 min/,
      );
      assert.equal(checkOf(found, 'settings', 'events/Subscriptions/billing').details?.['lockMs'], 45_000);
      const dead = checkOf(found, 'dead-letters', 'orders');
      assert.equal(dead.verdict, 'warning');
      assert.match(
        dead.text,
        /^1 message lies in the dead-letter queue of orders \(the first: no such customer: customer 7\)/,
      );
      // Nothing was taken or counted.
      assert.equal(cloud.namespace.counts('orders').active, 2);
    }),
  );

  it(
    'is not known without Manage, which is said, with what would tell; the round trip reads the lock off its message',
    scene(async (one) => {
      const cloud = await openCloud(one, {
        queues: [
          { name: 'orders', lockDurationMs: 20_000 },
          { name: 'steps', requiresSession: true, lockDurationMs: 30_000 },
        ],
        policies: [{ name: 'both', key: 'Ym90aA==', rights: ['Send', 'Listen'] }],
      });
      const as = { saslUsername: 'both', saslPassword: 'pass:Ym90aA==' };
      const somebody = await connect({
        host: 'localhost',
        port: cloud.ports.amqps!,
        mode: 'tls',
        tls: loadTlsCredentials({ caCertFile: cloud.caCertFile }),
        sasl: { mechanisms: ['PLAIN'], username: 'both', password: () => 'Ym90aA==' },
      });
      one.whenOver(() => somebody.close());
      const sender = await somebody.sender('orders');
      await sender.send({ properties: { subject: 'of somebody' } });
      const text =
        connectorTo(cloud, as) + receiving('orders', { renewLocks: 'no' }) + receiving('steps', { sessionId: 'a' });
      const { status, found } = await findings(one, text, '--round-trip', 'orders');
      assert.equal(status, 0, JSON.stringify(found, undefined, 1));
      const management = checkOf(found, 'management');
      assert.equal(management.verdict, 'skipped');
      assert.match(management.text, /'Manage' claim.*Policy both is not let in.*right Manage, or --round-trip QUEUE/);
      const orders = checkOf(found, 'settings', 'orders');
      assert.equal(orders.verdict, 'skipped');
      assert.match(
        orders.text,
        /How long locks of orders last.*is not known.*does not require message sessions\. There are messages in it/,
      );
      // The attach of a session says when its lock ends.
      assert.equal(checkOf(found, 'settings', 'steps').details?.['lockMs'], 30_000);
      const trip = checkOf(found, 'round-trip');
      assert.match(trip.text, /Its lock lasted about 20 s$/);
      assert.equal(trip.details?.['lockMs'], 20_000);
      assert.match(checkOf(found, 'lock', 'orders').text, /renewLocks is off: that leaves 0\.4 s for each/);

      const inSession = await findings(one, connectorTo(cloud, as), '--round-trip', 'steps');
      assert.match(checkOf(inSession.found, 'round-trip').text, /Its session's lock lasted about 30 s$/);
    }),
  );

  it(
    'is asked through the proxy of the connector',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: [{ name: 'orders', lockDurationMs: 30_000 }] });
      const proxy = await ConnectProxy.open({ credentials: 'jo:pass' });
      one.whenOver(() => proxy.close());
      const through = {
        proxy: `http://localhost:${proxy.port}`,
        proxyUsername: 'jo',
        proxyPassword: 'pass:pass',
      };
      const { status, found } = await findings(one, connectorTo(cloud, through) + receiving('orders'));
      assert.equal(status, 0, JSON.stringify(found, undefined, 1));
      assert.equal(checkOf(found, 'settings').details?.['lockMs'], 30_000);
      assert.equal(checkOf(found, 'clock').verdict, 'good');
      assert.ok(proxy.asked.every((target) => target.startsWith('unit.servicebus.windows.net:')));
    }),
  );

  it(
    'is left out where something else answers in place of the management API, however it does',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders'] });
      const bomb = `<!DOCTYPE a [<!ENTITY b "${'x'.repeat(100)}">]><entry>&b;</entry>`;
      const answers: readonly [name: string, words: RegExp, (server: Server) => void][] = [
        ['words', /is not XML of a management API/, (server) => server.on('request', (_, to) => to.end('hello'))],
        ['a bomb', /is not XML of a management API/, (server) => server.on('request', (_, to) => to.end(bomb))],
        [
          'a page',
          /is not an entity of a management API/,
          (server) => server.on('request', (_, to) => to.end('<html><body>Log in</body></html>')),
        ],
        [
          'too much',
          /is not an answer of less than/,
          (server) => server.on('request', (_, to) => to.end('x'.repeat(2_000_000))),
        ],
        ['nothing', /gave no answer within 3000 ms/, (server) => server.on('request', () => undefined)],
        ['an error', /answered with status 500/, (server) => server.on('request', (_, to) => to.writeHead(500).end())],
      ];
      for (const [name, words, behave] of answers) {
        const port = await openHttps(one, behave);
        const text =
          connectorTo(cloud, { webSocketPort: port, sslProfile: 'both' }) +
          bothRoots(one, cloud.caCertFile!) +
          receiving('orders');
        const { status, found } = await findings(one, text, '--timeout', name === 'nothing' ? '3' : '30');
        assert.equal(status, 0, `${name}: ${JSON.stringify(found, undefined, 1)}`);
        assert.equal(checkOf(found, 'management').verdict, 'skipped', name);
        assert.match(checkOf(found, 'management').text, words, name);
      }
    }),
  );
});

describe('doctor: what fits between an entity and its autolinks', () => {
  it(
    'is judged: locks against prefetch and renewal, deliveries, room, life',
    scene(async (one) => {
      const cloud = await openCloud(one, {
        queues: [
          { name: 'orders', lockDurationMs: 30_000 },
          { name: 'short', lockDurationMs: 5_000 },
          { name: 'once', maxDeliveryCount: 1 },
          { name: 'quick', defaultTtlMs: 10_000 },
          { name: 'full', maxSizeBytes: 1_048_576 },
          { name: 'steps', requiresSession: true },
        ],
      });
      const client = await clientOf(one, cloud);
      const sender = await client.sender('full');
      for (let sent = 0; sent < 4; sent++)
        await sender.send({ body: { kind: 'data', sections: [new Uint8Array(240_000)] } });
      const { status, found } = await findings(
        one,
        connectorTo(cloud) +
          receiving('orders', { renewLocks: 'no', prefetch: 100 }) +
          receiving('orders', { renewLocks: 'no', prefetch: 10 }) +
          receiving('orders', { receiveMode: 'receiveAndDelete', renewLocks: 'no' }) +
          receiving('short') +
          receiving('once') +
          receiving('quick') +
          receiving('steps', { sessionId: 'a', renewLocks: 'no' }) +
          autoLink('out', 'full'),
      );
      assert.equal(status, 0, JSON.stringify(found, undefined, 1));
      assert.deepEqual(
        found
          .filter(({ step, verdict }) => step === 'entity' && verdict !== 'good')
          .map(({ check, subject, verdict }) => `${verdict} ${check} ${subject}`),
        [
          'warning lock orders',
          'warning lock short',
          'warning deliveries once',
          'warning life quick',
          'warning lock steps',
          'warning size full',
        ],
      );
      assert.match(
        checkOf(found, 'lock', 'orders').text,
        /Up to 100 messages .*leaves 0\.3 s for each.*write prefetch: 15/,
      );
      assert.match(checkOf(found, 'lock', 'short').text, /renews them every 2\.5 s/);
      assert.match(checkOf(found, 'lock', 'steps').text, /the session is lost then/);
      assert.match(checkOf(found, 'size', 'full').text, /full to 9\d %/);
    }),
  );

  it(
    'is told of sessions: needed, not there, held by another',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: [{ name: 'steps', requiresSession: true }, { name: 'orders' }] });
      const client = await clientOf(one, cloud);
      const sender = await client.sender('steps');
      await sender.send({ properties: { groupId: 'held' } });
      await sender.send({ properties: { groupId: 'free' } });
      const { inboundAttach } = await import('@pointsman/azure');
      const { filter } = inboundAttach({ sessionId: 'held' });
      await client.receiver('steps', {
        credit: 0,
        attach: { source: { type: 'source', address: 'steps', filter: filter! } },
      });

      const needed = await findings(one, connectorTo(cloud) + receiving('steps'));
      assert.equal(needed.status, 15);
      assert.match(
        checkOf(needed.found, 'link').text,
        /requires message sessions\. Give the autolink a sessionId, or nextSession: yes/,
      );
      const none = await findings(one, connectorTo(cloud) + receiving('orders', { nextSession: 'yes' }));
      assert.equal(none.status, 15);
      assert.match(checkOf(none.found, 'link').text, /has no message sessions\. Take sessionId and nextSession out/);
      const held = await findings(one, connectorTo(cloud) + receiving('steps', { sessionId: 'held' }));
      assert.equal(held.status, 0);
      assert.equal(checkOf(held.found, 'link').verdict, 'warning');
      assert.match(
        checkOf(held.found, 'link').text,
        /Session 'held' of steps is held by another receiver\. If that is the router/,
      );
      const next = await findings(one, connectorTo(cloud), '--entity', 'steps');
      assert.equal(next.status, 0);
      assert.match(textsOf(next.found, 'link')[1]!, /A message session is free now: 'free'/);
      // Several that want the next one are tried once.
      const many = ['a', 'b', 'c'].map((address) =>
        section('autoLink', {
          address,
          direction: 'in',
          connection: 'azure',
          externalAddress: 'steps',
          nextSession: 'yes',
        }),
      );
      const alike = await findings(one, connectorTo(cloud) + many.join(''));
      assert.deepEqual(textsOf(alike.found, 'link'), [
        "May receive from steps. A message session is free now: 'free' (3 autolinks)",
      ]);
      // It was let go of again.
      const again = await findings(one, connectorTo(cloud), '--entity', 'receive:steps');
      assert.match(textsOf(again.found, 'link')[0]!, /'free'/);
    }),
  );

  it(
    'names where messages go on to, what a topic is for, and what is disabled',
    scene(async (one) => {
      const cloud = await openCloud(one, {
        queues: [{ name: 'orders' }, { name: 'fwd', forwardTo: 'orders' }, { name: 'off', status: 'ReceiveDisabled' }],
        topics: [{ name: 'events', subscriptions: [{ name: 'billing' }] }],
      });
      const rows: readonly [string, RegExp][] = [
        [
          receiving('fwd'),
          /^fwd forwards its messages to orders, .* Write externalAddress: orders, or take ForwardTo off/,
        ],
        [receiving('events'), /^events is a topic: .* externalAddress: events\/Subscriptions\/NAME/],
        [receiving('off'), /'off' is disabled for receiving\. Enable it/],
      ];
      for (const [text, words] of rows) {
        const { status, found } = await findings(one, connectorTo(cloud) + text);
        assert.equal(status, 15, text);
        assert.match(checkOf(found, 'link').text, words);
        assert.doesNotMatch(checkOf(found, 'link').text, /TrackingId/);
        assert.match(String(checkOf(found, 'link').details?.['trackingId']), /^[0-9a-f-]{36}_/);
      }
      // Nobody said which way: what such an entity takes.
      const ways = await findings(one, connectorTo(cloud), '--entity', 'fwd', '--entity', 'events');
      assert.equal(ways.status, 0);
      assert.deepEqual(
        textsOf(ways.found, 'link').map((text) => text.split(',')[0]),
        ['May send to fwd', 'May send to events'],
      );
      for (const [queue, words] of [
        ['fwd', /fwd forwards its messages to orders/],
        ['events', /events is a topic/],
        ['events/Subscriptions/billing', /is not sent to/],
      ] as const) {
        const trip = await findings(one, connectorTo(cloud), '--round-trip', queue);
        assert.equal(trip.status, 16);
        assert.match(checkOf(trip.found, 'round-trip').text, words);
      }
    }),
  );

  it(
    'is looked at for link routes, too: what their prefixes name, and nothing more',
    scene(async (one) => {
      const cloud = await openCloud(one, {
        queues: ['orders', { name: 'steps', requiresSession: true }],
        topics: [{ name: 'events', subscriptions: [{ name: 'billing' }] }],
      });
      const both = (prefix: string): string =>
        ['in', 'out'].map((direction) => section('linkRoute', { prefix, direction, connection: 'azure' })).join('');
      const text =
        connectorTo(cloud) + both('orders') + both('steps') + both('events') + both('sb') + both('$coordinator');
      const { status, found } = await findings(one, text);
      assert.equal(status, 0, JSON.stringify(found, undefined, 1));
      assert.deepEqual(
        found
          .filter(({ check }) => check === 'link')
          .map(({ verdict, text: said }) => `${verdict}: ${said.split(/[,.:]/u)[0]}`),
        [
          'good: May send to orders',
          'good: May receive from orders',
          'good: May send to steps',
          'good: May receive from steps',
          'good: May send to events',
          'skipped: events is sent to alone',
          'skipped: sb',
        ],
      );
      const patterns = section('linkRoute', { pattern: 'sb/#', direction: 'in', connection: 'azure' });
      const none = await findings(one, connectorTo(cloud) + patterns);
      assert.match(
        checkOf(none.found, 'none').text,
        /what its link routes lead to \(sb\/#\) nobody knows.*Name some with --entity/,
      );
    }),
  );

  it(
    'names what was most likely meant by a name that is not there',
    scene(async (one) => {
      const cloud = await openCloud(one, {
        queues: ['orders', 'invoices'],
        topics: [{ name: 'events', subscriptions: [{ name: 'billing' }, { name: 'all' }] }],
      });
      for (const [entity, meant] of [
        ['receive:ordres', 'orders'],
        ['send:event', 'events'],
        ['events/Subscriptions/biling', 'events/Subscriptions/billing'],
        ['evnts/Subscriptions/all', 'events/Subscriptions/all'],
      ] as const) {
        const { status, found } = await findings(one, connectorTo(cloud), '--entity', entity);
        assert.equal(status, 15);
        assert.match(checkOf(found, 'link').text, new RegExp(`does not exist.*Did you mean ${meant}\\?$`, 'u'));
      }
      const far = await findings(one, connectorTo(cloud), '--entity', 'send:zzz');
      assert.doesNotMatch(checkOf(far.found, 'link').text, /Did you mean/);
    }),
  );

  it(
    'tells a wrong key from a right that is missing, over AMQP alone',
    scene(async (one) => {
      const cloud = await openCloud(one, { queues: ['orders'], policies: [LOOKS], ports: { wss: false } });
      const links = autoLink('in', 'orders') + autoLink('out', 'orders');
      const right = await findings(
        one,
        connectorTo(cloud, { saslUsername: 'looks', saslPassword: `pass:${LOOKS.key}`, webSocketPort: 1 }) + links,
      );
      assert.equal(right.status, 15);
      assert.equal(checkOf(right.found, 'key').verdict, 'good');
      assert.match(checkOf(right.found, 'key').text, /The key of policy looks is right/);
      const out = right.found.find(({ details }) => details?.['direction'] === 'out');
      assert.match(out!.text, /^Policy looks lacks the right Send on orders, .*Give the policy that right/);

      const wrong = await findings(
        one,
        connectorTo(cloud, { saslUsername: 'looks', saslPassword: 'pass:other', webSocketPort: 1 }) + links,
      );
      assert.equal(wrong.status, 13);
      assert.match(checkOf(wrong.found, 'key').text, /The key is wrong, or there is no policy looks/);
      assert.ok(textsOf(wrong.found, 'link').every((text) => text.endsWith('with that key')));
    }),
  );
});

async function openHttps(one: Scene, behave: (server: Server) => void): Promise<number> {
  const { cert, key } = one.certificate(days(-1, 100));
  const server = createHttpsServer({ cert, key });
  behave(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  one.whenOver(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A profile that trusts the namespace and what the test makes. */
function bothRoots(one: Scene, caCertFile: string): string {
  const file = one.file('both.pem', `${one.authority.cert}\n${readFileSync(caCertFile, 'utf8')}`);
  return section('sslProfile', { name: 'both', caCertFile: file });
}
