// SPDX-License-Identifier: Apache-2.0
import { entityType, gauge, reported, settable } from '../entity-type.js';
import type { EntityType } from '../entity-type.js';

// A timer of the network, in seconds. The bound keeps its milliseconds within 31 bits.
const SECONDS = { min: 1, max: 2_147_483 };

// prettier-ignore
export const router: EntityType = entityType('router', {
  doc: 'The router itself: who it is and what holds for all of it.',
  section: 'router',
  singleton: true,
  operations: ['READ'],
}, [
  settable('id', 'string', 'Name of the router in the network and its AMQP container id. A random one is made up at every start where none is given.'),
  settable('mode', ['standalone', 'interior', 'edge'], 'Alone, a full member of a network of routers, or a leaf of one.', { default: 'standalone' }),
  reported('area', 'string', 'Area of the network. There is only one.', { default: 0 }),
  reported('version', 'string', 'Version of the software.'),
  reported('hostName', 'string', 'Name of the machine.'),
  settable('helloIntervalSeconds', 'integer', 'Time between two greetings to neighbouring routers.', { default: 1, ...SECONDS, deprecatedName: 'helloInterval' }),
  settable('helloMaxAgeSeconds', 'integer', 'A neighbour that has not greeted for so long is taken for lost.', { default: 3, ...SECONDS, deprecatedName: 'helloMaxAge' }),
  settable('raIntervalSeconds', 'integer', 'Time between two router advertisements while the network is stable.', { default: 30, ...SECONDS, deprecatedName: 'raInterval' }),
  settable('raIntervalFluxSeconds', 'integer', 'Time between two router advertisements while the network changes.', { default: 4, ...SECONDS, deprecatedName: 'raIntervalFlux' }),
  settable('remoteLsMaxAgeSeconds', 'integer', 'Link state of another router that has not been refreshed for so long is dropped.', { default: 60, ...SECONDS, deprecatedName: 'remoteLsMaxAge' }),
  settable('workerThreads', 'integer', 'Read for compatibility: the size of the old router\'s thread pool.', { default: 4, min: 1, max: 1024 }),
  settable('debugDumpFile', 'path', 'Read for compatibility: where the old router left its allocation report.', { deprecatedName: 'debugDump' }),
  settable('saslConfigDir', 'path', 'Folder of the SASL settings and users, /etc/sasl2 where none is given.', { deprecatedName: 'saslConfigPath' }),
  settable('saslConfigName', 'string', 'Name of the SASL settings: users stand in NAME.users, or where the sasldb_path of a NAME.conf says, with .users behind it.', { default: 'qdrouterd' }),
  settable('allowResumableLinkRoute', 'boolean', 'Routed links may have a terminus that outlives its connection.', { default: true }),
  settable('timestampsInUTC', 'boolean', 'Log lines carry the time in UTC instead of local time.'),
  settable('timestampFormat', 'string', 'Format of the time in log lines, in the notation of strftime.'),
  settable('allowUnsettledMulticast', 'boolean', 'Read for compatibility: has no effect.', { default: false }),
  settable('defaultDistribution', ['multicast', 'closest', 'balanced', 'unavailable'], 'Treatment of addresses that no address section covers.', { default: 'balanced' }),
  settable('metadata', 'string', 'Free text, shown by management.'),
  gauge('addrCount', 'Addresses known.'),
  gauge('linkCount', 'Links attached.'),
  gauge('blockedLinkCount', 'Links that have been without credit for ten seconds or longer.'),
  gauge('nodeCount', 'Other routers known.'),
  gauge('linkRouteCount', 'Link routes, active or not.'),
  gauge('autoLinkCount', 'Autolinks, active or not.'),
  gauge('connectionCount', 'Open connections.'),
  gauge('presettledDeliveries', 'Deliveries that arrived settled.'),
  gauge('droppedPresettledDeliveries', 'Settled deliveries dropped for want of room.'),
  gauge('acceptedDeliveries', 'Deliveries with the outcome accepted.'),
  gauge('rejectedDeliveries', 'Deliveries with the outcome rejected.'),
  gauge('releasedDeliveries', 'Deliveries with the outcome released.'),
  gauge('modifiedDeliveries', 'Deliveries with the outcome modified.'),
  gauge('deliveriesDelayed1Sec', 'Deliveries that took one to ten seconds to be settled.'),
  gauge('deliveriesDelayed10Sec', 'Deliveries that took ten seconds or longer to be settled.'),
  gauge('deliveriesStuck', 'Deliveries that are unsettled for ten seconds or longer now.'),
  gauge('deliveriesIngress', 'Deliveries that entered the network here.'),
  gauge('deliveriesEgress', 'Deliveries that left the network here.'),
  gauge('deliveriesTransit', 'Deliveries that came from one router and went to another.'),
  gauge('deliveriesIngressRouteContainer', 'Deliveries that came from route containers.'),
  gauge('deliveriesEgressRouteContainer', 'Deliveries that went to route containers.'),
  gauge('deliveriesRedirectedToFallback', 'Deliveries that went to a fallback destination.'),
  gauge('uptimeSeconds', 'Time since the start.'),
  gauge('memoryUsage', 'Memory of the process, in bytes.'),
]);
