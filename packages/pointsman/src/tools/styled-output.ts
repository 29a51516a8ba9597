// SPDX-License-Identifier: Apache-2.0
import { wantsColor as wantsColorOn } from '../log/color.js';
import type { OptionSpec, ParsedArguments } from './arguments.js';
import { shownText } from './cells.js';
import type { Plain, Row } from './plain-value.js';
import { columnWidths, csvCell, padded } from './table.js';
import type { Block, Table } from './table.js';
import { UsageError } from './tool-error.js';
import type { ToolIo } from './tool-io.js';

export type OutputForm = 'table' | 'json' | 'csv';

export const outputOption: OptionSpec = {
  flags: ['-o', '--output'],
  key: 'output',
  kind: 'text',
  metavar: 'FORM',
  help: 'table, json or csv',
};

/** @throws UsageError */
export function outputForm(args: ParsedArguments, otherwise: OutputForm): OutputForm {
  const form = args.text('output') ?? otherwise;
  if (form === 'table' || form === 'json' || form === 'csv') return form;
  throw new UsageError(`argument -o/--output: there is no form '${form}': choose table, json or csv`);
}

export function wantsColor({ stdout, env }: ToolIo): boolean {
  return wantsColorOn(stdout, env);
}

const BOLD = '1';
const DIM = '2';
const RED = '31';
const GREEN = '32';
const YELLOW = '33';

const STATES: Readonly<Record<string, string>> = {
  up: GREEN,
  active: GREEN,
  enabled: GREEN,
  SUCCESS: GREEN,
  inactive: YELLOW,
  quiescing: YELLOW,
  attaching: YELLOW,
  CONNECTING: YELLOW,
  down: RED,
  failed: RED,
  disabled: RED,
  FAILED: RED,
};

/** What comes from a router must not speak to the terminal. */
function harmless(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}

/** A report for people. */
export function styledBlocks(blocks: readonly Block[], color: boolean): string {
  const paint = (style: string, text: string): string => (color ? `\u001b[${style}m${text}\u001b[0m` : text);
  return blocks
    .flatMap((block) => ('lines' in block ? block.lines.map(harmless) : styledTable(block, paint)))
    .map((line) => `${line}\n`)
    .join('');
}

function styledTable({ title, heads, rows }: Table, paint: (style: string, text: string) => string): string[] {
  const lines = title === '' ? [] : title.split('\n').map((line) => paint(BOLD, harmless(line)));
  if (rows.length === 0) return title === '' ? [] : [...lines, '  none'];
  const cells = rows.map((row) => row.map(harmless));
  const widths = columnWidths(heads, cells);
  const isNumeric = heads.map((_, at) => cells.every((row) => /^[\d,.]*$|^-$/.test(row[at] ?? '')));
  const line = (row: readonly string[], style: (text: string) => string | undefined): string =>
    row
      .map((text, at) => {
        const width = widths[at]! - 2;
        const room = ' '.repeat(Math.max(0, width - padded(text, 0).length));
        const chosen = style(text);
        const painted = chosen === undefined ? text : paint(chosen, text);
        return isNumeric[at] === true ? room + painted : painted + room;
      })
      .join('  ')
      .trimEnd();
  return [
    ...lines,
    line(heads, () => DIM),
    ...cells.map((row) => line(row, (text) => STATES[text] ?? (text === '-' ? DIM : undefined))),
  ];
}

/** CSV for programs: one head line, no titles; further tables behind an empty line. */
export function plainCsv(blocks: readonly Block[]): string {
  return blocks
    .filter((block): block is Table => !('lines' in block))
    .map(({ heads, rows }) => [heads, ...rows].map((cells) => `${cells.map(csvCell).join(',')}\n`).join(''))
    .join('\n');
}

/** Entities as a table: a column for each attribute that one of them has. */
export function tableOf(rows: readonly Row[]): Table {
  const heads = [...new Set(rows.flatMap((row) => [...row].filter(([, value]) => value !== null).map(([key]) => key)))];
  return { title: '', heads, rows: rows.map((row) => heads.map((head) => shownText(row.get(head) ?? null))) };
}

/** Any answer as a table, or undefined where it is none. */
export function tableOfAnswer(value: Plain): Table | undefined {
  if (value instanceof Map) {
    const rows = [...(value as Row)].map(([key, one]) => [key, shownText(one)]);
    return { title: '', heads: ['attribute', 'value'], rows };
  }
  if (!Array.isArray(value)) return undefined;
  if (value.every((one) => one instanceof Map)) return tableOf(value as readonly Row[]);
  return { title: '', heads: ['value'], rows: (value as readonly Plain[]).map((one) => [shownText(one)]) };
}
