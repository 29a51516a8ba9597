// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { DeliveryState } from '@pointsman/wire';
import type { Consumer } from './consumer.js';
import { isExchange } from './exchanges.js';
import type { Field } from './field.js';
import { kindOf } from './message.js';
import type { Message, Receipt } from './message.js';
import { isMulticast, waysOf } from './plan.js';
import type { Producer } from './producer.js';
import { checkRows } from './rows.js';

/** Bytes of a message from which on its sender may be held back. */
const HELD_BACK = 1 << 18;

/** How strong an outcome is where several receivers told one. */
const STRENGTH = ['none', 'released', 'modified', 'accepted', 'rejected'];

/** What the router says of a message that is too large: rejected, or an attempt to a container with words of its own. */
const isRefusal = (kind: string): boolean => kind === 'rejected' || kind === 'modified';

/**
 * What became of every message, as its producer and its consumers saw it, held against what a router may do: slow, and
 * without any notion of how the router does it.
 */
export class Ledger {
  readonly messages: Map<number, Message> = new Map();
  readonly #field: Field;

  constructor(field: Field) {
    this.#field = field;
  }

  /** A consumer has got the beginning of a message. */
  begun(receipt: Receipt): void {
    const { message, consumer } = receipt;
    assert.ok(!message.refused, `${message.name} comes to ${consumer.name}, though the router has refused it`);
    assert.ok(
      isMulticast(message.node) || isExchange(message.node) || (message.within === 0 && !this.#isServed(message)),
      `${message.name} comes to ${consumer.name}, though it is for a node within`,
    );
    this.#checkWay(message, consumer);
    assert.ok(!consumer.byMessage.has(message.id), `${message.name} comes to ${consumer.name} twice`);
    if (!isMulticast(consumer.node!)) {
      const other = message.receipts.find(
        (earlier) => earlier.consumer.node === consumer.node || !isExchange(message.node),
      );
      assert.ok(other === undefined, `${message.name} comes to ${consumer.name} and went to ${other?.consumer.name}`);
    }
    if (!isMulticast(message.node) && !isExchange(message.node))
      assert.ok(
        !message.told || consumer.settled || isTooLarge(message, consumer),
        `${message.name} comes after its outcome`,
      );
    const before = consumer.receipts.findLast((other) => other.message.producer === message.producer);
    assert.ok(
      before === undefined || before.message.id < message.id,
      `${message.name} comes to ${consumer.name} behind message ${before?.message.id}`,
    );
    if (message.settled || isExchange(message.node))
      assert.ok(receipt.delivery.settled, `${message.name} is settled and comes unsettled`);
    else if (!consumer.settled) assert.ok(!receipt.delivery.settled, `${message.name} comes settled`);
    message.receipts.push(receipt);
    consumer.receipts.push(receipt);
    consumer.byMessage.set(message.id, receipt);
  }

  /** A node within the router has got a message. */
  taken(message: Message, node: string): void {
    const { name } = message;
    assert.ok(message.nodes.includes(node), `${name} comes to ${node} within`);
    assert.equal(message.within++, 0, `${name} comes to ${node} within twice`);
    assert.ok(message.stage !== 'aborted', `${name} comes to ${node} within, though its sender has aborted it`);
    if (isMulticast(node)) return;
    assert.equal(message.receipts.length, 0, `${name} comes to ${node} within and went to a consumer`);
    assert.ok(!message.told, `${name} comes to ${node} within after its outcome`);
  }

  /** The container that a message came from was told its outcome, though the link has gone. */
  settledLater(tag: string, state: DeliveryState): void {
    const message = this.messages.get(Number(tag.slice(4)));
    assert.ok(message !== undefined, `an outcome is told later of ${tag}, which was not sent`);
    const { name } = message;
    assert.equal(message.late, undefined, `${name}: its outcome is told later twice`);
    message.late = state;
    assert.ok(
      !message.told || kindOf(state) === kindOf(message.outcome),
      `${name}: told ${kindOf(message.outcome)}, and later ${kindOf(state)}`,
    );
    assert.ok(
      message.confirmedAt >= this.#field.silentAt,
      `${name}: its outcome is told later, though it was confirmed`,
    );
    if (kindOf(state) === 'accepted') this.#checkAccepted(message);
    const [receipt] = message.receipts;
    if (receipt?.said !== undefined && !receipt.consumer.ended && receipt.consumer.client.isUp)
      assert.equal(
        kindOf(state),
        kindOf(receipt.said),
        `${name}: told later than ${receipt.consumer.name} has said it`,
      );
    else if (kindOf(state) === 'rejected' && !this.#isTooLargeForOne(message))
      assert.equal(kindOf(receipt?.said), 'rejected', `${name}: told later that it is rejected, which nobody has said`);
  }

  /** A node within the router is there, and was since before the message was sent. */
  #isServed({ node, served }: Message): boolean {
    return served !== undefined && this.#field.within.get(node) === served;
  }

  /** A message goes to the consumers of its node; to those of a fallback or alternate only where there are no others. */
  #checkWay(message: Message, consumer: Consumer): void {
    const { first, spare } = message.ways;
    const node = consumer.node!;
    const where = `${message.name} comes to ${consumer.name}, which receives from ${node}`;
    if (first.includes(node)) return;
    const way = spare.find((other) => other.node === node);
    assert.ok(way !== undefined, where);
    if (message.isUnsure) return;
    const better = message.audience.find((other) => way.unless.includes(other.node!) && !other.ended && !other.retires);
    assert.ok(better === undefined, `${where}, though ${better?.name} was there`);
  }

  /** A producer was told an outcome. */
  told(message: Message): void {
    const kind = kindOf(message.outcome);
    assert.ok(kind !== 'none', `${message.name} is settled without an outcome`);
    if (kind === 'accepted' && !isExchange(message.node)) this.#checkAccepted(message);
  }

  #checkAccepted(message: Message): void {
    const accepted = message.receipts.some(({ said }) => kindOf(said) === 'accepted');
    assert.ok(
      accepted || message.within > 0 || this.#consumersOf(message).some(({ settled }) => settled),
      `${message.name} is accepted, but no receiver has accepted it`,
    );
  }

  /** All that it may go to. */
  #consumersOf(message: Message): Consumer[] {
    const ways = message.nodes;
    return [...this.#field.consumers.values()].filter(({ node }) => node !== undefined && ways.includes(node));
  }

  /** Whether a consumer of its node has left since it was sent. */
  #lostOne(message: Message): boolean {
    return this.#consumersOf(message).some(({ goneAt }) => goneAt !== Infinity && goneAt >= message.sentAt);
  }

  /** Nothing is on its way: everything has to be where it belongs. */
  check(): void {
    for (const message of this.messages.values()) {
      for (const receipt of message.receipts) this.#checkReceipt(receipt);
      if (message.producer.ended || !message.isOut) continue;
      if (message.settled) continue;
      if (isExchange(message.node)) this.#checkExchanged(message);
      else if (isMulticast(message.node)) this.#checkMulticast(message);
      else this.#checkOne(message);
    }
    for (const producer of this.#field.producers.values()) this.#checkProducer(producer);
    for (const consumer of this.#field.consumers.values()) this.#checkConsumer(consumer);
    checkRows(this.#field);
  }

  /** What has begun comes to its end, whole or aborted. */
  #checkReceipt({ message, consumer, delivery, complete, aborted, said }: Receipt): void {
    if (consumer.ended) return;
    if (isTooLarge(message, consumer)) {
      assert.ok(!complete, `${message.name} has come to ${consumer.name}, which does not take it`);
      // An abort waits for the session's window like any transfer.
      if (message.isOut || (message.stage === 'aborted' && message.producer.open !== message))
        assert.ok(aborted || said !== undefined, `${message.name} is not taken back from ${consumer.name}`);
      return;
    }
    const where = `${message.name} at ${consumer.name}`;
    if (message.isOut) assert.ok(complete || said !== undefined, `${where} is not whole`);
    else if (message.stage === 'in doubt')
      assert.ok(complete || aborted || said !== undefined, `${where} is not whole`);
    else if (message.stage === 'aborted' && message.producer.open !== message)
      assert.ok(aborted || said !== undefined, `${where} goes on, though its sender has aborted it or is gone`);
    if (said === undefined || delivery.settled || message.producer.confirms) return;
    // Where there are several, they are settled together, when their sender has been told.
    if (isMulticast(message.node) && !message.told && !message.producer.ended) return;
    assert.fail(`${where}: the router has not settled what the receiver said`);
  }

  #checkOne(message: Message): void {
    const receipt = message.receipts[0];
    const kind = kindOf(message.outcome);
    if (message.within > 0 || this.#isServed(message)) {
      assert.equal(message.within, 1, `${message.name} is for a node within the router, which has not got it`);
      assert.equal(kind, 'accepted', `${message.name}, which a node within the router has got`);
      return;
    }
    if (receipt === undefined) {
      if (message.told) this.#checkUnseen(message, kind);
      else this.#checkWaits(message);
      return;
    }
    const { consumer, said } = receipt;
    if (isTooLarge(message, consumer) && isRefusal(kind)) return;
    if (consumer.ended) {
      assert.ok(message.told, `${message.name} has no outcome, though ${consumer.name} that had it is gone`);
      assert.ok(
        kind === 'modified' || kind === kindOf(said) || (consumer.settled && kind === 'accepted'),
        `${message.name} is ${kind}; ${consumer.name} that had it is gone`,
      );
    } else if (consumer.settled) {
      assert.equal(kind, 'accepted', `${message.name} reached ${consumer.name}, which wants no settlement`);
    } else if (said === undefined) {
      assert.ok(!message.told, `${message.name} is ${kind}, but ${consumer.name} has said nothing`);
    } else {
      assert.equal(kind, kindOf(said), `${message.name}: what ${consumer.name} said`);
      const { outcome } = message;
      if (outcome === undefined || !('type' in outcome) || !('type' in said)) return;
      if (said.type === 'rejected' && outcome.type === 'rejected')
        assert.deepEqual(outcome.error?.condition, said.error?.condition, `${message.name}: why it was rejected`);
      if (said.type === 'modified' && outcome.type === 'modified')
        assert.equal(outcome.undeliverableHere === true, isPutAside(receipt), `${message.name}: for whom`);
    }
  }

  /** An outcome of a message that no consumer has seen is the router's own, and has its reason. */
  #checkUnseen(message: Message, kind: string): void {
    const lost = this.#lostOne(message);
    switch (kind) {
      case 'released':
        assert.ok(
          lost || message.audience.length === 0 || this.#mayMissFallback(message),
          `${message.name} is released, though ${message.audience[0]?.name} was there for it all the time`,
        );
        break;
      case 'modified':
        assert.ok(lost || this.#isTooLargeForOne(message), `${message.name} is modified, though no consumer was lost`);
        break;
      case 'rejected':
        assert.ok(
          /^M0void\/|^nowhere$/.test(message.node) || this.#isTooLargeForOne(message),
          `${message.name} is rejected by nobody`,
        );
        break;
      default:
        assert.ok(
          this.#consumersOf(message).some(({ settled, ended }) => settled && ended),
          `${message.name} is ${kind}, and nobody has seen it`,
        );
    }
  }

  /** Somebody whom it may go to does not take it. */
  #isTooLargeForOne(message: Message): boolean {
    return this.#consumersOf(message).some((consumer) => isTooLarge(message, consumer));
  }

  /** An address that no link is attached to has no fallback either: an anonymous producer does not make one. */
  #mayMissFallback({ producer, node, audience }: Message): boolean {
    return producer.node === undefined && audience.every((consumer) => consumer.node !== node);
  }

  /** A message without an outcome that nobody has seen waits for somebody's credit. */
  #checkWaits(message: Message): void {
    assert.ok(this.#mayWait(message), `${message.name} is nowhere: it has no outcome, and no consumer lets it wait`);
  }

  /** Whether some consumer may be the reason that a message is not through. */
  #mayWait(message: Message): boolean {
    if (!isMulticast(message.node) && !isExchange(message.node) && message.receipts.length > 0) return false;
    return this.#consumersOf(message).some(
      (consumer) => consumer.attached && !consumer.retires && isBusy(consumer) && !consumer.byMessage.has(message.id),
    );
  }

  /** A message for an exchange is accepted where anybody is there to take it, else released; each who is there gets it. */
  #checkExchanged(message: Message): void {
    const kind = kindOf(message.outcome);
    // What is so large that its sender is held back is accepted when it has gone.
    if (!message.told && message.bytes.length > HELD_BACK && this.#mayWait(message)) return;
    assert.ok(message.told, `${message.name} has no outcome, though exchanges wait for nobody`);
    const lost = this.#lostOne(message);
    // Who leaves while a large one is still coming has not got it.
    if (lost && (kind === 'modified' || kind === 'released')) return;
    if (kind === 'released') {
      const nobody = message.audience.length === 0 || message.isUnsure;
      assert.ok(nobody, `${message.name} is released, though somebody was there`);
      assert.equal(message.receipts.length + message.within, 0, `${message.name} is released and went to somebody`);
      return;
    }
    if (isRefusal(kind) && this.#isTooLargeForOne(message)) return;
    assert.equal(kind, 'accepted', `${message.name}: its outcome`);
    if (lost) return;
    if (message.isUnsure) return;
    for (const node of message.ways.first) {
      const here = this.#consumersOf(message).filter((consumer) => consumer.node === node);
      // What waits for credit may be dropped in favour of what comes behind it.
      if (here.length === 0 || here.some((consumer) => !message.audience.includes(consumer) || hasDropped(consumer)))
        continue;
      if (here.some((consumer) => isBusy(consumer) || isTooLarge(message, consumer))) continue;
      assert.ok(
        here.some(({ byMessage }) => byMessage.has(message.id)),
        `${message.name} has not come to ${node}`,
      );
    }
  }

  #checkMulticast(message: Message): void {
    const kind = kindOf(message.outcome);
    for (const consumer of message.audience) {
      if (!consumer.attached || isBusy(consumer) || isTooLarge(message, consumer)) continue;
      assert.ok(consumer.byMessage.has(message.id), `${message.name} has not come to ${consumer.name}`);
    }
    if (this.#isServed(message)) assert.equal(message.within, 1, `${message.name} is for a node within, too`);
    const live = message.receipts.filter(({ consumer }) => !consumer.ended && !isTooLarge(message, consumer));
    if (message.told) {
      for (const { consumer, said } of live)
        assert.ok(
          said !== undefined || consumer.settled,
          `${message.name} is ${kind} before ${consumer.name} has spoken`,
        );
      const strength = STRENGTH.indexOf(kind);
      if (message.within > 0) assert.ok(strength >= STRENGTH.indexOf('accepted'), `${message.name} is ${kind}`);
      for (const { consumer, said } of live) {
        const other = consumer.settled ? 'accepted' : kindOf(said);
        assert.ok(
          strength >= STRENGTH.indexOf(other),
          `${message.name} is ${kind}, and ${consumer.name} said ${other}`,
        );
      }
      const some =
        message.receipts.some(({ said }) => kindOf(said) === kind) ||
        (isRefusal(kind) && this.#isTooLargeForOne(message));
      const lost = this.#lostOne(message);
      const reason =
        kind === 'released' ? lost || message.audience.length === 0 : kind === 'modified' ? lost : kind === 'accepted';
      assert.ok(some || reason, `${message.name} is ${kind}, which nobody said`);
      return;
    }
    const open = live.some(({ said, consumer }) => said === undefined && !consumer.settled);
    if (!open) this.#checkWaits(message);
  }

  /** A link that is routed is as long and as wide at one end as at the other. */
  #checkRouted(producer: Producer): void {
    const { consumers } = this.#field;
    const consumer = consumers.get(producer.id < 1_000_000 ? producer.id + 1_000_000 : producer.id - 1_000_000);
    if (consumer === undefined) return;
    const both = `${producer.name} and ${consumer.name}`;
    assert.equal(producer.ended, consumer.ended, `${both} are one link: both have ended, or none`);
    if (!producer.attached || !consumer.attached || producer.open !== undefined) return;
    assert.equal(producer.link.credit, consumer.link.announced, `${both} are one link: their credit`);
  }

  #checkProducer(producer: Producer): void {
    if (producer.node?.startsWith('routed') === true) this.#checkRouted(producer);
    if (!producer.attached || producer.retires || producer.node?.startsWith('routed') === true) return;
    const { capacity, link } = [...producer.client.at.links].find((row) => row.link.name === producer.link.name)!;
    const granted = link.credit;
    // What is decided before it is whole gives its credit back before the producer hears of it.
    if (producer.open !== undefined) return;
    let inHand = 0;
    let mayBeInHand = 0;
    for (const message of producer.messages) {
      if (message.stage === 'aborted') continue;
      if (message.settled) {
        if (this.#mayWait(message)) mayBeInHand++;
      } else if (!message.told || producer.unconfirmed.some(({ delivery }) => delivery.context === message)) inHand++;
    }
    // Who confirms in a dialect gets credit again when it is told.
    const waiting = producer.isStrict ? producer.unconfirmed.length : 0;
    assert.ok(
      granted + inHand - waiting <= capacity,
      `${producer.name} has credit for ${granted} more than the ${inHand} it has on the way`,
    );
    assert.ok(producer.link.credit <= granted, `${producer.name} has more credit than the router gave`);
    if (granted > 0) assert.ok(producer.link.credit > 0, `${producer.name} is not told of its credit`);
    if (producer.node !== undefined && !this.#hasTakers(producer.node)) return;
    assert.ok(
      granted + inHand + mayBeInHand >= capacity,
      `${producer.name} has lost credit: ${granted} left and ${inHand} on the way, of ${capacity}`,
    );
  }

  /** Somebody takes what is sent there; of exchanges that is not asked. */
  #hasTakers(node: string): boolean {
    const { settledIn, within } = this.#field;
    return (
      isExchange(node) ||
      within.has(node) ||
      settledIn.has(node) ||
      waysOf(node, '', this.#field.bound).spare.some((way) => settledIn.has(way.node))
    );
  }

  #checkConsumer(consumer: Consumer): void {
    if (consumer.ended && consumer.error?.condition === 'amqp:link:transfer-limit-exceeded')
      assert.fail(`${consumer.name} gets more than it allowed`);
    if (!consumer.attached) return;
    const { link } = consumer;
    assert.ok(!link.draining || link.current !== undefined, `${consumer.name} waits for its drain`);
  }

  /** Everybody has taken and settled all there was. */
  checkFinished(): void {
    for (const message of this.messages.values()) {
      if (message.producer.ended || message.settled || message.stage === 'aborted') continue;
      assert.ok(message.told, `${message.name} never gets an outcome`);
    }
    const hasBroker = [...this.#field.clients.values()].some(({ settings, isUp }) => settings.isBroker && isUp);
    for (const { name, status } of this.#field.router.autoLinks)
      assert.equal(status, hasBroker ? 'active' : 'inactive', `autolink ${name}`);
    for (const producer of this.#field.producers.values()) {
      if (!producer.attached || producer.node?.startsWith('routed') === true) continue;
      if (producer.node !== undefined && !this.#hasTakers(producer.node)) continue;
      const { capacity, link } = [...producer.client.at.links].find((row) => row.link.name === producer.link.name)!;
      assert.equal(link.credit, capacity, `${producer.name} has all its credit again`);
    }
  }

  /** Everybody has left. */
  checkForgotten(): void {
    const { router, clock, held, configured } = this.#field;
    for (const { producer, stage, late, confirmedAt, name, settled } of this.messages.values())
      if (producer.isStrict && producer.ended && stage === 'whole' && !settled)
        assert.ok(late !== undefined || confirmedAt < Infinity, `${name}: its container never hears of its outcome`);
    const left = [...router.addresses].map(({ key }) => key).filter((key) => !configured.has(key));
    assert.deepEqual(left, [], 'no address is left');
    assert.equal(router.connections.size, 0, 'no connection is left');
    assert.equal(router.deliveriesInFlight, 0, 'no delivery is left');
    assert.equal(clock.pending, 0, 'no timer is left');
    assert.equal(held.size, 0, 'no bytes of messages are held');
    for (const { id, at } of this.#field.clients.values())
      assert.equal(at.heldBytes, 0, `bytes that are held of client ${id}`);
  }
}

/** Whether the receiver of a message said that it is not for it, to somebody who wants to know. */
function isPutAside({ message, consumer, said }: Receipt): boolean {
  const isRouted = message.node.startsWith('routed');
  if (!isRouted && (message.producer.isStrict || consumer.client.settings.isStrict)) return false;
  return said !== undefined && 'type' in said && said.type === 'modified' && said.undeliverableHere === true;
}

function isTooLarge(message: Message, { most }: Consumer): boolean {
  return message.bytes.length > most;
}

/** Whether something may wait for a consumer: it has no credit, or takes a message that is still coming. */
function isBusy({ link }: Consumer): boolean {
  return link.credit === 0 || link.current !== undefined;
}

/** The router has dropped settled messages that waited for it. */
function hasDropped({ client, link }: Consumer): boolean {
  return [...client.at.links].some((row) => row.link.name === link.name && row.presettledDropped > 0);
}
