// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED } from '@pointsman/engine';
import {
  AmqpArray,
  Described,
  entryOf,
  int,
  long,
  symbol,
  timestamp,
  uint,
  ulong,
  type AmqpValue,
} from '@pointsman/wire';
import { conditionOf, Harness, numberIn, sasToken, TIME_ORIGIN, type Client, type TestReceiver } from './harness.js';

const OPTIONS = { queues: [{ name: 's', requiresSession: true, lockDurationMs: 30_000 }, { name: 'plain' }] };
const FILTER = 'com.microsoft:session-filter';

/** Attaches for a message session; `null` for any. */
function accept(client: Client, id: string | null, timeoutMs?: number, credit = 0): TestReceiver {
  return client.receiver('s', credit, {
    source: { type: 'source', address: 's', filter: new Map<AmqpValue, AmqpValue>([[symbol(FILTER), id]]) },
    ...(timeoutMs === undefined ? {} : { properties: new Map([['com.microsoft:timeout', uint(timeoutMs)]]) }),
  });
}

const sessionOf = ({ attached }: TestReceiver): AmqpValue | undefined => {
  const source = attached?.source;
  return source !== undefined && 'type' in source ? entryOf(source.filter, FILTER) : undefined;
};

function prepared(...sent: [body: string, session: string][]): { harness: Harness; client: Client } {
  const harness = new Harness(OPTIONS);
  const client = harness.connect({ user: 'root' });
  const sender = client.sender('s');
  for (const [body, groupId] of sent) sender.send({ properties: { groupId }, body: { kind: 'value', value: body } });
  return { harness, client };
}

/** @returns status, condition and body of the answer */
function ask(
  client: Client,
  operation: string,
  body: Record<string, AmqpValue>,
  about: Record<string, AmqpValue> = {},
) {
  const known = requesters.get(client) ?? client.requester('s/$management');
  requesters.set(client, known);
  const answer = known({ operation: `com.microsoft:${operation}`, ...about }, new Map(Object.entries(body)));
  const properties = answer.applicationProperties;
  const condition = properties?.get('errorCondition');
  const map = answer.body?.kind === 'value' && answer.body.value instanceof Map ? answer.body.value : new Map();
  return {
    status: numberIn(properties?.get('statusCode')),
    condition: condition === undefined ? undefined : String(condition),
    body: map as ReadonlyMap<AmqpValue, AmqpValue>,
  };
}
const requesters = new Map<Client, ReturnType<Client['requester']>>();

describe('message sessions', () => {
  it('are asked for and told by a described filter, too, as the client for Go has it', () => {
    const { client } = prepared(['a', 'one'], ['b', 'two']);
    const described = (id: string | null): AmqpValue => new Described(ulong(0x137000000cn), id);
    for (const [asked, told] of [
      ['two', 'two'],
      [null, 'one'],
    ] as const) {
      const filter = new Map<AmqpValue, AmqpValue>([[symbol(FILTER), described(asked)]]);
      const receiver = client.receiver('s', 1, { source: { type: 'source', address: 's', filter } });
      assert.deepEqual(sessionOf(receiver), described(told));
      assert.deepEqual(receiver.bodies, [told === 'two' ? 'b' : 'a']);
    }
  });

  it('are given by id or as the next free one, named in the answer with the end of the lock', () => {
    const { harness, client } = prepared(['a', 'one'], ['b', 'two']);
    const two = accept(client, 'two');
    assert.equal(sessionOf(two), 'two');
    const ticks = (BigInt(TIME_ORIGIN + harness.clock.now() + 30_000) + 62_135_596_800_000n) * 10_000n;
    assert.deepEqual(two.attached?.properties?.get('com.microsoft:locked-until-utc'), long(ticks));
    const next = accept(client, null, undefined, 5);
    assert.equal(sessionOf(next), 'one');
    assert.deepEqual(next.bodies, ['a']);
    two.credit(5);
    assert.deepEqual(two.bodies, ['b']);
  });

  it('are refused by an id longer than any', () => {
    assert.equal(accept(prepared().client, 'x'.repeat(129)).detached?.condition, 'com.microsoft:argument-error');
  });

  it('are refused where somebody holds them', () => {
    const { client } = prepared(['a', 'one']);
    accept(client, 'one');
    const second = accept(client, 'one');
    assert.equal(second.attached?.source, undefined);
    assert.equal(second.detached?.condition, 'com.microsoft:session-cannot-be-locked');
  });

  it('are waited for, until there is one or the time that the client names is over', () => {
    const { harness, client } = prepared();
    const [patient, hasty] = [accept(client, null, 20_000), accept(client, null, 5_000)];
    harness.advance(4_900);
    assert.equal(hasty.attached, undefined, 'no answer yet');
    harness.advance(200);
    assert.equal(hasty.detached?.condition, 'com.microsoft:timeout');
    client.sender('s').send({ properties: { groupId: 'new' }, body: { kind: 'value', value: 'x' } });
    assert.equal(sessionOf(patient), 'new');
    patient.credit(1);
    assert.deepEqual(patient.bodies, ['x']);
  });

  it('do not go to who has left while waiting', () => {
    const { harness, client } = prepared();
    const gone = accept(client, null);
    gone.link.detach();
    const dropped = harness.connect({ user: 'root' });
    accept(dropped, null);
    dropped.connection.abort();
    harness.run();
    client.sender('s').send({ properties: { groupId: 'new' }, body: { kind: 'value', value: 'x' } });
    assert.equal(sessionOf(accept(client, null)), 'new');
  });

  it('do not go to who lost the right while waiting', () => {
    const { harness, client } = prepared();
    const audience = 'sb://example.servicebus.windows.net/s';
    const other = harness.connect();
    other.requester('$cbs')(
      { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: audience },
      sasToken(audience, 'root', 'root-key', TIME_ORIGIN / 1000 + 10),
    );
    const late = accept(other, null);
    harness.advance(12_000);
    client.sender('s').send({ properties: { groupId: 'new' }, body: { kind: 'value', value: 'x' } });
    assert.equal(late.detached?.condition, 'amqp:unauthorized-access');
    assert.equal(sessionOf(accept(client, null)), 'new');
  });

  it('end the connection that cannot take the answer, and no other', () => {
    const { harness, client } = prepared();
    const narrow = harness.connect({ user: 'root', maxFrameSize: 512 });
    narrow.receiver('s', 0, {
      name: 'n'.repeat(390),
      source: { type: 'source', address: 's', filter: new Map<AmqpValue, AmqpValue>([[FILTER, null]]) },
    });
    const id = 'g'.repeat(120);
    client.sender('s').send({ properties: { groupId: id }, body: { kind: 'value', value: 'x' } });
    assert.match(narrow.ending, /frame-size-too-small/);
    assert.equal(client.ending, '');
    const next = accept(client, null, undefined, 1);
    assert.equal(sessionOf(next), id);
    assert.deepEqual(next.bodies, ['x']);
  });

  it('keep a connection that waits for one', () => {
    const { harness } = prepared();
    const waiting = harness.connect({ user: 'root' });
    const attach = accept(waiting, null, 100_000);
    harness.advance(90_000);
    assert.equal(waiting.ending, '');
    harness.advance(11_000);
    assert.equal(attach.detached?.condition, 'com.microsoft:timeout');
    harness.advance(70_000);
    assert.match(waiting.ending, /did not have any active links/);
  });

  it('end with their lock: the link is detached, messages come again, counted', () => {
    const { harness, client } = prepared(['a', 'one']);
    const first = accept(client, 'one', undefined, 5);
    harness.advance(30_100);
    assert.equal(first.detached?.condition, 'com.microsoft:session-lock-lost');
    const second = accept(client, 'one', undefined, 5);
    assert.equal(second.last.message.header?.deliveryCount, 1);
    second.link.detach();
    harness.run();
    assert.equal(accept(client, 'one', undefined, 5).last.message.header?.deliveryCount, 1, 'leaving does not count');
  });

  it('last as long as they are renewed', () => {
    const { harness, client } = prepared(['a', 'one']);
    const receiver = accept(client, 'one', undefined, 5);
    for (let i = 0; i < 4; i += 1) {
      harness.advance(20_000);
      const { status, body } = ask(client, 'renew-session-lock', { 'session-id': 'one' });
      assert.equal(status, 200);
      assert.deepEqual(body.get('expiration'), timestamp(TIME_ORIGIN + harness.clock.now() + 30_000));
    }
    assert.equal(conditionOf(receiver.say(receiver.last, ACCEPTED)?.state), 'accepted');
    assert.equal(receiver.detached, undefined);
  });

  it('deliver in order, whatever is abandoned', () => {
    const { client } = prepared(['a', 'one'], ['b', 'one'], ['c', 'one']);
    const receiver = accept(client, 'one', undefined, 1);
    receiver.say(receiver.last, MODIFIED_FAILED);
    receiver.credit(3);
    assert.deepEqual(receiver.bodies, ['a', 'a', 'b', 'c']);
  });

  it('have a state, which is the business of who holds them alone', () => {
    const { harness, client } = prepared();
    assert.equal(
      ask(client, 'get-session-state', { 'session-id': 'one' }).condition,
      'com.microsoft:session-lock-lost',
    );
    const receiver = accept(client, 'one');
    assert.equal(ask(client, 'get-session-state', { 'session-id': 'one' }).body.get('session-state'), null);
    const state = Uint8Array.of(1, 2, 3);
    assert.equal(ask(client, 'set-session-state', { 'session-id': 'one', 'session-state': state }).status, 200);
    const other = harness.connect({ user: 'root' });
    for (const operation of ['get-session-state', 'set-session-state', 'renew-session-lock'])
      assert.equal(ask(other, operation, { 'session-id': 'one', 'session-state': null }).status, 410, operation);
    receiver.link.detach();
    harness.run();
    accept(client, 'one');
    assert.deepEqual(ask(client, 'get-session-state', { 'session-id': 'one' }).body.get('session-state'), state);
    assert.equal(ask(client, 'set-session-state', { 'session-id': 'one', 'session-state': null }).status, 200);
    assert.equal(ask(client, 'get-session-state', { 'session-id': 'one' }).body.get('session-state'), null);
    assert.equal(
      ask(client, 'set-session-state', { 'session-id': 'one', 'session-state': new Uint8Array(300_000) }).status,
      403,
    );
    assert.equal(ask(client, 'set-session-state', { 'session-id': 'one', 'session-state': 7 }).status, 400);
  });

  it('are listed, all of them or those whose state was set after a time, whenever messages came', () => {
    const { harness, client } = prepared(['a', 'one'], ['b', 'two']);
    harness.advance(10_000);
    accept(client, 'two');
    ask(client, 'set-session-state', { 'session-id': 'two', 'session-state': Uint8Array.of(1) });
    harness.advance(10_000);
    client.sender('s').send({ properties: { groupId: 'three' }, body: { kind: 'value', value: 'c' } });
    const list = (since: number, skip = 0, top = 10): unknown => {
      const { status, body } = ask(client, 'get-message-sessions', {
        'last-updated-time': timestamp(since),
        skip: int(skip),
        top: int(top),
      });
      return status === 204 ? [] : body.get('sessions-ids');
    };
    const end = 253_402_300_799_999;
    assert.deepEqual(list(end), ['one', 'two', 'three'], 'the end of all times stands for all');
    assert.deepEqual(list(end, 1, 1), ['two']);
    assert.deepEqual(list(0), ['two']);
    assert.deepEqual(list(TIME_ORIGIN + 5_000), ['two']);
    assert.deepEqual(list(TIME_ORIGIN + 15_000), []);
    assert.deepEqual(list(TIME_ORIGIN + 3_600_000), []);
    assert.equal(ask(client, 'get-message-sessions', { skip: int(0) }).status, 400);
  });

  it('keep deferred messages to themselves', () => {
    const { client } = prepared(['a', 'one'], ['b', 'two']);
    const one = accept(client, 'one', undefined, 1);
    one.say(one.last, { type: 'modified', undeliverableHere: true });
    const request = (id: string | undefined): ReturnType<typeof ask> =>
      ask(client, 'receive-by-sequence-number', {
        'sequence-numbers': new AmqpArray('long', [long(1)]),
        'receiver-settle-mode': uint(1),
        ...(id === undefined ? {} : { 'session-id': id }),
      });
    assert.equal(request(undefined).condition, 'com.microsoft:session-lock-lost');
    // The client for Go says which link it asks for, and no session.
    const ofLink = (name: string): ReturnType<typeof ask> =>
      ask(
        client,
        'receive-by-sequence-number',
        { 'sequence-numbers': new AmqpArray('long', [long(1)]), 'receiver-settle-mode': uint(1) },
        { 'associated-link-name': name },
      );
    assert.equal(ofLink('another').condition, 'com.microsoft:session-lock-lost');
    const [found] = ofLink(one.link.name).body.get('messages') as Map<string, AmqpValue>[];
    const back = { 'disposition-status': 'defered', 'lock-tokens': new AmqpArray('uuid', [found!.get('lock-token')!]) };
    assert.equal(ask(client, 'update-disposition', { ...back, 'session-id': 'one' }).status, 200);
    assert.equal(request('two').condition, 'com.microsoft:session-lock-lost');
    accept(client, 'two');
    assert.equal(request('two').condition, 'com.microsoft:message-not-found');
    const { status, body } = request('one');
    assert.equal(status, 200);
    const [entry] = body.get('messages') as Map<AmqpValue, AmqpValue>[];
    const settle = (id: string): number =>
      ask(client, 'update-disposition', {
        'lock-tokens': new AmqpArray('uuid', [entry!.get('lock-token')!]),
        'disposition-status': 'completed',
        'session-id': id,
      }).status;
    assert.equal(settle('other'), 410);
    assert.equal(settle('one'), 200);
    assert.equal(ask(client, 'peek-message', { 'from-sequence-number': long(1), 'message-count': int(9) }).status, 200);
    assert.equal(
      ask(client, 'peek-message', { 'from-sequence-number': long(1), 'message-count': int(9), 'session-id': 'one' })
        .status,
      204,
    );
  });

  it('are not made by thousands of attaches that wait', () => {
    const { client, harness } = prepared();
    const sessions = [0, 1, 2, 3, 4].map(() => client.connection.session());
    const attaches = Array.from({ length: 1001 }, (_, i) =>
      client.receiver('s', 0, {
        session: sessions[Math.floor(i / 250)]!,
        source: { type: 'source', address: 's', filter: new Map<AmqpValue, AmqpValue>([[symbol(FILTER), null]]) },
      }),
    );
    assert.equal(attaches[999]!.detached, undefined);
    assert.equal(attaches[1000]!.detached?.condition, 'com.microsoft:server-busy');
    assert.equal(harness.namespace.counts('s').active, 0);
  });
});
