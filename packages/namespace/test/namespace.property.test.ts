// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ACCEPTED } from '@pointsman/engine';
import type { AmqpValue } from '@pointsman/wire';
import { Harness, sasToken, TIME_ORIGIN } from './harness.js';

const HOST = 'sb://example.servicebus.windows.net';

/** What a client sends that uses everything once. */
function recordedStreams(): Uint8Array[] {
  return [true, false].map((isPlain) => {
    const harness = new Harness();
    const chunks: Uint8Array[] = [];
    const accept = harness.namespace.accept.bind(harness.namespace);
    harness.namespace.accept = (info) => {
      const endpoint = accept(info);
      const receive = endpoint.receive.bind(endpoint);
      endpoint.receive = (bytes, now) => {
        chunks.push(bytes);
        receive(bytes, now);
      };
      return endpoint;
    };
    const client = harness.connect(isPlain ? { user: 'root' } : {});
    if (!isPlain) {
      const token = sasToken(HOST, 'root', 'root-key', TIME_ORIGIN / 1000 + 3600);
      client.requester('$cbs')({ operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: HOST }, token);
    }
    const sender = client.sender('orders');
    for (const body of ['a', 'b', 'c']) sender.text(body);
    const receiver = client.receiver('orders', 3);
    const [a, b, c] = receiver.received;
    receiver.say(a!, ACCEPTED);
    receiver.say(b!, { type: 'modified', undeliverableHere: true, messageAnnotations: new Map([['x', 'y']]) });
    receiver.say(c!, {
      type: 'rejected',
      error: { condition: 'com.microsoft:dead-letter', info: new Map([['DeadLetterReason', 'r']]) },
    });
    receiver.link.drain();
    client.requester('orders/$management')(
      { operation: 'com.microsoft:peek-message' },
      new Map<AmqpValue, AmqpValue>([
        ['from-sequence-number', 1],
        ['message-count', 1],
      ]),
    );
    receiver.link.detach();
    client.connection.close();
    harness.run();
    return new Uint8Array(Buffer.concat(chunks));
  });
}

/** Sends bytes to a namespace in pieces, so small that credit is there when it is used, and ends the connection. */
function feed(harness: Harness, stream: Uint8Array, cut: number): void {
  const endpoint = harness.namespace.accept({ secure: true });
  for (let at = 0; at < stream.length && !endpoint.done; at += cut) {
    endpoint.receive(stream.slice(at, at + cut), harness.clock.now());
    const buffers = endpoint.takeOutput(harness.clock.now());
    if (buffers !== undefined) endpoint.releaseOutput(buffers, harness.clock.now());
  }
  endpoint.receiveEnd(harness.clock.now());
}

describe('namespace against any bytes', () => {
  const streams = recordedStreams();

  it('does what the recorded bytes say, in small pieces and byte by byte', () => {
    for (const stream of streams) {
      for (const cut of [1, 7, 40]) {
        const harness = new Harness();
        feed(harness, stream, cut);
        const { active, locked, deferred, deadLetter } = harness.namespace.counts('orders');
        assert.deepEqual(
          { active, locked, deferred, deadLetter },
          { active: 0, locked: 0, deferred: 1, deadLetter: 1 },
        );
      }
    }
  });

  it('answers, refuses or closes, and never fails', () => {
    const change = fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'insert', 'remove'));
    fc.assert(
      fc.property(
        fc.nat(1),
        fc.array(change, { maxLength: 6 }),
        fc.integer({ min: 1, max: 40 }),
        (which, changes, cut) => {
          const stream = [...streams[which]!];
          for (const [place, value, how] of changes) {
            const at = place % stream.length;
            if (how === 'set') stream[at] = value;
            else stream.splice(at, how === 'remove' ? 1 : 0, ...(how === 'insert' ? [value] : []));
          }
          const harness = new Harness();
          feed(harness, Uint8Array.from(stream), cut);
          assert.equal(harness.namespace.connections, 0);
          assert.equal(harness.namespace.links, 0);
          const { active, locked, deferred, deadLetter } = harness.namespace.counts('orders');
          assert.ok(active + deferred + deadLetter <= 4 && locked <= active);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
