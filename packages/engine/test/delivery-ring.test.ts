// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DeliveryRing } from '../src/index.js';

interface Item {
  readonly id: number;
  readonly link: number;
}
const item = (id: number): Item => ({ id, link: id % 3 });

describe('deliveries by id', () => {
  it('behave as a map does, whatever is added, removed and looked up, over the wrap of ids too', () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constant('add' as const),
          skip: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.nat(60)),
        }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('miss' as const), behind: fc.nat(100_000) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('range' as const), from: fc.nat(200), width: fc.nat(200) }) },
    );
    fc.assert(
      fc.property(
        fc.constantFrom(0, 7, 0xffffff00, 0xfffffffe),
        fc.array(step, { maxLength: 300, size: 'max' }),
        (start, steps) => {
          const ring = new DeliveryRing<Item>();
          const twin = new Map<number, Item>();
          let next = start;
          for (const s of steps) {
            if (s.do === 'add') {
              next = (next + s.skip) >>> 0;
              const added = item(next);
              ring.add(added);
              twin.set(next, added);
              next = (next + 1) >>> 0;
            } else if (s.do === 'remove') {
              const ids = [...twin.keys()];
              if (ids.length === 0) continue;
              const id = ids[s.which % ids.length]!;
              ring.remove(id);
              twin.delete(id);
              assert.equal(ring.get(id), undefined);
            } else if (s.do === 'miss') {
              const id = (next + s.behind) >>> 0;
              assert.equal(ring.get(id), undefined);
              ring.remove(id);
            } else {
              const first = (next - s.from) >>> 0;
              const within = ({ id }: Item): boolean => (id - first) >>> 0 <= s.width;
              assert.deepEqual(ring.where(within), [...twin.values()].filter(within));
              for (const link of [0, 1, 2, 3])
                assert.deepEqual(
                  ring.ofLink(link),
                  [...twin.values()].filter((one) => one.link === link),
                );
            }
            assert.equal(ring.size, twin.size);
          }
          for (const [id, one] of twin) assert.equal(ring.get(id), one);
          assert.deepEqual(ring.all(), [...twin.values()]);
          ring.clear();
          assert.deepEqual([ring.size, ring.all()], [0, []]);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('stay small while one that is stuck is passed by 100,000 others', () => {
    const ring = new DeliveryRing<Item>();
    const stuck = item(5);
    ring.add(stuck);
    for (let id = 6; id < 100_006; id++) {
      ring.add(item(id));
      ring.remove(id);
    }
    assert.equal(ring.get(5), stuck);
    assert.equal(ring.size, 1);
    assert.ok(ring.span <= 64, `${ring.span} places for one delivery`);
    ring.remove(5);
    assert.equal(ring.size, 0);
  });

  it('grow with how many are under way, up to a bound, and hold any number', () => {
    const ring = new DeliveryRing<Item>();
    for (let id = 0; id < 100_000; id++) ring.add(item(id));
    assert.equal(ring.span, 1 << 14);
    assert.equal(ring.size, 100_000);
    for (let id = 0; id < 100_000; id += 997) assert.equal(ring.get(id)?.id, id);
    assert.deepEqual(
      ring.where(({ id }) => id % 20_000 === 0).map(({ id }) => id),
      [0, 20_000, 40_000, 60_000, 80_000],
    );
    for (let id = 0; id < 100_000; id++) ring.remove(id);
    assert.equal(ring.size, 0);
  });

  it('are told for each of many links in a few walks over all of them', () => {
    const ring = new DeliveryRing<Item>();
    let looks = 0;
    const count = 1_000;
    for (let id = 0; id < count; id++) {
      ring.add({
        id,
        get link() {
          looks++;
          return id;
        },
      });
    }
    looks = 0;
    for (let link = 0; link < count; link++) assert.equal(ring.ofLink(link)[0]?.id, link);
    assert.ok(looks <= 8 * count, `${looks} looks at ${count} deliveries`);
    ring.remove(7);
    assert.deepEqual([ring.ofLink(7), ring.ofLink(7)], [[], []]);
  });

  it('take no room before the first', () => {
    const ring = new DeliveryRing<Item>();
    assert.equal(ring.span, 0);
    assert.equal(ring.get(0), undefined);
    ring.remove(0);
    assert.deepEqual([ring.size, ring.all()], [0, []]);
  });
});
