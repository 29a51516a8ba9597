// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManagementRelays, SessionHolders } from '@pointsman/azure';
import { Connection } from '@pointsman/engine';
import type {
  ConnectionHandler,
  IncomingDelivery,
  Link,
  OutgoingDelivery,
  ReceiverHandler,
  ReceiverLink,
  SenderHandler,
  SenderLink,
  TransferFrame,
} from '@pointsman/engine';
import { AmqpArray, decodeMessage, encodeMessage, int, long, plainOf, symbol, uuid } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, DeliveryState, Message } from '@pointsman/wire';
import { VirtualCloud } from './virtual-cloud.js';

/** A link of a client, whichever way it goes. */
class ClientLink implements SenderHandler, ReceiverHandler {
  link!: SenderLink | ReceiverLink;
  isAttached = false;
  error: AmqpErrorFields | undefined;
  outcome = '';
  readonly answers: Message[] = [];
  #parts: Uint8Array[] = [];

  onAttached(link: Link): void {
    const { source, target } = link.remoteAttach!;
    this.isAttached = source !== undefined && target !== undefined;
  }
  onDetach(link: Link, error: AmqpErrorFields | undefined): void {
    this.error = error ?? { condition: 'none' };
    link.detach();
  }
  onLost(): void {
    this.error = { condition: 'lost' };
  }
  onSendable(): void {
    /* tests send by hand */
  }
  onDisposition(link: SenderLink, delivery: OutgoingDelivery, state: DeliveryState | undefined): void {
    const { type, error } = state as { type: string; error?: AmqpErrorFields };
    this.outcome = `${type} ${error?.condition ?? ''}`.trim();
    link.settle(delivery);
  }
  onTransfer(_link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    this.#parts.push(Uint8Array.from(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd)));
    if (!delivery.complete) return;
    this.answers.push(decodeMessage(Uint8Array.from(this.#parts.flatMap((part) => [...part]))));
    this.#parts = [];
  }
}

/** A client of the router whose links to `$management` nodes are all taken by the relays. */
class RelayedClient implements ConnectionHandler {
  readonly #cloud: VirtualCloud;
  readonly #mine: Connection;
  readonly #routers: Connection;
  #names = 0;

  constructor(cloud: VirtualCloud, relays: ManagementRelays, containerId: string) {
    this.#cloud = cloud;
    this.#mine = new Connection({ role: 'client', containerId, now: 0 }, this);
    this.#routers = new Connection(
      { role: 'server', containerId: 'R', now: 0 },
      {
        onOpen: (connection) => connection.open(),
        onBegin: (session) => session.begin(),
        onEnd: () => undefined,
        onClosed: () => undefined,
        onAttach(link, attach) {
          const terminus = attach.role ? attach.source : attach.target;
          const address = (terminus as { address: string }).address;
          if (!relays.take(link, attach, address)) link.refuse({ condition: 'not:ours' });
        },
      },
    );
    this.#carry();
  }

  /** Lets everything happen, here and at the namespace. */
  async settle(): Promise<this> {
    for (let round = 0; round < 4; round++) {
      this.#carry();
      // oxlint-disable-next-line no-await-in-loop
      await this.#cloud.settle();
    }
    return this;
  }

  #carry(): void {
    const { time } = this.#cloud.clock;
    for (let moved = true; moved;) {
      moved = false;
      for (const [from, to] of [
        [this.#mine, this.#routers],
        [this.#routers, this.#mine],
      ] as const) {
        const buffers = from.takeOutput(time);
        if (buffers === undefined) continue;
        moved = true;
        for (const buffer of buffers) to.receive(Uint8Array.from(buffer), time);
        from.releaseOutput(buffers, time);
      }
    }
  }

  /** That of the router, by which it knows the client. */
  get known(): Connection {
    return this.#routers;
  }

  attach(address: string, role: 'sends' | 'receives', name = `l${this.#names++}`): ClientLink {
    const link = new ClientLink();
    const session = this.#mine.sessions[0] ?? this.#mine.session();
    if (role === 'sends') {
      link.link = session.attachSender(name, link, { source: { type: 'source' }, target: { type: 'target', address } });
    } else {
      link.link = session.attachReceiver(name, link, {
        source: { type: 'source', address },
        target: { type: 'target', address: 'replies' },
      });
      link.link.addCredit(100);
    }
    return link;
  }

  send(link: ClientLink, message: Message, bytes = encodeMessage(message)): void {
    (link.link as SenderLink).send(undefined, 0, false, undefined, bytes, 0, bytes.length, true);
  }

  /** The same, in pieces as the router takes them, while the namespace takes nothing. */
  sendLarge(link: ClientLink, message: Message): void {
    const bytes = encodeMessage(message);
    const sender = link.link as SenderLink;
    sender.send(undefined, 0, false, undefined, bytes, 0, bytes.length, true);
    for (let sent = sender.sentBytes; sent < bytes.length;) {
      this.#carry();
      sent += sender.resume(bytes, sent, bytes.length, true);
    }
    this.#carry();
  }

  cut(): void {
    this.#routers.abort();
  }

  onOpen(connection: Connection): void {
    connection.open();
  }
  onBegin(): void {
    /* begun by us */
  }
  onEnd(): void {
    /* links are told */
  }
  onAttach(): void {
    /* the router attaches nothing */
  }
  onClosed(): void {
    /* cut by a test */
  }
}

function relaysOf(cloud: VirtualCloud, sessions = new SessionHolders()): ManagementRelays {
  return new ManagementRelays({
    connection: cloud.connection,
    name: 'R-management',
    authorize: (address, done) => cloud.cbs.authorize(address, done),
    linkNameOf: (client, name) => `${name}@${client.remoteOpen!.containerId}`,
    sessions,
    clock: cloud.clock,
  });
}

const peek = (id: AmqpValue, replyTo = 'replies'): Message => ({
  properties: { messageId: id, replyTo },
  applicationProperties: new Map<string, AmqpValue>([['operation', 'com.microsoft:peek-message']]),
  body: {
    kind: 'value',
    value: new Map<AmqpValue, AmqpValue>([
      ['from-sequence-number', long(0)],
      ['message-count', int(1)],
    ]),
  },
});

/** A request about a message session, or about what is named beside it. */
const ask = (operation: string, fields: readonly (readonly [AmqpValue, AmqpValue])[]): Message => ({
  properties: { messageId: operation, replyTo: 'replies' },
  applicationProperties: new Map<string, AmqpValue>([['operation', `com.microsoft:${operation}`]]),
  body: { kind: 'value', value: new Map<AmqpValue, AmqpValue>(fields) },
});

const status = ({ applicationProperties }: Message): number =>
  Number(plainOf(applicationProperties?.get('statusCode')));

describe('links of clients to $management of an entity', () => {
  it('share one pair, each with ids of its own: the same ids of two clients do not meet', async () => {
    const cloud = new VirtualCloud();
    const relays = relaysOf(cloud);
    const clients = [new RelayedClient(cloud, relays, 'a'), new RelayedClient(cloud, relays, 'b')];
    const pairs = clients.map((client) => [
      client.attach('orders/$management', 'sends'),
      client.attach('ORDERS/$Management', 'receives'),
    ]);
    for (const client of clients) await client.settle();
    for (const client of clients) await client.settle();
    assert.ok(pairs.flat().every(({ isAttached }) => isAttached));
    const ids = [uuid(Uint8Array.from({ length: 16 }, (_, n) => n)), 'same'];
    for (const [n, client] of clients.entries()) for (const id of ids) client.send(pairs[n]![0]!, peek(id));
    for (const client of clients) await client.settle();
    for (const client of clients) await client.settle();
    for (const [, answers] of pairs) {
      assert.deepEqual(
        answers!.answers.map(({ properties }) => properties?.correlationId),
        ids,
      );
      assert.deepEqual(
        answers!.answers.map(({ properties }) => properties?.to),
        ['replies', 'replies'],
      );
      assert.deepEqual(answers!.answers.map(status), [204, 204]);
    }
    // $cbs and one pair.
    assert.equal(cloud.namespace.links, 4);
  });

  it('are all there is: with the last of them the pair goes, and the next makes another', async () => {
    const cloud = new VirtualCloud();
    const client = new RelayedClient(cloud, relaysOf(cloud), 'a');
    const links = [client.attach('orders/$management', 'sends'), client.attach('orders/$management', 'receives')];
    await client.settle();
    for (const { link } of links) link.detach();
    await client.settle();
    assert.equal(cloud.namespace.links, 2, 'those to $cbs');
    assert.equal(cloud.cbs.tokens[0]!.links, 0);
    const again = client.attach('orders/$management', 'sends');
    await client.settle();
    assert.ok(again.isAttached);
  });

  it('are refused with the words of the service, or for want of a token', async () => {
    const cloud = new VirtualCloud();
    const client = new RelayedClient(cloud, relaysOf(cloud), 'a');
    const missing = client.attach('nothing/$management', 'sends');
    await client.settle();
    assert.equal(missing.error?.condition, 'amqp:not-found');
    assert.equal(missing.isAttached, false);
    assert.equal(client.attach('orders', 'sends').error, undefined);
  });

  it('are refused where the connection has no room for a session more', async () => {
    const cloud = new VirtualCloud({}, {});
    await cloud.settle();
    const relays = new ManagementRelays({
      connection: cloud.connection,
      name: 'R-management',
      authorize: undefined,
      linkNameOf: (_client, name) => name,
      sessions: new SessionHolders(),
      clock: cloud.clock,
    });
    for (const { length } = cloud.connection.sessions; cloud.connection.sessions.length < 5_000 + length;) {
      try {
        cloud.connection.session();
      } catch {
        break;
      }
    }
    const client = new RelayedClient(cloud, relays, 'a');
    const links = [client.attach('orders/$management', 'sends'), client.attach('orders/$management', 'receives')];
    await client.settle();
    assert.deepEqual(
      links.map(({ error, isAttached }) => [error?.condition, isAttached]),
      Array.from({ length: 2 }, () => ['amqp:resource-limit-exceeded', false]),
    );
  });

  it('end when the service detaches the pair, and with the connection to it', async () => {
    const cloud = new VirtualCloud();
    const client = new RelayedClient(cloud, relaysOf(cloud), 'a');
    const first = client.attach('orders/$management', 'receives');
    await client.settle();
    cloud.namespace.faults.detachLinks('orders/$management');
    await client.settle();
    assert.equal(first.error?.condition, 'amqp:link:detach-forced');
    const second = client.attach('orders/$management', 'receives');
    await client.settle();
    assert.ok(second.isAttached);
    cloud.namespace.faults.closeConnections();
    await client.settle();
    assert.equal(second.error?.condition, 'amqp:link:detach-forced');
    assert.match(second.error?.description ?? '', /link to the namespace was lost/);
  });

  it('get no request through that nobody could be answered, or that is no message', async () => {
    const cloud = new VirtualCloud();
    const client = new RelayedClient(cloud, relaysOf(cloud), 'a');
    const requests = client.attach('orders/$management', 'sends');
    await client.settle();
    client.send(requests, peek('x'));
    await client.settle();
    assert.equal(requests.outcome, 'rejected amqp:not-found');
    const sender = requests.link as SenderLink;
    sender.send(undefined, 0, false, undefined, Uint8Array.of(1, 2, 3), 0, 3, true);
    await client.settle();
    assert.equal(requests.outcome, 'rejected amqp:decode-error');
    assert.equal(requests.error, undefined);
    const large = new Uint8Array((1 << 20) + 1);
    sender.send(undefined, 0, false, undefined, large, 0, large.length, true);
    let sent = sender.sentBytes;
    while (sent < large.length && sender.state === 'attached') {
      // oxlint-disable-next-line no-await-in-loop
      await client.settle();
      sent += sender.resume(large, sent, large.length, true);
    }
    await client.settle();
    assert.equal(requests.error?.['condition' as never], 'amqp:link:message-size-exceeded');
  });

  it('get no more requests through than there is room for, while the service takes none', async () => {
    const cloud = new VirtualCloud();
    const client = new RelayedClient(cloud, relaysOf(cloud), 'a');
    const requests = client.attach('orders/$management', 'sends');
    client.attach('orders/$management', 'receives');
    await client.settle();
    const large = { ...peek('x'), footer: new Map([['filler', new Uint8Array(1_000_000)]]) } as Message;
    let sent = 0;
    for (; requests.outcome === '' || requests.outcome === 'accepted'; sent++) {
      assert.ok(sent < 200, 'all of them are kept');
      client.sendLarge(requests, large);
    }
    assert.equal(requests.outcome, 'rejected com.microsoft:server-busy');
    // Once the service takes them again there is room.
    await client.settle();
    requests.outcome = '';
    client.send(requests, peek('y'));
    await client.settle();
    assert.equal(requests.outcome, 'accepted');
  });

  it('leave nothing behind when their client goes without a word', async () => {
    const cloud = new VirtualCloud();
    const relays = relaysOf(cloud);
    const client = new RelayedClient(cloud, relays, 'a');
    const requests = client.attach('orders/$management', 'sends');
    client.attach('orders/$management', 'receives');
    await client.settle();
    client.send(requests, peek('x'));
    client.cut();
    await client.settle();
    assert.equal(cloud.namespace.links, 2, 'those to $cbs');
    const next = new RelayedClient(cloud, relays, 'b');
    const other = next.attach('orders/$management', 'receives');
    await next.settle();
    assert.ok(other.isAttached);
    assert.deepEqual(other.answers, []);
  });
});

/** A queue with sessions, of which the first client holds `a` and the second `b`, by links over the one connection. */
async function openHall(): Promise<{
  /** @param bytes - what is sent as the message. Default: just that */
  readonly asked: (who: 0 | 1, message: Message, bytes?: Uint8Array) => Promise<string>;
  readonly endOf: readonly (() => void)[];
}> {
  const cloud = new VirtualCloud({ queues: [{ name: 'hall', requiresSession: true }] });
  const sessions = new SessionHolders();
  const relays = relaysOf(cloud, sessions);
  const clients = [new RelayedClient(cloud, relays, 'one'), new RelayedClient(cloud, relays, 'two')] as const;
  await cloud.settle();
  // Once a token is there.
  cloud.cbs.authorize('hall', () => undefined);
  await cloud.settle();
  const session = cloud.connection.session();
  const endOf = [...'ab'].map((id, n) => {
    const link = new ClientLink();
    session.attachReceiver(`session-${id}`, link, {
      source: { type: 'source', address: 'hall', filter: new Map([[symbol('com.microsoft:session-filter'), id]]) },
      target: { type: 'target' },
    });
    return sessions.hold('Hall', id, clients[n]!.known);
  });
  const pairs = clients.map((client) => ({
    client,
    requests: client.attach('hall/$management', 'sends'),
    answers: client.attach('hall/$management', 'receives').answers,
  }));
  for (const client of clients) await client.settle();
  return {
    endOf,
    async asked(who, message, bytes) {
      const { client, requests, answers } = pairs[who]!;
      client.send(requests, message, bytes);
      await client.settle();
      await client.settle();
      const answer = answers.pop();
      if (answer === undefined) return requests.outcome;
      assert.equal(answers.length, 0);
      const { properties, applicationProperties } = answer;
      assert.equal(properties?.correlationId, message.properties?.messageId);
      return `${status(answer)} ${String(plainOf(applicationProperties?.get('errorCondition')) ?? '')}`.trim();
    },
  };
}

const token = new AmqpArray('uuid', [uuid(new Uint8Array(16))]);
/** All that is asked about a session, and what the service says of it to one who holds it. */
const LEANING: readonly (readonly [string, readonly (readonly [AmqpValue, AmqpValue])[], string])[] = [
  ['renew-session-lock', [], '200'],
  ['get-session-state', [], '200'],
  ['set-session-state', [['session-state', Uint8Array.of(7)]], '200'],
  ['update-disposition', [['disposition-status', 'completed'], ['lock-tokens', token]], '410 com.microsoft:message-lock-lost'], // prettier-ignore
  ['receive-by-sequence-number', [['sequence-numbers', new AmqpArray('long', [long(1)])], ['receiver-settle-mode', int(1)]], '404 com.microsoft:message-not-found'], // prettier-ignore
  [
    'batch-delete-messages',
    [
      ['message-count', int(1)],
      ['enqueued-time-utc', long(0)],
    ],
    '204',
  ],
  ['something-new', [], '501 amqp:not-implemented'],
];
/** The message with a key in place of that which differs from it in its last letter. */
function twice(message: Message, key: string): Uint8Array {
  const other = key.slice(0, -1) + key.at(-1)!.toUpperCase();
  const text = Buffer.from(encodeMessage(message)).toString('latin1');
  assert.ok(text.includes(key) && text.includes(other));
  return Uint8Array.from(Buffer.from(text.replace(other, key), 'latin1'));
}

const LOST = '410 com.microsoft:session-lock-lost';

describe('message sessions of clients that share the node for management', () => {
  it('are of whoever holds them: another client is told that it has lost the lock, as the service would', async () => {
    const { asked } = await openHall();
    for (const [operation, fields, answer] of LEANING) {
      assert.equal(await asked(0, ask(operation, [...fields, ['session-id', 'a']])), answer, operation);
      assert.equal(await asked(0, ask(operation, [...fields, ['session-id', 'b']])), LOST, operation);
      assert.equal(await asked(1, ask(operation, [...fields, ['session-id', 'a']])), LOST, operation);
    }
    // What the service grants whoever may receive is granted.
    const peeking: readonly (readonly [AmqpValue, AmqpValue])[] = [
      ['from-sequence-number', long(0)],
      ['message-count', int(1)],
      ['session-id', 'a'],
    ];
    assert.equal(await asked(1, ask('peek-message', peeking)), '204');
  });

  it('are not got at by spelling a request so that the service might read another session in it', async () => {
    const { asked } = await openHall();
    const renew = (fields: readonly (readonly [AmqpValue, AmqpValue])[]): Promise<string> =>
      asked(1, ask('renew-session-lock', fields));
    assert.equal(await renew([[symbol('session-id'), 'a']]), LOST);
    assert.equal(await renew([['session-id', symbol('a')]]), LOST);
    assert.equal(await renew([['session-id', 'b'], [symbol('session-id'), 'a']]), LOST); // prettier-ignore
    assert.equal(await renew([['session-id', 'A']]), LOST);
    assert.equal(await renew([['session-id', [long(1)]]]), LOST);
    // A key twice, of which the service might read the other one.
    const operations = ask('peek-message', [['session-id', 'a']]);
    operations.applicationProperties = new Map([
      ['operation', 'com.microsoft:renew-session-lock'],
      ['operatioN', 'com.microsoft:peek-message'],
    ]);
    assert.equal(await asked(1, operations, twice(operations, 'operation')), 'rejected amqp:decode-error');
    const sessions = ask('renew-session-lock', [['session-id', 'a'], ['session-iD', 'b']]); // prettier-ignore
    assert.equal(await asked(1, sessions, twice(sessions, 'session-id')), 'rejected amqp:decode-error');
  });

  it("are nobody's when their link has gone", async () => {
    const { asked, endOf } = await openHall();
    const renew = ask('renew-session-lock', [['session-id', 'a']]);
    assert.equal(await asked(0, renew), '200');
    endOf[0]!();
    assert.equal(await asked(0, renew), LOST);
    // Once more: the end of a link is heard of once, and does no harm to who holds the session now.
    endOf[0]!();
    assert.equal(await asked(1, ask('renew-session-lock', [['session-id', 'b']])), '200');
  });
});
