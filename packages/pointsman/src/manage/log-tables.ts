// SPDX-License-Identifier: Apache-2.0
import { ManagementError, entityTypeOf } from '@pointsman/management';
import type { EntityTable, EntityType, ManagedEntity } from '@pointsman/management';
import type { AmqpValue } from '@pointsman/wire';
import { long } from '@pointsman/wire';
import type { LogLevel } from '../config/log-levels.js';
import { LogError } from '../log.js';
import type { LogChanges, Logger } from '../log.js';

/** What of a module can be changed. */
const CHANGEABLE = ['enable', 'includeTimestamp', 'includeSource', 'outputFile'] as const;

/** The entities `log` and `logStats`, one of each for every module. */
export function logTables(logger: Logger): EntityTable[] {
  return [settingsTable(logger), statsTable(logger)];
}

function settingsTable(logger: Logger): EntityTable {
  const entities = logger.modules.map((module): ManagedEntity => {
    const identity = `log/${module}`;
    return {
      identity,
      name: identity,
      attribute(name) {
        if (name === 'module') return module;
        return logger.settings(module)[name as keyof LogChanges] ?? null;
      },
    };
  });
  return {
    type: typeNamed('log'),
    entities: () => entities,
    update(entity, attributes) {
      const given = CHANGEABLE.filter((name) => attributes[name] !== undefined && attributes[name] !== null);
      const changes = Object.fromEntries(given.map((name) => [name, attributes[name]])) as LogChanges;
      try {
        logger.update(moduleOf(entity), changes);
      } catch (error) {
        if (!(error instanceof LogError)) throw error;
        // The words that tools of the old router look for.
        throw new ManagementError(500, `CError: Configuration: ${error.message}`);
      }
    },
  };
}

function statsTable(logger: Logger): EntityTable {
  const entities = logger.modules.map((module): ManagedEntity => {
    const identity = `logStats/${module}`;
    return {
      identity,
      name: module,
      attribute(name): AmqpValue {
        const level = /^([a-z]+)Count$/.exec(name)?.[1];
        const count = level === undefined ? undefined : logger.stats(module)[level as LogLevel];
        return count === undefined ? null : long(count);
      },
    };
  });
  return { type: typeNamed('logStats'), entities: () => entities };
}

function moduleOf({ identity }: ManagedEntity): string {
  return identity.slice(identity.indexOf('/') + 1);
}

function typeNamed(name: string): EntityType {
  const type = entityTypeOf(name);
  if (type === undefined) throw new Error(`the schema has no entity type ${name}`);
  return type;
}
