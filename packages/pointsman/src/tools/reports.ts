// SPDX-License-Identifier: Apache-2.0
import {
  addressClass,
  addressPhase,
  addressText,
  authentication,
  byteSize,
  cell,
  clock,
  grouped,
  localTime,
  numberAt,
  security,
  tenant,
  timeLong,
  universalTime,
} from './cells.js';
import type { Plain, Row } from './plain-value.js';
import { at, table } from './report-table.js';
import type { Column } from './report-table.js';
import { serviceBusReport } from './service-bus-report.js';
import type { Block } from './table.js';
import { vhostGroupsReport, vhostStatsReport, vhostsReport } from './vhost-reports.js';

/** What a report is made from: for each entity type that it {@link Report.needs}, its rows. */
export type ReportData = Readonly<Record<string, readonly Row[]>>;

export interface Report {
  readonly key: string;
  readonly flags: readonly string[];
  readonly help: string;
  /** Short names of entity types, the one whose rows are counted by a limit first. */
  readonly needs: readonly string[];
  /** `--limit` bounds its rows. */
  readonly limited: boolean;
  /** Time and router id stand above it. */
  readonly headed: boolean;
  /** The schema that the router reports is needed too. */
  readonly schema?: boolean;
  /** As JSON it has the rows of all types, by their names; otherwise those of the first alone. */
  readonly together?: boolean;
  render(data: ReportData, verbose: boolean, schema?: Plain): readonly Block[];
}

/** A table of names and values. */
function pairs(title: string, rows: readonly (readonly [string, string])[]): Block {
  return { title, heads: ['attr', 'value'], rows };
}

function byText(name: string): (a: Row, b: Row) => number {
  return (a, b) => compare(cell(a, name), cell(b, name));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const GENERAL: readonly (readonly [label: string, attribute: string])[] = [
  ['Area', 'area'],
  ['Link Routes', 'linkRouteCount'],
  ['Auto Links', 'autoLinkCount'],
  ['Links', 'linkCount'],
  ['Nodes', 'nodeCount'],
  ['Addresses', 'addrCount'],
  ['Connections', 'connectionCount'],
  ['Presettled Count', 'presettledDeliveries'],
  ['Dropped Presettled Count', 'droppedPresettledDeliveries'],
  ['Accepted Count', 'acceptedDeliveries'],
  ['Rejected Count', 'rejectedDeliveries'],
  ['Released Count', 'releasedDeliveries'],
  ['Modified Count', 'modifiedDeliveries'],
  ['Deliveries Delayed > 1sec', 'deliveriesDelayed1Sec'],
  ['Deliveries Delayed > 10sec', 'deliveriesDelayed10Sec'],
  ['Deliveries Stuck > 10sec', 'deliveriesStuck'],
  ['Deliveries to Fallback', 'deliveriesRedirectedToFallback'],
  ['Links Blocked', 'linksBlocked'],
  ['Ingress Count', 'deliveriesIngress'],
  ['Egress Count', 'deliveriesEgress'],
  ['Transit Count', 'deliveriesTransit'],
  ['Deliveries from Route Container', 'deliveriesIngressRouteContainer'],
  ['Deliveries to Route Container', 'deliveriesEgressRouteContainer'],
];

function generalReport(data: ReportData): readonly Block[] {
  const router = data['router']?.[0] ?? new Map<string, Plain>();
  const memory = numberAt(router, 'memoryUsage') ?? 0;
  return [
    pairs('Router Statistics', [
      ['Version', cell(router, 'version')],
      ['Mode', cell(router, 'mode')],
      ['Router Id', cell(router, 'id')],
      ['Worker Threads', cell(router, 'workerThreads')],
      ['Uptime', timeLong(numberAt(router, 'uptimeSeconds'))],
      ...(memory > 0 ? [['VmSize', byteSize(memory)] as const] : []),
      ...GENERAL.map(([label, name]) => [label, cell(router, name)] as const),
    ]),
  ];
}

const lastDelivery = (row: Row): string => timeLong(numberAt(row, 'lastDlvSeconds')) || '-';

const CONNECTION: readonly Column[] = [
  ['id', at('identity')],
  ['host', at('host')],
  ['container', at('container')],
  ['role', at('role')],
  ['proto', at('protocol')],
  ['dir', at('dir')],
  ['security', security],
  ['authentication', authentication],
  ['tenant', tenant],
  ['last dlv', lastDelivery],
  ['uptime', (row) => timeLong(numberAt(row, 'uptimeSeconds'))],
];

const EDGE: readonly Column[] = [
  ...CONNECTION.slice(0, 4),
  ['dir', at('dir')],
  ['security', security],
  ['authentication', authentication],
  ['tenant', tenant],
  ['active', (row) => (row.get('active') === true ? 'yes' : 'no')],
];

function edgeReport(data: ReportData): readonly Block[] {
  const connections = data['connection'] ?? [];
  if (connections.length === 0) return [{ lines: ['No Edge Router Connections'] }];
  const edges = connections.filter((row) => row.get('role') === 'edge');
  return edges.length === 0 ? [] : [table('Connections', EDGE, edges)];
}

const key =
  (name: string, text: (key: string) => string): Column[1] =>
  (row) =>
    text(cell(row, name));

const LINK: readonly Column[] = [
  ['type', at('linkType')],
  ['dir', at('linkDir')],
  ['conn id', at('connectionId')],
  ['id', at('identity')],
  ['peer', at('peer')],
  ['class', key('owningAddr', addressClass)],
  ['addr', key('owningAddr', addressText)],
  ['phs', key('owningAddr', addressPhase)],
  ['cap', at('capacity')],
  ['pri', at('priority')],
  ['undel', at('undeliveredCount')],
  ['unsett', at('unsettledCount')],
  ['deliv', at('deliveryCount')],
  ['presett', at('presettledCount')],
  ['psdrop', at('droppedPresettledCount')],
  ['acc', at('acceptedCount')],
  ['rej', at('rejectedCount')],
  ['rel', at('releasedCount')],
  ['mod', at('modifiedCount')],
  [
    'delay',
    (row) => String((numberAt(row, 'deliveriesDelayed1Sec') ?? 0) + (numberAt(row, 'deliveriesDelayed10Sec') ?? 0)),
  ],
  ['rate', at('settleRate')],
  ['stuck', at('deliveriesStuck')],
  ['cred', at('creditAvailable')],
  [
    'blkd',
    (row) => {
      const seconds = numberAt(row, 'zeroCreditSeconds') ?? 0;
      // The column has no room for days: they are left out.
      return seconds === 0 ? '-' : clock(seconds % 86_400);
    },
  ],
];

const LINK_VERBOSE: readonly Column[] = [
  ['admin', at('adminStatus')],
  ['oper', at('operStatus')],
  ['name', at('linkName')],
];

function nodesReport(data: ReportData, verbose: boolean): readonly Block[] {
  const nodes = [...(data['router.node'] ?? [])].sort(byText('id'));
  if (nodes.length === 0) return [{ lines: ['Router is Standalone - No Router List'] }];
  const isSelf = (row: Row): boolean => row.get('nextHop') === '(self)';
  const isNeighbour = (row: Row): boolean => (row.get('routerLink') ?? null) !== null;
  const change = Math.max(0, ...nodes.map((row) => numberAt(row, 'lastTopoChange') ?? 0));
  const columns: Column[] = [
    ['router-id', at('id')],
    ['next-hop', (row) => (isSelf(row) ? '(self)' : isNeighbour(row) ? '-' : cell(row, 'nextHop'))],
    ['link', (row) => (isSelf(row) || !isNeighbour(row) ? '-' : cell(row, 'routerLink'))],
  ];
  if (verbose) {
    columns.push(
      ['ver', at('protocolVersion')],
      ['cost', at('cost')],
      ['neighbors', at('linkState')],
      ['valid-origins', at('validOrigins')],
    );
  }
  const topology = `Last Topology Change: ${universalTime(change)}`;
  return [table(`Routers in the Network\n${topology}`, columns, nodes)];
}

function addressReport(data: ReportData, verbose: boolean): readonly Block[] {
  const keyOf = (row: Row): string => cell(row, 'key') || cell(row, 'identity');
  const columns: readonly Column[] = [
    ['class', (row) => addressClass(keyOf(row))],
    ['addr', (row) => addressText(keyOf(row))],
    ['phs', (row) => addressPhase(keyOf(row))],
    ['distrib', at('distribution')],
    ['pri', (row) => ((numberAt(row, 'priority') ?? 0) < 0 ? '-' : cell(row, 'priority'))],
    ...(verbose ? [['in-proc', at('inProcess')] as const] : []),
    ['local', (row) => cell(row, /^[CDEF]/.test(keyOf(row)) ? 'containerCount' : 'subscriberCount')],
    ['remote', at('remoteCount')],
    ['in', at('deliveriesIngress')],
    ['out', at('deliveriesEgress')],
    ['thru', at('deliveriesTransit')],
    ['fallback', at('deliveriesRedirectedToFallback')],
    ...(verbose
      ? ([
          ['to-proc', at('deliveriesToContainer')],
          ['from-proc', at('deliveriesFromContainer')],
        ] as const)
      : []),
  ];
  const rows = [...(data['router.address'] ?? [])].sort((a, b) =>
    compare(addressText(keyOf(a)), addressText(keyOf(b))),
  );
  return [table('Router Addresses', columns, rows)];
}

const big =
  (name: string): Column[1] =>
  (row) =>
    grouped(row, name);

const poolName = (row: Row): string => cell(row, 'identity').replace(/^.*\//, '');

const POOL: readonly Column[] = [
  ['type', poolName],
  ['size', big('typeSize')],
  ['batch', at('transferBatchSize')],
  ['thread-max', big('localFreeListMax')],
  ['total', big('totalAllocFromHeap')],
  ['in-threads', big('heldByThreads')],
  ['rebal-in', big('batchesRebalancedToThreads')],
  ['rebal-out', big('batchesRebalancedToGlobal')],
];

function memoryReport(data: ReportData): readonly Block[] {
  const pools = [...(data['allocator'] ?? [])].sort((a, b) => compare(poolName(a), poolName(b)));
  if (pools.length === 0) return [{ lines: ['No memory statistics available'] }];
  const pooled = pools.reduce(
    (sum, row) => sum + (numberAt(row, 'typeSize') ?? 0) * (numberAt(row, 'totalAllocFromHeap') ?? 0),
    0,
  );
  const memory = numberAt(data['router']?.[0] ?? new Map(), 'memoryUsage');
  return [
    table('Memory Pools', POOL, pools),
    { lines: [''] },
    { title: 'Memory Summary', heads: ['VmSize', 'Pooled'], rows: [[byteSize(memory), byteSize(pooled)]] },
  ];
}

function policyReport(data: ReportData): readonly Block[] {
  const policy = data['policy']?.[0] ?? new Map<string, Plain>();
  const row = (label: string, name: string): readonly [string, string] => [label, cell(policy, name)];
  return [
    pairs('Policy Configuration', [
      row('Maximum Concurrent Connections', 'maxConnections'),
      row('Maximum Message Size', 'maxMessageSize'),
      row('Enable Vhost Policy', 'enableVhostPolicy'),
      row('Enable Vhost Name Patterns', 'enableVhostNamePatterns'),
      row('Policy Directory', 'policyDir'),
      ['Default Vhost', cell(policy, 'defaultVhost') || '(nil)'],
    ]),
    { lines: [''] },
    pairs('Policy Status', [
      row('Connections Processed', 'connectionsProcessed'),
      row('Connections Denied', 'connectionsDenied'),
      row('Connections Current', 'connectionsCurrent'),
      row('Links Denied', 'linksDenied'),
      row('Maximum Message Size Denied', 'maxMessageSizeDenied'),
      row('Total Denials', 'totalDenials'),
    ]),
  ];
}

const AUTO_LINK: readonly Column[] = [
  ['addr', at('address')],
  ['dir', at('direction')],
  ['phs', at('phase')],
  ['extAddr', at('externalAddress')],
  ['link', at('linkRef')],
  ['status', at('operStatus')],
  ['lastErr', at('lastError')],
];

function autoLinksReport(data: ReportData): readonly Block[] {
  const rows = [...(data['router.config.autoLink'] ?? [])].sort(byText('address'));
  if (rows.length === 0) return [{ lines: ['AutoLinks', 'No AutoLinks found'] }];
  return [table('AutoLinks', AUTO_LINK, rows)];
}

function linkRoutesReport(data: ReportData): readonly Block[] {
  const address = (row: Row): string => cell(row, 'prefix') || cell(row, 'pattern');
  const rows = [...(data['router.config.linkRoute'] ?? [])].sort((a, b) => compare(address(a), address(b)));
  if (rows.length === 0) return [{ lines: ['Link Routes', 'No Link Routes found'] }];
  const columns: Column[] = [
    ['address', address],
    ['dir', at('direction')],
    ['distrib', at('distribution')],
    ['status', at('operStatus')],
  ];
  if (rows.some((row) => cell(row, 'addExternalPrefix') !== '' || cell(row, 'delExternalPrefix') !== ''))
    columns.push(['add-ext-prefix', at('addExternalPrefix')], ['del-ext-prefix', at('delExternalPrefix')]);
  return [table('Link Routes', columns, rows)];
}

/** Lines of GET-LOG. @param entries - `[module, level, text, file, line, seconds since 1970]` each */
export function logBlocks(entries: readonly Plain[]): readonly Block[] {
  const lines = entries.map((entry) => {
    const [module, level, text, , , time] = Array.isArray(entry) ? (entry as readonly Plain[]) : [];
    return `${localTime(Number(time))} ${String(module)} (${String(level)}) ${String(text)}`;
  });
  return [{ lines }];
}

const headed = { limited: false, headed: true } as const;
const limited = { limited: true, headed: true } as const;
const bare = { limited: false, headed: false } as const;

/** Every report over entities. The log, which is none, has {@link logBlocks}. */
export const reports: readonly Report[] = [
  {
    key: 'general',
    flags: ['-g', '--general'],
    help: 'the router as a whole (what is shown unless told otherwise)',
    needs: ['router'],
    ...headed,
    render: generalReport,
  },
  {
    key: 'connections',
    flags: ['-c', '--connections'],
    help: 'connections',
    needs: ['connection'],
    ...limited,
    render: (data) => [table('Connections', CONNECTION, data['connection'] ?? [])],
  },
  {
    key: 'links',
    flags: ['-l', '--links'],
    help: 'links, with their counters',
    needs: ['router.link'],
    ...limited,
    render: (data, verbose) => [
      table('Router Links', verbose ? [...LINK, ...LINK_VERBOSE] : LINK, data['router.link'] ?? []),
    ],
  },
  {
    key: 'nodes',
    flags: ['-n', '--nodes'],
    help: 'routers of the network',
    needs: ['router.node'],
    ...limited,
    render: nodesReport,
  },
  {
    key: 'edge',
    flags: ['-e', '--edge'],
    help: 'connections of edge routers',
    needs: ['connection'],
    ...limited,
    render: edgeReport,
  },
  {
    key: 'address',
    flags: ['-a', '--address'],
    help: 'addresses, with their counters',
    needs: ['router.address'],
    ...limited,
    render: addressReport,
  },
  {
    key: 'memory',
    flags: ['-m', '--memory'],
    help: 'memory pools',
    needs: ['allocator', 'router'],
    ...headed,
    render: memoryReport,
  },
  {
    key: 'policy',
    flags: ['-p', '--policy'],
    help: 'the policy, and what it denied',
    needs: ['policy'],
    ...headed,
    render: policyReport,
  },
  {
    key: 'autolinks',
    flags: ['--autolinks'],
    help: 'links that the router attaches by itself',
    needs: ['router.config.autoLink'],
    ...limited,
    render: autoLinksReport,
  },
  {
    key: 'linkroutes',
    flags: ['--linkroutes'],
    help: 'link routes',
    needs: ['router.config.linkRoute'],
    ...limited,
    render: linkRoutesReport,
  },
  {
    key: 'service-bus',
    flags: ['--service-bus'],
    help: 'connectors to Azure Service Bus, their tokens, and what became of messages',
    needs: ['connector', 'router.config.autoLink'],
    ...headed,
    together: true,
    render: (data) => serviceBusReport(data['connector'] ?? [], data['router.config.autoLink'] ?? []),
  },
  {
    key: 'vhosts',
    flags: ['--vhosts'],
    help: 'virtual hosts of the policy',
    needs: ['vhost'],
    ...bare,
    render: (data) => vhostsReport(data['vhost'] ?? []),
  },
  {
    key: 'vhostgroups',
    flags: ['--vhostgroups'],
    help: 'user groups of the virtual hosts',
    needs: ['vhost'],
    ...bare,
    schema: true,
    render: (data, _verbose, schema) => vhostGroupsReport(data['vhost'] ?? [], schema ?? null),
  },
  {
    key: 'vhoststats',
    flags: ['--vhoststats'],
    help: 'who uses the virtual hosts, and what was denied',
    needs: ['vhostStats'],
    ...bare,
    render: (data) => vhostStatsReport(data['vhostStats'] ?? []),
  },
];

/** The reports of `--all-entities`, in their order. */
export const allEntities: readonly string[] = [
  'links',
  'address',
  'connections',
  'autolinks',
  'linkroutes',
  'general',
  'memory',
  'policy',
  'vhosts',
  'vhoststats',
];
