// SPDX-License-Identifier: Apache-2.0
import type { AttributeType, EntityType } from './entity-type.js';
import { entityTypes } from './schema/entity-types.js';
import { configurableAttributes } from './validate.js';

/** A JSON Schema, or a part of one. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

const YES_NO = '^\\s*([yY][eE][sS]|[nN][oO]|[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[oO][nN]|[oO][fF][fF])\\s*$';
const INTEGER = '^\\s*[+-]?\\d{1,20}\\s*$';
/** Names in other spellings, as `ssl-profile` and `ssl_profile`: understood by the router, not checked by the schema. */
const OTHER_SPELLINGS: JsonSchema = { '[ _.-]': {} };

/**
 * The JSON Schema (draft 2020-12) of a configuration file in its YAML or JSON form, for editors.
 *
 * It knows sections, attributes and values. What depends on several of them only the router checks.
 */
export function renderJsonSchema(): JsonSchema {
  const sections = entityTypes.flatMap((type) =>
    type.section === undefined ? [] : [{ ...type, section: type.section }],
  );
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Pointsman configuration',
    description: 'A section is a map, or a list of maps where there are several of its kind.',
    type: ['object', 'array'],
    properties: Object.fromEntries(sections.map((type) => [type.section, sectionSchema(type)])),
    patternProperties: OTHER_SPELLINGS,
    additionalProperties: false,
    items: {
      description: 'A section as a pair of its name and its attributes.',
      anyOf: sections.map(({ section }) => ({
        type: 'array',
        prefixItems: [{ const: section }, reference(section)],
        minItems: 2,
        maxItems: 2,
      })),
    },
    $defs: Object.fromEntries([
      ...sections.map((type) => [type.section, attributesSchema(type)]),
      ['vhostUserGroupSettings', groupSchema()],
    ]),
  };
}

function reference(name: string): JsonSchema {
  return { $ref: `#/$defs/${name}` };
}

function sectionSchema(type: EntityType & { readonly section: string }): JsonSchema {
  const one = reference(type.section);
  return {
    description: type.doc,
    anyOf: [one, { type: 'array', items: one, ...(type.singleton ? { maxItems: 1 } : {}) }],
    ...(type.deprecated ? { deprecated: true } : {}),
  };
}

function attributesSchema(type: EntityType): JsonSchema {
  const attributes = configurableAttributes(type);
  // A section without effect lacks nothing.
  const required = type.deprecated ? [] : attributes.filter((attribute) => attribute.required);
  return {
    type: 'object',
    description: type.doc,
    properties: Object.fromEntries(attributes.flatMap(propertiesOf)),
    patternProperties: OTHER_SPELLINGS,
    additionalProperties: false,
    ...(required.length === 0
      ? {}
      : {
          allOf: required.map((attribute) => ({ anyOf: spellings(attribute).map((name) => ({ required: [name] })) })),
        }),
  };
}

function propertiesOf(attribute: AttributeType): [name: string, schema: JsonSchema][] {
  const schema = attributeSchema(attribute);
  const { name, deprecatedName } = attribute;
  if (deprecatedName === undefined) return [[name, schema]];
  return [
    [name, schema],
    [deprecatedName, { ...schema, description: `Old name of ${name}. ${attribute.doc}`, deprecated: true }],
  ];
}

function attributeSchema(attribute: AttributeType): JsonSchema {
  return {
    description: attribute.doc,
    ...valueSchema(attribute),
    ...(attribute.default === undefined ? {} : { default: attribute.default }),
    ...(attribute.deprecated === undefined ? {} : { deprecated: true }),
    ...(attribute.secret ? { writeOnly: true } : {}),
  };
}

/** Null stands for a value that is not given. */
function valueSchema(attribute: AttributeType): JsonSchema {
  switch (attribute.type) {
    case 'boolean':
      return { anyOf: [{ type: ['boolean', 'number', 'null'] }, { type: 'string', pattern: YES_NO }] };
    case 'integer': {
      const { min, max } = attribute;
      const bounds = { ...(min === undefined ? {} : { minimum: min }), ...(max === undefined ? {} : { maximum: max }) };
      return {
        anyOf: [
          { type: ['integer', 'null'], ...bounds },
          { type: 'string', pattern: INTEGER },
        ],
      };
    }
    case 'enum': {
      const { values = [], valueAliases = {} } = attribute;
      const index = { type: 'integer', minimum: 0, maximum: values.length - 1 };
      const indexText = { type: 'string', pattern: INTEGER };
      return { anyOf: [{ enum: [...values, ...Object.keys(valueAliases), null] }, index, indexText] };
    }
    case 'properties':
      return { type: ['object', 'null'], propertyNames: { pattern: '^[\\x20-\\x7e]+$' } };
    case 'map':
      return {
        type: ['object', 'null'],
        ...(attribute.name === 'groups' ? { additionalProperties: reference('vhostUserGroupSettings') } : {}),
      };
    case 'list':
      return { type: ['array', 'null'] };
    case 'string':
    case 'path':
    case 'entityId':
      return { type: ['string', 'number', 'boolean', 'null'] };
  }
}

/** Groups are checked with their vhost: here stands what editors can offer. */
function groupSchema(): JsonSchema {
  const type = entityTypes.find(({ name }) => name === 'vhostUserGroupSettings');
  const attributes = (type?.attributes ?? []).filter(({ name }) => !['name', 'identity', 'type'].includes(name));
  return {
    type: 'object',
    description: type?.doc ?? '',
    properties: Object.fromEntries(
      attributes.map(({ name, doc, default: value }) => [
        name,
        { description: doc, ...(value === undefined ? {} : { default: value }) },
      ]),
    ),
  };
}

/** The names under which an attribute may stand: its own, the old one, and both with their words apart. */
function spellings({ name, deprecatedName }: AttributeType): readonly string[] {
  const names = deprecatedName === undefined ? [name] : [name, deprecatedName];
  const apart = (text: string, mark: string): string =>
    text.replaceAll(/[A-Z]/gu, (letter) => `${mark}${letter.toLowerCase()}`);
  return [...new Set(names.flatMap((text) => [text, apart(text, '-'), apart(text, '_')]))];
}
