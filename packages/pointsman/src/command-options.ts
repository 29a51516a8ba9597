// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';

/** Options of a command, as `parseArgs` of Node.js has them. */
export type OptionSpecs = NonNullable<ParseArgsConfig['options']>;

/** What was given of them, by their names. */
export type OptionValues<T extends OptionSpecs> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

/** Wrong arguments; the message says which and how to write them. */
export class UsageError extends Error {}

/** Reads the arguments of a command that takes options alone. @throws UsageError */
export function optionsOf<const T extends OptionSpecs>(argv: readonly string[], options: T): OptionValues<T> {
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Seconds of an option, in ms. @throws UsageError */
export function millisecondsOf(
  option: string,
  text: string | undefined,
  seconds: { readonly otherwise: number; readonly max: number },
): number {
  if (text === undefined) return seconds.otherwise * 1_000;
  const given = /^\d{1,3}(?:\.\d{1,3})?$/u.test(text) ? Number(text) : 0;
  if (given <= 0 || given > seconds.max)
    throw new UsageError(`${option} '${text}' is no number of seconds up to ${seconds.max}`);
  return given * 1_000;
}

/**
 * Says what is wrong with the arguments of a command.
 *
 * @param command - as it is called: `pointsman check`
 * @returns the exit status
 */
export function usageError(
  io: { readonly stderr: NodeJS.WritableStream },
  message: string,
  command = 'pointsman',
): number {
  // Node.js goes on to explain what hardly anybody wants to know.
  const [plain] = message.split('. To specify a positional argument', 1);
  io.stderr.write(`${command}: ${plain}\nTry '${command} --help'.\n`);
  return 2;
}
