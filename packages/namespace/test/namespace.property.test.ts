// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ACCEPTED } from '@pointsman/engine';
import {
  AmqpArray,
  Described,
  encodeMessage,
  int,
  long,
  symbol,
  timestamp,
  ulong,
  type AmqpValue,
  type DeliveryState,
} from '@pointsman/wire';
import type { NamespaceOptions } from '../src/index.js';
import { Harness, sasToken, TIME_ORIGIN } from './harness.js';

const HOST = 'sb://example.servicebus.windows.net';

const DEPTHS: NamespaceOptions = { queues: [{ name: 'orders' }, { name: 'sessions', requiresSession: true }] };

/** A namespace that writes down what its clients send. */
function recording(options: NamespaceOptions = {}): { harness: Harness; stream: () => Uint8Array } {
  const harness = new Harness(options);
  const chunks: Uint8Array[] = [];
  const accept = harness.namespace.accept.bind(harness.namespace);
  harness.namespace.accept = (info) => {
    const endpoint = accept(info);
    const receive = endpoint.receive.bind(endpoint);
    endpoint.receive = (bytes, now) => {
      chunks.push(bytes);
      receive(bytes, now);
    };
    return endpoint;
  };
  return { harness, stream: () => new Uint8Array(Buffer.concat(chunks)) };
}

/** What a client sends that uses everything once. */
function recordedStreams(): Uint8Array[] {
  return [true, false].map((isPlain) => {
    const { harness, stream } = recording();
    const client = harness.connect(isPlain ? { user: 'root' } : {});
    if (!isPlain) {
      const token = sasToken(HOST, 'root', 'root-key', TIME_ORIGIN / 1000 + 3600);
      client.requester('$cbs')({ operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: HOST }, token);
    }
    const sender = client.sender('orders');
    for (const body of ['a', 'b', 'c']) sender.text(body);
    const receiver = client.receiver('orders', 3);
    const [a, b, c] = receiver.received;
    receiver.say(a!, ACCEPTED);
    receiver.say(b!, { type: 'modified', undeliverableHere: true, messageAnnotations: new Map([['x', 'y']]) });
    receiver.say(c!, {
      type: 'rejected',
      error: { condition: 'com.microsoft:dead-letter', info: new Map([['DeadLetterReason', 'r']]) },
    });
    receiver.link.drain();
    client.requester('orders/$management')(
      { operation: 'com.microsoft:peek-message' },
      new Map<AmqpValue, AmqpValue>([
        ['from-sequence-number', 1],
        ['message-count', 1],
      ]),
    );
    receiver.link.detach();
    client.connection.close();
    harness.run();
    return stream();
  });
}

/** What a client sends that uses sessions, rules, scheduled messages and transactions. */
function recordedDepths(): Uint8Array {
  const { harness, stream } = recording(DEPTHS);
  const client = harness.connect({ user: 'root' });
  client.sender('sessions').send({ properties: { groupId: 'one' }, body: { kind: 'value', value: 'a' } });
  const session = client.receiver('sessions', 1, {
    source: {
      type: 'source',
      address: 'sessions',
      filter: new Map<AmqpValue, AmqpValue>([[symbol('com.microsoft:session-filter'), null]]),
    },
  });
  const ask = (
    request: ReturnType<typeof client.requester>,
    operation: string,
    body: Record<string, AmqpValue>,
  ): unknown => request({ operation: `com.microsoft:${operation}` }, new Map(Object.entries(body)));
  const sessions = client.requester('sessions/$management');
  ask(sessions, 'set-session-state', { 'session-id': 'one', 'session-state': Uint8Array.of(1, 2) });
  ask(sessions, 'get-session-state', { 'session-id': 'one' });
  ask(sessions, 'renew-session-lock', { 'session-id': 'one' });
  ask(sessions, 'get-message-sessions', { 'last-updated-time': timestamp(0), skip: int(0), top: int(10) });
  const rules = client.requester('news/Subscriptions/all/$management');
  ask(rules, 'add-rule', {
    'rule-name': 'r',
    'rule-description': new Map<AmqpValue, AmqpValue>([
      ['sql-filter', new Map([['expression', "a = 'x' AND (b > 1.5 OR c LIKE 'y%')"]])],
      ['sql-rule-action', new Map([['expression', 'SET a = b + 1; REMOVE c']])],
    ]),
  });
  ask(rules, 'enumerate-rules', { skip: int(0), top: int(10) });
  ask(rules, 'remove-rule', { 'rule-name': '$Default' });
  client.sender('news').send({
    applicationProperties: new Map<string, AmqpValue>([
      ['a', 'x'],
      ['b', long(2)],
    ]),
    body: { kind: 'value', value: 'n' },
  });
  const later = encodeMessage({
    messageAnnotations: new Map([['x-opt-scheduled-enqueue-time', timestamp(TIME_ORIGIN + 60_000)]]),
    body: { kind: 'value', value: 'l' },
  });
  const orders = client.requester('orders/$management');
  ask(orders, 'schedule-message', { messages: [new Map<AmqpValue, AmqpValue>([['message', later]])] });
  ask(orders, 'cancel-scheduled-message', { 'sequence-numbers': new AmqpArray('long', [long(1)]) });
  const coordinator = client.sender(undefined, { target: { type: 'coordinator' } });
  const control = (code: number, fields: AmqpValue[]): DeliveryState | undefined =>
    coordinator.send({ body: { kind: 'value', value: new Described(ulong(code), fields) } });
  const declared = control(0x31, [null]);
  const txnId = declared !== undefined && 'type' in declared && declared.type === 'declared' ? declared.txnId : null;
  const state = { type: 'transactional-state', txnId: txnId!, outcome: ACCEPTED } as const;
  session.say(session.last, state);
  client.sender('orders').send({ body: { kind: 'value', value: 't' } }, { state });
  control(0x32, [txnId, false]);
  client.connection.close();
  harness.run();
  return stream();
}

/** Sends bytes to a namespace in pieces, so small that credit is there when it is used, and ends the connection. */
function feed(harness: Harness, stream: Uint8Array, cut: number): void {
  const endpoint = harness.namespace.accept({ secure: true });
  for (let at = 0; at < stream.length && !endpoint.done; at += cut) {
    endpoint.receive(stream.slice(at, at + cut), harness.clock.now());
    const buffers = endpoint.takeOutput(harness.clock.now());
    if (buffers !== undefined) endpoint.releaseOutput(buffers, harness.clock.now());
  }
  endpoint.receiveEnd(harness.clock.now());
}

type Change = [place: number, value: number, how: 'set' | 'insert' | 'remove'];

const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'insert', 'remove')),
  { maxLength: 6 },
);

function mutated(stream: Uint8Array, made: readonly Change[]): Uint8Array {
  const bytes = [...stream];
  for (const [place, value, how] of made) {
    const at = place % bytes.length;
    if (how === 'set') bytes[at] = value;
    else bytes.splice(at, how === 'remove' ? 1 : 0, ...(how === 'insert' ? [value] : []));
  }
  return Uint8Array.from(bytes);
}

describe('namespace against any bytes', () => {
  const streams = recordedStreams();

  it('does what the recorded bytes say, in small pieces and byte by byte', () => {
    for (const stream of streams) {
      for (const cut of [1, 7, 40]) {
        const harness = new Harness();
        feed(harness, stream, cut);
        const { active, locked, deferred, deadLetter } = harness.namespace.counts('orders');
        assert.deepEqual(
          { active, locked, deferred, deadLetter },
          { active: 0, locked: 0, deferred: 1, deadLetter: 1 },
        );
      }
    }
  });

  it('answers, refuses or closes whatever is asked of sessions, rules, schedules and transactions', () => {
    const stream = recordedDepths();
    const harness = new Harness(DEPTHS);
    feed(harness, stream, 40);
    const counted = (path: string): number => harness.namespace.counts(path).active;
    // The same randomness as when it was recorded, so that the transaction has the same id.
    assert.deepEqual(['orders', 'sessions', 'news/Subscriptions/all'].map(counted), [1, 0, 1]);
    fc.assert(
      fc.property(changes, fc.integer({ min: 1, max: 40 }), (made, cut) => {
        const changed = new Harness(DEPTHS);
        feed(changed, mutated(stream, made), cut);
        changed.advance(200_000);
        assert.equal(changed.namespace.connections, 0);
        assert.equal(changed.namespace.links, 0);
        for (const { path, kind } of changed.namespace.broker.entities())
          if (kind !== 'topic') assert.equal(changed.namespace.counts(path).locked, 0);
        changed.namespace.close();
        assert.equal(changed.namespace.memory.used, 0, 'memory that was taken is given back');
      }),
      { numRuns: 1_000 },
    );
  });

  it('answers, refuses or closes, and never fails', () => {
    fc.assert(
      fc.property(fc.nat(1), changes, fc.integer({ min: 1, max: 40 }), (which, made, cut) => {
        const harness = new Harness();
        feed(harness, mutated(streams[which]!, made), cut);
        assert.equal(harness.namespace.connections, 0);
        assert.equal(harness.namespace.links, 0);
        const { active, locked, deferred, deadLetter } = harness.namespace.counts('orders');
        assert.ok(active + deferred + deadLetter <= 4 && locked <= active);
      }),
      { numRuns: 1_000 },
    );
  });
});
