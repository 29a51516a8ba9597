// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  decodeMessage,
  Described,
  double,
  encodeMessage,
  int,
  long,
  symbol,
  timestamp,
  type AmqpValue,
} from '@pointsman/wire';
import fc from 'fast-check';
import { MessageContent } from '../src/message-content.js';
import { Rule } from '../src/rules/rule.js';
import { SqlMessage, type SqlScope } from '../src/rules/sql-evaluator.js';
import { parseAction, parseFilter } from '../src/rules/sql-parser.js';
import { SqlError } from '../src/rules/sql-tokens.js';

const MESSAGE = message({
  color: 'red',
  Size: int(12),
  weight: double(2.5),
  big: long(2n ** 40n),
  fragile: true,
  nothing: null,
  'two words': 'yes',
  quoted: "it's",
  path: 'a%b_c',
});
const SCOPE: SqlScope = { now: 5_000, newGuid: () => new Uint8Array(16).fill(7) };

function message(applicationProperties: Record<string, AmqpValue>): SqlMessage {
  const bytes = encodeMessage({
    header: { ttl: 60_000 },
    properties: { messageId: 'm-1', subject: 'order', to: 'somebody', groupId: 'g', contentType: 'text/plain' },
    applicationProperties: new Map(Object.entries(applicationProperties)),
    body: { kind: 'data', sections: [Uint8Array.of(1, 2, 3)] },
  });
  return new SqlMessage(MessageContent.read(bytes, 0));
}

const matches = (expression: string): boolean =>
  new Rule({ name: 'r', filter: { kind: 'sql', expression } }, 0).matches(MESSAGE, SCOPE);

describe('SQL filters', () => {
  const TRUE = [
    ['1=1', '1 = 1.0', "'a' <> 'b'", "'a' != 'A'", 'TRUE', 'not false', 'NOT NOT TRUE'],
    ["color = 'red'", "COLOR='red'", "user.color = 'red'", "User.Color='red'", "[color]='red'", '"color"=\'red\''],
    ["[two words] = 'yes'", "quoted = 'it''s'", 'size=12', 'SIZE >= 12', 'size<12.5', 'weight = 2.5', 'weight*2=5'],
    ['big = 1099511627776', 'big > 1e12', 'size + 1 = 13', 'size - -1 = 13', 'size * 2 / 5 = 4', 'size % 5 = 2'],
    ['-size = -12', '+size = 12', '2 + 3 * 4 = 14', '(2 + 3) * 4 = 20', "'a' + 'b' = 'ab'", '.5 < 1', '1.5E1 = 15'],
    ["sys.Label = 'order'", "sys.label = 'order'", "sys.MessageId='m-1'", "sys.To = 'somebody'", "sys.SessionId='g'"],
    ["sys.ContentType='text/plain'", 'sys.TimeToLive = 60000', 'sys.ReplyTo IS NULL', 'sys.EnqueuedTimeUtc = 5000'],
    ['missing IS NULL', 'nothing IS NULL', 'color IS NOT NULL', 'EXISTS(color)', 'NOT EXISTS(missing)'],
    [
      'EXISTS(nothing)',
      'EXISTS(sys.To)',
      'NOT EXISTS(sys.ReplyTo)',
      'fragile',
      'fragile = TRUE',
      'NOT fragile = FALSE',
    ],
    ["color IN ('blue', 'red')", 'size IN (1, 12)', "color NOT IN ('blue')", "property('Color') = 'red'"],
    ["p('co' + 'lor') = 'red'", "newid() LIKE '07070707-%'", 'missing = 1 OR 1 = 1', 'NOT (missing = 1 AND 1 = 2)'],
    ["color LIKE 'r%'", "color LIKE '_e_'", "color LIKE '%'", "color LIKE 'red'", "color NOT LIKE 'b%'"],
    ["path LIKE 'a\\%b\\_c' ESCAPE '\\'", "path LIKE 'a!%%' ESCAPE '!'", "'axxbxxc' LIKE 'a%b%c'", "'' LIKE '%%'"],
  ].flat();
  const FALSE = [
    ["color = 'RED'", 'size = 13', 'FALSE', 'NULL = NULL', 'missing = missing', 'NOT missing = 1'],
    ['color = 1', 'color <> 1', "size = '12'", 'missing > 1', "missing LIKE '%'", "missing IN ('a')", 'nothing = 1'],
    ["missing NOT IN ('a')", "color NOT IN ('blue', NULL)", "color LIKE 'R%'", "color LIKE 're'", "size LIKE '1%'"],
    ["path LIKE 'a!%b!_d' ESCAPE '!'", "'aab' LIKE 'a_'", "property('none') = 'red'", 'missing = 1 AND 1 = 1'],
    ['1 = 1 AND 1 = 2 OR 1 = 2', "color = 'red' AND size = 1"],
  ].flat();

  for (const [expected, expressions] of [
    [true, TRUE],
    [false, FALSE],
  ] as const) {
    it(`${expected ? 'match' : 'do not match'} where they say so, unknown being no match`, () => {
      for (const expression of expressions) assert.equal(matches(expression), expected, expression);
    });
  }

  it('bind NOT closer than AND, AND closer than OR', () => {
    assert.equal(matches('1=1 OR 1=2 AND 1=2'), true);
    assert.equal(matches('(1=1 OR 1=2) AND 1=2'), false);
    assert.equal(matches('NOT 1=2 AND 1=2'), false);
    assert.equal(matches('NOT (1=2 AND 1=2)'), true);
  });

  it('are refused with what was expected, and where', () => {
    for (const [expression, reason] of [
      ['', /Expected a value at character 1, found the end/],
      ['1=', /Expected a value at character 3/],
      ['color =', /Expected a value/],
      ['color = 1 color', /Expected the end at character 11, found 'color'/],
      ['(1=1', /Expected '\)'/],
      ["'open", /no token at character 1/],
      ['color & 1', /no token at character 7/],
      ['sys.Nothing = 1', /no system property 'Nothing'/],
      ['other.color = 1', /scope is sys or user/],
      ['abs(1) = 1', /no function 'abs'/],
      ['color IS 1', /Expected NULL/],
      ['color NOT = 1', /Expected IN or LIKE/],
      ['color IN ()', /Expected a value/],
      ['[] = 1', /empty name/],
      ['1 IS NULL', /IS NULL is for a property/],
      ['_a = 1', /no token at character 1/],
      ['9223372036854775808 = 1', /does not fit 64 bits/],
      ['AND', /Expected the name of a property/],
      ["color LIKE 'a' ESCAPE 'ab'", /ESCAPE is a text of one character/],
      ["color LIKE 'a' ESCAPE 1", /ESCAPE is a text of one character/],
      [`a = '${'x'.repeat(1024)}'`, /1030 characters: 1024 at the most/],
      [`${'('.repeat(300)}1${')'.repeat(300)}=1`, /nested at most 100 deep/],
    ] as const) {
      assert.throws(
        () => parseFilter(expression),
        (error) => error instanceof SqlError && reason.test(error.message),
      );
    }
  });

  it('fail for a message where an operation cannot be carried out', () => {
    for (const expression of ['size / 0 = 1', 'size % 0 = 1', "color + 1 = 'x'", '-color = 1', 'size', "1 AND 'a'"]) {
      assert.throws(() => matches(expression), SqlError, expression);
    }
    for (const expression of [
      '9223372036854775807 + 1 = 0',
      "color LIKE 'a!' ESCAPE '!'",
      "color LIKE 'a' ESCAPE path",
    ]) {
      assert.throws(() => matches(expression), SqlError, expression);
    }
  });

  it('take parameters', () => {
    const filter = { kind: 'sql' as const, expression: 'size > @least', parameters: new Map([['@least', int(11)]]) };
    assert.equal(new Rule({ name: 'r', filter }, 0).matches(MESSAGE, SCOPE), true);
    assert.throws(() => matches('size > @least'), /parameter '@least' has no value/);
  });

  it('answer any text with a result or a SqlError, soon', () => {
    const words =
      "'a%' color size 1 2.5 ( ) AND OR NOT LIKE IN = + - / , . sys IS NULL EXISTS p [x] @p ESCAPE % é SET REMOVE ; ' sys.ContentType sys.To 'ü' newid()";
    const piece = fc.constantFrom(...words.split(' '));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join(' ');
        for (const run of [() => matches(text), () => new Rule({ name: 'r', action: text }, 0).apply(MESSAGE, SCOPE)]) {
          try {
            run();
          } catch (error) {
            assert.ok(error instanceof SqlError, `${text}: ${String(error)}`);
          }
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('match patterns in a time that does not explode', () => {
    const long1 = 'a'.repeat(300);
    assert.equal(matches(`'${long1}' LIKE '${'%a'.repeat(150)}%b'`), false);
  });
});

describe('values that clients for .NET describe', () => {
  const described = (name: string, value: AmqpValue): Described =>
    new Described(symbol(`com.microsoft:${name}`), value);
  const sent = message({
    span: described('timespan', long(3_000_000_000n)),
    moment: described('datetime-offset', long(637_294_579_330_000_000n)),
    link: described('uri', 'http://a/b'),
    odd: described('else', 1),
  });
  const parameters = new Map<string, AmqpValue>([
    ['@span', described('timespan', long(3_000_000_000n))],
    ['@moment', timestamp(Date.UTC(2020, 6, 4, 11, 12, 13))],
  ]);
  const matchesSent = (expression: string): boolean =>
    new Rule({ name: 'r', filter: { kind: 'sql', expression, parameters } }, 0).matches(sent, SCOPE);

  it('are compared as spans, times and texts', () => {
    for (const expression of ['span = @span', 'moment = @moment', "link LIKE 'http:%'", 'EXISTS(odd)'])
      assert.equal(matchesSent(expression), true, expression);
    for (const expression of ['span <> @span', 'moment > @moment', 'odd = 1'])
      assert.equal(matchesSent(expression), false, expression);
    const properties = new Map<string, AmqpValue>([['span', described('timespan', long(3_000_000_000n))]]);
    assert.equal(new Rule({ name: 'r', filter: { kind: 'correlation', properties } }, 0).matches(sent, SCOPE), true);
  });
});

describe('correlation filters', () => {
  const correlates = (filter: object): boolean =>
    new Rule({ name: 'r', filter: { kind: 'correlation', ...filter } }, 0).matches(MESSAGE, SCOPE);

  it('match where all that is given is equal, with regard to case', () => {
    assert.equal(correlates({ subject: 'order', messageId: 'm-1', to: 'somebody', sessionId: 'g' }), true);
    assert.equal(correlates({ subject: 'Order' }), false);
    assert.equal(correlates({ subject: 'order', replyTo: 'x' }), false);
    assert.equal(correlates({ properties: new Map<string, AmqpValue>([['color', 'red']]) }), true);
    assert.equal(correlates({ properties: new Map<string, AmqpValue>([['color', 'Red']]) }), false);
    assert.equal(correlates({ properties: new Map<string, AmqpValue>([['COLOR', 'red']]) }), true, 'names apart');
    assert.equal(
      correlates({ properties: new Map<string, AmqpValue>([['Size', long(12)]]) }),
      true,
      'numbers by amount',
    );
    assert.equal(correlates({ properties: new Map<string, AmqpValue>([['fragile', int(1)]]) }), false);
    assert.equal(correlates({ properties: new Map<string, AmqpValue>([['none', 'x']]) }), false);
  });
});

describe('rules', () => {
  it('are refused where they are larger than a rule need be', () => {
    const tooLarge = [{ subject: 'x'.repeat(1025) }, { properties: new Map([['a', 'x'.repeat(40_000)]]) }];
    for (const filter of tooLarge)
      assert.throws(() => new Rule({ name: 'r', filter: { kind: 'correlation', ...filter } }, 0), SqlError);
  });
});

describe('SQL actions', () => {
  const applied = (action: string): ReturnType<typeof decodeMessage> => {
    const content = new Rule({ name: 'r', action }, 0).apply(MESSAGE, SCOPE);
    return decodeMessage(new Uint8Array(Buffer.concat(content.encode(0, new Map()))));
  };

  it('set and remove properties one after the other, and leave everything else as it was', () => {
    const changed = applied(
      "SET sys.Label = 'changed'; SET size = size + 1 SET twice = size * 2, REMOVE color; SET sys.ReplyTo = p('path')",
    );
    assert.equal(changed.properties?.subject, 'changed');
    assert.equal(changed.properties?.replyTo, 'a%b_c');
    assert.equal(changed.properties?.messageId, 'm-1');
    const own = changed.applicationProperties!;
    assert.deepEqual(own.get('Size'), long(13), 'under the name that it had');
    assert.deepEqual(own.get('twice'), long(26));
    assert.equal(own.has('color'), false);
    assert.equal(own.get('RuleName'), 'r');
    assert.deepEqual(changed.body, { kind: 'data', sections: [Uint8Array.of(1, 2, 3)] });
    assert.equal(changed.header?.ttl, 60_000);
  });

  it('keep the kind of a property that they set, where that is possible', () => {
    const own = applied(
      "SET color = 7; SET size = '8'; SET weight = 3; SET fragile = 'false'; SET quoted = TRUE; SET big = 'x'",
    ).applicationProperties!;
    assert.deepEqual(
      ['color', 'Size', 'weight', 'fragile', 'quoted', 'big'].map((name) => own.get(name)),
      ['7', long(8), double(3), false, 'True', 'x'],
    );
  });

  it('fail where a property cannot have the value', () => {
    assert.throws(
      () => applied("SET sys.ContentType = 'ü'"),
      (error) => error instanceof SqlError && /ü/.test(error.message),
    );
  });

  it('do not touch the message that other subscriptions get', () => {
    applied("SET color = 'blue'; SET sys.Label = 'x'");
    assert.equal(MESSAGE.user('color'), 'red');
    assert.equal(MESSAGE.properties.subject, 'order');
  });

  it('are refused where they are not valid', () => {
    for (const [action, reason] of [
      ['', /Expected SET or REMOVE/],
      ['SET color', /Expected '='/],
      ['SET 1 = 1', /Expected the name of a property/],
      ["SET sys.SequenceNumber = '1'", /no system property 'SequenceNumber'/],
      ['SET sys.Size = 1', /cannot be changed by an action/],
      ['DELETE color', /Expected SET or REMOVE/],
      [Array.from({ length: 33 }, (_, i) => `SET a${i}=1`).join(';'), /at most 32 statements/],
    ] as const)
      assert.throws(
        () => parseAction(action),
        (error) => error instanceof SqlError && reason.test(error.message),
        action,
      );
  });
});
