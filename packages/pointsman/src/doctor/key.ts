// SPDX-License-Identifier: Apache-2.0
import { CbsClient } from '@pointsman/azure';
import { processClock } from '@pointsman/transport';
import type { Client } from '../client/client.js';
import type { Finding } from './finding.js';
import { keyOf } from './patient.js';
import type { Patient } from './patient.js';

/** What is known of the key that SASL went by. */
export interface KeyVerdict {
  readonly isRight: boolean;
  readonly finding: Finding;
}

/**
 * Tells a wrong key from a right that is missing: links are refused with the same words for both, but a token that is made of a
 * wrong key is refused itself.
 *
 * @param path - of an entity that was refused
 * @returns undefined where there is no key, or nothing can be told
 */
export async function examineKey(
  patient: Patient,
  client: Client,
  path: string,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<KeyVerdict | undefined> {
  const { to, connector } = patient;
  const provider = keyOf(to);
  if (provider === undefined || to.username === undefined || client.connection.saslMechanism !== 'PLAIN')
    return undefined;
  const started = performance.now();
  const cbs = new CbsClient({
    connection: client.connection,
    host: to.hostname,
    provider,
    clock: processClock,
    nowMs: Date.now,
    random: Math.random,
    name: `${client.connection.containerId}-key`,
    timeoutMs,
  });
  const status = await new Promise<number | undefined>((resolve) => {
    cbs.authorize(path, (error) => resolve(error === undefined ? 202 : cbs.failureOf(error)?.status));
  });
  if (status !== 202 && status !== 401) return undefined;
  const isRight = status === 202;
  const where =
    connector.connectionString === undefined
      ? 'saslUsername and saslPassword'
      : 'SharedAccessKeyName and SharedAccessKey of the connectionString';
  const finding: Finding = {
    step: 'authentication',
    check: 'key',
    verdict: isRight ? 'good' : 'bad',
    subject: to.username,
    text: isRight
      ? `The key of policy ${to.username} is right: Service Bus took a token made of it. So where it is refused, the policy lacks the right`
      : `The key is wrong, or there is no policy ${to.username}: Service Bus refused a token made of the key. Copy both anew from the portal (Shared access policies), into ${where} of connector ${connector.name}; the key may have been regenerated.`,
    ms: performance.now() - started,
    details: { policy: to.username, right: isRight },
  };
  return { isRight, finding };
}
