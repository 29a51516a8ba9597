// SPDX-License-Identifier: Apache-2.0
import { statSync } from 'node:fs';
import type { ListenOptions, TlsCredentials } from '@pointsman/transport';
import type { ListenerConfig } from '../config/model.js';
import type { Logger } from '../log.js';
import type { HttpSite } from './http-site.js';

/** The subprotocols of AMQP over WebSocket: the standard's, and the one of clients from before it. */
export const HTTP_LISTENER_PROTOCOLS: readonly string[] = ['amqp', 'binary'];

/** What clients of Service Bus ask for. */
const SERVICE_BUS_PROTOCOL = 'AMQPWSB10';

/** How the port of a listener with `http: yes` is opened: AMQP over WebSocket, and `site` for all other requests. */
export function httpListenOptions(
  config: Pick<
    ListenerConfig,
    'authenticatePeer' | 'azureClients' | 'requireEncryption' | 'saslMechanisms' | 'websockets'
  >,
  credentials: TlsCredentials | undefined,
  site: HttpSite,
): Pick<ListenOptions, 'mode' | 'tls' | 'detectTls' | 'websockets' | 'websocketProtocols' | 'onRequest'> {
  const common = {
    websockets: config.websockets,
    websocketProtocols:
      config.azureClients === 'none' ? HTTP_LISTENER_PROTOCOLS : [...HTTP_LISTENER_PROTOCOLS, SERVICE_BUS_PROTOCOL],
    onRequest: site.answer,
  };
  if (credentials === undefined) return { ...common, mode: 'websocket' };
  // HTTP has no SASL: who has to authenticate does so in TLS, as far as there is somebody to vouch for certificates.
  const isCertificateRequired =
    config.saslMechanisms?.includes('EXTERNAL') === true || (config.authenticatePeer && credentials.hasAuthorities);
  const tls = { credentials, clientCertificate: isCertificateRequired ? ('required' as const) : ('none' as const) };
  // Without TLS nobody could show the certificate, and the requirement would be none.
  if (config.requireEncryption || isCertificateRequired) return { ...common, mode: 'websocket-tls', tls };
  return { ...common, mode: 'websocket', detectTls: true, tls };
}

/** Warns where there can be no files: the listener works all the same. */
export function checkHttpRoot(config: Pick<ListenerConfig, 'name' | 'httpRootDir'>, log: Logger): void {
  const { name, httpRootDir } = config;
  if (httpRootDir === undefined) return;
  const stats = statSync(httpRootDir, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return;
  const what = stats === undefined ? 'is not there' : 'is no directory';
  log.log('HTTP', 'warning', `httpRootDir '${httpRootDir}' of listener ${name} ${what}: its files are not found.`);
}
