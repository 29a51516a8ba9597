// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { ProtonPeer, RheaClient } from '@pointsman/interop';
import { bytesHeld, skipWithout, startRouter, until } from '@pointsman/testing';

const skip = skipWithout('Qpid Proton (Python)');

const CONF = `
router {
  mode: standalone
  id: large-messages
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

const TEN_MB = 10_000_000;
/**
 * What the router may hold of messages in all, far less than one large message: a window of 1 MiB, and a backlog of 256 KiB. The
 * chunks that they were read into are held whole, and some are filled to a quarter.
 */
const HELD_MAX = 5_500_000;

/** Still more than the router may wait with; Proton takes long over one large message. */
const FOUR_MB = 4_000_000;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function pattern(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 31) % 253));
}

describe('a large message through the router', () => {
  for (const [name, address] of [
    ['to one receiver', 'one'],
    ['to several receivers', 'news'],
  ] as const) {
    it(`arrives unharmed ${name}, from rhea to rhea`, async (t) => {
      const router = await startRouter(t, CONF);
      const client = await RheaClient.connect(t, router.port());
      const receivers = [];
      for (let i = 0; i < (address === 'news' ? 3 : 1); i++) {
        receivers.push(await (await RheaClient.connect(t, router.port())).receiver(address));
      }
      const sender = await client.sender(address);
      const body = pattern(TEN_MB);
      const outcomes = await sender.sendAll([{ body: 'before' }, { body, message_id: 'big' }, { body: 'after' }]);
      assert.ok(outcomes.every(({ outcome }) => outcome === 'accepted'));
      for (const receiver of receivers) {
        const arrivals = await receiver.received(3);
        assert.deepEqual(
          arrivals.map(({ message }) => typeof message.body),
          ['string', 'object', 'string'],
        );
        assert.equal(sha256(arrivals[1]!.message.body as Buffer), sha256(body));
      }
    });
  }

  it(
    'passes while it is still being sent: the receiver has the first half before the sender has written the second',
    { skip },
    async (t) => {
      const router = await startRouter(t, CONF);
      const [near, far] = [await ProtonPeer.connect(t, router.port()), await ProtonPeer.connect(t, router.port())];
      await far.receiver('r', 'one', { credit: 1, raw: true });
      far.tell({ do: 'read', link: 'r' });
      await near.sender('s', 'one');
      near.tell({ do: 'stream', link: 's', begin: true, encoded: TEN_MB, bytes: TEN_MB / 2 });
      const { size, sha256 } = await near.next('encoded');
      await until('the first half to arrive', () =>
        far.events.some((event) => event.event === 'read' && Number(event['size']) > TEN_MB / 2 - 300_000),
      );
      assert.equal(far.count('read-all'), 0);
      near.tell({ do: 'stream', link: 's', end: true });
      const all = await far.next('read-all');
      assert.deepEqual([all['size'], all['sha256']], [size, sha256]);
      assert.equal((await near.next('settled'))['state'], 'accepted');
    },
  );

  for (const [name, address] of [
    ['does not read', 'one'],
    ['does not read while another one does', 'news'],
  ] as const) {
    it(`is not held whole where a receiver ${name}: its sender is held back`, { skip }, async (t) => {
      const router = await startRouter(t, CONF);
      const [near, far] = [
        await ProtonPeer.connect(t, router.port()),
        await ProtonPeer.connect(t, router.port(), { max_frame_size: 16_384 }),
      ];
      await far.receiver('r', address, { credit: 1, raw: true, capacity: 262_144 });
      const quick = address === 'news' ? await ProtonPeer.connect(t, router.port()) : undefined;
      await quick?.receiver('r', address, { credit: 1, raw: true });
      quick?.tell({ do: 'read', link: 'r' });
      await near.sender('s', address);
      const before = await bytesHeld();
      near.tell({ do: 'stream', link: 's', begin: true, encoded: TEN_MB, end: true });
      const { size, sha256 } = await near.next('encoded');
      await near.stalled();
      const held = (await bytesHeld()) - before;
      assert.ok(held < HELD_MAX, `it holds ${held} bytes of a message of ${TEN_MB}`);
      assert.equal(near.count('settled'), 0);
      far.tell({ do: 'read', link: 'r' });
      for (const reader of quick === undefined ? [far] : [far, quick]) {
        const all = await reader.next('read-all');
        assert.deepEqual([all['size'], all['sha256']], [size, sha256]);
      }
      assert.equal((await near.next('settled'))['state'], 'accepted');
    });
  }

  it('keeps other links of the same connections going meanwhile', { skip }, async (t) => {
    const router = await startRouter(t, CONF);
    const [near, far] = [
      await ProtonPeer.connect(t, router.port()),
      await ProtonPeer.connect(t, router.port(), { max_frame_size: 16_384 }),
    ];
    await far.receiver('r', 'one', { credit: 1, raw: true, capacity: 262_144 });
    await near.sender('s', 'one');
    near.tell({ do: 'stream', link: 's', begin: true, encoded: FOUR_MB, end: true });
    await near.stalled();
    // Both directions over the connection whose session is held back: attaches, flows and dispositions still pass.
    const client = await RheaClient.connect(t, router.port());
    const other = await client.sender('two');
    await near.receiver('r2', 'two', { credit: 10 });
    for (let i = 0; i < 10; i++) assert.equal((await other.send({ body: i })).outcome, 'accepted');
    far.tell({ do: 'read', link: 'r' });
    await far.next('read-all');
  });

  it('that loses its receiver in the middle comes back as failed, and the next one passes', { skip }, async (t) => {
    const router = await startRouter(t, CONF);
    const [near, far] = [
      await ProtonPeer.connect(t, router.port()),
      await ProtonPeer.connect(t, router.port(), { max_frame_size: 16_384 }),
    ];
    await far.receiver('r', 'one', { credit: 1, raw: true, capacity: 262_144 });
    await near.sender('s', 'one');
    near.tell({ do: 'stream', link: 's', begin: true, encoded: FOUR_MB, end: true });
    await near.stalled();
    await far.kill();
    const { state, failed } = await near.next('settled');
    assert.deepEqual([state, failed], ['modified', true]);
    const next = await RheaClient.connect(t, router.port());
    const receiver = await next.receiver('one');
    assert.equal((await near.send('s', { size: FOUR_MB }))['state'], 'accepted');
    assert.equal((await receiver.next()).message.body.content.length, FOUR_MB);
  });

  it(
    'that loses its sender in the middle is withdrawn from its receiver, who goes on with the next',
    { skip },
    async (t) => {
      const router = await startRouter(t, CONF);
      const [near, far] = [await ProtonPeer.connect(t, router.port()), await ProtonPeer.connect(t, router.port())];
      await far.receiver('r', 'one', { credit: 10, raw: true });
      far.tell({ do: 'read', link: 'r' });
      await near.sender('s', 'one');
      near.tell({ do: 'stream', link: 's', begin: true, encoded: TEN_MB, bytes: TEN_MB / 2 });
      await far.next('read');
      await near.kill();
      await far.next('aborted');
      const client = await RheaClient.connect(t, router.port());
      const sender = await client.sender('one');
      assert.equal((await sender.send({ body: 'next' })).outcome, 'accepted');
      assert.equal(far.count('read-all'), 1);
    },
  );
});
