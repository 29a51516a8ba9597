// SPDX-License-Identifier: Apache-2.0

interface Node<T> {
  readonly id: number;
  readonly exact: Map<string, Node<T>>;
  star: Node<T> | undefined;
  hash: Node<T> | undefined;
  value: T | undefined;
  /** It stands for `#`: further tokens stay there. */
  readonly isHash: boolean;
}

/** Most tokens of a text that is looked up: beyond them nothing matches. */
const TOKENS_MAX = 256;
/**
 * Most steps of a look-up that were in vain: beyond them nothing matches. Clients choose texts, and patterns as well: very
 * many patterns with several `#` must not cost everybody's time. Other patterns take a few for each token.
 */
const FAILURES_MAX = 100_000;

/**
 * Patterns over addresses. Tokens are parted by `.` and `/` alike; `*` stands for one token, `#` for any number.
 *
 * At each token, from left to right, exact text is preferred to `*`, and `*` to `#`; the first full match wins. The cost
 * of a look-up depends on the length of the text, not on the number of patterns.
 */
export class PatternTree<T> {
  #nodes = 0;
  readonly #root: Node<T> = this.#node();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @returns false where the same pattern, after normalisation, is in the tree already */
  add(pattern: string, value: T): boolean {
    let node = this.#root;
    for (const token of normalised(pattern)) {
      if (token === '*') node = node.star ??= this.#node();
      else if (token === '#') node = node.hash ??= this.#node(true);
      else {
        let next = node.exact.get(token);
        if (next === undefined) node.exact.set(token, (next = this.#node()));
        node = next;
      }
    }
    if (node.value !== undefined) return false;
    node.value = value;
    this.#size++;
    return true;
  }

  get(pattern: string): T | undefined {
    let node: Node<T> | undefined = this.#root;
    for (const token of normalised(pattern)) {
      node = token === '*' ? node.star : token === '#' ? node.hash : node.exact.get(token);
      if (node === undefined) return undefined;
    }
    return node.value;
  }

  remove(pattern: string): T | undefined {
    const path: [Node<T>, string][] = [];
    let node: Node<T> | undefined = this.#root;
    for (const token of normalised(pattern)) {
      path.push([node, token]);
      node = token === '*' ? node.star : token === '#' ? node.hash : node.exact.get(token);
      if (node === undefined) return undefined;
    }
    const value = node.value;
    if (value === undefined) return undefined;
    node.value = undefined;
    this.#size--;
    for (let i = path.length - 1; i >= 0; i--) {
      const [parent, token] = path[i]!;
      const child: Node<T> = token === '*' ? parent.star! : token === '#' ? parent.hash! : parent.exact.get(token)!;
      if (child.value !== undefined || child.exact.size > 0 || child.star !== undefined || child.hash !== undefined)
        break;
      if (token === '*') parent.star = undefined;
      else if (token === '#') parent.hash = undefined;
      else parent.exact.delete(token);
    }
    return value;
  }

  /** The value of the best pattern that `text` matches. */
  match(text: string): T | undefined {
    if (this.#size === 0) return undefined;
    const tokens = tokensOf(text);
    if (tokens.length > TOKENS_MAX) return undefined;
    return this.#match(this.#root, tokens, 0, new Set());
  }

  /** `failed` remembers what was tried in vain, so that several `#` cost no more than their product with the text. */
  #match(node: Node<T>, tokens: readonly string[], at: number, failed: Set<number>): T | undefined {
    if (at === tokens.length) {
      return node.value ?? (node.hash === undefined ? undefined : this.#match(node.hash, tokens, at, failed));
    }
    const state = node.id * (TOKENS_MAX + 1) + at;
    if (failed.has(state) || failed.size >= FAILURES_MAX) return undefined;
    const exact = node.exact.get(tokens[at]!);
    let found = exact === undefined ? undefined : this.#match(exact, tokens, at + 1, failed);
    if (found === undefined && node.star !== undefined) found = this.#match(node.star, tokens, at + 1, failed);
    // It stands for no token before it stands for one more.
    if (found === undefined && node.hash !== undefined) found = this.#match(node.hash, tokens, at, failed);
    if (found === undefined && node.isHash) found = this.#match(node, tokens, at + 1, failed);
    if (found === undefined) failed.add(state);
    return found;
  }

  #node(isHash = false): Node<T> {
    return { id: this.#nodes++, exact: new Map(), star: undefined, hash: undefined, value: undefined, isHash };
  }
}

/** Parts of a text between `.` and `/`; separators in front are ignored. */
export function tokensOf(text: string): string[] {
  const trimmed = text.replace(/^[./]+/, '').replace(/[./]$/, '');
  return trimmed === '' ? [] : trimmed.split(/[./]/);
}

/** `#` in front of `*` moves behind it, and `#` in front of `#` is dropped: the same set of texts, one spelling. */
function normalised(pattern: string): string[] {
  const tokens = tokensOf(pattern);
  for (let i = 0; i + 1 < tokens.length;) {
    if (tokens[i] === '#' && tokens[i + 1] === '#') {
      tokens.splice(i, 1);
      i = 0;
    } else if (tokens[i] === '#' && tokens[i + 1] === '*') {
      tokens[i] = '*';
      tokens[i + 1] = '#';
      i = 0;
    } else {
      i++;
    }
  }
  return tokens;
}

/** How a pattern is written that matches the same in an order that is quicker to look up; undefined where it is so already. */
export function rewrittenPattern(pattern: string): string | undefined {
  const tokens = normalised(pattern);
  if (tokens.join('/') === tokensOf(pattern).join('/')) return undefined;
  return tokens.join(pattern.includes('/') ? '/' : '.');
}

/** The pattern in the spelling that it is kept under. */
export function normalisedPattern(pattern: string): string {
  return normalised(pattern).join('/');
}

/** The pattern that a prefix is short for: the prefix itself and all below it. */
export function prefixPattern(prefix: string): string {
  const tokens = tokensOf(prefix);
  return [...tokens, '#'].join('/');
}
