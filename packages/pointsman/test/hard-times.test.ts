// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seeded } from './seeded.js';
import { VirtualSite } from './virtual-site.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const IN = { address: 'orders', direction: 'in' } as const;
const FAILED = /Activation Failed|Detached by its container/;

describe('an autolink that Service Bus does not want, over an hour', () => {
  const cases: readonly (readonly [what: string, prepare: (site: VirtualSite) => void, most: number])[] = [
    ['a disabled entity', (site): void => site.namespace.setStatus('orders', 'Disabled'), 25],
    ['an entity that was deleted', (site): void => void site.namespace.remove('orders'), 25],
    [
      'rights that it lacks',
      (site): void =>
        site.namespace.faults.refuseAttaches(Infinity, 'orders', {
          condition: 'amqp:unauthorized-access',
          description: "Unauthorized access. 'Listen' claim(s) are required",
        }),
      25,
    ],
    ['a service that throttles', (site): void => site.namespace.faults.refuseAttaches(Infinity, 'orders'), 80],
    [
      'a quota that is used up',
      (site): void =>
        site.namespace.faults.refuseAttaches(Infinity, 'orders', {
          condition: 'amqp:resource-limit-exceeded',
          description: 'too many receivers',
        }),
      50,
    ],
  ];
  for (const [what, prepare, most] of cases) {
    it(`is attached seldom: ${what}`, async () => {
      const site = new VirtualSite({ autoLinks: [IN] });
      await site.advance(MINUTE);
      assert.equal(site.autoLink('orders').status, 'active');
      prepare(site);
      site.namespace.faults.detachLinks('orders');
      await site.advance(HOUR);
      const failures = site.said(FAILED);
      assert.ok(failures >= 5 && failures <= most, `${failures} attempts in an hour`);
      assert.equal(site.connects, 1, 'nothing else suffers from it');
    });
  }

  it('is there again within seconds where the entity has moved, and with jitter so that not all come at once', async () => {
    const times = new Set<number>();
    const queues = Array.from({ length: 20 }, (_, n) => ({ name: `queue-${n}` }));
    const site = new VirtualSite({
      namespace: { queues },
      autoLinks: queues.map(({ name }) => ({ address: name, direction: 'in' as const })),
    });
    await site.advance(MINUTE);
    const before = site.said(/Auto Link Activated/);
    assert.equal(before, 20);
    for (const { name } of queues)
      site.namespace.faults.detachLinks(name, {
        condition: 'amqp:link:detach-forced',
        description: 'The entity has moved. Code: ServerError.',
      });
    for (let n = 0; n < 100; n++) {
      const there = site.said(/Auto Link Activated/);
      // oxlint-disable-next-line no-await-in-loop
      await site.advance(10);
      if (site.said(/Auto Link Activated/) > there) times.add(site.clock.time);
    }
    assert.equal(site.said(/Auto Link Activated/), 40);
    assert.ok(times.size >= 8, `at ${times.size} moments`);
  });

  it('waits as long as a service that throttles asks for, whatever had ended it before', async () => {
    const site = new VirtualSite({ autoLinks: [IN] });
    await site.advance(MINUTE);
    for (let n = 0; n < 3; n++) {
      site.namespace.faults.detachLinks('orders');
      // oxlint-disable-next-line no-await-in-loop
      await site.advance(4_000);
    }
    assert.equal(site.autoLink('orders').status, 'active');
    site.namespace.faults.refuseAttaches(1, 'orders');
    site.namespace.faults.detachLinks('orders');
    while (site.said(/Please wait 4 seconds/) === 0) {
      assert.ok(site.clock.time < 5 * MINUTE);
      // oxlint-disable-next-line no-await-in-loop
      await site.advance(10);
    }
    await site.advance(3_900);
    assert.equal(site.autoLink('orders').status, 'failed');
    await site.advance(1_500);
    assert.equal(site.autoLink('orders').status, 'active');
  });

  it('that is detached each time at once comes back slower and slower', async () => {
    const site = new VirtualSite({ autoLinks: [IN] });
    await site.advance(MINUTE);
    const start = site.said(/Auto Link Activated/);
    for (const end = site.clock.time + 10 * MINUTE; site.clock.time < end;) {
      site.namespace.faults.detachLinks('orders');
      // oxlint-disable-next-line no-await-in-loop
      await site.advance(100);
    }
    const times = site.said(/Auto Link Activated/) - start;
    assert.ok(times > 5 && times < 60, `attached ${times} times in ten minutes`);
    await site.advance(MINUTE);
    assert.equal(site.autoLink('orders').status, 'active');
  });
});

const SEEDS = process.env['HARD_TIMES_SEED'] === undefined ? [1, 2] : [Number(process.env['HARD_TIMES_SEED'])];

describe('hours in which everything happens, by chance', () => {
  for (const seed of SEEDS) {
    it(`end with all links there, and with as many timers as before: HARD_TIMES_SEED=${seed}`, async () => {
      const chance = seeded(seed);
      const site = new VirtualSite({
        namespace: { queues: [{ name: 'orders' }, { name: 'bills' }, { name: 'hall', requiresSession: true }] },
        autoLinks: [
          IN,
          { address: 'out', externalAddress: 'orders', direction: 'out' },
          { address: 'bills', direction: 'in' },
          { address: 'hall', direction: 'in', sessionId: 'a' },
          { address: 'ask', externalAddress: 'orders/$management', direction: 'out' },
          { address: 'answers', externalAddress: 'orders/$management', direction: 'in' },
        ],
      });
      const { namespace, router } = site;
      const { faults } = namespace;
      const nodes = ['orders', 'bills', 'hall', 'orders/$management', 'hall/$management', '$cbs'];
      const happenings = [
        (): unknown => faults.detachLinks(nodes[Math.floor(chance() * nodes.length)]!),
        (): unknown => faults.closeConnections(),
        (): unknown => faults.dropConnections(),
        (): unknown => chance() < 0.2 && faults.freezeConnections(),
        (): unknown => faults.revokeTokens(),
        (): unknown => faults.refuseAttaches(1 + Math.floor(chance() * 5)),
        (): unknown => faults.refuseRequests(1 + Math.floor(chance() * 5)),
        (): unknown => namespace.setStatus('bills', 'Disabled'),
        (): unknown => namespace.setStatus('bills', 'Active'),
      ];
      await site.advance(MINUTE);
      const { pending } = site.clock;
      for (let n = 0; n < 150; n++) {
        happenings[Math.floor(chance() * happenings.length)]!();
        const kind = chance();
        // oxlint-disable-next-line no-await-in-loop
        await site.advance(chance() * (kind < 0.5 ? 50 : kind < 0.8 ? 5_000 : 15 * MINUTE));
      }
      namespace.setStatus('bills', 'Active');
      faults.refuseAttaches(0);
      faults.refuseRequests(0);
      await site.advance(HOUR / 2);
      const isCalm = (): boolean => router.autoLinks.every(({ status }) => status === 'active');
      // A link that was idle may have been detached in this very moment.
      // oxlint-disable-next-line no-await-in-loop
      for (let n = 0; n < 40 && !isCalm(); n++) await site.advance(500);
      assert.deepEqual(
        router.autoLinks.filter(({ status }) => status !== 'active').map(({ name, lastError }) => [name, lastError]),
        [],
      );
      assert.equal(namespace.connections, 1);
      assert.ok(
        site.service!.tokens.every(({ state, links }) => state === 'valid' || links === 0),
        JSON.stringify(site.service!.tokens),
      );
      // One more for a pair of links to the management of an entity that is not needed any more.
      assert.ok(site.clock.pending <= pending + 4, `${site.clock.pending} timers, ${pending} before`);
    });
  }
});

describe('a connection to Service Bus', () => {
  it('leaves no timer behind, however often it is cut', async () => {
    const site = new VirtualSite({
      namespace: { queues: [{ name: 'orders' }, { name: 'hall', requiresSession: true }] },
      autoLinks: [
        IN,
        { address: 'out', externalAddress: 'orders', direction: 'out' },
        { address: 'hall', direction: 'in', sessionId: 'a' },
        { address: 'ask', externalAddress: 'orders/$management', direction: 'out' },
        { address: 'answers', externalAddress: 'orders/$management', direction: 'in' },
      ],
    });
    await site.advance(MINUTE);
    const active = (): number => site.router.autoLinks.filter(({ status }) => status === 'active').length;
    assert.equal(active(), 5);
    const before = site.clock.pending;
    const links = site.namespace.links;
    for (let n = 0; n < 50; n++) {
      if (n % 3 === 0) site.namespace.faults.closeConnections();
      else if (n % 3 === 1) site.namespace.faults.dropConnections();
      else site.namespace.faults.detachLinks('orders/$management');
      // In the middle of something, as a rule.
      // oxlint-disable-next-line no-await-in-loop
      await site.advance((n * 137) % 900);
    }
    await site.advance(2 * MINUTE);
    assert.equal(active(), 5);
    assert.equal(site.namespace.links, links);
    assert.ok(site.clock.pending <= before, `${site.clock.pending} timers, ${before} before`);
  });

  it('keeps links and rights over a day in which tokens end and links are idle', async () => {
    const site = new VirtualSite({ autoLinks: [IN] });
    await site.advance(24 * HOUR);
    assert.equal(site.autoLink('orders').status, 'active');
    assert.equal(site.connects, 1);
    assert.equal(site.said(/Activation Failed/), 0);
    assert.ok(site.service!.tokens[0]!.renewals > 20);
    assert.equal(site.service!.tokens[0]!.failures, 0);
  });
});
