// SPDX-License-Identifier: Apache-2.0
import { UsageError, millisecondsOf, optionsOf } from '../command-options.js';
import type { OptionSpecs, OptionValues } from '../command-options.js';
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

const TIMEOUT_SECONDS = { otherwise: 10, max: 300 };

const OPTIONS = {
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
} as const satisfies OptionSpecs;

/** @returns what to write, or 'help'. @throws UsageError */
export function parseAzureConfigArguments(argv: readonly string[]): AzureConfigArguments | 'help' {
  const values = optionsOf(argv, OPTIONS);
  if (values.help === true) return 'help';
  try {
    return argumentsOf(values);
  } catch (error) {
    if (error instanceof WishError) throw new UsageError(error.message);
    throw error;
  }
}

function argumentsOf(values: OptionValues<typeof OPTIONS>): AzureConfigArguments {
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
    timeoutMs: millisecondsOf('--timeout', values.timeout, TIMEOUT_SECONDS),
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
