// SPDX-License-Identifier: Apache-2.0
import type { SharedNode, TokenState } from '@pointsman/azure';
import { VERSION } from '../version.js';

/** The numbers of a router that are published, under the names of its management attributes. */
export interface MetricsSource {
  readonly connectionCount: number;
  readonly linkCount: number;
  readonly addrCount: number;
  readonly nodeCount: number;
  readonly linkRouteCount: number;
  readonly autoLinkCount: number;
  readonly deliveriesStuck: number;
  readonly linksBlocked: number;
  readonly presettledDeliveries: number;
  readonly droppedPresettledDeliveries: number;
  readonly acceptedDeliveries: number;
  readonly releasedDeliveries: number;
  readonly rejectedDeliveries: number;
  readonly modifiedDeliveries: number;
  readonly deliveriesIngress: number;
  readonly deliveriesEgress: number;
  readonly deliveriesTransit: number;
  readonly deliveriesIngressRouteContainer: number;
  readonly deliveriesEgressRouteContainer: number;
  readonly deliveriesDelayed1Sec: number;
  readonly deliveriesDelayed10Sec: number;
  readonly deliveriesRedirectedToFallback: number;
  readonly autoLinks?: readonly AutoLinkNumbers[];
  /** Inbound autolinks at Service Bus. */
  readonly inboxes?: readonly InboxNumbers[];
}

/** Whether an autolink is there. */
export interface AutoLinkNumbers {
  readonly name: string;
  readonly direction: 'in' | 'out';
  readonly externalAddress: string;
  readonly isActive: boolean;
  /** Times that it was attached. */
  readonly activations: number;
  /** Refusals and detaches in a row. */
  readonly failures: number;
}

/** What became of messages from a queue or subscription apart from the ordinary course. */
export interface InboxNumbers {
  /** Of the autolink. */
  readonly name: string;
  readonly externalAddress: string;
  readonly settledLater: number;
  readonly tooLate: number;
  readonly inDoubt: number;
  readonly locksRenewed: number;
  readonly releaseLoops: number;
  /** Of a partition of an event hub. */
  readonly hub?: HubNumbers | undefined;
}

/** How far a partition of an event hub has been read. */
export interface HubNumbers {
  readonly sequence: number | undefined;
  readonly lag: number | undefined;
  readonly replays: number;
  readonly missed: number;
}

/** Whether a connector has what it is there for. */
export interface ConnectorHealth {
  readonly name: string;
  /** Its AMQP connection is open now. */
  readonly isOpen: boolean;
  /** It has been open since the connector was made. */
  readonly hasBeenOpen: boolean;
  /** Its tokens at Azure Service Bus. */
  readonly tokens: readonly TokenState[];
  /** Outcomes that are still to be told to Azure Service Bus by lock token. Default: none. */
  readonly lateCount?: number;
  /** Nodes there that its clients share; undefined where its peer is another. */
  readonly nodes?: readonly SharedNode[] | undefined;
}

type MetricKind = 'gauge' | 'counter';

/** One line of the exposition: its name, its kind, what it counts. */
type Row<Value> = readonly [name: string, kind: MetricKind, help: string, value: Value];

/** What the old router published, name by name and in its order. */
// prettier-ignore
const ROUTER_METRICS: readonly Row<Exclude<keyof MetricsSource, 'inboxes' | 'autoLinks'>>[] = [
  ['qdr_connections_total', 'gauge', 'Open connections.', 'connectionCount'],
  ['qdr_links_total', 'gauge', 'Links attached.', 'linkCount'],
  ['qdr_addresses_total', 'gauge', 'Addresses known.', 'addrCount'],
  ['qdr_routers_total', 'gauge', 'Other routers known.', 'nodeCount'],
  ['qdr_link_routes_total', 'gauge', 'Link routes, active or not.', 'linkRouteCount'],
  ['qdr_auto_links_total', 'gauge', 'Autolinks, active or not.', 'autoLinkCount'],
  ['qdr_presettled_deliveries_total', 'counter', 'Deliveries that arrived settled.', 'presettledDeliveries'],
  ['qdr_dropped_presettled_deliveries_total', 'counter', 'Settled deliveries dropped for want of room.', 'droppedPresettledDeliveries'],
  ['qdr_accepted_deliveries_total', 'counter', 'Deliveries with the outcome accepted.', 'acceptedDeliveries'],
  ['qdr_released_deliveries_total', 'counter', 'Deliveries with the outcome released.', 'releasedDeliveries'],
  ['qdr_rejected_deliveries_total', 'counter', 'Deliveries with the outcome rejected.', 'rejectedDeliveries'],
  ['qdr_modified_deliveries_total', 'counter', 'Deliveries with the outcome modified.', 'modifiedDeliveries'],
  ['qdr_deliveries_ingress_total', 'counter', 'Deliveries that entered the network here.', 'deliveriesIngress'],
  ['qdr_deliveries_egress_total', 'counter', 'Deliveries that left the network here.', 'deliveriesEgress'],
  ['qdr_deliveries_transit_total', 'counter', 'Deliveries that came from one router and went to another.', 'deliveriesTransit'],
  ['qdr_deliveries_ingress_route_container_total', 'counter', 'Deliveries that came from route containers.', 'deliveriesIngressRouteContainer'],
  ['qdr_deliveries_egress_route_container_total', 'counter', 'Deliveries that went to route containers.', 'deliveriesEgressRouteContainer'],
  ['qdr_deliveries_delayed_1sec_total', 'counter', 'Deliveries that took one to ten seconds to be settled.', 'deliveriesDelayed1Sec'],
  ['qdr_deliveries_delayed_10sec_total', 'counter', 'Deliveries that took ten seconds or longer to be settled.', 'deliveriesDelayed10Sec'],
  ['qdr_deliveries_stuck_total', 'gauge', 'Deliveries that are unsettled for ten seconds or longer now.', 'deliveriesStuck'],
  ['qdr_links_blocked_total', 'gauge', 'Links that have been without credit for ten seconds or longer.', 'linksBlocked'],
  ['qdr_deliveries_redirected_to_fallback_total', 'counter', 'Deliveries that went to a fallback destination.', 'deliveriesRedirectedToFallback'],
];

/** Media type of the text format of Prometheus. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** What a scrape gets: the router's numbers, then those of this process, in the text format of Prometheus. */
export function renderMetrics(source: MetricsSource, connectors: readonly ConnectorHealth[]): string {
  const lines: string[] = [];
  const add = (name: string, kind: MetricKind, help: string, value: number, labels = ''): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, `${name}${labels} ${value}`);
  };
  for (const [name, kind, help, attribute] of ROUTER_METRICS) add(name, kind, help, source[attribute]);
  add('pointsman_info', 'gauge', 'Always 1: the version is in the label.', 1, `{version="${VERSION}"}`);
  for (const [name, kind, help, value] of processMetrics()) add(name, kind, help, value);
  const addAll = (name: string, help: string, label: string, values: readonly (readonly [string, number])[]): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`);
    for (const [text, value] of values) lines.push(`${name}{${label}="${escaped(text)}"} ${value}`);
  };
  const isOpen = connectors.map(({ name, isOpen: open }) => [name, open ? 1 : 0] as const);
  addAll('pointsman_connector_open', 'Whether the connection of a connector is open: 1 or 0.', 'connector', isOpen);
  const late = connectors.flatMap(({ name, nodes, lateCount = 0 }) =>
    nodes === undefined ? [] : [[name, lateCount] as const],
  );
  if (late.length > 0)
    addAll('pointsman_azure_outcomes_waiting', 'Outcomes that are still to be told by lock token.', 'connector', late);
  lines.push(...autoLinkMetrics(source.autoLinks ?? []), ...tokenMetrics(connectors), ...nodeMetrics(connectors));
  lines.push(...inboxMetrics(source.inboxes ?? []));
  addAll('pointsman_resources', 'What keeps the process running, by its kind in Node.js.', 'kind', resources());
  return `${lines.join('\n')}\n`;
}

/** Only where there are autolinks. */
function autoLinkMetrics(autoLinks: readonly AutoLinkNumbers[]): string[] {
  if (autoLinks.length === 0) return [];
  // prettier-ignore
  const families: readonly Row<(autoLink: AutoLinkNumbers) => number>[] = [
    ['pointsman_autolink_active', 'gauge', 'Whether an autolink is attached: 1 or 0.', ({ isActive }) => (isActive ? 1 : 0)],
    ['pointsman_autolink_attached_total', 'counter', 'Times that the autolink was attached. Each but the first means that it had been lost before.', ({ activations }) => activations],
    ['pointsman_autolink_failures', 'gauge', 'Refusals and detaches of the autolink in a row. 0 once it has held.', ({ failures }) => failures],
  ];
  const rows = autoLinks.map((autoLink) => ({
    labels: `{autolink="${escaped(autoLink.name)}",direction="${autoLink.direction}",entity="${escaped(autoLink.externalAddress)}"}`,
    autoLink,
  }));
  return families.flatMap(([name, kind, help, valueOf]) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${kind}`,
    ...rows.map(({ labels, autoLink }) => `${name}${labels} ${valueOf(autoLink)}`),
  ]);
}

/** Only where there are tokens. What cannot be said of one, as the end of one that never came, has no line. */
function tokenMetrics(connectors: readonly ConnectorHealth[]): string[] {
  const rows = connectors.flatMap(({ name, tokens }) =>
    tokens.map((token) => ({
      labels: `{connector="${escaped(name)}",audience="${escaped(token.audience)}"}`,
      token,
    })),
  );
  if (rows.length === 0) return [];
  // prettier-ignore
  const families: readonly Row<(token: TokenState) => number | undefined>[] = [
    ['pointsman_azure_token_valid', 'gauge', 'Whether there is a valid token for an entity of Service Bus: 1 or 0.', ({ state }) => (state === 'valid' ? 1 : 0)],
    ['pointsman_azure_token_expiry_timestamp_seconds', 'gauge', 'When the token ends, since the Unix epoch.', ({ expiresAtMs }) => (expiresAtMs === undefined ? undefined : expiresAtMs / 1000)],
    ['pointsman_azure_token_renewals_total', 'counter', 'Renewals of the token since the connection was opened.', ({ renewals }) => renewals],
    ['pointsman_azure_token_failures_total', 'counter', 'Failed attempts to get or put a token since the connection was opened.', ({ failures }) => failures],
  ];
  return families.flatMap(([name, kind, help, valueOf]) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${kind}`,
    ...rows.flatMap(({ labels, token }) => {
      const value = valueOf(token);
      return value === undefined ? [] : [`${name}${labels} ${value}`];
    }),
  ]);
}

/** Only where there are such nodes. */
function nodeMetrics(connectors: readonly ConnectorHealth[]): string[] {
  const rows = connectors.flatMap(({ name, nodes = [] }) =>
    nodes.map((node) => ({ labels: `{connector="${escaped(name)}",node="${escaped(node.address)}"}`, node })),
  );
  if (rows.length === 0) return [];
  // prettier-ignore
  const families: readonly Row<(node: SharedNode) => number>[] = [
    ['pointsman_azure_node_attached', 'gauge', 'Whether a node of Service Bus that clients share is attached: 1 or 0.', ({ state }) => (state === 'attached' ? 1 : 0)],
    ['pointsman_azure_node_clients', 'gauge', 'Connections of clients that use the node, the router itself one of them.', ({ clients }) => clients],
    ['pointsman_azure_node_requests_waiting', 'gauge', 'Requests that wait for room at the node.', ({ waiting }) => waiting],
    ['pointsman_azure_node_requests_under_way', 'gauge', 'Requests at the node that are not answered yet.', ({ underWay }) => underWay],
    ['pointsman_azure_node_requests_total', 'counter', 'Requests to the node since the connection was opened.', ({ requests }) => requests],
    ['pointsman_azure_node_requests_refused_total', 'counter', 'Requests that the router refused, as for sessions of others.', ({ refused }) => refused],
    ['pointsman_azure_node_failures_total', 'counter', 'Times that Service Bus refused or detached the node.', ({ failures }) => failures],
  ];
  return families.flatMap(([name, kind, help, valueOf]) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${kind}`,
    ...rows.map(({ labels, node }) => `${name}${labels} ${valueOf(node)}`),
  ]);
}

function inboxMetrics(inboxes: readonly InboxNumbers[]): string[] {
  if (inboxes.length === 0) return [];
  // prettier-ignore
  const families: readonly Row<(inbox: InboxNumbers) => number | undefined>[] = [
    ['pointsman_azure_settled_later_total', 'counter', 'Outcomes told to Service Bus by lock token, since their link had gone.', ({ settledLater }) => settledLater],
    ['pointsman_azure_settled_too_late_total', 'counter', 'Outcomes that came after the lock had ended: those messages come again.', ({ tooLate }) => tooLate],
    ['pointsman_azure_settled_in_doubt_total', 'counter', 'Outcomes of which nobody can say whether Service Bus has heard them.', ({ inDoubt }) => inDoubt],
    ['pointsman_azure_locks_renewed_total', 'counter', 'Locks renewed while their messages were on the way.', ({ locksRenewed }) => locksRenewed],
    ['pointsman_azure_release_loops_total', 'counter', 'Times that every message was released, so that the autolink was slowed.', ({ releaseLoops }) => releaseLoops],
    ['pointsman_event_hub_sequence_number', 'gauge', 'Sequence number of the last event of a partition that receivers have settled, as they have all before it.', ({ hub }) => hub?.sequence],
    ['pointsman_event_hub_lag_events', 'gauge', 'Events behind it, up to the newest at the time when the last one came.', ({ hub }) => hub?.lag],
    ['pointsman_event_hub_replays_total', 'counter', 'Times that events were read again, since a receiver had given one back.', ({ hub }) => hub?.replays],
    ['pointsman_event_hub_missed_events_total', 'counter', 'Events that had gone from the event hub before they were read.', ({ hub }) => hub?.missed],
  ];
  return families.flatMap(([name, kind, help, valueOf]) => {
    const lines = inboxes.flatMap((inbox) => {
      const value = valueOf(inbox);
      const labels = `autolink="${escaped(inbox.name)}",entity="${escaped(inbox.externalAddress)}"`;
      return value === undefined ? [] : [`${name}{${labels}} ${value}`];
    });
    return lines.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...lines];
  });
}

/** The value of a label. @see Prometheus, Exposition formats, text format details */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** In place of the old router's memory pools, which have no like here. */
function processMetrics(): readonly Row<number>[] {
  const memory = process.memoryUsage();
  const cpu = process.cpuUsage();
  const loop = performance.eventLoopUtilization();
  // prettier-ignore
  return [
    ['pointsman_heap_used_bytes', 'gauge', 'JavaScript heap in use.', memory.heapUsed],
    ['pointsman_heap_total_bytes', 'gauge', 'JavaScript heap held.', memory.heapTotal],
    ['pointsman_external_bytes', 'gauge', 'Memory outside of the heap that objects in it hold, buffers included.', memory.external],
    ['pointsman_array_buffers_bytes', 'gauge', 'Memory of buffers.', memory.arrayBuffers],
    ['pointsman_event_loop_active_seconds_total', 'counter', 'Time in which the event loop had work.', loop.active / 1000],
    ['pointsman_event_loop_idle_seconds_total', 'counter', 'Time in which the event loop waited.', loop.idle / 1000],
    ['process_cpu_seconds_total', 'counter', 'User and system CPU time spent.', (cpu.user + cpu.system) / 1e6],
    ['process_resident_memory_bytes', 'gauge', 'Resident memory.', memory.rss],
    ['process_start_time_seconds', 'gauge', 'Start of the process since the Unix epoch.', performance.timeOrigin / 1000],
  ];
}

function resources(): readonly (readonly [kind: string, count: number])[] {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}
