// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, describe, it } from 'node:test';
import { RheaClient } from '@pointsman/interop';
import { JsonProcess, temporaryFolder, until } from '@pointsman/testing';
import type { Owner } from '@pointsman/testing';
import rhea from 'rhea';
import { AzureClient } from '../src/azure-client.js';
import { openNamespace } from '../src/azure-scene.js';

const owner = { after };
const PROGRAM = fileURLToPath(new URL('../src/azure-router-program.js', import.meta.url));

const TEN_MB = 10_000_000;
const IN_A_ROW = 10;
/** What the router's memory may grow by, all garbage included: it sees ten times as much, in each direction. */
const GROWTH_MAX = 30_000_000;

const cloud = await openNamespace(owner, {
  queues: [{ name: 'large', maxMessageSizeBytes: 11_000_000 }, 'small'],
});

const CONF = `
router {
    mode: standalone
    id: main-job-large
}
listener {
    host: 127.0.0.1
    port: 0
    saslMechanisms: ANONYMOUS
    authenticatePeer: no
}
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
    idleTimeoutSeconds: 120
    saslMechanisms: PLAIN
    saslUsername: RootManageSharedAccessKey
    saslPassword: pass:SAS_KEY_VALUE
}
address  { prefix: large  waypoint: yes }
autoLink { address: large  direction: out  connection: service-bus }
autoLink { address: large  direction: in   connection: service-bus }
address  { prefix: small  waypoint: yes }
autoLink { address: small  direction: out  connection: service-bus }
`;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Bytes that differ from message to message, and do not repeat in step with any frame. */
function pattern(seed: number): Buffer {
  return Buffer.alloc(
    TEN_MB,
    Uint8Array.from({ length: 253 }, (_, i) => (i * 31 + seed) % 253),
  );
}

/** A router in a process of its own. */
async function startRouter(of: Owner): Promise<{ readonly program: JsonProcess; readonly port: number }> {
  const file = join(await temporaryFolder(of), 'router.conf');
  await writeFile(file, CONF);
  const program = new JsonProcess(of, 'the router', process.execPath, [PROGRAM, file]);
  return { program, port: Number((await program.next('started'))['port']) };
}

async function memoryOf(program: JsonProcess): Promise<{ readonly rss: number; readonly rssMax: number }> {
  program.tell({});
  const { rss, rssMax } = await program.next('memory');
  return { rss: Number(rss), rssMax: Number(rssMax) };
}

describe('a message of 10 MB through a router to Service Bus and back', () => {
  it(`arrives unharmed, and the router does not hold it: ${IN_A_ROW} in a row hardly touch its memory`, async (t) => {
    const { program, port } = await startRouter(t);
    const far = await RheaClient.connect(t, port);
    const digests: string[] = [];
    const receiver = await far.receiver({ source: { address: 'large' }, credit_window: 2 });
    receiver.link.on('message', ({ message }: { message?: { body: { content: Buffer } } }) => {
      digests.push(sha256(message!.body.content));
      receiver.arrivals.length = 0;
    });
    const sender = await (await RheaClient.connect(t, port)).sender('large');
    const send = async (seed: number): Promise<string> => {
      const body = pattern(seed);
      const { outcome } = await sender.send({ message_id: `${seed}`, body: rhea.message.data_section(body) });
      assert.equal(outcome, 'accepted');
      return sha256(body);
    };
    // The first ones make it allocate what it then goes on with.
    const sent = [await send(0), await send(1)];
    await until('the first to come back', () => digests.length === sent.length);
    const before = await memoryOf(program);
    for (let i = 0; i < IN_A_ROW; i++) sent.push(await send(i + 2));
    await until('all to come back', () => digests.length === sent.length);
    assert.deepEqual(digests, sent);
    const { rssMax } = await memoryOf(program);
    const growth = rssMax - before.rss;
    t.diagnostic(`${before.rss} bytes before, at most ${rssMax} bytes after`);
    assert.ok(
      growth < GROWTH_MAX,
      `its memory has grown by ${growth} bytes, of ${2 * IN_A_ROW * TEN_MB} that went through`,
    );
    await until('the queue to be empty', () => cloud.namespace.counts('large').active === 0);
  });

  it('passes between rhea and the official client', async (t) => {
    const { port } = await startRouter(t);
    const azure = new AzureClient(t, cloud.caCertFile);
    const client = await azure.connect({ connectionString: cloud.connectionString() });
    const rheaClient = await RheaClient.connect(t, port);
    const body = pattern(99);
    const there = { message_id: 'there', body: rhea.message.data_section(body) };
    assert.equal((await (await rheaClient.sender('large')).send(there)).outcome, 'accepted');
    const receiver = await client.receiver('large');
    const got = await receiver.next();
    assert.equal(sha256(got.body as Buffer), sha256(body));
    await receiver.complete(got);
    await receiver.close();
    await (await client.sender('large')).send({ messageId: 'back', body });
    const back = await (await rheaClient.receiver('large')).next();
    assert.equal(back.message.message_id, 'back');
    assert.equal(sha256((back.message.body as { content: Buffer }).content), sha256(body));
  });

  it('is rejected to its sender where the queue takes none so large, and the link goes on', async (t) => {
    const { port } = await startRouter(t);
    const sender = await (await RheaClient.connect(t, port)).sender('small');
    const { outcome, state } = await sender.send({ body: rhea.message.data_section(pattern(0)) });
    assert.equal(outcome, 'rejected');
    assert.equal((state['error'] as { condition?: string }).condition, 'amqp:link:message-size-exceeded');
    assert.equal((await sender.send({ body: 'small' })).outcome, 'accepted');
    assert.equal(cloud.namespace.counts('small').active, 1);
  });
});
