// SPDX-License-Identifier: Apache-2.0
import { isServiceBusHost, parseConnectionString, sasKeyProvider } from '@pointsman/azure';
import type { Secret, TokenProvider } from '@pointsman/azure';
import { TlsCredentialsError } from '@pointsman/transport';
import type { DialOptions, TlsCredentials } from '@pointsman/transport';
import type { AutoLinkConfig, ConnectorConfig, Direction, RouterConfig } from '../config/model.js';
import type { ConfigProblem } from '../config/problems.js';
import { ConnectorError, destinationOf } from '../run/destination.js';
import type { Destination } from '../run/destination.js';
import type { Environment } from '../run/environment-proxy.js';
import { TlsProfileRuntime } from '../run/tls-profile.js';

/** A link that the connector is to have. */
export interface EntityNeed {
  /** `out` sends to it, `in` receives from it; undefined: whichever it takes. */
  readonly direction: Direction | undefined;
  readonly path: string;
  /** Address of the router that the autolink serves, where there is one. */
  readonly address: string;
  /** The autolink that it comes from; undefined where an argument or a connection string names the entity. */
  readonly link?: AutoLinkConfig | undefined;
  /** It is the prefix of a link route: entities may lie below it, and it need be none itself. */
  readonly isRoute?: boolean;
}

/** A connector that is looked at. */
export interface Patient {
  readonly connector: ConnectorConfig;
  readonly to: Destination;
  readonly isServiceBus: boolean;
  readonly credentials: TlsCredentials | undefined;
  readonly entities: readonly EntityNeed[];
  /** Masked wherever they turn up. */
  readonly secrets: readonly Secret[];
  readonly lookup: DialOptions['lookup'];
  /** Who we are to a management API; undefined where there is nothing to prove it by. */
  readonly identity: TokenProvider | undefined;
  /** The connector names no proxy itself: `HTTPS_PROXY` does. */
  readonly hasProxyOfEnvironment: boolean;
  /** Prefixes and patterns that clients attach to through this connector. */
  readonly linkRoutes: readonly string[];
  /** What `pointsman check` would say of the connector and its autolinks. */
  readonly remarks: readonly ConfigProblem[];
}

/** What cannot be examined, and why. */
export class PatientError extends Error {}

/** @throws PatientError where the configuration has something that cannot be used */
export function patientOf(
  config: RouterConfig,
  connector: ConnectorConfig,
  more: readonly EntityNeed[],
  { environment, lookup }: { readonly environment?: Environment | undefined; readonly lookup?: DialOptions['lookup'] },
  warnings: readonly ConfigProblem[] = [],
): Patient {
  try {
    const profile = config.sslProfiles.find(({ name }) => name === connector.sslProfile);
    const credentials = profile === undefined ? undefined : new TlsProfileRuntime(profile, config.file).credentials;
    const to = destinationOf(
      connector,
      `connector ${connector.name}`,
      credentials?.hasCertificate === true,
      environment,
    );
    const isServiceBus = connector.serviceBus || isServiceBusHost(to.hostname);
    return {
      connector,
      to,
      isServiceBus,
      identity: to.tokens ?? keyOf(to),
      credentials,
      entities: [...needsOf(config, connector), ...more],
      secrets: [...to.secrets, connector.connectionString, to.proxy?.password].filter((one) => one !== undefined),
      lookup,
      hasProxyOfEnvironment: to.proxy !== undefined && connector.proxy === undefined,
      linkRoutes: config.linkRoutes
        .filter(({ connection }) => connection === connector.name)
        .map(({ prefix, pattern }) => prefix ?? pattern ?? ''),
      remarks: [
        ...remarksOf(config, connector, warnings),
        ...(credentials?.warnings ?? []).map((message): ConfigProblem => {
          return { severity: 'warning', file: config.file, line: profile?.line, message };
        }),
      ],
    };
  } catch (error) {
    if (error instanceof ConnectorError || error instanceof TlsCredentialsError) throw new PatientError(error.message);
    throw error;
  }
}

/** Those on the lines of the connector and of its autolinks. */
function remarksOf(
  config: RouterConfig,
  connector: ConnectorConfig,
  warnings: readonly ConfigProblem[],
): ConfigProblem[] {
  const own = new Set([
    connector.line,
    ...config.autoLinks.filter(({ connection }) => connection === connector.name).map(({ line }) => line),
  ]);
  const { listeners, connectors, sslProfiles, addresses, linkRoutes, autoLinks, exchanges, bindings, logs } = config;
  const begins = [listeners, connectors, sslProfiles, addresses, linkRoutes, autoLinks, exchanges, bindings, logs]
    .flat()
    .map(({ line }) => line)
    .toSorted((a, b) => a - b);
  return warnings.filter(({ line }) => {
    const section = line === undefined ? undefined : begins.findLast((begin) => begin <= line);
    return section !== undefined && own.has(section);
  });
}

/** Tokens made of the key that SASL goes by. */
export function keyOf({ username, password }: Destination): TokenProvider | undefined {
  return username === undefined || password === undefined ? undefined : sasKeyProvider(username, password, Date.now);
}

/** The entities of the connector's autolinks and link routes, and the one that a connection string is limited to. */
function needsOf(config: RouterConfig, { name, connectionString }: ConnectorConfig): EntityNeed[] {
  const needs: EntityNeed[] = config.autoLinks
    .filter(({ connection }) => connection === name)
    .map((link) => ({ direction: link.direction, path: link.externalAddress, address: link.address, link }));
  const path = connectionString === undefined ? undefined : parseConnectionString(connectionString.reveal()).entityPath;
  if (path !== undefined && !needs.some((need) => need.path === path))
    needs.push({ direction: undefined, path, address: path });
  for (const route of config.linkRoutes) {
    const { prefix, direction, addExternalPrefix, delExternalPrefix } = route;
    // What is changed on the way, or matches by a pattern, names no entity.
    if (route.connection !== name || prefix === undefined || prefix.startsWith('$')) continue;
    if (addExternalPrefix !== undefined || delExternalPrefix !== undefined) continue;
    // What comes in from clients goes out to the entity.
    needs.push({ direction: direction === 'in' ? 'out' : 'in', path: prefix, address: prefix, isRoute: true });
  }
  return needs;
}
