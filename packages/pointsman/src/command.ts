// SPDX-License-Identifier: Apache-2.0
import { nearestName } from '@pointsman/management';
import { parseArgs } from 'node:util';
import { runCheck } from './check-command.js';
import { usageError } from './command-options.js';
import { LOG_LEVELS, parseLogLevels } from './config/log-levels.js';
import { runRouter } from './run/run-router.js';
import type { LogChoice, RouterIo } from './run/run-router.js';
import { runReload } from './reload-command.js';
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

Exit status: 0 on a clean stop, 1 for a configuration or start-up failure, 2 for wrong arguments. Commands say theirs.
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
      return runCheck(rest, io);
    case 'reload':
      return runReload(rest, io);
    // What people try first.
    case 'help':
      return runCommand([...rest.slice(0, 1), '--help'], io);
    case 'version':
      return run(['--version', ...rest], io);
    default:
      return run(argv, io);
  }
}

const COMMANDS = ['check', 'reload', 'doctor', 'azure', 'demo', 'namespace', 'stat', 'manage', 'user'];
const STOP_WAIT_SECONDS_MAX = 3_600;

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
