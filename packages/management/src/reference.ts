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
