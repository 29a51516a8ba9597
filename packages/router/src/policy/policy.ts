// SPDX-License-Identifier: Apache-2.0
import { PatternTree, normalisedPattern } from '../pattern-tree.js';
import type { Log } from '../settings.js';
import { ConnectionPolicy } from './connection-policy.js';
import type { Policed } from './connection-policy.js';
import { PolicyError } from './policy-error.js';
import { VhostCounts } from './vhost-counts.js';
import { CONNECTOR_GROUP } from './vhost-rules.js';
import type { GroupRules, VhostRules } from './vhost-rules.js';

export interface PolicySettings {
  /** Of all listeners together. */
  readonly maxConnections: number;
  /** Bytes; 0: no limit. For vhosts that say nothing of it. */
  readonly maxMessageSize: number;
  readonly enableVhostPolicy: boolean;
  readonly enableVhostNamePatterns: boolean;
  /** Vhost of those whose host name has none of its own. */
  readonly defaultVhost: string;
}

/** Everybody may do everything, and 65,535 may connect. */
export const OPEN_POLICY: PolicySettings = {
  maxConnections: 65_535,
  maxMessageSize: 0,
  enableVhostPolicy: false,
  enableVhostNamePatterns: false,
  defaultVhost: '$default',
};

/** A connection whose open has come, and what decides about it. */
export interface Opening extends Policed {
  readonly direction: 'in' | 'out';
  readonly role: 'normal' | 'route-container' | 'inter-router' | 'edge';
  /** `host:port` of the peer. */
  readonly peer: string;
  /** Name of the connector. */
  readonly name: string;
  /** Vhost that the listener or connector names. */
  readonly policyVhost: string | undefined;
}

/** Of who is let in: what they may do, undefined where nothing is restricted, and the vhost where it is not the host name. */
export type Verdict =
  | { readonly denied: false; readonly policy: ConnectionPolicy | undefined; readonly space: string | undefined }
  | { readonly denied: true; readonly reason: string };

const UNRESTRICTED: Verdict = { denied: false, policy: undefined, space: undefined };

/** Who may connect to the router and what they may do there: the vhosts, and what they have let in and refused. */
export class Policy {
  readonly settings: PolicySettings;
  readonly log: Log;
  readonly #vhosts = new Map<string, VhostRules>();
  readonly #aliases = new Map<string, string>();
  /** Host names and aliases of vhosts, where those are patterns. */
  readonly #patterns = new PatternTree<string>();
  readonly #counts = new Map<string, VhostCounts>();
  /** Connections of listeners: seen, refused by {@link PolicySettings.maxConnections}, open. */
  readonly sockets: { processed: number; denied: number; current: number } = { processed: 0, denied: 0, current: 0 };
  /** What was refused of those who had been let in. */
  readonly denials: { sessions: number; links: number; messages: number } = { sessions: 0, links: 0, messages: 0 };

  constructor(settings: PolicySettings = OPEN_POLICY, log: Log = () => undefined) {
    this.settings = settings;
    this.log = log;
  }

  get totalDenials(): number {
    const { sessions, links, messages } = this.denials;
    return this.sockets.denied + sessions + links + messages;
  }

  /** Of every vhost that there is or was, the first first. */
  get counts(): Iterable<VhostCounts> {
    return this.#counts.values();
  }

  // ---- vhosts ----

  /** Adds a vhost, or puts it in the place of the one with its name. @throws PolicyError; then nothing has changed */
  set(rules: VhostRules): void {
    this.check(rules);
    const { hostname } = rules;
    const old = this.#vhosts.get(hostname);
    if (old !== undefined) this.#forgetNames(old);
    this.#vhosts.set(hostname, rules);
    for (const alias of rules.aliases) this.#aliases.set(alias, hostname);
    for (const name of namesOf(rules)) if (this.settings.enableVhostNamePatterns) this.#patterns.add(name, name);
    if (!this.#counts.has(hostname)) this.#counts.set(hostname, new VhostCounts(hostname));
    const what = old === undefined ? 'Created' : 'Updated';
    this.log('POLICY', 'info', `${what} policy rules for vhost ${hostname}`);
  }

  /** Whether {@link set} would do it. @throws PolicyError */
  check(rules: VhostRules): void {
    this.#checkNames(rules);
    if (this.settings.enableVhostNamePatterns) this.#checkPatterns(rules);
  }

  /** Takes the rules of a vhost away. Who is connected keeps what they were given. @returns whether there were any */
  remove(hostname: string): boolean {
    const rules = this.#vhosts.get(hostname);
    if (rules === undefined) return false;
    this.#vhosts.delete(hostname);
    this.#forgetNames(rules);
    this.log('POLICY', 'info', `Deleted policy rules for vhost ${hostname}`);
    return true;
  }

  #forgetNames(rules: VhostRules): void {
    for (const alias of rules.aliases) this.#aliases.delete(alias);
    for (const name of namesOf(rules)) this.#patterns.remove(name);
  }

  #checkNames({ hostname, aliases }: VhostRules): void {
    const owner = this.#aliases.get(hostname);
    if (owner !== undefined && owner !== hostname)
      throw new PolicyError(
        `Policy is creating vhost '${hostname}' but that name is already an alias for vhost '${owner}'`,
      );
    for (const alias of aliases) {
      if (this.#vhosts.has(alias)) {
        throw new PolicyError(
          `Policy for vhost '${hostname}' defines alias '${alias}' which conflicts with an existing vhost named '${alias}'`,
        );
      }
      const other = this.#aliases.get(alias);
      if (other === undefined || other === hostname) continue;
      throw new PolicyError(
        `Policy for vhost '${hostname}' alias '${alias}' conflicts with existing alias for vhost '${other}'`,
      );
    }
  }

  #checkPatterns(rules: VhostRules): void {
    const own = new Set<string>();
    for (const name of namesOf(rules)) {
      const pattern = normalisedPattern(name);
      const other = this.#patterns.get(name);
      const isTaken = other !== undefined && (this.#aliases.get(other) ?? other) !== rules.hostname;
      if (isTaken || own.has(pattern)) {
        throw new PolicyError(
          `Policy for vhost '${rules.hostname}' alias '${name}' optimized pattern conflicts with existing pattern`,
        );
      }
      own.add(pattern);
    }
  }

  // ---- connections ----

  /** A connection has come in at a listener. @returns whether it may stay; then {@link socketClosed} follows */
  admitSocket(host: string): boolean {
    const { sockets } = this;
    sockets.processed++;
    const isAllowed = sockets.current < this.settings.maxConnections;
    if (isAllowed) sockets.current++;
    else sockets.denied++;
    this.log(
      'POLICY',
      isAllowed ? 'trace' : 'info',
      `${isAllowed ? 'ALLOW' : 'DENY'} Connection '${host}' based on global connection count. nConnections= ${sockets.current}`,
    );
    return isAllowed;
  }

  socketClosed(): void {
    this.sockets.current--;
  }

  /** The peer's open has come: whether the connection may stay, and what it may do. */
  open(opening: Opening): Verdict {
    const { direction, role, policyVhost } = opening;
    if (!this.settings.enableVhostPolicy || role === 'inter-router') return UNRESTRICTED;
    if (direction === 'in') return this.#openIncoming(opening);
    return policyVhost === undefined || role === 'edge' ? UNRESTRICTED : this.#openOutgoing(opening, policyVhost);
  }

  #openIncoming(opening: Opening): Verdict {
    const { id, user, host, vhost, peer, policyVhost } = opening;
    const rules = this.#find(policyVhost ?? vhost);
    const counts = rules === undefined ? undefined : this.#counts.get(rules.hostname);
    const group = rules?.groupOf(user);
    const reasons =
      rules === undefined || counts === undefined
        ? ['No policy defined for vhost']
        : group === undefined
          ? ['User is not in a user group and unknown users are denied']
          : !group.remoteHosts.allows(host)
            ? ['User is not allowed to connect from this network host']
            : limitsReached(rules, group, counts, user, host);
    if (rules === undefined || counts === undefined || group === undefined || reasons.length > 0) {
      if (counts !== undefined) counts.denied++;
      for (const reason of reasons)
        this.log('POLICY', 'info', `DENY AMQP Open for user '${user}', rhost '${host}', vhost '${vhost}': ${reason}`);
      return { denied: true, reason: reasons.join(', ') };
    }
    counts.opened(id, user, host, peer);
    this.log(
      'POLICY',
      'trace',
      `[C${id}] ALLOW AMQP Open lookup_user: ${user}, rhost: ${host}, vhost: ${vhost}, connection: ${peer}. Usergroup: '${group.name}'`,
    );
    return {
      denied: false,
      policy: new ConnectionPolicy(this, group, counts, opening, this.#messageSizeOf(rules, group), true),
      space: rules.hostname === vhost ? undefined : rules.hostname,
    };
  }

  #openOutgoing(opening: Opening, policyVhost: string): Verdict {
    const rules = this.#find(policyVhost);
    const group = rules?.groups.get(CONNECTOR_GROUP);
    if (rules === undefined || group === undefined) {
      const reason = `Failed to find policyVhost settings for connection '${opening.name}', policyVhost: '${policyVhost}'`;
      this.log('POLICY', 'error', `[C${opening.id}] ${reason}`);
      return { denied: true, reason };
    }
    const counts = this.#counts.get(rules.hostname);
    return {
      denied: false,
      policy: new ConnectionPolicy(this, group, counts, opening, this.#messageSizeOf(rules, group), false),
      space: undefined,
    };
  }

  /** The vhost that a host name means. */
  #find(name: string): VhostRules | undefined {
    const matched = this.settings.enableVhostNamePatterns ? this.#patterns.match(name) : name;
    const meant = matched === undefined ? undefined : (this.#aliases.get(matched) ?? matched);
    return (meant === undefined ? undefined : this.#vhosts.get(meant)) ?? this.#vhosts.get(this.settings.defaultVhost);
  }

  #messageSizeOf(rules: VhostRules, group: GroupRules): number {
    return group.maxMessageSize ?? rules.maxMessageSize ?? this.settings.maxMessageSize;
  }
}

/** Its host name and aliases. */
function namesOf({ hostname, aliases }: VhostRules): readonly string[] {
  return [hostname, ...aliases];
}

/** Limits on connections that one more would exceed. */
function limitsReached(
  rules: VhostRules,
  group: GroupRules,
  counts: VhostCounts,
  user: string,
  host: string,
): readonly string[] {
  const perUser = group.maxConnectionsPerUser ?? rules.maxConnectionsPerUser;
  const perHost = group.maxConnectionsPerHost ?? rules.maxConnectionsPerHost;
  return [
    counts.current < rules.maxConnections ? undefined : 'Connection denied by application connection limit',
    counts.ofUser(user) < perUser ? undefined : 'Connection denied by application per user limit',
    counts.ofHost(host) < perHost ? undefined : 'Connection denied by application per host limit',
  ].filter((reason) => reason !== undefined);
}
