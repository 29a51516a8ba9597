// SPDX-License-Identifier: Apache-2.0
import {
  decodeManagementResponse,
  encodeManagementRequest,
  entityTypeOf,
  jsonOf,
  ManagementAgent,
  ManagementError,
} from '@pointsman/management';
import type { EntityTable, EntityValue, LogRow, ManagedEntity, ManagementCall, Requester } from '@pointsman/management';
import type { AmqpValue } from '@pointsman/wire';
import assert from 'node:assert/strict';

export interface Reply {
  readonly statusCode: number;
  readonly statusDescription: string;
  readonly correlationId: AmqpValue | undefined;
  /** As JSON. */
  readonly body: unknown;
}

type Values = Readonly<Record<string, AmqpValue>>;

function entityOf(identity: string, name: string | null, values: Values): ManagedEntity {
  return { identity, name, attribute: (attribute) => values[attribute] ?? null };
}

/** A table of entities that are kept in a list, with the operations that its type has. */
export function listTable(
  typeName: string,
  rows: readonly (readonly [identity: string, name: string | null, values: Values])[],
  functions: Partial<EntityTable> = {},
): EntityTable {
  const entities = rows.map((row) => entityOf(...row));
  const type = entityTypeOf(typeName);
  assert.ok(type, typeName);
  return { type, entities: () => entities, ...functions };
}

/** A table whose entities can be created and deleted. */
export function growingTable(
  typeName: string,
  identityOf: (attributes: EntityValue, count: number) => string,
): EntityTable {
  const entities: ManagedEntity[] = [];
  let count = 0;
  return {
    ...listTable(typeName, []),
    entities: () => entities,
    create(attributes) {
      const identity = identityOf(attributes, count++);
      const name = typeof attributes['name'] === 'string' ? attributes['name'] : identity;
      const entity = entityOf(identity, name, attributes as Values);
      entities.push(entity);
      return entity;
    },
    delete(entity) {
      entities.splice(entities.indexOf(entity), 1);
    },
  };
}

export interface Bench {
  readonly agent: ManagementAgent;
  /** What was reported as failed. */
  readonly failures: string[];
  readonly warnings: string[];
  call(
    operation: string | undefined,
    request?: Omit<Partial<ManagementCall>, 'operation'>,
    requester?: Requester,
  ): Promise<Reply>;
}

const LOG: readonly LogRow[] = [
  ['SERVER', 'info', 'first', null, null, 1_700_000_000.9],
  ['AGENT', 'error', 'second', 'a.ts', 7, 1_700_000_001],
];

export function bench(tables: readonly EntityTable[] = standardTables()): Bench {
  const failures: string[] = [];
  const warnings: string[] = [];
  const agent = new ManagementAgent({
    tables,
    managementNodes: () => ['amqp:/_topo/0/A/$management'],
    recentLog: (limit) => (limit > 0 ? LOG.slice(-limit) : LOG),
    onFailure: (operation, type, text) =>
      failures.push(`${operation}${type === undefined ? '' : ` of ${type}`}: ${text}`),
    onWarning: (text) => warnings.push(text),
  });
  return {
    agent,
    failures,
    warnings,
    async call(operation, request = {}, requester = { connection: undefined }) {
      const bytes = encodeManagementRequest({
        replyTo: 'replies',
        correlationId: 'c1',
        ...request,
        operation: operation ?? '',
      });
      const answer = await agent.answer(bytes, requester);
      assert.ok(answer, 'an answer comes');
      assert.equal(answer.to, 'replies');
      const response = decodeManagementResponse(answer.message);
      return { ...response, body: jsonOf(response.body) };
    },
  };
}

export function standardTables(): EntityTable[] {
  const connections = [8, 9, 10].map(
    (id) => [`${id}`, `connection/10.0.0.${id}`, { host: `10.0.0.${id}`, active: true }] as const,
  );
  return [
    listTable('router', [['1', 'A', { id: 'A', mode: 'interior', linkCount: 7, workerThreads: 4 }]]),
    listTable('listener', [
      ['listener/0.0.0.0:5672:front', 'front', { host: '0.0.0.0', port: '5672', role: 'normal' }],
      ['listener/0.0.0.0:5673', 'listener/0.0.0.0:5673', { host: '0.0.0.0', port: '5673', role: 'edge' }],
    ]),
    growingTable('connector', ({ host, port }) => `connector/${String(host)}:${String(port)}`),
    listTable('log', [['log/AGENT', 'log/AGENT', { module: 'AGENT', enable: 'info+' }]], {
      update(_entity, { enable }) {
        if (enable === 'nonsense') throw new ManagementError(400, "'nonsense' is not a valid log level");
        if (enable === 'broken') throw new TypeError('the log is broken');
      },
    }),
    listTable('connection', connections, {
      update(entity, attributes, { connection }) {
        if (entity.identity === connection)
          throw new ManagementError(403, 'You are not allowed to perform this operation.');
        assert.deepEqual(Object.keys(attributes).length > 0, true);
      },
    }),
    growingTable('router.config.address', (_attributes, count) => `${100 + count}`),
    growingTable('router.config.linkRoute', (_attributes, count) => `${200 + count}`),
    growingTable('router.config.autoLink', (_attributes, count) => `${300 + count}`),
    growingTable('router.config.exchange', (_attributes, count) => `${400 + count}`),
    growingTable('router.config.binding', (_attributes, count) => `${500 + count}`),
    growingTable('router.connection.linkRoute', (_attributes, count) => `${600 + count}`),
  ];
}
