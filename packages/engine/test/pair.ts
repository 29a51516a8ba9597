// SPDX-License-Identifier: Apache-2.0
import { Connection, SenderLink } from '../src/index.js';
import type {
  ConnectionEnd,
  ConnectionHandler,
  ConnectionOptions,
  IncomingDelivery,
  OutgoingDelivery,
  ReceiverHandler,
  ReceiverLink,
  SenderHandler,
  Session,
  TransferFrame,
} from '../src/index.js';
import type { AmqpErrorFields, Attach, DeliveryState, Open, ProtocolError } from '@pointsman/wire';

/** Writes down what an endpoint was told, and answers the polite way unless a test says otherwise. */
export class Recorder implements ConnectionHandler {
  readonly events: string[] = [];
  open: Open | undefined;
  end: ConnectionEnd | undefined;
  authenticated: { mechanism: string; user: string | undefined } | undefined;
  readonly errors: ProtocolError[] = [];
  readonly sessions: Session[] = [];
  readonly receivers: RecordingReceiver[] = [];
  readonly senders: RecordingSender[] = [];
  /** Decides about attaches of the peer; undefined takes every one. */
  decide: ((link: SenderLink | ReceiverLink, attach: Attach) => AmqpErrorFields | undefined) | undefined;

  onAuthenticated(_connection: Connection, mechanism: string, user: string | undefined): void {
    this.authenticated = { mechanism, user };
  }
  onOpen(connection: Connection, open: Open): void {
    this.open = open;
    connection.open();
    this.events.push('open');
  }
  onBegin(session: Session): void {
    session.begin();
    this.sessions.push(session);
    this.events.push('begin');
  }
  onEnd(_session: Session, error: AmqpErrorFields | undefined): void {
    this.events.push(`end ${error?.condition ?? ''}`.trim());
  }
  onAttach(link: SenderLink | ReceiverLink, attach: Attach): void {
    const refusal = this.decide?.(link, attach);
    if (refusal !== undefined) return link.refuse(refusal);
    if (link instanceof SenderLink) {
      const handler = new RecordingSender();
      this.senders.push(handler);
      handler.link = link;
      link.accept(handler);
    } else {
      const handler = new RecordingReceiver();
      this.receivers.push(handler);
      handler.link = link;
      link.accept(handler);
    }
  }
  onProtocolError(_connection: Connection, error: ProtocolError): void {
    this.errors.push(error);
  }
  onClosed(_connection: Connection, end: ConnectionEnd): void {
    this.end = end;
    this.events.push(`closed by ${end.by}`);
  }
}

export class RecordingReceiver implements ReceiverHandler {
  link!: ReceiverLink;
  readonly deliveries: IncomingDelivery[] = [];
  readonly payloads: Uint8Array[] = [];
  readonly tags: string[] = [];
  readonly remoteStates: { id: number; state: DeliveryState | undefined; settled: boolean }[] = [];
  frames = 0;
  flows = 0;
  attached: Attach | undefined;
  detached: { error: AmqpErrorFields | undefined; closed: boolean } | undefined;
  lost = false;

  onAttached(_link: unknown, attach: Attach): void {
    this.attached = attach;
  }
  onTransfer(_link: ReceiverLink, delivery: IncomingDelivery, frame: TransferFrame): void {
    this.frames++;
    const part = frame.bytes.slice(frame.payloadStart, frame.payloadEnd);
    const at = this.deliveries.indexOf(delivery);
    if (at < 0) {
      this.deliveries.push(delivery);
      this.payloads.push(part);
      this.tags.push(Buffer.from(frame.tag()).toString('hex'));
    } else {
      this.payloads[at] = Buffer.concat([this.payloads[at]!, part]);
    }
  }
  onRemoteState(
    _link: ReceiverLink,
    delivery: IncomingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    this.remoteStates.push({ id: delivery.id, state, settled });
  }
  onFlow(): void {
    this.flows++;
  }
  onDetach(_link: unknown, error: AmqpErrorFields | undefined, closed: boolean): void {
    this.detached = { error, closed };
  }
  onLost(): void {
    this.lost = true;
  }
}

export class RecordingSender implements SenderHandler {
  link!: SenderLink;
  attached: Attach | undefined;
  sendables = 0;
  drains = 0;
  readonly outcomes: { id: number; state: DeliveryState | undefined; settled: boolean }[] = [];
  detached: { error: AmqpErrorFields | undefined; closed: boolean } | undefined;
  lost = false;

  onAttached(_link: unknown, attach: Attach): void {
    this.attached = attach;
  }
  onSendable(): void {
    this.sendables++;
  }
  onDisposition(
    _link: SenderLink,
    delivery: OutgoingDelivery,
    state: DeliveryState | undefined,
    settled: boolean,
  ): void {
    this.outcomes.push({ id: delivery.id, state, settled });
  }
  onDrain(link: SenderLink): void {
    this.drains++;
    link.drained();
  }
  onDetach(_link: unknown, error: AmqpErrorFields | undefined, closed: boolean): void {
    this.detached = { error, closed };
  }
  onLost(): void {
    this.lost = true;
  }
}

/** Two endpoints under one virtual clock, joined without sockets. */
export class Pair {
  now = 1000;
  readonly client: Connection;
  readonly server: Connection;
  readonly c: Recorder = new Recorder();
  readonly s: Recorder = new Recorder();
  /** Cuts what travels into pieces of this many bytes. */
  chunk: number = Infinity;

  constructor(client: Partial<ConnectionOptions> = {}, server: Partial<ConnectionOptions> = {}) {
    this.client = new Connection({ role: 'client', containerId: 'client', now: this.now, ...client }, this.c);
    this.server = new Connection({ role: 'server', containerId: 'server', now: this.now, ...server }, this.s);
  }

  /** Carries bytes both ways until both are silent. */
  run(): this {
    while (this.#carry(this.client, this.server) || this.#carry(this.server, this.client)) {
      /* until silent */
    }
    return this;
  }

  #carry(from: Connection, to: Connection): boolean {
    const buffers = from.takeOutput(this.now);
    if (buffers === undefined) return false;
    for (const buffer of buffers) {
      for (let at = 0; at < buffer.length; at += this.chunk)
        to.receive(Uint8Array.from(buffer.subarray(at, Math.min(buffer.length, at + this.chunk))), this.now);
    }
    from.releaseOutput(buffers, this.now);
    return true;
  }

  /** Lets time pass, waking each side at its deadlines. */
  advance(ms: number): this {
    const until = this.now + ms;
    for (;;) {
      const next = Math.min(this.client.deadline() ?? Infinity, this.server.deadline() ?? Infinity);
      if (next > until) break;
      this.now = Math.max(this.now, next);
      this.client.tick(this.now);
      this.server.tick(this.now);
      this.run();
    }
    this.now = until;
    return this;
  }

  /** A link from the client to the server, attached, with credit. */
  link(
    credit = 10,
    parameters: Record<string, unknown> = {},
  ): { sender: SenderLink; sending: RecordingSender; receiving: RecordingReceiver; receiver: ReceiverLink } {
    this.run();
    const session = this.client.sessions[0] ?? this.client.session();
    this.run();
    const sending = new RecordingSender();
    const sender = session.attachSender(`link-${this.s.receivers.length}`, sending, {
      target: { type: 'target', address: 'q' },
      source: { type: 'source' },
      ...parameters,
    });
    sending.link = sender;
    this.run();
    const receiving = this.s.receivers.at(-1)!;
    receiving.link.addCredit(credit);
    this.run();
    return { sender, sending, receiving, receiver: receiving.link };
  }
}

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Sends one whole small message. */
export function sendText(sender: SenderLink, value: string, settled = false): OutgoingDelivery {
  const bytes = text(value);
  return sender.send(undefined, 0, settled, undefined, bytes, 0, bytes.length, true);
}
