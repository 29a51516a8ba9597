// SPDX-License-Identifier: Apache-2.0

/** What a command line of qdrouterd asks for. */
export interface QdrouterdArguments {
  readonly config: string;
  readonly daemon: boolean;
  readonly pidFile: string | undefined;
  readonly user: string | undefined;
  /** Deliveries that are stuck are found sooner. */
  readonly testHooks: boolean;
}

export type ParsedArguments =
  | { readonly kind: 'run'; readonly arguments: QdrouterdArguments }
  | { readonly kind: 'help' | 'version' }
  /** Not understood. Without a message only the usage is shown. */
  | { readonly kind: 'wrong'; readonly message: string };

export const DEFAULT_CONFIG = '/etc/qpid-dispatch/qdrouterd.conf';

interface Flag {
  readonly long: string;
  readonly short: string;
  /** Name of its value in the usage. Absent: it has none. */
  readonly value?: string;
  readonly doc: string;
}

// prettier-ignore
const FLAGS: readonly Flag[] = [
  { long: 'config', short: 'c', value: 'PATH', doc: `the configuration file (${DEFAULT_CONFIG})` },
  { long: 'include', short: 'I', value: 'PATH', doc: 'taken and ignored: there is no library directory' },
  { long: 'daemon', short: 'd', doc: 'run in the background; returns once the router is up' },
  { long: 'pidfile', short: 'P', value: 'FILE', doc: 'with --daemon: write the process id of the daemon there' },
  { long: 'user', short: 'U', value: 'USER', doc: 'with --daemon: run as that user' },
  { long: 'test-hooks', short: 'T', doc: 'for tests: look for stuck deliveries every 5 s, from an age of 3 s on (30 and 10)' },
  { long: 'version', short: 'v', doc: 'the version, alone on a line' },
  { long: 'help', short: 'h', doc: 'this text' },
];

export const USAGE: string = `Usage: qdrouterd [OPTIONS]

${FLAGS.map(({ long, short, value, doc }) => `  -${short}, ${`--${long}${value === undefined ? '' : `=${value}`}`.padEnd(18)} ${doc}`).join('\n')}

Exit status: 0 after a clean stop, 1 where it could not start.
`;

/**
 * Reads a command line in the manner of getopt: flags in any order, several short ones in one word, values behind `=`, in
 * the same word or the next one, long names cut short where that leaves one meaning, `--` before words that are no flags.
 */
export function parseArguments(argv: readonly string[]): ParsedArguments {
  const given = new Map<string, string>();
  const words: string[] = [];
  const rest = [...argv];
  while (rest.length > 0) {
    const word = rest.shift()!;
    if (word === '--') words.push(...rest.splice(0));
    else if (word === '-' || !word.startsWith('-')) words.push(word);
    else {
      const wrong = word.startsWith('--') ? readLong(word, rest, given) : readShort(word, rest, given);
      if (wrong !== undefined) return { kind: 'wrong', message: wrong };
      if (given.has('help')) return { kind: 'help' };
      if (given.has('version')) return { kind: 'version' };
    }
  }
  if (words.length > 0) return { kind: 'wrong', message: `Unexpected arguments: ${words.join(' ')}` };
  return {
    kind: 'run',
    arguments: {
      config: given.get('config') ?? DEFAULT_CONFIG,
      daemon: given.has('daemon'),
      pidFile: given.get('pidfile'),
      user: given.get('user'),
      testHooks: given.has('test-hooks'),
    },
  };
}

/** `--config FILE`, `--config=FILE`, `--conf=FILE`. Takes the value from `rest` where it is the next word. */
function readLong(word: string, rest: string[], given: Map<string, string>): string | undefined {
  const [, name = '', value] = /^--([^=]*)(?:=(.*))?$/su.exec(word) ?? [];
  const exact = FLAGS.filter(({ long }) => long === name);
  const meant = exact.length > 0 ? exact : FLAGS.filter(({ long }) => name !== '' && long.startsWith(name));
  const [flag] = meant;
  if (flag === undefined) return `there is no option '--${name}'`;
  if (meant.length > 1) return `option '--${name}' could be any of ${meant.map(({ long }) => `--${long}`).join(', ')}`;
  if (flag.value === undefined) {
    if (value !== undefined) return `option '--${flag.long}' takes no value`;
    given.set(flag.long, '');
    return undefined;
  }
  const taken = value ?? rest.shift();
  if (taken === undefined) return `option '--${flag.long}' needs a value: ${flag.value}`;
  given.set(flag.long, taken);
  return undefined;
}

/** `-d`, `-c FILE`, `-cFILE`, `-dc FILE`. */
function readShort(word: string, rest: string[], given: Map<string, string>): string | undefined {
  for (let i = 1; i < word.length; i++) {
    const flag = FLAGS.find(({ short }) => short === word[i]);
    if (flag === undefined) return `there is no option '-${word[i]}'`;
    if (flag.value === undefined) {
      given.set(flag.long, '');
      continue;
    }
    const taken = i + 1 < word.length ? word.slice(i + 1) : rest.shift();
    if (taken === undefined) return `option '-${flag.short}' needs a value: ${flag.value}`;
    given.set(flag.long, taken);
    return undefined;
  }
  return undefined;
}
