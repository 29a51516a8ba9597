// SPDX-License-Identifier: Apache-2.0
import { ConnectionStringError, impliedConnector, parseConnectionString } from '@pointsman/azure';
import type { Secret, TlsMode } from '@pointsman/azure';
import type { ConnectorConfig } from '../config/model.js';

/** What a connector is told to do, whichever way the configuration said it. */
export interface Destination {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly verifyHostname: boolean;
  readonly username: string | undefined;
  readonly password: Secret | undefined;
  readonly mechanisms: readonly string[];
}

/** A connector that cannot work, or does not now. */
export class ConnectorError extends Error {}

/**
 * @param where - the connector's place in the configuration, for the message
 * @param hasCertificate - whether its sslProfile has a certificate of our own
 * @throws ConnectorError where its connection string cannot be used
 */
export function destinationOf(config: ConnectorConfig, where: string, hasCertificate: boolean): Destination {
  if (config.connectionString !== undefined) return byConnectionString(config, config.connectionString, where);
  const { saslUsername, saslPassword, saslMechanisms } = config;
  return {
    host: config.host ?? 'localhost',
    port: config.port ?? 5672,
    tls: config.tls ?? 'none',
    verifyHostname: config.verifyHostname,
    username: saslUsername,
    password: saslPassword,
    mechanisms:
      saslMechanisms ?? mechanismsFor(saslUsername !== undefined && saslPassword !== undefined, hasCertificate),
  };
}

/** What fits, where none is named. EXTERNAL goes by our certificate: without one it is a promise that nobody keeps. */
function mechanismsFor(hasPassword: boolean, hasCertificate: boolean): readonly string[] {
  if (hasPassword) return ['PLAIN'];
  return hasCertificate ? ['EXTERNAL', 'ANONYMOUS'] : ['ANONYMOUS'];
}

function byConnectionString(config: ConnectorConfig, connectionString: Secret, where: string): Destination {
  try {
    const implied = impliedConnector(parseConnectionString(connectionString.reveal()));
    const { authentication } = implied;
    if (authentication.mechanism !== 'PLAIN') {
      throw new ConnectorError(
        `${where}: a connectionString with a SharedAccessSignature is not supported yet; use one with SharedAccessKeyName and SharedAccessKey`,
      );
    }
    return {
      host: implied.host,
      port: implied.port,
      tls: implied.tls,
      verifyHostname: implied.verifyHostname && config.verifyHostname,
      username: authentication.username,
      password: authentication.password,
      mechanisms: ['PLAIN'],
    };
  } catch (error) {
    if (error instanceof ConnectionStringError)
      throw new ConnectorError(`${where}: connectionString: ${error.message}`);
    throw error;
  }
}
