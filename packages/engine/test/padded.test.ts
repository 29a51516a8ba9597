// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Described, Reader, composites, readValue } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { MODIFIED_FAILED } from '../src/index.js';
import { sendText } from './pair.js';
import { HEADER, RawPeer, flowOf, joined, transferOf } from './raw-peer.js';

const ERROR = { condition: 'amqp:not-found', description: 'no such node' };

/** The composites of all frames said since the last call, those within others included: `name of fields`. */
function compositesIn(p: RawPeer): Set<string> {
  const bytes: Uint8Array[] = [];
  for (let out = p.connection.takeOutput(p.now); out !== undefined; out = p.connection.takeOutput(p.now)) {
    bytes.push(...out.map((part) => part.slice()));
    p.connection.releaseOutput(out, p.now);
  }
  const all = joined(bytes);
  const found = new Set<string>();
  const visit = (value: AmqpValue): void => {
    if (!(value instanceof Described)) return;
    const code = Number((value.descriptor as { value: bigint }).value);
    const { name } = composites.find((one) => one.code === code)!;
    const fields = value.value as AmqpValue[];
    found.add(`${name} ${fields.length}`);
    fields.forEach(visit);
  };
  for (let at = 0; at < all.length;) {
    if (all[at] === 0x41) {
      at += 8;
      continue;
    }
    const size = new DataView(all.buffer, all.byteOffset).getUint32(at);
    if (size > 8) visit(readValue(new Reader(all, at + 8, at + size)));
    at += size;
  }
  return found;
}

describe('a connection that is padded', () => {
  it('writes all fields of all performatives, and of what is in them: some peers index without counting', () => {
    const p = new RawPeer({ padded: true }).say(HEADER, { type: 'open', containerId: 'c' });
    p.say({ type: 'begin', nextOutgoingId: 0, incomingWindow: 100, outgoingWindow: 100 });
    assert.deepEqual(compositesIn(p), new Set(['open 10', 'begin 8']));

    const source = { type: 'source', address: 'q' } as const;
    p.say({ type: 'attach', name: 'out', handle: 0, role: true, source, target: { type: 'target' } });
    assert.deepEqual(compositesIn(p), new Set(['attach 14', 'source 11', 'target 7']));

    p.say(flowOf({ handle: 0, deliveryCount: 0, linkCredit: 9 }));
    const { link } = p.recorder.senders[0]!;
    sendText(link, 'one');
    assert.deepEqual(compositesIn(p), new Set(['transfer 11']));

    p.say(flowOf({ echo: true }));
    assert.deepEqual(compositesIn(p), new Set(['flow 11']));

    p.say({
      type: 'attach',
      name: 'in',
      handle: 1,
      role: false,
      source,
      target: { type: 'target' },
      initialDeliveryCount: 0,
    });
    const receiver = p.recorder.receivers[0]!;
    receiver.link.addCredit(9);
    assert.ok(compositesIn(p).has('flow 11'));

    p.say(transferOf(0, { handle: 1 }), transferOf(1, { handle: 1 }));
    const [first, second] = receiver.deliveries;
    receiver.link.settle(first!, { type: 'rejected', error: ERROR });
    receiver.link.settle(second!, MODIFIED_FAILED);
    assert.deepEqual(compositesIn(p), new Set(['disposition 6', 'rejected 1', 'error 3', 'modified 3']));

    link.detach(ERROR);
    receiver.link.detach();
    assert.deepEqual(compositesIn(p), new Set(['detach 3', 'error 3']));

    p.recorder.sessions[0]!.end();
    assert.deepEqual(compositesIn(p), new Set(['end 1']));

    p.connection.close(ERROR);
    assert.deepEqual(compositesIn(p), new Set(['close 1', 'error 3']));
  });
});
