// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import type { Attach, DeliveryState } from '@pointsman/wire';
import { ACCEPTED, Connection, MODIFIED_FAILED, RELEASED, SenderLink } from '../src/index.js';
import type {
  ConnectionOptions,
  IncomingDelivery,
  OutgoingDelivery,
  ReceiverLink,
  Session,
  TransferFrame,
} from '../src/index.js';
import { Conformity } from './conformity.js';
import { RecordingReceiver, RecordingSender, Recorder } from './pair.js';
import { heardIn, joined } from './raw-peer.js';

const BIG = new Uint8Array(3_000).fill(5);

/** Does on each happening what an application might, one thing after the other, so that a conversation visits much. */
class Busy extends Recorder {
  turn = 0;
  readonly #acts: boolean;

  constructor(acts: boolean) {
    super();
    this.#acts = acts;
  }

  override onOpen(connection: Connection, open: Parameters<Recorder['onOpen']>[1]): void {
    super.onOpen(connection, open);
    if (!this.#acts) return;
    const session = connection.session({ incomingWindow: 8 });
    this.attach(session);
    connection.session();
  }

  attach(session: Session): void {
    const sending = new BusySender(this);
    sending.link = session.attachSender('orders', sending, {
      target: { type: 'target', address: 'q' },
      source: { type: 'source' },
    });
    const receiving = new BusyReceiver(this);
    receiving.link = session.attachReceiver('answers', receiving, {
      source: { type: 'source', address: 'q' },
      target: { type: 'target' },
      rcvSettleMode: 1,
    });
    receiving.link.addCredit(5);
  }

  override onAttach(link: SenderLink | ReceiverLink, attach: Attach): void {
    this.events.push(`attach ${attach.name}`);
    const turn = this.turn++;
    if (turn % 5 === 4) return link.refuse({ condition: 'amqp:not-found', description: 'no' });
    if (link instanceof SenderLink) {
      const handler = new BusySender(this);
      this.senders.push(handler);
      handler.link = link;
      link.accept(handler);
    } else {
      const handler = new BusyReceiver(this);
      this.receivers.push(handler);
      handler.link = link;
      link.accept(handler, { maxMessageSize: 20_000n });
      link.addCredit(3);
    }
  }
}

class BusySender extends RecordingSender {
  readonly #owner: Busy;

  constructor(owner: Busy) {
    super();
    this.#owner = owner;
  }

  override onSendable(): void {
    super.onSendable();
    const { link } = this;
    if (link.current !== undefined) {
      if (this.#owner.turn++ % 4 === 0) link.abort();
      else if (link.resumable) link.resume(BIG, 0, 100, true);
      return;
    }
    for (let i = 0; i < 2 && link.sendable; i++) {
      const turn = this.#owner.turn++;
      if (turn % 3 === 0) link.send(undefined, 0, turn % 2 === 0, undefined, BIG, 0, BIG.length, turn % 4 !== 1);
      else link.send(Uint8Array.of(turn), 0, false, undefined, BIG, 0, 10, true);
    }
  }

  override onDisposition(
    link: SenderLink,
    delivery: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    super.onDisposition(link, delivery, state, settled);
    if (!settled) link.settle(delivery, state);
  }
}

class BusyReceiver extends RecordingReceiver {
  readonly #owner: Busy;

  constructor(owner: Busy) {
    super();
    this.#owner = owner;
  }

  override onTransfer(link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    super.onTransfer(link, delivery, frame);
    if (!delivery.complete || delivery.aborted) return;
    const turn = this.#owner.turn++;
    const outcomes = [
      ACCEPTED,
      RELEASED,
      MODIFIED_FAILED,
      { type: 'rejected' as const, error: { condition: 'amqp:decode-error' } },
    ];
    if (turn % 3 === 2) link.update(delivery, outcomes[turn % 4]!);
    else link.settle(delivery, outcomes[turn % 4]);
    if (turn % 7 === 6) link.drain();
    else link.addCredit(1 + (turn % 2));
    if (turn % 11 === 10) link.withdrawCredit();
  }
}

const PLAIN = {
  client: { saslClient: { mechanisms: ['PLAIN'], username: 'ann', password: (): string => 'secret' } },
  server: {
    saslServer: {
      mechanisms: ['PLAIN', 'ANONYMOUS'],
      optional: true,
      authenticate: (): { ok: boolean } => ({ ok: true }),
    },
  },
} satisfies Record<string, Partial<ConnectionOptions>>;

function endpoint(role: 'client' | 'server'): { connection: Connection; busy: Busy } {
  const busy = new Busy(role === 'client');
  const options = {
    role,
    containerId: role,
    now: 0,
    maxFrameSize: 1_024,
    idleTimeoutMs: 60_000,
    ...(role === 'client' ? PLAIN.client : PLAIN.server),
  };
  return { connection: new Connection(options, busy), busy };
}

function takeAll(connection: Connection, now: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let out = connection.takeOutput(now); out !== undefined; out = connection.takeOutput(now)) {
    parts.push(...out.map((part) => part.slice()));
    connection.releaseOutput(out, now);
  }
  return joined(parts);
}

/** A conversation as it should be: what either side says, frame by frame. */
function converse(): { client: Uint8Array[]; server: Uint8Array[] } {
  const [client, server] = [endpoint('client'), endpoint('server')];
  const said = { client: [] as Uint8Array[], server: [] as Uint8Array[] };
  const run = (): void => {
    for (;;) {
      const out = takeAll(client.connection, 0);
      server.connection.receive(out, 0);
      const back = takeAll(server.connection, 0);
      client.connection.receive(back, 0);
      for (const { at, size } of framesIn(out)) said.client.push(out.slice(at, at + size));
      for (const { at, size } of framesIn(back)) said.server.push(back.slice(at, at + size));
      if (out.length === 0 && back.length === 0) return;
    }
  };
  const script: (() => void)[] = [
    () => undefined,
    () => server.busy.receivers[0]!.link.addCredit(20),
    () => server.busy.receivers[0]!.link.drain(),
    () => server.busy.receivers[0]!.link.setCredit(2),
    () => client.connection.sessions[0]!.sendSessionFlow(true),
    () => client.connection.sessions[0]!.links[0]!.detach(),
    () => client.busy.attach(client.connection.sessions[0]!),
    () => client.busy.attach(client.connection.sessions[1]!),
    () => server.busy.senders[0]!.link.detach({ condition: 'amqp:link:detach-forced', description: 'idle' }, false),
    () => client.busy.attach(client.connection.session({ incomingWindow: 4 })),
    () => client.connection.sessions[1]!.end(),
    () => server.connection.sessions[0]!.end({ condition: 'amqp:resource-limit-exceeded' }),
    () => server.connection.close({ condition: 'amqp:connection:forced', description: 'enough' }),
  ];
  for (const step of script) {
    step();
    run();
  }
  assert.equal(client.busy.end?.by, 'remote');
  assert.equal(server.busy.errors.length + client.busy.errors.length, 0);
  return said;
}

function framesIn(bytes: Uint8Array): { at: number; size: number }[] {
  const frames: { at: number; size: number }[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = bytes[at] === 0x41 ? 8 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
    frames.push({ at, size });
    at += size;
  }
  return frames;
}

const FRAMES = ['open', 'begin', 'attach', 'flow', 'transfer', 'disposition', 'detach', 'end', 'close'] as const;

type Change =
  | { readonly do: 'drop' | 'double' | 'swap' | 'again'; readonly at: number; readonly from: number }
  | {
      readonly do: 'channel' | 'byte' | 'stretch' | 'foreign';
      readonly at: number;
      readonly from: number;
      readonly value: number;
    };

const changes: Arbitrary<Change[]> = fc.array(
  fc.record({
    do: fc.constantFrom(
      'drop' as const,
      'double' as const,
      'swap' as const,
      'again' as const,
      'channel' as const,
      'byte' as const,
      'byte' as const,
      'stretch' as const,
      'foreign' as const,
    ),
    at: fc.nat(10_000),
    from: fc.nat(10_000),
    value: fc.oneof(fc.nat(255), fc.constantFrom(0, 0x40, 0x43, 0x45, 0x52, 0x53, 0xff)),
  }),
  { maxLength: 5 },
);

function changed(frames: readonly Uint8Array[], other: readonly Uint8Array[], list: readonly Change[]): Uint8Array {
  const stream = frames.map((frame) => frame.slice());
  for (const change of list) {
    if (stream.length === 0) break;
    const at = change.at % stream.length;
    const from = change.from % stream.length;
    const frame = stream[at]!;
    switch (change.do) {
      case 'drop':
        stream.splice(at, 1);
        break;
      case 'double':
        stream.splice(at, 0, frame.slice());
        break;
      case 'swap':
        [stream[at], stream[from]] = [stream[from]!, frame];
        break;
      case 'again':
        stream.splice(at, 0, stream[from]!.slice());
        break;
      case 'channel':
        frame[7] = change.value;
        break;
      case 'byte':
        frame[change.from % frame.length] = change.value;
        break;
      case 'stretch':
        stream[at] = Uint8Array.from([...frame, change.value]);
        break;
      // What only the other side may say.
      case 'foreign':
        stream.splice(at, 0, other[change.from % other.length]!.slice());
        break;
    }
  }
  return joined(stream);
}

/** Feeds a stream in the pieces that `cuts` make of it; takes what is answered after each, and checks what must hold at any time. */
function feed(role: 'client' | 'server', stream: Uint8Array, cuts: readonly number[], listens = true): string {
  const { connection, busy } = endpoint(role);
  const conformity = new Conformity();
  let now = 0;
  const listen = (): void => {
    const heard = heardIn(takeAll(connection, now));
    conformity.hear(heard);
    const open = connection.remoteOpen;
    const most = open === undefined ? 512 : (open.maxFrameSize ?? Infinity);
    for (const { size } of heard) assert.ok(size <= most, `a frame of ${size} bytes`);
    if (connection.done) assert.notEqual(connection.ended, undefined);
  };
  listen();
  const edges = [...new Set([...cuts.map((cut) => cut % (stream.length + 1)), stream.length])].toSorted(
    (a, b) => a - b,
  );
  let at = 0;
  for (const edge of edges) {
    connection.receive(stream.slice(at, edge), now);
    at = edge;
    if (listens) listen();
  }
  listen();
  // Left alone it comes to an end by itself, in few steps: no deadline lies in the past for ever.
  for (let steps = 0; connection.ended === undefined; steps++) {
    const deadline = connection.deadline();
    assert.ok(deadline !== undefined && steps < 50, 'it ends when its peer falls silent');
    now = Math.max(now, deadline);
    connection.tick(now);
    listen();
  }
  assert.equal(connection.deadline(), undefined);
  connection.receiveEnd(now);
  connection.receive(stream, now);
  connection.tick(now + 1e9);
  assert.deepEqual(connection.sessions, []);
  assert.equal(takeAll(connection, now).length, 0, 'nothing is said behind the end');
  assert.equal(busy.events.filter((event) => event.startsWith('closed')).length, 1);
  return JSON.stringify([
    busy.events,
    busy.errors.map((error) => error.condition),
    connection.ended.by,
    connection.ended.error?.condition,
  ]);
}

describe('whatever a peer says', () => {
  const conversation = converse();

  it('is said in a conversation that visits every kind of frame', () => {
    for (const side of ['client', 'server'] as const) {
      const types = heardIn(joined(conversation[side])).map(({ frame }) => frame.type);
      assert.ok(types.length > 60, `${types.length} frames`);
      assert.deepEqual(
        FRAMES.filter((type) => !types.includes(type)),
        [],
      );
    }
  });

  for (const role of ['server', 'client'] as const) {
    const peer = role === 'server' ? conversation.client : conversation.server;
    const own = role === 'server' ? conversation.server : conversation.client;

    it(`a ${role} ends it cleanly and says nothing that it may not, when a few frames are wrong`, () => {
      fc.assert(
        fc.property(changes, fc.array(fc.nat(100_000), { maxLength: 12 }), (list, cuts) => {
          feed(role, changed(peer, own, list), cuts);
        }),
        { numRuns: 1_500 },
      );
    });

    it(`a ${role} does the same however the stream is cut, even into single bytes`, () => {
      fc.assert(
        fc.property(changes, fc.array(fc.nat(100_000), { maxLength: 12 }), (list, cuts) => {
          // Nothing is answered in between, so that what happens does not depend on when it is.
          const stream = changed(peer, own, list);
          assert.equal(feed(role, stream, cuts, false), feed(role, stream, [], false));
        }),
        { numRuns: 200 },
      );
      const stream = joined(peer);
      assert.equal(
        feed(
          role,
          stream,
          Array.from({ length: stream.length }, (_, i) => i),
          false,
        ),
        feed(role, stream, [], false),
      );
    });

    it(`a ${role} ends it cleanly at every place where the stream may break off`, () => {
      const stream = joined(peer);
      for (let end = 0; end <= stream.length; end += 1 + (end >> 7)) feed(role, stream.slice(0, end), []);
    });

    it(`a ${role} meets any bytes in every phase with an end, never with another error`, () => {
      const whole = joined(peer);
      fc.assert(
        fc.property(
          fc.nat(whole.length),
          fc.uint8Array({ maxLength: 200, size: 'max' }),
          fc.array(fc.nat(100_000), { maxLength: 4 }),
          (upTo, noise, cuts) => {
            feed(role, joined([whole.slice(0, upTo), noise]), cuts);
          },
        ),
        { numRuns: 500 },
      );
    });

    it(`a ${role} meets frames of any content in every phase likewise`, () => {
      const frames = fc.array(
        fc.tuple(
          fc.nat(4),
          fc.constantFrom(0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18),
          fc.uint8Array({ maxLength: 40 }),
        ),
        { maxLength: 6 },
      );
      fc.assert(
        fc.property(fc.nat(peer.length), frames, (upTo, list) => {
          const noise = list.map(([channel, code, body]) =>
            Uint8Array.from([
              0,
              0,
              0,
              body.length + 14,
              2,
              0,
              0,
              channel,
              0,
              0x53,
              code,
              0xc0,
              body.length + 1,
              Math.min(body.length, 12),
              ...body,
            ]),
          );
          feed(role, joined([...peer.slice(0, upTo), ...noise]), []);
        }),
        { numRuns: 800 },
      );
    });
  }
});
