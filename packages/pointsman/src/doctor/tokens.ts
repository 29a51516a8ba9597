// SPDX-License-Identifier: Apache-2.0
import { CbsClient, TokenError, covers, explain, parseSasToken } from '@pointsman/azure';
import type { TokenFailure, TokenProvider } from '@pointsman/azure';
import type { AmqpErrorFields } from '@pointsman/wire';
import { processClock } from '@pointsman/transport';
import type { Client } from '../client/client.js';
import { within } from '../client/deferred.js';
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
    const all = paths.length > 0 ? paths : [patient.to.entityPath ?? ''];
    let isUnanswered = false;
    for (const path of all) {
      if (isUnanswered) {
        yield unaskedFinding(path);
        continue;
      }
      onWait('tokens', `a token for ${path === '' ? patient.to.hostname : path}`);
      const started = performance.now();
      const error = await new Promise<AmqpErrorFields | undefined>((resolve) => {
        cbs.authorize(path, resolve);
      });
      const ms = performance.now() - started;
      const failure = error === undefined ? undefined : cbs.failureOf(error);
      // Where there was none, a command need not be run again.
      const isThere = error === undefined || failure?.status !== undefined;
      const claims = isThere ? await claimsOf(tokens, timeoutMs) : undefined;
      if (error === undefined) {
        yield { ...accepted(cbs, path, tokens, claims), ms };
        continue;
      }
      const finding = refused(patient, way, path, tokens, error, failure, claims);
      const isJudged = failure?.status === undefined || failure.status === 401;
      const ready = isJudged ? await judgeReadyMade(patient, path, tokens, timeoutMs) : undefined;
      yield { ...finding, ...(ready === undefined ? {} : { text: ready }), ms };
      // Where nobody answers, or there is no token at all, it is the same for all.
      isUnanswered = failure?.status === undefined;
    }
  } finally {
    // Where it took too long, a command may be at work still.
    tokens.close?.();
  }
}

/** What is wrong with a token that somebody made elsewhere, as far as it says itself; undefined for others. */
async function judgeReadyMade(
  { to, connector }: Patient,
  path: string,
  tokens: TokenProvider,
  timeoutMs: number,
): Promise<string | undefined> {
  if (!tokens.isFixed) return undefined;
  const audience = `sb://${to.hostname}/${path}`;
  const asked = tokens.get({ audience, newerThanMs: 0 });
  const { text } = await within(asked, timeoutMs, () => new TokenError('passing', 'late'));
  const parsed = parseSasToken(text);
  if (parsed === undefined) return undefined;
  const { resource, keyName, expiresAtSeconds } = parsed;
  const whose = `The SharedAccessSignature of connector ${connector.name} does not do for ${path === '' ? to.hostname : path}`;
  const ends = new Date(expiresAtSeconds * 1_000);
  if (expiresAtSeconds * 1_000 <= Date.now())
    return `${whose}: it expired at ${ends.toISOString()}. Make a new one; if that is not past, set the clock of this machine.`;
  if (!covers(resource, audience))
    return `${whose}: it is for ${resource.slice(0, RESOURCE_MAX)}, and ${audience} is not below that. Make one for the namespace, or give each entity a connector with its own.`;
  return `${whose}: it lasts until ${ends.toISOString()} and is for the right resource, so its signature is not of the key that policy ${keyName} has now. The key may have been regenerated: make a new one.`;
}

/** One more, after there was no answer. */
function unaskedFinding(path: string): Finding {
  const text = `No token for ${path} was tried, since there was no answer before`;
  return { step: 'tokens', check: 'token', verdict: 'skipped', subject: path, text };
}

/** What an Entra ID token says of itself; nothing of it is secret, and nothing is verified. */
interface Claims {
  readonly audience: string;
  readonly tenant: string;
  /** The application, or else the object, that it was made out to. */
  readonly identity: string;
}

const CLAIM_MAX = 120;
const RESOURCE_MAX = 300;
const SERVICE_BUS = 'https://servicebus.azure.net';
/** As tokens for Service Bus and Event Hubs have it; the last is the name of the application behind the first. */
const AUDIENCES: readonly string[] = [
  SERVICE_BUS,
  'https://eventhubs.azure.net',
  '80a10ef9-8168-493d-abf9-3297c4ef6e3c',
];

async function claimsOf(tokens: TokenProvider, timeoutMs: number): Promise<Claims | undefined> {
  try {
    const asked = tokens.get({ audience: '', newerThanMs: 0 });
    const { kind, text } = await within(asked, timeoutMs, () => new TokenError('passing', 'late'));
    if (kind !== 'jwt') return undefined;
    const [, body = ''] = text.reveal().split('.');
    const claims: unknown = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
    const claim = (...names: string[]): string => {
      for (const name of names) {
        const value: unknown = typeof claims === 'object' && claims !== null ? Reflect.get(claims, name) : undefined;
        if (typeof value === 'string' && value !== '') return value.slice(0, CLAIM_MAX);
      }
      return 'unknown';
    };
    return { audience: claim('aud'), tenant: claim('tid', 'iss'), identity: claim('appid', 'azp', 'oid', 'sub') };
  } catch (caught) {
    if (caught instanceof TokenError || caught instanceof SyntaxError) return undefined;
    throw caught;
  }
}

function inWords({ audience, tenant, identity }: Claims): string {
  return `made out to ${identity} of tenant ${tenant}, for ${audience}`;
}

function accepted(cbs: CbsClient, path: string, { name }: TokenProvider, claims: Claims | undefined): Finding {
  const token = cbs.tokens.find(({ audience }) => audience.endsWith(`/${path}`));
  const until = new Date(token?.expiresAtMs ?? 0).toISOString();
  const kind = token?.kind ?? 'sas';
  return {
    step: 'tokens',
    check: 'token',
    verdict: 'good',
    subject: path,
    text: `The ${kind} token for ${token?.audience ?? path} (${name}) was accepted, valid until ${until}${claims === undefined ? '' : `; ${inWords(claims)}`}`,
    details: { audience: token?.audience ?? '', kind, expires: until, ...detailsOf(claims) },
  };
}

function refused(
  patient: Patient,
  way: Way,
  path: string,
  { name }: TokenProvider,
  error: AmqpErrorFields,
  failure: TokenFailure | undefined,
  claims: Claims | undefined,
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
    text: `${message}${claims === undefined ? '' : ` ${judged(claims)}`}`,
    details: { condition: error.condition, ...detailsOf(claims) },
  };
}

function judged(claims: Claims): string {
  const isForUs = AUDIENCES.includes(claims.audience.replace(/\/+$/u, ''));
  const cure = isForUs
    ? ''
    : ` Service Bus takes tokens for ${SERVICE_BUS} alone: ask for the scope ${SERVICE_BUS}/.default.`;
  return `The token was ${inWords(claims)}.${cure}`;
}

function detailsOf(claims: Claims | undefined): Readonly<Record<string, string>> {
  if (claims === undefined) return {};
  const { audience, tenant, identity } = claims;
  return { tokenAudience: audience, tenant, identity };
}
