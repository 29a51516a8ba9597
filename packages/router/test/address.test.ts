// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PatternTree, addressKey, plainAddress, prefixPattern, rewrittenPattern } from '../src/index.js';
import { World } from './world.js';

const HERE = { routerId: 'B', area: '0', isEdge: false };

describe('an address text', () => {
  const plain: Readonly<Record<string, string>> = {
    'a/b': 'a/b',
    '/a/b.': 'a/b',
    'a/b/': 'a/b',
    'a//': 'a/',
    'amqp:/a/b': 'a/b',
    'amqp://host:5672/a/b': 'a/b',
    '//host/a': 'a',
    '//host': '//host',
    'a:b': 'a:b',
    'a/b:/c': 'c',
    'queue:/x': 'x',
    '': '',
  };
  for (const [text, expected] of Object.entries(plain)) {
    it(`names what is left without scheme, host and last separator: ${text}`, () =>
      assert.equal(plainAddress(text), expected));
  }

  const keys: Readonly<Record<string, string>> = {
    'amqp:/a/b': 'M0a/b',
    $management: 'M0$management',
    '_$qd.edge_addr_tracking': 'M0_$qd.edge_addr_tracking',
    '_unknown/x': 'M0_unknown/x',
    '_local/x': 'Lx',
    'amqp://h:5672/_local/x/y': 'Lx/y',
    '_topo/all/all/x': 'Tx',
    '_topo/0/all/x': 'Tx',
    '_topo/0/B/$management': 'L$management',
    '_topo/all/B/x': 'Lx',
    '_topo/0/C/$management': 'RC',
    '_topo/0/C': 'RC',
    '_topo/all/C/x/y': 'RC',
    '_topo/7/C/x': 'A7',
    '_edge/B/x': 'Lx',
    '_edge/E/x': 'HE',
  };
  for (const [text, expected] of Object.entries(keys)) {
    it(`has a class: ${text} is ${expected}`, () => assert.equal(addressKey(text, '0', HERE), expected));
  }

  it('that an edge router cannot place goes to its uplink', () => {
    const edge = { ...HERE, isEdge: true };
    for (const text of ['_topo/0/C/x', '_topo/7/C/x', '_edge/E/x']) assert.equal(addressKey(text, '0', edge), 'L_edge');
    assert.equal(addressKey('_edge/B/x', '0', edge), 'Lx');
    assert.equal(addressKey('a', 'F', edge), 'MFa');
  });
});

describe('patterns', () => {
  const best = (patterns: readonly string[], text: string): string | undefined => {
    const tree = new PatternTree<string>();
    for (const pattern of patterns) assert.ok(tree.add(pattern, pattern));
    return tree.match(text);
  };

  it('prefer exact text to *, and * to #, from left to right', () => {
    const all = ['#', 'a/#', '*/b', 'a/*', 'a/b', 'a/b/#', '*/#'];
    assert.equal(best(all, 'a.b'), 'a/b');
    assert.equal(best(all, 'a/b/c'), 'a/b/#');
    assert.equal(best(all, 'a/x'), 'a/*');
    assert.equal(best(all, 'a/x/y'), 'a/#');
    assert.equal(best(all, 'x/b'), '*/b');
    assert.equal(best(all, 'x/y/z'), '*/#');
    assert.equal(best(['#', 'a/#', '#/z'], 'b/z'), '#/z');
    assert.equal(best(['a/*/c', 'a/b/d'], 'a/b/c'), 'a/*/c');
  });

  it('take wildcards for such only where they are the whole of a part', () => {
    assert.equal(best(['a*', '*'], 'ab'), '*');
    assert.equal(best(['a#'], 'abc'), undefined);
    assert.equal(best(['foo/#'], 'foobar'), undefined);
    assert.equal(best([prefixPattern('/foo/')], 'foo'), 'foo/#');
    assert.equal(best([prefixPattern('foo')], 'foo.bar/baz'), 'foo/#');
  });

  it('are given up where very many of them, with very many #, cost too much: then nothing matches', () => {
    const tree = new PatternTree<string>();
    for (let i = 0; i < 1 << 12; i++)
      tree.add(`#.${Array.from({ length: 12 }, (_, bit) => `${(i >> bit) & 1}.#`).join('.')}.end`, 'mixed');
    tree.add('#.open', 'short');
    assert.equal(tree.match('a.b.open'), 'short');
    assert.equal(tree.match(`${'0.1.'.repeat(10)}end`), 'mixed');
    assert.equal(tree.match(`${'0.1.'.repeat(120)}open`), undefined);
  });

  it('are one where they match the same', () => {
    for (const [one, other] of [
      ['a/b', 'a.b'],
      ['a/#/*', 'a/*/#'],
      ['#/#', '#'],
      ['#/*/#/*', '*/*/#'],
    ] as const) {
      const tree = new PatternTree<number>();
      assert.ok(tree.add(one, 1));
      assert.equal(tree.add(other, 2), false);
      assert.equal(tree.get(other), 1);
      assert.equal(tree.remove(other), 1);
      assert.equal(tree.size, 0);
    }
  });

  it('are rewritten where that changes them, and keep their separators', () => {
    assert.equal(rewrittenPattern('a.#.*.b'), 'a.*.#.b');
    assert.equal(rewrittenPattern('#/#/*'), '*/#');
    assert.equal(rewrittenPattern('/a/b.c'), undefined);
  });
});

describe('configured addresses', () => {
  it('are refused where there is one for the same, and said to be rewritten', () => {
    const world = new World();
    const { router } = world;
    assert.notEqual(router.addAddress({ pattern: 'a.#.*', distribution: 'closest' }), undefined);
    assert.equal(router.addAddress({ pattern: 'a/*/#', distribution: 'multicast' }), undefined);
    assert.equal(router.settingsOf('a/b')?.distribution, 'closest');
    assert.ok(
      world.logs.some((line) => line.endsWith("configured pattern 'a.#.*' optimized and re-written to 'a.*.#'")),
    );
  });

  it('treat addresses by the best of them, and the rest by default', () => {
    const world = new World({
      defaultDistribution: 'unavailable',
      addresses: [
        { prefix: 'a', distribution: 'multicast' },
        { pattern: 'a/*/c', distribution: 'closest' },
        { pattern: 'a.b.#', distribution: 'unavailable' },
      ],
    });
    const treatment = (address: string): string | undefined => {
      const inlet = world.peer().receive(address, 0);
      if (inlet.detached !== undefined) return inlet.detached.error?.condition;
      return [...world.router.addresses].find(({ key }) => key === `M0${address}`)?.distribution;
    };
    assert.deepEqual(['a', 'a/x', 'a.x.c', 'a/b/c', 'z', '_$qd.addr_lookup'].map(treatment), [
      'multicast',
      'multicast',
      'closest',
      'amqp:not-found',
      'amqp:not-found',
      'amqp:not-found',
    ]);
    // What is not mobile, and what is dynamic, is not for the configuration to forbid.
    assert.equal(world.peer().receive('_local/z').detached, undefined);
    const dynamic = world.peer().receive(undefined, 1, { source: { type: 'source', dynamic: true } });
    assert.equal(dynamic.detached, undefined);
    assert.match((dynamic.attach!.source as { address: string }).address, /^amqp:\/_topo\/0\/R\/temp\.[\w+]{15}$/);
    const target = world.peer().send(undefined, { target: { type: 'target', dynamic: true } });
    assert.match((target.attach!.target as { address: string }).address, /^amqp:\/_\$temp\.[\w+]{15}$/);
    const outlet = world.peer().send(undefined);
    outlet.text('x', false, { properties: { to: 'z' } });
    assert.deepEqual(outlet.told, { x: 'rejected' });
  });

  it('do not change what has links already, but their priority does', () => {
    const world = new World();
    world.peer().receive('a');
    world.router.addAddress({ prefix: 'a', distribution: 'multicast', priority: 7 });
    const node = (): { distribution: string; priority: number } => {
      const { distribution, priority } = [...world.router.addresses].find(({ key }) => key === 'M0a')!;
      return { distribution, priority };
    };
    assert.deepEqual(node(), { distribution: 'balanced', priority: -1 });
    world.peer().send('a');
    assert.deepEqual(node(), { distribution: 'balanced', priority: 7 });
  });

  it('reach nodes by every name that they have here', () => {
    const world = new World();
    const local = world.peer().receive('_local/x');
    for (const name of ['_local/x', '_topo/0/R/x', '_topo/all/R/x', '_edge/R/x', 'amqp://host/_local/x/'])
      world.peer().send(name).text(name);
    assert.equal(local.texts.length, 5);
    const all = world.peer().receive('_topo/all/all/y');
    world.peer().send('_topo/0/all/y').text('z');
    assert.deepEqual(all.texts, ['z']);
  });

  it('give no receiver to what belongs to another router, and a sender without credit', () => {
    const world = new World();
    assert.equal(world.peer().receive('_topo/0/C/x', 0).detached?.error?.condition, 'qd:no-route-to-dest');
    assert.equal(world.peer().receive('_topo/7/C/x', 0).detached?.error?.condition, 'qd:no-route-to-dest');
    const outlet = world.peer().send('_topo/0/C/x');
    assert.equal(outlet.detached, undefined);
    assert.equal(outlet.link.credit, 0);
    assert.equal([...world.router.addresses].find(({ key }) => key === 'RC')?.distribution, 'closest');
  });
});

describe('phases', () => {
  it('lead through a chain of brokers, each with its two autolinks', () => {
    const chain = [0, 1, 2].flatMap((phase) => [
      { address: 'q', direction: 'out' as const, containerId: `broker${phase}`, phase },
      { address: 'q', direction: 'in' as const, containerId: `broker${phase}`, phase: phase + 1 },
    ]);
    const world = new World({
      addresses: [{ prefix: 'q', distribution: 'balanced', ingressPhase: 0, egressPhase: 3 }],
      autoLinks: chain,
    });
    const brokers = [0, 1, 2].map((n) => world.peer({ role: 'route-container', containerId: `broker${n}` }));
    const inlet = world.peer({ stripAnnotations: 'no' }).receive('q');
    const outlet = world.peer().send('q');
    outlet.text('x');
    for (const broker of brokers) {
      const [into] = broker.attached;
      into!.credit(1);
      assert.deepEqual(into!.texts, ['x']);
      assert.deepEqual(inlet.texts, []);
      broker.outlets[0]!.text('x');
    }
    assert.deepEqual(inlet.texts, ['x']);
    assert.deepEqual([...world.router.addresses].map(({ key }) => key).toSorted(), ['M0q', 'M1q', 'M2q', 'M3q']);
  });

  it('are what waypoint capabilities say, for a broker that attaches itself', () => {
    const world = new World({
      addresses: [{ prefix: 'q', distribution: 'balanced', ingressPhase: 0, egressPhase: 2 }],
    });
    const as = (capability: string) => ({
      source: { type: 'source' as const, address: 'q', capabilities: ['other', capability] },
      target: { type: 'target' as const, address: 'q', capabilities: ['other', capability] },
    });
    const inlet = world.peer().receive('q');
    const first = world.peer().receive('q', 10, as('qd.waypoint'));
    const second = world.peer().receive('q', 10, as('qd.waypoint_2'));
    world.peer().send('q').text('0');
    world.peer().send('q', as('qd.waypoint.1')).text('1');
    world.peer().send('q', as('qd.waypoint.2')).text('2');
    assert.deepEqual([first.texts, second.texts, inlet.texts], [['0'], ['1'], ['2']]);
  });
});
