// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { DEVELOPMENT_POLICY } from '@pointsman/namespace';
import type { EventHubOptions, PolicyOptions, Right, TopicOptions } from '@pointsman/namespace';
import { readSmallFile } from '@pointsman/transport';
import { UsageError, optionsOf } from '../command-options.js';
import type { OptionSpecs } from '../command-options.js';
import { fileFailure } from '../file-failure.js';
import { EmulatorConfigError, readEmulatorConfig } from './emulator-config.js';
import type { EmulatorEntities } from './emulator-config.js';
import type { NamespaceServerOptions, PortName } from './namespace-server.js';

/** Where the certificate lies unless another folder is named; the demo's configuration names the same. */
export const CERTIFICATE_FOLDER = '.pointsman/namespace';

export interface NamespaceArguments {
  readonly server: NamespaceServerOptions;
  readonly verbose: boolean;
  /** What a file has that has no effect. */
  readonly notes: readonly string[];
}

/** Of a Config.json. */
const CONFIG_BYTES_MAX = 4_194_304;
const RIGHTS: readonly Right[] = ['Send', 'Listen', 'Manage'];

const OPTIONS = {
  queue: { type: 'string', multiple: true },
  topic: { type: 'string', multiple: true },
  'event-hub': { type: 'string', multiple: true },
  policy: { type: 'string', multiple: true },
  port: { type: 'string' },
  'in-band-port': { type: 'string' },
  'websocket-port': { type: 'string' },
  'http-port': { type: 'string' },
  config: { type: 'string', short: 'c' },
  file: { type: 'string', short: 'f' },
  sync: { type: 'boolean' },
  'operations-per-second': { type: 'string' },
  'memory-max': { type: 'string' },
  'accept-entra-tokens': { type: 'boolean' },
  host: { type: 'string' },
  hostname: { type: 'string' },
  certificates: { type: 'string' },
  emulator: { type: 'boolean' },
  verbose: { type: 'boolean', short: 'v' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionSpecs;

/** @returns what to do, or 'help'. @throws UsageError */
export function parseNamespaceArguments(argv: readonly string[]): NamespaceArguments | 'help' {
  const values = optionsOf(argv, OPTIONS);
  if (values.help === true) return 'help';
  const emulator = values.emulator === true;
  if (values.sync === true && values.file === undefined) throw new UsageError('--sync goes with --file');
  const entities = values.config === undefined ? undefined : emulatorConfigOf(values.config);
  const queues = [...(entities?.queues ?? []), ...new Set(values.queue ?? [])];
  const topics = [...(entities?.topics ?? []), ...topicsOf(values.topic ?? [])];
  const eventHubs = [...(entities?.eventHubs ?? []), ...(values['event-hub'] ?? []).map(eventHubOf)];
  if (entities !== undefined) checkForwarding(values.config!, entities, { queues, topics });
  const isEmpty = entities === undefined && queues.length === 0 && topics.length === 0 && eventHubs.length === 0;
  if (emulator && values['in-band-port'] !== undefined)
    throw new UsageError('--in-band-port is about TLS, which the emulator has none of: use --port');
  const port = portOf('--port', values.port) ?? (emulator ? 5672 : 5671);
  const webSocket = portOf('--http-port', values['http-port'] ?? values['websocket-port']) ?? false;
  const ports: Partial<Record<PortName, number | false>> = emulator
    ? { amqp: port, ws: webSocket }
    : { amqps: port, amqp: portOf('--in-band-port', values['in-band-port']) ?? false, wss: webSocket };
  const more = (values.policy ?? []).map(policyOf);
  return {
    verbose: values.verbose === true,
    notes: (entities?.notes ?? []).map((note) => `${values.config}: ${note}`),
    server: {
      mode: emulator ? 'emulator' : 'cloud',
      host: values.host ?? '127.0.0.1',
      ...(values.hostname === undefined ? {} : { hostname: values.hostname }),
      // What the demo's configuration uses.
      queues: isEmpty ? ['orders'] : queues,
      topics: isEmpty ? [{ name: 'order-events', subscriptions: [{ name: 'all' }] }] : topics,
      eventHubs,
      policies: [DEVELOPMENT_POLICY, ...more],
      ports,
      certificateFolder: values.certificates ?? CERTIFICATE_FOLDER,
      ...(values.file === undefined ? {} : { file: values.file }),
      ...operationsOf(values['operations-per-second']),
      ...memoryOf(values['memory-max']),
      ...(values['accept-entra-tokens'] === true ? { acceptEntraTokens: true } : {}),
      ...(values.sync === true ? { sync: 'always' } : {}),
    },
  };
}

function emulatorConfigOf(path: string): EmulatorEntities {
  try {
    return readEmulatorConfig(readSmallFile(path, CONFIG_BYTES_MAX).toString('utf8'));
  } catch (error) {
    if (error instanceof EmulatorConfigError) throw new UsageError(`${path}: ${error.message}`);
    if (error instanceof Error && 'code' in error)
      throw new UsageError(`--config ${path} cannot be read: ${fileFailure(error)}`);
    throw error;
  }
}

/** Destinations may be in the file or among the options. @throws UsageError naming what forwards to nowhere */
function checkForwarding(
  path: string,
  { queues, topics }: EmulatorEntities,
  all: { readonly queues: readonly (string | { readonly name: string })[]; readonly topics: readonly TopicOptions[] },
): void {
  const names = [...all.queues, ...all.topics].map((one) => (typeof one === 'string' ? one : one.name).toLowerCase());
  const places = [
    ...queues.map((queue, at) => [`Queues[${at}]`, queue] as const),
    ...topics.flatMap(({ subscriptions = [] }, at) =>
      subscriptions.map((one, below) => [`Topics[${at}].Subscriptions[${below}]`, one] as const),
    ),
  ];
  for (const [place, { forwardTo, forwardDeadLetteredMessagesTo }] of places)
    for (const [name, target] of [
      ['ForwardTo', forwardTo],
      ['ForwardDeadLetteredMessagesTo', forwardDeadLetteredMessagesTo],
    ] as const)
      if (target !== undefined && !names.includes(target.toLowerCase()))
        throw new UsageError(
          `${path}: UserConfig.Namespaces[0].${place}.Properties.${name}: there is no queue or topic '${target}': add one, or leave it out`,
        );
}

/** `TOPIC` or `TOPIC/SUBSCRIPTION`, also with `/Subscriptions/` between the two; a topic may come several times. */
function topicsOf(texts: readonly string[]): TopicOptions[] {
  const topics = new Map<string, Set<string>>();
  for (const text of texts) {
    const [, name = '', subscription] = /^(.+?)(?:\/(?:subscriptions\/)?([^/]+))?$/iu.exec(text) ?? [];
    if (name === '') throw new UsageError(`--topic '${text}' is not of the form TOPIC or TOPIC/SUBSCRIPTION`);
    const subscriptions = topics.get(name) ?? new Set();
    topics.set(name, subscriptions);
    if (subscription !== undefined) subscriptions.add(subscription);
  }
  return [...topics].map(([name, subscriptions]) => ({
    name,
    subscriptions: [...subscriptions].map((subscription) => ({ name: subscription })),
  }));
}

/** `NAME` or `NAME:PARTITIONS`. What is no name or number of partitions the namespace refuses. */
function eventHubOf(text: string): EventHubOptions {
  const [, name = text, partitions] = /^(.*):(\d+)$/u.exec(text) ?? [];
  return partitions === undefined ? { name } : { name, partitions: Number(partitions) };
}

/** `NAME:RIGHTS`, rights joined by `+`, with a key that is made up. */
function policyOf(text: string): PolicyOptions {
  const [, name = '', list = ''] = /^([^:]+):(.+)$/u.exec(text) ?? [];
  const rights = list
    .split('+')
    .map((word) => RIGHTS.find((right) => right.toLowerCase() === word.trim().toLowerCase()));
  if (name === '' || rights.includes(undefined)) {
    throw new UsageError(
      `--policy '${text}' is not of the form NAME:RIGHTS, with rights of ${RIGHTS.join(', ')} joined by +`,
    );
  }
  return { name, key: randomBytes(32).toString('base64'), rights: rights as Right[] };
}

function operationsOf(text: string | undefined): { operationsPerSecond?: number } {
  if (text === undefined) return {};
  if (!/^[1-9]\d{0,8}$/u.test(text))
    throw new UsageError(`--operations-per-second '${text}' is no number from 1 to 999999999`);
  return { operationsPerSecond: Number(text) };
}

/** MiB. */
function memoryOf(text: string | undefined): { memoryBytesMax?: number } {
  if (text === undefined) return {};
  if (!/^[1-9]\d{0,6}$/u.test(text))
    throw new UsageError(`--memory-max '${text}' is no number of MiB from 1 to 9999999`);
  return { memoryBytesMax: Number(text) * 1_048_576 };
}

function portOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,5}$/u.test(text) || Number(text) > 65_535)
    throw new UsageError(`${option} '${text}' is no port: a number from 0 (any free one) to 65535`);
  return Number(text);
}
