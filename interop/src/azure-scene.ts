// SPDX-License-Identifier: Apache-2.0
import { RouterFixture, configOf, whenOver } from '@pointsman/testing';
import type { LogLine, Owner } from '@pointsman/testing';
import { RouterProcess, silentLogger, startNamespaceServer } from 'pointsman';
import type { NamespaceServer, NamespaceServerOptions } from 'pointsman';

/** Connects again soon after a cut, ms. */
const SOON = { minMs: 5, maxMs: 50 };

/** An embedded namespace on ports of its own; it closes with its owner. */
export async function openNamespace(owner: Owner, options: NamespaceServerOptions = {}): Promise<NamespaceServer> {
  const server = await startNamespaceServer(options);
  whenOver(owner, () => server.close());
  return server;
}

/** As `startRouter`, but connectors do not wait for long before they connect again. */
export async function startHastyRouter(owner: Owner, text: string): Promise<RouterFixture> {
  const log: LogLine[] = [];
  const process = new RouterProcess(configOf(text), {
    backoff: SOON,
    log: {
      ...silentLogger,
      log: (module, level, line) => log.push({ module, level, text: line }),
      isEnabled: (module) => module !== 'PROTOCOL',
    },
  });
  whenOver(owner, () => process.stop());
  await process.start();
  return new RouterFixture(process, log);
}

/** The same connection string for another port of the namespace. */
export function withPort(connectionString: string, port: number | undefined): string {
  return connectionString.replace(/(Endpoint=sb:\/\/[^/:;]+)(?::\d+)?/u, `$1:${port}`);
}
