// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock } from '@pointsman/engine';
import { encodeMessage, long, symbol } from '@pointsman/wire';
import type { AmqpValue, DeliveryState } from '@pointsman/wire';
import fc from 'fast-check';
import { HUB_POSITIONS_MAX, HubPositions, explain } from '../src/index.js';
import type { HubInbox, HubPosition, HubProgress, HubReader, HubReaderId } from '../src/index.js';

const READER: HubReaderId = {
  namespace: 'Unit.servicebus.windows.net',
  node: 'hub/ConsumerGroups/$Default/Partitions/0',
  address: 'events',
  filter: undefined,
};
const ACCEPTED: DeliveryState = { type: 'accepted' };
const FROM_BEGINNING = "amqp.annotation.x-opt-offset > '-1'";

/** The first bytes of an event as a hub sends it. */
function event(sequence: number, end?: number): Uint8Array {
  return encodeMessage({
    ...(end === undefined ? {} : { deliveryAnnotations: new Map([['last_enqueued_sequence_number', long(end)]]) }),
    messageAnnotations: new Map<string, AmqpValue>([
      ['x-opt-sequence-number', long(sequence)],
      ['x-opt-offset', String(sequence * 100)],
    ]),
    body: { kind: 'data', sections: [new Uint8Array(1)] },
  });
}

/** A link of a reader, and what was asked of it. */
class Link implements HubInbox {
  position: HubProgress | undefined;
  readonly leaves: number[] = [];
  readonly capacity = 50;
  limit = 0;
  readonly warnings: string[] = [];
  readonly reader: HubReader;
  readonly #orders: (() => void)[] = [];

  constructor(positions: HubPositions, before?: HubProgress, id: HubReaderId = READER) {
    this.position = before;
    const clock: Clock = {
      now: () => 0,
      after: (_ms, action) => {
        this.#orders.push(action);
        return () => void this.#orders.splice(0);
      },
    };
    this.reader = positions.follow(id, this, {
      clock,
      nowMs: () => 1_000,
      random: () => 0,
      log: (_level, text) => void this.warnings.push(text),
    });
  }

  leave(afterMs: number = 0): void {
    this.leaves.push(afterMs);
  }

  limitCredit(count: number): void {
    this.limit = count;
  }

  reached(progress: HubProgress): void {
    this.position = progress;
  }

  /** What was put off is done. */
  run(): void {
    for (const order of this.#orders.splice(0)) order();
  }
}

describe('positions of event hubs', () => {
  it('are those of the longest run of settled events, in whatever order they are settled', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }).chain((count) =>
          fc.record({
            order: fc.shuffledSubarray(
              Array.from({ length: count }, (_, i) => i),
              { minLength: 0 },
            ),
            count: fc.constant(count),
          }),
        ),
        ({ order, count }) => {
          const positions = new HubPositions();
          const link = new Link(positions);
          const messages = Array.from({ length: count }, () => ({ note: undefined as unknown }));
          for (const [i, message] of messages.entries()) link.reader.took(message, event(i, count - 1));
          const settled = new Set<number>();
          for (const i of order) {
            link.reader.over(messages[i]!, i % 3 === 0 ? { type: 'rejected', error: undefined } : ACCEPTED);
            settled.add(i);
            let last = -1;
            while (settled.has(last + 1)) last++;
            assert.equal(link.position?.sequence ?? -1, last);
            const { offset, isFirst } = positions.of(READER)!;
            assert.deepEqual([offset, isFirst], last < 0 ? ['0', true] : [String(last * 100), false]);
          }
          assert.equal(link.position?.end, count - 1);
        },
      ),
    );
  });

  it('do not move past what comes back; a link behind them begins anew, at once first, then ever later', () => {
    const positions = new HubPositions();
    let link = new Link(positions);
    const waits: number[] = [];
    for (let attempt = 0; attempt < 12; attempt++) {
      const [first, second] = [{ note: undefined }, { note: undefined }];
      link.reader.took(first, event(4));
      link.reader.took(second, event(5));
      link.reader.over(first, attempt % 2 === 0 ? { type: 'released' } : undefined);
      // What else is settled on the link that is left does not count: it comes again.
      link.reader.over(second, ACCEPTED);
      assert.deepEqual(link.leaves, []);
      link.run();
      waits.push(...link.leaves);
      link = new Link(positions, link.position);
    }
    assert.deepEqual(waits.slice(0, 5), [0, 100, 200, 400, 800]);
    assert.equal(waits.at(-1), 30_000);
    assert.deepEqual(positions.of(READER), { reader: READER, offset: '400', sequence: 4, isFirst: true, at: 1_000 });
    assert.deepEqual([link.position?.replays, link.position?.inVain], [12, 12]);
    const message = { note: undefined };
    link.reader.took(message, event(4));
    link.reader.over(message, ACCEPTED);
    assert.deepEqual([link.position?.sequence, link.position?.inVain], [4, 0]);
  });

  it('leave out what was settled behind them when it comes again, on the link or after its end', () => {
    const positions = new HubPositions();
    const first = new Link(positions);
    const messages = [0, 1, 2, 3].map(() => ({ note: undefined as unknown }));
    for (const [i, message] of messages.entries()) assert.equal(first.reader.took(message, event(i)), true);
    first.reader.over(messages[1]!, ACCEPTED);
    first.reader.stop();
    assert.equal(first.reader.late(messages[2]!, { type: 'rejected', error: undefined }), true);
    assert.equal(first.reader.late(messages[3]!, { type: 'released' }), false);
    const next = new Link(positions);
    const again = [0, 1, 2, 3].map(() => ({ note: undefined as unknown }));
    assert.deepEqual(
      again.map((message, i) => next.reader.took(message, event(i))),
      [true, false, false, true],
    );
    next.reader.over(again[1]!, ACCEPTED);
    next.reader.over(again[2]!, ACCEPTED);
    assert.equal(positions.of(READER)?.isFirst, true);
    next.reader.over(again[0]!, ACCEPTED);
    assert.equal(positions.of(READER)?.sequence, 2);
    // What is before the position is known without.
    assert.equal(next.reader.late(again[1]!, ACCEPTED), true);
    assert.equal(new Link(positions).reader.took({ note: undefined }, event(1)), true);
  });

  it('know of a thousand events behind them, and no more', () => {
    const link = new Link(new HubPositions());
    const messages = Array.from({ length: 1_003 }, () => ({ note: undefined as unknown }));
    for (const [i, message] of messages.entries()) link.reader.took(message, event(i));
    link.reader.stop();
    const isKept = messages.slice(1).map((message) => link.reader.late(message, ACCEPTED));
    assert.deepEqual([isKept.lastIndexOf(true), isKept.indexOf(false)], [999, 1_000]);
  });

  it('let no more than a thousand events pass one that is kept', () => {
    const positions = new HubPositions();
    const link = new Link(positions);
    const first = { note: undefined };
    link.reader.took(first, event(0));
    let sequence = 1;
    while (link.limit > 1) {
      const message = { note: undefined };
      link.reader.took(message, event(sequence++));
      link.reader.over(message, ACCEPTED);
    }
    assert.equal(sequence, 1_000);
    link.reader.over(first, ACCEPTED);
    assert.equal(link.limit, 50);
    assert.equal(positions.of(READER)?.sequence, 999);
    // A link that was lost while it was full leaves nothing of that to the next.
    link.limit = 1;
    assert.equal(new Link(positions).limit, 50);
  });

  it('of a link that has gone move no more', () => {
    const positions = new HubPositions();
    const link = new Link(positions);
    const message = { note: undefined };
    link.reader.took(message, event(0));
    link.reader.stop();
    link.reader.over(message, ACCEPTED);
    assert.equal(positions.of(READER)?.isFirst, true);
    const next = new Link(positions);
    const again = { note: undefined };
    next.reader.took(again, event(0));
    next.reader.over(again, { type: 'released' });
    next.reader.stop();
    next.run();
    assert.deepEqual(next.leaves, [], 'a link that has gone is not left');
  });

  it('move with what comes, where no outcomes are wanted', () => {
    const positions = new HubPositions();
    const link = new Link(positions);
    for (const sequence of [0, 1, 2]) assert.equal(link.reader.passed(event(sequence)), false);
    assert.equal(positions.of(READER)?.sequence, 2);
  });

  it('tell of events that had gone, and go on behind events that say nothing', () => {
    const positions = new HubPositions();
    positions.restore([{ reader: READER, offset: '100', sequence: 1, isFirst: false, at: 0 }]);
    const link = new Link(positions);
    link.reader.passed(event(5));
    assert.match(link.warnings.join(), /^3 events had gone before they were read \(2 to 4\)/);
    assert.equal(link.position?.missed, 3);
    for (const bytes of [new Uint8Array(), new Uint8Array([0, 0x53]), Uint8Array.of(0, 0x53, 0x72, 0xc1, 9, 9)])
      link.reader.passed(bytes);
    link.reader.passed(event(6));
    assert.equal(positions.of(READER)?.sequence, 6);
    assert.equal(link.position?.missed, 3);
  });

  it('meet any bytes without an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const link = new Link(new HubPositions());
        link.reader.passed(bytes);
        link.reader.took({ note: undefined }, Uint8Array.of(0, 0x53, 0x72, ...bytes));
      }),
    );
  });

  it('make the selector of the next link, whatever the offset looks like', () => {
    const positions = new HubPositions();
    assert.equal(positions.filterOf(READER), FROM_BEGINNING);
    const latest = { ...READER, filter: "amqp.annotation.x-opt-offset > '@latest'" };
    const other = { ...READER, filter: "color = 'red'" };
    assert.equal(positions.filterOf(latest), latest.filter);
    const at = (reader: HubReaderId): HubPosition => ({ reader, offset: "3:it's", sequence: 1, isFirst: false, at: 0 });
    positions.restore([at(READER), at(latest), at(other)]);
    const behind = "amqp.annotation.x-opt-offset > '3:it''s'";
    assert.equal(positions.filterOf(READER), behind);
    assert.equal(positions.filterOf(latest), behind);
    assert.equal(positions.filterOf(other), other.filter, 'not one by position');
    const spelled = { ...READER, namespace: READER.namespace.toUpperCase(), node: READER.node.toLowerCase() };
    assert.equal(positions.filterOf(spelled), behind);
    assert.equal(positions.filterOf({ ...READER, address: 'others' }), FROM_BEGINNING);
  });

  it('begin with the first event that came, though it is not settled: what was the newest is not any more', () => {
    const positions = new HubPositions();
    const latest = { ...READER, filter: "amqp.annotation.x-opt-offset > '@latest'" };
    const first = new Link(positions, undefined, latest);
    assert.equal(positions.filterOf(latest), latest.filter);
    first.reader.took({ note: undefined }, event(7));
    first.reader.took({ note: undefined }, event(8));
    first.reader.stop();
    assert.equal(positions.filterOf(latest), "amqp.annotation.x-opt-offset >= '700'");
    const next = new Link(positions, undefined, latest);
    assert.deepEqual([next.position?.offset, next.position?.sequence], [undefined, undefined]);
    const again = { note: undefined };
    next.reader.took(again, event(7));
    assert.equal(next.position?.missed, 0);
    next.reader.over(again, ACCEPTED);
    assert.equal(positions.filterOf(latest), "amqp.annotation.x-opt-offset > '700'");
  });

  it('are kept of so many readers, and forgotten first of who has not moved for longest', () => {
    const moved: string[] = [];
    const positions = new HubPositions({ onMoved: ({ reader }) => void moved.push(reader.address) });
    const of = (i: number): HubReaderId => ({ ...READER, address: `a${i}` });
    positions.restore(
      Array.from({ length: HUB_POSITIONS_MAX }, (_, i) => ({
        reader: of(i),
        offset: '1',
        sequence: 1,
        isFirst: false,
        at: 0,
      })),
    );
    new Link(positions, undefined, of(0)).reader.passed(event(2));
    new Link(positions, undefined, of(-1)).reader.passed(event(2));
    assert.deepEqual(moved, ['a0', 'a-1', 'a-1'], 'a new one by its first event, too');
    assert.equal([...positions.all].length, HUB_POSITIONS_MAX);
    assert.equal(positions.of(of(0))?.offset, '200');
    assert.equal(positions.of(of(1)), undefined);
  });

  it('take offsets that are symbols or numbers, and none that is endless', () => {
    for (const [offset, expected] of [
      [symbol('1:2'), '1:2'],
      [long(7), '7'],
      ['x'.repeat(1_000), undefined],
    ] as const) {
      const positions = new HubPositions();
      const annotations = new Map<string, AmqpValue>([['x-opt-offset', offset]]);
      new Link(positions).reader.passed(
        encodeMessage({ messageAnnotations: annotations, body: { kind: 'value', value: 1 } }),
      );
      assert.equal(positions.of(READER)?.offset, expected);
    }
  });
});

describe('what it means that a partition cannot be read', () => {
  const said = (condition: string, description = 'text'): string =>
    explain({
      step: 'autolink',
      connector: 'hubs',
      host: READER.namespace,
      port: 5671,
      secrets: [],
      direction: 'in',
      address: 'events',
      externalAddress: READER.node,
      policy: 'p',
      condition,
      description,
    }).message;

  it('is said with what to do', () => {
    assert.match(said('com.microsoft:argument-out-of-range'), /no partition of that number/);
    assert.match(
      said('com.microsoft:argument-error', "The supplied offset '9' is invalid. The last offset in the system is '5'"),
      /behind the newest event.*event-hub-positions\.json/,
    );
    assert.match(said('amqp:not-found'), /no event hub or consumer group.*HUB\/ConsumerGroups\/GROUP/);
    assert.match(said('amqp:link:stolen'), /owner level.*consumer group of its own/);
    assert.match(said('amqp:resource-limit-exceeded'), /five/);
    assert.match(said('amqp:unauthorized-access'), /lacks the right 'Listen'/);
  });
});
