// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProtonPeer, RheaClient, runBlocking } from '@pointsman/interop';
import { skipWithout, startRouter, until } from '@pointsman/testing';

const skip = skipWithout('Qpid Proton (Python)');

const CONF = `
router {
  mode: standalone
  id: proton-router
}
listener {
  host: 127.0.0.1
  port: 0
}
address {
  prefix: closed
  distribution: unavailable
}
`;

describe("Proton's blocking clients through the router", { skip }, () => {
  it('send and receive with SASL ANONYMOUS', async (t) => {
    const router = await startRouter(t, CONF);
    const events = await runBlocking(t, 'roundtrip', `amqp://127.0.0.1:${router.port()}`, 'orders', 50, 'yes');
    assert.equal(events.at(-1)?.['count'], 50);
    assert.equal(router.logged(/Connection Opened.*auth=ANONYMOUS user=anonymous/).length, 2);
  });

  it('send and receive without SASL', async (t) => {
    const router = await startRouter(t, CONF);
    const events = await runBlocking(t, 'roundtrip', `amqp://127.0.0.1:${router.port()}`, 'orders', 50, 'no');
    assert.equal(events.at(-1)?.['count'], 50);
    assert.equal(router.logged(/Connection Opened.*auth=no /).length, 2);
  });

  for (const frame of [512, 1_000, 65_536]) {
    it(`transfer 1 MB in frames of ${frame} bytes`, async (t) => {
      const router = await startRouter(t, CONF);
      const [done] = await runBlocking(t, 'large', `amqp://127.0.0.1:${router.port()}`, 'big', 1_000_000, frame);
      assert.deepEqual([done?.['equal'], done?.['size']], [true, 1_000_000]);
    });
  }

  it('hear each outcome', async (t) => {
    const router = await startRouter(t, CONF);
    const events = await runBlocking(t, 'outcomes', `amqp://127.0.0.1:${router.port()}`, 'orders');
    const heard = events.filter(({ event }) => event === 'outcome').map(({ given, heard }) => [given, heard]);
    assert.deepEqual(heard, [
      ['accept', 'ACCEPTED'],
      ['reject', 'REJECTED'],
      ['release', 'RELEASED'],
      ['modify', 'MODIFIED'],
    ]);
  });

  it('ask over a dynamic source, and a rhea client answers', async (t) => {
    const router = await startRouter(t, CONF);
    const service = await RheaClient.connect(t, router.port());
    const answers = await service.sender({ target: {} });
    const asked = await service.receiver('service');
    asked.link.on(
      'message',
      ({ message }: { message?: { body: string; reply_to?: string; correlation_id?: string } }) => {
        const { reply_to, correlation_id, body } = message!;
        answers.link.send({ to: reply_to!, correlation_id: correlation_id!, body: body.toUpperCase() });
      },
    );
    const events = await runBlocking(t, 'requests', `amqp://127.0.0.1:${router.port()}`, 'service', 20);
    assert.match(String(events[0]?.['address']), /^amqp:\/_topo\/0\/proton-router\/temp\./);
    assert.equal(events.at(-1)?.['count'], 20);
  });

  it('are refused with the condition as such', async (t) => {
    const router = await startRouter(t, CONF);
    const [refused] = await runBlocking(t, 'refused', `amqp://127.0.0.1:${router.port()}`, 'closed/x');
    assert.deepEqual([refused?.event, refused?.['condition']], ['refused', 'amqp:not-found']);
  });
});

describe("Proton's event-driven containers through the router", { skip }, () => {
  it('exchange every outcome with its details', async (t) => {
    const router = await startRouter(t, CONF);
    const near = await ProtonPeer.connect(t, router.port());
    const far = await ProtonPeer.connect(t, router.port());
    await far.receiver('r', 'orders', { credit: 10, outcome: 'manual' });
    await near.sender('s', 'orders');
    const CASES = [
      { given: { state: 'accepted' }, heard: { state: 'accepted' } },
      { given: { state: 'released' }, heard: { state: 'released' } },
      {
        given: { state: 'rejected', condition: 'my:condition', description: 'my words' },
        heard: { state: 'rejected', condition: 'my:condition', description: 'my words' },
      },
      {
        given: { state: 'modified', failed: true, undeliverable: true },
        heard: { state: 'modified', failed: true, undeliverable: true },
      },
      { given: { state: 'modified', failed: true }, heard: { state: 'modified', failed: true, undeliverable: false } },
    ];
    for (const { given, heard } of CASES) {
      near.tell({ do: 'send', link: 's', body: 'x' });
      const { tag } = await far.next('message');
      far.tell({ do: 'settle', link: 'r', tag, ...given });
      const settled = await near.next('settled');
      assert.deepEqual(Object.fromEntries(Object.keys(heard).map((key) => [key, settled[key]])), heard);
    }
  });

  it('carry properties, annotations and application properties', async (t) => {
    const router = await startRouter(t, CONF);
    const peer = await ProtonPeer.connect(t, router.port());
    await peer.receiver('r', 'orders', { credit: 10 });
    await peer.sender('s', 'orders');
    const message = {
      id: 'id-1',
      subject: 'order',
      correlation_id: 'c-1',
      reply_to: 'answers',
      content_type: 'text/plain',
      durable: true,
      priority: 8,
      group_id: 'g',
      properties: { text: 'ü', number: 5, yes: true },
      annotations: { 'x-opt-a': 'b' },
    };
    peer.tell({ do: 'send', link: 's', body: 'hello', message });
    const got = await peer.next('message');
    assert.deepEqual(
      {
        id: got['id'],
        subject: got['subject'],
        correlation_id: got['correlation'],
        reply_to: got['replyTo'],
        content_type: got['contentType'],
        durable: got['durable'],
        priority: got['priority'],
        group_id: got['groupId'],
        properties: got['properties'],
        annotations: got['annotations'],
      },
      message,
    );
    assert.equal(got['body'], 'hello');
  });

  it('drain: what waits comes first, then the credit is gone', async (t) => {
    const router = await startRouter(t, CONF);
    const peer = await ProtonPeer.connect(t, router.port());
    await peer.receiver('r', 'orders');
    peer.tell({ do: 'drain', link: 'r', credit: 5 });
    assert.equal((await peer.next('drained'))['received'], 0);
    await peer.sender('s', 'orders');
    peer.tell({ do: 'send', link: 's', count: 3, body: 'waiting' });
    // The attach of a further link on the connection is answered after the router has all three.
    await peer.sender('fence', 'fence');
    peer.tell({ do: 'drain', link: 'r', credit: 10 });
    assert.equal((await peer.next('drained'))['received'], 3);
    peer.tell({ do: 'flow', link: 'r', credit: 1 });
    peer.tell({ do: 'send', link: 's', body: 'after' });
    await until('the message after the drain', () => peer.count('message') === 4);
  });

  it('exchange large numbers', async (t) => {
    const router = await startRouter(t, CONF);
    const [near, far] = [await ProtonPeer.connect(t, router.port()), await ProtonPeer.connect(t, router.port())];
    await far.receiver('r', 'orders', { credit: 500, replenish: true, quiet: true });
    await near.sender('s', 'orders', { quiet: true });
    near.tell({ do: 'send', link: 's', count: 5_000, body: 'one of many' });
    const settled = (): unknown => near.events.findLast((event) => 'settled' in event)?.['settled'];
    await until('every outcome', () => settled() === 5_000).catch((cause: unknown) => {
      const last = JSON.stringify({ near: near.events.at(-1), far: far.events.at(-1), log: router.log.slice(-5) });
      throw new Error(`not every outcome came: ${last}`, { cause });
    });
    assert.equal(far.events.findLast((event) => 'received' in event)?.['received'], 5_000);
  });

  it('withdraw a message in the middle: the receiver hears of the abort, and the next message is whole', async (t) => {
    const router = await startRouter(t, CONF);
    const [near, far] = [await ProtonPeer.connect(t, router.port()), await ProtonPeer.connect(t, router.port())];
    await far.receiver('r', 'orders', { credit: 10, raw: true });
    far.tell({ do: 'read', link: 'r' });
    await near.sender('s', 'orders');
    near.tell({ do: 'stream', link: 's', begin: true, encoded: 2_000_000, bytes: 1_000_000 });
    await far.next('read');
    near.tell({ do: 'stream', link: 's', abort: true });
    await far.next('aborted');
    assert.equal(far.count('read-all'), 0);
    const before = far.events.length;
    near.tell({ do: 'send', link: 's', size: 1_000 });
    await near.next('settled');
    assert.equal(far.events.slice(before).filter(({ event }) => event === 'read-all').length, 1);
  });

  it('stay connected while idle, by heartbeats at short time-outs in both directions', async (t) => {
    const router = await startRouter(t, CONF.replace('port: 0', 'port: 0\n  idleTimeoutSeconds: 1'));
    const peer = await ProtonPeer.connect(t, router.port(), { heartbeat: 0.3 });
    const connected = peer.events.find(({ event }) => event === 'connected');
    assert.equal(connected?.['idleTimeOut'], 0.5, 'half of what is enforced');
    const frames = async (): Promise<{ incoming: number; outgoing: number }> => {
      peer.tell({ do: 'frames', connection: 'c' });
      return (await peer.next('frames')) as unknown as { incoming: number; outgoing: number };
    };
    const before = await frames();
    // Many times what either side would close the connection after.
    await until('heartbeats both ways', async () => {
      const { incoming, outgoing } = await frames();
      return incoming - before.incoming >= 12 && outgoing - before.outgoing >= 8;
    });
    await peer.receiver('r', 'still/here', { credit: 1 });
    await peer.sender('s', 'still/here');
    assert.equal((await peer.send('s', { body: 'alive' }))['state'], 'accepted');
    assert.equal(peer.count('transport-error') + peer.count('disconnected'), 0);
  });
});
