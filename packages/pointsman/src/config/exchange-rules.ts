// SPDX-License-Identifier: Apache-2.0
import { isBindingKey, plainAddress } from '@pointsman/router';
import type { ConfigEntity } from './entity.js';
import { safeText } from './problems.js';
import { all } from './rules.js';
import type { RuleContext } from './rules.js';

/** What exchange and binding sections say. Needs the references checked. */
export function checkExchanges(context: RuleContext): void {
  const exchanges = all(context, 'exchange');
  const bindings = all(context, 'binding');
  for (const exchange of exchanges) checkName(context, exchange);
  refuseTwins(context, exchanges, 'takes the same messages as', 'address', (exchange) => [
    plainAddress(exchange.text('address') ?? ''),
  ]);
  for (const binding of bindings) checkKey(context, binding);
  refuseTwins(context, bindings, 'says the same as', 'nextHopAddress', (binding) => [
    binding.text('exchangeName') ?? '',
    binding.text('bindingKey') ?? '#',
    placeOf(binding, 'nextHopAddress', 'nextHopPhase'),
  ]);
  warnOfLoops(context, exchanges, bindings);
}

function checkName({ problems }: RuleContext, exchange: ConfigEntity): void {
  if (exchange.text('name') !== undefined) return;
  problems.error(exchange.line, 'the exchange has no name', {
    hint: 'bindings refer to it: write name: SOMETHING',
    former: 'exchange requires a unique name',
  });
}

/** An address together with its phase, for comparison. */
function placeOf(entity: ConfigEntity, address: string, phase: string): string {
  return `${entity.number(phase) ?? 0} ${plainAddress(entity.text(address) ?? '')}`;
}

function refuseTwins(
  { problems }: RuleContext,
  entities: readonly ConfigEntity[],
  what: string,
  attribute: string,
  identity: (entity: ConfigEntity) => readonly string[],
): void {
  const seen = new Map<string, ConfigEntity>();
  for (const entity of entities) {
    const key = JSON.stringify(identity(entity));
    const earlier = seen.get(key);
    if (earlier === undefined) seen.set(key, entity);
    else {
      problems.error(entity.lineOf(attribute), `the ${entity.section} ${what} the one ${earlier.place}`, {
        found: safeText(entity.text(attribute) ?? ''),
        hint: 'take one of them out',
      });
    }
  }
}

function checkKey(context: RuleContext, binding: ConfigEntity): void {
  const key = binding.text('bindingKey');
  const exchange = all(context, 'exchange').find((other) => other.text('name') === binding.text('exchangeName'));
  if (key === undefined || exchange?.text('matchMethod') !== 'mqtt' || isBindingKey(key, 'mqtt')) return;
  context.problems.error(binding.lineOf('bindingKey'), "'bindingKey' has # before its end", {
    found: safeText(key),
    hint: `in the notation of MQTT, which exchange '${safeText(exchange.name)}' uses, # stands only for the rest`,
    former: 'The binding key pattern is invalid',
  });
}

/** Exchanges that lead to each other in a circle: a message passes each once, and what the circle is for is hard to say. */
function warnOfLoops(
  { problems }: RuleContext,
  exchanges: readonly ConfigEntity[],
  bindings: readonly ConfigEntity[],
): void {
  const at = new Map(exchanges.map((exchange) => [placeOf(exchange, 'address', 'phase'), exchange]));
  const ways = new Map(
    exchanges.map((exchange) => {
      const hops = bindings
        .filter((binding) => binding.text('exchangeName') === exchange.text('name'))
        .map((binding) => placeOf(binding, 'nextHopAddress', 'nextHopPhase'));
      if (exchange.given.has('alternateAddress')) hops.push(placeOf(exchange, 'alternateAddress', 'alternatePhase'));
      return [exchange, hops.flatMap((hop) => at.get(hop) ?? [])];
    }),
  );
  const done = new Set<ConfigEntity>();
  for (const start of exchanges) {
    // Depth first, with the way that led here: a step back onto it closes a circle.
    const path: { readonly exchange: ConfigEntity; next: number }[] = [];
    if (!done.has(start)) path.push({ exchange: start, next: 0 });
    while (path.length > 0) {
      const step = path.at(-1)!;
      const to = ways.get(step.exchange)![step.next++];
      if (to === undefined) {
        done.add(step.exchange);
        path.pop();
        continue;
      }
      const from = path.findIndex(({ exchange }) => exchange === to);
      if (from < 0) {
        if (!done.has(to)) path.push({ exchange: to, next: 0 });
        continue;
      }
      const names = [...path.slice(from).map(({ exchange }) => exchange.name), to.name].map(safeText);
      problems.warn(step.exchange.line, `exchanges lead back to themselves: ${names.join(' -> ')}`, {
        hint: 'a message passes each of them once; take out a binding or alternateAddress to end the loop',
      });
    }
  }
}
