// SPDX-License-Identifier: Apache-2.0
import { placeText } from '@pointsman/transport';
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
  management: 'Management API',
  entity: 'Entity',
  'round-trip': 'Round trip',
};
const MARKS: Readonly<Record<Verdict, string>> = { good: '✔', warning: '!', bad: '✘', skipped: '-' };
const TITLE_COLUMNS = 16;
const TIME_COLUMNS = 9;
const INDENT = ' '.repeat(4 + TITLE_COLUMNS);
/** Peers have a say in it. */
const TEXT_MAX = 1_000;
const SECOND_MS = 1_000;
const CLEAR_LINE = '\r\u001b[2K';

/** What the doctor writes for people. */
export class Report {
  readonly #out: CommandIo['stdout'];
  readonly #styles: Styles;
  readonly #isLive: boolean;
  readonly #width: number;
  readonly #timeoutMs: number;
  #hasLiveLine = false;
  #ticking: NodeJS.Timeout | undefined;

  /** @param timeoutMs - of each step, to be shown while one takes long */
  constructor(out: CommandIo['stdout'], color: boolean, timeoutMs: number) {
    this.#out = out;
    this.#timeoutMs = timeoutMs;
    this.#styles = stylesFor(out, color);
    this.#isLive = isTerminal(out);
    this.#width = widthOf(out);
  }

  begin({ connector, to, hasProxyOfEnvironment }: Patient): void {
    const by = to.transport === 'tcp' ? 'TCP' : to.transport === 'auto' ? 'TCP, else a WebSocket' : 'a WebSocket';
    const at = placeText(to);
    const name = to.hostname === to.host ? at : `${to.hostname} at ${at}`;
    const proxy =
      to.proxy === undefined
        ? ''
        : `, through the proxy ${shown(placeText(to.proxy))}${hasProxyOfEnvironment ? ' of the environment' : ''}`;
    this.#line(`${this.#styles.strong(`Connector ${shown(connector.name)}`)}: ${shown(name)}, by ${by}${proxy}`);
    this.#line('');
  }

  /** What is being waited for; only where somebody watches. */
  waiting(step: StepName, what: string): void {
    if (!this.#isLive) return;
    this.#clear();
    const started = performance.now();
    const show = (): void => {
      const seconds = Math.round((performance.now() - started) / SECOND_MS);
      const time = seconds === 0 ? '' : ` ${seconds} s of ${Math.ceil(this.#timeoutMs / SECOND_MS)}`;
      const line = `  · ${TITLES[step].padEnd(TITLE_COLUMNS)}${shown(what)} ...${time}`;
      this.#out.write(`${this.#hasLiveLine ? CLEAR_LINE : ''}${line.slice(0, this.#width)}`);
      this.#hasLiveLine = true;
    };
    show();
    this.#ticking = setInterval(show, SECOND_MS);
  }

  /** Nothing more comes. */
  stop(): void {
    this.#clear();
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

  /** @param isInterrupted - before it was through */
  end(findings: readonly Finding[], isInterrupted = false): void {
    this.#clear();
    const { good, bad, warn } = this.#styles;
    const failed = findings.find(({ verdict }) => verdict === 'bad');
    const warnings = findings.filter(({ verdict }) => verdict === 'warning').length;
    this.#line('');
    if (failed !== undefined) this.#line(bad(`It fails at: ${TITLES[failed.step]} (${shown(failed.subject)})`));
    else if (isInterrupted) this.#line(warn('Interrupted: what was not looked at is not known'));
    else if (warnings > 0) this.#line(warn(`It works, with ${warnings} remark${warnings === 1 ? '' : 's'}`));
    else this.#line(good('It works'));
    this.#line('');
  }

  #line(text: string): void {
    this.#clear();
    this.#out.write(`${text}\n`);
  }

  #clear(): void {
    clearInterval(this.#ticking);
    this.#ticking = undefined;
    if (this.#hasLiveLine) this.#out.write(CLEAR_LINE);
    this.#hasLiveLine = false;
  }
}
