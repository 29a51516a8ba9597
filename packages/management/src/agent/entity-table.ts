// SPDX-License-Identifier: Apache-2.0
import type { AmqpValue } from '@pointsman/wire';
import type { EntityType } from '../entity-type.js';
import type { EntityValue } from '../validate.js';

/** One entity as management shows it. Values are read when they are asked for. */
export interface ManagedEntity {
  /** Unique within its type. */
  readonly identity: string;
  /** Null for entities that were given none. */
  readonly name: string | null;
  /**
   * Value of an attribute now, in its AMQP type; null where there is none, and for names that the type does not have. Of
   * `name`, `identity` and `type` the agent knows itself.
   */
  attribute(name: string): AmqpValue;
}

/** On whose behalf a request is carried out. */
export interface Requester {
  /** Identity of the connection that the request came over; undefined where it came from within the router. */
  readonly connection: string | undefined;
}

/** The entities of one type, and what can be done to them. What is left out is answered with 501. */
export interface EntityTable {
  readonly type: EntityType;
  /** Attributes in the order of a QUERY's columns. Default: the order of the schema. */
  readonly columns?: readonly string[];
  /** In a stable order: older ones first. */
  entities(requester: Requester): Iterable<ManagedEntity>;
  /** Default: a search through {@link entities}. */
  find?(identity: string, requester: Requester): ManagedEntity | undefined;
  /**
   * @param attributes - valid by the schema, defaults filled in
   * @param given - names of those that the request gave
   * @throws ManagementError
   */
  create?(
    attributes: EntityValue,
    given: ReadonlySet<string>,
    requester: Requester,
  ): ManagedEntity | Promise<ManagedEntity>;
  /**
   * @param attributes - those that the request gave, valid by the schema
   * @throws ManagementError; then nothing has changed
   */
  update?(entity: ManagedEntity, attributes: EntityValue, requester: Requester): void | Promise<void>;
  /** @throws ManagementError; then nothing has changed */
  delete?(entity: ManagedEntity, requester: Requester): void | Promise<void>;
  /** Further operations by their names in upper case, as `CALLME`. The result is the body of the answer. */
  readonly operations?: Readonly<Record<string, EntityOperation>>;
}

export type EntityOperation = (
  entity: ManagedEntity,
  request: { readonly properties: ReadonlyMap<string, AmqpValue>; readonly body: AmqpValue },
  requester: Requester,
) => AmqpValue | Promise<AmqpValue>;

/** Status codes of AMQP management that an operation can fail with. */
export type FailureStatus = 400 | 401 | 403 | 404 | 409 | 500 | 501;

/** An operation that cannot be carried out. The message is the `statusDescription`: no secrets. */
export class ManagementError extends Error {
  override readonly name = 'ManagementError';
  readonly status: FailureStatus;

  constructor(status: FailureStatus, message: string) {
    super(message);
    this.status = status;
  }
}
