// SPDX-License-Identifier: Apache-2.0
import { request } from 'node:https';
import { isIP } from 'node:net';
import type { Finding } from './finding.js';
import type { Patient } from './patient.js';

/** Tokens are made for an hour and more; a clock that is this far off is trouble that waits for its day. */
const SKEW_WARNING_MS = 60_000;
const SKEW_BAD_MS = 15 * 60_000;

/**
 * Compares the clock of this machine with that of the namespace, as its HTTPS front says in each answer. Expiry of tokens and
 * certificates is measured by it.
 *
 * @returns undefined where nothing answers there: it is not needed
 */
export async function examineClock(
  { to, lookup, credentials }: Patient,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<Finding | undefined> {
  const sent = Date.now();
  const date = await new Promise<string | undefined>((resolve) => {
    const asking = request(
      {
        host: to.host,
        port: to.webSocketPort,
        path: '/',
        method: 'GET',
        ...(isIP(to.hostname) === 0 ? { servername: to.hostname } : {}),
        // For everything: who answers a byte at a time does not hold us up.
        signal: AbortSignal.timeout(timeoutMs),
        agent: false,
        ...(credentials === undefined ? {} : { secureContext: credentials.clientContext }),
        ...(lookup === undefined ? {} : { lookup }),
      },
      (response) => {
        resolve(response.headers.date);
        response.destroy();
      },
    );
    asking.on('error', () => resolve(undefined));
    asking.end();
  });
  const there = date === undefined ? Number.NaN : Date.parse(date);
  if (Number.isNaN(there)) return undefined;
  // Its answer has whole seconds, and was made between our question and now.
  const skew = (sent + Date.now()) / 2 - (there + 500);
  const seconds = Math.round(Math.abs(skew) / 1_000);
  const subject = 'clock';
  const details = { skewSeconds: Math.round(skew / 1_000) };
  if (Math.abs(skew) < SKEW_WARNING_MS)
    return {
      step: 'clock',
      verdict: 'good',
      subject,
      text: 'The clock of this machine agrees with the namespace',
      details,
    };
  return {
    step: 'clock',
    verdict: Math.abs(skew) >= SKEW_BAD_MS ? 'bad' : 'warning',
    subject,
    text: `The clock of this machine is ${seconds} seconds ${skew > 0 ? 'ahead of' : 'behind'} the namespace: tokens run out ${skew > 0 ? 'late' : 'early'} in its eyes, or are refused. Set the clock, by NTP for example.`,
    details,
  };
}
