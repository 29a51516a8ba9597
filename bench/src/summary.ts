// SPDX-License-Identifier: Apache-2.0

/** Several measurements of one thing. The median, because a busy machine makes outliers in one direction only. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws RangeError where there is nothing to sum up */
export function summaryOf(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [min, max, upper] = [sorted[0], sorted.at(-1), sorted[middle]];
  if (min === undefined || max === undefined || upper === undefined) throw new RangeError('no values to sum up');
  const lower = sorted.length % 2 === 0 ? (sorted[middle - 1] ?? upper) : upper;
  return { median: (lower + upper) / 2, min, max };
}

/** Columns padded to their widest cell: the first to the left, numbers to the right. */
export function tableOf(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  const pad = (cell: string, i: number): string =>
    i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0);
  return rows.map((row) => row.map(pad).join('   ').trimEnd()).join('\n');
}
