// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProblemList } from '../src/config/problems.js';
import type { ConfigProblem } from '../src/config/problems.js';
import type { RawSection, RawValue } from '../src/config/raw-config.js';
import { readTree } from '../src/config/yaml-form.js';
import type { TreeFormat } from '../src/config/yaml-form.js';

function read(
  text: string,
  format: TreeFormat = 'YAML',
): { sections: RawSection[]; problems: readonly ConfigProblem[] } {
  const problems = new ProblemList('a');
  return { sections: readTree(text, format, problems), problems: problems.sorted() };
}

function values(text: string, format: TreeFormat = 'YAML'): [string, Record<string, RawValue>][] {
  const { sections, problems } = read(text, format);
  assert.deepEqual(problems, []);
  return sections.map(({ name, attributes }) => [
    name,
    Object.fromEntries(attributes.map(({ key, value }) => [key, value])),
  ]);
}

const EXPECTED = [
  ['router', { id: 'A', mode: 'standalone' }],
  ['listener', { port: '5672', http: 'false' }],
  ['listener', { port: '5671', openProperties: { a: 1, b: ['x', true, null] } }],
];

describe('YAML and JSON', () => {
  it('read the same model from sections by name', () => {
    const yaml = `
router: { id: A, mode: standalone }   # a comment
listener:
  - port: 5672
    http: false
  - port: 5671
    openProperties: { a: 1, b: [x, true, null] }
`;
    const json = `{
	"router": { "id": "A", "mode": "standalone" },
	# a comment
	"listener": [
		{ "port": 5672, "http": false },
		{ "port": 5671, "openProperties": { "a": 1, "b": ["x", true, null] } }
	]
}`;
    assert.deepEqual(values(yaml), EXPECTED);
    assert.deepEqual(values(json, 'JSON'), EXPECTED);
  });

  it('read the same model from the old list of pairs', () => {
    const json = `
# the old router's form
[["router", {"id": "A", "mode": "standalone"}],
 ["listener", {"port": 5672, "http": false}],
   # indented
 ["listener", {"port": "5671", "openProperties": {"a": 1, "b": ["x", true, null]}}]]`;
    assert.deepEqual(values(json, 'JSON'), EXPECTED);
    assert.deepEqual(values('- [router, { id: A }]\n- listener: { port: 1 }\n- listener: [{ port: 2 }, { port: 3 }]'), [
      ['router', { id: 'A' }],
      ['listener', { port: '1' }],
      ['listener', { port: '2' }],
      ['listener', { port: '3' }],
    ]);
  });

  it('know the line of every section and attribute', () => {
    const { sections } = read('\nlistener:\n  - port: 1\n    host: x\n\n  - port: 2\nrouter:\n  id: A\n');
    assert.deepEqual(
      sections.map(({ line, attributes }) => [line, attributes.map((attribute) => attribute.line)]),
      [
        [3, [3, 4]],
        [6, [6]],
        [7, [8]],
      ],
    );
  });

  it('keep the text of a value that looks like a number or a word of another type', () => {
    const [[, attributes]] = values(
      'connector: { saslUsername: 007, saslPassword: 1e3, name: 0x1F, host: "true", role: no }',
    ) as [[string, Record<string, RawValue>]];
    assert.deepEqual(attributes, { saslUsername: '007', saslPassword: '1e3', name: '0x1F', host: 'true', role: 'no' });
  });

  it('read quoted and block text', () => {
    assert.deepEqual(values('router:\n  id: "a # b"\n  metadata: |\n    two\n    lines\n'), [
      ['router', { id: 'a # b', metadata: 'two\nlines' }],
    ]);
  });

  it('note a comment behind plain text, which may have been part of it', () => {
    const [section] = read('connector:\n  saslPassword: abc #def\n  host: abc#def\n  name: "abc" # def\n').sections;
    assert.deepEqual(
      section?.attributes.map(({ value, comment }) => [value, comment?.mark]),
      [
        ['abc', '#'],
        ['abc#def', undefined],
        ['abc', undefined],
      ],
    );
  });

  it('resolve aliases, but not without end', () => {
    assert.deepEqual(values('sslProfile: &p { name: x }\nrouter: *p'), [
      ['sslProfile', { name: 'x' }],
      ['router', { name: 'x' }],
    ]);
    // Each line stands for ten of the line before it.
    const layers = Array.from({ length: 9 }, (_, i) => `    a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(10)}]\n`);
    const { problems } = read(`listener:\n  openProperties:\n    a0: &a0 [x]\n${layers.join('')}`);
    assert.match(problems[0]!.message, /more than 200 aliases/u);
    assert.equal(read('listener: &l { openProperties: { a: *l } }').problems.length, 1);
  });

  it('take a section name with nothing below it as a list of none', () => {
    assert.deepEqual(values('router: { id: A }\nlistener:\n'), [['router', { id: 'A' }]]);
    assert.deepEqual(values('# nothing\n'), []);
  });

  it('keep a repeated key for the judgement of the section', () => {
    const [section] = read('listener: { port: 1, port: 2 }').sections;
    assert.deepEqual(
      section?.attributes.map(({ value }) => value),
      ['1', '2'],
    );
  });

  const mistakes: readonly (readonly [
    what: string,
    format: TreeFormat,
    text: string,
    line: number | undefined,
    message: RegExp,
  ])[] = [
    ['a missing bracket', 'JSON', '{\n "router": { "id": "A" }\n', 3, /not valid JSON/u],
    ['a missing comma', 'JSON', '{ "router": { "id": "A"\n "mode": "x" } }', 2, /not valid JSON/u],
    ['tabs as indentation', 'YAML', 'router:\n\tid: A\n', 2, /not valid YAML/u],
    ['wrong indentation', 'YAML', 'router:\n    id: A\n  mode: x\n', 3, /not valid YAML/u],
    ['an unknown alias', 'YAML', 'router: *x\n', 1, /this alias stands for nothing/u],
    ['two documents', 'YAML', 'router: {}\n---\nrouter: {}\n', 2, /a second document/u],
    ['a scalar', 'YAML', 'hello\n', 1, /no configuration/u],
    ['an attribute without value', 'YAML', 'router:\n  id:\n', 2, /'id' of 'router' has no value/u],
    ['a section that is a scalar', 'YAML', 'router: 5\n', 1, /the section 'router' has no attributes/u],
    ['a pair that is none', 'JSON', '[["router"]]', 1, /this is no section/u],
    ['a key that is a list', 'YAML', 'router:\n  ? [a]\n  : 1\n', 2, /this is no name/u],
  ];
  for (const [what, format, text, line, message] of mistakes) {
    it(`report ${what} with its line, and nothing else`, () => {
      const { problems } = read(text, format);
      assert.deepEqual(
        problems.map((problem) => [problem.severity, problem.line]),
        [['error', line]],
      );
      assert.match(problems[0]!.message, message);
    });
  }

  it('report nesting that no parser survives', () => {
    for (const text of [
      '['.repeat(50_000),
      '{a: '.repeat(50_000),
      `router: { openProperties: ${'['.repeat(100)}${']'.repeat(100)} }`,
    ]) {
      for (const format of ['YAML', 'JSON'] as const) assert.ok(read(text, format).problems.length > 0);
    }
  });

  it('show nothing of a text that they cannot read, since it may be a password', () => {
    for (const text of [
      'connector:\n  saslPassword: "hunter2\n',
      'connector:\n  saslPassword: @hunter2\n',
      'connector: { saslPassword: hunter2 ]',
      'connector:\n  saslPassword: *hunter2\n',
    ]) {
      const { problems } = read(text);
      assert.ok(problems.length > 0);
      assert.doesNotMatch(JSON.stringify(problems), /hunter2/u);
    }
  });
});
