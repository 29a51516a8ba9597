// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { ProtonPeer, RemoteError, RheaClient } from '@pointsman/interop';
import { skipWithout, until } from '@pointsman/testing';
import type { Owner } from '@pointsman/testing';
import type { ReceiverOptions } from 'rhea';
import { openNamespace } from '../src/azure-scene.js';

const skip = skipWithout('Qpid Proton (Python)');

const USER = 'RootManageSharedAccessKey';
const KEY = 'a+key/with==signs';
const WEAK = { name: 'listens', key: 'key-of-listens' };

const cloud = await openNamespace(
  { after },
  {
    policies: [
      { name: USER, key: KEY, rights: ['Send', 'Listen', 'Manage'] },
      { ...WEAK, rights: ['Listen'] },
    ],
    queues: ['shared'],
    topics: [{ name: 'news', subscriptions: [{ name: 'all' }] }],
  },
);
const { namespace } = cloud;
const { broker } = namespace;
const caCertFile = cloud.caCertFile!;

let names = 0;

/** Makes a queue for one test. @returns its name */
function queue(options: object = {}): string {
  const name = `queue-${++names}`;
  broker.createQueue({ name, ...options });
  return name;
}

function rhea(owner: Owner, options: object = {}): Promise<RheaClient> {
  const tls = { transport: 'tls', host: 'localhost', ca: readFileSync(caCertFile), username: USER, password: KEY };
  return RheaClient.connect(owner, cloud.ports.amqps!, { ...tls, ...options } as never);
}

function proton(owner: Owner, options: object = {}): Promise<ProtonPeer> {
  return ProtonPeer.connect(owner, cloud.ports.amqps!, {
    url: `amqps://localhost:${cloud.ports.amqps}`,
    ca: caCertFile,
    sasl: true,
    allowed_mechs: 'PLAIN',
    user: USER,
    password: KEY,
    ...options,
  });
}

/** Peek-lock, settled step by step, with credit as the test gives it. */
const peekLock = (address: string): ReceiverOptions => ({
  source: { address },
  snd_settle_mode: 0,
  rcv_settle_mode: 1,
  credit_window: 0,
  autoaccept: false,
  autosettle: false,
});

describe('rhea at the namespace, with PLAIN over TLS', () => {
  it('sends to a queue and receives from it with everything intact', async (t) => {
    const name = queue();
    const client = await rhea(t);
    const sender = await client.sender(name);
    const message = {
      message_id: 'm-1',
      subject: 'order',
      content_type: 'text/plain',
      group_id: 'g',
      ttl: 60_000,
      application_properties: { text: 'ü', number: 5, yes: true, nothing: null },
      message_annotations: { 'x-opt-mine': 'kept' },
      body: 'hello',
    };
    assert.equal((await sender.send(message)).outcome, 'accepted');
    const receiver = await client.receiver(name);
    const { message: got } = await receiver.next();
    const { message_annotations: annotations, ...sections } = message;
    const fields = got as unknown as Record<string, unknown>;
    assert.deepEqual(Object.fromEntries(Object.keys(sections).map((key) => [key, fields[key]])), sections);
    assert.equal(got.message_annotations?.['x-opt-mine'], annotations['x-opt-mine']);
    assert.equal(got.message_annotations?.['x-opt-sequence-number'], 1);
    await until('the queue to be empty', () => broker.counts(name).active === 0);
  });

  it('sees the delivery tag of a locked message as its lock token, 16 bytes', async (t) => {
    const name = queue();
    const client = await rhea(t);
    await (await client.sender(name)).send({ body: 1 });
    const receiver = await client.receiver(peekLock(name));
    receiver.link.add_credit(1);
    const { delivery } = await receiver.next();
    assert.equal((delivery as unknown as { tag: Buffer }).tag.length, 16);
  });

  it('completes, releases, abandons, defers and dead-letters by its outcomes, each confirmed', async (t) => {
    const name = queue();
    const client = await rhea(t);
    await (await client.sender(name)).sendAll([{ body: 'a' }, { body: 'b' }, { body: 'c' }, { body: 'd' }]);
    const receiver = await client.receiver(peekLock(name));
    receiver.link.add_credit(4);
    const [a, b, c, d] = await receiver.received(4);
    // One after the other: of two outcomes in one turn the library sends the first for both.
    const settles = [
      () => a!.delivery.accept(),
      () => b!.delivery.modified({ undeliverable_here: true } as never),
      () => c!.delivery.reject({ condition: 'app:unfit', description: 'no street' }),
      () => d!.delivery.release(),
    ];
    for (const [i, settle] of settles.entries()) {
      settle();
      await until('the confirmation', () => receiver.settledBySender === i + 1);
    }
    const { active, deferred, deadLetter } = broker.counts(name);
    assert.deepEqual({ active, deferred, deadLetter }, { active: 1, deferred: 1, deadLetter: 1 });
    receiver.link.add_credit(1);
    const again = (await receiver.received(5))[4]!;
    assert.deepEqual([again.message.body, again.message.delivery_count], ['d', 0], 'released: not counted');
    again.delivery.modified({ delivery_failed: true } as never);
    receiver.link.add_credit(1);
    const once = (await receiver.received(6))[5]!;
    assert.deepEqual([once.message.body, once.message.delivery_count], ['d', 1], 'modified: counted');
    const dead = await (await client.receiver(`${name}/$DeadLetterQueue`)).next();
    assert.equal(dead.message.body, 'c');
    assert.deepEqual(dead.message.application_properties, {
      DeadLetterReason: 'app:unfit',
      DeadLetterErrorDescription: 'no street',
    });
  });

  it('hears that a lock is lost', async (t) => {
    const name = queue({ lockDurationMs: 50 });
    const client = await rhea(t);
    await (await client.sender(name)).send({ body: 'slow' });
    const receiver = await client.receiver(peekLock(name));
    receiver.link.add_credit(1);
    const { delivery } = await receiver.next();
    await until('the lock to end', () => broker.counts(name).locked === 0);
    delivery.accept();
    await until('an answer', () => receiver.settledBySender === 1);
    const { error } = delivery.remote_state as unknown as { error?: { condition?: string } };
    assert.equal(error?.condition, 'com.microsoft:message-lock-lost');
    assert.equal(broker.counts(name).active, 1);
  });

  it('receives and deletes where it asks for settled messages', async (t) => {
    const name = queue();
    const client = await rhea(t);
    await (await client.sender(name)).sendAll([{ body: 1 }, { body: 2 }]);
    const receiver = await client.receiver({ source: { address: name }, snd_settle_mode: 1 });
    await receiver.received(2);
    assert.equal(broker.counts(name).active, 0);
  });

  it('drains', async (t) => {
    const name = queue();
    const client = await rhea(t);
    await (await client.sender(name)).sendAll([{ body: 1 }, { body: 2 }]);
    const receiver = await client.receiver(peekLock(name));
    receiver.link.drain = true;
    receiver.link.add_credit(5);
    await until('the credit to be used up', () => receiver.drained);
    assert.deepEqual(receiver.bodies, [1, 2]);
  });

  it('sends to a topic, and receives a copy from its subscription, written in lower case too', async (t) => {
    const client = await rhea(t);
    await (await client.sender('news')).send({ body: 'event' });
    const receiver = await client.receiver('news/subscriptions/all');
    assert.equal((await receiver.next()).message.body, 'event');
  });

  it('is connected with a wrong key, and refused at the attach', async (t) => {
    const client = await rhea(t, { password: 'wrong' });
    await assert.rejects(
      client.sender('shared'),
      refusal('amqp:unauthorized-access', /'Send' claim\(s\) are required/),
    );
    await assert.rejects(client.receiver('shared'), refusal('amqp:unauthorized-access', /'Listen' claim\(s\)/));
    const weak = await rhea(t, { username: WEAK.name, password: WEAK.key });
    await assert.rejects(weak.sender('shared'), refusal('amqp:unauthorized-access', /'Send' claim\(s\) are required/));
    await weak.receiver('shared');
  });

  it('is told what is wrong with an address', async (t) => {
    const client = await rhea(t);
    await assert.rejects(client.sender('nowhere'), refusal('amqp:not-found', /nowhere' could not be found/));
    await assert.rejects(client.receiver('news'), refusal('amqp:not-found', /could not be found/));
    await assert.rejects(client.sender({ target: {} }), refusal('amqp:not-allowed', /anonymous/));
  });

  it('is refused everything without a token where it comes with ANONYMOUS', async (t) => {
    const client = await rhea(t, { username: 'anonymous', password: undefined });
    await assert.rejects(client.sender('shared'), refusal('amqp:unauthorized-access', /claim\(s\) are required/));
  });

  it('is refused with an idle time-out under ten seconds', async (t) => {
    await assert.rejects(rhea(t, { idle_time_out: 8_000 }), /Minimum idle timeout is '10000' ms/);
  });
});

describe("Proton's Python client at the namespace, with PLAIN over TLS", { skip }, () => {
  it('sends to a queue and receives from it with everything intact', async (t) => {
    const name = queue();
    const peer = await proton(t);
    await peer.sender('s', name);
    const message = {
      id: 'm-1',
      subject: 'order',
      correlation_id: 'c-1',
      content_type: 'text/plain',
      properties: { text: 'ü', number: 5, yes: true },
    };
    assert.equal((await peer.send('s', { body: 'hello', message }))['state'], 'accepted');
    await peer.receiver('r', name, { credit: 10 });
    const got = await peer.next('message');
    assert.deepEqual(
      [got['body'], got['id'], got['subject'], got['contentType']],
      ['hello', 'm-1', 'order', 'text/plain'],
    );
    assert.deepEqual(got['properties'], message.properties);
    await until('the queue to be empty', () => broker.counts(name).active === 0);
  });

  it('settles with each outcome, in both settle modes', async (t) => {
    for (const second of [true, false]) {
      const name = queue();
      const peer = await proton(t);
      await peer.sender('s', name);
      for (const body of ['a', 'b', 'c']) await peer.send('s', { body });
      await peer.receiver('r', name, { credit: 3, outcome: 'manual', second });
      const settle = !second;
      const next = async (): Promise<unknown> => (await peer.next('message'))['tag'];
      peer.tell({ do: 'settle', link: 'r', tag: await next(), state: 'accepted', settle });
      peer.tell({ do: 'settle', link: 'r', tag: await next(), state: 'modified', undeliverable: true, settle });
      peer.tell({ do: 'settle', link: 'r', tag: await next(), state: 'rejected', condition: 'app:unfit', settle });
      await until('all three to be settled', () => broker.counts(name).locked === 0);
      const { active, deferred, deadLetter } = broker.counts(name);
      assert.deepEqual({ active, deferred, deadLetter }, { active: 0, deferred: 1, deadLetter: 1 });
    }
  });

  it('exchanges large numbers, and messages of many frames', async (t) => {
    const name = queue();
    const [near, far] = [await proton(t), await proton(t, { max_frame_size: 4_096 })];
    await far.receiver('r', name, { credit: 200, replenish: true, quiet: true });
    await near.sender('s', name, { quiet: true });
    near.tell({ do: 'send', link: 's', count: 2_000, body: 'one of many' });
    await until('every outcome', () => near.events.at(-1)?.['settled'] === 2_000);
    await until('every message', () => far.events.at(-1)?.['received'] === 2_000);
    await near.sender('large', name);
    assert.equal((await near.send('large', { size: 250_000 }))['state'], 'accepted');
    await until('the queue to be empty', () => broker.counts(name).active === 0);
  });

  it('is told what is wrong: key, address, size', async (t) => {
    const wrong = await proton(t, { password: 'wrong' });
    wrong.tell({ do: 'sender', connection: 'c', id: 's', address: 'shared' });
    assert.equal((await wrong.next('link-error'))['condition'], 'amqp:unauthorized-access');
    const peer = await proton(t);
    peer.tell({ do: 'receiver', connection: 'c', id: 'r', address: 'nowhere' });
    assert.equal((await peer.next('link-error'))['condition'], 'amqp:not-found');
    await peer.sender('s', 'shared');
    const { state, condition } = await peer.send('s', { size: 300_000 });
    assert.deepEqual([state, condition], ['rejected', 'amqp:link:message-size-exceeded']);
  });
});

function refusal(condition: string, text: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof RemoteError && error.condition === condition && text.test(error.description);
}
