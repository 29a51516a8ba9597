// SPDX-License-Identifier: Apache-2.0
import { CoordinatorRelay, ManagementRelays, SessionHolders, sasKeyProvider } from '@pointsman/azure';
import type {
  CbsClient,
  EntityManagement,
  HubPositions,
  LateSettlements,
  SharedNode,
  TokenState,
} from '@pointsman/azure';
import type { Connection } from '@pointsman/engine';
import { routedLinkName } from '@pointsman/router';
import type { ContainerDialect } from '@pointsman/router';
import type { Logger } from '../log.js';
import { connectionTokens } from './connection-tokens.js';
import type { Destination } from './destination.js';
import { serviceBusDialect } from './service-bus-dialect.js';
import { OF_PROCESS } from './surroundings.js';
import type { Surroundings } from './surroundings.js';

export interface ServiceBusConnectionOptions {
  readonly connector: string;
  readonly byConnectionString: boolean;
  readonly to: Destination;
  /** What is connected to: a name of the destination, or of one that is tried in its place. */
  readonly host: string;
  readonly port: number;
  readonly connection: Connection;
  /** Name of the router, and number of the connection. */
  readonly routerId: string;
  readonly id: number;
  readonly log: Logger;
  /** Of the connector: they outlast its connections. */
  readonly entities: EntityManagement;
  readonly lateSettlements: LateSettlements;
  /** Of the process. */
  readonly positions: HubPositions;
  /** Default: those of this process. */
  readonly surroundings?: Surroundings;
}

/** What the router has on one connection to Azure Service Bus besides links of autolinks and link routes. */
export class ServiceBusConnection {
  readonly dialect: ContainerDialect;
  readonly #tokens: CbsClient | undefined;
  readonly #management: ManagementRelays;
  readonly #coordinator: CoordinatorRelay;
  readonly #entities: EntityManagement;

  constructor(options: ServiceBusConnectionOptions) {
    const { connector, byConnectionString, to, host, port, connection, routerId, id, log } = options;
    const { entities, lateSettlements, positions, surroundings = OF_PROCESS } = options;
    const tokens = connectionTokens({ connector, to, connection, routerId, id, log, surroundings });
    // What is for the whole namespace is for the one entity where we have a key for no more.
    const authorize: CbsClient['authorize'] | undefined =
      tokens === undefined
        ? undefined
        : (address, done) => tokens.authorizeClient(address === '' ? (to.entityPath ?? '') : address, done);
    const sessions = new SessionHolders();
    this.#tokens = tokens;
    this.#entities = entities;
    this.#management = new ManagementRelays({
      connection,
      name: `${routerId}-management-${id}`,
      authorize,
      linkNameOf: (client, name) => routedLinkName(name, client.remoteOpen?.containerId ?? ''),
      sessions,
      clock: surroundings.clock,
      tokenFor: hubTokens(to, surroundings.nowMs),
    });
    this.#coordinator = new CoordinatorRelay({ connection, name: `${routerId}-coordinator-${id}`, authorize });
    this.dialect = serviceBusDialect({
      connector,
      host,
      port,
      policy: to.username,
      byConnectionString,
      secrets: to.secrets,
      surroundings,
      tokens,
      tokenSource: tokens === undefined ? undefined : to.tokens?.name,
      management: this.#management,
      coordinator: this.#coordinator,
      sessions,
      log: (level, text) => log.log('ROUTER_CORE', level, text),
      entities,
      lateSettlements,
      positions,
    });
  }

  /** The tokens that it has, without the tokens. */
  get tokens(): readonly TokenState[] {
    return this.#tokens?.tokens ?? [];
  }

  /** The nodes of which the router has the only link, or pair, and shares it. Those that were not used are left out. */
  get nodes(): readonly SharedNode[] {
    const single = [this.#tokens?.node, this.#coordinator.node].filter((node) => node !== undefined);
    return [...single.filter(({ requests, failures }) => requests + failures > 0), ...this.#management.nodes];
  }

  /** Both have opened. */
  opened(): void {
    this.#entities.open(this.#management);
  }

  closed(): void {
    this.#entities.closed();
    this.#tokens?.close();
  }
}

/** Tokens for event hubs, in place of those that clients give with their requests; undefined where we can have none. */
function hubTokens(
  { tokens, username, password, hostname }: Destination,
  nowMs: () => number,
): ((hub: string) => Promise<string>) | undefined {
  const hasKey = username !== undefined && password !== undefined;
  const source = tokens ?? (hasKey ? sasKeyProvider(username, password, nowMs) : undefined);
  if (source === undefined) return undefined;
  return async (hub) => {
    const token = await source.get({ audience: `sb://${hostname}/${hub}`, newerThanMs: nowMs() });
    return token.text.reveal();
  };
}
