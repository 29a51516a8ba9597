// SPDX-License-Identifier: Apache-2.0
import { ManagementError, entityTypeOf } from '@pointsman/management';
import type { AttributeValue, EntityTable, EntityType, EntityValue, ManagedEntity } from '@pointsman/management';
import { PolicyError } from '@pointsman/router';
import { TlsCredentialsError } from '@pointsman/transport';
import type { SharedNode, TokenState } from '@pointsman/azure';
import { long } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import { EntityRefused } from '../config/config-source.js';
import type { ConfiguredEntity } from '../config/config-source.js';
import type { ConnectorRuntime, ConnectorStep } from '../run/connector.js';
import { ConnectorError } from '../run/destination.js';
import type { RouterProcess } from '../run/router-process.js';

/** The entities that sections of the configuration make: listener, connector, sslProfile, authServicePlugin. */
export function configuredTables(process: RouterProcess): EntityTable[] {
  return [sslProfileTable(process), pluginTable(process), listenerTable(process), connectorTable(process)];
}

/** @throws Error where the schema has no such type */
export function typeNamed(name: string): EntityType {
  const type = entityTypeOf(name);
  if (type === undefined) throw new Error(`the schema has no entity type ${name}`);
  return type;
}

/** A configured value for an answer. */
export function amqpValueOf(value: AttributeValue | undefined): AmqpValue {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object') return value;
  if (Array.isArray(value)) return (value as readonly AttributeValue[]).map((item) => amqpValueOf(item));
  return new Map(Object.entries(value).map(([key, item]) => [key, amqpValueOf(item)]));
}

/** An entity with the values that were configured for it; secrets are left out. */
export function configured(
  type: EntityType,
  { name, value }: ConfiguredEntity,
  identity: string,
  live: (attribute: string) => AmqpValue | undefined = () => undefined,
): ManagedEntity {
  return {
    identity,
    name,
    attribute(attribute) {
      const now = live(attribute);
      if (now !== undefined) return now;
      const known = type.attributes.find((candidate) => candidate.name === attribute);
      return known === undefined || known.secret ? null : amqpValueOf(value[attribute]);
    },
  };
}

/** What a request gave, without the defaults: what follows from what is not given is up to the rules. */
export function givenOf(attributes: EntityValue, given: ReadonlySet<string>): EntityValue {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => given.has(name)));
}

/** Runs a change, and says in management's terms why it cannot be. @throws ManagementError */
export async function changing<T>(type: EntityType, change: () => T | Promise<T>): Promise<T> {
  try {
    return await change();
  } catch (error) {
    if (error instanceof PolicyError) throw new ManagementError(500, `PolicyError: ${error.message}`);
    const isRefusal =
      error instanceof EntityRefused || error instanceof ConnectorError || error instanceof TlsCredentialsError;
    if (!isRefusal) throw error;
    if (error instanceof EntityRefused && error.former !== undefined)
      throw new ManagementError(400, `${error.former} ${type.fullName}: ${error.message}`);
    const hint = error instanceof TlsCredentialsError ? ` ${error.hint}` : '';
    throw new ManagementError(400, `${type.fullName}: ${error.message}${hint}`);
  }
}

export function madeOf(entities: Iterable<ManagedEntity>, name: string): ManagedEntity {
  for (const entity of entities) if (entity.name === name) return entity;
  throw new ManagementError(500, `'${name}' is gone already`);
}

export function found(wasThere: boolean): void {
  if (!wasThere) throw new ManagementError(404, 'Not Found');
}

function listenerTable(process: RouterProcess): EntityTable {
  const type = typeNamed('listener');
  const entities = (): ManagedEntity[] =>
    process.source.of('listener').map((entity) => configured(type, entity, placeIdentity(type, entity)));
  return {
    type,
    entities,
    create: (attributes, given) =>
      changing(type, async () => {
        refuseReferences(type, attributes, given);
        const { name } = await process.addListener(givenOf(attributes, given));
        return madeOf(entities(), name);
      }),
    delete: ({ name }) => found(process.removeListener(name ?? '')),
  };
}

function connectorTable(process: RouterProcess): EntityTable {
  const type = typeNamed('connector');
  const entities = (): ManagedEntity[] =>
    process.source.of('connector').map((entity) => {
      const runtime = process.connector(entity.name);
      return configured(type, entity, placeIdentity(type, entity, runtime?.target), (attribute) =>
        runtime === undefined ? undefined : connectorAttribute(runtime, attribute),
      );
    });
  return {
    type,
    entities,
    create: (attributes, given) =>
      changing(type, () => {
        refuseReferences(type, attributes, given);
        const { name } = process.addConnector(givenOf(attributes, given));
        return madeOf(entities(), name);
      }),
    delete: ({ name }) => found(process.removeConnector(name ?? '')),
  };
}

/**
 * A connector shows its password to the peer: with `env:` and `file:` a request could send whatever this process can read
 * to whatever host it names.
 */
function refuseReferences(type: EntityType, attributes: EntityValue, given: ReadonlySet<string>): void {
  // So could the tokens that this machine, or whoever is logged in here, gets for the asking; and a command is a command.
  const authentication = attributes['azureAuthentication'];
  if (given.has('azureAuthentication') && !['plain', 'sas', 'clientSecret'].includes(String(authentication))) {
    throw new EntityRefused(
      `azureAuthentication: ${String(authentication)} is for configuration files; requests give plain, sas or clientSecret`,
    );
  }
  for (const name of given) {
    const value = attributes[name];
    const isSecret = type.attributes.find((attribute) => attribute.name === name)?.secret === true;
    if (!isSecret || !isReference(value)) continue;
    throw new EntityRefused(`'${name}' by env: or file: is for configuration files; requests give pass:TEXT`);
  }
}

function isReference(value: AttributeValue | undefined): boolean {
  if (typeof value === 'string') return /^(?:env|file):/u.test(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some((item: AttributeValue) => isReference(item));
}

const STATUS: Readonly<Record<ConnectorStep, string>> = {
  waiting: 'INITIALIZING',
  connecting: 'CONNECTING',
  connected: 'CONNECTING',
  authenticated: 'CONNECTING',
  open: 'SUCCESS',
  failed: 'FAILED',
};

function connectorAttribute(connector: ConnectorRuntime, attribute: string): AmqpValue | undefined {
  switch (attribute) {
    case 'connectionStatus':
      return STATUS[connector.step];
    case 'connectionMsg':
      return connector.lastMessage ?? null;
    case 'azureTokens':
      return connector.tokens.length === 0 ? null : connector.tokens.map(tokenMap);
    case 'azureNodes':
      return connector.nodes?.map(nodeMap) ?? null;
    case 'azureLate':
      return connector.nodes === undefined ? null : long(connector.lateCount);
    case 'failoverUrls':
      return connector.failoverUrls;
    case 'idleTimeoutSeconds':
      // Towards Service Bus the default is another one.
      return Math.round((connector.config.idleTimeOut.enforcedMs ?? 0) / 1000);
    case 'host':
    case 'port': {
      // A connection string says them, and the defaults do not hold.
      if (connector.config.connectionString === undefined) return undefined;
      const at = connector.target.lastIndexOf(':');
      return attribute === 'host' ? connector.target.slice(0, at) : connector.target.slice(at + 1);
    }
    default:
      return undefined;
  }
}

/** What there is of a node that is shared, in the words of the entities of management. */
function nodeMap(node: SharedNode): AmqpValue {
  return new Map<string, AmqpValue>([
    ['node', node.address],
    ['state', node.state],
    ['clients', long(node.clients)],
    ['waiting', long(node.waiting)],
    ['underWay', long(node.underWay)],
    ['requests', long(node.requests)],
    ['refused', long(node.refused)],
    ['failures', long(node.failures)],
    ['lastError', node.lastError ?? null],
  ]);
}

/** What is known of a token, in the words of the entities of management. */
function tokenMap(token: TokenState): AmqpValue {
  const { expiresAtMs, putAtMs } = token;
  return new Map<string, AmqpValue>([
    ['audience', token.audience],
    ['source', token.provider],
    ['kind', token.kind ?? null],
    ['state', token.state],
    ['expiresAt', dateText(expiresAtMs)],
    ['secondsLeft', expiresAtMs === undefined ? null : long(Math.floor((expiresAtMs - Date.now()) / 1000))],
    ['putAt', dateText(putAtMs)],
    ['renewals', long(token.renewals)],
    ['failures', long(token.failures)],
    ['lastError', token.lastError ?? null],
    ['links', long(token.links)],
  ]);
}

function dateText(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(Math.min(Math.max(ms, 0), 8.64e15)).toISOString();
}

/** `listener/0.0.0.0:amqp`, with the name behind it where one was given. */
function placeIdentity(type: EntityType, { name, value }: ConfiguredEntity, target?: string): string {
  const text = (attribute: string): string => (typeof value[attribute] === 'string' ? value[attribute] : '');
  const place = 'connectionString' in value && target !== undefined ? target : `${text('host')}:${text('port')}`;
  const identity = `${type.name}/${place}`;
  return name === identity ? identity : `${identity}:${name}`;
}

function sslProfileTable(process: RouterProcess): EntityTable {
  const type = typeNamed('sslProfile');
  const entities = (): ManagedEntity[] =>
    process.source.of('sslProfile').map((entity) => configured(type, entity, `sslProfile/${entity.name}`));
  return {
    type,
    entities,
    create: (attributes, given) =>
      changing(type, () => {
        const name = process.addSslProfile(givenOf(attributes, given));
        return madeOf(entities(), name);
      }),
    delete: ({ name }) => changing(type, () => found(process.removeSslProfile(name ?? ''))),
  };
}

function pluginTable(process: RouterProcess): EntityTable {
  const type = typeNamed('authServicePlugin');
  return {
    type,
    entities: () =>
      process.source
        .of('authServicePlugin')
        .map((entity) => configured(type, entity, `authServicePlugin/${entity.name}`)),
    create: (attributes, given) => refused(process, type, givenOf(attributes, given)),
  };
}

/** What the configuration does not support yet, a request does not get either, and hears the same reason. */
function refused(process: RouterProcess, type: EntityType, attributes: EntityValue): Promise<never> {
  return changing(type, () => {
    const section = type.section ?? type.name;
    const { name } = process.source.add(section, attributes);
    process.source.remove(section, name);
    throw new ManagementError(501, `${type.fullName}: cannot be created at run time`);
  });
}
