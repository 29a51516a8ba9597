// SPDX-License-Identifier: Apache-2.0
import { plainAddress } from './address-text.js';
import { Binding, Exchange, ExchangeRefused } from './exchange.js';
import type { BindingSettings, ExchangeSettings } from './exchange.js';
import { isBindingKey } from './subject-tree.js';
import type { Router } from './router.js';
import type { Hop } from './way.js';

/** Loops that the log tells of: a tangle of exchanges has very many. */
const LOOPS_MAX = 100;

/** The exchanges of a router and their bindings, in the order in which they came. */
export class ExchangeRegistry {
  readonly exchanges: Set<Exchange> = new Set();
  readonly #router: Router;
  /** Loops that were told of, so that no message tells of them again. */
  readonly #loops = new Set<string>();

  constructor(router: Router) {
    this.#router = router;
  }

  *bindings(): Iterable<Binding> {
    for (const { bindings } of this.exchanges) yield* bindings;
  }

  exchange(name: string): Exchange | undefined {
    for (const exchange of this.exchanges) if (exchange.name === name) return exchange;
    return undefined;
  }

  /** @throws ExchangeRefused where the name or the address has an exchange already, at whatever phase */
  add(settings: ExchangeSettings): Exchange {
    const router = this.#router;
    if (this.exchange(settings.name) !== undefined) throw new ExchangeRefused('duplicate exchange name');
    const plain = plainAddress(settings.address);
    for (const other of this.exchanges)
      if (plainAddress(other.settings.address) === plain) throw new ExchangeRefused('duplicate exchange address');
    const address = router.bind(settings.address, settings.phase ?? 0, true);
    const { alternateAddress } = settings;
    const alternate =
      alternateAddress === undefined ? undefined : this.#hop(alternateAddress, settings.alternatePhase ?? 0);
    const exchange = new Exchange(router.nextId(), settings, address, alternate, (names) => this.#tellLoop(names));
    this.exchanges.add(exchange);
    address.setExchange(exchange);
    if (exchange.isPath) address.opened();
    return exchange;
  }

  /** Takes an exchange away, with its bindings. Messages go to those who receive from its address. */
  remove(exchange: Exchange): void {
    if (!this.exchanges.delete(exchange)) return;
    for (const binding of exchange.bindings) this.removeBinding(binding);
    const { address, alternate } = exchange;
    address.setExchange(undefined);
    this.#router.addressLeft(address);
    if (alternate !== undefined) this.#unpin(alternate);
  }

  /** @throws ExchangeRefused where its exchange does not exist, its key is none, or there is such a binding */
  addBinding(settings: BindingSettings): Binding {
    const exchange = this.exchange(settings.exchangeName);
    if (exchange === undefined) throw new ExchangeRefused('Named exchange does not exist');
    const key = settings.bindingKey ?? '#';
    if (!isBindingKey(key, exchange.matchMethod)) throw new ExchangeRefused('The binding key pattern is invalid');
    const { name } = settings;
    if (name !== undefined && [...this.bindings()].some((other) => other.settings.name === name))
      throw new ExchangeRefused('Duplicate next hop name');
    const hop = this.#hop(settings.nextHopAddress, settings.nextHopPhase ?? 0);
    for (const other of exchange.bindings) {
      if (other.key !== key || other.hop.address !== hop.address) continue;
      this.#unpin(hop);
      throw new ExchangeRefused('Next hop for key already exists');
    }
    const binding = new Binding(this.#router.nextId(), settings, exchange, hop);
    exchange.add(binding);
    return binding;
  }

  removeBinding(binding: Binding): void {
    binding.exchange.remove(binding);
    this.#unpin(binding.hop);
  }

  /** An address that is there as long as something leads to it. */
  #hop(to: string, phase: number): Hop {
    const address = this.#router.bind(to, phase, true);
    address.pins++;
    return { address, to, phase, resets: true };
  }

  #unpin({ address }: Hop): void {
    address.pins--;
    this.#router.addressLeft(address);
  }

  #tellLoop(names: readonly string[]): void {
    const loop = names.join("' -> '");
    if (this.#loops.has(loop) || this.#loops.size >= LOOPS_MAX) return;
    this.#loops.add(loop);
    this.#router.log(
      'ROUTER_CORE',
      'warning',
      `Exchanges lead back to themselves: '${loop}'. A message passes each of them once; take out a binding or alternateAddress to end the loop`,
    );
  }
}
