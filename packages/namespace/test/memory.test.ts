// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED } from '@pointsman/engine';
import { Described, symbol, timestamp, ulong, type AmqpValue, type DeliveryState } from '@pointsman/wire';
import { MESSAGE_BYTES } from '../src/memory-budget.js';
import { conditionOf, Harness, TIME_ORIGIN, type Client } from './harness.js';

const BUSY = 'rejected com.microsoft:server-busy';
const ROOM_FOR = 10;
const MAX = ROOM_FOR * (MESSAGE_BYTES + 100);

/** Sends tiny messages until one is refused. @returns how many were taken */
function fill(client: Client, address: string): number {
  const sender = client.sender(address);
  for (let count = 0; count < 1_000; count += 1) {
    const outcome = conditionOf(sender.text('x'));
    if (outcome === 'accepted') continue;
    assert.equal(outcome, BUSY);
    return count;
  }
  throw new Error('nothing was refused');
}

describe('a namespace whose memory is full of tiny messages', () => {
  it('refuses more as busy, whatever sizes entities may have, hands out what it has, and goes on', () => {
    const harness = new Harness({ memoryBytesMax: MAX });
    const client = harness.connect({ user: 'root' });
    const taken = fill(client, 'orders');
    assert.ok(taken >= ROOM_FOR && taken <= ROOM_FOR + 1, `${taken} were taken`);
    assert.equal(conditionOf(client.sender('news').text('x')), BUSY, 'all entities share it');
    assert.equal(harness.namespace.memory.isShort, true);
    const receiver = client.receiver('orders', 100);
    assert.equal(receiver.received.length, taken);
    for (const received of receiver.received.slice(0, 5))
      assert.equal(conditionOf(receiver.say(received, ACCEPTED)?.state), 'accepted');
    assert.equal(harness.namespace.memory.isShort, false);
    assert.equal(conditionOf(client.sender('orders').text('x')), 'accepted');
    const said = harness.log.filter((text) => text.includes('memory'));
    assert.equal(said.length, 2, said.join('\n'));
  });

  it('lets receivers give up messages with a few words, and with many where there is room', () => {
    const harness = new Harness({ memoryBytesMax: MAX });
    const client = harness.connect({ user: 'root' });
    fill(client, 'orders');
    const receiver = client.receiver('orders', 100);
    const dead = (text: string): DeliveryState => ({
      type: 'rejected',
      error: { condition: 'com.microsoft:dead-letter', info: new Map([['DeadLetterReason', text]]) },
    });
    const [first, second, third] = receiver.received;
    assert.equal(conditionOf(receiver.say(first!, dead('short'))?.state), 'rejected');
    assert.equal(conditionOf(receiver.say(second!, dead('long'.repeat(1_000)))?.state), BUSY);
    assert.equal(conditionOf(receiver.say(third!, ACCEPTED)?.state), 'accepted');
    assert.equal(harness.namespace.counts('orders').deadLetter, 1);
  });

  it('counts each copy of a topic, and their bytes once', () => {
    const subscriptions = ['a', 'b', 'c', 'd'].map((name) => ({ name }));
    const harness = new Harness({ topics: [{ name: 'news', subscriptions }] });
    const client = harness.connect({ user: 'root' });
    client.sender('news').text('x'.repeat(10_000));
    const { used } = harness.namespace.memory;
    assert.ok(used > 10_000 + 4 * MESSAGE_BYTES && used < 10_100 + 4 * MESSAGE_BYTES, `${used} bytes`);
    client.receiver('news/Subscriptions/a', 1, { sndSettleMode: 1, rcvSettleMode: 0 });
    assert.equal(harness.namespace.memory.used, used - MESSAGE_BYTES);
    harness.namespace.remove('news');
    assert.equal(harness.namespace.memory.used, 0);
  });

  it('keeps a scheduled message of a topic until there is memory for its copies', () => {
    const subscriptions = Array.from({ length: 5 }, (_, at) => ({ name: `s${at}` }));
    const harness = new Harness({ topics: [{ name: 'news', subscriptions }], memoryBytesMax: MAX });
    const client = harness.connect({ user: 'root' });
    const at = new Map<string, AmqpValue>([['x-opt-scheduled-enqueue-time', timestamp(TIME_ORIGIN + 60_000)]]);
    const sent = client.sender('news').send({ messageAnnotations: at, body: { kind: 'value', value: 'later' } });
    assert.equal(conditionOf(sent), 'accepted');
    fill(client, 'orders');
    harness.advance(120_000);
    assert.equal(harness.namespace.counts('news/Subscriptions/s0').active, 0);
    client.receiver('orders', 100, { sndSettleMode: 1, rcvSettleMode: 0 });
    harness.advance(2_000);
    assert.equal(harness.namespace.counts('news/Subscriptions/s0').active, 1);
    assert.equal(harness.namespace.counts('news/Subscriptions/s4').active, 1);
  });

  it('counts what transactions hold until they end, and lets go of it when they do', () => {
    const harness = new Harness({ memoryBytesMax: MAX });
    const client = harness.connect({ user: 'root' });
    const coordinator = client.sender(undefined, { target: { type: 'coordinator' } });
    const control = (code: number, fields: AmqpValue[]): DeliveryState | undefined =>
      coordinator.send({ body: { kind: 'value', value: new Described(ulong(code), fields) } });
    const declared = control(0x31, [null]);
    assert.ok(declared !== undefined && 'type' in declared && declared.type === 'declared');
    const { txnId } = declared;
    const sender = client.sender('orders');
    const state = { type: 'transactional-state', txnId, outcome: undefined } as const;
    const send = (): string | undefined => conditionOf(sender.send({ body: { kind: 'value', value: 'x' } }, { state }));
    let enlisted = 0;
    let outcome = send();
    for (; outcome === 'transactional-state' && enlisted < 1_000; outcome = send()) enlisted += 1;
    assert.equal(outcome, BUSY);
    assert.ok(enlisted >= ROOM_FOR - 1 && enlisted <= ROOM_FOR + 1, `${enlisted} were taken`);
    assert.equal(conditionOf(client.sender('news').text('x')), BUSY);
    assert.equal(conditionOf(control(0x32, [txnId, false])), 'accepted');
    assert.equal(harness.namespace.counts('orders').active, enlisted);
    client.receiver('orders', 100, { sndSettleMode: 1, rcvSettleMode: 0 });
    assert.equal(harness.namespace.memory.used, 0);
  });

  it('counts message sessions, their states, and ids that duplicate detection remembers', () => {
    const harness = new Harness({
      queues: [
        { name: 'orders', requiresSession: true },
        { name: 'once', requiresDuplicateDetection: true, duplicateDetectionWindowMs: 20_000 },
      ],
      memoryBytesMax: 8 * MAX,
    });
    const client = harness.connect({ user: 'root' });
    const sender = client.sender('orders');
    const body = { kind: 'value', value: 'x' } as const;
    let sessions = 0;
    while (conditionOf(sender.send({ properties: { groupId: `s${sessions}` }, body })) === 'accepted') sessions += 1;
    assert.ok(sessions > ROOM_FOR && sessions < 4 * ROOM_FOR, `${sessions} sessions`);
    const filter = new Map<AmqpValue, AmqpValue>([[symbol('com.microsoft:session-filter'), 's0']]);
    const receiver = client.receiver('orders', 1, { source: { type: 'source', address: 'orders', filter } });
    const ask = client.requester('orders/$management');
    const setState = (bytes: number): AmqpValue | undefined =>
      ask(
        { operation: 'com.microsoft:set-session-state' },
        new Map<AmqpValue, AmqpValue>([
          ['session-id', 's0'],
          ['session-state', new Uint8Array(bytes)],
        ]),
      ).applicationProperties?.get('errorCondition');
    assert.equal(String(setState(MAX)), 'com.microsoft:server-busy');
    assert.equal(setState(10), undefined);
    assert.equal(conditionOf(receiver.say(receiver.received[0]!, ACCEPTED)?.state), 'accepted');
    harness.namespace.remove('orders');
    assert.equal(harness.namespace.memory.used, 0);
    const once = client.sender('once');
    assert.equal(conditionOf(once.send({ properties: { messageId: 'a' }, body })), 'accepted');
    client.receiver('once', 1, { sndSettleMode: 1, rcvSettleMode: 0 });
    assert.ok(harness.namespace.memory.used > 0);
    harness.advance(30_000);
    assert.equal(conditionOf(once.send({ properties: { messageId: 'b' }, body })), 'accepted');
    harness.namespace.remove('once');
    assert.equal(harness.namespace.memory.used, 0);
  });
});
