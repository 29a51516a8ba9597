// SPDX-License-Identifier: Apache-2.0
import { editDistance } from '@pointsman/management';

/** One mistake, or something doubtful, in a configuration file. Never holds a secret. */
export interface ConfigProblem {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  /** Line of the file, counted from 1, or undefined where the whole file is meant. */
  readonly line: number | undefined;
  /** What is wrong, in one sentence. */
  readonly message: string;
  /** What stands there. */
  readonly found?: string | undefined;
  /** What may stand there. */
  readonly allowed?: string | undefined;
  /** The valid name or value that was most likely meant. */
  readonly nearest?: string | undefined;
  /** What to do about it. */
  readonly hint?: string | undefined;
  /** How Qpid Dispatch 1.19 words it, for scripts that look for that in what a router writes. */
  readonly former?: string | undefined;
}

export type ProblemDetails = Pick<ConfigProblem, 'found' | 'allowed' | 'nearest' | 'hint' | 'former'>;

// A file of a hundred mistakes is not the file that was meant; more would only hide the first ones.
const PROBLEMS_MAX = 100;
const SHOWN_LENGTH_MAX = 160;
const WRAP_COLUMNS = 100;

/** Collects the problems of one file. */
export class ProblemList {
  readonly file: string;
  readonly #problems: ConfigProblem[] = [];
  readonly #max: number;
  #left = 0;
  #hasLeftErrors = false;

  /** @param max - how many are kept */
  constructor(file: string, max: number = PROBLEMS_MAX) {
    this.file = file;
    this.#max = max;
  }

  error(line: number | undefined, message: string, details: ProblemDetails = {}): void {
    this.#add({ severity: 'error', file: this.file, line, message, ...details });
  }

  warn(line: number | undefined, message: string, details: ProblemDetails = {}): void {
    this.#add({ severity: 'warning', file: this.file, line, message, ...details });
  }

  /** Takes a problem over that stands in another file. */
  adopt(problem: ConfigProblem): void {
    this.#add(problem);
  }

  get hasErrors(): boolean {
    return this.#hasLeftErrors || this.#problems.some(({ severity }) => severity === 'error');
  }

  /** All of them in the order of their lines; those of the whole file come last. */
  sorted(): readonly ConfigProblem[] {
    const problems = this.#problems.toSorted((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity) || 0);
    if (this.#left > 0) {
      const message = `${this.#left} further problems are not shown`;
      const severity = this.#hasLeftErrors ? 'error' : 'warning';
      problems.push({ severity, file: this.file, line: undefined, message });
    }
    return problems;
  }

  #add(problem: ConfigProblem): void {
    // A parser that stumbles often stumbles twice over one stone.
    const last = this.#problems.at(-1);
    if (
      last !== undefined &&
      last.line === problem.line &&
      last.message === problem.message &&
      last.found === problem.found
    ) {
      return;
    }
    if (this.#problems.length >= this.#max) {
      this.#left += 1;
      if (problem.severity === 'warning') return;
      // What keeps a router from starting is not hidden behind what does not.
      const spare = this.#problems.findLastIndex(({ severity }) => severity === 'warning');
      if (spare < 0) {
        this.#hasLeftErrors = true;
        return;
      }
      this.#problems.splice(spare, 1);
    }
    this.#problems.push(problem);
  }
}

// After these words a line may go on with something that nobody else should read.
const SECRET_WORD =
  /pas+w(?:or)?d|passphrase|pwd|secret|connection.?string|sharedaccess(?:key|signature)(?!name)|azure.?keys?|token.?command/iu;
// These announce one with a colon behind them, in any value.
const SECRET_FORM = /^(?:pass|literal)$/iu;
// So it may after the same words mistyped.
const SECRET_NAMES = [
  'password',
  'saslpassword',
  'proxypassword',
  'connectionstring',
  'sharedaccesskey',
  'azurekeys',
  'azuretokencommand',
  'azureclientsecret',
];
const MISTYPED_LETTERS_MAX = 3;
const WORDS_LOOKED_AT = 20;
/** What stands in place of a secret, or of what may be one. */
export const HIDDEN = '[hidden]';

/**
 * Text out of a configuration file, made fit to be shown: without what might be a secret, on one line, not too long.
 */
export function safeText(text: string): string {
  const printable = openPart(text.slice(0, 4096).replaceAll(/\/\/[^/\s@]*@/gu, `//${HIDDEN}@`))
    .trim()
    .replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd');
  return printable.length > SHOWN_LENGTH_MAX ? `${printable.slice(0, SHOWN_LENGTH_MAX - 3)}...` : printable;
}

/** Whether what follows may be a secret. */
export function announcesSecret(text: string): boolean {
  return openPart(`${text.slice(-4096)} .`).endsWith(HIDDEN);
}

/** What comes before a secret, and the word that announces it. */
function openPart(text: string): string {
  // A blank, a quote or a brace may have got into the word.
  const head = /^[^:]{1,64}(?=:\s*\S)/u.exec(text)?.[0] ?? '';
  const isBroken = isSecretName(head.replaceAll(/\W/gu, ''));
  let looked = 0;
  for (const { 0: word, index } of text.matchAll(/[\w-]+/gu)) {
    if (++looked > WORDS_LOOKED_AT) break;
    const after = index + word.length;
    if (!/\S/u.test(text.slice(after))) break;
    const isForm = text[after] === ':' && SECRET_FORM.test(word);
    if (isForm || isSecretName(word))
      return isBroken && after > head.length ? HIDDEN : `${text.slice(0, after)} ${HIDDEN}`;
  }
  return isBroken ? HIDDEN : text;
}

function isSecretName(word: string): boolean {
  return SECRET_WORD.test(word) || isMistyped(word.toLowerCase());
}

function isMistyped(word: string): boolean {
  return SECRET_NAMES.some(
    (name) =>
      Math.abs(name.length - word.length) <= MISTYPED_LETTERS_MAX &&
      editDistance(word, name) <= Math.min(MISTYPED_LETTERS_MAX, name.length >> 2),
  );
}

/**
 * The problems in the words of Qpid Dispatch 1.19, each once: those that keep a router from starting as the exception that
 * they were, the others as the log had them.
 */
export function formerWords(problems: readonly ConfigProblem[]): readonly string[] {
  const words = problems.flatMap(({ severity, file, former }) => {
    if (former === undefined) return [];
    if (severity === 'warning') return [former];
    const isOwnKind = /^\w+Error: /u.test(former);
    return [`Python: ${isOwnKind ? '' : `Exception: Cannot load configuration file ${file}: `}${former}`];
  });
  return [...new Set(words)];
}

/** What is wrong, what was found and what to do, on one line. */
export function lineOf({ message, found, allowed, hint }: ConfigProblem): string {
  const parts = [
    found === undefined ? undefined : `found: ${found}`,
    allowed === undefined ? undefined : `allowed: ${allowed}`,
    hint,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? message : `${message} (${parts.join('; ')})`;
}

export interface FormatOptions {
  /** Colours the severity with ANSI escape sequences. */
  readonly color: boolean;
}

/**
 * The problems as text for a terminal: one block each, an empty line between them, and how many there are at the end.
 *
 *     router.conf:7: error: connector has no attribute 'prot'
 *       found    prot
 *       allowed  allowRedirect, connectionString, cost, …
 *       nearest  port
 */
export function formatProblems(problems: readonly ConfigProblem[], options: FormatOptions): string {
  if (problems.length === 0) return '';
  const blocks = problems.map((problem) => formatProblem(problem, options));
  const count = (severity: string): number => problems.filter((problem) => problem.severity === severity).length;
  const [errors, warnings] = [count('error'), count('warning')];
  const totals = [plural(errors, 'error'), plural(warnings, 'warning')].filter((part) => part !== '');
  return `${blocks.join('\n\n')}\n\n${totals.join(', ')}\n`;
}

function formatProblem(problem: ConfigProblem, { color }: FormatOptions): string {
  const place = problem.line === undefined ? problem.file : `${problem.file}:${problem.line}`;
  const { severity } = problem;
  const paint = severity === 'error' ? '\u001b[1;31m' : '\u001b[1;33m';
  const lines = [`${place}: ${color ? `${paint}${severity}\u001b[0m` : severity}: ${problem.message}`];
  const detail = (name: string, text: string | undefined): void => {
    if (text === undefined) return;
    const [first = '', ...rest] = wrapped(text);
    lines.push(`  ${name.padEnd(8)} ${first}`, ...rest.map((line) => `${' '.repeat(11)}${line}`));
  };
  detail('found', problem.found);
  detail('allowed', problem.allowed);
  detail('nearest', problem.nearest);
  detail('hint', problem.hint);
  return lines.join('\n');
}

function wrapped(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + word.length >= WRAP_COLUMNS) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

function plural(count: number, noun: string): string {
  if (count === 0) return '';
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
