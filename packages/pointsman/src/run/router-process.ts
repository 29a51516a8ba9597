// SPDX-License-Identifier: Apache-2.0
import { hostname } from 'node:os';
import type { Clock } from '@pointsman/engine';
import type { EntityValue } from '@pointsman/management';
import { HubPositions } from '@pointsman/azure';
import { Policy, Router } from '@pointsman/router';
import type { AutoLink, VhostRules } from '@pointsman/router';
import type { Backoff, DialOptions, TlsCredentials } from '@pointsman/transport';
import { EntityRefused } from '../config/config-source.js';
import type { ConfigSource } from '../config/config-source.js';
import { Users } from '../auth/users.js';
import type { ConnectorConfig, ListenerConfig, RouterConfig, SslProfileConfig } from '../config/model.js';
import type { Readiness } from '../http/http-site.js';
import { lineOf } from '../config/problems.js';
import { loadConfig } from '../config/read-config.js';
import type { Logger } from '../log.js';
import { configuredTables } from '../manage/configured-tables.js';
import { logTables } from '../manage/log-tables.js';
import { ManagementService } from '../manage/management-service.js';
import { policyTables } from '../manage/policy-tables.js';
import { processTables } from '../manage/process-tables.js';
import { differenceOf, fileEntities } from './config-difference.js';
import type { FileEntity } from './config-difference.js';
import type { Environment } from './environment-proxy.js';
import { ConnectorRuntime } from './connector.js';
import { destinationOf } from './destination.js';
import { HubPositionFile } from './hub-position-file.js';
import { ListenerRuntime } from './listener-runtime.js';
import { ProtocolTrace } from './protocol-trace.js';
import { addRouting, isRoutingSection, removeRouting, runsRouting } from './routing-sections.js';
import { applyLogs, hintOf, reloadProblem, startOnlyChanges } from './reload.js';
import type { ReloadResult } from './reload.js';
import { TlsProfileRuntime } from './tls-profile.js';
import { VhostRuntime } from './vhost-runtime.js';
import { VERSION } from '../version.js';
import type { AmqpValue } from '@pointsman/wire';

export interface RouterProcessObserver {
  /** State of a connector's connection changed. */
  onConnector?(connector: ConnectorRuntime): void;
  /** Status of an autolink changed. */
  onAutoLink?(autoLink: AutoLink): void;
}

export interface RouterProcessOptions {
  readonly log: Logger;
  readonly observer?: RouterProcessObserver;
  /** How connectors look up the names of hosts. Default: that of the operating system. */
  readonly lookup?: DialOptions['lookup'];
  /** Time that the peer of a connector has to come as far as its open. Default: 30,000. */
  readonly openTimeoutMs?: number;
  /** When deliveries are looked for that are stuck, where it differs from the default of the router. Whole seconds. */
  readonly stuckDeliveries?: { readonly scanSeconds: number; readonly ageSeconds: number };
  /** Time that receivers have to settle what they hold when the router stops. Default: 2,000. */
  readonly settleMs?: number | undefined;
  /** Variables of the environment that name proxies. Default: those of the process. */
  readonly environment?: Environment;
  /** Waits between attempts of a connector to connect, where they differ from the default (1 s, doubled up to 30 s). */
  readonly backoff?: Partial<Backoff>;
  /** Time after which the loss of a connector's connection is nothing to speak of. Default: 5,000. */
  readonly stableMs?: number;
}

/** A port that is open. */
export interface OpenListener {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** Time that peers have to answer our close when the router stops. */
const STOP_GRACE_MS = 2_000;
/** Where nothing is said of it. */
const SETTLE_MS = 2_000;
/** How often it is looked whether all is settled. */
const SETTLE_LOOK_MS = 10;
/** Links named in the log that keep the router from stopping. */
const BUSY_LINKS_SHOWN = 20;
/** How often the files of sslProfiles are looked at for changes. */
const CERTIFICATE_CHECK_MS = 5_000;

/** The time of this process, for a core that has none of its own. */
export const PROCESS_CLOCK: Clock = {
  now: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
};

/** A router with its listeners and connectors, as a configuration has it and as management changes it. */
export class RouterProcess {
  readonly router: Router;
  /** What it was started with. */
  readonly config: RouterConfig;
  /** The entities of sections that there are now. */
  readonly source: ConfigSource;
  readonly #log: Logger;
  readonly #protocolTrace: ProtocolTrace;
  readonly #options: RouterProcessOptions;
  readonly #listeners = new Map<string, ListenerRuntime>();
  /** Removed, with somebody still connected. */
  readonly #leaving = new Set<ListenerRuntime>();
  readonly #connectors = new Map<string, ConnectorRuntime>();
  readonly #profiles = new Map<string, TlsProfileRuntime>();
  #management: ManagementService | undefined;
  #certificateTimer: NodeJS.Timeout | undefined;
  /** As it was last read, and its entities under the names that they run with. */
  #fileConfig: RouterConfig;
  #fileEntities: readonly FileEntity[];
  #reloading: Promise<unknown> = Promise.resolve();
  readonly #users: Users;
  readonly vhosts: VhostRuntime;
  /** All listeners are open, and nobody has asked to stop. */
  #isRunning = false;
  /** For good: nothing is opened any more. */
  #isStopping = false;
  /** How far event hubs have been read, and where that is written down. */
  readonly #positions: HubPositions;
  #positionFile: HubPositionFile | undefined;
  /** Connectors that were removed, until their connections have ended. */
  readonly #ending = new Set<Promise<void>>();

  /**
   * Reads certificates and keys; opens nothing yet.
   *
   * @throws TlsCredentialsError, ConnectorError where the configuration names something that cannot be used
   */
  constructor(config: RouterConfig, options: RouterProcessOptions) {
    const { log, observer = {} } = options;
    this.config = config;
    this.source = config.source.copy();
    this.#fileConfig = config;
    this.#fileEntities = fileEntities(config);
    this.#options = options;
    this.#users = new Users(config.router);
    this.#log = log;
    this.#protocolTrace = new ProtocolTrace(log);
    this.#positions = new HubPositions({ onMoved: () => this.#positionFile?.moved() });
    const { stuckDeliveries } = options;
    this.router = new Router({
      id: config.router.id,
      defaultDistribution: config.router.defaultDistribution,
      allowResumableLinkRoute: config.router.allowResumableLinkRoute,
      addresses: config.addresses,
      linkRoutes: config.linkRoutes,
      autoLinks: config.autoLinks,
      exchanges: config.exchanges,
      bindings: config.bindings,
      clock: PROCESS_CLOCK,
      random: Math.random,
      log: log.log.bind(log),
      policy: new Policy(config.policy, log.log.bind(log)),
      facts: () => routerFacts(config.router),
      ...(stuckDeliveries === undefined
        ? {}
        : { stuckScanSeconds: stuckDeliveries.scanSeconds, stuckAgeSeconds: stuckDeliveries.ageSeconds }),
    });
    this.vhosts = new VhostRuntime(this.router.policy, this.source, log);
    this.router.observer = { onAutoLink: (autoLink) => observer.onAutoLink?.(autoLink) };
    for (const profile of config.sslProfiles) this.#makeProfile(profile);
    for (const listener of config.listeners) this.#makeListener(listener);
    for (const connector of config.connectors) this.#makeConnector(connector);
  }

  get connectors(): readonly ConnectorRuntime[] {
    return [...this.#connectors.values()];
  }

  /** Ports that are open, with the numbers that the system chose where the configuration says 0. */
  get listeners(): readonly OpenListener[] {
    return [...this.#listeners.values()].flatMap(({ name, place }) => (place === undefined ? [] : { name, ...place }));
  }

  connector(name: string): ConnectorRuntime | undefined {
    return this.#connectors.get(name);
  }

  /** Its state included, where the port is not open. */
  listener(name: string): ListenerRuntime | undefined {
    return this.#listeners.get(name);
  }

  /**
   * Opens the listeners, then lets the connectors connect.
   *
   * @throws TransportError where a port cannot be opened; none is open then. PolicyError where a host of a vhost is not found,
   *   HubPositionFileError where the stateDir cannot be used
   */
  async start(): Promise<void> {
    this.#log.log('SERVER', 'info', `Container Name: ${this.config.router.id}`);
    this.#log.log('ROUTER', 'info', 'Router started in Standalone mode');
    const { stuckScanSeconds, stuckAgeSeconds } = this.router;
    this.#log.log(
      'ROUTER_CORE',
      'info',
      `Stuck delivery detection: Scan interval: ${stuckScanSeconds} seconds, Delivery age threshold: ${stuckAgeSeconds} seconds`,
    );
    await this.vhosts.load(this.config.vhosts);
    this.#openState();
    this.#management = new ManagementService({
      router: this.router,
      log: this.#log,
      tables: [
        ...this.router.tables(),
        ...configuredTables(this),
        ...policyTables(this),
        ...processTables(),
        ...logTables(this.#log),
      ],
      managementNodes: () => [],
    });
    for (const listener of this.#listeners.values()) {
      try {
        await listener.open();
      } catch (error) {
        listener.failedAtStart(error);
        await this.stop(0);
        throw error;
      }
    }
    this.#log.log('SERVER', 'notice', `Operational, 1 Threads Running (process ID ${process.pid})`);
    for (const listener of this.#listeners.values()) listener.announce();
    for (const connector of this.#connectors.values()) connector.start();
    this.#certificateTimer = setInterval(() => this.checkCertificates(), CERTIFICATE_CHECK_MS).unref();
    this.#isRunning = true;
  }

  /** @throws HubPositionFileError where it cannot be used */
  #openState(): void {
    const { stateDir } = this.config.router;
    if (stateDir === undefined) return;
    this.#positionFile = new HubPositionFile({
      folder: stateDir,
      log: (level, text) => this.#log.log('ROUTER_CORE', level, text),
      positions: () => this.#positions.all,
    });
    this.#positions.restore(this.#positionFile.known);
  }

  /** Closes all connections and ports. Resolves when nothing is left. */
  async stop(graceMs: number = STOP_GRACE_MS): Promise<void> {
    this.#isRunning = false;
    this.#isStopping = true;
    this.#management?.close();
    // What it opens is closed below.
    await this.#reloading;
    clearInterval(this.#certificateTimer);
    if (graceMs > 0) {
      for (const listener of this.#listeners.values()) void listener.stopListening();
      this.router.quiesce();
      await this.#settle();
    }
    this.router.close();
    await Promise.all([
      ...[...this.#listeners.values(), ...this.#leaving].map((listener) => listener.close(graceMs)),
      ...[...this.#connectors.values()].map((connector) => connector.stop(graceMs)),
      ...this.#ending,
    ]);
    await this.#positionFile?.close();
    this.#protocolTrace.close();
    this.#log.log('SERVER', 'notice', 'Shut Down');
  }

  /** Waits for what receivers make of the messages that they have, but not for long. */
  async #settle(): Promise<void> {
    const { router } = this;
    const { settleMs = SETTLE_MS } = this.#options;
    const say = (level: 'info' | 'warning', text: string): void => this.#log.log('SERVER', level, `Stopping: ${text}`);
    const begun = router.deliveriesInFlight;
    if (begun === 0 || settleMs === 0) return;
    say('info', `${begun} deliveries in flight have ${settleMs} ms to be settled`);
    const start = performance.now();
    while (router.deliveriesInFlight > 0 && performance.now() < start + settleMs) {
      await new Promise((resolve) => {
        setTimeout(resolve, SETTLE_LOOK_MS);
      });
    }
    const left = router.deliveriesInFlight;
    if (left === 0) return say('info', `all were settled after ${Math.ceil(performance.now() - start)} ms`);
    for (const { connection, id, unsettledCount, owningKey } of router.busyLinks.slice(0, BUSY_LINKS_SHOWN)) {
      say(
        'warning',
        `[C${connection.id}][L${id}] ${unsettledCount} not settled by a receiver of ${owningKey ?? 'nothing'}`,
      );
    }
    say('warning', `${left} deliveries were not settled in time; their senders are told so`);
  }

  /**
   * A new listener, by the attributes of its section. A port that cannot be opened is tried again with growing waits, up
   * to half a minute, until the listener is removed: its status says so, and the log. Resolves after the first attempt.
   *
   * @throws EntityRefused where a rule of configurations is broken
   */
  async addListener(attributes: EntityValue): Promise<ListenerRuntime> {
    const { config } = this.source.add('listener', attributes);
    const listener = this.#makeListener(config.listeners.at(-1)!);
    await listener.openWhenPossible();
    return listener;
  }

  /** Closes the port. Connections that were made there stay. @returns whether there was such a listener */
  removeListener(name: string): boolean {
    const listener = this.#listeners.get(name);
    if (listener === undefined) return false;
    this.#listeners.delete(name);
    this.source.remove('listener', name);
    this.#leaving.add(listener);
    void listener.stopListening().then(() => this.#leaving.delete(listener));
    return true;
  }

  /**
   * A new connector, by the attributes of its section. It starts at once.
   *
   * @throws EntityRefused where a rule of configurations is broken, ConnectorError where its connection string cannot be used
   */
  addConnector(attributes: EntityValue): ConnectorRuntime {
    const { name, config } = this.source.add('connector', attributes);
    try {
      const connector = this.#makeConnector(config.connectors.at(-1)!);
      connector.start();
      return connector;
    } catch (error) {
      this.source.remove('connector', name);
      throw error;
    }
  }

  /** Closes its connection, too. @returns whether there was such a connector */
  removeConnector(name: string): boolean {
    const connector = this.#connectors.get(name);
    if (connector === undefined) return false;
    this.#connectors.delete(name);
    this.source.remove('connector', name);
    const ending = connector.stop(STOP_GRACE_MS).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
    return true;
  }

  /**
   * @returns its name
   * @throws EntityRefused where a rule of configurations is broken, TlsCredentialsError where a file does not do
   */
  addSslProfile(attributes: EntityValue): string {
    const { name, config } = this.source.add('sslProfile', attributes);
    try {
      this.#makeProfile(config.sslProfiles.at(-1)!);
    } catch (error) {
      this.source.remove('sslProfile', name);
      throw error;
    }
    return name;
  }

  /**
   * @returns whether there was such a profile
   * @throws EntityRefused while a listener or connector uses it
   */
  removeSslProfile(name: string): boolean {
    if (!this.#profiles.has(name)) return false;
    const user = [...this.#listeners.values(), ...this.#connectors.values()].find(
      ({ config }) => config.sslProfile === name,
    );
    if (user !== undefined) {
      throw new EntityRefused(`sslProfile '${name}' is in use: '${user.name}' refers to it; delete that first`);
    }
    this.#profiles.delete(name);
    this.source.remove('sslProfile', name);
    return true;
  }

  /**
   * Reads the configuration file again and applies what has changed in it since it was last read. What has not changed
   * stays as it is, its connections included, and so does what management has created. A file with a mistake changes
   * nothing. What came of it is in the log, too.
   */
  reload(): Promise<ReloadResult> {
    // One after the other: each starts from what the one before has left.
    const turn = this.#reloading.then(() => this.#reloadNow());
    this.#reloading = turn.catch(() => undefined);
    return turn;
  }

  async #reloadNow(): Promise<ReloadResult> {
    const result = await this.#reloaded();
    if (result.ok) {
      const { changes, restart } = result;
      for (const change of changes) this.#log.log('AGENT', 'info', `Configuration reloaded: ${change}`);
      for (const what of restart) {
        this.#log.log('AGENT', 'warning', `Configuration reloaded: ${what} counts from the next start on`);
      }
      this.#log.log('AGENT', 'notice', `Configuration reloaded from ${this.config.file}, changes: ${changes.length}`);
    } else {
      for (const problem of result.problems) {
        const { file, line } = problem;
        const place = line === undefined ? file : `${file}:${line}`;
        const what = lineOf(problem);
        this.#log.log('AGENT', 'error', `Configuration not reloaded, nothing has changed: ${place}: ${what}`);
      }
    }
    return result;
  }

  async #reloaded(): Promise<ReloadResult> {
    const { file } = this.config;
    if (this.#isStopping) return reloadProblem(file, 'the router is stopping');
    const loaded = loadConfig(file);
    if (!loaded.ok) return { ok: false, problems: loaded.problems.filter(({ severity }) => severity === 'error') };
    const { config, warnings } = loaded;
    const { removed, added: found, kept } = differenceOf(this.#fileEntities, fileEntities(config));
    const stays = new Set(kept.map(([old]) => `${old.section} ${old.name}`));
    const added = found.map((entity) => ({ ...entity, fromName: entity.name }));
    for (const entity of added) {
      const { section, isNamed } = entity;
      // A made-up name may have moved on to another section, while the one that had it stays.
      for (let n = 0; !isNamed && isRoutingSection(section) && stays.has(`${section} ${entity.name}`); n++)
        entity.name = `${section}/${n}`;
      stays.add(`${section} ${entity.name}`);
    }
    const isNew = (section: string, name: string): boolean =>
      added.some((entity) => entity.section === section && entity.name === name);
    const profiles: TlsProfileRuntime[] = [];
    const listeners = config.listeners.filter(({ name }) => isNew('listener', name));
    const connectors = config.connectors.filter(({ name }) => isNew('connector', name));
    const before = this.#fileConfig;
    const newVhosts = config.vhosts.filter(({ name }) => isNew('vhost', name));
    let vhostRules: VhostRules[] = [];
    let logModules: string[];
    try {
      // First of all: what management does while hosts are looked up is seen by what follows.
      if (newVhosts.length > 0) vhostRules = await this.vhosts.read(newVhosts);
      if (this.#isStopping) return reloadProblem(file, 'the router is stopping');
      for (const { section, name } of added) this.#refuseForeign(section, name, removed);
      for (const profile of config.sslProfiles) {
        if (isNew('sslProfile', profile.name)) profiles.push(new TlsProfileRuntime(profile, file));
      }
      for (const connector of connectors)
        destinationOf(connector, `connector ${connector.name}`, false, this.#options.environment);
      logModules = applyLogs(this.#log, before.logs, config.logs);
    } catch (error) {
      return reloadProblem(file, error);
    }

    const changes = logModules.map((module) => `log ${module} changed`);
    for (const profile of profiles) {
      const { name } = profile.config;
      this.#profiles.set(name, profile);
      for (const listener of this.#listeners.values()) {
        if (listener.config.sslProfile === name) listener.renew(profile.credentials);
      }
    }
    const goneVhosts: string[] = [];
    for (const { section, name } of removed) {
      const wasThere = isRoutingSection(section)
        ? removeRouting(this.router, section, name)
        : section === 'listener'
          ? this.removeListener(name)
          : section === 'connector'
            ? this.removeConnector(name)
            : section === 'vhost' && this.source.find(section, name) !== undefined;
      if (wasThere) changes.push(`${section} ${name} removed`);
      if (section === 'vhost') goneVhosts.push(String(this.source.find(section, name)?.value['hostname']));
      if (isRoutingSection(section) || section === 'vhost') this.source.remove(section, name);
    }
    this.source.adopt(config.source, [
      ...kept
        .filter(([old]) => this.source.find(old.section, old.name) !== undefined)
        .filter(([old]) => old.section !== 'vhost' || !this.source.isOfManagement('vhost', old.name))
        .map(([old, now]) => ({ section: old.section, name: old.name, fromName: now.name })),
      ...added,
    ]);
    for (const { section, name, fromName } of added)
      if (isRoutingSection(section)) addRouting(this.router, config, section, fromName, name);
    this.vhosts.change(
      goneVhosts.filter((hostname) => !vhostRules.some((rules) => rules.hostname === hostname)),
      vhostRules,
    );
    await Promise.all(listeners.map((listener) => this.#makeListener(listener).openWhenPossible()));
    for (const connector of connectors) this.#makeConnector(connector).start();
    for (const { section, name } of removed) {
      if (section === 'sslProfile' && !isNew(section, name)) this.#forgetProfile(name, changes);
    }
    const restart = startOnlyChanges(before, config);
    for (const { section, name } of added) {
      if (section !== 'log') changes.push(`${section} ${name} added or changed`);
    }
    this.#fileConfig = config;
    this.#fileEntities = [...kept.map(([old]) => old), ...added];
    this.checkCertificates(true);
    return { ok: true, changes, restart, warnings };
  }

  /** @throws EntityRefused where something runs under that name that is not of the file, or stays */
  #refuseForeign(section: string, name: string, removed: readonly FileEntity[]): void {
    const isTaken = isRoutingSection(section)
      ? runsRouting(this.router, section, name)
      : this.source.find(section, name) !== undefined && section !== 'log';
    if (!isTaken || removed.some((entity) => entity.section === section && entity.name === name)) return;
    throw new EntityRefused(`there is a ${section} '${name}' already; give the new one another name`);
  }

  #forgetProfile(name: string, changes: string[]): void {
    try {
      if (this.removeSslProfile(name)) changes.push(`sslProfile ${name} removed`);
    } catch (error) {
      if (!(error instanceof EntityRefused)) throw error;
      this.#log.log('AGENT', 'warning', `Configuration reloaded: ${error.message}`);
    }
  }

  /**
   * Reads the files of sslProfiles again where they have changed; done every few seconds. New connections get what is new,
   * those that are there stay as they are. What does not do is logged, and the old certificate stays in use.
   *
   * @param atOnce - also files that may still be in the middle of a change
   */
  checkCertificates(atOnce = false): void {
    for (const [name, profile] of this.#profiles) {
      try {
        if (!profile.refresh(atOnce)) continue;
        this.#warnOf(profile.credentials);
        for (const listener of this.#listeners.values()) {
          if (listener.config.sslProfile === name) listener.renew(profile.credentials);
        }
        this.#log.log('CONN_MGR', 'info', `Files of sslProfile ${name} have changed: new connections use them`);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        const cure = hintOf(error) ?? '';
        const text = `Files of sslProfile ${name} have changed and cannot be used: ${why} ${cure}`.trimEnd();
        this.#log.log('CONN_MGR', 'error', text);
      }
    }
  }

  get #readiness(): Readiness {
    const listeners = [...this.#listeners.values()];
    return {
      isRunning: this.#isRunning,
      closedListeners: listeners.filter(({ status }) => status !== 'open').map(({ name }) => name),
      connectors: this.connectors.map(({ name, step, hasBeenOpen, tokens, nodes, lateCount }) => ({
        name,
        isOpen: step === 'open',
        hasBeenOpen,
        tokens,
        nodes,
        lateCount,
      })),
    };
  }

  #makeProfile(config: SslProfileConfig): void {
    const profile = new TlsProfileRuntime(config, this.config.file);
    this.#warnOf(profile.credentials);
    this.#profiles.set(config.name, profile);
    this.#log.log('CONN_MGR', 'info', `Created SSL Profile with name ${config.name}`);
  }

  #makeListener(config: ListenerConfig): ListenerRuntime {
    const { router } = this;
    const listener = new ListenerRuntime(config, {
      router,
      log: this.#log,
      protocolTrace: this.#protocolTrace,
      credentials: () => this.#credentialsOf(config.sslProfile),
      naming: () => this.#profileOf(config.sslProfile)?.naming ?? {},
      users: this.#users,
      readiness: () => this.#readiness,
    });
    this.#listeners.set(config.name, listener);
    const problem = config.saslMechanisms?.includes('PLAIN') === true ? this.#users.problem : undefined;
    if (problem !== undefined)
      this.#log.log('CONN_MGR', 'error', `Nobody can log in by password at listener ${config.name}: ${problem}`);
    this.#logConfigured('Listener', `${config.host}:${config.port}`, config);
    return listener;
  }

  #makeConnector(config: ConnectorConfig): ConnectorRuntime {
    const { log, observer = {}, lookup, openTimeoutMs, backoff, stableMs, environment } = this.#options;
    const connector = new ConnectorRuntime(config, {
      router: this.router,
      file: this.config.file,
      log,
      protocolTrace: this.#protocolTrace,
      credentials: () => this.#credentialsOf(config.sslProfile),
      lookup,
      openTimeoutMs,
      ...(environment === undefined ? {} : { environment }),
      backoff,
      stableMs,
      positions: this.#positions,
      onChange: (changed) => observer.onConnector?.(changed),
    });
    this.#connectors.set(config.name, connector);
    this.#logConfigured('Connector', connector.target, config);
    return connector;
  }

  #credentialsOf(profile: string | undefined): TlsCredentials | undefined {
    return this.#profileOf(profile)?.credentials;
  }

  #profileOf(name: string | undefined): TlsProfileRuntime | undefined {
    return name === undefined ? undefined : this.#profiles.get(name);
  }

  #warnOf({ warnings }: TlsCredentials): void {
    for (const warning of warnings) this.#log.log('CONN_MGR', 'warning', warning);
  }

  #logConfigured(what: string, place: string, config: ListenerConfig | ConnectorConfig): void {
    const { role, sslProfile } = config;
    const http = 'http' in config && config.http ? ', http' : '';
    const tls = sslProfile === undefined ? '' : `, sslProfile=${sslProfile}`;
    this.#log.log('CONN_MGR', 'info', `Configured ${what}: ${place} proto=any, role=${role}${http}${tls}`);
  }
}

/** What management shows of the router that only its process knows. */
function routerFacts(settings: RouterConfig['router']): Record<string, AmqpValue> {
  return {
    version: VERSION,
    hostName: hostname(),
    memoryUsage: process.memoryUsage.rss(),
    workerThreads: settings.workerThreads,
    metadata: settings.metadata ?? null,
    helloIntervalSeconds: settings.helloIntervalSeconds,
    helloMaxAgeSeconds: settings.helloMaxAgeSeconds,
    raIntervalSeconds: settings.raIntervalSeconds,
    raIntervalFluxSeconds: settings.raIntervalFluxSeconds,
    remoteLsMaxAgeSeconds: settings.remoteLsMaxAgeSeconds,
    debugDumpFile: settings.debugDumpFile ?? null,
    stateDir: settings.stateDir ?? null,
    saslConfigDir: settings.saslConfigDir ?? null,
    saslConfigName: settings.saslConfigName,
    allowResumableLinkRoute: settings.allowResumableLinkRoute,
    allowUnsettledMulticast: settings.allowUnsettledMulticast,
    timestampsInUTC: settings.timestampsInUTC,
    timestampFormat: settings.timestampFormat ?? null,
    defaultDistribution: settings.defaultDistribution,
  };
}
