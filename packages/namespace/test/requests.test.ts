// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  AmqpArray,
  decodeMessage,
  int,
  long,
  timestamp,
  Typed,
  ulong,
  uuid,
  type AmqpValue,
  type DeliveryState,
  type Message,
} from '@pointsman/wire';
import { swapGuid } from '../src/guid.js';
import { conditionOf, Harness, numberIn, sasToken, TIME_ORIGIN, type Client } from './harness.js';

const HOST = 'sb://example.servicebus.windows.net';
const EXPIRY = TIME_ORIGIN / 1000 + 3600;
const OPTIONS = {
  queues: [
    { name: 'orders', lockDurationMs: 30_000 },
    { name: 'own', policies: [{ name: 'local', key: 'local-key', rights: ['Listen'] as const }] },
  ],
};

type Request = (properties: Record<string, AmqpValue>, body: AmqpValue, messageId?: AmqpValue) => Message;
const put = (request: Request, audience: string, token: string): number =>
  numberIn(
    request(
      { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: audience },
      token,
    ).applicationProperties?.get('status-code'),
  );

describe('claims-based security', () => {
  it('opens nothing but $cbs before a token, and what the token covers after it', () => {
    const client = new Harness(OPTIONS).connect();
    assert.equal(client.sender('orders').detached?.condition, 'amqp:unauthorized-access');
    const request = client.requester('$cbs');
    assert.equal(put(request, `${HOST}/orders`, sasToken(`${HOST}/orders`, 'sender', 'sender-key', EXPIRY)), 202);
    assert.equal(client.sender('orders').detached, undefined);
    assert.equal(client.receiver('orders').detached?.condition, 'amqp:unauthorized-access', 'the policy may only send');
    assert.equal(client.sender('own').detached?.condition, 'amqp:unauthorized-access', 'another entity');
  });

  it('says that a request was taken before it answers, here and on $management: some clients know no other order', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    for (const node of ['$cbs', 'orders/$management']) {
      const answers = client.receiver(node, 10, { target: { type: 'target', address: 'replies' } });
      const requests = client.sender(node);
      const known: number[] = [];
      const take = answers.onTransfer.bind(answers);
      answers.onTransfer = (...transfer): void => {
        known.push(requests.outcomes.length);
        take(...transfer);
      };
      requests.send({ properties: { messageId: 'id', replyTo: 'replies' }, body: { kind: 'value', value: null } });
      assert.deepEqual(known, [1], node);
    }
  });

  it('gives 100 credits on $cbs and takes messages of any size there', () => {
    const sender = new Harness(OPTIONS).connect().sender('$cbs');
    assert.equal(sender.link.credit, 100);
    assert.equal(sender.attached?.maxMessageSize, 0xffff_ffff_ffff_ffffn);
  });

  it('answers with hyphenated names, and with the message-id in its type', () => {
    const request = new Harness(OPTIONS).connect().requester('$cbs');
    const token = sasToken(HOST, 'root', 'root-key', EXPIRY);
    for (const id of ['text', ulong(7), uuid(new Uint8Array(16).fill(9)), Uint8Array.of(1, 2)]) {
      const answer = request(
        { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: `${HOST}/orders` },
        token,
        id,
      );
      assert.deepEqual(answer.properties?.correlationId, id);
      assert.deepEqual(answer.applicationProperties?.get('status-code'), int(202));
      assert.equal(answer.applicationProperties?.get('status-description'), 'Accepted');
    }
  });

  it('refuses with 401, 404 and 400', () => {
    const request = new Harness(OPTIONS).connect().requester('$cbs');
    const audience = `${HOST}/orders`;
    assert.equal(put(request, audience, sasToken(audience, 'root', 'wrong', EXPIRY)), 401);
    assert.equal(put(request, audience, sasToken(audience, 'nobody', 'root-key', EXPIRY)), 401);
    assert.equal(put(request, audience, sasToken(audience, 'root', 'root-key', TIME_ORIGIN / 1000 - 1)), 401);
    assert.equal(put(request, audience, sasToken(`${HOST}/other`, 'root', 'root-key', EXPIRY)), 401);
    assert.equal(put(request, audience, sasToken('sb://other.example/orders', 'root', 'root-key', EXPIRY)), 401);
    assert.equal(put(request, audience, 'nonsense'), 401);
    assert.equal(put(request, `${HOST}/missing`, sasToken(`${HOST}/missing`, 'root', 'root-key', EXPIRY)), 404);
    const status = (properties: Record<string, AmqpValue>): number =>
      numberIn(request(properties, 'x').applicationProperties?.get('status-code'));
    assert.equal(status({ operation: 'put-token', type: 'jwt', name: audience }), 401);
    assert.equal(status({ operation: 'put-token', type: 'x', name: audience }), 400);
    assert.equal(status({ operation: 'put-token' }), 400);
    assert.equal(status({ operation: 'delete-token' }), 400);
  });

  it('takes a signature that comes as a jwt: the client for Python calls every token one', () => {
    const client = new Harness(OPTIONS).connect();
    const request = client.requester('$cbs');
    const audience = `${HOST}/orders`;
    const token = sasToken(audience, 'root', 'root-key', EXPIRY);
    const answer = request({ operation: 'put-token', type: 'jwt', name: audience }, token);
    assert.deepEqual(answer.applicationProperties?.get('status-code'), int(202));
    assert.equal(client.sender('orders').detached, undefined);
  });

  it('takes a policy of the entity for that entity, and one of the namespace for all', () => {
    const client = new Harness(OPTIONS).connect();
    const request = client.requester('$cbs');
    assert.equal(put(request, `${HOST}/own`, sasToken(HOST, 'local', 'local-key', EXPIRY)), 202);
    assert.equal(put(request, `${HOST}/orders`, sasToken(HOST, 'local', 'local-key', EXPIRY)), 401);
    assert.equal(client.receiver('own').detached, undefined);
    assert.equal(put(request, HOST, sasToken(HOST.replace('sb:', 'https:'), 'root', 'root-key', EXPIRY)), 202);
    for (const address of ['orders', 'news']) assert.equal(client.sender(address).detached, undefined);
    assert.equal(client.receiver('news/Subscriptions/all').detached, undefined);
  });

  it('takes tokens of Entra ID for event hubs, too', () => {
    const claims = { rights: ['Send'] as const, expiresAtMs: EXPIRY * 1000 };
    const hubs = { ...OPTIONS, eventHubs: [{ name: 'telemetry' }] };
    const request = new Harness(hubs, undefined, () => claims).connect().requester('$cbs');
    const status = (name: string): number =>
      numberIn(
        request({ operation: 'put-token', type: 'jwt', name: `${HOST}/${name}` }, 'a.b.c').applicationProperties?.get(
          'status-code',
        ),
      );
    assert.deepEqual([status('telemetry'), status('orders'), status('missing')], [202, 202, 404]);
  });

  it('allows one pair of links on $cbs', () => {
    const client = new Harness(OPTIONS).connect();
    const [sender, receiver] = [client.sender('$cbs'), client.receiver('$cbs')];
    const second = client.sender('$cbs');
    assert.equal(second.detached?.condition, 'amqp:not-allowed');
    assert.match(
      second.detached?.description ?? '',
      /^A link to connection '\S+' \$cbs node has already been opened\./,
    );
    assert.equal(client.receiver('$cbs').detached?.condition, 'amqp:not-allowed');
    assert.equal(sender.detached ?? receiver.detached, undefined);
    sender.link.detach();
    receiver.link.detach();
    client.requester('$cbs');
  });

  it('allows a pair of links to $management for each address that answers go to', () => {
    const client = new Harness(OPTIONS).connect({ user: 'root' });
    const node = 'orders/$management';
    const answersTo = (address: string): ReturnType<Client['receiver']> =>
      client.receiver(node, 5, { target: { type: 'target', address } });
    const [one, two] = [answersTo('one'), answersTo('two')];
    assert.equal(answersTo('two').detached?.condition, 'amqp:not-allowed');
    const [first, second] = [client.sender(node), client.sender(node)];
    assert.equal(one.detached ?? two.detached ?? first.detached ?? second.detached, undefined);
    const ask = (sender: typeof first, replyTo: string): unknown =>
      sender.send({
        properties: { messageId: replyTo, replyTo },
        applicationProperties: new Map([['operation', 'com.microsoft:peek-message']]),
        body: {
          kind: 'value',
          value: new Map<AmqpValue, AmqpValue>([
            ['from-sequence-number', long(1)],
            ['message-count', int(1)],
          ]),
        },
      });
    ask(first, 'two');
    ask(second, 'one');
    ask(second, 'nobody');
    const correlations = (receiver: typeof one): unknown[] =>
      receiver.messages.map(({ properties }) => properties?.correlationId);
    assert.deepEqual([correlations(one), correlations(two)], [['one'], ['two']]);
    two.link.detach();
    assert.equal(answersTo('two').detached, undefined);
  });

  it('drops a connection that has put no token after 20 s, and not one with PLAIN', () => {
    const harness = new Harness(OPTIONS);
    const [anonymous, plain] = [harness.connect(), harness.connect({ user: 'root' })];
    anonymous.requester('$cbs');
    harness.advance(19_000);
    assert.equal(anonymous.ending, '');
    harness.advance(2_000);
    assert.match(anonymous.ending, /No valid token was put to \$cbs within 20000 milliseconds/);
    assert.equal(plain.ending, '');
  });

  it('detaches links when their token runs out, unless it was renewed', () => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect();
    const request = client.requester('$cbs');
    const short = TIME_ORIGIN / 1000 + 100;
    put(request, `${HOST}/orders`, sasToken(`${HOST}/orders`, 'root', 'root-key', short));
    put(request, `${HOST}/own`, sasToken(`${HOST}/own`, 'root', 'root-key', short));
    const [renewed, forgotten] = [client.sender('orders'), client.receiver('own')];
    put(request, `${HOST}/orders`, sasToken(`${HOST}/orders`, 'root', 'root-key', EXPIRY));
    harness.advance(98_000);
    assert.equal(forgotten.attached !== undefined && forgotten.link.state, 'attached');
    harness.advance(2_000);
    assert.equal(forgotten.detached?.condition, 'amqp:link:detach-forced');
    assert.match(
      forgotten.detached?.description ?? '',
      /Code: RenewToken\. Details: Unauthorized access\. 'Listen' claim\(s\) are required/,
    );
    assert.equal(renewed.detached, undefined);
    harness.namespace.faults.revokeTokens();
    harness.run();
    assert.equal(renewed.link.state, 'detached');
  });
});

describe('$management', () => {
  const prepared = (): {
    harness: Harness;
    client: ReturnType<Harness['connect']>;
    request: (
      operation: string,
      body: Record<string, AmqpValue>,
    ) => { status: number; condition: string; body: Map<AmqpValue, AmqpValue> };
  } => {
    const harness = new Harness(OPTIONS);
    const client = harness.connect({ user: 'root' });
    const send = client.requester('orders/$management');
    return {
      harness,
      client,
      request: (operation, body) => {
        const answer = send(
          { operation: `com.microsoft:${operation}` },
          new Map<AmqpValue, AmqpValue>(Object.entries(body)),
        );
        const properties = answer.applicationProperties;
        assert.ok(answer.body?.kind === 'value' && answer.body.value instanceof Map);
        return {
          status: numberIn(properties?.get('statusCode')),
          condition: String(properties?.get('errorCondition') ?? ''),
          body: answer.body.value,
        };
      },
    };
  };
  const uuids = (...tags: Uint8Array[]): AmqpArray =>
    new AmqpArray(
      'uuid',
      tags.map((tag) => uuid(swapGuid(tag))),
    );

  it('renews locks, and says so when one has ended', () => {
    const { harness, client, request } = prepared();
    client.sender('orders').text('a');
    const receiver = client.receiver('orders', 1);
    const { tag } = receiver.last;
    harness.advance(20_000);
    const answer = request('renew-lock', { 'lock-tokens': uuids(tag) });
    assert.equal(answer.status, 200);
    const expirations = answer.body.get('expirations');
    assert.ok(expirations instanceof AmqpArray && expirations.elementType === 'timestamp');
    assert.equal(numberIn(expirations.values[0]), TIME_ORIGIN + harness.clock.now() + 30_000);
    harness.advance(20_000);
    assert.equal(conditionOf(receiver.say(receiver.last, { type: 'accepted' })?.state), 'accepted');
    const late = request('renew-lock', { 'lock-tokens': uuids(tag) });
    assert.deepEqual([late.status, late.condition], [410, 'com.microsoft:message-lock-lost']);
  });

  it('peeks, whatever the state of the messages', () => {
    const { client, request } = prepared();
    assert.equal(request('peek-message', { 'from-sequence-number': long(0), 'message-count': int(5) }).status, 204);
    const sender = client.sender('orders');
    for (const body of ['a', 'b', 'c']) sender.text(body);
    client.receiver('orders', 1);
    const { status, body } = request('peek-message', { 'from-sequence-number': long(1), 'message-count': int(2) });
    assert.equal(status, 200);
    const messages = (body.get('messages') as AmqpValue[]).map((entry) =>
      decodeMessage((entry as Map<string, Uint8Array>).get('message')!),
    );
    assert.deepEqual(
      messages.map((message) => message.body),
      [
        { kind: 'value', value: 'a' },
        { kind: 'value', value: 'b' },
      ],
    );
    assert.deepEqual(
      messages.map((message) => message.messageAnnotations?.get('x-opt-sequence-number')),
      [long(1), long(2)],
    );
    assert.equal(messages[0]?.messageAnnotations?.get('x-opt-locked-until'), undefined);
  });

  it('finds deferred messages by their numbers and settles them by their tokens', () => {
    const { harness, client, request } = prepared();
    client.sender('orders').text('a');
    const receiver = client.receiver('orders', 1);
    receiver.say(receiver.last, { type: 'modified', undeliverableHere: true });
    const numbers = new AmqpArray('long', [long(1)]);
    const { status, body } = request('receive-by-sequence-number', {
      'sequence-numbers': numbers,
      'receiver-settle-mode': int(1),
    });
    assert.equal(status, 200);
    const [found] = body.get('messages') as Map<string, AmqpValue>[];
    const token = found?.get('lock-token');
    assert.ok(token instanceof Typed && token.type === 'uuid');
    const { deliveryAnnotations } = decodeMessage(found?.get('message') as Uint8Array);
    assert.deepEqual(deliveryAnnotations, new Map([['x-opt-lock-token', token]]));
    const missing = request('receive-by-sequence-number', {
      'sequence-numbers': numbers,
      'receiver-settle-mode': int(1),
    });
    assert.deepEqual([missing.status, missing.condition], [404, 'com.microsoft:message-not-found']);
    const settled = {
      'disposition-status': 'suspended',
      'lock-tokens': new AmqpArray('uuid', [token]),
      'deadletter-reason': 'why',
    };
    assert.equal(request('update-disposition', settled).status, 200);
    assert.equal(request('update-disposition', settled).status, 410);
    assert.equal(harness.namespace.counts('orders').deadLetter, 1);
    assert.equal(
      client.receiver('orders/$DeadLetterQueue', 1).last.message.applicationProperties?.get('DeadLetterReason'),
      'why',
    );
  });

  it('settles what a lost link held, while the lock lasts', () => {
    const { harness, client, request } = prepared();
    client.sender('orders').text('a');
    const receiver = client.receiver('orders', 1);
    const { tag } = receiver.last;
    receiver.link.detach();
    harness.run();
    assert.equal(
      request('update-disposition', { 'disposition-status': 'completed', 'lock-tokens': uuids(tag) }).status,
      200,
    );
    assert.equal(harness.namespace.counts('orders').active, 0);
  });

  it('keeps properties that settling gives a message within bounds, however often it is received', () => {
    const { client, harness } = prepared();
    const sender = client.sender('orders');
    sender.text('grows');
    const receiver = client.receiver('orders', 9);
    const last = receiver.received.at(-1)!;
    const modified = (name: string, size: number): DeliveryState => ({
      type: 'modified',
      messageAnnotations: new Map([[name, 'x'.repeat(size)]]),
    });
    const locked = harness.namespace.counts('orders').locked;
    assert.equal(conditionOf(receiver.say(last, modified('a', 40_000))?.state), 'modified');
    receiver.credit(1);
    const again = receiver.received.at(-1)!;
    assert.equal(
      conditionOf(receiver.say(again, modified('b', 40_000))?.state),
      'rejected com.microsoft:argument-error',
    );
    assert.equal(harness.namespace.counts('orders').locked, locked, 'it is still held');
  });

  it('deletes what nobody holds, up to a number and a time', () => {
    const { request, harness, client } = prepared();
    const counted = (): number => harness.namespace.counts('orders').active;
    const before = counted();
    const sender = harness.connect({ user: 'root' }).sender('orders');
    for (const body of ['x', 'y', 'z']) sender.text(body);
    client.receiver('orders', 1);
    const held = harness.namespace.counts('orders').locked;
    const now = TIME_ORIGIN + harness.clock.now();
    const del = (count: number, at: number): [number, unknown] => {
      const { status, body } = request('batch-delete-messages', {
        'message-count': int(count),
        'enqueued-time-utc': timestamp(at),
      });
      return [status, body.get('message-count')];
    };
    assert.deepEqual(del(5, now - 1_000_000), [204, undefined]);
    assert.deepEqual(del(1, now), [200, int(1)]);
    assert.equal(counted(), before + 2);
    assert.equal(del(4_000, now)[0], 200);
    assert.equal(counted(), held, 'what somebody holds stays');
    assert.equal(request('batch-delete-messages', {}).status, 400);
  });

  it('says what it does not do, and what is malformed', () => {
    const { request } = prepared();
    for (const operation of ['add-rule', 'renew-session-lock', 'constructor', '']) {
      assert.deepEqual(
        [request(operation, {}).status, request(operation, {}).condition],
        [501, 'amqp:not-implemented'],
        operation,
      );
    }
    for (const operation of ['renew-lock', 'peek-message', 'receive-by-sequence-number', 'update-disposition']) {
      assert.deepEqual(
        [request(operation, {}).status, request(operation, {}).condition],
        [400, 'com.microsoft:argument-error'],
        operation,
      );
    }
  });

  it('needs a right on the entity', () => {
    const harness = new Harness(OPTIONS);
    assert.equal(
      harness.connect({ user: 'root', key: 'wrong' }).sender('orders/$management').detached?.condition,
      'amqp:unauthorized-access',
    );
    const client = harness.connect();
    const request = client.requester('$cbs');
    assert.equal(
      put(request, `${HOST}/orders/$management`, sasToken(`${HOST}/orders/$management`, 'root', 'root-key', EXPIRY)),
      202,
    );
    assert.equal(client.sender('orders/$management').detached, undefined);
    assert.equal(
      client.sender('orders').detached?.condition,
      'amqp:unauthorized-access',
      'the token is for the node alone',
    );
    assert.equal(client.sender('missing/$management').detached?.condition, 'amqp:unauthorized-access');
  });
});
