// SPDX-License-Identifier: Apache-2.0
import { camelCase, editDistance, nearestName } from '@pointsman/management';
import fc from 'fast-check';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

describe('camelCase', () => {
  it('makes one name of all spellings', () => {
    for (const name of ['ssl-profile', 'ssl_profile', 'ssl profile', 'ssl.profile', 'sslProfile', 'ssl-PROFILE']) {
      assert.equal(camelCase(name), 'sslProfile');
    }
  });

  it('leaves the first word as it is', () => {
    assert.equal(camelCase('MaxFrame-size'), 'MaxFrameSize');
    assert.equal(camelCase(''), '');
  });
});

describe('editDistance', () => {
  it('counts inserted, deleted, replaced and swapped characters', () => {
    assert.equal(editDistance('port', 'port'), 0);
    assert.equal(editDistance('prot', 'port'), 1);
    assert.equal(editDistance('listner', 'listener'), 1);
    assert.equal(editDistance('hots', 'host'), 1);
    assert.equal(editDistance('', 'abc'), 3);
    assert.equal(editDistance('kitten', 'sitting'), 3);
  });

  it('is the same from either side, nothing for equals only, and never more than the longer text', () => {
    const word = fc.string({ maxLength: 8, unit: fc.constantFrom('a', 'b', 'c') });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b);
        assert.equal(distance, editDistance(b, a));
        assert.equal(distance === 0, a === b);
        assert.ok(distance <= Math.max(a.length, b.length));
        assert.ok(distance >= Math.abs(a.length - b.length));
      }),
    );
  });
});

describe('nearestName', () => {
  const names = ['host', 'port', 'role', 'saslPassword', 'saslUsername', 'verifyHostname'];

  it('finds what was mistyped', () => {
    assert.equal(nearestName('prot', names), 'port');
    assert.equal(nearestName('verifyhostnam', names), 'verifyHostname');
    assert.equal(nearestName('HOST', names), 'host');
  });

  it('finds a name that contains what was written', () => {
    assert.equal(nearestName('password', names), 'saslPassword');
    assert.equal(nearestName('username', names), 'saslUsername');
  });

  it('suggests nothing where nothing is near', () => {
    assert.equal(nearestName('banana', names), undefined);
    assert.equal(nearestName('', names), undefined);
    assert.equal(nearestName('port'.repeat(100), names), undefined);
  });
});
