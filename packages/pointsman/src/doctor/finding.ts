// SPDX-License-Identifier: Apache-2.0

/** The way from a name to a message, in the order in which it is gone. */
export const STEPS = [
  'configuration',
  'name',
  'network',
  'tls',
  'clock',
  'authentication',
  'open',
  'tokens',
  'management',
  'entity',
  'round-trip',
] as const;

export type StepName = (typeof STEPS)[number];

/** `bad`: the connector does not work; `warning`: it does, and will not for ever, or not as well as it could. */
export type Verdict = 'good' | 'warning' | 'bad' | 'skipped';

export type CheckName =
  | 'configuration'
  | 'name'
  | 'port'
  | 'handshake'
  | 'versions'
  | 'certificate'
  | 'clock'
  | 'sasl'
  | 'open'
  | 'token'
  | 'management'
  | 'settings'
  | 'link'
  | 'key'
  | 'lock'
  | 'deliveries'
  | 'dead-letters'
  | 'size'
  | 'life'
  | 'none'
  | 'round-trip';

/** What is looked at, step by step. Programs go by it; docs/doctor.schema.json has the same lists. */
export const CHECKS: Readonly<Record<StepName, readonly CheckName[]>> = {
  configuration: ['configuration'],
  name: ['name'],
  network: ['port'],
  tls: ['handshake', 'versions', 'certificate'],
  clock: ['clock'],
  authentication: ['sasl', 'key'],
  open: ['open'],
  tokens: ['token'],
  management: ['management'],
  entity: ['settings', 'link', 'lock', 'deliveries', 'dead-letters', 'size', 'life', 'none'],
  'round-trip': ['round-trip'],
};

export type Detail = string | number | boolean | readonly string[];

/** What was found at one step. Texts are without secrets. */
export interface Finding {
  readonly step: StepName;
  readonly check: CheckName;
  readonly verdict: Verdict;
  /** What was looked at: a host, a port, an entity. */
  readonly subject: string;
  /** What was found, and where it is not good, what to change. */
  readonly text: string;
  /** How long it took. */
  readonly ms?: number | undefined;
  /** The same for programs, where there is more to say. */
  readonly details?: Readonly<Record<string, Detail>>;
}

/** Exit statuses, by the step at which a connector first fails. */
export const EXIT_STATUS: Readonly<Record<StepName, number>> = {
  configuration: 1,
  name: 10,
  network: 11,
  tls: 12,
  clock: 13,
  authentication: 13,
  tokens: 13,
  open: 14,
  // Not needed by a connector: it is never bad.
  management: 15,
  entity: 15,
  'round-trip': 16,
};

/** @returns 0 where nothing is bad */
export function exitStatusOf(findings: readonly Finding[]): number {
  const bad = findings.find(({ verdict }) => verdict === 'bad');
  return bad === undefined ? 0 : EXIT_STATUS[bad.step];
}
