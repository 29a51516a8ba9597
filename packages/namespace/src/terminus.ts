// SPDX-License-Identifier: Apache-2.0
import {
  AmqpArray,
  Described,
  symbol,
  uint,
  ulong,
  type AmqpValue,
  type Source,
  type SourceTerminus,
  type Target,
  type TargetTerminus,
} from '@pointsman/wire';

// Some clients read the last field of a list by its place without asking how long the list is, so both termini are
// written with all of their fields.

/** The source with all eleven fields. */
export function wholeSource(source: Source): SourceTerminus {
  return new Described(ulong(0x28), [
    source.address ?? null,
    uint(source.durable ?? 0),
    symbolOf(source.expiryPolicy ?? 'session-end'),
    uint(source.timeout ?? 0),
    source.dynamic ?? false,
    null,
    symbolOf(source.distributionMode),
    source.filter ?? null,
    null,
    symbolsOf(source.outcomes),
    symbolsOf(source.capabilities),
  ]);
}

/** The target with all seven fields. */
export function wholeTarget(target: Target): TargetTerminus {
  return new Described(ulong(0x29), [
    target.address ?? null,
    uint(target.durable ?? 0),
    symbolOf(target.expiryPolicy ?? 'session-end'),
    uint(target.timeout ?? 0),
    target.dynamic ?? false,
    null,
    symbolsOf(target.capabilities),
  ]);
}

function symbolOf(text: string | undefined): AmqpValue {
  return text === undefined ? null : symbol(text);
}

function symbolsOf(texts: readonly string[] | undefined): AmqpValue {
  return texts === undefined || texts.length === 0 ? null : new AmqpArray('symbol', texts.map(symbol));
}
