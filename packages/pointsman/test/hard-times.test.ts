// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
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
