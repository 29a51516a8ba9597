// SPDX-License-Identifier: Apache-2.0
import { Secret } from '@pointsman/azure';
import { UsageError, optionsOf } from '../command-options.js';
import type { OptionSpecs } from '../command-options.js';

export interface DemoArguments {
  /** Orders after which it ends; undefined: at Ctrl-C. */
  readonly messages: number | undefined;
  /** Of a real namespace; undefined: an embedded one is started. */
  readonly connectionString: Secret | undefined;
  /** Queue at the real namespace. */
  readonly queue: string;
  /** Configuration file; undefined: the one of the repository. */
  readonly config: string | undefined;
  /** Orders a second at most; undefined: as fast as they go. */
  readonly rate: number | undefined;
  readonly color: boolean;
}

/** Messages of a real namespace cost money and time of others. */
const REAL_RATE = 100;
const MESSAGES_MAX = 1_000_000_000;
const RATE_MAX = 1_000_000;

const OPTIONS = {
  messages: { type: 'string', short: 'n' },
  'connection-string': { type: 'string' },
  queue: { type: 'string' },
  config: { type: 'string', short: 'c' },
  rate: { type: 'string' },
  'no-color': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionSpecs;

/** @returns what to do, or 'help'. @throws UsageError */
export function parseDemoArguments(
  argv: readonly string[],
  env: (name: string) => string | undefined,
): DemoArguments | 'help' {
  const values = optionsOf(argv, OPTIONS);
  if (values.help === true) return 'help';
  const given = values['connection-string'];
  if (given !== undefined && values.config !== undefined) {
    throw new UsageError(
      '--config goes with the embedded namespace, --connection-string with a real one: give one of the two',
    );
  }
  if (given === undefined && values.queue !== undefined)
    throw new UsageError('--queue names a queue of a real namespace: give --connection-string as well');
  const connectionString = given === undefined ? undefined : secretOf(given, env);
  return {
    messages: wholeNumber('--messages', values.messages, MESSAGES_MAX),
    connectionString,
    queue: values.queue ?? 'orders',
    config: values.config,
    rate: wholeNumber('--rate', values.rate, RATE_MAX) ?? (connectionString === undefined ? undefined : REAL_RATE),
    color: values['no-color'] !== true,
  };
}

function wholeNumber(option: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^[\d_]{1,12}$/u.test(text) ? Number(text.replaceAll('_', '')) : 0;
  if (value < 1 || value > max) throw new UsageError(`${option} '${text}' is no number from 1 to ${max}`);
  return value;
}

/** The connection string itself, or the environment variable that it stands in. */
function secretOf(text: string, env: (name: string) => string | undefined): Secret {
  if (!text.startsWith('env:')) return new Secret(text);
  const name = text.slice(4).trim();
  const value = env(name);
  if (value === undefined || value === '')
    throw new UsageError(`--connection-string names the environment variable '${name}', which is not set`);
  return new Secret(value);
}
