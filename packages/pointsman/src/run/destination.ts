// SPDX-License-Identifier: Apache-2.0
import { ConnectionStringError, TokenError, impliedConnector, parseConnectionString } from '@pointsman/azure';
import type { ImpliedAuthentication, Secret, TlsMode, TokenProvider } from '@pointsman/azure';
import type { ConnectorConfig, Transport } from '../config/model.js';
import type { ProxyAddress } from '../config/proxy-address.js';
import { tokenSourceOf } from '../tokens/token-source.js';
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
  /** Tokens for Service Bus, where SASL has not said who we are. */
  readonly tokens: TokenProvider | undefined;
  /** The one entity that a connection string is for. */
  readonly entityPath: string | undefined;
  /** What must appear in no text. */
  readonly secrets: readonly Secret[];
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
  const { saslUsername, saslPassword, saslMechanisms, azure } = config;
  const hasPassword = saslUsername !== undefined && saslPassword !== undefined;
  // With mechanisms of its own choice a connector has said all there is to say.
  const asksForTokens = azure !== undefined || (config.serviceBus && saslMechanisms === undefined);
  const tokens = asksForTokens
    ? tokenSourceOf(
        azure,
        hasPassword ? { mechanism: 'PLAIN', username: saslUsername, password: saslPassword } : undefined,
      )
    : undefined;
  return {
    host: config.host ?? 'localhost',
    port: config.port ?? 5672,
    tls: config.tls ?? 'none',
    verifyHostname: config.verifyHostname,
    username: saslUsername,
    password: saslPassword,
    mechanisms: saslMechanisms ?? mechanismsFor(config, hasPassword, hasCertificate, tokens !== undefined),
    tokens,
    entityPath: undefined,
    secrets: [saslPassword, azure?.kind === 'clientSecret' ? azure.secret : undefined].filter(
      (secret) => secret !== undefined,
    ),
  };
}

/** With these a connection has no rights before a token was put. */
const BEFORE_TOKENS: readonly string[] = ['MSSBCBS', 'ANONYMOUS'];

/** What fits, where none is named. EXTERNAL goes by our certificate: without one it is a promise that nobody keeps. */
function mechanismsFor(
  { azure }: ConnectorConfig,
  hasPassword: boolean,
  hasCertificate: boolean,
  hasTokens: boolean,
): readonly string[] {
  // By tokens alone where that was asked for, else only where the peer does not take the key itself.
  if (hasTokens) return azure === undefined ? ['PLAIN', ...BEFORE_TOKENS] : BEFORE_TOKENS;
  if (hasPassword) return ['PLAIN'];
  return hasCertificate ? ['EXTERNAL', 'ANONYMOUS'] : ['ANONYMOUS'];
}

function byConnectionString(config: ConnectorConfig, connectionString: Secret, where: string): Said {
  try {
    const parsed = parseConnectionString(connectionString.reveal());
    const implied = impliedConnector(parsed);
    const { authentication } = implied;
    const isPlain = authentication.mechanism === 'PLAIN' && config.azure?.kind !== 'sas';
    if (config.azure?.kind === 'plain' && !isPlain) {
      throw new ConnectorError(
        `${where}: a connectionString with a SharedAccessSignature cannot go with azureAuthentication: plain; write sas, or leave it out`,
      );
    }
    const key = keyOf(authentication);
    return {
      host: implied.host,
      port: implied.port,
      tls: implied.tls,
      verifyHostname: implied.verifyHostname && config.verifyHostname,
      username: key?.username,
      password: key?.password,
      mechanisms: !isPlain ? BEFORE_TOKENS : config.azure?.kind === 'plain' ? ['PLAIN'] : ['PLAIN', ...BEFORE_TOKENS],
      tokens: tokenSourceOf(config.azure, authentication),
      entityPath: parsed.entityPath,
      secrets: [authentication.mechanism === 'PLAIN' ? authentication.password : authentication.token],
      webSockets: implied.webSockets,
    };
  } catch (error) {
    if (error instanceof ConnectionStringError || error instanceof TokenError)
      throw new ConnectorError(`${where}: connectionString: ${error.message}`);
    throw error;
  }
}

function keyOf(
  authentication: ImpliedAuthentication,
): { readonly username: string; readonly password: Secret } | undefined {
  return authentication.mechanism === 'PLAIN' ? authentication : undefined;
}
