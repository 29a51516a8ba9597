// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { isHeldOnce, letGo } from '@pointsman/engine';
import { Router } from '../../src/index.js';
import { VirtualClock } from '../world.js';
import { Client } from './client.js';
import { Consumer } from './consumer.js';
import { BINDINGS, isExchange, keptNodes, subjectOf } from './exchanges.js';
import { Ledger } from './ledger.js';
import { Message, idOf } from './message.js';
import { LATE_ADDRESS, LINK_CAPACITY, PLAN, fallbackOf, isRouted, nodeOf, waysOf } from './plan.js';
import { Producer } from './producer.js';
import { Random } from './random.js';
import { OUTCOMES } from './step.js';
import type { Step } from './step.js';

/** Numbers of links of autolinks start here. */
const AUTO_IDS = 2_000_000;

/** Longer than any retry of the router. */
const RETRIES_MS = 6_000;

/** A router with its clients, on which steps are carried out one after the other. */
export class Field {
  readonly clock: VirtualClock = new VirtualClock();
  readonly router: Router;
  /** Names of the bindings that are there. */
  readonly bound: Set<string> = new Set(BINDINGS.map(({ name }) => name));
  readonly ledger: Ledger = new Ledger(this);
  readonly clients: Map<number, Client> = new Map();
  readonly producers: Map<number, Producer> = new Map();
  readonly consumers: Map<number, Consumer> = new Map();
  /** Chunks that the router keeps something of. */
  readonly held: Set<Uint8Array> = new Set();
  /** Number of the step under way. */
  step = 0;
  /** That after which last nothing was on its way. */
  silentAt = 0;
  /** Consumers that were attached when last nothing was on its way, by node. */
  readonly settledIn: Map<string, Consumer[]> = new Map();
  /** Names of the link routes that are configured. */
  readonly #routeNames = new Set(PLAN.linkRoutes!.map(({ name }) => name!));
  /** Nodes within the router, by their key, and what takes them away. */
  readonly within: Map<string, () => void> = new Map();
  /** Of these, those that were there when last nothing was on its way. */
  readonly settledWithin: Map<string, unknown> = new Map();
  /** The router itself, where it sends. */
  readonly #self = new Producer(-1, undefined, undefined, undefined, false);
  readonly #autoIds = new Map<number, number>();

  constructor() {
    const random = new Random(1);
    this.router = new Router({ id: 'R', clock: this.clock, random: () => random.fraction(), ...PLAN });
  }

  /** Number for the next of the links that the router attaches at a client for one of its autolinks. */
  nextAutoId(client: number, autoLink: number): number {
    const base = AUTO_IDS + client * 1_000 + autoLink * 100;
    const before = this.#autoIds.get(base) ?? 0;
    this.#autoIds.set(base, before + 1);
    return base + before;
  }

  /** Keys of the addresses that exchanges hold. */
  get configured(): ReadonlySet<string> {
    return keptNodes(this.bound);
  }

  message(id: number): Message | undefined {
    return this.ledger.messages.get(id);
  }

  add(link: Producer | Consumer): void {
    if (link instanceof Producer) this.producers.set(link.id, link);
    else this.consumers.set(link.id, link);
  }

  /** Carries out a step and checks what has to hold at any time. */
  run(step: Step): void {
    this.step++;
    this.#do(step);
    for (const client of this.clients.values())
      if (client.end?.by === 'protocol') assert.fail(`client ${client.id}: ${client.end.error?.description}`);
  }

  #do(step: Step): void {
    switch (step.op) {
      case 'connect':
        if (!this.clients.has(step.client))
          this.clients.set(
            step.client,
            new Client(step.client, this, {
              isBroker: step.broker,
              isStrict: step.strict,
              isTenant: step.tenant,
              maxFrameSize: step.frame,
              keepsAnnotations: step.keeps,
            }),
          );
        break;
      case 'consumer':
        this.#attachConsumer(step);
        break;
      case 'producer':
        this.#attachProducer(step);
        break;
      case 'credit':
        if (this.#consumer(step.link)?.attached === true) this.#consumer(step.link)!.credit(step.count);
        break;
      case 'drain':
        if (this.#consumer(step.link)?.attached === true) this.#consumer(step.link)!.link.drain();
        break;
      case 'send':
        this.#send(step);
        break;
      case 'more':
        this.producers.get(step.link)?.more(step.count);
        break;
      case 'abort':
        this.producers.get(step.link)?.abort();
        break;
      case 'say': {
        const consumer = this.#consumer(step.link);
        const receipt = consumer?.byMessage.get(step.message);
        if (receipt !== undefined) consumer!.say(receipt, OUTCOMES[step.outcome]!, step.settles);
        break;
      }
      case 'say all': {
        const consumer = this.#consumer(step.link);
        for (const receipt of consumer?.receipts ?? [])
          if (receipt.complete) consumer!.say(receipt, OUTCOMES[step.outcome]!, true);
        break;
      }
      case 'confirm': {
        const producer = this.producers.get(step.link);
        if (producer?.attached === true) producer.confirm();
        break;
      }
      case 'detach': {
        const link = this.producers.get(step.link) ?? this.#consumer(step.link);
        if (link === undefined || link.ended || link.link.state !== 'attached') break;
        if (link instanceof Producer) link.end();
        else link.ended = true;
        link.link.detach();
        break;
      }
      case 'end':
        this.clients.get(step.client)?.endSession(step.session);
        break;
      case 'close':
        if (this.clients.get(step.client)?.isUp === true) this.clients.get(step.client)!.close();
        break;
      case 'cut':
        this.#cut(step.client);
        break;
      case 'refuse': {
        const client = this.clients.get(step.client);
        if (client !== undefined) client.refuses = step.refuses;
        break;
      }
      case 'configure':
        this.#configure(step.name, step.there);
        break;
      case 'serve':
        this.#serve(step.address, step.there);
        break;
      case 'emit':
        this.#emit(step);
        break;
      case 'carry':
        this.clients.get(step.client)?.carry(step.toRouter);
        break;
      case 'wait':
        this.#wait(step.ms);
        break;
      case 'silence':
        this.silence();
        break;
    }
  }

  #consumer(id: number): Consumer | undefined {
    return this.consumers.get(id);
  }

  #attachConsumer(step: Step & { op: 'consumer' }): void {
    const client = this.clients.get(step.client);
    if (client?.isUp !== true || this.consumers.has(step.link)) return;
    const { address } = step;
    const fallback = step.fallback && !client.settings.isTenant;
    const full = address === undefined ? undefined : client.fullAddress(address);
    const known =
      full === undefined ? undefined : this.#routes(full, 'out') ? `routed ${step.link}` : nodeOf(full, true);
    const node = fallback && known !== undefined ? fallbackOf(known) : known;
    const consumer = new Consumer(
      step.link,
      client,
      node,
      step.settled,
      node?.startsWith('routed') === true ? 0 : step.most,
    );
    consumer.link = client.session(step.session).attachReceiver(`L${step.link}`, consumer, {
      source:
        address === undefined
          ? { type: 'source', dynamic: true }
          : { type: 'source', address, ...(fallback ? { capabilities: ['qd.fallback'] } : {}) },
      target: { type: 'target' },
      sndSettleMode: step.settled ? 1 : 2,
      ...(consumer.most === Infinity ? {} : { maxMessageSize: BigInt(consumer.most) }),
    });
    this.add(consumer);
    if (step.credit > 0) consumer.credit(step.credit);
  }

  #attachProducer(step: Step & { op: 'producer' }): void {
    const client = this.clients.get(step.client);
    // A container with a dialect only answers.
    if (client?.isUp !== true || client.settings.isStrict || this.producers.has(step.link)) return;
    const { address } = step;
    const full = address === undefined ? undefined : client.fullAddress(address);
    const node =
      full === undefined ? undefined : this.#routes(full, 'in') ? `routed ${step.link}` : nodeOf(full, false);
    const producer = new Producer(step.link, client, address, node, step.confirms);
    producer.link = client.session(step.session).attachSender(`L${step.link}`, producer, {
      source: { type: 'source' },
      target: { type: 'target', address },
      rcvSettleMode: step.confirms ? 1 : 0,
    });
    this.add(producer);
  }

  #send({ link, message: id, to, size, settled, whole }: Step & { op: 'send' }): void {
    const producer = this.producers.get(link);
    if (producer?.mayBegin !== true || this.ledger.messages.has(id)) return;
    const node = producer.node ?? (to === undefined ? 'nowhere' : nodeOf(producer.client.fullAddress(to), false));
    producer.begin(
      this.#message(id, producer, node, to ?? producer.address, size, settled && !producer.isStrict),
      whole,
    );
  }

  #message(
    id: number,
    producer: Producer,
    node: string,
    to: string | undefined,
    size: number,
    settled: boolean,
  ): Message {
    const ways = waysOf(node, subjectOf(id), this.bound);
    const nodes = [...ways.first, ...ways.spare.map((spare) => spare.node)];
    const audience = nodes.flatMap((way) =>
      (this.settledIn.get(way) ?? []).filter(({ ended, retires }) => !ended && !retires),
    );
    const served = this.settledWithin.get(node);
    const message = new Message(id, producer, node, to, size, settled, this.step, ways, audience, served);
    this.ledger.messages.set(id, message);
    return message;
  }

  /** Links of clients to the address are routed, by what is configured now. */
  #routes(address: string, direction: 'in' | 'out'): boolean {
    return isRouted(address) && this.#routeNames.has(direction === 'in' ? 'to' : 'from');
  }

  #configure(name: string, there: boolean): void {
    const { router } = this;
    const index = PLAN.autoLinks!.findIndex((autoLink) => autoLink.name === name);
    const route = PLAN.linkRoutes!.find((settings) => settings.name === name);
    if (index >= 0) {
      const known = router.autoLinks.find((autoLink) => autoLink.name === name);
      if ((known !== undefined) === there) return;
      if (known === undefined) {
        router.addAutoLink(PLAN.autoLinks![index]!);
        return;
      }
      router.removeAutoLink(known);
      this.#retire(index);
    } else if (route !== undefined) {
      // Which attaches find it is to be certain.
      this.silence();
      if (this.#routeNames.has(name) === there) return;
      if (there) {
        this.#routeNames.add(name);
        router.addLinkRoute(route);
      } else {
        this.#routeNames.delete(name);
        router.removeLinkRoute(router.linkRoutes.find((other) => other.name === name)!);
      }
    } else if (BINDINGS.some((binding) => binding.name === name)) {
      this.#bind(name, there);
    } else {
      const [id] = [...router.addressSettings].find(([, settings]) => settings.name === name) ?? [];
      if (id === undefined && there) router.addAddress(LATE_ADDRESS);
      if (id !== undefined && !there) router.removeAddress(id);
    }
  }

  #bind(name: string, there: boolean): void {
    // Which messages take it is to be certain.
    this.silence();
    if (this.bound.has(name) === there) return;
    const { exchanges } = this.router;
    if (there) {
      this.bound.add(name);
      exchanges.addBinding(PLAN.bindings!.find((settings) => settings.name === name)!);
    } else {
      this.bound.delete(name);
      exchanges.removeBinding([...exchanges.bindings()].find(({ settings }) => settings.name === name)!);
    }
    for (const message of this.ledger.messages.values()) {
      if (!isExchange(message.node) || message.isOut || message.stage === 'aborted') continue;
      const { first, spare } = waysOf(message.node, message.subject, this.bound);
      const before = message.ways;
      message.ways = { first: [...before.first, ...first], spare: [...before.spare, ...spare] };
      message.isUnsure = true;
    }
  }

  /** Links of an autolink end what they have begun, and take nothing new. */
  #retire(autoLink: number): void {
    const isOf = ({ id }: Producer | Consumer): boolean =>
      id >= AUTO_IDS && Math.floor((id % 1_000) / 100) === autoLink;
    for (const producer of this.producers.values()) if (isOf(producer)) producer.retires = true;
    for (const consumer of this.consumers.values()) {
      if (!isOf(consumer) || consumer.retires) continue;
      consumer.retires = true;
      consumer.goneAt = Math.min(consumer.goneAt, this.step);
    }
  }

  #serve(address: string, there: boolean): void {
    const key = nodeOf(address, true);
    const stop = this.within.get(key);
    if ((stop !== undefined) === there) return;
    if (stop !== undefined) {
      stop();
      this.within.delete(key);
      return;
    }
    const end = this.router.serve(address, ({ bytes }) => {
      const message = this.message(idOf(bytes));
      assert.ok(message !== undefined, `${key} gets a message that was not sent`);
      this.ledger.taken(message, key);
      message.checkContent(bytes);
    });
    this.within.set(key, end);
  }

  #emit({ to, message: id, size }: Step & { op: 'emit' }): void {
    if (this.ledger.messages.has(id)) return;
    const message = this.#message(id, this.#self, nodeOf(to, false), to, size, true);
    message.stage = 'whole';
    message.refused = !this.router.send(to, message.bytes);
  }

  #cut(id: number): void {
    const client = this.clients.get(id);
    if (client?.isUp !== true) return;
    client.cut();
    for (const consumer of this.consumers.values()) if (consumer.client === client) consumer.goneAt = this.step;
  }

  #carryAll(): void {
    for (let moved = true; moved;) {
      moved = false;
      for (const client of this.clients.values())
        for (const toRouter of [true, false]) moved = client.carry(toRouter) || moved;
    }
  }

  #wait(ms: number): void {
    const until = this.clock.time + ms;
    for (let action = this.clock.next(until); action !== undefined; action = this.clock.next(until)) {
      action();
      this.#carryAll();
    }
    this.clock.time = until;
    this.silence();
  }

  /** Carries bytes until everybody is silent, and checks what has to hold then. */
  silence(): void {
    this.#carryAll();
    for (const chunk of this.held) {
      if (!isHeldOnce(chunk)) continue;
      chunk.fill(0xdd);
      letGo(chunk);
      this.held.delete(chunk);
    }
    this.silentAt = this.step;
    this.settledIn.clear();
    this.settledWithin.clear();
    for (const [key, stop] of this.within) this.settledWithin.set(key, stop);
    for (const consumer of this.consumers.values()) {
      if (consumer.ended) consumer.goneAt = Math.min(consumer.goneAt, this.step);
      else if (consumer.attached && consumer.node !== undefined && !consumer.retires) {
        const here = this.settledIn.get(consumer.node);
        if (here === undefined) this.settledIn.set(consumer.node, [consumer]);
        else here.push(consumer);
      }
    }
    this.ledger.check();
  }

  /** Everybody goes on until all that can be delivered is; then all leave, and nothing may be left of it. */
  finish(): void {
    for (const client of this.clients.values()) client.refuses = false;
    // A step of its own: what goes out in it crosses what happens in it.
    this.step++;
    this.#do({ op: 'wait', ms: RETRIES_MS });
    for (let round = 0; round < 40; round++) {
      this.step++;
      for (const producer of this.producers.values()) {
        producer.more(Infinity);
        if (producer.attached) producer.confirm();
      }
      for (const consumer of this.consumers.values()) {
        if (!consumer.attached) continue;
        if (consumer.link.credit < LINK_CAPACITY) consumer.credit(LINK_CAPACITY);
        for (const receipt of consumer.receipts)
          if (receipt.complete) consumer.say(receipt, OUTCOMES['accepted']!, true);
      }
      this.silence();
    }
    this.ledger.checkFinished();
    for (const client of this.clients.values()) if (client.isUp) this.#cut(client.id);
    for (const [key, stop] of this.within) {
      this.within.delete(key);
      stop();
    }
    this.silence();
    this.ledger.checkForgotten();
  }
}
