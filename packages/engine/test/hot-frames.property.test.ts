// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import {
  Described,
  ProtocolError,
  Reader,
  Typed,
  Writer,
  encodeValue,
  readDispositionBody,
  readFlowBody,
  readTransferBody,
  symbol,
  ulong,
  writeDisposition,
  writeFlow,
  writeTransfer,
} from '@pointsman/wire';
import type { AmqpValue, DeliveryState, Disposition, Flow, Transfer } from '@pointsman/wire';
import {
  ACCEPTED,
  DispositionFrame,
  FlowFrame,
  RELEASED,
  TransferFrame,
  parseDisposition,
  parseFlow,
  parseTransfer,
} from '../src/index.js';
import { listStart } from '../src/hot-frames.js';
import { writeDispositionFrame, writeFlowFrame, writeTransferHead } from '../src/hot-writers.js';
import { Output } from '../src/output.js';
import { heardIn } from './raw-peer.js';

const maybe = <T>(arbitrary: Arbitrary<T>): Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const uint = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 0xffffffff }));
const outcome: Arbitrary<DeliveryState> = fc.oneof(
  fc.constant<DeliveryState>(ACCEPTED),
  fc.constant<DeliveryState>(RELEASED),
  fc.constant<DeliveryState>({ type: 'rejected', error: undefined }),
  fc.string().map((description): DeliveryState => ({
    type: 'rejected',
    error: { type: 'error', condition: 'amqp:not-found', description, info: undefined } as never,
  })),
  maybe(fc.boolean()).map((deliveryFailed): DeliveryState => ({
    type: 'modified',
    deliveryFailed,
    undeliverableHere: undefined,
    messageAnnotations: new Map([['k', 'v']]),
  })),
  fc
    .tuple(uint, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
    .map(([sectionNumber, sectionOffset]): DeliveryState => ({ type: 'received', sectionNumber, sectionOffset })),
  fc.uint8Array().map((txnId): DeliveryState => ({ type: 'declared', txnId })),
  fc.string().map((text): DeliveryState => new Described(symbol('x:state:list'), [text])),
);
const state: Arbitrary<DeliveryState> = fc.oneof(
  { weight: 4, arbitrary: outcome },
  fc
    .tuple(fc.uint8Array({ maxLength: 32 }), maybe(outcome))
    .map(([txnId, inner]): DeliveryState => ({ type: 'transactional-state', txnId, outcome: inner })),
);
const anyTransfer: Arbitrary<Transfer> = fc.record({
  type: fc.constant('transfer' as const),
  handle: uint,
  deliveryId: maybe(uint),
  deliveryTag: maybe(fc.uint8Array({ maxLength: 300, size: 'medium' })),
  messageFormat: maybe(uint),
  settled: maybe(fc.boolean()),
  more: maybe(fc.boolean()),
  rcvSettleMode: maybe(fc.constantFrom(0, 1)),
  state: maybe(state),
  resume: maybe(fc.boolean()),
  aborted: maybe(fc.boolean()),
  batchable: maybe(fc.boolean()),
});
const anyDisposition: Arbitrary<Disposition> = fc.record({
  type: fc.constant('disposition' as const),
  role: fc.boolean(),
  first: uint,
  last: maybe(uint),
  settled: maybe(fc.boolean()),
  state: maybe(state),
  batchable: maybe(fc.boolean()),
});
const anyFlow: Arbitrary<Flow> = fc.record({
  type: fc.constant('flow' as const),
  nextIncomingId: maybe(uint),
  incomingWindow: uint,
  nextOutgoingId: uint,
  outgoingWindow: uint,
  handle: maybe(uint),
  deliveryCount: maybe(uint),
  linkCredit: maybe(uint),
  available: maybe(uint),
  drain: maybe(fc.boolean()),
  echo: maybe(fc.boolean()),
  properties: maybe(fc.constant(new Map<string, AmqpValue>([['k', true]]))),
});

const orAbsent = (value: number | undefined): number => value ?? -1;

/** What each frame says, in the form of the hot reader, told by the generated one. */
const plainTransfer = (t: Transfer): object => ({
  handle: t.handle,
  deliveryId: orAbsent(t.deliveryId),
  tag: t.deliveryTag,
  messageFormat: orAbsent(t.messageFormat),
  settled: t.settled ?? false,
  more: t.more ?? false,
  rcvSettleMode: orAbsent(t.rcvSettleMode),
  state: t.state,
  resume: t.resume ?? false,
  aborted: t.aborted ?? false,
});
const plainDisposition = (d: Disposition): object => ({
  receiver: d.role,
  first: d.first,
  last: d.last ?? d.first,
  settled: d.settled ?? false,
  state: d.state,
});
const plainFlow = (f: Flow): object => ({
  nextIncomingId: orAbsent(f.nextIncomingId),
  incomingWindow: f.incomingWindow,
  nextOutgoingId: f.nextOutgoingId,
  outgoingWindow: f.outgoingWindow,
  handle: orAbsent(f.handle),
  deliveryCount: orAbsent(f.deliveryCount),
  linkCredit: orAbsent(f.linkCredit),
  available: orAbsent(f.available),
  drain: f.drain ?? false,
  echo: f.echo ?? false,
  hasProperties: f.properties !== undefined,
});
const hotTransfer = (b: Uint8Array, at: number, end: number): { plain: object; payloadStart: number } => {
  const f = new TransferFrame();
  parseTransfer(f, b, at, end);
  const { handle, deliveryId, messageFormat, settled, more, rcvSettleMode, resume, aborted } = f;
  assert.equal(f.payloadEnd, end);
  const tag = f.tagLength < 0 ? undefined : f.tag();
  return {
    plain: { handle, deliveryId, tag, messageFormat, settled, more, rcvSettleMode, state: f.state, resume, aborted },
    payloadStart: f.payloadStart,
  };
};
const hotDisposition = (b: Uint8Array, at: number, end: number): object => {
  const f = new DispositionFrame();
  parseDisposition(f, b, at, end);
  return { ...f };
};
const hotFlow = (b: Uint8Array, at: number, end: number): object => {
  const f = new FlowFrame();
  parseFlow(f, b, at, end);
  return { ...f };
};

function bodyOf(write: (w: Writer) => void): Uint8Array {
  const w = new Writer();
  write(w);
  return w.toBytes();
}

/** The same frame with another descriptor or list: all that a peer may choose. */
function inForm(bytes: Uint8Array, form: number): Uint8Array {
  const code = bytes[2]!;
  const list = bytes.slice(3);
  const name = { 0x13: 'flow', 0x14: 'transfer', 0x15: 'disposition' }[code]!;
  const text = Buffer.from(`amqp:${name}:list`);
  const descriptors = [
    [0x53, code],
    [0x80, 0, 0, 0, 0, 0, 0, 0, code],
    [0xa3, text.length, ...text],
    [0xb3, 0, 0, 0, text.length, ...text],
  ];
  const descriptor = descriptors[form % 4]!;
  if (form < 4 || list[0] !== 0xc0) return Uint8Array.from([0, ...descriptor, ...list]);
  const size = list[1]! + 3;
  return Uint8Array.from([0, ...descriptor, 0xd0, 0, 0, 0, size, 0, 0, 0, list[2]!, ...list.slice(3)]);
}

describe('the readers of the hot path say what the generated readers say', () => {
  const form = fc.nat(7);
  const payload = fc.uint8Array({ maxLength: 20 });

  it('of any transfer, and where its payload starts', () => {
    fc.assert(
      fc.property(anyTransfer, form, fc.boolean(), payload, (transfer, how, padded, behind) => {
        const body = inForm(
          bodyOf((w) => writeTransfer(w, transfer, padded)),
          how,
        );
        const bytes = Uint8Array.from([...body, ...behind]);
        const hot = hotTransfer(bytes, listStart(bytes, 0), bytes.length);
        assert.deepEqual(hot.plain, plainTransfer(transfer));
        assert.equal(hot.payloadStart, body.length);
        assert.deepEqual(plainTransfer(readTransferBody(new Reader(bytes, listStart(bytes, 0)))), hot.plain);
      }),
      { numRuns: 500 },
    );
  });

  it('of any disposition', () => {
    fc.assert(
      fc.property(anyDisposition, form, fc.boolean(), (disposition, how, padded) => {
        const bytes = inForm(
          bodyOf((w) => writeDisposition(w, disposition, padded)),
          how,
        );
        assert.deepEqual(hotDisposition(bytes, listStart(bytes, 0), bytes.length), plainDisposition(disposition));
        assert.deepEqual(
          plainDisposition(readDispositionBody(new Reader(bytes, listStart(bytes, 0)))),
          plainDisposition(disposition),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('of any flow', () => {
    fc.assert(
      fc.property(anyFlow, form, fc.boolean(), (flow, how, padded) => {
        const bytes = inForm(
          bodyOf((w) => writeFlow(w, flow, padded)),
          how,
        );
        assert.deepEqual(hotFlow(bytes, listStart(bytes, 0), bytes.length), plainFlow(flow));
        assert.deepEqual(plainFlow(readFlowBody(new Reader(bytes, listStart(bytes, 0)))), plainFlow(flow));
      }),
      { numRuns: 500 },
    );
  });

  it('of fields in every encoding that they have', () => {
    const number = fc
      .nat(0xffffffff)
      .chain((n) =>
        fc.constantFrom<number[]>(
          [0x70, n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255],
          [0x52, n & 255],
          [0x43],
        ),
      );
    const flag = fc.constantFrom<number[]>([0x41], [0x42], [0x56, 0], [0x56, 1], [0x40]);
    const tag = fc
      .tuple(fc.uint8Array({ maxLength: 9 }), fc.boolean())
      .map(([b, wide]) => (wide ? [0xb0, 0, 0, 0, b.length, ...b] : [0xa0, b.length, ...b]));
    const said = fc.constantFrom<number[]>(
      [0x40],
      [0, 0x53, 0x24, 0x45],
      [0, 0x53, 0x24, 0xc0, 1, 0],
      [0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x26, 0x45],
      [0, 0x53, 0x26, 0xd0, 0, 0, 0, 4, 0, 0, 0, 0],
    );
    const mode = fc.constantFrom<number[]>([0x50, 0], [0x50, 1], [0x40]);
    const absent = (arbitrary: Arbitrary<number[]>): Arbitrary<number[]> =>
      fc.oneof({ weight: 5, arbitrary }, fc.constant<number[]>([0x40]));
    const lists = {
      transfer: fc.tuple(number, absent(number), absent(tag), absent(number), flag, flag, mode, said, flag, flag, flag),
      disposition: fc.tuple(fc.constantFrom([0x41], [0x56, 0]), number, absent(number), flag, said, flag),
      flow: fc.tuple(
        absent(number),
        number,
        number,
        number,
        absent(number),
        absent(number),
        absent(number),
        absent(number),
        flag,
        flag,
        fc.constantFrom([0x40], [0xc1, 1, 0]),
      ),
    };
    const needed = { transfer: 1, disposition: 2, flow: 4 };
    for (const kind of ['transfer', 'disposition', 'flow'] as const) {
      fc.assert(
        fc.property(lists[kind] as Arbitrary<number[][]>, fc.nat(20), (fields, cut) => {
          const some = fields.slice(0, needed[kind] + (cut % (fields.length - needed[kind] + 1)));
          const body = some.flat();
          const bytes = Uint8Array.from([0xc0, body.length + 1, some.length, ...body]);
          const end = bytes.length;
          if (kind === 'transfer')
            assert.deepEqual(hotTransfer(bytes, 0, end).plain, plainTransfer(readTransferBody(new Reader(bytes))));
          if (kind === 'disposition')
            assert.deepEqual(hotDisposition(bytes, 0, end), plainDisposition(readDispositionBody(new Reader(bytes))));
          if (kind === 'flow') assert.deepEqual(hotFlow(bytes, 0, end), plainFlow(readFlowBody(new Reader(bytes))));
          // One byte less, and both refuse it.
          for (const short of [
            bytes.subarray(0, end - 1),
            Uint8Array.from([0xc0, body.length, some.length, ...body]),
          ]) {
            const parse = { transfer: hotTransfer, disposition: hotDisposition, flow: hotFlow }[kind];
            assert.throws(() => parse(short, 0, short.length), ProtocolError);
          }
        }),
        { numRuns: 400 },
      );
    }
  });

  it('of any list: both take it and say the same, or both refuse it', () => {
    const scalar = fc.oneof(
      fc.constant<AmqpValue>(null),
      fc.boolean(),
      uint.map((n): AmqpValue => new Typed('uint', n)),
      fc.constantFrom(0, 1, 2).map((n): AmqpValue => new Typed('ubyte', n)),
      fc.uint8Array({ maxLength: 4 }),
      fc.constant<AmqpValue>(new Described(ulong(0x24), [])),
      fc.constant<AmqpValue>('text'),
    );
    const list = fc.array(scalar, { maxLength: 14 });
    const outcomeOf = (read: () => object): object | 'refused' => {
      try {
        return read();
      } catch (error) {
        assert.ok(error instanceof ProtocolError && error.condition === 'amqp:decode-error', String(error));
        return 'refused';
      }
    };
    fc.assert(
      fc.property(list, fc.constantFrom('transfer', 'disposition', 'flow'), (fields, kind) => {
        // A flow's properties are stepped over, not read: no list of values can tell the difference but by that field.
        if (kind === 'flow' && fields.length > 10) fields.length = 10;
        const bytes = encodeValue(fields);
        const end = bytes.length;
        if (kind === 'transfer')
          assert.deepEqual(
            outcomeOf(() => hotTransfer(bytes, 0, end).plain),
            outcomeOf(() => plainTransfer(readTransferBody(new Reader(bytes)))),
          );
        if (kind === 'disposition')
          assert.deepEqual(
            outcomeOf(() => hotDisposition(bytes, 0, end)),
            outcomeOf(() => plainDisposition(readDispositionBody(new Reader(bytes)))),
          );
        if (kind === 'flow')
          assert.deepEqual(
            outcomeOf(() => hotFlow(bytes, 0, end)),
            outcomeOf(() => plainFlow(readFlowBody(new Reader(bytes)))),
          );
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('any bytes', () => {
  const starts = fc.constantFrom(
    0x40,
    0x41,
    0x42,
    0x43,
    0x45,
    0x50,
    0x52,
    0x56,
    0x70,
    0xa0,
    0xb0,
    0xc0,
    0xd0,
    0x00,
    0x53,
    0x24,
    0x25,
    0x34,
  );
  const octets = fc
    .array(fc.oneof(starts, fc.integer({ min: 0, max: 255 })), { maxLength: 40 })
    .map((list) => Uint8Array.from([0xc0, list.length, ...list]));
  const mutated = fc
    .tuple(
      fc.oneof(
        anyTransfer.map((t) => bodyOf((w) => writeTransfer(w, t))),
        anyDisposition.map((d) => bodyOf((w) => writeDisposition(w, d))),
        anyFlow.map((f) => bodyOf((w) => writeFlow(w, f))),
      ),
      fc.nat(),
      fc.nat(255),
    )
    .map(([bytes, at, value]) => {
      const copy = bytes.slice(3);
      copy[at % copy.length] = value;
      return copy;
    });

  for (const [name, parse] of [
    ['parseTransfer', hotTransfer],
    ['parseDisposition', hotDisposition],
    ['parseFlow', hotFlow],
  ] as const) {
    it(`meet ${name} with a value or a ProtocolError, and nothing is read past the end`, () => {
      fc.assert(
        fc.property(fc.oneof(octets, mutated, fc.uint8Array({ maxLength: 40 })), fc.nat(40), (bytes, cut) => {
          const end = Math.min(bytes.length, cut);
          const told = [bytes, bytes.map((byte, i) => (i < end ? byte : 0x43))].map((b) => {
            try {
              return parse(b, 0, end);
            } catch (error) {
              assert.ok(error instanceof ProtocolError, String(error));
              return 'refused';
            }
          });
          // Whatever follows the end, the answer is the same.
          assert.deepEqual(told[0], told[1]);
        }),
        { numRuns: 3_000 },
      );
    });
  }
});

/** Of the list whose constructor is at `at`. */
const fieldCount = (b: Uint8Array, at: number): number => (b[at] === 0xc0 ? b[at + 2]! : b[at + 8]!);

describe('the writers of the hot path are read by the generated readers', () => {
  it('transfers', () => {
    const b = new Uint8Array(1_024);
    const tag = maybe(fc.uint8Array({ maxLength: 32 }));
    fc.assert(
      fc.property(
        fc.nat(0xffff),
        uint,
        uint,
        tag,
        uint,
        uint,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        maybe(state),
        fc.boolean(),
        (channel, handle, id, given, counter, format, settled, more, aborted, said, padded) => {
          const size = writeTransferHead(
            b,
            3,
            channel,
            handle,
            id,
            given,
            counter,
            format,
            settled,
            more,
            aborted,
            said,
            padded,
          );
          if (padded) assert.equal(fieldCount(b, 3 + 8 + 3), 11);
          const r = new Reader(b, 3 + 8 + 3, 3 + size);
          const transfer = readTransferBody(r);
          assert.equal(r.remaining, 0);
          assert.deepEqual([b[7], b[8], (b[9]! << 8) | b[10]!], [2, 0, channel]);
          const counted = Uint8Array.of(0, 0, 0, 0, counter >>> 24, counter >>> 16, counter >>> 8, counter);
          assert.deepEqual(
            plainTransfer(transfer),
            plainTransfer({
              type: 'transfer',
              handle,
              deliveryId: id,
              deliveryTag: given ?? counted,
              messageFormat: format,
              settled,
              more,
              aborted,
              state: said,
            }),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  it('transfers that go on', () => {
    const b = new Uint8Array(64);
    const size = writeTransferHead(b, 0, 1, 5, -1, undefined, 0, -1, false, true, false, undefined, false);
    const transfer = readTransferBody(new Reader(b, 11, size));
    assert.deepEqual(
      plainTransfer(transfer),
      plainTransfer({ type: 'transfer', handle: 5, settled: false, more: true }),
    );
  });

  it('dispositions and flows', () => {
    fc.assert(
      fc.property(
        fc.nat(0xffff),
        fc.boolean(),
        uint,
        uint,
        fc.boolean(),
        maybe(state),
        fc.boolean(),
        (channel, receiver, first, last, settled, said, padded) => {
          const out = new Output();
          writeDispositionFrame(out, channel, receiver, first, last, settled, said, 65_536, padded);
          const bytes = Uint8Array.from(Buffer.concat(out.take()!));
          assert.equal(fieldCount(bytes, 8 + 3), padded ? 6 : 5);
          const [heard] = heardIn(bytes);
          assert.equal(heard!.channel, channel);
          assert.deepEqual(
            plainDisposition(heard!.frame as Disposition),
            plainDisposition({ type: 'disposition', role: receiver, first, last, settled, state: said }),
          );
        },
      ),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(
        fc.nat(0xffff),
        maybe(uint),
        uint,
        uint,
        maybe(uint),
        uint,
        uint,
        fc.boolean(),
        fc.tuple(fc.boolean(), fc.boolean()),
        (channel, incoming, window, next, handle, count, credit, drain, [echo, padded]) => {
          const out = new Output();
          const from = orAbsent(incoming);
          writeFlowFrame(out, channel, from, window, next, orAbsent(handle), count, credit, drain, echo, padded);
          const bytes = Uint8Array.from(Buffer.concat(out.take()!));
          if (padded) assert.equal(fieldCount(bytes, 8 + 3), 11);
          const [heard] = heardIn(bytes);
          const link = handle === undefined ? {} : { handle, deliveryCount: count, linkCredit: credit, drain };
          assert.equal(heard!.channel, channel);
          assert.deepEqual(
            plainFlow(heard!.frame as Flow),
            plainFlow({
              type: 'flow',
              nextIncomingId: incoming,
              incomingWindow: window,
              nextOutgoingId: next,
              outgoingWindow: 0x7fffffff,
              ...link,
              echo,
            }),
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});
