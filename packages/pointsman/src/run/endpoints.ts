// SPDX-License-Identifier: Apache-2.0
import type { ConnectionOptions } from '@pointsman/engine';
import type { ConnectionSecurity, MessageLogging } from '@pointsman/router';
import type { StreamInfo } from '@pointsman/transport';
import { symbol } from '@pointsman/wire';
import type { AmqpValue } from '@pointsman/wire';
import type { FailoverUrl } from '../config/failover-urls.js';
import type { ConnectorConfig, ListenerConfig } from '../config/model.js';
import type { Logger } from '../log.js';
import { PRODUCT, VERSION } from '../version.js';

/** Anonymous senders are taken, and further ones for large messages, as routers attach them. */
const CAPABILITIES: readonly string[] = ['ANONYMOUS-RELAY', 'qd.streaming-links'];

/** What every open of ours says, whoever connected to whom. */
export function commonOptions(
  routerId: string,
  config: ListenerConfig | ConnectorConfig,
  connectionId: number,
): Omit<ConnectionOptions, 'role' | 'now'> {
  return {
    containerId: routerId,
    maxFrameSize: config.maxFrameSize,
    channelMax: config.maxSessions - 1,
    idleTimeoutMs: config.idleTimeOut.enforcedMs ?? 0,
    offeredCapabilities: CAPABILITIES,
    desiredCapabilities: CAPABILITIES,
    properties: openProperties(config, connectionId),
  };
}

export function messageLoggingOf(config: ListenerConfig | ConnectorConfig, log: Logger): MessageLogging {
  return { components: config.messageLoggingComponents, isOn: () => log.isEnabled('MESSAGE', 'trace') };
}

function openProperties(config: ListenerConfig | ConnectorConfig, connectionId: number): Map<string, AmqpValue> {
  const properties = new Map<string, AmqpValue>([
    ['product', PRODUCT],
    ['version', VERSION],
    ['qd.conn-id', connectionId],
  ]);
  if ('failoverUrls' in config && config.failoverUrls.length > 0)
    properties.set('failover-server-list', config.failoverUrls.map(failoverEntry));
  for (const [name, value] of Object.entries(config.openProperties)) properties.set(name, valueOf(value));
  return properties;
}

function failoverEntry({ scheme, host, port }: FailoverUrl): AmqpValue {
  const entry = new Map<AmqpValue, AmqpValue>();
  entry.set(symbol('network-host'), host).set(symbol('port'), port);
  if (scheme !== undefined) entry.set(symbol('scheme'), scheme);
  return entry;
}

function valueOf(value: unknown): AmqpValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return value;
  if (Array.isArray(value)) return value.map(valueOf);
  if (typeof value === 'object')
    return new Map(Object.entries(value).map(([key, item]) => [symbol(key), valueOf(item)] as const));
  return String(value);
}

/** TLS of a connection, for management; undefined without. */
export function securityOf({ encrypted, tlsProtocol, tlsCipher }: StreamInfo): ConnectionSecurity | undefined {
  if (!encrypted) return undefined;
  const cipher = tlsCipher ?? '';
  return { protocol: tlsProtocol ?? '', cipher, bits: /128/.test(cipher) ? 128 : 256 };
}
