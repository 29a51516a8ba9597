// SPDX-License-Identifier: Apache-2.0

// Beyond this length nobody has mistyped a name, and comparing costs the product of both lengths.
const COMPARED_LENGTH_MAX = 64;

/**
 * The name as the schema writes it: `ssl-profile`, `ssl_profile` and `ssl profile` are `sslProfile`.
 *
 * The first word stays as it is; each later one gets an initial capital, and the rest of it lower case.
 */
export function camelCase(name: string): string {
  const [first = '', ...rest] = name.split(/[ _\-.]/u);
  return first + rest.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase()).join('');
}

/**
 * The fewest single-character edits (insert, delete, replace, swap of neighbours) that make `b` of `a`.
 *
 * Takes time and memory proportional to the product of both lengths: bound them before.
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last: number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, beforeLast[j - 2]! + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/**
 * The valid name that was most likely meant, or undefined where none comes near.
 *
 * Near is: the same but for upper and lower case, at most a third of it mistyped (and always one character), or one
 * contained in the other, as `password` is in `saslPassword`.
 */
export function nearestName(name: string, valid: Iterable<string>): string | undefined {
  if (name.length === 0 || name.length > COMPARED_LENGTH_MAX) return undefined;
  const wanted = name.toLowerCase();
  let nearest: string | undefined;
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  let containing: string | undefined;
  for (const candidate of valid) {
    if (candidate.length > COMPARED_LENGTH_MAX) continue;
    const other = candidate.toLowerCase();
    const distance = editDistance(wanted, other);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
    const [short, long] = wanted.length < other.length ? [wanted, other] : [other, wanted];
    if (
      short.length >= 4 &&
      long.includes(short) &&
      (containing === undefined || candidate.length < containing.length)
    ) {
      containing = candidate;
    }
  }
  return nearest ?? containing;
}
