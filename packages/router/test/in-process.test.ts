// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeMessage, encodeMessage } from '@pointsman/wire';
import type { InProcessMessage } from '../src/index.js';
import { World } from './world.js';

const reply = (value: string): Uint8Array => encodeMessage({ body: { kind: 'value', value } });
const textOf = ({ bytes }: InProcessMessage): string => {
  const { body } = decodeMessage(bytes);
  return body?.kind === 'value' ? String(body.value) : '';
};

describe('nodes within the router', () => {
  it('are reached by their mobile, local and topological names, from named and anonymous senders', () => {
    const world = new World({ defaultDistribution: 'unavailable' });
    const got: string[] = [];
    world.router.serve('$management', (message) => got.push(`M ${textOf(message)}`));
    world.router.serve('_local/$management', (message) => got.push(`L ${textOf(message)}`));
    const peer = world.peer();
    for (const name of ['$management', 'amqp:/_local/$management', '_topo/0/R/$management']) {
      const outlet = peer.send(name);
      assert.equal(outlet.link.credit, 250);
      outlet.text(name);
      assert.deepEqual(outlet.told, { [name]: 'accepted' });
    }
    assert.deepEqual(got, ['M $management', 'L amqp:/_local/$management', 'L _topo/0/R/$management']);
  });

  it('know the connection that a message came over, and answer to its dynamic address', () => {
    const world = new World();
    const peer = world.peer();
    world.router.serve('$management', ({ from }) => {
      assert.equal(from, peer.at);
      assert.equal(world.router.send(dynamic, reply('pong')), true);
    });
    const inlet = peer.receive(undefined, 10, { source: { type: 'source', dynamic: true } });
    const source = inlet.attach?.source;
    const dynamic = source !== undefined && 'address' in source ? String(source.address) : '';
    peer.send('$management').text('ping');
    assert.deepEqual(inlet.texts, ['pong']);
    assert.equal(inlet.deliveries[0]!.settled, true);
    const [management] = [...world.router.addresses].filter(({ key }) => key === 'M0$management');
    assert.equal(management!.deliveriesToContainer, 1);
  });

  it('say whether there was anybody to send to', () => {
    const world = new World();
    assert.equal(world.router.send('nobody', reply('x')), false);
    const inlet = world.peer().receive('somebody', 0);
    assert.equal(world.router.send('somebody', reply('waits')), true);
    assert.deepEqual(inlet.texts, []);
    inlet.credit(1);
    assert.deepEqual(inlet.texts, ['waits']);
  });

  it('get a message in parts whole, and none beyond a mebibyte', () => {
    const world = new World();
    const sizes: number[] = [];
    world.router.serve('sink', ({ bytes }) => sizes.push(bytes.length));
    const outlet = world.peer().send('sink');
    const whole = encodeMessage({ body: { kind: 'value', value: 'x'.repeat(900_000) } });
    const large = encodeMessage({ body: { kind: 'value', value: 'x'.repeat(1_100_000) } });
    for (const [name, bytes] of [
      ['fits', whole],
      ['large', large],
    ] as const) {
      outlet.raw(bytes, false, name);
      let sent = outlet.link.sentBytes;
      while (outlet.link.current !== undefined) {
        assert.ok(outlet.link.resumable, `held back after ${sent} bytes`);
        sent += outlet.link.resume(bytes, sent, bytes.length, true);
        world.run();
      }
    }
    outlet.text('after');
    assert.deepEqual(outlet.told, { fits: 'accepted', large: 'rejected', after: 'accepted' });
    assert.equal(sizes[0], whole.length);
    assert.equal(sizes.length, 2);
    const refused = outlet.outcomes.find(({ tag }) => tag === 'large')!.state as { error: { condition: string } };
    assert.equal(refused.error.condition, 'amqp:link:message-size-exceeded');
  });

  it('are gone when they are taken away', () => {
    const world = new World();
    const stop = world.router.serve('here', () => undefined);
    const outlet = world.peer().send('here');
    stop();
    stop();
    outlet.text('late');
    assert.deepEqual(outlet.told, { late: 'released' });
  });
});
