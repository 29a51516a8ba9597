// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from '@pointsman/engine';
import { World } from './world.js';
import type { Inlet, Outlet, Peer } from './world.js';

const RUNS = Number(process.env['ROUTER_RUNS'] ?? 40);
const STEPS = 150;
const ADDRESSES = ['q.1', 'q.2', 'm.1', 'news', 'more'];

/** A router with fallback destinations and exchanges that lead to each other, and random clients. */
class Scene {
  readonly world: World;
  readonly inlets: { peer: Peer; inlet: Inlet; settled: Set<number> }[] = [];
  readonly outlets: { peer: Peer; outlet: Outlet }[] = [];
  readonly sent = new Map<Outlet, string[]>();
  readonly #random: () => number;
  #count = 0;

  constructor(seed: number) {
    let state = seed;
    this.#random = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
    this.world = new World({
      addresses: [
        { prefix: 'q', distribution: 'balanced', enableFallback: true },
        { prefix: 'm', distribution: 'multicast' },
      ],
      exchanges: [
        { name: 'E', address: 'news', alternateAddress: 'q.2' },
        { name: 'F', address: 'more' },
      ],
      bindings: [
        { exchangeName: 'E', bindingKey: 'a.#', nextHopAddress: 'q.1' },
        { exchangeName: 'E', bindingKey: '*.b', nextHopAddress: 'm.1' },
        { exchangeName: 'E', bindingKey: 'a.b', nextHopAddress: 'more' },
        { exchangeName: 'F', bindingKey: '#', nextHopAddress: 'q.2' },
        { exchangeName: 'F', bindingKey: 'a.*', nextHopAddress: 'news' },
      ],
    });
  }

  #pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)]!;
  }

  step(): void {
    const kind = this.#random();
    if (kind < 0.1) this.#consumer();
    else if (kind < 0.16) this.#producer();
    else if (kind < 0.2) this.#leave();
    else if (kind < 0.65) this.#send();
    else this.#settle();
  }

  #consumer(): void {
    const peer = this.world.peer({ linkCapacity: 5, stripAnnotations: this.#pick(['no', 'both']) });
    const address = this.#pick(ADDRESSES);
    const capabilities = this.#random() < 0.4 ? ['qd.fallback'] : undefined;
    const source = { type: 'source' as const, address, capabilities };
    this.inlets.push({ peer, inlet: peer.receive(address, this.#pick([0, 2, 50]), { source }), settled: new Set() });
  }

  #producer(): void {
    const peer = this.world.peer({ linkCapacity: this.#pick([3, 50]) });
    const outlet = peer.send(this.#pick([...ADDRESSES, undefined]));
    this.outlets.push({ peer, outlet });
    this.sent.set(outlet, []);
  }

  #leave(): void {
    const all = [...this.inlets, ...this.outlets];
    if (all.length === 0) return;
    const one = this.#pick(all);
    const link = 'inlet' in one ? one.inlet.link : one.outlet.link;
    if (link.state !== 'attached' || one.peer.isCut) return;
    if (this.#random() < 0.5) one.peer.cut();
    else link.detach();
    this.world.run();
  }

  #send(): void {
    if (this.outlets.length === 0) return;
    const { outlet, peer } = this.#pick(this.outlets);
    if (peer.isCut || outlet.link.state !== 'attached' || !outlet.link.sendable) return;
    const name = `${this.#count++}`;
    const settled = this.#random() < 0.2;
    const subject = this.#pick(['a.b', 'a', 'c.b', 'x', undefined]);
    if (!settled) this.sent.get(outlet)!.push(name);
    outlet.text(name, settled, { properties: { subject, to: this.#pick(ADDRESSES) } });
  }

  #settle(): void {
    if (this.inlets.length === 0) return;
    const { inlet, peer, settled } = this.#pick(this.inlets);
    if (peer.isCut || inlet.link.state !== 'attached') return;
    inlet.deliveries.forEach((delivery, i) => {
      if (settled.has(i) || delivery.settled) return;
      settled.add(i);
      inlet.settle(i, this.#pick([ACCEPTED, RELEASED, MODIFIED_FAILED]));
    });
    inlet.credit(3);
  }

  /** Everybody settles what there is, then goes: each message has had one outcome, and nothing is left. */
  end(): void {
    for (let i = 0; i < 5 * this.inlets.length; i++) {
      const { inlet, peer, settled } = this.inlets[i % this.inlets.length]!;
      if (peer.isCut || inlet.link.state !== 'attached') continue;
      inlet.credit(100);
      inlet.deliveries.forEach((delivery, n) => {
        if (settled.has(n) || delivery.settled) return;
        settled.add(n);
        inlet.settle(n, ACCEPTED);
      });
    }
    for (const { outlet, peer } of this.outlets) {
      const told = outlet.outcomes.map(({ tag }) => String(tag));
      assert.equal(new Set(told).size, told.length, 'no message has two outcomes');
      if (!peer.isCut && outlet.link.state === 'attached')
        assert.deepEqual(told.toSorted(), this.sent.get(outlet)!.toSorted());
    }
    for (const peer of this.world.peers) if (!peer.isCut) peer.cut();
    const { exchanges } = this.world.router;
    for (const exchange of exchanges.exchanges) exchanges.remove(exchange);
    assert.deepEqual(
      [...this.world.router.addresses].map(({ key }) => key),
      [],
      'no address is left',
    );
  }
}

it(`fallback destinations and exchanges give each message one outcome and leave nothing behind (${RUNS} runs)`, () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    const scene = new Scene(seed);
    try {
      for (let i = 0; i < STEPS; i++) scene.step();
      scene.end();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});
