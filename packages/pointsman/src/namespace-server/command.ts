// SPDX-License-Identifier: Apache-2.0
import { relative } from 'node:path';
import type { CommandIo } from '../command.js';
import { UsageError } from '../command-options.js';
import { CERTIFICATE_FOLDER, parseNamespaceArguments } from './arguments.js';
import type { NamespaceArguments } from './arguments.js';
import { startNamespaceServer } from './namespace-server.js';
import type { NamespaceServer, NamespaceServerOptions } from './namespace-server.js';
import { onStopSignal, shown, stylesFor } from './terminal.js';
import type { Styles } from './terminal.js';

const HELP = `Usage: pointsman namespace [OPTIONS]

An embedded namespace that behaves as Azure Service Bus does: queues, topics and subscriptions in memory, with locks,
dead-letter queues, access policies, and the refusals and clocks of the cloud. For development and tests; it ends, with
all that is in it unless it has a --file, at Ctrl-C.

Options:
      --queue NAME             a queue; may be given several times
      --topic TOPIC[/SUB]      a topic, with a subscription; may be given several times
      --event-hub NAME[:N]     an event hub with N partitions (default 4); may be given several times
                               default: the queue orders and the topic order-events with the subscription all
  -c, --config FILE            the entities of a Config.json of the official emulator
  -f, --file FILE              keep messages, sessions and what the management API makes in this file, for the next
                               start
      --sync                   with --file: on the disk before anything is answered
      --policy NAME:RIGHTS     a shared access policy besides RootManageSharedAccessKey, with a key made up;
                               rights are Send, Listen, Manage, joined by +
      --operations-per-second N
                               throttle clients beyond that, as the Standard tier does at 1000 (default: no limit)
      --memory-max MIB         memory that messages may take, estimated; what is sent beyond it is refused as busy
                               (default: half of the limit of the heap)
      --accept-entra-tokens    take tokens of Entra ID that are for Service Bus, whoever signed them
      --port N                 TLS from the first byte (default 5671; with --emulator plain, 5672); 0 for any free one
      --in-band-port N         TLS by the AMQP header, as Service Bus has it on 5672 (default: not opened)
      --http-port N            HTTP for AMQP over WebSocket, the management API (ServiceBusAdministrationClient) and
                               /health; with TLS, without for --emulator (default: not opened)
      --emulator               plain, for connection strings with UseDevelopmentEmulator=true
      --host ADDRESS           address to listen on (default 127.0.0.1)
      --hostname NAME          name of the namespace, in its certificate and its texts (default localhost)
      --certificates FOLDER    where the development certificate lies, made if need be (default ${CERTIFICATE_FOLDER})
  -v, --verbose                say more of what happens
  -h, --help                   this text

Examples:
  pointsman namespace
  pointsman namespace --queue orders --topic news/all --topic news/sports
  pointsman namespace --policy shop:Send --policy warehouse:Listen --queue orders
  pointsman namespace --emulator --config Config.json --http-port 5300

Exit status: 0 when stopped; 1 where a port, the certificate or the file cannot be had; 2 for wrong arguments.
`;

/** `pointsman namespace`. Resolves with the exit status, once a signal has stopped it. */
export async function runNamespaceCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  let parsed: NamespaceArguments | 'help';
  try {
    parsed = parseNamespaceArguments(argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`pointsman namespace: ${shown(error.message)}\nTry 'pointsman namespace --help'.\n`);
    return 2;
  }
  if (parsed === 'help') {
    io.stdout.write(HELP);
    return 0;
  }
  const { server: options, verbose, notes } = parsed;
  const stopped = new Promise<void>((resolve) => {
    const forget = onStopSignal(io, () => {
      forget();
      resolve();
    });
  });
  const styles = stylesFor(io.stderr);
  for (const note of notes) io.stderr.write(`${styles.warn(`pointsman namespace: ${shown(note)}`)}\n`);
  let server: NamespaceServer;
  try {
    server = await startNamespaceServer({
      ...options,
      log: (level, text) => {
        if (level === 'debug' && !verbose) return;
        const line = `${new Date().toTimeString().slice(0, 8)} ${shown(text)}`;
        io.stderr.write(`${level === 'warning' ? styles.warn(line) : styles.faint(line)}\n`);
      },
    });
  } catch (error) {
    io.stderr.write(`pointsman namespace: ${failureOf(error)}\n`);
    // What it is made of is what the arguments say.
    return error instanceof TypeError ? 2 : 1;
  }
  io.stdout.write(introduction(server, options, stylesFor(io.stdout)));
  await stopped;
  await server.close(500);
  return 0;
}

function failureOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A port's hint speaks of listeners in a configuration; here it is an option.
  if ('kind' in error && error.kind === 'address-in-use')
    return `${error.message} Stop it, or choose another port with --port.`;
  if ('kind' in error && error.kind === 'address-not-available')
    return `${error.message} Give --host an address of this machine, or 0.0.0.0 for all.`;
  return 'hint' in error && typeof error.hint === 'string' ? `${error.message} ${error.hint}` : error.message;
}

function introduction(server: NamespaceServer, options: NamespaceServerOptions, styles: Styles): string {
  const { strong, faint, accent } = styles;
  const { ports, hostname, mode, host, certificate } = server;
  const row = (label: string, text: string): string => `  ${label.padEnd(18)}${text}`;
  const at = (port: number | undefined): string =>
    `${hostname}:${port}${hostname === host || hostname === 'localhost' ? '' : ` (at ${host})`}`;
  const lines = [
    strong(
      `A namespace like one of Azure Service Bus, ${options.file === undefined ? 'in memory' : 'kept in a file'}.`,
    ),
    '',
    ...(options.queues ?? []).map((queue) => row('queue', accent(nameOf(queue)))),
    ...(options.topics ?? []).flatMap(({ name, subscriptions = [] }) => [
      row('topic', accent(name)),
      ...subscriptions.map((subscription) => row('subscription', accent(`${name}/Subscriptions/${subscription.name}`))),
    ]),
    ...(options.eventHubs ?? []).map(({ name, partitions }) =>
      row('event hub', accent(`${name}${partitions === undefined ? '' : `, ${partitions} partitions`}`)),
    ),
    '',
    ...(ports.amqps === undefined ? [] : [row('AMQP over TLS', at(ports.amqps))]),
    ...(ports.amqp === undefined ? [] : [row(mode === 'cloud' ? 'AMQP, TLS in-band' : 'AMQP, plain', at(ports.amqp))]),
    ...(ports.wss === undefined ? [] : [row('WebSocket', `wss://${hostname}:${ports.wss}/$servicebus/websocket`)]),
    ...(ports.ws === undefined ? [] : [row('WebSocket', `ws://${hostname}:${ports.ws}/$servicebus/websocket`)]),
    ...(ports.wss === undefined && ports.ws === undefined
      ? []
      : [
          row(
            'management',
            `http${ports.wss === undefined ? '' : 's'}://${hostname}:${ports.wss ?? ports.ws}/  ${faint('(and /health)')}`,
          ),
        ]),
    ...(certificate === undefined
      ? []
      : [
          row(
            'trust',
            `${pathOf(certificate.caCertFile)}  ${faint('(caCertFile of an sslProfile, NODE_EXTRA_CA_CERTS)')}`,
          ),
        ]),
    '',
    ...(options.policies ?? []).flatMap((policy) => [
      row(
        'policy',
        `${policy.name} ${faint(`(${policy.rights.includes('Manage') ? 'Manage, Send, Listen' : policy.rights.join(', ')})`)}`,
      ),
      row('', server.connectionString(policy.name)),
    ]),
    '',
    ...(usesDemoConfiguration(server, options)
      ? [
          'A router beside it, in another terminal of the same folder:',
          `  SERVICEBUS_KEY=${options.policies?.[0]?.key} npm run pointsman -- -c demo/qdrouterd.conf`,
          '',
        ]
      : []),
    faint(
      options.file === undefined
        ? 'Ctrl-C ends it, with all that is in it.'
        : `Ctrl-C ends it; ${pathOf(options.file)} keeps what is in it.`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}

/** The configuration of the demo fits: its port, its folder, its entities. */
function usesDemoConfiguration({ ports }: NamespaceServer, options: NamespaceServerOptions): boolean {
  return (
    ports.amqps === 5671 &&
    options.certificateFolder === CERTIFICATE_FOLDER &&
    (options.queues ?? []).some((queue) => nameOf(queue) === 'orders') &&
    (options.topics ?? []).some(
      ({ name, subscriptions }) =>
        name === 'order-events' && subscriptions?.some((subscription) => subscription.name === 'all') === true,
    )
  );
}

function nameOf(entity: string | { readonly name: string }): string {
  return typeof entity === 'string' ? entity : entity.name;
}

function pathOf(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
}
