// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AmqpErrorFields, DeliveryState } from '@pointsman/wire';
import { ACCEPTED, Connection, MODIFIED_FAILED, RELEASED, SenderLink } from '../src/index.js';
import type {
  ConnectionHandler,
  ConnectionOptions,
  IncomingDelivery,
  Link,
  OutgoingDelivery,
  ReceiverHandler,
  ReceiverLink,
  SenderHandler,
  Session,
  TransferFrame,
} from '../src/index.js';
import { Conformity } from './conformity.js';
import { heardIn, joined } from './raw-peer.js';

// Two endpoints, bytes that take their time, and applications that do anything at any moment. Neither may ever find fault
// with the other, and nothing may be lost, doubled or out of order.

const LINKS = 3;
const OUTCOMES = [
  ACCEPTED,
  RELEASED,
  MODIFIED_FAILED,
  { type: 'rejected' as const, error: { condition: 'amqp:decode-error', description: 'x'.repeat(600) } },
];

interface Message {
  readonly bytes: Uint8Array;
  readonly settled: boolean;
  readonly tag: number;
  offset: number;
  delivery: OutgoingDelivery | undefined;
  isAborted: boolean;
  outcome: string | undefined;
}

const nameOf = (state: DeliveryState | undefined): string =>
  state !== undefined && 'type' in state ? state.type : '-';

/** Sends what is put into its queue, as far as it may. */
class Source implements SenderHandler {
  link!: SenderLink;
  readonly all: Message[] = [];
  at = 0;
  /** How much of a message is at hand: the rest comes later. */
  stutters = false;

  put(size: number, settled: boolean): void {
    const tag = this.all.length;
    this.all.push({
      bytes: Uint8Array.from({ length: size }, (_, i) => (i + tag) & 0xff),
      settled,
      tag,
      offset: 0,
      delivery: undefined,
      isAborted: false,
      outcome: undefined,
    });
    this.pump();
  }

  pump(): void {
    for (let message = this.all[this.at]; message !== undefined; message = this.all[++this.at]) {
      const { bytes } = message;
      const known = this.stutters && message.offset < bytes.length >> 1 ? bytes.length >> 1 : bytes.length;
      const last = known === bytes.length;
      if (message.delivery === undefined) {
        if (!this.link.sendable) return;
        const tag = Uint8Array.of(message.tag >> 8, message.tag & 0xff);
        message.delivery = this.link.send(tag, 0, message.settled, message, bytes, 0, known, last);
        message.offset = this.link.sentBytes;
      } else {
        if (this.link.current !== message.delivery || !this.link.resumable) return;
        message.offset += this.link.resume(bytes, message.offset, known, last);
      }
      if (!message.delivery.complete) return;
    }
  }

  abort(): void {
    const message = this.all[this.at];
    if (message?.delivery === undefined || message.delivery.complete || message.isAborted) return;
    message.isAborted = true;
    this.link.abort();
    this.at++;
    this.pump();
  }

  onSendable(): void {
    this.pump();
  }
  onDisposition(
    link: SenderLink,
    delivery: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    const message = delivery.context as Message;
    if (message.isAborted) return;
    assert.equal(message.outcome, undefined, `delivery ${delivery.id} has two outcomes`);
    if (settled) message.outcome = nameOf(state);
    else {
      message.outcome = `${nameOf(state)} second`;
      link.settle(delivery, state);
    }
  }
  onDrain(link: SenderLink): void {
    this.pump();
    if (link.current === undefined) link.drained();
  }
  onDetach(_link: Link, error: AmqpErrorFields | undefined): void {
    assert.fail(`detached: ${error?.condition}`);
  }
  onLost(): void {
    /* at the end */
  }
}

class Sink implements ReceiverHandler {
  link!: ReceiverLink;
  readonly parts = new Map<number, Uint8Array[]>();
  readonly open: IncomingDelivery[] = [];
  readonly told = new Map<number, string>();
  readonly whole: { tag: number; bytes: Uint8Array; settled: boolean }[] = [];
  readonly #tags = new Map<number, number>();
  aborted = 0;

  onTransfer(_link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    if (!this.parts.has(delivery.id)) {
      this.parts.set(delivery.id, []);
      const tag = frame.tag();
      this.#tags.set(delivery.id, (tag[0]! << 8) | tag[1]!);
    }
    this.parts.get(delivery.id)!.push(frame.bytes.slice(frame.payloadStart, frame.payloadEnd));
    if (!delivery.complete) return;
    if (delivery.aborted) {
      this.aborted++;
      return;
    }
    this.whole.push({
      tag: this.#tags.get(delivery.id)!,
      bytes: joined(this.parts.get(delivery.id)!),
      settled: delivery.settled,
    });
    if (!delivery.settled) this.open.push(delivery);
  }
  settle(which: number, outcome: number): void {
    const [delivery] = this.open.splice(which % Math.max(1, this.open.length), 1);
    if (delivery === undefined) return;
    const state = OUTCOMES[outcome % OUTCOMES.length]!;
    const second = this.link.rcvSettleMode === 1;
    this.told.set(this.#tags.get(delivery.id)!, `${nameOf(state)}${second ? ' second' : ''}`);
    if (second) this.link.update(delivery, state);
    else this.link.settle(delivery, state);
  }
  onDetach(_link: Link, error: AmqpErrorFields | undefined): void {
    assert.fail(`detached: ${error?.condition}`);
  }
  onLost(): void {
    /* at the end */
  }
}

class Side implements ConnectionHandler {
  readonly sources: Source[] = [];
  readonly sinks: Sink[] = [];
  readonly sessions: Session[] = [];
  readonly #window: number;
  readonly #first: number;

  constructor(window: number, first: number) {
    this.#window = window;
    this.#first = first;
  }
  get sessionOptions(): Parameters<Session['begin']>[0] {
    return { incomingWindow: this.#window === 0 ? undefined : this.#window, nextOutgoingId: this.#first };
  }
  onOpen(connection: Connection): void {
    connection.open();
  }
  onBegin(session: Session): void {
    session.begin(this.sessionOptions);
    this.sessions.push(session);
  }
  onEnd(_session: Session, error: AmqpErrorFields | undefined): void {
    assert.fail(`ended: ${error?.condition} ${error?.description}`);
  }
  onAttach(link: SenderLink | ReceiverLink): void {
    if (link instanceof SenderLink) {
      const source = new Source();
      source.link = link;
      this.sources.push(source);
      link.accept(source);
    } else {
      const sink = new Sink();
      sink.link = link;
      this.sinks.push(sink);
      link.accept(sink);
    }
  }
  onProtocolError(_connection: Connection, error: Error): void {
    assert.fail(error.message);
  }
  onClosed(): void {
    /* at the end */
  }
}

/** One direction: what was said and has not arrived. */
class Way {
  readonly #from: Connection;
  readonly #to: Connection;
  readonly #conformity = new Conformity();
  #bytes: Uint8Array = new Uint8Array(0);
  #taken: Uint8Array[][] = [];

  constructor(from: Connection, to: Connection) {
    this.#from = from;
    this.#to = to;
  }

  take(now: number): boolean {
    const out = this.#from.takeOutput(now);
    if (out === undefined) return false;
    const said = joined(out);
    this.#conformity.hear(heardIn(said));
    this.#bytes = joined([this.#bytes, said]);
    this.#taken.push(out);
    return true;
  }

  /** Lets so many bytes arrive. The buffers are given back when all that they held has arrived. */
  carry(count: number, now: number): boolean {
    const some = this.#bytes.slice(0, count);
    this.#bytes = this.#bytes.slice(count);
    if (some.length > 0) this.#to.receive(some, now);
    if (this.#bytes.length === 0) for (const out of this.#taken.splice(0)) this.#from.releaseOutput(out, now);
    return some.length > 0;
  }
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      link: fc.nat(LINKS * 2 - 1),
      size: fc.oneof(fc.nat(50), fc.nat(3_000)),
      settled: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('credit' as const),
      link: fc.nat(LINKS * 2 - 1),
      count: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('set' as const, 'setDrain' as const),
      link: fc.nat(LINKS * 2 - 1),
      count: fc.nat(6),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('drain' as const, 'withdraw' as const, 'abort' as const, 'stutter' as const, 'pump' as const),
      link: fc.nat(LINKS * 2 - 1),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      link: fc.nat(LINKS * 2 - 1),
      which: fc.nat(9),
      outcome: fc.nat(3),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('hold' as const, 'release' as const, 'echo' as const),
      side: fc.nat(1),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('carry' as const),
      side: fc.nat(1),
      count: fc.oneof(fc.nat(40), fc.nat(2_000)),
      take: fc.boolean(),
    }),
  },
);

describe('two endpoints whose bytes take their time', () => {
  it('never find fault with each other, and every message arrives once, whole, in order, and has one outcome', () => {
    const options = fc.record({
      frames: fc.constantFrom(512, 700, 65_536),
      output: fc.constantFrom(300, 5_000, 1 << 18),
      window: fc.constantFrom(0, 1, 2, 5, 50),
      first: fc.constantFrom(0, 0xfffffff8),
      second: fc.boolean(),
    });
    fc.assert(
      fc.property(options, options, fc.array(step, { maxLength: 150, size: 'max' }), (a, b, steps) => {
        const handlers = [new Side(a.window, a.first), new Side(b.window, b.first)] as const;
        const made = (role: 'client' | 'server', o: typeof a, handler: Side): Connection => {
          const settings: ConnectionOptions = {
            role,
            containerId: role,
            now: 0,
            maxFrameSize: o.frames,
            outputMax: o.output,
          };
          return new Connection(settings, handler);
        };
        const connections = [made('client', a, handlers[0]), made('server', b, handlers[1])] as const;
        const ways = [new Way(connections[0], connections[1]), new Way(connections[1], connections[0])] as const;
        const quiet = (): void => {
          for (let busy = true; busy;) {
            busy = false;
            for (const way of ways) busy = [way.take(0), way.carry(Infinity, 0)].includes(true) || busy;
          }
        };
        quiet();
        const session = connections[0].session(handlers[0].sessionOptions);
        quiet();
        for (let i = 0; i < LINKS; i++) {
          const [source, sink] = [new Source(), new Sink()];
          const termini = {
            source: { type: 'source' as const },
            target: { type: 'target' as const },
            rcvSettleMode: (i === 0 ? a : b).second ? 1 : 0,
          };
          source.link = session.attachSender(`out-${i}`, source, termini);
          sink.link = session.attachReceiver(`in-${i}`, sink, termini);
          handlers[0].sources.push(source);
          handlers[0].sinks.push(sink);
          quiet();
        }
        // Link n of one side is link n of the other.
        const sources = [...handlers[0].sources, ...handlers[1].sources];
        const sinks = [...handlers[1].sinks, ...handlers[0].sinks];
        const sessions = [session, handlers[1].sessions[1] ?? handlers[1].sessions[0]!] as const;
        const holds = [0, 0];
        for (const s of steps) {
          switch (s.do) {
            case 'put':
              sources[s.link]!.put(s.size, s.settled);
              break;
            case 'credit':
              sinks[s.link]!.link.addCredit(s.count);
              break;
            case 'set':
              sinks[s.link]!.link.setCredit(s.count);
              break;
            case 'setDrain':
              sinks[s.link]!.link.setCredit(s.count, true);
              break;
            case 'drain':
              sinks[s.link]!.link.drain();
              break;
            case 'withdraw':
              sinks[s.link]!.link.withdrawCredit();
              break;
            case 'abort':
              sources[s.link]!.abort();
              break;
            case 'stutter':
              sources[s.link]!.stutters = !sources[s.link]!.stutters;
              break;
            case 'pump':
              sources[s.link]!.pump();
              break;
            case 'settle':
              sinks[s.link]!.settle(s.which, s.outcome);
              break;
            case 'hold':
              sessions[s.side]!.holdWindow();
              holds[s.side]!++;
              break;
            case 'release':
              if (holds[s.side]! > 0) {
                sessions[s.side]!.releaseWindow();
                holds[s.side]!--;
              }
              break;
            case 'echo':
              sessions[s.side]!.sendSessionFlow(true);
              break;
            case 'carry':
              if (s.take) ways[s.side]!.take(0);
              ways[s.side]!.carry(s.count, 0);
              break;
          }
          for (const source of sources) assert.ok(source.link.credit >= 0);
        }
        // Everybody lets go and gives what is wanted: then nothing may be left.
        for (const side of [0, 1] as const) for (; holds[side]! > 0; holds[side]!--) sessions[side]!.releaseWindow();
        for (const source of sources) {
          source.stutters = false;
          source.pump();
        }
        // From here on nobody asks whether he may send: he is told.
        for (let round = 0; round < 400 && sources.some((source) => source.at < source.all.length); round++) {
          quiet();
          for (const sink of sinks) if (sink.link.credit === 0) sink.link.addCredit(5);
        }
        quiet();
        for (const sink of sinks) while (sink.open.length > 0) sink.settle(0, 0);
        quiet();
        for (const [i, source] of sources.entries()) {
          const sink = sinks[i]!;
          assert.equal(source.at, source.all.length, `link ${i} has not sent everything`);
          const sent = source.all.filter((message) => !message.isAborted);
          assert.deepEqual(
            sink.whole.map(({ tag }) => tag),
            sent.map(({ tag }) => tag),
          );
          for (const [n, { bytes }] of sink.whole.entries()) assert.deepEqual(bytes, sent[n]!.bytes);
          assert.equal(sink.aborted, source.all.length - sent.length);
          for (const { tag, settled, outcome } of sent) assert.equal(outcome, settled ? undefined : sink.told.get(tag));
        }
        for (const one of sessions) assert.deepEqual([one.incoming.size, one.outgoing.size], [0, 0]);
        connections[0].close();
        quiet();
        assert.deepEqual(
          connections.map((one) => one.ended?.by),
          ['local', 'remote'],
        );
      }),
      { numRuns: 150 },
    );
  });
});
