// SPDX-License-Identifier: Apache-2.0

/** What stands wherever a secret would otherwise have been printed. */
const MASK = '[secret]';

/**
 * A text that does not print: keys, passwords, tokens.
 *
 * String conversion, template literals, JSON and Node's inspection all give `[secret]`. Only {@link reveal} gives the
 * text, so every place that uses one can be found by that word.
 */
export class Secret {
  static {
    // The hook of Node's `util.inspect`: a global symbol, so that it needs no import.
    Object.defineProperty(this.prototype, Symbol.for('nodejs.util.inspect.custom'), { value: (): string => MASK });
  }

  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself. For the wire and for signing, never for a message. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }
}

/** Texts shorter than this are not searched for: masking each 'a' would make a message unreadable. */
const SHORTEST_MASKED = 4;

/** `text` with each of the secrets masked, in the form given and percent-encoded. */
export function withoutSecrets(text: string, secrets: readonly Secret[]): string {
  let result = text;
  for (const secret of secrets) {
    const plain = secret.reveal();
    if (plain.length < SHORTEST_MASKED) continue;
    for (const form of new Set([plain, encodeURIComponent(plain)])) result = result.replaceAll(form, MASK);
  }
  return result;
}
