// SPDX-License-Identifier: Apache-2.0
import type { ByteStream } from '@pointsman/transport';
import type { Client } from '../client/client.js';
import type { ConfigProblem } from '../config/problems.js';
import { within } from '../client/deferred.js';
import { clockFinding, examineClock, notCompared } from './clock.js';
import type { Skew } from './clock.js';
import { examineEntities } from './entities.js';
import type { Finding, StepName } from './finding.js';
import { lockRemarks } from './judgement.js';
import { examineManagement } from './management.js';
import type { ManagementExamination } from './management.js';
import { examineName, examineNetwork, webSocketWay } from './network.js';
import type { Way } from './network.js';
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
  const { to, isServiceBus } = patient;
  yield* patient.remarks.map(remarkFinding);
  onWait('name', `looking up ${to.proxy?.host ?? to.host}`);
  const name = await examineName(patient, options);
  yield name;
  if (name.verdict === 'bad') return;

  onWait('network', `connecting to ${to.host}`);
  const { findings, way, reachesHttp } = await examineNetwork(patient, options);
  yield* findings;
  if (way === undefined) return;

  const { findings: ofTls, more, stream, way: found } = await findStream(patient, way, options, onWait);
  let taken = found;
  // At once: peers give up on who connects and says nothing.
  let opening = stream === undefined ? undefined : openConnection(patient, stream, taken, options);
  try {
    yield* ofTls;
    onWait('tls', `versions and certificate of ${to.hostname}`);
    yield* await more;
    let skew: Skew | undefined;
    if (isServiceBus && to.tls !== 'none') {
      onWait('clock', 'comparing clocks');
      const clock =
        reachesHttp === false ? { finding: notCompared(patient), skew } : await examineClock(patient, options);
      skew = clock.skew;
      // What there is to know may come with a message, later.
      if (skew !== undefined || options.roundTrip === undefined) yield clock.finding;
    }
    if (opening === undefined) return;

    onWait('authentication', 'SASL and open');
    let opened = await opening;
    const goesOn = opened.cameToNothing === true && to.transport === 'auto' && !taken.mode.startsWith('websocket');
    yield* goesOn ? opened.findings.map(asRemark) : opened.findings;
    if (goesOn) {
      const other = await findStream(patient, webSocketWay(to), options, onWait);
      taken = other.way;
      opening = other.stream === undefined ? undefined : openConnection(patient, other.stream, taken, options);
      yield* other.findings;
      yield* await other.more;
      if (opening === undefined) return;
      opened = await opening;
      yield* opened.findings;
    }
    if (opened.client === undefined) return;
    const known = { ...patient, isServiceBus: opened.isServiceBus };
    yield* examineService(known, opened.client, taken, skew, reachesHttp !== false, options, onWait);
  } finally {
    if (opening !== undefined) await leave((await opening).client);
  }
}

/** Tokens, the management API, and what the connector is to use. */
async function* examineService(
  patient: Patient,
  client: Client,
  way: Way,
  skew: Skew | undefined,
  mayReachHttp: boolean,
  options: ExaminationOptions,
  onWait: (step: StepName, what: string) => void,
): AsyncGenerator<Finding> {
  const withoutToken = new Set<string>();
  for await (const finding of examineTokens(patient, client, way, options, onWait)) {
    if (finding.verdict !== 'good') withoutToken.add(finding.subject);
    yield finding;
  }
  onWait('management', 'the management API');
  const management =
    patient.isServiceBus && mayReachHttp ? await examineManagement(patient, options, onWait) : undefined;
  if (management !== undefined) yield management.finding;
  yield* examineBeyond(patient, client, way, management, withoutToken, skew, options, onWait);
}

function remarkFinding({ file, line, message, hint }: ConfigProblem): Finding {
  const subject = line === undefined ? file : `${file}:${line}`;
  const cure = hint === undefined ? '' : `. Better: ${hint}`;
  return {
    step: 'configuration',
    check: 'configuration',
    verdict: 'warning',
    subject,
    text: `${subject}: ${message}${cure}`,
    ...(line === undefined ? {} : { details: { line } }),
  };
}

/** For the good manners of a close; a peer that is silent is not waited for. */
const LEAVE_MS = 1_000;

async function leave(client: Client | undefined): Promise<void> {
  if (client === undefined) return;
  const late = (): Error => new Error('late');
  await within(client.close(), LEAVE_MS, late).catch(() => client.driven.destroy());
}

interface FoundStream {
  readonly findings: readonly Finding[];
  readonly more: Promise<readonly Finding[]>;
  readonly stream: ByteStream | undefined;
  readonly way: Way;
}

/** What is no failure, since there is another way. */
function asRemark(one: Finding): Finding {
  return one.verdict === 'bad' ? { ...one, verdict: 'warning' } : one;
}

/** Tries the ways that a router would, one after the other: what fails before one that does is a remark. */
async function findStream(
  patient: Patient,
  first: Way,
  options: ExaminationOptions,
  onWait: (step: StepName, what: string) => void,
): Promise<FoundStream> {
  const before: Finding[] = [];
  const tried = new Set<string>();
  for (let way = first; ;) {
    tried.add(way.mode);
    onWait('tls', `TLS with ${patient.to.hostname}`);
    // oxlint-disable-next-line no-await-in-loop
    const { findings, more, stream, next } = await examineTls(patient, way, options);
    if (stream !== undefined)
      return {
        findings: [...before.map(asRemark), ...findings],
        more,
        stream,
        way,
      };
    before.push(...findings);
    if (next === undefined || tried.has(next.mode)) return { findings: before, more, stream, way };
    way = next;
  }
}

/** Entities, and a message through one of them. */
async function* examineBeyond(
  patient: Patient,
  client: Client,
  way: Way,
  management: ManagementExamination | undefined,
  withoutToken: ReadonlySet<string>,
  skew: Skew | undefined,
  { timeoutMs, roundTrip: queue }: ExaminationOptions,
  onWait: (step: StepName, what: string) => void,
): AsyncGenerator<Finding> {
  const descriptions = management?.descriptions;
  const knownLocks = new Set<string>();
  yield* examineEntities({
    patient,
    client,
    way,
    descriptions,
    suggestions: management?.suggestions ?? new Map(),
    skewMs: skew?.ms,
    withoutToken,
    timeoutMs,
    onWait,
    onLock: (path) => knownLocks.add(path.toLowerCase()),
  });
  if (queue === undefined) return;
  onWait('round-trip', `a message through ${queue}`);
  const described = descriptions?.get(queue.toLowerCase());
  const description = described === 'missing' ? undefined : described;
  const trip = await examineRoundTrip(patient, client, queue, { timeoutMs, description });
  yield trip.finding;
  if (skew === undefined && trip.skew !== undefined && patient.isServiceBus) yield clockFinding(trip.skew, queue);
  if (knownLocks.has(queue.toLowerCase())) return;
  const needs = patient.entities.filter(({ path }) => path.toLowerCase() === queue.toLowerCase());
  yield* lockRemarks({ path: queue, lockMs: trip.lockMs, requiresSession: trip.requiresSession }, needs);
}
