// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RETRY_POLICIES, Secret, TokenError } from '@pointsman/azure';
import type { AzureToken, ConditionClass } from '@pointsman/azure';
import type { AmqpErrorFields } from '@pointsman/wire';
import { ScriptedCbs } from './scripted-cbs.js';

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Asks for the right to attach. */
function want(cloud: ScriptedCbs, address = 'orders'): { error?: AmqpErrorFields | undefined; may: boolean } {
  const link: { error?: AmqpErrorFields | undefined; may: boolean } = { may: false };
  cloud.cbs.authorize(address, (error) => {
    link.error = error;
    link.may = error === undefined;
  });
  return link;
}

describe('a token that $cbs refuses', () => {
  const cases: readonly (readonly [status: number, condition: string, kind: ConditionClass])[] = [
    [400, 'amqp:not-allowed', 'misuse'],
    [401, 'amqp:unauthorized-access', 'unauthorized'],
    [404, 'amqp:not-found', 'missing'],
    [500, 'amqp:internal-error', 'transient'],
    [503, 'com.microsoft:server-busy', 'busy'],
  ];
  for (const [status, condition, kind] of cases) {
    it(`with ${status} fails its first link so, and is renewed at the pace of class ${kind} while the old one lasts`, async () => {
      const first = new ScriptedCbs();
      first.script = status;
      const link = want(first);
      await first.advance(0);
      assert.equal(link.error?.condition, condition, link.error?.description);
      assert.match(link.error?.description ?? '', /so says the script/);
      assert.equal(first.cbs.failureOf(link.error!)?.status, status);

      const cloud = new ScriptedCbs();
      assert.ok(!want(cloud).may);
      await cloud.advance(0);
      cloud.script = status;
      const before = cloud.puts.length;
      await cloud.advance(HOUR - 1);
      const { firstMs } = RETRY_POLICIES[kind];
      const [renewal = 0, second = 0] = cloud.puts.slice(before);
      assert.ok(renewal > 0.7 * HOUR && renewal < 0.76 * HOUR, `renewed after ${renewal} ms`);
      assert.ok(second - renewal >= firstMs, `again after ${second - renewal} ms`);
      const gaps = cloud.puts.slice(before + 1).map((at, n) => at - cloud.puts[before + n]!);
      assert.ok(gaps.length < 40 && Math.min(...gaps) >= SECOND, `gaps of ${gaps.join(', ')} ms`);
      assert.equal(cloud.cbs.tokens[0]!.state, 'valid');
      cloud.script = 202;
      const late = cloud.puts.length;
      await cloud.advance(10 * MINUTE);
      assert.ok(cloud.puts.length <= late + 1);
      cloud.cbs.close();
    });
  }

  it('by refusing the link to $cbs itself is tried again over another pair', async () => {
    const cloud = new ScriptedCbs();
    cloud.script = { refuse: { condition: 'com.microsoft:server-busy', description: 'not now' } };
    const link = want(cloud);
    await cloud.advance(0);
    assert.equal(link.error?.condition, 'com.microsoft:server-busy');
    assert.equal(cloud.cbs.node.state, 'resting');
    assert.equal(cloud.cbs.node.failures, 1);
    cloud.script = 202;
    await cloud.advance(2 * SECOND);
    const again = want(cloud);
    await cloud.advance(0);
    assert.ok(again.may);
  });
});

describe('links to $cbs that say nothing any more', () => {
  it('are given up with the first request that ran out of time, and the next goes over others', async () => {
    const cloud = new ScriptedCbs({ timeoutMs: 5 * SECOND });
    cloud.script = 'silence';
    const links = ['orders', 'bills'].map((address) => want(cloud, address));
    await cloud.advance(5 * SECOND);
    for (const { error } of links) assert.match(error?.description ?? '', /\$cbs did not answer within 5000 ms/);
    assert.equal(cloud.pairs, 1);
    cloud.script = 202;
    await cloud.advance(2 * SECOND);
    const again = want(cloud);
    await cloud.advance(0);
    assert.ok(again.may);
    assert.equal(cloud.pairs, 2);
  });

  it('stay where others are answered: only what was lost is asked again', async () => {
    const cloud = new ScriptedCbs({ timeoutMs: 5 * SECOND });
    cloud.script = 'silence';
    const lost = want(cloud);
    await cloud.advance(SECOND);
    cloud.script = 202;
    assert.ok(!want(cloud, 'bills').may);
    await cloud.advance(5 * SECOND);
    assert.equal(lost.error?.condition, 'com.microsoft:timeout');
    assert.equal(cloud.pairs, 1);
    assert.equal(cloud.cbs.node.state, 'attached');
  });
});

describe('a source of tokens', () => {
  it('that hangs leaves time for other attempts while the old token lasts', async () => {
    let isHanging = false;
    let asked = 0;
    const cloud: ScriptedCbs = new ScriptedCbs({
      provider: {
        name: 'a test',
        isFixed: false,
        get: (): Promise<AzureToken> => {
          asked += 1;
          const token: AzureToken = {
            kind: 'jwt',
            text: new Secret(`t${asked}`),
            expiresAtMs: cloud.wallMs + 80 * SECOND,
          };
          return isHanging ? new Promise(() => undefined) : Promise.resolve(token);
        },
      },
    });
    want(cloud);
    await cloud.advance(0);
    isHanging = true;
    await cloud.advance(75 * SECOND);
    assert.ok(asked >= 3, `asked ${asked} times`);
    assert.equal(cloud.cbs.tokens[0]!.state, 'valid');
    isHanging = false;
    await cloud.advance(30 * SECOND);
    assert.equal(cloud.cbs.tokens[0]!.state, 'valid');
    assert.ok(cloud.cbs.tokens[0]!.renewals >= 1);
  });

  it('whose tokens last a few seconds is asked in good time, and not without end', async () => {
    for (const lifeMs of [20 * SECOND, 3 * SECOND, SECOND, 100]) {
      const cloud = new ScriptedCbs();
      cloud.cbs.close();
      const short: ScriptedCbs = new ScriptedCbs({ provider: cloud.provider(lifeMs) });
      want(short);
      // oxlint-disable-next-line no-await-in-loop
      await short.advance(MINUTE);
      const most = MINUTE / Math.max(lifeMs / 2, SECOND / 2);
      assert.ok(short.puts.length <= most, `${short.puts.length} puts in a minute of tokens that last ${lifeMs} ms`);
      short.cbs.close();
    }
  });

  it('that has nothing newer than what has expired is late, and asked again soon', async () => {
    let isLate = true;
    const first: AzureToken = { kind: 'jwt', text: new Secret('first'), expiresAtMs: 0 };
    const cloud: ScriptedCbs = new ScriptedCbs({
      provider: {
        name: 'a test',
        isFixed: false,
        get: async (): Promise<AzureToken> =>
          isLate ? first : { kind: 'jwt', text: new Secret('second'), expiresAtMs: cloud.wallMs + HOUR },
      },
    });
    (first as { expiresAtMs: number }).expiresAtMs = cloud.wallMs + MINUTE;
    want(cloud);
    await cloud.advance(MINUTE + SECOND);
    const late = want(cloud);
    await cloud.advance(0);
    assert.equal(late.error?.condition, 'com.microsoft:timeout');
    assert.match(late.error?.description ?? '', /no newer token than the one that expired at 2026-01-01T00:01:00/);
    isLate = false;
    await cloud.advance(5 * SECOND);
    assert.equal(cloud.cbs.tokens[0]!.state, 'valid', 'within seconds, not within those of a wrong key');
  });

  it('that has the one token that is over asks for a new one', async () => {
    const text = new Secret('ready-made');
    const get = async (): Promise<AzureToken> => ({ kind: 'sas', text, expiresAtMs: 1 });
    const cloud = new ScriptedCbs({ provider: { name: 'a test', isFixed: true, get } });
    want(cloud);
    await cloud.advance(SECOND);
    const [refused] = cloud.events;
    assert.match(refused?.type === 'refused' ? refused.reason : '', /expired at 1970-.*: give a new one; is the clock/);
    assert.equal(cloud.puts.length, 0);
  });

  it('leaves no timer behind when the connection ends', async () => {
    for (const get of [
      (): Promise<AzureToken> => new Promise(() => undefined),
      (): Promise<AzureToken> => Promise.reject(new TokenError('passing', 'down')),
    ]) {
      const cloud = new ScriptedCbs({
        provider: { name: 'a test', isFixed: false, get },
        keepAlive: { path: '', firstMs: 5 * SECOND, everyMs: MINUTE },
      });
      want(cloud);
      // oxlint-disable-next-line no-await-in-loop
      await cloud.advance(10 * SECOND);
      cloud.cbs.close();
      // What was told to waiters is told at once.
      // oxlint-disable-next-line no-await-in-loop
      await cloud.advance(0);
      assert.equal(cloud.clock.next, Infinity);
    }
    const cloud = new ScriptedCbs();
    want(cloud);
    await cloud.advance(MINUTE);
    cloud.script = 'silence';
    want(cloud, 'bills');
    await cloud.advance(SECOND);
    cloud.cbs.close();
    await cloud.advance(0);
    assert.equal(cloud.clock.next, Infinity);
  });
});

describe('a wall clock that jumps', () => {
  for (const [what, jumpMs] of [
    ['forward', 3 * HOUR],
    ['back', -3 * HOUR],
  ] as const) {
    it(`${what} takes no token away, and costs no more than a renewal`, async () => {
      const cloud = new ScriptedCbs();
      want(cloud);
      await cloud.advance(10 * MINUTE);
      cloud.skewMs = jumpMs;
      await cloud.advance(2 * HOUR);
      assert.equal(cloud.cbs.tokens[0]!.state, 'valid');
      assert.ok(cloud.puts.length >= 3 && cloud.puts.length <= 6, `${cloud.puts.length} puts in two hours`);
      assert.equal(cloud.cbs.tokens[0]!.failures, 0);
    });
  }
});
