// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RheaClient } from '@pointsman/interop';
import type { RheaReceiver } from '@pointsman/interop';
import { startRouter, until } from '@pointsman/testing';

const CONF = `
router {
  mode: standalone
  id: rhea-links
}
listener {
  host: 127.0.0.1
  port: 0
  linkCapacity: 20
}
address {
  prefix: closed
  distribution: unavailable
}
`;

const numbers = (count: number): { body: number }[] => Array.from({ length: count }, (_, body) => ({ body }));

describe('credit, with rhea at both ends', () => {
  it('is given to a sender only once there is a receiver', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const sender = await client.sender('later');
    // An answered attach of a further link on the same session proves that a flow would have come by now.
    await client.sender('later/too');
    assert.equal(sender.credit, 0);
    const receiver = await client.receiver('later');
    assert.equal((await sender.send({ body: 'at last' })).outcome, 'accepted');
    assert.equal((await receiver.next()).message.body, 'at last');
  });

  it('limits what is ahead of settlement to linkCapacity', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const receiver = await client.receiver({ source: { address: 'a' }, autoaccept: false, credit_window: 100 });
    const sender = await client.sender('a');
    await until('credit', () => sender.credit > 0);
    assert.equal(sender.credit, 20);
    const sent = sender.sendAll(numbers(60));
    await receiver.received(20);
    await client.sender('a/next');
    assert.equal(receiver.arrivals.length, 20, 'no more than the capacity is on the way');
    for (let settled = 0; settled < 60; settled++) {
      await receiver.received(settled + 1);
      receiver.arrivals[settled]!.delivery.accept();
    }
    assert.ok((await sent).every(({ outcome }) => outcome === 'accepted'));
    assert.deepEqual(
      receiver.bodies,
      numbers(60).map(({ body }) => body),
    );
  });

  it('that a receiver gives is what it gets, and not one message more', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const receiver = await client.receiver({ source: { address: 'a' }, credit_window: 0 });
    const sender = await client.sender('a');
    const sent = sender.sendAll(numbers(10));
    receiver.link.add_credit(3);
    await receiver.received(3);
    await until('three outcomes', () => sender.settled.length === 3);
    await client.sender('a/next');
    assert.equal(receiver.arrivals.length, 3);
    receiver.link.add_credit(7);
    await receiver.received(10);
    await sent;
  });

  it('is used up on drain: at once where nothing waits, after what waits else', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const receiver = await client.receiver({ source: { address: 'a' }, credit_window: 0 });
    const drain = async (credit: number): Promise<void> => {
      receiver.drained = false;
      receiver.link.drain = true;
      receiver.link.add_credit(credit);
      await until('the drain to be answered', () => receiver.drained);
      receiver.link.drain = false;
    };
    await drain(5);
    assert.equal(receiver.arrivals.length, 0);
    assert.equal((receiver.link as unknown as { credit: number }).credit, 0);

    const sender = await client.sender('a');
    const sent = sender.sendAll(numbers(3));
    await until('all to be in the router', () => sender.pending === 3);
    await client.sender('a/next');
    await drain(10);
    assert.deepEqual(receiver.bodies, [0, 1, 2]);
    await sent;
    assert.equal((receiver.link as unknown as { credit: number }).credit, 0);

    receiver.link.add_credit(1);
    const late = sender.send({ body: 'after' });
    await receiver.received(4);
    await late;
  });

  it('spreads over receivers by how much each has in hand', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const receivers: RheaReceiver[] = [];
    for (let i = 0; i < 4; i++) {
      receivers.push(await client.receiver({ source: { address: 'shared' }, autoaccept: false, name: `worker-${i}` }));
    }
    const sender = await client.sender('shared');
    const sent = sender.sendAll(numbers(20));
    await until('all to arrive', () => receivers.reduce((sum, { arrivals }) => sum + arrivals.length, 0) === 20);
    assert.deepEqual(
      receivers.map(({ arrivals }) => arrivals.length),
      [5, 5, 5, 5],
    );
    for (const { arrivals } of receivers) for (const { delivery } of arrivals) delivery.accept();
    assert.ok((await sent).every(({ outcome }) => outcome === 'accepted'));
  });
});

describe('termini, with rhea', () => {
  it('answers requests over a dynamic source and an anonymous relay', async (t) => {
    const router = await startRouter(t, CONF);
    const server = await RheaClient.connect(t, router.port());
    const client = await RheaClient.connect(t, router.port());
    const requests = await server.receiver('service/upper');
    const answers = await server.sender({ target: {} });
    requests.link.on(
      'message',
      ({ message }: { message?: { body: string; reply_to?: string; message_id?: unknown } }) => {
        answers.link.send({
          to: message!.reply_to!,
          correlation_id: message!.message_id as string,
          body: message!.body.toUpperCase(),
        });
      },
    );
    const inbox = await client.receiver({ source: { address: '', dynamic: true } });
    assert.match(inbox.address, /^amqp:\/_topo\/0\/rhea-links\/temp\..{15}$/);
    const sender = await client.sender('service/upper');
    for (const word of ['one', 'two', 'three']) {
      await sender.send({ message_id: word, reply_to: inbox.address, body: word });
      const { message } = await inbox.next();
      assert.equal(message.correlation_id, word);
      assert.equal(message.body, word.toUpperCase());
    }
  });

  it('gives each dynamic source an address of its own, which ends with the link', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const one = await client.receiver({ source: { address: '', dynamic: true } });
    const two = await client.receiver({ source: { address: '', dynamic: true } });
    assert.notEqual(one.address, two.address);
    const relay = await client.sender({ target: {} });
    assert.equal((await relay.send({ to: one.address, body: 1 })).outcome, 'accepted');
    await one.close();
    assert.equal((await relay.send({ to: one.address, body: 2 })).outcome, 'released');
    assert.equal((await relay.send({ to: two.address, body: 3 })).outcome, 'accepted');
    assert.deepEqual([one.bodies, two.bodies], [[1], [3]]);
  });

  it('relays by the address of each message, and says what becomes of those without a way', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const [a, b] = [await client.receiver('a'), await client.receiver('b')];
    const relay = await client.sender({ target: {} });
    const outcomes = await relay.sendAll([
      { to: 'a', body: 1 },
      { to: 'b', body: 2 },
      { to: 'nobody', body: 3 },
      { body: 4 },
      { to: 'closed/x', body: 5 },
      { to: 'amqp://somewhere:5672/a', body: 6 },
    ]);
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ['accepted', 'accepted', 'released', 'rejected', 'rejected', 'accepted'],
    );
    const conditions = outcomes.map(({ state }) => (state['error'] as { condition?: string } | undefined)?.condition);
    assert.deepEqual(conditions.slice(3, 5), ['amqp:precondition-failed', 'amqp:not-found']);
    assert.deepEqual([a.bodies, b.bodies], [[1, 6], [2]]);
  });

  it('refuses an unavailable address, and a link between routers, each with its reason', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    await assert.rejects(client.sender('closed/x'), { condition: 'amqp:not-found' });
    await assert.rejects(client.receiver('closed/x'), { condition: 'amqp:not-found' });
    await assert.rejects(client.receiver({ source: { address: '' } }), { condition: 'qd:no-route-to-dest' });
    await assert.rejects(client.sender({ target: { address: 'x', capabilities: 'qd.router' } }), {
      condition: 'qd:forbidden',
    });
    const receiver = await client.receiver('open');
    const sender = await client.sender('open');
    assert.equal((await sender.send({ body: 'the connection is as well as before' })).outcome, 'accepted');
    await receiver.received(1);
  });
});

describe('links and sessions, with rhea', () => {
  it('may be closed and opened again under the same name', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    for (let round = 0; round < 5; round++) {
      const receiver = await client.receiver({ source: { address: 'again' }, name: 'my receiver' });
      const sender = await client.sender({ target: { address: 'again' }, name: 'my sender' });
      assert.equal((await sender.send({ body: round })).outcome, 'accepted');
      assert.deepEqual(receiver.bodies, [round]);
      await sender.close();
      await receiver.close();
    }
  });

  it('may be detached and attached again', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const sender = await client.sender('node');
    const first = await client.receiver({ source: { address: 'node' }, name: 'kept' });
    await sender.send({ body: 1 });
    first.link.detach();
    await until('the detach to be answered', () => !first.link.is_remote_open());
    const waiting = sender.send({ body: 2 });
    const second = await client.receiver({ source: { address: 'node' }, name: 'kept' });
    // What was sent before the router knew of the new link may have come back; from then on it flows.
    if ((await waiting).outcome === 'released') await sender.send({ body: 2 });
    assert.deepEqual([first.bodies, second.bodies], [[1], [2]]);
  });

  it('can be many on one session, and many sessions on one connection, without mixing', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const lines: { receiver: RheaReceiver; outcomes: Promise<unknown[]>; address: string }[] = [];
    for (let s = 0; s < 10; s++) {
      const session = client.session();
      for (let l = 0; l < 20; l++) {
        const address = `many/${s}/${l}`;
        const receiver = await client.receiver(address, session);
        const sender = await client.sender(address, session);
        lines.push({
          receiver,
          address,
          outcomes: sender.sendAll(numbers(25).map(({ body }) => ({ body: `${address}#${body}` }))),
        });
      }
    }
    for (const { receiver, address, outcomes } of lines) {
      assert.ok((await outcomes).every((one) => (one as { outcome: string }).outcome === 'accepted'));
      assert.deepEqual(
        receiver.bodies,
        numbers(25).map(({ body }) => `${address}#${body}`),
      );
    }
  });

  it('leave nothing behind when a session ends or a connection is cut', async (t) => {
    const router = await startRouter(t, CONF);
    // Beside those of the router's own nodes.
    const own = [...router.process.router.addresses].length;
    const count = (): number => [...router.process.router.addresses].length - own;
    const client = await RheaClient.connect(t, router.port());
    const session = client.session();
    for (let i = 0; i < 10; i++) {
      await client.receiver(`gone/${i}`, session);
      await client.sender(`gone/${i}`);
    }
    const other = await RheaClient.connect(t, router.port());
    await other.receiver('gone/too');
    assert.equal(count(), 11);
    other.cut();
    await until('the address of a cut connection to be forgotten', () => count() === 10);
    session.close();
    await until('consumers to be gone', () =>
      [...router.process.router.addresses].every(({ consumers }) => consumers.length === 0),
    );
    await client.close();
    await until('every address to be forgotten', () => count() === 0);
  });

  it('may have one name on different sessions', async (t) => {
    const router = await startRouter(t, CONF);
    const client = await RheaClient.connect(t, router.port());
    const sender = await client.sender('node');
    const receivers = [await client.receiver({ source: { address: 'node' }, name: 'same' }, client.session())];
    receivers.push(await client.receiver({ source: { address: 'node' }, name: 'same' }, client.session()));
    const sent = await sender.sendAll(numbers(10));
    assert.ok(sent.every(({ outcome }) => outcome === 'accepted'));
    assert.equal(
      receivers.reduce((sum, { arrivals }) => sum + arrivals.length, 0),
      10,
    );
  });
});
