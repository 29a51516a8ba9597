// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  Described,
  FRAME_AMQP,
  FRAME_SASL,
  Writer,
  beginFrame,
  endFrame,
  float,
  protocolHeader,
  symbol,
  timestamp,
  uint,
  ulong,
  uuid,
  writeAttach,
  writeClose,
  writeOpen,
  writeSaslInit,
  writeSaslMechanisms,
  writeTransfer,
  writeValue,
} from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { TextTracer, frameTrace, headerTrace } from '../src/index.js';
import { Pair, sendText } from './pair.js';

function frame(
  write: (w: Writer) => void,
  payload: Uint8Array = new Uint8Array(0),
  type = FRAME_AMQP,
  channel = 0,
): Uint8Array {
  const w = new Writer(512);
  const start = beginFrame(w);
  write(w);
  const head = w.written().slice();
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  const whole = new Writer(bytes.length);
  whole.bytes = bytes;
  whole.position = bytes.length;
  endFrame(whole, start, type, channel);
  return whole.bytes.slice(0, bytes.length);
}

const traced = (bytes: Uint8Array): string => frameTrace('->', bytes, 0, bytes.length).text;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('the trace of a frame', () => {
  it('names performative, code, and the fields that are there', () => {
    const properties = new Map<string, AmqpValue>([
      ['product', 'a "router"'],
      ['qd.conn-id', ulong(5)],
    ]);
    const bytes = frame((w) =>
      writeOpen(w, { containerId: 'A', maxFrameSize: 16384, offeredCapabilities: ['ANONYMOUS-RELAY'], properties }),
    );
    assert.match(
      traced(bytes),
      /^FRAME: 0 -> @open\(16\) \[container-id="A", max-frame-size=16384, offered-capabilities=(@symbol\[)?:"ANONYMOUS-RELAY"\]?, properties=\{:product="a \\"router\\"", :"qd.conn-id"=5\}\]$/,
    );
  });

  it('names what is nested, such as termini, states and errors', () => {
    const attach = frame(
      (w) =>
        writeAttach(w, {
          name: 'l',
          handle: 3,
          role: true,
          source: { type: 'source', address: 'q1' },
          target: { type: 'target' },
        }),
      undefined,
      FRAME_AMQP,
      7,
    );
    assert.equal(
      traced(attach),
      'FRAME: 7 -> @attach(18) [name="l", handle=3, role=true, source=@source(40) [address="q1"], target=@target(41) []]',
    );
    const close = frame((w) => writeClose(w, { error: { condition: 'amqp:connection:forced', description: 'bye' } }));
    assert.equal(
      frameTrace('<-', close, 0, close.length).text,
      'FRAME: 0 <- @close(24) [error=@error(29) [condition=:"amqp:connection:forced", description="bye"]]',
    );
  });

  it('shows the size of a payload and its beginning', () => {
    const transfer = (payload: Uint8Array): string =>
      traced(frame((w) => writeTransfer(w, { handle: 0, deliveryId: 1, settled: true }), payload));
    assert.equal(
      transfer(Uint8Array.of(0, 0x53, 0x77, 0xa1, 2, 0x68, 0x22)),
      'FRAME: 0 -> @transfer(20) [handle=0, delivery-id=1, settled=true] (7) "\\x00Sw\\xa1\\x02h\\""',
    );
    assert.match(transfer(utf8('x'.repeat(5000))), /\(5000\) "x{512}"\.\.\. \(truncated\)$/);
  });

  it('knows protocol headers, empty frames, and values of every kind', () => {
    assert.equal(headerTrace('<-', protocolHeader(3), 0), '<- SASL');
    assert.equal(headerTrace('->', protocolHeader(0), 0), '-> AMQP');
    assert.equal(traced(Uint8Array.of(0, 0, 0, 8, 2, 0, 0, 4)), 'FRAME: 4 -> (EMPTY FRAME)');
    const value = new Described(symbol('my:type'), [
      null,
      true,
      uint(1),
      float(1.5),
      timestamp(12),
      symbol('bare'),
      Uint8Array.of(1, 0x41),
      uuid(new Uint8Array(16)),
      new Map([['k', [1n]]]),
    ]);
    assert.equal(
      traced(frame((w) => writeValue(w, value))),
      'FRAME: 0 -> @:"my:type" [null, true, 1, 1.5, 12, :bare, b"\\x01A", 00000000-0000-0000-0000-000000000000, {"k"=[1]}]',
    );
  });

  it('holds no response of SASL, no token and no password', () => {
    const init = frame(
      (w) => writeSaslInit(w, { mechanism: 'PLAIN', initialResponse: utf8('\0user\0pa55'), hostname: 'h' }),
      undefined,
      FRAME_SASL,
    );
    assert.equal(
      traced(init),
      'FRAME: 0 -> @sasl-init(65) [mechanism=:PLAIN, initial-response=<hidden>, hostname="h"]',
    );
    const mechanisms = frame(
      (w) => writeSaslMechanisms(w, { saslServerMechanisms: ['PLAIN', 'EXTERNAL'] }),
      undefined,
      FRAME_SASL,
    );
    assert.match(
      traced(mechanisms),
      /^FRAME: 0 -> @sasl-mechanisms\(64\) \[sasl-server-mechanisms=@symbol\[:PLAIN, :EXTERNAL\]\]$/,
    );
    const open = frame((w) => writeOpen(w, { containerId: 'A', properties: new Map([['x-token', 'pa55']]) }));
    assert.match(traced(open), /:"x-token"=<hidden>/);
    const token = frame((w) => writeTransfer(w, { handle: 2 }), utf8('put-token SharedAccessSignature sr=x&sig=pa55'));
    assert.match(traced(token), /\(\d+\) <hidden>$/);
    for (const bytes of [init, open, token]) assert.doesNotMatch(traced(bytes), /pa55/);
  });

  it('is bounded, and never an error, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 300 }), (bytes) => {
        const { text } = frameTrace('<-', bytes, 0, bytes.length);
        // eslint-disable-next-line no-control-regex
        return text.startsWith('FRAME: ') && !/[\u0000-\u001f]/.test(text);
      }),
    );
    const wide = frame((w) => writeValue(w, new Array<string>(5000).fill('some text')));
    assert.ok(traced(wide).length < 2100);
  });
});

describe('the tracer of a connection', () => {
  it('tells headers and frames of both directions in their order, from when it is set', () => {
    const pair = new Pair();
    const lines: string[] = [];
    pair.client.tracer = new TextTracer(5, (text) => lines.push(text));
    const { sender } = pair.link(10);
    pair.run();
    sendText(sender, 'hello');
    pair.run();
    const short = lines.map((line) => line.replace(/ \[.*/, ''));
    assert.equal(short[0], '[C5]: -> AMQP');
    assert.ok(short.includes('[C5]: <- AMQP'));
    for (const name of ['@open(16)', '@begin(17)', '@attach(18)']) {
      assert.ok(short.includes(`[C5]:FRAME: 0 -> ${name}`), name);
      assert.ok(short.includes(`[C5]:FRAME: 0 <- ${name}`), name);
    }
    assert.equal(short.filter((line) => line === '[C5]:FRAME: 0 -> @transfer(20)').length, 1);
    assert.match(
      lines.find((line) => line.includes('@transfer'))!,
      /\(\d+\) "hello"$/,
    );
    pair.client.tracer = undefined;
    const before = lines.length;
    sendText(sender, 'again');
    pair.run();
    assert.equal(lines.length, before);
  });

  it('reads frames that are cut into buffers anywhere', () => {
    const first = frame((w) => writeOpen(w, { containerId: 'A' }));
    const second = frame((w) => writeTransfer(w, { handle: 1 }), utf8('payload'));
    const all = new Uint8Array([...protocolHeader(0), ...first, ...second]);
    const whole: string[] = [];
    new TextTracer(1, (text) => whole.push(text)).outgoing([all]);
    assert.equal(whole.length, 3);
    for (let cut = 1; cut < all.length; cut++) {
      const lines: string[] = [];
      new TextTracer(1, (text) => lines.push(text)).outgoing([all.subarray(0, cut), all.subarray(cut)]);
      assert.deepEqual(lines, whole);
    }
  });

  it('keeps back the rest of a delivery whose beginning it kept back', () => {
    const lines: string[] = [];
    const tracer = new TextTracer(1, (text) => lines.push(text));
    const part = (text: string, more: boolean): void => {
      const bytes = frame((w) => writeTransfer(w, { handle: 4, more }), utf8(text));
      tracer.incomingFrame(bytes, 0, bytes.length);
    };
    part('put-token', true);
    part('pa55', true);
    part('pa55', false);
    part('open', false);
    assert.deepEqual(
      lines.map((line) => line.includes('<hidden>')),
      [true, true, true, false],
    );
  });
});
