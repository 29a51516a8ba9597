// SPDX-License-Identifier: Apache-2.0
import { resolve } from 'node:path';
import type { DialOptions } from '@pointsman/transport';
import type { CommandIo } from '../command.js';
import type { RouterConfig } from '../config/model.js';
import { formatProblems } from '../config/problems.js';
import { loadConfig, readConfig } from '../config/read-config.js';
import type { ConfigResult } from '../config/read-config.js';
import { processSecretSources } from '../config/secret.js';
import { wantsColor } from '../log/color.js';
import { UsageError } from '../namespace-server/arguments.js';
import type { Environment } from '../run/environment-proxy.js';
import { parseDoctorArguments } from './arguments.js';
import type { DoctorArguments } from './arguments.js';
import { examine } from './examination.js';
import { exitStatusOf } from './finding.js';
import type { Finding } from './finding.js';
import { PatientError, patientOf } from './patient.js';
import { Report, jsonOf } from './report.js';

const HELP = `Says why a connector does not connect, or that it does: name, network, proxy, TLS, clock, authentication, open,
tokens, and each entity. Nothing is sent, and nothing taken, unless --round-trip is given.

Usage:
  pointsman doctor -c FILE [--connector NAME] [OPTIONS]
  pointsman doctor --connection-string env:NAME [OPTIONS]

Options:
  -c, --config FILE              configuration file; its connectors are examined with their autolinks
      --connector NAME           only this connector of the file
      --connection-string FROM   env:NAME or file:PATH (the text itself also does, for others on this machine to see)
      --entity [send:|receive:]PATH
                                 one more entity, as orders or events/Subscriptions/all; may be repeated
      --round-trip QUEUE         send one message to this queue and take it again; messages of others before it are
                                 locked for a moment and given back
      --transport tcp|websocket|auto, --proxy http://HOST:PORT, --ca-file FILE
                                 with --connection-string, what a connector would say itself
      --timeout SECONDS          of each step (15)
  -o, --output text|json         for people, or for programs
      --no-color                 no colours (NO_COLOR)
  -h, --help                     this text

Examples:
  pointsman doctor -c router.conf
  pointsman doctor --connection-string env:SERVICEBUS_CONNECTION_STRING --entity orders
  pointsman doctor -c router.conf --connector azure --round-trip orders -o json

Exit status: 0 it works; 1 the configuration has a mistake, 2 wrong arguments; else where it fails:
  10 name, 11 network or proxy, 12 TLS, 13 authentication, tokens or clock, 14 open, 15 an entity, 16 the round trip.
`;

/** What differs in tests. */
export interface DoctorSurroundings {
  readonly environment?: Environment;
  readonly lookup?: DialOptions['lookup'];
}

/** Runs `pointsman doctor`. @returns the exit status */
export async function runDoctor(
  argv: readonly string[],
  io: CommandIo,
  surroundings: DoctorSurroundings = {},
): Promise<number> {
  let args: DoctorArguments | 'help';
  try {
    args = parseDoctorArguments(argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`pointsman doctor: ${error.message}\nTry 'pointsman doctor --help'.\n`);
    return 2;
  }
  if (args === 'help') {
    io.stdout.write(HELP);
    return 0;
  }
  const config = configOf(args, io, surroundings);
  if (config === undefined) return 1;
  const { connector: name } = args;
  const connectors = config.connectors.filter((one) => name === undefined || one.name === name);
  if (connectors.length === 0) {
    const known = config.connectors.map((one) => one.name).join(', ');
    const what = name === undefined ? 'there is no connector' : `there is no connector '${name}'`;
    io.stderr.write(`${config.file}: ${what}${known === '' ? '' : `; there is ${known}`}\n`);
    return 1;
  }

  const report = args.json ? undefined : new Report(io.stdout, args.color);
  const results: object[] = [];
  let status = 0;
  for (const connector of connectors) {
    const findings: Finding[] = [];
    try {
      const patient = patientOf(config, connector, args.entities, surroundings);
      report?.begin(patient);
      const options = {
        timeoutMs: args.timeoutMs,
        roundTrip: args.roundTrip,
        ...(report === undefined ? {} : { onWait: report.waiting.bind(report) }),
      };
      for await (const finding of examine(patient, options)) {
        findings.push(finding);
        report?.finding(finding);
      }
      report?.end(findings);
      const own = exitStatusOf(findings);
      if (status === 0) status = own;
      results.push(jsonOf(patient, findings, own));
    } catch (error) {
      if (!(error instanceof PatientError)) throw error;
      io.stderr.write(`${config.file}: ${error.message}\n`);
      status = 1;
    }
  }
  if (args.json) io.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`);
  return status;
}

function configOf(args: DoctorArguments, io: CommandIo, { environment }: DoctorSurroundings): RouterConfig | undefined {
  const env = environment ?? processSecretSources.env;
  const secrets = { ...processSecretSources, env };
  const result = args.config === undefined ? byConnectionString(args, env) : loadConfig(args.config, { secrets });
  if (result.ok) return result.config;
  io.stderr.write(formatProblems(result.problems, { color: wantsColor(io.stderr, process.env) }));
  return undefined;
}

/** The configuration of a connector that has nothing but a connection string. */
function byConnectionString(args: DoctorArguments, env: Environment): ConfigResult {
  const { connectionString, transport, proxy, caFile } = args;
  const connector = {
    name: 'connection-string',
    role: 'route-container',
    connectionString,
    transport,
    proxy,
    ...(caFile === undefined ? {} : { sslProfile: 'ca' }),
  };
  const sections: object[] = [['connector', connector]];
  if (caFile !== undefined) sections.unshift(['sslProfile', { name: 'ca', caCertFile: resolve(caFile) }]);
  return readConfig(JSON.stringify(sections), {
    path: 'command line',
    format: 'json',
    secrets: { ...processSecretSources, env },
  });
}
