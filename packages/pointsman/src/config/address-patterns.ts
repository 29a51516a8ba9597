// SPDX-License-Identifier: Apache-2.0

/** Parts of an address or pattern: `.` and `/` separate them alike, and count for nothing at either end. */
export function addressParts(address: string): readonly string[] {
  return address.replaceAll(/^[./]+|[./]+$/gu, '').split(/[./]/u);
}

/** A pattern as it is compared with others: `a.b` is `a/b`, a prefix `a` is `a/#`; a `#` goes behind the `*` next to it. */
export function normalPattern(text: string, isPrefix: boolean): readonly string[] {
  const parts = [...addressParts(text), ...(isPrefix ? ['#'] : [])];
  const normal: string[] = [];
  let any = false;
  for (const part of parts) {
    if (part === '#') any = true;
    else if (part === '*') normal.push('*');
    else {
      if (any) normal.push('#');
      any = false;
      normal.push(part);
    }
  }
  if (any) normal.push('#');
  return normal;
}

/** Whether an address matches a pattern: `*` stands for one part, `#` for any number of parts, none included. */
export function matchesPattern(pattern: readonly string[], address: readonly string[]): boolean {
  // Row by row: whether the first i parts of the pattern match the first j of the address.
  let row = [true, ...address.map(() => false)];
  for (const part of pattern) {
    const next = [part === '#' && row[0]!];
    address.forEach((word, j) => {
      next.push(part === '#' ? row[j + 1]! || next[j]! : row[j]! && (part === '*' || part === word));
    });
    row = next;
  }
  return row.at(-1)!;
}

/** Which of two patterns that match one address comes first: at the first difference a word, then `*`, then `#`. */
export function comparePatterns(a: readonly string[], b: readonly string[]): number {
  const rank = (part: string | undefined): number => (part === undefined ? 0 : part === '*' ? 2 : part === '#' ? 3 : 1);
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = rank(a[i]) - rank(b[i]);
    if (difference !== 0) return difference;
  }
  return 0;
}
