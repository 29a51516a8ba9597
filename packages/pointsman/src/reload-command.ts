// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readSmallFile } from '@pointsman/transport';
import type { CommandIo } from './command.js';
import { usageError } from './command-options.js';
import { fileFailure } from './file-failure.js';

/** A number, and a line end. */
const PIDFILE_BYTES_MAX = 100;

const HELP = `Usage: pointsman reload PID
       pointsman reload --pidfile FILE

Lets a running router read its configuration file again, as the signal SIGHUP does. What has changed is applied, and
connections that have not changed stay up; a file with a mistake changes nothing. The log of the router says what came
of it.

Options:
      --pidfile FILE   the process id stands in this file
  -h, --help           this text

Examples:
  pointsman reload 4711
  pointsman check router.conf && pointsman reload --pidfile /run/router.pid

Exit status: 0 if the router was told, 1 if there is none, or it cannot be told; 2 for wrong arguments.
`;

/** `pointsman reload`. @returns the exit status */
export function runReload(argv: readonly string[], io: CommandIo): number {
  const wrong = (message: string): number => usageError(io, message, 'pointsman reload');
  const fail = (message: string): number => {
    io.stderr.write(`pointsman reload: ${message}\n`);
    return 1;
  };
  let text: string | undefined;
  let pidfile: string | undefined;
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, pidfile: { type: 'string' } },
    });
    if (values.help === true) {
      io.stdout.write(HELP);
      return 0;
    }
    ({ pidfile } = values);
    if (positionals.length > (pidfile === undefined ? 1 : 0))
      throw new Error('one router at a time: PID, or --pidfile FILE');
    [text] = positionals;
  } catch (error) {
    return wrong(messageOf(error));
  }
  if (pidfile !== undefined) {
    try {
      text = readSmallFile(pidfile, PIDFILE_BYTES_MAX).toString('utf8').trim();
    } catch (error) {
      return fail(`${pidfile} cannot be read: ${fileFailure(error)}`);
    }
    if (!PROCESS_ID.test(text)) return fail(`${pidfile} holds no process id`);
  }
  if (text === undefined) return wrong('it takes the process id of a router, or --pidfile FILE');
  if (!PROCESS_ID.test(text)) return wrong(`'${text.slice(0, 40)}' is no process id`);
  const pid = Number(text);
  try {
    process.kill(pid, 0);
    // The signal ends a process that does not expect it.
    if (catchesReload(pid) === false) return fail(`process ${pid} is no router: it was left alone`);
    process.kill(pid, 'SIGHUP');
    return 0;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const why = code === 'ESRCH' ? 'there is none' : code === 'EPERM' ? 'it belongs to another user' : messageOf(error);
    return fail(`process ${pid} cannot be told: ${why}`);
  }
}

const PROCESS_ID = /^[1-9]\d{0,9}$/u;

/** Whether a process has a handler for SIGHUP; undefined where the system does not say. @see proc_pid_status(5), SigCgt */
function catchesReload(pid: number): boolean | undefined {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return undefined;
  }
  const caught = /^SigCgt:\s*([0-9a-f]+)$/mu.exec(status)?.[1];
  return caught === undefined ? undefined : (BigInt(`0x${caught}`) & 1n) === 1n;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
