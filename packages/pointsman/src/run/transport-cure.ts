// SPDX-License-Identifier: Apache-2.0
import { isServiceBusHost } from '@pointsman/azure';
import type { TransportError } from '@pointsman/transport';
import type { ConnectorConfig } from '../config/model.js';
import type { Destination } from './destination.js';
import { NO_TLS_THERE } from './way-finder.js';

/** What to do about an error of the transport, in the words of a connector's configuration. */
export function cureOf(error: TransportError, config: ConnectorConfig, to: Destination): string {
  const hasProfile = config.sslProfile !== undefined;
  if (error.kind === 'tls-unknown-issuer' && isServiceBusHost(to.hostname)) {
    return `Service Bus itself is trusted by the authorities of the system: a proxy here may look into TLS. To trust it, write its CA certificate (PEM) as caCertFile of ${hasProfile ? 'the sslProfile' : `an sslProfile, and name that in connector ${config.name}`}.`;
  }
  if (error.kind === 'tls-unknown-issuer' && !hasProfile)
    return `${error.hint} Connector ${config.name} has no sslProfile yet: add one and name it there.`;
  if (
    config.connectionString !== undefined &&
    !isServiceBusHost(to.host) &&
    to.tls !== 'none' &&
    NO_TLS_THERE.includes(error.kind)
  ) {
    return 'A development emulator has no TLS: for one, add UseDevelopmentEmulator=true to the connectionString.';
  }
  return error.hint;
}
