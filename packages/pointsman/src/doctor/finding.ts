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
  'entity',
  'round-trip',
] as const;

export type StepName = (typeof STEPS)[number];

/** `bad`: the connector does not work; `warning`: it does, and will not for ever, or not as well as it could. */
export type Verdict = 'good' | 'warning' | 'bad' | 'skipped';

/** What was found at one step. Texts are without secrets. */
export interface Finding {
  readonly step: StepName;
  readonly verdict: Verdict;
  /** What was looked at: a host, a port, an entity. */
  readonly subject: string;
  /** What was found, and where it is not good, what to change. */
  readonly text: string;
  /** How long it took. */
  readonly ms?: number | undefined;
  /** The same for programs, where there is more to say. */
  readonly details?: Readonly<Record<string, string | number | boolean | readonly string[]>>;
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
  entity: 15,
  'round-trip': 16,
};

/** @returns 0 where nothing is bad */
export function exitStatusOf(findings: readonly Finding[]): number {
  const bad = findings.find(({ verdict }) => verdict === 'bad');
  return bad === undefined ? 0 : EXIT_STATUS[bad.step];
}
