// SPDX-License-Identifier: Apache-2.0
import type { EntityTable, ManagedEntity } from '@pointsman/management';
import type { VhostCounts } from '@pointsman/router';
import { long } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import type { RouterProcess } from '../run/router-process.js';
import { amqpValueOf, changing, configured, found, givenOf, madeOf, typeNamed } from './configured-tables.js';

/** The entities of policies: policy, vhost, vhostStats. The settings of groups stand within their vhost. */
export function policyTables(process: RouterProcess): EntityTable[] {
  return [
    policyTable(process),
    vhostTable(process),
    { type: typeNamed('vhostUserGroupSettings'), entities: () => [] },
    vhostStatsTable(process),
  ];
}

function policyTable({ router, source }: RouterProcess): EntityTable {
  const type = typeNamed('policy');
  const settings = source.only(type);
  const entity: ManagedEntity = {
    identity: 'policy/None',
    name: 'policy/None',
    attribute(name) {
      const { policy } = router;
      const { sockets, denials } = policy;
      switch (name) {
        case 'connectionsProcessed':
          return long(sockets.processed);
        case 'connectionsDenied':
          return long(sockets.denied);
        case 'connectionsCurrent':
          return long(sockets.current);
        case 'linksDenied':
          return long(denials.links);
        case 'maxMessageSizeDenied':
          return long(denials.messages);
        case 'totalDenials':
          return long(policy.totalDenials);
        default:
          return amqpValueOf(settings[name]);
      }
    },
  };
  return { type, entities: () => [entity] };
}

function vhostTable({ source, vhosts }: RouterProcess): EntityTable {
  const type = typeNamed('vhost');
  const entities = (): ManagedEntity[] =>
    source.of('vhost').map((entity) => configured(type, entity, `vhost/${String(entity.value['hostname'])}`));
  return {
    type,
    entities,
    create: (attributes, given) =>
      changing(type, async () => {
        const name = await vhosts.create(givenOf(attributes, given));
        return madeOf(entities(), name);
      }),
    update: ({ name }, attributes) => changing(type, () => vhosts.update(name ?? '', attributes)),
    delete: ({ name }) => found(vhosts.remove(name ?? '')),
  };
}

const STATS: Readonly<Record<string, (counts: VhostCounts) => AmqpValue>> = {
  id: ({ hostname }) => hostname,
  hostname: ({ hostname }) => hostname,
  connectionsApproved: ({ approved }) => long(approved),
  connectionsDenied: ({ denied }) => long(denied),
  connectionsCurrent: ({ current }) => long(current),
  perUserState: ({ perUser }) => namesMap(perUser),
  perHostState: ({ perHost }) => namesMap(perHost),
  sessionDenied: ({ sessionDenied }) => long(sessionDenied),
  senderDenied: ({ senderDenied }) => long(senderDenied),
  receiverDenied: ({ receiverDenied }) => long(receiverDenied),
  maxMessageSizeDenied: ({ maxMessageSizeDenied }) => long(maxMessageSizeDenied),
};

function vhostStatsTable({ router }: RouterProcess): EntityTable {
  return {
    type: typeNamed('vhostStats'),
    entities: () =>
      [...router.policy.counts].map((counts) => {
        const identity = `vhostStats/${counts.hostname}`;
        return {
          identity,
          name: identity,
          attribute: (name): AmqpValue => (Object.hasOwn(STATS, name) ? STATS[name]!(counts) : null),
        };
      }),
  };
}

function namesMap(names: ReadonlyMap<string, ReadonlyMap<number, string>>): AmqpValue {
  return new Map([...names].map(([key, connections]) => [key, [...connections.values()]]));
}
