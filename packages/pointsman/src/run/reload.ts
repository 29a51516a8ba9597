// SPDX-License-Identifier: Apache-2.0
import { entityTypes } from '@pointsman/management';
import type { LogConfig, RouterConfig } from '../config/model.js';
import type { ConfigProblem } from '../config/problems.js';
import type { LogChanges, Logger } from '../log.js';
import { enableText } from '../log/settings.js';

/** What came of reading the configuration again. */
export type ReloadResult =
  | {
      readonly ok: true;
      /** What was done, one line each. */
      readonly changes: readonly string[];
      /** What has changed in the file and counts from the next start on. */
      readonly restart: readonly string[];
      readonly warnings: readonly ConfigProblem[];
    }
  /** Nothing has changed. */
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** A reason for changing nothing. @param error - with a hint, where it has one */
export function reloadProblem(file: string, error: unknown): ReloadResult {
  const hint = hintOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return { ok: false, problems: [{ severity: 'error', file, line: undefined, message, hint }] };
}

/** What to do about an error, where it says so. */
export function hintOf(error: unknown): string | undefined {
  const hint: unknown = error instanceof Error && 'hint' in error ? error.hint : undefined;
  return typeof hint === 'string' && hint !== '' ? hint : undefined;
}

/** Attributes of the sections that only a start reads, where they differ: `router: mode, id`. */
export function startOnlyChanges(before: RouterConfig, after: RouterConfig): string[] {
  return ['router', 'policy'].flatMap((section) => {
    const type = entityTypes.find((candidate) => candidate.section === section)!;
    const [old, now] = [before.source.only(type), after.source.only(type)];
    const changed = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter(
      (name) => JSON.stringify(old[name]) !== JSON.stringify(now[name]),
    );
    return changed.length === 0 ? [] : [`${section}: ${changed.join(', ')}`];
  });
}

/**
 * Gives the log the settings of a new configuration.
 *
 * @returns modules that have changed
 * @throws LogError where a file cannot be opened; then nothing has changed
 */
export function applyLogs(log: Logger, before: readonly LogConfig[], after: readonly LogConfig[]): string[] {
  const changed = [...new Set([...before, ...after].map(({ module }) => module))].filter(
    (module) => JSON.stringify(changesOf(before, module)) !== JSON.stringify(changesOf(after, module)),
  );
  const undo: [string, LogChanges][] = [];
  try {
    for (const module of changed) {
      const settings = log.settings(module);
      log.update(module, changesOf(after, module));
      undo.push([module, settings]);
    }
  } catch (error) {
    for (const [module, settings] of undo) log.update(module, settings);
    throw error;
  }
  return changed;
}

/** Everything about a module, since an update leaves what it does not name. */
function changesOf(logs: readonly LogConfig[], module: string): Required<LogChanges> {
  const own = logs.find((entry) => entry.module === module);
  const common = logs.find((entry) => entry.module === 'DEFAULT');
  return {
    enable: own?.levels === undefined ? (module === 'DEFAULT' ? 'info+' : 'default') : enableText(own.levels),
    includeTimestamp: own?.includeTimestamp ?? common?.includeTimestamp ?? true,
    includeSource: own?.includeSource ?? common?.includeSource ?? false,
    outputFile: own?.outputFile ?? common?.outputFile ?? 'stderr',
  };
}
