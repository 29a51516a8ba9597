// SPDX-License-Identifier: Apache-2.0
import { attributeOf, entityTypeOf, entityTypes, validateEntity } from '@pointsman/management';
import type { AttributeProblem, EntityType, Purpose, RawAttributes } from '@pointsman/management';
import fc from 'fast-check';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

const type = (section: string): EntityType => entityTypeOf(section)!;

function problemsOf(section: string, raw: RawAttributes, purpose?: Purpose): readonly AttributeProblem[] {
  return validateEntity(type(section), raw, purpose).problems;
}

function valueOf(section: string, name: string, raw: unknown): unknown {
  const { value, given, problems } = validateEntity(type(section), { [name]: raw });
  if (!given.has(name)) return problems.find((problem) => problem.attribute === name)?.code;
  return value[name];
}

describe('validateEntity', () => {
  it('gives valid attributes and the defaults of all others', () => {
    const { value, given, problems } = validateEntity(type('connector'), {
      host: 'broker',
      port: 5671,
      'verify-hostname': 'no',
    });
    assert.deepEqual(problems, []);
    assert.deepEqual([...given], ['host', 'port', 'verifyHostname']);
    assert.equal(value['port'], '5671');
    assert.equal(value['verifyHostname'], false);
    assert.equal(value['idleTimeoutSeconds'], 16);
    assert.ok(!('saslUsername' in value));
  });

  it('takes booleans as yes, true and on, in any case', () => {
    for (const word of ['yes', 'True', 'ON', true, 1]) assert.equal(valueOf('listener', 'http', word), true);
    for (const word of ['no', 'False', 'OFF', false, 0]) assert.equal(valueOf('listener', 'http', word), false);
    for (const word of ['maybe', '', '1', {}]) assert.equal(valueOf('listener', 'http', word), 'bad-value');
  });

  it('takes whole numbers within their bounds, as numbers and as text', () => {
    for (const number of [9, '9', ' +9 ', 9n]) assert.equal(valueOf('autoLink', 'phase', number), 9);
    for (const number of [10, -1, 1.5, '1.5', '0x1', '1e3', 'one', NaN, 1n << 70n, true]) {
      assert.equal(valueOf('autoLink', 'phase', number), 'bad-value', String(number));
    }
  });

  it('takes tags of an enum, their indexes and their second spellings', () => {
    assert.equal(valueOf('listener', 'role', 'route-container'), 'route-container');
    assert.equal(valueOf('listener', 'role', 2), 'route-container');
    assert.equal(valueOf('listener', 'role', 'interior'), 'inter-router');
    for (const tag of ['Normal', 4, -1, 'constructor', '__proto__'])
      assert.equal(valueOf('listener', 'role', tag), 'bad-value');
  });

  it('takes any scalar as text, but no structure and no control character', () => {
    assert.equal(valueOf('router', 'id', 17), '17');
    assert.equal(valueOf('router', 'id', ['a']), 'bad-value');
    assert.equal(valueOf('router', 'id', 'a\0b'), 'bad-value');
    assert.equal(valueOf('autoLink', 'address', ' '), 'bad-value');
  });

  it('takes maps of JSON values with ASCII keys as properties', () => {
    assert.deepEqual(valueOf('listener', 'openProperties', { a: [1, { b: null }] }), { a: [1, { b: null }] });
    for (const map of ['a', [1], { ä: 1 }, { a: () => 1 }, { a: Infinity }]) {
      assert.equal(valueOf('listener', 'openProperties', map), 'bad-value');
    }
    let deep: unknown = 1;
    for (let i = 0; i < 100; i++) deep = [deep];
    assert.equal(valueOf('listener', 'openProperties', { deep }), 'bad-value');
  });

  it('does not let a key of a map reach the prototype of anything', () => {
    const map = JSON.parse('{ "__proto__": { "polluted": true } }') as unknown;
    const value = valueOf('vhost', 'groups', map) as Record<string, unknown>;
    assert.equal(value['polluted'], undefined);
    assert.deepEqual(Object.keys(value), ['__proto__']);
  });

  it('names the valid attributes and the nearest one for an attribute that does not exist', () => {
    const [problem] = problemsOf('listener', { prot: '5672' });
    assert.equal(problem?.code, 'unknown-attribute');
    assert.equal(problem.message, "listener has no attribute 'prot'");
    assert.equal(problem.nearest, 'port');
    assert.match(problem.allowed ?? '', /\bhost, .*\bport,/u);
  });

  it('shows nothing of a key that cannot be a name, since a value may be glued to it', () => {
    const [problem] = problemsOf('connector', { 'saslPassword=hunter2': 1 });
    assert.equal(problem?.code, 'unknown-attribute');
    assert.doesNotMatch(JSON.stringify(problem), /hunter2/u);
  });

  it('names the value found, what is allowed and the nearest valid one', () => {
    const [problem] = problemsOf('listener', { role: 'interrouter' });
    assert.equal(problem?.found, 'interrouter');
    assert.equal(problem.allowed, 'normal, inter-router, route-container, edge');
    assert.equal(problem.nearest, 'inter-router');
  });

  it('reports every mistake, each with the entry that it is about', () => {
    const problems = problemsOf('autoLink', [
      ['direction', 'inn'],
      ['phase', 10],
      ['bogus', 1],
    ]);
    assert.deepEqual(
      problems.map(({ code, entry, attribute }) => [code, entry, attribute]),
      [
        ['bad-value', 0, 'direction'],
        ['bad-value', 1, 'phase'],
        ['unknown-attribute', 2, 'bogus'],
        ['missing-attribute', undefined, 'address'],
      ],
    );
  });

  it('understands old names with a warning, and refuses both names together', () => {
    const { value, problems } = validateEntity(type('autoLink'), { addr: 'a', dir: 'in', externalAddr: 'q' });
    assert.deepEqual([value['address'], value['direction'], value['externalAddress']], ['a', 'in', 'q']);
    assert.deepEqual(
      problems.map(({ severity, code, nearest }) => [severity, code, nearest]),
      [
        ['warning', 'deprecated', 'address'],
        ['warning', 'deprecated', 'direction'],
        ['warning', 'deprecated', 'externalAddress'],
      ],
    );
    const both = problemsOf('autoLink', { address: 'a', direction: 'in', dir: 'in' });
    assert.deepEqual(
      both.map(({ severity, code }) => [severity, code]),
      [['error', 'old-and-new-name']],
    );
  });

  it('warns of deprecated attributes and says what to write', () => {
    const [problem] = problemsOf('sslProfile', { passwordFile: '/etc/pw' });
    assert.deepEqual(
      [problem?.severity, problem?.code, problem?.hint],
      ['warning', 'deprecated', 'write password: file:PATH instead'],
    );
  });

  it('lets the last of several values count, with a warning', () => {
    const { value, problems } = validateEntity(type('listener'), [
      ['port', '1'],
      ['port', '2'],
    ]);
    assert.equal(value['port'], '2');
    assert.deepEqual(
      problems.map(({ severity, code }) => [severity, code]),
      [['warning', 'repeated-attribute']],
    );
  });

  it('never shows the value of a secret', () => {
    const problems = problemsOf('connector', { saslPassword: ['hunter2'], connectionString: { a: 'hunter2' } });
    assert.equal(problems.length, 2);
    assert.doesNotMatch(JSON.stringify(problems), /hunter2/u);
  });

  it('ignores in a file what the router reports, and refuses type and identity', () => {
    assert.deepEqual(
      problemsOf('router', { area: '0' }).map(({ severity }) => severity),
      ['warning'],
    );
    for (const name of ['type', 'identity']) {
      assert.deepEqual(
        problemsOf('router', { [name]: 'x' }).map(({ severity, code }) => [severity, code]),
        [['error', 'not-settable']],
      );
    }
  });

  it('lets a request create what may be created, with its type named', () => {
    const { fullName } = type('address');
    assert.deepEqual(problemsOf('address', { type: fullName, prefix: 'a' }, 'create'), []);
    assert.equal(problemsOf('address', { type: 'listener', prefix: 'a' }, 'create')[0]?.code, 'not-settable');
    assert.equal(
      problemsOf('autoLink', { operStatus: 'active', address: 'a', direction: 'in' }, 'create')[0]?.code,
      'not-settable',
    );
  });

  it('lets a request update what may be updated, without the rest and without defaults', () => {
    const { value, problems } = validateEntity(type('log'), { enable: 'trace+' }, 'update');
    assert.deepEqual(problems, []);
    assert.deepEqual(value, { enable: 'trace+' });
    assert.equal(problemsOf('log', { module: 'AGENT' }, 'update')[0]?.code, 'not-settable');
  });

  it('finds attributes by every spelling', () => {
    assert.equal(attributeOf(type('connector'), 'sasl-password')?.name, 'saslPassword');
    assert.equal(attributeOf(type('connector'), 'verifyHostName')?.name, 'verifyHostname');
    assert.equal(attributeOf(type('connector'), 'toString'), undefined);
  });

  it('meets any value of any attribute with a value or a problem', () => {
    const names = entityTypes.flatMap((entity) => entity.attributes.map(({ name }) => [entity.name, name] as const));
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.anything({ withBigInt: true, withNullPrototype: true }),
        ([entity, name], raw) => {
          const { value, given, problems } = validateEntity(type(entity), [[name, raw]]);
          if (raw === null || raw === undefined) return;
          const judged = problems.some((problem) => problem.entry === 0);
          assert.equal(given.has(name) || judged, true);
          if (given.has(name)) assert.notEqual(value[name], undefined);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
