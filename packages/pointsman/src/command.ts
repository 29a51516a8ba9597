// SPDX-License-Identifier: Apache-2.0
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { loadConfig } from './config/read-config.js';
import { formatProblems } from './config/problems.js';
import type { RouterConfig } from './config/model.js';
import { LogError, createLogger } from './log.js';
import type { Logger } from './log.js';
import { RouterProcess } from './run/router-process.js';
import { VERSION } from './version.js';

/** What a command needs of the process that it runs in. */
export interface CommandIo {
  readonly stdout: Writable & { isTTY?: boolean };
  readonly stderr: Writable & { isTTY?: boolean };
  on(event: 'SIGINT' | 'SIGTERM' | 'SIGQUIT', listener: () => void): unknown;
  off(event: 'SIGINT' | 'SIGTERM' | 'SIGQUIT', listener: () => void): unknown;
}

const HELP = `pointsman ${VERSION}: an AMQP 1.0 message router

Usage:
  pointsman -c FILE            run the router of a configuration file
  pointsman check FILE         read a configuration file and report every mistake in it
  pointsman demo [OPTIONS]     the main job, end to end, on this machine alone
  pointsman namespace [OPTIONS]
                               an embedded Service-Bus-compatible namespace
  pointsman COMMAND --help     more about a command

Options:
  -c, --config FILE            qdrouterd.conf, or the same as .yaml or .json
  -h, --help                   this text
  -v, --version                the version

Examples:
  pointsman demo --messages 10000
  pointsman check /etc/qpid-dispatch/qdrouterd.conf
  SERVICEBUS_CONNECTION_STRING='Endpoint=sb://...' pointsman -c router.conf

Exit status: 0 on a clean stop, 1 for a configuration or start-up failure, 2 for wrong arguments.
`;

/** Runs the command line. @returns the exit status */
export async function runCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const [first, ...rest] = argv;
  switch (first) {
    case 'demo': {
      const { runDemo } = await import('./demo/demo.js');
      return runDemo(rest, io);
    }
    case 'namespace': {
      const { runNamespaceCommand } = await import('./namespace-server/command.js');
      return runNamespaceCommand(rest, io);
    }
    case 'check':
      return check(rest, io);
    default:
      return run(argv, io);
  }
}

function usageError(io: CommandIo, message: string): number {
  io.stderr.write(`pointsman: ${message}\nTry 'pointsman --help'.\n`);
  return 2;
}

function check(argv: readonly string[], io: CommandIo): number {
  let path: string | undefined;
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, config: { type: 'string', short: 'c' } },
    });
    if (values.help === true) {
      io.stdout.write(
        'Usage: pointsman check FILE\n\nReads a configuration file and reports every mistake in it, without opening a port.\nExit status: 0 if the router would start with it, 1 if not.\n',
      );
      return 0;
    }
    path = values.config ?? positionals[0];
  } catch (error) {
    return usageError(io, messageOf(error));
  }
  if (path === undefined) return usageError(io, 'check needs a configuration file');
  const config = configOf(path, io);
  if (config === undefined) return 1;
  try {
    void new RouterProcess(config, { log: createLogger({ logs: config.logs, stderr: io.stderr, stdout: io.stdout }) });
  } catch (error) {
    io.stderr.write(`${path}: ${startFailure(error)}\n`);
    return 1;
  }
  const { listeners, connectors, autoLinks, linkRoutes, addresses } = config;
  io.stdout.write(
    `${path}: good. ${listeners.length} listeners, ${connectors.length} connectors, ${addresses.length} addresses, ${autoLinks.length} autolinks, ${linkRoutes.length} link routes\n`,
  );
  return 0;
}

/** Reads a configuration; what is wrong with it goes to stderr. */
function configOf(path: string, io: CommandIo): RouterConfig | undefined {
  const color = io.stderr.isTTY === true;
  const result = loadConfig(path);
  if (!result.ok) {
    io.stderr.write(formatProblems(result.problems, { color }));
    return undefined;
  }
  if (result.warnings.length > 0) io.stderr.write(formatProblems(result.warnings, { color }));
  return result.config;
}

async function run(argv: readonly string[], io: CommandIo): Promise<number> {
  let path: string | undefined;
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
      },
    });
    if (values.help === true) {
      io.stdout.write(HELP);
      return 0;
    }
    if (values.version === true) {
      io.stdout.write(`${VERSION}\n`);
      return 0;
    }
    if (positionals.length > 0) return usageError(io, `there is no command '${positionals[0]}'`);
    path = values.config;
  } catch (error) {
    return usageError(io, messageOf(error));
  }
  if (path === undefined) {
    io.stderr.write(HELP);
    return 2;
  }
  const config = configOf(path, io);
  if (config === undefined) return 1;
  let log: Logger;
  try {
    log = createLogger({
      logs: config.logs,
      stderr: io.stderr,
      stdout: io.stdout,
      utc: config.router.timestampsInUTC,
      timestampFormat: config.router.timestampFormat,
    });
  } catch (error) {
    io.stderr.write(`${path}: ${startFailure(error)}\n`);
    return 1;
  }
  let router: RouterProcess;
  try {
    router = new RouterProcess(config, { log });
    await router.start();
  } catch (error) {
    log.log('MAIN', 'critical', `Router start-up failed: ${startFailure(error)}`);
    await log.close();
    return 1;
  }
  await stopSignal(io);
  await router.stop();
  await log.close();
  return 0;
}

/** Resolves at the first signal that asks the process to stop; a second one ends it at once. */
function stopSignal(io: CommandIo): Promise<void> {
  return new Promise((resolve) => {
    const signals = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const;
    const stop = (): void => {
      for (const signal of signals) io.off(signal, stop);
      resolve();
    };
    for (const signal of signals) io.on(signal, stop);
  });
}

function startFailure(error: unknown): string {
  if (error instanceof LogError) return `${error.message}: ${error.hint}`;
  const hint = error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? ` ${error.hint}` : '';
  return `${messageOf(error)}${hint}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
