// SPDX-License-Identifier: Apache-2.0

/** Why a filter or an action is not one, with the place. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
}

/** Characters of a filter or an action. */
export const SQL_LENGTH_MAX = 1024;

export type SqlToken =
  | { readonly kind: 'word'; readonly text: string; readonly upper: string; readonly at: number }
  /** `[in brackets]` or `"in quotes"`: never a key word. */
  | { readonly kind: 'name'; readonly text: string; readonly at: number }
  | { readonly kind: 'parameter'; readonly text: string; readonly at: number }
  | { readonly kind: 'text'; readonly value: string; readonly at: number }
  | { readonly kind: 'number'; readonly value: bigint | number; readonly at: number }
  | { readonly kind: 'sign'; readonly text: string; readonly at: number }
  | { readonly kind: 'end'; readonly at: number };

const PATTERN =
  /\s+|(\p{L}[\p{L}\p{Nd}_]*)|\[((?:[^\]]|\]\])*)\]|"((?:[^"]|"")*)"|@(\p{L}[\p{L}\p{Nd}_]*)|'((?:[^']|'')*)'|((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(<>|!=|>=|<=|[=<>+\-*/%(),.;])/uy;

const LONG_MAX = 2n ** 63n - 1n;

/** Takes a text apart. @throws SqlError where something is no token, or the text is too long */
export function tokensOf(text: string): SqlToken[] {
  if (text.length > SQL_LENGTH_MAX)
    throw new SqlError(`The expression has ${text.length} characters: ${SQL_LENGTH_MAX} at the most.`);
  const tokens: SqlToken[] = [];
  PATTERN.lastIndex = 0;
  for (let at = 0; at < text.length; at = PATTERN.lastIndex) {
    PATTERN.lastIndex = at;
    const match = PATTERN.exec(text);
    if (match === null) throw new SqlError(`There is no token at character ${at + 1}: '${text.slice(at, at + 10)}'.`);
    const [, word, bracketed, quoted, parameter, string, number, sign] = match;
    if (word !== undefined) tokens.push({ kind: 'word', text: word, upper: word.toUpperCase(), at });
    else if (bracketed !== undefined) tokens.push(nameOf(bracketed.replaceAll(']]', ']'), at));
    else if (quoted !== undefined) tokens.push(nameOf(quoted.replaceAll('""', '"'), at));
    else if (parameter !== undefined) tokens.push({ kind: 'parameter', text: parameter, at });
    else if (string !== undefined) tokens.push({ kind: 'text', value: string.replaceAll("''", "'"), at });
    else if (number !== undefined) tokens.push({ kind: 'number', value: numberOf(number, at), at });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign, at });
  }
  tokens.push({ kind: 'end', at: text.length });
  return tokens;
}

function nameOf(text: string, at: number): SqlToken {
  if (text === '') throw new SqlError(`There is an empty name at character ${at + 1}.`);
  return { kind: 'name', text, at };
}

function numberOf(text: string, at: number): bigint | number {
  if (!/^\d+$/.test(text)) return Number(text);
  const value = BigInt(text);
  // The lowest long has no constant of its own: a minus is an operator.
  if (value > LONG_MAX) throw new SqlError(`The number at character ${at + 1} does not fit 64 bits.`);
  return value;
}
