// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import {
  LISTENER,
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

const configuration = (one: Scene, port: number, links: string, changes: Attributes = {}): string =>
  ROUTER + LISTENER + sslProfile({ caCertFile: one.caCertFile }) + connector(port, changes) + links;

async function clientOf(one: Scene, router: RunningRouter): Promise<Client> {
  const client = await connect({ host: '127.0.0.1', port: router.port });
  one.whenOver(() => client.close());
  return client;
}

const text = (value: string): { body: { kind: 'value'; value: string } } => ({ body: { kind: 'value', value } });

/** Sends from a client, and receives at another, by way of the router's address. */
async function passes(one: Scene, router: RunningRouter, value: string, address = 'orders'): Promise<void> {
  const client = await clientOf(one, router);
  const receiver = await client.receiver(address);
  const sender = await client.sender(address);
  assert.equal((await sender.send(text(value))).type, 'accepted');
  const delivery = await receiver.next();
  assert.deepEqual(delivery?.message.body, text(value).body);
  await delivery?.accept();
  await client.close();
}

const MISUSE_MS = 60_000;
const SLOW_MS = 30_000;

describe('step 5, autolink', () => {
  it(
    'sends to a queue and receives from it',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(configuration(one, cloud.port, THROUGH_ORDERS));
      await router.active();
      await passes(one, router, 'o1');
      await router.until('an empty queue', () => cloud.namespace.counts('orders').active === 0);
      for (const direction of ['out', 'in'] as const) {
        await router.said(`Auto Link Activated 'autoLink/${direction === 'out' ? 0 : 1}' on connection azure`);
        const link = router.autoLink(direction, 'orders');
        assert.deepEqual([link.activations, link.failures, link.lastError], [1, 0, undefined]);
      }
    }),
  );

  it(
    'sends to a topic and receives from its subscription',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const links =
        section('address', { prefix: 'news', waypoint: 'yes' }) +
        autoLink('out', 'news', 'events') +
        autoLink('in', 'news', 'events/Subscriptions/billing');
      const router = await one.startRouter(configuration(one, cloud.port, links));
      await router.active();
      await passes(one, router, 'n1', 'news');
      await router.until(
        'an empty subscription',
        () => cloud.namespace.counts('events/Subscriptions/billing').active === 0,
      );
    }),
  );

  it(
    'receives from a dead-letter queue',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const links =
        THROUGH_ORDERS +
        section('address', { prefix: 'dead', waypoint: 'yes' }) +
        autoLink('in', 'dead', 'orders/$DeadLetterQueue');
      const router = await one.startRouter(configuration(one, cloud.port, links));
      await router.active();
      const client = await clientOf(one, router);
      const [sender, orders, dead] = await Promise.all([
        client.sender('orders'),
        client.receiver('orders'),
        client.receiver('dead'),
      ]);
      await sender.send(text('unfit'));
      await (await orders.next())?.reject({ condition: 'app:unfit', description: 'no address' });
      const delivery = await dead.next();
      assert.deepEqual(delivery?.message.body, text('unfit').body);
      await delivery?.accept();
    }),
  );

  it(
    'takes nothing from a queue while nobody receives',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(configuration(one, cloud.port, THROUGH_ORDERS));
      await router.active();
      const client = await clientOf(one, router);
      await (await client.sender('orders')).send(text('o1'));
      assert.deepEqual([cloud.namespace.counts('orders').active, cloud.namespace.counts('orders').locked], [1, 0]);
    }),
  );

  describe('goes on after what Service Bus does in normal life', () => {
    /** Nothing that happened was worth a warning. */
    const assertCalm = (router: RunningRouter): void => assert.doesNotMatch(router.log, /\((warning|error|critical)\)/);

    it(
      'a link that was idle for ten minutes (here: 0.1 seconds)',
      scene(async (one) => {
        const cloud = await one.openNamespace({ times: { linkIdleMs: 100 } });
        const router = await one.startRouter(configuration(one, cloud.port, THROUGH_ORDERS));
        await router.until('two detaches of each', () =>
          router.process.router.autoLinks.every(({ activations }) => activations >= 2),
        );
        await router.said('Auto Link Detached by its container, attaching again.', 'IdleTimerExpired');
        assertCalm(router);
        assert.deepEqual(router.statuses.filter((status) => status.startsWith('out orders')).slice(0, 4), [
          'out orders attaching',
          'out orders active',
          'out orders idle',
          'out orders attaching',
        ]);
        assert.equal(cloud.visits.length, 1);
        assertFresh(cloud.visit.linkNames, 4);
        await passes(one, router, 'after all of it');
      }),
    );

    const detaches: readonly [what: string, error: { condition: string; description: string } | undefined][] = [
      ['a receiver that was closed inside (InnerMessageReceiver)', undefined],
      [
        'a forced detach',
        {
          condition: 'amqp:link:detach-forced',
          description: "The link 'x' is force detached. Code: consumer(link1). Details: The entity has moved.",
        },
      ],
      [
        'a token that ran out',
        {
          condition: 'amqp:link:detach-forced',
          description: "The link 'x' is force detached. Code: RenewToken. Details: Unauthorized access.",
        },
      ],
    ];
    for (const [what, error] of detaches) {
      it(
        what,
        scene(async (one) => {
          const cloud = await one.openNamespace();
          const router = await one.startRouter(configuration(one, cloud.port, THROUGH_ORDERS));
          await router.active();
          assert.equal(cloud.namespace.faults.detachLinks('orders', error), 2);
          await router.until('both to be active again', () =>
            router.process.router.autoLinks.every(
              ({ activations, status }) => activations === 2 && status === 'active',
            ),
          );
          assertCalm(router);
          assertFresh(cloud.visit.linkNames, 4);
          await passes(one, router, 'after the detach');
        }),
      );
    }

    const ends: readonly [
      what: string,
      end: { condition: string; description: string } | undefined | 'drop',
      calm: boolean,
      stableMs?: number,
    ][] = [
      ['a connection that is closed by force', undefined, true],
      [
        'a node that shuts down',
        { condition: 'com.microsoft:container-close', description: 'The message container is being closed (10398).' },
        true,
      ],
      ['a TCP connection that is cut when it had hardly begun', 'drop', false],
      ['a TCP connection that is cut after it had stayed up', 'drop', true, 0],
    ];
    for (const [what, end, calm, stableMs] of ends) {
      it(
        what,
        scene(async (one) => {
          const cloud = await one.openNamespace();
          const router = await one.startRouter(configuration(one, cloud.port, THROUGH_ORDERS), {
            backoff: { maxMs: 20 },
            ...(stableMs === undefined ? {} : { stableMs }),
          });
          await router.active();
          if (end === 'drop') cloud.namespace.faults.dropConnections();
          else cloud.namespace.faults.closeConnections(end);
          await router.until('both to be active again', () =>
            router.process.router.autoLinks.every(
              ({ activations, status }) => activations === 2 && status === 'active',
            ),
          );
          if (calm) assertCalm(router);
          else await router.said('SERVER (error)', 'The connection was lost');
          assert.equal(cloud.visits.length, 2);
          assertFresh(
            cloud.visits.flatMap(({ linkNames }) => linkNames),
            4,
          );
          assert.equal(
            router.process.router.autoLinks.every(({ failures }) => failures === 0),
            true,
          );
          await passes(one, router, 'after the connection');
        }),
      );
    }

    it(
      'a new connection without a link for 60 seconds (here: 0.1), because every autolink was refused',
      scene(async (one) => {
        const cloud = await one.openNamespace({ times: { firstLinkMs: 100 } });
        const router = await one.startRouter(configuration(one, cloud.port, autoLink('in', 'nowhere')), {
          backoff: { maxMs: 20 },
        });
        await router.said(
          '(info)',
          'ended in the normal course of things (connector azure), connecting again',
          'did not have any active links',
        );
        await router.until('a second connection', () => cloud.visits.length >= 2);
        assert.equal(router.steps.includes('failed'), false, 'the refused links are the fault, not the connection');
      }),
    );

    it(
      'a connection that has been without a link for 300 seconds (here: 0.1)',
      scene(async (one) => {
        const cloud = await one.openNamespace({ times: { noLinkMs: 100 } });
        const router = await one.startRouter(configuration(one, cloud.port, autoLink('in', 'orders')), {
          backoff: { maxMs: 20 },
        });
        await router.active();
        cloud.namespace.setStatus('orders', 'Disabled');
        await router.said('(info)', 'ended in the normal course of things', 'did not have any active links');
        cloud.namespace.setStatus('orders', 'Active');
        await router.until('the link to be back', () => router.autoLink('in', 'orders').status === 'active');
      }),
    );
  });

  it(
    'comes back ever more slowly where it is detached again and again',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(configuration(one, cloud.port, THROUGH_ORDERS));
      const link = router.autoLink('in', 'orders');
      for (let i = 1; i <= 3; i++) {
        await router.until('the link', () => link.status === 'active' && link.activations === i);
        cloud.namespace.faults.detachLinks('orders');
        await router.until('the detach', () => router.retries.filter((retry) => retry.link === link).length === i);
      }
      const delays = router.retries.flatMap((retry) => (retry.link === link ? [retry.ms] : []));
      assert.ok(delays[0]! <= 500, `${delays[0]}`);
      assert.ok(delays[1]! >= 900 && delays[1]! <= 1_500, `${delays[1]}`);
      assert.ok(delays[2]! >= 1_900 && delays[2]! <= 2_500, `${delays[2]}`);
      assert.equal(link.status, 'idle');
    }),
  );

  /** What cannot work: what is said, and how long it is left alone. */
  const refusals: readonly {
    readonly what: string;
    readonly direction: 'in' | 'out';
    readonly entity: string;
    readonly said: readonly string[];
    readonly raw: RegExp;
    readonly retryMs: number;
  }[] = [
    {
      what: 'a missing queue that is sent to',
      direction: 'out',
      entity: 'nowhere',
      raw: /could not be found/,
      retryMs: SLOW_MS,
      said: [
        "'nowhere' does not exist in the namespace localhost",
        "Check externalAddress of the autolink for 'x'",
        'the name of a queue or a topic',
      ],
    },
    {
      what: 'a missing queue that is received from',
      direction: 'in',
      entity: 'nowhere',
      raw: /could not be found/,
      retryMs: SLOW_MS,
      said: ["'nowhere' does not exist in the namespace localhost, or it is a topic"],
    },
    {
      what: 'a missing subscription',
      direction: 'in',
      entity: 'events/Subscriptions/shipping',
      raw: /could not be found/,
      retryMs: SLOW_MS,
      said: ["'events/Subscriptions/shipping' does not exist", 'it is written as TOPIC/Subscriptions/NAME'],
    },
    {
      what: 'receiving from a topic',
      direction: 'in',
      entity: 'events',
      raw: /could not be found/,
      retryMs: SLOW_MS,
      said: [
        'a topic is only sent to',
        'to receive from a topic name one of its subscriptions: events/Subscriptions/NAME',
      ],
    },
    {
      what: 'sending to a subscription',
      direction: 'out',
      entity: 'events/Subscriptions/billing',
      raw: /cannot be sent to/,
      retryMs: MISUSE_MS,
      said: [
        "The autolink to 'events/Subscriptions/billing' (direction out) cannot work",
        "name the topic ('events'), or write direction: in",
      ],
    },
    {
      what: 'sending to a dead-letter queue',
      direction: 'out',
      entity: 'orders/$DeadLetterQueue',
      raw: /cannot be sent to/,
      retryMs: MISUSE_MS,
      said: ['A dead-letter queue is not sent to', "Write direction: in, or name 'orders'"],
    },
    {
      what: 'a queue with message sessions',
      direction: 'in',
      entity: 'sessions',
      raw: /requires sessions/,
      retryMs: MISUSE_MS,
      said: ["'sessions' requires message sessions", 'sessionId', 'linkRoute'],
    },
    {
      what: 'a disabled queue',
      direction: 'in',
      entity: 'asleep',
      raw: /is currently disabled/,
      retryMs: SLOW_MS,
      said: ["'asleep' is disabled for receiving", 'status Active'],
    },
    {
      what: 'a queue that is disabled for sending',
      direction: 'out',
      entity: 'shut',
      raw: /is currently disabled/,
      retryMs: SLOW_MS,
      said: ["'shut' is disabled for sending", 'status Active'],
    },
  ];
  for (const { what, direction, entity, said, raw, retryMs } of refusals) {
    it(
      `says what is wrong with ${what}, and waits ${retryMs / 1_000} seconds`,
      scene(async (one) => {
        const cloud = await one.openNamespace({
          queues: [
            { name: 'orders' },
            { name: 'sessions', requiresSession: true },
            { name: 'asleep', status: 'Disabled' },
            { name: 'shut', status: 'SendDisabled' },
          ],
        });
        const links =
          THROUGH_ORDERS + section('address', { prefix: 'x', waypoint: 'yes' }) + autoLink(direction, 'x', entity);
        // By another name: at the real one the configuration is refused where its spelling tells.
        const router = await one.startRouter(
          configuration(one, cloud.port, links, { host: 'localhost', idleTimeoutSeconds: 120 }),
        );
        const link = router.autoLink(direction, entity);
        await router.until('the refusal', () => link.status === 'failed');
        assert.match(await router.said('Auto Link Activation Failed', "'autoLink/2' on connection azure"), raw);
        const line = await router.said('Service Bus said: ', ...said);
        assert.match(line, /ROUTER_CORE \(warning\)/);
        assert.match(link.lastError ?? '', raw);
        assert.ok(router.retryOf(link) > retryMs - 100, `retried in ${router.retryOf(link)} ms`);
        // The answer to the attach alone, with a null terminus, is no success.
        assert.deepEqual(
          router.statuses.filter((status) => status.startsWith(`${direction} ${entity} `)),
          [`${direction} ${entity} attaching`, `${direction} ${entity} failed`],
        );
        await router.until('the others', () =>
          (['out', 'in'] as const).every((other) => router.autoLink(other, 'orders').status === 'active'),
        );
        assert.equal(cloud.visits.length, 1);
      }),
    );
  }

  it(
    'says so too where a queue is disabled later',
    scene(async (one) => {
      const cloud = await one.openNamespace();
      const router = await one.startRouter(configuration(one, cloud.port, THROUGH_ORDERS));
      await router.active();
      cloud.namespace.setStatus('orders', 'ReceiveDisabled');
      await router.said("'orders' is disabled for receiving");
      assert.ok(router.retryOf(router.autoLink('in', 'orders')) > SLOW_MS - 100);
      assert.equal(router.autoLink('out', 'orders').status, 'active');
    }),
  );

  it('does not read a configuration whose direction cannot work at Service Bus', () => {
    const result = read(
      ROUTER +
        connector(5671, { sslProfile: undefined }) +
        section('address', { prefix: 'x', waypoint: 'yes' }) +
        autoLink('out', 'x', 'events/Subscriptions/billing'),
    );
    assert.ok(!result.ok);
    const [problem] = result.problems;
    assert.equal(problem?.line, 21);
    assert.match(problem.message, /^autoLink .*cannot work with Service Bus in this direction$/);
    assert.equal(problem.found, 'direction: out, externalAddress: events/Subscriptions/billing');
    assert.equal(
      problem.hint,
      "A subscription is not sent to. For direction out name the topic ('events'), or write direction: in.",
    );
  });
});

/** No link takes the name of an earlier one: its ghost might still hold it. */
function assertFresh(names: readonly string[], least: number): void {
  assert.ok(names.length >= least, `${names.length} attaches`);
  assert.equal(new Set(names).size, names.length, 'every attach has a name of its own');
}
