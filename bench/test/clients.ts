// SPDX-License-Identifier: Apache-2.0

import {
  ACCEPTED,
  Connection,
  type ConnectionHandler,
  type IncomingDelivery,
  type ReceiverHandler,
  type ReceiverLink,
  type SenderHandler,
  type SenderLink,
  type Session,
} from '@pointsman/engine';
import { until, whenOver, type Owner } from '@pointsman/testing';
import { Writer, writeBinary, writeDescriptor } from '@pointsman/wire';
import { connect as connectSocket, type Socket } from 'node:net';
import { startPeer, type Peer } from '../src/peer.js';
import { OURS, PEERS } from '../src/peers.js';

/** Descriptor of a data section. @see OASIS AMQP 1.0, 3.2.6 */
const DATA_SECTION = 0x75;

/** The router as a user starts it: the built command, a configuration file, a process of its own. */
export async function startRouter(owner: Owner): Promise<Peer> {
  const command = PEERS[OURS];
  if (command === undefined) throw new Error(`no peer ${OURS}`);
  const router = await startPeer(command());
  whenOver(owner, () => router.stop());
  return router;
}

/**
 * A connection with one session: the engine on a socket, and nothing between them that would be polite on its own. It
 * can stop reading.
 */
export class TestClient {
  readonly connection: Connection;
  session!: Session;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const handler: ConnectionHandler = {
      onOpen: () => undefined,
      onBegin: () => undefined,
      onEnd: () => undefined,
      onAttach: (link) => link.refuse({ condition: 'amqp:not-allowed', description: 'a client of a test' }),
      onClosed: () => undefined,
    };
    this.connection = new Connection(
      { role: 'client', containerId: 'test', now: performance.now(), idleTimeoutMs: 0 },
      handler,
    );
    const flush = (): void => this.#flush();
    this.connection.wake = () => process.nextTick(flush);
    socket.on('data', (bytes: Uint8Array) => this.connection.receive(bytes, performance.now()));
    // The router may go away first.
    socket.on('error', () => undefined);
    this.#flush();
  }

  /** Connects; the socket is closed with the owner. */
  static async connect(owner: Owner, { endpoint }: Peer): Promise<TestClient> {
    const [host = '', port = ''] = endpoint.split(':');
    const socket = connectSocket({ host, port: Number(port), noDelay: true });
    whenOver(owner, () => {
      socket.destroy();
    });
    const client = new TestClient(socket);
    await until('a connection', () => client.connection.isOpen);
    client.session = client.connection.session({ incomingWindow: 0x7fffffff });
    return client;
  }

  /** Leaves to the kernel what the peer sends, until it takes no more. */
  stopReading(): void {
    this.#socket.pause();
  }

  readOn(): void {
    this.#socket.resume();
  }

  #flush(): void {
    const buffers = this.connection.takeOutput(performance.now());
    if (buffers === undefined) return;
    const last = buffers.length - 1;
    buffers.forEach((buffer, i) => {
      if (i < last) this.#socket.write(buffer);
      else this.#socket.write(buffer, () => this.connection.releaseOutput(buffers, performance.now()));
    });
  }
}

/** A receiver that counts. */
export class CountingReceiver {
  link!: ReceiverLink;
  received = 0;
  receivedBytes = 0;

  private constructor() {
    /* {@link open} makes one. */
  }

  /**
   * @param credit - given once; with `accepts`, one more for each message, which is accepted
   */
  static async open(
    client: TestClient,
    address: string,
    credit: number,
    { accepts }: { readonly accepts: boolean },
  ): Promise<CountingReceiver> {
    const receiver = new CountingReceiver();
    let isOpen = false;
    const handler: ReceiverHandler = {
      onAttached: () => (isOpen = true),
      onTransfer: (link: ReceiverLink, delivery: IncomingDelivery) => {
        if (!delivery.complete) return;
        receiver.received++;
        receiver.receivedBytes += delivery.bytes;
        if (!accepts) return;
        link.settle(delivery, ACCEPTED);
        link.addCredit(1);
      },
      onDetach: (link) => link.detach(),
      onLost: () => undefined,
    };
    const { session } = client;
    receiver.link = session.attachReceiver(`to-${address}`, handler, {
      source: { type: 'source', address },
      target: { type: 'target' },
    });
    await until(`a receiver on ${address}`, () => isOpen);
    receiver.link.addCredit(credit);
    return receiver;
  }
}

/** A sender that sends one body over and over, as far as its credit goes, and counts what became of it. */
export class CountingSender {
  link!: SenderLink;
  readonly #message: Uint8Array;
  readonly #settled: boolean;
  #left = 0;
  /** Bytes of a message of which only a part is sent. */
  #offset = 0;
  /** Messages that have begun to go out. */
  sent = 0;
  accepted = 0;
  /** Settled with another outcome than accepted. */
  refused = 0;

  private constructor(bytes: number, settled: boolean) {
    const w = new Writer();
    writeDescriptor(w, DATA_SECTION);
    writeBinary(w, new Uint8Array(bytes).fill(120));
    this.#message = w.toBytes();
    this.#settled = settled;
  }

  static async open(
    client: TestClient,
    address: string,
    { bytes = 100, settled = false }: { readonly bytes?: number; readonly settled?: boolean } = {},
  ): Promise<CountingSender> {
    const sender = new CountingSender(bytes, settled);
    let isOpen = false;
    const handler: SenderHandler = {
      onAttached: () => (isOpen = true),
      onSendable: () => sender.#pump(),
      onDisposition: (_link, _delivery, state, isSettled) => {
        if (!isSettled) return;
        if (state !== undefined && 'type' in state && state.type === 'accepted') sender.accepted++;
        else sender.refused++;
      },
      onDetach: (link) => link.detach(),
      onLost: () => undefined,
    };
    sender.link = client.session.attachSender(`from-${address}`, handler, {
      source: { type: 'source' },
      target: { type: 'target', address },
      sndSettleMode: settled ? 1 : 0,
    });
    await until(`a sender to ${address}`, () => isOpen);
    return sender;
  }

  get unsettled(): number {
    return this.sent - this.accepted - this.refused;
  }

  /** Everything that was asked for is with the engine, and all its bytes have left this process. */
  get hasSentAll(): boolean {
    return this.#left === 0 && this.link.current === undefined && this.isWritten;
  }

  /** What was sent has left this process. */
  get isWritten(): boolean {
    return this.link.session.connection.output.backlog === 0;
  }

  /** Sends `count` more as credit and the socket allow. */
  send(count: number): void {
    this.#left += count;
    this.#pump();
  }

  #pump(): void {
    const { link } = this;
    const message = this.#message;
    while (link.current !== undefined && link.resumable) {
      this.#offset += link.resume(message, this.#offset, message.length, true);
    }
    while (this.#left > 0 && link.sendable) {
      this.#left--;
      this.sent++;
      link.send(undefined, 0, this.#settled, undefined, message, 0, message.length, true);
      this.#offset = link.sentBytes;
      // The rest follows with onSendable.
      if (link.current !== undefined) return;
    }
  }
}
