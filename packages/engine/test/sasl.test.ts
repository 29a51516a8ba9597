// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SaslInit, SaslMechanisms, SaslOutcome } from '@pointsman/wire';
import type { SaslDecision, SaslRequest, SaslServerOptions } from '../src/index.js';
import { Pair } from './pair.js';
import { HEADER, RawPeer, SASL_HEADER, frameOf } from './raw-peer.js';
import type { Said } from './raw-peer.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const ALL = ['PLAIN', 'EXTERNAL', 'ANONYMOUS', 'MSSBCBS'];

/** A server that writes down what it is asked. */
function server(
  mechanisms: readonly string[] = ALL,
  decision: SaslDecision = { ok: true, user: 'known' },
): { options: SaslServerOptions; requests: SaslRequest[] } {
  const requests: SaslRequest[] = [];
  return {
    requests,
    options: {
      mechanisms,
      optional: false,
      authenticate: (request): SaslDecision => {
        requests.push(request);
        return decision;
      },
    },
  };
}

const init = (mechanism: string, initialResponse?: Uint8Array, hostname?: string): Said => ({
  type: 'sasl-init',
  mechanism,
  initialResponse,
  hostname,
});

describe('SASL between our two sides (5.3)', () => {
  const runs: readonly (readonly [string, string | undefined, Partial<SaslRequest>])[] = [
    ['PLAIN', 'ann', { username: 'ann', password: 'se\u00e7ret', authorizationId: '' }],
    ['EXTERNAL', undefined, { username: '', password: undefined }],
    ['EXTERNAL', 'ann', { username: 'ann', password: undefined }],
    ['ANONYMOUS', undefined, { username: 'anonymous', password: undefined }],
    ['ANONYMOUS', 'trace', { username: 'trace' }],
    ['MSSBCBS', undefined, { username: '', password: undefined }],
  ];
  for (const [mechanism, username, asked] of runs) {
    it(`${mechanism}${username === undefined ? '' : ` as ${username}`}`, () => {
      const judge = server();
      const pair = new Pair(
        { saslClient: { mechanisms: [mechanism], username, password: () => 'se\u00e7ret', hostname: 'tenant' } },
        { saslServer: judge.options },
      ).run();
      assert.ok(pair.client.isOpen && pair.server.isOpen);
      assert.equal(judge.requests.length, 1);
      assert.deepEqual({ ...judge.requests[0], ...asked, hostname: 'tenant' }, judge.requests[0]);
      assert.deepEqual(pair.s.authenticated, { mechanism, user: 'known' });
      assert.deepEqual(pair.c.authenticated, { mechanism, user: username });
    });
  }

  it("takes the first of the client's mechanisms that the server has", () => {
    const pair = new Pair(
      { saslClient: { mechanisms: ['EXTERNAL', 'PLAIN', 'ANONYMOUS'], username: 'u' } },
      { saslServer: server(['ANONYMOUS', 'PLAIN']).options },
    ).run();
    assert.equal(pair.s.authenticated?.mechanism, 'PLAIN');
    assert.deepEqual(pair.client.offeredMechanisms, ['ANONYMOUS', 'PLAIN']);
  });

  it('without a judge lets in who brings nothing, and nobody who claims to be somebody', () => {
    const letIn = (mechanism: string): boolean =>
      new Pair(
        { saslClient: { mechanisms: [mechanism], username: 'u' } },
        { saslServer: { mechanisms: ALL, optional: false } },
      ).run().client.isOpen;
    assert.deepEqual(ALL.map(letIn), [false, false, true, true]);
  });

  it('tells the reason of a refusal to nobody but our own log', () => {
    const pair = new Pair(
      { saslClient: { mechanisms: ['PLAIN'], username: 'u' } },
      { saslServer: server(ALL, { ok: false, reason: 'account locked' }).options },
    ).run();
    assert.equal(pair.s.end?.error?.description, 'account locked');
    assert.ok(!JSON.stringify(pair.c.end).includes('locked'));
    assert.ok(pair.client.done && pair.server.done);
  });

  it('may be left out where that is allowed', () => {
    const pair = new Pair({}, { saslServer: { ...server().options, optional: true } }).run();
    assert.ok(pair.client.isOpen);
    assert.deepEqual(pair.s.authenticated, { mechanism: 'none', user: undefined });
  });
});

describe('SASL as a server sees it (5.3.2, 5.3.3)', () => {
  const asked = (judge = server()): { p: RawPeer; requests: SaslRequest[] } => {
    const p = new RawPeer({ saslServer: judge.options }).say(SASL_HEADER);
    const [header, mechanisms] = p.hear();
    assert.deepEqual(header!.frame, { type: 'header', id: 3 });
    assert.deepEqual((mechanisms!.frame as SaslMechanisms).saslServerMechanisms, judge.options.mechanisms);
    return { p, requests: judge.requests };
  };

  it('answers a client that sends everything at once', () => {
    const p = new RawPeer({ saslServer: server().options });
    p.say(SASL_HEADER, init('PLAIN', utf8('\u0000ann\u0000pw')), HEADER, { type: 'open', containerId: 'c' });
    assert.deepEqual(p.types(), ['header', 'sasl-mechanisms', 'sasl-outcome', 'header', 'open']);
  });

  describe('that takes its time', () => {
    /** A server whose decision comes when the test has it. */
    const slow = (): { p: RawPeer; decide: (decision: SaslDecision) => Promise<void> } => {
      let decide: (decision: SaslDecision) => void;
      const decision = new Promise<SaslDecision>((resolve) => (decide = resolve));
      const p = new RawPeer({
        saslServer: { mechanisms: ALL, optional: false, authenticate: () => decision },
        handshakeTimeoutMs: 1_000,
      }).say(SASL_HEADER);
      p.hear();
      return {
        p,
        decide: async (made) => {
          decide(made);
          await decision;
          await Promise.resolve();
        },
      };
    };
    const plain = init('PLAIN', utf8('\u0000ann\u0000pw'));
    const open: Said = { type: 'open', containerId: 'c' };

    for (const [how, say] of [
      ['in one piece', (p: RawPeer): unknown => p.say(plain, HEADER, open)],
      ['piece by piece', (p: RawPeer): unknown => p.say(plain).say(HEADER).say(open)],
    ] as const) {
      it(`holds what comes meanwhile, ${how}`, async () => {
        const { p, decide } = slow();
        say(p);
        assert.deepEqual(p.types(), []);
        assert.ok(p.connection.congested && !p.connection.done);
        await decide({ ok: true, user: 'ann' });
        assert.deepEqual(p.types(), ['sasl-outcome', 'header', 'open']);
        assert.equal(p.connection.user, 'ann');
        assert.ok(p.connection.isOpen && !p.connection.congested);
      });
    }

    it('holds bytes of its own, whatever becomes of those that were passed', async () => {
      const { p, decide } = slow();
      p.say(plain);
      const passed = Buffer.concat([HEADER, frameOf(open)]);
      p.connection.receive(passed, 0);
      passed.fill(0xff);
      await decide({ ok: true, user: 'ann' });
      assert.deepEqual(p.types(), ['sasl-outcome', 'header', 'open']);
    });

    it('says no in the end, and reads nothing of what was held', async () => {
      const { p, decide } = slow();
      p.say(plain, HEADER, open);
      await decide({ ok: false });
      assert.deepEqual(p.types(), ['sasl-outcome']);
      assert.ok(p.connection.done);
    });

    it('may tell a client to come again later', async () => {
      const { p, decide } = slow();
      p.say(plain);
      await decide({ ok: false, busy: true });
      assert.equal((p.hear()[0]!.frame as SaslOutcome).code, 4);
    });

    it('holds no more than a bounded amount', () => {
      const { p } = slow();
      p.say(plain);
      p.connection.receive(new Uint8Array(70_000), 0);
      assert.ok(p.connection.done);
    });

    it('is of no interest any more to a connection that has ended', async () => {
      const { p, decide } = slow();
      p.say(plain);
      p.connection.receiveEnd(1);
      await decide({ ok: true });
      assert.deepEqual(p.types(), []);
      assert.ok(p.connection.done);
    });
  });

  it('asks for the response that PLAIN began without', () => {
    const { p, requests } = asked();
    p.say(init('PLAIN'));
    assert.deepEqual(p.types(), ['sasl-challenge']);
    p.say({ type: 'sasl-response', response: utf8('\u0000ann\u0000pw') });
    assert.deepEqual(p.types(), ['sasl-outcome']);
    assert.equal(requests[0]?.username, 'ann');
    p.say(HEADER, { type: 'open', containerId: 'c' });
    assert.ok(p.connection.isOpen);
  });

  it('takes PLAIN with an authorization identity apart', () => {
    const { p, requests } = asked();
    p.say(init('PLAIN', utf8('other\u0000ann\u0000pw')));
    assert.deepEqual(requests[0], {
      mechanism: 'PLAIN',
      authorizationId: 'other',
      username: 'ann',
      password: 'pw',
      hostname: undefined,
    });
  });

  const malformed: readonly (readonly [string, Uint8Array])[] = [
    ['nothing in it', new Uint8Array(0)],
    ['one part', utf8('ann')],
    ['two parts', utf8('\u0000ann')],
    ['four parts', utf8('\u0000ann\u0000pw\u0000more')],
    ['bytes that are no UTF-8', Uint8Array.of(0, 0xff, 0, 0xfe)],
  ];
  for (const [what, response] of malformed) {
    it(`refuses PLAIN with ${what}, without asking the judge`, () => {
      const { p, requests } = asked();
      p.say(init('PLAIN', response));
      assert.equal((p.hear()[0]!.frame as SaslOutcome).code, 1);
      assert.equal(requests.length, 0);
      assert.equal(p.recorder.end?.by, 'sasl');
      assert.ok(p.connection.done);
    });
  }

  it('refuses a mechanism that it did not offer, without asking the judge', () => {
    const { p, requests } = asked(server(['EXTERNAL']));
    p.say(init('PLAIN', utf8('\u0000ann\u0000pw')));
    assert.equal((p.hear()[0]!.frame as SaslOutcome).code, 1);
    assert.equal(requests.length, 0);
  });

  it('sends what the judge adds to the outcome', () => {
    const { p } = asked(server(ALL, { ok: true, additionalData: Uint8Array.of(1, 2) }));
    p.say(init('ANONYMOUS'));
    assert.deepEqual((p.hear()[0]!.frame as SaslOutcome).additionalData, Uint8Array.of(1, 2));
  });

  it('takes no SASL frame of more than 512 bytes', () => {
    const { p } = asked();
    p.say(init('PLAIN', new Uint8Array(600)));
    assert.equal(p.recorder.end?.by, 'protocol');
    assert.equal(p.recorder.end.error?.condition, 'amqp:connection:framing-error');
    const { p: within } = asked();
    within.say(init('ANONYMOUS', utf8('x'.repeat(460))));
    assert.deepEqual(within.types(), ['sasl-outcome']);
  });

  const outOfTurn: readonly (readonly [string, readonly Said[]])[] = [
    ['a response without a challenge', [{ type: 'sasl-response', response: new Uint8Array(0) }]],
    ['an outcome', [{ type: 'sasl-outcome', code: 0 }]],
    ['mechanisms', [{ type: 'sasl-mechanisms', saslServerMechanisms: ['PLAIN'] }]],
    ['a second init', [init('PLAIN'), init('PLAIN', utf8('\u0000a\u0000b'))]],
    ['an open', [{ type: 'open', containerId: 'c' }]],
  ];
  for (const [what, frames] of outOfTurn) {
    it(`ends the connection on ${what}`, () => {
      const { p, requests } = asked();
      p.say(...frames);
      assert.equal(p.recorder.end?.by, 'protocol');
      assert.equal(requests.length, 0);
      assert.ok(p.connection.done);
    });
  }

  it('takes no second SASL layer, and no AMQP before the outcome', () => {
    const { p } = asked();
    p.say(init('ANONYMOUS'), SASL_HEADER);
    assert.equal(p.recorder.end?.by, 'protocol');
    const { p: early } = asked();
    early.say(HEADER);
    assert.equal(early.recorder.end?.by, 'protocol');
    assert.ok(!early.connection.isOpen);
  });

  it('without a judge and optional: the very first bytes decide', () => {
    const required = new RawPeer({ saslServer: { ...server().options } }).say(HEADER);
    assert.deepEqual(
      required.hear().map(({ frame }) => frame),
      [{ type: 'header', id: 3 }],
    );
    assert.equal(required.recorder.end?.by, 'protocol');
    assert.match(required.recorder.end.error?.description ?? '', /without SASL, which is required/);
  });
});

describe('SASL as a client sees it', () => {
  const client = (mechanisms: readonly string[] = ['PLAIN']): RawPeer => {
    const p = new RawPeer({
      role: 'client',
      saslClient: { mechanisms, username: 'ann', password: () => 'pw', hostname: 'h' },
    });
    assert.deepEqual(
      p.hear().map(({ frame }) => frame),
      [{ type: 'header', id: 3 }],
    );
    return p.say(SASL_HEADER);
  };
  const offer = (...saslServerMechanisms: string[]): Said => ({ type: 'sasl-mechanisms', saslServerMechanisms });

  it('says mechanism, response and host', () => {
    const p = client().say(offer('ANONYMOUS', 'PLAIN'));
    assert.deepEqual(p.hear()[0]!.frame as SaslInit, {
      type: 'sasl-init',
      mechanism: 'PLAIN',
      initialResponse: utf8('\u0000ann\u0000pw'),
      hostname: 'h',
    });
  });

  for (const [code, name] of [
    [1, 'auth'],
    [2, 'sys'],
    [3, 'sys-perm'],
    [4, 'sys-temp'],
  ] as const) {
    it(`names outcome ${code} as ${name}`, () => {
      const p = client().say(offer('PLAIN'), { type: 'sasl-outcome', code });
      assert.equal(p.recorder.end?.by, 'sasl');
      assert.match(p.recorder.end.error?.description ?? '', new RegExp(`refused SASL PLAIN as 'ann': ${name}$`));
      assert.ok(!JSON.stringify(p.recorder.end).includes('pw'));
    });
  }

  it('fails on a challenge to a mechanism that has none', () => {
    const p = client().say(offer('PLAIN'), { type: 'sasl-challenge', challenge: new Uint8Array(3) });
    assert.equal(p.recorder.end?.by, 'sasl');
    assert.match(p.recorder.end.error?.description ?? '', /asks for more than SASL PLAIN/);
  });

  it('fails where nothing fits, or a mechanism is one that nobody here speaks', () => {
    assert.match(
      client().say(offer('GSSAPI')).recorder.end?.error?.description ?? '',
      /offers SASL GSSAPI, we may use PLAIN/,
    );
    assert.match(client().say(offer()).recorder.end?.error?.description ?? '', /offers SASL no mechanism/);
    assert.match(
      client(['SCRAM-SHA-256']).say(offer('SCRAM-SHA-256')).recorder.end?.error?.description ?? '',
      /SCRAM-SHA-256 is not supported/,
    );
  });

  it('is not let in by an outcome before it has said who it is', () => {
    const p = client().say({ type: 'sasl-outcome', code: 0 });
    assert.equal(p.recorder.end?.by, 'protocol');
    assert.equal(p.recorder.authenticated, undefined);
  });

  it('takes mechanisms once', () => {
    assert.equal(client().say(offer('PLAIN'), offer('PLAIN')).recorder.end?.by, 'protocol');
  });

  it('asks for the password only where PLAIN is spoken', () => {
    let asked = 0;
    const password = (): string => {
      asked++;
      return 'pw';
    };
    const p = new RawPeer({ role: 'client', saslClient: { mechanisms: ['EXTERNAL', 'PLAIN'], password } });
    p.say(SASL_HEADER, offer('EXTERNAL', 'PLAIN'));
    assert.equal(asked, 0);
  });
});
