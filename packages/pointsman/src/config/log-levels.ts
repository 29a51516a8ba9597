// SPDX-License-Identifier: Apache-2.0
import { nearestName } from '@pointsman/management';

export type LogLevel = 'trace' | 'debug' | 'info' | 'notice' | 'warning' | 'error' | 'critical';

export const LOG_LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'notice', 'warning', 'error', 'critical'];

// A prefix of several words is the first of them: `d` is default, `n` none.
const WORDS = ['default', 'none', ...LOG_LEVELS] as const;

export type ParsedLogLevels =
  /** `undefined`: whatever module DEFAULT has. */
  | { readonly levels: ReadonlySet<LogLevel> | undefined }
  | { readonly word: string; readonly nearest: string | undefined };

/**
 * Reads the `enable` attribute of a log section: `info+`, `debug, error+`, `none`, `default`.
 *
 * Words are separated by commas, blanks, `;` or `:`; upper and lower case are the same, any beginning of a level's name
 * will do, and a trailing `+` adds all levels above. A text without words enables nothing.
 */
export function parseLogLevels(text: string): ParsedLogLevels {
  const levels = new Set<LogLevel>();
  let inherits = false;
  let says = false;
  for (const token of text.split(/[\s,;:]+/u)) {
    if (token === '') continue;
    const plus = token.endsWith('+');
    const word = (plus ? token.slice(0, -1) : token).toLowerCase();
    const match = word === '' ? undefined : WORDS.find((candidate) => candidate.startsWith(word));
    if (match === undefined) return { word: token, nearest: nearestName(word, WORDS) };
    if (match === 'default') {
      inherits = true;
      continue;
    }
    says = true;
    if (match === 'none') continue;
    const at = LOG_LEVELS.indexOf(match);
    for (const level of LOG_LEVELS.slice(at, plus ? undefined : at + 1)) levels.add(level);
  }
  return { levels: inherits && !says ? undefined : levels };
}
