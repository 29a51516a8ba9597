// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { DESCRIPTOR_CODES, MIN_MAX_FRAME_SIZE, SECTION, composites, restricted } from '../src/index.js';
import type { Field } from '../src/index.js';
import { jsonOf } from './tagged.js';

interface StandardField {
  readonly name: string;
  readonly type: string;
  readonly requires?: string;
  readonly mandatory?: boolean;
  readonly multiple?: boolean;
  readonly default?: string;
}
interface StandardType {
  readonly name: string;
  readonly source?: string;
  readonly provides?: readonly string[];
  readonly symbol?: string;
  readonly code?: number;
  readonly fields?: readonly StandardField[];
  readonly choices?: Readonly<Record<string, string>>;
}
interface Part {
  readonly primitives?: readonly (StandardType & { readonly encodings: readonly Record<string, string | number>[] })[];
  readonly composites?: readonly StandardType[];
  readonly restricted?: readonly StandardType[];
  readonly definitions?: Readonly<Record<string, string>>;
}

const PARTS = ['types', 'transport', 'messaging', 'transactions', 'security'] as const;
const parts = new Map(PARTS.map((name) => [name, jsonOf<Part>(`standard/${name}.json`)]));
const standardComposites = [...parts.values()].flatMap((part) => part.composites ?? []);
const standardRestricted = [...parts.values()].flatMap((part) => part.restricted ?? []);

/**
 * Composites that stay described values: they stand only inside the node properties of a dynamic terminus, which
 * nobody here looks into.
 */
const NOT_DECLARED = [
  'delete-on-close',
  'delete-on-no-links',
  'delete-on-no-messages',
  'delete-on-no-links-or-messages',
];

/** Sections that are no composites; `message.ts` knows them. */
const SECTIONS: Readonly<Record<string, number>> = {
  'delivery-annotations': SECTION.deliveryAnnotations,
  'message-annotations': SECTION.messageAnnotations,
  'application-properties': SECTION.applicationProperties,
  data: SECTION.data,
  'amqp-sequence': SECTION.amqpSequence,
  'amqp-value': SECTION.amqpValue,
  footer: SECTION.footer,
};

/** Where our table names another type than the standard, and why that is the same, or more, on the wire. */
const SAME_TYPE: Readonly<Record<string, string>> = {
  // A wildcard is what it requires; only one type provides each of these.
  'requires address': 'address',
  'requires message-id': 'message-id',
  'requires source': 'source',
  'requires target': 'target',
  'requires delivery-state': 'delivery-state',
  'requires txn-id': 'binary',
  // An outcome is a delivery state; which one stands here is for the reader of the field.
  'requires outcome': 'delivery-state',
  // Nothing provides it: any value.
  'requires global-tx-id': '*',
  'filter-set': 'map',
  'node-properties': 'fields',
};

/** Fields that deliberately take more than the standard says. */
const WIDER: Readonly<Record<string, string>> = {
  // Described as a map that merges into the message-annotations, whose keys may be reserved ulongs as well.
  'modified.message-annotations': 'annotations',
};

function typeOf(composite: string, field: StandardField): string {
  const wider = WIDER[`${composite}.${field.name}`];
  if (wider !== undefined) return wider;
  if (field.type === '*') return SAME_TYPE[`requires ${field.requires}`] ?? `no row for ${field.requires}`;
  return SAME_TYPE[field.type] ?? field.type;
}

function choiceOf(type: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  return standardRestricted.find((r) => r.name === type)?.choices?.[text] ?? text;
}

describe('the definition table against the type definitions of the standard', () => {
  it('declares every composite type, and no other', () => {
    const theirs = standardComposites.map((c) => c.name).filter((name) => !NOT_DECLARED.includes(name));
    assert.deepEqual(composites.map((c) => c.name).sort(), theirs.sort());
  });

  for (const standard of standardComposites.filter((c) => !NOT_DECLARED.includes(c.name))) {
    it(`${standard.name}: code, symbol and fields`, () => {
      const ours = composites.find((c) => c.name === standard.name)!;
      assert.equal(ours.code, standard.code);
      assert.equal(DESCRIPTOR_CODES.get(standard.symbol!), standard.code);
      const theirs = standard.fields!.map((field) => ({
        name: field.name,
        type: typeOf(standard.name, field),
        mandatory: field.mandatory === true,
        multiple: field.multiple === true,
        default: choiceOf(field.type, field.default),
      }));
      const told = ours.fields.map(({ name, type, mandatory, multiple, default: value }: Field) => ({
        name,
        type,
        mandatory,
        multiple,
        default: value === undefined ? undefined : String(value),
      }));
      assert.deepEqual(told, theirs);
    });
  }

  it('narrows restricted types to the primitive and the choices of the standard', () => {
    const sourceOf = (name: string): string => {
      const type = standardRestricted.find((r) => r.name === name);
      return type === undefined ? name : sourceOf(type.source!);
    };
    for (const type of restricted) {
      // "address" is our name for what provides an address: one type, address-string.
      const name = type.name === 'address' ? 'address-string' : type.name;
      const standard = standardRestricted.find((r) => r.name === name);
      assert.ok(standard !== undefined, `${name} is no type of the standard`);
      assert.equal(type.source, sourceOf(name), name);
      if (type.choices === undefined) continue;
      const told = Object.fromEntries(Object.entries(type.choices).map(([key, value]) => [key, String(value)]));
      assert.deepEqual(told, standard.choices, name);
    }
  });

  it('knows the sections of a message by code', () => {
    const sections = standardRestricted.filter((r) => r.provides?.includes('section') === true);
    assert.deepEqual(Object.fromEntries(sections.map((s) => [s.name, s.code])), SECTIONS);
    assert.equal(standardComposites.find((c) => c.name === 'header')!.code, SECTION.header);
    assert.equal(standardComposites.find((c) => c.name === 'properties')!.code, SECTION.properties);
  });

  it('takes the smallest of all largest frames from the standard', () => {
    assert.equal(String(MIN_MAX_FRAME_SIZE), parts.get('transport')!.definitions!['MIN-MAX-FRAME-SIZE']);
  });
});

// Where the published definitions lie beside the checkout, the facts above are held against them too.
const published = new URL('../../../../../shared/spec/', import.meta.url);

describe('the facts against the published definitions', { skip: !existsSync(published) && 'they are not here' }, () => {
  for (const name of PARTS) {
    it(`${name}.xml says what ${name}.json says`, () => {
      const told = parts.get(name)!;
      const read = partOf(readFileSync(new URL(`${name}.xml`, published), 'utf8'));
      assert.deepEqual(read, { primitives: [], composites: [], restricted: [], definitions: {}, ...told });
    });
  }
});

/** A reader for these files and no other XML: elements on lines of their own, attributes in double quotes. */
function partOf(xml: string): unknown {
  const part = {
    primitives: [] as object[],
    composites: [] as object[],
    restricted: [] as object[],
    definitions: {} as Record<string, string>,
  };
  let current: Record<string, unknown> = {};
  const elements = xml
    .replaceAll(/<!--[^]*?-->/g, '')
    .matchAll(/<(type|descriptor|field|choice|encoding|definition)\s([^>]*?)\/?>/g);
  for (const [, element, text] of elements) {
    const a = Object.fromEntries([...text!.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!]));
    switch (element) {
      case 'definition':
        part.definitions[a['name']!] = a['value']!;
        break;
      case 'type': {
        current = { name: a['name'] };
        if (a['class'] !== 'primitive') current['source'] = a['source'];
        if (a['provides'] !== undefined) current['provides'] = a['provides'].split(',').map((word) => word.trim());
        if (a['class'] === 'composite') current['fields'] = [];
        if (a['class'] === 'primitive') current['encodings'] = [];
        const list =
          a['class'] === 'primitive' ? part.primitives : a['class'] === 'composite' ? part.composites : part.restricted;
        list.push(current);
        break;
      }
      case 'descriptor': {
        const [high, low] = a['code']!.split(':').map(Number) as [number, number];
        Object.assign(current, { symbol: a['name'], code: high * 2 ** 32 + low });
        break;
      }
      case 'field': {
        const flags = {
          ...(a['mandatory'] === 'true' && { mandatory: true }),
          ...(a['multiple'] === 'true' && { multiple: true }),
        };
        const { name, type, requires, default: value } = a;
        (current['fields'] as object[]).push({
          name,
          type,
          ...(requires !== undefined && { requires }),
          ...flags,
          ...(value !== undefined && { default: value }),
        });
        break;
      }
      case 'choice':
        current['choices'] = { ...(current['choices'] as object | undefined), [a['name']!]: a['value'] };
        break;
      case 'encoding':
        (current['encodings'] as object[]).push({
          ...(a['name'] !== undefined && { name: a['name'] }),
          code: Number(a['code']),
          category: a['category'],
          width: Number(a['width']),
        });
        break;
      default:
    }
  }
  return part;
}
