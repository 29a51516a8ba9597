// SPDX-License-Identifier: Apache-2.0

import { Router, type AddressSettings, type RouterOptions } from '@pointsman/router';
import { PatternTree } from '@pointsman/router';
import { mix, type MicroCase } from './micro-case.js';

/** Addresses in the tables. From the first to the last, the cost of a look-up must stay flat. */
export const LOOK_UP_COUNTS: readonly number[] = [10, 1_000, 100_000, 1_000_000];

/** Look-ups of one round, spread over all addresses. */
const OPERATIONS = 1_000;

/** Above this many addresses a case takes seconds to prepare, and hundreds of megabytes. */
const LARGE_FROM = 1_000_000;

export type LookUpKind = 'exact' | 'prefix' | 'pattern';

/** A table of `count` addresses of a kind, and what it answers. */
export interface LookUp {
  /** Looks the `i`-th address up, or one that its prefix or pattern covers. @returns its number, or -1 */
  find(i: number): number;
}

/** Spreads addresses over three levels, as people name them. */
function nameOf(i: number): string {
  return `region${i % 10}/site${i % 1_000}/device${i}`;
}

function optionsFor(addresses: readonly AddressSettings[] = []): RouterOptions {
  return { id: 'bench', clock: { now: () => 0, after: () => () => undefined }, random: () => 0.5, addresses };
}

/** A table as the router has it. */
export function lookUpOf(kind: LookUpKind, count: number): LookUp {
  if (kind === 'exact') {
    // The way of a message that names its address itself: text to key, settings, node.
    const router = new Router(optionsFor([{ prefix: 'region1', distribution: 'closest' }]));
    const numbers = new Map<object, number>();
    for (let i = 0; i < count; i++) numbers.set(router.bind(nameOf(i), 0), i);
    return {
      find: (i) => {
        const found = router.resolve(nameOf(i), undefined);
        return typeof found === 'object' ? (numbers.get(found) ?? -1) : -1;
      },
    };
  }
  const tree = new PatternTree<number>();
  for (let i = 0; i < count; i++) tree.add(kind === 'prefix' ? `${nameOf(i)}/#` : patternOf(i), i + 1);
  return {
    find: (i) => (tree.match(kind === 'prefix' ? `${nameOf(i)}/in/queue` : `${nameOf(i)}/status/on`) ?? 0) - 1,
  };
}

/** Each with a `*`, every tenth with a `#` in the midst. */
function patternOf(i: number): string {
  return i % 10 === 3 ? `${nameOf(i)}/#/on` : `${nameOf(i)}/*/on`;
}

function lookUpCase(kind: LookUpKind, count: number): MicroCase {
  // Steps over the table by a prime, so that neighbours in time are no neighbours in memory.
  const numberOf = (i: number): number => (i * 7_919) % count;
  let hash = 0;
  for (let i = 0; i < OPERATIONS; i++) hash = mix(hash, numberOf(i));
  return {
    name: `look-up: ${kind}, ${count.toLocaleString('en').replaceAll(',', ' ')} addresses`,
    operations: OPERATIONS,
    hash,
    isLarge: count >= LARGE_FROM,
    prepare: () => {
      const table = lookUpOf(kind, count);
      return () => {
        let found = 0;
        for (let i = 0; i < OPERATIONS; i++) found = mix(found, table.find(numberOf(i)));
        return found;
      };
    },
  };
}

export const LOOK_UP: readonly MicroCase[] = (['exact', 'prefix', 'pattern'] as const).flatMap((kind) =>
  LOOK_UP_COUNTS.map((count) => lookUpCase(kind, count)),
);
