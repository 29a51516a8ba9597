// SPDX-License-Identifier: Apache-2.0
import type { Client } from '../client/client.js';
import { examineClock } from './clock.js';
import { examineEntities } from './entities.js';
import type { Finding, StepName } from './finding.js';
import { examineName, examineNetwork } from './network.js';
import type { Patient } from './patient.js';
import { examineRoundTrip } from './round-trip.js';
import { openConnection } from './session.js';
import { examineTls } from './tls.js';
import { examineTokens } from './tokens.js';

export interface ExaminationOptions {
  /** Of each step. */
  readonly timeoutMs: number;
  /** Queue that one message is sent to and taken from again; undefined: none. */
  readonly roundTrip: string | undefined;
  /** Told what is being waited for. */
  readonly onWait?: (step: StepName, what: string) => void;
}

/** Goes the way of a connector, step by step, to where it ends. */
export async function* examine(patient: Patient, options: ExaminationOptions): AsyncGenerator<Finding> {
  const { onWait = (): void => undefined } = options;
  onWait('name', `looking up ${patient.to.host}`);
  const name = await examineName(patient, options);
  yield name;
  if (name.verdict === 'bad') return;

  onWait('network', `connecting to ${patient.to.host}`);
  const { findings, way } = await examineNetwork(patient, options);
  yield* findings;
  if (way === undefined) return;

  onWait('tls', `TLS with ${patient.to.hostname}`);
  const { finding, stream } = await examineTls(patient, way, options);
  yield finding;
  if (patient.isServiceBus && patient.to.tls !== 'none' && patient.to.proxy === undefined) {
    onWait('clock', 'comparing clocks');
    const clock = await examineClock(patient, options);
    if (clock !== undefined) yield clock;
  }
  if (stream === undefined) return;

  let client: Client | undefined;
  try {
    onWait('authentication', 'SASL and open');
    const opened = await openConnection(patient, stream, way, options);
    yield* opened.findings;
    client = opened.client;
    if (client === undefined) return;
    yield* examineTokens(patient, client, way, options, onWait);
    yield* examineEntities(patient, client, way, onWait);
    if (options.roundTrip === undefined) return;
    onWait('round-trip', `a message through ${options.roundTrip}`);
    yield await examineRoundTrip(client, options.roundTrip, options);
  } finally {
    await client?.close();
  }
}
