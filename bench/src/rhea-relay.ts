// SPDX-License-Identifier: Apache-2.0

/**
 * A relay as one would write it in an afternoon with rhea, the client library: for each address, what senders send goes
 * to the receivers in turn, and is settled towards the sender as the receiver settled it.
 *
 * A second peer to measure against: what a message costs in JavaScript where each is decoded and encoded again.
 */

import rhea from 'rhea';
import type { AddressInfo, Server } from 'node:net';

/** Messages that a sender may have unsettled; renewed by halves. */
const CREDIT = 1000;

interface Waiting {
  readonly message: rhea.Message;
  readonly delivery: rhea.Delivery;
  readonly from: rhea.Receiver;
}

interface Node {
  readonly receivers: rhea.Sender[];
  readonly waiting: Waiting[];
}

const nodes = new Map<string, Node>();
/** Settled messages of a sender since its credit was last renewed. */
const settledOf = new Map<rhea.Receiver, number>();
const originOf = new Map<rhea.Delivery, Waiting>();

const container = rhea.create_container({ id: 'rhea-relay' });
container.sasl_server_mechanisms.enable_anonymous();

container.on('receiver_open', ({ receiver }: rhea.EventContext) => {
  if (receiver === undefined) return;
  receiver.set_source(receiver.source);
  receiver.set_target(receiver.target);
  receiver.add_credit(CREDIT);
});

container.on('sender_open', ({ sender }: rhea.EventContext) => {
  if (sender === undefined) return;
  sender.set_source(sender.source);
  sender.set_target(sender.target);
  nodeOf(sender.source?.address).receivers.push(sender);
});

container.on('sendable', ({ sender }: rhea.EventContext) => {
  if (sender !== undefined) forward(nodeOf(sender.source?.address));
});

container.on('message', ({ message, delivery, receiver }: rhea.EventContext) => {
  if (message === undefined || delivery === undefined || receiver === undefined) return;
  const node = nodeOf(receiver.target?.address);
  node.waiting.push({ message, delivery, from: receiver });
  forward(node);
});

container.on('accepted', ({ delivery }: rhea.EventContext) => {
  takeOrigin(delivery)?.delivery.accept();
});

// Follows every outcome: what was not accepted by now was not.
container.on('settled', ({ delivery }: rhea.EventContext) => {
  takeOrigin(delivery)?.delivery.release();
});

container.on('disconnected', ({ connection }: rhea.EventContext) => {
  for (const node of nodes.values()) {
    for (let i = node.receivers.length - 1; i >= 0; i--) {
      if (node.receivers[i]?.connection === connection) node.receivers.splice(i, 1);
    }
    for (let i = node.waiting.length - 1; i >= 0; i--) {
      if (node.waiting[i]?.from.connection === connection) node.waiting.splice(i, 1);
    }
  }
  for (const receiver of settledOf.keys()) if (receiver.connection === connection) settledOf.delete(receiver);
  for (const [delivery, { from }] of originOf) if (from.connection === connection) originOf.delete(delivery);
});

const server = container.listen({
  host: '127.0.0.1',
  port: 0,
  receiver_options: { credit_window: 0, autoaccept: false },
}) as Server;
// Nothing is to wait for the delayed acknowledgements of TCP.
server.on('connection', (socket) => socket.setNoDelay(true));
server.on('listening', () => {
  const { address, port } = server.address() as AddressInfo;
  process.stderr.write(`Listening on ${address}:${port}\n`);
});

function nodeOf(address: unknown): Node {
  const name = String(address);
  let node = nodes.get(name);
  if (node === undefined) {
    node = { receivers: [], waiting: [] };
    nodes.set(name, node);
  }
  return node;
}

function forward(node: Node): void {
  while (node.waiting.length > 0) {
    const receiver = node.receivers.find((candidate) => candidate.sendable());
    const next = receiver === undefined ? undefined : node.waiting.shift();
    if (receiver === undefined || next === undefined) return;
    node.receivers.push(...node.receivers.splice(0, 1));
    const settled = next.delivery.remote_settled;
    const sent = receiver.send(next.message);
    if (settled) {
      sent.update(true);
      // Says nothing to the sender, but lets rhea forget it.
      next.delivery.accept();
      renewCredit(next.from);
    } else {
      originOf.set(sent, next);
    }
  }
}

/** The delivery that a forwarded one came from. A second time there is none. */
function takeOrigin(delivery: rhea.Delivery | undefined): Waiting | undefined {
  const origin = delivery === undefined ? undefined : originOf.get(delivery);
  if (delivery === undefined || origin === undefined) return undefined;
  originOf.delete(delivery);
  renewCredit(origin.from);
  return origin;
}

function renewCredit(receiver: rhea.Receiver): void {
  const settled = (settledOf.get(receiver) ?? 0) + 1;
  settledOf.set(receiver, settled % (CREDIT / 2));
  if (settled === CREDIT / 2) receiver.add_credit(settled);
}
