// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FrontDoor, Secret, entityAddressOf, makeSasToken } from '@pointsman/azure';
import type { FrontDoorOptions } from '@pointsman/azure';
import { Connection } from '@pointsman/engine';
import type {
  ConnectionHandler,
  IncomingDelivery,
  Link,
  ReceiverHandler,
  ReceiverLink,
  SenderHandler,
  SenderLink,
  TransferFrame,
} from '@pointsman/engine';
import { plainAddress } from '@pointsman/router';
import { decodeMessage, encodeMessage, plainOf, uuid } from '@pointsman/wire';
import type { AmqpErrorFields, AmqpValue, Attach, Message } from '@pointsman/wire';
import { read, section } from './five-steps-fixture.js';
import { VirtualClock } from './virtual-cloud.js';

const POLICY = 'clients';
const KEY = new Secret('key-of-the-clients');
const WALL = Date.UTC(2026, 0, 1);
const SAS = 'servicebus.windows.net:sastoken';

/** A link of the client, whichever way it goes. */
class Ours implements SenderHandler, ReceiverHandler {
  link!: SenderLink | ReceiverLink;
  error: AmqpErrorFields | undefined;
  readonly answers: Message[] = [];
  outcome = '';

  onAttached(): void {
    /* a refusal is told by the detach */
  }
  onDetach(link: Link, error: AmqpErrorFields | undefined): void {
    this.error = error;
    link.detach();
  }
  onLost(): void {
    this.error = { condition: 'lost' };
  }
  onSendable(): void {
    /* tests send by hand */
  }
  onDisposition(link: SenderLink, delivery: Parameters<SenderHandler['onDisposition']>[1], state: unknown): void {
    const { type, error } = state as { type: string; error?: AmqpErrorFields };
    this.outcome = `${type} ${error?.condition ?? ''}`.trim();
    link.settle(delivery);
  }
  onTransfer(_link: ReceiverLink, _delivery: IncomingDelivery, frame: TransferFrame): void {
    this.answers.push(decodeMessage(Uint8Array.from(frame.bytes.subarray(frame.payloadStart, frame.payloadEnd))));
  }
}

const conditionOf = ({ error }: Ours): string | undefined => error?.condition;

/** A client that has nothing to say to what the peer begins. */
const WELCOMING: ConnectionHandler = {
  onOpen: (connection) => connection.open(),
  onBegin: (begun) => begun.begin(),
  onEnd: () => undefined,
  onAttach: () => undefined,
  onClosed: () => undefined,
};

/** A client, and a door behind which every link is welcome; one process, virtual time. */
class Scene implements ConnectionHandler {
  readonly clock: VirtualClock = new VirtualClock();
  readonly judged: string[] = [];
  readonly #door: FrontDoor;
  readonly #client: Connection;
  readonly #server: Connection;
  #names = 0;
  /** Links behind the door whose handlers heard of an end. */
  readonly ended: string[] = [];

  constructor(options: Partial<FrontDoorOptions> = {}) {
    this.#door = new FrontDoor({
      keysOf: (policy) => (policy === POLICY ? [new Secret('an old one'), KEY] : []),
      clock: this.clock,
      nowMs: () => WALL + this.clock.time,
      onToken: (audience, { status }) => this.judged.push(`${audience} ${status}`),
      ...options,
    });
    this.#server = new Connection({ role: 'server', containerId: 'R', now: 0 }, this);
    this.#client = new Connection({ role: 'client', containerId: 'C', now: 0 }, WELCOMING);
    this.carry();
  }

  carry(): this {
    for (let moved = true; moved;) {
      moved = false;
      for (const [from, to] of [
        [this.#client, this.#server],
        [this.#server, this.#client],
      ] as const) {
        const buffers = from.takeOutput(this.clock.time);
        if (buffers === undefined) continue;
        moved = true;
        for (const buffer of buffers) to.receive(Uint8Array.from(buffer), this.clock.time);
        from.releaseOutput(buffers, this.clock.time);
      }
    }
    return this;
  }

  advance(ms: number): this {
    this.clock.time += ms;
    this.clock.strike();
    return this.carry();
  }

  send(address: string | undefined): Ours {
    const ours = new Ours();
    const session = this.#client.sessions[0] ?? this.#client.session();
    ours.link = session.attachSender(`l${this.#names++}`, ours, {
      source: { type: 'source' },
      target: address === undefined ? { type: 'target' } : { type: 'target', address },
    });
    this.carry();
    return ours;
  }

  receive(address: string, replyTo?: string): Ours {
    const ours = new Ours();
    const session = this.#client.sessions[0] ?? this.#client.session();
    const link = session.attachReceiver(`l${this.#names++}`, ours, {
      source: { type: 'source', address },
      target: { type: 'target', address: replyTo },
    });
    link.addCredit(10);
    ours.link = link;
    this.carry();
    return ours;
  }

  /** Puts a token over a pair of links of its own. @returns status and description */
  put(token: AmqpValue, audience = 'sb://ns/orders', type = SAS): string {
    const answers = this.receive('$cbs', `replies-${this.#names}`);
    const requests = this.send('$cbs');
    const { address } = answers.link.remoteAttach!.target as { address: string };
    this.request(requests, {
      properties: { messageId: 1, replyTo: address },
      applicationProperties: new Map([
        ['operation', 'put-token'],
        ['type', type],
        ['name', audience],
      ]),
      body: { kind: 'value', value: token },
    });
    const properties = answers.answers[0]?.applicationProperties;
    const answer = `${String(plainOf(properties?.get('status-code')))} ${String(plainOf(properties?.get('status-description')))}`;
    requests.link.detach();
    answers.link.detach();
    this.carry();
    return answer;
  }

  request(requests: Ours, message: Message): void {
    const bytes = encodeMessage(message);
    (requests.link as SenderLink).send(undefined, 0, false, undefined, bytes, 0, bytes.length, true);
    this.carry();
  }

  token(resource: string, lifeMs = 3_600_000, key = KEY, keyName = POLICY): string {
    const expiresAtSeconds = Math.floor((WALL + this.clock.time + lifeMs) / 1000);
    return makeSasToken({ resource, keyName, key, expiresAtSeconds }).reveal();
  }

  // ---- the router's side ----

  onOpen(connection: Connection): void {
    connection.open();
  }
  onBegin(session: Parameters<ConnectionHandler['onBegin']>[0]): void {
    session.begin();
  }
  onEnd(): void {
    /* links are told */
  }
  onClosed(): void {
    this.#door.close();
  }
  onAttach(link: SenderLink | ReceiverLink, attach: Attach): void {
    if (this.#door.take(link, attach)) return;
    const handler = new Ours();
    handler.onDetach = (_link, error) => this.ended.push(`${link.name} ${error?.condition}`);
    if (link.isReceiver) (link as ReceiverLink).accept(handler);
    else (link as SenderLink).accept(handler);
  }
}

describe('the front door for clients of Service Bus', () => {
  it('lets links through as far as tokens go, and no further', () => {
    const scene = new Scene();
    assert.equal(scene.send('orders').error?.condition, 'amqp:unauthorized-access');
    assert.equal(scene.put(scene.token('sb://ns/orders')), '202 Accepted');
    for (const address of ['orders', 'Orders', 'orders/$management', 'sb://ns/orders/$DeadLetterQueue'])
      assert.equal(scene.receive(address).error, undefined, address);
    assert.equal(scene.send('orders').error, undefined);
    for (const address of ['orders2', 'bills', 'ord'])
      assert.match(
        scene.send(address).error?.description ?? '',
        /'Send' claim.*No token for it was put to \$cbs/,
        address,
      );
  });

  it('opens no node of the router itself, whatever the token says', () => {
    const scene = new Scene();
    assert.equal(scene.put(scene.token('sb://ns/'), 'sb://ns/'), '202 Accepted');
    assert.equal(scene.send('orders').error, undefined);
    for (const address of [
      '$management',
      '_local/$management',
      '_topo/0/R/$management',
      'amqp:/_topo/0/R/x',
      // What a router makes of these is its own node, too.
      '//$management',
      'x:/$management',
      'orders/x:/$management',
      'amqps:/$management',
      'amqps://ns//$management',
      'amqps://ns//_local/$management',
      'sb://ns///_topo/0/R/$management',
      undefined,
    ])
      assert.equal(scene.send(address).error?.condition, 'amqp:unauthorized-access', address);
  });

  it('judges an address by what the router will make of it, however it is spelt', () => {
    const parts = ['a', 'b', '/', ':', '//', 'x:/', 'sb://h/', '..', '$management', '_local/'];
    let opened = 0;
    for (const first of parts) {
      const scene = new Scene();
      assert.equal(scene.put(scene.token('sb://ns/a'), 'sb://ns/a'), '202 Accepted');
      for (const second of parts)
        for (const third of ['', ...parts]) {
          const address = first + second + third;
          if (scene.send(address).error !== undefined) continue;
          opened += 1;
          const routed = plainAddress(entityAddressOf(address).path);
          assert.match(routed, /^a(?:\/|$)/u, address);
          assert.doesNotMatch(routed, /(?:^|\/)\.\.(?:\/|$)/u, address);
        }
    }
    assert.ok(opened > 5, `${opened} addresses are of the entity`);
  });

  it('fills no log with refusals, and says when it falls silent', () => {
    const told: string[] = [];
    const scene = new Scene({ onToken: (_, { status }, isLast) => told.push(`${status} ${isLast}`) });
    for (let count = 0; count < 150; count++) scene.put(scene.token('sb://ns/orders'), 'sb://ns/bills');
    assert.equal(told.length, 100);
    assert.deepEqual([told[0], told[98], told[99]], ['401 false', '401 false', '401 true']);
    scene.put(scene.token('sb://ns/orders'), 'sb://ns/orders');
    assert.equal(told.at(-1), '202 false');
  });

  it('opens nothing that lies a step upwards of what the token is for', () => {
    const scene = new Scene();
    scene.put(scene.token('sb://ns/orders'), 'sb://ns/orders');
    // The resource of a token is a text: it covers what begins with it.
    scene.put(scene.token('sb://ns/orders'), 'sb://ns/orders/../bills');
    for (const address of [
      'orders/../bills',
      'orders/..',
      'orders\\..\\bills',
      'orders/%2e%2E/bills',
      'orders%2f..%5Cbills',
    ])
      assert.equal(scene.send(address).error?.condition, 'amqp:unauthorized-access', address);
    for (const address of ['orders/a.b', 'orders/...', 'orders/.b', 'orders/$DeadLetterQueue'])
      assert.equal(scene.receive(address).error, undefined, address);
  });

  it('opens $management where that is routed, to whoever has a token for an event hub', () => {
    const scene = new Scene({ routesManagement: () => true });
    assert.equal(scene.receive('$management').error?.condition, 'amqp:unauthorized-access');
    assert.equal(scene.put(scene.token('sb://ns/hub'), 'sb://ns/hub'), '202 Accepted');
    assert.equal(scene.receive('$management').error, undefined);
    assert.equal(scene.send('$management').error, undefined);
    assert.equal(scene.send('_local/$management').error?.condition, 'amqp:unauthorized-access');
    scene.advance(3_600_001);
    assert.equal(scene.ended.length, 2);
  });

  it('takes a signature that comes as a jwt: the client for Python calls every token one', () => {
    const scene = new Scene();
    assert.equal(scene.put(scene.token('sb://ns/orders'), 'sb://ns/orders', 'jwt'), '202 Accepted');
    assert.match(scene.put(scene.token('sb://ns/orders'), 'sb://ns/orders', 'other'), /^401 /);
    assert.equal(conditionOf(scene.send('orders')), undefined);
  });

  it('takes no token that is forged, over, of another policy, of another entity, or of another kind', () => {
    const scene = new Scene();
    const cases: readonly (readonly [answer: string, expected: RegExp])[] = [
      [scene.put(scene.token('sb://ns/orders', 3_600_000, new Secret('guess'))), /^401 InvalidSignature/],
      [scene.put(scene.token('sb://ns/orders', 3_600_000, KEY, 'another')), /^401 InvalidSignature/],
      [scene.put(scene.token('sb://ns/orders', -1_000)), /^401 ExpiredToken/],
      [scene.put(scene.token('sb://ns/bills')), /^401 InvalidAudience/],
      [scene.put('nonsense'), /^401 MalformedToken/],
      [scene.put(7), /^400 .*the token as its body/],
      [scene.put('e30.e30.e30', 'sb://ns/orders', 'jwt'), /^401 .*this router knows shared access keys alone/],
    ];
    for (const [answer, expected] of cases) assert.match(answer, expected);
    assert.equal(scene.send('orders').error?.condition, 'amqp:unauthorized-access');
    assert.doesNotMatch(scene.judged.join(' '), /sig=/);
  });

  it('ends links with their token, unless a newer one was put', () => {
    const scene = new Scene();
    scene.put(scene.token('sb://ns/orders', 60_000));
    const kept = scene.send('orders');
    scene.put(scene.token('sb://ns/bills', 60_000), 'sb://ns/bills');
    const left = scene.send('bills');
    scene.advance(30_000);
    scene.put(scene.token('sb://ns/orders', 60_000));
    scene.advance(31_000);
    assert.equal(conditionOf(kept), undefined);
    assert.equal(left.error?.condition, 'amqp:link:detach-forced');
    assert.match(left.error?.description ?? '', /RenewToken/);
    assert.deepEqual(
      scene.ended,
      [`${left.link.name} amqp:link:detach-forced`],
      'whoever serves the link is told, too',
    );
    scene.advance(60_000);
    assert.equal(conditionOf(kept), 'amqp:link:detach-forced');
  });

  it('lets thousands of links through, of which those that are left end with their token', () => {
    const scene = new Scene();
    scene.put(scene.token('sb://ns/', 60_000), 'sb://ns/');
    const links = Array.from({ length: 4_000 }, (_, n) => scene.send(`queue-${n % 100}/part`));
    assert.ok(links.every(({ error }) => error === undefined));
    for (const { link } of links.slice(100)) link.detach();
    scene.carry().ended.length = 0;
    scene.advance(61_000);
    assert.equal(scene.ended.length, 100);
    assert.ok(links.slice(0, 100).every((link) => conditionOf(link) === 'amqp:link:detach-forced'));
  });

  it('grants what lies below the resource of a token, part by part, and nothing beside it', () => {
    const scene = new Scene();
    scene.put(scene.token('sb://ns/news/Subscriptions'), 'sb://ns/news/Subscriptions');
    for (const [address, isOpen] of [
      ['news/subscriptions/all', true],
      ['NEWS/Subscriptions/all/$DeadLetterQueue', true],
      ['news/subscriptions', true],
      ['news', false],
      ['news/subscriptionsx/all', false],
      ['old/news/subscriptions', false],
      [`news/subscriptions/${'/'.repeat(1_100)}`, false],
    ] as const)
      assert.equal(scene.receive(address).error === undefined, isOpen, address.slice(0, 60));
  });

  it('takes tokens without a look where the listener decides, and lets all links through', () => {
    const scene = new Scene({ keysOf: undefined });
    assert.equal(scene.put('e30.e30.e30', 'sb://ns/orders', 'jwt'), '202 Accepted');
    for (const address of ['orders', '$management', undefined]) assert.equal(scene.send(address).error, undefined);
  });

  it('answers with the id of the request, in its type, on the link that reply-to means', () => {
    const scene = new Scene({ keysOf: undefined });
    const first = scene.receive('$cbs', 'here');
    const second = scene.receive('$cbs', 'there');
    const requests = scene.send('$cbs');
    const id = uuid(Uint8Array.from({ length: 16 }, (_, n) => n));
    const body = { kind: 'value', value: 'token' } as const;
    const applicationProperties = new Map<string, AmqpValue>([
      ['operation', 'put-token'],
      ['type', SAS],
      ['name', 'sb://ns/q'],
    ]);
    scene.request(requests, { properties: { messageId: id, replyTo: 'here' }, applicationProperties, body });
    assert.deepEqual(first.answers[0]?.properties?.correlationId, id);
    assert.equal(requests.outcome, 'accepted');
    // The official JavaScript client gives the name of its link, and no address.
    scene.request(requests, { properties: { messageId: 'b', replyTo: second.link.name }, applicationProperties, body });
    assert.equal(second.answers[0]?.properties?.correlationId, 'b');
    scene.request(requests, { properties: { messageId: 'c', replyTo: 'nowhere' }, applicationProperties, body });
    assert.equal(requests.outcome, 'rejected amqp:not-found');
    scene.request(requests, { properties: { messageId: 'd', replyTo: 'here' }, body });
    assert.match(String(plainOf(first.answers[1]?.applicationProperties?.get('status-description'))), /'put-token'/);
  });

  it('is bounded in links and tokens of a connection', () => {
    const scene = new Scene();
    const links = Array.from({ length: 17 }, () => scene.send('$cbs'));
    assert.equal(links[15]!.error, undefined);
    assert.match(links[16]!.error?.description ?? '', /16 links to \$cbs already/);
    for (const { link } of links) link.detach();
    scene.carry();
    assert.equal(scene.send('$cbs').error, undefined, 'those that have gone do not count');
    const many = new Scene();
    for (let n = 0; n < 1000; n++) many.put(many.token(`sb://ns/q${n}`, n < 10 ? 60_000 : 3_600_000), `sb://ns/q${n}`);
    assert.match(many.put(many.token('sb://ns/more'), 'sb://ns/more'), /^403 The maximum number/);
    many.advance(61_000);
    assert.equal(many.put(many.token('sb://ns/more'), 'sb://ns/more'), '202 Accepted');
  });
});

describe('azureClients and azureKeys of a listener', () => {
  const read1 = (attributes: Record<string, string>): string => {
    const result = read(section('listener', { host: 'localhost', port: '5671', ...attributes }), { A: 'a', B: 'b' });
    const problems = result.ok ? result.warnings : result.problems;
    return problems.map(({ line, severity, message, hint }) => `${line} ${severity}: ${message} | ${hint}`).join('\n');
  };

  it('are read: one key or several for a policy, by reference', () => {
    const text = section('listener', {
      host: 'localhost',
      azureClients: 'sas',
      azureKeys: '{ "p": "env:A", "q": ["env:A", "env:B"] }',
    });
    const result = read(text, { A: 'a', B: 'b' });
    assert.ok(result.ok);
    const { azureKeys } = result.config.listeners[0]!;
    const keys = [...azureKeys].map(
      ([policy, secrets]) => `${policy}: ${secrets.map((one) => one.reveal()).join(' ')}`,
    );
    assert.deepEqual(keys, ['p: a', 'q: a b']);
  });

  it('are refused with line and cure where they do not fit', () => {
    const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
      [{ azureClients: 'sas' }, /^4 error: .*no 'azureKeys' to judge tokens by \| azureKeys: \{/],
      [{ azureKeys: '{ "p": "env:A" }' }, /^4 error: 'azureKeys' of listener has no effect \| azureClients: sas/],
      [{ azureClients: 'sas', azureKeys: '{ "p": 7 }' }, /^5 error: .*has no key for policy 'p'/],
      [
        { azureClients: 'sas', azureKeys: '{ "p": "env:C" }' },
        /^5 error: 'azureKeys' of listener .*C, which is not set/,
      ],
      [{ azureClients: 'sas', azureKeys: '{ "p": "s3cret" }' }, /^5 warning: it is unsafe to have 'azureKeys'/],
      [
        { azureClients: 'sas', azureKeys: '{ "p": "env:A" }', authenticatePeer: 'yes' },
        /both azureClients: sas and authenticatePeer/,
      ],
      [{ azureClients: 'admitted', saslMechanisms: 'EXTERNAL' }, /they come with SASL ANONYMOUS/],
      [{ azureClients: 'admitted', host: '0.0.0.0' }, /warning: .*takes tokens without TLS/],
    ];
    for (const [attributes, expected] of cases) {
      assert.match(read1(attributes), expected);
      assert.doesNotMatch(read1(attributes), /s3cret/);
    }
  });
});
