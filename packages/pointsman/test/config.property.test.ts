// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stringify } from 'yaml';
import { readConf } from '../src/config/conf-grammar.js';
import type { Vocabulary } from '../src/config/conf-grammar.js';
import { formatProblems, ProblemList } from '../src/config/problems.js';
import type { RawSection, RawValue } from '../src/config/raw-config.js';
import { readConfig } from '../src/config/read-config.js';
import type { ConfigFormat } from '../src/config/read-config.js';
import { readTree } from '../src/config/yaml-form.js';

type Section = readonly [name: string, attributes: readonly (readonly [key: string, value: RawValue])[]];

const vocabulary: Vocabulary = { isAttribute: () => false };
const secrets = { env: () => undefined, readFile: () => '' };

const word = fc
  .stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,8}$/u)
  .filter((name) => !/^(?:pattern|binding-?key|hostname)$/iu.test(name));
const text = fc
  .oneof(
    fc.string({ minLength: 1, maxLength: 20 }),
    fc
      .array(
        fc.constantFrom(
          'a',
          'b',
          '1',
          ' ',
          '#',
          '//',
          '"',
          "'",
          '\\',
          '{',
          '}',
          ',',
          ';',
          ':',
          'env:',
          'port: ',
          '[',
          ']',
        ),
        { minLength: 1, maxLength: 8 },
      )
      .map((parts) => parts.join('')),
  )
  .filter((value) => !/[\n\r\u0085\u2028\u2029]/u.test(value));
const json: fc.Arbitrary<RawValue> = fc
  .jsonValue({ maxDepth: 3 })
  .filter(
    (value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.stringify(value).includes('-0'),
  )
  .map((value) => JSON.parse(JSON.stringify(value)) as RawValue);
const attributes = fc.uniqueArray(fc.tuple(word, fc.oneof({ weight: 5, arbitrary: text }, json)), {
  maxLength: 5,
  selector: ([key]) => key,
});
const sections: fc.Arbitrary<Section[]> = fc.array(fc.tuple(word, attributes), { minLength: 1, maxLength: 5 });

/** Decides, one after the other, in which of several ways something is written. */
type Choose = (ways: number) => number;

const choices: fc.Arbitrary<Choose> = fc
  .infiniteStream(fc.nat(1_000))
  .map((stream) => (ways) => (stream.next().value as number) % ways);

function printConf(model: readonly Section[], choose: Choose): string {
  return model.map((section) => printSection(section, choose)).join(['\n', '\n\n# x {\n', ' // y }\n'][choose(3)]);
}

function printSection([name, pairs]: Section, choose: Choose): string {
  const inline = choose(3) === 0;
  const gap = inline ? [' ', ', ', '; '][choose(3)]! : '\n  ';
  // On one line a colon without a blank may belong to the value before it, as in `amqp:`.
  const colons = inline ? [': ', ' : '] : [': ', ' : ', ':'];
  const body = pairs.map(
    ([key, value]) => `${key}${colons[choose(colons.length)]}${printValue(value, inline, choose)}`,
  );
  if (inline) return `${name} { ${body.join(gap)} }`;
  const comments = body.map((line) => line + ['', '  # end', ' // end'][choose(3)]!);
  return `${name} {\n  ${comments.join(gap)}${[' ', '\n', '\n\n'][comments.at(-1)?.includes(' end') === true ? 1 : choose(3)]}}`;
}

function printValue(value: RawValue, inline: boolean, choose: Choose): string {
  if (typeof value !== 'string') return JSON.stringify(value, undefined, inline ? 0 : [0, 1, 4][choose(3)]);
  const plain = inline ? /^[A-Za-z0-9][A-Za-z0-9.]*$/u : /^[A-Za-z0-9][A-Za-z0-9:,;.'"{ ]*[A-Za-z0-9]$/u;
  switch (choose(3)) {
    case 0:
      return JSON.stringify(value);
    case 1:
      return `'${value.replaceAll("'", "''")}'`;
    default:
      return plain.test(value) && !value.includes('  ') ? value : JSON.stringify(value);
  }
}

function modelOf(read: readonly RawSection[]): Section[] {
  return read.map(({ name, attributes: list }) => [name, list.map(({ key, value }) => [key, value] as const)] as const);
}

/** What text-based formats make of scalars at the level of attributes. */
function objectOf([, pairs]: Section): Record<string, RawValue> {
  return Object.fromEntries(pairs);
}

describe('configuration formats', () => {
  it('read a .conf file as it was printed, in whatever style', () => {
    fc.assert(
      fc.property(sections, choices, (model, choose) => {
        const problems = new ProblemList('a.conf');
        const printed = printConf(model, choose);
        const read = readConf(printed, problems, vocabulary);
        assert.deepEqual(problems.sorted(), [], printed);
        assert.deepEqual(modelOf(read), model, printed);
      }),
      { numRuns: 500 },
    );
  });

  it('read the same from JSON in its old and its new form, and from YAML', () => {
    fc.assert(
      fc.property(sections, fc.constantFrom(undefined, 2, '\t'), (model, indent) => {
        const pairs = model.map((section) => [section[0], objectOf(section)]);
        const listed = model.map((section) => ({ [section[0]]: [objectOf(section)] }));
        const named = Object.fromEntries(
          pairs.filter(([name]) => model.filter((section) => section[0] === name).length === 1),
        );
        for (const [printed, format, expected] of [
          [JSON.stringify(pairs, undefined, indent), 'JSON', pairs],
          [JSON.stringify(listed, undefined, indent), 'JSON', pairs],
          [stringify(pairs), 'YAML', pairs],
          [stringify(named), 'YAML', Object.entries(named)],
        ] as const) {
          const problems = new ProblemList('a');
          const read = readTree(printed, format, problems);
          assert.deepEqual(problems.sorted(), [], printed);
          assert.deepEqual(
            modelOf(read).map((section) => [section[0], objectOf(section)]),
            expected,
            printed,
          );
        }
      }),
      { numRuns: 200 },
    );
  });
});

const FRAGMENTS: readonly string[] = [
  'router',
  'listener',
  'connector',
  'autoLink',
  'address',
  'linkRoute',
  'log',
  'vhost',
  'sslProfile',
  'policy',
  ' { ',
  ' }',
  '{',
  '}',
  '\n',
  '\n\n',
  '\r\n',
  ': ',
  ':',
  ' ',
  '\t',
  '#',
  '//',
  '"',
  "'",
  '\\',
  ',',
  ';',
  '[',
  ']',
  '- ',
  '---',
  '&a',
  '*a',
  '? ',
  '|',
  '>',
  '!x',
  'port',
  'host',
  'name',
  'role',
  'prefix',
  'pattern',
  'direction',
  'connection',
  'phase',
  'groups',
  'openProperties',
  'saslPassword',
  'connectionString',
  'idleTimeoutSeconds',
  'module',
  'enable',
  'amqp',
  '5672',
  '-1',
  '1e9',
  'yes',
  'route-container',
  'in',
  'out',
  'ns.servicebus.windows.net',
  'a/#',
  '$default',
  '__proto__',
  'constructor',
  'toString',
  'env:',
  'file:',
  'pass:x',
  '\u0000',
  '\ud800',
  '\u2028',
];
const fragments = fc
  .array(fc.oneof(fc.constantFrom(...FRAGMENTS), fc.string({ maxLength: 4, unit: 'binary' })), { maxLength: 60 })
  .map((parts) => parts.join(''));
const formats = fc.constantFrom<ConfigFormat>('conf', 'yaml', 'json');

describe('readConfig', () => {
  it('makes of any text a configuration or problems, and never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fragments, fc.string({ maxLength: 200, unit: 'binary' })), formats, (input, format) => {
        const result = readConfig(input, { path: 'a', format, secrets });
        const problems = result.ok ? result.warnings : result.problems;
        const lines = input.split(/\r\n?|\n/u).length;
        assert.equal(
          problems.some(({ severity }) => severity === 'error'),
          !result.ok,
        );
        for (const { line, message } of problems) {
          assert.ok(line === undefined || (line >= 1 && line <= lines), `line ${line} of ${lines}`);
          assert.doesNotMatch(message, /undefined|\[object|NaN/u);
        }
        assert.doesNotMatch(formatProblems(problems, { color: false }), /[\u0000-\u0009\u000b-\u001f]/u);
      }),
      { numRuns: 3_000 },
    );
  });

  it('shows no password in what it says of a file, whatever else is wrong with it', () => {
    const key = fc.constantFrom(
      'saslPassword',
      'sasl-password',
      'connectionString',
      'password',
      'saslPasword',
      'Password',
    );
    const around = fc
      .array(fc.constantFrom(...FRAGMENTS.filter((part) => !part.includes('hunter'))), { maxLength: 12 })
      .map((parts) => parts.join(''));
    const mark = fc.constantFrom(': ', ':', ' : ', ' ', ': "', ": '", ': pass:', ': literal:');
    fc.assert(
      fc.property(fc.boolean(), around, key, mark, around, formats, (section, before, name, colon, behind, format) => {
        const open = section ? 'connector {\n' : '';
        const result = readConfig(`${before}\n${open}${name}${colon}hunter2${behind}\n}`, {
          path: 'a',
          format,
          secrets,
        });
        const problems = result.ok ? result.warnings : result.problems;
        assert.doesNotMatch(formatProblems(problems, { color: false }), /hunter2/u);
      }),
      { numRuns: 2_000 },
    );
  });
});
