// SPDX-License-Identifier: Apache-2.0
import { CbsClient, explain } from '@pointsman/azure';
import type { TokenFailure, TokenProvider } from '@pointsman/azure';
import type { AmqpErrorFields } from '@pointsman/wire';
import { processClock } from '@pointsman/transport';
import type { Client } from '../client/client.js';
import type { Finding, StepName } from './finding.js';
import type { Way } from './network.js';
import type { Patient } from './patient.js';

/** Puts a token for each entity, where SASL has not said who we are. */
export async function* examineTokens(
  patient: Patient,
  client: Client,
  way: Way,
  { timeoutMs }: { readonly timeoutMs: number },
  onWait: (step: StepName, what: string) => void,
): AsyncGenerator<Finding> {
  const { tokens } = patient.to;
  const { connection } = client;
  if (tokens === undefined || connection.saslMechanism === 'PLAIN') return;
  const cbs = new CbsClient({
    connection,
    host: patient.to.hostname,
    provider: tokens,
    clock: processClock,
    nowMs: Date.now,
    random: Math.random,
    name: `${connection.containerId}-cbs`,
    timeoutMs,
  });
  try {
    // For the whole namespace where no entity is named: a key of one entity has no right to that.
    const paths = [...new Set(patient.entities.map(({ path }) => path))];
    for (const path of paths.length > 0 ? paths : [patient.to.entityPath ?? '']) {
      onWait('tokens', `a token for ${path === '' ? patient.to.hostname : path}`);
      const started = performance.now();
      const error = await new Promise<AmqpErrorFields | undefined>((resolve) => {
        cbs.authorize(path, resolve);
      });
      const ms = performance.now() - started;
      if (error === undefined) yield { ...accepted(cbs, path, tokens), ms };
      else yield { ...refused(patient, way, path, tokens, error, cbs.failureOf(error)), ms };
    }
  } finally {
    // Where it took too long, a command may be at work still.
    tokens.close?.();
  }
}

function accepted(cbs: CbsClient, path: string, { name }: TokenProvider): Finding {
  const token = cbs.tokens.find(({ audience }) => audience.endsWith(`/${path}`));
  const until = new Date(token?.expiresAtMs ?? 0).toISOString();
  const kind = token?.kind ?? 'sas';
  return {
    step: 'tokens',
    check: 'token',
    verdict: 'good',
    subject: path,
    text: `The ${kind} token for ${token?.audience ?? path} (${name}) was accepted, valid until ${until}`,
    details: { audience: token?.audience ?? '', kind, expires: until },
  };
}

function refused(
  patient: Patient,
  way: Way,
  path: string,
  { name }: TokenProvider,
  error: AmqpErrorFields,
  failure: TokenFailure | undefined,
): Finding {
  const { connector, to, secrets } = patient;
  const { message } = explain({
    step: 'authentication',
    problem: failure !== undefined && failure.status === undefined ? 'no-token' : 'token-refused',
    connector: connector.name,
    host: to.hostname,
    port: way.port,
    byConnectionString: connector.connectionString !== undefined,
    secrets,
    ...(failure?.status === undefined ? {} : { statusCode: failure.status }),
    ...(error.description === undefined ? {} : { description: error.description }),
    ...(to.username === undefined ? { tokenSource: name } : { username: to.username }),
  });
  return {
    step: 'tokens',
    check: 'token',
    verdict: 'bad',
    subject: path,
    text: message,
    details: { condition: error.condition },
  };
}
