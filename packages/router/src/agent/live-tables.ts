// SPDX-License-Identifier: Apache-2.0
import { ManagementError } from '@pointsman/management';
import type { EntityTable } from '@pointsman/management';
import { AmqpSymbol, Typed } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { Address } from '../address.js';
import type { LinkRecord } from '../link-record.js';
import type { LinkRouteNode } from '../link-route-table.js';
import type { RouterConnection } from '../router-connection.js';
import type { Router } from '../router.js';
import { View, forbidden, subjectOf, typeNamed } from './view.js';
import type { Attributes } from './view.js';

const ROUTER: Attributes<Router> = {
  id: (router) => router.id,
  mode: () => 'standalone',
  area: (router) => router.area,
  uptimeSeconds: (router) => router.uptimeSeconds,
  linksBlocked: ({ counters }) => counters.linksBlocked,
  blockedLinkCount: ({ counters }) => counters.linksBlocked,
};
const COUNTS = ['addrCount', 'linkCount', 'nodeCount', 'linkRouteCount', 'autoLinkCount', 'connectionCount'] as const;

export function routerTable(router: Router): EntityTable {
  const attribute = (name: string): AmqpValue => {
    if (Object.hasOwn(ROUTER, name)) return ROUTER[name]!(router);
    const count = COUNTS.find((known) => known === name);
    if (count !== undefined) return router.counters[count];
    const sums = router.counters.sums();
    if (Object.hasOwn(sums, name)) return sums[name as keyof typeof sums];
    const { facts } = router;
    return Object.hasOwn(facts, name) ? facts[name]! : null;
  };
  const entity = { identity: '1', name: router.id, attribute };
  return { type: typeNamed('router'), entities: () => [entity], delete: forbidden };
}

const CONNECTION: Attributes<RouterConnection> = {
  host: ({ settings }) => settings.peer,
  role: ({ settings }) => settings.role,
  protocol: () => 'amqp',
  dir: ({ settings }) => settings.direction,
  container: ({ containerId }) => containerId,
  sasl: ({ connection }) => connection.saslMechanism ?? null,
  // By SASL, whatever the mechanism: tools show ANONYMOUS as a way of its own.
  isAuthenticated: ({ connection }) => connection.saslMechanism !== undefined,
  user: ({ connection }) => connection.user ?? null,
  isEncrypted: ({ settings }) => settings.security?.() !== undefined,
  ssl: ({ settings }) => settings.security?.() !== undefined,
  sslProto: ({ settings }) => settings.security?.()?.protocol ?? null,
  sslCipher: ({ settings }) => settings.security?.()?.cipher ?? null,
  sslSsf: ({ settings }) => settings.security?.()?.bits ?? 0,
  properties: ({ connection }) => plainProperties(connection.remoteOpen?.properties),
  opened: ({ isOpen }) => isOpen,
  active: () => true,
  adminStatus: ({ isClosing }) => (isClosing ? 'deleted' : 'enabled'),
  operStatus: ({ isClosing }) => (isClosing ? 'closing' : 'up'),
  uptimeSeconds: ({ router, openedAt }) => Math.floor((router.clock.now() - openedAt) / 1_000),
  lastDlvSeconds: ({ lastDeliverySeconds }) => lastDeliverySeconds ?? null,
  enableProtocolTrace: ({ protocolTrace }) => protocolTrace,
  tenant: ({ tenant }) => tenant?.prefix ?? null,
};

export function connectionTable(router: Router): EntityTable {
  return {
    type: typeNamed('connection'),
    *entities() {
      for (const connection of router.connections) {
        if (!connection.isOpen) continue;
        yield new View(connection.id, `connection/${connection.settings.peer}`, connection, CONNECTION);
      }
    },
    update(entity, attributes, requester) {
      const connection = subjectOf(entity) as RouterConnection;
      const { adminStatus, enableProtocolTrace } = attributes;
      if (adminStatus === undefined && enableProtocolTrace === undefined) throw new ManagementError(400, 'Bad Request');
      if (adminStatus !== undefined && adminStatus !== 'deleted' && adminStatus !== 'enabled')
        throw new ManagementError(400, 'Bad Request');
      if (requester.connection !== undefined) {
        const parent = connectionNamed(router, requester.connection);
        if (parent === undefined) throw new ManagementError(400, 'Parent connection no longer exists');
        if (adminStatus !== undefined && parent.policy?.group.allowAdminStatusUpdate === false) forbidden();
      }
      const { role } = connection.settings;
      if (adminStatus === 'deleted' && (role === 'inter-router' || role === 'edge')) forbidden();
      if (typeof enableProtocolTrace === 'boolean') {
        connection.protocolTrace = enableProtocolTrace;
        connection.tracing?.switch(enableProtocolTrace);
      }
      if (adminStatus === 'deleted') {
        connection.close({
          condition: 'amqp:connection:forced',
          description: 'Connection forced-closed by management request',
        });
      }
    },
    delete: forbidden,
  };
}

function connectionNamed(router: Router, identity: string): RouterConnection | undefined {
  for (const connection of router.connections) if (String(connection.id) === identity) return connection;
  return undefined;
}

/** What a peer says of itself, as tools take it: text and whole numbers under names that are text. */
function plainProperties(properties: ReadonlyMap<string, AmqpValue> | undefined): Map<AmqpValue, AmqpValue> {
  const plain = new Map<AmqpValue, AmqpValue>();
  for (const [name, value] of properties ?? []) {
    if (typeof value === 'string' || (value instanceof Typed && WHOLE.has(value.type))) plain.set(name, value);
    else if (value instanceof AmqpSymbol) plain.set(name, value.value);
  }
  return plain;
}

const WHOLE: ReadonlySet<string> = new Set(['ubyte', 'ushort', 'uint', 'ulong', 'byte', 'short', 'int', 'long']);

/** Priority of a link that was given none: messages without a priority have the same. */
const LINK_PRIORITY = 4;
/** Deliveries by the other routers that they came into the network at. There are none. */
const ELSEWHERE: readonly number[] = Array.from({ length: 127 }, () => 0);

const LINK: Attributes<LinkRecord> = {
  linkName: ({ link }) => link.name,
  linkType: () => 'endpoint',
  linkDir: ({ direction }) => direction,
  owningAddr: ({ owningKey }) => owningKey ?? null,
  capacity: ({ capacity }) => capacity,
  peer: ({ peerId }) => (peerId === undefined ? null : String(peerId)),
  undeliveredCount: ({ undeliveredCount }) => undeliveredCount,
  unsettledCount: ({ unsettledCount }) => unsettledCount,
  deliveryCount: ({ deliveries }) => deliveries,
  connectionId: ({ connection }) => String(connection.id),
  adminStatus: () => 'enabled',
  operStatus: ({ link }) => (link.state === 'attached' ? 'up' : 'down'),
  presettledCount: ({ presettled }) => presettled,
  droppedPresettledCount: ({ presettledDropped }) => presettledDropped,
  acceptedCount: ({ accepted }) => accepted,
  rejectedCount: ({ rejected }) => rejected,
  releasedCount: ({ released }) => released,
  modifiedCount: ({ modified }) => modified,
  deliveriesDelayed1Sec: ({ delayed1 }) => delayed1,
  deliveriesDelayed10Sec: ({ delayed10 }) => delayed10,
  deliveriesStuck: ({ stuck }) => stuck,
  // By the router at which they came into the network, this one first.
  ingressHistogram: ({ direction, deliveries }) => (direction === 'in' ? null : [deliveries, ...ELSEWHERE]),
  priority: () => LINK_PRIORITY,
  settleRate: ({ settleRate }) => settleRate,
  creditAvailable: ({ link }) => link.credit,
  zeroCreditSeconds: ({ zeroCreditSeconds, link }) => (link.credit > 0 ? 0 : zeroCreditSeconds),
};

export function linkTable(router: Router): EntityTable {
  return {
    type: typeNamed('router.link'),
    *entities() {
      for (const connection of router.connections)
        for (const link of connection.links) yield new View(link.id, link.link.name, link, LINK);
    },
    // Read and taken for what it is, as tools expect: there is nothing that could be switched.
    update: () => undefined,
  };
}

const ADDRESS: Attributes<Address> = {
  key: ({ key }) => key,
  distribution: ({ distribution }) => distribution,
  inProcess: ({ receivers }) => receivers.length,
  subscriberCount: ({ consumers }) => consumers.length,
  remoteCount: () => 0,
  containerCount: () => 0,
  remoteHostRouters: () => [],
  deliveriesIngress: ({ deliveriesIngress }) => deliveriesIngress,
  deliveriesEgress: ({ deliveriesEgress }) => deliveriesEgress,
  deliveriesTransit: () => 0,
  deliveriesToContainer: ({ deliveriesToContainer }) => deliveriesToContainer,
  deliveriesFromContainer: ({ deliveriesFromContainer }) => deliveriesFromContainer,
  deliveriesIngressRouteContainer: (address) => address.deliveriesIngressRouteContainer,
  deliveriesEgressRouteContainer: (address) => address.deliveriesEgressRouteContainer,
  // Those on their way to other routers.
  trackedDeliveries: () => 0,
  priority: ({ priority }) => priority,
  deliveriesRedirectedToFallback: (address) => address.deliveriesRedirectedToFallback,
};

/** What has no links of its own counts nothing. */
const NO_ADDRESS = new Address('', 'balanced');

/** Addresses of link routes: all that can be said of them is which containers serve them. */
const LINK_ROUTE_ADDRESS: Attributes<LinkRouteNode> = {
  ...Object.fromEntries(
    Object.entries(ADDRESS).map(([name, read]) => [name, (): AmqpValue => read(NO_ADDRESS)] as const),
  ),
  key: ({ key }) => key,
  distribution: () => 'linkBalanced',
  containerCount: ({ connections }) => connections.length,
};

export function addressTable(router: Router): EntityTable {
  return {
    type: typeNamed('router.address'),
    *entities() {
      for (const address of router.addresses) yield new View(address.key, address.key, address, ADDRESS);
      for (const node of router.linkRouteTable.nodes) yield new View(node.key, node.key, node, LINK_ROUTE_ADDRESS);
    },
  };
}
