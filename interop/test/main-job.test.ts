// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { RheaClient } from '@pointsman/interop';
import { startRouter, until } from '@pointsman/testing';
import rhea from 'rhea';
import type { Message } from 'rhea';
import { AzureClient } from '../src/azure-client.js';
import { openNamespace } from '../src/azure-scene.js';

const owner = { after };
const USER = 'RootManageSharedAccessKey';
const KEY = 'a+key/with==signs';
process.env['MAIN_JOB_KEY'] = KEY;

const OPTIONS = {
  policies: [{ name: USER, key: KEY, rights: ['Send', 'Listen', 'Manage'] }],
  queues: ['orders', 'returns'],
  topics: [{ name: 'order-events', subscriptions: [{ name: 'billing' }, { name: 'audit' }] }],
} as const;

const cloud = await openNamespace(owner, OPTIONS);
const emulator = await openNamespace(owner, { ...OPTIONS, mode: 'emulator' });
process.env['MAIN_JOB_CLOUD'] = cloud.connectionString();
process.env['MAIN_JOB_EMULATOR'] = emulator.connectionString();
const azure = new AzureClient(owner, cloud.caCertFile);

const LISTENER = `
router {
    mode: standalone
    id: main-job
}

# Where the applications connect.
listener {
    name: clients
    host: 127.0.0.1
    port: 0
    saslMechanisms: ANONYMOUS
    authenticatePeer: no
}
`;

const AUTOLINKS = `
address  { prefix: orders  waypoint: yes }
autoLink { address: orders   direction: out  connection: service-bus }
autoLink { address: orders   direction: in   connection: service-bus  externalAddress: returns }

address  { prefix: events  waypoint: yes }
autoLink { address: events  direction: out  connection: service-bus  externalAddress: order-events }
autoLink { address: events  direction: in   connection: service-bus  externalAddress: order-events/Subscriptions/billing }
`;

const CONFIGURATIONS = [
  {
    name: 'configured in five steps',
    server: cloud,
    text: `${LISTENER}
sslProfile {
    name: service-bus-tls
    caCertFile: ${cloud.caCertFile}
}

connector {
    name: service-bus
    role: route-container
    host: localhost
    port: ${cloud.ports.amqps}
    sslProfile: service-bus-tls
    verifyHostname: yes
    idleTimeoutSeconds: 120
    saslMechanisms: PLAIN
    saslUsername: ${USER}
    saslPassword: env:MAIN_JOB_KEY
}
${AUTOLINKS}`,
  },
  {
    name: 'configured by a connection string',
    server: cloud,
    text: `${LISTENER}
sslProfile { name: service-bus-tls  caCertFile: ${cloud.caCertFile} }
connector  { name: service-bus  role: route-container  sslProfile: service-bus-tls  connectionString: env:MAIN_JOB_CLOUD }
${AUTOLINKS}`,
  },
  {
    name: 'configured by the connection string of a development emulator',
    server: emulator,
    text: `${LISTENER}
connector { name: service-bus  role: route-container  connectionString: env:MAIN_JOB_EMULATOR }
${AUTOLINKS}`,
  },
];

const BYTES = Buffer.from(Array.from({ length: 1_000 }, (_, i) => (i * 7) % 256));
const WHEN = new Date('2026-02-03T04:05:06.789Z');
const { types, message: sections } = rhea;

const APPLICATION_PROPERTIES = {
  text: 'Grüße 🚂',
  empty: '',
  whole: 42,
  negative: -7,
  fraction: 2.5,
  yes: true,
  no: false,
  nothing: null,
  when: WHEN,
  bytes: BYTES.subarray(0, 20),
  long: types.wrap_long(2 ** 40),
  small: types.wrap_ubyte(200),
};

/** What the official client reads, where it differs from what was written: a timestamp is a number to it, bytes are an object. */
const READ = {
  ...APPLICATION_PROPERTIES,
  when: WHEN.getTime(),
  bytes: { ...BYTES.subarray(0, 20) },
  long: 2 ** 40,
  small: 200,
};

/** As the rhea library that is used here by itself reads them. */
const READ_BY_RHEA = { ...READ, when: WHEN, bytes: APPLICATION_PROPERTIES.bytes };

const EMPTY_HEADER_BYTES = 4;

const PROPERTIES = {
  message_id: 'm-1',
  user_id: Buffer.from('me'),
  to: 'somebody/else',
  subject: 'order',
  reply_to: 'answers',
  correlation_id: 'c-1',
  content_type: 'application/x-order',
  content_encoding: 'none',
  absolute_expiry_time: new Date('2100-01-01T00:00:00.000Z'),
  creation_time: WHEN,
  group_id: 'g-1',
  group_sequence: 17,
  reply_to_group_id: 'g-2',
};

/** Bodies as rhea writes them, and as both clients read them. */
const BODIES: readonly (readonly [name: string, written: unknown, read: unknown])[] = [
  ['a text', 'one order', 'one order'],
  ['a number', 42, 42],
  ['a map', { id: 7, lines: ['a', 'b'] }, { id: 7, lines: ['a', 'b'] }],
  ['bytes', sections.data_section(BYTES), BYTES],
  ['a sequence', sections.sequence_section([1, 'two', false]), [1, 'two', false]],
];

/** A message of each kind of body, with everything else that a message can have. */
const messageOf = (body: unknown): Message =>
  ({ ...PROPERTIES, application_properties: APPLICATION_PROPERTIES, body }) as unknown as Message;

/** Of a body that rhea read, what is in it. */
function contentOf(body: unknown): unknown {
  const { content } = (body ?? {}) as { content?: unknown };
  return content ?? body;
}

for (const { name, server, text } of CONFIGURATIONS) {
  const { broker } = server.namespace;
  const connection = await azure.connect({ connectionString: server.connectionString() });

  describe(`the main job, with a router ${name}`, () => {
    it("brings what rhea sends to the router's address to the queue, bit for bit, and to the official client", async (t) => {
      const router = await startRouter(t, text);
      await router.autoLinksActive();
      const sender = await (await RheaClient.connect(t, router.port())).sender('orders');
      const receiver = await connection.receiver('orders');
      for (const [kind, written, read] of BODIES) {
        const message = messageOf(written);
        assert.equal((await sender.send(message)).outcome, 'accepted');
        const [stored] = broker.resolve('orders')!.messages!.peek(0, 1);
        const bare = Buffer.from(stored!.content.bare);
        // The library also writes a header, an empty one; that is the service's to change.
        assert.deepEqual(bare, sections.encode(message).subarray(EMPTY_HEADER_BYTES), kind);
        const got = await receiver.next();
        assert.deepEqual(got.body, read, kind);
        assert.deepEqual(got.applicationProperties, READ);
        const { messageId, correlationId, subject, to, replyTo, contentType, sessionId, replyToSessionId, raw } = got;
        assert.deepEqual(
          [messageId, correlationId, subject, to, replyTo, contentType, sessionId, replyToSessionId],
          ['m-1', 'c-1', 'order', 'somebody/else', 'answers', 'application/x-order', 'g-1', 'g-2'],
        );
        const { contentEncoding, absoluteExpiryTime, creationTime, groupSequence } = raw.properties!;
        assert.deepEqual(
          [contentEncoding, absoluteExpiryTime, creationTime, groupSequence],
          ['none', PROPERTIES.absolute_expiry_time.getTime(), WHEN.getTime(), 17],
        );
        await receiver.complete(got);
        assert.equal(broker.counts('orders').active, 0);
      }
      await receiver.close();
    });

    it("brings what the official client sends to the queue to rhea at the router's address", async (t) => {
      const router = await startRouter(t, text);
      await router.autoLinksActive();
      const sender = await connection.sender('returns');
      const receiver = await (await RheaClient.connect(t, router.port())).receiver('orders');
      const { text: words, whole, fraction, yes, nothing, when } = APPLICATION_PROPERTIES;
      const applicationProperties = { text: words, whole, fraction, yes, nothing, when };
      const cases: readonly [
        kind: string,
        sent: { readonly body: unknown; readonly bodyType?: string },
        read: unknown,
      ][] = [
        ['JSON', { body: { id: 7, lines: ['a'] } }, Buffer.from('{"id":7,"lines":["a"]}')],
        ['bytes', { body: BYTES }, BYTES],
        ['a value', { body: 'a value', bodyType: 'value' }, 'a value'],
        ['a sequence', { body: [1, 'two'], bodyType: 'sequence' }, [1, 'two']],
      ];
      for (const [kind, sent, read] of cases) {
        const properties = {
          messageId: `m-${kind}`,
          correlationId: 'c-1',
          subject: 'order',
          to: 'somebody/else',
          replyTo: 'answers',
          contentType: 'application/json',
          sessionId: 'g-1',
          replyToSessionId: 'g-2',
          timeToLive: 60_000,
        };
        // Values and sequences go by another form of message, which has its properties elsewhere.
        const { bodyType } = sent;
        const message: object =
          bodyType === undefined
            ? { ...sent, ...properties, applicationProperties }
            : { ...sent, properties: { messageId: properties.messageId, subject: 'order' }, applicationProperties };
        await sender.send(message);
        const { message: got } = await receiver.next();
        assert.deepEqual(contentOf(got.body), read, kind);
        assert.deepEqual(got.application_properties, applicationProperties);
        assert.deepEqual([got.message_id, got.subject], [`m-${kind}`, 'order']);
        if (bodyType === undefined) {
          assert.deepEqual(
            [got.correlation_id, got.to, got.reply_to, got.content_type, got.group_id, got.reply_to_group_id, got.ttl],
            ['c-1', 'somebody/else', 'answers', 'application/json', 'g-1', 'g-2', 60_000],
          );
        }
        assert.ok(Number(got.message_annotations?.['x-opt-sequence-number']) > 0);
      }
      await until('the queue to be empty', () => broker.counts('returns').active === 0);
    });

    it('does the same through a topic and its subscriptions', async (t) => {
      const router = await startRouter(t, text);
      await router.autoLinksActive();
      const client = await RheaClient.connect(t, router.port());
      const receiver = await client.receiver('events');
      const sender = await client.sender('events');
      const message = messageOf('from rhea');
      assert.equal((await sender.send(message)).outcome, 'accepted');
      const [first] = await receiver.received(1);
      assert.equal(first!.message.body, 'from rhea');
      assert.deepEqual(first!.message.application_properties, READ_BY_RHEA);
      await (
        await connection.sender('order-events')
      ).send({ body: 'from the official client', applicationProperties: { n: 1 } });
      const [, second] = await receiver.received(2);
      assert.deepEqual(String(contentOf(second!.message.body)), '"from the official client"');
      // The other subscription has a copy of each.
      const audit = await connection.subscriber('order-events', 'audit');
      const copies = await audit.receive(2);
      assert.deepEqual(
        copies.map(({ body }) => body),
        ['from rhea', 'from the official client'],
      );
      assert.deepEqual(copies[0]!.applicationProperties, READ);
      for (const copy of copies) await audit.complete(copy);
      await audit.close();
      await until(
        'the subscription to be empty',
        () => broker.counts('order-events/Subscriptions/billing').active === 0,
      );
    });

    it("brings rhea's outcomes to the queue: a message is dead-lettered with the reason, another one comes again", async (t) => {
      const router = await startRouter(t, text);
      await router.autoLinksActive();
      await (await connection.sender('returns')).send({ body: 'a' }, { body: 'b' });
      const receiver = await (
        await RheaClient.connect(t, router.port())
      ).receiver({
        source: { address: 'orders' },
        autoaccept: false,
        autosettle: false,
        credit_window: 1,
      });
      const unfit = await receiver.next();
      unfit.delivery.reject({ condition: 'app:unfit', description: 'no street' });
      // Of two outcomes in one turn the library sends the first for both.
      await until('the outcome to arrive', () => broker.counts('returns').deadLetter === 1);
      const again = await receiver.next();
      again.delivery.modified({ delivery_failed: true } as never);
      const once = await until('the message to come again', () => receiver.arrivals[2]);
      assert.deepEqual([contentOf(once.message.body), once.message.delivery_count], [contentOf(again.message.body), 1]);
      once.delivery.accept();
      const dead = await connection.receiver('returns', { subQueueType: 'deadLetter' });
      const message = await dead.next();
      assert.deepEqual([message.deadLetterReason, message.deadLetterErrorDescription], ['app:unfit', 'no street']);
      await dead.complete(message);
      await dead.close();
      await until('the queue to be empty', () => broker.counts('returns').active === 0);
    });
  });
}
