// SPDX-License-Identifier: Apache-2.0
import type { Secret } from '@pointsman/azure';
import type { ConfigEntity } from './entity.js';
import type { ProblemList } from './problems.js';
import { safeText } from './problems.js';

const KEYS_HINT = 'azureKeys: { POLICY: env:VARIABLE }';
const LOOPBACK: readonly string[] = ['localhost', '127.0.0.1', '::1'];

/** What a listener says of clients of Azure Service Bus. */
export function checkAzureClients(listener: ConfigEntity, problems: ProblemList): void {
  const way = listener.text('azureClients') ?? 'none';
  const hasKeys = listener.given.has('azureKeys');
  const line = listener.lineOf('azureClients');
  if (way === 'sas' && !hasKeys && !listener.isUnsound('azureKeys')) {
    problems.error(line, `${listener.label} has azureClients: sas, but no 'azureKeys' to judge tokens by`, {
      hint: KEYS_HINT,
    });
  } else if (way !== 'sas' && hasKeys && !listener.isUnsound('azureClients')) {
    problems.error(listener.lineOf('azureKeys'), `'azureKeys' of ${listener.label} has no effect`, {
      found: `azureClients: ${safeText(way)}`,
      hint: 'azureClients: sas',
    });
  }
  if (hasKeys) checkKeys(listener, problems);
  if (way === 'none') return;
  if (way === 'sas' && listener.flag('authenticatePeer')) {
    problems.error(line, `${listener.label} has both azureClients: sas and authenticatePeer`, {
      hint: 'take authenticatePeer out: these clients come with SASL ANONYMOUS, and their tokens say who they are',
    });
  }
  const mechanisms = listener.text('saslMechanisms');
  if (mechanisms !== undefined && !/\bANONYMOUS\b/iu.test(mechanisms)) {
    problems.error(
      listener.lineOf('saslMechanisms'),
      `clients of Service Bus cannot connect to ${listener.label}: they come with SASL ANONYMOUS`,
      { found: safeText(mechanisms), hint: "take 'saslMechanisms' out, or add ANONYMOUS" },
    );
  }
  if (listener.given.has('sslProfile') || LOOPBACK.includes((listener.text('host') ?? '').trim())) return;
  problems.warn(line, `${listener.label} takes tokens without TLS: who sees one can use it`, {
    hint: 'give the listener an sslProfile, or host: localhost',
  });
}

function checkKeys(listener: ConfigEntity, problems: ProblemList): void {
  const keys = Object.entries(listener.map('azureKeys'));
  const wrong = (what: string): void => {
    listener.markUnsound('azureKeys');
    problems.error(listener.lineOf('azureKeys'), `'azureKeys' of ${listener.label} ${what}`, { hint: KEYS_HINT });
  };
  if (keys.length === 0) wrong('names no policy');
  for (const [policy, value] of keys) {
    const texts = Array.isArray(value) ? value : [value];
    if (texts.length > 0 && texts.every((text) => typeof text === 'string' && text !== '')) continue;
    wrong(`has no key for policy '${safeText(policy)}'`);
  }
}

/** Keys by the names of their policies. @param secretOf - what a text stands for; undefined where that was reported */
export function azureKeysOf(
  listener: ConfigEntity,
  secretOf: (text: string) => Secret | undefined,
): ReadonlyMap<string, readonly Secret[]> {
  if (!listener.given.has('azureKeys') || listener.isUnsound('azureKeys')) return new Map();
  return new Map(
    Object.entries(listener.map('azureKeys')).map(([policy, value]) => {
      const texts = (Array.isArray(value) ? value : [value]).filter((text) => typeof text === 'string');
      return [policy, texts.map(secretOf).filter((secret) => secret !== undefined)];
    }),
  );
}
