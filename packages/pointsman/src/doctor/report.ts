// SPDX-License-Identifier: Apache-2.0
import type { CommandIo } from '../command.js';
import { isTerminal, shown, stylesFor, widthOf, wrapped } from '../namespace-server/terminal.js';
import type { Styles } from '../namespace-server/terminal.js';
import type { Finding, StepName, Verdict } from './finding.js';
import type { Patient } from './patient.js';

const TITLES: Readonly<Record<StepName, string>> = {
  configuration: 'Configuration',
  name: 'Name',
  network: 'Network',
  tls: 'TLS',
  clock: 'Clock',
  authentication: 'Authentication',
  open: 'Open',
  tokens: 'Tokens',
  entity: 'Entity',
  'round-trip': 'Round trip',
};
const MARKS: Readonly<Record<Verdict, string>> = { good: '✔', warning: '!', bad: '✘', skipped: '-' };
const TITLE_COLUMNS = 16;
const TIME_COLUMNS = 9;
const INDENT = ' '.repeat(4 + TITLE_COLUMNS);
/** Peers have a say in it. */
const TEXT_MAX = 1_000;
const CLEAR_LINE = '\r\u001b[2K';

/** What the doctor writes for people. */
export class Report {
  readonly #out: CommandIo['stdout'];
  readonly #styles: Styles;
  readonly #isLive: boolean;
  readonly #width: number;
  #hasLiveLine = false;

  constructor(out: CommandIo['stdout'], color: boolean) {
    this.#out = out;
    this.#styles = stylesFor(out, color);
    this.#isLive = isTerminal(out);
    this.#width = widthOf(out);
  }

  begin({ connector, to }: Patient): void {
    const by = to.transport === 'tcp' ? 'TCP' : to.transport === 'auto' ? 'TCP, else a WebSocket' : 'a WebSocket';
    const name = to.hostname === to.host ? to.host : `${to.hostname} at ${to.host}`;
    this.#line(`${this.#styles.strong(`Connector ${shown(connector.name)}`)}: ${shown(name)}, by ${by}`);
    this.#line('');
  }

  /** What is being waited for; only where somebody watches. */
  waiting(step: StepName, what: string): void {
    if (!this.#isLive) return;
    this.#clear();
    this.#out.write(`  · ${TITLES[step].padEnd(TITLE_COLUMNS)}${shown(what)} ...`.slice(0, this.#width));
    this.#hasLiveLine = true;
  }

  finding({ step, verdict, text, ms }: Finding): void {
    const { good, bad, warn, strong, faint } = this.#styles;
    const paint = { good, bad, warning: warn, skipped: faint }[verdict];
    const room = this.#width - INDENT.length - TIME_COLUMNS - 1;
    const whole = shown(text);
    const [first = '', ...rest] = wrapped(whole.length > TEXT_MAX ? `${whole.slice(0, TEXT_MAX)}…` : whole, room);
    const time = ms === undefined ? '' : `${Math.round(ms)} ms`.padStart(TIME_COLUMNS);
    const title = strong(TITLES[step].padEnd(TITLE_COLUMNS));
    this.#line(`  ${paint(MARKS[verdict])} ${title}${first.padEnd(room)} ${faint(time)}`.trimEnd());
    for (const line of rest) this.#line(`${INDENT}${line}`);
  }

  end(findings: readonly Finding[]): void {
    this.#clear();
    const { good, bad, warn } = this.#styles;
    const failed = findings.find(({ verdict }) => verdict === 'bad');
    const warnings = findings.filter(({ verdict }) => verdict === 'warning').length;
    this.#line('');
    if (failed !== undefined) this.#line(bad(`It fails at: ${TITLES[failed.step]} (${shown(failed.subject)})`));
    else if (warnings > 0) this.#line(warn(`It works, with ${warnings} remark${warnings === 1 ? '' : 's'}`));
    else this.#line(good('It works'));
    this.#line('');
  }

  #line(text: string): void {
    this.#clear();
    this.#out.write(`${text}\n`);
  }

  #clear(): void {
    if (this.#hasLiveLine) this.#out.write(CLEAR_LINE);
    this.#hasLiveLine = false;
  }
}

/** The same for programs. */
export function jsonOf(patient: Patient, findings: readonly Finding[], exitStatus: number): object {
  return {
    connector: patient.connector.name,
    host: patient.to.host,
    hostname: patient.to.hostname,
    transport: patient.to.transport,
    works: exitStatus === 0,
    findings: findings.map(({ ms, ...finding }) => ({
      ...finding,
      ...(ms === undefined ? {} : { ms: Math.round(ms) }),
    })),
  };
}
