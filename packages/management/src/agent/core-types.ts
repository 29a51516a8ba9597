// SPDX-License-Identifier: Apache-2.0
import { int, long, uint, ulong } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import type { EntityType } from '../entity-type.js';

// Types of which clients expect answers of a form of their own: columns in a fixed order, values of null included,
// identities that are numbers, unknown attributes of a CREATE passed over.

const COUNTERS = [
  'deliveriesIngress',
  'deliveriesEgress',
  'deliveriesTransit',
  'deliveriesToContainer',
  'deliveriesFromContainer',
  'deliveriesEgressRouteContainer',
  'deliveriesIngressRouteContainer',
];
const COMMON = ['name', 'identity', 'type'];

function columns(text: string): readonly string[] {
  return text.trim().split(/\s+/u);
}

/** Columns of a QUERY and entries of a READ, where the entity table gives none of its own. */
const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  'router.address': [
    ...COMMON,
    ...columns('key distribution inProcess subscriberCount remoteCount containerCount remoteHostRouters'),
    ...COUNTERS,
    ...columns('transitOutstanding trackedDeliveries priority deliveriesRedirectedToFallback'),
  ],
  'router.link': [
    ...COMMON,
    ...columns(`linkName linkType linkDir owningAddr capacity peer undeliveredCount unsettledCount deliveryCount
      connectionId adminStatus operStatus presettledCount droppedPresettledCount acceptedCount rejectedCount
      releasedCount modifiedCount deliveriesDelayed1Sec deliveriesDelayed10Sec deliveriesStuck ingressHistogram
      priority settleRate creditAvailable zeroCreditSeconds`),
  ],
  connection: columns(`name identity host role protocol dir container sasl isAuthenticated user isEncrypted sslProto
    sslCipher properties sslSsf tenant type ssl opened active adminStatus operStatus uptimeSeconds lastDlvSeconds
    enableProtocolTrace`),
  router: columns(`name identity id type mode area version metadata addrCount linkCount nodeCount linkRouteCount
    autoLinkCount connectionCount presettledDeliveries droppedPresettledDeliveries acceptedDeliveries
    rejectedDeliveries releasedDeliveries modifiedDeliveries deliveriesDelayed1Sec deliveriesDelayed10Sec
    deliveriesStuck deliveriesIngress deliveriesEgress deliveriesTransit deliveriesIngressRouteContainer
    deliveriesEgressRouteContainer deliveriesRedirectedToFallback linksBlocked uptimeSeconds memoryUsage
    workerThreads`),
  'router.config.address': [
    ...COMMON,
    ...columns('prefix distribution waypoint ingressPhase egressPhase pattern priority fallback'),
  ],
  'router.config.linkRoute': [
    ...COMMON,
    ...columns(`prefix distribution connection containerId direction dir operStatus pattern addExternalPrefix
      delExternalPrefix`),
  ],
  'router.config.autoLink': [
    ...COMMON,
    ...columns(`address addr direction dir phase connection containerId externalAddress externalAddr linkRef operStatus
      lastError fallback`),
    // Behind those that clients know: what only this router has.
    ...columns(`renewLocks receiveMode prefetch filter sessionId nextSession settledLater settledTooLate settledInDoubt
      locksRenewed releaseLoops lastOffset lastSequenceNumber lag replays missedEvents activations failures retrySeconds`),
  ],
  'router.config.exchange': columns(`name identity address phase alternateAddress alternatePhase matchMethod
    bindingCount receivedCount droppedCount forwardedCount divertedCount`),
  'router.config.binding': columns('name identity exchangeName bindingKey nextHopAddress nextHopPhase matchedCount'),
  'router.connection.linkRoute': [...COMMON, 'pattern', 'direction', 'containerId'],
};

/** Columns that are second names of attributes. */
const COLUMN_ATTRIBUTES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  router: { linksBlocked: 'blockedLinkCount' },
  'router.config.address': { fallback: 'enableFallback' },
  'router.config.linkRoute': { dir: 'direction' },
  'router.config.autoLink': { dir: 'direction', addr: 'address', externalAddr: 'externalAddress' },
};

type Width = (value: number) => AmqpValue;

/** Types of the numbers in columns, by column; `rest` is that of all others. Clients that are strict about them exist. */
const WIDTHS: Readonly<Record<string, { readonly rest: Width } & Readonly<Record<string, Width>>>> = {
  router: { rest: ulong, linksBlocked: uint, blockedLinkCount: uint, uptimeSeconds: uint, workerThreads: int },
  'router.link': {
    rest: ulong,
    capacity: uint,
    priority: uint,
    settleRate: uint,
    creditAvailable: uint,
    zeroCreditSeconds: uint,
  },
  'router.address': {
    rest: ulong,
    inProcess: uint,
    subscriberCount: uint,
    remoteCount: uint,
    containerCount: uint,
    trackedDeliveries: long,
    transitOutstanding: long,
    priority: int,
  },
  connection: { rest: uint, sslSsf: long },
  'router.config.autoLink': {
    rest: int,
    activations: ulong,
    failures: ulong,
    retrySeconds: ulong,
    settledLater: ulong,
    settledTooLate: ulong,
    settledInDoubt: ulong,
    locksRenewed: ulong,
    releaseLoops: ulong,
    lastSequenceNumber: long,
    lag: ulong,
    replays: ulong,
    missedEvents: ulong,
  },
  'router.config.exchange': { rest: ulong, phase: int, alternatePhase: int, bindingCount: uint },
  'router.config.binding': { rest: ulong, nextHopPhase: int },
};

/** The value of a core type's column as it goes out: numbers, also those in lists, in the type that clients know. */
export function columnValue(type: EntityType, column: string, value: AmqpValue): AmqpValue {
  const widths = Object.hasOwn(WIDTHS, type.name) ? WIDTHS[type.name]! : { rest: int };
  const width = Object.hasOwn(widths, column) ? widths[column]! : widths.rest;
  if (typeof value === 'number') return Number.isInteger(value) ? width(value) : value;
  if (!Array.isArray(value)) return value;
  return value.map((item) => (typeof item === 'number' && Number.isInteger(item) ? width(item) : item));
}

/** What is forbidden rather than not implemented. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  router: ['CREATE', 'READ', 'DELETE'],
  connection: ['DELETE'],
  console: ['QUERY', 'CREATE', 'READ', 'UPDATE', 'DELETE'],
};

export function isCoreType(type: EntityType): boolean {
  return type.name === 'console' || Object.hasOwn(COLUMNS, type.name);
}

export function coreColumns(type: EntityType): readonly string[] | undefined {
  return Object.hasOwn(COLUMNS, type.name) ? COLUMNS[type.name] : undefined;
}

/** The attribute that a column shows under a second name, or undefined. */
export function columnAttribute(type: EntityType, column: string): string | undefined {
  const names = COLUMN_ATTRIBUTES[type.name];
  return names !== undefined && Object.hasOwn(names, column) ? names[column] : undefined;
}

export function isForbidden(type: EntityType, operation: string): boolean {
  return FORBIDDEN[type.name]?.includes(operation) ?? false;
}

type Values = ReadonlyMap<string, unknown>;

/**
 * What keeps a core type's entity from being created, in the words that clients know.
 *
 * @param values - by the names of the schema; unknown attributes and values of null left out
 */
export function creationFault(type: EntityType, values: Values, name: string | undefined): string | undefined {
  switch (type.name) {
    case 'router.config.address':
      return patternFault(values) ?? addressFault(values);
    case 'router.config.linkRoute':
      return (
        patternFault(values) ??
        (values.has('direction') ? undefined : "No 'direction' attribute provided - it is mandatory") ??
        enumFault(type, values, 'direction') ??
        enumFault(type, values, 'distribution') ??
        containerFault(values)
      );
    case 'router.config.autoLink':
      if (!values.has('address') || !values.has('direction')) return 'address and direction fields are mandatory';
      return (
        enumFault(type, values, 'direction') ??
        containerFault(values) ??
        (isPhase(values, 'phase') ? undefined : 'autoLink phase must be between 0 and 9')
      );
    case 'router.config.exchange':
      if (name === undefined) return 'exchange requires a unique name';
      if (!isText(values.get('address'))) return 'exchange address is mandatory';
      if (enumFault(type, values, 'matchMethod') !== undefined) {
        return "Exchange matchMethod must be either 'amqp' or 'mqtt'";
      }
      return isPhase(values, 'phase') && isPhase(values, 'alternatePhase')
        ? undefined
        : 'phase must be in the range 0-9';
    case 'router.config.binding':
      if (!isText(values.get('exchangeName'))) return 'Binding configuration requires an exchange';
      if (!isText(values.get('nextHopAddress'))) return 'No next hop specified';
      return isPhase(values, 'nextHopPhase') ? undefined : 'phase must be in the range 0-9';
    case 'router.connection.linkRoute':
      if (!isText(values.get('pattern'))) return 'Pattern field is required';
      if (!values.has('direction')) return "Missing value for 'direction'";
      return enumFault(type, values, 'direction');
    default:
      return undefined;
  }
}

function patternFault(values: Values): string | undefined {
  const both = values.has('prefix') && values.has('pattern');
  if (both) return "Cannot specify both a 'prefix' and a 'pattern' attribute";
  const key = values.has('prefix') ? 'prefix' : 'pattern';
  if (!values.has(key)) return "Either a 'prefix' or 'pattern' attribute must be provided";
  const title = key === 'prefix' ? 'Prefix' : 'Pattern';
  const value = values.get(key);
  if (!isText(value)) return `${title} must be a non-empty string type`;
  return /[^/.]/u.test(value) ? undefined : `${title} invalid - no tokens`;
}

function addressFault(values: Values): string | undefined {
  if (!isPhase(values, 'ingressPhase') || !isPhase(values, 'egressPhase'))
    return 'Phase values must be between 0 and 9';
  if (!isPhase(values, 'priority')) {
    return 'Priority value, if present, must be between 0 and QDR_MAX_PRIORITY';
  }
  const phased = ['ingressPhase', 'egressPhase'].some((key) => Number(values.get(key) ?? 0) !== 0);
  return isTrue(values.get('enableFallback')) && (isTrue(values.get('waypoint')) || phased)
    ? 'Fallback cannot be specified with waypoint or non-zero ingress and egress phases'
    : undefined;
}

function containerFault(values: Values): string | undefined {
  return values.has('connection') && values.has('containerId')
    ? 'Both connection and containerId cannot be specified. Specify only one'
    : undefined;
}

function enumFault(type: EntityType, values: Values, key: string): string | undefined {
  const tags = type.attributes.find(({ name }) => name === key)?.values ?? [];
  const value = values.get(key);
  return value === undefined || (typeof value === 'string' && tags.includes(value))
    ? undefined
    : `Invalid value for '${key}'`;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isTrue(value: unknown): boolean {
  return value === true || (typeof value === 'string' && /^(?:yes|true|on)$/iu.test(value));
}

function isPhase(values: Values, key: string): boolean {
  return !values.has(key) || /^\s*\+?0*\d\s*$/u.test(String(values.get(key)));
}
