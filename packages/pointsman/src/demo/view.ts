// SPDX-License-Identifier: Apache-2.0
import type { CommandIo } from '../command.js';
import { isTerminal, shown, stylesFor, widthOf, wrapped } from '../namespace-server/terminal.js';
import type { Styles } from '../namespace-server/terminal.js';
import { STEPS } from './step-watch.js';
import type { StepName, StepReport } from './step-watch.js';
import type { Journey, Traffic, TrafficEnd } from './traffic.js';

const TITLES: Readonly<Record<StepName, string>> = {
  connection: 'Connection',
  tls: 'TLS',
  idle: 'Idle time-out',
  authentication: 'Authentication',
  autolinks: 'Autolinks',
};

const TITLE_COLUMNS = 18;
const TIME_COLUMNS = 9;
const INDENT = ' '.repeat(4 + TITLE_COLUMNS);

/** How often the live line changes, and how often a line comes where nobody watches, in ms. */
const LIVE_MS = 250;
const LINES_MS = 5_000;
/** Span over which the rate is taken, in ms. */
const RATE_SPAN_MS = 2_000;

const CLEAR_LINE = '\r\u001b[2K';

/** What the demo writes on the terminal. */
export class View {
  readonly styles: Styles;
  readonly #out: CommandIo['stdout'];
  readonly #isLive: boolean;
  readonly #width: number;
  #timer: NodeJS.Timeout | undefined;
  /** A line without an end stands on the terminal. */
  #hasLiveLine = false;

  constructor(out: CommandIo['stdout'], color: boolean) {
    this.#out = out;
    this.styles = stylesFor(out, color);
    this.#isLive = isTerminal(out);
    this.#width = widthOf(out);
  }

  line(text = ''): void {
    this.#clearLive();
    this.#out.write(`${text}\n`);
  }

  /** Text that is broken into lines, each indented. */
  paragraph(text: string, style: (text: string) => string = (line) => line, indent = '  '): void {
    for (const line of wrapped(shown(text), this.#width - indent.length)) this.line(`${indent}${style(line)}`);
  }

  /** What is being waited for; only where somebody watches. */
  pending(step: StepName, what: string): void {
    this.#live(`  · ${STEPS.indexOf(step) + 1} ${TITLES[step].padEnd(TITLE_COLUMNS - 2)}${what}`);
  }

  step({ step, isGood, lines, ms }: StepReport): void {
    const { good, bad, strong, faint } = this.styles;
    const mark = isGood ? good('✔') : bad('✘');
    const title = `${STEPS.indexOf(step) + 1} ${TITLES[step].padEnd(TITLE_COLUMNS - 2)}`;
    const time = ms === undefined ? '' : durationOf(ms).padStart(TIME_COLUMNS);
    const room = this.#width - INDENT.length - TIME_COLUMNS - 1;
    const [head = '', ...more] = lines;
    // The time stands at the end of the first line alone.
    const [first = '', ...overflow] = wrapped(shown(head), room);
    const rest = [
      ...overflow,
      ...more.flatMap((line) => [...(isGood ? [] : ['']), ...wrapped(shown(line), this.#width - INDENT.length)]),
    ];
    this.line(`  ${mark} ${strong(title)}${first.padEnd(room)} ${faint(time)}`.trimEnd());
    for (const line of rest) this.line(line === '' ? '' : `${INDENT}${isGood ? faint(line) : line}`);
    if (!isGood) {
      this.line();
      this.line(`  The demo ends here: step ${STEPS.indexOf(step) + 1} of ${STEPS.length} failed.`);
    }
    const next = STEPS[STEPS.indexOf(step) + 1];
    if (isGood && next !== undefined) this.pending(next, '...');
  }

  /** What the first order went through. */
  journey({ body, ms, sequenceNumber }: Journey, queue: string): void {
    const { strong, faint } = this.styles;
    this.line(`  The first one  ${strong(shown(body))}`);
    const way =
      sequenceNumber === undefined
        ? 'came back'
        : `came back as message ${shown(sequenceNumber)} of the queue '${shown(queue)}'`;
    this.line(`                 ${faint(`${way}, after ${durationOf(ms)}`)}`);
    this.line();
  }

  /** Shows rates until {@link endRates}. */
  startRates(traffic: Traffic): void {
    const marks: { at: number; received: number }[] = [{ at: performance.now(), received: 0 }];
    const show = (): void => {
      const now = performance.now();
      const { sent, accepted, received, resent } = traffic.ledger.counts;
      marks.push({ at: now, received });
      while (marks.length > 2 && marks[1]!.at < now - RATE_SPAN_MS) marks.shift();
      const { at, received: before } = marks[0]!;
      const rate = now > at ? ((received - before) * 1000) / (now - at) : 0;
      const median = traffic.latencies.quantile(0.5);
      const parts: [label: string, value: string][] = [
        ['sent', numberOf(sent)],
        ['accepted', numberOf(accepted)],
        ['received', numberOf(received)],
        ['rate', `${numberOf(rate)}/s`],
        ...(median === undefined ? [] : [['round trip', durationOf(median)] as [string, string]]),
        ...(resent === 0 ? [] : [['resent', numberOf(resent)] as [string, string]]),
      ];
      if (this.#isLive) this.#live(`  ${parts.map(([label, value]) => `${label} ${value}`).join('  ')}`);
      else this.line(`  ${parts.map(([label, value]) => `${label} ${value}`).join('  ')}`);
    };
    this.#timer = setInterval(show, this.#isLive ? LIVE_MS : LINES_MS);
  }

  endRates(): void {
    clearInterval(this.#timer);
    this.#clearLive();
  }

  /** @returns whether all is well */
  summary(traffic: Traffic, end: TrafficEnd): boolean {
    const { good, bad, strong, faint } = this.styles;
    const { sent, accepted, refused, received, resent, missing, repeated, doubled } = traffic.ledger.counts;
    const isComplete = end.how === 'done' && accepted === sent && received === sent;
    const isGood = isComplete && missing === 0 && doubled === 0 && refused === 0;
    const row = (label: string, count: number, note: string, style = (text: string): string => text): void => {
      this.line(`  ${label.padEnd(10)}${style(numberOf(count).padStart(13))}   ${faint(note)}`.trimEnd());
    };
    const nought = (count: number) => (count === 0 ? good : bad);
    row('sent', sent, 'orders that the shop sent to the router', strong);
    row('accepted', accepted, 'the queue has taken, said the router', strong);
    row('received', received, 'came back to the warehouse', strong);
    if (resent > 0) row('resent', resent, 'the router gave back, and the shop sent once more');
    if (refused > 0) row('refused', refused, 'for good, or without ever an answer', bad);
    row('lost', missing, 'accepted, and never came back', nought(missing));
    row(
      'doubled',
      doubled + repeated,
      repeated === 0
        ? 'came back more than once'
        : `came back more than once: ${repeated} after an outcome in doubt, as at-least-once permits`,
      nought(doubled),
    );
    if (traffic.leftOver > 0) row('left over', traffic.leftOver, 'of an earlier run, taken out of the queue');
    this.line();
    const seconds = traffic.elapsedMs / 1000;
    const [median, most] = [traffic.latencies.quantile(0.5), traffic.latencies.quantile(0.99)];
    this.line(
      `  ${durationOf(traffic.elapsedMs)}, ${numberOf(seconds > 0 ? received / seconds : 0)} orders a second${
        median === undefined || most === undefined
          ? ''
          : `; round trip ${durationOf(median)}, 99 % within ${durationOf(most)}`
      }`,
    );
    this.line();
    if (isGood)
      this.line(
        `  ${good('✔')} ${strong(sent === 0 ? 'Nothing was sent.' : repeated === 0 ? 'Every order arrived, exactly once.' : 'Every order arrived.')}`,
      );
    else this.#verdict(traffic, end);
    return isGood;
  }

  #verdict(traffic: Traffic, end: TrafficEnd): void {
    const { bad } = this.styles;
    const { sent, accepted, refused, received, missing, doubled } = traffic.ledger.counts;
    const texts: string[] = [];
    if (end.how === 'broken') texts.push(`The traffic broke off: ${end.reason}.`);
    if (end.how === 'strangers') {
      texts.push(
        'The queue holds messages that are not of this demo. They were left there. Name an empty queue that nobody else uses: --queue NAME.',
      );
    }
    if (missing > 0) texts.push(`${numberOf(missing)} orders were accepted and did not come back.`);
    if (doubled > 0) texts.push(`${numberOf(doubled)} orders came twice without a reason.`);
    if (refused > 0) texts.push(`${numberOf(refused)} orders were refused.`);
    const unanswered = sent - accepted - refused;
    if (unanswered > 0 && end.how === 'silent') texts.push(`${numberOf(unanswered)} orders got no answer.`);
    if (texts.length === 0) texts.push(`Of ${numberOf(sent)} orders ${numberOf(received)} came back.`);
    const [first = '', ...rest] = wrapped(shown(texts.join(' ')), this.#width - 4);
    this.line(`  ${bad('✘')} ${first}`);
    for (const line of rest) this.line(`    ${line}`);
  }

  #live(text: string): void {
    if (!this.#isLive) return;
    const { columns } = this.#out as { columns?: number };
    // Numbers stand out; styled after the cut, so that none is cut in two.
    const cut = text.slice(0, (columns ?? 80) - 1);
    this.#out.write(`${CLEAR_LINE}${cut.replaceAll(/\d[\d,.]*/gu, (digits) => this.styles.accent(digits))}`);
    this.#hasLiveLine = true;
  }

  #clearLive(): void {
    if (!this.#hasLiveLine) return;
    this.#out.write(CLEAR_LINE);
    this.#hasLiveLine = false;
  }
}

/** `12,345` */
export function numberOf(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function durationOf(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}
