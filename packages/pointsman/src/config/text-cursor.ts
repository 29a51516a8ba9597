// SPDX-License-Identifier: Apache-2.0
import type { ProblemList } from './problems.js';
import { HIDDEN, announcesSecret, safeText } from './problems.js';

export type Quoted = { readonly text: string } | { readonly unclosed: true };

// From an attribute such as azureKeys to the next section: where a brace or a quote is wrong there, keys are anywhere.
const SECRET_PART = /azu|keys|^[a-z]\w*[^\S\n]*\{/gimu;

/** A place in a text, and what can be said about it without knowing what the text means. */
export class TextCursor {
  readonly text: string;
  readonly problems: ProblemList;
  at = 0;
  line = 1;
  halted = false;
  #secretParts: readonly (readonly [start: number, end: number])[] | undefined;

  constructor(text: string, problems: ProblemList) {
    this.text = text;
    this.problems = problems;
  }

  get char(): string {
    return this.text[this.at] ?? '';
  }

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  /** What is left of the line. */
  get rest(): string {
    return this.text.slice(this.at, this.#lineEnd());
  }

  /** The match of a sticky expression at this place. Does not move. */
  match(sticky: RegExp): RegExpExecArray | undefined {
    sticky.lastIndex = this.at;
    return sticky.exec(this.text) ?? undefined;
  }

  skipBlanks(): void {
    while (isBlank(this.char)) this.at += 1;
  }

  skipLine(): void {
    this.at = this.#lineEnd();
  }

  /** Nothing further is read, and nothing missed of what would have come. */
  halt(): void {
    this.at = this.text.length;
    this.halted = true;
  }

  /** Past a line end. @returns whether there was one */
  skipNewline(): boolean {
    if (this.char !== '\n') return false;
    this.at += 1;
    this.line += 1;
    return true;
  }

  /** Whether a comment starts here: `#`, or `//` at the start of a line, after a blank or a brace. */
  get atComment(): boolean {
    if (this.char === '#') return true;
    if (!this.text.startsWith('//', this.at)) return false;
    const before = this.text[this.at - 1] ?? '\n';
    return /[\s{}]/u.test(before);
  }

  /** Past blanks, line ends and comments. */
  skipSpace(): void {
    for (;;) {
      this.skipBlanks();
      if (this.atComment) this.skipLine();
      if (!this.skipNewline()) return;
    }
  }

  /**
   * Reads `"…"` with the escapes of JSON, or `'…'` in which nothing but `''` (a quote) means anything else. Both end on
   * their line. Where a quote has no end the cursor stays before it.
   */
  quoted(): Quoted {
    const double = this.match(/"(?:[^"\\\n]|\\[^\n])*"/uy);
    if (double !== undefined) {
      this.at += double[0].length;
      return { text: this.#unescaped(double[0]) };
    }
    const single = this.match(/'(?:[^'\n]|'')*'/uy);
    if (single === undefined) return { unclosed: true };
    this.at += single[0].length;
    return { text: single[0].slice(1, -1).replaceAll("''", "'") };
  }

  /** Text from about here, made fit to be shown: nothing of it where it may be part of a secret. */
  shown(text: string): string {
    const lineStart = this.text.lastIndexOf('\n', this.at - 1) + 1;
    this.#secretParts ??= secretPartsOf(this.text);
    const isInside = this.#secretParts.some(([start, end]) => start < this.at && this.at < end);
    return isInside || announcesSecret(this.text.slice(lineStart, this.at)) ? HIDDEN : safeText(text);
  }

  /** Reports what stands here as not understood, and goes to the end of the line. */
  refuseLine(message: string, allowed?: string, hint?: string): void {
    this.problems.error(this.line, message, { found: this.shown(this.rest), allowed, hint });
    this.skipLine();
  }

  #unescaped(literal: string): string {
    // A tab is no JSON, but it is what somebody wrote.
    try {
      return JSON.parse(literal.replaceAll('\t', '\\t')) as string;
    } catch {
      this.problems.error(this.line, 'a backslash in double quotes starts an escape that does not exist', {
        allowed: String.raw`\" \\ \/ \b \f \n \r \t \uXXXX`,
        hint: 'write two backslashes, or use single quotes, which keep backslashes',
      });
      return literal.slice(1, -1);
    }
  }

  #lineEnd(): number {
    const end = this.text.indexOf('\n', this.at);
    return end === -1 ? this.text.length : end;
  }
}

export function isBlank(char: string): boolean {
  return char !== '' && char !== '\n' && /\s/u.test(char);
}

function secretPartsOf(text: string): [start: number, end: number][] {
  const parts: [number, number][] = [];
  let isInside = false;
  for (const { 0: opening, index } of text.matchAll(SECRET_PART)) {
    const isSecret = /azu|keys/iu.test(opening);
    if (isSecret && !isInside) parts.push([index, Infinity]);
    else if (!isSecret && isInside) parts.at(-1)![1] = index;
    isInside = isSecret;
  }
  return parts;
}
