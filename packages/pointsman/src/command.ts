// SPDX-License-Identifier: Apache-2.0
import { nearestName } from '@pointsman/management';
import { readSmallFile } from '@pointsman/transport';
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { LOG_LEVELS, parseLogLevels } from './config/log-levels.js';
import { LogError, silentLogger } from './log.js';
import type { Logger } from './log.js';
import { RouterProcess } from './run/router-process.js';
import { configOf, runRouter, startFailure } from './run/run-router.js';
import type { LogChoice, RouterIo } from './run/run-router.js';
import { VERSION } from './version.js';

/** What a command needs of the process that it runs in. */
export type CommandIo = RouterIo;

const HELP = `pointsman ${VERSION}: an AMQP 1.0 message router

Usage:
  pointsman -c FILE            run the router of a configuration file
  pointsman check FILE         read a configuration file and report every mistake in it
  pointsman reload PID         let a running router read its configuration file again
  pointsman doctor [OPTIONS]   say why a connector does not connect, step by step
  pointsman azure config       write a configuration for an Azure Service Bus namespace
  pointsman demo [OPTIONS]     the main job, end to end, on this machine alone
  pointsman namespace [OPTIONS]
                               an embedded Service-Bus-compatible namespace
  pointsman stat [REPORT]      what a running router does
  pointsman manage OPERATION   ask or change a running router
  pointsman user VERB NAME     who may log in by name and password
  pointsman COMMAND --help     more about a command

Options:
  -c, --config FILE            qdrouterd.conf, or the same as .yaml or .json
      --log-level LEVELS       what module DEFAULT of the log writes, instead of what the file says: debug+
      --log-format FORMAT      text, or json: one object a line (POINTSMAN_LOG_FORMAT)
      --stop-wait SECONDS      time that receivers have to settle what they hold when the router stops (2)
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
    case 'azure': {
      const { runAzure } = await import('./azure-config/command.js');
      return runAzure(rest, io);
    }
    case 'doctor': {
      const { runDoctor } = await import('./doctor/command.js');
      return runDoctor(rest, io);
    }
    case 'namespace': {
      const { runNamespaceCommand } = await import('./namespace-server/command.js');
      return runNamespaceCommand(rest, io);
    }
    case 'stat':
    case 'manage': {
      const { runManage, runStat } = await import('./tools/command-tools.js');
      const { stdin, env } = process;
      return (first === 'stat' ? runStat : runManage)(rest, { stdout: io.stdout, stderr: io.stderr, stdin, env });
    }
    case 'user': {
      const { runUserCommand } = await import('./auth/user-command.js');
      const { stdin, env } = process;
      return runUserCommand(rest, { stdout: io.stdout, stderr: io.stderr, stdin, env });
    }
    case 'check':
      return check(rest, io);
    case 'reload':
      return reload(rest, io);
    default:
      return run(argv, io);
  }
}

const COMMANDS = ['check', 'reload', 'doctor', 'azure', 'demo', 'namespace', 'stat', 'manage', 'user'];
const STOP_WAIT_SECONDS_MAX = 3_600;

function usageError(io: CommandIo, message: string): number {
  // Node.js goes on to explain what hardly anybody wants to know.
  const [plain] = message.split('. To specify a positional argument', 1);
  io.stderr.write(`pointsman: ${plain}\nTry 'pointsman --help'.\n`);
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
  const more = exchanges.length === 0 ? '' : `, ${exchanges.length} exchanges with ${bindings.length} bindings`;
  io.stdout.write(
    `${path}: good. ${listeners.length} listeners, ${connectors.length} connectors, ${addresses.length} addresses, ${autoLinks.length} autolinks, ${linkRoutes.length} link routes${more}\n`,
  );
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

/** A number, and a line end. */
const PIDFILE_BYTES_MAX = 100;

const RELOAD_HELP = `Usage: pointsman reload PID
       pointsman reload --pidfile FILE

Lets a running router read its configuration file again, as the signal SIGHUP does. What has changed is applied, and
connections that have not changed stay up; a file with a mistake changes nothing. The log of the router says what came of it.
Exit status: 0 if the router was told, 1 if there is none, 2 for wrong arguments.
`;

function reload(argv: readonly string[], io: CommandIo): number {
  let text: string | undefined;
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, pidfile: { type: 'string' } },
    });
    if (values.help === true) {
      io.stdout.write(RELOAD_HELP);
      return 0;
    }
    text =
      values.pidfile === undefined
        ? positionals[0]
        : readSmallFile(values.pidfile, PIDFILE_BYTES_MAX).toString('utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && !String(error.code).startsWith('ERR_')) {
      io.stderr.write(`pointsman: no process id can be read from the file that --pidfile names: ${error.message}\n`);
      return 1;
    }
    return usageError(io, messageOf(error));
  }
  if (text === undefined) return usageError(io, 'reload needs the process id of a router, or --pidfile FILE');
  if (!/^[1-9]\d{0,9}$/u.test(text)) return usageError(io, `'${text.slice(0, 40)}' is no process id`);
  try {
    process.kill(Number(text), 'SIGHUP');
    return 0;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why = code === 'ESRCH' ? 'there is none' : code === 'EPERM' ? 'it belongs to another user' : messageOf(error);
    io.stderr.write(`pointsman: process ${text} cannot be told: ${why}\n`);
    return 1;
  }
}

async function run(argv: readonly string[], io: CommandIo): Promise<number> {
  let path: string | undefined;
  let log: LogChoice;
  let settleMs: number | undefined;
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'v' },
        'log-format': { type: 'string' },
        'log-level': { type: 'string' },
        'stop-wait': { type: 'string' },
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
    const [word] = positionals;
    if (word !== undefined) {
      const nearest = nearestName(word, COMMANDS);
      const hint = nearest === undefined ? '' : `; did you mean '${nearest}'?`;
      return usageError(io, `there is no command '${word}'${hint}`);
    }
    path = values.config;
    log = logChoice(values['log-format'], values['log-level']);
    settleMs = stopWaitMs(values['stop-wait']);
  } catch (error) {
    return usageError(io, messageOf(error));
  }
  if (path === undefined) {
    io.stderr.write(HELP);
    return 2;
  }
  return (await runRouter({ path, program: 'pointsman', io, log, settleMs })).status;
}

/** @throws Error for what is no number from 0 to 3600 */
function stopWaitMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = /^\d{1,4}(?:\.\d{1,3})?$/u.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= STOP_WAIT_SECONDS_MAX))
    throw new Error(`--stop-wait: '${text}' is no number of seconds from 0 to ${STOP_WAIT_SECONDS_MAX}`);
  return seconds * 1_000;
}

/** @throws Error for a word that means nothing */
function logChoice(format: string | undefined, level: string | undefined): LogChoice {
  if (format !== undefined && format !== 'text' && format !== 'json')
    throw new Error(`--log-format: there is no format '${format}': choose text or json`);
  const parsed = level === undefined ? undefined : parseLogLevels(level);
  if (parsed !== undefined && !('levels' in parsed))
    throw new Error(
      `--log-level: '${level}' is no level: ${LOG_LEVELS.join(', ')}, each with a + for all above, or none`,
    );
  return { format, levels: parsed?.levels };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
