// SPDX-License-Identifier: Apache-2.0
import { entityAddressOf } from '@pointsman/azure';
import { AdministrationClient, AdministrationError } from '../administration/administration-client.js';
import type { EntityDescription } from '../administration/entity-description.js';
import { nearestEntity } from '../administration/nearest-entity.js';
import type { Finding, StepName } from './finding.js';
import { proxyOf } from './network.js';
import type { Patient } from './patient.js';

/** What the management API says of entities, by path in lower case; `missing`: there is none of that name. */
export type Descriptions = ReadonlyMap<string, EntityDescription | 'missing'>;

export interface ManagementExamination {
  readonly finding: Finding;
  readonly descriptions: Descriptions;
  /** What was most likely meant by names that no entity has; by name in lower case. */
  readonly suggestions: ReadonlyMap<string, string>;
}

/** Where the development emulator has its management API. */
const EMULATOR_PORT = 5300;
/** Requests that are under way at a time. */
const AT_A_TIME = 4;
/** Each takes lists of all. */
const SUGGESTIONS_MAX = 5;

/** The port of HTTP: of the management API, and of WebSockets. */
export function httpPortOf({ to, connector }: Patient): number {
  return connector.webSocketPort ?? (to.tls === 'none' ? EMULATOR_PORT : to.webSocketPort);
}

/** A client of the management API that goes the way of the connector; undefined where there is nothing to prove who we are by. */
export function administrationOf(patient: Patient, timeoutMs: number): AdministrationClient | undefined {
  const { to, lookup, credentials, identity, secrets } = patient;
  if (identity === undefined) return undefined;
  return new AdministrationClient({
    dial: {
      host: to.host,
      port: httpPortOf(patient),
      mode: to.tls === 'none' ? 'tcp' : 'tls',
      servername: to.hostname,
      verifyHostname: to.verifyHostname,
      credentials,
      lookup,
      proxy: proxyOf(patient),
      timeoutMs,
    },
    hostname: to.hostname,
    identity,
    secrets,
  });
}

/** The queue, topic or subscription that the path of a link belongs to; undefined where that is no entity of Service Bus. */
export function ownerOf(path: string): string | undefined {
  const { kind, owner } = entityAddressOf(path);
  if (kind === 'cbs' || owner === '' || /\/(?:ConsumerGroups|Partitions)\//iu.test(path)) return undefined;
  return owner;
}

/** Asks the management API about the entities of the connector. It is not needed, and never bad. */
export async function examineManagement(
  patient: Patient,
  { timeoutMs, roundTrip }: { readonly timeoutMs: number; readonly roundTrip?: string | undefined },
  onWait: (step: StepName, what: string) => void,
): Promise<ManagementExamination | undefined> {
  const owners = new Map<string, string>();
  for (const path of [...patient.entities.map((need) => need.path), roundTrip ?? '']) {
    const owner = ownerOf(path);
    if (owner !== undefined) owners.set(owner.toLowerCase(), owner);
  }
  if (owners.size === 0) return undefined;
  const client = administrationOf(patient, timeoutMs);
  if (client === undefined) return undefined;
  const started = performance.now();
  const descriptions = new Map<string, EntityDescription | 'missing'>();
  const suggestions = new Map<string, string>();
  const failures: AdministrationError[] = [];
  try {
    const waiting = [...owners];
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [key, path] = next;
        onWait('management', `asking ${client.place} about ${path}`);
        try {
          // oxlint-disable-next-line no-await-in-loop
          descriptions.set(key, (await client.entity(path)) ?? 'missing');
        } catch (error) {
          if (!(error instanceof AdministrationError)) throw error;
          failures.push(error);
          // No entity is without rights because another is; but where nobody answers, nobody does.
          if (error.kind !== 'unauthorized' && error.kind !== 'refused') waiting.length = 0;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    const missing = [...owners].filter(([key]) => descriptions.get(key) === 'missing').slice(0, SUGGESTIONS_MAX);
    if (missing.length > 0) onWait('management', `looking for names like ${missing[0]![1]}`);
    for (const [key, path] of missing) {
      // oxlint-disable-next-line no-await-in-loop
      const nearest = await suggestionFor(client, path);
      if (nearest !== undefined) suggestions.set(key, nearest);
    }
  } finally {
    client.close();
  }
  return { finding: findingOf(patient, client.place, descriptions, failures[0], started), descriptions, suggestions };
}

/** A policy of one entity may not list the others: then nobody knows. */
async function suggestionFor(client: AdministrationClient, path: string): Promise<string | undefined> {
  try {
    return await nearestEntity(client, path);
  } catch (error) {
    if (error instanceof AdministrationError) return undefined;
    throw error;
  }
}

function findingOf(
  patient: Patient,
  place: string,
  descriptions: Descriptions,
  failure: AdministrationError | undefined,
  started: number,
): Finding {
  const common = { step: 'management', check: 'management', subject: place, ms: performance.now() - started } as const;
  const details = { place, described: descriptions.size };
  if (failure === undefined) {
    const text = `${place} answers, and lets us look: what entities are like comes from there`;
    return { ...common, verdict: 'good', text, details };
  }
  const unknown =
    descriptions.size > 0 ? 'what some entities are like' : 'how long locks last, and how many messages lie there';
  const { to, identity } = patient;
  const who = to.username === undefined ? `What we are (${identity?.name ?? 'unknown'})` : `Policy ${to.username}`;
  if (/signature/iu.test(failure.message) && failure.status === 401)
    return {
      ...common,
      verdict: 'skipped',
      text: `Not known: ${unknown}. ${place} does not take the key of ${to.username === undefined ? 'the token' : `policy ${to.username}`}: ${failure.message}`,
      details: { ...details, failure: failure.kind, status: failure.status },
    };
  const isEntra =
    to.username === undefined && !/^(?:key|shared access signature) of policy/u.test(identity?.name ?? '');
  const cure =
    failure.kind === 'unauthorized'
      ? `${who} is not let in there, which the connector does not need. To know, ${isEntra ? 'give the identity the role Azure Service Bus Data Owner' : 'run the doctor once with a policy that has the right Manage'}, or --round-trip QUEUE, which reads the lock off a message.`
      : 'The connector does not need it. --round-trip QUEUE reads the lock off a message.';
  return {
    ...common,
    verdict: 'skipped',
    text: `Not known: ${unknown}. ${failure.message.replace(/\.?$/u, '.')} ${cure}`,
    details: { ...details, failure: failure.kind, ...(failure.status === undefined ? {} : { status: failure.status }) },
  };
}
