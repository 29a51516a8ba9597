// SPDX-License-Identifier: Apache-2.0
import type { BindingSettings, ExchangeSettings } from '../../src/index.js';

interface ExchangePlan extends ExchangeSettings {
  /** Nodes that {@link address} and {@link alternateAddress} mean. */
  readonly node: string;
  readonly alternate: string;
}

interface BindingPlan extends BindingSettings {
  readonly name: string;
  readonly node: string;
  /** Subjects that match {@link bindingKey}. */
  readonly subjects: readonly string[];
}

/** Exchanges: one after the other, and one with keys in MQTT's notation. No two ways from one of them lead to the same node. */
export const EXCHANGES: readonly ExchangePlan[] = [
  { name: 'post', address: 'post/p', node: 'M0post/p', alternateAddress: 'queue/b', alternate: 'M0queue/b' },
  { name: 'over', address: 'over/o', node: 'M0over/o', alternateAddress: 'way/w', alternate: 'M0way/w' },
  {
    name: 'topic',
    address: 'topic/t',
    node: 'M0topic/t',
    alternateAddress: 'late/l',
    alternate: 'M0late/l',
    matchMethod: 'mqtt',
  },
];

/** Their bindings, which come and go. */
// prettier-ignore
export const BINDINGS: readonly BindingPlan[] = [
  { name: 'p1', exchangeName: 'post', bindingKey: 'a.*', nextHopAddress: 'queue/a', node: 'M0queue/a', subjects: ['a.b', 'a.all'] },
  { name: 'p2', exchangeName: 'post', bindingKey: 'a.b', nextHopAddress: 'near/x', node: 'M0near/x', subjects: ['a.b'] },
  { name: 'p3', exchangeName: 'post', bindingKey: '#.all', nextHopAddress: 'all/y', node: 'M0all/y', subjects: ['a.all', 'x.y.all'] },
  { name: 'o1', exchangeName: 'over', bindingKey: 'a.#', nextHopAddress: 'post/p', node: 'M0post/p', subjects: ['a.b', 'a.all'] },
  { name: 'o2', exchangeName: 'over', bindingKey: '*.b', nextHopAddress: 'late/l', node: 'M0late/l', subjects: ['a.b', 'b.b'] },
  { name: 't1', exchangeName: 'topic', bindingKey: 'a/+', nextHopAddress: 'queue/b', node: 'M0queue/b', subjects: ['a/b'] },
  { name: 't2', exchangeName: 'topic', bindingKey: 'a/#', nextHopAddress: 'all/y', node: 'M0all/y', subjects: ['a/b', 'a/b/c'] },
];

/** Subjects that messages carry. */
const SUBJECTS = ['a.b', 'a.all', 'x.y.all', 'b.b', 'a/b', 'a/b/c'];

/** The subject of a message, by its number. */
export function subjectOf(id: number): string {
  return SUBJECTS[id % SUBJECTS.length]!;
}

/** Its messages are accepted once they are on their way, and reach their receivers settled. */
export function isExchange(node: string): boolean {
  return EXCHANGES.some((exchange) => exchange.node === node);
}

/** The nodes whose consumers get a message, and those that get it only where nobody is at any of others. */
export interface Ways {
  readonly first: readonly string[];
  readonly spare: readonly { readonly node: string; readonly unless: readonly string[] }[];
}

/** @param bound - names of the bindings that are there */
export function exchangeWays(node: string, subject: string, bound: ReadonlySet<string>): Ways {
  const exchange = EXCHANGES.find((one) => one.node === node)!;
  const first = [node];
  const spare: Ways['spare'][number][] = [];
  for (const binding of BINDINGS) {
    if (binding.exchangeName !== exchange.name || !bound.has(binding.name)) continue;
    if (!binding.subjects.includes(subject)) continue;
    if (isExchange(binding.node)) {
      const further = exchangeWays(binding.node, subject, bound);
      first.push(...further.first);
      spare.push(...further.spare);
    } else {
      first.push(binding.node);
    }
  }
  spare.push({ node: exchange.alternate, unless: [...first, ...spare.map((other) => other.node)] });
  return { first, spare };
}

/** Nodes that exchanges and bindings keep. */
export function keptNodes(bound: ReadonlySet<string>): Set<string> {
  const bindings = BINDINGS.filter(({ name }) => bound.has(name));
  return new Set([
    ...EXCHANGES.flatMap(({ node, alternate }) => [node, alternate]),
    ...bindings.map(({ node }) => node),
  ]);
}
