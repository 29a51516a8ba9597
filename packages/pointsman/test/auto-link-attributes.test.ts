// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IncomingLink } from '@pointsman/router';
import { int, long, plainOf } from '@pointsman/wire';
import type { AmqpValue, Message } from '@pointsman/wire';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import { LISTENER, ROUTER, connector, read, scene, section, sslProfile } from './five-steps-fixture.js';
import type { Attributes, DoubleOptions, RunningRouter, Scene, ServiceBusDouble } from './five-steps-fixture.js';

const SOON = { minMs: 5, maxMs: 20 };

interface Stage {
  readonly cloud: ServiceBusDouble;
  readonly router: RunningRouter;
  readonly client: Client;
}

/** A router with these autolinks to a namespace. */
async function start(
  one: Scene,
  options: DoubleOptions,
  links: readonly Attributes[],
  waits = false,
  more = '',
): Promise<Stage> {
  const cloud = await one.openNamespace(options);
  const text =
    ROUTER +
    LISTENER +
    sslProfile({ caCertFile: one.caCertFile }) +
    connector(cloud.port) +
    section('address', { prefix: 'orders', waypoint: 'yes' }) +
    links.map((attributes) => section('autoLink', { connection: 'azure', ...attributes })).join('') +
    more;
  const router = await one.startRouter(text, { backoff: SOON });
  if (!waits) await router.active();
  const client = await connect({ host: '127.0.0.1', port: router.port });
  one.whenOver(() => client.close());
  return { cloud, router, client };
}

const numbered = (groupId: string | undefined, value: number): Message => ({
  properties: groupId === undefined ? {} : { groupId },
  body: { kind: 'value', value: `${groupId ?? ''}${value}` },
});

const textOf = ({ body }: Message): string => (body?.kind === 'value' ? String(body.value) : '');

const SESSIONS = { queues: [{ name: 'orders', requiresSession: true, lockDurationMs: 5_000 }] };
const OUT = { address: 'orders', direction: 'out' };

describe('an autolink from a queue with message sessions', () => {
  it(
    'takes the messages of the session that it names, one after the other, and keeps its lock',
    scene(async (one) => {
      const { cloud, router, client } = await start(one, SESSIONS, [
        OUT,
        { address: 'orders', direction: 'in', sessionId: 'a' },
      ]);
      const sender = await client.sender('orders');
      for (let i = 0; i < 5; i++) for (const id of ['a', 'b']) await sender.send(numbered(id, i));
      const receiver = await client.receiver('orders');
      const first = (await receiver.next())!;
      assert.equal(textOf(first.message), 'a0');
      const link = router.autoLink('in', 'orders').link!;
      assert.ok(link instanceof IncomingLink);
      assert.equal(link.deliveries, 1, 'the next comes when this one is settled');
      await router.until('a renewal', () => router.autoLink('in', 'orders').tally.locksRenewed > 0);
      await first.accept();
      for (let i = 1; i < 5; i++) {
        const next = (await receiver.next())!;
        assert.equal(textOf(next.message), `a${i}`);
        await next.accept();
      }
      await router.until('the rest to stay', () => cloud.namespace.counts('orders').active === 5);
      assert.equal(cloud.namespace.counts('orders').locked, 0);
    }),
  );

  it(
    'takes the next session that is free, and the one after it when that has nothing more',
    scene(async (one) => {
      const { cloud, router, client } = await start(
        one,
        SESSIONS,
        [OUT, { address: 'orders', direction: 'in', nextSession: 'yes' }],
        true,
      );
      const texts: string[] = [];
      await client.receiver('orders', {}, (delivery) => {
        texts.push(textOf(delivery.message));
      });
      const sender = await client.sender('orders');
      for (let i = 0; i < 3; i++) for (const id of ['a', 'b']) await sender.send(numbered(id, i));
      await router.until('all messages', () => texts.length === 6);
      assert.deepEqual(texts, ['a0', 'a1', 'a2', 'b0', 'b1', 'b2']);
      await router.until('an empty queue', () => cloud.namespace.counts('orders').locked === 0);
      assert.ok(!router.log.includes('(warning) Auto Link'), router.log);
    }),
  );

  it(
    'counts what is settled after the end of its link: the session has gone with it',
    scene(async (one) => {
      const { cloud, router, client } = await start(one, SESSIONS, [
        OUT,
        { address: 'orders', direction: 'in', sessionId: 'a' },
      ]);
      await (await client.sender('orders')).send(numbered('a', 0));
      const receiver = await client.receiver('orders');
      const first = (await receiver.next())!;
      cloud.namespace.faults.detachLinks('orders');
      await router.until('the link again', () => router.autoLink('in', 'orders').activations > 1);
      await first.accept();
      const again = (await receiver.next())!;
      assert.equal(textOf(again.message), 'a0');
      await again.accept();
      const { tally } = router.autoLink('in', 'orders');
      await router.until('an empty queue', () => cloud.namespace.counts('orders').locked === 0);
      assert.deepEqual([tally.tooLate, tally.settledLater], [1, 0]);
    }),
  );
});

describe('an autolink from a queue', () => {
  it(
    'takes messages settled where it is to receive and delete',
    scene(async (one) => {
      const { cloud, router, client } = await start(one, {}, [
        OUT,
        { address: 'orders', direction: 'in', receiveMode: 'receiveAndDelete' },
      ]);
      const receiver = await client.receiver('orders', { credit: 0 });
      receiver.addCredit(1);
      await (await client.sender('orders')).send(numbered(undefined, 1));
      const delivery = await receiver.next();
      assert.equal(textOf(delivery!.message), '1');
      assert.deepEqual([cloud.namespace.counts('orders').active, cloud.namespace.counts('orders').locked], [0, 0]);
      assert.equal((router.autoLink('in', 'orders').link as IncomingLink).presettled, 1);
    }),
  );

  it(
    'takes as many messages ahead as it is told',
    scene(async (one) => {
      const { cloud, router, client } = await start(one, {}, [
        OUT,
        { address: 'orders', direction: 'in', prefetch: 3 },
      ]);
      const sender = await client.sender('orders');
      for (let i = 0; i < 10; i++) await sender.send(numbered(undefined, i));
      await client.receiver('orders', { credit: 100 }, () => new Promise(() => undefined));
      const link = router.autoLink('in', 'orders').link!;
      await router.until('three', () => link.deliveries === 3);
      assert.equal(cloud.namespace.counts('orders').locked, 3, 'and no more');
    }),
  );

  it(
    'reads a dead-letter queue',
    scene(async (one) => {
      const { router, client } = await start(one, {}, [
        OUT,
        { address: 'orders', direction: 'in' },
        { address: 'dead', direction: 'in', phase: 0, externalAddress: 'orders/$DeadLetterQueue' },
      ]);
      await (await client.sender('orders')).send(numbered(undefined, 1));
      await client.receiver('orders', {}, (delivery) => delivery.reject({ condition: 'app:no', description: 'bad' }));
      const dead = await client.receiver('dead');
      const delivery = (await dead.next())!;
      assert.equal(textOf(delivery.message), '1');
      await delivery.accept();
      await router.until(
        'the outcome',
        () => (router.autoLink('in', 'orders/$DeadLetterQueue').link as IncomingLink).accepted === 1,
      );
    }),
  );
});

describe('autolinks to and from the node for management of an entity', () => {
  it(
    'carry requests and answers: the reply-to is the address of the one that comes from there',
    scene(async (one) => {
      const { client } = await start(one, {}, [
        { address: 'ask', direction: 'out', externalAddress: 'orders/$management' },
        { address: 'answers', direction: 'in', phase: 0, externalAddress: 'orders/$management' },
      ]);
      const answers = await client.receiver('answers');
      const { type } = await (
        await client.sender('ask')
      ).send({
        properties: { messageId: 'one', replyTo: 'answers' },
        applicationProperties: new Map([['operation', 'com.microsoft:peek-message']]),
        body: {
          kind: 'value',
          value: new Map<AmqpValue, AmqpValue>([
            ['from-sequence-number', long(1)],
            ['message-count', int(1)],
          ]),
        },
      });
      assert.equal(type, 'accepted');
      const { message } = (await answers.next())!;
      assert.equal(message.properties?.correlationId, 'one');
      assert.equal(plainOf(message.applicationProperties?.get('statusCode')), 204);
    }),
  );
});

describe('autolinks and clients that want the same node for management', () => {
  const request = (id: string, operation: string, fields: readonly (readonly [AmqpValue, AmqpValue])[]): Message => ({
    properties: { messageId: id, replyTo: 'answers' },
    applicationProperties: new Map([['operation', `com.microsoft:${operation}`]]),
    body: { kind: 'value', value: new Map<AmqpValue, AmqpValue>(fields) },
  });
  const peek = (id: string): Message =>
    request(id, 'peek-message', [
      ['from-sequence-number', long(1)],
      ['message-count', int(1)],
    ]);
  /** Links of the autolinks, for clients whose messages are routed, and of a client whose links are. */
  async function asker(client: Client, to: string, from: string): Promise<(message: Message) => Promise<string>> {
    const answers = await client.receiver(from);
    const sender = await client.sender(to);
    return async (message) => {
      const { type } = await sender.send(message);
      assert.equal(type, 'accepted');
      const answer = (await answers.next())!.message;
      const { messageId = null } = message.properties ?? {};
      assert.equal(answer.properties?.correlationId, messageId);
      return String(plainOf(answer.applicationProperties?.get('statusCode')));
    };
  }
  const ROUTES = ['in', 'out']
    .map((direction) => section('linkRoute', { prefix: 'hall', direction, connection: 'azure' }))
    .join('');
  const TO_HALL: readonly Attributes[] = [
    { address: 'ask', direction: 'out', externalAddress: 'hall/$management' },
    { address: 'answers', direction: 'in', phase: 0, externalAddress: 'hall/$management' },
  ];

  it(
    'share it, and find it again after the connection was cut',
    scene(async (one) => {
      const { cloud, router, client } = await start(one, { queues: [{ name: 'hall' }] }, TO_HALL, false, ROUTES);
      const other = await connect({ host: '127.0.0.1', port: router.port });
      one.whenOver(() => other.close());
      const [byMessages, byLinks] = [
        await asker(client, 'ask', 'answers'),
        await asker(other, 'hall/$management', 'hall/$management'),
      ];
      assert.deepEqual(await Promise.all([byMessages(peek('same')), byLinks(peek('same'))]), ['204', '204']);
      assert.equal(cloud.namespace.links, 2, 'one pair');
      const before = router.autoLink('in', 'hall/$management').activations;
      assert.ok(cloud.namespace.faults.detachLinks('hall/$management') > 0);
      await router.until('the links again', () => router.autoLink('in', 'hall/$management').activations > before);
      await router.active();
      assert.equal(await byMessages(peek('after a detach')), '204');
      const { activations } = router.autoLink('in', 'hall/$management');
      cloud.namespace.faults.dropConnections();
      await router.until('the links again', () => router.autoLink('in', 'hall/$management').activations > activations);
      await router.active();
      assert.equal(await byMessages(peek('after a cut')), '204');
      const again = await asker(other, 'hall/$management', 'hall/$management');
      assert.equal(await again(peek('by a new link')), '204');
      assert.equal(cloud.namespace.links, 2);
    }),
  );

  it(
    "have message sessions of their own: what an autolink holds is not a routed client's",
    scene(async (one) => {
      const { router, client } = await start(
        one,
        { queues: [{ name: 'hall', requiresSession: true }] },
        [...TO_HALL, { address: 'work', direction: 'in', phase: 0, externalAddress: 'hall', sessionId: 'a' }],
        false,
        ROUTES,
      );
      const other = await connect({ host: '127.0.0.1', port: router.port });
      one.whenOver(() => other.close());
      const [byMessages, byLinks] = [
        await asker(client, 'ask', 'answers'),
        await asker(other, 'hall/$management', 'hall/$management'),
      ];
      const state = request('state', 'get-session-state', [['session-id', 'a']]);
      assert.equal(await byMessages(state), '200');
      assert.equal(await byLinks(state), '410');
    }),
  );
});

describe('an autolink from a partition of an event hub', () => {
  it(
    'begins where its filter says, and goes on where it was when its link was lost',
    scene(async (one) => {
      const READER = 'hub/ConsumerGroups/$Default/Partitions/0';
      const hub = { name: 'hub', partitions: 1 };
      const feed = await start(one, { eventHubs: [hub] }, [
        { address: 'feed', direction: 'out', externalAddress: 'hub/Partitions/0' },
        {
          address: 'events',
          direction: 'in',
          phase: 0,
          externalAddress: READER,
          receiveMode: 'receiveAndDelete',
          filter: `"amqp.annotation.x-opt-offset > '-1'"`,
        },
      ]);
      const { cloud, router, client } = feed;
      const sender = await client.sender('feed');
      for (let i = 0; i < 4; i++) await sender.send(numbered(undefined, i));
      const texts: string[] = [];
      await client.receiver('events', {}, (delivery) => {
        texts.push(textOf(delivery.message));
      });
      await router.until('the first events', () => texts.length === 4);
      for (const cut of [
        (): unknown => cloud.namespace.faults.detachLinks(READER),
        (): unknown => cloud.namespace.faults.dropConnections(),
      ]) {
        const before = texts.length;
        const { activations } = router.autoLink('in', READER);
        cut();
        await router.until('the link again', () => router.autoLink('in', READER).activations > activations);
        await router.until('the way out', () => router.autoLink('out', 'hub/Partitions/0').status === 'active');
        await sender.send(numbered(undefined, before));
        await router.until('the next', () => texts.length > before);
      }
      assert.deepEqual(texts, ['0', '1', '2', '3', '4', '5'], 'none twice');
    }),
  );
});

describe('the attributes of autolinks for Service Bus', () => {
  const problems = (attributes: Attributes): string[] => {
    const text =
      ROUTER +
      section('connector', { name: 'azure', role: 'route-container', host: 'broker', port: 5672 }) +
      section('autoLink', { address: 'orders', connection: 'azure', ...attributes });
    const result = read(text);
    return result.ok ? [] : result.problems.map(({ message }) => message);
  };

  it('are refused where they say nothing, or two things', () => {
    assert.match(problems({ direction: 'out', prefetch: 3 }).join(), /'prefetch' of autoLink.* is for direction in/);
    assert.match(
      problems({ direction: 'in', sessionId: 'a', nextSession: 'yes' }).join(),
      /both 'sessionId' and 'nextSession'/,
    );
    assert.match(problems({ direction: 'in', prefetch: 0 }).join(), /prefetch/);
    assert.match(problems({ direction: 'in', receiveMode: 'peek' }).join(), /receiveMode/);
    assert.deepEqual(problems({ direction: 'in', prefetch: 3, receiveMode: 'peekLock', renewLocks: 'no' }), []);
  });
});
