// SPDX-License-Identifier: Apache-2.0
import type { Faults, Namespace } from '@pointsman/namespace';
import { startNamespaceServer } from './namespace-server.js';
import type { NamespaceServer, NamespaceServerOptions } from './namespace-server.js';

/** A namespace that runs within this process, for tests and development. */
export interface RunningNamespace extends AsyncDisposable {
  /** For clients, with the key in it. In mode `emulator` (the default) with `UseDevelopmentEmulator=true`. */
  readonly connectionString: string;
  /**
   * For `ServiceBusAdministrationClient`, which speaks HTTPS: undefined in mode `emulator`.
   */
  readonly administrationConnectionString: string | undefined;
  /** The authority of the certificate (PEM file) in mode `cloud`: NODE_EXTRA_CA_CERTS, or a connector's caCertFile. */
  readonly caCertFile: string | undefined;
  readonly namespace: Namespace;
  /** Things that go wrong on request. */
  readonly faults: Faults;
  readonly server: NamespaceServer;
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a namespace on free ports of this machine.
 *
 *     await using ns = await startNamespace({ queues: ['orders'] });
 *     const client = new ServiceBusClient(ns.connectionString);
 *
 * @param options - Default mode: `emulator`, so that no client needs to trust a certificate first
 * @throws TypeError where an option is not valid, TransportError where a port cannot be opened
 */
export async function startNamespace(options: NamespaceServerOptions = {}): Promise<RunningNamespace> {
  const server = await startNamespaceServer({ mode: 'emulator', ...options });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= server.close());
  const { wss } = server.ports;
  const ownPort = server.connectionString();
  return {
    connectionString: ownPort,
    administrationConnectionString:
      wss === undefined ? undefined : ownPort.replace(/^(Endpoint=sb:\/\/[^/;]*?)(?::\d+)?\//u, `$1:${wss}/`),
    caCertFile: server.caCertFile,
    namespace: server.namespace,
    faults: server.namespace.faults,
    server,
    close,
    [Symbol.asyncDispose]: close,
  };
}
