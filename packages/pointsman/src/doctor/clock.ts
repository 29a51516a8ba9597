// SPDX-License-Identifier: Apache-2.0
import { request } from 'node:http';
import { isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { TransportError, dialSocket, placeText } from '@pointsman/transport';
import type { Finding } from './finding.js';
import { proxyOf } from './network.js';
import type { Patient } from './patient.js';
import { durationInWords } from './words.js';

/** Tokens are made for an hour and more; a clock that is this far off is trouble that waits for its day. */
const SKEW_WARNING_MS = 60_000;
const SKEW_BAD_MS = 15 * 60_000;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
/** From here on nobody counts seconds. */
const FAR_MS = 10 * MINUTE_MS;

/** By how much our clock is ahead of the peer's. */
export interface Skew {
  readonly ms: number;
}

/**
 * Compares the clock of this machine with that of the namespace, as its HTTPS front says in each answer. Expiry of tokens and
 * certificates is measured by it. The certificate is not looked at: with a clock that is off none would do, and nothing is told.
 */
export async function examineClock(
  patient: Patient,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<{ readonly finding: Finding; readonly skew: Skew | undefined }> {
  const { to } = patient;
  const place = placeText({ host: to.host, port: to.webSocketPort });
  const sent = Date.now();
  const date = await dateOf(patient, timeoutMs);
  const there = date === undefined ? Number.NaN : Date.parse(date);
  if (Number.isNaN(there)) return { finding: notCompared(patient), skew: undefined };
  // Its answer has whole seconds, and was made between our question and now.
  const skew = { ms: (sent + Date.now()) / 2 - (there + SECOND_MS / 2) };
  return { finding: clockFinding(skew, place), skew };
}

/** Nobody told the time. */
export function notCompared({ to }: Patient): Finding {
  const place = placeText({ host: to.host, port: to.webSocketPort });
  const text = `Not compared: ${place} did not tell the time. A clock that is off shows as tokens and certificates that are refused; --round-trip QUEUE compares clocks, too.`;
  return { step: 'clock', check: 'clock', verdict: 'skipped', subject: place, text };
}

/** What the difference of two clocks means. */
export function clockFinding({ ms }: Skew, place: string): Finding {
  const off = Math.abs(ms);
  const common = {
    step: 'clock',
    check: 'clock',
    subject: place,
    details: { skewSeconds: Math.round(ms / SECOND_MS) },
  } as const;
  if (off < SKEW_WARNING_MS)
    return { ...common, verdict: 'good', text: 'The clock of this machine agrees with that of the namespace' };
  const unit = off < FAR_MS ? SECOND_MS : MINUTE_MS;
  const by = durationInWords(Math.round(off / unit) * unit);
  return {
    ...common,
    verdict: off >= SKEW_BAD_MS ? 'bad' : 'warning',
    text:
      `The clock of this machine is ${by} ${ms > 0 ? 'ahead of' : 'behind'} that of the namespace: tokens ` +
      `${ms > 0 ? 'last longer there than they should, and certificates seem to have expired' : 'have expired before they are used'}. Set the clock, by NTP for example.`,
  };
}

/** The `Date` of an answer; undefined where there is none. */
async function dateOf(patient: Patient, timeoutMs: number): Promise<string | undefined> {
  const { to, lookup } = patient;
  // For everything: who answers a byte at a time does not hold us up.
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const plain = await dialSocket({
      host: to.host,
      port: to.webSocketPort,
      mode: 'tcp',
      timeoutMs,
      lookup,
      proxy: proxyOf(patient),
    });
    const secure = connectTls({
      socket: plain,
      rejectUnauthorized: false,
      ...(isIP(to.hostname) === 0 ? { servername: to.hostname } : {}),
    });
    try {
      return await new Promise<string | undefined>((resolve) => {
        const asking = request(
          { createConnection: () => secure, path: '/', headers: { host: to.hostname, connection: 'close' }, signal },
          (response) => {
            resolve(response.headers.date);
            response.destroy();
          },
        );
        asking.on('error', () => resolve(undefined));
        asking.end();
      });
    } finally {
      secure.destroy();
      plain.destroy();
    }
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    return undefined;
  }
}
