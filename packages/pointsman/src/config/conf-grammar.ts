// SPDX-License-Identifier: Apache-2.0
import { camelCase } from '@pointsman/management';
import { readMap } from './map-grammar.js';
import type { ProblemList } from './problems.js';
import { safeText } from './problems.js';
import type { RawAttribute, RawSection } from './raw-config.js';
import { isBlank, TextCursor } from './text-cursor.js';

/** What the grammar has to know of the schema, where the text alone leaves two readings. */
export interface Vocabulary {
  /** Whether sections of that name have such an attribute. Both as written. */
  isAttribute(section: string, word: string): boolean;
}

// Their values are full of `#` that are no comments: the value is then whatever comes before the first blank.
const HASH_SAFE = new Set(['pattern', 'bindingKey', 'hostname']);

// A line is gone over for each of its attributes.
const LINE_LENGTH_MAX = 32_768;

const WORD = /[\w$.-]+/uy;

/**
 * Reads the sections of a `.conf` file.
 *
 *     listener {
 *         host: 0.0.0.0      # a comment
 *         port: amqp         // another
 *         name: "quoted # text"
 *     }
 *     listener { port: 5673  role: route-container }
 *
 * It takes all that Qpid Dispatch 1.19 takes, and means the same by it, except where that was an accident. Beyond it:
 * `//` comments, quotes, sections on one line, a closing brace behind the last value, maps in natural JSON or without
 * quotes ({@link readMap}).
 */
export function readConf(text: string, problems: ProblemList, vocabulary: Vocabulary): RawSection[] {
  return new ConfReader(text, problems, vocabulary).read();
}

class ConfReader {
  readonly #cursor: TextCursor;
  readonly #problems: ProblemList;
  readonly #vocabulary: Vocabulary;
  readonly #sections: RawSection[] = [];

  constructor(text: string, problems: ProblemList, vocabulary: Vocabulary) {
    this.#cursor = new TextCursor(text, problems);
    this.#problems = problems;
    this.#vocabulary = vocabulary;
  }

  read(): RawSection[] {
    const cursor = this.#cursor;
    const long = cursor.text.split('\n').findIndex((line) => line.length > LINE_LENGTH_MAX);
    if (long !== -1) {
      this.#problems.error(long + 1, `the line is longer than ${LINE_LENGTH_MAX} characters`);
      return [];
    }
    for (cursor.skipSpace(); !cursor.atEnd; cursor.skipSpace()) {
      if (this.#sections.length === 0 && this.#looksForeign()) return [];
      this.#top();
    }
    return this.#sections;
  }

  /** What stands between sections. */
  #top(): void {
    const cursor = this.#cursor;
    const { line, at } = cursor;
    if (cursor.char === '}') {
      this.#problems.error(line, "this '}' closes nothing", {
        hint: "one '}' too many, or a section that was closed before; a '}' that belongs to a value must be in quotes",
      });
      cursor.at += 1;
      return;
    }
    const name = cursor.match(WORD)?.[0];
    if (name === undefined) {
      cursor.refuseLine('this is not understood', 'name { … }');
      return;
    }
    cursor.at += name.length;
    cursor.skipBlanks();
    const colon = cursor.char === ':';
    if (colon) cursor.at += 1;
    cursor.skipBlanks();
    // The brace may stand on a line of its own.
    if (!colon && (cursor.atComment || cursor.char === '\n')) cursor.skipSpace();
    if (cursor.char === '{') {
      cursor.at += 1;
      this.#section(name, line);
      return;
    }
    // Back to where it went wrong, which may be lines above.
    cursor.at = at;
    cursor.line = line;
    if (colon)
      cursor.refuseLine(`'${safeText(name)}' stands outside of a section`, 'name { … }', "is a '{' missing above?");
    else cursor.refuseLine('this is not understood', 'name { … }', "is a '{' missing?");
  }

  #section(name: string, startLine: number): void {
    const cursor = this.#cursor;
    const attributes: RawAttribute[] = [];
    this.#sections.push({ name, line: startLine, attributes });
    const openLine = cursor.line;
    for (;;) {
      cursor.skipSpace();
      const { line, at } = cursor;
      if (cursor.halted) return;
      if (cursor.atEnd) {
        this.#problems.error(
          startLine,
          `a '}' is missing: the section '${safeText(name)}' goes on to the end of the file`,
        );
        return;
      }
      if (cursor.char === '}') {
        cursor.at += 1;
        return;
      }
      if (cursor.char === ',' || cursor.char === ';') {
        cursor.at += 1;
        continue;
      }
      const key = cursor.match(WORD)?.[0];
      if (key === undefined) {
        cursor.refuseLine(`this is not understood inside of '${safeText(name)}'`, 'name: value');
        continue;
      }
      cursor.at += key.length;
      cursor.skipBlanks();
      if (cursor.char === ':') {
        cursor.at += 1;
        this.#attribute(name, key, attributes, line === openLine);
      } else if (cursor.char === '{' && this.#vocabulary.isAttribute(name, key)) {
        attributes.push({ key, line, value: readMap(cursor) });
      } else if (cursor.char === '{') {
        this.#problems.error(startLine, `a '}' is missing: '${safeText(name)}' is still open at line ${line}`, {
          found: `${key} {`,
          hint: `close '${safeText(name)}' before line ${line}`,
        });
        cursor.at = at;
        return;
      } else {
        cursor.at = at;
        cursor.refuseLine(`a colon is missing after '${cursor.shown(key)}'`, 'name: value');
      }
    }
  }

  /** @param inline - the section was opened on this line, so that more may follow on it */
  #attribute(section: string, key: string, attributes: RawAttribute[], inline: boolean): void {
    const cursor = this.#cursor;
    const { line } = cursor;
    cursor.skipBlanks();
    if (cursor.char === '{') {
      attributes.push({ key, line, value: readMap(cursor) });
      return;
    }
    if (cursor.char === '"' || cursor.char === "'") {
      const before = cursor.at;
      const quoted = cursor.quoted();
      if ('text' in quoted && this.#valueEnds(inline)) {
        attributes.push({ key, line, value: quoted.text });
        return;
      }
      cursor.at = before;
      // To the old router a single quote was a character like any other.
      if (cursor.char === '"') {
        const what =
          'text' in quoted ? 'something follows the closing quote of' : 'a quote is opened and not closed in';
        this.#problems.error(line, `${what} '${cursor.shown(key)}'`, {
          hint: String.raw`a quote inside of double quotes is written \", or the whole in single quotes`,
        });
        cursor.skipLine();
        return;
      }
    }
    const attribute = this.#plain(section, key, inline);
    if (attribute.value === '') {
      this.#problems.error(line, `'${cursor.shown(key)}' of '${safeText(section)}' has no value`, {
        hint:
          attribute.comment === undefined
            ? 'write one, or take the line out'
            : 'a comment begins before it: write it in quotes',
      });
      return;
    }
    attributes.push(attribute);
  }

  /** Whether nothing but a separator, a brace or a comment follows. */
  #valueEnds(inline: boolean): boolean {
    const following = inline ? /(?:[\s,;]|\}|#|$)/uy : /[^\S\n]*(?:[,;]?[^\S\n]*(?:\}|#|\n|$)|(?<=\s)\/\/)/uy;
    return this.#cursor.match(following) !== undefined || this.#cursor.atEnd;
  }

  #plain(section: string, key: string, inline: boolean): RawAttribute {
    const cursor = this.#cursor;
    const { line, rest } = cursor;
    if (HASH_SAFE.has(camelCase(key))) return this.#firstWord(key, rest, inline);

    const glueBefore = !isBlank(cursor.text[cursor.at - 1] ?? '');
    const { end, comment } = inline ? this.#inlineEnd(section, rest, glueBefore) : commentIn(rest, glueBefore);
    let text = rest.slice(0, end).trim();
    if (inline) text = text.replace(/[,;\s]+$/u, '');
    let length = end;
    if (!inline && (text === '}' || /\s\}$/u.test(text))) {
      length = rest.lastIndexOf('}', end - 1);
      text = rest.slice(0, length).trim();
    }
    cursor.at += length;
    return { key, line, ...unescaped(text), comment: length === end ? comment : undefined };
  }

  #firstWord(key: string, rest: string, inline: boolean): RawAttribute {
    const cursor = this.#cursor;
    const { line } = cursor;
    let word = /^\S*/u.exec(rest)![0];
    if (inline) word = word.replace(/[,;]*\}?$/u, '');
    cursor.at += word.length;
    if (inline) return { key, line, ...unescaped(word) };
    cursor.skipBlanks();
    if (cursor.char !== '' && cursor.char !== '\n' && cursor.char !== '}' && !cursor.atComment) {
      this.#problems.warn(line, `the value of '${key}' ends at the first blank; the rest of the line is ignored`, {
        found: cursor.shown(cursor.rest),
      });
      cursor.skipLine();
    }
    return { key, line, ...unescaped(word) };
  }

  /** Where a value ends on a line that may hold further attributes and the closing brace. */
  #inlineEnd(section: string, rest: string, glueBefore: boolean): ValueEnd {
    const full = commentIn(rest, glueBefore);
    for (let i = 0; i < full.end; i++) {
      const char = rest[i]!;
      const next = rest[i + 1] ?? ' ';
      if (char === '}' && (isBlank(next) || next === '}')) return { end: i };
      const separates = isSeparator(char) && i > 0 && !isSeparator(rest[i - 1]!);
      if (separates && this.#attributeFollows(section, rest, i)) return { end: i };
    }
    return full;
  }

  /** Whether a separator at `at` is followed by the next attribute, rather than by more of the value. */
  #attributeFollows(section: string, rest: string, at: number): boolean {
    const following = /[\s,;]+([\w$.-]+)\s*:(.|$)/uy;
    following.lastIndex = at;
    const [, word = '', next = ''] = following.exec(rest) ?? [];
    if (word === '') return false;
    return /^(?:[\s{"']|$)/u.test(next) || this.#vocabulary.isAttribute(section, word);
  }

  /** Refuses, in one sentence, a file in another format than its name says. */
  #looksForeign(): boolean {
    const cursor = this.#cursor;
    const yaml = cursor.match(/---|-\s|[\w-]+:[^\S\n]*(?:#[^\n]*)?\n/uy) !== undefined;
    if (!yaml && cursor.char !== '[' && cursor.char !== '{') return false;
    const [format, ending] = yaml ? ['YAML', '.yaml'] : ['JSON', '.json'];
    this.#problems.error(cursor.line, `this looks like ${format}, but by its name the file is in the .conf format`, {
      found: cursor.shown(cursor.rest),
      hint: `give the file a name that ends in ${ending}`,
    });
    return true;
  }
}

interface ValueEnd {
  readonly end: number;
  readonly comment?: RawAttribute['comment'];
}

/** Where the first comment of a line begins: at any `#`, or at `//` after a blank. */
function commentIn(rest: string, glueBefore: boolean): ValueEnd {
  for (let i = 0; i < rest.length; i++) {
    const glued = i === 0 ? glueBefore : !isBlank(rest[i - 1]!);
    if (rest[i] === '#') return { end: i, comment: { mark: '#', glued } };
    if (rest[i] === '/' && rest[i + 1] === '/' && !glued) return { end: i, comment: { mark: '//', glued } };
  }
  return { end: rest.length };
}

function isSeparator(char: string): boolean {
  return char === ',' || char === ';' || isBlank(char);
}

/**
 * Text outside quotes, as the old router understood it: it put the text between JSON quotes, so that `\\` was one
 * backslash and `\u0041` an A, and failed at anything that is no such escape. What failed there is taken literally here.
 */
function unescaped(text: string): { value: string; escaped?: boolean } {
  if (!text.includes('\\')) return { value: text };
  try {
    return { value: JSON.parse(`"${text}"`) as string, escaped: true };
  } catch {
    return { value: text };
  }
}
