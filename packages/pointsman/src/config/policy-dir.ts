// SPDX-License-Identifier: Apache-2.0
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readSmallFile } from '@pointsman/transport';
import { entitiesOf } from './entity.js';
import { ProblemList, safeText } from './problems.js';
import type { RawSection } from './raw-config.js';
import { readTree } from './yaml-form.js';

/** A file of a policyDir, or why it cannot be read. */
export type PolicyFile =
  | { readonly path: string; readonly text: string }
  | { readonly path: string; readonly reason: string };

/** Most files that are read of a policyDir, and most bytes of one. */
const FILES_MAX = 1_000;
const FILE_LENGTH_MAX = 4_194_304;

/**
 * The files of a directory whose names end in `.json`, in the order of their names; directories within it are left alone.
 *
 * @throws Error where the directory cannot be read
 */
export function policyFiles(directory: string): readonly PolicyFile[] {
  const names = readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .toSorted();
  if (names.length > FILES_MAX) throw new Error(`it has more than ${FILES_MAX} files`);
  return names.map((name) => {
    const path = join(directory, name);
    try {
      if (!statSync(path).isFile()) return { path, reason: 'it is no file' };
      return { path, text: readSmallFile(path, FILE_LENGTH_MAX).toString('utf8') };
    } catch (error) {
      return { path, reason: codeOf(error) };
    }
  });
}

/**
 * The vhosts of a policyDir. All else in its files is checked, too, and left out.
 *
 * @param line - at which the configuration names the directory: what comes from there counts as written there
 */
export function policyDirSections(
  directory: string,
  line: number,
  problems: ProblemList,
  readFiles: (directory: string) => readonly PolicyFile[],
): RawSection[] {
  let files: readonly PolicyFile[];
  try {
    files = readFiles(directory);
  } catch (error) {
    problems.error(line, `the policyDir cannot be read: ${codeOf(error)}`, {
      found: safeText(directory),
      hint: 'it has to be a directory of JSON files that this user may read',
    });
    return [];
  }
  return files.flatMap((file) => {
    if ('reason' in file) {
      problems.error(line, `${safeText(file.path)} of the policyDir cannot be read: ${file.reason}`);
      return [];
    }
    const own = new ProblemList(file.path);
    const sections = readTree(file.text.replace(/^\ufeff/u, ''), 'JSON', own);
    const entities = entitiesOf(sections, own);
    for (const problem of own.sorted()) problems.adopt(problem);
    // What is wrong with its attributes has been said.
    if (own.hasErrors) return [];
    return entities
      .filter(({ section }) => section === 'vhost')
      .map((entity) => {
        const raw = entity.raw();
        return { ...raw, line, attributes: raw.attributes.map((attribute) => ({ ...attribute, line })) };
      });
  });
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error) return String(error.code);
  return error instanceof Error ? error.message : String(error);
}
