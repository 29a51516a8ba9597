// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { covers, makeSasToken, parseSasToken, Secret, sasSignature, verifySasToken } from '../src/index.js';

const KEY = new Secret('SAS_KEY_VALUE');
const EXPIRY = 1_893_456_000;
const RESOURCE = 'sb://example.servicebus.windows.net/orders';
const keyOf = (name: string): Secret | undefined => (name === 'router' ? KEY : undefined);
const token = (): Secret => makeSasToken({ resource: RESOURCE, keyName: 'router', key: KEY, expiresAtSeconds: EXPIRY });
const now = (EXPIRY - 60) * 1000;

describe('SAS token', () => {
  it('has the signatures that the algorithm gives', () => {
    assert.equal(
      sasSignature(KEY, encodeURIComponent(RESOURCE), EXPIRY),
      'pT+jImkfj/fe+YVY1O93pcsWvylRi0/M6R7I1woePwg=',
    );
    const https = encodeURIComponent('https://example.servicebus.windows.net/orders');
    assert.equal(sasSignature(KEY, https, EXPIRY), 'IIhSUMSZ6yDJiUQ0r7lN7qgiI9fr5NiQSGfPnYojz9Q=');
  });

  it('is written with its parts percent-encoded', () => {
    assert.equal(
      token().reveal(),
      'SharedAccessSignature sr=sb%3A%2F%2Fexample.servicebus.windows.net%2Forders' +
        '&sig=pT%2BjImkfj%2Ffe%2BYVY1O93pcsWvylRi0%2FM6R7I1woePwg%3D&se=1893456000&skn=router',
    );
    assert.equal(String(token()), '[secret]');
  });

  it('is taken for its resource and what lies below, in any scheme, case and order of parts', () => {
    for (const audience of [
      RESOURCE,
      `${RESOURCE}/`,
      `${RESOURCE}/$management`,
      RESOURCE.toUpperCase().replace('SB:', 'amqps:'),
    ]) {
      assert.deepEqual(verifySasToken(token(), audience, keyOf, now), {
        ok: true,
        keyName: 'router',
        expiresAtSeconds: EXPIRY,
      });
    }
    const [, parts = ''] = token().reveal().split(' ');
    const turned = new Secret(`SharedAccessSignature ${parts.split('&').reverse().join('&')}`);
    assert.equal(verifySasToken(turned, RESOURCE, keyOf, now).ok, true);
  });

  it('is checked over the resource exactly as received', () => {
    const lower = 'sb%3a%2f%2fexample.servicebus.windows.net%2forders';
    const signature = encodeURIComponent(sasSignature(KEY, lower, EXPIRY));
    const made = new Secret(`SharedAccessSignature sr=${lower}&sig=${signature}&se=${EXPIRY}&skn=router`);
    assert.equal(verifySasToken(made, RESOURCE, keyOf, now).ok, true);
  });

  const reasonOf = (text: string, audience = RESOURCE, at = now): string => {
    const verdict = verifySasToken(new Secret(text), audience, keyOf, at);
    return verdict.ok ? 'ok' : verdict.reason;
  };

  it('is refused with the reason', () => {
    const text = token().reveal();
    assert.equal(reasonOf(text.replace('se=1893456000', 'se=1893456001')), 'bad-signature');
    assert.equal(reasonOf(text.replace('pT%2Bj', 'pT%2Bk')), 'bad-signature');
    assert.equal(reasonOf(text.replace('skn=router', 'skn=other')), 'unknown-policy');
    assert.equal(reasonOf(text, RESOURCE, EXPIRY * 1000), 'expired');
    assert.equal(reasonOf(text, 'sb://example.servicebus.windows.net/orders2'), 'other-resource');
    assert.equal(reasonOf(text, 'sb://example.servicebus.windows.net'), 'other-resource');
    for (const broken of [
      '',
      'x',
      'SharedAccessSignature ',
      text.replace('se=', 'ex='),
      text.replace('%3A', '%3'),
      `${text}&se=1`,
    ]) {
      assert.equal(reasonOf(broken), 'malformed', broken);
    }
  });

  it('meets any text with a verdict', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.notEqual(reasonOf(`SharedAccessSignature ${text}`), 'ok');
      }),
    );
  });

  it('round-trips its parts', () => {
    fc.assert(
      fc.property(
        fc.webUrl(),
        fc.string({ minLength: 1, unit: 'grapheme' }),
        fc.nat(),
        (resource, keyName, expiresAtSeconds) => {
          const parsed = parseSasToken(makeSasToken({ resource, keyName, key: KEY, expiresAtSeconds }));
          assert.deepEqual(
            [parsed?.resource, parsed?.keyName, parsed?.expiresAtSeconds],
            [resource, keyName, expiresAtSeconds],
          );
        },
      ),
    );
  });

  it('covers by whole segments of the path', () => {
    assert.equal(covers('sb://h', 'amqps://H/a/b'), true);
    assert.equal(covers('sb://h/a', 'sb://h/ab'), false);
  });

  it('refuses to be made with a fractional expiry', () => {
    assert.throws(() => makeSasToken({ resource: 'r', keyName: 'k', key: KEY, expiresAtSeconds: 1.5 }), RangeError);
  });
});
