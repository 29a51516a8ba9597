// SPDX-License-Identifier: Apache-2.0
import { cell, numberAt, timeLong } from './cells.js';
import type { Plain, Row } from './plain-value.js';
import { at, table } from './report-table.js';
import type { Column } from './report-table.js';
import type { Block } from './table.js';

/** A map within a connector's attribute, and the name of the connector. */
function within(connectors: readonly Row[], attribute: string): Row[] {
  return connectors.flatMap((connector) => {
    const list = connector.get(attribute) ?? null;
    const maps = Array.isArray(list) ? (list as readonly Plain[]) : [];
    return maps
      .filter((one): one is ReadonlyMap<string, Plain> => one instanceof Map)
      .map((one): Row => new Map([['connector', cell(connector, 'name')], ...one]));
  });
}

const place: Column = [
  'host',
  (row) => `${cell(row, 'host')}${cell(row, 'port') === '' ? '' : `:${cell(row, 'port')}`}`,
];

const CONNECTOR: readonly Column[] = [
  ['connector', at('name')],
  place,
  ['status', at('connectionStatus')],
  ['to be settled', at('azureLate')],
  ['message', at('connectionMsg')],
];

/** How long a token still lasts; how long ago it ended has a minus. */
function left(row: Row): string {
  const seconds = numberAt(row, 'secondsLeft');
  if (seconds === undefined) return '-';
  return seconds < 0 ? `-${timeLong(-seconds)}` : timeLong(seconds);
}

const TOKEN: readonly Column[] = [
  ['connector', at('connector')],
  ['for', (row) => cell(row, 'audience').replace(/^sb:\/\/[^/]*\//u, '') || '(namespace)'],
  ['source', at('source')],
  ['state', at('state')],
  ['expires in', left],
  ['links', at('links')],
  ['renewals', at('renewals')],
  ['failures', at('failures')],
  ['last error', at('lastError')],
];

const NODE: readonly Column[] = [
  ['connector', at('connector')],
  ['node', at('node')],
  ['state', at('state')],
  ['clients', at('clients')],
  ['waiting', at('waiting')],
  ['under way', at('underWay')],
  ['requests', at('requests')],
  ['refused', at('refused')],
  ['failures', at('failures')],
  ['last error', at('lastError')],
];

/** Only what comes from Service Bus is counted so. */
const inboxOnly =
  (name: string): Column[1] =>
  (row) =>
    cell(row, 'direction') === 'in' ? cell(row, name) : '-';

const AUTO_LINK: readonly Column[] = [
  ['autolink', at('name')],
  ['dir', at('direction')],
  ['entity', (row) => cell(row, 'externalAddress') || cell(row, 'address')],
  ['status', at('operStatus')],
  ['attached', at('activations')],
  ['failures', at('failures')],
  ['next try', (row) => (cell(row, 'retrySeconds') === '' ? '-' : timeLong(numberAt(row, 'retrySeconds') ?? 0))],
  ['settled later', inboxOnly('settledLater')],
  ['too late', inboxOnly('settledTooLate')],
  ['in doubt', inboxOnly('settledInDoubt')],
  ['locks renewed', inboxOnly('locksRenewed')],
  ['release loops', inboxOnly('releaseLoops')],
  ['last error', at('lastError')],
];

/** How far partitions of event hubs have been read. */
const HUB_READER: readonly Column[] = [
  ['autolink', at('name')],
  ['partition', (row) => cell(row, 'externalAddress') || cell(row, 'address')],
  ['status', at('operStatus')],
  ['offset', at('lastOffset')],
  ['number', at('lastSequenceNumber')],
  ['lag', at('lag')],
  ['replays', at('replays')],
  ['missed', at('missedEvents')],
];

/**
 * What an operator wants to know of Azure Service Bus.
 *
 * @param connectors - those at other containers are left out, by their lack of `azureNodes`
 */
export function serviceBusReport(connectors: readonly Row[], autoLinks: readonly Row[]): readonly Block[] {
  const own = connectors.filter((row) => Array.isArray(row.get('azureNodes') ?? null));
  if (own.length === 0) return [{ lines: ['No connector leads to Azure Service Bus'] }];
  const names = new Set(own.map((row) => cell(row, 'name')));
  const ownLinks = autoLinks.filter((row) => isAt(row, names));
  const hubReaders = ownLinks.filter((row) => cell(row, 'replays') !== '');
  const sections: readonly (readonly [
    title: string,
    columns: readonly Column[],
    rows: readonly Row[],
    none: string,
  ])[] = [
    ['Azure Service Bus', CONNECTOR, own, ''],
    ['Tokens', TOKEN, within(own, 'azureTokens'), 'No tokens: the key goes with the connection, or it is not open'],
    ['Shared Nodes', NODE, within(own, 'azureNodes'), 'No shared nodes are in use'],
    ['Autolinks', AUTO_LINK, ownLinks, 'No autolinks'],
    ...(hubReaders.length === 0 ? [] : [['Event Hubs', HUB_READER, hubReaders, ''] as const]),
  ];
  return sections.flatMap(([title, columns, rows, none], at): Block[] => [
    ...(at === 0 ? [] : [{ lines: [''] }]),
    rows.length === 0 ? { lines: [title, none] } : table(title, columns, rows),
  ]);
}

/** Of an autolink that names a container it cannot be said which connector leads there, but what only Service Bus makes. */
function isAt(row: Row, connectors: ReadonlySet<string>): boolean {
  const connection = cell(row, 'connection');
  if (connection !== '') return connectors.has(connection);
  return ['settledLater', 'settledTooLate', 'settledInDoubt', 'locksRenewed'].some(
    (name) => (numberAt(row, name) ?? 0) > 0,
  );
}
