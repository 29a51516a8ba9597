// SPDX-License-Identifier: Apache-2.0
import type { ProtocolEndpoint } from '@pointsman/engine';
import type { AmqpErrorFields } from '@pointsman/wire';
import { readAddress } from './address.js';
import { Broker, type BrokerOptions } from './broker.js';
import { canReceive, canSend, disabledRefusal, type Entity, type EntityStatus, type Refusal } from './entity.js';
import { FaultPlan, SERVER_BUSY } from './fault-plan.js';
import type { NamespaceHost } from './host.js';
import { IdleWatch } from './idle-watch.js';
import type { LockWatcher } from './lock-watcher.js';
import { MemoryBudget } from './memory-budget.js';
import type { MessageCounts } from './queue-settings.js';
import type { NamespaceLink } from './namespace-link.js';
import type { PolicyOptions } from './policy.js';
import { ServiceConnection, type ConnectionInfo } from './service-connection.js';
import type { ServiceContext } from './service-context.js';
import { Throttle } from './throttle.js';
import { CLOUD_TIMES, type Times } from './times.js';

export interface NamespaceOptions extends BrokerOptions {
  /** Host name as it stands in texts and resource names; `localhost` unless given. */
  readonly hostname?: string;
  /** Clocks that differ from those of the cloud. */
  readonly times?: Partial<Times>;
  /** As in the cloud, where nothing goes without TLS; false for a development emulator. True unless given. */
  readonly requireTls?: boolean;
  /** 5000 unless given; the official emulator takes 10. */
  readonly connectionsMax?: number;
  /**
   * Operations of a second, as the Standard tier counts them (1000 there): beyond that clients are told to wait. No limit unless given.
   */
  readonly operationsPerSecond?: number;
  /**
   * Bytes of memory that messages may take, estimated; beyond that what is sent is refused with `com.microsoft:server-busy` until some
   * are received. To be a good way below the limit of the heap. No limit unless given.
   */
  readonly memoryBytesMax?: number;
  /** Link credit that publishers are given; 1000 unless given. 1 finds clients that assume plenty. */
  readonly publisherCredit?: number;
}

/** Policy of the official emulator; what a namespace has that is given none. */
export const DEVELOPMENT_POLICY: PolicyOptions = {
  name: 'RootManageSharedAccessKey',
  key: 'SAS_KEY_VALUE',
  rights: ['Send', 'Listen', 'Manage'],
};

/** What a request to the management API costs of what a second has. */
const MANAGEMENT_OPERATIONS = 10;

/** Things that go wrong on request. Each gives the number of connections, links or locks that it met. */
export interface Faults {
  /** Closes all connections, with `amqp:connection:forced` unless another error is given. */
  closeConnections(error?: AmqpErrorFields): number;
  /** Ends all connections without a word. */
  dropConnections(): number;
  /** Lets all connections hang: nothing is read or written, and the sockets stay. */
  freezeConnections(): number;
  /** Detaches the links of a node, with `amqp:link:detach-forced` unless another error is given. */
  detachLinks(address: string, error?: AmqpErrorFields): number;
  /**
   * Ends all locks of a queue, subscription or dead-letter queue, on messages and message sessions, as if their time was over.
   *
   * @throws TypeError where there is none
   */
  endLocks(path: string): number;
  /** Takes back the tokens of all connections; links that depended on them are detached. */
  revokeTokens(): number;
  /** Refuses the next `times` sends to an entity (or to any), with `com.microsoft:server-busy` unless given. The link stays. */
  refuseSends(times: number, path?: string, refusal?: Refusal): void;
  /** Refuses the next `times` settlements at an entity (or at any). */
  refuseSettlements(times: number, path?: string, refusal?: Refusal): void;
  /** Throttles by load: so many operations a second, or no limit any more. @throws TypeError where the number is not above 0 */
  throttle(operationsPerSecond: number | undefined): void;
  /** Refuses the next `times` attaches to an entity (or to any), those to its `$management` included. */
  refuseAttaches(times: number, path?: string, refusal?: Refusal): void;
  /** Refuses the next `times` requests to `$management` of an entity (or of any). */
  refuseRequests(times: number, path?: string, refusal?: Refusal): void;
}

/** A namespace in memory that speaks and behaves like one of Azure Service Bus. */
export class Namespace {
  readonly broker: Broker;
  readonly faults: Faults;
  /** What messages take of the memory of the process. */
  readonly memory: MemoryBudget;
  /** An entity was taken away because nobody used it. */
  onIdleRemoved: ((path: string) => void) | undefined;
  readonly #context: ServiceContext;
  readonly #idleWatch: IdleWatch;

  /** @throws TypeError where an option is not valid */
  constructor(options: NamespaceOptions, host: NamespaceHost) {
    this.memory = new MemoryBudget(options.memoryBytesMax, host.log);
    const { clock, timeOrigin, random } = host;
    const policies = options.policies ?? [DEVELOPMENT_POLICY];
    this.broker = new Broker({ ...options, policies }, { clock, timeOrigin, random, memory: this.memory });
    this.#context = {
      broker: this.broker,
      host,
      memory: this.memory,
      times: { ...CLOUD_TIMES, ...options.times },
      hostname: options.hostname ?? 'localhost',
      requireTls: options.requireTls ?? true,
      connectionsMax: options.connectionsMax ?? 5000,
      publisherCredit: options.publisherCredit ?? 1000,
      connections: new Set(),
      linksByName: new Map(),
      throttle: new Throttle(host.clock, options.operationsPerSecond),
      sendFaults: new FaultPlan(),
      settlementFaults: new FaultPlan(),
      requestFaults: new FaultPlan(),
      attachFaults: new FaultPlan(),
    };
    this.#idleWatch = new IdleWatch({
      broker: this.broker,
      host,
      links: () => this.#links().map(({ link }) => link),
      remove: (path) => {
        if (!this.remove(path)) return;
        host.log?.('info', `entity '${path}' was not used for as long as it may not be, and is deleted`);
        this.onIdleRemoved?.(path);
      },
    });
    this.broker.onTemporary = () => this.#idleWatch.review();
    this.#idleWatch.review();
    this.faults = this.#makeFaults();
  }

  /** Takes a connection that came in. The caller drives the endpoint over its socket. */
  accept(info: ConnectionInfo): ProtocolEndpoint {
    const connection = new ServiceConnection(this.#context, info);
    this.#context.connections.add(connection);
    return connection;
  }

  get connections(): number {
    return this.#context.connections.size;
  }

  /** Links that are attached, of all connections. */
  get links(): number {
    return this.#links().length;
  }

  /** Whether the load allows a request to the management API, which is counted. */
  takeManagementRequest(): Refusal | undefined {
    return this.#context.throttle.take(MANAGEMENT_OPERATIONS);
  }

  /** What waited for its journal can leave. */
  wake(): void {
    for (const { wake } of this.#context.connections) wake?.();
  }

  /** Messages of a queue, subscription or dead-letter queue. @throws TypeError where there is none */
  counts(address: string): MessageCounts {
    return this.broker.counts(address);
  }

  /**
   * Follows the locks of a queue, subscription or dead-letter queue. One at a time: another takes its place, undefined ends it.
   *
   * @throws TypeError where there is none
   */
  watchLocks(address: string, watcher: LockWatcher | undefined): void {
    this.broker.watchLocks(address, watcher);
  }

  /** Enables or disables an entity; links that are not allowed any more are detached. @throws TypeError where there is none */
  setStatus(path: string, status: EntityStatus): void {
    const entity = this.broker.setStatus(path, status);
    const affected = this.#links().filter(({ link }) => {
      if (link.entityPath !== entity.path.toLowerCase()) return false;
      return (link.use === 'publisher' && !canSend(status)) || (link.use === 'consumer' && !canReceive(status));
    });
    for (const { connection, link } of affected)
      connection.detach(link, disabledRefusal(entity.path, this.#context.hostname));
  }

  /** When an entity was last used, ms of the clock; undefined where it never was. */
  accessedAt(entity: Entity): number | undefined {
    return this.#idleWatch.accessedAt(entity);
  }

  /** Changes after how many ms without use an entity is taken away; Infinity for never. */
  changeAutoDelete(entity: Entity, autoDeleteOnIdleMs: number): void {
    entity.autoDeleteOnIdleMs = autoDeleteOnIdleMs;
    this.#idleWatch.review();
  }

  /** Takes an entity away, with all that is in it; its links are detached. @returns whether there was one */
  remove(path: string): boolean {
    const entity = this.broker.remove(path);
    if (entity === undefined) return false;
    const below = `${entity.path.toLowerCase()}/`;
    for (const { connection, link } of this.#links()) {
      const owner = link.entityPath;
      if (owner !== below.slice(0, -1) && !owner.startsWith(below)) continue;
      connection.detach(link, {
        condition: 'amqp:not-found',
        description: `The messaging entity 'sb://${this.#context.hostname}/${entity.path}' could not be found.`,
      });
    }
    return true;
  }

  /** Closes all connections and gives orders with the clock back. */
  close(): void {
    this.faults.closeConnections({ condition: 'amqp:connection:forced', description: 'The namespace is closing.' });
    this.#idleWatch.stop();
    this.broker.close();
  }

  #links(): { connection: ServiceConnection; link: NamespaceLink }[] {
    return [...this.#context.connections].flatMap((connection) =>
      connection.links.map((link) => ({ connection, link })),
    );
  }

  #makeFaults(): Faults {
    const { connections, sendFaults, settlementFaults, requestFaults, attachFaults } = this.#context;
    const each = (act: (connection: ServiceConnection) => void): number => {
      const all = [...connections];
      for (const connection of all) act(connection);
      return all.length;
    };
    return {
      closeConnections: (error) =>
        each((connection) =>
          connection.close(
            error ?? {
              condition: 'amqp:connection:forced',
              description: 'The connection was closed by the service: the gateway is being recycled.',
            },
          ),
        ),
      dropConnections: () => each((connection) => connection.drop()),
      freezeConnections: () => each((connection) => connection.freeze()),
      revokeTokens: () => each((connection) => connection.revokeTokens()),
      endLocks: (path) => this.broker.endLocks(path),
      detachLinks: (address, error) => {
        const path = readAddress(address).written.toLowerCase();
        const met = this.#links().filter(({ link }) => link.nodePath === path);
        for (const { connection, link } of met) {
          connection.detach(
            link,
            error ?? {
              condition: 'amqp:link:detach-forced',
              description:
                `The link 'G0:${link.link.handle}:${link.link.name}' is force detached. Code: ${link.use}(link${link.link.handle}). ` +
                'Details: InnerMessageReceiver was closed.',
            },
          );
        }
        return met.length;
      },
      throttle: (operationsPerSecond) => this.#context.throttle.limit(operationsPerSecond),
      refuseSends: (times, path, refusal) => sendFaults.plan(path, refusal ?? SERVER_BUSY, times),
      refuseAttaches: (times, path, refusal) => attachFaults.plan(path, refusal ?? SERVER_BUSY, times),
      refuseRequests: (times, path, refusal) => requestFaults.plan(path, refusal ?? SERVER_BUSY, times),
      refuseSettlements: (times, path, refusal) => settlementFaults.plan(path, refusal ?? SERVER_BUSY, times),
    };
  }
}
