// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { durationOf, msOfDuration } from '../src/admin/duration.js';
import { escapeXml, readXml, XmlError } from '../src/admin/xml.js';
import { encodeMessage } from '@pointsman/wire';
import { Administration, Namespace } from '../src/index.js';
import type { AdminResponse, NamespaceHost } from '../src/index.js';
import { MessageContent } from '../src/message-content.js';
import { SqlMessage } from '../src/rules/sql-evaluator.js';
import type { Subscription } from '../src/subscription.js';

const KEY = 'the/key==';
const NOW = Date.UTC(2026, 0, 2);

const host: NamespaceHost = {
  clock: { now: () => 0, after: () => () => undefined },
  timeOrigin: NOW,
  random: () => 0.5,
  hmacSha256: (key, text) => createHmac('sha256', key).update(text).digest('base64'),
};

function open(more: Partial<NamespaceHost> = {}): {
  namespace: Namespace;
  ask: (method: string, target: string, body?: string, token?: string) => AdminResponse;
  change: (target: string, body: string) => AdminResponse;
} {
  const namespace = new Namespace(
    {
      hostname: 'unit.example',
      policies: [{ name: 'root', key: KEY, rights: ['Manage'] }],
      queues: [{ name: 'orders', policies: [{ name: 'own', key: 'own-key', rights: ['Manage'] }] }, { name: 'other' }],
    },
    host,
  );
  const administration = new Administration(namespace, { ...host, ...more }, 'unit.example');
  return {
    namespace,
    ask: (method, target, body = '', token = tokenFor('https://unit.example/')) =>
      administration.handle({ method, target, headers: { authorization: token }, body }),
    change: (target, body) => {
      const headers = { authorization: tokenFor('https://unit.example/'), 'if-match': '*' };
      return administration.handle({ method: 'PUT', target, headers, body });
    },
  };
}

function tokenFor(resource: string, { name = 'root', key = KEY, ends = NOW / 1_000 + 60 } = {}): string {
  const sr = encodeURIComponent(resource);
  const signature = host.hmacSha256(key, `${sr}\n${ends}`);
  return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(signature)}&se=${ends}&skn=${name}`;
}

const entry = (inner: string): string =>
  `<entry xmlns="http://www.w3.org/2005/Atom"><content>${inner}</content></entry>`;
const queue = (inner = ''): string => entry(`<QueueDescription>${inner}</QueueDescription>`);

describe('the management API', () => {
  it('lets nobody in who does not prove the right to manage what is asked for', () => {
    const { ask } = open();
    const status = (target: string, token: string): number => ask('GET', target, '', token).status;
    assert.equal(status('/orders', tokenFor('https://unit.example/orders?api-version=2021-05')), 200);
    assert.equal(status('/orders', tokenFor('sb://unit.example/')), 200);
    assert.equal(status('/orders', tokenFor('https://unit.example/orders', { name: 'own', key: 'own-key' })), 200);
    for (const [why, target, token] of [
      ['another entity', '/other', tokenFor('https://unit.example/orders')],
      ['a name that begins the same', '/orders2', tokenFor('https://unit.example/orders')],
      ['a policy of another entity', '/other', tokenFor('https://unit.example/', { name: 'own', key: 'own-key' })],
      ['a wrong key', '/orders', tokenFor('https://unit.example/', { key: 'wrong' })],
      ['a policy that is not there', '/orders', tokenFor('https://unit.example/', { name: 'who' })],
      ['a token that has ended', '/orders', tokenFor('https://unit.example/', { ends: NOW / 1_000 })],
      ['no token', '/orders', 'Bearer x'],
      ['a broken token', '/orders', 'SharedAccessSignature sr=%&sig=&se=x&skn='],
    ] as const)
      assert.equal(status(target, token), 401, why);
  });

  it('answers what is not XML, not an entry, or not valid with what is wrong, and makes nothing', () => {
    const { ask, namespace } = open();
    const before = namespace.broker.entities().length;
    for (const [body, words] of [
      ['', /not valid XML/],
      ['<entry>', /no end of &lt;entry&gt;/],
      ['<!DOCTYPE entry [<!ENTITY a "b">]><entry/>', /a document type/],
      ['<entry/>', /no entry with a description/],
      [entry('<TeapotDescription/>'), /TeapotDescription/],
      [queue('<LockDuration>an hour</LockDuration>'), /LockDuration is no duration/],
      [queue('<RequiresSession>perhaps</RequiresSession>'), /RequiresSession is neither true nor false/],
      [queue('<MaxDeliveryCount>99999999999</MaxDeliveryCount>'), /MaxDeliveryCount is no number from 1 to 2000/],
      [queue('<Status>Asleep</Status>'), /Status is none of Active/],
      [
        queue('<MaxMessageSizeInKilobytes>1023</MaxMessageSizeInKilobytes>'),
        /value for &apos;MaxMessageSizeInKilobytes&apos; must be between 1024 and 102400|value for 'MaxMessageSizeInKilobytes' must be between 1024 and 102400/,
      ],
      [queue(`<UserMetadata>${'x'.repeat(2_000)}</UserMetadata>`), /UserMetadata has more than 1024/],
    ] as const) {
      const { status, body: answer } = ask('PUT', '/made', body);
      assert.equal(status, 400, body);
      assert.match(answer, words);
      assert.match(answer, /^<Error><Code>400<\/Code><Detail>SubCode=40000/);
    }
    for (const [method, target, expected] of [
      ['POST', '/orders', 405],
      ['GET', '/%', 400],
      ['GET', '/$Resources/queues?$skip=x', 400],
      ['DELETE', '/$Resources/queues', 405],
      ['PUT', '/nowhere/Subscriptions/a', 404],
    ] as const)
      assert.equal(ask(method, target, queue()).status, expected, `${method} ${target}`);
    assert.equal(namespace.broker.entities().length, before);
  });

  it('takes tokens of Entra ID where the namespace does, while they last, with the right that they give', () => {
    const claims = { expiresAtMs: NOW + 1, rights: ['Manage'] as const };
    const readers: Record<string, NamespaceHost['readEntraToken']> = {
      good: () => claims,
      old: () => ({ ...claims, expiresAtMs: NOW }),
      weak: () => ({ ...claims, rights: ['Send', 'Listen'] }),
      bad: () => 'MalformedToken: The token is malformed.',
    };
    const status = Object.entries(readers).map(([name, readEntraToken]) => [
      name,
      open({ readEntraToken: readEntraToken! }).ask('GET', '/orders', '', 'Bearer token').status,
    ]);
    assert.deepEqual(Object.fromEntries(status), { good: 200, old: 401, weak: 401, bad: 401 });
    assert.match(open().ask('GET', '/orders', '', 'Bearer token').body, /are not taken by this namespace/);
  });

  it('answers at its root, which clients ask to see whether they get in', () => {
    assert.equal(open().ask('GET', '/').status, 200);
    assert.equal(open().ask('GET', '/', '', 'Bearer x').status, 401);
  });

  it('shows entities that messages go on to as addresses, in the letters that they were given in', () => {
    const { ask, namespace } = open();
    const made = ask(
      'PUT',
      '/made',
      queue(
        '<ForwardTo>orders</ForwardTo><ForwardDeadLetteredMessagesTo>SB://UNIT.EXAMPLE/OTHER</ForwardDeadLetteredMessagesTo>',
      ),
    ).body;
    assert.match(made, /<ForwardTo>sb:\/\/unit\.example\/orders<\/ForwardTo>/);
    assert.match(made, /<ForwardDeadLetteredMessagesTo>sb:\/\/unit\.example\/OTHER</);
    const kept = namespace.broker.entity('made');
    assert.ok(kept?.kind === 'queue');
    assert.deepEqual([kept.forwardTo, kept.forwardDeadLetteredMessagesTo], ['orders', 'OTHER']);
  });

  it('multiplies the size of a partitioned entity, once', () => {
    const { ask } = open();
    const size = (body: string): string => /<MaxSizeInMegabytes>(\d+)</u.exec(body)?.[1] ?? '';
    const partitioned = '<EnablePartitioning>true</EnablePartitioning>';
    assert.equal(size(ask('PUT', '/a', queue(partitioned)).body), '16384');
    assert.equal(
      size(ask('PUT', '/b', queue(`<MaxSizeInMegabytes>2048</MaxSizeInMegabytes>${partitioned}`)).body),
      '32768',
    );
    assert.equal(size(ask('PUT', '/c', queue()).body), '1024');
  });

  it('keeps rights of a policy in the order in which they came', () => {
    const rights = ['Manage', 'Send', 'Listen'].map((right) => `<AccessRights>${right}</AccessRights>`).join('');
    const rule = `<AuthorizationRule><KeyName>a</KeyName><PrimaryKey>k</PrimaryKey><Rights>${rights}</Rights></AuthorizationRule>`;
    const { body } = open().ask('PUT', '/made', queue(`<AuthorizationRules>${rule}</AuthorizationRules>`));
    assert.ok(body.includes(`<Rights>${rights}</Rights>`), body);
  });

  it('refuses names that the service does not have, whatever they are encoded as, and takes the others in any case', () => {
    const { ask } = open();
    assert.equal(ask('PUT', '/deep/Name.of-a_queue~1', queue()).status, 201);
    assert.match(ask('GET', '/DEEP/name.of-a_queue~1').body, /<title type="text">deep\/Name\.of-a_queue~1</u);
    for (const name of ['a b', 'a+b', 'a&b', 'a<b>', 'ümlaut', 'a:b', 'a//b', '$a', 'a@b']) {
      const path = encodeURIComponent(name);
      const { status, body } = ask('PUT', `/${path}`, queue(), tokenFor(`https://unit.example/${path}`));
      assert.equal(status, name === '$a' ? 404 : 400, name);
      if (status === 400) assert.match(body, /SubCode=40000.*Entity segments can contain only letters, numbers/u);
    }
    ask('PUT', '/news', entry('<TopicDescription/>'));
    const subscription = entry('<SubscriptionDescription/>');
    assert.equal(ask('PUT', '/news/Subscriptions/a%20b', subscription).status, 400);
    assert.equal(ask('PUT', '/news/Subscriptions/all', subscription).status, 201);
    const rule = entry('<RuleDescription><Filter xmlns:i="x" i:type="TrueFilter"/></RuleDescription>');
    assert.equal(ask('PUT', '/news/Subscriptions/all/Rules/a%20b', rule).status, 400);
    assert.equal(ask('PUT', '/news/Subscriptions/all/Rules/$own', rule).status, 201);
  });

  it('has nothing to say of sub-queues', () => {
    const { ask } = open();
    for (const path of ['/orders/$DeadLetterQueue', '/orders/$deadletterqueue', '/orders/$Transfer/$DeadLetterQueue']) {
      const { status, body } = ask('GET', path);
      assert.equal(status, 400);
      assert.match(body, /The specified HTTP verb \(GET\) is not valid\./u);
    }
  });

  it('has sizes that the service has, and takes back what it shows', () => {
    const { ask } = open();
    const sized = (megabytes: number): string => queue(`<MaxSizeInMegabytes>${megabytes}</MaxSizeInMegabytes>`);
    for (const megabytes of [1, 1000, 6144, 100_000]) assert.equal(ask('PUT', '/s', sized(megabytes)).status, 400);
    for (const megabytes of [1024, 5120, 81_920])
      assert.equal(ask('PUT', `/s${megabytes}`, sized(megabytes)).status, 201);
    const { namespace, change } = open();
    namespace.broker.createQueue({ name: 'small', maxSizeBytes: 3000 });
    assert.equal(change('/small', sized(0)).status, 200);
    assert.equal(namespace.broker.entity('small')!.messages!.settings.maxSizeBytes, 3000);
    assert.equal(change('/small', sized(2048)).status, 200);
    assert.equal(namespace.broker.entity('small')!.messages!.settings.maxSizeBytes, 2 ** 31);
  });

  it('says in the words of the service what cannot be changed, and changes nothing then', () => {
    const { ask, change } = open();
    const lock = '<LockDuration>PT30S</LockDuration>';
    const refused = (inner: string): string => change('/orders', queue(lock + inner)).body;
    assert.match(
      refused('<RequiresSession>true</RequiresSession>'),
      /The value for the RequiresSession property of an existing Queue cannot be changed\./u,
    );
    assert.match(
      refused('<RequiresDuplicateDetection>true</RequiresDuplicateDetection>'),
      /The value for the RequiresDuplicateDetection property of an existing Queue cannot be changed\./u,
    );
    assert.match(
      refused('<EnablePartitioning>true</EnablePartitioning>'),
      /Partitioning cannot be changed for Queue\./u,
    );
    const rules = Array.from(
      { length: 13 },
      (_, at) => `<AuthorizationRule><KeyName>k${at}</KeyName><PrimaryKey>k</PrimaryKey></AuthorizationRule>`,
    );
    for (const inner of [
      '<MaxMessageSizeInKilobytes>5</MaxMessageSizeInKilobytes>',
      '<AutoDeleteOnIdle>PT1S</AutoDeleteOnIdle>',
      `<AuthorizationRules>${rules.join('')}</AuthorizationRules>`,
      '<ForwardTo>nowhere</ForwardTo>',
    ])
      assert.match(refused(inner), /<Code>400</u);
    assert.match(ask('GET', '/orders').body, /<LockDuration>PT1M</u, 'nothing of a description that is refused');
  });

  it('refuses rules of authorization that would not give what they seem to', () => {
    const { ask } = open();
    const rule = (name: string, ...rights: string[]): string =>
      `<AuthorizationRule><KeyName>${name}</KeyName><PrimaryKey>k</PrimaryKey>` +
      `<Rights>${rights.map((right) => `<AccessRights>${right}</AccessRights>`).join('')}</Rights></AuthorizationRule>`;
    const made = (...rules: string[]): AdminResponse =>
      ask('PUT', '/a', queue(`<AuthorizationRules>${rules.join('')}</AuthorizationRules>`));
    for (const [rules, words] of [
      [[rule('a')], /rights of the rule 'a' are none/u],
      [[rule('a', 'Send', 'Sned')], /are Sned: they are of Listen, Manage, Send/u],
      [[rule('a', 'Manage')], /Manage permission should also include Send and Listen/u],
      [[rule('a', 'Send'), rule('A', 'Listen')], /two rules with the KeyName 'A'/u],
      [[rule('a'.repeat(257), 'Send')], /at most 256 characters/u],
    ] as const) {
      const { status, body } = made(...rules);
      assert.equal(status, 400);
      assert.match(body, words);
    }
    assert.equal(made(rule('a', 'Send'), rule('b', 'Manage', 'Listen', 'Send')).status, 201);
  });

  it('keeps parameters of filters and of actions in their kinds', () => {
    const { namespace, ask } = open();
    ask('PUT', '/news', entry('<TopicDescription/>'));
    ask('PUT', '/news/Subscriptions/all', entry('<SubscriptionDescription/>'));
    const pair = (key: string, type: string, text: string): string =>
      `<KeyValueOfstringanyType><Key>${key}</Key><Value i:type="x:${type}">${text}</Value></KeyValueOfstringanyType>`;
    const rule = (inner: string): string =>
      entry(`<RuleDescription xmlns:i="i" xmlns:x="x">${inner}</RuleDescription>`);
    const path = '/news/Subscriptions/all/Rules/r';
    const { status, body } = ask(
      'PUT',
      path,
      rule(
        `<Filter i:type="SqlFilter"><SqlExpression>1=1</SqlExpression><Parameters>${pair('@l', 'long', '2147483650')}${pair('@d', 'duration', 'P1DT2H3M')}</Parameters></Filter>` +
          `<Action i:type="SqlRuleAction"><SqlExpression>SET a = @a SET l = @l</SqlExpression><Parameters>${pair('@a', 'dateTime', '2020-07-05T11:12:13')}</Parameters></Action>`,
      ),
    );
    assert.equal(status, 201, body);
    const shown = ask('GET', path).body;
    assert.match(shown, /<Filter.*<Key>@l<\/Key><Value i:type="d6p1:long"[^>]*>2147483650</u);
    assert.match(shown, /<Key>@d<\/Key><Value i:type="d6p1:duration" xmlns:d6p1="[^"]*Serialization\/">P1DT2H3M</u);
    assert.match(shown, /<Action.*<Key>@a<\/Key><Value i:type="d6p1:dateTime"[^>]*>2020-07-05T11:12:13\.000Z</u);
    const subscription = namespace.broker.entity('news/subscriptions/all') as Subscription;
    const message = MessageContent.read(encodeMessage({ body: { kind: 'value', value: 1 } }), 0, () => '');
    const made = subscription.rule('r')!.apply(new SqlMessage(message), { now: 0, newGuid: () => new Uint8Array(16) });
    assert.deepEqual(
      [...made.applicationProperties()].map(([name, value]) => [name, String(value)]),
      [
        ['a', String(Date.UTC(2020, 6, 5, 11, 12, 13))],
        ['l', '2147483650'],
        ['RuleName', 'r'],
      ],
    );
  });
});

describe('XML of the management API', () => {
  it('reads what it writes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        // What XML has no form for is left out, and the ends of lines are those of XML.
        const written = escapeXml(text);
        const read = readXml(`<a b="${written}"><c>${written}</c></a>`);
        assert.equal(read.children[0]?.text, read.attributes.get('b'));
        assert.equal(escapeXml(read.children[0]?.text ?? ''), written);
      }),
    );
  });

  it('takes any text for a document or for none', () => {
    const parts = [
      '<a>',
      '</a>',
      '<a',
      '/>',
      'x',
      '&amp;',
      '&#x41;',
      '&',
      ' b="c"',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '<?x',
      '?>',
      '"',
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...parts), { maxLength: 12 }), (pieces) => {
        try {
          assert.match(readXml(pieces.join('')).name, /^a/);
        } catch (error) {
          assert.ok(error instanceof XmlError, String(error));
        }
      }),
      { numRuns: 2_000 },
    );
    assert.throws(() => readXml('<a>'.repeat(100_000)), XmlError);
    assert.throws(() => readXml(`<a>${'<b/>'.repeat(20_000)}</a>`), XmlError);
    assert.throws(() => readXml(`<a ${'b="c" '.repeat(100)}/>`), XmlError);
    assert.throws(() => readXml('<a>&#0;</a>'), XmlError);
    assert.throws(() => readXml('<a>&unknown;</a>'), XmlError);
  });

  it('has durations there and back', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 1e14 }), (ms) => assert.equal(msOfDuration(durationOf(ms)), ms)));
    assert.equal(msOfDuration('P10675199DT2H48M5.4775807S'), Infinity);
    assert.equal(durationOf(Infinity), 'P10675199DT2H48M5.4775807S');
    for (const text of ['', 'P', 'PT', '5S', 'P1Y', 'P1M', 'PT1H2', '-PT1S', 'P1DT'])
      assert.equal(msOfDuration(text), undefined, text);
  });
});
