// SPDX-License-Identifier: Apache-2.0
import { UsageError } from './tool-error.js';

/** An option, and how a command line says it. */
export interface OptionSpec {
  /** `-l`, `--links`: all its spellings, short ones first. */
  readonly flags: readonly string[];
  readonly key: string;
  /** `flag` stands alone, `count` may stand repeatedly, the others take a value. */
  readonly kind: 'flag' | 'count' | 'text' | 'int' | 'float';
  /** Options of one group exclude each other. */
  readonly group?: string;
  readonly metavar?: string;
  readonly help: string;
}

/** What a command line says. */
export class ParsedArguments {
  readonly #values: ReadonlyMap<string, string | number>;
  readonly positionals: readonly string[];

  constructor(values: ReadonlyMap<string, string | number>, positionals: readonly string[]) {
    this.#values = values;
    this.positionals = positionals;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  text(key: string): string | undefined {
    const value = this.#values.get(key);
    return value === undefined ? undefined : String(value);
  }

  number(key: string): number | undefined {
    const value = this.#values.get(key);
    return typeof value === 'number' ? value : undefined;
  }
}

/**
 * Reads a command line by the rules of Python's argparse, which scripts around the old tools rely on: long options may be
 * shortened to any beginning that is unambiguous, short ones joined, values follow behind a blank, `=`, or at once.
 *
 * @throws UsageError with the text that argparse has for it
 */
export function parseArguments(
  argv: readonly string[],
  options: readonly OptionSpec[],
  positionalsAllowed: boolean,
): ParsedArguments {
  const reading = new Reading(options);
  reading.run(argv);
  const { extras, positionals } = reading;
  if (!positionalsAllowed) extras.push(...positionals.splice(0));
  if (extras.length > 0) throw new UsageError(`unrecognized arguments: ${extras.join(' ')}`);
  return new ParsedArguments(reading.values, positionals);
}

const NEGATIVE_NUMBER = /^-\d+$|^-\d*\.\d+$/;

class Reading {
  readonly values = new Map<string, string | number>();
  readonly positionals: string[] = [];
  /** What nobody knows. */
  readonly extras: string[] = [];
  readonly #options: readonly OptionSpec[];
  /** The option of each group that was seen. */
  readonly #groups = new Map<string, OptionSpec>();
  #rest: string[] = [];

  constructor(options: readonly OptionSpec[]) {
    this.#options = options;
  }

  run(argv: readonly string[]): void {
    this.#rest = [...argv];
    for (;;) {
      const word = this.#rest.shift();
      if (word === undefined) return;
      if (word === '--') {
        this.positionals.push(...this.#rest.splice(0));
      } else if (word.startsWith('--')) {
        this.#long(word);
      } else if (isOptionLike(word)) {
        this.#short(word);
      } else {
        this.positionals.push(word);
      }
    }
  }

  #long(word: string): void {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    const explicit = equals < 0 ? undefined : word.slice(equals + 1);
    const option = this.#byLongName(name, word);
    if (option === undefined) this.extras.push(word);
    else this.#take(option, explicit);
  }

  #byLongName(name: string, word: string): OptionSpec | undefined {
    const exact = this.#options.find(({ flags }) => flags.includes(name));
    if (exact !== undefined) return exact;
    const begun = this.#options.flatMap((option) =>
      option.flags.filter((flag) => flag.startsWith(name)).map((flag) => ({ flag, option })),
    );
    if (begun.length > 1)
      throw new UsageError(`ambiguous option: ${word} could match ${begun.map(({ flag }) => flag).join(', ')}`);
    return begun[0]?.option;
  }

  #short(word: string): void {
    const option = this.#options.find(({ flags }) => flags.includes(word.slice(0, 2)));
    if (option === undefined) {
      this.extras.push(word);
      return;
    }
    const behind = word.slice(2);
    if (behind === '') {
      this.#take(option, undefined);
    } else if (option.kind === 'flag' || option.kind === 'count') {
      this.#take(option, undefined);
      if (!this.#options.some(({ flags }) => flags.includes(`-${behind[0]}`)))
        throw new UsageError(`argument ${nameOf(option)}: ignored explicit argument '${behind}'`);
      this.#short(`-${behind}`);
    } else {
      this.#take(option, behind.startsWith('=') ? behind.slice(1) : behind);
    }
  }

  #take(option: OptionSpec, explicit: string | undefined): void {
    this.#exclude(option);
    const { key, kind } = option;
    if (kind === 'flag' || kind === 'count') {
      if (explicit !== undefined)
        throw new UsageError(`argument ${nameOf(option)}: ignored explicit argument '${explicit}'`);
      this.values.set(key, Number(this.values.get(key) ?? 0) + 1);
      return;
    }
    const value = explicit ?? this.#nextValue();
    if (value === undefined) throw new UsageError(`argument ${nameOf(option)}: expected one argument`);
    this.values.set(key, converted(option, value));
  }

  #exclude(option: OptionSpec): void {
    if (option.group === undefined) return;
    const other = this.#groups.get(option.group);
    if (other !== undefined && other !== option)
      throw new UsageError(`argument ${nameOf(option)}: not allowed with argument ${nameOf(other)}`);
    this.#groups.set(option.group, option);
  }

  #nextValue(): string | undefined {
    const next = this.#rest[0];
    return next === undefined || next === '--' || isOptionLike(next) ? undefined : this.#rest.shift();
  }
}

function isOptionLike(word: string): boolean {
  return word.length > 1 && word.startsWith('-') && !NEGATIVE_NUMBER.test(word) && !word.includes(' ');
}

function nameOf(option: OptionSpec): string {
  return option.flags.join('/');
}

function converted(option: OptionSpec, value: string): string | number {
  if (option.kind === 'text') return value;
  const isNumber = option.kind === 'int' ? /^\s*[+-]?\d+\s*$/ : /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;
  if (!isNumber.test(value))
    throw new UsageError(`argument ${nameOf(option)}: invalid ${option.kind} value: '${value}'`);
  return Number(value);
}

/** The lines of a help text that say what each option is for. */
export function optionHelp(options: readonly OptionSpec[]): string {
  return options
    .map((option) => {
      const value = option.metavar ?? option.key.toUpperCase();
      const takesValue = option.kind !== 'flag' && option.kind !== 'count';
      const left = `  ${option.flags.map((flag) => (takesValue ? `${flag} ${value}` : flag)).join(', ')}`;
      const gap = left.length > 30 ? `\n${' '.repeat(32)}` : ' '.repeat(32 - left.length);
      return `${left}${gap}${option.help}\n`;
    })
    .join('');
}

const USAGE_WIDTH = 78;

/** The usage line, folded as argparse folds it. */
export function usageText(program: string, options: readonly OptionSpec[]): string {
  const parts: string[] = [];
  const groups = new Set<string>();
  for (const option of options) {
    const { group } = option;
    if (group === undefined) {
      parts.push(`[${usageOf(option)}]`);
    } else if (!groups.has(group)) {
      groups.add(group);
      const members = options.filter((one) => one.group === group);
      parts.push(`[${members.map(usageOf).join(' | ')}]`);
    }
  }
  const start = `usage: ${program} `;
  const margin = ' '.repeat(start.length);
  const lines: string[] = [];
  let line = '';
  for (const part of parts) {
    if (line !== '' && margin.length + line.length + 1 + part.length > USAGE_WIDTH) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? part : ` ${part}`;
  }
  lines.push(line);
  return `${start}${lines.join(`\n${margin}`)}\n`;
}

function usageOf(option: OptionSpec): string {
  const flag = option.flags[0]!;
  if (option.kind === 'flag' || option.kind === 'count') return flag;
  return `${flag} ${option.metavar ?? option.key.toUpperCase()}`;
}
