// SPDX-License-Identifier: Apache-2.0
import type { ReceiverHandler, ReceiverLink, SenderHandler, SenderLink, Session } from '@pointsman/engine';

export interface RequestPairOptions {
  /** Of the node. */
  readonly address: string;
  /** Name of the link that answers come on, and the address that they come to. */
  readonly name: string;
  /** Answers that may be under way. */
  readonly credit: number;
  /** As of the attach: 1 where answers are to come settled, 2 where they may. */
  readonly sndSettleMode: 1 | 2;
}

/** Our links to a node that answers requests. */
export interface RequestPair {
  readonly sender: SenderLink;
  readonly receiver: ReceiverLink;
}

/** Attaches them. @throws LocalProtocolError where the session takes no more links, or the peer no frame as large as the attach */
export function attachPair(
  session: Session,
  handler: SenderHandler & ReceiverHandler,
  { address, name, credit, sndSettleMode }: RequestPairOptions,
): RequestPair {
  // Answers first: none may be lost for want of a link.
  const receiver = session.attachReceiver(name, handler, {
    source: { type: 'source', address },
    target: { type: 'target', address: name },
    sndSettleMode,
    rcvSettleMode: 0,
  });
  receiver.addCredit(credit);
  const sender = session.attachSender(`${name}-requests`, handler, {
    source: { type: 'source', address: name },
    target: { type: 'target', address },
    sndSettleMode: 0,
    rcvSettleMode: 0,
  });
  return { sender, receiver };
}
