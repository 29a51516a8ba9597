// SPDX-License-Identifier: Apache-2.0
import { entryOf } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import type { EntityType } from '../entity-type.js';
import { TYPE_PREFIX } from '../entity-type.js';
import { entityTypeOf } from '../schema/entity-types.js';
import { management } from '../schema/management.js';
import { isCoreType, isForbidden } from './core-types.js';
import { checkedCreation, deprecationTexts, entriesOf } from './create-request.js';
import { dummyTable } from './dummy-table.js';
import { EntityDirectory } from './entity-directory.js';
import { ManagementError } from './entity-table.js';
import type { EntityOperation, EntityTable, Requester } from './entity-table.js';
import { decodeManagementRequest, encodeManagementResponse } from './messages.js';
import type { ManagementRequest } from './messages.js';
import { queryAnswer } from './query.js';
import { attributesAnswer, operationsAnswer, schemaAnswer, typesAnswer } from './schema-answers.js';
import { checkedUpdate } from './update-request.js';
import { amqpOf, integerOf, shown, shownList, textOf } from './values.js';

/** One line of the log: `time` in seconds since 1970. */
export type LogRow = readonly [
  module: string,
  level: string,
  text: string,
  file: string | null,
  line: number | null,
  time: number,
];

export interface ManagementAgentOptions {
  /** At most one for each type. Those of `management` and `dummy` are added where they are missing. */
  readonly tables: readonly EntityTable[];
  /** Addresses of the management nodes of the network. */
  readonly managementNodes: () => readonly string[];
  /** Latest lines of the log, oldest first. @param limit - number of lines; 0 or less means all */
  readonly recentLog: (limit: number) => readonly LogRow[];
  /**
   * An operation has failed.
   *
   * @param typeName - full name of the type, for the types that the router's core keeps
   */
  readonly onFailure?: (operation: string, typeName: string | undefined, description: string) => void;
  /** A request uses what is on its way out. */
  readonly onWarning?: (text: string) => void;
}

interface Answer {
  readonly statusCode: number;
  readonly statusDescription: string;
  readonly body: AmqpValue;
}

/** What is known of a request by the time that it fails. */
interface Progress {
  operation: string;
  type: EntityType | undefined;
}

const OK = { statusCode: 200, statusDescription: 'OK' };
const DEFAULT_TEXTS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  500: 'Internal Server Error',
  501: 'Not Implemented',
};
const DESCRIPTION_LENGTH_MAX = 1_024;
/** Requests that may wait for their turn. */
const WAITING_MAX = 10_000;

/** The management node: answers requests out of entity tables, one at a time, in the order of their arrival. */
export class ManagementAgent {
  readonly #options: ManagementAgentOptions;
  readonly #directory: EntityDirectory;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: ManagementAgentOptions) {
    this.#options = options;
    const own = [managementTable(), dummyTable()];
    const missing = own.filter(({ type }) => options.tables.every((table) => table.type.name !== type.name));
    this.#directory = new EntityDirectory([...missing, ...options.tables]);
  }

  /**
   * Carries out a request.
   *
   * @param message - a whole encoded message; it may be anything
   * @returns the encoded answer and its address; undefined where the request names none
   */
  async answer(
    message: Uint8Array,
    requester: Requester,
  ): Promise<{ readonly to: string; readonly message: Uint8Array } | undefined> {
    const request = decodeManagementRequest(message);
    if (request === undefined) return undefined;
    const result = await this.#inTurn(request, requester);
    return { to: request.replyTo, message: this.#encoded(request, result) };
  }

  async #inTurn(request: ManagementRequest, requester: Requester): Promise<Answer> {
    if (this.#waiting >= WAITING_MAX) {
      const error = new ManagementError(500, `More than ${WAITING_MAX} requests wait for an answer: try again later`);
      return this.#failure(error, { operation: 'request', type: undefined });
    }
    this.#waiting++;
    const mine = this.#turn.then(() => this.#carriedOut(request, requester));
    this.#turn = mine;
    const result = await mine;
    this.#waiting--;
    return result;
  }

  #encoded(request: ManagementRequest, result: Answer): Uint8Array {
    try {
      return encodeManagementResponse(request, result);
    } catch (error) {
      // Whatever cannot be encoded is in the body: the rest came out of a decoder.
      const operation = textOf(entryOf(request.properties, 'operation')) ?? 'request';
      return encodeManagementResponse(request, this.#failure(error, { operation, type: undefined }));
    }
  }

  /** Never rejects. */
  async #carriedOut(request: ManagementRequest, requester: Requester): Promise<Answer> {
    const progress: Progress = { operation: 'request', type: undefined };
    try {
      return await this.#dispatched(request, requester, progress);
    } catch (error) {
      return this.#failure(error, progress);
    }
  }

  #failure(error: unknown, { operation, type }: Progress): Answer {
    const known = error instanceof ManagementError;
    const statusCode = known ? error.status : 500;
    const own = error instanceof Error ? error.message : String(error);
    const named = error instanceof Error && !known ? `${error.name}: ${own}` : own;
    const statusDescription = shown(named === '' ? DEFAULT_TEXTS[statusCode]! : named, DESCRIPTION_LENGTH_MAX);
    const core = type !== undefined && isCoreType(type);
    try {
      this.#options.onFailure?.(shown(operation), core ? type.fullName : undefined, statusDescription);
    } catch {
      // A log that fails must not cost the client its answer.
    }
    return { statusCode, statusDescription, body: failureBody(operation, core) };
  }

  #dispatched(request: ManagementRequest, requester: Requester, progress: Progress): Answer | Promise<Answer> {
    if (request.fault !== undefined) throw new ManagementError(400, `The request cannot be read: ${request.fault}`);
    const { properties } = request;
    const text = textOf(entryOf(properties, 'operation'));
    // Of the request only the names: the values may be secret.
    if (text === undefined) throw new ManagementError(400, `No 'operation' property: ${shownList(properties.keys())}`);
    const operation = text.toUpperCase().replaceAll('_', '-');
    progress.operation = operation;
    switch (operation) {
      case 'QUERY':
        return this.#query(request, requester, progress);
      case 'CREATE':
        return this.#create(request, requester, progress);
    }
    const type = typeOf(request, 'type') ?? (isNodeOperation(operation) ? undefined : typeOf(request, 'entityType'));
    progress.type = type;
    const name = textOf(entryOf(properties, 'name'));
    const identity = textOf(entryOf(properties, 'identity'));
    const toNode =
      (type === undefined || isManagement(type)) && (name ?? 'self') === 'self' && (identity ?? 'self') === 'self';
    if (toNode && isNodeOperation(operation)) {
      return { ...OK, body: this.#nodeOperation(operation, request) };
    }
    if (type !== undefined && isForbidden(type, operation)) throw new ManagementError(403, 'Forbidden');
    return this.#onEntity(operation, request, requester, { type, name, identity });
  }

  #query(request: ManagementRequest, requester: Requester, progress: Progress): Answer {
    const given = typeOf(request, 'entityType');
    const target = given ?? typeOf(request, 'type');
    // Clients address the node by its type, and mean all entities.
    const type = given === undefined && target !== undefined && isManagement(target) ? undefined : target;
    progress.type = type;
    if (type !== undefined && isForbidden(type, 'QUERY')) throw new ManagementError(403, 'Forbidden');
    return { ...OK, body: queryAnswer(this.#directory, type, request, requester) };
  }

  async #create(request: ManagementRequest, requester: Requester, progress: Progress): Promise<Answer> {
    const type = typeOf(request, 'type') ?? typeOf(request, 'entityType');
    progress.type = type;
    if (type === undefined) {
      const names = request.body instanceof Map ? [...request.body.keys()].map(String) : [];
      throw new ManagementError(400, `No 'type' attribute in ${shownList(names)}`);
    }
    if (isForbidden(type, 'CREATE')) throw new ManagementError(403, 'Forbidden');
    const holding = this.#directory.of(type);
    if (holding?.table.create === undefined) throw notImplemented('CREATE', type);
    const entries = entriesOf(request.body);
    const bodyType = textOf(entries.find(([key]) => key === 'type')?.[1]);
    if (bodyType !== undefined && entityTypeOf(bodyType) !== type) {
      throw new ManagementError(400, "Conflicting values for 'type'");
    }
    const named = textOf(entryOf(request.properties, 'name'));
    const bodyName = textOf(entries.find(([key]) => key === 'name')?.[1]);
    if (!holding.core && named !== undefined && bodyName !== undefined && named !== bodyName) {
      throw new ManagementError(400, "Conflicting values for 'name'");
    }
    const name = named ?? bodyName;
    const attributes = entries.filter(([key]) => key !== 'type' && key !== 'name');
    const checked = checkedCreation(type, attributes, name);
    const { value, given } = checked;
    if (name !== undefined) this.#directory.refuseDuplicate(holding, name, requester);
    const entity = await holding.table.create(value, given, requester);
    for (const text of deprecationTexts(type, checked)) this.#options.onWarning?.(text);
    return { statusCode: 201, statusDescription: 'Created', body: this.#directory.record(holding, entity) };
  }

  async #onEntity(
    operation: string,
    request: ManagementRequest,
    requester: Requester,
    target: { type: EntityType | undefined; name: string | undefined; identity: string | undefined },
  ): Promise<Answer> {
    const { type } = target;
    const core = type !== undefined && isCoreType(type);
    if (core && operation !== 'READ') {
      const table = this.#directory.of(type)?.table;
      if (table !== undefined && !isImplemented(table, operation)) throw notImplemented(operation, type);
      if (operation === 'UPDATE' && type.name === 'connection' && target.identity === undefined) {
        throw new ManagementError(400, 'Bad Request');
      }
    }
    const { holding, entity } = this.#directory.located(operation, target, requester);
    const { table } = holding;
    switch (operation) {
      case 'READ':
        return { ...OK, body: this.#directory.record(holding, entity) };
      case 'UPDATE': {
        if (table.update === undefined) throw notImplemented(operation, table.type);
        const changes = checkedUpdate(this.#directory, holding, entity, request.body);
        if (changes !== undefined) await table.update(entity, changes, requester);
        return { ...OK, body: this.#directory.record(holding, entity) };
      }
      case 'DELETE':
        if (table.delete === undefined) throw notImplemented(operation, table.type);
        await table.delete(entity, requester);
        return { statusCode: 204, statusDescription: 'No Content', body: new Map() };
    }
    const run = furtherOperation(table, operation);
    if (run === undefined) throw notImplemented(operation, table.type);
    const { properties, body } = request;
    return { ...OK, body: (await run(entity, { properties, body }, requester)) ?? null };
  }

  #nodeOperation(operation: NodeOperation, request: ManagementRequest): AmqpValue {
    const type = (): EntityType | undefined => typeOf(request, 'entityType');
    switch (operation) {
      case 'GET-TYPES':
        return amqpOf(typesAnswer(type()));
      case 'GET-ATTRIBUTES':
        return amqpOf(attributesAnswer(type()));
      case 'GET-OPERATIONS':
        return amqpOf(operationsAnswer(type()));
      case 'GET-ANNOTATIONS':
        type();
        return new Map();
      case 'GET-SCHEMA':
        return amqpOf(schemaAnswer());
      case 'GET-JSON-SCHEMA':
        return JSON.stringify(schemaAnswer(), undefined, Math.max(0, argumentOf(request, 'indent')));
      case 'GET-MGMT-NODES':
        return [...this.#options.managementNodes()];
      case 'PROFILE':
        if (!request.properties.has('start')) throw new ManagementError(400, 'Profiler not started');
        throw new ManagementError(
          501,
          "Operation 'PROFILE' not implemented: start the router with node --cpu-prof instead",
        );
      case 'GET-LOG': {
        const limit = Math.max(0, argumentOf(request, 'limit'));
        const rows = this.#options.recentLog(limit);
        return rows.map(([module, level, text, file, line, time]) => [
          module,
          level,
          text,
          file,
          line,
          Math.floor(time),
        ]);
      }
    }
  }
}

const NODE_OPERATIONS = [
  'GET-TYPES',
  'GET-ATTRIBUTES',
  'GET-OPERATIONS',
  'GET-ANNOTATIONS',
  'GET-SCHEMA',
  'GET-JSON-SCHEMA',
  'GET-MGMT-NODES',
  'GET-LOG',
  'PROFILE',
] as const;

type NodeOperation = (typeof NODE_OPERATIONS)[number];

function isNodeOperation(operation: string): operation is NodeOperation {
  return (NODE_OPERATIONS as readonly string[]).includes(operation);
}

function isManagement(type: EntityType): boolean {
  return type.name === 'management' || type.name === 'org.amqp.management';
}

function managementTable(): EntityTable {
  const self = { identity: 'self', name: 'self', attribute: () => null };
  return { type: management, entities: () => [self] };
}

/** The type that a property of the request names, undefined where it is absent. @throws ManagementError */
function typeOf(request: ManagementRequest, property: 'type' | 'entityType'): EntityType | undefined {
  const name = textOf(entryOf(request.properties, property));
  if (name === undefined) return undefined;
  const type = entityTypeOf(name);
  if (type !== undefined) return type;
  const fullName = name.startsWith(`${TYPE_PREFIX}.`) ? name : `${TYPE_PREFIX}.${name}`;
  throw new ManagementError(400, `No such entity type '${shown(fullName)}'`);
}

/** A whole number out of the request's properties, 0 where it is absent. @throws ManagementError */
function argumentOf(request: ManagementRequest, name: string): number {
  const value = entryOf(request.properties, name) ?? null;
  if (value === null) return 0;
  const number = integerOf(value);
  if (number === undefined) throw new ManagementError(400, `'${name}' must be a whole number`);
  return number;
}

function isImplemented(table: EntityTable, operation: string): boolean {
  if (operation === 'UPDATE') return table.update !== undefined;
  if (operation === 'DELETE') return table.delete !== undefined;
  return furtherOperation(table, operation) !== undefined;
}

function furtherOperation(table: EntityTable, operation: string): EntityOperation | undefined {
  const { operations = {} } = table;
  return Object.hasOwn(operations, operation) ? operations[operation] : undefined;
}

function notImplemented(operation: string, type: EntityType): ManagementError {
  const text = `Operation '${shown(operation)}' not implemented for '${type.fullName}' ${shownList(type.operations)}`;
  return new ManagementError(501, text);
}

function failureBody(operation: string, core: boolean): AmqpValue {
  if (core && operation === 'CREATE') return null;
  if (!core || operation !== 'QUERY') return new Map();
  return new Map<AmqpValue, AmqpValue>([
    ['attributeNames', []],
    ['results', []],
  ]);
}
