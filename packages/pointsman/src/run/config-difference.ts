// SPDX-License-Identifier: Apache-2.0
import { Secret } from '@pointsman/azure';
import { createHash } from 'node:crypto';
import type { ConnectorConfig, RouterConfig } from '../config/model.js';

/** An entity of a configuration, as far as it takes to see whether it has changed. */
export interface FileEntity {
  readonly section: string;
  /** Under which it runs. */
  readonly name: string;
  /** The file names it: otherwise the name is made up, and says nothing about what it is. */
  readonly isNamed: boolean;
  /** Of everything that it says, what its secrets stand for included. */
  readonly digest: string;
}

export interface ConfigDifference {
  readonly removed: readonly FileEntity[];
  readonly added: readonly FileEntity[];
  /** Pairs of what it was and what it is: all but a made-up name and the place in the file is the same. */
  readonly kept: readonly (readonly [before: FileEntity, after: FileEntity])[];
}

const LISTS = {
  sslProfile: 'sslProfiles',
  listener: 'listeners',
  connector: 'connectors',
  address: 'addresses',
  linkRoute: 'linkRoutes',
  autoLink: 'autoLinks',
  exchange: 'exchanges',
  binding: 'bindings',
  vhost: 'vhosts',
  log: 'logs',
} as const satisfies Readonly<Record<string, keyof RouterConfig>>;

/** All entities of a configuration that come and go. */
export function fileEntities(config: RouterConfig): FileEntity[] {
  return Object.entries(LISTS).flatMap(([section, list]) =>
    config[list].map((entity) => {
      const isNamed = config.source.find(section, entity.name)?.value['name'] !== undefined;
      const { name } = entity;
      const content = { ...entity, ...dependsOn(config, entity), line: 0, name: isNamed ? name : '' };
      const text = JSON.stringify([content, secretsIn(entity)], (_key, value: unknown) =>
        value instanceof Set || value instanceof Map ? [...(value as Iterable<unknown>)] : value,
      );
      return { section, name, isNamed, digest: createHash('sha256').update(text).digest('base64') };
    }),
  );
}

/** What the secrets of an entity stand for, wherever in it they are. */
function secretsIn(value: unknown): string[] {
  if (value instanceof Secret) return [value.reveal()];
  if (typeof value !== 'object' || value === null) return [];
  const parts = value instanceof Map ? [...value.values()] : Object.values(value);
  return parts.flatMap(secretsIn);
}

/** What has to go and what has to come so that one configuration becomes the other. */
export function differenceOf(before: readonly FileEntity[], after: readonly FileEntity[]): ConfigDifference {
  const left = [...before];
  const kept: [FileEntity, FileEntity][] = [];
  const added = after.filter((entity) => {
    const at = left.findIndex(
      (old) => old.section === entity.section && old.isNamed === entity.isNamed && old.digest === entity.digest,
    );
    if (at < 0) return true;
    kept.push([left.splice(at, 1)[0]!, entity]);
    return false;
  });
  return { removed: left, added, kept };
}

/** What changes an entity although it stands in another. */
function dependsOn(config: RouterConfig, entity: object): object {
  // An exchange takes its bindings with it.
  if ('exchangeName' in entity)
    return { ...config.exchanges.find(({ name }) => name === entity.exchangeName), ...entity };
  // With a certificate a connector has other mechanisms to choose from.
  if (!('connectionString' in entity)) return {};
  const { sslProfile } = entity as ConnectorConfig;
  return { hasCertificate: config.sslProfiles.find(({ name }) => name === sslProfile)?.certFile !== undefined };
}
