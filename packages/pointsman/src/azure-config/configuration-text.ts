// SPDX-License-Identifier: Apache-2.0
import { entityAddressOf } from '@pointsman/azure';
import { readConfig } from '../config/read-config.js';

/** An entity of a namespace, and the address that the router gives it. */
export interface EntityLink {
  readonly path: string;
  readonly address: string;
  readonly send: boolean;
  readonly receive: boolean;
  /** One message session after the other. */
  readonly nextSession: boolean;
  /** Of an event hub. */
  readonly isPartition: boolean;
  /** To stand above it in the file. */
  readonly note?: string;
}

/** What a configuration is made of. */
export interface Wishes {
  /** As `connectionString` names it: `env:NAME` or `file:PATH`. */
  readonly secret: string;
  readonly connector: string;
  readonly transport: string | undefined;
  readonly proxy: string | undefined;
  readonly hostname?: string | undefined;
  readonly webSocketPort?: string | undefined;
  /** Authorities that the connector trusts besides those of the system. */
  readonly caCertFile?: string | undefined;
  /** Addresses as the router's clients use them. */
  readonly links: readonly EntityLink[];
  /** Prefixes that clients attach to directly, each message with its lock. */
  readonly linkRoutes: readonly string[];
}

/** A path or an address that cannot stand in a configuration file. */
export class WishError extends Error {}

/**
 * What a link can do by the spelling of its path: subscriptions and dead-letter queues are only received from.
 *
 * @throws WishError
 */
export function linkOf(path: string, address: string | undefined, only: 'send' | 'receive' | undefined): EntityLink {
  for (const text of [path, address ?? path]) {
    // Blanks end no value, but nobody has them in a name; the others mean something to the grammar of the file.
    if (!/^[^\s#{}"'*@?]+$/u.test(text)) throw new WishError(`'${text}' is no name of an entity`);
  }
  const { kind } = entityAddressOf(path);
  const isPartition = /\/ConsumerGroups\/[^/]+\/Partitions\//iu.test(path);
  const isSource = kind === 'subscription' || kind === 'dead-letter-queue' || isPartition;
  if (kind === 'cbs' || kind === 'management') throw new WishError(`'${path}' is for requests; no autolink can use it`);
  if (isSource && only === 'send') throw new WishError(`'${path}' is not sent to: name the topic or the queue`);
  return {
    path,
    address: address ?? path,
    send: !isSource && only !== 'receive',
    receive: only !== 'send',
    nextSession: false,
    isPartition,
    ...(isPartition ? { note: 'a stateDir of the router keeps how far events have come' } : {}),
  };
}

/**
 * A configuration file that does what is wished for.
 *
 * @throws WishError where the wishes do not fit together
 */
export function configurationText(wishes: Wishes): string {
  const { connector, links, linkRoutes, caCertFile } = wishes;
  const addresses = [...new Set(links.map(({ address }) => address))];
  const text = [
    '# Made by `pointsman azure config`. Try it: pointsman doctor -c FILE. Run it: pointsman -c FILE.\n',
    section('router', { mode: 'standalone', id: 'Router.A' }),
    '# Clients of this machine. For others: another host, an sslProfile, and saslMechanisms that prove who they are.',
    section('listener', { name: 'clients', host: '127.0.0.1', port: 'amqp', saslMechanisms: 'ANONYMOUS' }),
    ...(caCertFile === undefined ? [] : [section('sslProfile', { name: `${connector}-trust`, caCertFile })]),
    section('connector', {
      name: connector,
      role: 'route-container',
      connectionString: wishes.secret,
      ...(caCertFile === undefined ? {} : { sslProfile: `${connector}-trust` }),
      hostname: wishes.hostname,
      webSocketPort: wishes.webSocketPort,
      transport: wishes.transport,
      proxy: wishes.proxy,
    }),
    ...addresses.flatMap((address) => [
      ...links.filter((link) => link.address === address).flatMap(noteOn),
      // Events go one way: receivers attach where senders would.
      ...(links.every((link) => link.address !== address || link.isPartition)
        ? []
        : [section('address', { pattern: address, waypoint: 'yes' })]),
      ...links
        .filter((link) => link.address === address)
        .flatMap((link) => [
          ...(link.send ? [autoLink(connector, 'out', link)] : []),
          ...(link.receive ? [autoLink(connector, 'in', link)] : []),
        ]),
    ]),
    ...linkRoutes.flatMap((prefix) =>
      ['in', 'out'].map((direction) => section('linkRoute', { prefix, direction, connection: connector })),
    ),
  ].join('\n');
  check(text, wishes);
  return text;
}

/** A name may end a line of a comment, and what follows would count. */
function noteOn({ path, note }: EntityLink): string[] {
  return note === undefined ? [] : [`# ${path}: ${note.replaceAll(/[^\x20-\x7e]/gu, '?')}`];
}

function autoLink(
  connection: string,
  direction: string,
  { address, path, nextSession, isPartition }: EntityLink,
): string {
  const externalAddress = path === address ? undefined : path;
  const receives = direction === 'in';
  return section('autoLink', {
    address,
    direction,
    connection,
    externalAddress,
    nextSession: receives && nextSession ? 'yes' : undefined,
    phase: isPartition ? '0' : undefined,
  });
}

function section(name: string, attributes: Readonly<Record<string, string | undefined>>): string {
  const lines = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [`    ${key}: ${value}\n`],
  );
  return `${name} {\n${lines.join('')}}\n`;
}

/** Nothing is handed out that the router would not take, or would take for something else. */
function check(text: string, { links, linkRoutes }: Wishes): void {
  const string = 'Endpoint=sb://check.servicebus.windows.net/;SharedAccessKeyName=check;SharedAccessKey=check';
  const result = readConfig(text, { path: 'made', secrets: { env: () => string, readFile: () => string } });
  if (!result.ok) throw new WishError(result.problems.map(({ message }) => message).join('; '));
  const wanted = links.reduce((sum, { send, receive }) => sum + Number(send) + Number(receive), 0);
  const { autoLinks, linkRoutes: routes } = result.config;
  if (autoLinks.length !== wanted || routes.length !== 2 * linkRoutes.length)
    throw new WishError('an entity has a name that cannot stand in a configuration file');
}
