// SPDX-License-Identifier: Apache-2.0
import type { Secret } from '@pointsman/azure';

import { phaseOf, phasesOf } from './address-rules.js';
import { azureAccessOf } from './azure-rules.js';
import { azureKeysOf } from './azure-client-rules.js';
import {
  frameSizeOf,
  hostOf,
  idleTimeOutOf,
  isServiceBus,
  mechanismsOf,
  portOf,
  tlsModeOf,
  tlsProtocolsOf,
} from './connection-rules.js';
import type { ConfigSource } from './config-source.js';
import type { ConfigEntity } from './entity.js';
import { parseFailoverUrls } from './failover-urls.js';
import type { FailoverUrl } from './failover-urls.js';
import { LOG_LEVELS, parseLogLevels } from './log-levels.js';
import type {
  AddressConfig,
  AutoLinkConfig,
  BindingConfig,
  ConnectionRole,
  ConnectorConfig,
  Direction,
  Distribution,
  ExchangeConfig,
  LinkRouteConfig,
  ListenerConfig,
  LogConfig,
  RouterConfig,
  RouterSettings,
  SslProfileConfig,
  StripAnnotations,
  Transport,
  VhostConfig,
} from './model.js';
import { policySettingsOf } from './policy-rules.js';
import type { ProblemList } from './problems.js';
import { parseProxy } from './proxy-address.js';
import { safeText } from './problems.js';
import { all } from './rules.js';
import { resolveSecret } from './secret.js';
import type { SecretSources } from './secret.js';

const LINK_CAPACITY = 250;
// A message's lock runs from when Service Bus sends it, not from when it is handled: what waits here grows old.
const LINK_CAPACITY_SERVICE_BUS = 50;
const SESSIONS_MAX = 32_768;

export interface BuildOptions {
  readonly file: string;
  readonly secrets: SecretSources;
  readonly generateId: (mode: RouterSettings['mode']) => string;
  readonly source: ConfigSource;
}

/** The configuration that checked entities make. Secrets are looked up here, and reported where they are not found. */
export function buildConfig(
  entities: readonly ConfigEntity[],
  problems: ProblemList,
  options: BuildOptions,
): RouterConfig {
  const context = { entities, problems };
  const secretOf = (entity: ConfigEntity, attribute: string): Secret | undefined =>
    secretFor(entity, attribute, problems, options.secrets);
  return {
    file: options.file,
    router: routerSettings(all(context, 'router')[0], options),
    sslProfiles: all(context, 'sslProfile').map((entity) => sslProfile(entity, secretOf)),
    listeners: all(context, 'listener').map((entity) => listener(entity, problems, options.secrets)),
    connectors: all(context, 'connector').map((entity) => connector(entity, secretOf)),
    addresses: all(context, 'address').map(address),
    linkRoutes: all(context, 'linkRoute').map(linkRoute),
    autoLinks: all(context, 'autoLink').map(autoLink),
    exchanges: all(context, 'exchange').map(exchange),
    bindings: all(context, 'binding').map(binding),
    policy: policySettingsOf(all(context, 'policy')[0]),
    vhosts: all(context, 'vhost').map(vhost),
    logs: all(context, 'log').map((entity) => logConfig(entity, problems)),
    source: options.source,
  };
}

type SecretOf = (entity: ConfigEntity, attribute: string) => Secret | undefined;

function secretFor(
  entity: ConfigEntity,
  attribute: string,
  problems: ProblemList,
  sources: SecretSources,
): Secret | undefined {
  const text = entity.text(attribute);
  if (text === undefined || entity.isUnsound(attribute)) return undefined;
  return secretIn(entity, attribute, text, problems, sources);
}

/** The secret that a text of an attribute stands for. */
function secretIn(
  entity: ConfigEntity,
  attribute: string,
  text: string,
  problems: ProblemList,
  sources: SecretSources,
): Secret | undefined {
  const line = entity.lineOf(attribute);
  const resolved = resolveSecret(attribute === 'passwordFile' ? `file:${text}` : text, sources);
  if ('reason' in resolved) {
    problems.error(line, `'${attribute}' of ${entity.label} ${resolved.reason}`, { hint: resolved.hint });
    return undefined;
  }
  // The emulator's key is printed in its documentation.
  const isPublic = attribute === 'connectionString' && /UseDevelopmentEmulator\s*=\s*true/iu.test(text);
  if (resolved.plain && !isPublic) {
    problems.warn(
      line,
      `it is unsafe to have '${attribute}' of ${entity.label} as plain text in the configuration file`,
      {
        hint: `write ${attribute}: env:VARIABLE, or ${attribute}: file:PATH`,
      },
    );
  }
  return resolved.secret;
}

function routerSettings(entity: ConfigEntity | undefined, { generateId }: BuildOptions): RouterSettings {
  const text = (name: string): string | undefined => entity?.text(name);
  const mode = (text('mode') ?? 'standalone') as RouterSettings['mode'];
  const id = text('id');
  return {
    id: id ?? generateId(mode),
    idGenerated: id === undefined,
    mode,
    helloIntervalSeconds: entity?.number('helloIntervalSeconds') ?? 1,
    helloMaxAgeSeconds: entity?.number('helloMaxAgeSeconds') ?? 3,
    raIntervalSeconds: entity?.number('raIntervalSeconds') ?? 30,
    raIntervalFluxSeconds: entity?.number('raIntervalFluxSeconds') ?? 4,
    remoteLsMaxAgeSeconds: entity?.number('remoteLsMaxAgeSeconds') ?? 60,
    workerThreads: entity?.number('workerThreads') ?? 4,
    debugDumpFile: text('debugDumpFile'),
    stateDir: text('stateDir'),
    saslConfigDir: text('saslConfigDir'),
    saslConfigName: text('saslConfigName') ?? 'qdrouterd',
    allowResumableLinkRoute: entity?.flag('allowResumableLinkRoute') ?? true,
    allowUnsettledMulticast: entity?.flag('allowUnsettledMulticast') ?? false,
    timestampsInUTC: entity?.flag('timestampsInUTC') ?? false,
    timestampFormat: text('timestampFormat'),
    defaultDistribution: (text('defaultDistribution') ?? 'balanced') as Distribution,
    metadata: text('metadata'),
  };
}

function sslProfile(entity: ConfigEntity, secretOf: SecretOf): SslProfileConfig {
  return {
    ...identified(entity),
    ciphers: entity.text('ciphers'),
    protocols: tlsProtocolsOf(entity),
    caCertFile: entity.text('caCertFile'),
    certFile: entity.text('certFile'),
    privateKeyFile: entity.text('privateKeyFile'),
    password: secretOf(entity, entity.given.has('password') ? 'password' : 'passwordFile'),
    uidFormat: entity.text('uidFormat'),
    uidNameMappingFile: entity.text('uidNameMappingFile'),
  };
}

type ConnectionSettings = Pick<ConnectorConfig, keyof ListenerConfig & keyof ConnectorConfig>;

function connectionSettings(entity: ConfigEntity): Omit<ConnectionSettings, 'host' | 'port'> {
  const sessions = entity.number('maxSessions') ?? 0;
  const capacity = isServiceBus(entity) ? LINK_CAPACITY_SERVICE_BUS : LINK_CAPACITY;
  return {
    ...identified(entity),
    role: entity.text('role') as ConnectionRole,
    cost: entity.number('cost') ?? 1,
    sslProfile: entity.text('sslProfile'),
    saslMechanisms: mechanismsOf(entity),
    maxFrameSize: frameSizeOf(entity),
    maxSessions: sessions === 0 ? SESSIONS_MAX : Math.min(sessions, SESSIONS_MAX),
    maxSessionFrames: entity.number('maxSessionFrames') || undefined,
    idleTimeOut: idleTimeOutOf(entity),
    stripAnnotations: entity.text('stripAnnotations') as StripAnnotations,
    linkCapacity: entity.number('linkCapacity') || capacity,
    messageLoggingComponents: entity.text('messageLoggingComponents') ?? 'none',
    policyVhost: entity.text('policyVhost') || undefined,
    openProperties: entity.map('openProperties'),
  };
}

function listener(entity: ConfigEntity, problems: ProblemList, secrets: SecretSources): ListenerConfig {
  return {
    ...connectionSettings(entity),
    host: hostOf(entity),
    port: portOf(entity) ?? 0,
    authenticatePeer: entity.flag('authenticatePeer'),
    azureClients: entity.text('azureClients') as ListenerConfig['azureClients'],
    azureKeys: azureKeysOf(entity, (text) => secretIn(entity, 'azureKeys', text, problems, secrets)),
    saslPlugin: entity.text('saslPlugin'),
    requireEncryption: entity.flag('requireEncryption') || entity.flag('requireSsl'),
    initialHandshakeTimeoutSeconds: entity.number('initialHandshakeTimeoutSeconds') || undefined,
    multiTenant: entity.flag('multiTenant'),
    failoverUrls: failoverUrlsOf(entity),
    http: entity.flag('http') || entity.given.has('httpRootDir'),
    httpRootDir: entity.text('httpRootDir'),
    healthz: entity.flag('healthz'),
    metrics: entity.flag('metrics'),
    websockets: entity.flag('websockets'),
  };
}

function failoverUrlsOf(entity: ConfigEntity): readonly FailoverUrl[] {
  const parsed = parseFailoverUrls(entity.text('failoverUrls') ?? '');
  return 'wrong' in parsed ? [] : parsed;
}

function connector(entity: ConfigEntity, secretOf: SecretOf): ConnectorConfig {
  const connectionString = secretOf(entity, 'connectionString');
  const named = entity.given.has('connectionString');
  return {
    ...connectionSettings(entity),
    host: named ? undefined : hostOf(entity),
    port: named ? undefined : portOf(entity),
    tls: named ? undefined : tlsModeOf(entity),
    connectionString,
    hostname: entity.text('hostname')?.trim(),
    transport: entity.text('transport') as Transport | undefined,
    webSocketPort: entity.number('webSocketPort'),
    proxy: proxyOf(entity, secretOf),
    serviceBus: isServiceBus(entity),
    verifyHostname: entity.flag('verifyHostname'),
    allowRedirect: entity.flag('allowRedirect'),
    saslUsername: entity.text('saslUsername'),
    saslPassword: secretOf(entity, 'saslPassword'),
    azure: azureAccessOf(entity, secretOf),
  };
}

function proxyOf(entity: ConfigEntity, secretOf: SecretOf): ConnectorConfig['proxy'] {
  const text = entity.text('proxy')?.trim();
  if (text === undefined || text === 'none') return text;
  const parsed = parseProxy(text);
  if ('wrong' in parsed) return undefined;
  return { ...parsed, username: entity.text('proxyUsername'), password: secretOf(entity, 'proxyPassword') };
}

function address(entity: ConfigEntity): AddressConfig {
  const { ingress, egress } = phasesOf(entity);
  return {
    ...identified(entity),
    prefix: entity.text('prefix'),
    pattern: entity.text('pattern'),
    distribution: entity.text('distribution') as Distribution,
    waypoint: entity.flag('waypoint'),
    ingressPhase: ingress,
    egressPhase: egress,
    priority: entity.number('priority'),
    enableFallback: entity.flag('enableFallback'),
  };
}

function attachment(entity: ConfigEntity): Pick<AutoLinkConfig, keyof AutoLinkConfig & keyof LinkRouteConfig> {
  return {
    ...identified(entity),
    direction: entity.text('direction') as Direction,
    connection: entity.text('connection'),
    containerId: entity.text('containerId'),
  };
}

function linkRoute(entity: ConfigEntity): LinkRouteConfig {
  return {
    ...attachment(entity),
    prefix: entity.text('prefix'),
    pattern: entity.text('pattern'),
    addExternalPrefix: entity.text('addExternalPrefix'),
    delExternalPrefix: entity.text('delExternalPrefix'),
    distribution: 'linkBalanced',
  };
}

function autoLink(entity: ConfigEntity): AutoLinkConfig {
  const address = entity.text('address') ?? '';
  return {
    ...attachment(entity),
    address,
    phase: phaseOf(entity),
    externalAddress: entity.text('externalAddress') ?? address,
    fallback: entity.flag('fallback'),
    renewLocks: entity.flag('renewLocks'),
    receiveMode: entity.text('receiveMode') === 'receiveAndDelete' ? 'receiveAndDelete' : 'peekLock',
    prefetch: entity.number('prefetch'),
    filter: entity.text('filter'),
    sessionId: entity.text('sessionId'),
    nextSession: entity.flag('nextSession'),
  };
}

function exchange(entity: ConfigEntity): ExchangeConfig {
  return {
    ...identified(entity),
    address: entity.text('address') ?? '',
    phase: entity.number('phase') ?? 0,
    alternateAddress: entity.text('alternateAddress'),
    alternatePhase: entity.number('alternatePhase') ?? 0,
    matchMethod: entity.text('matchMethod') === 'mqtt' ? 'mqtt' : 'amqp',
  };
}

function binding(entity: ConfigEntity): BindingConfig {
  return {
    ...identified(entity),
    exchangeName: entity.text('exchangeName') ?? '',
    bindingKey: entity.text('bindingKey'),
    nextHopAddress: entity.text('nextHopAddress') ?? '',
    nextHopPhase: entity.number('nextHopPhase') ?? 0,
  };
}

function vhost(entity: ConfigEntity): VhostConfig {
  return { ...identified(entity), hostname: entity.text('hostname') ?? '', attributes: entity.value };
}

function logConfig(entity: ConfigEntity, problems: ProblemList): LogConfig {
  const parsed = parseLogLevels(entity.text('enable') ?? 'default');
  if ('word' in parsed) {
    problems.error(entity.lineOf('enable'), "'enable' of log names no level", {
      found: safeText(parsed.word),
      allowed: `none, default, ${LOG_LEVELS.join(', ')}, each also with + for all above it`,
      nearest: parsed.nearest,
    });
  }
  const flag = (name: string): boolean | undefined => (entity.given.has(name) ? entity.flag(name) : undefined);
  return {
    ...identified(entity),
    module: entity.text('module') ?? '',
    levels: 'levels' in parsed ? parsed.levels : undefined,
    includeTimestamp: flag('includeTimestamp'),
    includeSource: flag('includeSource'),
    outputFile: entity.text('outputFile'),
  };
}

function identified(entity: ConfigEntity): { readonly name: string; readonly line: number } {
  return { name: entity.name, line: entity.line };
}
