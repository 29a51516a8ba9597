// SPDX-License-Identifier: Apache-2.0
import { cell } from './cells.js';
import type { Row } from './plain-value.js';
import type { Table } from './table.js';

/** A column of a report: its head, and what it says of an entity. */
export type Column = readonly [head: string, text: (row: Row) => string];

/** The value of an attribute as it is. */
export const at =
  (name: string): Column[1] =>
  (row) =>
    cell(row, name);

export function table(title: string, columns: readonly Column[], rows: readonly Row[]): Table {
  return {
    title,
    heads: columns.map(([head]) => head),
    rows: rows.map((row) => columns.map(([, text]) => text(row))),
  };
}
