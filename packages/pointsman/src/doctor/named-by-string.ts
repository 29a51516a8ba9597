// SPDX-License-Identifier: Apache-2.0
import { resolve } from 'node:path';
import { readConfig } from '../config/read-config.js';
import type { ConfigResult } from '../config/read-config.js';
import { processSecretSources } from '../config/secret.js';
import type { Environment } from '../run/environment-proxy.js';

/** A connector that nothing but arguments tells of. */
export interface ConnectorArguments {
  /** `env:NAME`, `file:PATH`, or the text itself. */
  readonly connectionString: string | undefined;
  readonly transport?: string | undefined;
  readonly proxy?: string | undefined;
  readonly caFile?: string | undefined;
  readonly hostname?: string | undefined;
  readonly httpPort?: string | undefined;
}

/** Its attributes, by the option that gives each. */
const OPTIONS: Readonly<Record<string, string>> = {
  connectionString: '--connection-string',
  transport: '--transport',
  proxy: '--proxy',
  hostname: '--hostname',
  webSocketPort: '--http-port',
  caCertFile: '--ca-file',
};

/** What is said of that connector, in the words of the command line: there is no file that could be corrected. */
export function inOptions(text: string): string {
  return text
    .replaceAll(/'(\w+)' of connector(?: 'connection-string')?/gu, (all, name: string) => OPTIONS[name] ?? all)
    .replace(/^(?:command line(?::\d+)?: )?connector connection-string: connectionString: /u, '--connection-string: ')
    .replace(/^command line(?::\d+)?: caCertFile (.*) of sslProfile ca:/u, '--ca-file $1:');
}

/** The configuration of a connector that has a connection string, and what else a command line says. */
export function configByString(args: ConnectorArguments, env: Environment): ConfigResult {
  const { connectionString, transport, proxy, caFile, hostname, httpPort } = args;
  const connector = {
    name: 'connection-string',
    role: 'route-container',
    connectionString,
    transport,
    proxy,
    hostname,
    webSocketPort: httpPort,
    ...(caFile === undefined ? {} : { sslProfile: 'ca' }),
  };
  const sections: object[] = [['connector', connector]];
  if (caFile !== undefined) sections.unshift(['sslProfile', { name: 'ca', caCertFile: resolve(caFile) }]);
  const result = readConfig(JSON.stringify(sections), {
    path: 'command line',
    format: 'json',
    secrets: { ...processSecretSources, env },
  });
  if (result.ok) return result;
  const problems = result.problems.map((problem) => ({
    ...problem,
    line: undefined,
    message: inOptions(problem.message),
  }));
  return { ...result, problems };
}
