// SPDX-License-Identifier: Apache-2.0
import type { Address } from './address.js';
import { SubjectTree } from './subject-tree.js';
import type { MatchMethod } from './subject-tree.js';
import type { Hop, Way } from './way.js';

export interface ExchangeSettings {
  readonly name: string;
  /** Address whose messages it takes. */
  readonly address: string;
  /** 0 to 9; 0 where none is given. */
  readonly phase?: number | undefined;
  /** Address for messages that go nowhere else. */
  readonly alternateAddress?: string | undefined;
  readonly alternatePhase?: number | undefined;
  /** `amqp` where none is given. */
  readonly matchMethod?: MatchMethod | undefined;
}

export interface BindingSettings {
  readonly name?: string | undefined;
  readonly exchangeName: string;
  /** Subjects that match; all of them where none is given. */
  readonly bindingKey?: string | undefined;
  readonly nextHopAddress: string;
  /** 0 to 9; 0 where none is given. */
  readonly nextHopPhase?: number | undefined;
}

/** An exchange or binding that cannot be: the message says why, in the words that clients of management know. */
export class ExchangeRefused extends Error {
  override readonly name = 'ExchangeRefused';
}

/** A way from an exchange to an address. */
export class Binding {
  readonly id: number;
  readonly settings: BindingSettings;
  readonly exchange: Exchange;
  readonly hop: Hop;
  /** Messages whose subject matched. */
  matched = 0;

  constructor(id: number, settings: BindingSettings, exchange: Exchange, hop: Hop) {
    this.id = id;
    this.settings = settings;
    this.exchange = exchange;
    this.hop = hop;
  }

  get key(): string {
    return this.settings.bindingKey ?? '#';
  }
}

/** Distributes the messages of an address by their subject: to each next hop at most once. */
export class Exchange {
  readonly id: number;
  readonly settings: ExchangeSettings;
  readonly address: Address;
  readonly alternate: Hop | undefined;
  readonly bindings: Set<Binding> = new Set();
  /** Messages that arrived, matched nothing that takes them, went on, and of these to the alternate address. */
  received = 0;
  dropped = 0;
  forwarded = 0;
  diverted = 0;
  readonly #keys: SubjectTree<Binding>;
  readonly #onLoop: (names: readonly string[]) => void;

  /** @param onLoop - told of exchanges that lead back to themselves, by their names */
  constructor(
    id: number,
    settings: ExchangeSettings,
    address: Address,
    alternate: Hop | undefined,
    onLoop: (names: readonly string[]) => void,
  ) {
    this.id = id;
    this.settings = settings;
    this.address = address;
    this.alternate = alternate;
    this.#keys = new SubjectTree(this.matchMethod);
    this.#onLoop = onLoop;
  }

  get name(): string {
    return this.settings.name;
  }

  get matchMethod(): MatchMethod {
    return this.settings.matchMethod ?? 'amqp';
  }

  /** It may lead somewhere. Who is at the end of its ways is not asked: senders get credit. */
  get isPath(): boolean {
    return this.bindings.size > 0 || this.alternate !== undefined;
  }

  add(binding: Binding): void {
    const opens = !this.isPath;
    this.bindings.add(binding);
    this.#keys.add(binding.key, binding);
    if (opens) this.address.opened();
  }

  remove(binding: Binding): void {
    this.bindings.delete(binding);
    this.#keys.remove(binding.key, binding);
  }

  /** Where a message of this subject goes. */
  wayOf(subject: string | undefined): Way {
    const journey: Journey = { subject, hops: [], counts: [], passed: new Map() };
    this.#pass(journey, { address: this.address }, []);
    const { hops, counts } = journey;
    return {
      hops,
      settles: true,
      count: (): void => {
        for (const count of counts) count();
      },
    };
  }

  /** @returns whether anybody takes the message */
  #pass(journey: Journey, arrival: Hop, before: readonly Exchange[]): boolean {
    const path = [...before, this];
    journey.passed.set(this, false);
    // Who receives from the address of the exchange itself gets the message, too.
    const here = this.address.hasTakers;
    if (here) journey.hops.push(arrival);
    const matched = journey.subject === undefined ? [] : this.#keys.matches(journey.subject);
    const nextHops = new Map(matched.map(({ hop }) => [hop.address, hop]));
    let taken = here;
    for (const hop of nextHops.values()) taken = this.#follow(journey, hop, path) || taken;
    const diverted = !taken && this.alternate !== undefined && this.#follow(journey, this.alternate, path);
    journey.counts.push(() => {
      this.received++;
      if (taken || diverted) this.forwarded++;
      else this.dropped++;
      if (diverted) this.diverted++;
      for (const binding of matched) binding.matched++;
    });
    journey.passed.set(this, taken || diverted);
    return taken || diverted;
  }

  #follow(journey: Journey, hop: Hop, path: readonly Exchange[]): boolean {
    const { address } = hop;
    const { exchange, fallback } = address;
    const had = exchange === undefined ? undefined : journey.passed.get(exchange);
    if (exchange !== undefined && had !== undefined) {
      // Each exchange distributes a message once.
      const at = path.indexOf(exchange);
      if (at >= 0) this.#onLoop([...path.slice(at), exchange].map(({ name }) => name));
      return had;
    }
    if (exchange !== undefined ? exchange.#pass(journey, hop, path) : address.hasTakers) {
      if (exchange === undefined) journey.hops.push(hop);
      return true;
    }
    const way = fallback?.hasTakers === true ? address.fallbackWay : undefined;
    for (const last of way?.hops ?? []) journey.hops.push({ ...last, resets: true });
    return way !== undefined;
  }
}

/** One message on its way through exchanges. */
interface Journey {
  readonly subject: string | undefined;
  readonly hops: Hop[];
  readonly counts: (() => void)[];
  /** Exchanges that have had it, and whether anybody took it there. */
  readonly passed: Map<Exchange, boolean>;
}
