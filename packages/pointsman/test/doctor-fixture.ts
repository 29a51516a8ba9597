// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { loadTlsCredentials } from '@pointsman/transport';
import { connect } from '../src/client/client.js';
import type { Client } from '../src/client/client.js';
import { runDoctor } from '../src/doctor/command.js';
import { startNamespaceServer } from '../src/namespace-server/namespace-server.js';
import type { NamespaceServer, NamespaceServerOptions } from '../src/namespace-server/namespace-server.js';
import { TestIo } from './client-fixture.js';
import { CLOUD_HOST, KEY, POLICY, ROUTER, connector, lookUpHere, sslProfile } from './five-steps-fixture.js';
import type { Attributes, Scene } from './five-steps-fixture.js';
import { assertShape } from './json-shape.js';

export interface Found {
  readonly step: string;
  readonly check: string;
  readonly verdict: string;
  readonly subject: string;
  readonly text: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface ExaminedConnector {
  readonly connector: string;
  readonly works: boolean;
  readonly exitStatus: number;
  readonly findings: readonly Found[];
}

export interface Told {
  readonly works: boolean;
  readonly exitStatus: number;
  readonly problems: readonly string[];
  readonly connectors: readonly ExaminedConnector[];
}

/** Runs the command, where names of Service Bus lead to this machine. No secret is shown, whatever comes of it. */
export async function doctor(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  io: TestIo = new TestIo(),
): Promise<{ readonly status: number; readonly out: string; readonly error: string }> {
  const all: Readonly<Record<string, string>> = { SERVICEBUS_KEY: KEY, ...env };
  const status = await runDoctor(argv, io, {
    environment: (name) => all[name],
    lookup: lookUpHere,
  });
  const { out, err: error } = io;
  assert.ok(!(out + error).includes(KEY), 'the key is shown');
  if (argv.includes('json')) assertShape(JSON.parse(out));
  return { status, out, error };
}

/** Examines the connectors of a file, as programs do. */
export async function examined(one: Scene, text: string, ...argv: string[]): Promise<Told> {
  const file = one.file('router.conf', ROUTER + text);
  const { status, out } = await doctor(['-c', file, '-o', 'json', '--timeout', '30', ...argv]);
  const told = JSON.parse(out) as Told;
  assert.equal(told.exitStatus, status);
  assert.equal(told.works, status === 0);
  return told;
}

/** What was found on the one connector of a file. */
export async function findings(
  one: Scene,
  text: string,
  ...argv: string[]
): Promise<{ readonly status: number; readonly found: readonly Found[] }> {
  const { exitStatus, connectors } = await examined(one, text, ...argv);
  assert.equal(connectors.length, 1);
  return { status: exitStatus, found: connectors[0]!.findings };
}

/** Steps with what is not good of them. */
export function verdicts(found: readonly Found[]): string[] {
  return found.map(({ step, verdict }) => (verdict === 'good' ? step : `${step} ${verdict}`));
}

/** What one check of an entity, or the first of all, has to say. */
export function checkOf(found: readonly Found[], check: string, subject?: string): Found {
  const one = found.find(
    (finding) => finding.check === check && (subject === undefined || finding.subject === subject),
  );
  assert.ok(one, `nothing of ${check} ${subject ?? ''} in ${JSON.stringify(found, undefined, 1)}`);
  return one;
}

export function textsOf(found: readonly Found[], check: string): string[] {
  return found.filter((finding) => finding.check === check).map(({ text }) => text);
}

/** A namespace as the cloud has it: with its management API. */
export async function openCloud(one: Scene, options: NamespaceServerOptions = {}): Promise<NamespaceServer> {
  const server = await startNamespaceServer({
    hostname: CLOUD_HOST,
    policies: [{ name: POLICY, key: KEY, rights: ['Send', 'Listen', 'Manage'] }],
    ...options,
  });
  one.whenOver(() => server.close());
  return server;
}

/** The connector to it, with what it trusts. */
export function connectorTo(server: NamespaceServer, changes: Attributes = {}): string {
  return (
    sslProfile({ caCertFile: server.caCertFile }) +
    connector(server.ports.amqps!, { webSocketPort: server.ports.wss, ...changes })
  );
}

/** Somebody else who works with it. */
export async function clientOf(one: Scene, server: NamespaceServer): Promise<Client> {
  const client = await connect({
    host: 'localhost',
    port: server.ports.amqps!,
    mode: 'tls',
    tls: loadTlsCredentials({ caCertFile: server.caCertFile }),
    sasl: { mechanisms: ['PLAIN'], username: POLICY, password: () => KEY },
  });
  one.whenOver(() => client.close());
  return client;
}
