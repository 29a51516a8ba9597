// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeMessage } from '@pointsman/wire';
import fc from 'fast-check';
import { EventHub } from '../src/event-hubs/event-hub.js';
import { EventHubs } from '../src/event-hubs/event-hubs.js';
import { EventPartition, type EventPosition, type StoredEvent } from '../src/event-hubs/event-partition.js';
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
      { name: 'hub', consumerGroups: ['a#'] },
    ])
      assert.throws(() => new EventHub(options, 0), TypeError, JSON.stringify(options));
    assert.throws(() => new EventHubs([{ name: 'Hub' }, { name: 'hub' }], 0), /already/);
  });

  it('is found by the addresses that clients have for its nodes', () => {
    const hubs = new EventHubs([{ name: 'Hub', partitions: 2, consumerGroups: ['Own'] }, { name: 'hub/inner' }], 0);
    const found = (address: string): unknown => {
      const node = hubs.resolve(address);
      return typeof node === 'object' ? [node.hub.name, node.group, node.partition?.id] : node;
    };
    assert.deepEqual(found('hub'), ['Hub', undefined, undefined]);
    assert.deepEqual(found('sb://host/HUB/Partitions/1'), ['Hub', undefined, '1']);
    assert.deepEqual(found('Hub/ConsumerGroups/$Default/Partitions/0'), ['Hub', '$default', '0']);
    assert.deepEqual(found('hub/consumergroups/OWN/partitions/0'), ['Hub', 'own', '0']);
    assert.deepEqual(found('hub/inner/Partitions/0'), ['hub/inner', undefined, '0']);
    assert.deepEqual(found('hub/$management'), ['Hub', undefined, undefined]);
    for (const unknown of ['hub/Partitions/2', 'hub/ConsumerGroups/nobody/Partitions/0', 'hub/what'])
      assert.equal(found(unknown), 'unknown', unknown);
    assert.equal(found('hubs'), undefined);
    assert.equal(hubs.knows('hub/$management'), true);
    assert.equal(hubs.knows('hub/Partitions/2'), false);
  });
});
