// SPDX-License-Identifier: Apache-2.0
import type { AttributeType, EntityType } from './entity-type.js';
import { configurableAttributes } from './validate.js';

/**
 * The reference of all sections of a configuration file and their attributes, as Markdown.
 *
 * @param level - of the headings, one for each section: 2 makes `## listener`
 */
export function renderReference(types: readonly EntityType[], level = 2): string {
  const sections = types.flatMap(({ section, ...type }) =>
    section === undefined ? [] : [[`${'#'.repeat(level)} ${section}`, ...about({ ...type, section })].join('\n')],
  );
  return `${sections.join('\n\n')}\n`;
}

/**
 * The reference of all types of entity that management knows, with their operations and attributes, as Markdown.
 *
 * @param level - of the headings, one for each type: 2 makes `## listener`
 */
export function renderManagementReference(types: readonly EntityType[], level = 2): string {
  const parts = types.map((type) => [`${'#'.repeat(level)} ${type.name}`, ...aboutEntities(type)].join('\n'));
  return `${parts.join('\n\n')}\n`;
}

function aboutEntities(type: EntityType): string[] {
  const [base] = type.bases;
  const facts = [
    type.abstract ? 'Entities are of types that extend it.' : '',
    type.singleton ? 'There is one at most.' : '',
    base === undefined ? '' : `Extends \`${base}\`.`,
    type.operations.length === 0 ? '' : `Operations: ${type.operations.map((name) => `\`${name}\``).join(', ')}.`,
  ];
  const rows = type.attributes.map((attribute) =>
    [`\`${attribute.name}\``, kindText(attribute), givenText(attribute), docText(attribute)].join(' | '),
  );
  return [
    '',
    type.doc,
    '',
    facts.filter((fact) => fact !== '').join(' '),
    '',
    '| attribute | type | given | meaning |',
    '| --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
  ];
}

/** When a request may give the attribute, and its value where none does. */
function givenText(attribute: AttributeType): string {
  const { create, update, secret } = attribute;
  const when = [create ? 'create' : '', update ? 'update' : ''].filter((word) => word !== '').join(', ');
  const value = defaultText(attribute);
  return [when, create || update ? value : '', secret ? 'never shown' : ''].filter((word) => word !== '').join('; ');
}

function about(type: EntityType): string[] {
  const rows = configurableAttributes(type).map((attribute) =>
    [`\`${attribute.name}\``, kindText(attribute), defaultText(attribute), docText(attribute)].join(' | '),
  );
  return [
    '',
    type.doc + (type.singleton ? ' At most one section.' : ''),
    '',
    '| attribute | type | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
  ];
}

function kindText(attribute: AttributeType): string {
  const { type, values = [], min, max } = attribute;
  if (type === 'enum') return values.map((value) => `\`${value}\``).join(', ');
  if (type !== 'integer' || min === undefined || max === undefined) return type;
  return max >= 2_147_483 ? `integer, from ${min}` : `integer, ${min} to ${max}`;
}

function defaultText(attribute: AttributeType): string {
  if (attribute.required) return '**required**';
  if (attribute.default === undefined) return '';
  if (typeof attribute.default === 'boolean') return attribute.default ? '`yes`' : '`no`';
  return attribute.default === '' ? 'empty' : `\`${attribute.default}\``;
}

function docText(attribute: AttributeType): string {
  const old = attribute.deprecatedName === undefined ? '' : ` Old name: \`${attribute.deprecatedName}\`.`;
  const deprecated = attribute.deprecated === undefined ? '' : ` Deprecated: write ${attribute.deprecated}.`;
  const own = attribute.own ? ' Pointsman only.' : '';
  return attribute.doc.replaceAll('|', '\\|') + old + deprecated + own;
}
