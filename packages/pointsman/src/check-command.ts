// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { CommandIo } from './command.js';
import { usageError } from './command-options.js';
import { countInWords } from './doctor/words.js';
import { LogError, silentLogger } from './log.js';
import type { Logger } from './log.js';
import { RouterProcess } from './run/router-process.js';
import { configOf, startFailure } from './run/run-router.js';

const HELP = `Usage: pointsman check FILE

Reads a configuration file and reports every mistake in it, with its line and what to write instead. No port is
opened, and nothing is written.

Options:
  -c, --config FILE   the same as FILE
  -h, --help          this text

Examples:
  pointsman check router.conf
  pointsman check router.conf && pointsman reload --pidfile /run/router.pid

Exit status: 0 if a router would start with it, with warnings or without; 1 if not, 2 for wrong arguments.
`;

/** `pointsman check`. @returns the exit status */
export function runCheck(argv: readonly string[], io: CommandIo): number {
  let path: string | undefined;
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, config: { type: 'string', short: 'c' } },
    });
    if (values.help === true) {
      io.stdout.write(HELP);
      return 0;
    }
    const [first, second] = [...(values.config === undefined ? [] : [values.config]), ...positionals];
    if (second !== undefined) throw new Error(`one file at a time: '${first}' or '${second}'`);
    path = first;
  } catch (error) {
    return usageError(io, messageOf(error), 'pointsman check');
  }
  if (path === undefined) return usageError(io, 'it takes a configuration file', 'pointsman check');
  const loaded = configOf(path, 'pointsman', io);
  if (loaded === undefined) return 1;
  const { config } = loaded;
  try {
    for (const { outputFile } of config.logs) checkLogFile(outputFile);
    const log: Logger = {
      ...silentLogger,
      log: (module, level, text) => {
        // What the core thinks of entities has been said above, with its line.
        if (module === 'AGENT') return;
        if (level !== 'info' && level !== 'notice') io.stderr.write(`${path}: ${level}: ${text}\n`);
      },
    };
    void new RouterProcess(config, { log });
  } catch (error) {
    io.stderr.write(`${path}: ${startFailure(error)}\n`);
    return 1;
  }
  const { listeners, connectors, autoLinks, linkRoutes, addresses, exchanges, bindings } = config;
  const counts = [
    countInWords(listeners.length, 'listener'),
    countInWords(connectors.length, 'connector'),
    countInWords(addresses.length, 'address', 'addresses'),
    countInWords(autoLinks.length, 'autolink'),
    countInWords(linkRoutes.length, 'link route'),
    ...(exchanges.length === 0
      ? []
      : [`${countInWords(exchanges.length, 'exchange')} with ${countInWords(bindings.length, 'binding')}`]),
  ];
  io.stdout.write(`${path}: good. ${counts.join(', ')}\n`);
  return 0;
}

/**
 * Whether a router could write there; nothing is made, and nothing written.
 *
 * @throws LogError
 */
function checkLogFile(name: string | undefined): void {
  if (name === undefined || ['stderr', 'stdout', 'syslog'].includes(name)) return;
  try {
    accessSync(existsSync(name) ? name : dirname(resolve(name)), constants.W_OK);
  } catch (error) {
    throw new LogError(`Failed to open log file '${name}'`, `${messageOf(error)}.`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
