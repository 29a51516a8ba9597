// SPDX-License-Identifier: Apache-2.0
import { NESTING_MAX, VALUES_MAX } from './raw-config.js';
import type { RawValue } from './raw-config.js';
import { isBlank } from './text-cursor.js';
import type { TextCursor } from './text-cursor.js';

/**
 * Reads a map of a `.conf` file: JSON, or the same without quotes and commas, one value a line:
 *
 *     groups: {
 *         admin: {
 *             users: alice, bob
 *             remoteHosts: *
 *         }
 *     }
 *
 * Both may be mixed. `#` and `//` after a blank, and whole lines of them, are comments.
 *
 * @param cursor - at the opening brace; afterwards behind the closing one
 */
export function readMap(cursor: TextCursor): RawValue {
  return new MapReader(cursor).map(1);
}

class MapReader {
  readonly #cursor: TextCursor;
  readonly #start: number;
  #values = 0;

  constructor(cursor: TextCursor) {
    this.#cursor = cursor;
    this.#start = cursor.line;
  }

  map(depth: number): RawValue {
    const cursor = this.#cursor;
    const entries = new Map<string, RawValue>();
    cursor.at += 1;
    for (;;) {
      this.#skipSeparators();
      if (cursor.atEnd) {
        this.#unclosed('}');
        break;
      }
      if (cursor.char === '}') {
        cursor.at += 1;
        break;
      }
      this.#entry(entries, depth);
    }
    return Object.fromEntries(entries);
  }

  #entry(entries: Map<string, RawValue>, depth: number): void {
    const cursor = this.#cursor;
    const key = this.#key();
    if (key === undefined) {
      cursor.refuseLine('this is not understood inside a map', 'key: value, or "key": "value"');
      return;
    }
    const { line } = cursor;
    cursor.skipBlanks();
    if (cursor.char === ':') cursor.at += 1;
    else if (cursor.char !== '{') {
      cursor.refuseLine(`a colon is missing after '${cursor.shown(key)}'`, 'key: value, or "key": "value"');
      return;
    }
    // A value of several lines may begin on the next one; anything else there is the next entry.
    const ahead = cursor.match(/\s*(?=[{["'])/uy)?.[0] ?? '';
    cursor.line += ahead.split('\n').length - 1;
    cursor.at += ahead.length;
    cursor.skipBlanks();
    const value = this.#value(depth, false);
    if (value === undefined) cursor.problems.error(line, `'${cursor.shown(key)}' has no value`);
    else if (entries.has(key)) {
      cursor.problems.warn(line, `'${cursor.shown(key)}' stands more than once in this map; the last value counts`);
    }
    entries.set(key, value ?? null);
  }

  #key(): string | undefined {
    const cursor = this.#cursor;
    if (cursor.char === '"' || cursor.char === "'") {
      const quoted = cursor.quoted();
      return 'text' in quoted ? quoted.text : undefined;
    }
    const bare = cursor.match(/[^\s:,{}[\]"']+/uy);
    if (bare === undefined) return undefined;
    // A JSON value of another kind in the place of a name is a slip of whoever wrote the file, or of their program.
    if (/^(?:null|true|false|-?\d+(?:\.\d*)?)$/u.test(bare[0])) {
      cursor.problems.error(cursor.line, `'${bare[0]}' is no name: the keys of a map are text`, {
        found: cursor.shown(cursor.rest),
        allowed: `"${bare[0]}": value`,
        former: `Expecting property name enclosed in double quotes: line ${cursor.line}`,
      });
    }
    cursor.at += bare[0].length;
    return bare[0];
  }

  #value(depth: number, inList: boolean): RawValue | undefined {
    const cursor = this.#cursor;
    this.#values += 1;
    if (depth >= NESTING_MAX || this.#values > VALUES_MAX) {
      const what =
        depth >= NESTING_MAX ? `is nested more than ${NESTING_MAX} deep` : `has more than ${VALUES_MAX} values`;
      cursor.problems.error(cursor.line, `the map that begins at line ${this.#start} ${what}`);
      cursor.halt();
      return null;
    }
    switch (cursor.char) {
      case '{':
        return this.map(depth + 1);
      case '[':
        return this.#list(depth + 1);
      case '"':
      case "'": {
        const quoted = cursor.quoted();
        if ('text' in quoted) return quoted.text;
        cursor.refuseLine('a quote is opened and not closed on its line');
        return null;
      }
      default:
        return this.#bare(inList);
    }
  }

  #list(depth: number): RawValue {
    const cursor = this.#cursor;
    const items: RawValue[] = [];
    cursor.at += 1;
    for (;;) {
      this.#skipSeparators();
      if (cursor.atEnd) {
        this.#unclosed(']');
        return items;
      }
      if (cursor.char === ']') {
        cursor.at += 1;
        return items;
      }
      const item = this.#value(depth, true);
      if (item === undefined) {
        cursor.refuseLine('this is not understood inside a list', '[ "value", "value" ]');
        continue;
      }
      items.push(item);
    }
  }

  /** Text without quotes: to the end of the line, or to where something follows that cannot be part of it. */
  #bare(inList: boolean): RawValue | undefined {
    const cursor = this.#cursor;
    const { rest } = cursor;
    const end = bareEnd(rest, inList);
    const text = rest.slice(0, end).trim();
    if (text === '') return undefined;
    cursor.at += end;
    if (text === 'true' || text === 'false') return text === 'true';
    if (text === 'null') return null;
    return /^-?(?:0|[1-9]\d{0,24})(?:\.\d{1,24})?(?:[eE][+-]?\d{1,3})?$/u.test(text) ? Number(text) : text;
  }

  #skipSeparators(): void {
    const cursor = this.#cursor;
    for (;;) {
      cursor.skipSpace();
      if (cursor.char !== ',') return;
      cursor.at += 1;
    }
  }

  #unclosed(bracket: string): void {
    const { problems, halted } = this.#cursor;
    if (halted) return;
    problems.error(this.#start, `a '${bracket}' is missing: what opens on this line goes on to the end of the file`);
    this.#cursor.halt();
  }
}

/** Where text without quotes ends in `rest`. */
function bareEnd(rest: string, inList: boolean): number {
  // `${user}` of a policy is text.
  let braces = 0;
  let lastInk = '';
  for (let i = 0; i < rest.length; i++) {
    const char = rest[i]!;
    const afterBlank = i > 0 && isBlank(rest[i - 1]!);
    if (char === '{') braces += 1;
    else if (char === '}' && braces > 0) braces -= 1;
    else if (char === '}' || (char === ']' && inList)) return i;
    else if (char === ',' && (inList || endsEntry(rest, i + 1))) return i;
    else if (char === '#' && afterBlank && !(lastInk === ',' && isPattern(rest, i))) return i;
    else if (char === '/' && rest[i + 1] === '/' && afterBlank) return i;
    if (!isBlank(char)) lastInk = char;
  }
  return rest.length;
}

/** Whether a `#` is no comment but a pattern, as the last one in `a.*, #`. */
function isPattern(rest: string, at: number): boolean {
  return /^#(?:[./]|\s*(?:$|[,}]))/u.test(rest.slice(at));
}

/** Whether a comma just before `from` separates entries, and is not part of a text such as `alice, bob`. */
function endsEntry(rest: string, from: number): boolean {
  const following = /\s*(?:$|\}|#(?![./]|\s*(?:$|[,}]))|"(?:[^"\\]|\\.)*"\s*:|[^\s:,{}[\]"']+\s*:(?=[\s"'{[]|$))/uy;
  following.lastIndex = from;
  return following.test(rest);
}
