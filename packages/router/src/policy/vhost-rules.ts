// SPDX-License-Identifier: Apache-2.0
import type { AttributeValue, EntityValue } from '@pointsman/management';
import { HostRules } from './host-rules.js';
import type { HostAddresses } from './host-rules.js';
import { NO_NAMES, NameList, NamePatterns, USER_TOKEN, isUserPattern } from './name-rules.js';
import type { NameRules } from './name-rules.js';
import { PolicyError } from './policy-error.js';

/** Group of those whom no other group lists, and of the links of connectors. */
export const DEFAULT_GROUP = '$default';
export const CONNECTOR_GROUP = '$connector';
/** As a user: everybody whom no other group lists. */
const ANY_USER = '*';

/** What the users of a group may do. */
export interface GroupRules {
  readonly name: string;
  readonly remoteHosts: HostRules;
  /** Undefined, here and below: as the vhost has it. */
  readonly maxConnectionsPerUser: number | undefined;
  readonly maxConnectionsPerHost: number | undefined;
  /** Bytes; 0: no limit. */
  readonly maxMessageSize: number | undefined;
  /** 0: as the listener has it. The window is in bytes. */
  readonly maxFrameSize: number;
  readonly maxSessionWindow: number;
  readonly maxSessions: number;
  /** 0: no limit. */
  readonly maxSenders: number;
  readonly maxReceivers: number;
  readonly allowDynamicSource: boolean;
  readonly allowAnonymousSender: boolean;
  readonly allowUserIdProxy: boolean;
  readonly allowWaypointLinks: boolean;
  readonly allowFallbackLinks: boolean;
  readonly allowDynamicLinkRoutes: boolean;
  readonly allowAdminStatusUpdate: boolean;
  readonly sources: NameRules;
  readonly targets: NameRules;
}

/** Who may connect to a host name, and what they may do there. */
export interface VhostRules {
  readonly hostname: string;
  readonly aliases: readonly string[];
  readonly maxConnections: number;
  readonly maxConnectionsPerUser: number;
  readonly maxConnectionsPerHost: number;
  readonly maxMessageSize: number | undefined;
  readonly groups: ReadonlyMap<string, GroupRules>;
  /** The group of a user who is let in by name, or because anybody is. */
  groupOf(user: string): GroupRules | undefined;
}

const CONNECTIONS_MAX = 65_535;
const NO_LIMIT = 2_147_483_647;

/**
 * Reads the attributes of a vhost as a configuration has them: whatever is wrong within its groups is found here.
 *
 * @param attributes - valid by the schema
 * @param addressesOf - of the hosts that it names
 * @param warn - hears of what is ignored
 * @throws PolicyError
 */
export function readVhost(
  attributes: EntityValue,
  addressesOf: HostAddresses,
  warn: (text: string) => void = () => undefined,
): VhostRules {
  const hostname = textOf(attributes['hostname']);
  const errors: string[] = [];
  const aliases = listOf(attributes['aliases']) ?? [];
  const all = aliasTexts(attributes['aliases']);
  if (all.includes(hostname) && hostname !== '')
    errors.push(`Policy vhost '${hostname}' option 'aliases' value '${hostname}' duplicates vhost name`);
  const twice = all.find((alias, at) => all.indexOf(alias) !== at);
  if (twice !== undefined) errors.push(`Policy vhost '${hostname}' option 'aliases' value '${twice}' is duplicated`);

  const groups = new Map<string, GroupRules>();
  const groupOfUser = new Map<string, string>();
  for (const [name, settings] of Object.entries(mapOf(attributes['groups']) ?? {})) {
    const reader = new GroupReader(hostname, name, settings, errors, warn);
    groups.set(name, reader.read(addressesOf));
    for (const user of reader.users) {
      const other = groupOfUser.get(user);
      if (other === undefined) groupOfUser.set(user, name);
      else if (other !== name)
        errors.push(`Policy vhost '${hostname}' user '${user}' is in multiple user groups '${other}' and '${name}'`);
    }
  }
  const allowUnknownUser = attributes['allowUnknownUser'] === true;
  if (allowUnknownUser && !groups.has(DEFAULT_GROUP))
    errors.push(`Policy vhost '${hostname}' allows connections by default but default settings are not defined`);
  if (errors.length > 0) throw new PolicyError(`Policy '${hostname}' is invalid: ${errors.join('; ')}`);
  return {
    hostname,
    aliases,
    maxConnections: numberOf(attributes['maxConnections']) ?? CONNECTIONS_MAX,
    maxConnectionsPerUser: numberOf(attributes['maxConnectionsPerUser']) ?? CONNECTIONS_MAX,
    maxConnectionsPerHost: numberOf(attributes['maxConnectionsPerHost']) ?? CONNECTIONS_MAX,
    maxMessageSize: numberOf(attributes['maxMessageSize']),
    groups,
    groupOf(user) {
      // A group without users holds the empty name, and nobody is called that or an asterisk.
      const own = user === '' || user === ANY_USER ? undefined : groupOfUser.get(user);
      const group = own ?? groupOfUser.get(ANY_USER) ?? (allowUnknownUser ? DEFAULT_GROUP : undefined);
      return group === undefined ? undefined : groups.get(group);
    },
  };
}

/** Names of hosts in the groups of a vhost, whose addresses have to be looked up. */
export function hostNamesOf(attributes: EntityValue): ReadonlySet<string> {
  const names = new Set<string>();
  for (const settings of Object.values(mapOf(attributes['groups']) ?? {})) {
    const items = listOf(mapOf(settings)?.['remoteHosts']) ?? [];
    HostRules.read(
      items,
      (name) => {
        names.add(name);
        return undefined;
      },
      () => undefined,
    );
  }
  return names;
}

/** Numbers of a group with their least and greatest values. */
const NUMBERS = {
  maxConnectionsPerUser: [0, CONNECTIONS_MAX],
  maxConnectionsPerHost: [0, CONNECTIONS_MAX],
  maxMessageSize: [0, undefined],
  maxFrameSize: [0, undefined],
  maxSessionWindow: [0, undefined],
  maxSessions: [0, undefined],
  maxSenders: [0, undefined],
  maxReceivers: [0, undefined],
} as const satisfies Readonly<Record<string, readonly [number, number | undefined]>>;

/** Permissions of a group, and what holds where nothing is said. */
const FLAGS = {
  allowDynamicSource: false,
  allowAnonymousSender: false,
  allowUserIdProxy: false,
  allowWaypointLinks: true,
  allowFallbackLinks: true,
  allowDynamicLinkRoutes: true,
  allowAdminStatusUpdate: true,
} as const;

const LISTS = ['users', 'remoteHosts', 'sources', 'targets', 'sourcePattern', 'targetPattern'] as const;

type NumberName = keyof typeof NUMBERS;
type FlagName = keyof typeof FLAGS;
type ListName = (typeof LISTS)[number];

/** Reads one group of a vhost. */
class GroupReader {
  /** Whom the group lists; the empty name where it lists nobody. */
  users: readonly string[] = [''];
  readonly #settings: Readonly<Record<string, AttributeValue>>;
  readonly #name: string;
  /** For messages. */
  readonly #place: string;
  readonly #errors: string[];

  constructor(vhost: string, name: string, settings: AttributeValue, errors: string[], warn: (text: string) => void) {
    this.#name = name;
    this.#place = `Policy vhost '${vhost}' user group '${name}'`;
    this.#errors = errors;
    const map = mapOf(settings);
    if (map === undefined) this.#refuse('must be a map of its settings');
    this.#settings = map ?? {};
    for (const key of Object.keys(this.#settings)) {
      const isFlag = Object.hasOwn(FLAGS, key);
      const isKnown = isFlag || Object.hasOwn(NUMBERS, key) || (LISTS as readonly string[]).includes(key);
      if (!isKnown) warn(`${this.#place} option '${key}' is ignored.`);
      else if (isFlag && isOtherTrue(this.#settings[key]))
        warn(`${this.#place} option '${key}' is false: '${shown(this.#settings[key])}' has to be in lower case.`);
    }
  }

  read(addressesOf: HostAddresses): GroupRules {
    const users = this.#list('users');
    if (users.length > 0) this.users = users;
    const hosts = this.#list('remoteHosts');
    const remoteHosts = HostRules.read(hosts, addressesOf, (item, reason) =>
      this.#refuse(`option 'remoteHosts' connectionOption '${item}' failed to translate: '${reason}'.`),
    );
    return {
      name: this.#name,
      remoteHosts,
      maxConnectionsPerUser: this.#number('maxConnectionsPerUser'),
      maxConnectionsPerHost: this.#number('maxConnectionsPerHost'),
      maxMessageSize: this.#number('maxMessageSize'),
      maxFrameSize: this.#number('maxFrameSize') ?? 0,
      maxSessionWindow: this.#number('maxSessionWindow') ?? 0,
      maxSessions: this.#number('maxSessions') ?? 0,
      maxSenders: this.#number('maxSenders') ?? NO_LIMIT,
      maxReceivers: this.#number('maxReceivers') ?? NO_LIMIT,
      allowDynamicSource: this.#flag('allowDynamicSource'),
      allowAnonymousSender: this.#flag('allowAnonymousSender'),
      allowUserIdProxy: this.#flag('allowUserIdProxy'),
      allowWaypointLinks: this.#flag('allowWaypointLinks'),
      allowFallbackLinks: this.#flag('allowFallbackLinks'),
      allowDynamicLinkRoutes: this.#flag('allowDynamicLinkRoutes'),
      allowAdminStatusUpdate: this.#flag('allowAdminStatusUpdate'),
      sources: this.#names('sources', 'sourcePattern'),
      targets: this.#names('targets', 'targetPattern'),
    };
  }

  #number(name: NumberName): number | undefined {
    const value = this.#settings[name];
    if (value === undefined || value === null) return undefined;
    const [min, max] = NUMBERS[name];
    const number = numberOf(value);
    const reason =
      number === undefined
        ? 'does not resolve to an integer.'
        : number < min
          ? `is below minimum '${min}'.`
          : max !== undefined && number > max
            ? `is above maximum '${max}'.`
            : undefined;
    if (reason === undefined) return number;
    this.#refuse(`option '${name}' has error 'Value '${shown(value)}' ${reason}'.`);
    return undefined;
  }

  #flag(name: FlagName): boolean {
    const value = this.#settings[name];
    if (value === undefined || value === null) return FLAGS[name];
    if (typeof value === 'boolean') return value;
    if (value === 'true') return true;
    if (typeof value === 'string' && /^(?:true|false)$/iu.test(value)) return false;
    this.#refuse(`option '${name}' has illegal boolean value '${shown(value)}'.`);
    return false;
  }

  #list(name: ListName): readonly string[] {
    const value = this.#settings[name];
    if (value === undefined || value === null) return [];
    const list = listOf(value);
    if (list === undefined)
      this.#refuse(`option '${name}' has illegal value '${shown(value)}'. It must be text or a list of texts.`);
    return list ?? [];
  }

  #names(names: 'sources' | 'targets', patterns: 'sourcePattern' | 'targetPattern'): NameRules {
    if (this.#settings[names] !== undefined && this.#settings[patterns] !== undefined)
      this.#refuse(`specifies conflicting '${names}' and '${patterns}' attributes. Use only one or the other.`);
    const listed = this.#list(names);
    const matched = this.#list(patterns);
    for (const item of [...listed, ...matched]) {
      if (item.split(USER_TOKEN).length > 2) {
        const key = listed.includes(item) ? names : patterns;
        this.#refuse(`policy key '${key}' item '${item}' contains multiple user subtitution tokens`);
      }
    }
    for (const item of matched) {
      if (!item.includes(USER_TOKEN) || isUserPattern(item)) continue;
      this.#refuse(
        `policy key '${patterns}' item '${item}' may contain match pattern '${USER_TOKEN}' as a prefix or a suffix only.`,
      );
    }
    if (matched.length > 0) return new NamePatterns(matched);
    return listed.length > 0 ? new NameList(listed) : NO_NAMES;
  }

  #refuse(what: string): void {
    this.#errors.push(`${this.#place} ${what}`);
  }
}

function isOtherTrue(value: AttributeValue | undefined): boolean {
  return typeof value === 'string' && value !== 'true' && value.toLowerCase() === 'true';
}

function mapOf(value: AttributeValue | undefined): Readonly<Record<string, AttributeValue>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return value as Readonly<Record<string, AttributeValue>>;
}

/** Items of a list, or of text with commas, each once; undefined where it is neither. */
function listOf(value: AttributeValue | undefined): readonly string[] | undefined {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) {
    const items = value as readonly AttributeValue[];
    if (!items.every((item) => typeof item === 'string')) return undefined;
    return [...new Set(items.map((item) => item.trim()))].filter((item) => item !== '');
  }
  return typeof value === 'string' ? [...new Set(aliasTexts(value))] : undefined;
}

/** The same with what is there twice. */
function aliasTexts(value: AttributeValue | undefined): readonly string[] {
  if (typeof value !== 'string') return [];
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function textOf(value: AttributeValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

function numberOf(value: AttributeValue | undefined): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined;
  if (typeof value !== 'string' || !/^\s*[+-]?\d{1,15}\s*$/u.test(value)) return undefined;
  return Number(value);
}

function shown(value: AttributeValue | undefined): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'a map';
  const text = String(value);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
