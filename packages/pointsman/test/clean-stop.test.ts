// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import { opening, text, textOf, until } from './client-fixture.js';
import type { Opened } from './client-fixture.js';
import { Running } from './running-router.js';

const CONF = 'router { id: QDR.A }\nlistener { name: in  host: 127.0.0.1  port: 0 }\n';

async function clientOf(
  opened: Opened,
  router: Running,
): Promise<{ client: Client; lost: Promise<Error | undefined> }> {
  let tell: (error: Error | undefined) => void;
  const lost = new Promise<Error | undefined>((resolve) => (tell = resolve));
  const client = await connect({ host: '127.0.0.1', port: router.port('in')!, onLost: (error) => tell(error) });
  opened.add(client);
  return { client, lost };
}

describe('a router that stops', () => {
  it(
    'takes nothing more, and waits for the outcome of what a slow receiver has',
    opening(async (opened) => {
      const router = await Running.start(opened, CONF, { settleMs: 20_000 });
      const { client, lost } = await clientOf(opened, router);
      const receiver = await client.receiver('q', { credit: 10 });
      const sender = await client.sender('q');
      const first = sender.send(text('first'));
      const delivery = await receiver.next();
      const port = router.port('in')!;
      const stopped = router.process.stop();
      await until('its wait', () => router.io.err.includes('Stopping: 1 deliveries in flight have 20000 ms'));
      // Whoever comes now is turned away, and so are new links.
      await assert.rejects(connect({ host: '127.0.0.1', port }));
      await assert.rejects(client.receiver('other'), /detach-forced/);
      // The sender has no credit any more: this waits until the connection is gone.
      const second = assert.rejects(sender.send(text('second')));
      await delivery!.accept();
      assert.equal((await first).type, 'accepted');
      await stopped;
      await second;
      assert.match(String((await lost)?.message), /amqp:connection:forced/);
      assert.equal(textOf(delivery!.message), 'first');
      assert.match(router.io.err, /SERVER \(info\) Stopping: all were settled after \d+ ms\n.*Shut Down/s);
    }),
  );

  it(
    'gives up after a while, tells the sender so, and says whom it waited for',
    opening(async (opened) => {
      const router = await Running.start(opened, CONF, { settleMs: 30 });
      const { client } = await clientOf(opened, router);
      const receiver = await client.receiver('q', { credit: 1 });
      const sender = await client.sender('q');
      const taken = sender.send(text('taken'));
      const queued = sender.send(text('queued'));
      await receiver.next();
      await router.process.stop();
      assert.deepEqual(
        [await taken, await queued].map(({ type }) => type),
        ['modified', 'released'],
      );
      assert.match(
        router.io.err,
        /SERVER \(warning\) Stopping: \[C\d+\]\[L\d+\] 1 not settled by a receiver of M0q\n.*\(warning\) Stopping: 1 deliveries were not settled in time/,
      );
    }),
  );
});
