// SPDX-License-Identifier: Apache-2.0
import { TransportError, dial } from '@pointsman/transport';
import type { ByteStream, StreamInfo } from '@pointsman/transport';
import { cureOf } from '../run/transport-cure.js';
import { WayFinder } from '../run/way-finder.js';
import { certificateFinding, versionsFinding, visit } from './certificates.js';
import type { TlsVisit } from './certificates.js';
import type { Finding } from './finding.js';
import { proxyOf } from './network.js';
import type { Way } from './network.js';
import type { Patient } from './patient.js';

export interface TlsExamination {
  readonly findings: readonly Finding[];
  /** What is looked at meanwhile, on connections of their own: who has the stream need not wait for it. Never rejected. */
  readonly more: Promise<readonly Finding[]>;
  readonly stream: ByteStream | undefined;
  /** Where there is no stream: the way that a router would try next, if there is one. */
  readonly next: Way | undefined;
}

/** Nothing depends on it. */
const VISIT_MS = 5_000;

/** Goes all the way to a stream that AMQP can be spoken on: TLS, and the WebSocket where that is the way. */
export async function examineTls(
  patient: Patient,
  way: Way,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<TlsExamination> {
  const { to, credentials, lookup } = patient;
  const hasTls = way.mode !== 'tcp' && way.mode !== 'websocket';
  // Others look at the certificate, and at versions that were not agreed on, meanwhile.
  const visiting = hasTls ? visit(patient, way, Math.min(timeoutMs, VISIT_MS)) : undefined;
  const started = performance.now();
  const common = { step: 'tls', check: 'handshake', subject: to.hostname } as const;
  try {
    const stream = await dial({
      host: to.host,
      port: way.port,
      mode: way.mode,
      servername: to.hostname,
      verifyHostname: to.verifyHostname,
      credentials,
      lookup,
      proxy: proxyOf(patient),
      timeoutMs,
    });
    const ms = performance.now() - started;
    return {
      findings: [{ ...common, ...described(patient, stream.info), ms }],
      more: shownBy(patient, visiting),
      stream,
      next: undefined,
    };
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    const ms = performance.now() - started;
    const seen = await visiting;
    const isNetwork = error.kind.startsWith('websocket');
    const bad: Finding = {
      ...common,
      ...(isNetwork ? { step: 'network', check: 'port' } : {}),
      verdict: 'bad',
      text: failure(patient, error),
      ms,
      details: { problem: error.kind },
    };
    const isOfCertificate = CERTIFICATE_KINDS.includes(error.kind);
    const more = [
      error.kind === 'tls-protocol-version' ? versionsFinding(patient, seen) : undefined,
      isOfCertificate ? certificateFinding(patient, seen) : undefined,
    ].filter((finding) => finding !== undefined);
    // What is wrong was said; this is what the peer showed.
    const findings = [bad, ...more.map((one): Finding => ({ ...one, verdict: 'skipped' }))];
    return { findings, more: Promise.resolve([]), stream: undefined, next: nextWay(patient, way, error) };
  }
}

async function shownBy(patient: Patient, visiting: Promise<TlsVisit> | undefined): Promise<readonly Finding[]> {
  const seen = await visiting;
  return [versionsFinding(patient, seen), certificateFinding(patient, seen)].filter((finding) => finding !== undefined);
}

/** As a router's connector goes on. */
function nextWay({ to }: Patient, way: Way, error: TransportError): Way | undefined {
  const finder = new WayFinder(to);
  finder.mode = way.mode;
  finder.failed(error, to.host, to.port);
  return finder.mode === way.mode ? undefined : { mode: finder.mode, port: finder.portOf(to.port) };
}

const CERTIFICATE_KINDS: readonly string[] = [
  'tls-unknown-issuer',
  'tls-name-mismatch',
  'tls-expired',
  'tls-not-yet-valid',
];

function failure({ connector, to, isServiceBus }: Patient, error: TransportError): string {
  const said = `${error.message} ${cureOf(error, connector, to)}`;
  if (error.kind === 'tls-protocol-version' && isServiceBus)
    return `${said} Service Bus takes TLSv1.2 and TLSv1.3: where it seems not to, something on the way answers in its place.`;
  return said;
}

function described(
  { to, connector, isServiceBus }: Patient,
  info: StreamInfo,
): Pick<Finding, 'verdict' | 'text' | 'details'> {
  const carried = info.websocket ? `, AMQP in a WebSocket (${info.websocketProtocol ?? ''})` : '';
  if (!info.encrypted) {
    // A connection string has said so itself.
    const isEmulator = connector.connectionString !== undefined && to.tls === 'none';
    return {
      verdict: isEmulator ? 'good' : 'warning',
      text: `No TLS: everything goes in clear${carried}. ${isEmulator ? 'That is as it is at a development emulator' : isServiceBus ? 'Good for a development emulator, and nothing else' : 'Give the connector an sslProfile where others may listen in'}`,
      details: { encrypted: false },
    };
  }
  const { tlsProtocol = '', tlsCipher = '' } = info;
  return {
    verdict: 'good',
    text: `${tlsProtocol}, ${tlsCipher}${carried}`,
    details: { encrypted: true, protocol: tlsProtocol, cipher: tlsCipher },
  };
}
