// SPDX-License-Identifier: Apache-2.0
import { placeText } from '@pointsman/transport';
import type { Finding } from './finding.js';
import type { Patient } from './patient.js';

/** What the doctor says to programs, as docs/doctor.schema.json has it. Members may be added; what is there keeps its meaning. */
export interface JsonReport {
  readonly version: 1;
  readonly works: boolean;
  /** Of the command. */
  readonly exitStatus: number;
  /** Why something could not be examined: mistakes of the configuration, in words. */
  readonly problems: readonly string[];
  readonly connectors: readonly ConnectorReport[];
}

export interface ConnectorReport {
  readonly connector: string;
  readonly host: string;
  readonly hostname: string;
  readonly port: number;
  readonly transport: string;
  /** As `HOST:PORT`, where there is one. */
  readonly proxy?: string;
  readonly works: boolean;
  readonly exitStatus: number;
  /** Step and subject of the first thing that is bad, where there is one. */
  readonly failsAt?: { readonly step: string; readonly check: string; readonly subject: string };
  readonly findings: readonly Finding[];
}

export function reportOf(
  { connector, to }: Patient,
  findings: readonly Finding[],
  exitStatus: number,
): ConnectorReport {
  const bad = findings.find(({ verdict }) => verdict === 'bad');
  return {
    connector: connector.name,
    host: to.host,
    hostname: to.hostname,
    port: to.port,
    transport: to.transport,
    ...(to.proxy === undefined ? {} : { proxy: placeText(to.proxy) }),
    works: exitStatus === 0,
    exitStatus,
    ...(bad === undefined ? {} : { failsAt: { step: bad.step, check: bad.check, subject: bad.subject } }),
    findings: findings.map(({ ms, ...finding }) => ({
      ...finding,
      ...(ms === undefined ? {} : { ms: Math.round(ms) }),
    })),
  };
}

export function textOf(report: JsonReport): string {
  return `${JSON.stringify(report, undefined, 2)}\n`;
}
