// SPDX-License-Identifier: Apache-2.0
import { IDLE_TIME_OUT_MS, Secret, entityAddressOf } from '@pointsman/azure';
import { DEVELOPMENT_POLICY } from '@pointsman/namespace';
import type { TopicOptions } from '@pointsman/namespace';
import type { AutoLinkConfig, ConnectorConfig, RouterConfig, SslProfileConfig } from '../config/model.js';
import type { NamespaceServer, NamespaceServerOptions } from '../namespace-server/namespace-server.js';

/** A configuration that the demo cannot do anything with; the message says what is missing. */
export class PlanError extends Error {}

/** What of a configuration the demo shows. */
export interface Plan {
  readonly connector: ConnectorConfig;
  /** Address of the router whose orders go through a queue and come back. */
  readonly address: string;
  /** That queue. */
  readonly queue: string;
}

/** Name of the sslProfile that is added where the configuration has none for its connector. */
const PROFILE = 'demo-namespace';

/** @throws PlanError where the configuration has no way through a queue and back */
export function planOf(config: RouterConfig): Plan {
  const connector = config.connectors.find(({ role }) => role === 'route-container');
  if (connector === undefined)
    throw new PlanError(
      `${config.file} has no connector with role: route-container, which the way to Service Bus begins with`,
    );
  const links = config.autoLinks.filter(({ connection }) => connection === connector.name);
  const out = links.find(
    (link) =>
      link.direction === 'out' &&
      links.some(
        (other) =>
          other.direction === 'in' &&
          other.address === link.address &&
          isSameName(other.externalAddress, link.externalAddress),
      ),
  );
  if (out === undefined)
    throw new PlanError(
      `${config.file} has no address with autoLinks to a queue in both directions on connection ${connector.name}`,
    );
  return { connector, address: out.address, queue: out.externalAddress };
}

/** A namespace that has what the autolinks of a configuration name, and the policy that its connector uses. */
export function namespaceFor(config: RouterConfig, { connector }: Plan): NamespaceServerOptions {
  const topics = new Map<string, Set<string>>();
  const others = new Set<string>();
  for (const { connection, externalAddress } of config.autoLinks) {
    if (connection !== connector.name) continue;
    const [topic, subscription] = subscriptionOf(entityAddressOf(externalAddress).owner);
    if (subscription === undefined) {
      others.add(topic);
      continue;
    }
    topics.set(topic, (topics.get(topic) ?? new Set()).add(subscription));
  }
  const isTopic = (name: string): boolean => [...topics.keys()].some((topic) => isSameName(topic, name));
  return {
    queues: [...others].filter((name) => !isTopic(name)),
    topics: [...topics].map(([name, subscriptions]): TopicOptions => ({
      name,
      subscriptions: [...subscriptions].map((subscription) => ({ name: subscription })),
    })),
    policies: [{ ...DEVELOPMENT_POLICY, name: connector.saslUsername ?? DEVELOPMENT_POLICY.name }],
  };
}

/** The configuration as it has to be beside an embedded namespace on any free port: its own ports free too, its secrets known. */
export function besideNamespace(config: RouterConfig, plan: Plan, server: NamespaceServer): RouterConfig {
  const { connector } = plan;
  const profileName = connector.sslProfile ?? PROFILE;
  const byString = connector.connectionString !== undefined;
  const changed: ConnectorConfig = {
    ...connector,
    sslProfile: connector.tls === 'none' ? undefined : profileName,
    connectionString: byString ? new Secret(server.connectionString()) : undefined,
    ...(byString
      ? {}
      : {
          host: server.hostname,
          port: connector.tls === 'first' ? server.ports.amqps : server.ports.amqp,
          saslPassword: connector.saslPassword === undefined ? undefined : new Secret(DEVELOPMENT_POLICY.key),
        }),
  };
  return {
    ...withFreePorts(config),
    connectors: config.connectors.map((other) => (other === connector ? changed : other)),
    sslProfiles: trusting(config.sslProfiles, profileName, server.caCertFile),
  };
}

/** The configuration with a real namespace in place of its own: one connector, one queue. */
export function besideRealNamespace(
  config: RouterConfig,
  plan: Plan,
  connectionString: Secret,
  queue: string,
): RouterConfig {
  const { connector, address } = plan;
  const changed: ConnectorConfig = {
    ...connector,
    connectionString,
    serviceBus: true,
    verifyHostname: true,
    host: undefined,
    port: undefined,
    tls: undefined,
    sslProfile: undefined,
    saslMechanisms: undefined,
    saslUsername: undefined,
    saslPassword: undefined,
    idleTimeOut: { advertisedMs: IDLE_TIME_OUT_MS, enforcedMs: 2 * IDLE_TIME_OUT_MS },
  };
  return {
    ...withFreePorts(config),
    connectors: [changed],
    sslProfiles: [],
    linkRoutes: [],
    autoLinks: config.autoLinks
      .filter((link) => link.connection === connector.name && link.address === address)
      .map((link): AutoLinkConfig => ({ ...link, externalAddress: queue })),
  };
}

function withFreePorts(config: RouterConfig): RouterConfig {
  const listener = config.listeners.find(
    ({ role, sslProfile, http }) => role === 'normal' && sslProfile === undefined && !http,
  );
  if (listener === undefined)
    throw new PlanError(`${config.file} has no plain listener with role: normal for clients to connect to`);
  return { ...config, listeners: [{ ...listener, host: '127.0.0.1', port: 0 }] };
}

/** The profiles, with `name` trusting the certificate of the embedded namespace. */
function trusting(
  profiles: readonly SslProfileConfig[],
  name: string,
  caCertFile: string | undefined,
): SslProfileConfig[] {
  const known = profiles.find((profile) => profile.name === name);
  const profile: SslProfileConfig = known ?? {
    name,
    line: 0,
    ciphers: undefined,
    protocols: undefined,
    caCertFile: undefined,
    certFile: undefined,
    privateKeyFile: undefined,
    password: undefined,
    uidFormat: undefined,
    uidNameMappingFile: undefined,
  };
  return [...profiles.filter((other) => other !== known), { ...profile, caCertFile }];
}

function subscriptionOf(path: string): [topic: string, subscription: string | undefined] {
  const at = path.toLowerCase().lastIndexOf('/subscriptions/');
  return at < 0 ? [path, undefined] : [path.slice(0, at), path.slice(at + '/subscriptions/'.length)];
}

function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
