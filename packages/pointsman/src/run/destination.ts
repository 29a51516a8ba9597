// SPDX-License-Identifier: Apache-2.0
import { ConnectionStringError, impliedConnector, parseConnectionString } from '@pointsman/azure';
import type { Secret, TlsMode } from '@pointsman/azure';
import type { ConnectorConfig, Transport } from '../config/model.js';
import type { ProxyAddress } from '../config/proxy-address.js';
import { proxyOfEnvironment } from './environment-proxy.js';
import type { Environment } from './environment-proxy.js';

/** What a connector is told to do, whichever way the configuration said it. */
export interface Destination {
  /** Name or address that TCP goes to. */
  readonly host: string;
  readonly port: number;
  /** Name for SNI, for the certificate, and for the `hostname` of open and sasl-init. */
  readonly hostname: string;
  readonly transport: Transport;
  readonly webSocketPort: number;
  readonly proxy: ProxyAddress | undefined;
  readonly tls: TlsMode;
  /** There is no doubt how TLS begins. */
  readonly tlsIsCertain: boolean;
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
 * @throws ConnectorError where its connection string, or a proxy that the environment names for it, cannot be used
 */
export function destinationOf(
  config: ConnectorConfig,
  where: string,
  hasCertificate: boolean,
  env: Environment = (name) => process.env[name],
): Destination {
  const said =
    config.connectionString === undefined
      ? bySection(config, hasCertificate)
      : byConnectionString(config, config.connectionString, where);
  const transport = config.transport ?? (said.webSockets ? 'websocket' : 'tcp');
  const webSocketPort = config.webSocketPort ?? WEBSOCKET_PORT;
  const port = transport === 'websocket' ? webSocketPort : said.port;
  let { proxy } = config;
  try {
    if (proxy === undefined && config.serviceBus) proxy = proxyOfEnvironment(env, said.host, port);
  } catch (error) {
    throw new ConnectorError(`${where}: ${(error as Error).message}`);
  }
  return {
    ...said,
    port,
    hostname: config.hostname ?? said.host,
    transport,
    webSocketPort,
    proxy: proxy === 'none' ? undefined : proxy,
    tlsIsCertain: config.connectionString !== undefined,
  };
}

const WEBSOCKET_PORT = 443;

type Said = Omit<Destination, 'hostname' | 'transport' | 'webSocketPort' | 'proxy' | 'tlsIsCertain'> & {
  readonly webSockets?: boolean;
};

function bySection(config: ConnectorConfig, hasCertificate: boolean): Said {
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

function byConnectionString(config: ConnectorConfig, connectionString: Secret, where: string): Said {
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
      webSockets: implied.webSockets,
    };
  } catch (error) {
    if (error instanceof ConnectionStringError)
      throw new ConnectorError(`${where}: connectionString: ${error.message}`);
    throw error;
  }
}
