// SPDX-License-Identifier: Apache-2.0
import { entityTypes, renderReference } from '@pointsman/management';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const GUIDE = new URL('../../../../docs/configuration.md', import.meta.url);

describe('reference of attributes', () => {
  it('stands in the configuration guide as the schema has it', () => {
    const guide = readFileSync(GUIDE, 'utf8');
    const parts = /^([^]*<!-- generated:[^\n]*\n)[^]*(<!-- \/generated -->[^]*)$/u.exec(guide);
    assert.ok(parts, 'the guide has a place for it');
    const current = `${parts[1]}\n${renderReference(entityTypes, 3)}\n${parts[2]}`;
    if (process.env['UPDATE'] === '1') writeFileSync(GUIDE, current);
    else assert.equal(guide, current, 'UPDATE=1 writes it anew');
  });

  it('has a row for every attribute that a file may give, and none for what the router reports', () => {
    const text = renderReference(entityTypes);
    for (const name of ['connectionString', 'idleTimeoutSeconds', 'includeTimestamp', 'waypoint']) {
      assert.match(text, new RegExp(`^\\| \`${name}\` \\|`, 'mu'));
    }
    assert.doesNotMatch(text, /connectionStatus|undefined/u);
  });
});
