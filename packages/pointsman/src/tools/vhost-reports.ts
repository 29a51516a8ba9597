// SPDX-License-Identifier: Apache-2.0
import { cell } from './cells.js';
import type { Plain, Row } from './plain-value.js';
import type { Block } from './table.js';

function mapAt(row: Row, name: string): ReadonlyMap<string, Plain> {
  const value = row.get(name);
  return value instanceof Map ? value : new Map();
}

/** A column shows only where the first row has its attribute. */
function present(names: readonly string[], optional: readonly string[], first: Row | undefined): readonly string[] {
  return names.filter((name) => !optional.includes(name) || first?.has(name) === true);
}

/** Like {@link cell}, but what is missing is shown as such: the router answers for some attributes with nothing. */
function pythonCell(row: Row, name: string): string {
  return row.has(name) && row.get(name) === null ? 'None' : cell(row, name);
}

export function vhostsReport(vhosts: readonly Row[]): readonly Block[] {
  if (vhosts.length === 0) return [{ lines: ['No Vhosts'] }];
  const names = present(
    [
      'hostname',
      'maxConnections',
      'maxMessageSize',
      'maxConnectionsPerUser',
      'maxConnectionsPerHost',
      'allowUnknownUser',
    ],
    ['maxMessageSize'],
    vhosts[0],
  );
  return [
    {
      title: 'Vhosts',
      heads: [...names, 'groups'],
      rows: vhosts.map((row) => [...names.map((name) => pythonCell(row, name)), String(mapAt(row, 'groups').size)]),
    },
  ];
}

const GROUP_LIMITS = [
  'maxConnectionsPerUser',
  'maxConnectionsPerHost',
  'maxMessageSize',
  'maxFrameSize',
  'maxSessionWindow',
  'maxSessions',
  'maxSenders',
  'maxReceivers',
  'allowDynamicSource',
  'allowAnonymousSender',
  'allowUserIdProxy',
  'allowWaypointLinks',
  'allowDynamicLinkRoutes',
  'allowAdminStatusUpdate',
  'allowFallbackLinks',
];

const GROUP_LISTS = ['users', 'remoteHosts', 'sources', 'targets', 'sourcePattern', 'targetPattern'];

/** What a group's settings are where it says nothing, by the schema that the router reports. */
function groupDefaults(schema: Plain): Row {
  const types = schema instanceof Map ? (schema.get('entityTypes') as Plain | undefined) : undefined;
  const type = types instanceof Map ? (types.get('vhostUserGroupSettings') as Plain | undefined) : undefined;
  const attributes = type instanceof Map ? (type.get('attributes') as Plain | undefined) : undefined;
  if (!(attributes instanceof Map)) return new Map();
  return new Map(
    [...(attributes as ReadonlyMap<string, Plain>)].map(([name, attribute]) => [name, defaultOf(attribute)]),
  );
}

function defaultOf(attribute: Plain): Plain {
  if (!(attribute instanceof Map)) return null;
  const value = (attribute.get('default') ?? null) as Plain;
  // A schema leaves out defaults that are false.
  return value === null && attribute.get('type') === 'boolean' ? false : value;
}

/** @param schema - as GET-SCHEMA answers */
export function vhostGroupsReport(vhosts: readonly Row[], schema: Plain): readonly Block[] {
  const defaults = groupDefaults(schema);
  const groups = vhosts.flatMap((vhost) =>
    [...mapAt(vhost, 'groups')].map(([group, settings]) => ({
      vhost: cell(vhost, 'hostname'),
      group,
      settings: new Map([...defaults, ...(settings instanceof Map ? (settings as Row) : [])]),
    })),
  );
  if (groups.length === 0) return [{ lines: ['No Vhosts'] }];
  const first = groups[0]?.settings;
  const names = GROUP_LIMITS.filter((name) => name !== 'maxMessageSize' || first?.has(name) === true);
  const text = (settings: Row, name: string): string => cell(settings, name) || '(nil)';
  return [
    {
      title: 'Vhost Groups',
      heads: ['vhost', 'group', ...names],
      rows: groups.map(({ vhost, group, settings }) => [vhost, group, ...names.map((name) => text(settings, name))]),
    },
    ...groups.flatMap(({ vhost, group, settings }) => [
      { lines: [''] },
      {
        title: `Vhost '${vhost}' UserGroup '${group}'`,
        heads: ['attr', 'value'],
        rows: [['vhost', vhost], ['group', group], ...GROUP_LISTS.map((name) => [name, text(settings, name)])],
      },
    ]),
  ];
}

export function vhostStatsReport(stats: readonly Row[]): readonly Block[] {
  if (stats.length === 0) return [{ lines: ['No Vhost Stats'] }];
  const names = present(
    [
      'hostname',
      'connectionsApproved',
      'connectionsDenied',
      'connectionsCurrent',
      'sessionDenied',
      'senderDenied',
      'receiverDenied',
      'maxMessageSizeDenied',
    ],
    ['maxMessageSizeDenied'],
    stats[0],
  );
  const users = stats.flatMap((row) =>
    [...mapAt(row, 'perUserState')].map(([user, state]) => [
      cell(row, 'hostname'),
      user,
      cell(new Map([['hosts', state]]), 'hosts'),
    ]),
  );
  return [
    { title: 'Vhost Stats', heads: names, rows: stats.map((row) => names.map((name) => cell(row, name))) },
    { lines: [''] },
    { title: 'Vhost User Stats', heads: ['vhost', 'user', 'remote hosts'], rows: users },
  ];
}
