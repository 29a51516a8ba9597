// SPDX-License-Identifier: Apache-2.0
import type { Client } from './client.js';
import type { Consumer } from './consumer.js';
import type { Field } from './field.js';
import { ADDRESSES, CONFIGURED, SERVED } from './plan.js';
import type { Receipt } from './message.js';
import type { Producer } from './producer.js';
import type { Random } from './random.js';
import { OUTCOMES } from './step.js';
import type { Step } from './step.js';

const CLIENTS_MAX = 6;
const LINKS_MAX = 9;
/** Frame sizes that clients take: many frames to a message, or one. */
const FRAMES = [512, 4_096, 65_536];
/** Bytes of a message that make the router send it on before it is whole. */
const STREAMS_FROM = 1 << 17;
/** What a run may lean to, besides one that leans to nothing: what is rare where all of it is by chance. */
const LEANINGS = ['none', 'none', 'words before the end', 'words before the end', 'a large one that waits'] as const;
const OUTCOME_NAMES = ['accepted', 'accepted', ...Object.keys(OUTCOMES)];

/** Chooses what happens next on a field, by chance. */
export class Chooser {
  readonly #random: Random;
  readonly #field: Field;
  /** How often nothing is on its way after a step: always, or once in so many. */
  readonly #calm: number;
  /** One message in so many is large: it is sent on while it still comes. */
  readonly #rareness: number;
  /** Few addresses, so that there is traffic on each. */
  readonly #addresses: readonly string[];
  readonly #leaning: (typeof LEANINGS)[number];
  /** What is to come next, as it belongs together. */
  readonly #planned: Step[] = [];
  #client = 0;
  #link = 0;
  #message = 0;
  #wasSilent = true;

  constructor(random: Random, field: Field) {
    this.#random = random;
    this.#field = field;
    this.#calm = [1, 1, 3, 8][random.below(4)]!;
    this.#addresses = Array.from({ length: 2 + random.below(4) }, () => random.pick(ADDRESSES)!);
    this.#leaning = random.pick(LEANINGS)!;
    this.#rareness = this.#leaning === 'none' ? [3, 15, 60, 60][random.below(4)]! : 3;
    if (this.#leaning === 'a large one that waits') this.#addresses = ['post/p', 'post/p', 'queue/a', 'queue/b'];
    for (const address of SERVED)
      if (this.#addresses.includes(address) && random.once(2))
        this.#planned.push({ op: 'serve', address, there: true });
  }

  next(): Step {
    const planned = this.#planned.shift();
    if (planned !== undefined) return planned;
    if (!this.#wasSilent && this.#random.once(this.#calm)) {
      this.#wasSilent = true;
      return { op: 'silence' };
    }
    for (;;) {
      const step = this.#some();
      if (step === undefined) continue;
      this.#wasSilent = step.op === 'wait';
      return step;
    }
  }

  get #clients(): Client[] {
    return [...this.#field.clients.values()].filter((client) => client.isUp);
  }

  get #producers(): Producer[] {
    return [...this.#field.producers.values()].filter(({ ended }) => !ended);
  }

  get #consumers(): Consumer[] {
    return [...this.#field.consumers.values()].filter(({ ended }) => !ended);
  }

  #some(): Step | undefined {
    const random = this.#random;
    const at = random.below(100);
    if (at < 5) return this.#connect();
    if (at < 13) return this.#consumer();
    if (at < 20) return this.#producer();
    if (at < 54) return this.#send();
    if (at < 66) return this.#credit();
    if (at < 86) return this.#say();
    if (at < 92) {
      const client = random.pick(this.#clients);
      return client === undefined ? undefined : { op: 'carry', client: client.id, toRouter: random.once(2) };
    }
    return this.#rare();
  }

  #connect(): Step | undefined {
    if (this.#clients.length >= CLIENTS_MAX) return undefined;
    const random = this.#random;
    const broker = random.once(3);
    return {
      op: 'connect',
      client: this.#client++,
      broker,
      strict: broker && random.once(2),
      tenant: !broker && random.once(6),
      frame: random.pick(FRAMES)!,
      keeps: random.once(3),
    };
  }

  #consumer(): Step | undefined {
    const random = this.#random;
    const client = random.pick(this.#clients);
    if (client === undefined || this.#consumers.length >= LINKS_MAX) return undefined;
    const address = random.once(10) ? undefined : random.pick(this.#addresses)!;
    return {
      op: 'consumer',
      client: client.id,
      session: random.below(2),
      link: this.#link++,
      address,
      fallback: address?.startsWith('fall/') === true && random.once(2),
      most: random.once(6) ? random.pick([1_000, 150_000])! : 0,
      credit: random.once(this.#leaning === 'a large one that waits' ? 1 : 3) ? 0 : random.below(8),
      settled: random.once(8),
    };
  }

  #producer(): Step | undefined {
    const random = this.#random;
    const client = random.pick(this.#clients);
    if (client === undefined || this.#producers.length >= LINKS_MAX) return undefined;
    return {
      op: 'producer',
      client: client.id,
      // Large messages on one session get in each other's way.
      session: this.#leaning === 'words before the end' ? 0 : random.below(2),
      link: this.#link++,
      address: random.once(4) ? undefined : this.#someAddress(),
      confirms: random.once(this.#leaning === 'words before the end' ? 2 : 6),
    };
  }

  /** One of those that all know, or a dynamic one of somebody. */
  #someAddress(): string {
    const random = this.#random;
    const dynamic = this.#consumers.flatMap(({ node, address }) =>
      node?.startsWith('Ltemp') === true && address !== undefined ? [address] : [],
    );
    return (random.once(6) ? random.pick(dynamic) : undefined) ?? random.pick(this.#addresses)!;
  }

  #send(): Step | undefined {
    const random = this.#random;
    const producer = random.pick(this.#producers);
    if (producer === undefined) return undefined;
    if (producer.open !== undefined) {
      if (random.once(6)) return { op: 'abort', link: producer.id };
      return { op: 'more', link: producer.id, count: random.once(3) ? 1e9 : random.below(200_000) };
    }
    if (!producer.mayBegin) return undefined;
    const sizes = [random.below(200), random.below(200), random.below(5_000), random.below(40_000)];
    const isLarge = random.once(this.#rareness);
    const size = isLarge
      ? random.below(this.#leaning === 'words before the end' ? 800_000 : 500_000)
      : random.pick(sizes)!;
    const whole = size < 1_000 || random.below(4) > (isLarge ? 2 : 0);
    // As much as makes it go on before it is whole.
    if (isLarge && !whole && this.#leaning === 'words before the end')
      this.#planned.push({ op: 'more', link: producer.id, count: STREAMS_FROM }, { op: 'silence' });
    return {
      op: 'send',
      link: producer.id,
      message: this.#message++,
      // What a message says of itself counts for nothing on a link that leads somewhere.
      to: random.once(producer.address === undefined ? 30 : 2) ? undefined : this.#someAddress(),
      size,
      settled: random.once(7),
      whole,
    };
  }

  #credit(): Step | undefined {
    const random = this.#random;
    const consumer = random.pick(this.#consumers);
    if (consumer === undefined) return undefined;
    if (this.#leaning === 'a large one that waits' && !random.once(6)) return undefined;
    if (random.once(12)) return { op: 'drain', link: consumer.id };
    return { op: 'credit', link: consumer.id, count: 1 + random.below(9) };
  }

  #say(): Step | undefined {
    const random = this.#random;
    const confirming = random.pick(this.#producers.filter(({ unconfirmed }) => unconfirmed.length > 0));
    if (confirming !== undefined && random.once(3)) return { op: 'confirm', link: confirming.id };
    // Now and then before it is whole.
    const early = random.once(this.#leaning === 'words before the end' && !random.once(4) ? 1 : 3);
    const isOpen = ({ said, delivery, complete }: Receipt): boolean =>
      said === undefined && !delivery.settled && complete !== early;
    const consumers = this.#consumers.filter(({ receipts }) => receipts.length > 0);
    const consumer = random.pick(early ? consumers.filter(({ receipts }) => receipts.some(isOpen)) : consumers);
    if (consumer === undefined) return undefined;
    const outcome = random.pick(OUTCOME_NAMES)!;
    if (!early && random.once(5)) return { op: 'say all', link: consumer.id, outcome };
    const receipt = random.pick(consumer.receipts.filter(isOpen));
    if (receipt === undefined) return undefined;
    const { message, complete } = receipt;
    const { producer } = message;
    const waits = !complete && producer.confirms && producer.open === message;
    const settles = waits ? random.once(4) : !random.once(5);
    // Its producer confirms in mid-message: in a frame of the message, or before it takes it back.
    if (waits && !settles && !random.once(4)) {
      this.#planned.push({ op: 'silence' }, { op: 'confirm', link: producer.id });
      if (random.once(2)) this.#planned.push({ op: 'silence' });
      this.#planned.push(
        random.once(2)
          ? { op: 'abort', link: producer.id }
          : { op: 'more', link: producer.id, count: random.below(200_000) },
      );
    }
    return { op: 'say', link: consumer.id, message: message.id, outcome, settles };
  }

  #rare(): Step | undefined {
    const random = this.#random;
    const client = random.pick(this.#clients);
    if (client === undefined) return undefined;
    const address = random.pick(SERVED.filter((name) => this.#addresses.includes(name)));
    switch (random.below(16)) {
      case 12:
      case 13:
        return { op: 'configure', name: random.pick(CONFIGURED)!, there: random.once(2) };
      case 14:
        return address === undefined ? undefined : { op: 'serve', address, there: random.once(2) };
      case 15:
        return { op: 'emit', to: this.#someAddress(), message: this.#message++, size: random.below(9_000) };
      case 0:
        return { op: 'cut', client: client.id };
      case 1:
        return random.once(2) ? { op: 'close', client: client.id } : undefined;
      case 2:
        return random.once(2) ? { op: 'end', client: client.id, session: random.below(2) } : undefined;
      case 3:
        return { op: 'refuse', client: client.id, refuses: random.once(3) };
      case 4:
      case 5:
        return { op: 'wait', ms: random.below(7_000) };
      default: {
        const link = random.once(2) ? random.pick(this.#consumers) : random.pick(this.#producers);
        return link === undefined ? undefined : { op: 'detach', link: link.id };
      }
    }
  }
}
