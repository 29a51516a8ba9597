// SPDX-License-Identifier: Apache-2.0

import {
  ACCEPTED,
  Connection,
  type ConnectionHandler,
  type IncomingDelivery,
  type OutgoingDelivery,
  type ReceiverHandler,
  type ReceiverLink,
  type SenderHandler,
  type SenderLink,
} from '@pointsman/engine';

/**
 * A sending and a receiving connection, with a link between them and nothing else: no sockets, no clock. The receiver
 * accepts what it is given when it is told to, in the order that it is told.
 */
export class EnginePair {
  readonly client: Connection;
  readonly server: Connection;
  readonly sender: SenderLink;
  /** The server's end, once attached. */
  receiver!: ReceiverLink;
  /** Deliveries that arrived whole and were not accepted yet. */
  readonly arrived: IncomingDelivery[] = [];
  /** Bytes of payload that arrived. */
  arrivedBytes = 0;
  /** Deliveries that the sender was told an outcome of. */
  settled = 0;
  /** Writes of the server to the client: bytes of the latest one. */
  serverBytes = 0;

  /** @param credit - messages that the sender may send before it is granted more */
  constructor(credit: number) {
    const receiving: ReceiverHandler = {
      onTransfer: (_link, delivery, frame) => {
        this.arrivedBytes += frame.payloadEnd - frame.payloadStart;
        if (delivery.complete) this.arrived.push(delivery);
      },
      onDetach: fail,
      onLost: fail,
    };
    const serverHandler: ConnectionHandler = {
      onOpen: (connection) => connection.open(),
      onBegin: (session) => session.begin({ incomingWindow: 0x7fffffff }),
      onEnd: fail,
      onAttach: (link) => {
        if (!link.isReceiver) throw new Error('the pair has one link, from the client to the server');
        this.receiver = link as ReceiverLink;
        this.receiver.accept(receiving);
        this.receiver.addCredit(credit);
      },
      onClosed: fail,
    };
    const sending: SenderHandler = {
      onSendable: () => undefined,
      onDisposition: (_link: SenderLink, _delivery: OutgoingDelivery, _state, settled) => {
        if (settled) this.settled++;
      },
      onDetach: fail,
      onLost: fail,
    };
    const clientHandler: ConnectionHandler = {
      onOpen: () => undefined,
      onBegin: () => undefined,
      onEnd: fail,
      onAttach: fail,
      onClosed: fail,
    };
    this.server = new Connection({ role: 'server', containerId: 'server', now: 0 }, serverHandler);
    this.client = new Connection({ role: 'client', containerId: 'client', now: 0 }, clientHandler);
    this.#carryAll();
    this.client.open();
    const session = this.client.session({ incomingWindow: 0x7fffffff });
    this.sender = session.attachSender('link', sending, {
      source: { type: 'source' },
      target: { type: 'target', address: 'there' },
    });
    this.#carryAll();
  }

  /** Carries what both have to say until neither has more. */
  #carryAll(): void {
    while (carry(this.client, this.server) + this.carryBack() > 0);
  }

  /** Carries what the client has to say to the server. @returns bytes */
  carry(): number {
    return carry(this.client, this.server);
  }

  /** Carries what the server has to say to the client. @returns bytes */
  carryBack(): number {
    return carry(this.server, this.client);
  }

  /** Takes what the client has to say away from it, as one chunk. */
  takeBytes(): Uint8Array {
    const buffers = this.client.takeOutput(0) ?? [];
    const bytes = Uint8Array.from(Buffer.concat(buffers));
    if (buffers.length > 0) this.client.releaseOutput(buffers, 0);
    return bytes;
  }

  /** Accepts all that arrived, in the order of {@link arrived}. */
  acceptAll(): void {
    for (const delivery of this.arrived) this.receiver.settle(delivery, ACCEPTED);
    this.arrived.length = 0;
  }
}

function carry(from: Connection, to: Connection): number {
  const buffers = from.takeOutput(0);
  if (buffers === undefined) return 0;
  let bytes = 0;
  for (const buffer of buffers) {
    bytes += buffer.length;
    to.receive(buffer, 0);
  }
  from.releaseOutput(buffers, 0);
  return bytes;
}

function fail(): never {
  throw new Error('the pair of engines came apart');
}
