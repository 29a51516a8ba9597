// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/read-config.js';
import type { ToolIo } from '../tools/tool-io.js';
import { hashPassword } from './password-hash.js';
import { saslSettingsOf } from './sasl-settings.js';
import { UserFileError, parseUsers, readUserFile, replaceUserFile, unfitUserName, withUser } from './user-file.js';

const HELP = `Usage: pointsman user add NAME (-c CONFIG | --file FILE)
       pointsman user remove NAME (-c CONFIG | --file FILE)
       pointsman user list (-c CONFIG | --file FILE)

Keeps the users that may log in by name and password (SASL PLAIN) at the listeners of a router. The file holds hashes,
no passwords; a router that runs sees a change at the next login.

  add      asks for the password, twice; or takes it from the first line of standard input. Changes that of a user who
           is there
  remove   connections of the user that are open stay open
  list     the names, one a line

Options:
  -c, --config CONFIG   configuration file of the router: its saslConfigDir and saslConfigName say where the file is
      --file FILE       the file itself
  -h, --help            this text

Examples:
  pointsman user add ann -c /etc/qpid-dispatch/qdrouterd.conf
  pass show router/ann | pointsman user add ann --file /etc/pointsman/qdrouterd.users

Exit status: 0 if it was done, 1 if not, 2 for wrong arguments.
`;

const PASSWORD_LENGTH_MAX = 1_024;

class WrongArguments extends Error {}
class NotDone extends Error {}

/** `pointsman user`. @returns the exit status */
export async function runUserCommand(argv: readonly string[], io: ToolIo): Promise<number> {
  try {
    await run(argv, io);
    return 0;
  } catch (error) {
    if (error instanceof NotDone || error instanceof UserFileError) {
      io.stderr.write(`pointsman user: ${error.message}\n`);
      return 1;
    }
    if (!(error instanceof WrongArguments) && !(error instanceof TypeError)) throw error;
    io.stderr.write(
      `pointsman user: ${error.message.split('. To specify a positional argument', 1)[0]}\nTry 'pointsman user --help'.\n`,
    );
    return 2;
  }
}

async function run(argv: readonly string[], io: ToolIo): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      config: { type: 'string', short: 'c' },
      file: { type: 'string' },
    },
  });
  if (values.help === true) {
    io.stdout.write(HELP);
    return;
  }
  const [verb, name, ...more] = positionals;
  if (verb !== 'add' && verb !== 'remove' && verb !== 'list')
    throw new WrongArguments(
      verb === undefined ? 'say what to do: add, remove or list' : `there is no '${verb}': add, remove or list`,
    );
  if (verb === 'list' ? name !== undefined : name === undefined || more.length > 0)
    throw new WrongArguments(
      verb === 'list' ? 'list takes no name' : `${verb} takes one name; the password is not an argument`,
    );
  const file = fileOf(values.config, values.file);
  const text = readUserFile(file);
  const users = parseUsers(text ?? '', file);
  if (verb === 'list') {
    if (text === undefined) throw new NotDone(`there is no file of users ${file}`);
    io.stdout.write([...users.keys()].map((user) => `${user}\n`).join(''));
  } else if (verb === 'remove') {
    if (!users.has(name!)) throw new NotDone(`there is no user '${name}' in ${file}`);
    replaceUserFile(file, withUser(text ?? '', name!, undefined));
    io.stdout.write(`${name} removed from ${file}\n`);
  } else {
    const unfit = unfitUserName(name!);
    if (unfit !== undefined) throw new WrongArguments(`'${name}' cannot be a name: ${unfit}`);
    const password = await passwordFor(name!, io);
    replaceUserFile(file, withUser(text ?? '', name!, await hashPassword(password)));
    io.stdout.write(`${name} ${users.has(name!) ? 'changed' : 'added'} in ${file}\n`);
  }
}

function fileOf(config: string | undefined, file: string | undefined): string {
  if ((config === undefined) === (file === undefined))
    throw new WrongArguments('say which file: either -c CONFIG or --file FILE');
  if (config === undefined) return file!;
  const loaded = loadConfig(config);
  if (!loaded.ok) {
    const [first] = loaded.problems;
    throw new NotDone(`${config}: ${first?.message ?? 'it cannot be read'}. See: pointsman check ${config}`);
  }
  const { router } = loaded.config;
  if (router.saslConfigDir !== undefined && !existsSync(router.saslConfigDir))
    throw new NotDone(`there is no folder ${router.saslConfigDir}, the saslConfigDir of ${config}: make it first`);
  return saslSettingsOf(router).users;
}

async function passwordFor(name: string, io: ToolIo): Promise<string> {
  const { stdin } = io;
  const isTerminal = 'isTTY' in stdin && stdin.isTTY === true;
  const lines = isTerminal
    ? [await hidden(`Password for ${name}: `, io), await hidden('Once more: ', io)]
    : [await firstLine(stdin)];
  const [password = '', again = password] = lines;
  if (password !== again) throw new NotDone('the two passwords differ; nothing has changed');
  if (password === '') throw new NotDone('an empty password is none; nothing has changed');
  if (password.length > PASSWORD_LENGTH_MAX || password.includes('\0'))
    throw new NotDone(`a password has at most ${PASSWORD_LENGTH_MAX} characters, and no NUL; nothing has changed`);
  return password;
}

/** Asks on a terminal, and shows nothing of the answer. */
async function hidden(question: string, { stdin, stderr }: ToolIo): Promise<string> {
  stderr.write(question);
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output, terminal: true, historySize: 0 });
  try {
    const answer = await new Promise<string | undefined>((resolve) => {
      lines.once('line', resolve);
      lines.once('close', () => resolve(undefined));
      lines.once('SIGINT', () => resolve(undefined));
    });
    stderr.write('\n');
    if (answer === undefined) throw new NotDone('no password was given; nothing has changed');
    return answer;
  } finally {
    lines.close();
  }
}

async function firstLine(stdin: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  stdin.setEncoding('utf8');
  for await (const chunk of stdin) {
    text += String(chunk);
    if (text.includes('\n') || text.length > 2 * PASSWORD_LENGTH_MAX) break;
  }
  return text.split(/\r?\n/u, 1)[0] ?? '';
}
