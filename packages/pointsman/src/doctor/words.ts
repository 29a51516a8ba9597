// SPDX-License-Identifier: Apache-2.0

const UNITS: readonly (readonly [ms: number, one: string, many: string])[] = [
  [86_400_000, 'day', 'days'],
  [3_600_000, 'hour', 'hours'],
  [60_000, 'min', 'min'],
  [1_000, 's', 's'],
];

/** `30 s`, `5 min`, `14 days`: in the largest unit that does without a fraction, of seconds with one digit. */
export function durationInWords(ms: number): string {
  if (ms === Infinity) return 'for ever';
  for (const [size, one, many] of UNITS) {
    if (ms >= size && ms % size === 0) return `${ms / size} ${ms === size ? one : many}`;
  }
  return `${Math.round(ms / 100) / 10} s`;
}

/** `1 message`, `3 messages`, `no messages`. */
export function countInWords(count: number, one: string, many = `${one}s`): string {
  return `${count === 0 ? 'no' : count} ${count === 1 ? one : many}`;
}

/** A list, in one sentence. */
export function listed(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

/** As a sentence begins. */
export function capitalized(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
