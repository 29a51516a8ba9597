// SPDX-License-Identifier: Apache-2.0
import type { AttributeType, EntityType } from './entity-type.js';
import { camelCase, nearestName } from './names.js';

/** Value of an attribute: text, number or boolean; structures only for the types `properties`, `map` and `list`. */
export type AttributeValue =
  | string
  | number
  | boolean
  | null
  | readonly AttributeValue[]
  | { readonly [key: string]: AttributeValue };

export type EntityValue = Readonly<Record<string, AttributeValue>>;

export type ProblemCode =
  | 'unknown-attribute'
  | 'missing-attribute'
  | 'repeated-attribute'
  | 'old-and-new-name'
  | 'deprecated'
  | 'not-settable'
  | 'bad-value';

/** What is wrong, or merely doubtful, about one attribute. Holds no value of a secret attribute. */
export interface AttributeProblem {
  readonly severity: 'error' | 'warning';
  readonly code: ProblemCode;
  /** Index of the raw attribute at fault, or undefined where one is missing. */
  readonly entry: number | undefined;
  /** Name of the attribute in the schema, or as it was given where the schema has none such. */
  readonly attribute: string;
  readonly message: string;
  /** What was given. Absent for secrets. */
  readonly found?: string;
  /** What may be given. */
  readonly allowed?: string;
  /** The valid name or value that was most likely meant. */
  readonly nearest?: string;
  /** What to do about it. */
  readonly hint?: string;
}

/**
 * What the attributes are checked for. `config`: an entity of a configuration file. `create` and `update`: a request
 * to management, where attributes without that right are refused; an update need not give what is required.
 */
export type Purpose = 'config' | 'create' | 'update';

export interface ValidatedEntity {
  /** The attributes that are valid, under their names in the schema, and (but for an update) defaults for the rest. */
  readonly value: EntityValue;
  /** Names of the attributes that were given and are valid. */
  readonly given: ReadonlySet<string>;
  /** Empty of errors means that `value` is whole. */
  readonly problems: readonly AttributeProblem[];
}

export type RawAttributes = Readonly<Record<string, unknown>> | Iterable<readonly [name: string, value: unknown]>;

/** The attributes that a configuration file may give to an entity of that type. */
export function configurableAttributes(type: EntityType): readonly AttributeType[] {
  const own = type.attributes.filter((attribute) => attribute.name !== 'type' && attribute.name !== 'identity');
  // Log modules and the console exist from the start: nothing of them is created, all of it is configured.
  const created = own.some((attribute) => attribute.create && attribute.name !== 'name');
  return created ? own.filter((attribute) => attribute.create) : own;
}

/** The attribute of that name or deprecated name, in any of the spellings that {@link camelCase} makes one. */
export function attributeOf(type: EntityType, name: string): AttributeType | undefined {
  const wanted = camelCase(name);
  return (
    type.attributes.find((attribute) => attribute.name === wanted) ??
    type.attributes.find((attribute) => attribute.deprecatedName === wanted)
  );
}

/**
 * Checks an entity's attributes against the schema. Finds everything that is wrong, not just the first of it.
 *
 * Values are taken as JSON or AMQP gives them, or as text that is converted: `yes`, `5672`. Where a name is given
 * several times the last value counts.
 *
 * @param raw - names and values; a value of null or undefined counts as not given
 */
export function validateEntity(type: EntityType, raw: RawAttributes, purpose: Purpose = 'config'): ValidatedEntity {
  const problems: AttributeProblem[] = [];
  const value: Record<string, AttributeValue> = {};
  const given = new Set<string>();
  const seen = new Map<string, { readonly written: string; readonly deprecated: boolean }>();
  const settable = purpose === 'config' ? configurableAttributes(type) : rightful(type, purpose);
  const entries = Symbol.iterator in raw ? [...(raw as Iterable<readonly [string, unknown]>)] : Object.entries(raw);

  entries.forEach(([written, rawValue], entry) => {
    if (rawValue === null || rawValue === undefined) return;
    const attribute = attributeOf(type, written);
    if (attribute === undefined) {
      problems.push(unknownAttribute(type, written, entry, settable));
      return;
    }
    const { name } = attribute;
    if (attribute.fixedValue !== undefined && purpose !== 'config' && isTypeName(type, rawValue)) return;
    if (!settable.includes(attribute)) {
      problems.push(notSettable(type, attribute, entry, purpose));
      return;
    }
    const deprecated = attribute.name !== camelCase(written);
    const before = seen.get(name);
    seen.set(name, { written, deprecated });
    if (before !== undefined && before.deprecated !== deprecated) {
      problems.push({
        severity: 'error',
        code: 'old-and-new-name',
        entry,
        attribute: name,
        message: `${label(type)} has both '${name}' and its old name '${attribute.deprecatedName}'`,
        hint: `keep '${name}'`,
      });
      return;
    }
    if (before !== undefined) {
      problems.push({
        severity: 'warning',
        code: 'repeated-attribute',
        entry,
        attribute: name,
        message: `${label(type)} gives '${name}' more than once; the last value counts`,
      });
    }
    if (deprecated) {
      problems.push({
        severity: 'warning',
        code: 'deprecated',
        entry,
        attribute: name,
        message: `'${shownName(written)}' is the old name of '${name}' in ${label(type)}`,
        nearest: name,
      });
    } else if (attribute.deprecated !== undefined) {
      problems.push({
        severity: 'warning',
        code: 'deprecated',
        entry,
        attribute: name,
        message: `'${name}' of ${label(type)} is deprecated`,
        hint: `write ${attribute.deprecated} instead`,
      });
    }
    const converted = convertValue(attribute, rawValue);
    if ('value' in converted) {
      value[name] = converted.value;
      given.add(name);
      return;
    }
    problems.push({
      severity: 'error',
      code: 'bad-value',
      entry,
      attribute: name,
      message: `'${name}' of ${label(type)} ${converted.reason}`,
      ...(attribute.secret ? {} : { found: shown(rawValue) }),
      allowed: converted.allowed,
      ...(converted.nearest === undefined || attribute.secret ? {} : { nearest: converted.nearest }),
    });
  });

  if (purpose !== 'update') complete(type, purpose, value, seen, problems);
  return { value, given, problems };
}

/** Adds defaults, and a problem for each required attribute that nobody gave. */
function complete(
  type: EntityType,
  purpose: Purpose,
  value: Record<string, AttributeValue>,
  seen: ReadonlyMap<string, unknown>,
  problems: AttributeProblem[],
): void {
  for (const attribute of type.attributes) {
    if (attribute.name in value) continue;
    if (attribute.default !== undefined) value[attribute.name] = attribute.default;
    const configured = attribute.create || purpose === 'config';
    if (!attribute.required || attribute.fixedValue !== undefined || !configured || seen.has(attribute.name)) continue;
    // The console section has no effect, so nothing that it lacks is missed.
    if (type.deprecated) continue;
    problems.push({
      severity: 'error',
      code: 'missing-attribute',
      entry: undefined,
      attribute: attribute.name,
      message: `${label(type)} lacks '${attribute.name}'`,
      allowed: allowedText(attribute),
      hint: attribute.doc,
    });
  }
}

function rightful(type: EntityType, purpose: 'create' | 'update'): readonly AttributeType[] {
  return type.attributes.filter((attribute) => attribute[purpose] && attribute.fixedValue === undefined);
}

function isTypeName(type: EntityType, value: unknown): boolean {
  return value === type.fullName || value === type.name;
}

function label(type: EntityType): string {
  return type.section ?? type.name;
}

function unknownAttribute(
  type: EntityType,
  written: string,
  entry: number,
  settable: readonly AttributeType[],
): AttributeProblem {
  const valid = settable.map((attribute) => attribute.name);
  const old = settable.flatMap((attribute) => attribute.deprecatedName ?? []);
  const match = nearestName(camelCase(written), [...valid, ...old]);
  const nearest = match === undefined ? undefined : attributeOf(type, match)?.name;
  return {
    severity: 'error',
    code: 'unknown-attribute',
    entry,
    attribute: shownName(written),
    message: `${label(type)} has no attribute '${shownName(written)}'`,
    found: shownName(written),
    allowed: valid.toSorted().join(', '),
    ...(nearest === undefined ? {} : { nearest }),
  };
}

function notSettable(type: EntityType, attribute: AttributeType, entry: number, purpose: Purpose): AttributeProblem {
  const { name } = attribute;
  // The old router read its own reports back from a file without a word; it refused these two.
  const refused = purpose !== 'config' || name === 'type' || name === 'identity';
  return {
    severity: refused ? 'error' : 'warning',
    code: 'not-settable',
    entry,
    attribute: name,
    message: `'${name}' of ${label(type)} ${purpose === 'update' ? 'cannot be changed' : 'is set by the router itself'}`,
    hint: refused ? 'leave it out' : 'it is ignored; leave it out',
  };
}

type Converted =
  | { readonly value: AttributeValue }
  | { readonly reason: string; readonly allowed: string; readonly nearest?: string };

const TRUE = new Set(['yes', 'true', 'on']);
const FALSE = new Set(['no', 'false', 'off']);
const KEYS_MAX = 10_000;
const DEPTH_MAX = 64;

/** Converts a value to the attribute's type, or says why that cannot be. */
export function convertValue(attribute: AttributeType, raw: unknown): Converted {
  const refuse = (reason: string, nearest?: string): Converted => ({
    reason,
    allowed: allowedText(attribute),
    ...(nearest === undefined ? {} : { nearest }),
  });
  switch (attribute.type) {
    case 'string':
    case 'path':
    case 'entityId': {
      if (typeof raw === 'object' || typeof raw === 'function' || typeof raw === 'symbol')
        return refuse('must be text');
      const text = String(raw);
      if (hasControlCharacter(text)) return refuse('contains a control character');
      if (attribute.required && attribute.mayBeEmpty !== true && text.trim() === '') return refuse('is empty');
      return { value: text };
    }
    case 'boolean': {
      if (typeof raw === 'boolean') return { value: raw };
      if (typeof raw === 'number' || typeof raw === 'bigint') return { value: Boolean(raw) };
      const word = typeof raw === 'string' ? raw.trim().toLowerCase() : '';
      if (TRUE.has(word)) return { value: true };
      if (FALSE.has(word)) return { value: false };
      return refuse('must be yes or no', nearestName(word, [...TRUE, ...FALSE]));
    }
    case 'integer': {
      const number = integerOf(raw);
      if (number === undefined) return refuse('must be a whole number');
      const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = attribute;
      if (number < min || number > max) return refuse('is out of range');
      return { value: number };
    }
    case 'enum': {
      const { values = [], valueAliases = {} } = attribute;
      if (typeof raw === 'string') {
        const tag = raw.trim();
        if (values.includes(tag)) return { value: tag };
        const aliased = Object.hasOwn(valueAliases, tag) ? valueAliases[tag] : undefined;
        if (aliased !== undefined) return { value: aliased };
      }
      // Management clients may send the index of a tag.
      const index = integerOf(raw);
      const tag = index === undefined ? undefined : values[index];
      if (tag !== undefined) return { value: tag };
      return refuse(
        'is not one of its values',
        nearestName(typeof raw === 'string' ? raw : '', [...values, ...Object.keys(valueAliases)]),
      );
    }
    case 'properties':
    case 'map': {
      if (!isMap(raw)) return refuse('must be a map');
      const copy = structureOf(raw, { keys: 0 }, 0);
      if (copy === undefined)
        return refuse('is too large, nested too deeply, or holds something that is no JSON value');
      if (attribute.type === 'properties' && Object.keys(raw).some((key) => !/^[\x20-\x7e]+$/u.test(key))) {
        return refuse('has a key that is not plain ASCII');
      }
      return { value: copy };
    }
    case 'list': {
      const copy = Array.isArray(raw) ? structureOf(raw, { keys: 0 }, 0) : undefined;
      return copy === undefined ? refuse('must be a list') : { value: copy };
    }
  }
}

/** What may be given for an attribute, for a message: `normal, inter-router, …`, `a whole number from 0 to 9`. */
export function allowedText(attribute: AttributeType): string {
  switch (attribute.type) {
    case 'boolean':
      return 'yes, no (or true, false, on, off)';
    case 'enum':
      return (attribute.values ?? []).join(', ');
    case 'integer': {
      const { min, max } = attribute;
      if (min !== undefined && max !== undefined) return `a whole number from ${min} to ${max}`;
      return 'a whole number';
    }
    case 'properties':
      return 'a map with plain ASCII keys, { "key": "value" }';
    case 'map':
      return 'a map, { "key": … }';
    case 'list':
      return 'a list, [ … ]';
    case 'path':
      return 'the name of a file';
    case 'string':
    case 'entityId':
      return 'text';
  }
}

function integerOf(raw: unknown): number | undefined {
  if (typeof raw === 'number') return Number.isSafeInteger(raw) ? raw : undefined;
  if (typeof raw === 'bigint') return integerOf(Number(raw));
  if (typeof raw !== 'string' || !/^\s*[+-]?\d{1,20}\s*$/u.test(raw)) return undefined;
  return integerOf(Number(raw));
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** A copy made of JSON values alone, or undefined where that is impossible or too much. */
function structureOf(value: unknown, budget: { keys: number }, depth: number): AttributeValue | undefined {
  if (++budget.keys > KEYS_MAX || depth > DEPTH_MAX) return undefined;
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : undefined;
    case 'bigint':
      return integerOf(value);
    case 'object': {
      if (value === null) return null;
      if (Array.isArray(value)) {
        const items = value.map((item) => structureOf(item, budget, depth + 1));
        return items.includes(undefined) ? undefined : (items as AttributeValue[]);
      }
      if (!isMap(value)) return undefined;
      const entries: [string, AttributeValue][] = [];
      for (const [key, item] of Object.entries(value)) {
        const copy = structureOf(item, budget, depth + 1);
        if (copy === undefined) return undefined;
        entries.push([key, copy]);
      }
      return Object.fromEntries(entries);
    }
    default:
      return undefined;
  }
}

function hasControlCharacter(text: string): boolean {
  // Tabs and line ends may stand in a password or a free text; what else is below a blank has no business anywhere.
  // oxlint-disable-next-line no-control-regex
  return /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/u.test(text);
}

/** A name that is not one of ours: no further than names go, for what follows may be a value, and a secret one. */
function shownName(name: string): string {
  const word = /^[\w$.-]*/u.exec(name)![0];
  return word.length === name.length ? shown(name) : `${shown(word)}...`;
}

function shown(value: unknown): string {
  if (typeof value === 'object' || typeof value === 'function') return Array.isArray(value) ? 'a list' : 'a map';
  const text = String(value);
  const plain = text.replaceAll(/\p{Cc}/gu, '\ufffd');
  return plain.length > 120 ? `${plain.slice(0, 117)}...` : plain;
}
