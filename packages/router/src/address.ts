// SPDX-License-Identifier: Apache-2.0
import type { AddressKey } from './address-text.js';
import { FALLBACK_PHASE } from './address-text.js';
import type { Exchange } from './exchange.js';
import type { IncomingLink } from './incoming-link.js';
import type { OutgoingLink } from './outgoing-link.js';
import type { Distribution, InProcessReceiver } from './settings.js';
import type { Way } from './way.js';

/** Shared by all nodes: idle ones should cost little. Only replaced, never changed. */
const NOBODY: never[] = [];

/**
 * A node: producers on one side, consumers on the other. Links hold it directly, so that forwarding on an attached link
 * looks nothing up.
 */
export class Address {
  readonly key: AddressKey;
  readonly distribution: Distribution;
  #consumers: OutgoingLink[] = NOBODY;
  #producers: Set<IncomingLink> | undefined = undefined;
  /** Nodes within the router itself. They take whole messages, before any consumer does. */
  receivers: InProcessReceiver[] = NOBODY;
  /** A message can go straight to the one consumer that is chosen. */
  isDirect: boolean;
  /** Links that are about to come, such as those of autolinks; ways of exchanges that lead here. */
  pins = 0;
  /** Ms of the clock until which messages wait for a link to a container that is expected back at any moment. */
  awaitedUntil = 0;
  /** Where messages go that nobody takes here; the companion knows whose it is. */
  fallback: Address | undefined = undefined;
  fallbackFor: Address | undefined = undefined;
  /** Distributes what comes here by subject. */
  exchange: Exchange | undefined = undefined;
  /** 0 to 9, or -1: that of each message counts. */
  priority = -1;
  /** Ways that nothing has to be found out for: to those who are here, made when it is first needed, and to those of the fallback. */
  #way: Way | undefined = undefined;
  fallbackWay: Way | undefined = undefined;
  /** Where the next search for a consumer starts. */
  #turn = 0;
  #turnBefore = 0;
  #receiverTurn = 0;
  /** Messages that came in here from clients, and that went out to consumers. */
  deliveriesIngress = 0;
  deliveriesEgress = 0;
  /** Of these, those that came from route containers, and that went to them. */
  deliveriesIngressRouteContainer = 0;
  deliveriesEgressRouteContainer = 0;
  /** Messages to and from nodes within the router. */
  deliveriesToContainer = 0;
  deliveriesFromContainer = 0;
  deliveriesRedirectedToFallback = 0;

  constructor(key: AddressKey, distribution: Distribution) {
    this.key = key;
    this.distribution = distribution;
    this.isDirect = distribution !== 'multicast';
  }

  get consumers(): readonly OutgoingLink[] {
    return this.#consumers;
  }

  get producers(): Iterable<IncomingLink> {
    return this.#producers ?? NOBODY;
  }

  get way(): Way {
    return (this.#way ??= { hops: [{ address: this }], settles: false });
  }

  /** It is a companion, for what nobody takes at the address itself. */
  get isFallback(): boolean {
    return this.key.startsWith('MF');
  }

  /** There is somewhere for a message to go. */
  get hasPaths(): boolean {
    return this.hasOwnPaths || (this.fallback !== undefined && this.fallback.hasOwnPaths);
  }

  /** There is somebody here, not only at the fallback. */
  get hasOwnPaths(): boolean {
    return this.hasTakers || (this.exchange !== undefined && this.exchange.isPath);
  }

  /** Who was expected has not come. */
  gaveUp(): void {
    for (const producer of this.producers) producer.gaveUp();
  }

  /** There is somebody who takes messages as they are. */
  get hasTakers(): boolean {
    return this.#consumers.length > 0 || this.receivers.length > 0;
  }

  get isUnused(): boolean {
    return (
      !this.hasTakers &&
      this.exchange === undefined &&
      (this.#producers === undefined || this.#producers.size === 0) &&
      this.pins === 0 &&
      this.fallbackFor === undefined
    );
  }

  /** Gives the address a companion, which takes what nobody takes here. */
  setFallback(companion: Address, text: string): void {
    this.fallback = companion;
    this.fallbackWay = {
      hops: [{ address: companion, to: text, phase: FALLBACK_PHASE, insteadOf: this }],
      settles: false,
    };
    companion.fallbackFor = this;
  }

  addConsumer(link: OutgoingLink): void {
    const opens = !this.hasOwnPaths;
    // A list with room for one more is made with the first: most nodes have one consumer.
    if (this.#consumers.length === 0) this.#consumers = [link];
    else this.#consumers.push(link);
    if (opens) this.opened();
  }

  addReceiver(receiver: InProcessReceiver): void {
    const opens = !this.hasOwnPaths;
    if (this.receivers.length === 0) this.receivers = [receiver];
    else this.receivers.push(receiver);
    this.#direct();
    if (opens) this.opened();
  }

  removeReceiver(receiver: InProcessReceiver): void {
    const at = this.receivers.indexOf(receiver);
    if (at >= 0) this.receivers.splice(at, 1);
    this.#direct();
  }

  setExchange(exchange: Exchange | undefined): void {
    this.exchange = exchange;
    this.#direct();
  }

  #direct(): void {
    this.isDirect = this.distribution !== 'multicast' && this.receivers.length === 0 && this.exchange === undefined;
  }

  /** The nodes within the router that take the next message: each in turn, or all. */
  nextReceivers(): readonly InProcessReceiver[] {
    const { receivers } = this;
    if (this.distribution === 'multicast' || receivers.length <= 1) return [...receivers];
    return [receivers[this.#receiverTurn++ % receivers.length]!];
  }

  /** There is somewhere to go now: whoever was kept waiting gets credit. */
  opened(): void {
    for (const producer of this.producers) producer.pathsOpened();
    for (const producer of this.fallbackFor?.producers ?? []) if (!producer.isFallback) producer.pathsOpened();
  }

  removeConsumer(link: OutgoingLink): void {
    const at = this.#consumers.indexOf(link);
    if (at >= 0) this.#consumers.splice(at, 1);
  }

  addProducer(link: IncomingLink): void {
    (this.#producers ??= new Set()).add(link);
  }

  removeProducer(link: IncomingLink): void {
    this.#producers?.delete(link);
  }

  /** What was chosen last was not used: the next search starts where that one did. */
  undoChoice(): void {
    this.#turn = this.#turnBefore;
  }

  /**
   * The consumer that takes the next message, or undefined where there is none.
   *
   * `closest` takes them in turn. `balanced` takes the one with the fewest messages that wait or are unsettled, among
   * those below their capacity first; capacity ranks, it never prevents.
   */
  choose(): OutgoingLink | undefined {
    const consumers = this.#consumers;
    const count = consumers.length;
    if (count <= 1) return consumers[0];
    if (this.#turn >= count) this.#turn = 0;
    this.#turnBefore = this.#turn;
    if (this.distribution === 'closest') return consumers[this.#turn++];
    let best = consumers[this.#turn]!;
    let bestLoad = best.load;
    let bestEligible = best.capacity > bestLoad;
    for (let i = 1; i < count && !(bestEligible && bestLoad === 0); i++) {
      const at = this.#turn + i;
      const candidate = consumers[at < count ? at : at - count]!;
      const load = candidate.load;
      const eligible = candidate.capacity > load;
      if (eligible === bestEligible ? load < bestLoad : eligible) {
        best = candidate;
        bestLoad = load;
        bestEligible = eligible;
      }
    }
    if (bestEligible && bestLoad === 0) this.#turn++;
    return best;
  }
}
