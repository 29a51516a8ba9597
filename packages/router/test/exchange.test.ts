// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, RELEASED } from '@pointsman/engine';
import { encodeMessage, int } from '@pointsman/wire';
import type { DeliveryState } from '@pointsman/wire';
import { ExchangeRefused } from '../src/index.js';
import type { Binding, BindingSettings, Exchange, ExchangeSettings } from '../src/index.js';
import { SubjectTree } from '../src/subject-tree.js';
import { World } from './world.js';
import type { Outlet } from './world.js';

/** A router with an exchange `E` at `news`, and bindings of key and next hop. */
function exchangeWorld(
  bindings: readonly (readonly [key: string | undefined, nextHopAddress: string])[],
  settings: Partial<ExchangeSettings> = {},
): { world: World; exchange: Exchange; bound: Binding[]; outlet: Outlet } {
  const world = new World();
  const { exchanges } = world.router;
  const exchange = exchanges.add({ name: 'E', address: 'news', ...settings });
  const bound = bindings.map(([bindingKey, nextHopAddress]) =>
    exchanges.addBinding({ exchangeName: 'E', bindingKey, nextHopAddress }),
  );
  return { world, exchange, bound, outlet: world.peer().send('news') };
}

const send = (outlet: Outlet, subject: string | undefined, text: string, settled = false): void => {
  outlet.text(text, settled, { properties: { subject } });
};
/** Sends a message of the subject `s`, as fast as its receiver lets it. */
const sendWhole = (outlet: Outlet, value: string, name: string): void => {
  const bytes = encodeMessage({ properties: { subject: 's' }, body: { kind: 'value', value } });
  const begun = outlet.link.sentBytes;
  outlet.raw(bytes, false, name);
  for (let sent = outlet.link.sentBytes; outlet.link.current !== undefined && sent !== begun;) {
    outlet.peer.world.run();
    if (!outlet.link.resumable) return;
    sent += outlet.link.resume(bytes, sent, bytes.length, true);
  }
  outlet.peer.world.run();
};
const counts = ({ received, forwarded, dropped, diverted }: Exchange): number[] => [
  received,
  forwarded,
  dropped,
  diverted,
];

describe('exchanges', () => {
  it('send a message once to each next hop whose keys match its subject', () => {
    const { world, exchange, bound, outlet } = exchangeWorld([
      ['a.*', 'one'],
      ['a.b', 'one'],
      ['a.c.#', 'one'],
      ['a.c.#', 'two'],
      ['a.b.c', 'two'],
    ]);
    const [one, two] = [world.peer().receive('one'), world.peer().receive('two')];
    for (const subject of ['a.b', 'a.c', 'a.c.d', 'x.y', 'a.b.c']) send(outlet, subject, subject);
    assert.deepEqual(one.texts, ['a.b', 'a.c', 'a.c.d']);
    assert.deepEqual(two.texts, ['a.c', 'a.c.d', 'a.b.c']);
    assert.deepEqual(
      bound.map(({ matched }) => matched),
      [2, 1, 2, 2, 1],
    );
    assert.deepEqual(counts(exchange), [5, 4, 1, 0]);
    assert.deepEqual(outlet.told, {
      'a.b': 'accepted',
      'a.c': 'accepted',
      'a.c.d': 'accepted',
      'x.y': 'released',
      'a.b.c': 'accepted',
    });
  });

  it('accept what is on its way at once, and send it settled', () => {
    const { world, outlet } = exchangeWorld([['#', 'one']]);
    const inlet = world.peer().receive('one', 0);
    send(outlet, 's', 'waits');
    assert.deepEqual(outlet.told, { waits: 'accepted' });
    inlet.credit(1);
    assert.deepEqual(inlet.texts, ['waits']);
    assert.equal(inlet.deliveries[0]!.settled, true);
  });

  it('give credit although there is nobody, once there is a binding', () => {
    const { world, outlet } = exchangeWorld([]);
    assert.equal(outlet.link.credit, 0);
    world.router.exchanges.addBinding({ exchangeName: 'E', nextHopAddress: 'nobody' });
    world.run();
    assert.equal(outlet.link.credit, 250);
    for (let i = 0; i < 300; i++) send(outlet, 's', String(i));
    assert.ok(outlet.link.credit > 100);
    assert.equal(outlet.outcomes.length, 300);
    assert.ok(outlet.outcomes.every(({ state }) => (state as { type: string }).type === 'released'));
  });

  it('send what nobody takes to the alternate address', () => {
    const { world, exchange, outlet } = exchangeWorld([['a', 'one']], { alternateAddress: 'rest' });
    const rest = world.peer().receive('rest');
    send(outlet, 'a', 'nobody is at one');
    send(outlet, 'b', 'nothing matches');
    send(outlet, undefined, 'without a subject');
    assert.equal(rest.texts.length, 3);
    const one = world.peer().receive('one');
    send(outlet, 'a', 'somebody is at one');
    assert.deepEqual(one.texts, ['somebody is at one']);
    assert.equal(rest.texts.length, 3);
    assert.deepEqual(counts(exchange), [4, 4, 0, 3]);
  });

  it('match everything where a binding has no key, but no message without a subject', () => {
    for (const matchMethod of ['amqp', 'mqtt'] as const) {
      const { world, outlet } = exchangeWorld([[undefined, 'all']], { matchMethod });
      const all = world.peer().receive('all');
      for (const subject of ['x', 'x/y.z', '', undefined]) send(outlet, subject, String(subject));
      assert.deepEqual(all.texts, ['x', 'x/y.z', '']);
      assert.equal(outlet.told['undefined'], 'released');
    }
  });

  it('begin a new journey in the annotations, at the address of the next hop', () => {
    const world = new World();
    const { exchanges } = world.router;
    exchanges.add({ name: 'E', address: 'news' });
    exchanges.addBinding({ exchangeName: 'E', nextHopAddress: 'one', nextHopPhase: 3 });
    const inlet = world
      .peer({ stripAnnotations: 'no' })
      .receive('one', 10, { source: { type: 'source', address: 'one', capabilities: ['qd.waypoint.4'] } });
    const outlet = world.peer({ stripAnnotations: 'no' }).send('news');
    outlet.text('x', false, {
      properties: { subject: 's' },
      messageAnnotations: new Map<string, unknown>([
        ['mine', 'stays'],
        ['x-opt-qd.ingress', '0/elsewhere'],
        ['x-opt-qd.trace', ['0/elsewhere']],
      ]) as never,
    });
    assert.deepEqual(
      [...inlet.message(0).messageAnnotations!],
      [
        ['mine', 'stays'],
        ['x-opt-qd.phase', int(3)],
        ['x-opt-qd.to', 'one'],
        ['x-opt-qd.ingress', '0/R'],
        ['x-opt-qd.trace', ['0/R']],
      ],
    );
  });

  it('copy to all of a multicast next hop, and to those who receive from the exchange itself', () => {
    const world = new World({
      addresses: [{ prefix: 'm', distribution: 'multicast' }],
      exchanges: [{ name: 'E', address: 'news' }],
      bindings: [{ exchangeName: 'E', nextHopAddress: 'm.all' }],
    });
    const inlets = ['m.all', 'm.all', 'news'].map((address) => world.peer().receive(address));
    const outlet = world.peer().send('news');
    send(outlet, 's', 'x');
    for (const inlet of inlets) assert.deepEqual(inlet.texts, ['x']);
    assert.deepEqual(outlet.told, { x: 'accepted' });
  });

  it('reach nodes within the router, and take messages from within and from anonymous senders', () => {
    const { world, exchange } = exchangeWorld([['#', 'inside']]);
    const got: unknown[] = [];
    const end = world.router.serve('inside', ({ bytes }) => got.push(bytes.length));
    const outlet = world.peer().send(undefined);
    outlet.text('x', false, { properties: { to: 'news', subject: 's' } });
    assert.deepEqual(outlet.told, { x: 'accepted' });
    assert.equal(got.length, 1);
    end();
    const inlet = world.peer().receive('inside');
    outlet.text('y', false, { properties: { to: 'news', subject: 's' } });
    assert.deepEqual(inlet.texts, ['y']);
    assert.equal(exchange.received, 2);
  });

  it('forward messages of many frames, and accept them when they are whole', () => {
    const { world } = exchangeWorld([['#', 'one']]);
    const inlet = world.peer().receive('one');
    const outlet = world.peer().send('news');
    for (const size of [100_000, 300_000]) {
      const text = 'x'.repeat(size);
      sendWhole(outlet, text, 'large');
      assert.equal(inlet.texts.at(-1), text);
    }
    assert.deepEqual(
      outlet.outcomes.map(({ state }) => (state as { type: string }).type),
      ['accepted', 'accepted'],
    );
  });

  it('accept what is so large that its sender is held back when it has gone, not before', () => {
    const { world, outlet } = exchangeWorld([['#', 'one']]);
    const consumer = world.peer();
    consumer.receive('one', 0);
    sendWhole(outlet, 'y'.repeat(400_000), 'large');
    assert.deepEqual(outlet.outcomes, []);
    consumer.cut();
    assert.deepEqual(outlet.told, { large: 'released' });
  });

  it('follow other exchanges, and send no message round', () => {
    const world = new World({
      exchanges: [
        { name: 'A', address: 'a' },
        { name: 'B', address: 'b' },
        { name: 'C', address: 'c', alternateAddress: 'a' },
      ],
      bindings: [
        { exchangeName: 'A', nextHopAddress: 'b' },
        { exchangeName: 'B', nextHopAddress: 'c' },
        { exchangeName: 'B', nextHopAddress: 'a' },
        { exchangeName: 'B', bindingKey: 'taken', nextHopAddress: 'end' },
      ],
    });
    const end = world.peer().receive('end');
    const outlet = world.peer().send('a');
    send(outlet, 'taken', 'one');
    send(outlet, 'taken', 'two');
    send(outlet, 'lost', 'three');
    assert.deepEqual(end.texts, ['one', 'two']);
    assert.deepEqual(outlet.told, { one: 'accepted', two: 'accepted', three: 'released' });
    const loops = world.logs.filter((line) => line.includes('lead back to themselves'));
    assert.equal(loops.length, 2);
    assert.ok(loops.some((line) => line.includes("'A' -> 'B' -> 'C' -> 'A'")));
    assert.ok(loops.some((line) => line.includes("'A' -> 'B' -> 'A'")));
  });

  it('stay bounded where ways part and meet again', () => {
    const world = new World();
    const { exchanges } = world.router;
    for (let i = 0; i < 60; i++) exchanges.add({ name: `E${i}`, address: `a${i}` });
    for (let i = 0; i < 58; i++)
      for (const next of [i + 1, i + 2]) exchanges.addBinding({ exchangeName: `E${i}`, nextHopAddress: `a${next}` });
    for (const last of ['E58', 'E59']) exchanges.addBinding({ exchangeName: last, nextHopAddress: 'end' });
    const end = world.peer().receive('end');
    const outlet = world.peer().send('a0');
    send(outlet, 's', 'x');
    assert.deepEqual(end.texts, ['x', 'x']);
    assert.equal(world.logs.filter((line) => line.includes('lead back')).length, 0);
  });

  it('are gone with their bindings and addresses when they are removed', () => {
    const { world, exchange, outlet } = exchangeWorld([['#', 'one']], { alternateAddress: 'two' });
    const { exchanges } = world.router;
    exchanges.remove(exchange);
    send(outlet, 's', 'x', false);
    assert.deepEqual(outlet.told, { x: 'released' });
    outlet.link.detach();
    world.run();
    assert.deepEqual([...world.router.addresses], []);
    assert.deepEqual([...exchanges.bindings()], []);
  });

  it('are refused where they would not be told apart, or their keys are none', () => {
    const { world } = exchangeWorld([['a/b', 'one']], { matchMethod: 'mqtt' });
    const { exchanges } = world.router;
    const refused = (act: () => unknown, message: string): void =>
      assert.throws(act, (error) => error instanceof ExchangeRefused && error.message === message);
    const binding = (more: Partial<BindingSettings>) => (): unknown =>
      exchanges.addBinding({ exchangeName: 'E', bindingKey: 'a/b', nextHopAddress: 'one', ...more });
    refused(() => exchanges.add({ name: 'E', address: 'other' }), 'duplicate exchange name');
    refused(() => exchanges.add({ name: 'F', address: 'news' }), 'duplicate exchange address');
    refused(() => exchanges.add({ name: 'F', address: 'news', phase: 1 }), 'duplicate exchange address');
    refused(binding({ exchangeName: 'X' }), 'Named exchange does not exist');
    refused(binding({}), 'Next hop for key already exists');
    refused(binding({ bindingKey: 'a/#/b' }), 'The binding key pattern is invalid');
    binding({ name: 'n', nextHopAddress: 'two' })();
    refused(binding({ name: 'n', nextHopAddress: 'three' }), 'Duplicate next hop name');
    binding({ nextHopPhase: 1 })();
  });
});

describe('subjects', () => {
  const matching = (method: 'amqp' | 'mqtt', keys: readonly string[], subject: string): string[] => {
    const tree = new SubjectTree<string>(method);
    for (const key of keys) tree.add(key, key);
    return tree.matches(subject).toSorted();
  };

  it('match keys part by part, in the notation of each method', () => {
    assert.deepEqual(
      matching('amqp', ['a.*.c', 'a.#', '#', '#.c', '*.b', 'a.b.c', 'A.b.c'], 'a.b.c'),
      ['#', '#.c', 'a.#', 'a.*.c', 'a.b.c'].toSorted(),
    );
    assert.deepEqual(matching('amqp', ['a', 'a.#', 'a.*', '#.a.#', 'a/b'], 'a'), ['#.a.#', 'a', 'a.#'].toSorted());
    assert.deepEqual(matching('amqp', ['a+', '+', 'a/*'], 'a+'), ['a+']);
    assert.deepEqual(matching('mqtt', ['a/+', 'a/#', '#', '+', 'a.b', 'a/b/+'], 'a/b'), ['#', 'a/#', 'a/+'].toSorted());
    assert.deepEqual(matching('mqtt', ['a.*', '*', '+'], 'a.b'), ['+']);
  });

  it('cost no more than the keys times the parts, however many # there are', () => {
    const key = [...Array<string>(60).fill('#.a'), 'b'].join('.');
    const begun = process.cpuUsage().user;
    assert.deepEqual(matching('amqp', [key], Array<string>(200).fill('a').join('.')), []);
    assert.ok(process.cpuUsage().user - begun < 1_000_000);
  });

  it('find nothing of a key that was removed', () => {
    const tree = new SubjectTree<number>('amqp');
    tree.add('a.*.#', 1);
    tree.add('a.*', 2);
    tree.remove('a.*.#', 1);
    assert.deepEqual(tree.matches('a.b'), [2]);
    tree.remove('a.*', 3);
    tree.remove('x', 2);
    tree.remove('a.*', 2);
    assert.deepEqual(tree.matches('a.b'), []);
  });
});

const FALLBACK = { prefix: 'q', distribution: 'balanced', enableFallback: true } as const;
const asFallback = (address: string) => ({
  source: { type: 'source' as const, address, capabilities: ['qd.fallback'] },
});

describe('fallback destinations', () => {
  it('take what nobody else takes, from when the others are gone until they are back', () => {
    const world = new World({ addresses: [FALLBACK] });
    const outlet = world.peer().send('q.1');
    assert.equal(outlet.link.credit, 0);
    const fallback = world.peer().receive('q.1', 100, asFallback('q.1'));
    assert.equal(outlet.link.credit, 250);
    outlet.text('a');
    const consumer = world.peer();
    const primary = consumer.receive('q.1');
    outlet.text('b');
    primary.settle(0, ACCEPTED);
    consumer.cut();
    outlet.text('c');
    assert.deepEqual([fallback.texts, primary.texts], [['a', 'c'], ['b']]);
    fallback.settle(0, RELEASED);
    fallback.settle(1, ACCEPTED);
    assert.deepEqual(outlet.told, { a: 'released', b: 'accepted', c: 'accepted' });
    assert.ok(outlet.link.credit > 100);
    const { counters } = world.router;
    assert.equal(counters.deliveriesRedirectedToFallback, 2);
    assert.equal(counters.deliveriesEgress, 1);
    const node = [...world.router.addresses].find(({ key }) => key === 'M0q.1')!;
    assert.deepEqual([node.deliveriesIngress, node.deliveriesEgress, node.deliveriesRedirectedToFallback], [3, 1, 2]);
  });

  it('see in the annotations whose messages they are', () => {
    const world = new World({ addresses: [FALLBACK] });
    const fallback = world.peer({ stripAnnotations: 'no' }).receive('q.1', 100, asFallback('q.1'));
    world.peer().send('amqp:/q.1').text('a');
    world
      .peer()
      .send(undefined)
      .text('b', false, { properties: { to: 'q.1' } });
    for (const i of [0, 1]) {
      const annotations = fallback.message(i).messageAnnotations!;
      assert.equal(annotations.get('x-opt-qd.to'), 'q.1');
      assert.deepEqual(annotations.get('x-opt-qd.phase'), int(22));
    }
  });

  it('take what an exchange sends on, too, and are counted', () => {
    const world = new World({
      addresses: [FALLBACK],
      exchanges: [{ name: 'E', address: 'news' }],
      bindings: [{ exchangeName: 'E', nextHopAddress: 'q.1' }],
    });
    const fallback = world.peer({ stripAnnotations: 'no' }).receive('q.1', 10, asFallback('q.1'));
    send(world.peer().send('news'), 's', 'x');
    assert.deepEqual(fallback.texts, ['x']);
    assert.equal(fallback.message(0).messageAnnotations!.get('x-opt-qd.to'), 'q.1');
    assert.equal(world.router.counters.deliveriesRedirectedToFallback, 1);
    const node = [...world.router.addresses].find(({ key }) => key === 'M0q.1')!;
    assert.equal(node.deliveriesRedirectedToFallback, 1);
  });

  it('leave the sender without credit when they go, too, and nothing behind', () => {
    const world = new World({ addresses: [FALLBACK] });
    const consumer = world.peer();
    const fallback = consumer.receive('q.1', 0, asFallback('q.1'));
    const outlet = world.peer().send('q.1');
    outlet.text('waits');
    fallback.link.detach();
    world.run();
    outlet.text('nobody');
    assert.deepEqual(outlet.told, { waits: 'released', nobody: 'released' });
    assert.equal(outlet.drains, 1);
    assert.equal(outlet.link.credit, 0);
    outlet.link.detach();
    world.run();
    assert.deepEqual([...world.router.addresses], []);
  });

  it('are not there for addresses without them, whoever asks for it', () => {
    const world = new World();
    const fallback = world.peer().receive('plain', 100, asFallback('plain'));
    const outlet = world.peer().send('plain');
    assert.equal(outlet.link.credit, 0);
    world.peer().receive('plain');
    outlet.text('a');
    assert.deepEqual(fallback.texts, []);
  });

  it('can be a broker, whose messages come back for consumers alone', () => {
    const autoLink = { address: 'q.1', containerId: 'broker', fallback: true } as const;
    const world = new World({
      addresses: [FALLBACK],
      autoLinks: [
        { ...autoLink, direction: 'out' },
        { ...autoLink, direction: 'in' },
      ],
    });
    const broker = world.peer({ role: 'route-container', containerId: 'broker' });
    const [into] = broker.attached;
    const [outOf] = broker.outlets;
    into!.credit(100);
    const outlet = world.peer().send('q.1');
    assert.equal(outlet.link.credit, 250);
    // Nothing is fetched from the broker to be brought back to it.
    assert.equal(outOf!.link.credit, 0);
    outlet.text('kept');
    assert.deepEqual(into!.texts, ['kept']);
    into!.settle(0, ACCEPTED);
    const consumer = world.peer();
    const inlet = consumer.receive('q.1');
    assert.equal(outOf!.link.credit, 250);
    outOf!.text('back');
    assert.deepEqual(inlet.texts, ['back']);
    inlet.settle(0, ACCEPTED);
    consumer.cut();
    outOf!.text('too late');
    assert.deepEqual(outOf!.told, { back: 'accepted', 'too late': 'released' });
    assert.deepEqual(into!.texts, ['kept']);
    const { counters } = world.router;
    assert.deepEqual([counters.deliveriesIngress, counters.deliveriesEgress], [1, 1]);
    assert.deepEqual([counters.deliveriesIngressRouteContainer, counters.deliveriesEgressRouteContainer], [2, 1]);
  });
});

describe('multicast to a node within the router and to consumers', () => {
  const worldOf = (): { world: World; got: number[]; outlet: Outlet; told: (...states: DeliveryState[]) => string } => {
    const world = new World({ addresses: [{ prefix: 'm', distribution: 'multicast' }] });
    const got: number[] = [];
    world.router.serve('m', ({ bytes }) => got.push(bytes.length));
    const inlets = [world.peer().receive('m'), world.peer().receive('m')];
    const outlet = world.peer().send('m');
    const told = (...states: DeliveryState[]): string => {
      outlet.text('x');
      states.forEach((state, i) => inlets[i]!.settle(0, state));
      return outlet.told['x']!;
    };
    return { world, got, outlet, told };
  };

  it('is accepted, since the node has it, unless a consumer rejects it', () => {
    const { got, told } = worldOf();
    assert.equal(told(RELEASED, { type: 'modified' }), 'accepted');
    assert.equal(got.length, 1);
    assert.equal(worldOf().told(RELEASED, { type: 'rejected' }), 'rejected');
  });
});
