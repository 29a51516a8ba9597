// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { CommandIo } from '../command.js';
import { WishError, configurationText, linkOf } from './configuration-text.js';
import type { EntityLink } from './configuration-text.js';

const HELP = `Writes a configuration file that joins a router to an Azure Service Bus namespace.

Usage:
  pointsman azure config --connection-string env:NAME --entity PATH [--entity PATH ...] [OPTIONS]

Options:
      --connection-string FROM   env:NAME or file:PATH, as the file will name it; the secret itself is not read
      --entity [send:|receive:]PATH[=ADDRESS]
                                 a queue, topic (send:) or subscription (TOPIC/Subscriptions/NAME), and the address under
                                 which clients of the router use it where that is another; may be repeated
      --link-route PREFIX        clients attach to the entities below this prefix themselves, with sessions, filters and
                                 locks; may be repeated
      --name NAME                of the connector (azure)
      --transport tcp|websocket|auto
      --proxy http://HOST:PORT
  -f, --file FILE                write to this file, which must not exist (standard output)
  -h, --help                     this text

Examples:
  pointsman azure config --connection-string env:SERVICEBUS_CONNECTION_STRING --entity orders -f router.conf
  pointsman azure config --connection-string file:/run/secrets/sb --entity send:events \\
      --entity events/Subscriptions/billing=billing --transport auto

Exit status: 0 written, 1 the file cannot be written, 2 wrong arguments.
`;

const parse = (argv: readonly string[]) =>
  parseArgs({
    args: [...argv],
    options: {
      'connection-string': { type: 'string' },
      entity: { type: 'string', multiple: true },
      'link-route': { type: 'string', multiple: true },
      name: { type: 'string' },
      transport: { type: 'string' },
      proxy: { type: 'string' },
      file: { type: 'string', short: 'f' },
      help: { type: 'boolean', short: 'h' },
    },
  });

/** Runs `pointsman azure`. @returns the exit status */
export function runAzure([command, ...argv]: readonly string[], io: CommandIo): number {
  if (command === undefined || command === '--help' || command === '-h') {
    io.stdout.write(HELP);
    return command === undefined ? 2 : 0;
  }
  const fail = (message: string, status: number): number => {
    io.stderr.write(
      `pointsman azure config: ${message}\n${status === 2 ? "Try 'pointsman azure config --help'.\n" : ''}`,
    );
    return status;
  };
  if (command !== 'config') return fail(`there is no command 'azure ${command}'; there is 'azure config'`, 2);
  let file: string | undefined;
  let text: string;
  try {
    const { values } = parse(argv);
    if (values.help === true) {
      io.stdout.write(HELP);
      return 0;
    }
    const { entity = [], 'link-route': linkRoutes = [], transport, proxy, name = 'azure' } = values;
    const secret = values['connection-string'] ?? '';
    // The text itself would stand in the file, and in the history of the shell.
    if (!/^(?:env|file):\S+$/u.test(secret))
      return fail('--connection-string says where the file finds it: env:NAME or file:PATH', 2);
    if (entity.length + linkRoutes.length === 0) return fail('name at least one --entity or --link-route', 2);
    file = values.file;
    text = configurationText({ secret, connector: name, transport, proxy, links: entity.map(linkFrom), linkRoutes });
  } catch (error) {
    if (error instanceof WishError || (error instanceof Error && 'code' in error)) return fail(error.message, 2);
    throw error;
  }
  if (file === undefined) {
    io.stdout.write(text);
    return 0;
  }
  try {
    writeFileSync(file, text, { flag: 'wx', mode: 0o640 });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    return fail(code === 'EEXIST' ? `${file} exists already; it stays as it is` : (error as Error).message, 1);
  }
  io.stderr.write(`${file} is written. Next: pointsman doctor -c ${file}\n`);
  return 0;
}

function linkFrom(text: string): EntityLink {
  const [, only, rest = text] = /^(send|receive):(.*)$/u.exec(text) ?? [];
  const at = rest.indexOf('=');
  const path = at < 0 ? rest : rest.slice(0, at);
  return linkOf(path, at < 0 ? undefined : rest.slice(at + 1), only as 'send' | 'receive' | undefined);
}
