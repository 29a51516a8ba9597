// SPDX-License-Identifier: Apache-2.0
import { LOG_LEVELS } from '../config/log-levels.js';
import type { LogLevel } from '../config/log-levels.js';

/** Lines that are kept in memory, those of all modules together. */
export const HISTORY_MAX = 1000;

/** A line as GET-LOG shows it. Time is in whole seconds since 1970. */
export type LogRow = readonly [
  module: string,
  level: LogLevel,
  text: string,
  file: string | null,
  line: number | null,
  time: number,
];

/** Lines of a module by level. */
export type LogCounts = Readonly<Record<LogLevel, number>>;

/** What was logged last, and how much of it. */
export class LogHistory {
  readonly #rows: LogRow[] = [];
  readonly #counts = new Map<string, Record<LogLevel, number>>();
  /** Of the oldest row, once there are as many as fit. */
  #oldest = 0;

  add(row: LogRow): void {
    const [module, level] = row;
    let counts = this.#counts.get(module);
    if (counts === undefined) this.#counts.set(module, (counts = noLines()));
    counts[level]++;
    if (this.#rows.length < HISTORY_MAX) {
      this.#rows.push(row);
      return;
    }
    this.#rows[this.#oldest] = row;
    this.#oldest = (this.#oldest + 1) % HISTORY_MAX;
  }

  /** @param limit - 0 or less: all. Oldest first. */
  recent(limit: number): readonly LogRow[] {
    const rows = [...this.#rows.slice(this.#oldest), ...this.#rows.slice(0, this.#oldest)];
    return limit > 0 && limit < rows.length ? rows.slice(rows.length - Math.floor(limit)) : rows;
  }

  counts(module: string): LogCounts {
    return { ...(this.#counts.get(module) ?? noLines()) };
  }
}

function noLines(): Record<LogLevel, number> {
  return Object.fromEntries(LOG_LEVELS.map((level) => [level, 0])) as Record<LogLevel, number>;
}
