// SPDX-License-Identifier: Apache-2.0

/** What an attribute's value is. `path` and `entityId` are text that names a file, and another entity. */
export type ValueKind = 'string' | 'path' | 'entityId' | 'boolean' | 'integer' | 'enum' | 'properties' | 'map' | 'list';

/** Management operations on an entity, as the schema reports them. */
export type Operation =
  | 'CREATE'
  | 'READ'
  | 'UPDATE'
  | 'DELETE'
  | 'QUERY'
  | 'CALLME'
  | 'PROFILE'
  | `GET-${'TYPES' | 'ANNOTATIONS' | 'OPERATIONS' | 'ATTRIBUTES' | 'MGMT-NODES' | 'SCHEMA' | 'JSON-SCHEMA' | 'LOG'}`;

/** One attribute of an entity type. Everything that is said of it anywhere comes from here. */
export interface AttributeType {
  readonly name: string;
  readonly type: ValueKind;
  /** One line for the reference page, the console and the tools. */
  readonly doc: string;
  /** Tags of an `enum`, in the order of their indexes. */
  readonly values?: readonly string[];
  /** Second spellings of tags that people write, and the tag that each stands for. */
  readonly valueAliases?: Readonly<Record<string, string>>;
  /** Value where none is given. Absent means that the attribute then has no value. */
  readonly default?: string | number | boolean;
  /** Least and greatest value of an `integer`, both included. */
  readonly min?: number;
  readonly max?: number;
  readonly required: boolean;
  /** It is text that may be empty, although it is required. */
  readonly mayBeEmpty?: boolean;
  /** No two entities, of whatever type, share a value. */
  readonly unique: boolean;
  /** May be given when the entity is created. */
  readonly create: boolean;
  /** May be changed while the entity lives. */
  readonly update: boolean;
  /** A number worth a curve. */
  readonly graph: boolean;
  /** Reported as hidden by the schema operations, so that user interfaces mask it. */
  readonly hidden: boolean;
  /** Its value never appears in a message, a log or a management answer. Wider than `hidden`, which is the old schema's. */
  readonly secret: boolean;
  /** Older spelling of the name that is still understood. */
  readonly deprecatedName?: string;
  /** The attribute is on its way out; what to write instead. */
  readonly deprecated?: string;
  /** The only value that the attribute can have. */
  readonly fixedValue?: string;
  /** The attribute is Pointsman's own: Qpid Dispatch does not know it. */
  readonly own: boolean;
}

/** One type of entity: its rows in the schema. */
export interface EntityType {
  /** Short name, as `listener` or `router.config.address`. */
  readonly name: string;
  /** Value of the `type` attribute: the prefix and the short name. */
  readonly fullName: string;
  readonly doc: string;
  /** Short names of the types that it extends, nearest first. */
  readonly bases: readonly string[];
  /** No entity is of this type itself, only of those that extend it. */
  readonly abstract: boolean;
  /** Name of the section in a configuration file, or undefined for a type that cannot be configured. */
  readonly section: string | undefined;
  /** At most one entity of the type exists. */
  readonly singleton: boolean;
  /** Other entities refer to it by name. */
  readonly referential: boolean;
  readonly deprecated: boolean;
  readonly operations: readonly Operation[];
  readonly attributes: readonly AttributeType[];
}

/** Prefix of every full type name, as tools of Qpid Dispatch expect it. */
export const TYPE_PREFIX = 'org.apache.qpid.dispatch';

type Extras = Partial<Omit<AttributeType, 'name' | 'type' | 'doc' | 'values'>>;

function attribute(name: string, type: ValueKind | readonly string[], doc: string, extras: Extras): AttributeType {
  return {
    name,
    doc,
    ...(typeof type === 'string' ? { type } : { type: 'enum', values: type }),
    required: false,
    unique: false,
    create: false,
    update: false,
    graph: false,
    hidden: false,
    secret: false,
    own: false,
    ...extras,
  };
}

/** A row for an attribute that whoever creates the entity may give. A list in place of a type makes an enum. */
export function settable(
  name: string,
  type: ValueKind | readonly string[],
  doc: string,
  extras: Extras = {},
): AttributeType {
  return attribute(name, type, doc, { create: true, ...extras });
}

/** A row for an attribute that the router reports. */
export function reported(
  name: string,
  type: ValueKind | readonly string[],
  doc: string,
  extras: Extras = {},
): AttributeType {
  return attribute(name, type, doc, extras);
}

/** A row for a number that the router reports and that is worth a curve. */
export function gauge(name: string, doc: string): AttributeType {
  return attribute(name, 'integer', doc, { graph: true });
}

/** Bases of the types that are configured, or that requests create. */
const CONFIGURED: readonly string[] = ['configurationEntity', 'entity'];
/** Bases of the types whose entities the router makes by itself. */
export const OPERATIONAL: readonly string[] = ['operationalEntity', 'entity'];

/** The rows of one type, followed by those that all types have. */
export function entityType(
  name: string,
  about: Pick<EntityType, 'doc' | 'section' | 'operations'> &
    Partial<Pick<EntityType, 'bases' | 'abstract' | 'singleton' | 'referential' | 'deprecated'>>,
  attributes: readonly AttributeType[],
): EntityType {
  const fullName = `${TYPE_PREFIX}.${name}`;
  return {
    name,
    fullName,
    bases: CONFIGURED,
    abstract: false,
    singleton: false,
    referential: false,
    deprecated: false,
    ...about,
    attributes: [
      ...attributes,
      settable('name', 'string', 'Name of the entity, unique among all entities. Made up where none is given.', {
        unique: true,
      }),
      reported('identity', 'string', 'Identity that the router gives to the entity.', { unique: true }),
      settable('type', 'string', 'Full name of the entity type.', { required: true, fixedValue: fullName }),
    ],
  };
}
