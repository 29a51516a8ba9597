// SPDX-License-Identifier: Apache-2.0
import { valueTrace } from '@pointsman/engine';
import { AmqpArray, AmqpSymbol } from '@pointsman/wire';
import type { AmqpValue, SourceTerminus, TargetTerminus } from '@pointsman/wire';

/** Characters of an address that a log line shows. */
const ADDRESS_MAX = 512;

const DURABLE: readonly (string | undefined)[] = [undefined, 'config', 'deliveries'];
const EXPIRY: Readonly<Record<string, string>> = {
  'link-detach': 'link',
  'session-end': 'sess',
  'connection-close': 'conn',
};

/**
 * One end of a link as log lines have it: `(dyn)<none> expire:sess caps:...`. What is as AMQP has it by default is left out,
 * but for the expiry, of which `never` is; 3.5.3, 3.5.4.
 */
export function terminusText(terminus: SourceTerminus | TargetTerminus | undefined): string {
  if (terminus === undefined) return '<none> expire:sess';
  if (!('type' in terminus)) return valueTrace(terminus);
  if (terminus.type === 'coordinator') return '<coordinator>';
  const { address = '<none>', durable = 0, expiryPolicy = 'session-end', timeout = 0, capabilities } = terminus;
  const source = terminus.type === 'source' ? terminus : undefined;
  const details: [name: string, value: string | undefined][] = [
    ['dur', DURABLE[durable]],
    ['expire', EXPIRY[expiryPolicy]],
    ['dist', source?.distributionMode],
    ['timeout', timeout > 0 ? String(timeout) : undefined],
    ['caps', symbolsText(capabilities)],
    ['flt', mapText(source?.filter)],
    ['outcomes', symbolsText(source?.outcomes)],
    ['props', mapText(terminus.dynamicNodeProperties)],
  ];
  const shown = details.flatMap(([name, value]) => (value === undefined ? [] : ` ${name}:${value}`));
  return `${terminus.dynamic === true ? '(dyn)' : ''}${address.slice(0, ADDRESS_MAX)}${shown.join('')}`;
}

function symbolsText(names: readonly string[] | undefined): string | undefined {
  if (names === undefined || names.length === 0) return undefined;
  const symbols = names.map((name) => new AmqpSymbol(name));
  return valueTrace(symbols.length === 1 ? symbols[0]! : new AmqpArray('symbol', symbols));
}

function mapText(map: ReadonlyMap<AmqpValue, AmqpValue> | undefined): string | undefined {
  return map === undefined || map.size === 0 ? undefined : propertiesText(map);
}

/** A map of properties with symbols for keys: `{:product="x"}`, and nothing where there is none. */
export function propertiesText(map: ReadonlyMap<AmqpValue, AmqpValue> | undefined): string {
  if (map === undefined) return '';
  const symbols = [...map].map(([key, value]) => [typeof key === 'string' ? new AmqpSymbol(key) : key, value] as const);
  return valueTrace(new Map(symbols));
}
