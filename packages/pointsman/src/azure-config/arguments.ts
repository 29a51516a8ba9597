// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util';
import { UsageError } from '../namespace-server/arguments.js';
import { WishError, linkOf } from './configuration-text.js';
import type { EntityLink } from './configuration-text.js';

export interface AzureConfigArguments {
  /** `env:NAME` or `file:PATH`. */
  readonly secret: string;
  readonly entities: readonly EntityLink[];
  readonly linkRoutes: readonly string[];
  readonly all: boolean;
  readonly offline: boolean;
  readonly connector: string;
  readonly transport: string | undefined;
  readonly proxy: string | undefined;
  readonly caFile: string | undefined;
  readonly hostname: string | undefined;
  readonly httpPort: string | undefined;
  readonly timeoutMs: number;
  readonly file: string | undefined;
}

const TIMEOUT_SECONDS = 10;
const TIMEOUT_SECONDS_MAX = 300;

/** @returns what to write, or 'help'. @throws UsageError */
export function parseAzureConfigArguments(argv: readonly string[]): AzureConfigArguments | 'help' {
  try {
    const { values } = parse(argv);
    return values.help === true ? 'help' : argumentsOf(values);
  } catch (error) {
    if (error instanceof WishError || (error instanceof Error && 'code' in error)) throw new UsageError(error.message);
    throw error;
  }
}

const parse = (argv: readonly string[]) =>
  parseArgs({
    args: [...argv],
    options: {
      'connection-string': { type: 'string' },
      entity: { type: 'string', multiple: true },
      'link-route': { type: 'string', multiple: true },
      all: { type: 'boolean' },
      offline: { type: 'boolean' },
      name: { type: 'string' },
      transport: { type: 'string' },
      proxy: { type: 'string' },
      'ca-file': { type: 'string' },
      hostname: { type: 'string' },
      'http-port': { type: 'string' },
      timeout: { type: 'string' },
      file: { type: 'string', short: 'f' },
      help: { type: 'boolean', short: 'h' },
    },
  });

function argumentsOf(values: ReturnType<typeof parse>['values']): AzureConfigArguments {
  const { entity = [], 'link-route': linkRoutes = [], all = false, offline = false, name = 'azure' } = values;
  const secret = values['connection-string'] ?? '';
  // The text itself would stand in the file, and in the history of the shell.
  if (!/^(?:env|file):\S+$/u.test(secret))
    throw new UsageError('--connection-string says where the file finds it: env:NAME or file:PATH');
  if (all && offline) throw new UsageError('--all asks the namespace, and --offline does not let it');
  if (all && entity.length > 0) throw new UsageError('--all names all entities: take --entity out, or --all');
  if (offline && entity.length + linkRoutes.length === 0)
    throw new UsageError('name at least one --entity or --link-route');
  return {
    secret,
    entities: entity.map(linkFrom),
    linkRoutes,
    all,
    offline,
    connector: name,
    transport: values.transport,
    proxy: values.proxy,
    caFile: values['ca-file'],
    hostname: values.hostname,
    httpPort: values['http-port'],
    timeoutMs: timeoutOf(values.timeout),
    file: values.file,
  };
}

/** `[send:|receive:|sessions:]PATH[=ADDRESS]` */
function linkFrom(text: string): EntityLink {
  const [, how, rest = text] = /^(send|receive|sessions):(.*)$/u.exec(text) ?? [];
  const at = rest.indexOf('=');
  const path = at < 0 ? rest : rest.slice(0, at);
  const only = how === 'send' || how === 'receive' ? how : undefined;
  const link = linkOf(path, at < 0 ? undefined : rest.slice(at + 1), only);
  return how === 'sessions' ? { ...link, nextSession: true } : link;
}

function timeoutOf(text: string | undefined): number {
  if (text === undefined) return TIMEOUT_SECONDS * 1_000;
  const seconds = /^\d{1,3}(?:\.\d{1,3})?$/u.test(text) ? Number(text) : 0;
  if (seconds <= 0 || seconds > TIMEOUT_SECONDS_MAX)
    throw new UsageError(`--timeout '${text}' is no number of seconds up to ${TIMEOUT_SECONDS_MAX}`);
  return seconds * 1_000;
}
