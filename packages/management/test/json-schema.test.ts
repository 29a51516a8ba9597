// SPDX-License-Identifier: Apache-2.0
import {
  configurableAttributes,
  entityTypeOf,
  entityTypes,
  renderJsonSchema,
  validateEntity,
} from '@pointsman/management';
import type { JsonSchema } from '@pointsman/management';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';

const root = renderJsonSchema();
const KEYWORDS = new Set(
  (
    '$schema $defs $ref title description default deprecated writeOnly type enum const anyOf allOf properties ' +
    'patternProperties additionalProperties propertyNames required items prefixItems minItems maxItems minimum maximum ' +
    'pattern'
  ).split(' '),
);

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function hasType(value: unknown, type: string): boolean {
  switch (type) {
    case 'object':
      return isMap(value);
    case 'array':
      return Array.isArray(value);
    case 'null':
      return value === null;
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

/** As much of a validator as the schema uses keywords of. */
function isValid(schema: JsonSchema | boolean, value: unknown): boolean {
  if (typeof schema === 'boolean') return schema;
  for (const keyword of Object.keys(schema)) assert.ok(KEYWORDS.has(keyword), keyword);
  const part = (keyword: string): JsonSchema | undefined => schema[keyword] as JsonSchema | undefined;
  const list = (keyword: string): readonly JsonSchema[] | undefined => schema[keyword] as JsonSchema[] | undefined;
  const { $ref, type, minimum, maximum, minItems, maxItems, pattern } = schema as Record<string, never>;
  if ($ref !== undefined) {
    const target = (root['$defs'] as Record<string, JsonSchema>)[String($ref).replace('#/$defs/', '')];
    assert.ok(target, $ref);
    if (!isValid(target, value)) return false;
  }
  if (type !== undefined && ![type].flat().some((name) => hasType(value, name))) return false;
  if (schema['enum'] !== undefined && !(schema['enum'] as unknown[]).includes(value)) return false;
  if ('const' in schema && schema['const'] !== value) return false;
  if (list('anyOf')?.some((each) => isValid(each, value)) === false) return false;
  if (list('allOf')?.every((each) => isValid(each, value)) === false) return false;
  if (typeof value === 'number' && (value < (minimum ?? -Infinity) || value > (maximum ?? Infinity))) return false;
  if (typeof value === 'string' && pattern !== undefined && !new RegExp(pattern, 'u').test(value)) return false;
  if (Array.isArray(value)) {
    if (value.length < (minItems ?? 0) || value.length > (maxItems ?? Infinity)) return false;
    const first = list('prefixItems') ?? [];
    const rest = part('items') ?? {};
    return value.every((item, index) => isValid(first[index] ?? rest, item));
  }
  return !isMap(value) || isValidMap(schema, value);
}

function isValidMap(schema: JsonSchema, value: Record<string, unknown>): boolean {
  const properties = (schema['properties'] ?? {}) as Record<string, JsonSchema>;
  const patterns = Object.entries((schema['patternProperties'] ?? {}) as Record<string, JsonSchema>);
  const additional = (schema['additionalProperties'] ?? true) as JsonSchema | boolean;
  const required = (schema['required'] ?? []) as readonly string[];
  return (
    required.every((name) => Object.hasOwn(value, name)) &&
    Object.entries(value).every(([name, item]) => {
      if (!isValid((schema['propertyNames'] ?? true) as JsonSchema | boolean, name)) return false;
      const matching = patterns.flatMap(([pattern, each]) => (new RegExp(pattern, 'u').test(name) ? [each] : []));
      if (Object.hasOwn(properties, name)) matching.push(properties[name]!);
      return matching.length > 0 ? matching.every((each) => isValid(each, item)) : isValid(additional, item);
    })
  );
}

const GOOD = {
  router: { mode: 'standalone', id: 'Router.A', helloInterval: '2' },
  listener: [{ host: '0.0.0.0', port: 5672, role: 'interior', authenticatePeer: 'Yes' }, { idle_timeout_seconds: 8 }],
  connector: { saslPassword: 'env:KEY', verifyHostName: false, openProperties: { a: 1 } },
  address: [{ prefix: 'news', distribution: 'multicast' }],
  autoLink: { addr: 'a', dir: 'in', phase: 0 },
  'ssl-profile': { name: 'tls' },
  vhost: { hostname: 'h', groups: { $default: { users: '*', maxSenders: 4 } } },
};

describe('JSON Schema of configurations', () => {
  it('takes what the router takes, as a map of sections and as a list of pairs', () => {
    assert.ok(isValid(root, GOOD));
    assert.ok(
      isValid(root, [
        ['router', GOOD.router],
        ['address', GOOD.address[0]],
      ]),
    );
    assert.ok(isValid(root, {}));
  });

  const bad: readonly [what: string, configuration: unknown][] = [
    ['a text', 'router'],
    ['an unknown section', { tcpListener: {} }],
    ['a type that cannot be configured', { connection: {} }],
    ['an unknown attribute', { listener: { prot: 1 } }],
    ['an unknown attribute in a list', { listener: [{}, { prot: 1 }] }],
    ['an unknown value', { listener: { role: 'norml' } }],
    ['a number that is too large', { address: { prefix: 'a', priority: 10 } }],
    ['a word in place of yes or no', { address: { prefix: 'a', waypoint: 'maybe' } }],
    ['a section that lacks an attribute', { autoLink: { address: 'a' } }],
    ['two routers', { router: [{}, {}] }],
    ['a pair with an unknown attribute', [['router', { colour: 1 }]]],
    ['a key that is not ASCII', { connector: { openProperties: { ä: 1 } } }],
  ];
  for (const [what, configuration] of bad) {
    it(`refuses ${what}`, () => assert.ok(!isValid(root, configuration)));
  }

  it('takes every section that the router finds no mistake in', () => {
    const sections = entityTypes.flatMap(({ section }) => section ?? []);
    const anyEntity = fc.constantFrom(...sections).chain((section) => {
      // What stands in a group is checked with the policy, not here.
      const attributes = configurableAttributes(entityTypeOf(section)!).filter(({ name }) => name !== 'groups');
      const names = attributes.flatMap(({ name, deprecatedName, values }) =>
        [name, deprecatedName ?? name].map((each) => [each, values ?? []] as const),
      );
      const entry = fc
        .constantFrom(...names)
        .chain(([name, values]) =>
          fc.tuple(
            fc.constant(name),
            fc.oneof(
              fc.constantFrom('yes', 'OFF', true, 0, 7, '5', 1_000_000, null, ...values),
              fc.jsonValue({ maxDepth: 2 }),
            ),
          ),
        );
      return fc.tuple(fc.constant(section), fc.array(entry, { maxLength: 5 }));
    });
    let clean = 0;
    fc.assert(
      fc.property(anyEntity, ([section, entries]) => {
        const attributes = Object.fromEntries(entries);
        const { problems } = validateEntity(entityTypeOf(section)!, attributes);
        if (problems.some(({ severity }) => severity === 'error')) return;
        clean++;
        // The router trims the tags of enums, an editor need not.
        const trimmed = Object.values(attributes).some((value) => typeof value === 'string' && value !== value.trim());
        assert.ok(trimmed || isValid(root, { [section]: attributes }), JSON.stringify({ [section]: attributes }));
      }),
      { numRuns: 2_000 },
    );
    assert.ok(clean > 200, `${clean} of them`);
  });

  it('describes every attribute, and marks old names and secrets', () => {
    const { autoLink, connector } = root['$defs'] as Record<string, { properties: Record<string, JsonSchema> }>;
    assert.equal(autoLink?.properties['dir']?.['deprecated'], true);
    assert.equal(connector?.properties['saslPassword']?.['writeOnly'], true);
    assert.equal(connector?.properties['cost']?.['default'], 1);
  });
});
