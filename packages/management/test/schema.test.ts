// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { configurableAttributes, convertValue, entityTypeOf, entityTypes, TYPE_PREFIX } from '@pointsman/management';
import type { AttributeType, EntityType } from '@pointsman/management';

const rows: readonly (readonly [EntityType, AttributeType])[] = entityTypes.flatMap((type) =>
  type.attributes.map((attribute) => [type, attribute] as const),
);

describe('schema', () => {
  it('has every section of a configuration file', () => {
    assert.deepEqual(
      entityTypes.flatMap(({ section }) => section ?? []),
      [
        'router',
        'sslProfile',
        'authServicePlugin',
        'listener',
        'connector',
        'log',
        'address',
        'linkRoute',
        'autoLink',
        'exchange',
        'binding',
        'console',
        'policy',
        'vhost',
      ],
    );
  });

  it('knows every type that a type extends, and has each operation of those', () => {
    for (const type of entityTypes) {
      for (const base of type.bases) {
        const found = entityTypeOf(base);
        assert.ok(found?.abstract, `${type.name} extends ${base}`);
        for (const operation of found.operations) assert.ok(type.operations.includes(operation), type.name);
        assert.deepEqual(found.bases, type.bases.slice(type.bases.indexOf(base) + 1), type.name);
      }
    }
  });

  it('names no type and no attribute of a type twice, counting old names', () => {
    const names = entityTypes.map(({ fullName }) => fullName);
    assert.equal(new Set(names).size, names.length);
    for (const type of entityTypes) {
      const all = type.attributes.flatMap(({ name, deprecatedName }) => [
        name,
        ...(deprecatedName ? [deprecatedName] : []),
      ]);
      assert.equal(new Set(all).size, all.length, type.name);
    }
  });

  it('finds a type by its short name, its section and its full name', () => {
    for (const name of ['router.config.autoLink', 'autoLink', `${TYPE_PREFIX}.router.config.autoLink`]) {
      assert.equal(entityTypeOf(name)?.section, 'autoLink');
    }
    assert.equal(entityTypeOf('autolink'), undefined);
  });

  it('has a default that is a valid value of its attribute, wherever it has one', () => {
    for (const [type, attribute] of rows) {
      if (attribute.default === undefined || attribute.name === 'area') continue;
      assert.deepEqual(
        convertValue(attribute, attribute.default),
        { value: attribute.default },
        `${type.name}.${attribute.name}`,
      );
    }
  });

  it('bounds every integer that can be given', () => {
    for (const [type, { name, type: kind, create, min, max }] of rows) {
      if (kind !== 'integer' || !create) continue;
      assert.ok(min !== undefined && max !== undefined && min <= max, `${type.name}.${name}`);
    }
  });

  it('documents every type and attribute with a sentence', () => {
    for (const text of [...entityTypes.map(({ doc }) => doc), ...rows.map(([, { doc }]) => doc)]) {
      assert.match(text, /^[^\n]{8,200}\.$/u);
    }
  });

  it('keeps every password and key secret', () => {
    const secret = rows.filter(([, attribute]) => attribute.secret).map(([type, { name }]) => `${type.name}.${name}`);
    assert.deepEqual(secret, [
      'sslProfile.password',
      'listener.azureKeys',
      'connector.connectionString',
      'connector.proxyPassword',
      'connector.saslPassword',
      'connector.azureClientSecret',
      'connector.azureClientCertificatePassword',
      'connector.azureTokenCommand',
    ]);
  });

  it('lets a file configure the modules of the log, though none is ever created', () => {
    const names = (section: string): string[] => configurableAttributes(entityTypeOf(section)!).map(({ name }) => name);
    assert.deepEqual(names('log'), ['module', 'enable', 'includeTimestamp', 'includeSource', 'outputFile', 'name']);
    assert.ok(!names('connector').includes('connectionStatus'));
    assert.ok(!names('connector').includes('type'));
  });
});
