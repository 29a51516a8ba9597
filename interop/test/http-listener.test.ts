// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RheaClient } from '@pointsman/interop';
import { startRouter, until, whenOver } from '@pointsman/testing';
import type { Owner, RouterFixture } from '@pointsman/testing';
import rhea from 'rhea';
import { WebSocket } from 'ws';

const conf = (http: string): string => `
router {
  mode: standalone
  id: http-listener
}
listener {
  name: amqp
  host: 127.0.0.1
  port: 0
}
listener {
  name: web
  host: 127.0.0.1
  port: 0
  http: yes
  ${http}
}
`;

/** A rhea client over WebSocket. */
function browser(owner: Owner, port: number, path: string, protocols: string | string[]): Promise<RheaClient> {
  const connect = rhea.websocket_connect(WebSocket as never);
  return RheaClient.connect(owner, port, {
    connection_details: connect(`ws://127.0.0.1:${port}${path}`, protocols, {}),
  } as never);
}

/** Opens a WebSocket. @returns it, or the status of the answer that it got instead */
function open(owner: Owner, port: number, protocols: string[]): Promise<WebSocket | number> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, protocols);
    whenOver(owner, () => socket.terminate());
    socket.on('open', () => resolve(socket));
    socket.on('unexpected-response', (request, response) => {
      request.destroy();
      resolve(response.statusCode ?? 0);
    });
    socket.on('error', reject);
  });
}

const started = (owner: Owner, http = ''): Promise<RouterFixture> => startRouter(owner, conf(http));

describe('AMQP over WebSocket at an HTTP listener', () => {
  for (const protocol of ['amqp', 'binary']) {
    it(`takes the subprotocol ${protocol} on any path, and messages cross to a plain AMQP client and back`, async (t) => {
      const router = await started(t);
      const web = await browser(t, router.port('web'), '/some/path?q', ['other', protocol]);
      const plain = await RheaClient.connect(t, router.port('amqp'));
      for (const [from, to] of [
        [web, plain],
        [plain, web],
      ] as const) {
        const receiver = await to.receiver('a');
        const sender = await from.sender('a');
        // More than one frame, and more than one WebSocket message.
        const body = Buffer.alloc(200_000, protocol);
        assert.equal((await sender.send({ body: rhea.message.data_section(body) })).outcome, 'accepted');
        const { message } = await receiver.next();
        assert.ok(body.equals((message.body as { content: Buffer }).content));
        await receiver.close();
      }
    });
  }

  it('refuses a client that offers neither', async (t) => {
    const router = await started(t);
    assert.equal(await open(t, router.port('web'), ['chat']), 400);
  });

  it('is off with websockets: no, while pages are still there', async (t) => {
    const router = await started(t, 'websockets: no');
    assert.equal(await open(t, router.port('web'), ['amqp']), 404);
    const answer = await fetch(`http://127.0.0.1:${router.port('web')}/healthz`);
    assert.equal(answer.status, 200);
  });

  it('is counted by the metrics, with its links and deliveries', async (t) => {
    const router = await started(t);
    const port = router.port('web');
    const client = await browser(t, port, '/', 'amqp');
    await client.receiver('a');
    const sender = await client.sender('a');
    for (let sent = 0; sent < 3; sent++) assert.equal((await sender.send({ body: sent })).outcome, 'accepted');
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    assert.match(metrics, /^qdr_connections_total 1$/mu);
    assert.match(metrics, /^qdr_links_total 2$/mu);
    assert.match(metrics, /^qdr_deliveries_ingress_total 3$/mu);
    assert.match(metrics, /^qdr_deliveries_egress_total 3$/mu);
    assert.match(metrics, /^qdr_accepted_deliveries_total 3$/mu);
  });

  it('ends with a close of AMQP and of the WebSocket when the router stops', async (t) => {
    const router = await started(t);
    const client = await browser(t, router.port('web'), '/', 'amqp');
    let isClosedByPeer = false;
    client.connection.on('connection_close', () => {
      isClosedByPeer = true;
    });
    // Far longer than this test may take: the client's answer, not the end of patience, lets the router stop.
    await router.process.stop(600_000);
    await until('the close', () => isClosedByPeer);
  });

  it('does not keep the router from stopping when a client has said nothing on its WebSocket', async (t) => {
    const router = await started(t);
    const socket = await open(t, router.port('web'), ['amqp']);
    assert.ok(socket instanceof WebSocket);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    // Far longer than this test may take: it is not waited for.
    await router.process.stop(600_000);
    await closed;
    await assert.rejects(fetch(`http://127.0.0.1:${router.port('web')}/healthz`));
  });
});
