// SPDX-License-Identifier: Apache-2.0
import type { CommandIo } from '../command.js';

type OutputStream = CommandIo['stdout'];

/** Styles by what they mean, not by how they look. */
export interface Styles {
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly accent: (text: string) => string;
}

const plain = (text: string): string => text;
const ansi =
  (on: number, off: number) =>
  (text: string): string =>
    `\u001b[${on}m${text}\u001b[${off}m`;

const PLAIN: Styles = { strong: plain, faint: plain, good: plain, bad: plain, warn: plain, accent: plain };
const COLORED: Styles = {
  strong: ansi(1, 22),
  faint: ansi(2, 22),
  good: ansi(32, 39),
  bad: ansi(31, 39),
  warn: ansi(33, 39),
  accent: ansi(36, 39),
};

/** Someone watches who can take control sequences. */
export function isTerminal(stream: OutputStream): boolean {
  return stream.isTTY === true && process.env['TERM'] !== 'dumb';
}

/** Colours on a terminal alone, and only where nobody asked for none. @see no-color.org */
export function stylesFor(stream: OutputStream, wanted = true): Styles {
  return wanted && isTerminal(stream) && (process.env['NO_COLOR'] ?? '') === '' ? COLORED : PLAIN;
}

/** Columns to write to: those of the terminal, within what reads well. */
export function widthOf(stream: OutputStream): number {
  const { columns } = stream as { columns?: number };
  // A terminal that does not know its size says 0.
  return Math.max(40, Math.min(columns || 100, 110));
}

/** Breaks a text at blanks where it is too long. Words longer than a line stay whole: they are paths and names to be copied. */
export function wrapped(text: string, width: number): string[] {
  if (text.length <= width) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/u)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '') lines.push(line);
  return lines;
}

/** What a peer wrote, or a file: no control characters, they could drive the terminal. */
export function shown(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/gu, ' ');
}

const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Calls `stop` at every signal that asks the process to end, until the function that is returned is called. */
export function onStopSignal(io: CommandIo, stop: () => void): () => void {
  for (const signal of STOP_SIGNALS) io.on(signal, stop);
  return () => {
    for (const signal of STOP_SIGNALS) io.off(signal, stop);
  };
}
