// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ACCEPTED, RELEASED } from '@pointsman/engine';
import type { EntityValue } from '@pointsman/management';
import { encodeMessage } from '@pointsman/wire';
import { EVERYTHING, Policed, errorText, rejection } from './policed.js';
import type { Inlet, Outlet } from './world.js';

describe('messages', () => {
  const user = (name: string): { properties: { userId: Uint8Array } } => ({
    properties: { userId: new TextEncoder().encode(name) },
  });

  function sending(policed: Policed, address: string | undefined, name?: string): { outlet: Outlet; inlet: Inlet } {
    const inlet = policed.client().receive('q');
    inlet.auto = ACCEPTED;
    return { outlet: policed.client('h', {}, name).send(address), inlet };
  }

  it('say no other user than the one who sends them, unless that is allowed', () => {
    const { outlet, inlet } = sending(Policed.group({}), 'q', 'alice');
    outlet.text('own', false, user('alice'));
    outlet.text('none', false, user(''));
    outlet.text('plain');
    outlet.text('other', false, user('bob'));
    assert.deepEqual(outlet.told, { own: 'accepted', none: 'accepted', plain: 'accepted', other: 'rejected' });
    assert.equal(rejection(outlet), 'amqp:unauthorized-access: user_id proxy violation');
    assert.deepEqual(inlet.texts, ['own', 'none', 'plain']);
    const proxy = sending(Policed.group({ allowUserIdProxy: true }), 'q', 'alice');
    proxy.outlet.text('other', false, user('bob'));
    assert.deepEqual(proxy.inlet.texts, ['other']);
  });

  it('are looked into although they come in many frames', () => {
    const policed = Policed.group({ maxFrameSize: 512 });
    const { outlet, inlet } = sending(policed, 'q');
    const long = 'x'.repeat(5_000);
    outlet.text(long, false, user('anonymous'));
    outlet.text('y'.repeat(5_000), false, user('eve'));
    assert.deepEqual(inlet.texts, [long]);
    assert.equal(
      outlet.outcomes.filter(({ state }) => state !== undefined && 'type' in state && state.type === 'rejected').length,
      1,
    );
  });

  it('go where their user may send, on anonymous links, too', () => {
    const policed = Policed.group({ targets: 'q', allowAnonymousSender: true });
    const { outlet, inlet } = sending(policed, undefined);
    outlet.text('yes', false, { properties: { to: 'q' } });
    outlet.text('no', false, { properties: { to: 'p' } });
    assert.deepEqual(outlet.told, { yes: 'accepted', no: 'rejected' });
    assert.deepEqual(inlet.texts, ['yes']);
    assert.match(
      policed.logs.at(-1)!,
      /DENY AMQP message to 'p' for user 'anonymous', rhost '10\.0\.0\.1', vhost 'h' based on target address$/u,
    );
  });

  it('that are too large are rejected, and end the connection', () => {
    const policed = Policed.group({ maxMessageSize: 1_000 });
    const { outlet, inlet } = sending(policed, 'q');
    outlet.text('small');
    outlet.text('x'.repeat(1_000));
    assert.deepEqual(inlet.texts, ['small']);
    assert.equal(errorText(outlet.peer.end?.error), 'amqp:connection:forced: Message size exceeded');
    assert.equal(rejection(outlet), 'amqp:link:message-size-exceeded: Message size exceeded');
    assert.equal(outlet.detached?.error?.condition, 'amqp:link:message-size-exceeded');
    assert.equal(policed.policy.denials.messages, 1);
    assert.equal(policed.counts('h')['maxMessageSizeDenied'], 1);
    assert.equal([...policed.world.router.connections].length, 1);
  });

  it('that grow too large are withdrawn from who has some of them already', () => {
    const policed = Policed.group({ maxMessageSize: 300_000 });
    const { outlet, inlet } = sending(policed, 'q');
    inlet.auto = undefined;
    const bytes = encodeMessage({ body: { kind: 'value', value: 'x'.repeat(400_000) } });
    outlet.raw(bytes.subarray(0, 200_000), false, 'large', false);
    assert.equal(inlet.deliveries[0]?.complete, false);
    outlet.link.resume(bytes, 200_000, bytes.length, true);
    policed.world.run();
    assert.equal(outlet.peer.end?.error?.description, 'Message size exceeded');
    assert.equal(inlet.deliveries[0]?.aborted, true);
    assert.equal(inlet.peer.end, undefined);
    assert.deepEqual(inlet.texts, []);
  });

  it('that are too large do not pass to containers either', () => {
    const policed = Policed.group(
      { maxMessageSize: 1_000 },
      {},
      {
        linkRoutes: [{ prefix: 'store', direction: 'in', containerId: 'C' }],
      },
    );
    const container = policed.client('h', { role: 'route-container', containerId: 'C' } as object);
    const outlet = policed.client().send('store');
    container.attached[0]!.credit(10);
    outlet.text('small');
    outlet.text('x'.repeat(1_000));
    assert.deepEqual(container.attached[0]!.texts, ['small']);
    assert.equal(outlet.peer.end?.error?.description, 'Message size exceeded');
    assert.equal(container.end, undefined);
  });

  it('are as large as the group says, or else the vhost, or else the policy', () => {
    const sizeOf = (group: EntityValue, vhost: EntityValue, maxMessageSize: number): number | undefined =>
      new Policed([{ hostname: 'h', ...vhost, groups: { all: { ...EVERYTHING, ...group } } }], {
        maxMessageSize,
      }).client().at.policy?.maxMessageSize;
    assert.equal(sizeOf({ maxMessageSize: 1 }, { maxMessageSize: 2 }, 3), 1);
    assert.equal(sizeOf({}, { maxMessageSize: 2 }, 3), 2);
    assert.equal(sizeOf({}, {}, 3), 3);
    assert.equal(sizeOf({ maxMessageSize: 0 }, {}, 3), Infinity);
  });

  it('that are refused go on holding nothing up', () => {
    const policed = Policed.group({});
    const { outlet, inlet } = sending(policed, 'q');
    for (let i = 0; i < 600; i++) outlet.text(`bad ${i}`, false, user('eve'));
    outlet.text('good');
    assert.deepEqual(inlet.texts, ['good']);
    assert.notEqual(outlet.told['good'], RELEASED.type);
  });
});
