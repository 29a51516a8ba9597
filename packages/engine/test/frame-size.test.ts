// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Described, LocalProtocolError, Writer, symbol, writeAmqpError, writeDeliveryState } from '@pointsman/wire';
import type { AmqpErrorFields, DeliveryState, Disposition, Transfer } from '@pointsman/wire';
import { fitError, fitState } from '../src/fit.js';
import { RecordingSender } from './pair.js';
import { RawPeer, frameOf, transferOf } from './raw-peer.js';

const LONG = 'é'.repeat(40_000);
const HUGE: AmqpErrorFields = { condition: 'amqp:internal-error', description: LONG, info: new Map([['trace', LONG]]) };
const typeOf = (state: DeliveryState | undefined): string | undefined =>
  state !== undefined && 'type' in state ? state.type : undefined;
const sizeOf = (write: (w: Writer) => void): number => {
  const w = new Writer();
  write(w);
  return w.position;
};

describe('an error or a state in little room', () => {
  it('is an error that fits, with the condition whole and the description begun', () => {
    const error = fc.record({
      condition: fc.constantFrom('amqp:not-found', 'a', 'x:'.repeat(400)),
      description: fc.option(fc.string({ unit: 'grapheme', maxLength: 3_000, size: 'max' }), { nil: undefined }),
      info: fc.option(
        fc.string({ maxLength: 3_000, size: 'max' }).map((text) => new Map([['k', text]])),
        { nil: undefined },
      ),
    });
    fc.assert(
      fc.property(error, fc.integer({ min: 64, max: 4_000 }), (given, room) => {
        const fitting = fitError(given, room);
        assert.ok(sizeOf((w) => writeAmqpError(w, fitting)) <= room);
        assert.ok(given.condition.startsWith(fitting.condition));
        if (given.condition.length <= 32) assert.equal(fitting.condition, given.condition);
        if (fitting.description !== undefined) assert.ok((given.description ?? '').startsWith(fitting.description));
        if (sizeOf((w) => writeAmqpError(w, given)) <= room) assert.equal(fitting, given);
      }),
      { numRuns: 300 },
    );
  });

  it('uses the room that there is', () => {
    const fitting = fitError(HUGE, 512);
    assert.equal(fitting.info, undefined);
    assert.ok(sizeOf((w) => writeAmqpError(w, fitting)) > 500);
  });

  const states: readonly (readonly [string, DeliveryState, string | undefined])[] = [
    ['rejected', { type: 'rejected', error: HUGE }, 'rejected'],
    [
      'modified',
      { type: 'modified', deliveryFailed: true, undeliverableHere: true, messageAnnotations: new Map([['k', LONG]]) },
      'modified',
    ],
    [
      'transactional',
      { type: 'transactional-state', txnId: new Uint8Array(32), outcome: { type: 'rejected', error: HUGE } },
      'transactional-state',
    ],
    [
      'of a transaction with an id of its own size',
      { type: 'transactional-state', txnId: new Uint8Array(4_000) },
      undefined,
    ],
    ['declared with such an id', { type: 'declared', txnId: new Uint8Array(4_000) }, undefined],
    ['of an extension', new Described(symbol('x:state:list'), LONG), undefined],
  ];
  for (const [name, given, type] of states) {
    it(`is a state that fits, or none: ${name}`, () => {
      const fitting = fitState(given, 416);
      assert.equal(typeOf(fitting), type);
      if (fitting !== undefined) assert.ok(sizeOf((w) => writeDeliveryState(w, fitting)) <= 416);
      assert.equal(fitState(given, 1 << 20), given);
    });
  }
});

describe('towards a peer that takes frames of 512 bytes (2.3.1)', () => {
  const peer = (): RawPeer => new RawPeer().begin({}, { maxFrameSize: 512 });

  it('a disposition with a large rejection fits, and says rejected', () => {
    const p = peer().sender(10).say(transferOf(0));
    const { link, deliveries } = p.recorder.receivers[0]!;
    link.settle(deliveries[0]!, { type: 'rejected', error: HUGE });
    const [heard] = p.hear();
    assert.ok(heard!.size <= 512, `${heard!.size} bytes`);
    const { state } = heard!.frame as Disposition;
    assert.ok(
      state !== undefined &&
        'type' in state &&
        state.type === 'rejected' &&
        state.error?.condition === 'amqp:internal-error',
    );
    assert.match(state.error?.description ?? '', /^é+$/);
  });

  it('a disposition with a state that cannot be shortened says modified, delivery failed', () => {
    const p = peer().sender(10).say(transferOf(0));
    const { link, deliveries } = p.recorder.receivers[0]!;
    link.settle(deliveries[0]!, new Described(symbol('x:state:list'), LONG));
    const [heard] = p.hear();
    assert.ok(heard!.size <= 512);
    const { state } = heard!.frame as Disposition;
    assert.ok(state !== undefined && 'type' in state && state.type === 'modified' && state.deliveryFailed === true);
  });

  it('a transfer with a large state leaves room for it, and goes on in frames that fit', () => {
    const p = peer().receiver(10);
    const { link } = p.recorder.senders[0]!;
    const bytes = new Uint8Array(2_000).fill(9);
    link.send(new Uint8Array(32), 0xffffffff, false, undefined, bytes, 0, bytes.length, true, {
      type: 'rejected',
      error: HUGE,
    });
    const heard = p.hear();
    for (const { size } of heard) assert.ok(size <= 512);
    assert.equal(typeOf((heard[0]!.frame as Transfer).state), 'rejected');
    assert.equal(
      heard.reduce((n, { payload }) => n + payload.length, 0),
      bytes.length,
    );
  });

  it('errors of detach, end and close fit', () => {
    const p = peer().sender(1);
    p.recorder.receivers[0]!.link.detach(HUGE);
    p.recorder.sessions[0]!.end(HUGE);
    p.connection.close(HUGE);
    const heard = p.hear();
    assert.deepEqual(
      heard.map(({ frame }) => frame.type),
      ['detach', 'end', 'close'],
    );
    for (const { size } of heard) assert.ok(size <= 512 && size > 400, `${size} bytes`);
  });

  it('an attach that cannot fit is refused to the caller, and nothing is left of it', () => {
    const p = peer();
    const session = p.recorder.sessions[0]!;
    const attach = (): void =>
      void session.attachSender('large', new RecordingSender(), { properties: new Map([['k', LONG]]) });
    assert.throws(
      attach,
      (error) => error instanceof LocalProtocolError && error.condition === 'amqp:frame-size-too-small',
    );
    assert.deepEqual(session.links, []);
    assert.deepEqual(p.types(), []);
    session.attachSender('large', new RecordingSender(), {});
    assert.deepEqual(p.types(), ['attach']);
  });

  it('every frame of a large message fits, and fills what it can', () => {
    const p = peer().receiver(10);
    const { link } = p.recorder.senders[0]!;
    const bytes = Uint8Array.from({ length: 5_000 }, (_, i) => i);
    link.send(undefined, 0, false, undefined, bytes, 0, bytes.length, true);
    const heard = p.hear();
    assert.ok(heard.slice(0, -1).every(({ size }) => size === 512));
    assert.deepEqual(Uint8Array.from(heard.flatMap(({ payload }) => [...payload])), bytes);
  });
});

describe('towards a peer that takes frames of any other size', () => {
  it('messages of several frames leave whole, wherever the buffer of the output ends', () => {
    for (const maxFrameSize of [512, 600, 4_000, 4_096, 4_607, 4_608, 5_000, 65_536]) {
      const p = new RawPeer({ outputMax: 1 << 20 })
        .begin({ incomingWindow: 10_000 }, { maxFrameSize })
        .receiver(100, {}, { incomingWindow: 10_000 });
      const { link } = p.recorder.senders[0]!;
      const messages = Array.from({ length: 40 }, (_, i) =>
        Uint8Array.from({ length: 9_000 + i * 13 }, (__, at) => (at + i) % 251),
      );
      for (const bytes of messages) link.send(undefined, 0, true, undefined, bytes, 0, bytes.length, true);
      const heard = p.hear();
      assert.ok(
        heard.every(({ size }) => size <= maxFrameSize),
        `frames of ${maxFrameSize}`,
      );
      assert.deepEqual(
        Buffer.concat(heard.map(({ payload }) => payload)),
        Buffer.concat(messages),
        `frames of ${maxFrameSize}`,
      );
    }
  });
});

describe('frames that we take (2.3.1)', () => {
  it('take memory as they come, not as they claim', () => {
    const p = new RawPeer({ maxFrameSize: 0xffffffff }).begin().sender(1);
    const before = process.memoryUsage().arrayBuffers;
    const many = Array.from({ length: 20 }, () => new RawPeer({ maxFrameSize: 0xffffffff }).begin());
    for (const peer of many) peer.say(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0));
    assert.ok(process.memoryUsage().arrayBuffers - before < 64e6);
    // One that is as large as it claims comes whole, however it is cut.
    const frame = frameOf(
      transferOf(0),
      0,
      Uint8Array.from({ length: 1_000_000 }, (_, i) => i % 251),
    );
    for (let at = 0; at < frame.length; at += 7_777) p.say(frame.slice(at, at + 7_777));
    const { payloads } = p.recorder.receivers[0]!;
    assert.equal(payloads[0]!.length, 1_000_000);
    assert.ok(payloads[0]!.every((byte, i) => byte === i % 251));
  });

  it('may be as large as we said, and no larger', () => {
    const within = new RawPeer({ maxFrameSize: 600 }).begin().sender(10);
    const head = 600 - frameOf(transferOf(0)).length;
    within.say([transferOf(0), 0, new Uint8Array(head)]);
    assert.equal(within.recorder.receivers[0]!.deliveries.length, 1);
    const larger = transferOf(1, { settled: undefined });
    within.say([larger, 0, new Uint8Array(601 - frameOf(larger).length)]);
    assert.equal(within.recorder.end?.by, 'protocol');
    assert.equal(within.recorder.end?.error?.condition, 'amqp:connection:framing-error');
    assert.match(within.recorder.end?.error?.description ?? '', /frame of 601 bytes exceeds the 600/);
    assert.deepEqual(within.types(), ['close']);
  });
});
