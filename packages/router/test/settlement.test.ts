// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED } from '@pointsman/engine';
import type { DeliveryState } from '@pointsman/wire';
import { World } from './world.js';

describe('settlement', () => {
  it('says of every modified message that its delivery failed', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer().send('q');
    outlet.text('tried');
    inlet.settle(0, {
      type: 'modified',
      deliveryFailed: false,
      undeliverableHere: true,
      messageAnnotations: undefined,
    });
    const [told] = outlet.outcomes;
    assert.deepEqual(told!.state, {
      type: 'modified',
      deliveryFailed: true,
      undeliverableHere: true,
      messageAnnotations: undefined,
    });
  });

  it('leaves the words for a container to its dialect', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const container = world.peer();
    const said: DeliveryState = { type: 'modified', deliveryFailed: false, undeliverableHere: false };
    container.at.dialect = { outcomeToContainer: () => said };
    const outlet = container.send('q');
    outlet.text('m');
    inlet.settle(0, ACCEPTED);
    assert.equal((outlet.outcomes[0]!.state as { deliveryFailed: boolean }).deliveryFailed, false);
  });

  it('replaces the credit of a presettled message once it is forwarded, and drops what a slow receiver leaves', () => {
    const world = new World();
    const inlet = world.peer({ linkCapacity: 10 }).receive('q', 5);
    const producer = world.peer({ linkCapacity: 10 });
    const outlet = producer.send('q');
    for (let i = 0; i < 40; i++) outlet.text(`m${i}`, true);
    assert.ok(outlet.link.credit >= 5, 'credit never ends');
    assert.equal(inlet.texts.length, 5);
    const link = [...inlet.peer.at.links][0]!;
    const { deliveries, presettled, presettledDropped } = link;
    assert.equal(deliveries, presettled - presettledDropped);
    assert.ok(presettledDropped > 0);
    const waiting = 40 - deliveries - presettledDropped;
    inlet.credit(100);
    assert.equal(inlet.texts.length, 5 + waiting, 'the newest are still there');
    assert.equal(inlet.texts.at(-1), 'm39');
    assert.equal([...producer.at.links][0]!.presettled, 40);
  });

  it('goes on where the sender settles first, and passes that on', () => {
    const world = new World();
    const inlet = world.peer().receive('q', 2);
    const outlet = world.peer({ linkCapacity: 4 }).send('q');
    for (let round = 0; round < 3; round++) {
      // Two at the receiver, two that wait for credit.
      const sent = [0, 1, 2, 3].map((i) => outlet.text(`${round}.${i}`));
      for (const delivery of sent) outlet.link.settle(delivery, ACCEPTED);
      world.run();
      assert.equal(outlet.link.credit, 4, 'all credit is back');
      inlet.credit(4);
    }
    assert.equal(inlet.texts.length, 12);
    assert.deepEqual(inlet.confirmed.slice(0, 2), ['0.0 accepted', '0.1 accepted']);
    for (const { id, settled } of inlet.deliveries) assert.ok(settled || id > 1);
  });

  it('goes on where the sender settles a message that it has not sent whole', () => {
    const world = new World();
    const inlet = world.peer().receive('q', 10);
    const outlet = world.peer({ linkCapacity: 1 }).send('q');
    const part = new Uint8Array(140_000).fill(0x41);
    part.set([0x00, 0x53, 0x77, 0xb1, 0x00, 0x04, 0x57, 0x20]);
    const delivery = outlet.raw(part, false, 'big', false);
    assert.equal(inlet.deliveries.length, 1, 'it is on its way already');
    outlet.link.settle(delivery, ACCEPTED);
    world.run();
    outlet.link.resume(part, 0, part.length, true);
    world.run();
    assert.equal(inlet.deliveries[0]!.complete, true);
    assert.equal(inlet.deliveries[0]!.aborted, false);
    assert.equal(inlet.bytes[0]!.length, 280_000);
    inlet.settle(0, ACCEPTED);
    assert.equal(outlet.link.credit, 1);
  });

  it('tells the sender how far a receiver has come', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer({ linkCapacity: 1 }).send('q');
    outlet.text('m');
    inlet.link.update(inlet.deliveries[0]!, { type: 'received', sectionNumber: 1, sectionOffset: 7n });
    world.run();
    assert.deepEqual(outlet.outcomes[0], {
      tag: 'm',
      state: { type: 'received', sectionNumber: 1, sectionOffset: 7n },
      settled: false,
    });
    inlet.settle(0, ACCEPTED);
    assert.deepEqual(outlet.outcomes[1], { tag: 'm', state: { type: 'accepted' }, settled: true });
    assert.equal(outlet.link.credit, 1);
  });

  it('tells a sender of its credit once all of it is back, and seldom before', () => {
    const world = new World();
    const inlet = world.peer().receive('q');
    const outlet = world.peer().send('q');
    for (let i = 0; i < 10; i++) outlet.text(`m${i}`);
    for (let i = 0; i < 9; i++) inlet.settle(i, ACCEPTED);
    assert.equal(outlet.link.credit, 240);
    inlet.settle(9, ACCEPTED);
    assert.equal(outlet.link.credit, 250);
  });

  it('counts as accepted what a receiver gets that wants no settlement', () => {
    const world = new World();
    const inlet = world.peer().receive('q', 10, { sndSettleMode: 1 });
    const outlet = world.peer().send('q');
    outlet.text('one');
    outlet.message({ body: { kind: 'value', value: 'x'.repeat(100_000) } });
    outlet.text('last', true);
    const [link] = inlet.peer.at.links;
    assert.deepEqual([link!.deliveries, link!.accepted, link!.presettled], [3, 2, 1]);
    assert.ok(inlet.deliveries.every(({ settled }) => settled));
    const [sender] = outlet.peer.at.links;
    assert.deepEqual([sender!.accepted, sender!.presettled], [2, 1]);
  });

  it('waits for the sender where both ends settle second, and counts the outcome on both', () => {
    const world = new World();
    const inlet = world.peer().receive('q', 10, { rcvSettleMode: 1 });
    const outlet = world.peer({ linkCapacity: 1 }).send('q', { rcvSettleMode: 1 });
    const sent = outlet.text('m');
    inlet.link.update(inlet.deliveries[0]!, ACCEPTED);
    world.run();
    assert.deepEqual(outlet.outcomes, [{ tag: 'm', state: { type: 'accepted' }, settled: false }]);
    assert.deepEqual(inlet.confirmed, []);
    outlet.link.settle(sent, ACCEPTED);
    world.run();
    assert.deepEqual(inlet.confirmed, ['m accepted']);
    assert.deepEqual(
      [inlet, outlet].map(({ peer }) => [...peer.at.links].map(({ accepted }) => accepted)),
      [[1], [1]],
    );
    assert.equal(outlet.link.credit, 1);
  });

  it('passes on what is no message of sections, as it came', () => {
    const world = new World();
    const inlet = world.peer({ stripAnnotations: 'both' }).receive('q');
    const outlet = world.peer().send('q');
    const bytes = new TextEncoder().encode('0123456789');
    outlet.raw(bytes);
    assert.deepEqual(Buffer.from(inlet.bytes[0]!).toString(), '0123456789');
  });
});
