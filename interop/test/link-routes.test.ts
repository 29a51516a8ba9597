// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProtonPeer, RheaClient, RheaServer } from '@pointsman/interop';
import { freePort, skipWithout, startRouter, until } from '@pointsman/testing';
import type { Owner, RouterFixture } from '@pointsman/testing';
import rhea from 'rhea';
import type { Delivery, EventContext, Receiver, Sender } from 'rhea';

const skip = skipWithout('Qpid Proton (Python)');

/** A router whose clients' links to `far` and below, and to `x/ANYTHING/z`, go to a container of its connector. */
const conf = (port: number): string => `
router {
  mode: standalone
  id: link-routes
}
listener {
  name: clients
  host: 127.0.0.1
  port: 0
}
listener {
  name: containers
  role: route-container
  host: 127.0.0.1
  port: 0
}
connector {
  name: container
  role: route-container
  host: 127.0.0.1
  port: ${port}
}
linkRoute {
  prefix: far
  direction: in
  connection: container
}
linkRoute {
  prefix: far
  direction: out
  connection: container
}
linkRoute {
  pattern: x/*/z
  direction: in
  connection: container
}
linkRoute {
  pattern: x/*/z
  direction: out
  connection: container
}
linkRoute {
  prefix: named
  direction: in
  containerId: by-name
  delExternalPrefix: named/
  addExternalPrefix: inside.
}
linkRoute {
  prefix: named
  direction: out
  containerId: by-name
  delExternalPrefix: named/
  addExternalPrefix: inside.
}
`;

interface Routed {
  readonly router: RouterFixture;
  readonly container: ProtonPeer;
  readonly client: ProtonPeer;
}

async function proton(owner: Owner, serve: object = {}): Promise<Routed> {
  const port = await freePort();
  const container = await ProtonPeer.listen(owner, port, 'far-away', serve);
  const router = await startRouter(owner, conf(port));
  await router.linkRoutesActive('container');
  const client = await ProtonPeer.connect(owner, router.port('clients'));
  return { router, container, client };
}

describe('link routes between Proton containers', { skip }, () => {
  it('carry a sender to the container, by prefix and by pattern, with every outcome of the container', async (t) => {
    const { container, client } = await proton(t, { outcome: 'manual' });
    for (const address of ['far', 'far/node', 'far.other', 'x/y/z']) {
      const opened = await client.sender(`s-${address}`, address);
      assert.equal(opened['target'], address);
      const there = await container.next('link-opened');
      assert.equal(there['target'], address);
      assert.match(String(there['name']), new RegExp(`^s-${address.replace('.', '\\.')}@`));
      const CASES = [
        { state: 'accepted' },
        { state: 'released' },
        { state: 'rejected', condition: 'my:condition', description: 'my words' },
        { state: 'modified', failed: true, undeliverable: true },
      ];
      for (const given of CASES) {
        client.tell({ do: 'send', link: `s-${address}`, body: address, message: { properties: { a: 1 } } });
        const message = await container.next('message');
        assert.deepEqual([message['body'], message['properties']], [address, { a: 1 }]);
        container.tell({ do: 'settle', link: there['link'], tag: message['tag'], ...given });
        const settled = await client.next('settled');
        assert.equal(settled['tag'], message['tag'], 'the delivery tag is the same at both ends');
        assert.deepEqual(Object.fromEntries(Object.keys(given).map((key) => [key, settled[key]])), given);
      }
    }
  });

  it('carry a receiver to the container: its filter, its credit, its outcomes', async (t) => {
    const { container, client } = await proton(t);
    const opened = await client.receiver('r', 'far/queue', {
      credit: 2,
      outcome: 'manual',
      selector: "colour = 'red'",
    });
    assert.equal(opened['source'], 'far/queue');
    const there = await container.next('link-opened');
    assert.deepEqual([there['source'], there['filters']], ['far/queue', ['selector']]);
    assert.deepEqual([(await container.next('credit'))['credit']], [2]);
    container.tell({ do: 'send', link: there['link'], count: 3, body: 'red' });
    for (const given of [{ state: 'accepted' }, { state: 'modified', failed: true, undeliverable: false }]) {
      const { tag } = await client.next('message');
      client.tell({ do: 'settle', link: 'r', tag, ...given });
      const settled = await container.next('settled');
      assert.deepEqual([settled['tag'], settled['state']], [tag, given.state]);
    }
    // The third waits for credit.
    await client.sender('fence', 'far/fence');
    assert.equal(client.count('message'), 2);
    client.tell({ do: 'flow', link: 'r', credit: 1 });
    await client.next('message');
  });

  it('drain through to the container and back', async (t) => {
    const { container, client } = await proton(t);
    await client.receiver('r', 'far/queue');
    const { link } = await container.next('link-opened');
    client.tell({ do: 'drain', link: 'r', credit: 5 });
    assert.equal((await client.next('drained'))['received'], 0);
    container.tell({ do: 'send', link, count: 3, body: 'late' });
    await container.next('queued');
    client.tell({ do: 'drain', link: 'r', credit: 10 });
    assert.equal((await client.next('drained'))['received'], 3);
    // Credit is counted right after two drains.
    client.tell({ do: 'flow', link: 'r', credit: 2 });
    container.tell({ do: 'send', link, count: 3, body: 'later' });
    await until('two more', () => client.count('message') === 5);
    client.tell({ do: 'flow', link: 'r', credit: 1 });
    await until('the last one', () => client.count('message') === 6);
  });

  it('carry large messages whole, in frames of any size', async (t) => {
    const { router, container, client } = await proton(t);
    await client.sender('s', 'far/node');
    client.tell({ do: 'send', link: 's', size: 3_000_000 });
    assert.equal((await container.next('message'))['size'], 3_000_000);
    assert.equal((await client.next('settled'))['state'], 'accepted');
    const small = await ProtonPeer.connect(t, router.port('clients'), { max_frame_size: 600 });
    await small.receiver('r', 'far/back', { credit: 1 });
    const { link } = await container.next('link-opened');
    container.tell({ do: 'send', link, size: 300_000 });
    assert.equal((await small.next('message'))['size'], 300_000);
  });

  it("pass the container's refusal on as it is", async (t) => {
    const { client } = await proton(t, { refuse: 'far/missing' });
    client.tell({ do: 'receiver', connection: 'c', id: 'r', address: 'far/missing' });
    const { condition, description } = await client.next('link-error');
    assert.deepEqual([condition, description], ['amqp:not-found', 'no such node']);
  });

  it('detach the client when the container goes, and route again when it is back', async (t) => {
    const { router, container, client } = await proton(t);
    await client.sender('s', 'far/node');
    await container.kill();
    assert.equal((await client.next('link-error'))['condition'], 'qd:routed-link-lost');
    await until('the route to be inactive', () => router.process.router.linkRoutes[0]?.status === 'inactive');
    client.tell({ do: 'sender', connection: 'c', id: 's2', address: 'far/node' });
    assert.equal((await client.next('link-error'))['condition'], 'qd:no-route-to-dest');
    const again = await ProtonPeer.listen(
      t,
      Number(/:(\d+)$/.exec(router.process.connectors[0]!.target)![1]),
      'far-away',
    );
    await router.linkRoutesActive('container');
    await client.sender('s3', 'far/node');
    assert.equal((await client.send('s3', { body: 'back' }))['state'], 'accepted');
    assert.equal((await again.next('message'))['body'], 'back');
  });

  it('find a container that connected to the router by its name, and rename its nodes', async (t) => {
    const { router, client } = await proton(t);
    const named = new ProtonPeer(t);
    await named.next('ready');
    named.tell({
      do: 'connect',
      id: 'c',
      container: 'by-name',
      url: `amqp://127.0.0.1:${router.port('containers')}`,
      sasl: false,
      serve: { credit: 10 },
    });
    await named.next('connected');
    await router.linkRoutesActive('by-name');
    const opened = await client.sender('s', 'named/a');
    assert.equal(opened['target'], 'named/a');
    assert.equal((await named.next('link-opened'))['target'], 'inside.a');
    assert.equal((await client.send('s', { body: 'hello' }))['state'], 'accepted');
    const back = await client.receiver('r', 'named/b', { credit: 1 });
    assert.equal(back['source'], 'named/b');
    const there = await named.next('link-opened');
    assert.equal(there['source'], 'inside.b');
    named.tell({ do: 'send', link: there['link'], body: 'answer' });
    assert.equal((await client.next('message'))['body'], 'answer');
  });
});

describe('link routes from rhea clients to a rhea container', () => {
  it('carry properties, filters and settlement in two steps', async (t) => {
    const attached: (Sender | Receiver)[] = [];
    const server = await RheaServer.listen(t, 'rhea-container', (container) => {
      container.sasl_server_mechanisms.enable_anonymous();
      container.on('receiver_open', ({ receiver }: EventContext) => {
        receiver!.set_target(receiver!.target);
        attached.push(receiver!);
      });
      container.on('sender_open', ({ sender }: EventContext) => {
        sender!.set_source(sender!.source);
        attached.push(sender!);
      });
    });
    const router = await startRouter(t, conf(server.port));
    await router.linkRoutesActive('container');
    const client = await RheaClient.connect(t, router.port('clients'));

    const receiver = await client.receiver({
      source: { address: 'far/queue', filter: rhea.filter.selector("colour = 'green'") },
      properties: { 'x-opt-reason': 'test' },
      rcv_settle_mode: 1,
      autoaccept: false,
    });
    const far = attached[0] as Sender;
    assert.equal(far.source.address, 'far/queue');
    assert.match(JSON.stringify(far.source.filter), /colour = 'green'/);
    assert.equal(far.properties['x-opt-reason'], 'test');
    assert.equal(far.rcv_settle_mode, 1);

    await until('credit at the container', () => far.sendable());
    let confirmed: Delivery | undefined;
    far.on('accepted', ({ delivery }: EventContext) => {
      confirmed = delivery;
      delivery!.update(true);
    });
    far.send({ body: 'locked' }, Buffer.from('0123456789abcdef'));
    const { delivery, message } = await receiver.next();
    assert.equal(message.body, 'locked');
    assert.equal(String(delivery.tag), '0123456789abcdef');
    delivery.accept();
    await until("the container's settlement", () => receiver.settledBySender === 1);
    assert.ok(confirmed);
  });

  it('reject a delivery whose tag is too long to be passed on, and nothing else', async (t) => {
    const server = await RheaServer.listen(t, 'rhea-container', (container) => {
      container.sasl_server_mechanisms.enable_anonymous();
    });
    const router = await startRouter(t, conf(server.port));
    await router.linkRoutesActive('container');
    const client = await RheaClient.connect(t, router.port('clients'));
    const sender = await client.sender('far/queue');
    const tags: number[] = [];
    server.container.on('message', ({ delivery }: EventContext) => tags.push((delivery!.tag as Buffer).length));
    await until('credit', () => sender.credit > 0);
    const rejected = new Promise<EventContext>((resolve) => {
      sender.link.once('rejected', resolve);
    });
    sender.link.send({ body: 'too long' }, Buffer.alloc(33));
    const { delivery } = await rejected;
    const { error } = delivery!.remote_state as { error: { condition: string; description: string } };
    assert.deepEqual([error.condition, error.description], ['amqp:invalid-field', 'delivery tag length exceeded']);
    sender.link.send({ body: 'just right' }, Buffer.alloc(32));
    await until('the other one', () => tags.length === 1);
    assert.deepEqual(tags, [32]);
  });
});

describe('a link route that a client makes for its own connection', () => {
  it('leads to it at once, and not any more when it is deleted or the client has gone', async (t) => {
    const router = await startRouter(t, conf(await freePort()));
    const service = await RheaClient.connect(t, router.port('clients'), { container_id: 'service' });
    const reached: string[] = [];
    service.connection.on('receiver_open', ({ receiver }: EventContext) => {
      reached.push(receiver!.target.address);
      receiver!.set_target(receiver!.target);
    });
    const replies = await service.receiver({ source: { dynamic: true } } as never);
    const requests = await service.sender('$management');
    const request = async (properties: object, body: object): Promise<Record<string, unknown>> => {
      void requests.send({
        reply_to: replies.link.source.address,
        correlation_id: '1',
        application_properties: { type: 'org.apache.qpid.dispatch.router.connection.linkRoute', ...properties },
        body,
      });
      const { message } = await replies.next();
      return { status: message.application_properties?.['statusCode'], ...(message.body as object) };
    };
    const made = await request({ operation: 'CREATE', name: 'mine' }, { pattern: 'service.#', direction: 'in' });
    assert.deepEqual([made['status'], made['containerId'], made['name']], [201, 'service', 'mine']);
    const client = await RheaClient.connect(t, router.port('clients'));
    const sender = await client.sender('service.a');
    assert.deepEqual(reached, ['service.a']);
    assert.equal((await sender.send({ body: 'work' })).outcome, 'accepted');
    const gone = await request({ operation: 'DELETE', name: 'mine' }, {});
    assert.equal(gone['status'], 204);
    await client.sender('service.b');
    assert.deepEqual(reached, ['service.a'], 'a plain address again');
  });
});
