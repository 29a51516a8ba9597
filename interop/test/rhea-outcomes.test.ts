// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RheaClient } from '@pointsman/interop';
import type { Arrival, RheaReceiver, RheaSender } from '@pointsman/interop';
import { startRouter, until } from '@pointsman/testing';
import type { Owner, RouterFixture } from '@pointsman/testing';
import rhea from 'rhea';
import type { Delivery, Message, ReceiverOptions, SenderOptions } from 'rhea';

const CONF = `
router {
  mode: standalone
  id: rhea-outcomes
}
listener {
  host: 127.0.0.1
  port: 0
}
address {
  prefix: news
  distribution: multicast
}
`;

interface Line {
  readonly router: RouterFixture;
  readonly client: RheaClient;
  readonly sender: RheaSender;
  readonly receiver: RheaReceiver;
}

/** A receiver and a sender of one address, each on a connection of its own; nothing is settled by itself. */
async function line(
  owner: Owner,
  options: { readonly receiver?: ReceiverOptions; readonly sender?: SenderOptions } = {},
): Promise<Line> {
  const router = await startRouter(owner, CONF);
  const far = await RheaClient.connect(owner, router.port());
  const client = await RheaClient.connect(owner, router.port());
  const receiver = await far.receiver({
    source: { address: 'orders' },
    autoaccept: false,
    autosettle: false,
    ...options.receiver,
  });
  const sender = await client.sender({ target: { address: 'orders' }, ...options.sender });
  return { router, client, sender, receiver };
}

describe('outcomes, from a rhea receiver through the router to a rhea sender', () => {
  const KINDS: readonly [string, (delivery: Delivery) => void, object][] = [
    ['accepted', (delivery) => delivery.accept(), {}],
    ['released', (delivery) => delivery.release(), {}],
    [
      'rejected',
      (delivery) => delivery.reject({ condition: 'amqp:decode-error', description: 'not an order' }),
      { condition: 'amqp:decode-error', description: 'not an order' },
    ],
  ];

  for (const [outcome, act, error] of KINDS) {
    it(`brings '${outcome}' back as it was given`, async (t) => {
      const { sender, receiver } = await line(t);
      const sent = sender.send({ body: outcome });
      const { message, delivery } = await receiver.next();
      assert.equal(message.body, outcome);
      assert.equal(sender.pending, 1, 'nothing is settled before the receiver has spoken');
      act(delivery);
      const got = await sent;
      assert.equal(got.outcome, outcome);
      const { condition, description } = (got.state['error'] ?? {}) as Record<string, unknown>;
      assert.deepEqual({ condition, description }, { condition: undefined, description: undefined, ...error });
    });
  }

  it("brings 'modified' back with its fields", async (t) => {
    const { sender, receiver } = await line(t);
    const sent = sender.send({ body: 1 });
    const { delivery } = await receiver.next();
    delivery.modified({
      delivery_failed: true,
      undeliverable_here: true,
      message_annotations: { 'x-opt-why': 'busy' },
    });
    const { outcome, state } = await sent;
    assert.equal(outcome, 'modified');
    assert.equal(state['delivery_failed'], true);
    assert.equal(state['undeliverable_here'], true);
    assert.deepEqual(state['message_annotations'], { 'x-opt-why': 'busy' });
  });

  it('keeps the outcomes apart where they are given in another order than the messages came', async (t) => {
    const { sender, receiver } = await line(t);
    const sent = sender.sendAll([1, 2, 3, 4].map((body) => ({ body })));
    const [first, second, third, fourth] = (await receiver.received(4)).map(({ delivery }) => delivery);
    fourth!.release();
    await until('one outcome', () => sender.settled.length === 1);
    second!.reject();
    await until('two outcomes', () => sender.settled.length === 2);
    third!.modified({ delivery_failed: true });
    await until('three outcomes', () => sender.settled.length === 3);
    first!.accept();
    assert.deepEqual(
      (await sent).map(({ outcome }) => outcome),
      ['accepted', 'rejected', 'modified', 'released'],
    );
  });

  it('releases what was never sent, and reports as failed what was, when the receiver goes away', async (t) => {
    const { sender, receiver } = await line(t, { receiver: { credit_window: 0 } });
    receiver.link.add_credit(1);
    const sent = sender.sendAll([{ body: 'sent' }, { body: 'waiting' }]);
    await receiver.received(1);
    await until('both to be in the router', () => sender.pending === 2);
    receiver.link.connection.close();
    assert.deepEqual(
      (await sent).map(({ outcome }) => outcome),
      ['modified', 'released'],
    );
  });

  it('passes presettled messages on as such', async (t) => {
    const { sender, receiver } = await line(t);
    for (let i = 0; i < 300; i++) await sender.sendSettled({ body: i });
    const arrivals = await receiver.received(300);
    assert.deepEqual(
      receiver.bodies,
      Array.from({ length: 300 }, (_, i) => i),
    );
    assert.ok(arrivals.every(({ delivery }) => delivery.remote_settled));
  });

  it('accepts for a receiver that wants its messages settled', async (t) => {
    const { sender, receiver } = await line(t, { receiver: { snd_settle_mode: 1 } });
    assert.equal((await sender.send({ body: 'gone' })).outcome, 'accepted');
    assert.equal((await receiver.next()).delivery.remote_settled, true);
  });

  it('settles at the receiver only once the sender has, with rcv-settle-mode second on both links', async (t) => {
    const { sender, receiver } = await line(t, {
      receiver: { rcv_settle_mode: 1 },
      sender: { rcv_settle_mode: 1, autosettle: false },
    });
    let atSender: Delivery | undefined;
    sender.link.on('accepted', ({ delivery }: { delivery?: Delivery }) => {
      atSender = delivery;
    });
    await until('credit', () => sender.link.sendable());
    sender.link.send({ body: 'twice' });
    const { delivery } = await receiver.next();
    delivery.accept();
    const known = await until('the sender to know the outcome', () => atSender);
    assert.equal(known.remote_settled, false);
    assert.equal(receiver.settledBySender, 0);
    known.update(true);
    await until("the sender's settlement at the receiver", () => receiver.settledBySender === 1);
  });

  it('settles at once towards a receiver of mode second whose sender is of mode first', async (t) => {
    const { sender, receiver } = await line(t, { receiver: { rcv_settle_mode: 1 } });
    const sent = sender.send({ body: 'once' });
    (await receiver.next()).delivery.accept();
    assert.equal((await sent).outcome, 'accepted');
    await until('the settlement at the receiver', () => receiver.settledBySender === 1);
  });
});

describe('messages, from rhea to rhea', () => {
  it('arrive with every section as it was sent', async (t) => {
    const { sender, receiver } = await line(t);
    const id = rhea.generate_uuid();
    const message: Message = {
      durable: true,
      priority: 7,
      ttl: 60_000,
      first_acquirer: true,
      delivery_count: 2,
      delivery_annotations: { 'x-opt-route': 'a' },
      message_annotations: { 'x-opt-kind': 'test', 'x-opt-number': rhea.types.wrap_long(5) },
      message_id: id,
      user_id: 'me',
      to: 'orders',
      subject: 'an order',
      reply_to: 'answers',
      correlation_id: rhea.types.wrap_ulong(7),
      content_type: 'text/plain',
      content_encoding: 'utf-8',
      absolute_expiry_time: new Date(1_893_456_000_000),
      creation_time: new Date(1_577_836_800_000),
      group_id: 'g',
      group_sequence: 3,
      reply_to_group_id: 'h',
      application_properties: { text: 'ü€😀', whole: 42, real: 1.5, yes: true, nothing: null },
      footer: { 'x-opt-sum': 'abc' },
      body: { list: [1, 'two', null], map: { deep: true } },
    };
    const sent = sender.send(message);
    const { message: got, delivery } = await receiver.next();
    delivery.accept();
    await sent;
    const direct = rhea.message.decode(rhea.message.encode(message));
    assert.deepEqual({ ...got }, { ...direct });
  });

  it('arrive with every kind of body', async (t) => {
    const { sender, receiver } = await line(t, { receiver: { autoaccept: true } });
    const { data_section, data_sections, sequence_section } = rhea.message;
    const bodies = [
      data_section(Buffer.from([0, 1, 2, 255])),
      data_sections([Buffer.from('a'), Buffer.from('b')]),
      sequence_section(['x', 1, false]),
      null,
      '',
      'text',
      Buffer.alloc(70_000, 7),
      rhea.types.wrap_timestamp(1_577_836_800_000),
    ];
    await sender.sendAll(bodies.map((body) => ({ body })));
    const arrivals = await receiver.received(bodies.length);
    for (const [i, body] of bodies.entries()) {
      const direct = rhea.message.decode(rhea.message.encode({ body }));
      assert.deepEqual(arrivals[i]!.message.body, direct.body, `body ${i}`);
    }
  });

  it('arrive in order, each once, in large numbers, every one accepted', async (t) => {
    const { sender, receiver } = await line(t, { receiver: { autoaccept: true, autosettle: true } });
    const COUNT = 10_000;
    const outcomes = await sender.sendAll(
      Array.from({ length: COUNT }, (_, i) => ({ message_id: i, body: `message ${i}` })),
    );
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'accepted').length, COUNT);
    await receiver.received(COUNT);
    assert.deepEqual(
      receiver.arrivals.map(({ message }) => message.message_id),
      Array.from({ length: COUNT }, (_, i) => i),
    );
  });
});

describe('multicast, from a rhea sender to rhea receivers', () => {
  it('copies to each, and tells the strongest outcome once all have spoken', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const receivers = [];
    for (let i = 0; i < 3; i++) {
      const far = await RheaClient.connect(t, router.port());
      receivers.push(await far.receiver({ source: { address: 'news/sport' }, autoaccept: false, autosettle: false }));
    }
    const sender = await client.sender('news/sport');
    const CASES: readonly [readonly ((delivery: Delivery) => void)[], string][] = [
      [[(d) => d.accept(), (d) => d.release(), (d) => d.modified({ delivery_failed: true })], 'accepted'],
      [[(d) => d.accept(), (d) => d.reject(), (d) => d.accept()], 'rejected'],
      [[(d) => d.release(), (d) => d.release(), (d) => d.modified({ delivery_failed: true })], 'modified'],
      [[(d) => d.release(), (d) => d.release(), (d) => d.release()], 'released'],
    ];
    for (const [acts, expected] of CASES) {
      const sent = sender.send({ body: expected });
      const arrivals: Arrival[] = await Promise.all(receivers.map((receiver) => receiver.next()));
      for (const [i, { message, delivery }] of arrivals.entries()) {
        assert.equal(message.body, expected);
        assert.equal(sender.pending, 1);
        acts[i]!(delivery);
      }
      assert.equal((await sent).outcome, expected);
    }
  });

  it('does not hold the others back for one that has no credit', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const slow = await client.receiver({ source: { address: 'news' }, credit_window: 0 });
    const quick = await client.receiver('news');
    const sender = await client.sender('news');
    const sent = sender.sendAll(Array.from({ length: 10 }, (_, i) => ({ body: i })));
    await quick.received(10);
    assert.equal(slow.arrivals.length, 0);
    assert.equal(sender.settled.length, 0);
    slow.link.add_credit(10);
    assert.ok((await sent).every(({ outcome }) => outcome === 'accepted'));
    assert.deepEqual(slow.bodies, quick.bodies);
  });
});
