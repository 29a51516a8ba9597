// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readConf } from '../src/config/conf-grammar.js';
import type { Vocabulary } from '../src/config/conf-grammar.js';
import { ProblemList } from '../src/config/problems.js';
import type { ConfigProblem } from '../src/config/problems.js';
import type { RawSection, RawValue } from '../src/config/raw-config.js';

const NAMES = ['host', 'port', 'name', 'role', 'saslPassword', 'openProperties', 'groups', 'pattern', 'hostname', 'id'];
const vocabulary: Vocabulary = { isAttribute: (_section, word) => NAMES.includes(word) };

function read(text: string): { sections: RawSection[]; problems: readonly ConfigProblem[] } {
  const problems = new ProblemList('a.conf');
  return { sections: readConf(text, problems, vocabulary), problems: problems.sorted() };
}

/** Sections as names and values alone, from a text without mistakes. */
function values(text: string): [string, Record<string, RawValue>][] {
  const { sections, problems } = read(text);
  assert.deepEqual(problems, []);
  return sections.map(({ name, attributes }) => [
    name,
    Object.fromEntries(attributes.map(({ key, value }) => [key, value])),
  ]);
}

/** The value of `name:` followed by that text. */
function value(text: string): RawValue | undefined {
  return values(`listener {\n    name: ${text}\n}\n`)[0]?.[1]['name'];
}

describe('.conf grammar', () => {
  it('reads sections, attributes and comments as the old router does', () => {
    const text = `
# a router
router {
    mode: standalone
    id:   My Router   # with blanks inside
}

  listener {
host:0.0.0.0
    port   :   amqp
    # nothing
  }
`;
    assert.deepEqual(values(text), [
      ['router', { mode: 'standalone', id: 'My Router' }],
      ['listener', { host: '0.0.0.0', port: 'amqp' }],
    ]);
  });

  it('knows the line of every section and attribute', () => {
    const { sections } = read(
      '\r\nrouter {\r\n  id: A\r\n}\r\n\r\nlistener {\r\n\r\n  port: 1\r\n}'.replaceAll('\r\n', '\n'),
    );
    assert.deepEqual(
      sections.map(({ line, attributes }) => [line, attributes.map((attribute) => attribute.line)]),
      [
        [2, [3]],
        [6, [8]],
      ],
    );
  });

  it('takes // for a comment after a blank, and for part of the value otherwise', () => {
    assert.equal(value('a // comment'), 'a');
    assert.equal(value('amqp://x:5672/y'), 'amqp://x:5672/y');
    assert.deepEqual(values('// comment\nrouter { // comment\n // comment\n}// comment'), [['router', {}]]);
  });

  it('keeps # and // and blanks in quotes', () => {
    assert.equal(value('"a # b // c" # d'), 'a # b // c');
    assert.equal(value("'a # b // c' // d"), 'a # b // c');
    assert.equal(value('" a "'), ' a ');
    assert.equal(value('"a}"'), 'a}');
  });

  it('reads the escapes of JSON in double quotes, and none but a doubled quote in single ones', () => {
    assert.equal(value(String.raw`"a\"b\\c\u0041"`), 'a"b\\cA');
    assert.equal(value(String.raw`'a\nb''c'`), String.raw`a\nb'c`);
  });

  it('takes a quote inside or at the start of plain text as a character', () => {
    assert.equal(value("it's"), "it's");
    assert.equal(value("'t is"), "'t is");
    assert.equal(value('a"b'), 'a"b');
    assert.equal(value("'a' b"), "'a' b");
  });

  it('keeps # in pattern, bindingKey and hostname, up to the first blank', () => {
    const text =
      'address {\n pattern: a/#/b.# # comment\n}\nvhost {\n hostname: #x\n}\nbinding {\n binding-key: # // all\n}';
    assert.deepEqual(values(text), [
      ['address', { pattern: 'a/#/b.#' }],
      ['vhost', { hostname: '#x' }],
      ['binding', { 'binding-key': '#' }],
    ]);
  });

  it('notes where a comment ended a value, and whether without a blank', () => {
    const [section] = read(
      'connector {\n saslPassword: abc#def\n host: abc # def\n name: abc\n role: abc // x\n}',
    ).sections;
    assert.deepEqual(
      section?.attributes.map(({ value, comment }) => [value, comment]),
      [
        ['abc', { mark: '#', glued: true }],
        ['abc', { mark: '#', glued: false }],
        ['abc', undefined],
        ['abc', { mark: '//', glued: false }],
      ],
    );
  });

  it('reads escapes outside of quotes as the old router did, and keeps what it refused', () => {
    const [section] = read(
      String.raw`a {` + '\n' + String.raw` name: a\\b` + '\n' + String.raw` host: C:\xampp` + '\n}',
    ).sections;
    assert.deepEqual(
      section?.attributes.map(({ value, escaped }) => [value, escaped]),
      [
        ['a\\b', true],
        [String.raw`C:\xampp`, undefined],
      ],
    );
  });

  it('takes sections on one line, with or without separators', () => {
    const expected = [['listener', { host: '0.0.0.0', port: '5672', role: 'normal' }]];
    for (const body of [
      '{ host: 0.0.0.0 port: 5672 role: normal }',
      '{host:0.0.0.0,port:5672,role:normal}',
      '{ host: 0.0.0.0; port: 5672;  role: normal; }',
      '{ host: "0.0.0.0", port: \'5672\', role: normal } # comment',
      '{ host: 0.0.0.0  port: 5672\n role: normal\n}',
      '{ host: 0.0.0.0\n port: 5672\n role: normal }',
      '\n{ host: 0.0.0.0\n port: 5672\n role: normal\n}',
    ])
      assert.deepEqual(values(`listener ${body}`), expected, body);
  });

  it('does not take env: or a scheme for an attribute on such a line', () => {
    assert.deepEqual(values('connector { name: env:NAME role: amqp://x port: 1 }'), [
      ['connector', { name: 'env:NAME', role: 'amqp://x', port: '1' }],
    ]);
    assert.deepEqual(values('connector { saslPassword: env: NAME port: 1 }'), [
      ['connector', { saslPassword: 'env: NAME', port: '1' }],
    ]);
  });

  it('takes several sections on one line', () => {
    assert.deepEqual(values('address { pattern: a/# role: b } address {pattern:c/#} listener {}'), [
      ['address', { pattern: 'a/#', role: 'b' }],
      ['address', { pattern: 'c/#' }],
      ['listener', {}],
    ]);
  });

  it('keeps a brace that is glued to the last value of a line', () => {
    assert.equal(value('a}'), 'a}');
    assert.equal(value('${x} y'), '${x} y');
  });

  it('takes the last line of a section with the closing brace after a blank', () => {
    assert.deepEqual(values('listener {\n port: 5672 } # end\nrouter {\n}'), [
      ['listener', { port: '5672' }],
      ['router', {}],
    ]);
  });
});

describe('.conf grammar: mistakes', () => {
  const cases: readonly (readonly [what: string, text: string, line: number, message: RegExp])[] = [
    [
      'a missing brace at the end',
      'router {\n id: A\n',
      1,
      /a '\}' is missing: the section 'router' goes on to the end/u,
    ],
    [
      'a missing brace before the next section',
      'router {\n id: A\nlistener {\n}\n',
      1,
      /'router' is still open at line 3/u,
    ],
    ['a brace too many', 'router {\n}\n}\n', 3, /this '\}' closes nothing/u],
    ['a missing colon', 'router {\n id A\n}', 2, /a colon is missing after 'id'/u],
    ['a missing value', 'router {\n id:\n}', 2, /'id' of 'router' has no value/u],
    ['a value that is all comment', 'router {\n id: # A\n}', 2, /'id' of 'router' has no value/u],
    ['an attribute outside of a section', '\nport: 5672\n', 2, /'port' stands outside of a section/u],
    ['a section without braces', '\nrouter\n', 2, /not understood/u],
    ['a word that is none', 'router {\n =\n}', 2, /not understood inside of 'router'/u],
    ['an open quote', 'router {\n id: "A\n}', 2, /a quote is opened and not closed in 'id'/u],
    ['text after a quote', 'router {\n id: "A" B\n}', 2, /something follows the closing quote of 'id'/u],
    ['an escape that does not exist', String.raw`router { id: "\x" }`, 1, /an escape that does not exist/u],
    ['JSON', '[["router", {}]]', 1, /looks like JSON/u],
    ['a line that is too long', `router {\n id: ${'a'.repeat(40_000)}\n}`, 2, /longer than 32768 characters/u],
    ['YAML', '# c\nrouter:\n  id: A\n', 2, /looks like YAML/u],
    ['a YAML list', '- router\n', 1, /looks like YAML/u],
  ];
  for (const [what, text, line, message] of cases) {
    it(`reports ${what} with its line, and nothing else`, () => {
      const { problems } = read(text);
      assert.deepEqual(
        problems.map((problem) => [problem.severity, problem.line]),
        [['error', line]],
      );
      assert.match(problems[0]!.message, message);
    });
  }

  it('goes on behind a mistake', () => {
    const { sections, problems } = read('router {\n id A\n mode: x\n}\nlistener {\n port 1\n host: y\n}');
    assert.deepEqual(
      problems.map(({ line }) => line),
      [2, 6],
    );
    assert.deepEqual(
      sections.map(({ attributes }) => attributes.map(({ key }) => key)),
      [['mode'], ['host']],
    );
  });

  it('warns of what is lost behind the first blank of a pattern', () => {
    const { problems } = read('address {\n pattern: a b\n}');
    assert.deepEqual(
      problems.map(({ severity, line, found }) => [severity, line, found]),
      [['warning', 2, 'b']],
    );
  });

  it('shows no password of a line that it does not understand, however it is spelt', () => {
    for (const line of [
      'saslPassword hunter2',
      'saslPasword hunter2',
      'password = hunter2',
      'conectionString hunter2',
      '= SharedAccessKey=hunter2',
    ]) {
      const { problems } = read(`connector {\n ${line}\n}`);
      assert.equal(problems.length, 1, line);
      assert.doesNotMatch(JSON.stringify(problems), /hunter2/u, line);
    }
  });
});

describe('.conf grammar: maps', () => {
  const map = (text: string): RawValue | undefined => values(`vhost {\n groups: ${text}\n}\n`)[0]?.[1]['groups'];

  it('reads natural JSON, however it is broken into lines', () => {
    const json = { admin: { users: 'a, b', max: 10, on: true }, 'web.app': { list: ['x', 1, null], deep: { a: {} } } };
    for (const indent of [undefined, 1, 4]) assert.deepEqual(map(JSON.stringify(json, undefined, indent)), json);
  });

  it('reads what the old parser needed: commas on lines of their own', () => {
    assert.deepEqual(map('{\n "a": {\n "x": 1\n }\n ,\n "b": {\n "x": 2\n }\n }'), { a: { x: 1 }, b: { x: 2 } });
  });

  it('reads the style of the user guide, without quotes and commas', () => {
    const text = `{
        admin: {
            users: admin1, admin2
            remoteHosts: 127.0.0.1, ::1   # local
            sources: *, a/#, #
            maxSessions: 10
        }
        $default: {
            remoteHosts: *
            allowDynamicSource: true,   # a comment
            sources: \${user}_x, b // all
        }
    }`;
    assert.deepEqual(map(text), {
      admin: { users: 'admin1, admin2', remoteHosts: '127.0.0.1, ::1', sources: '*, a/#, #', maxSessions: 10 },
      $default: { remoteHosts: '*', allowDynamicSource: true, sources: '${user}_x, b' },
    });
  });

  it('tells commas between entries from commas in a text', () => {
    assert.deepEqual(map('{ a: x, y, b: 1, "c": z, d: { e: q } }'), { a: 'x, y', b: 1, c: 'z', d: { e: 'q' } });
  });

  it('goes on with the section behind the map', () => {
    assert.deepEqual(
      values('listener {\n openProperties: {\n a: 1\n }\n port: 1\n}\nlistener { openProperties { b: 2 } port: 2 }'),
      [
        ['listener', { openProperties: { a: 1 }, port: '1' }],
        ['listener', { openProperties: { b: 2 }, port: '2' }],
      ],
    );
  });

  it('reports what it does not understand, and where', () => {
    for (const [text, line, message] of [
      ['{\n ] 1\n }', 3, /not understood inside a map/u],
      ['{\n a 1\n }', 3, /a colon is missing after 'a'/u],
      ['{\n a:\n b: 1\n }', 3, /'a' has no value/u],
      ['{\n "a: 1\n }', 3, /not understood inside a map/u],
      ['{\n a: "1\n }', 3, /a quote is opened/u],
    ] as const) {
      const { problems } = read(`vhost {\n groups: ${text}\n}`);
      assert.deepEqual(
        problems.map((problem) => problem.line),
        [line],
        text,
      );
      assert.match(problems[0]!.message, message);
    }
    const { problems } = read('vhost {\n groups: {\n a: [ 1\n}\n');
    assert.match(problems[0]!.message, /a '\]' is missing/u);
  });

  it('warns of a key that stands twice, and takes the last', () => {
    const { sections, problems } = read('vhost {\n groups: {\n a: 1\n a: 2\n }\n}');
    assert.deepEqual(sections[0]?.attributes[0]?.value, { a: 2 });
    assert.deepEqual(
      problems.map(({ severity, line }) => [severity, line]),
      [['warning', 4]],
    );
  });

  it('bounds the nesting', () => {
    const { problems } = read(`vhost {\n groups: ${'{ a: '.repeat(5_000)}`);
    assert.match(problems[0]!.message, /nested more than 32 deep/u);
  });
});
