// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseConnectionString } from '@pointsman/azure';
import { AdministrationError } from '../administration/administration-client.js';
import type { AdministrationClient } from '../administration/administration-client.js';
import type { CommandIo } from '../command.js';
import { processSecretSources } from '../config/secret.js';
import type { DoctorSurroundings } from '../doctor/command.js';
import { administrationOf } from '../doctor/management.js';
import { configByString, inOptions } from '../doctor/named-by-string.js';
import { PatientError, patientOf } from '../doctor/patient.js';
import { countInWords, listed } from '../doctor/words.js';
import { UsageError } from '../command-options.js';
import { fileFailure } from '../file-failure.js';
import { parseAzureConfigArguments } from './arguments.js';
import type { AzureConfigArguments } from './arguments.js';
import { WishError, configurationText, linkOf } from './configuration-text.js';
import type { EntityLink } from './configuration-text.js';
import { TooManyError, discover, lookUp } from './discovery.js';

const HELP = `Writes a configuration file that joins a router to an Azure Service Bus namespace.

Usage:
  pointsman azure config --connection-string env:NAME --entity PATH [--entity PATH ...] [OPTIONS]
  pointsman azure config --connection-string env:NAME --all [OPTIONS]

Options:
      --connection-string FROM   env:NAME or file:PATH, as the file will name it; the secret itself does not go there
      --entity [send:|receive:|sessions:]PATH[=ADDRESS]
                                 a queue, topic or subscription (TOPIC/Subscriptions/NAME), and the address under which
                                 clients of the router use it where that is another; sessions: where it requires message
                                 sessions; may be repeated. A string with EntityPath names its own
      --all                      all queues, topics and subscriptions; needs the right Manage
      --link-route PREFIX        clients attach to the entities below this prefix themselves, with sessions, filters and
                                 locks; may be repeated
      --offline                  the namespace is not asked. Else, where the policy has the right Manage, it says what
                                 entities are: topics, with sessions, forwarding, disabled, not there
      --name NAME                of the connector (azure)
      --transport tcp|websocket|auto, --proxy http://HOST:PORT, --ca-file FILE, --hostname NAME, --http-port PORT
                                 for the connector, and for asking (caCertFile, hostname and webSocketPort)
      --timeout SECONDS          of each question (10)
  -f, --file FILE                write to this file, which must not exist (standard output)
  -h, --help                     this text

Examples:
  pointsman azure config --connection-string env:SERVICEBUS_CONNECTION_STRING --all -f router.conf
  pointsman azure config --connection-string env:SERVICEBUS_CONNECTION_STRING --entity orders -f router.conf
  pointsman azure config --connection-string file:/run/secrets/sb --entity send:events \\
      --entity events/Subscriptions/billing=billing --transport auto --offline

Exit status: 0 written; 1 the file cannot be written, or the namespace does not say what --all needs; 2 wrong arguments.
`;

/** What the arguments ask for cannot be had. */
class RefusedError extends Error {}

/** Runs `pointsman azure`. @returns the exit status */
export async function runAzure(
  [command, ...argv]: readonly string[],
  io: CommandIo,
  surroundings: DoctorSurroundings = {},
): Promise<number> {
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
    const args = parseAzureConfigArguments(argv);
    if (args === 'help') {
      io.stdout.write(HELP);
      return 0;
    }
    ({ file } = args);
    const say = (line: string): void => void io.stderr.write(`${line}\n`);
    const { secret, connector, transport, proxy, hostname, httpPort, caFile, linkRoutes } = args;
    const links = await linksOf(args, surroundings, say);
    text = configurationText({
      secret,
      connector,
      transport,
      proxy,
      hostname,
      webSocketPort: httpPort,
      caCertFile: caFile === undefined ? undefined : resolve(caFile),
      links,
      linkRoutes,
    });
  } catch (error) {
    if (error instanceof UsageError || error instanceof WishError) return fail(error.message, 2);
    if (error instanceof RefusedError) return fail(error.message, 1);
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
    const why = code === 'ENOENT' ? 'its folder is not there' : fileFailure(error);
    return fail(
      code === 'EEXIST' ? `${file} exists already; it stays as it is` : `${file} cannot be written: ${why}`,
      1,
    );
  }
  io.stderr.write(`${file} is written. Next: pointsman doctor -c ${file}\n`);
  return 0;
}

/** The links that are wished for, as the namespace has their entities where it can be asked. */
async function linksOf(
  args: AzureConfigArguments,
  surroundings: DoctorSurroundings,
  say: (line: string) => void,
): Promise<readonly EntityLink[]> {
  const { all, offline, linkRoutes } = args;
  if (offline) return args.entities;
  const asked = namespaceOf(args, surroundings);
  const own = typeof asked === 'string' ? undefined : asked.entityPath;
  const wished = args.entities.length === 0 && own !== undefined ? [linkOf(own, undefined, undefined)] : args.entities;
  if (wished.length === 0 && !all) {
    if (linkRoutes.length > 0) return [];
    throw new UsageError('name at least one --entity or --link-route, or take --all');
  }
  if (typeof asked === 'string') {
    if (all) throw new RefusedError(`--all asks the namespace, and cannot: ${asked}`);
    say(`The namespace was not asked what its entities are: ${asked}`);
    return wished;
  }
  const { client } = asked;
  try {
    if (all && own === undefined) return await allOf(client, say);
    return await lookUp(client, wished);
  } catch (error) {
    if (error instanceof TooManyError)
      throw new RefusedError(`${error.message}: name those that the router is to have, with --entity`);
    if (!(error instanceof AdministrationError)) throw error;
    if (!all || own !== undefined) {
      say(`The namespace was not asked what its entities are: ${error.message}`);
      return wished;
    }
    const cure =
      error.kind === 'unauthorized'
        ? 'Take a policy with the right Manage for this once, or name entities with --entity'
        : 'Name entities with --entity, or see pointsman doctor';
    throw new RefusedError(`${error.message.replace(/\.?$/u, '.')} ${cure}`);
  } finally {
    client.close();
  }
}

async function allOf(client: AdministrationClient, say: (line: string) => void): Promise<readonly EntityLink[]> {
  const { links, leftOut, counts } = await discover(client);
  const { queues, topics, subscriptions } = counts;
  say(
    `The namespace has ${listed([countInWords(queues, 'queue'), countInWords(topics, 'topic'), countInWords(subscriptions, 'subscription')])}.`,
  );
  for (const one of leftOut) say(`Left out: ${one}`);
  const withSessions = links.filter(({ nextSession }) => nextSession).length;
  if (withSessions > 0) say(`${countInWords(withSessions, 'autolink')} with message sessions, one at a time`);
  if (links.length === 0) throw new RefusedError('the namespace has no entity that a router could use');
  return links;
}

interface AskedNamespace {
  readonly client: AdministrationClient;
  /** The one entity that the string is for. */
  readonly entityPath: string | undefined;
}

/** @returns why it cannot be asked, in words. @throws UsageError where an option is wrong */
function namespaceOf(args: AzureConfigArguments, surroundings: DoctorSurroundings): AskedNamespace | string {
  const { secret, timeoutMs } = args;
  const env = surroundings.environment ?? processSecretSources.env;
  const result = configByString({ ...args, connectionString: secret }, env);
  if (!result.ok) {
    const text = result.problems.map(({ message }) => message).join('; ');
    // The string may well be elsewhere than here; what else there is stands in the arguments.
    if (!result.problems.every(({ message }) => message.startsWith('--connection-string'))) throw new UsageError(text);
    return text;
  }
  const { config } = result;
  const connector = config.connectors[0]!;
  try {
    const client = administrationOf(patientOf(config, connector, [], surroundings), timeoutMs);
    const { entityPath } = parseConnectionString(connector.connectionString?.reveal() ?? '');
    return client === undefined ? 'there is nothing to prove who we are' : { client, entityPath };
  } catch (error) {
    if (error instanceof PatientError) return inOptions(error.message);
    throw error;
  }
}
