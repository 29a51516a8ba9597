// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { durationOf, msOfDuration } from '../src/admin/duration.js';
import { escapeXml, readXml, XmlError } from '../src/admin/xml.js';
import { Administration, Namespace } from '../src/index.js';
import type { AdminResponse, NamespaceHost } from '../src/index.js';

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

  it('shows a name with signs of XML as it is, and takes it in any case', () => {
    const { ask } = open();
    const path = "/a&b'c%3Cd%3E";
    assert.equal(ask('PUT', path, queue()).status, 201);
    const { body } = ask('GET', path.toUpperCase().replaceAll('%3C', '%3c'));
    assert.equal(readXml(body).children.find(({ name }) => name === 'title')?.text, "a&b'c<d>");
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
