// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AmqpSymbol, Writer, encodeMessage, int, sectionsOf, writeValue } from '@pointsman/wire';
import type { AmqpValue, Message } from '@pointsman/wire';
import { hasNoAnnotations } from '../src/annotations.js';
import { World } from './world.js';
import type { Outlet } from './world.js';

const annotated = (entries: readonly (readonly [string, unknown])[]): Message => ({
  messageAnnotations: new Map(entries) as never,
});
const rejection = (outlet: Outlet): { condition: string; description: string } =>
  (outlet.outcomes.at(-1)!.state as { error: { condition: string; description: string } }).error;

/** A section of message annotations with any value at all, in front of a body. */
function withAnnotations(value: AmqpValue): Uint8Array {
  const w = new Writer();
  writeValue(w, value);
  return Buffer.concat([
    Buffer.from([0, 0x53, 0x72]),
    w.toBytes(),
    encodeMessage({ body: { kind: 'value', value: 'x' } }),
  ]);
}

describe('a message whose head is not what it has to be', () => {
  const cases: readonly [string, Uint8Array, string, RegExp][] = [
    [
      'to',
      encodeMessage(annotated([['x-opt-qd.to', int(1)]])),
      'amqp:invalid-field',
      /^to-override not a valid string type$/,
    ],
    [
      'trace',
      encodeMessage(annotated([['x-opt-qd.trace', 'x']])),
      'amqp:invalid-field',
      /^trace annotation is not a list$/,
    ],
    [
      'entries of the trace',
      encodeMessage(annotated([['x-opt-qd.trace', ['a', int(1)]]])),
      'amqp:invalid-field',
      /^trace list contains non-string entries$/,
    ],
    [
      'ingress',
      encodeMessage(annotated([['x-opt-qd.ingress', true]])),
      'amqp:invalid-field',
      /^ingress router not a string type$/,
    ],
    [
      'a list',
      withAnnotations(['x']),
      'amqp:invalid-field',
      /^Invalid message annotations section - missing map type$/,
    ],
    [
      'a map of one',
      Buffer.from([0, 0x53, 0x72, 0xc1, 4, 1, 0xa3, 1, 0x61, 0, 0x53, 0x77, 0x40]),
      'amqp:invalid-field',
      /^Invalid MA map count \(odd number of fields\)$/,
    ],
    [
      'a map that is cut',
      Buffer.from([0, 0x53, 0x72, 0xc1, 90, 2, 0xa3]),
      'amqp:decode-error',
      /^invalid message format/,
    ],
    [
      'a count beyond all bytes',
      Buffer.from([0, 0x53, 0x72, 0xc1, 2, 200, 0x40]),
      'amqp:decode-error',
      /^invalid message format/,
    ],
    ['no section', Buffer.from([0, 0x53, 0x10, 0x45]), 'amqp:decode-error', /^invalid message format/],
  ];
  for (const [what, bytes, condition, description] of cases) {
    it(`is rejected, and its credit given back: ${what}`, () => {
      const world = new World();
      const inlet = world.peer().receive('q');
      const outlet = world.peer().send('q');
      for (let i = 0; i < 300; i++) outlet.raw(bytes, false, 'bad');
      assert.equal(rejection(outlet).condition, condition);
      assert.match(rejection(outlet).description, description);
      assert.ok(outlet.link.credit > 100);
      outlet.text('good');
      assert.deepEqual(inlet.texts, ['good']);
    });
  }

  it('is rejected where neither link nor message names an address', () => {
    const outlet = new World().peer().send(undefined);
    for (const properties of [undefined, { subject: 's' }]) {
      outlet.text('x', false, properties === undefined ? {} : { properties });
      const { condition, description } = rejection(outlet);
      assert.equal(`${condition}: ${description}`, 'amqp:precondition-failed: Routing failure: no address present');
    }
  });
});

describe('annotations', () => {
  const OWN: readonly (readonly [string, unknown])[] = [
    ['x-opt-qd.trace', ['0/before']],
    ['x-opt-qd.stream', int(1)],
    ['x-opt-qd.ingress', '0/before'],
  ];
  const USER: readonly (readonly [string, unknown])[] = [
    ['mine', 'one'],
    ['x-opt-qd.unknown', 'two'],
    ['x-opt', int(3)],
  ];
  const NEW = [
    ['x-opt-qd.to', 'q'],
    ['x-opt-qd.ingress', '0/R'],
    ['x-opt-qd.trace', ['0/R']],
  ];
  const KEPT = [
    ['x-opt-qd.stream', int(1)],
    ['x-opt-qd.to', 'q'],
    ['x-opt-qd.ingress', '0/before'],
    ['x-opt-qd.trace', ['0/before', '0/R']],
  ];
  const cases = [
    ['both', 'both', []],
    ['both', 'in', NEW],
    ['in', 'out', []],
    ['in', 'no', NEW],
    ['out', 'in', KEPT],
    ['out', 'both', []],
    ['no', 'no', KEPT],
    ['no', 'out', []],
  ] as const;
  for (const [sender, receiver, expected] of cases) {
    it(`of routers are as stripAnnotations says, the user’s as they were: from ${sender} to ${receiver}`, () => {
      const world = new World();
      const inlet = world.peer({ stripAnnotations: receiver }).receive('q');
      const outlet = world.peer({ stripAnnotations: sender }).send('q');
      const more = { deliveryAnnotations: new Map([['d', 'of the sender']]) as never, header: { durable: true } };
      outlet.text('x', false, { ...more, ...annotated([...USER, ...OWN]) });
      outlet.text('y', false, { ...more, ...annotated(OWN) });
      const [x, y] = [inlet.message(0), inlet.message(1)];
      assert.deepEqual([...x.messageAnnotations!], [...USER, ...expected]);
      assert.deepEqual(y.messageAnnotations === undefined ? [] : [...y.messageAnnotations], expected);
      for (const message of [x, y]) {
        assert.equal(message.deliveryAnnotations!.get('d'), 'of the sender');
        assert.equal(message.header!.durable, true);
      }
      if (expected.length === 0) assert.equal(y.messageAnnotations, undefined);
    });
  }

  it('change nothing in front of them and behind them, byte for byte', () => {
    const world = new World();
    const inlets = (['both', 'no'] as const).map((stripAnnotations) =>
      world.peer({ stripAnnotations }).receive(`q.${stripAnnotations}`),
    );
    const bytes = encodeMessage({
      header: { durable: true, priority: 7 },
      deliveryAnnotations: new Map([['d', new AmqpSymbol('s')]]) as never,
      ...annotated([['mine', [int(1), 'two']]]),
      properties: { messageId: 'm', subject: 's', replyTo: 'r' },
      applicationProperties: new Map([['a', true]]) as never,
      body: { kind: 'data', sections: [Uint8Array.of(1, 2, 3), Uint8Array.of(4)] },
      footer: new Map([['f', 1]]) as never,
    });
    const parts = (of: Uint8Array): string[] =>
      sectionsOf(of).map(({ code, start, end }) => `${code}:${Buffer.from(of.subarray(start, end)).toString('hex')}`);
    const isAnnotations = (part: string): boolean => part.startsWith(`${0x72}:`);
    for (const inlet of inlets) {
      const outlet = world.peer().send(inlet === inlets[0] ? 'q.both' : 'q.no');
      outlet.raw(bytes);
      const got = parts(inlet.bytes[0]!);
      assert.deepEqual(
        got.filter((part) => !isAnnotations(part)),
        parts(bytes).filter((part) => !isAnnotations(part)),
      );
      assert.equal(got.findIndex(isAnnotations), 2);
      assert.deepEqual(inlet.message(0).messageAnnotations!.get('mine'), [int(1), 'two']);
    }
    assert.deepEqual(Buffer.from(inlets[0]!.bytes[0]!), Buffer.from(bytes));
  });

  it('are not looked for where it is plain that there are none', () => {
    const body = { body: { kind: 'value', value: 'x' } } as const;
    const properties = { subject: 's' };
    const plain: readonly Message[] = [
      body,
      { properties, ...body },
      { header: {}, ...body },
      {
        header: { durable: true, priority: 4, ttl: 1_000, firstAcquirer: true, deliveryCount: 9 },
        properties,
        ...body,
      },
    ];
    const other: readonly Message[] = [
      { ...annotated([['mine', 'x']]), ...body },
      { header: { durable: true }, ...annotated([['mine', 'x']]), ...body },
      { header: { durable: true }, deliveryAnnotations: new Map([['d', 'x']]) as never, ...body },
      { deliveryAnnotations: new Map([['d', 'x']]) as never, ...body },
      { header: { durable: true } },
    ];
    const isPlain = (message: Message): boolean => {
      const bytes = encodeMessage(message);
      return hasNoAnnotations(bytes, 0, bytes.length);
    };
    assert.ok(plain.every(isPlain));
    assert.ok(!other.some(isPlain));
    assert.equal(hasNoAnnotations(Uint8Array.of(0, 0x53, 0x70, 0xc0, 200, 1, 0, 0x53, 0x77), 0, 9), false);
    assert.equal(hasNoAnnotations(Uint8Array.of(0, 0x53, 0x70), 0, 3), false);
  });

  it('may be longer than what is looked at first', () => {
    const world = new World();
    const inlet = world.peer({ stripAnnotations: 'no' }).receive('q', 10);
    const outlet = world.peer().send(undefined);
    const message: Message = {
      ...annotated([['mine', 'm'.repeat(200_000)]]),
      properties: { to: 'q' },
      body: { kind: 'value', value: 'x'.repeat(500_000) },
    };
    const bytes = encodeMessage(message);
    const delivery = outlet.raw(bytes, false, 'long');
    for (let sent = outlet.link.sentBytes; !delivery.complete;) {
      const n = outlet.link.resume(bytes, sent, bytes.length, true);
      assert.ok(n > 0, 'it goes on');
      sent += n;
      world.run();
    }
    assert.equal(String(inlet.message(0).messageAnnotations!.get('mine')).length, 200_000);
    assert.deepEqual(outlet.told, {});
    assert.equal(inlet.texts[0]!.length, 500_000);
  });
});

describe('what stands behind the annotations', () => {
  const sized = (bytes: number): Uint8Array => {
    const body = new Uint8Array(8 + bytes);
    body.set([0x00, 0x53, 0x75, 0xb0, bytes >>> 24, (bytes >>> 16) & 0xff, (bytes >>> 8) & 0xff, bytes & 0xff]);
    return body;
  };

  it('need not be here yet for a receiver that wants annotations', () => {
    const world = new World();
    const inlet = world.peer({ stripAnnotations: 'no' }).receive('a');
    const outlet = world.peer().send('a');
    const body = sized(300_000);
    const delivery = outlet.raw(body.subarray(0, 200_000), false, 'large', false);
    assert.equal(outlet.peer.end, undefined);
    assert.ok(inlet.bytes[0]!.length > 150_000);
    outlet.link.resume(body, 200_000, body.length, true);
    world.run();
    assert.equal(delivery.complete, true);
    assert.equal(Buffer.compare(inlet.bytes[0]!.subarray(-300_000), body.subarray(8)), 0);
  });

  it('need not be here yet for an exchange: there is no subject', () => {
    const world = new World({
      exchanges: [{ name: 'e', address: 'a', alternateAddress: 'b' }],
    });
    const inlet = world.peer().receive('b');
    const outlet = world.peer().send('a');
    const body = sized(2_000_000);
    outlet.raw(body.subarray(0, 200_000), false, 'large', false);
    assert.equal(outlet.peer.end, undefined);
    assert.ok(inlet.bytes[0]!.length > 150_000);
  });

  it('is not looked at, whatever it is: one message costs no connection', () => {
    for (const stripAnnotations of ['no', 'both'] as const) {
      const world = new World();
      const inlet = world.peer({ stripAnnotations }).receive('a');
      const outlet = world.peer().send('a');
      outlet.raw(Uint8Array.of(0x00, 0x53, 0x75, 0xa0, 0xff, 0x01), false, 'cut short');
      assert.equal(inlet.deliveries.length, 1);
      outlet.raw(Uint8Array.of(0x00), false, 'one byte');
      assert.equal(outlet.peer.end, undefined);
      assert.equal(inlet.deliveries.length, stripAnnotations === 'no' ? 1 : 2);
      assert.deepEqual(outlet.told, stripAnnotations === 'no' ? { 'one byte': 'rejected' } : {});
    }
  });
});
