// SPDX-License-Identifier: Apache-2.0

/** A table of text. */
export interface Table {
  readonly title: string;
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** What a report consists of: tables, and lines between them. */
export type Block = Table | { readonly lines: readonly string[] };

export type TableForm = 'table' | 'csv';

const PREFIX = '  ';
const SPACING = 2;

/** The lines of a report, as the old tools print it. */
export function renderBlocks(blocks: readonly Block[], form: TableForm): string {
  return blocks
    .flatMap((block) => {
      if ('lines' in block) return block.lines;
      return form === 'csv' ? csvLines(block) : tableLines(block);
    })
    .map((line) => `${line}\n`)
    .join('');
}

function tableLines({ title, heads, rows }: Table): string[] {
  if (rows.length === 0) return [title];
  const widths = columnWidths(heads, rows);
  const line = (cells: readonly string[]): string =>
    PREFIX + cells.map((cell, at) => (at === cells.length - 1 ? cell : padded(cell, widths[at]!))).join('');
  const rule = PREFIX + '='.repeat(widths.reduce((sum, width) => sum + width, 0));
  return [title, line(heads), rule, ...rows.map(line)];
}

/** Width of each column with the space behind it. */
export function columnWidths(heads: readonly string[], rows: readonly (readonly string[])[]): number[] {
  return heads.map((head, at) => {
    let width = lengthOf(head);
    for (const row of rows) width = Math.max(width, lengthOf(row[at] ?? ''));
    return width + SPACING;
  });
}

/** `text` with blanks behind it. */
export function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - lengthOf(text)));
}

/** In characters, as a terminal shows them. */
function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}

function csvLines({ title, heads, rows }: Table): string[] {
  if (rows.length === 0) return [title];
  return [title, ...[heads, ...rows].map((cells) => cells.map(csvCell).join(','))];
}

/** A cell of CSV: in quotes, unless it is empty. */
export function csvCell(text: string): string {
  return text === '' ? '' : `"${text.replaceAll('"', '""')}"`;
}
