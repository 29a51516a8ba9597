// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Secret, TokenError, sasKeyProvider, sasTokenProvider, sharedTokenProvider } from '@pointsman/azure';
import type { AzureToken } from '@pointsman/azure';
import { CLOUD, KEY, POLICY, VirtualCloud } from './virtual-cloud.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Links that no test keeps busy stay all the same. */
const PATIENT = { times: { linkIdleMs: 24 * HOUR } };

describe('tokens of a connection', () => {
  it('are put before the first link of an entity attaches, one for each entity', async () => {
    const cloud = new VirtualCloud();
    const links = ['orders', 'ORDERS', 'orders/$management', 'bills'].map((address) => cloud.send(address));
    assert.deepEqual(
      links.map(({ state }) => state),
      ['waiting', 'waiting', 'waiting', 'waiting'],
    );
    await cloud.settle();
    assert.deepEqual(
      links.map(({ state }) => state),
      ['attached', 'attached', 'attached', 'attached'],
    );
    assert.deepEqual(cloud.story, ['put orders', 'put bills']);
    assert.deepEqual(
      cloud.cbs.tokens.map(({ audience, state, links: count }) => [audience, state, count]),
      [
        [`sb://${CLOUD}/orders`, 'valid', 3],
        [`sb://${CLOUD}/bills`, 'valid', 1],
      ],
    );
    assert.doesNotMatch(JSON.stringify(cloud.cbs.tokens), /SharedAccessSignature|k3y/);
    assert.equal(cloud.send('orders').link === undefined, false, 'where there is a token, nothing is waited for');
  });

  it('are renewed at three quarters of their life, and no link notices', async () => {
    const cloud = new VirtualCloud(PATIENT);
    const link = cloud.send('orders');
    await cloud.advance(44 * MINUTE);
    assert.deepEqual(cloud.story, ['put orders']);
    await cloud.advance(MINUTE);
    assert.deepEqual(cloud.story, ['put orders', 'renewed orders']);
    await cloud.advance(10 * HOUR);
    assert.equal(link.state, 'attached');
    assert.equal(cloud.end, undefined);
    const [token] = cloud.cbs.tokens;
    assert.equal(token!.renewals, cloud.story.length - 1);
    assert.ok(token!.renewals >= 13, `${token!.renewals} renewals in eleven hours`);
    assert.ok(token!.expiresAtMs! > cloud.wallMs);
  });

  it('are not renewed once no link stands on them, and forgotten when they end', async () => {
    const cloud = new VirtualCloud(PATIENT);
    const link = cloud.send('orders');
    await cloud.settle();
    link.link!.detach();
    link.release();
    await cloud.advance(61 * MINUTE);
    assert.deepEqual(cloud.story, ['put orders']);
    assert.deepEqual(cloud.cbs.tokens, []);
  });

  it('are renewed as before once a link stands on them again', async () => {
    const cloud = new VirtualCloud(PATIENT);
    const first = cloud.send('orders');
    await cloud.advance(10 * MINUTE);
    first.link!.detach();
    first.release();
    await cloud.advance(MINUTE);
    const second = cloud.send('orders');
    await cloud.advance(3 * HOUR);
    assert.equal(second.state, 'attached');
    assert.equal(cloud.story[1], 'renewed orders');
    // The last link comes back when the time to renew it has passed.
    second.link!.detach();
    second.release();
    const { expiresAtMs } = cloud.cbs.tokens[0]!;
    await cloud.advance(expiresAtMs! - cloud.wallMs - 5 * MINUTE);
    const third = cloud.send('orders');
    await cloud.advance(HOUR);
    assert.equal(third.state, 'attached');
  });

  it('come back over a new pair of links where the idle ones were detached', async () => {
    const cloud = new VirtualCloud({ times: { linkIdleMs: 10 * MINUTE } });
    cloud.send('orders');
    // The link of the entity is idle, too; what counts here is the renewal.
    await cloud.advance(11 * MINUTE);
    const later = cloud.send('bills');
    await cloud.settle();
    assert.equal(later.state, 'attached');
    assert.deepEqual(cloud.story, ['put orders', 'put bills']);
  });

  it('that are refused fail the link with what $cbs said', async () => {
    const cloud = new VirtualCloud(
      {},
      {
        provider: sasKeyProvider(POLICY, new Secret('another key'), () => 1_767_225_600_000),
      },
    );
    const wrong = cloud.send('orders');
    await cloud.settle();
    assert.equal(wrong.error?.condition, 'amqp:unauthorized-access');
    assert.match(wrong.error?.description ?? '', /refused the token for sb:\/\/.*\/orders with status 401: InvalidSig/);
    assert.deepEqual(cloud.cbs.failureOf(wrong.error!)?.status, 401);
    const missing = new VirtualCloud();
    const link = missing.send('nothing');
    await missing.settle();
    assert.equal(link.error?.condition, 'amqp:not-found');
    assert.equal(missing.cbs.tokens[0]?.state, 'failed');
  });

  it('that cannot be renewed are tried again, slower and slower, while the old one lasts', async () => {
    let isDown = false;
    let calls = 0;
    const cloud: VirtualCloud = new VirtualCloud(PATIENT, {
      provider: {
        name: 'a test',
        isFixed: false,
        get: async ({ audience }): Promise<AzureToken> => {
          calls += 1;
          if (isDown) throw new TokenError('passing', 'the service of tokens is down');
          return { kind: 'sas', text: cloud.token(audience, HOUR), expiresAtMs: cloud.wallMs + HOUR };
        },
      },
    });
    const link = cloud.send('orders');
    await cloud.advance(10 * MINUTE);
    isDown = true;
    await cloud.advance(45 * MINUTE);
    assert.equal(link.state, 'attached');
    assert.ok(calls > 5 && calls < 30, `${calls} attempts in ten minutes`);
    assert.match(cloud.cbs.tokens[0]!.lastError ?? '', /no token from a test: the service of tokens is down/);
    assert.equal(cloud.cbs.tokens[0]!.state, 'valid');
    isDown = false;
    await cloud.advance(2 * MINUTE);
    assert.equal(cloud.story.at(-1), 'renewed orders');
    assert.equal(cloud.cbs.tokens[0]!.lastError, undefined);
    await cloud.advance(HOUR);
    assert.equal(link.state, 'attached');
  });

  it('that end take their links along, and the next link gets a new one', async () => {
    const cloud = new VirtualCloud(PATIENT, {
      provider: sasTokenProvider(new VirtualCloud().token(`sb://${CLOUD}/`, HOUR)),
    });
    const link = cloud.send('orders');
    await cloud.settle();
    assert.deepEqual(cloud.story, ['put orders', 'ends orders'], 'it is said that this one is not renewed');
    await cloud.advance(HOUR + 1000);
    assert.equal(link.error?.condition, 'amqp:link:detach-forced');
    assert.match(link.error?.description ?? '', /RenewToken/);
    const next = cloud.send('orders');
    await cloud.settle();
    assert.equal(next.error?.condition, 'com.microsoft:auth-failed');
    assert.match(next.error?.description ?? '', /shared access signature of policy '.*' expired at 2026-01-01T01:00:0/);
  });

  it('that were taken back are put anew for the next link', async () => {
    const cloud = new VirtualCloud(PATIENT);
    const link = cloud.send('orders');
    await cloud.settle();
    cloud.namespace.faults.revokeTokens();
    await cloud.settle();
    assert.match(link.error?.description ?? '', /RenewToken/);
    const next = cloud.send('orders');
    await cloud.settle();
    assert.equal(next.state, 'attached');
    assert.equal(cloud.events.length, 2);
  });

  it('of one kind for all entities are fetched once, and again only when a newer one is needed', async () => {
    let fetched = 0;
    const cloud: VirtualCloud = new VirtualCloud(PATIENT, {
      provider: sharedTokenProvider(
        'a shared one',
        async () => {
          fetched += 1;
          return { kind: 'sas', text: cloud.token(`sb://${CLOUD}/`, HOUR), expiresAtMs: cloud.wallMs + HOUR };
        },
        () => cloud.wallMs,
      ),
    });
    const links = [cloud.send('orders'), cloud.send('bills')];
    await cloud.settle();
    assert.equal(fetched, 1);
    await cloud.advance(46 * MINUTE);
    assert.equal(fetched, 2);
    assert.deepEqual(cloud.story.slice(2).toSorted(), ['renewed bills', 'renewed orders']);
    assert.ok(links.every(({ state }) => state === 'attached'));
  });

  it('are asked for within bounds: a provider that hangs, a service that is silent, more entities than it takes', async () => {
    const hanging = new VirtualCloud(
      { times: { tokenDeadlineMs: HOUR } },
      {
        provider: { name: 'a test', isFixed: false, get: () => new Promise(() => undefined) },
        timeoutMs: 5_000,
      },
    );
    const link = hanging.send('orders');
    await hanging.advance(5_001);
    assert.match(link.error?.description ?? '', /no token came within 5000 ms/);
    const frozen = new VirtualCloud({}, { timeoutMs: 5_000 });
    await frozen.settle();
    frozen.namespace.faults.freezeConnections();
    const other = frozen.send('orders');
    await frozen.advance(5_001);
    assert.match(other.error?.description ?? '', /\$cbs did not answer within 5000 ms/);
    const many = new VirtualCloud(
      {},
      {
        provider: { name: 'a test', isFixed: false, get: () => new Promise(() => undefined) },
      },
    );
    const links = Array.from({ length: 1001 }, (_, n) => many.send(`queue-${n}`));
    await many.settle();
    assert.equal(links[999]!.state, 'waiting');
    assert.equal(links[1000]!.state, 'amqp:resource-limit-exceeded');
    assert.equal(many.cbs.tokens.length, 1000);
  });

  it('are given up with the connection: whoever waits is told', async () => {
    const cloud = new VirtualCloud(
      {},
      {
        provider: { name: 'a test', isFixed: false, get: () => new Promise(() => undefined) },
      },
    );
    await cloud.settle();
    const link = cloud.send('orders');
    cloud.namespace.faults.closeConnections();
    await cloud.settle();
    assert.equal(link.error?.condition, 'amqp:connection:forced');
  });

  it('keep a connection that has no links, for as long as that takes', async () => {
    const keepAlive = { path: '', firstMs: 5_000, everyMs: 4 * MINUTE };
    const cloud = new VirtualCloud({}, { keepAlive });
    await cloud.advance(3 * HOUR);
    assert.equal(cloud.end, undefined);
    assert.equal(cloud.story[0], 'put ');
    assert.ok(cloud.story.slice(1).every((line) => line === 'renewed '));
    // A client comes and goes, and nothing is different afterwards.
    const link = cloud.send('orders');
    await cloud.settle();
    assert.equal(link.state, 'attached');
    link.link!.detach();
    link.release();
    await cloud.advance(3 * HOUR);
    assert.equal(cloud.end, undefined);
    const idle = new VirtualCloud();
    await idle.advance(30_000);
    assert.match(idle.end?.error?.description ?? '', /No valid token/);
  });

  it('keep it even by answers that are a no, once there has been a yes', async () => {
    const cloud = new VirtualCloud(
      {
        policies: [{ name: POLICY, key: 'another', rights: ['Send'] }],
        queues: [{ name: 'orders', policies: [{ name: POLICY, key: KEY.reveal(), rights: ['Send'] }] }],
      },
      { keepAlive: { path: '', firstMs: 5_000, everyMs: 4 * MINUTE } },
    );
    const link = cloud.send('orders');
    await cloud.settle();
    assert.equal(link.state, 'attached', JSON.stringify(link.error));
    link.link!.detach();
    link.release();
    await cloud.advance(2 * HOUR);
    assert.equal(cloud.end, undefined);
    assert.equal(cloud.story.at(-1), 'refused ');
  });
});
