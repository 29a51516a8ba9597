// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { ProtonPeer, RheaClient } from '@pointsman/interop';
import type { Outcome, RheaSender } from '@pointsman/interop';
import { RabbitMq, fileOwner, skipWithout, startRouter, until } from '@pointsman/testing';
import type { Owner, RouterFixture } from '@pointsman/testing';
import type { EventContext, Message } from 'rhea';

const skip = skipWithout('RabbitMQ');
const skipProton = skip || skipWithout('Qpid Proton (Python)');

const owner = fileOwner();
let rabbit: RabbitMq;

before(async () => {
  if (skip === false) rabbit = await RabbitMq.start(owner);
});

/** RabbitMQ's nodes are `/queue/NAME`, made when they are first used. */
const conf = (
  port: number,
  more: string,
  mechanism = 'saslMechanisms: PLAIN\n  saslUsername: guest\n  saslPassword: pass:guest',
): string => `
router {
  mode: standalone
  id: rabbitmq
}
listener {
  host: 127.0.0.1
  port: 0
}
connector {
  name: rabbit
  role: route-container
  host: 127.0.0.1
  port: ${port}
  linkCapacity: 50
  ${mechanism}
}
${more}`;

const through = (address: string, queue: string): string => `
address {
  prefix: ${address}
  waypoint: yes
}
autoLink {
  name: ${address}-out
  address: ${address}
  connection: rabbit
  direction: out
  externalAddress: /queue/${queue}
}
autoLink {
  name: ${address}-in
  address: ${address}
  connection: rabbit
  direction: in
  externalAddress: /queue/${queue}
}
`;

async function routerTo(owner: Owner, more: string, mechanism?: string): Promise<RouterFixture> {
  // Soon after the broker is back, so is the connector.
  const router = await startRouter(owner, conf(rabbit.port, more, mechanism), { backoff: { minMs: 50, maxMs: 250 } });
  await router.autoLinksActive();
  return router;
}

const MESSAGE: Message = {
  durable: true,
  message_id: 'order-1',
  correlation_id: 'basket-7',
  subject: 'order',
  reply_to: 'answers',
  content_type: 'application/json',
  creation_time: new Date(1_577_836_800_000),
  application_properties: { text: 'ü€😀', whole: 42, yes: true },
  body: '{"item":"book"}',
};

describe('RabbitMQ as the container of autolinks', { skip }, () => {
  it('takes what clients send to a waypoint, and gives it to those who receive from it', async (t) => {
    const router = await routerTo(t, through('orders', 'orders'));
    const client = await RheaClient.connect(t, router.port());
    const sender = await client.sender('orders');
    assert.equal((await sender.send(MESSAGE)).outcome, 'accepted', 'the queue has it, without any receiver');
    const receiver = await client.receiver('orders');
    const { message } = await receiver.next();
    for (const [name, value] of Object.entries(MESSAGE)) {
      assert.deepEqual(message[name as keyof Message], value, name);
    }
  });

  it('keeps a message that its receiver released, and counts one that failed', async (t) => {
    const router = await routerTo(t, through('returns', 'returns'));
    const client = await RheaClient.connect(t, router.port());
    await (await client.sender('returns')).send({ durable: true, body: 'boomerang' });
    const receiver = await client.receiver({ source: { address: 'returns' }, autoaccept: false });
    (await receiver.next()).delivery.release();
    const second = await receiver.next();
    assert.equal(second.message.body, 'boomerang');
    assert.equal(second.message.first_acquirer, false, 'the broker marks it as delivered before');
    second.delivery.reject();
    // Rejected means dropped where the queue has no dead-letter exchange.
    await (await client.sender('returns')).send({ durable: true, body: 'next' });
    const third = await receiver.next();
    assert.equal(third.message.body, 'next');
    third.delivery.accept();
  });

  it('may be filled by one address and emptied by another, over SASL ANONYMOUS', async (t) => {
    const router = await routerTo(
      t,
      `
autoLink {
  address: to-rabbit
  connection: rabbit
  direction: out
  externalAddress: /queue/one-way
}
autoLink {
  address: from-rabbit
  connection: rabbit
  direction: in
  phase: 0
  externalAddress: /amq/queue/one-way
}
`,
      'saslMechanisms: ANONYMOUS',
    );
    const client = await RheaClient.connect(t, router.port());
    const receiver = await client.receiver('from-rabbit');
    const sender = await client.sender('to-rabbit');
    const COUNT = 2_000;
    const outcomes = await sender.sendAll(Array.from({ length: COUNT }, (_, i) => ({ message_id: `m-${i}`, body: i })));
    assert.ok(outcomes.every(({ outcome }) => outcome === 'accepted'));
    await receiver.received(COUNT);
    assert.deepEqual(
      receiver.bodies,
      Array.from({ length: COUNT }, (_, i) => i),
    );
  });

  it('is asked for a queue that is not there: the autolink says so, and comes up once the queue is there', async (t) => {
    const router = await startRouter(
      t,
      conf(
        rabbit.port,
        `
autoLink {
  name: early
  address: early
  connection: rabbit
  direction: in
  phase: 0
  externalAddress: /amq/queue/early
}
`,
      ),
    );
    await until('the autolink to fail', () => router.autoLink('early').status === 'failed');
    assert.match(router.logged(/Auto Link Activation Failed/)[0] ?? '', /no queue 'early'|not.found|NOT_FOUND/i);
    const client = await RheaClient.connect(t, rabbit.port, { username: 'guest', password: 'guest' });
    await (await client.sender('/queue/early')).send({ body: 'made' });
    await router.autoLinksActive();
    const there = await RheaClient.connect(t, router.port());
    assert.equal((await (await there.receiver('early')).next()).message.body, 'made');
  });

  it('loses nothing when it is killed in mid-flow and comes back; doubles only where the outcome was unknown', async (t) => {
    // A queue is durable where the terminus that makes it says so.
    const maker = await RheaClient.connect(t, rabbit.port, { username: 'guest', password: 'guest' });
    await maker.sender({ target: { address: '/queue/flow', durable: 2 } });
    await maker.close();
    await rabbit.flush();
    const router = await routerTo(t, through('flow', 'flow').replaceAll('/queue/flow', '/amq/queue/flow'));
    const COUNT = 2_000;
    const AT_KILL = 500;
    /** The sender is ahead of the receiver by no more, so that both are at work when the broker dies. */
    const AHEAD_MAX = 200;
    const inDoubt = new Set<number>();
    const confirmed = new Set<number>();
    const producer = await RheaClient.connect(t, router.port());
    const consumer = await RheaClient.connect(t, router.port());
    const receiver = await consumer.receiver('flow');
    /** On which of the inbound links, counted from the start, each message came: once, or several times. */
    const came = new Map<number, number[]>();
    const inbound = router.autoLink('flow-in');
    receiver.link.on('message', ({ message }: EventContext) => {
      const id = Number(message!.message_id);
      came.set(id, [...(came.get(id) ?? []), inbound.activations]);
    });

    const sender = await producer.sender('flow');
    const sending = keepSending(
      sender,
      COUNT,
      () => confirmed.size < came.size + AHEAD_MAX,
      (id, { outcome }) => {
        if (outcome === 'accepted') confirmed.add(id);
        else if (outcome !== 'released') inDoubt.add(id);
      },
    );
    await until('messages to flow', () => came.size >= AT_KILL && confirmed.size >= AT_KILL);
    await rabbit.kill();
    await until('the autolinks to go down', () => router.autoLink('flow-out').status !== 'active');
    await rabbit.boot();
    await router.autoLinksActive();
    await sending;
    await until('every message', () => came.size === COUNT, {
      state: () => ({ received: came.size, confirmed: confirmed.size }),
    });

    assert.equal(confirmed.size, COUNT, 'every message was accepted in the end');
    // A message may come twice where its link ended in between: whether the broker had heard that it was accepted is not known.
    const doubled = [...came].filter(([id, links]) => new Set(links).size < links.length && !inDoubt.has(id));
    assert.deepEqual(doubled, []);
  });

  it('gets back what has nobody to go to, and gives it again once there is somebody', async (t) => {
    const router = await routerTo(t, through('pause', 'pause'));
    const client = await RheaClient.connect(t, router.port());
    const sender = await client.sender('pause');
    const first = await client.receiver({ source: { address: 'pause' }, autoaccept: false, credit_window: 10 });
    await sender.sendAll(Array.from({ length: 100 }, (_, i) => ({ message_id: i, body: i })));
    const taken = (await first.received(10)).slice(0, 10);
    for (const { delivery } of taken) delivery.accept();
    await first.close();
    const second = await client.receiver('pause');
    const seen = (): Set<unknown> =>
      new Set([...taken.map(({ message }) => message.body as unknown), ...second.bodies]);
    await until('the rest', () => seen().size === 100, { state: () => second.arrivals.length });
    assert.equal(second.arrivals.length, 90);
  });

  it('gets and gives large messages', async (t) => {
    const router = await routerTo(t, through('large', 'large'));
    const client = await RheaClient.connect(t, router.port());
    const receiver = await client.receiver('large');
    const sender = await client.sender('large');
    const body = Buffer.alloc(3_000_000, 'abcdefg');
    assert.equal((await sender.send({ body })).outcome, 'accepted');
    assert.ok(body.equals((await receiver.next()).message.body as Buffer));
  });
});

describe('RabbitMQ as the container of link routes', { skip }, () => {
  const ROUTES = `
linkRoute {
  prefix: q
  direction: in
  connection: rabbit
  delExternalPrefix: q/
  addExternalPrefix: /queue/
}
linkRoute {
  prefix: q
  direction: out
  connection: rabbit
  delExternalPrefix: q/
  addExternalPrefix: /queue/
}
`;

  it('serves rhea clients of the router as if they were its own', async (t) => {
    const router = await startRouter(t, conf(rabbit.port, ROUTES));
    await router.linkRoutesActive();
    const client = await RheaClient.connect(t, router.port());
    const sender = await client.sender('q/routed');
    const outcomes = await sender.sendAll(Array.from({ length: 500 }, (_, i) => ({ ...MESSAGE, message_id: `${i}` })));
    assert.ok(outcomes.every(({ outcome }) => outcome === 'accepted'));
    const receiver = await client.receiver({ source: { address: 'q/routed' }, credit_window: 100 });
    await receiver.received(500);
    assert.deepEqual(
      receiver.arrivals.map(({ message }) => message.message_id),
      Array.from({ length: 500 }, (_, i) => `${i}`),
    );
    assert.deepEqual(receiver.arrivals[0]!.message.application_properties, MESSAGE.application_properties);
  });

  it('serves Proton clients, with the tags of the broker', { skip: skipProton }, async (t) => {
    const router = await startRouter(t, conf(rabbit.port, ROUTES));
    await router.linkRoutesActive();
    const peer = await ProtonPeer.connect(t, router.port());
    await peer.sender('s', 'q/proton');
    for (let i = 0; i < 3; i++) assert.equal((await peer.send('s', { body: `message ${i}` }))['state'], 'accepted');
    await peer.receiver('r', 'q/proton', { credit: 2 });
    for (let i = 0; i < 2; i++) assert.equal((await peer.next('message'))['body'], `message ${i}`);
    peer.tell({ do: 'flow', link: 'r', credit: 1 });
    const last = await peer.next('message');
    assert.deepEqual([last['body'], last['tag']], ['message 2', '\u0000'.repeat(7) + '\u0003']);
  });
});

/** Sends each of `count` messages until it is accepted, several at a time. */
async function keepSending(
  sender: RheaSender,
  count: number,
  mayGoOn: () => boolean,
  onOutcome: (id: number, outcome: Outcome) => void,
): Promise<void> {
  const todo = Array.from({ length: count }, (_, id) => id);
  let underway = 0;
  while (todo.length > 0 || underway > 0) {
    const canSend = (): boolean => todo.length > 0 && mayGoOn() && sender.link.sendable();
    await until('room to send, or the last outcome', () => canSend() || (todo.length === 0 && underway === 0));
    while (canSend()) {
      const id = todo.shift()!;
      underway++;
      void sender.sendNow({ message_id: id, durable: true, body: `message ${id}` }).then((outcome) => {
        underway--;
        onOutcome(id, outcome);
        if (outcome.outcome !== 'accepted') todo.push(id);
      });
    }
  }
}
