// SPDX-License-Identifier: Apache-2.0
import { ManagementError } from '@pointsman/management';
import type { EntityTable, EntityValue } from '@pointsman/management';
import type { AutoLink } from '../auto-link.js';
import { lagOf } from '../custody.js';
import type { LinkRoute } from '../link-route.js';
import { plainAddress } from '../address-text.js';
import type { Router } from '../router.js';
import type { AddressSettings, AutoLinkSettings, Direction, Distribution } from '../settings.js';
import { View, subjectOf, typeNamed } from './view.js';
import type { Attributes } from './view.js';

interface ConfiguredAddress {
  readonly id: number;
  readonly settings: AddressSettings;
}

const ADDRESS: Attributes<ConfiguredAddress> = {
  prefix: ({ settings }) => settings.prefix ?? null,
  pattern: ({ settings }) => settings.pattern ?? null,
  distribution: ({ settings }) => settings.distribution,
  waypoint: ({ settings }) => settings.waypoint === true || (settings.ingressPhase === 0 && settings.egressPhase === 1),
  ingressPhase: ({ settings }) => settings.ingressPhase ?? 0,
  egressPhase: ({ settings }) => settings.egressPhase ?? (settings.waypoint === true ? 1 : 0),
  priority: ({ settings }) => settings.priority ?? -1,
  fallback: ({ settings }) => settings.enableFallback === true,
  enableFallback: ({ settings }) => settings.enableFallback === true,
};

export function configuredAddressTable(router: Router): EntityTable {
  const view = (id: number, settings: AddressSettings): View<ConfiguredAddress> =>
    new View(id, settings.name ?? null, { id, settings }, ADDRESS);
  return {
    type: typeNamed('router.config.address'),
    entities: () => [...router.addressSettings].map(([id, settings]) => view(id, settings)),
    create(attributes) {
      const name = text(attributes, 'name');
      requireFree(name, [...router.addressSettings.values()]);
      const where = prefixOrPattern(attributes);
      const settings: AddressSettings = {
        name,
        ...where,
        distribution: (attributes['distribution'] ?? 'balanced') as Distribution,
        waypoint: attributes['waypoint'] === true,
        ingressPhase: phase(attributes, 'ingressPhase', 'Phase values must be between 0 and 9'),
        egressPhase: phase(attributes, 'egressPhase', 'Phase values must be between 0 and 9'),
        priority: phase(attributes, 'priority', 'Priority value, if present, must be between 0 and QDR_MAX_PRIORITY'),
        enableFallback: attributes['enableFallback'] === true || attributes['fallback'] === true,
      };
      const { ingressPhase = 0, egressPhase = 0 } = settings;
      if (settings.enableFallback === true && (settings.waypoint === true || ingressPhase + egressPhase > 0)) {
        throw new ManagementError(
          400,
          'Fallback cannot be specified with waypoint or non-zero ingress and egress phases',
        );
      }
      const id = router.addAddress(settings);
      if (id === undefined) throw new ManagementError(400, 'Already exists');
      return view(id, settings);
    },
    delete(entity) {
      router.removeAddress((subjectOf(entity) as ConfiguredAddress).id);
    },
  };
}

const LINK_ROUTE: Attributes<LinkRoute> = {
  prefix: ({ settings }) => settings.prefix ?? null,
  pattern: ({ settings }) => settings.pattern ?? null,
  distribution: () => 'linkBalanced',
  connection: ({ settings }) => settings.connection ?? null,
  containerId: ({ settings }) => settings.containerId ?? null,
  direction: ({ settings }) => settings.direction,
  dir: ({ settings }) => settings.direction,
  operStatus: ({ status }) => status,
  addExternalPrefix: ({ settings }) => settings.addExternalPrefix ?? null,
  delExternalPrefix: ({ settings }) => settings.delExternalPrefix ?? null,
};

export function linkRouteTable(router: Router): EntityTable {
  const view = (route: LinkRoute): View<LinkRoute> => new View(route.id, route.name ?? null, route, LINK_ROUTE);
  return {
    type: typeNamed('router.config.linkRoute'),
    entities: () => router.linkRoutes.map(view),
    create(attributes) {
      const name = text(attributes, 'name');
      requireFree(name, router.linkRoutes);
      const where = prefixOrPattern(attributes);
      const direction = directionOf(attributes, "No 'direction' attribute provided - it is mandatory");
      return view(
        router.addLinkRoute({
          name,
          ...where,
          direction,
          ...containerOf(attributes),
          addExternalPrefix: text(attributes, 'addExternalPrefix'),
          delExternalPrefix: text(attributes, 'delExternalPrefix'),
        }),
      );
    },
    delete: (entity) => router.removeLinkRoute(subjectOf(entity) as LinkRoute),
  };
}

const AUTO_LINK: Attributes<AutoLink> = {
  address: ({ settings }) => settings.address,
  addr: ({ settings }) => settings.address,
  direction: ({ direction }) => direction,
  dir: ({ direction }) => direction,
  phase: ({ phase: value }) => value,
  connection: ({ settings }) => settings.connection ?? null,
  containerId: ({ settings }) => settings.containerId ?? null,
  externalAddress: ({ settings }) => otherName(settings),
  externalAddr: ({ settings }) => otherName(settings),
  linkRef: ({ link }) => (link === undefined ? null : String(link.id)),
  operStatus: ({ status }) => status,
  lastError: ({ lastError }) => lastError ?? null,
  fallback: ({ isFallback }) => isFallback,
  renewLocks: ({ settings }) => settings.renewLocks !== false,
  receiveMode: ({ settings }) => settings.receiveMode ?? 'peekLock',
  prefetch: ({ settings }) => settings.prefetch ?? null,
  filter: ({ settings }) => settings.filter ?? null,
  sessionId: ({ settings }) => settings.sessionId ?? null,
  nextSession: ({ settings }) => settings.nextSession === true,
  settledLater: ({ tally }) => tally.settledLater,
  settledTooLate: ({ tally }) => tally.tooLate,
  settledInDoubt: ({ tally }) => tally.inDoubt,
  locksRenewed: ({ tally }) => tally.locksRenewed,
  releaseLoops: ({ tally }) => tally.releaseLoops,
  lastOffset: ({ tally }) => tally.position?.offset ?? null,
  lastSequenceNumber: ({ tally }) => tally.position?.sequence ?? null,
  lag: ({ tally }) => lagOf(tally.position) ?? null,
  replays: ({ tally }) => tally.position?.replays ?? null,
  missedEvents: ({ tally }) => tally.position?.missed ?? null,
  activations: ({ activations }) => activations,
  failures: ({ failures }) => failures,
};

/** The name at the container, where it is another one than here. */
function otherName({ address, externalAddress }: AutoLinkSettings): string | null {
  return externalAddress === undefined || externalAddress === address ? null : externalAddress;
}

export function autoLinkTable(router: Router): EntityTable {
  const attributes: Attributes<AutoLink> = {
    ...AUTO_LINK,
    retrySeconds: ({ nextAttempt }) =>
      nextAttempt === undefined ? null : Math.max(0, Math.ceil((nextAttempt - router.clock.now()) / 1000)),
  };
  const view = (autoLink: AutoLink): View<AutoLink> =>
    new View(autoLink.id, autoLink.isNamed ? autoLink.name : null, autoLink, attributes);
  return {
    type: typeNamed('router.config.autoLink'),
    entities: () => router.autoLinks.map(view),
    create(attributes) {
      const name = text(attributes, 'name');
      requireFree(name, router.autoLinks);
      const address = text(attributes, 'address') ?? text(attributes, 'addr');
      if (address === undefined) throw new ManagementError(400, 'address and direction fields are mandatory');
      const direction = directionOf(attributes, 'address and direction fields are mandatory');
      return view(
        router.addAutoLink({
          name,
          address,
          direction,
          phase: phase(attributes, 'phase', 'autoLink phase must be between 0 and 9'),
          ...containerOf(attributes),
          externalAddress: text(attributes, 'externalAddress') ?? text(attributes, 'externalAddr'),
          fallback: attributes['fallback'] === true,
          renewLocks: attributes['renewLocks'] !== false,
          ...inboundOf(attributes, direction),
        }),
      );
    },
    delete: (entity) => router.removeAutoLink(subjectOf(entity) as AutoLink),
  };
}

/** What goes for direction in alone. */
function inboundOf(attributes: EntityValue, direction: Direction): Partial<AutoLinkSettings> {
  const isDeleting = attributes['receiveMode'] === 'receiveAndDelete';
  const nextSession = attributes['nextSession'] === true;
  const prefetch = attributes['prefetch'];
  const sessionId = text(attributes, 'sessionId');
  const filter = text(attributes, 'filter');
  const isGiven =
    isDeleting || nextSession || typeof prefetch === 'number' || sessionId !== undefined || filter !== undefined;
  if (isGiven && direction === 'out')
    throw new ManagementError(400, 'receiveMode, prefetch, filter, sessionId and nextSession are for direction in');
  if (sessionId !== undefined && nextSession)
    throw new ManagementError(400, "Cannot specify both a 'sessionId' and 'nextSession'");
  return {
    receiveMode: isDeleting ? 'receiveAndDelete' : 'peekLock',
    nextSession,
    ...(typeof prefetch === 'number' ? { prefetch } : {}),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(filter === undefined ? {} : { filter }),
  };
}

export function text(attributes: EntityValue, name: string): string | undefined {
  const value = attributes[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function requireFree(name: string | undefined, others: readonly { readonly name?: string | undefined }[]): void {
  if (name !== undefined && others.some((other) => other.name === name))
    throw new ManagementError(400, 'Name conflicts with an existing entity');
}

function prefixOrPattern(attributes: EntityValue): { prefix?: string; pattern?: string } {
  const prefix = attributes['prefix'] ?? null;
  const pattern = attributes['pattern'] ?? null;
  if (prefix !== null && pattern !== null)
    throw new ManagementError(400, "Cannot specify both a 'prefix' and a 'pattern' attribute");
  if (prefix === null && pattern === null)
    throw new ManagementError(400, "Either a 'prefix' or 'pattern' attribute must be provided");
  const label = prefix === null ? 'Pattern' : 'Prefix';
  const value = prefix ?? pattern;
  if (typeof value !== 'string' || value === '')
    throw new ManagementError(400, `${label} must be a non-empty string type`);
  if (plainAddress(value).replace(/[./]/g, '') === '') throw new ManagementError(400, `${label} invalid - no tokens`);
  return prefix === null ? { pattern: value } : { prefix: value };
}

function directionOf(attributes: EntityValue, missing: string): Direction {
  const value = attributes['direction'] ?? attributes['dir'];
  if (value === undefined || value === null) throw new ManagementError(400, missing);
  if (value !== 'in' && value !== 'out') throw new ManagementError(400, "Invalid value for 'direction'");
  return value;
}

function containerOf(attributes: EntityValue): { connection: string | undefined; containerId: string | undefined } {
  const connection = text(attributes, 'connection');
  const containerId = text(attributes, 'containerId');
  if (connection !== undefined && containerId !== undefined)
    throw new ManagementError(400, 'Both connection and containerId cannot be specified. Specify only one');
  return { connection, containerId };
}

export function phase(attributes: EntityValue, name: string, range: string): number | undefined {
  const value = attributes[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 9)
    throw new ManagementError(400, range);
  return value;
}
