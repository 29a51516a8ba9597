// SPDX-License-Identifier: Apache-2.0
import { LOG_LEVELS } from '../config/log-levels.js';
import type { LogLevel } from '../config/log-levels.js';

/** What was given for one module. Undefined: as in DEFAULT. */
export interface ModuleSettings {
  /** The `enable` attribute as text. */
  readonly enable: string | undefined;
  readonly levels: ReadonlySet<LogLevel> | undefined;
  readonly includeTimestamp: boolean | undefined;
  readonly includeSource: boolean | undefined;
  readonly outputFile: string | undefined;
}

/** What DEFAULT is where nothing says otherwise. */
export const FALLBACK = {
  levels: new Set(LOG_LEVELS.slice(LOG_LEVELS.indexOf('info'))) as ReadonlySet<LogLevel>,
  includeTimestamp: true,
  includeSource: false,
  outputFile: 'stderr',
} as const;

/** Writes a set of levels as `enable` has it: `info+`, `none`, `debug, error`. */
export function enableText(levels: ReadonlySet<LogLevel> | undefined): string {
  if (levels === undefined) return 'default';
  if (levels.size === 0) return 'none';
  const lowest = LOG_LEVELS.findIndex((level) => levels.has(level));
  const above = LOG_LEVELS.slice(lowest);
  if (above.every((level) => levels.has(level))) return `${LOG_LEVELS[lowest]}+`;
  return above.filter((level) => levels.has(level)).join(', ');
}
