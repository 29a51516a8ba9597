// SPDX-License-Identifier: Apache-2.0
import { entityTypes, renderJsonSchema, renderManagementReference, renderReference } from '@pointsman/management';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const GUIDE = new URL('../../../../docs/configuration.md', import.meta.url);
const MANAGEMENT = new URL('../../../../docs/management.md', import.meta.url);
const JSON_SCHEMA = new URL('../../../../docs/configuration.schema.json', import.meta.url);

/** Compares the part of a page between its marks with what it should be, or writes it with UPDATE=1. */
function assertGenerated(page: URL, text: string): void {
  const guide = readFileSync(page, 'utf8');
  const parts = /^([^]*<!-- generated:[^\n]*\n)[^]*(<!-- \/generated -->[^]*)$/u.exec(guide);
  assert.ok(parts, 'the page has a place for it');
  const current = `${parts[1]}\n${text}\n${parts[2]}`;
  if (process.env['UPDATE'] === '1') writeFileSync(page, current);
  else assert.equal(guide, current, 'UPDATE=1 writes it anew');
}

describe('reference of attributes', () => {
  it('stands in the configuration guide as the schema has it', () => {
    assertGenerated(GUIDE, renderReference(entityTypes, 3));
  });

  it('stands in the page of management as the schema has it', () => {
    assertGenerated(MANAGEMENT, renderManagementReference(entityTypes, 3));
  });

  it('lies beside them as a JSON Schema', () => {
    const text = `${JSON.stringify(renderJsonSchema(), undefined, 2)}\n`;
    if (process.env['UPDATE'] === '1') writeFileSync(JSON_SCHEMA, text);
    else assert.equal(readFileSync(JSON_SCHEMA, 'utf8'), text, 'UPDATE=1 writes it anew');
  });

  it('tells of every type of management when its attributes may be given', () => {
    const text = renderManagementReference(entityTypes);
    for (const { name } of entityTypes) assert.ok(text.includes(`## ${name}\n`), name);
    assert.match(text, /^\| `saslPassword` \| string \| create; never shown \| /mu);
    assert.match(text, /^\| `adminStatus` \| `enabled`, `deleted` \| update; `enabled` \| /mu);
  });

  it('has a row for every attribute that a file may give, and none for what the router reports', () => {
    const text = renderReference(entityTypes);
    for (const name of ['connectionString', 'idleTimeoutSeconds', 'includeTimestamp', 'waypoint']) {
      assert.match(text, new RegExp(`^\\| \`${name}\` \\|`, 'mu'));
    }
    assert.doesNotMatch(text, /connectionStatus|undefined/u);
  });
});
