// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PolicyError, hostNamesOf, readVhost } from '../src/index.js';
import { NameList } from '../src/policy/name-rules.js';

describe('a vhost', () => {
  const keys = fc.oneof(
    fc.constantFrom(
      'users',
      'remoteHosts',
      'sources',
      'sourcePattern',
      'maxSenders',
      'allowDynamicSource',
      '__proto__',
    ),
    fc.string(),
  );
  const values = fc.oneof(
    fc.jsonValue(),
    fc.string({ unit: fc.constantFrom('a', '*', ',', '-', '.', ':', '1', '${user}', ' ') }),
  );

  it('gives rules or a PolicyError, whatever stands in it', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.oneof(fc.dictionary(keys, values), values)),
        values,
        (groups, aliases) => {
          const attributes = { hostname: 'h', groups, aliases, allowUnknownUser: true } as never;
          assert.ok(hostNamesOf(attributes) instanceof Set);
          try {
            const rules = readVhost(attributes, () => ({ reason: 'none' }));
            for (const user of ['', 'a', '*', '__proto__']) {
              const group = rules.groupOf(user);
              group?.remoteHosts.allows('1.2.3.4');
              group?.sources.allows('a.b/c', user);
              group?.targets.allows('', user);
            }
          } catch (error) {
            assert.ok(error instanceof PolicyError, String(error));
          }
        },
      ),
    );
  });
});

describe('a list of names', () => {
  /** What an item means, letter by letter. */
  function twin(items: readonly string[], name: string, user: string): boolean {
    return (
      name !== '' &&
      items.some((item) => {
        const isPrefix = item.endsWith('*');
        const text = (isPrefix ? item.slice(0, -1) : item).split('${user}').join(user);
        return isPrefix ? name.slice(0, text.length) === text : name === text;
      })
    );
  }

  it('allows what its items mean', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.'), maxLength: 4 });
    const items = fc.array(
      fc.oneof(
        letters,
        fc.tuple(letters, letters).map(([before, after]) => `${before}\${user}${after}`),
      ),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(items, letters, letters, (list, name, user) => {
        assert.equal(new NameList(list).allows(name, user), twin(list, name, user), JSON.stringify([list, name, user]));
      }),
    );
  });
});
