// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeMessage, int, long, short, type AmqpValue } from '@pointsman/wire';
import fc from 'fast-check';
import { EventHub } from '../src/event-hubs/event-hub.js';
import { EventHubs } from '../src/event-hubs/event-hubs.js';
import { EventPartition, type EventPosition, type StoredEvent } from '../src/event-hubs/event-partition.js';
import { partitionOf } from '../src/event-hubs/partition-key.js';
import {
  PRODUCER_EPOCH,
  PRODUCER_ID,
  PRODUCER_SEQUENCE,
  ProducerStates,
  type Producer,
} from '../src/event-hubs/producer-states.js';
import { MessageContent } from '../src/message-content.js';

function event(bytes: number, key?: string): MessageContent {
  const message = encodeMessage({
    ...(key === undefined ? {} : { messageAnnotations: new Map([['x-opt-partition-key', key]]) }),
    body: { kind: 'data', sections: [new Uint8Array(bytes)] },
  });
  return MessageContent.read(message, 0);
}

const all = (partition: EventPartition): StoredEvent[] => {
  const events: StoredEvent[] = [];
  for (let at = partition.firstSequence; at < partition.nextSequence; at++) events.push(partition.at(at)!);
  return events;
};

describe('a partition of an event hub', () => {
  it('finds a position as a look at each event would', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ bytes: fc.nat(50), later: fc.nat(2) }), { maxLength: 40 }),
        fc.constantFrom<EventPosition['of'][]>('offset', 'sequence', 'enqueued'),
        fc.integer({ min: -1, max: 200 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 3_000 }),
        (events, of, from, isInclusive, retained) => {
          const partition = new EventPartition('0', retained, 0);
          let now = 0;
          for (const { bytes, later } of events) partition.append([event(bytes)], (now += later));
          const valueOf = ({ offset, sequence, enqueuedAt }: StoredEvent): number =>
            of === 'offset' ? offset : of === 'sequence' ? sequence : enqueuedAt;
          const expected = all(partition).find((one) => (isInclusive ? valueOf(one) >= from : valueOf(one) > from));
          assert.equal(partition.sequenceAt({ of, from, isInclusive }), expected?.sequence ?? partition.nextSequence);
        },
      ),
    );
  });

  it('keeps so many bytes, and lets the oldest events go', () => {
    const partition = new EventPartition('0', 1_000, 0);
    for (let i = 0; i < 1_000; i++) partition.append([event(100)], i);
    const kept = all(partition);
    assert.ok(kept.length > 5 && kept.length < 10);
    assert.equal(partition.size, kept.length);
    assert.equal(kept.at(-1)!.sequence, 999);
    // Who asks for what has gone gets what comes next.
    assert.equal(partition.at(3)!.sequence, partition.firstSequence);
    assert.deepEqual(partition.last, { sequence: 999, offset: kept.at(-1)!.offset, at: 999 });
  });

  it('lets go what is older than it keeps, whether more comes or not', () => {
    const partition = new EventPartition('0', 1e6, 0, 1_000);
    for (let at = 0; at < 2_000; at += 500) partition.append([event(10)], at);
    assert.equal(partition.firstSequence, 1);
    partition.expire(2_400);
    assert.equal(partition.firstSequence, 3);
    partition.expire(9_000);
    assert.equal(partition.size, 0);
    assert.deepEqual([partition.firstSequence, partition.last.sequence], [4, 3]);
    partition.append([event(10)], 9_000);
    assert.equal(partition.at(0)!.sequence, 4);
  });

  it('keeps one event, however large', () => {
    const partition = new EventPartition('0', 10, 0);
    partition.append([event(100)], 0);
    assert.equal(partition.size, 1);
  });
});

describe('an event hub', () => {
  it('has what is of one key in one partition, and spreads what has none', () => {
    const hub = new EventHub({ name: 'hub', partitions: 3 }, 0);
    for (let i = 0; i < 6; i++) hub.send([event(1, 'key')], undefined, 0);
    assert.deepEqual(hub.partitions.map(({ size }) => size).sort(), [0, 0, 6]);
    const plain = new EventHub({ name: 'hub', partitions: 3 }, 0);
    for (let i = 0; i < 6; i++) plain.send([event(1)], undefined, 0);
    assert.deepEqual(
      plain.partitions.map(({ size }) => size),
      [2, 2, 2],
    );
    assert.equal(plain.send([event(1, 'k'.repeat(129))], undefined, 0)?.condition, 'com.microsoft:argument-error');
  });

  it('is refused with names and numbers that are none', () => {
    for (const options of [
      { name: '' },
      { name: 'a?b' },
      { name: 'hub', partitions: 0 },
      { name: 'hub', partitions: 33 },
      { name: 'hub', partitions: 1.5 },
      { name: 'hub', retainedBytes: 0 },
      { name: 'hub', retentionMs: 0 },
      { name: 'hub', consumerGroups: ['a#'] },
    ])
      assert.throws(() => new EventHub(options, 0), TypeError, JSON.stringify(options));
    assert.throws(() => new EventHubs([{ name: 'Hub' }, { name: 'hub' }], 0), /already/);
  });

  it('is found by the addresses that clients have for its nodes', () => {
    const hubs = new EventHubs([{ name: 'Hub', partitions: 2, consumerGroups: ['Own'] }, { name: 'hub/inner' }], 0);
    const found = (address: string): unknown => {
      const node = hubs.resolve(address);
      if (node === undefined) return undefined;
      return 'missing' in node ? node.missing : [node.hub.name, node.group, node.partition?.id];
    };
    assert.deepEqual(found('hub'), ['Hub', undefined, undefined]);
    assert.deepEqual(found('sb://host/HUB/Partitions/1'), ['Hub', undefined, '1']);
    assert.deepEqual(found('Hub/ConsumerGroups/$Default/Partitions/0'), ['Hub', '$default', '0']);
    assert.deepEqual(found('hub/consumergroups/OWN/partitions/0'), ['Hub', 'own', '0']);
    assert.deepEqual(found('hub/inner/Partitions/0'), ['hub/inner', undefined, '0']);
    assert.deepEqual(found('hub/$management'), ['Hub', undefined, undefined]);
    assert.equal(found('hub/Partitions/2'), 'partition');
    assert.equal(found('hub/ConsumerGroups/nobody/Partitions/0'), 'group');
    assert.equal(found('hub/what'), 'node');
    assert.equal(found('hubs'), undefined);
    assert.equal(hubs.knows('hub/$management'), true);
    assert.equal(hubs.knows('hub/Partitions/2'), true);
    assert.equal(hubs.knows('hub/what'), false);
    // The client for Python asks for a token for that.
    assert.equal(hubs.knows('hub/ConsumerGroups/$Default'), true);
    assert.equal(hubs.knows('hub/ConsumerGroups/nobody'), false);
    assert.equal(hubs.knows('other/ConsumerGroups/$Default'), false);
  });
});

describe('the partition of a key', () => {
  it('is that of the hash that Bob Jenkins published', () => {
    // lookup3.c, driver5: hashlittle2 of these with both seeds 0 gives b and c.
    const known: readonly (readonly [key: string, b: number, c: number])[] = [
      ['', 0xdeadbeef, 0xdeadbeef],
      ['Four score and seven years ago', 0xce7226e6, 0x17770551],
    ];
    for (const [key, b, c] of known) {
      const folded = ((b ^ c) << 16) >> 16;
      for (const partitions of [1, 2, 7, 32, 1_024])
        assert.equal(partitionOf(key, partitions), Math.abs(folded % partitions), `${key} of ${partitions}`);
    }
  });

  it('is one of those that there are', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), fc.integer({ min: 1, max: 1_024 }), (key, partitions) => {
        const partition = partitionOf(key, partitions);
        assert.ok(Number.isInteger(partition) && partition >= 0 && partition < partitions);
      }),
    );
  });
});

describe('a producer that numbers its events', () => {
  const numbered = (...sequences: number[]): MessageContent[] =>
    sequences.map((sequence) =>
      MessageContent.read(
        encodeMessage({
          messageAnnotations: new Map([[PRODUCER_SEQUENCE, int(sequence)]]),
          body: { kind: 'data', sections: [new Uint8Array(1)] },
        }),
        0,
      ),
    );
  const properties = (epoch: number | null, id: number | null, sequence: number | null): Map<string, AmqpValue> =>
    new Map<string, AmqpValue>([
      [PRODUCER_EPOCH, epoch === null ? null : short(epoch)],
      [PRODUCER_ID, id === null ? null : long(id)],
      [PRODUCER_SEQUENCE, sequence === null ? null : int(sequence)],
    ]);
  const attach = (states: ProducerStates, ...given: Parameters<typeof properties>): Producer => {
    const producer = states.attach(properties(...given), () => 7);
    assert.ok(!('condition' in producer), JSON.stringify(producer));
    return producer;
  };
  const conditionOf = (answer: unknown): unknown => (answer as { condition?: string }).condition;

  it('is given what it leaves open', () => {
    const states = new ProducerStates();
    assert.deepEqual(
      states.attach(new Map(), () => 7),
      { id: 7, epoch: 0, sequence: 0 },
    );
    assert.deepEqual(attach(states, 3, null, null), { id: 7, epoch: 3, sequence: 0 });
    assert.deepEqual(attach(states, null, 9, 12), { id: 9, epoch: 0, sequence: 12 });
    assert.equal(conditionOf(states.attach(properties(-1, 7, 0), () => 0)), 'com.microsoft:argument-out-of-range');
  });

  it('has a batch kept once, however often it is sent', () => {
    const states = new ProducerStates();
    const producer = attach(states, 0, 7, 0);
    assert.equal(states.take(producer, numbered(1, 2, 3)), true);
    assert.equal(states.take(producer, numbered(1, 2, 3)), false);
    assert.equal(states.take(producer, numbered(4)), true);
    // Attached again with what it knew before its connection was cut.
    const again = attach(states, 0, 7, 3);
    assert.equal(states.take(again, numbered(4)), false);
    assert.equal(states.take(again, numbered(5)), true);
  });

  it('is refused what is out of order', () => {
    const states = new ProducerStates();
    const producer = attach(states, 0, 7, 0);
    assert.equal(states.take(producer, numbered(1, 2, 3, 4, 5)), true);
    for (const wrong of [numbered(2), numbered(7), numbered(6, 8), [event(1)], []])
      assert.equal(conditionOf(states.take(producer, wrong)), 'com.microsoft:out-of-order-sequence');
    assert.equal(states.take(producer, numbered(6)), true);
  });

  it('begins at 0 again behind the largest number', () => {
    const states = new ProducerStates();
    const producer = attach(states, 0, 7, 0x7fff_fffe);
    assert.equal(states.take(producer, numbered(0x7fff_ffff, 0)), true);
    assert.equal(states.take(producer, numbered(1)), true);
  });

  it('gives way to a higher epoch, which says where it goes on', () => {
    const states = new ProducerStates();
    const first = attach(states, 0, 7, 0);
    assert.equal(states.take(first, numbered(1)), true);
    const second = attach(states, 1, 7, 40);
    assert.equal(states.take(second, numbered(41)), true);
    const refusal = states.take(first, numbered(2));
    assert.equal(conditionOf(refusal), 'com.microsoft:producer-epoch-stolen');
    assert.match((refusal as { description: string }).description, /Received:0 Current:1/);
    assert.equal(conditionOf(states.attach(properties(0, 7, 1), () => 0)), 'com.microsoft:producer-epoch-stolen');
  });

  it('is forgotten behind a thousand others', () => {
    const states = new ProducerStates();
    for (let id = 0; id <= 1_000; id++) states.take(attach(states, 5, id, 0), numbered(1));
    assert.equal(attach(states, 0, 0, 0).epoch, 0);
    assert.equal(conditionOf(states.attach(properties(0, 1_000, 0), () => 0)), 'com.microsoft:producer-epoch-stolen');
  });
});
