// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LocalProtocolError, RemoteProtocolError } from '@pointsman/wire';
import { CONNECTION_TRANSITIONS, nextConnectionState } from '../src/index.js';
import type { ConnectionEvent, ConnectionState } from '../src/index.js';

const walk = (...events: ConnectionEvent[]): ConnectionState =>
  events.reduce<ConnectionState>(nextConnectionState, 'START');
const OPENING: ConnectionEvent[] = ['send:header', 'recv:header', 'send:open', 'recv:open'];
const ALL = Object.keys(CONNECTION_TRANSITIONS) as ConnectionState[];
const EVENTS: ConnectionEvent[] = (['send', 'recv'] as const).flatMap((who) =>
  (['header', 'open', 'close', 'close-with-error', 'other'] as const).map(
    (frame): ConnectionEvent => `${who}:${frame}`,
  ),
);

describe('connection endpoint (2.4.6)', () => {
  it('opens when each side has sent a header and an open, in every order that keeps each side in order', () => {
    const orders = interleavings<ConnectionEvent>(['send:header', 'send:open'], ['recv:header', 'recv:open']);
    assert.equal(orders.length, 6);
    for (const order of orders) {
      // A server does not say its open before it knows that its header fits: that one order is not among ours.
      if (order.join() === 'recv:header,recv:open,send:header,send:open') {
        assert.throws(() => walk(...order), RemoteProtocolError);
      } else {
        assert.equal(walk(...order), 'OPENED', order.join(' '));
      }
    }
  });

  it('lets a client say everything at once: header, open, frames and close', () => {
    assert.equal(
      walk('send:header', 'send:open', 'send:other', 'send:close', 'recv:header', 'recv:open', 'recv:close'),
      'END',
    );
    assert.equal(
      walk('send:header', 'send:open', 'send:close-with-error', 'recv:header', 'recv:open', 'recv:other', 'recv:close'),
      'END',
    );
  });

  it('lets a peer begin, and even close, before our open is out', () => {
    assert.equal(
      walk('send:header', 'recv:header', 'recv:open', 'recv:other', 'recv:close', 'send:open', 'send:close'),
      'END',
    );
  });

  it('discards what arrives between our close with an error and the close of the peer', () => {
    const state = walk(...OPENING, 'send:close-with-error');
    assert.equal(state, 'DISCARDING');
    assert.equal(nextConnectionState(state, 'recv:other'), 'DISCARDING');
    assert.equal(nextConnectionState(state, 'recv:close'), 'END');
  });

  it('lets us speak between the close of the peer and ours', () => {
    assert.equal(walk(...OPENING, 'recv:close', 'send:other', 'send:close'), 'END');
  });

  it('blames the peer for a frame after its close, and the caller for a frame after ours', () => {
    assert.throws(() => nextConnectionState('CLOSE_RCVD', 'recv:other'), RemoteProtocolError);
    assert.throws(() => nextConnectionState('CLOSE_SENT', 'send:other'), LocalProtocolError);
    for (const event of EVENTS) {
      const Fault = event.startsWith('send') ? LocalProtocolError : RemoteProtocolError;
      assert.throws(() => nextConnectionState('END', event), Fault);
    }
  });

  it('refuses what has no entry as amqp:illegal-state, naming frame and state', () => {
    for (const state of ALL) {
      for (const event of EVENTS) {
        if (CONNECTION_TRANSITIONS[state][event] !== undefined) continue;
        assert.throws(
          () => nextConnectionState(state, event),
          (error: unknown) =>
            error instanceof Error && error.message === `amqp:illegal-state: ${event.split(':')[1]} in state ${state}`,
        );
      }
    }
  });

  it('takes a header and an open once each', () => {
    for (const who of ['send', 'recv'] as const) {
      assert.throws(() => nextConnectionState('OPENED', `${who}:header`));
      assert.throws(() => nextConnectionState('OPENED', `${who}:open`));
    }
  });

  it('reaches every state from START, and END from every state', () => {
    const closure = (from: ConnectionState): Set<ConnectionState> => {
      const seen = new Set([from]);
      for (const state of seen) for (const next of Object.values(CONNECTION_TRANSITIONS[state])) seen.add(next);
      return seen;
    };
    assert.deepEqual([...closure('START')].toSorted(), ALL.toSorted());
    for (const state of ALL) assert.ok(closure(state).has('END'), `${state} never ends`);
  });
});

function interleavings<T>(a: readonly T[], b: readonly T[]): T[][] {
  if (a.length === 0) return [[...b]];
  if (b.length === 0) return [[...a]];
  return [
    ...interleavings(a.slice(1), b).map((rest) => [a[0]!, ...rest]),
    ...interleavings(a, b.slice(1)).map((rest) => [b[0]!, ...rest]),
  ];
}
