// SPDX-License-Identifier: Apache-2.0
import { UsageError, millisecondsOf, optionsOf } from '../command-options.js';
import type { OptionSpecs } from '../command-options.js';
import type { EntityNeed } from './patient.js';

export interface DoctorArguments {
  /** Configuration file; undefined where a connection string is given. */
  readonly config: string | undefined;
  /** Name of the connector; undefined: all of the file. */
  readonly connector: string | undefined;
  /** As given: `env:NAME`, `file:PATH`, or the text itself. */
  readonly connectionString: string | undefined;
  readonly transport: string | undefined;
  readonly proxy: string | undefined;
  readonly caFile: string | undefined;
  readonly hostname: string | undefined;
  readonly httpPort: string | undefined;
  readonly entities: readonly EntityNeed[];
  readonly roundTrip: string | undefined;
  readonly timeoutMs: number;
  readonly json: boolean;
  readonly color: boolean;
}

const TIMEOUT_SECONDS = { otherwise: 15, max: 300 };

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  connector: { type: 'string' },
  'connection-string': { type: 'string' },
  transport: { type: 'string' },
  proxy: { type: 'string' },
  'ca-file': { type: 'string' },
  hostname: { type: 'string' },
  'http-port': { type: 'string' },
  entity: { type: 'string', multiple: true },
  'round-trip': { type: 'string' },
  timeout: { type: 'string' },
  output: { type: 'string', short: 'o' },
  'no-color': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionSpecs;

/** @returns what to do, or 'help'. @throws UsageError */
export function parseDoctorArguments(argv: readonly string[]): DoctorArguments | 'help' {
  const values = optionsOf(argv, OPTIONS);
  if (values.help === true) return 'help';
  const { config, connector, transport, proxy, hostname } = values;
  const connectionString = values['connection-string'];
  const caFile = values['ca-file'];
  const httpPort = values['http-port'];
  if ((config === undefined) === (connectionString === undefined))
    throw new UsageError('give either --config FILE or --connection-string env:NAME');
  for (const [option, value] of Object.entries({ connector })) {
    if (value !== undefined && config === undefined) throw new UsageError(`--${option} goes with --config`);
  }
  for (const [option, value] of Object.entries({
    transport,
    proxy,
    'ca-file': caFile,
    hostname,
    'http-port': httpPort,
  })) {
    if (value !== undefined && config !== undefined)
      throw new UsageError(`--${option} goes with --connection-string; a connector in a file says it itself`);
  }
  const output = values.output ?? 'text';
  if (output !== 'text' && output !== 'json') throw new UsageError(`--output '${output}' is neither text nor json`);
  return {
    config,
    connector,
    connectionString,
    transport,
    proxy,
    caFile,
    hostname,
    httpPort,
    entities: (values.entity ?? []).map(entityOf),
    roundTrip: values['round-trip'],
    timeoutMs: millisecondsOf('--timeout', values.timeout, TIMEOUT_SECONDS),
    json: output === 'json',
    color: values['no-color'] !== true,
  };
}

/** `send:PATH`, `receive:PATH`, or a path alone, for both. */
function entityOf(text: string): EntityNeed {
  const [, way, path = text] = /^(send|receive):(.+)$/u.exec(text) ?? [];
  if (path.trim() === '') throw new UsageError('--entity names no entity');
  const direction = way === undefined ? undefined : way === 'send' ? 'out' : 'in';
  return { direction, path, address: path };
}
