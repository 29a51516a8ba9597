// SPDX-License-Identifier: Apache-2.0
import { camelCase, entityTypeOf } from '@pointsman/management';
import type { Alias, Document, Pair, ParsedNode, Scalar, YAMLMap } from 'yaml';
import { yaml } from './yaml-library.js';
import type { ProblemList } from './problems.js';
import { safeText } from './problems.js';
import { NESTING_MAX, VALUES_MAX } from './raw-config.js';
import type { RawAttribute, RawSection, RawValue } from './raw-config.js';

export type TreeFormat = 'YAML' | 'JSON';

/** Names that stand for parts written elsewhere: more than a network's worth of connectors that share their settings. */
const ALIASES_MAX = 200;

const SHAPE = 'section names with their attributes, or a list of [ "section", { attributes } ]';

/**
 * Reads the sections of a YAML or JSON file, in either of two shapes:
 *
 *     router: { id: A }                  [ ["router",   { "id": "A" }],
 *     listener:                            ["listener", { "port": 5672 }],
 *       - { port: 5672 }                   ["listener", { "port": 5671 }] ]
 *       - { port: 5671 }
 *
 * The second one is that of the old router's JSON files, which may have whole lines of comments beginning with `#`.
 */
export function readTree(text: string, format: TreeFormat, problems: ProblemList): RawSection[] {
  return new TreeReader(text, format, problems).read();
}

class TreeReader {
  readonly #text: string;
  readonly #format: TreeFormat;
  readonly #problems: ProblemList;
  readonly #lines = new (yaml().LineCounter)();
  readonly #sections: RawSection[] = [];
  #document: Document | undefined;
  #values = 0;
  #aliases = 0;

  constructor(text: string, format: TreeFormat, problems: ProblemList) {
    // JSON indents with tabs where YAML must not. No JSON string goes over a line end, so none is changed by this.
    this.#text = format === 'JSON' ? text.replaceAll(/^[\t ]+/gmu, (indent) => ' '.repeat(indent.length)) : text;
    this.#format = format;
    this.#problems = problems;
  }

  read(): RawSection[] {
    const contents = this.#parse();
    if (contents === undefined) return [];
    if (yaml().isMap(contents)) this.#sectionsByName(contents);
    else if (yaml().isSeq(contents)) for (const item of contents.items) this.#sectionPair(item as ParsedNode);
    else this.#problems.error(this.#lineOf(contents), 'this is no configuration', { allowed: SHAPE });
    return this.#sections;
  }

  #parse(): ParsedNode | undefined {
    const documents = this.#documents();
    const [document, second] = documents;
    if (document === undefined) return undefined;
    this.#document = document as Document;
    for (const { code, pos } of document.errors) {
      this.#problems.error(this.#lines.linePos(pos[0]).line, `this is not valid ${this.#format}`, {
        hint: SYNTAX_HINTS[code] ?? 'check the brackets, quotes, commas and the indentation around this line',
      });
    }
    if (document.errors.length > 0) return undefined;
    if (second !== undefined) {
      const { line } = this.#lines.linePos(second.range[0]);
      this.#problems.error(line, 'a second document begins here', { hint: 'keep to one document in a file' });
      return undefined;
    }
    return document.contents ?? undefined;
  }

  #documents(): Document.Parsed[] {
    const options = {
      lineCounter: this.#lines,
      // Repeated keys are judged with the rest of the section.
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'silent',
      schema: 'core',
    } as const;
    try {
      const documents = yaml().parseAllDocuments(this.#text, options);
      return 'empty' in documents ? [] : documents;
    } catch {
      // The parser recurses: what is nested deeply enough exhausts its stack.
      this.#problems.error(undefined, `this cannot be read as ${this.#format}`, {
        hint: `keep maps and lists within ${NESTING_MAX} levels`,
      });
      return [];
    }
  }

  #sectionsByName(map: YAMLMap): void {
    for (const pair of map.items) {
      const name = this.#keyOf(pair);
      if (name === undefined) continue;
      this.#sectionOrSections(name.text, name.line, pair.value as ParsedNode | null);
    }
  }

  #sectionOrSections(name: string, line: number, node: ParsedNode | null): void {
    const target = this.#resolved(node);
    // `listener:` with nothing below it is a list of none.
    if (target === undefined || isEmptyScalar(target)) return;
    if (yaml().isSeq(target)) {
      for (const item of target.items)
        this.#section(name, this.#lineOf(item as ParsedNode) ?? line, item as ParsedNode);
      return;
    }
    this.#section(name, line, target);
  }

  /** An element of a list of sections: `["listener", { … }]`, or `listener: { … }`. */
  #sectionPair(node: ParsedNode): void {
    const target = this.#resolved(node);
    if (yaml().isMap(target)) {
      this.#sectionsByName(target);
      return;
    }
    const [name, attributes, more] = yaml().isSeq(target) ? (target.items as ParsedNode[]) : [];
    const text = yaml().isScalar(name) && typeof name.value === 'string' ? name.value : undefined;
    if (text === undefined || attributes === undefined || more !== undefined) {
      this.#problems.error(this.#lineOf(node), 'this is no section', { allowed: '[ "section", { attributes } ]' });
      return;
    }
    this.#section(text, this.#lineOf(node) ?? 1, attributes);
  }

  #section(name: string, line: number, node: ParsedNode): void {
    const target = this.#resolved(node);
    if (!yaml().isMap(target)) {
      // That there is no such section at all is said later, and says more.
      if (entityTypeOf(camelCase(name)) === undefined) {
        this.#sections.push({ name, line, attributes: [] });
        return;
      }
      this.#problems.error(this.#lineOf(node) ?? line, `the section '${safeText(name)}' has no attributes`, {
        allowed: '{ name: value, … }',
      });
      return;
    }
    const attributes: RawAttribute[] = [];
    for (const pair of target.items) {
      const key = this.#keyOf(pair);
      if (key === undefined) continue;
      const value = this.#resolved(pair.value as ParsedNode | null);
      if (value === undefined || isEmptyScalar(value)) {
        this.#problems.error(key.line, `'${safeText(key.text)}' of '${safeText(name)}' has no value`, {
          hint: 'write one, or take the line out',
        });
        continue;
      }
      attributes.push({
        key: key.text,
        line: key.line,
        value: yaml().isScalar(value) ? textOf(value) : this.#valueOf(value, 1),
        comment: yaml().isScalar(value) && commentCuts(value) ? { mark: '#', glued: false } : undefined,
      });
    }
    this.#sections.push({ name, line, attributes });
  }

  #keyOf(pair: Pair): { text: string; line: number } | undefined {
    const key = pair.key as ParsedNode | null;
    if (yaml().isPair(pair) && yaml().isScalar(key) && key.value !== null)
      return { text: textOf(key), line: this.#lineOf(key) ?? 1 };
    this.#problems.error(this.#lineOf(key), 'this is no name', { allowed: 'name: value' });
    return undefined;
  }

  #valueOf(node: ParsedNode | null | undefined, depth: number): RawValue {
    const target = this.#resolved(node);
    this.#values += 1;
    if (depth > NESTING_MAX || this.#values > VALUES_MAX) {
      if (this.#values <= VALUES_MAX) {
        this.#problems.error(this.#lineOf(target), `this is nested more than ${NESTING_MAX} deep`);
      } else if (this.#values === VALUES_MAX + 1) {
        this.#problems.error(this.#lineOf(target), `there are more than ${VALUES_MAX} values`);
      }
      return null;
    }
    if (yaml().isMap(target)) {
      const entries: [string, RawValue][] = [];
      for (const pair of target.items) {
        if (this.#values > VALUES_MAX) break;
        const key = this.#keyOf(pair);
        if (key !== undefined) entries.push([key.text, this.#valueOf(pair.value as ParsedNode | null, depth + 1)]);
      }
      return Object.fromEntries(entries);
    }
    if (yaml().isSeq(target)) {
      const items: RawValue[] = [];
      for (const item of target.items) {
        if (this.#values > VALUES_MAX) break;
        items.push(this.#valueOf(item as ParsedNode, depth + 1));
      }
      return items;
    }
    const value: unknown = target?.value ?? null;
    return typeof value === 'number' || typeof value === 'boolean' || value === null ? value : String(value);
  }

  /** The node, or the one that an alias stands for. */
  #resolved(node: ParsedNode | null | undefined): Exclude<ParsedNode, Alias.Parsed> | undefined {
    if (!yaml().isAlias(node)) return node ?? undefined;
    // Each one is looked for in the whole document.
    this.#aliases += 1;
    if (this.#aliases > ALIASES_MAX) {
      if (this.#aliases === ALIASES_MAX + 1) {
        this.#problems.error(this.#lineOf(node), `there are more than ${ALIASES_MAX} aliases`);
      }
      return undefined;
    }
    const target = node.resolve(this.#document as Document) as Exclude<ParsedNode, Alias.Parsed> | undefined;
    if (target === undefined) {
      this.#problems.error(this.#lineOf(node), 'this alias stands for nothing that comes before it', {
        hint: "text that begins with '*' must be in quotes",
      });
    }
    return target;
  }

  #lineOf(node: ParsedNode | null | undefined): number | undefined {
    return node?.range === undefined ? undefined : this.#lines.linePos(node.range[0]).line;
  }
}

/** The text of a scalar as it was written: `007` and `1e3` are passwords before they are numbers. */
function textOf(scalar: Scalar): string {
  if (scalar.type === 'PLAIN' && scalar.source !== undefined) return scalar.source;
  const text = String(scalar.value);
  return scalar.type?.startsWith('BLOCK') === true ? text.replace(/\n$/u, '') : text;
}

function isEmptyScalar(node: ParsedNode): boolean {
  return yaml().isScalar(node) && node.value === null;
}

function commentCuts(scalar: Scalar): boolean {
  return scalar.type === 'PLAIN' && typeof scalar.comment === 'string';
}

// The parser's own words may repeat what stands in the file, secrets included. These do not.
const SYNTAX_HINTS: Readonly<Record<string, string>> = {
  BAD_ALIAS: "text that begins with '*' or '&' must be in quotes",
  BAD_DQ_ESCAPE:
    'a backslash in double quotes starts an escape that does not exist: write two of them, or single quotes',
  BAD_INDENT: 'the indentation does not fit the lines above',
  BAD_SCALAR_START: 'text that begins with one of @ ` % must be in quotes',
  BLOCK_AS_IMPLICIT_KEY: "a value that contains ': ' must be in quotes",
  MISSING_CHAR: 'a bracket, quote, comma or colon is missing here or just before',
  MULTILINE_IMPLICIT_KEY: 'a colon is missing here or on the line before',
  TAB_AS_INDENT: 'indent with blanks, not tabs',
  UNEXPECTED_TOKEN: 'a bracket, quote or comma is missing or too many here or just before',
};
