// SPDX-License-Identifier: Apache-2.0
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import type { DetailedPeerCertificate, SecureContext, SecureVersion } from 'node:tls';
import { TransportError, certificateNames, chainOf, dialSocket, loadTlsCredentials } from '@pointsman/transport';
import type { Finding } from './finding.js';
import { proxyOf } from './network.js';
import type { Way } from './network.js';
import type { Patient } from './patient.js';
import { countInWords, listed } from './words.js';

/** What a peer showed of its TLS to somebody who takes anything. */
export interface TlsVisit {
  /** Versions that it takes, of those that were tried, oldest first. */
  readonly taken: readonly SecureVersion[];
  readonly refused: readonly SecureVersion[];
  /** Leaf first; up to the authority, where that is known here. */
  readonly chain: readonly DetailedPeerCertificate[];
}

/** A certificate that ends sooner is worth a word. */
const SOON_DAYS = 30;
/** Of one that lives shorter than others so much of its life. */
const SOON_SHARE = 1 / 3;
const DAY_MS = 86_400_000;
const NAMES_SHOWN = 5;

const VERSIONS: readonly SecureVersion[] = ['TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
/** Without it OpenSSL itself refuses what is old. */
const ANY_CIPHER = 'DEFAULT:@SECLEVEL=0';

/** Goes through the handshake once for each version, without a look at what is shown, and leaves. */
export async function visit(patient: Patient, way: Way, timeoutMs: number): Promise<TlsVisit> {
  const { clientContext } = patient.credentials ?? loadTlsCredentials();
  // The authorities of the connector's own context complete the chain.
  const [own, ...tried] = await Promise.all([
    handshake(patient, way, clientContext, timeoutMs),
    ...VERSIONS.map((version) =>
      handshake(
        patient,
        way,
        createSecureContext({ minVersion: version, maxVersion: version, ciphers: ANY_CIPHER }),
        timeoutMs,
      ),
    ),
  ]);
  const versionsOf = (wanted: (outcome: Outcome) => boolean): SecureVersion[] =>
    VERSIONS.filter((_, index) => wanted(tried[index]!));
  const shown = [own, ...tried].find((outcome) => typeof outcome === 'object');
  return {
    taken: versionsOf((outcome) => typeof outcome === 'object'),
    refused: versionsOf((outcome) => outcome === 'refused'),
    chain: typeof shown === 'object' ? shown.chain : [],
  };
}

type Outcome = { readonly chain: readonly DetailedPeerCertificate[] } | 'refused' | 'unknown';

async function handshake(patient: Patient, way: Way, context: SecureContext, timeoutMs: number): Promise<Outcome> {
  const { to, lookup } = patient;
  const end = performance.now() + timeoutMs;
  let plain: Socket;
  try {
    plain = await dialSocket({
      host: to.host,
      port: way.port,
      mode: way.mode,
      beforeTls: true,
      timeoutMs,
      lookup,
      proxy: proxyOf(patient),
    });
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    return 'unknown';
  }
  return new Promise((resolve) => {
    const secure = connectTls({
      socket: plain,
      secureContext: context,
      rejectUnauthorized: false,
      ...(isIP(to.hostname) === 0 ? { servername: to.hostname } : {}),
    });
    const timer = setTimeout(() => finish('unknown'), Math.max(1, end - performance.now()));
    const finish = (outcome: Outcome): void => {
      clearTimeout(timer);
      resolve(outcome);
      secure.destroy();
      plain.destroy();
    };
    secure.once('secureConnect', () => finish({ chain: chainOf(secure.getPeerCertificate(true)) }));
    secure.on('error', (error) => finish(isTlsRefusal(error) ? 'refused' : 'unknown'));
    // Some refuse by hanging up.
    secure.once('close', () => finish('refused'));
  });
}

/** An alert, or words of OpenSSL; a connection that is cut in the handshake is one, too. */
function isTlsRefusal(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return /^ERR_SSL_|^EPROTO$|^ECONNRESET$/u.test(code);
}

/** Undefined where nothing is known. */
export function versionsFinding({ to, isServiceBus }: Patient, seen: TlsVisit | undefined): Finding | undefined {
  if (seen === undefined || seen.taken.length === 0) return undefined;
  const { taken, refused } = seen;
  const common = { step: 'tls', check: 'versions', subject: to.hostname } as const;
  const details = { taken, refused, least: taken[0]! };
  const text = `The peer takes ${listed(taken)}${refused.length === 0 ? '' : `, not ${listed(refused)}`}`;
  if (!isServiceBus || !taken.includes('TLSv1.1')) return { ...common, verdict: 'good', text, details };
  return {
    ...common,
    verdict: 'warning',
    text: `${text}. Service Bus itself has none older than TLSv1.2 any more: something on the way may look into TLS`,
    details,
  };
}

/** Undefined where none was seen. */
export function certificateFinding(patient: Patient, seen: TlsVisit | undefined): Finding | undefined {
  const [leaf] = seen?.chain ?? [];
  if (seen === undefined || leaf === undefined) return undefined;
  const { chain } = seen;
  const names = certificateNames(leaf.subjectaltname);
  const more = names.length > NAMES_SHOWN ? ` and ${countInWords(names.length - NAMES_SHOWN, 'other')}` : '';
  const top = chain.at(-1)!;
  const isWhole = nameOf(top.subject) === nameOf(top.issuer);
  const source = isWhole ? trustIn(patient, top.raw) : undefined;
  const path = chain.map(({ subject }) => `"${nameOf(subject)}"`).join(', ');
  const trust =
    source !== undefined
      ? `trusted by ${source}`
      : isWhole
        ? 'not trusted here'
        : `and its issuer "${nameOf(top.issuer)}" was not sent and is not known here`;
  const inOrder = chain.toSorted((a, b) => timeOf(a.valid_to) - timeOf(b.valid_to));
  const ending = inOrder.find(isSoon);
  const first = ending ?? inOrder[0]!;
  const days = daysLeft(first);
  const whose = first === leaf ? 'it' : `"${nameOf(first.subject)}" of its chain`;
  const soon =
    ending !== undefined && days >= 0
      ? `. ${days === 0 ? 'Less than a day is' : days === 1 ? 'Only 1 day is' : `Only ${days} days are`} left of ${whose}: whoever runs the peer has to renew it`
      : '';
  return {
    step: 'tls',
    check: 'certificate',
    verdict: ending === undefined ? 'good' : 'warning',
    subject: patient.to.hostname,
    text:
      `Certificate for ${names.slice(0, NAMES_SHOWN).join(', ') || `no host ("${nameOf(leaf.subject)}")`}${more}, ` +
      `from ${dayOf(leaf.valid_from)} to ${dayOf(leaf.valid_to)}. Chain: ${path}, ${trust}${soon}`,
    details: {
      names,
      issuer: nameOf(leaf.issuer),
      validFrom: dateOf(leaf.valid_from),
      validUntil: dateOf(leaf.valid_to),
      chain: chain.map(({ subject }) => nameOf(subject)),
      trusted: source !== undefined,
      ...(source === undefined ? {} : { trustedBy: source }),
      daysLeft: days,
    },
  };
}

function daysLeft({ valid_to: end }: DetailedPeerCertificate): number {
  return Math.floor((timeOf(end) - Date.now()) / DAY_MS);
}

function isSoon(certificate: DetailedPeerCertificate): boolean {
  const life = (timeOf(certificate.valid_to) - timeOf(certificate.valid_from)) / DAY_MS;
  return daysLeft(certificate) < Math.min(SOON_DAYS, life * SOON_SHARE);
}

/** What makes an authority trusted, in words. */
function trustIn({ credentials, connector }: Patient, der: Uint8Array): string | undefined {
  const source = (credentials ?? loadTlsCredentials()).trustIn(der);
  return source === 'caCertFile' ? `caCertFile of sslProfile ${connector.sslProfile ?? ''}`.trimEnd() : source;
}

function nameOf(name: object): string {
  for (const key of ['CN', 'O', 'OU']) {
    const part: unknown = Reflect.get(name, key);
    if (typeof part === 'string' && part !== '') return part;
    if (Array.isArray(part)) return part.join(', ');
  }
  return 'without a name';
}

function timeOf(text: string): number {
  const time = Date.parse(text);
  return Number.isNaN(time) ? 0 : time;
}

function dateOf(text: string): string {
  return new Date(timeOf(text)).toISOString();
}

function dayOf(text: string): string {
  return dateOf(text).slice(0, 10);
}
