// SPDX-License-Identifier: Apache-2.0
import { AmqpArray, AmqpSymbol, Described, Typed, composites, decodeError, restricted } from '../src/index.js';
import type { AmqpValue, Composite, Field } from '../src/index.js';

/**
 * The slow twin of the generated readers: takes the definition table as it stands and a value that was decoded without it.
 * No code is shared with the generated readers but the one that reads any value.
 */
export function compositeByTable(definition: Composite, value: AmqpValue): Record<string, unknown> {
  if (!(value instanceof Described)) throw decodeError('no described value');
  if (codeOf(value.descriptor) !== definition.code) throw decodeError('another descriptor');
  if (!Array.isArray(value.value)) throw decodeError('no list');
  const result: Record<string, unknown> = { type: definition.name };
  for (const [i, field] of definition.fields.entries()) {
    const content = fieldByTable(field, value.value[i] ?? null);
    if (content === undefined && field.mandatory) throw decodeError(`${definition.name} without ${field.name}`);
    result[field.name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())] = content;
  }
  return result;
}

export function definitionOf(name: string): Composite {
  return composites.find((composite) => composite.name === name)!;
}

function codeOf(descriptor: AmqpValue): number | undefined {
  if (descriptor instanceof Typed && descriptor.type === 'ulong') return Number(descriptor.value);
  if (!(descriptor instanceof AmqpSymbol)) return undefined;
  return composites.find((composite) => `amqp:${composite.name}:list` === descriptor.value)?.code;
}

/** What a field of type `*` may hold, as far as it is a composite. */
const PROVIDERS: Readonly<Record<string, readonly string[]>> = {
  source: ['source'],
  target: ['target', 'coordinator'],
  'delivery-state': ['received', 'accepted', 'rejected', 'released', 'modified', 'declared', 'transactional-state'],
};

function fieldByTable(field: Field, value: AmqpValue): unknown {
  if (value === null) return undefined;
  if (field.multiple) return symbolsByTable(value);
  const providers = PROVIDERS[field.type];
  if (providers !== undefined) {
    if (!(value instanceof Described)) throw decodeError(`${field.name} is not described`);
    const provider = providers.find((name) => definitionOf(name).code === codeOf(value.descriptor));
    return provider === undefined ? value : compositeByTable(definitionOf(provider), value);
  }
  if (field.type === '*' || field.type === 'message-id') return value;
  if (field.type === 'map') return mapByTable(value, () => true);
  if (field.type === 'fields') return namedByTable(value, false);
  if (field.type === 'annotations') return namedByTable(value, true);
  const definition = composites.find((composite) => composite.name === field.type);
  if (definition !== undefined) return compositeByTable(definition, value);
  const narrow = restricted.find((type) => type.name === field.type);
  const content = primitiveByTable(narrow?.source ?? field.type, value);
  const choices = Object.values(narrow?.choices ?? {});
  if (choices.length > 0 && !choices.includes(content as string | number | boolean))
    throw decodeError(`${field.name} is no choice`);
  return content;
}

function primitiveByTable(type: string, value: AmqpValue): unknown {
  if (type === 'boolean' && typeof value === 'boolean') return value;
  if (type === 'string' && typeof value === 'string') return value;
  if (type === 'binary' && value instanceof Uint8Array) return value;
  if (type === 'symbol' && value instanceof AmqpSymbol) return value.value;
  if (value instanceof Typed && value.type === type) return value.value;
  throw decodeError(`no ${type}`);
}

function symbolsByTable(value: AmqpValue): string[] {
  if (value instanceof AmqpSymbol) return [value.value];
  if (!(value instanceof AmqpArray) || value.elementType !== 'symbol') throw decodeError('no symbols');
  return value.values.map((element) => (element as AmqpSymbol).value);
}

function mapByTable(value: AmqpValue, takes: (key: AmqpValue) => boolean): Map<AmqpValue, AmqpValue> {
  if (!(value instanceof Map)) throw decodeError('no map');
  for (const key of value.keys()) if (!takes(key)) throw decodeError('a key of another type');
  return value;
}

function namedByTable(value: AmqpValue, reserved: boolean): Map<AmqpValue, AmqpValue> {
  const isUlong = (key: AmqpValue): boolean => key instanceof Typed && key.type === 'ulong';
  // Text is taken where the standard wants a symbol: clients in use write it.
  const isName = (key: AmqpValue): boolean => key instanceof AmqpSymbol || typeof key === 'string';
  const map = mapByTable(value, (key) => isName(key) || (reserved && isUlong(key)));
  const names = [...map.keys()].map((key) =>
    typeof key === 'string' ? key : ((key as AmqpSymbol | Typed).value as AmqpValue),
  );
  if (new Set(names).size < names.length) throw decodeError('a key twice');
  return new Map([...map.values()].map((item, i) => [names[i]!, item]));
}
