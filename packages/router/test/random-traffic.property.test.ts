// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, MODIFIED_FAILED, RELEASED } from '@pointsman/engine';
import type { DeliveryState } from '@pointsman/wire';
import { World } from './world.js';
import type { Inlet, Outlet, Peer } from './world.js';

const RUNS = Number(process.env['ROUTER_RUNS'] ?? 60);
const STEPS = 250;
const ADDRESSES = ['queue', 'queue/sub', 'near/x', 'all/y'];
const OUTCOMES: readonly DeliveryState[] = [
  ACCEPTED,
  ACCEPTED,
  ACCEPTED,
  RELEASED,
  MODIFIED_FAILED,
  { type: 'rejected', error: { condition: 'test:bad' } },
];

/** A run of random clients against one router, told by its seed. */
class Run {
  readonly world: World = new World({
    addresses: [
      { prefix: 'near', distribution: 'closest' },
      { prefix: 'all', distribution: 'multicast' },
    ],
  });
  readonly #peers: Peer[] = [];
  readonly #inlets: Inlet[] = [];
  readonly #outlets: Outlet[] = [];
  /** Messages by their text, with the link that sent them. */
  readonly #sent = new Map<string, { outlet: Outlet; settled: boolean }>();
  #state: number;
  #count = 0;

  constructor(seed: number) {
    this.#state = seed * 2_654_435_761 + 1;
  }

  #random(below: number): number {
    this.#state = (Math.imul(this.#state ^ (this.#state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return this.#state % below;
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#random(list.length)];
  }

  step(): void {
    switch (this.#random(12)) {
      case 0:
        if (this.#peers.length < 6)
          this.#peers.push(this.world.peer({}, { maxFrameSize: this.#random(2) === 0 ? 4_096 : 65_536 }));
        break;
      case 1:
        this.#attachReceiver();
        break;
      case 2:
        this.#attachSender();
        break;
      case 3:
        if (this.#random(6) === 0) this.#cut();
        break;
      case 4:
        if (this.#random(5) === 0) this.#detach();
        break;
      case 5:
      case 6:
        this.#grant();
        break;
      case 7:
      case 8:
        this.#settle();
        break;
      default:
        this.#send();
        break;
    }
    this.check();
  }

  #alive(): Peer[] {
    return this.#peers.filter((peer) => peer.end === undefined);
  }

  #attachReceiver(): void {
    const peer = this.#pick(this.#alive());
    if (peer !== undefined && this.#inlets.length < 12)
      this.#inlets.push(peer.receive(this.#pick(ADDRESSES), this.#random(20)));
  }

  #attachSender(): void {
    const peer = this.#pick(this.#alive());
    if (peer === undefined || this.#outlets.length >= 12) return;
    this.#outlets.push(peer.send(this.#random(4) === 0 ? undefined : this.#pick(ADDRESSES)));
  }

  #cut(): void {
    this.#pick(this.#alive())?.cut();
  }

  #detach(): void {
    const link = this.#random(2) === 0 ? this.#pick(this.#inlets) : this.#pick(this.#outlets);
    if (link === undefined || link.lost || link.link.localDetached) return;
    link.link.detach();
    this.world.run();
  }

  #grant(): void {
    const inlet = this.#pick(this.#inlets);
    if (inlet?.link.state === 'attached') inlet.credit(1 + this.#random(10));
  }

  #settle(): void {
    const inlet = this.#pick(this.#inlets);
    if (inlet?.link.state !== 'attached') return;
    for (const delivery of inlet.deliveries) {
      if (!delivery.settled && delivery.complete && this.#random(3) > 0)
        inlet.link.settle(delivery, this.#pick(OUTCOMES)!);
    }
    this.world.run();
  }

  #send(): void {
    const outlet = this.#pick(this.#outlets);
    if (outlet?.link.sendable !== true) return;
    const settled = this.#random(8) === 0;
    const name = `m${this.#count++}-${'x'.repeat(this.#random(10) === 0 ? 9_000 : this.#random(50))}`;
    this.#sent.set(name, { outlet, settled });
    outlet.text(name, settled, { properties: { to: this.#pick(ADDRESSES)! } });
  }

  /** What has to hold after every step. */
  check(): void {
    for (const outlet of this.#outlets) {
      assert.ok(outlet.link.credit >= 0, 'credit never goes below zero');
      const names = outlet.outcomes.map(({ tag }) => String(tag));
      assert.equal(new Set(names).size, names.length, 'a message has one outcome');
      for (const { tag, state } of outlet.outcomes) {
        const name = String(tag);
        assert.equal(this.#sent.get(name)?.settled, false, 'a presettled message has none');
        if (state !== undefined && 'type' in state && state.type === 'accepted') {
          const taken = this.#inlets.some((inlet) =>
            inlet.texts.some((text, i) => text === name && inlet.deliveries[i]!.localState === ACCEPTED),
          );
          assert.ok(taken, 'accepted only where a receiver accepted');
        }
      }
    }
    for (const inlet of this.#inlets) {
      assert.ok(
        inlet.deliveries.every(
          (delivery) => delivery.complete || inlet.link.current === delivery || inlet.link.state === 'detached',
        ),
      );
      const texts = inlet.texts;
      assert.equal(new Set(texts).size, texts.length, 'no receiver gets a message twice');
      this.#checkOrder(texts);
    }
  }

  /** What one link sent to one address arrives in the order in which it was sent. */
  #checkOrder(texts: readonly string[]): void {
    const last = new Map<Outlet, number>();
    for (const text of texts) {
      const { outlet } = this.#sent.get(text)!;
      const number = Number(/^m(\d+)/.exec(text)![1]);
      assert.ok(number > (last.get(outlet) ?? -1), 'in order');
      last.set(outlet, number);
    }
  }

  /** Everybody settles what they have; then nothing may be left open, and after the last goodbye nothing at all. */
  end(): void {
    for (let round = 0; round < 50; round++) {
      for (const inlet of this.#inlets) {
        if (inlet.link.state !== 'attached') continue;
        inlet.credit(50);
        for (const delivery of inlet.deliveries)
          if (!delivery.settled && delivery.complete) inlet.link.settle(delivery, ACCEPTED);
      }
      this.world.run();
    }
    this.check();
    for (const [name, { outlet, settled }] of this.#sent) {
      if (settled || outlet.lost || outlet.link.state !== 'attached') continue;
      assert.ok(
        outlet.outcomes.some(({ tag }) => tag === name),
        `${name} has an outcome`,
      );
    }
    for (const peer of this.#alive()) peer.cut();
    assert.deepEqual([...this.world.router.addresses], [], 'no address is left');
    assert.equal(this.world.router.connections.size, 0);
  }
}

describe('random traffic', () => {
  it(`loses nothing, doubles nothing and forgets everything, whatever clients do (${RUNS} runs)`, () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const run = new Run(seed);
      try {
        for (let step = 0; step < STEPS; step++) run.step();
        run.end();
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  });
});
