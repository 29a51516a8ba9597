// SPDX-License-Identifier: Apache-2.0
import { attributeOf, camelCase, entityTypes } from '@pointsman/management';
import { randomInt } from 'node:crypto';
import { readSmallFile } from '@pointsman/transport';
import { buildConfig } from './build-config.js';
import { readConf } from './conf-grammar.js';
import { checkEntities } from './check-entities.js';
import { ConfigSource } from './config-source.js';
import { entitiesOf } from './entity.js';
import type { RouterConfig, RouterSettings } from './model.js';
import { NOT_SUPPORTED } from './not-supported.js';
import { policyDirSections, policyFiles } from './policy-dir.js';
import type { PolicyFile } from './policy-dir.js';
import type { NotSupported } from './not-supported.js';
import { ProblemList } from './problems.js';
import type { ConfigProblem } from './problems.js';
import type { RawSection } from './raw-config.js';
import { processSecretSources } from './secret.js';
import type { SecretSources } from './secret.js';
import { readTree } from './yaml-form.js';

export type ConfigFormat = 'conf' | 'yaml' | 'json';

export interface ReadOptions {
  /** Name of the file, for messages; its ending gives the format. */
  readonly path: string;
  /** In place of the one that the file's name gives. */
  readonly format?: ConfigFormat | undefined;
  /** Where `env:` and `file:` look. The process's own environment and files unless given. */
  readonly secrets?: SecretSources | undefined;
  /** Makes up the id of a router that has none. */
  readonly generateId?: ((mode: RouterSettings['mode']) => string) | undefined;
  /** The JSON files of a policyDir. Those of the file system unless given. @throws any error where it cannot be read */
  readonly policyFiles?: ((directory: string) => readonly PolicyFile[]) | undefined;
  /** What is refused as not there yet. */
  readonly notSupported?: readonly NotSupported[] | undefined;
}

export type ConfigResult =
  | { readonly ok: true; readonly config: RouterConfig; readonly warnings: readonly ConfigProblem[] }
  /** At least one of the problems is an error. */
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** Far more than a hand-written file has, and little enough to be read at once. */
export const CONFIG_LENGTH_MAX = 4_194_304;

const ID_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_';
const ID_LENGTH = 15;

/** The format that a file's name gives: `.json`, `.yaml` or `.yml`; any other name means the `.conf` grammar. */
export function configFormatOf(path: string): ConfigFormat {
  const [, ending = ''] = /\.(json|ya?ml)$/iu.exec(path) ?? [];
  if (ending === '') return 'conf';
  return ending.toLowerCase() === 'json' ? 'json' : 'yaml';
}

/**
 * Reads and checks a whole configuration. Any text gives a configuration or problems; nothing is thrown.
 *
 * All mistakes of the file are found at once; only a YAML or JSON file whose brackets do not match gives nothing that could
 * be checked further.
 */
export function readConfig(text: string, options: ReadOptions): ConfigResult {
  const problems = new ProblemList(options.path);
  const sections = sectionsOf(text, options, problems);
  const entities = entitiesOf(sections, problems);
  const policy = entities.find(({ section }) => section === 'policy');
  const policyDir = policy?.text('policyDir') ?? '';
  if (policy !== undefined && policyDir !== '') {
    const line = policy.lineOf('policyDir');
    const vhosts = policyDirSections(policyDir, line, problems, options.policyFiles ?? policyFiles);
    entities.push(...entitiesOf(vhosts, new ProblemList(options.path)));
  }
  const notSupported = options.notSupported ?? NOT_SUPPORTED;
  const secrets = options.secrets ?? processSecretSources;
  checkEntities({ entities, problems }, notSupported);
  const config = buildConfig(entities, problems, {
    file: options.path,
    secrets,
    generateId: options.generateId ?? randomId,
    source: new ConfigSource(entities, { file: options.path, secrets, notSupported }),
  });
  if (problems.hasErrors) return { ok: false, problems: problems.sorted() };
  return { ok: true, config, warnings: problems.sorted() };
}

/** Reads and checks a configuration file. A file that cannot be read is a problem like any other. */
export function loadConfig(path: string, options: Omit<ReadOptions, 'path'> = {}): ConfigResult {
  let text: string;
  try {
    text = readSmallFile(path, CONFIG_LENGTH_MAX).toString('utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    if (code === 'EFBIG') return refused(path, 'the configuration file is too large', 'is it the right file?');
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: 'does not exist',
      EACCES: 'may not be read by this user',
      EISDIR: 'is a directory',
    };
    return refused(path, `the configuration file ${reasons[code] ?? `cannot be read (${code})`}`);
  }
  return readConfig(text, { ...options, path });
}

function refused(path: string, message: string, hint?: string): ConfigResult {
  return { ok: false, problems: [{ severity: 'error', file: path, line: undefined, message, hint }] };
}

function sectionsOf(raw: string, options: ReadOptions, problems: ProblemList): RawSection[] {
  if (raw.length > CONFIG_LENGTH_MAX) {
    problems.error(undefined, 'the configuration file is too large', { allowed: `${CONFIG_LENGTH_MAX} characters` });
    return [];
  }
  const text = raw.replace(/^\ufeff/u, '').replaceAll(/\r\n?/gu, '\n');
  if (text.trim() === '') {
    problems.error(undefined, 'the configuration file is empty', { hint: 'is it the right file?' });
    return [];
  }
  const format = options.format ?? configFormatOf(options.path);
  if (format !== 'conf') return readTree(text, format === 'json' ? 'JSON' : 'YAML', problems);
  return readConf(text, problems, { isAttribute });
}

function isAttribute(section: string, word: string): boolean {
  const name = camelCase(section);
  const type = entityTypes.find((candidate) => candidate.section === name);
  return type !== undefined && attributeOf(type, word) !== undefined;
}

function randomId(mode: RouterSettings['mode']): string {
  const characters = Array.from({ length: ID_LENGTH }, () => ID_CHARACTERS[randomInt(ID_CHARACTERS.length)]);
  return `${mode[0]!.toUpperCase()}${mode.slice(1)}_${characters.join('')}`;
}
